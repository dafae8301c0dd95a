package consumers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/sink"
)

// RangeProperties are what the runtime of a RangeWriter knows beside Properties.
var RangeProperties = config.Table{
	Name: "Ranges",
	Doc:  "What concerns sinks that turn ranges of offsets into files.",
	Properties: []config.Property{
		{Name: "lost.records", Default: "fail", Values: []string{"fail", "continue"},
			Doc: "What to do when records were removed from Kafka before they were read: stop, or go on behind them. Either way the gap is logged."},
	},
}

// RangeConfig is how the runtime runs a RangeWriter. NewRangeConfig makes it.
type RangeConfig struct {
	// Transforms is a fingerprint of the chain: what it routes and drops decides
	// which files a range becomes, so it is part of the layout.
	Transforms string
	// Continue goes on behind records that were removed before they were read.
	Continue bool
}

// NewRangeConfig reads it from v, which must have been parsed with
// RangeProperties and transform.Properties.
func NewRangeConfig(v *config.Values) RangeConfig {
	text := sha256.New()
	for _, prefix := range []string{"transforms", "predicates"} {
		fmt.Fprintf(text, "%q\n", v.List(prefix))
		properties := v.Under(prefix + ".")
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			fmt.Fprintf(text, "%q=%q\n", name, properties[name])
		}
	}
	return RangeConfig{Transforms: hex.EncodeToString(text.Sum(nil)[:8]), Continue: v.String("lost.records") == "continue"}
}

// layout is the fingerprint that an intent states: the writer's and the chain's.
func (c *RangeConfig) layout(writer sink.RangeWriter) string {
	sum := sha256.Sum256([]byte(writer.Layout() + "\n" + c.Transforms))
	return hex.EncodeToString(sum[:8])
}

// start is where fetching begins: at the committed offset, or where the log
// begins if that is later and what is between need not be fetched.
func (c *RangeConfig) start(ctx context.Context, l *Lease) (int64, error) {
	committed := l.Committed()
	m, err := parseRangeMark(committed.Metadata, committed.Offset)
	if err != nil || m.pending == 0 && !c.Continue {
		return committed.Offset, nil // the flow judges it
	}
	at, err := logStart(ctx, l)
	return max(at, committed.Offset), err
}

// rangeFlow runs a sink.RangeWriter exactly once, by intent. What the group has
// committed for a partition is an offset a and a mark. Idle, every record below
// a is in a file that is final, and no file has a record from a on. To go on, it
//
//  1. collects records behind a into a range [a,b),
//  2. commits a once more, with b in the mark: the intent,
//  3. makes the files of [a,b) visible,
//  4. commits b, idle.
//
// Whoever finds an intent renders exactly [a,b) again and goes on at 3. Files
// are named by a and made of the records alone, so that this overwrites nothing
// but the same. The gate sees to it that no late commit takes the group back.
type rangeFlow struct {
	w      *worker
	writer sink.RangeWriter
	layout string
	part   sink.Partition
	goOn   bool // behind lost records

	mark      rangeMark
	base      int64 // the committed offset, a
	baseEpoch int32
	next      int64 // one past the last offset taken: how far fetching has come
	nextEpoch int32
	current   sink.Range // nil: none is open
	letters   []failure  // to be written before a commit moves past them
	committed time.Time
	opened    time.Time     // when the range at hand began
	eldest    int64         // the time, in ms, of its first record
	kept      time.Duration // see horizon.kept
	probed    time.Time
	intend    func(ctx context.Context, end int64) error
}

func newRangeFlow(w *worker, writer sink.RangeWriter, c *RangeConfig) *rangeFlow {
	l := w.lease
	f := &rangeFlow{w: w, writer: writer, layout: c.layout(writer), goOn: c.Continue,
		part: sink.Partition{Topic: l.Topic(), TopicID: l.TopicID(), Number: l.Partition()}}
	f.intend = f.commitIntent
	return f
}

