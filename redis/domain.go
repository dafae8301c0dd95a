package redis

import (
	"context"
	"fmt"

	"github.com/weir-cdc/weir/internal/sink"
)

// DomainError says that a topic's versions cannot be compared with those that
// the keys have.
type DomainError struct{ Prefix, Topic, Has, Came string }

// Error says what to do.
func (e *DomainError) Error() string {
	if sink.Repartitioned(e.Has, e.Came) {
		return fmt.Sprintf("the keys under %q hold offsets of topic %s as versions, and the topic has got partitions since (%q, now %q): no offset says any more which change of a key is the newer one; set version.source=record-time, and write under another cache.prefix or delete these keys (and %sweir:*)",
			e.Prefix, e.Topic, e.Has, e.Came, e.Prefix)
	}
	return fmt.Sprintf("the keys under %q hold versions of %q from topic %s, and records now have versions of %q, which cannot be compared: every write would be refused as older; write under another cache.prefix, delete these keys (and %sweir:*), or set version.source=record-time for both",
		e.Prefix, e.Has, e.Topic, e.Came, e.Prefix)
}

// domainKey is the hash that says, per topic, what the versions under a prefix
// count.
func domainKey(prefix string) string { return prefix + "weir:domain" }

// admit checks that the versions of a topic can be compared with those under
// the prefix; the first record of a topic decides what they count.
func (s *Sink) admit(ctx context.Context, prefix, topic, domain string) error {
	at := claim{prefix, topic}
	s.mu.Lock()
	has := s.domains[at]
	s.mu.Unlock()
	if has == "" {
		key := domainKey(prefix)
		if _, err := s.client.HSetNX(ctx, key, topic, domain).Result(); err != nil {
			return fmt.Errorf("writing down what versions under %q count: %w", prefix, err)
		}
		var err error
		if has, err = s.client.HGet(ctx, key, topic).Result(); err != nil {
			return fmt.Errorf("reading what versions under %q count: %w", prefix, err)
		}
		if sink.Continues(has, domain) {
			if err := s.client.HSet(ctx, key, topic, domain).Err(); err != nil {
				return fmt.Errorf("writing down what versions under %q count: %w", prefix, err)
			}
			has = domain
		}
		s.mu.Lock()
		s.domains[at] = has
		s.mu.Unlock()
	}
	if has != domain {
		// To try again would refuse everything as older.
		return &sink.Stopped{Reason: &DomainError{Prefix: prefix, Topic: topic, Has: has, Came: domain}}
	}
	return nil
}

// claim is a topic under a prefix.
type claim struct{ prefix, topic string }
