package elasticsearch

import (
	"context"
	"sync"
)

// inflight keeps two operations of one document from being unacknowledged at
// the same time: the server keeps a delete's version in memory only, and for a
// while, so an older write that overtakes a delete would bring the document
// back.
type inflight struct {
	mu   sync.Mutex
	busy map[uint64]chan struct{} // hash of index and id → closed when free again
}

func newInflight() *inflight { return &inflight{busy: map[uint64]chan struct{}{}} }

// acquire waits until none of the documents is busy and makes all of them so;
// the function that it returns frees them. Documents are hashes without
// duplicates; two with the same hash wait for each other for nothing, that is
// all. It takes all or none, so two calls cannot wait for each other.
func (f *inflight) acquire(ctx context.Context, documents []uint64) (release func(), err error) {
	for {
		wait := f.try(documents)
		if wait == nil {
			break
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() { f.release(documents) }, nil
}

// try takes all documents, or returns what to wait for.
func (f *inflight) try(documents []uint64) (wait chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range documents {
		if wait = f.busy[d]; wait != nil {
			return wait
		}
	}
	done := make(chan struct{})
	for _, d := range documents {
		f.busy[d] = done
	}
	return nil
}

func (f *inflight) release(documents []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, d := range documents {
		if i == 0 {
			close(f.busy[d])
		}
		delete(f.busy, d)
	}
}
