package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/admin"
)

// problemLasts is how long a problem is shown that does not come again: those
// of Kafka's client come at every attempt.
const problemLasts = time.Minute

// problem is what ails the sink as a whole, if anything.
type problem struct {
	mu  sync.Mutex
	now *admin.Problem
}

func (p *problem) set(err error, do string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.now = &admin.Problem{Text: err.Error(), Do: do, At: time.Now()}
	}
}

func (p *problem) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = nil
}

func (p *problem) get() *admin.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil && time.Since(p.now.At) > problemLasts {
		p.now = nil
	}
	return p.now
}

// Status is the sink as it is now, a task for every assigned partition. The
// sink is FAILED if one of them is.
func (r *Runner) Status() admin.Status {
	now := r.now()
	s := admin.Status{
		Name: r.config.Name, Type: "sink", Component: r.component, Version: r.version, Started: r.started,
		Group: r.config.Group, Problem: r.problem.get(), Tasks: []admin.Task{},
	}
	s.Connector.State = admin.Unassigned
	for i, w := range r.workers() {
		t := w.task()
		t.ID = i
		s.Tasks = append(s.Tasks, t)
		w.addRates(now, &s.Rates)
		if t.Lag.Records < 0 || s.Lag.Records < 0 {
			s.Lag.Records = -1
		} else {
			s.Lag.Records += t.Lag.Records
		}
		s.Lag.Seconds = max(s.Lag.Seconds, t.Lag.Seconds)
		if s.Connector.State != admin.Failed {
			s.Connector.State = admin.Running
		}
		if t.State == admin.Failed {
			s.Connector.State = admin.Failed
		}
		if s.Problem == nil || t.State == admin.Failed {
			s.Problem = orElse(t.Problem, s.Problem)
		}
	}
	if s.Connector.State != admin.Failed && r.allPaused() {
		s.Connector.State = admin.Paused
	}
	return s
}

func orElse(p, otherwise *admin.Problem) *admin.Problem {
	if p != nil {
		return p
	}
	return otherwise
}

// addRates adds the worker's averages over the last minute.
func (w *worker) addRates(now time.Time, to *admin.Rates) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to.Records += float64(w.records.minute(now)) / 60
	to.Bytes += float64(w.bytes.minute(now)) / 60
	to.Errors += float64(w.errors.minute(now))
}

// Ready is nil once the sink is a member of its group and no partition failed.
func (r *Runner) Ready() error {
	r.mu.Lock()
	l := r.life
	r.mu.Unlock()
	if l == nil {
		return errors.New("not connected to Kafka")
	}
	if topics := l.awaited(); topics != "" && len(l.all()) == 0 {
		return fmt.Errorf("there is nothing to read yet: %s does not exist", topics)
	}
	if member, generation := l.client.GroupMetadata(); member == "" || generation < 0 {
		return fmt.Errorf("not a member of group %s yet", r.config.Group)
	}
	for _, w := range l.all() {
		if t := w.task(); t.State == admin.Failed {
			return errors.New(t.Problem.Text)
		}
	}
	return nil
}

// Pause stops every partition after the batch at hand, and keeps them.
func (r *Runner) Pause(context.Context) error { r.pauseAll(true); return nil }

// Resume lets every partition go on, those that were paused one by one too.
func (r *Runner) Resume(context.Context) error { r.pauseAll(false); return nil }

func (r *Runner) pauseAll(paused bool) {
	r.mu.Lock()
	r.paused = paused
	clear(r.apart)
	r.mu.Unlock()
	for _, w := range r.workers() {
		w.setPaused(paused)
	}
}

// PausePartition stops one partition after the batch at hand, or lets it go on.
// It holds for this process, also when the partition comes back to it.
func (r *Runner) PausePartition(topic string, number int32, paused bool) {
	at := partition{topic, number}
	r.mu.Lock()
	if paused {
		r.apart[at] = true
	} else {
		delete(r.apart, at)
	}
	all := r.paused
	r.mu.Unlock()
	for _, w := range r.workers() {
		if w.lease.part == at {
			w.setPaused(paused || all)
		}
	}
}

func (r *Runner) allPaused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused
}

func (r *Runner) isPaused(at partition) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused || r.apart[at]
}

// Restart gives every partition another try, from what is committed.
func (r *Runner) Restart() {
	r.mu.Lock()
	l := r.life
	r.mu.Unlock()
	if l != nil {
		_ = l.gate.fail(errRestart)
	}
}

// Skip moves the partition that is stuck at a record past it; the record goes
// to the dead letter topic.
func (r *Runner) Skip(ctx context.Context, at admin.Record) error {
	for _, w := range r.workers() {
		if w.lease.Topic() != at.Topic || w.lease.Partition() != at.Partition {
			continue
		}
		stuck := w.stuckAt()
		if stuck != at.Offset {
			return fmt.Errorf("%s-%d is not stuck at offset %d", at.Topic, at.Partition, at.Offset)
		}
		s := skip{offset: at.Offset, answer: make(chan error, 1)}
		select {
		case w.skips <- s:
			return <-s.answer
		case <-w.done:
			return fmt.Errorf("%s-%d was given up meanwhile", at.Topic, at.Partition)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s-%d is not assigned to this process", at.Topic, at.Partition)
}

// stuckAt is the offset of the record that the partition is stuck at, or -1.
func (p *progress) stuckAt() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, why := range []*admin.Problem{p.failed, p.waits} {
		if why != nil && why.Record != nil {
			return why.Record.Offset
		}
	}
	return -1
}

// Check looks at the brokers, the topics and the group, and changes nothing.
func (r *Runner) Check(ctx context.Context) error {
	opts, err := r.config.Source.Options()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(opts, r.extra...)...)
	if err != nil {
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if err := cl.Ping(ctx); err != nil {
		return fmt.Errorf("reaching Kafka at %v: %w", r.config.Source.Bootstrap, err)
	}
	var errs []error
	if len(r.config.Topics) > 0 {
		topics, err := adm.ListTopics(ctx, r.config.Topics...)
		errs = append(errs, err)
		for _, t := range topics.Sorted() {
			if t.Err != nil {
				errs = append(errs, fmt.Errorf("looking at topic %s: %w", t.Topic, t.Err))
			}
		}
	}
	groups, err := adm.DescribeGroups(ctx, r.config.Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // there is none before the first start
		errs = append(errs, fmt.Errorf("looking at group %s: %w", r.config.Group, err))
	}
	return errors.Join(errs...)
}

// logRejected logs a record that can never be written, where that is asked for.
func (r *Runner) logRejected(f *failure) {
	if !r.config.LogErrors {
		return
	}
	fields := []zap.Field{zap.String("stage", string(f.stage)), zap.String("error", f.reason())}
	if r.config.LogMessages {
		fields = append(fields, zap.String("topic", f.raw.Topic), zap.Int32("partition", f.raw.Partition),
			zap.Int64("offset", f.raw.Offset), zap.Time("timestamp", f.raw.Timestamp), zap.String("key", shown(f.raw.Key)))
	}
	r.log.Warn("a record can never be written", fields...)
}
