package lake

import (
	"context"
	"sync"
	"time"
)

// budget bounds what all open ranges hold in memory together. When they hold
// more, the largest are told to end, and the others wait before they take more.
//
// A range that is being rendered again cannot end early, so it may have to take
// more than there is. Only one may at a time, or a process that takes over the
// partitions of several would hold what they all held.
type budget struct {
	limit    int
	patience time.Duration // with the one that takes more and gets nowhere

	mu      sync.Mutex
	total   int
	holders map[*rendering]int
	changed chan struct{} // closed, and replaced, whenever total falls
	beyond  *rendering    // may take more than there is
	moved   time.Time     // when beyond last took some
}

// beyondPatience is the patience unless a test has another.
const beyondPatience = 10 * time.Second

func newBudget(limit int) *budget {
	return &budget{limit: limit, patience: beyondPatience, holders: map[*rendering]int{}, changed: make(chan struct{})}
}

// hold says that r now holds n bytes.
func (b *budget) hold(r *rendering, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.beyond == r {
		b.moved = time.Now()
	}
	b.set(r, n)
	b.choose()
}

// release takes r off the books.
func (b *budget) release(r *rendering) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(r, 0)
	delete(b.holders, r)
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

// goesBeyond reports whether r is the one that may take more than there is.
func (b *budget) goesBeyond(r *rendering) bool {
	if r.redo && (b.beyond == nil || time.Since(b.moved) > b.patience) {
		b.beyond, b.moved = r, time.Now()
	}
	return b.beyond == r
}

// choose tells as many of the largest ranges to end as the excess needs. One
// that is being rendered again has a fixed end and is left alone.
func (b *budget) choose() {
	excess := b.total - b.limit
	for r, n := range b.holders {
		if r.forced.Load() {
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
		largest.forced.Store(true)
		excess -= b.holders[largest]
	}
}

// wait returns once there is room for r to take more, or r itself is to end.
func (b *budget) wait(ctx context.Context, r *rendering) error {
	for {
		b.mu.Lock()
		b.choose()
		free := b.total <= b.limit || r.forced.Load() || b.goesBeyond(r)
		changed := b.changed
		b.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(b.patience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
