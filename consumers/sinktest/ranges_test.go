package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// shelf is a target for ranges; fault leaves rules out.
type shelf struct {
	mu    sync.Mutex
	files map[string][]RangeRow
	down  bool
	fault rangeFault
	began int // processes
}

// rangeFault is what a bad sink does wrong.
type rangeFault struct {
	earlyFiles, perBatch, clockNames, overwrites, forgetsRows, alwaysEmpty, neverEmpty, topicBlind, changingLayout,
	keepsTombstones, dropsTombstones, splitsTombstones, wrongIndex, takesAll, standsStill, deaf, ackWhenDown, leavesFiles, onePartition bool
}

// shelfProcess is one process over a shelf.
type shelfProcess struct {
	s      *shelf
	number int
}

func (p shelfProcess) Layout() string {
	if p.s.fault.changingLayout {
		return fmt.Sprint(p.number)
	}
	return "shelf"
}

func (p shelfProcess) prefix(part sink.Partition) string {
	if p.s.fault.topicBlind {
		return fmt.Sprintf("%d/", part.Number)
	}
	return fmt.Sprintf("%x-%d/", part.TopicID[:1], part.Number)
}

func (p shelfProcess) Empty(_ context.Context, part sink.Partition) (bool, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for name := range p.s.files {
		if len(name) > 3 && bytes.HasPrefix([]byte(name), []byte(p.prefix(part))) {
			return p.s.fault.alwaysEmpty, nil
		}
	}
	return !p.s.fault.neverEmpty, nil
}

func (p shelfProcess) Open(part sink.Partition, start int64, _ time.Time, redo bool) (sink.Range, error) {
	name := fmt.Sprintf("%s%d", p.prefix(part), start)
	if p.s.fault.clockNames {
		name += fmt.Sprint(time.Now().UnixNano())
	}
	if p.s.fault.onePartition {
		name = fmt.Sprint(start)
	}
	return &shelfRange{p: p, name: name, part: part.Number, redo: redo}, nil
}

type shelfRange struct {
	p       shelfProcess
	name    string
	part    int32
	redo    bool
	rows    []RangeRow
	records int
	deleted []byte
	batches int
}

func (r *shelfRange) Append(batch []*cdc.Record) error {
	f := r.p.s.fault
	r.batches++
	for i, b := range batch {
		if b.Value != nil && b.Value.Value("qty").Int() == -666 && !f.takesAll {
			if f.wrongIndex {
				i++
			}
			return &sink.Rejected{Items: []sink.Rejection{{Index: i, Reason: errors.New("a bad value")}}}
		}
		r.records++
		echo := b.Tombstone && r.deleted != nil && bytes.Equal(r.deleted, b.RawKey)
		r.deleted = nil
		if b.Deleted && !b.Tombstone {
			r.deleted = bytes.Clone(b.RawKey)
		}
		if echo && !f.keepsTombstones || b.Tombstone && f.dropsTombstones {
			continue
		}
		row := RangeRow{Partition: r.part, Offset: b.Offset, Deleted: b.Deleted, ID: b.Key.Values[0].Int()}
		if b.Value != nil {
			row.Name, row.Qty = string(b.Value.Value("name").Bytes()), int32(b.Value.Value("qty").Int())
		}
		r.rows = append(r.rows, row)
	}
	if f.earlyFiles {
		return r.publish()
	}
	return nil
}

func (r *shelfRange) Advance(context.Context) error { return nil }

func (r *shelfRange) Fit(_ time.Time, next []*cdc.Record) int {
	if r.p.s.fault.standsStill || r.p.s.fault.splitsTombstones && len(next) > 0 && next[0].Tombstone {
		return 0
	}
	return len(next)
}

func (r *shelfRange) Due(now time.Time) bool { return r.p.s.fault.standsStill }
func (r *shelfRange) Records() int           { return r.records }
func (r *shelfRange) Files() bool            { return len(r.rows) > 0 }

