package consumers

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordOverhead is about what a fetched record takes beside its key and value.
const recordOverhead = 160

// inbox holds what was fetched for one partition and not taken yet. Putting
// never blocks, so that the poll loop cannot wait for a worker that waits for a
// rebalance; instead fetching is paused above a bound of bytes, and resumed
// when half of that is taken.
type inbox struct {
	pause, resume func()
	wake          chan struct{} // has room for one

	mu     sync.Mutex
	chunks [][]*kgo.Record
	bytes  int64
	bound  int64
	paused bool
	closed bool
}

func newInbox(bound int64, pause, resume func()) *inbox {
	return &inbox{pause: pause, resume: resume, wake: make(chan struct{}, 1), bound: bound}
}

// put takes over records.
func (in *inbox) put(records []*kgo.Record) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || len(records) == 0 {
		return
	}
	in.chunks = append(in.chunks, records)
	for _, r := range records {
		in.bytes += sizeOf(r)
	}
	in.throttle()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take moves records to dst while more says so.
func (in *inbox) take(dst []*kgo.Record, more func(*kgo.Record) bool) []*kgo.Record {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.chunks) > 0 {
		chunk := in.chunks[0]
		n := 0
		for n < len(chunk) && more(chunk[n]) {
			in.bytes -= sizeOf(chunk[n])
			dst = append(dst, chunk[n])
			n++
		}
		if n < len(chunk) {
			in.chunks[0] = chunk[n:]
			break
		}
		in.chunks[0] = nil
		in.chunks = in.chunks[1:]
	}
	in.throttle()
	return dst
}

// back puts records that were taken in front again; it copies them.
func (in *inbox) back(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, r := range records {
		in.bytes += sizeOf(r)
	}
	in.chunks = append([][]*kgo.Record{append([]*kgo.Record(nil), records...)}, in.chunks...)
}

// clear drops what is there.
func (in *inbox) clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.chunks, in.bytes = nil, 0
	in.throttle()
}

// limit changes the bound.
func (in *inbox) limit(bound int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bound = bound
	in.throttle()
}

// throttle pauses and resumes fetching; in.mu is held.
func (in *inbox) throttle() {
	switch {
	case in.closed:
	case !in.paused && in.bytes > in.bound:
		in.paused = true
		in.pause()
	case in.paused && in.bytes <= in.bound/2:
		in.paused = false
		in.resume()
	}
}

// close drops what is left and takes no more.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.chunks, in.bytes = true, nil, 0
}

// size is how many bytes wait.
func (in *inbox) size() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bytes
}

// first is the time, in ms, of the first record that waits; false if none does.
func (in *inbox) first() (ms int64, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.chunks) == 0 {
		return 0, false
	}
	return in.chunks[0][0].Timestamp.UnixMilli(), true
}

func sizeOf(r *kgo.Record) int64 { return int64(len(r.Key)+len(r.Value)) + recordOverhead }