// open judges what the group has committed, and begins to render a pending
// range again.
func (f *rangeFlow) open(ctx context.Context) error {
	f.discard() // of an attempt before
	l := f.w.lease
	var err error
	if f.kept, err = f.w.runner.horizon.kept(ctx, l); err != nil {
		return err
	}
	had := l.Committed()
	f.base, f.baseEpoch, f.next, f.nextEpoch = had.Offset, had.LeaderEpoch, l.Start(), -1
	if had.Offset < 0 {
		return f.first(ctx)
	}
	f.next = max(f.next, had.Offset)
	m, err := parseRangeMark(had.Metadata, had.Offset)
	switch {
	case err != nil:
		return &sink.Stopped{Reason: err, Advice: adviceNewLake}
	case m.topicID != l.TopicID():
		return &sink.Stopped{
			Reason: fmt.Errorf("topic %s was deleted and created again: the committed offset %d is of the old one", l.Topic(), had.Offset),
			Advice: "take a new group.id, which begins with the new topic; the files of both can lie side by side",
		}
	case m.pending > 0 && m.layout != f.layout:
		return &sink.Stopped{
			Reason: fmt.Errorf("offsets %d to %d were being written under layout %s, and this configuration's is %s", had.Offset, m.pending-1, m.layout, f.layout),
			Advice: "start once with the version of Weir, the properties and the transforms of before, so that the range is finished, and change them then",
		}
	}
	f.mark = m
	if m.pending > 0 {
		if err := f.again(ctx); err != nil {
			return err
		}
	}
	return f.checkLoss(ctx)
}

// adviceNewLake is for offsets that prove nothing about the files.
const adviceNewLake = "set the offset and metadata that were there before, if they are known; else begin anew with another group.id and another topics.dir or bucket: continuing could write records twice or leave some out"

// adviceLarge is for a batch that cannot be read, which a new lake would meet, too.
const adviceLarge = "remove the records of the partition below offset %d from Kafka (kafka-delete-records) and go on behind them with lost.records=continue: those from the committed offset on are in no file then"

// adviceGap is for records, or deletes, that are no longer in the log.
const adviceGap = "accept the gap with lost.records=continue (for removed records) or tombstone.horizon.ms=0 (for deletes that may be gone); else begin anew with another group.id and another topics.dir or bucket"

// first starts a partition that the group has no offset of. That is allowed
// only where there is no file of it, for else the offset was lost: it expired,
// or somebody deleted the group.
func (f *rangeFlow) first(ctx context.Context) error {
	l := f.w.lease
	if l.Start() < 0 {
		return &sink.Stopped{Reason: errors.New("the group has no offset, and auto.offset.reset is none"), Advice: "set auto.offset.reset=earliest"}
	}
	empty, err := f.writer.Empty(ctx, f.part)
	if err != nil {
		return fmt.Errorf("looking for files of %s-%d: %w", f.part.Topic, f.part.Number, err)
	}
	if !empty {
		return &sink.Stopped{
			Reason: fmt.Errorf("group %s has no offset of %s-%d, but the target has files of it", f.w.runner.config.Group, f.part.Topic, f.part.Number),
			Advice: adviceNewLake,
		}
	}
	failpoint.Pass(failpoint.RangeFirst)
	f.mark = rangeMark{topicID: l.TopicID(), since: f.w.runner.now()}
	return f.commit(ctx, l.Start(), -1, 0)
}

// again begins to render the pending range once more. Records of it may have
// been removed from the log since: files that were finished have them, but which
// were is not known.
func (f *rangeFlow) again(ctx context.Context) error {
	f.w.log.Info("rendering a range again that was not finished", zap.Int64("from", f.base), zap.Int64("to", f.mark.pending))
	if f.next > f.base && !f.goOn {
		return &sink.Stopped{
			Reason: fmt.Errorf("records from %d on were removed before the range from %d to %d was finished, whose files may be there or not", f.base, f.base, f.mark.pending),
			Advice: "accept the gap with lost.records=continue: files that exist are kept, what was in no file is lost; else begin anew with another group.id and another topics.dir or bucket",
		}
	}
	if f.next > f.base {
		f.w.log.Warn("records of an unfinished range were removed from the log; files that exist are kept, what was in no file is lost",
			zap.Int64("from", f.base), zap.Int64("log_begins", f.next), zap.Int64("to", f.mark.pending))
	}
	if f.next >= f.mark.pending {
		return f.commit(ctx, f.mark.pending, -1, 0)
	}
	return f.begin(f.mark.instant, true)
}

