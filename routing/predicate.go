package routing

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// filter drops every record that reaches it: Kafka Connect's Filter, which is
// of use with a predicate only.
type filter struct{}

// newFilter is Kafka Connect's Filter. It has no properties there; with a
// condition it is taken for Debezium's, which is what was meant.
func newFilter(o *transform.Options) transform.Transform {
	if o.Text("condition", "") == "" {
		return filter{}
	}
	o.Notice("condition", "Kafka Connect's Filter has no condition: records are kept of which it is true, as io.debezium.transforms.Filter does")
	return newContentFilter(o)
}

// Apply drops r.
func (filter) Apply(*cdc.Record) (bool, error) { return false, nil }

// topics remembers which topics an expression matches.
type topics struct {
	pattern *Pattern
	known   map[string]bool
}

func newTopics(o *transform.Options, property string) *topics {
	return &topics{pattern: compile(o, property), known: map[string]bool{}}
}

// match reports whether the whole of a topic's name matches. The error is a
// match that took too long.
func (t *topics) match(topic string) (bool, error) {
	matches, ok := t.known[topic]
	if ok {
		return matches, nil
	}
	matches, err := t.pattern.Match(topic)
	if err != nil {
		return false, err
	}
	if len(t.known) >= routesKept {
		clear(t.known)
	}
	t.known[topic] = matches
	return matches, nil
}

// topicNameMatches holds for records whose topic matches an expression.
type topicNameMatches struct {
	topics  *topics
	endless map[string]bool // topics on which the expression takes too long
}

func newTopicNameMatches(o *transform.Options) transform.Predicate {
	return &topicNameMatches{topics: newTopics(o, "pattern"), endless: map[string]bool{}}
}

// Test reports whether the topic that r is for matches. An expression that takes
// too long on a topic does not match it, then and for all records to come: how
// busy the machine is must not decide which records a transform sees.
func (p *topicNameMatches) Test(r *cdc.Record) bool {
	if p.endless[r.Route] {
		return false
	}
	matches, err := p.topics.match(r.Route)
	if err != nil {
		p.endless[r.Route] = true
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

// Test reports whether r's value is null.
func (recordIsTombstone) Test(r *cdc.Record) bool { return transform.IsNull(r) }
