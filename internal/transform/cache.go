package transform

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Cache keeps what is decided once for all goroutines, such as what becomes of
// a schema. Reading takes no lock: the map is replaced when something is added,
// which is rare. The zero Cache is empty.
type Cache[K comparable, V any] struct {
	all atomic.Pointer[map[K]V]
	mu  sync.Mutex // held to add
}

// Of is what is kept for the key, or else what decide says.
func (c *Cache[K, V]) Of(key K, decide func() V) V {
	if known := c.all.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]V{}
	if known := c.all.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
		next = maps.Clone(*known)
	}
	v := decide()
	next[key] = v
	c.all.Store(&next)
	return v
}
