package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/sink"
)

// leastBuffer is what a partition may read ahead however many there are.
const leastBuffer = 64 << 10

// One answer of a broker is at most this part of the read-ahead, since it may be
// several times as large once it is decompressed; or leastFetch.
const (
	fetches    = 16
	leastFetch = 1 << 19
)

var (
	errRestart   = errors.New("restarted")
	errRecreated = errors.New("a topic was deleted and created again")
)

// life is one client and the workers of the partitions it holds.
type life struct {
	runner *Runner
	gate   *gate
	client *kgo.Client
	alive  context.Context // of the client
	kill   context.CancelFunc

	mu       sync.Mutex
	running  map[partition]*worker
	ahead    *ahead
	seeks    []*seek
	wake     context.CancelFunc     // ends the poll that waits, if one does
	missing  []string               // topics that are listed and do not exist
	refusals map[partition]refusals // of the poll loop alone
	ends     time.Duration          // how long the end of a lease may wait for its worker
}

func newLife(r *Runner, g *gate) *life {
	l := &life{runner: r, gate: g, running: map[partition]*worker{}, refusals: map[partition]refusals{}, ahead: newAhead(r.config.BufferBytes), ends: revokeWithin}
	l.alive, l.kill = context.WithCancel(context.Background())
	return l
}

// begun starts the worker of a lease.
func (l *life) begun(lease *Lease) {
	r := l.runner
	lease.Client().ResumeFetchPartitions(map[string][]int32{lease.Topic(): {lease.Partition()}}) // it may have left paused
	w := newWorker(r, lease, l.ahead)
	w.life = l
	w.setPaused(r.isPaused(lease.part))
	l.mu.Lock()
	l.running[lease.part] = w
	l.share(lease.Client())
	l.mu.Unlock()
	r.problem.clear()
	r.abandoned.Go(w.run)
}

// share divides the read-ahead among the partitions, and asks the brokers for no
// more at a time than fits; l.mu is held.
func (l *life) share(client *kgo.Client) {
	each := l.ahead.share(len(l.running))
	f := &l.runner.config.Fetch
	part := min(int64(f.PartitionBytes), each)
	client.UpdateFetchMaxBytes(int32(min(int64(f.MaxBytes), max(part, leastFetch, l.ahead.limit/fetches))), int32(part))
}

// ending stops the workers of leases that are about to close: it cancels what
// they write and waits, but never longer than l.ends, so that a dead
// target does not get this member expelled and then the next one. What is not
// committed by then is abandoned.
func (l *life) ending(leases []*Lease, lost bool) {
	why := errRevoked
	if lost {
		why = errLost
	}
	var ending []*worker
	l.mu.Lock()
	for _, lease := range leases {
		if w := l.running[lease.part]; w != nil && w.lease == lease {
			ending = append(ending, w)
			w.inbox.leave()
			delete(l.running, lease.part)
		}
	}
	if len(leases) > 0 {
		l.share(leases[0].Client())
	}
	within := l.ends
	l.mu.Unlock()
	for _, w := range ending {
		if lost {
			w.lose()
		}
		w.cancel(why)
	}
	late := time.NewTimer(within)
	defer late.Stop()
	for _, w := range ending {
		select {
		case <-w.done:
		case <-late.C:
			l.runner.log.Warn("a write did not end when its partition was revoked; it is abandoned and not committed",
				zap.String("topic", w.lease.Topic()), zap.Int32("partition", w.lease.Partition()))
			return
		}
	}
}

// all are the workers, by topic and partition.
func (l *life) all() []*worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*worker, 0, len(l.running))
	for _, w := range l.running {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b *worker) int {
		if c := strings.Compare(a.lease.Topic(), b.lease.Topic()); c != 0 {
			return c
		}
		return int(a.lease.Partition() - b.lease.Partition())
	})
	return out
}

func (l *life) worker(topic string, number int32) *worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running[partition{topic, number}]
}

