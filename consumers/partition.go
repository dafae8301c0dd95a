package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// flow is what differs between the two shapes of sink, at one partition under
// one lease. Its methods are called by the worker's goroutine alone. A
// *sink.Stopped error fails the partition until a person acts; errRewound means
// that reading goes on from before; any other error ends the worker: it is one of
// a commit, or of the context.
type flow interface {
	// open judges what the group has committed, before the first batch. It is
	// called again, after a pause, when it returns an error that may pass.
	open(ctx context.Context) error
	// take works on the next batch, which follows on the one before. It may keep
	// nothing of the batch.
	take(ctx context.Context, b *batch) error
	// idle is called when there was nothing to take for a while (idleAfter), and
	// before the worker waits for a person.
	idle(ctx context.Context) error
	// stop ends the work, and lets go of what it holds. ctx is the time that is left
	// for commits of what is durable; it is over already where the lease was lost.
	// The lease closes after stop has returned; of a partition that failed it may
	// live on for long.
	stop(ctx context.Context)
}

const (
	// idleAfter is how long a worker waits for records before it calls flow.idle.
	idleAfter = 200 * time.Millisecond
	// commitWithin is the time that a flow has for its last commits.
	commitWithin = 3 * time.Second
)

var (
	errIdle    = errors.New("nothing to take")
	errDrained = errors.New("drained")
	errLost    = errors.New("the partition was lost")
	errRevoked = errors.New("the partition was revoked")
	// errRewound is what a flow returns that has gone back: the batch at hand is
	// dropped, and comes again.
	errRewound = errors.New("the partition is read again from before")
)

// worker works on one partition for the life of a lease.
type worker struct {
	runner  *Runner
	life    *life
	lease   *Lease
	flow    flow
	inbox   *inbox
	decoder *decoder
	chain   Chain
	log     *zap.Logger
	batch   batch                        // the one at hand
	past    batch                        // an empty one, that moves past a record
	expect  int64                        // offsets below have been taken
	gap     atomic.Pointer[sink.Stopped] // what is behind those that were fetched is gone

	ctx      context.Context         // of the lease
	cancel   context.CancelCauseFunc // ends it
	working  context.Context         // of the work, which may end before
	halt     context.CancelCauseFunc // ends it with the *sink.Stopped to fail with
	draining chan struct{}           // closed: finish the batch at hand, take no other
	drain    func()
	done     chan struct{}
	skips    chan skip

	progress
}

// newWorker makes the worker of a lease; it does not run yet.
func newWorker(r *Runner, l *Lease, a *ahead) *worker {
	w := &worker{
		runner: r, lease: l, skips: make(chan skip), draining: make(chan struct{}), done: make(chan struct{}),
		log: r.log.With(zap.String("topic", l.Topic()), zap.Int32("partition", l.Partition())),
	}
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	w.working, w.halt = context.WithCancelCause(w.ctx)
	w.drain = sync.OnceFunc(func() { close(w.draining) })
	topic := map[string][]int32{l.Topic(): {l.Partition()}}
	w.inbox = a.newInbox(
		func() { l.Client().PauseFetchPartitions(topic) }, func() { l.Client().ResumeFetchPartitions(topic) })
	w.decoder = newDecoder(&r.config, r.schemas, r.domains)
	w.decoder.topicID = l.TopicID()
	w.progress.begin(l.Start())
	return w
}

// run works until the lease ends, the worker is drained, or a person has to act.
func (w *worker) run() {
	defer close(w.done)
	defer w.cancel(nil)
	defer w.inbox.close()
	defer w.closeChain()
	err := w.work(w.working)
	if w.ctx.Err() == nil && w.working.Err() != nil {
		err = context.Cause(w.working)
	}
	var stopped *sink.Stopped
	switch {
	case errors.Is(err, errDrained) || w.ctx.Err() != nil || errors.Is(err, ErrClosed):
	case errors.As(err, &stopped):
		w.log.Error("the partition stops", zap.Error(stopped))
		w.fail(stopped)
		w.finish() // it may be long until a person acts: others need the memory
		select {
		case <-w.ctx.Done():
		case <-w.draining:
		}
		return
	default: // of a commit: the client is burnt and will be replaced
		w.log.Warn("working on the partition", zap.Error(err))
	}
	w.finish()
}

func (w *worker) closeChain() {
	if err := closeChain(w.chain); err != nil {
		w.log.Warn("closing the transforms", zap.Error(err))
	}
}

// finish lets the flow commit what is durable.
func (w *worker) finish() {
	if w.flow == nil {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), commitWithin)
	defer cancel()
	if w.wasLost() || w.lease.gate.err() != nil {
		cancel()
	}
	w.flow.stop(last)
}

