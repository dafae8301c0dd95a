package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/sink"
)

// writerFlow runs a sink.Writer: write, then commit what is durable. Committing
// late is safe, since a record that is written twice does no harm; so commits
// are held back a little, and one covers several batches.
//
// Of a sink.Volatile it commits, too, what its session remembers of the target.
// When that is no longer there, the offset that was reached a while ago (trail)
// is committed first, with what the target is now, and then reading goes back to
// it: whoever goes on after a crash in between begins there.
type writerFlow struct {
	w        *worker
	writer   sink.Writer
	volatile sink.Volatile // nil: the target keeps what it acknowledges
	session  sink.Session  // with volatile
	mark     mark

	durable   int64 // one past the last offset that needs no further work
	epoch     int32 // of the record before
	committed int64
	last      time.Time // of the last commit
}

func newWriterFlow(w *worker, writer sink.Writer) *writerFlow {
	f := &writerFlow{w: w, writer: writer}
	if v, ok := writer.(sink.Volatile); ok && v.Reach() > 0 {
		f.volatile = v
	}
	return f
}

// open judges the committed offset. A partition without one begins where
// auto.offset.reset points, and commits that at once: it says when reading
// began, and that nothing before it was ever read.
func (f *writerFlow) open(ctx context.Context) error {
	l := f.w.lease
	if err := f.count(ctx); err != nil {
		return err
	}
	if moves(f.w.chain) {
		f.w.runner.horizon.warn(ctx, l)
	}
	had := l.Committed()
	f.mark.topicID = l.TopicID()
	f.durable, f.epoch, f.committed = l.Start(), had.LeaderEpoch, had.Offset
	if had.Offset < 0 {
		if l.Start() < 0 {
			return &sink.Stopped{Reason: errors.New("the group has no offset, and auto.offset.reset is none"), Advice: "set an offset with weirctl reset, or auto.offset.reset=earliest"}
		}
		f.mark.since, f.epoch = f.w.runner.now(), -1
		if _, err := f.resume(ctx); err != nil {
			return err
		}
		return f.commit(ctx)
	}
	m, ours, err := parseMark(had.Metadata)
	if err != nil {
		return &sink.Stopped{Reason: err, Advice: "use another group.id, or the binary that the group belongs to"}
	}
	if ours && m.topicID != f.mark.topicID {
		return &sink.Stopped{
			Reason: fmt.Errorf("topic %s was deleted and created again: the committed offset %d is of the old one", l.Topic(), had.Offset),
			Advice: f.createdAnew(),
		}
	}
	f.mark = m
	f.mark.topicID = l.TopicID()
	if err := f.w.runner.horizon.check(ctx, l, m.since, moves(f.w.chain)); err != nil {
		return err
	}
	f.durable = had.Offset // lower than where reading began, if an attempt before this one went back
	lost, err := f.resume(ctx)
	if err == nil && lost != nil {
		err = f.goBack(ctx, lost)
	}
	if err == nil && f.durable != l.Start() {
		err = f.w.readFrom(ctx, f.durable)
	}
	return err
}

// count learns how many partitions the topic has now, where versions may be
// offsets: every assignment asks, since that of a new partition follows on it.
func (f *writerFlow) count(ctx context.Context) error {
	if source := f.w.runner.config.Versions; source != VersionAuto && source != VersionOffset {
		return nil
	}
	l := f.w.lease
	topics, err := kadm.NewClient(l.Client()).ListTopics(ctx, l.Topic())
	if err == nil {
		err = topics[l.Topic()].Err
	}
	if err != nil {
		return fmt.Errorf("counting the partitions of %s: %w", l.Topic(), err)
	}
	f.w.decoder.counts(max(len(topics[l.Topic()].Partitions), int(l.Partition())+1))
	return nil
}

// createdAnew says what to do about a topic that was created again. Offsets of the
// new one are lower than the versions that the target holds.
func (f *writerFlow) createdAnew() string {
	const rebuild, read = "rebuild the target (weirctl rebuild)", "read the new topic from its beginning (weirctl reset --to earliest)"
	switch f.w.runner.config.Versions {
	case VersionOffset:
		return rebuild
	case VersionAuto:
		return rebuild + ", or, if its records have the header weir.version, " + read
	}
	return rebuild + ", or " + read
}

