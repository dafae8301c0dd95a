package transform

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Sharer is a Transform whose clones for other goroutines have something in
// common: connections, a cache, a table in memory. A Chain's Clone calls it.
type Sharer interface {
	// Share makes the receiver use what original, a transform of the same class
	// and properties, has. It is called before Start; closing the receiver then
	// leaves the common part open, which original's Close ends.
	Share(original Transform)
}

// Clone compiles the chain once more, for another goroutine. Transforms that
// are Sharers share with those of c, which therefore has to be closed after its
// clones.
func (c *Chain) Clone() (*Chain, error) {
	clone, err := c.make()
	if err != nil {
		return nil, err
	}
	for i := range clone.links {
		if s, ok := clone.links[i].transform.(Sharer); ok {
			s.Share(c.links[i].transform)
		}
	}
	return clone, nil
}

// Name is the name of the transform or predicate in the configuration.
func (o *Options) Name() string {
	_, name, _ := strings.Cut(strings.TrimSuffix(o.prefix, "."), ".")
	return name
}

// Under maps the rests of the names that begin with prefix to their texts, for
// what has property names of its own.
func (o *Options) Under(prefix string) map[string]string {
	under := map[string]string{}
	for name, text := range o.given {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			o.asked[name] = true
			under[rest] = text
		}
	}
	return under
}

// Registered registers c, or returns the collector like it that is registered
// already: transforms of one class, and their clones, count together.
func Registered[C prometheus.Collector](registry prometheus.Registerer, c C) C {
	var known prometheus.AlreadyRegisteredError
	err := registry.Register(c)
	if errors.As(err, &known) {
		if other, ok := known.ExistingCollector.(C); ok {
			return other
		}
	}
	if err != nil {
		panic(err) // two metrics of one name: a mistake in the program
	}
	return c
}