func (r *shelfRange) Discard() {
	if r.p.s.fault.leavesFiles {
		_ = r.publish()
	}
}

func (r *shelfRange) Complete(ctx context.Context, _ int64) error {
	if r.p.s.fault.deaf && ctx.Err() != nil {
		time.Sleep(soon + 100*time.Millisecond)
	}
	if ctx.Err() != nil && !r.p.s.fault.deaf {
		return ctx.Err()
	}
	return r.publish()
}

func (r *shelfRange) publish() error {
	s := r.p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		if s.fault.ackWhenDown {
			return nil
		}
		return errDown
	}
	if _, ok := s.files[r.name]; ok && r.redo && !s.fault.overwrites {
		return nil
	}
	rows := r.rows
	if s.fault.forgetsRows && len(rows) > 1 {
		rows = rows[:len(rows)-1]
	}
	if s.fault.perBatch {
		s.files[fmt.Sprintf("%s.%d", r.name, r.batches)] = rows
		return nil
	}
	s.files[r.name] = rows
	return nil
}

// rangeFixture is a good or bad sink.
func rangeFixture(fault rangeFault) RangeFixture {
	s := &shelf{files: map[string][]RangeRow{}, fault: fault}
	return RangeFixture{
		Topic: "items",
		New: func() (sink.RangeWriter, func(), error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.began++
			return shelfProcess{s, s.began}, nil, nil
		},
		Read: func() (map[string][]RangeRow, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			out := map[string][]RangeRow{}
			for name, rows := range s.files {
				out[name] = append([]RangeRow{}, rows...)
			}
			return out, nil
		},
		Bad: func(r *cdc.Record) { r.Value.Values[4] = cdc.Int(-666) },
		Faults: []Fault{{"down", func() (func(), error) {
			set := func(down bool) { s.mu.Lock(); s.down = down; s.mu.Unlock() }
			set(true)
			return func() { set(false) }, nil
		}}},
	}
}

func TestAGoodRangeWriterPasses(t *testing.T) {
	TestRangeWriter(t, func(*testing.T) RangeFixture { return rangeFixture(rangeFault{}) })
}

// TestABrokenRangeWriterIsFound: each fault breaks a promise.
func TestABrokenRangeWriterIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault rangeFault
	}{
		{"files appear while records come", rangeFault{earlyFiles: true}},
		{"names depend on the batches", rangeFault{perBatch: true}},
		{"names depend on the clock", rangeFault{clockNames: true}},
		{"files that exist are replaced", rangeFault{overwrites: true}},
		{"the last row is forgotten", rangeFault{forgetsRows: true}},
		{"always empty", rangeFault{alwaysEmpty: true}},
		{"never empty", rangeFault{neverEmpty: true}},
		{"a topic that was created again is the same", rangeFault{topicBlind: true}},
		{"a layout per process", rangeFault{changingLayout: true}},
		{"the tombstone behind a delete is a row", rangeFault{keepsTombstones: true}},
		{"a lone tombstone is nothing", rangeFault{dropsTombstones: true}},
		{"a range ends between a delete and its tombstone", rangeFault{splitsTombstones: true}},
		{"another record is named", rangeFault{wrongIndex: true}},
		{"bad records pass", rangeFault{takesAll: true}},
		{"an empty range is due", rangeFault{standsStill: true}},
		{"deaf to its context", rangeFault{deaf: true}},
		{"acknowledged while the target is down", rangeFault{ackWhenDown: true}},
		{"discarding publishes", rangeFault{leavesFiles: true}},
		{"partitions share names", rangeFault{onePartition: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range rangePromises {
				f := rangeFixture(c.fault)
				if err := p.holds(&f); err != nil {
					t.Logf("found by %q: %.150v", p.name, err)
					return
				}
			}
			t.Error("every promise holds")
		})
	}
}
