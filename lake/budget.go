package lake

import (
	"context"
	"sync"
)

// budget bounds what all open ranges hold in memory together. When they hold
// more, the largest are told to end, and the others wait before they take more.
type budget struct {
	limit int

	mu      sync.Mutex
	total   int
	holders map[*rendering]int
	changed chan struct{} // closed, and replaced, whenever total falls
}

func newBudget(limit int) *budget {
	return &budget{limit: limit, holders: map[*rendering]int{}, changed: make(chan struct{})}
}

// hold says that r now holds n bytes.
func (b *budget) hold(r *rendering, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(r, n)
	b.choose()
}

// release takes r off the books.
func (b *budget) release(r *rendering) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(r, 0)
	delete(b.holders, r)
}

func (b *budget) set(r *rendering, n int) {
	was := b.holders[r]
	b.holders[r] = n
	b.total += n - was
	if n < was {
		close(b.changed)
		b.changed = make(chan struct{})
	}
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
		free := b.total <= b.limit || r.redo || r.forced.Load()
		changed := b.changed
		b.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