// checkLoss stops where records were removed before they were read, or deletes
// may have been.
func (f *rangeFlow) checkLoss(ctx context.Context) error {
	if f.mark.pending > 0 {
		return nil
	}
	if f.next > f.base && f.goOn { // fetching began behind the gap: see RangeConfig.start
		f.w.log.Error("records were removed before they were read; going on behind them, as lost.records says",
			zap.Int64("from", f.base), zap.Int64("to", f.next))
		return f.commit(ctx, f.next, -1, 0)
	}
	err := f.w.runner.horizon.check(ctx, f.w.lease, f.mark.since, false)
	var stopped *sink.Stopped
	if errors.As(err, &stopped) {
		return &sink.Stopped{Reason: stopped.Reason, Advice: adviceGap}
	}
	return err
}

// errBehindGap burns a client; the next one begins to read behind the gap.
var errBehindGap = errors.New("records were removed before they were read; going on behind them, as lost.records says")

// atGap makes final what was read, which Kafka may not have any more either, and
// goes on behind the gap if that is allowed. A log that was cut off is no gap:
// other records may come where it ended.
func (f *rangeFlow) atGap(ctx context.Context, gap *sink.Stopped) error {
	var begins int64
	err := f.w.retry(ctx, "asking where the log begins", func(ctx context.Context) (err error) {
		begins, err = logStart(ctx, f.w.lease)
		return err
	})
	if err != nil {
		return err
	}
	if begins <= f.next || f.mark.pending > 0 && !f.goOn {
		return gap
	}
	end, epoch := f.next, f.nextEpoch
	if f.mark.pending > 0 {
		end, epoch = f.mark.pending, -1
	}
	if f.mark.pending <= begins {
		if err := f.finish(ctx, end, epoch); err != nil {
			return err
		}
	}
	if !f.goOn {
		return gap
	}
	return f.w.lease.gate.fail(errBehindGap)
}

// take works on a batch: up to the end of the pending range, if there is one,
// and then range after range.
func (f *rangeFlow) take(ctx context.Context, b *batch) error {
	err := f.work(ctx, b)
	var stopped *sink.Stopped
	if errors.As(err, &stopped) {
		f.discard()
	}
	return err
}

