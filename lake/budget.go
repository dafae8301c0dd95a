package lake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-cdc/weir/internal/sink"
)

// budget bounds what all open ranges hold in memory together. When they hold
// more, the largest are told to end, and the others wait before they take more.
//
// A range may not come to its end: its partition waits for a person, or for a
// server that is down. The others go on all the same, with smaller files: after
// patience such a range is not counted on, and who waits that long ends itself.
//
// A range that is being rendered again cannot end early, so it may have to take
// more than there is. Only one may at a time, or a process that takes over the
// partitions of several would hold what they all held.
type budget struct {
	limit    int
	patience time.Duration

	mu      sync.Mutex
	total   int
	holders map[*rendering]int
	told    map[*rendering]time.Time // when they were told to end
	changed chan struct{}            // closed, and replaced, whenever total falls
	beyond  *rendering               // may take more than there is
	moved   time.Time                // when beyond last took some
}

// patience is about how long a range takes to end.
const patience = 5 * time.Second

func newBudget(limit int) *budget {
	return &budget{limit: limit, patience: patience, holders: map[*rendering]int{}, told: map[*rendering]time.Time{}, changed: make(chan struct{})}
}

// hold says that r now holds n bytes.
func (b *budget) hold(r *rendering, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(r, n)
	b.choose()
}

// release says that r holds nothing any more.
func (b *budget) release(r *rendering) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(r, 0)
	delete(b.holders, r)
	delete(b.told, r)
	if b.beyond == r {
		b.beyond = nil
		b.tell()
	}
}

func (b *budget) set(r *rendering, n int) {
	was := b.holders[r]
	b.holders[r] = n
	b.total += n - was
	if n < was {
		b.tell()
	}
}

// tell wakes those who wait.
func (b *budget) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// goesBeyond reports whether r is the one that may take more than there is; the
// lock is held.
func (b *budget) goesBeyond(r *rendering) bool {
	if r.redo && (b.beyond == nil || b.beyond == r || time.Since(b.moved) > b.patience) {
		b.beyond, b.moved = r, time.Now()
	}
	return b.beyond == r
}

// choose tells as many of the largest ranges to end as the excess needs. One
// that is being rendered again has a fixed end and is left alone.
func (b *budget) choose() {
	excess := b.total - b.limit
	for r, n := range b.holders {
		if r.forced.Load() && time.Since(b.told[r]) < b.patience {
			excess -= n
		}
	}
	for excess > 0 {
		var largest *rendering
		for r, n := range b.holders {
			if !r.redo && !r.forced.Load() && (largest == nil || n > b.holders[largest]) {
				largest = r
			}
		}
		if largest == nil || b.holders[largest] == 0 {
			return
		}
		b.end(largest)
		excess -= b.holders[largest]
	}
}

// end tells r to end; the lock is held.
func (b *budget) end(r *rendering) {
	if !r.forced.Swap(true) {
		b.told[r] = time.Now()
	}
}

// wait returns once there is room for r to take more, or r itself is to end.
func (b *budget) wait(ctx context.Context, r *rendering) error {
	began := time.Now()
	for {
		changed := b.room(r, time.Since(began) >= b.patience)
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(b.patience / 5):
			sink.Waits(ctx, b.reason())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// room returns nil if r may take more, or is to end, else what is closed when that
// may have changed. One that has waited long is told to end, if it can.
func (b *budget) room(r *rendering, long bool) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.choose()
	if b.total <= b.limit || r.forced.Load() || b.goesBeyond(r) {
		return nil
	}
	if long && !r.redo {
		b.end(r)
		return nil
	}
	return b.changed
}

// reason is what a range waits for.
func (b *budget) reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var largest *rendering
	for r, n := range b.holders {
		if largest == nil || n > b.holders[largest] {
			largest = r
		}
	}
	if largest == nil {
		return "waiting for memory"
	}
	return fmt.Sprintf("waiting for memory: open files hold %d bytes, max.buffered.bytes is %d, and %s-%d has most, %d",
		b.total, b.limit, largest.part.Topic, largest.part.Number, b.holders[largest])
}
