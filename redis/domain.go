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
		var err error
		if has, err = s.claimDomain(ctx, at, domain); err != nil {
			return err
		}
		s.keepDomain(at, has)
	}
	if has != domain {
		// To try again would refuse everything as older.
		return &sink.Stopped{Reason: &DomainError{Prefix: prefix, Topic: topic, Has: has, Came: domain}}
	}
	return nil
}

// claimDomain writes down what the versions of a topic count, unless it is known,
// and returns what is written down then.
func (s *Sink) claimDomain(ctx context.Context, at claim, domain string) (string, error) {
	key := domainKey(at.prefix)
	if _, err := s.client.HSetNX(ctx, key, at.topic, domain).Result(); err != nil {
		return "", fmt.Errorf("writing down what versions under %q count: %w", at.prefix, err)
	}
	has, err := s.client.HGet(ctx, key, at.topic).Result()
	if err != nil {
		return "", fmt.Errorf("reading what versions under %q count: %w", at.prefix, err)
	}
	if !sink.Continues(has, domain) {
		return has, nil
	}
	if err := s.client.HSet(ctx, key, at.topic, domain).Err(); err != nil {
		return "", fmt.Errorf("writing down what versions under %q count: %w", at.prefix, err)
	}
	return domain, nil
}

// keepDomain remembers what was read.
func (s *Sink) keepDomain(at claim, domain string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.domains) >= routesKept {
		clear(s.domains)
	}
	s.domains[at] = domain
}

// forgetDomains has them written down again where they are not there any more:
// after a loss, they may be part of it.
func (s *Sink) forgetDomains() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.domains)
}

// claim is a topic under a prefix.
type claim struct{ prefix, topic string }
