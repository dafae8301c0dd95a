package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// writerShape is the trial's Writer: a table that compares versions. Every
// committed record must have been written before its offset was committed, in
// the order of offsets by every owner of a partition, and at the end each key
// must have its newest row.
type writerShape struct {
	w     *trial
	table *target

	mu    sync.Mutex
	has   map[string]bool           // "partition/offset"
	last  map[context.Context]int64 // by the work on a lease: the last offset that was written
	bad   []string
	hangs sync.WaitGroup
}

func newWriterShape(w *trial) shape {
	return &writerShape{w: w, table: newTarget(), has: map[string]bool{}, last: map[context.Context]int64{}}
}

func (s *writerShape) options(p *trialRunner, o *Options) { o.Writer = &trialWriter{s, p} }

func (s *writerShape) durable(part int32, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has[at(part, offset)]
}

func (s *writerShape) finished(_ int64, metadata string) bool {
	_, ours, err := parseMark(metadata)
	return ours && err == nil
}

func (s *writerShape) wait() { s.hangs.Wait() }

func (s *writerShape) fail(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = append(s.bad, fmt.Sprintf(format, a...))
}

// judge compares the table with what was fed.
func (s *writerShape) judge() []string {
	rows, known := map[string]string{}, map[string]bool{}
	for _, f := range s.w.fed {
		known[at(f.part, f.offset)] = true
		if unwritable(f.offset) {
			continue
		}
		rows[s.w.topic+"/"+f.key] = f.value
		if !s.durable(f.part, f.offset) {
			s.fail("record %s was never written", at(f.part, f.offset))
		}
	}
	for key, want := range rows {
		if got, _ := s.table.get(key); got.text != want {
			s.fail("%s is %s, want %s", key, got.text, want)
		}
	}
	for record := range s.has {
		if !known[record] {
			s.fail("record %s was never committed", record)
		}
	}
	return s.bad
}

// trialWriter is the sink of one process.
type trialWriter struct {
	s *writerShape
	p *trialRunner
}

// Write is slow, fails, fails though it is done or half done, or hangs and is
// deaf to its context.
func (t *trialWriter) Write(ctx context.Context, batch []*cdc.Record) error {
	t.s.hangs.Add(1)
	defer t.s.hangs.Done()
	t.s.inOrder(ctx, batch)
	t.p.at("before a write")
	if t.p.chance(0.05) {
		t.p.count("writes that hang")
		time.Sleep(t.p.between(t.p.session, 7*t.p.session))
	} else if err := sleep(ctx, t.p.between(time.Millisecond, 200*time.Millisecond)); err != nil {
		return err
	}
	if !t.p.live() {
		return errors.New("crashed")
	}
	switch {
	case t.p.chance(0.1):
		t.p.count("writes that fail")
		return errTarget
	case t.p.chance(0.05):
		t.p.count("writes that are done, and fail")
		_ = t.apply(ctx, batch)
		return errTarget
	case t.p.chance(0.05):
		t.p.count("writes that are half done")
		_ = t.apply(ctx, batch[:len(batch)/2])
		return errTarget
	}
	err := t.apply(ctx, batch)
	t.s.wrote(ctx, batch)
	t.p.at("after a write")
	return err
}

