package routing

import (
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// routesKept bounds how many topics a router remembers the route of.
const routesKept = 10_000

// router replaces the route by what a function makes of it, once per topic.
type router struct {
	route func(topic string) (string, error)
	known map[string]string
}

func newRouter(route func(string) (string, error)) *router {
	return &router{route: route, known: map[string]string{}}
}

// Apply routes r. A topic that the router has nothing to say of keeps its name.
func (t *router) Apply(r *cdc.Record) (bool, error) {
	to, ok := t.known[r.Route]
	if !ok {
		var err error
		if to, err = t.find(r.Route); err != nil {
			return false, err
		}
	}
	r.Route = to
	return true, nil
}

// find is the route of a topic that was not met before.
func (t *router) find(topic string) (string, error) {
	to, err := t.route(topic)
	if err != nil {
		return "", err
	}
	if len(t.known) >= routesKept {
		clear(t.known)
	}
	t.known[topic] = to
	return to, nil
}

// newRegexRouter is Kafka Connect's RegexRouter: a topic that matches as a
// whole takes the replacement's name.
func newRegexRouter(o *transform.Options) transform.Transform {
	r := newReplacement(o, "regex", "replacement")
	return newRouter(r.route)
}

// newByTable routes server.database.table to table.
func newByTable(*transform.Options) transform.Transform {
	return newRouter(func(topic string) (string, error) {
		return topic[strings.LastIndexByte(topic, '.')+1:], nil
	})
}

// newByDatabase routes server.database.table to server-database-table.
func newByDatabase(*transform.Options) transform.Transform {
	return newRouter(func(topic string) (string, error) {
		return strings.ReplaceAll(topic, ".", "-"), nil
	})
}

// compile compiles the expression that a property holds; nil where it is wrong.
func compile(o *transform.Options, property string) *Pattern {
	text := o.Need(property, "a Java regular expression")
	pattern, err := Compile(text)
	if err != nil {
		o.Fail(property, "a Java regular expression: "+err.Error())
		return nil
	}
	return pattern
}
