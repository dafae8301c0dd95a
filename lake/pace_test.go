package lake

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// at is a record of a time after noon.
func at(offset int64, after time.Duration) *cdc.Record {
	r := recordAt(offset, rowOf(schema("t", field("id", cdc.Int64)), cdc.Int(offset)))
	r.Timestamp += after.Milliseconds()
	return r
}

func openRange(t testing.TB, l *Lake) *rendering {
	t.Helper()
	r, err := l.Open(shopOrders, 0, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Discard)
	return r.(*rendering)
}

// fits is how many of records, one after the other, still belong to the range.
func fits(t testing.TB, r *rendering, now time.Time, records ...*cdc.Record) int {
	t.Helper()
	n := r.Fit(now, records)
	if err := r.Append(records[:n]); err != nil {
		t.Fatal(err)
	}
	return n
}

const minute, hour = time.Minute, time.Hour

// TestFlushSize ends a range at exactly so many records.
func TestFlushSize(t *testing.T) {
	r := openRange(t, newLake(t, "flush.size=3"))
	if n := fits(t, r, noon, at(0, 0), at(1, 0)); n != 2 || r.Due(noon) {
		t.Errorf("%d fit, due %v", n, r.Due(noon))
	}
	if n := fits(t, r, noon, at(2, 0), at(3, 0), at(4, 0)); n != 1 || !r.Due(noon) {
		t.Errorf("%d fit, due %v", n, r.Due(noon))
	}
	if n := fits(t, r, noon, at(3, 0)); n != 0 {
		t.Errorf("%d fit", n)
	}
}

// TestFlushBytes ends a range when its largest file is so large.
func TestFlushBytes(t *testing.T) {
	r := openRange(t, newLake(t, "flush.bytes=100000", "parquet.codec=none"))
	s := schema("t", field("b", cdc.Binary))
	for i := range int64(11) {
		if n := fits(t, r, noon, recordAt(i, rowOf(s, cdc.Bytes(noise(10_000))))); n != 1 {
			if i < 9 {
				t.Fatalf("ended after %d records", i)
			}
			return
		}
	}
	t.Error("the range did not end")
}

// TestRotateInterval runs on record time.
func TestRotateInterval(t *testing.T) {
	r := openRange(t, newLake(t, "rotate.interval.ms=600000"))
	far := noon.Add(9 * minute) // the clock does not count while records come
	if n := fits(t, r, far, at(0, 0), at(1, 9*minute), at(2, -time.Hour), at(3, 10*minute), at(4, 0)); n != 3 {
		t.Errorf("%d fit, want those of less than ten minutes", n)
	}
	if r.Due(noon.Add(10*minute - 1)) {
		t.Error("due before its time on an idle partition")
	}
	if !r.Due(noon.Add(10 * minute)) {
		t.Error("not due after its time on an idle partition")
	}
}

// TestALaterHourEndsTheRange, and late data does not.
func TestALaterHourEndsTheRange(t *testing.T) {
	r := openRange(t, newLake(t, "rotate.interval.ms=7200000", "partitioner.class=HourlyPartitioner"))
	if n := fits(t, r, noon, at(0, 30*minute), at(1, 50*minute), at(2, -5*hour), at(3, 59*minute), at(4, 61*minute)); n != 4 {
		t.Errorf("%d fit, want those up to the next hour, late ones included", n)
	}
	if got := len(r.order); got != 2 {
		t.Errorf("%d folders, want two", got)
	}
	// By a field's time, a snapshot has every hour there ever was: they share a range.
	byField := openRange(t, newLake(t, "rotate.interval.ms=7200000", "partitioner.class=HourlyPartitioner", "timestamp.extractor=RecordField", "timestamp.field=at"))
	s := schema("t", cdc.Field{Name: "at", Type: cdc.Int64, Semantic: cdc.Timestamp})
	var records []*cdc.Record
	for i := range int64(50) {
		records = append(records, recordAt(i, rowOf(s, cdc.Int(noon.UnixMilli()+i*3_600_000))))
	}
	if n := fits(t, byField, noon, records...); n != 50 {
		t.Errorf("%d fit", n)
	}
}