// apply puts the records into the table, all but those that it refuses.
func (t *trialWriter) apply(ctx context.Context, batch []*cdc.Record) error {
	var rejected sink.Rejected
	var taken []*cdc.Record
	for i, r := range batch {
		if unwritable(r.Offset) {
			rejected.Items = append(rejected.Items, sink.Rejection{Index: i, Reason: errors.New("no room for it")})
		} else {
			taken = append(taken, r)
		}
	}
	if err := t.s.table.Write(ctx, taken); err != nil {
		return err
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for _, r := range taken {
		t.s.has[at(r.Partition, r.Offset)] = true
	}
	if len(rejected.Items) > 0 {
		return &rejected
	}
	return nil
}

// inOrder wants a batch to be in the order of versions, behind what the same
// owner has written.
func (s *writerShape) inOrder(ctx context.Context, batch []*cdc.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.last[ctx]
	for _, r := range batch {
		if ok && r.Offset <= before {
			s.bad = append(s.bad, fmt.Sprintf("record %s came after %d", at(r.Partition, r.Offset), before))
		}
		if r.Version != uint64(r.Offset) {
			s.bad = append(s.bad, fmt.Sprintf("record %s has version %d", at(r.Partition, r.Offset), r.Version))
		}
		before, ok = r.Offset, true
	}
}

func (s *writerShape) wrote(ctx context.Context, batch []*cdc.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[ctx] = batch[len(batch)-1].Offset
}

// TestRunnersUnderChaos plays the trial with a Writer. SEEDS=n plays more,
// SEED=n begins elsewhere, TRACE=folder writes down what a failed seed did.
func TestRunnersUnderChaos(t *testing.T) {
	playSeeds(t, 30, func(seed uint64) (map[string]int, []string) {
		w := &trial{seed: seed}
		bad := trialSeed(t, w, newWriterShape)
		return w.stats, bad
	}, "writes that hang", "writes that fail", "writes that are done, and fail", "writes that are half done",
		"letters refused", "letter answers lost", "letters delayed", "partitions added")
}

// hasty commits what it is about to write.
type hasty struct{ *writerFlow }

func (f hasty) take(ctx context.Context, b *batch) error {
	f.durable, f.epoch = b.end, b.epoch
	if err := f.commit(ctx); err != nil {
		return err
	}
	return f.writerFlow.take(ctx, b)
}

// generous commits one record more than it has written.
type generous struct{ *writerFlow }

func (f generous) take(ctx context.Context, b *batch) error {
	b.end++
	return f.writerFlow.take(ctx, b)
}

// lenient writes no dead letters.
type lenient struct{ sink.Writer }

func (l lenient) Write(ctx context.Context, batch []*cdc.Record) error {
	err := l.Writer.Write(ctx, batch)
	var rejected *sink.Rejected
	if errors.As(err, &rejected) {
		return nil
	}
	return err
}

// dated commits with the leader epoch that the partition had at first.
type dated struct{ *writerFlow }

func (f dated) take(ctx context.Context, b *batch) error {
	b.epoch = 0
	return f.writerFlow.take(ctx, b)
}

// undead commits once more when its lease is over, with the member and the
// generation that the client has then.
type undead struct{ *writerFlow }

func (f undead) stop(ctx context.Context) {
	f.writerFlow.stop(ctx)
	go f.haunt()
}

func (f undead) haunt() {
	l := f.w.lease
	next := Committed{f.durable, f.epoch, f.mark.String()}
	for range 40 {
		time.Sleep(250 * time.Millisecond)
		if member, gen := l.client.GroupMetadata(); member != "" && gen > l.gen {
			now := &Lease{gate: l.gate, client: l.client, part: l.part, topicID: l.topicID, member: member, gen: gen}
			_ = l.gate.send(context.Background(), now, gen, next)
			return
		}
	}
}

// TestRunnersTrialNoticesBrokenRules leaves one rule out at a time.
func TestRunnersTrialNoticesBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name string
		wrap func(*writerFlow) flow
	}{
		{"an offset is committed before its record is written", func(f *writerFlow) flow { return hasty{f} }},
		{"a commit covers a record that was not taken", func(f *writerFlow) flow { return generous{f} }},
		{"an offset is committed without its dead letter", func(f *writerFlow) flow {
			f.writer = lenient{f.writer}
			return f
		}},
		{"a commit has an older leader epoch", func(f *writerFlow) flow { return dated{f} }},
		{"a commit after the lease ended, with the current generation", func(f *writerFlow) flow { return undead{f} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			noticed(t, func(seed uint64) []string {
				w := &trial{seed: seed, wrap: func(f flow) flow { return c.wrap(f.(*writerFlow)) }}
				return trialSeed(t, w, newWriterShape)
			})
		})
	}
}
