package enrich

import (
	"hash/maphash"
	"sync"
)

// lookupCache keeps what was found, the least recently used going first. It is
// safe for concurrent use: the clones of a transform share it.
type lookupCache struct {
	seed   maphash.Seed
	shards []cacheShard
}

// cacheShard is a part of the cache with a lock of its own.
type cacheShard struct {
	mu      sync.Mutex
	entries map[string]*cacheEntry
	used    cacheEntry // the ring's head: used.next is the most recently used
	limit   int
	bytes   int
}

// cacheEntry is an element of the ring.
type cacheEntry struct {
	key        string
	found      *found
	prev, next *cacheEntry
}

const (
	cacheShards   = 16
	smallestShard = 256 // entries; a smaller cache is not divided
)

// newLookupCache makes a cache of at most size entries.
func newLookupCache(size int) *lookupCache {
	n := 1
	if size >= cacheShards*smallestShard {
		n = cacheShards
	}
	c := &lookupCache{seed: maphash.MakeSeed(), shards: make([]cacheShard, n)}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries, s.limit = map[string]*cacheEntry{}, (size+n-1)/n
		s.used.prev, s.used.next = &s.used, &s.used
	}
	return c
}

func (c *lookupCache) shard(key []byte) *cacheShard {
	if len(c.shards) == 1 {
		return &c.shards[0]
	}
	return &c.shards[maphash.Bytes(c.seed, key)%uint64(len(c.shards))]
}

// get is what is known of key at the time now (ns), or nil.
func (c *lookupCache) get(key []byte, now int64) *found {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[string(key)]
	if e == nil || e.found.expires <= now {
		return nil
	}
	s.touch(e)
	return e.found
}

// put keeps f for key, in place of what was there.
func (c *lookupCache) put(key string, f *found) {
	s := c.shard([]byte(key))
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	switch {
	case e != nil:
		s.bytes -= e.size()
	case len(s.entries) >= s.limit:
		e = s.used.prev
		s.bytes -= e.size()
		delete(s.entries, e.key)
		e.unlink()
	default:
		e = &cacheEntry{}
	}
	e.key, e.found = key, f
	s.entries[key] = e
	s.bytes += e.size()
	s.touch(e)
}

// touch makes e the most recently used.
func (s *cacheShard) touch(e *cacheEntry) {
	if s.used.next == e {
		return
	}
	e.unlink()
	e.prev, e.next = &s.used, s.used.next
	e.prev.next, e.next.prev = e, e
}

func (e *cacheEntry) unlink() {
	if e.prev != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.prev, e.next = nil, nil
	}
}

// entryOverhead is about what an entry takes besides key and values.
const entryOverhead = 200

func (e *cacheEntry) size() int { return entryOverhead + len(e.key) + e.found.size }

// held is how many entries the cache has, and about how many bytes they take.
func (c *lookupCache) held() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries, bytes = entries+len(s.entries), bytes+s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}
