package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// RangeFixture is a sink.RangeWriter over a real target, for one test: a fresh
// bucket, prefix or directory.
type RangeFixture struct {
	// Topic is what all records of the test come from and go to (their Route).
	Topic string
	// New starts the sink as a process would; several may be alive at a time, as
	// when a partition moves. stop is called once and may be nil. It must not end
	// ranges of fewer than 100 small records by itself.
	New func() (w sink.RangeWriter, stop func(), err error)
	// Read returns the rows of every visible file by the file's name, in the
	// file's order, with a reader that knows nothing of the sink.
	Read func() (map[string][]RangeRow, error)
	// Bad makes r one that can never be rendered. Nil: there is none.
	Bad func(r *cdc.Record)
	// Faults are troubles of the target that pass.
	Faults []Fault
}

// RangeRow is a row of a file.
type RangeRow struct {
	Partition int32
	Offset    int64
	Deleted   bool
	ID        int64
	Name      string // "" is NULL
	Qty       int32  // 0 is NULL
}

// TestRangeWriter checks every promise of sink.RangeWriter and sink.Range;
// fixture makes a fresh target for each.
func TestRangeWriter(t *testing.T, fixture func(t *testing.T) RangeFixture) {
	for _, p := range rangePromises {
		t.Run(p.name, func(t *testing.T) {
			f := fixture(t)
			if err := p.holds(&f); err != nil {
				t.Error(err)
			}
		})
	}
}

// rangePromise is one thing that the runtime relies on.
type rangePromise struct {
	name  string
	holds func(f *RangeFixture) error
}

var rangePromises = []rangePromise{
	{"a completed range is visible, each record once", completedIsVisible},
	{"nothing is visible before completion", invisibleBefore},
	{"a discarded range leaves nothing", discarded},
	{"the sizes of batches do not matter", batchSizes},
	{"a range rendered again changes nothing", renderedAgain},
	{"files that exist are kept", existingAreKept},
	{"a crash between any two steps", rangeCrashes},
	{"ranges lie side by side", rangesSideBySide},
	{"partitions are rendered side by side", partitionsSideBySide},
	{"an empty target is told from one with files", emptiness},
	{"the layout is the same in every process", sameLayout},
	{"a delete and its tombstone are one row", deleteThenTombstone},
	{"a delete and its tombstone stay in one range", tombstoneStays},
	{"a lone tombstone is a delete", loneTombstone},
	{"a rejected record is named and stops the append", rangeRejection},
	{"an empty range takes a record and never is due", emptyRange},
	{"a cancelled completion returns soon and can be repeated", cancelledCompletion},
	{"troubles of the target pass", rangeFaults},
}

// instant is the frozen clock of the suite's ranges.
var instant = time.UnixMilli(1_795_348_800_000)

// rangeTrial is a started sink with the log it is fed from.
type rangeTrial struct {
	*log
	f    *RangeFixture
	w    sink.RangeWriter
	stop func()
	want map[int64]RangeRow // by offset, of partition 0
}

func startRanges(f *RangeFixture) (*rangeTrial, error) {
	t := &rangeTrial{log: newLog(f.Topic, 0), f: f, want: map[int64]RangeRow{}}
	return t, t.restart()
}

func (t *rangeTrial) restart() (err error) {
	t.close()
	if t.w, t.stop, err = t.f.New(); err != nil {
		return fmt.Errorf("starting the sink: %w", err)
	}
	return nil
}

func (t *rangeTrial) close() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
}

// part is partition n of the suite's topic.
func (t *rangeTrial) part(n int32) sink.Partition {
	return sink.Partition{Topic: t.f.Topic, TopicID: [16]byte{7, 7, 7, 7}, Number: n}
}

// items makes n creates and remembers the rows they become.
func (t *rangeTrial) items(n int) (batch []*cdc.Record) {
	for range n {
		i := Item{Key: Key{ID: t.next}, Name: fmt.Sprintf("item %d", t.next), Qty: int32(t.next%7 + 1)}
		r := t.put(i)
		t.want[r.Offset] = RangeRow{Offset: r.Offset, ID: i.ID, Name: i.Name, Qty: i.Qty}
		batch = append(batch, r)
	}
	return batch
}

// open begins a range of partition 0.
func (t *rangeTrial) open(start int64, redo bool) (sink.Range, error) {
	return t.w.Open(t.part(0), start, instant, redo)
}