// poll hands records over to the workers until ctx ends. Between a poll and
// AllowRebalance no lease begins or ends, and nothing here blocks.
func (l *life) poll(ctx context.Context) {
	for {
		fetches := l.fetch(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			l.client.AllowRebalance()
			return
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			w := l.worker(p.Topic, p.Partition)
			if w == nil {
				if len(p.Records) > 0 { // they would be missing for ever
					_ = l.gate.fail(fmt.Errorf("%d records of %s-%d came without a lease", len(p.Records), p.Topic, p.Partition))
				}
				return
			}
			if p.Err == nil {
				delete(l.refusals, partition{p.Topic, p.Partition})
			}
			if p.LastStableOffset >= 0 {
				w.seen(p.LastStableOffset)
			}
			w.inbox.put(p.Records)
		})
		fetches.EachError(l.fetchError)
		l.doSeeks()
		l.client.AllowRebalance()
	}
}

// fetchError judges what the client could not fetch. Lost records stop their
// partition; everything else is tried again after a while.
func (l *life) fetchError(topic string, number int32, err error) {
	w := l.worker(topic, number)
	var loss *kgo.ErrDataLoss
	var large *kgo.ErrDecompressTooLarge
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed):
	case w != nil && (errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss)):
		w.inbox.end()
		l.lost(w, &sink.Stopped{
			Reason: fmt.Errorf("records were removed, or lost by the brokers, before they were read: %w", err),
			Advice: l.unlessRanges("rebuild the target from a new snapshot, or accept the loss with weirctl reset", adviceGap),
		})
	case w != nil && errors.As(err, &large):
		w.halt(&sink.Stopped{
			Reason: fmt.Errorf("a batch at offset %d becomes larger than a batch may be: %w", large.Offset, err),
			Advice: l.unlessRanges("stop the sink and move its offset past the batch with weirctl reset", fmt.Sprintf(adviceLarge, large.NextOffset)),
		})
	default:
		l.refused(partition{topic, number}, w, err)
	}
}

// lost stops a partition of which unread records are gone. Of ranges it is the
// flow that does: what was read before them is made final first.
func (l *life) lost(w *worker, gap *sink.Stopped) {
	if l.runner.ranges == nil {
		w.halt(gap)
		return
	}
	w.log.Error("reading the partition", zap.Error(gap))
	w.gap.Store(gap)
}

// unlessRanges is one advice for a Writer and another for ranges, whose offsets
// cannot be reset.
func (l *life) unlessRanges(writer, ranges string) string {
	if l.runner.ranges != nil {
		return ranges
	}
	return writer
}

// refusals are the answers of a partition's broker, one after the other, that it
// cannot be read now.
type refusals struct {
	n    int
	last time.Time
}

const (
	refusedFirst = 200 * time.Millisecond // pauses between them, which double
	refusedMost  = 4 * time.Second
	refusedTill  = 10 * time.Second // without one they are over
	refusedOften = 5                // is more than what passes by itself
)

// refused lets a partition rest, if it is read here. The client would ask again at
// once, and the broker answers without a wait. Of what is asked of no partition the
// client itself asks again after a while, and topics that are missing are said: only
// what concerns the group is new.
func (l *life) refused(part partition, w *worker, err error) {
	var session *kgo.ErrGroupSession
	switch {
	case w == nil && errors.As(err, &session):
		l.complain(fmt.Errorf("reading as a member of group %s: %w", l.runner.config.Group, err))
	case w == nil && kerr.IsRetriable(err):
	case w == nil:
		l.complain(fmt.Errorf("fetching %s: %w", part.topic, err))
	case l.rest(part, w) > refusedOften || !kerr.IsRetriable(err):
		l.complain(fmt.Errorf("fetching %s-%d: %w", part.topic, part.number, err))
	}
}

