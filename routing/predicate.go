package routing

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// filter drops every record that reaches it: Kafka Connect's Filter, which is
// of use with a predicate only.
type filter struct{}

func newFilter(*transform.Options) transform.Transform { return filter{} }

// Apply drops r.
func (filter) Apply(*cdc.Record) (bool, error) { return false, nil }

// topicNameMatches holds for records whose topic matches an expression.
type topicNameMatches struct {
	pattern *Pattern
	known   map[string]bool
}

func newTopicNameMatches(o *transform.Options) transform.Predicate {
	return &topicNameMatches{pattern: compile(o, "pattern"), known: map[string]bool{}}
}

// Test reports whether the topic that r is for matches; an expression that
// takes too long does not.
func (p *topicNameMatches) Test(r *cdc.Record) bool {
	matches, ok := p.known[r.Route]
	if !ok {
		matches, _ = p.pattern.Match(r.Route)
		if len(p.known) >= routesKept {
			clear(p.known)
		}
		p.known[r.Route] = matches
	}
	return matches
}

// hasHeaderKey holds for records with a header of a name.
type hasHeaderKey struct{ name string }

func newHasHeaderKey(o *transform.Options) transform.Predicate {
	return &hasHeaderKey{name: o.Need("name", "the name of a header")}
}

// Test reports whether r has the header.
func (p *hasHeaderKey) Test(r *cdc.Record) bool {
	for i := range r.Headers {
		if r.Headers[i].Key == p.name {
			return true
		}
	}
	return false
}

// recordIsTombstone holds for records without a value.
type recordIsTombstone struct{}

func newRecordIsTombstone(*transform.Options) transform.Predicate { return recordIsTombstone{} }

// Test reports whether r has no value.
func (recordIsTombstone) Test(r *cdc.Record) bool { return r.Tombstone || r.Value == nil && r.Envelope == nil }
