package consumers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// rangeShape is the trial's RangeWriter over one object store. Every object must
// stay as it was first written, and every committed record must be in exactly
// one.
type rangeShape struct {
	w     *trial
	store *objects
	leave func(*trialSink) // leaves a rule out
}

func newRangeShape(leave func(*trialSink)) func(*trial) shape {
	return func(w *trial) shape { return &rangeShape{w, newObjects(w.dice, w.late), leave} }
}

func (r *rangeShape) options(p *trialRunner, o *Options) {
	s := &trialSink{w: r.w, store: r.store, p: p}
	if r.leave != nil {
		r.leave(s)
	}
	o.Ranges = s
}

func (r *rangeShape) durable(part int32, offset int64) bool { return r.store.has(part, offset) }

func (r *rangeShape) finished(offset int64, metadata string) bool {
	m, err := parseRangeMark(metadata, offset)
	return err == nil && m.pending == 0
}

func (r *rangeShape) wait() { r.store.waiting.Wait() }

// judge counts every record in the objects themselves.
func (r *rangeShape) judge() []string {
	found := r.store.counts()
	for _, f := range r.w.fed {
		record, want := at(f.part, f.offset), 1
		if unwritable(f.offset) {
			want = 0
		}
		if found[record] != want {
			r.store.fail("record %s is in %d objects", record, found[record])
		}
		delete(found, record)
	}
	for record := range found {
		r.store.fail("record %s was never committed", record)
	}
	r.w.stats["objects written again"] += r.store.again
	return r.store.failures()
}

// trialSink is a RangeWriter of one object per hour of record time, and for odd
// partitions per minute of the frozen instant too.
type trialSink struct {
	w     *trial
	store *objects
	p     *trialRunner

	clockNames, early, late bool // rules left out
}

func (s *trialSink) Layout() string { return "trial" }

func (s *trialSink) Empty(_ context.Context, p sink.Partition) (bool, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for name := range s.store.all {
		if strings.HasPrefix(name, fmt.Sprintf("%d/", p.Number)) {
			return false, nil
		}
	}
	return true, nil
}

func (s *trialSink) Open(p sink.Partition, start int64, instant time.Time, redo bool) (sink.Range, error) {
	if redo {
		s.w.count("ranges rendered again")
	}
	s.w.logf("%s/%d opens %d at %v, again %v", s.p.name, p.Number, start, instant.Unix(), redo)
	return &trialRange{
		s: s, part: p.Number, start: start, instant: instant, want: 1 + s.w.intn(25),
		until: time.Now().Add(s.w.between(50*time.Millisecond, 4*time.Second)),
	}, nil
}

type trialRange struct {
	s       *trialSink
	part    int32
	start   int64
	instant time.Time
	want    int
	until   time.Time
	records []taken
}

func (r *trialRange) Append(batch []*cdc.Record) error {
	for i, b := range batch {
		if unwritable(b.Offset) {
			return &sink.Rejected{Items: []sink.Rejection{{Index: i, Reason: errors.New("no room for it")}}}
		}
		r.records = append(r.records, taken{offset: b.Offset, hour: time.UnixMilli(b.Timestamp).UTC().Hour()})
	}
	return nil
}

func (r *trialRange) Advance(ctx context.Context) error {
	if r.s.early {
		_ = r.publish(ctx)
	}
	return nil
}

func (r *trialRange) Fit(_ time.Time, next []*cdc.Record) int {
	return min(len(next), max(0, r.want-len(r.records)))
}

func (r *trialRange) Due(now time.Time) bool {
	return len(r.records) > 0 && (len(r.records) >= r.want || now.After(r.until))
}

func (r *trialRange) Records() int { return len(r.records) }
func (r *trialRange) Files() bool  { return len(r.records) > 0 }
func (r *trialRange) Discard()     {}

func (r *trialRange) Complete(ctx context.Context, end int64) error {
	r.s.w.logf("%s/%d completes [%d,%d)", r.s.p.name, r.part, r.start, end)
	r.s.p.at("before the files")
	if r.s.late {
		go func() { _ = r.publish(ctx) }()
		return nil
	}
	if err := r.publish(ctx); err != nil {
		return err
	}
	r.s.p.at("after the files")
	r.s.w.count("ranges")
	return nil
}