// work is the life of the partition: open, then batch after batch.
func (w *worker) work(ctx context.Context) error {
	var err error
	env := transform.Env{Log: w.log, Metrics: w.runner.registry, Waits: w.waitsFor}
	if w.chain, err = w.runner.newChain(env); err != nil {
		return &sink.Stopped{Reason: err}
	}
	w.flow = w.runner.newFlow(w)
	if err := w.retry(ctx, "opening the partition", w.flow.open); err != nil {
		return err
	}
	for {
		if err := w.step(ctx); err != nil && !errors.Is(err, errRewound) {
			return err
		}
	}
}

// step takes one batch, if there is one.
func (w *worker) step(ctx context.Context) error {
	if err := w.unpaused(ctx); err != nil {
		return err
	}
	err := w.collect(ctx)
	if errors.Is(err, errIdle) {
		if gap := w.gap.Load(); gap != nil {
			return w.atGap(ctx, gap)
		}
		return w.flow.idle(ctx)
	} else if err != nil {
		return err
	}
	return w.handle(ctx)
}

// lossy is a flow that may go on behind records that were removed before they
// were read. All before them were taken when it is asked to.
type lossy interface {
	atGap(ctx context.Context, gap *sink.Stopped) error
}

func (w *worker) atGap(ctx context.Context, gap *sink.Stopped) error {
	if f, ok := w.flow.(lossy); ok {
		return f.atGap(ctx, gap)
	}
	return gap
}