// take writes the batch and deals with what the target will never take.
func (f *writerFlow) take(ctx context.Context, b *batch) error {
	if len(b.records) > 0 {
		err := f.w.retry(ctx, "writing", func(ctx context.Context) error { return f.write(ctx, b.records) })
		var rejected *sink.Rejected
		if errors.As(err, &rejected) {
			err = f.reject(ctx, b, rejected)
		}
		if err != nil {
			return f.ifLost(ctx, err)
		}
	}
	failpoint.Pass(failpoint.WriterWritten)
	f.durable, f.epoch = b.end, b.epoch
	if ctx.Err() != nil { // the write was let go on for a moment; stop commits it, if that may still be
		return context.Cause(ctx)
	}
	if f.w.runner.now().Sub(f.last) < f.w.runner.config.CommitEvery {
		return nil
	}
	return f.commit(ctx)
}

// write is one attempt.
func (f *writerFlow) write(ctx context.Context, records []*cdc.Record) error {
	ctx = sink.WithLease(ctx, f.w.lease.Left)
	began := time.Now()
	write := f.writer.Write
	if f.session != nil {
		write = f.session.Write
	}
	err := write(ctx, records)
	f.w.runner.metrics.latency.WithLabelValues(f.w.lease.Topic()).Observe(time.Since(began).Seconds())
	return err
}

// reject sets aside what the target refused; everything else of the batch is
// durable.
func (f *writerFlow) reject(ctx context.Context, b *batch, rejected *sink.Rejected) error {
	failures := make([]failure, len(rejected.Items))
	for i, item := range rejected.Items {
		failures[i] = failure{raw: b.raw(b.records[item.Index].Offset), stage: stagePut, err: item.Reason}
	}
	if f.w.runner.config.Tolerate {
		return f.w.deadLetter(ctx, failures)
	}
	for i := range failures {
		if f.durable = failures[i].raw.Offset; i > 0 && failures[i].raw == failures[i-1].raw {
			continue // one record may have become several
		}
		f.epoch = -1
		if err := f.commit(ctx); err != nil {
			return err
		}
		if err := f.w.setAside(ctx, failures[i]); err != nil {
			return err
		}
	}
	return nil
}

// idle commits what waits for it, and what the target is now if that was long
// ago: then the trail of a partition without news ends where it stands.
func (f *writerFlow) idle(ctx context.Context) error {
	if f.session == nil {
		return f.commit(ctx)
	}
	var lost *sink.Lost
	var stopped *sink.Stopped
	err := f.session.Check(ctx)
	if errors.As(err, &lost) || errors.As(err, &stopped) {
		return f.ifLost(ctx, err)
	}
	if err == nil && f.mark.trail.due(f.w.runner.now(), f.volatile.Reach()) {
		return f.commitAnew(ctx)
	}
	return f.commit(ctx)
}

// stop commits what is durable, if there is time left for it.
func (f *writerFlow) stop(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if err := f.commit(ctx); err != nil && !errors.Is(err, ErrClosed) {
		f.w.log.Warn("committing before the partition is given up", zap.Error(err))
	}
}

// commit commits up to what is durable.
func (f *writerFlow) commit(ctx context.Context) error {
	if f.durable == f.committed {
		return nil
	}
	return f.commitAnew(ctx)
}

// commitAnew commits what is durable, also where only the mark is another one.
func (f *writerFlow) commitAnew(ctx context.Context) error {
	if f.session != nil {
		var sound time.Time
		f.mark.memory, sound = f.session.Memory()
		f.mark.trail = f.mark.trail.pass(f.w.runner.now(), f.durable, sound, f.volatile.Reach())
	}
	if err := f.w.lease.Commit(ctx, f.durable, f.epoch, f.mark.String()); err != nil {
		return err
	}
	f.committed, f.last = f.durable, f.w.runner.now()
	f.w.runner.metrics.commits.WithLabelValues(f.w.lease.Topic()).Inc()
	return nil
}
