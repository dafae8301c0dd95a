package consumers

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/admin"
)

// progress is what a worker shows of itself; it is safe for concurrent use.
type progress struct {
	mu     sync.Mutex
	paused chan struct{} // not nil while paused; closed by resume
	failed *admin.Problem
	waits  *admin.Problem // what a running partition waits for
	replay replay
	lost   bool
	next   int64     // one past the last offset that was taken
	end    int64     // one past the last offset that can be read, -1 unknown
	oldest time.Time // of the record at hand, zero if there is none
	open   time.Time // of the first record of an open range, zero if there is none
	behind time.Time // since when there are records that were not fetched

	records, bytes, errors rate
}

func (p *progress) begin(start int64) { p.next, p.end = start, -1 }

// fail shows the partition as FAILED.
func (w *worker) fail(err error) {
	text, do, at := advice(err, w.lease)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = &admin.Problem{Text: text, Do: do, At: time.Now(), Record: at}
}

// recover shows the partition as running again.
func (p *progress) recover() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = nil
}

// waitsFor shows what a running partition waits for; "" for nothing.
func (p *progress) waitsFor(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case reason == "":
		p.waits = nil
	case p.waits == nil || p.waits.Text != reason:
		p.waits = &admin.Problem{Text: reason, At: time.Now()}
	}
}

// waitsAt shows what a running partition waits for at a record.
func (w *worker) waitsAt(raw *kgo.Record, why error) {
	do, at := orSkip("let the capture write its schemas again", raw)
	text := fmt.Sprintf("offset %d of %s-%d, key %s: %v, which no schema topic has", raw.Offset, raw.Topic, raw.Partition, shown(raw.Key), why)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits == nil || w.waits.Text != text {
		w.waits = &admin.Problem{Text: text, Do: do, At: time.Now(), Record: at}
	}
}

// lose says that the lease is lost, so that its last commit is not tried.
func (p *progress) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
}

func (p *progress) wasLost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// holds says that work on a record has begun that is not durable yet.
func (p *progress) holds(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oldest = r.Timestamp
}

// holdsSince says of when, in ms, the first record is that is in no file yet; 0:
// there is none.
func (p *progress) holdsSince(ms int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ms == 0:
		p.open = time.Time{}
	case p.open.IsZero():
		p.open = time.UnixMilli(ms)
	}
}

// took counts a batch that the flow has taken.
func (w *worker) took(b *batch) {
	now, n := time.Now(), b.count()
	w.mu.Lock()
	w.next, w.oldest = b.end, time.Time{}
	w.records.add(now, n)
	w.bytes.add(now, int(b.bytes))
	w.mu.Unlock()
	m, topic := w.runner.metrics, w.lease.Topic()
	m.records.WithLabelValues(topic).Add(float64(n))
	m.bytes.WithLabelValues(topic).Add(float64(b.bytes))
	m.batches.WithLabelValues(topic).Inc()
}

// countRejected counts a record that can never be written.
func (w *worker) countRejected(f *failure) {
	w.mu.Lock()
	w.errors.add(time.Now(), 1)
	w.mu.Unlock()
	w.runner.metrics.rejected.WithLabelValues(w.lease.Topic(), string(f.stage)).Inc()
	w.runner.logRejected(f)
}

// seen says how far the partition reaches.
func (p *progress) seen(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end = max(p.end, end); p.end <= p.next {
		p.behind = time.Time{}
	} else if p.behind.IsZero() {
		p.behind = time.Now()
	}
}

// setPaused pauses or resumes.
func (p *progress) setPaused(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case paused && p.paused == nil:
		p.paused = make(chan struct{})
	case !paused && p.paused != nil:
		close(p.paused)
		p.paused = nil
	}
}

// pausedUntil is closed when the partition goes on; nil if it is not paused.
func (p *progress) pausedUntil() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// task is the partition as the status shows it.
func (w *worker) task() admin.Task {
	committed := w.committed()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := admin.Task{
		State:     admin.Running,
		Partition: &admin.Partition{Topic: w.lease.Topic(), Partition: w.lease.Partition(), Committed: committed, End: w.end},
		Lag:       admin.Lag{Records: -1},
		Problem:   w.waits,
	}
	if t.Problem == nil && w.next < w.replay.to {
		t.Problem = w.replay.problem
	}
	if w.end >= 0 {
		from := committed
		if from < 0 {
			from = w.lease.Start()
		}
		t.Lag.Records = max(0, w.end-from)
	}
	if t.Lag.Records != 0 {
		t.Lag.Seconds = w.age(now)
	}
	switch {
	case w.failed != nil:
		t.State, t.Problem, t.Trace = admin.Failed, w.failed, w.failed.Text
	case w.paused != nil:
		t.State = admin.Paused
	}
	return t
}

// age is how long the oldest record that is not done has been there, as far as
// is known; w.mu is held.
func (w *worker) age(now time.Time) float64 {
	since := w.open
	if since.IsZero() {
		since = w.oldest
	}
	if ms, ok := w.inbox.first(); ok && since.IsZero() {
		since = time.UnixMilli(ms)
	}
	if since.IsZero() {
		since = w.behind
	}
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

// committed is the lease's committed offset, or the last known one while a
// commit is on its way.
func (w *worker) committed() int64 { return w.lease.offset.Load() }

// rate is a sum over the last minute, in slots of five seconds.
type rate struct {
	sums [12]int
	at   int64 // the slot that was last added to, since the epoch
}

const rateSlot = 5 * time.Second

func (r *rate) add(now time.Time, n int) {
	r.forget(now)
	r.sums[r.at%int64(len(r.sums))] += n
}

// forget drops the slots that are over.
func (r *rate) forget(now time.Time) {
	slot := now.UnixNano() / int64(rateSlot)
	for i := max(r.at+1, slot-int64(len(r.sums))+1); i <= slot; i++ {
		r.sums[i%int64(len(r.sums))] = 0
	}
	r.at = max(r.at, slot)
}

// minute is the sum over the last minute.
func (r *rate) minute(now time.Time) (sum int) {
	r.forget(now)
	for _, n := range r.sums {
		sum += n
	}
	return sum
}