// collect waits for records and makes them the batch at hand: up to the limits,
// or what there is when the first has waited long enough.
func (w *worker) collect(ctx context.Context) error {
	b, limits := &w.batch, w.runner.limits
	if f, ok := w.chain.(forgetter); b.trim(w.inbox.most()) && ok {
		f.Forget()
	}
	b.reset()
	w.inbox.done()
	var began time.Time
	for {
		select {
		case <-w.draining:
			return errDrained
		default:
		}
		full := b.fill(w.inbox, limits)
		wait := idleAfter
		if len(b.raws) > 0 {
			if began.IsZero() {
				began = time.Now()
				w.holds(b.raws[0])
			}
			wait = limits.Linger - time.Since(began)
		}
		if full || wait <= 0 {
			return nil
		}
		if err := w.await(ctx, wait); errors.Is(err, errIdle) && len(b.raws) > 0 {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// await waits for news in the inbox; errIdle: there was none in time.
func (w *worker) await(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-w.inbox.wake:
		return nil
	case <-t.C:
		return errIdle
	case <-w.draining:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// handle decodes the batch at hand, sets aside what cannot be decoded or
// transformed, and gives the rest to the flow.
func (w *worker) handle(ctx context.Context) error {
	b := &w.batch
	if first := b.raws[0].Offset; first < w.expect {
		return w.lease.gate.fail(fmt.Errorf("reading %s-%d went back from %d to %d", w.lease.Topic(), w.lease.Partition(), w.expect, first))
	}
	if err := w.prepare(ctx, b); err != nil {
		if handled, err := w.blocked(ctx, b.raws[0], err); handled || err != nil {
			return err
		}
		if final(err) { // a person has to act; what came before is committed
			return errors.Join(err, w.flow.idle(ctx))
		}
		return err
	}
	if len(b.failures) > 0 {
		if w.runner.config.Tolerate {
			if err := w.deadLetter(ctx, b.failures); err != nil {
				return err
			}
		} else {
			w.inbox.back(b.cutAtFailure())
		}
	}
	if err := w.flow.take(ctx, b); err != nil {
		return err
	}
	w.took(b)
	w.expect = b.end
	if b.stuck != nil {
		if err := w.passStuck(ctx, b.stuck); err != nil {
			return err
		}
	}
	return nil
}

// blocked deals with a batch that cannot begin, since its first record names a
// schema that has not arrived or has a version of another domain: it waits until
// that has changed or a person has the record skipped, and has the batch handled
// again. It reports whether err was of that kind.
func (w *worker) blocked(ctx context.Context, first *kgo.Record, err error) (handled bool, _ error) {
	var missing *missingSchema
	var foreign *foreignDomain
	switch {
	case errors.As(err, &missing):
		err = w.awaitSchema(ctx, first, missing)
	case errors.As(err, &foreign):
		err = w.awaitSkip(ctx, first, foreign)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, w.handle(ctx)
}

// settleAfter is how long a schema may be on its way before what came in front of
// its record is not held back for it. It comes in the same transaction of the
// capture, and a range of a lake that ended at every new one would be many files.
const settleAfter = 3 * time.Second

// awaitSchema waits until the schema that the record names has arrived, or a
// person has the record skipped. What came before it becomes durable meanwhile.
func (w *worker) awaitSchema(ctx context.Context, raw *kgo.Record, missing *missingSchema) error {
	defer w.waitsFor("")
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	arrived := make(chan error, 1)
	go func() { arrived <- w.decoder.await(waiting, missing) }()
	idle := time.NewTicker(idleAfter)
	defer idle.Stop()
	for began, settled := time.Now(), w.runner.ranges == nil; ; { // what a Writer took is durable
		wait := w.flow.idle
		if !settled && time.Since(began) >= settleAfter {
			settled = true
			wait = func(ctx context.Context) error { return w.settle(ctx, raw.Offset) }
		}
		if err := wait(ctx); err != nil {
			return err
		}
		w.waitsAt(raw, missing) // what the flow waited for is over
		select {
		case err := <-arrived:
			return err
		case <-idle.C:
		case s := <-w.skips:
			if w.takeSkip(s, raw.Offset) {
				w.decoder.skipped = raw.Offset
				return nil
			}
		case <-w.draining:
			return errDrained
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settle makes durable what came before an offset.
func (w *worker) settle(ctx context.Context, offset int64) error {
	w.past.reset()
	w.past.skipped, w.past.end, w.past.epoch = 0, offset, -1
	return w.flow.take(ctx, &w.past)
}

// awaitSkip fails the partition at a record whose version is of another domain,
// until a person has it skipped.
func (w *worker) awaitSkip(ctx context.Context, raw *kgo.Record, foreign *foreignDomain) error {
	f := failure{raw: raw, stage: stageValue, err: foreign, advice: "rebuild the target (weirctl rebuild), or set version.source=record-time"}
	w.past.reset() // what came before becomes durable
	w.past.end, w.past.epoch, w.past.stuck = raw.Offset, -1, &f
	if err := w.flow.take(ctx, &w.past); err != nil {
		return err
	}
	if err := w.flow.idle(ctx); err != nil {
		return err
	}
	if err := w.untilSkipped(ctx, &f); err != nil {
		return err
	}
	w.decoder.skipped = raw.Offset
	return nil
}

// passStuck waits until a person has the record skipped that ended the batch.
func (w *worker) passStuck(ctx context.Context, f *failure) error {
	if err := w.flow.idle(ctx); err != nil {
		return err
	}
	if err := w.setAside(ctx, *f); err != nil {
		return err
	}
	w.past.reset()
	w.past.skipped = 1
	w.past.end, w.past.epoch = f.raw.Offset+1, f.raw.LeaderEpoch
	if err := w.flow.take(ctx, &w.past); err != nil {
		return err
	}
	w.took(&w.past)
	return nil
}

// prepare decodes and transforms the batch. When that fails for a reason that
// may pass, it is done again from the Kafka records, as long as
// errors.retry.timeout says; then all its records count as rejected.
func (w *worker) prepare(ctx context.Context, b *batch) error {
	err := w.retryFor(ctx, w.runner.config.RetryTimeout, "transforming records", func(ctx context.Context) error {
		if err := w.decode(b); err != nil {
			return err
		}
		return w.transform(ctx, b)
	})
	if err == nil || final(err) || ctx.Err() != nil || w.lease.gate.err() != nil {
		return err
	}
	for _, r := range b.decoded {
		b.failures = append(b.failures, failure{raw: b.raw(r.Offset), stage: stageTransform, err: err})
	}
	b.records = nil
	b.sortFailures()
	return nil
}

// decode reads the records of the batch. One that the partition waits or stops at
// ends the batch before it.
func (w *worker) decode(b *batch) error {
	b.failures, b.decoded, b.records = b.failures[:0], b.decoded[:0], nil
	b.cover()
	n := 0
	for i, raw := range b.raws {
		if raw.Attrs.IsControl() {
			continue
		}
		s := b.slot(n)
		n++
		if err := w.decoder.decode(raw, s); err == nil {
			b.decoded = append(b.decoded, &s.record)
		} else if ended, err := w.undecoded(b, i, err); ended {
			return err
		}
	}
	return nil
}

// undecoded deals with the record at i of the batch, which cannot be decoded. It
// reports whether the batch ends there, and the error if it cannot be taken.
func (w *worker) undecoded(b *batch, i int, err error) (ended bool, _ error) {
	var failed *failedAt
	if errors.As(err, &failed) {
		b.failures = append(b.failures, failure{raw: b.raws[i], stage: failed.stage, err: failed.err, skipped: failed.skipped})
		return false, nil
	}
	if i == 0 {
		return true, err
	}
	w.inbox.back(b.raws[i:])
	b.raws = b.raws[:i]
	b.cover()
	return true, nil
}

// transform runs the chain over what was decoded, and unwraps the envelopes
// that it left.
func (w *worker) transform(ctx context.Context, b *batch) error {
	kept := b.decoded
	if w.chain != nil {
		var err error
		kept, err = w.chain.Apply(ctx, b.decoded)
		var rejected *sink.Rejected
		if err != nil && !errors.As(err, &rejected) {
			return err
		}
		if rejected != nil {
			for _, item := range rejected.Items {
				b.failures = append(b.failures, failure{raw: b.raw(b.decoded[item.Index].Offset), stage: stageTransform, err: item.Reason})
			}
		}
	}
	b.kept = b.kept[:0]
	for _, r := range kept {
		keep, err := enrich.Flatten{}.Apply(r)
		if err != nil {
			b.failures = append(b.failures, failure{raw: b.raw(r.Offset), stage: stageTransform, err: err})
		} else if keep {
			b.kept = append(b.kept, r)
		}
	}
	b.records = b.kept
	b.sortFailures()
	return nil
}

// setAside deals with a record that can never be written: it goes to the dead
// letters, where errors are tolerated at once, else when a person says so.
func (w *worker) setAside(ctx context.Context, f failure) error {
	if !w.runner.config.Tolerate && !f.skipped {
		if err := w.untilSkipped(ctx, &f); err != nil {
			return err
		}
	}
	return w.deadLetter(ctx, []failure{f})
}

// deadLetter returns once the records are acknowledged by the dead letter topic.
func (w *worker) deadLetter(ctx context.Context, failures []failure) error {
	for i := range failures {
		w.countRejected(&failures[i])
	}
	return w.retry(ctx, "writing dead letters", func(ctx context.Context) error {
		return w.runner.letters.send(ctx, failures)
	})
}

// skip is a person's word that a partition may move past a record.
type skip struct {
	offset int64
	answer chan error // has room for one
}

// untilSkipped fails the partition until a person skips the record.
func (w *worker) untilSkipped(ctx context.Context, f *failure) error {
	w.fail(&stuckError{f})
	w.log.Error("a record can never be written; its partition stops",
		zap.Int64("offset", f.raw.Offset), zap.String("key", shown(f.raw.Key)), zap.String("stage", string(f.stage)), zap.String("error", f.reason()))
	for {
		select {
		case s := <-w.skips:
			if w.takeSkip(s, f.raw.Offset) {
				return nil
			}
		case <-w.draining:
			return errDrained
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takeSkip answers a person's word, and reports whether it is of the record at
// offset, which the partition is stuck at.
func (w *worker) takeSkip(s skip, offset int64) bool {
	if s.offset != offset {
		s.answer <- fmt.Errorf("the partition is stuck at offset %d, not at %d", offset, s.offset)
		return false
	}
	w.recover()
	s.answer <- nil
	return true
}

// stuckError is why a partition fails at a record.
type stuckError struct{ failure *failure }

func (s *stuckError) Error() string { return s.failure.String() }

// unpaused waits while the partition is paused.
func (w *worker) unpaused(ctx context.Context) error {
	for {
		paused := w.pausedUntil()
		if paused == nil {
			return nil
		}
		if err := w.flow.idle(ctx); err != nil {
			return err
		}
		select {
		case <-paused:
		case <-w.draining:
			return errDrained
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fill takes records from the inbox up to the limits and reports whether one is
// reached.
func (b *batch) fill(in *inbox, limits Limits) (full bool) {
	most := in.most()
	b.raws = in.take(b.raws, func(r *kgo.Record) bool {
		size, held := int64(len(r.Key)+len(r.Value)), sizeOf(r)+decodedOverhead
		n := len(b.raws) + b.taken
		if full = n >= limits.Records || (n > 0 && (b.bytes+size > int64(limits.Bytes) || b.held+held > most)); full {
			return false
		}
		b.bytes += size
		b.held += held
		b.taken++
		return true
	})
	b.taken = 0
	return full || len(b.raws) >= limits.Records || b.bytes >= int64(limits.Bytes)
}

// advice is what to do about a partition that failed.
func advice(err error, l *Lease) (text, do string, at *admin.Record) {
	var stopped *sink.Stopped
	var stuck *stuckError
	switch {
	case errors.As(err, &stuck):
		do = stuck.failure.advice
		if do == "" {
			do = "mend the cause and restart"
		}
		do, at = orSkip(do, stuck.failure.raw)
		return err.Error(), do, at
	case errors.As(err, &stopped):
		return fmt.Sprintf("%s-%d: %v", l.Topic(), l.Partition(), stopped.Reason), stopped.Advice, nil
	}
	return err.Error(), "", nil
}

// orSkip adds how to move past the record.
func orSkip(do string, raw *kgo.Record) (string, *admin.Record) {
	return fmt.Sprintf("%s, or move the record to the dead letters: weirctl skip %s %d %d", do, raw.Topic, raw.Partition, raw.Offset),
		&admin.Record{Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset}
}