func (l *life) complain(err error) {
	l.runner.problem.set(err, "")
	l.runner.log.Warn("fetching", zap.Error(err))
}

// rest lets a partition rest that was refused, and returns how often it was.
func (l *life) rest(part partition, w *worker) int {
	now, before := l.runner.now(), l.refusals[part]
	if now.Sub(before.last) > refusedTill {
		before.n = 0
	}
	l.refusals[part] = refusals{before.n + 1, now}
	w.inbox.rest(backoff{refusedFirst, refusedMost, l.runner.backoff.random}.pause(before.n))
	return before.n + 1
}

// observe looks at the ends of the partitions, for the lag, and at the ids of
// the topics: one that was deleted and created again has other offsets.
func (l *life) observe(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.ahead.turn()
		if err := l.look(ctx); err != nil && ctx.Err() == nil {
			l.runner.problem.set(fmt.Errorf("asking Kafka at %v: %w", l.runner.config.Source.Bootstrap, err), "")
		}
	}
}

// look is one look.
func (l *life) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	workers := l.all()
	topics := slices.Clone(l.runner.config.Topics)
	for _, w := range workers {
		topics = append(topics, w.lease.Topic())
	}
	slices.Sort(topics)
	if topics = slices.Compact(topics); len(topics) == 0 {
		return l.client.Ping(ctx)
	}
	adm := kadm.NewClient(l.client)
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return err
	}
	l.miss(details)
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if end, ok := ends.Lookup(w.lease.Topic(), w.lease.Partition()); ok && end.Err == nil {
			w.seen(end.Offset)
		}
		d, ok := details[w.lease.Topic()]
		if ok && d.Err == nil && d.ID != (kadm.TopicID{}) && [16]byte(d.ID) != w.lease.TopicID() && l.worker(w.lease.Topic(), w.lease.Partition()) == w {
			return l.gate.fail(fmt.Errorf("%w: %s", errRecreated, w.lease.Topic()))
		}
		if ok && d.Err == nil && l.runner.writer != nil {
			w.decoder.counts(len(d.Partitions))
		}
	}
	return nil
}

// miss notes which of the topics that are listed do not exist, and says so when
// they come to be others.
func (l *life) miss(details kadm.TopicDetails) {
	var missing []string
	for _, topic := range l.runner.config.Topics {
		if d, ok := details[topic]; !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			missing = append(missing, topic)
		}
	}
	l.mu.Lock()
	news := !slices.Equal(missing, l.missing)
	l.missing = missing
	l.mu.Unlock()
	if news && len(missing) > 0 {
		l.runner.log.Warn("topics do not exist: each is read once it does", zap.Strings("topics", missing))
	}
}

// awaited says which topics are waited for, "" for none.
func (l *life) awaited() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.missing, ", ")
}

// drain lets the workers finish the batches at hand and commit them.
func (l *life) drain() {
	workers := l.all()
	for _, w := range workers {
		w.drain()
	}
	late := time.NewTimer(drainWithin)
	defer late.Stop()
	for _, w := range workers {
		select {
		case <-w.done:
		case <-l.gate.dead:
			return
		case <-late.C:
			l.runner.log.Warn("the target did not take a batch in time; it is not committed and will be written again",
				zap.String("topic", w.lease.Topic()), zap.Int32("partition", w.lease.Partition()))
			return
		}
	}
}

// close leaves the group, which ends all leases, and closes the client.
func (l *life) close() {
	l.mu.Lock()
	l.ends = endWithin
	l.mu.Unlock()
	if l.gate.err() != nil { // nothing may be committed any more
		for _, w := range l.all() {
			w.lose()
			w.cancel(errLost)
		}
	}
	// Closing leaves the group by itself; leaving by hand before leaks a
	// goroutine of the client's. The end of its context bounds the leaving.
	late := time.AfterFunc(leaveWithin, l.kill)
	defer late.Stop()
	defer l.kill()
	l.client.CloseAllowingRebalance()
}