func (f *rangeFlow) work(ctx context.Context, b *batch) error {
	records := b.records
	if f.mark.pending > 0 {
		var err error
		if records, err = f.takePending(ctx, b); err != nil {
			return err
		}
	}
	for len(records) > 0 && f.mark.pending == 0 {
		n, err := f.fitting(records)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := f.finish(ctx, records[0].Offset, b.epochAt(records[0].Offset)); err != nil {
				return err
			}
			continue
		}
		if err := f.add(ctx, b, records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	f.next, f.nextEpoch = b.end, b.epoch
	if err := f.sendLetters(ctx); err != nil {
		return err
	}
	now := f.w.runner.now()
	due := f.current != nil && f.current.Due(now) || f.old(now) && !awaitsTombstone(b.records)
	if f.mark.pending == 0 && (due || b.stuck != nil || len(b.raws) == 0 || f.lags(now)) {
		return f.finish(ctx, f.next, f.nextEpoch)
	}
	return nil
}

// lags reports whether the offset has stayed long enough behind records that
// need no file: dropped, rejected, or transaction markers. A busy partition may
// have no others, and is never idle.
func (f *rangeFlow) lags(now time.Time) bool {
	return (f.current == nil || !f.current.Files()) && now.Sub(f.committed) >= f.w.runner.config.CommitEvery
}

// takePending gives the pending range its records, finishes it once fetching
// has come to its end, and returns those behind it. Whether the end is reached
// is told by how far fetching came: the last record may no longer exist.
func (f *rangeFlow) takePending(ctx context.Context, b *batch) ([]*cdc.Record, error) {
	end := f.mark.pending
	n := sort.Search(len(b.records), func(i int) bool { return b.records[i].Offset >= end })
	if err := f.add(ctx, b, b.records[:n]); err != nil {
		return nil, err
	}
	if b.end < end {
		return nil, nil
	}
	return b.records[n:], f.finish(ctx, end, b.epochAt(end))
}

// fitting says how many of records belong to the range at hand, which it begins
// if there is none. Records of one offset are not divided.
func (f *rangeFlow) fitting(records []*cdc.Record) (int, error) {
	if f.current == nil {
		if err := f.begin(f.w.runner.now(), false); err != nil {
			return 0, err
		}
	}
	n := f.current.Fit(f.w.runner.now(), records)
	if f.current.Records() == 0 {
		n = max(n, 1)
	}
	for n > 0 && n < len(records) && records[n].Offset == records[n-1].Offset {
		n++
	}
	return n, nil
}

// begin opens the range at the committed offset.
func (f *rangeFlow) begin(instant time.Time, redo bool) error {
	instant = time.UnixMilli(instant.UnixMilli()) // as the intent keeps it
	r, err := f.writer.Open(f.part, f.base, instant, redo)
	if err != nil {
		return &sink.Stopped{Reason: fmt.Errorf("beginning a range at offset %d: %w", f.base, err)}
	}
	f.current, f.mark.instant, f.opened, f.eldest = r, instant, f.w.runner.now(), 0
	return nil
}

// add appends records to the range at hand.
func (f *rangeFlow) add(ctx context.Context, b *batch, records []*cdc.Record) error {
	for from := 0; from < len(records); {
		if f.current == nil { // it was ended before a record that nobody can write
			if _, err := f.fitting(records[from:]); err != nil {
				return err
			}
		}
		f.w.holdsSince(records[from].Timestamp)
		if f.eldest == 0 {
			f.eldest = records[from].Timestamp
		}
		err := f.current.Append(records[from:])
		var rejected *sink.Rejected
		switch {
		case err == nil:
			return f.w.retry(ctx, "sending files ahead", f.attempt(f.current.Advance))
		case !errors.As(err, &rejected) || len(rejected.Items) == 0:
			return &sink.Stopped{Reason: fmt.Errorf("rendering offsets from %d on: %w", f.base, err), Advice: "restart; if it happens again, it is a defect"}
		}
		n := from + rejected.Items[0].Index
		if err := f.refuse(ctx, b, records, n, rejected.Items[0].Reason); err != nil {
			return err
		}
		from = n + 1
	}
	return nil
}

// refuse deals with records[n], which can never be rendered.
func (f *rangeFlow) refuse(ctx context.Context, b *batch, records []*cdc.Record, n int, reason error) error {
	at := records[n].Offset
	letter := failure{raw: b.raw(at), stage: stagePut, err: reason}
	if f.w.runner.config.Tolerate {
		f.letters = append(f.letters, letter)
		return nil
	}
	// What lies before it becomes durable first, unless a pending range includes
	// it or it is one of several records of an offset.
	alone := f.mark.pending == 0 && (n == 0 || records[n-1].Offset != at) && (n+1 == len(records) || records[n+1].Offset != at)
	if alone && at > f.base {
		if err := f.finish(ctx, at, b.epochAt(at)); err != nil {
			return err
		}
	}
	if err := f.w.setAside(ctx, letter); err != nil {
		return err
	}
	if !alone {
		return nil
	}
	return f.finish(ctx, at+1, b.epochAt(at+1))
}

// sendLetters writes the dead letters that wait.
func (f *rangeFlow) sendLetters(ctx context.Context) error {
	if len(f.letters) == 0 {
		return nil
	}
	if err := f.w.deadLetter(ctx, f.letters); err != nil {
		return err
	}
	clear(f.letters)
	f.letters = f.letters[:0]
	return nil
}

// finish ends the range at end and makes it final: intent, files, completion. A
// range without files needs no intent.
func (f *rangeFlow) finish(ctx context.Context, end int64, epoch int32) error {
	if end <= f.base {
		return nil
	}
	if err := f.sendLetters(ctx); err != nil {
		return err
	}
	redone := f.mark.pending > 0
	if f.current != nil && (redone || f.current.Files()) {
		if err := f.intend(ctx, end); err != nil {
			return err
		}
		failpoint.Pass(failpoint.RangeIntended)
		complete := func(ctx context.Context) error { return f.current.Complete(ctx, end) }
		if err := f.w.retry(ctx, "making files visible", f.attempt(complete)); err != nil {
			return err
		}
		failpoint.Pass(failpoint.RangeCompleted)
		f.w.runner.metrics.ranges.WithLabelValues(f.part.Topic, redoneLabel(redone)).Inc()
	}
	if err := f.commit(ctx, end, epoch, 0); err != nil {
		return err
	}
	failpoint.Pass(failpoint.RangeCommitted)
	f.discard()
	return nil
}

func redoneLabel(redone bool) string {
	if redone {
		return "again"
	}
	return "first"
}

// attempt is a call to the range, of which sink.ErrRenderAgain costs the client:
// the next one finds the committed state and reads the records again.
func (f *rangeFlow) attempt(call func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := call(sink.WithWaits(ctx, f.w.waitsFor))
		if errors.Is(err, sink.ErrRenderAgain) {
			return f.w.lease.gate.fail(err)
		}
		return err
	}
}

