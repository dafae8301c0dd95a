// Package transform runs a chain of Kafka Connect's single message transforms
// over records: the order, the predicates and the errors. What the transforms
// do is in packages routing and enrich, which register their classes here by
// being given to New.
package transform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

// Transform changes records one at a time, in place.
type Transform interface {
	// Apply changes r, or reports that it is dropped. An error rejects r alone.
	// What r points to may be changed; what a Transform adds has to live as long
	// as the batch, which r's own rows do.
	Apply(r *cdc.Record) (keep bool, err error)
}

// Batch is a Transform that gains from seeing many records at once, as one that
// asks a server does.
type Batch interface {
	Transform
	// ApplyAll does to each record what Apply does. verdicts has one item a
	// record, which says that it is kept. An error is one of the whole batch:
	// the chain is then applied anew to the records as they were.
	ApplyAll(ctx context.Context, records []*cdc.Record, verdicts []Verdict) error
}

// Verdict is what becomes of one record.
type Verdict struct {
	Drop bool
	Err  error // rejects the record
}

// Starter is a Transform that has to reach something before the first record,
// or counts what it does. The chain closes it at its end if it is an io.Closer.
type Starter interface {
	Start(env Env) error
}

// Env is what a running component gives its transforms.
type Env struct {
	Log     *zap.Logger
	Metrics prometheus.Registerer
	// Waits is told what a transform waits for, such as a server that does not
	// answer, and "" when it no longer does; nil: nobody wants to know.
	Waits func(reason string)
}

// Predicate decides whether a transform is applied to a record.
type Predicate interface {
	Test(r *cdc.Record) bool
}

// Options are the properties of one transform or predicate, without their
// prefix. What was not asked for when construction ends is an unknown property.
type Options struct {
	prefix string
	given  map[string]string
	order  []string // the names of given, as they were written
	asked  map[string]bool
	errs   []error
	tell   func(name, text string) // a notice, of the whole name
}

// Text is the property's text, or otherwise if it is not set.
func (o *Options) Text(name, otherwise string) string {
	o.asked[name] = true
	if text, ok := o.given[name]; ok {
		return text
	}
	return otherwise
}

// Need is the property's text; not to have it is an error.
func (o *Options) Need(name, want string) string {
	text := o.Text(name, "")
	if text == "" {
		o.Fail(name, want)
	}
	return text
}

// Bool is the property as true or false.
func (o *Options) Bool(name string, otherwise bool) bool {
	switch strings.ToLower(o.Text(name, "")) {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	}
	o.Fail(name, "true or false")
	return otherwise
}

