package consumers

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// recordOverhead is about what a fetched record takes beside its key and value.
	recordOverhead = 160
	// decodedOverhead is about what it takes in addition once it is in a batch:
	// the slot it is decoded into.
	decodedOverhead = 1280
)

// inbox holds what was fetched for one partition and not taken yet, and counts
// what is in memory of it. Putting never blocks, so that the poll loop
// cannot wait for a worker that waits for a rebalance; instead fetching is
// paused above a bound of bytes, and resumed when half of that is taken. What
// all inboxes hold together is bounded, too: see ahead, whose lock guards all of
// it.
type inbox struct {
	ahead         *ahead
	pause, resume func()
	wake          chan struct{} // has room for one

	chunks []*chunk
	taken  []*chunk // to the end; some of their records are not done
	bytes  int64    // that wait
	bound  int64    // of bytes
	held   int64    // in memory: a chunk is until the last of its records is done
	slots  int64    // of held: what the batch at hand is decoded into
	full   bool     // bytes went over bound, and not yet below half of it
	broken bool     // it cannot be fetched any more
	rests  int      // refusals that are not over
	left   bool     // the lease has ended: another one may read the partition
	paused bool
	closed bool
	fed    bool // records have come
}

func (a *ahead) newInbox(pause, resume func()) *inbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	in := &inbox{ahead: a, pause: pause, resume: resume, wake: make(chan struct{}, 1), bound: a.bound}
	a.inboxes[in] = struct{}{}
	in.throttle()
	return in
}

// put copies records and gives their own memory back.
func (in *inbox) put(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	c := newChunk(records)
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	if in.closed {
		return
	}
	in.chunks = append(in.chunks, c)
	in.fed = true
	in.bytes += c.size
	in.hold(c.size)
	in.ahead.came(in)
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// hold counts n bytes more, or less, that are in memory; the lock is held.
func (in *inbox) hold(n int64) {
	in.held += n
	in.ahead.bytes += n
}

// take moves records to dst while more says so.
func (in *inbox) take(dst []*kgo.Record, more func(*kgo.Record) bool) []*kgo.Record {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	for len(in.chunks) > 0 {
		c := in.chunks[0]
		for len(c.list) > 0 && more(c.list[0]) {
			size := sizeOf(c.list[0])
			in.bytes -= size
			in.slots += decodedOverhead
			in.hold(decodedOverhead)
			dst = append(dst, c.list[0])
			c.list = c.list[1:]
		}
		if len(c.list) > 0 {
			break
		}
		in.taken = append(in.taken, c)
		in.chunks[0] = nil
		in.chunks = in.chunks[1:]
	}
	in.ahead.changed(in)
	return dst
}

// back puts records that were taken in front again; it copies the list.
func (in *inbox) back(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	again := &chunk{list: append([]*kgo.Record(nil), records...)}
	for _, r := range records {
		in.bytes += sizeOf(r)
		in.slots -= decodedOverhead
		in.hold(-decodedOverhead)
	}
	for i, c := range in.taken { // they have these records: their memory is not used again
		again.size += c.size
		in.taken[i] = nil
	}
	in.taken = in.taken[:0]
	in.chunks = append([]*chunk{again}, in.chunks...)
}

// wasFed reports whether records have come since the inbox was made.
func (in *inbox) wasFed() bool {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	return in.fed
}

// clear drops what waits.
func (in *inbox) clear() {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	for _, c := range in.chunks {
		in.hold(-c.size)
	}
	in.chunks, in.bytes = nil, 0
	in.ahead.changed(in)
}

// done says that nothing of what was taken is needed any more.
func (in *inbox) done() {
	freed := int64(0)
	for i, c := range in.taken { // of the worker alone
		freed += c.size
		c.free()
		in.taken[i] = nil
	}
	in.taken = in.taken[:0]
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	if in.slots == 0 {
		return
	}
	in.hold(-freed - in.slots)
	in.slots = 0
	in.ahead.changed(in)
}

// most is how much a batch may hold.
func (in *inbox) most() int64 {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	return in.bound
}

// leave lets go of the partition, whose next lease may have begun before this one's
// worker ends. What is held still counts.
func (in *inbox) leave() {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	in.left = true
}

// end stops fetching for good.
func (in *inbox) end() {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	in.broken = true
	in.throttle()
}

// rest stops fetching for a while.
func (in *inbox) rest(d time.Duration) {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	in.rests++
	in.throttle()
	time.AfterFunc(d, func() {
		in.ahead.mu.Lock()
		defer in.ahead.mu.Unlock()
		in.rests--
		in.throttle()
	})
}

// throttle pauses and resumes fetching; the lock is held.
func (in *inbox) throttle() {
	switch {
	case in.bytes > in.bound:
		in.full = true
	case in.bytes <= in.bound/2:
		in.full = false
	}
	pause := in.full || in.broken || in.rests > 0 || in.ahead.keepsOut(in)
	switch {
	case in.closed || in.left || pause == in.paused:
	case pause:
		in.paused = true
		in.pause()
	default:
		in.paused = false
		in.resume()
	}
}

// close drops what is left and takes no more.
func (in *inbox) close() {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	if in.closed {
		return
	}
	in.closed = true
	delete(in.ahead.inboxes, in)
	in.hold(-in.held)
	in.chunks, in.taken, in.bytes, in.slots = nil, nil, 0, 0
	in.ahead.changed(in)
}

// size is how many bytes wait.
func (in *inbox) size() int64 {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	return in.bytes
}

// first is the time, in ms, of the first record that waits; false if none does.
func (in *inbox) first() (ms int64, ok bool) {
	in.ahead.mu.Lock()
	defer in.ahead.mu.Unlock()
	if len(in.chunks) == 0 {
		return 0, false
	}
	return in.chunks[0].list[0].Timestamp.UnixMilli(), true
}

func sizeOf(r *kgo.Record) int64 { return int64(len(r.Key)+len(r.Value)) + recordOverhead }