// commitIntent commits that the range at hand ends at end, once.
func (f *rangeFlow) commitIntent(ctx context.Context, end int64) error {
	if f.mark.pending == end {
		return nil
	}
	return f.commit(ctx, f.base, f.baseEpoch, end)
}

// commit commits offset, with the end of the pending range or 0.
func (f *rangeFlow) commit(ctx context.Context, offset int64, epoch int32, pending int64) error {
	next := f.mark
	next.layout, next.pending = f.layout, pending
	if err := f.w.lease.Commit(ctx, offset, epoch, next.String()); err != nil {
		return err
	}
	f.mark, f.base, f.baseEpoch, f.committed = next, offset, epoch, f.w.runner.now()
	f.next = max(f.next, offset)
	f.w.runner.metrics.commits.WithLabelValues(f.part.Topic).Inc()
	return nil
}

// probeEvery is how often a pending range that gets no further records looks
// into the log for its end.
const probeEvery = 2 * time.Second

// idle ends a range that is due, and moves the offset past what needs no file,
// such as transaction markers, so that the lag reaches 0.
func (f *rangeFlow) idle(ctx context.Context) error {
	now := f.w.runner.now()
	switch {
	case f.mark.pending > 0:
		if f.next >= f.mark.pending || now.Sub(f.probed) < probeEvery {
			return nil
		}
		f.probed = now
		return f.look(ctx)
	case f.current != nil && f.current.Files():
		if f.w.pausedUntil() == nil && !f.current.Due(now) && !f.waned(now) {
			return nil
		}
	case !f.lags(now):
		return nil
	}
	return f.finish(ctx, f.next, f.nextEpoch)
}

// look finishes the pending range if the log has no further record of it.
func (f *rangeFlow) look(ctx context.Context) error {
	ended, err := rangeEnded(ctx, f.w.lease, f.next, f.mark.pending)
	if err != nil {
		f.w.log.Warn("looking for the end of an unfinished range", zap.Int64("to", f.mark.pending), zap.Error(err))
		return nil
	}
	if !ended {
		return nil
	}
	f.w.log.Warn("the last records of an unfinished range are no longer in the log", zap.Int64("from", f.next), zap.Int64("to", f.mark.pending))
	return f.finish(ctx, f.mark.pending, -1)
}

// stop gives up the range at hand; whoever has the partition next begins where
// the group's offset is.
func (f *rangeFlow) stop(context.Context) { f.discard() }

func (f *rangeFlow) discard() {
	if f.current != nil {
		f.current.Discard()
		f.current = nil
	}
	f.w.holdsSince(0)
}

// epochAt is the leader epoch of the record before offset, -1 if it is not
// known: an older one than that would look like a truncated log.
func (b *batch) epochAt(offset int64) int32 {
	i := sort.Search(len(b.raws), func(i int) bool { return b.raws[i].Offset >= offset-1 })
	if i < len(b.raws) && b.raws[i].Offset == offset-1 {
		return b.raws[i].LeaderEpoch
	}
	return -1
}