// List is the property's items, separated by commas, without the blanks around
// them.
func (o *Options) List(name string) []string {
	var items []string
	for item := range strings.SplitSeq(o.Text(name, ""), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// NamesUnder lists the rests of the names that begin with prefix, in the order
// in which they were written: the names of "conditions." for a transform with
// conditions.<name>. Their texts are still to be asked for.
func (o *Options) NamesUnder(prefix string) []string {
	var names []string
	for _, name := range o.order {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			names = append(names, rest)
		}
	}
	return names
}

// OneOf is the property's text, one of allowed, in lower case; the first is the
// default.
func (o *Options) OneOf(name string, allowed ...string) string {
	text := strings.ToLower(o.Text(name, allowed[0]))
	if !slices.Contains(allowed, text) {
		o.Fail(name, "one of "+strings.Join(allowed, ", "))
		return allowed[0]
	}
	return text
}

// Fail records that the property's value is wrong; want says what would be
// right.
func (o *Options) Fail(name, want string) {
	o.errs = append(o.errs, config.NewError(o.prefix+name, o.given[name], want))
}

// Notice says something about the property that the user should know and that
// keeps nothing from starting.
func (o *Options) Notice(name, text string) { o.tell(o.prefix+name, text) }

// finish is all that is wrong, unknown properties included.
func (o *Options) finish() error {
	for _, name := range slices.Sorted(maps.Keys(o.given)) {
		if !o.asked[name] {
			o.errs = append(o.errs, config.NewError(o.prefix+name, o.given[name],
				"a property of this class: "+strings.Join(slices.Sorted(maps.Keys(o.asked)), ", ")))
		}
	}
	return errors.Join(o.errs...)
}

// Classes are the transforms and predicates that a package offers, by class
// name. A name in a configuration matches by the whole of it, or by its last
// part where its package is not Kafka's or Debezium's (com.company.*).
type Classes struct {
	Transforms map[string]func(*Options) Transform
	Predicates map[string]func(*Options) Predicate
}

// Merge makes one map of the classes of several families. A name that two of
// them have is a mistake in the program.
func Merge[T any](families ...map[string]T) map[string]T {
	all := map[string]T{}
	for _, family := range families {
		for name, construct := range family {
			if _, ok := all[name]; ok {
				panic("two classes are named " + name)
			}
			all[name] = construct
		}
	}
	return all
}

// Properties are the names of a chain in a connector's table.
var Properties = config.Table{
	Name: "Transforms",
	Doc:  "A chain of single message transforms, as in Kafka Connect.",
	Properties: []config.Property{
		{Name: "transforms", Type: config.List, Doc: "Names of the transforms, in the order in which they are applied."},
		{Name: "transforms.*", Doc: "Properties of the transforms: transforms.<name>.type, .predicate, .negate and those of the class."},
		{Name: "predicates", Type: config.List, Doc: "Names of the predicates."},
		{Name: "predicates.*", Doc: "Properties of the predicates: predicates.<name>.type and those of the class."},
	},
}

// Chain is a compiled list of transforms. It may be used by one goroutine at a
// time; Clone makes another of the same configuration.
type Chain struct {
	links    []link
	batched  bool // one of the links is a Batch
	at       []int
	verdicts []Verdict
	kept     []*cdc.Record
	make     func() (*Chain, error)

	moves   bool // updates may move a record from one place to another
	all     []*cdc.Record
	shadows []*shadow // of the records at hand, the first of spare
	spare   []*shadow
}

type link struct {
	name      string
	transform Transform
	batch     Batch // transform, if it is one
	predicate Predicate
	negate    bool
}

// New compiles the chain that v configures, of the classes given. The error
// joins everything that is wrong.
func New(v *config.Values, classes ...Classes) (*Chain, error) {
	return compile(v, v.Notice, classes)
}

// compile makes a chain; notices go to tell.
func compile(v *config.Values, tell func(name, text string), classes []Classes) (*Chain, error) {
	b := builder{tell: tell, classes: classes, transforms: v.Under("transforms."), predicates: v.Under("predicates."), order: v.NamesUnder("transforms.")}
	c := &Chain{make: func() (*Chain, error) { return compile(v, func(string, string) {}, classes) }}
	names, conditions := v.List("transforms"), v.List("predicates")
	for _, name := range names {
		l := b.link(name, conditions)
		l.batch, _ = l.transform.(Batch)
		c.batched = c.batched || l.batch != nil
		c.links = append(c.links, l)
	}
	b.strangers("transforms.", b.transforms, names)
	b.strangers("predicates.", b.predicates, conditions)
	return c, errors.Join(b.errs...)
}

// Start starts the transforms that need it.
func (c *Chain) Start(env Env) error {
	for i := range c.links {
		if s, ok := c.links[i].transform.(Starter); ok {
			if err := s.Start(env); err != nil {
				return fmt.Errorf("starting transform %s: %w", c.links[i].name, err)
			}
		}
	}
	return nil
}

// Close ends the transforms that were started.
func (c *Chain) Close() error {
	var errs []error
	for i := range c.links {
		if closer, ok := c.links[i].transform.(io.Closer); ok {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}

// Batched reports whether the chain gains from being given many records at once.
func (c *Chain) Batched() bool { return c.batched }

// Len is how many transforms the chain has.
func (c *Chain) Len() int { return len(c.links) }

// Apply runs records through the chain and returns those that are kept, in
// order; the result is valid until the next call. Records that a transform
// refuses are named in a *sink.Rejected error by their index in records, and
// are not among those kept.
func (c *Chain) Apply(ctx context.Context, records []*cdc.Record) ([]*cdc.Record, error) {
	if len(c.links) == 0 {
		return records, nil
	}
	all := records
	if c.moves {
		all = c.follow(records)
	}
	c.verdicts = append(c.verdicts[:0], make([]Verdict, len(all))...)
	if c.batched {
		if err := c.applyLinks(ctx, all); err != nil {
			return nil, err
		}
	} else {
		for i, r := range all {
			c.verdicts[i] = c.apply(r)
		}
	}
	return c.conclude(records)
}

// Forget lets go of the records of the last call and of the memory that they took.
func (c *Chain) Forget() { c.verdicts, c.kept, c.all, c.shadows, c.spare = nil, nil, nil, nil, nil }

// conclude parts the records by what became of them.
func (c *Chain) conclude(records []*cdc.Record) ([]*cdc.Record, error) {
	var rejected *sink.Rejected
	c.kept = c.kept[:0]
	next := 0 // of the shadows
	for i, r := range records {
		if next < len(c.shadows) && c.shadows[next].of == i {
			s := c.shadows[next]
			was, is := &c.verdicts[len(records)+next], &c.verdicts[i]
			if next++; was.Err == nil && !was.Drop && is.Err == nil && s.left(r, !is.Drop) {
				c.kept = append(c.kept, s.gone())
			}
		}
		switch v := &c.verdicts[i]; {
		case v.Err != nil:
			if rejected == nil {
				rejected = &sink.Rejected{}
			}
			rejected.Items = append(rejected.Items, sink.Rejection{Index: i, Reason: v.Err})
		case !v.Drop:
			c.kept = append(c.kept, r)
		}
	}
	if rejected != nil {
		return c.kept, rejected
	}
	return c.kept, nil
}

// apply runs one record through all links.
func (c *Chain) apply(r *cdc.Record) Verdict {
	for i := range c.links {
		if v := c.links[i].apply(r); v.Drop || v.Err != nil {
			return v
		}
	}
	return Verdict{}
}

// applies reports whether the link's predicate, if it has one, lets r in.
func (l *link) applies(r *cdc.Record) bool {
	return l.predicate == nil || l.predicate.Test(r) != l.negate
}

func (l *link) apply(r *cdc.Record) Verdict {
	if !l.applies(r) {
		return Verdict{}
	}
	keep, err := l.transform.Apply(r)
	return Verdict{Drop: !keep, Err: l.failed(err)}
}

func (l *link) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("applying transform %s: %w", l.name, err)
}

// applyLinks runs all records through one link after the other.
func (c *Chain) applyLinks(ctx context.Context, records []*cdc.Record) error {
	for i := range c.links {
		l := &c.links[i]
		if l.batch != nil {
			if err := c.applyBatch(ctx, l, records); err != nil {
				return err
			}
			continue
		}
		for n, r := range records {
			if v := &c.verdicts[n]; !v.Drop && v.Err == nil {
				*v = l.apply(r)
			}
		}
	}
	return nil
}

// applyBatch runs those records that are still there through a Batch.
func (c *Chain) applyBatch(ctx context.Context, l *link, records []*cdc.Record) error {
	c.at, c.kept = c.at[:0], c.kept[:0]
	for n, r := range records {
		if v := &c.verdicts[n]; !v.Drop && v.Err == nil && l.applies(r) {
			c.at, c.kept = append(c.at, n), append(c.kept, r)
		}
	}
	verdicts := make([]Verdict, len(c.kept))
	if err := l.batch.ApplyAll(ctx, c.kept, verdicts); err != nil {
		return l.failed(err)
	}
	for i, n := range c.at {
		c.verdicts[n] = Verdict{Drop: verdicts[i].Drop, Err: l.failed(verdicts[i].Err)}
	}
	return nil
}

// builder makes links and collects what is wrong.
type builder struct {
	tell                   func(name, text string)
	classes                []Classes
	transforms, predicates map[string]string
	order                  []string // names of transforms' properties
	errs                   []error
}

func (b *builder) link(name string, conditions []string) link {
	o := b.options("transforms.", name, b.transforms)
	for _, property := range b.order {
		if rest, ok := strings.CutPrefix(property, name+"."); ok {
			o.order = append(o.order, rest)
		}
	}
	l := link{name: name, negate: o.Bool("negate", false)}
	class := o.Need("type", "the class of the transform")
	if condition := o.Text("predicate", ""); condition != "" {
		if !slices.Contains(conditions, condition) {
			o.Fail("predicate", "a name of the list predicates")
		} else {
			l.predicate = b.predicate(condition)
		}
	}
	if construct := find(b.classes, class, func(c Classes) map[string]func(*Options) Transform { return c.Transforms }); construct != nil {
		l.transform = construct(o)
		b.errs = append(b.errs, o.finish())
	} else if class != "" {
		o.Fail("type", "one of "+strings.Join(b.known(), ", "))
		b.errs = append(b.errs, errors.Join(o.errs...))
	} else {
		b.errs = append(b.errs, errors.Join(o.errs...))
	}
	return l
}

func (b *builder) predicate(name string) Predicate {
	o := b.options("predicates.", name, b.predicates)
	class := o.Need("type", "the class of the predicate")
	construct := find(b.classes, class, func(c Classes) map[string]func(*Options) Predicate { return c.Predicates })
	if construct == nil {
		o.Fail("type", "TopicNameMatches, HasHeaderKey or RecordIsTombstone of org.apache.kafka.connect.transforms.predicates")
		b.errs = append(b.errs, errors.Join(o.errs...))
		return nil
	}
	p := construct(o)
	b.errs = append(b.errs, o.finish())
	return p
}

// known are the names of all transforms there are.
func (b *builder) known() []string {
	var names []string
	for _, c := range b.classes {
		names = slices.AppendSeq(names, maps.Keys(c.Transforms))
	}
	slices.Sort(names)
	return names
}

// strangers are properties of transforms that the list does not name. A whole
// one, with a type, is not applied, as in Kafka Connect; the configuration has a
// notice of that.
func (b *builder) strangers(prefix string, given map[string]string, names []string) {
	for _, property := range slices.Sorted(maps.Keys(given)) {
		name, _, _ := strings.Cut(property, ".")
		if !slices.Contains(names, name) && given[name+".type"] == "" {
			b.errs = append(b.errs, config.NewError(prefix+property, given[property],
				"a name of the list "+strings.TrimSuffix(prefix, ".")+", which is "+strings.Join(names, ",")))
		}
	}
}

func (b *builder) options(prefix, name string, all map[string]string) *Options {
	o := &Options{tell: b.tell, prefix: prefix + name + ".", given: map[string]string{}, asked: map[string]bool{}}
	for property, text := range all {
		if rest, ok := strings.CutPrefix(property, name+"."); ok {
			o.given[rest] = text
		}
	}
	return o
}

// find looks a class up by its whole name, or by the last part of it where the
// class is of nobody's known package.
func find[T any](classes []Classes, class string, of func(Classes) map[string]T) (found T) {
	for _, c := range classes {
		if t, ok := of(c)[class]; ok {
			return t
		}
	}
	if strings.HasPrefix(class, "org.apache.kafka.") || strings.HasPrefix(class, "io.debezium.") {
		return found
	}
	last := class[strings.LastIndexByte(class, '.')+1:]
	name := "" // of several, Kafka's: Filter is both Kafka's and Debezium's
	for _, c := range classes {
		for known, t := range of(c) {
			if known[strings.LastIndexByte(known, '.')+1:] == last && known > name {
				name, found = known, t
			}
		}
	}
	return found
}