// render does all of a range, in batches of size.
func (t *rangeTrial) render(start int64, redo bool, records []*cdc.Record, size int) error {
	r, err := t.open(start, redo)
	if err != nil {
		return err
	}
	defer r.Discard()
	if err := feed(r, records, size); err != nil {
		return err
	}
	return complete(r, records)
}

func feed(r sink.Range, records []*cdc.Record, size int) error {
	for batch := range slices.Chunk(records, size) {
		if err := r.Append(batch); err != nil {
			return fmt.Errorf("appending: %w", err)
		}
		if err := untilDone(r.Advance); err != nil {
			return fmt.Errorf("sending ahead: %w", err)
		}
	}
	return nil
}

func complete(r sink.Range, records []*cdc.Record) error {
	end := records[len(records)-1].Offset + 1
	if err := untilDone(func(ctx context.Context) error { return r.Complete(ctx, end) }); err != nil {
		return fmt.Errorf("completing: %w", err)
	}
	return nil
}

// untilDone calls until it succeeds, as the runtime does.
func untilDone(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := call(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, sink.ErrRenderAgain) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// holds compares all visible rows of partition 0 with those wanted below end.
func (t *rangeTrial) holds(end int64) error {
	files, err := t.f.Read()
	if err != nil {
		return fmt.Errorf("reading the target: %w", err)
	}
	var errs []error
	seen := map[int64]string{}
	for name, rows := range files {
		last := int64(-1)
		for _, row := range rows {
			if row.Partition != 0 {
				continue
			}
			if other, ok := seen[row.Offset]; ok {
				errs = append(errs, fmt.Errorf("offset %d is in %s and in %s", row.Offset, other, name))
			}
			if row.Offset <= last {
				errs = append(errs, fmt.Errorf("%s: offset %d comes behind %d", name, row.Offset, last))
			}
			last, seen[row.Offset] = row.Offset, name
			if want, ok := t.want[row.Offset]; !ok || row != want {
				errs = append(errs, fmt.Errorf("%s: offset %d is %+v, want %+v", name, row.Offset, row, want))
			}
		}
	}
	for offset := range t.want {
		if _, ok := seen[offset]; !ok && offset < end {
			errs = append(errs, fmt.Errorf("offset %d is in no file", offset))
		} else if ok && offset >= end {
			errs = append(errs, fmt.Errorf("offset %d is visible", offset))
		}
	}
	return errors.Join(errs...)
}

// withRanges runs a promise over a started sink.
func withRanges(f *RangeFixture, holds func(t *rangeTrial) error) error {
	t, err := startRanges(f)
	if err != nil {
		return err
	}
	defer t.close()
	return holds(t)
}

func completedIsVisible(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(30)
		if err := t.render(0, false, records, 7); err != nil {
			return err
		}
		return t.holds(30)
	})
}

func invisibleBefore(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(90)
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		defer r.Discard()
		if err := feed(r, records, 30); err != nil {
			return err
		}
		if !r.Files() || r.Records() != 90 {
			return fmt.Errorf("%d records, files: %v", r.Records(), r.Files())
		}
		if err := t.holds(0); err != nil {
			return err
		}
		if err := complete(r, records); err != nil {
			return err
		}
		return t.holds(90)
	})
}

func discarded(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(50)
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		err = feed(r, records, 10)
		r.Discard()
		if err := errors.Join(err, t.holds(0)); err != nil {
			return err
		}
		if err := t.render(0, false, records, 50); err != nil {
			return err
		}
		return t.holds(50)
	})
}

func batchSizes(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(60)
		var first map[string][]RangeRow
		for _, size := range []int{60, 1, 7} {
			if err := t.render(0, false, records, size); err != nil {
				return err
			}
			files, err := f.Read()
			if err != nil {
				return err
			}
			if first == nil {
				first = files
			}
			if !reflect.DeepEqual(files, first) {
				return fmt.Errorf("in batches of %d the files are %v, of 60 they are %v", size, files, first)
			}
		}
		return t.holds(60)
	})
}

func renderedAgain(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(40)
		for _, redo := range []bool{false, true, false} {
			if err := t.render(0, redo, records, 9); err != nil {
				return err
			}
			if err := t.holds(40); err != nil {
				return fmt.Errorf("again %v: %w", redo, err)
			}
			if err := t.restart(); err != nil {
				return err
			}
		}
		return nil
	})
}