// publish writes the objects. It does not look at its context: every zombie
// here is a stubborn one.
func (r *trialRange) publish(context.Context) error {
	files := render(r.part, r.start, r.records)
	for _, name := range slices.Sorted(mapKeys(files)) {
		clock := r.instant
		if r.s.clockNames {
			clock = time.Now()
		}
		full := name
		if r.part%2 == 1 {
			full = fmt.Sprintf("%s-%02d", name, clock.Minute())
		}
		r.s.p.at("before a file")
		if !r.s.p.live() {
			return errors.New("crashed")
		}
		if err := r.s.store.put(full, files[name]); err != nil {
			return err
		}
	}
	return nil
}

func mapKeys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestRangesExactlyOnce plays the trial with all rules. SEEDS=n plays more,
// SEED=n begins elsewhere, TRACE=folder writes down what a failed seed did.
func TestRangesExactlyOnce(t *testing.T) {
	playSeeds(t, 40, func(seed uint64) (map[string]int, []string) {
		w := &trial{seed: seed}
		bad := trialSeed(t, w, newRangeShape(nil))
		return w.stats, bad
	}, "ranges", "ranges rendered again", "objects written again", "letters refused", "letter answers lost", "letters delayed", "partitions added")
}

// halfOpen ignores what is pending.
type halfOpen struct{ *rangeFlow }

func (f halfOpen) open(ctx context.Context) error {
	err := f.rangeFlow.open(ctx)
	f.mark.pending = 0
	f.discard()
	return err
}

// thawed renders a pending range again by another clock.
type thawed struct{ *rangeFlow }

func (f thawed) open(ctx context.Context) error {
	if err := f.rangeFlow.open(ctx); err != nil || f.mark.pending == 0 {
		return err
	}
	return f.begin(time.Now(), true)
}

// ajar renders a pending range again, and what follows with it.
type ajar struct{ *rangeFlow }

func (f ajar) open(ctx context.Context) error {
	err := f.rangeFlow.open(ctx)
	if f.mark.pending > 0 {
		f.mark.pending += 7
	}
	return err
}

// letterless writes no dead letters.
type letterless struct{ *rangeFlow }

func (f letterless) take(ctx context.Context, b *batch) error {
	b.records = slices.DeleteFunc(b.records, func(r *cdc.Record) bool { return unwritable(r.Offset) })
	return f.rangeFlow.take(ctx, b)
}

// TestRangesTrialNoticesBrokenRules leaves one rule out at a time.
func TestRangesTrialNoticesBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name string
		wrap func(*rangeFlow) flow
		sink func(*trialSink)
	}{
		{name: "no intent", wrap: func(f *rangeFlow) flow {
			f.intend = func(_ context.Context, end int64) error { f.mark.pending = end; return nil }
			return f
		}},
		{name: "a pending intent is ignored", wrap: func(f *rangeFlow) flow { return halfOpen{f} }},
		{name: "a pending range is rendered with another end", wrap: func(f *rangeFlow) flow { return ajar{f} }},
		{name: "a pending range is rendered with another instant", wrap: func(f *rangeFlow) flow { return thawed{f} }},
		{name: "a range ends behind what was taken", wrap: func(f *rangeFlow) flow {
			f.intend = func(ctx context.Context, end int64) error { return f.commitIntent(ctx, end+3) }
			return f
		}},
		{name: "records that cannot be rendered are dropped", wrap: func(f *rangeFlow) flow { return letterless{f} }},
		{name: "files before the intent is committed", sink: func(s *trialSink) { s.early = true }},
		{name: "completion before the files are there", sink: func(s *trialSink) { s.late = true }},
		{name: "names from the clock", sink: func(s *trialSink) { s.clockNames = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			noticed(t, func(seed uint64) []string {
				w := &trial{seed: seed}
				if c.wrap != nil {
					w.wrap = func(f flow) flow { return c.wrap(f.(*rangeFlow)) }
				}
				return trialSeed(t, w, newRangeShape(c.sink))
			})
		})
	}
}

// TestRangesExactlyOnceOnKafka plays seeds against Apache Kafka, in real time
// and all at once. KAFKA_SEEDS=n plays more.
func TestRangesExactlyOnceOnKafka(t *testing.T) {
	t.Parallel()
	seeds := 2
	if v, err := strconv.Atoi(os.Getenv("KAFKA_SEEDS")); err == nil {
		seeds = v
	}
	brokers := servers.Kafka(t)
	var wg sync.WaitGroup
	for seed := range seeds {
		w := onRealBrokers(t, uint64(seed+1), brokers)
		w.shape = newRangeShape(nil)(w)
		createTopic(t, brokers, w.topic, w.first)
		wg.Go(func() {
			for _, bad := range w.play(t) {
				t.Errorf("seed %d: %s", w.seed, bad)
			}
			t.Logf("seed %d: %v", w.seed, w.stats)
		})
	}
	wg.Wait()
}