// TestRotateSchedule runs on the wall clock, at multiples since midnight.
func TestRotateSchedule(t *testing.T) {
	l := newLake(t, "rotate.schedule.interval.ms=900000", "timezone=Asia/Kolkata") // noon is 17:30 there
	opened := noon.Add(7 * minute)
	open, err := l.Open(shopOrders, 0, opened, false)
	if err != nil {
		t.Fatal(err)
	}
	r := open.(*rendering)
	if n := fits(t, r, opened, at(0, 0), at(1, 24*hour)); n != 2 || r.Due(noon.Add(15*minute-1)) {
		t.Errorf("%d fit, due %v", n, r.Due(noon.Add(15*minute-1)))
	}
	if n := r.Fit(noon.Add(15*minute), []*cdc.Record{at(2, 0)}); n != 0 || !r.Due(noon.Add(15*minute)) {
		t.Errorf("%d fit a quarter past", n)
	}
	long := nextMultiple(noon.Add(7*hour), 7*hour) // the last of the day is cut at midnight
	if want := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC); !long.Equal(want) {
		t.Errorf("next at %v, want %v", long, want)
	}
	if last := nextMultiple(noon.Add(11*hour), 7*hour); !last.Equal(noon.Add(12 * hour)) {
		t.Errorf("next at %v, want midnight", last)
	}
}

// TestAClockThatIsSetBackEndsTheRange, for what it waits for may be days away.
func TestAClockThatIsSetBackEndsTheRange(t *testing.T) {
	for _, property := range []string{"rotate.schedule.interval.ms=900000", "rotate.interval.ms=900000"} {
		r := openRange(t, newLake(t, property))
		fits(t, r, noon, at(0, 0))
		if r.Due(noon.Add(-15*minute + 1)) {
			t.Errorf("%s: due although the clock was set back by little", property)
		}
		if !r.Due(noon.Add(-24 * hour)) {
			t.Errorf("%s: not due although the clock was set back by a day", property)
		}
	}
}

// TestAWallClockFolderEndsWithItsHour.
func TestAWallClockFolderEndsWithItsHour(t *testing.T) {
	r := openRange(t, newLake(t, "partitioner.class=HourlyPartitioner", "timestamp.extractor=Wallclock"))
	if n := fits(t, r, noon.Add(59*minute), at(0, 0), at(1, 9*hour)); n != 2 || r.Due(noon.Add(59*minute)) {
		t.Errorf("%d fit", n)
	}
	if n := r.Fit(noon.Add(60*minute), []*cdc.Record{at(2, 0)}); n != 0 {
		t.Errorf("%d fit in the next hour", n)
	}
}

// TestADeleteWaitsForItsTombstone on an idle partition, but not for ever.
func TestADeleteWaitsForItsTombstone(t *testing.T) {
	r := openRange(t, newLake(t, "flush.size=1"))
	gone := at(0, 0)
	gone.Deleted, gone.RawKey = true, []byte("k")
	fits(t, r, noon, gone)
	if r.Due(noon) || r.Due(noon.Add(tombstoneWait-1)) {
		t.Error("due before the tombstone could come")
	}
	echo := at(1, 0)
	echo.Deleted, echo.Tombstone, echo.Value, echo.RawKey = true, true, nil, []byte("k")
	if n := r.Fit(noon, []*cdc.Record{echo, at(2, 0)}); n != 1 {
		t.Errorf("%d fit, want the tombstone", n)
	}
	if !r.Due(noon.Add(tombstoneWait)) {
		t.Error("never due without its tombstone")
	}
}