func existingAreKept(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(40)
		if err := t.render(0, false, records, 40); err != nil {
			return err
		}
		if err := t.render(0, true, records[25:], 40); err != nil { // the others were compacted away
			return err
		}
		return t.holds(40)
	})
}

// rangeCrashes renders one range after the other; each is cut off at a step of
// its own, by a process that is gone without a word, and rendered again.
func rangeCrashes(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		rng := rand.New(rand.NewPCG(1, 2))
		start := int64(0)
		for step := range 8 {
			records := t.items(10 + rng.IntN(30))
			r, err := t.open(start, false)
			if err != nil {
				return err
			}
			if err := cutOff(r, records, step); err != nil {
				return err
			}
			if err := t.restart(); err != nil {
				return err
			}
			if err := t.render(start, true, records, 1+rng.IntN(12)); err != nil {
				return err
			}
			start = t.next
			if err := t.holds(start); err != nil {
				return fmt.Errorf("cut off at step %d: %w", step, err)
			}
		}
		return nil
	})
}

// cutOff does the first steps of a range.
func cutOff(r sink.Range, records []*cdc.Record, step int) error {
	half := len(records) / 2
	steps := []func() error{
		func() error { return nil },
		func() error { return r.Append(records[:half]) },
		func() error { return untilDone(r.Advance) },
		func() error { return r.Append(records[half:]) },
		func() error { return untilDone(r.Advance) },
		func() error { // some of the completion
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
			defer cancel()
			_ = r.Complete(ctx, records[len(records)-1].Offset+1)
			return nil
		},
		func() error { return complete(r, records) },
	}
	for _, do := range steps[:min(step, len(steps))] {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func rangesSideBySide(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		for range 4 {
			start := t.next
			if err := t.render(start, false, t.items(12), 5); err != nil {
				return err
			}
		}
		return t.holds(t.next)
	})
}

func partitionsSideBySide(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		const partitions = 6
		var wg sync.WaitGroup
		errs := make([]error, partitions)
		for p := range int32(partitions) {
			l := newLog(f.Topic, p)
			var records []*cdc.Record
			for i := range 40 {
				records = append(records, l.put(Item{Key: Key{ID: int64(i)}, Name: "x", Qty: 1}))
			}
			wg.Go(func() {
				r, err := t.w.Open(t.part(p), 0, instant, false)
				if err == nil {
					defer r.Discard()
					err = errors.Join(feed(r, records, 8), complete(r, records))
				}
				errs[p] = err
			})
		}
		wg.Wait()
		files, err := f.Read()
		count := map[int32]int{}
		for _, rows := range files {
			for _, row := range rows {
				count[row.Partition]++
			}
		}
		for p := range int32(partitions) {
			if count[p] != 40 {
				errs = append(errs, fmt.Errorf("partition %d has %d rows, want 40", p, count[p]))
			}
		}
		return errors.Join(append(errs, err)...)
	})
}

func emptiness(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		is := func(p sink.Partition, want bool, when string) error {
			if err := t.restart(); err != nil { // what a process knows may be old
				return err
			}
			got, err := t.w.Empty(context.Background(), p)
			if err == nil && got != want {
				err = fmt.Errorf("empty is %v %s", got, when)
			}
			return err
		}
		other := t.part(0)
		other.TopicID = [16]byte{8}
		records := t.items(5)
		before := is(t.part(0), true, "before anything was written")
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		err = feed(r, records, 5)
		r.Discard()
		unfinished := is(t.part(0), true, "after a range that was given up")
		return errors.Join(before, err, unfinished, t.render(0, false, records, 5),
			is(t.part(0), false, "with files"), is(t.part(1), true, "for another partition"), is(other, true, "for another topic of that name"))
	})
}

func sameLayout(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		first := t.w.Layout()
		if err := t.restart(); err != nil {
			return err
		}
		if again := t.w.Layout(); again != first || first == "" {
			return fmt.Errorf("the layout is %q, then %q", first, again)
		}
		return nil
	})
}

// deletedItem makes an item and its delete, and remembers the row of that.
func (t *rangeTrial) deletedItem() (created, removed *cdc.Record) {
	created = t.items(1)[0]
	removed = t.remove(Key{ID: created.Offset})
	row := t.want[created.Offset]
	row.Offset, row.Deleted = removed.Offset, true
	t.want[removed.Offset] = row
	return created, removed
}

