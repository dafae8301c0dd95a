package redis

import "github.com/redis/go-redis/v9"

// Prefix is what the keys of a route begin with.
func (s *Sink) Prefix(route string) string { return s.prefixOf(route) }

// Client is the sink's connection, for tools that read. Close ends it.
func (s *Sink) Client() redis.UniversalClient { return s.client }