// growBy appends rows of 1 MiB to a range.
func growBy(t *testing.T, r *rendering, mib int) {
	t.Helper()
	s := schema("t", field("b", cdc.Binary))
	for range mib {
		if err := r.Append([]*cdc.Record{recordAt(int64(r.records), rowOf(s, cdc.Bytes(noise(1<<20))))}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheBudgetEndsTheLargestRange, and the others wait meanwhile.
func TestTheBudgetEndsTheLargestRange(t *testing.T) {
	l := newLake(t, "max.buffered.bytes=8388608")
	small, large, again := openRange(t, l), openRange(t, l), openRange(t, l)
	again.redo = true
	growBy(t, small, 1)
	growBy(t, large, 3)
	if large.Due(noon) || small.Due(noon) {
		t.Fatal("due within the budget")
	}
	growBy(t, again, 4) // the largest, but its end is fixed
	if !large.Due(noon) || small.Due(noon) || again.Due(noon) {
		t.Fatalf("due: large %v, small %v, again %v; want the largest whose end is free", large.Due(noon), small.Due(noon), again.Due(noon))
	}
	for _, r := range []*rendering{large, again} { // both may go on: one to end, one to reach its end
		if err := l.budget.wait(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	waited := make(chan error, 1)
	go func() { waited <- small.Advance(t.Context()) }()
	select {
	case err := <-waited:
		t.Fatalf("the small range did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	large.Discard()
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	growBy(t, again, 4)
	small.forced.Store(false)
	l.budget.holders[small] = 0 // not worth ending
	cancel()
	if err := l.budget.wait(ctx, small); err == nil {
		t.Error("waiting outlives its context")
	}
}

// TestPendingRangesShareTheBudget: what several processes had open, one renders
// again after them, and only one of the ranges may take more than there is; the
// next may once that has ended or gets nowhere.
func TestPendingRangesShareTheBudget(t *testing.T) {
	const limit = 8 << 20
	l := newLake(t, fmt.Sprintf("max.buffered.bytes=%d", limit))
	l.budget.patience = time.Second
	s := schema("t", field("b", cdc.Binary))
	grow := func(r *rendering) error {
		if err := r.Append([]*cdc.Record{recordAt(int64(r.records), rowOf(s, cdc.Bytes(noise(1<<20))))}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return l.budget.wait(ctx, r)
	}
	again := make([]*rendering, 10)
	waiting := 0
	for i := range again {
		again[i] = openRange(t, l)
		again[i].redo = true
		for range 5 { // of the 8 MiB that each process had
			if grow(again[i]) != nil {
				waiting++
				break
			}
		}
	}
	if l.budget.total > 3*limit || waiting != 8 {
		t.Errorf("%d MiB are held with a budget of %d MiB, and %d ranges wait", l.budget.total>>20, limit>>20, waiting)
	}
	if err := grow(again[1]); err != nil { // the one that began to take more
		t.Errorf("nobody comes to an end: %v", err)
	}
	again[1].Discard()
	if err := grow(again[2]); err != nil {
		t.Errorf("the next waits for one that has ended: %v", err)
	}
	if err := l.budget.wait(t.Context(), again[3]); err != nil { // again[2] is given nothing more
		t.Error(err)
	}
}

// TestTheBufferOfAFileIsCounted with its capacity, and has none beyond what it needs.
func TestTheBufferOfAFileIsCounted(t *testing.T) {
	const part = 25 << 20
	o := &output{limit: part}
	for range 26 {
		if _, err := o.Write(noise(1 << 20)); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.parts) != 1 || o.buffered() < part+1<<20 || o.buffered() != cap(o.parts[0])+cap(o.rest) {
		t.Errorf("%d parts, %d bytes", len(o.parts), o.buffered())
	}
	o.parts = nil // sent
	if got := o.buffered(); got != cap(o.rest) || got > 2<<20 {
		t.Errorf("%d bytes are counted and %d held for a rest of %d", got, cap(o.rest), len(o.rest))
	}
}

// TestARangeThatCannotEndHoldsNobodyUp: a partition that is stuck has most of the
// memory; the others say so, and go on with smaller files.
func TestARangeThatCannotEndHoldsNobodyUp(t *testing.T) {
	l := newLake(t, "max.buffered.bytes=8388608")
	l.budget.patience = 200 * time.Millisecond
	stuck, other := openRange(t, l), openRange(t, l)
	stuck.part.Number = 7
	growBy(t, stuck, 7)
	growBy(t, other, 2)
	if !stuck.Due(noon) || other.Due(noon) {
		t.Fatalf("due: stuck %v, other %v; want the largest", stuck.Due(noon), other.Due(noon))
	}
	var reasons []string
	ctx, cancel := context.WithTimeout(sink.WithWaits(t.Context(), func(reason string) { reasons = append(reasons, reason) }), 10*time.Second)
	defer cancel()
	if err := other.Advance(ctx); err != nil {
		t.Fatal(err)
	}
	if !other.Due(noon) {
		t.Error("it goes on, though there is no memory")
	}
	if len(reasons) == 0 || !strings.Contains(reasons[0], fmt.Sprintf("%s-%d has most", stuck.part.Topic, stuck.part.Number)) {
		t.Errorf("the reasons are %q", reasons)
	}
	other.Discard()
	again := openRange(t, l)
	began := time.Now()
	growBy(t, again, 2)
	if err := again.Advance(ctx); err != nil || !again.Due(noon) || time.Since(began) > l.budget.patience {
		t.Errorf("the next range: %v, due %v, after %v; want it to end without a wait", err, again.Due(noon), time.Since(began))
	}
}

// TestMemoryStaysWithinTheBudget: many partitions with many folders at once
// hold little more than max.buffered.bytes, however much they are given.
func TestMemoryStaysWithinTheBudget(t *testing.T) {
	const limit = 32 << 20
	l := newLake(t, fmt.Sprintf("max.buffered.bytes=%d", limit), "partitioner.class=HourlyPartitioner", "flush.size=10000000", "flush.bytes=0")
	rows := orders(500)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	ends := make([]int, 12)
	for p := range ends {
		wg.Go(func() { ends[p] = feedPartition(t, l, int32(p), rows, 30_000) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(100 * time.Millisecond):
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		mu.Lock()
		peak = max(peak, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
		mu.Unlock()
	}
	total := 0
	for _, n := range ends {
		total += n
	}
	t.Logf("peak %d MiB over a budget of %d MiB, %d ranges", peak>>20, limit>>20, total)
	if peak > 3*limit {
		t.Errorf("%d MiB were held with a budget of %d MiB", peak>>20, limit>>20)
	}
	if total <= len(ends) {
		t.Errorf("%d ranges: the budget ended none", total)
	}
}

// feedPartition renders n records of four hours as the runtime would, and
// returns into how many ranges.
func feedPartition(t testing.TB, l *Lake, number int32, rows []*cdc.Row, n int) (ranges int) {
	part := sink.Partition{Topic: "t", TopicID: [16]byte{1}, Number: number}
	var r sink.Range
	end := func(offset int64) {
		if r == nil {
			return
		}
		if err := r.Complete(context.Background(), offset); err != nil {
			t.Error(err)
		}
		r.Discard()
		r = nil
		ranges++
	}
	batch := make([]*cdc.Record, 100)
	for offset := int64(0); offset < int64(n); offset += int64(len(batch)) {
		for i := range batch {
			batch[i] = recordAt(offset+int64(i), rows[(int(offset)+i)%len(rows)])
			batch[i].Route, batch[i].Timestamp = "t", noon.UnixMilli()+int64(i%4)*3_600_000
		}
		for rest := batch; len(rest) > 0; {
			if r == nil {
				r, _ = l.Open(part, offset, noon, false)
			}
			fit := r.Fit(noon, rest)
			if fit == 0 {
				end(rest[0].Offset)
				continue
			}
			if err := r.Append(rest[:fit]); err != nil {
				t.Error(err)
			}
			if err := r.Advance(context.Background()); err != nil {
				t.Error(err)
			}
			rest = rest[fit:]
		}
	}
	end(int64(n))
	return ranges
}