func deleteThenTombstone(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		created, removed := t.deletedItem()
		after := t.tombstone(Key{ID: created.Offset})
		records := append([]*cdc.Record{created, removed, after}, t.items(1)...)
		for _, size := range []int{4, 1} {
			if err := t.render(0, false, records, size); err != nil {
				return err
			}
			if err := t.holds(t.next); err != nil {
				return err
			}
		}
		return nil
	})
}

func tombstoneStays(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		created, removed := t.deletedItem()
		after := t.tombstone(Key{ID: created.Offset})
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		defer r.Discard()
		if err := r.Append([]*cdc.Record{created, removed}); err != nil {
			return err
		}
		far := instant.Add(100 * 365 * 24 * time.Hour) // whatever is due by time is due then
		if n := r.Fit(far, []*cdc.Record{after}); n != 1 {
			return fmt.Errorf("the tombstone does not fit behind its delete")
		}
		return nil
	})
}

func loneTombstone(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		lone := t.tombstone(Key{ID: 77})
		t.want[lone.Offset] = RangeRow{Offset: lone.Offset, Deleted: true, ID: 77}
		records := append([]*cdc.Record{lone}, t.items(2)...)
		_, removed := t.deletedItem()
		other := t.tombstone(Key{ID: 78}) // behind a delete, but of another key
		t.want[other.Offset] = RangeRow{Offset: other.Offset, Deleted: true, ID: 78}
		records = append(records, removed, other)
		delete(t.want, removed.Offset-1) // its create is not written
		if err := t.render(0, false, records, 2); err != nil {
			return err
		}
		return t.holds(t.next)
	})
}

func rangeRejection(f *RangeFixture) error {
	if f.Bad == nil {
		return nil
	}
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(9)
		f.Bad(records[4])
		delete(t.want, 4)
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		defer r.Discard()
		err = r.Append(records)
		var rejected *sink.Rejected
		if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 4 || rejected.Items[0].Reason == nil {
			return fmt.Errorf("appending a record that cannot be rendered: it has to be named: %w", err)
		}
		if r.Records() != 4 {
			return fmt.Errorf("%d records were taken, want the 4 before", r.Records())
		}
		if err := errors.Join(feed(r, records[5:], 2), complete(r, records)); err != nil {
			return err
		}
		return t.holds(9)
	})
}

func emptyRange(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		defer r.Discard()
		far := instant.Add(100 * 365 * 24 * time.Hour)
		switch {
		case r.Due(far):
			return errors.New("an empty range is due")
		case r.Files() || r.Records() != 0:
			return errors.New("an empty range has files or records")
		case r.Fit(far, t.items(3)) < 1:
			return errors.New("an empty range takes nothing: the partition would stand still")
		}
		return nil
	})
}

func cancelledCompletion(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		records := t.items(30)
		r, err := t.open(0, false)
		if err != nil {
			return err
		}
		defer r.Discard()
		if err := feed(r, records, 30); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		began := time.Now()
		if err := r.Complete(ctx, 30); err == nil {
			if err := t.holds(30); err != nil {
				return fmt.Errorf("completing without time reported success: %w", err)
			}
		}
		if took := time.Since(began); took > soon {
			return fmt.Errorf("completing went on for %v after its context ended", took)
		}
		if err := complete(r, records); err != nil {
			return err
		}
		return t.holds(30)
	})
}

func rangeFaults(f *RangeFixture) error {
	return withRanges(f, func(t *rangeTrial) error {
		for _, fault := range f.Faults {
			start := t.next
			records := t.items(20)
			if err := t.endure(fault, start, records); err != nil {
				return fmt.Errorf("%s: %w", fault.Name, err)
			}
			if err := t.holds(t.next); err != nil {
				return fmt.Errorf("%s: %w", fault.Name, err)
			}
		}
		return nil
	})
}

// endure renders a range whose completion begins in trouble.
func (t *rangeTrial) endure(fault Fault, start int64, records []*cdc.Record) error {
	r, err := t.open(start, false)
	if err != nil {
		return err
	}
	defer r.Discard()
	if err := feed(r, records, 20); err != nil {
		return err
	}
	end, err := fault.Begin()
	if err != nil {
		return err
	}
	stop := sync.OnceFunc(end)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	err = r.Complete(ctx, t.next)
	cancel()
	stop()
	if err == nil { // then it must be true
		return t.holds(t.next)
	}
	return complete(r, records)
}
