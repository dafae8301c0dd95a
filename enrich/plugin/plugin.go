// Package plugin is how Go code outside of Weir's module adds a transform to
// Weir's binaries: a package registers a class in its init function, and a
// small main, which imports it beside one of Weir's packages cmd/run/…, is the
// binary that knows the class. docs/examples/gotransform is such a package and
// main. What is exported here stays as it is within a major version.
package plugin

import (
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// Transform changes records one at a time. It is used by one goroutine; there is
// one for each partition that is read. It may also be a Starter, a Mover and an
// io.Closer.
type Transform interface {
	// Apply changes r. An error, or a panic, rejects r alone: it stops its
	// partition or goes to the dead letters, as errors.tolerance says. Records
	// are processed again after a crash, so Apply had better do nothing but
	// compute. r and what it returns are valid until Apply returns.
	Apply(r *Record) error
}

// Starter is a Transform that is told when work begins, before its first record.
type Starter interface {
	Start(env Env) error
}

// Env is what a Starter gets.
type Env struct {
	Log *zap.Logger
	// Metrics are those of the component. Clones of one transform register in
	// the same place: take prometheus.AlreadyRegisteredError for what it is.
	Metrics prometheus.Registerer
}

// Mover is a Transform that says whether it decides by a row's content about
// SetTopic, Drop or a key. If so, which is assumed of one that is no Mover, an
// update's row before the change goes through the chain, too, and is deleted
// from where the update no longer goes. A Transform that only adds and changes
// fields saves that by returning false.
type Mover interface {
	Moves() bool
}

// Register makes a class known to configurations, under transforms.<name>.type.
// build makes a Transform of its properties, also to check a configuration; it
// reports what is wrong with them by the methods of Options. Register is for
// init functions. It panics if the class is taken.
func Register(class string, build func(*Options) Transform) {
	if _, taken := enrich.Classes.Transforms[class]; taken || class == "" {
		panic(fmt.Sprintf("registering transform %q: the name is taken", class))
	}
	enrich.Classes.Transforms[class] = func(o *transform.Options) transform.Transform {
		return &adapter{user: build(&Options{o})}
	}
}

// adapter is a user's Transform as Weir's chains see it.
type adapter struct {
	user   Transform
	record Record
	plans  changes
}

// Start starts the user's Transform, if it wants that.
func (a *adapter) Start(env transform.Env) error {
	if s, ok := a.user.(Starter); ok {
		return s.Start(Env{Log: env.Log, Metrics: env.Metrics})
	}
	return nil
}

// Close closes the user's Transform, if it is an io.Closer.
func (a *adapter) Close() error {
	if c, ok := a.user.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// DependsOnRow reports what a Mover says, and true of others.
func (a *adapter) DependsOnRow() bool {
	m, ok := a.user.(Mover)
	return !ok || m.Moves()
}

// Apply hands r to the user's Transform.
func (a *adapter) Apply(r *cdc.Record) (keep bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			keep, err = false, fmt.Errorf("the transform panicked: %v", p)
		}
	}()
	if a.plans == nil {
		a.plans = changes{}
	}
	a.record.set(r, a.plans)
	err = a.user.Apply(&a.record)
	return !a.record.dropped, err
}
