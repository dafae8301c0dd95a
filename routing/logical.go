package routing

import (
	"fmt"
	"math"
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// logicalRouter is Debezium's ToLogicalTopicRouter, ByLogicalTableRouter of old:
// the changes of several physical tables go to one topic, and a field of the
// key keeps those of different tables apart.
type logicalRouter struct {
	topic   replacement
	unique  bool
	field   string
	source  *replacement // makes the field's content of the topic; nil: the topic
	schemas adjustment
	known   map[string]*logicalTopic
}

// replacement is an expression and what takes the place of what it matches.
type replacement struct {
	pattern *Pattern
	with    string
}

// logicalTopic is what becomes of the records of one topic.
type logicalTopic struct {
	to         string // "": it stays
	source     []byte
	keys, rows map[*cdc.Schema]*cdc.Schema
}

func newToLogicalTopicRouter(o *transform.Options) transform.Transform {
	return newLogicalRouter(o, "__dbz__sourceIdentifier")
}

func newByLogicalTableRouter(o *transform.Options) transform.Transform {
	number(o, "logical.table.cache.size", "16", 1, math.MaxInt32)
	return newLogicalRouter(o, "__dbz__physicalTableIdentifier")
}

// newLogicalRouter reads the properties. The sizes of caches are checked and
// have no effect: the router remembers routesKept topics.
func newLogicalRouter(o *transform.Options, field string) transform.Transform {
	number(o, "logical.destination.cache.size", "16", 1, math.MaxInt32)
	t := &logicalRouter{
		topic:  newReplacement(o, "topic.regex", "topic.replacement"),
		unique: o.Bool("key.enforce.uniqueness", true), field: o.Text("key.field.name", field),
		schemas: adjustmentOf(o, "schema.name.adjustment.mode", true),
		known:   map[string]*logicalTopic{},
	}
	if o.Text("key.field.regex", "") != "" {
		source := newReplacement(o, "key.field.regex", "key.field.replacement")
		t.source = &source
	} else {
		o.Text("key.field.replacement", "")
	}
	return t
}

func newReplacement(o *transform.Options, regex, with string) replacement {
	r := replacement{with: o.Need(with, "the new name, with $1 for the first group of "+regex)}
	r.read(o, regex, o.Need(regex, "a Java regular expression"), with)
	return r
}

// read compiles the expression text of the property regex, and checks the
// replacement by it.
func (r *replacement) read(o *transform.Options, regex, text, with string) {
	var err error
	if r.pattern, err = Compile(text); err != nil {
		o.Fail(regex, "a Java regular expression: "+err.Error())
		return
	}
	if err := r.pattern.CheckReplacement(r.with); err != nil {
		o.Fail(with, err.Error())
	}
}

// route is the name that a topic takes, its own where nothing matches.
func (r *replacement) route(topic string) (string, error) {
	to, _, err := r.pattern.Replace(topic, r.with)
	return to, err
}

// Apply routes r, if the expression matches its topic: key and rows take their
// schemas' names of the new topic, and the key gets its field.
func (t *logicalRouter) Apply(r *cdc.Record) (bool, error) {
	topic, err := t.topicOf(r.Route)
	if err != nil || topic.to == "" {
		return err == nil, err
	}
	if err := t.key(r, topic); err != nil {
		return false, err
	}
	if e := transform.Envelope(r); e != nil {
		for _, row := range [...]*cdc.Row{e.Before, e.After} {
			if row != nil {
				row.Schema = t.row(row.Schema, topic)
			}
		}
	}
	r.Route = topic.to
	return true, nil
}

// topicOf is what becomes of the records of a topic. A name that the
// replacement leaves empty is as none.
func (t *logicalRouter) topicOf(name string) (*logicalTopic, error) {
	if known := t.known[name]; known != nil {
		return known, nil
	}
	topic := &logicalTopic{source: []byte(name), keys: map[*cdc.Schema]*cdc.Schema{}, rows: map[*cdc.Schema]*cdc.Schema{}}
	to, matches, err := t.topic.pattern.Replace(name, t.topic.with)
	if err != nil {
		return nil, err
	}
	if matches {
		topic.to = to
	}
	if t.source != nil {
		source, _, err := t.source.pattern.Replace(name, t.source.with)
		if err != nil {
			return nil, err
		}
		topic.source = []byte(source)
	}
	if len(t.known) >= routesKept {
		clear(t.known)
	}
	t.known[name] = topic
	return topic, nil
}

// key renames the schema of r's key, and adds the field.
func (t *logicalRouter) key(r *cdc.Record, topic *logicalTopic) error {
	if r.Key == nil {
		return nil
	}
	s, ok := topic.keys[r.Key.Schema]
	if !ok {
		var err error
		if s, err = t.keySchema(r.Key.Schema, topic); err != nil {
			return err
		}
		topic.keys[r.Key.Schema] = s
	}
	r.Key.Schema = s
	if t.unique {
		r.Key.Values = append(r.Key.Values[:len(s.Fields)-1], cdc.String(topic.source))
	}
	return nil
}

func (t *logicalRouter) keySchema(old *cdc.Schema, topic *logicalTopic) (*cdc.Schema, error) {
	if old.IsBare() {
		return nil, fmt.Errorf("the key is no struct, which a field %s could be added to", t.field)
	}
	s := *old
	s.Name, s.Fields = t.schemas.adjust(topic.to+".Key"), slices.Clone(old.Fields)
	if !t.unique {
		return s.Intern(), nil
	}
	if old.Field(t.field) != nil {
		return nil, fmt.Errorf("the key has a field %s already: set key.field.name to another name", t.field)
	}
	s.Fields = append(s.Fields, cdc.Field{Name: t.field, Type: cdc.Text})
	return s.Intern(), nil
}

func (t *logicalRouter) row(old *cdc.Schema, topic *logicalTopic) *cdc.Schema {
	s, ok := topic.rows[old]
	if !ok {
		renamed := *old
		renamed.Name = t.schemas.adjust(topic.to + ".Value")
		s = renamed.Intern()
		topic.rows[old] = s
	}
	return s
}
