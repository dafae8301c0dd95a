package enrich

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/javadate"
	"github.com/weir-cdc/weir/internal/transform"
)

// insertField adds what is known of a record beside its value, and static
// texts.
type insertField struct {
	side    side
	inserts []insertion
	replace bool
	plans   planned[*insertPlan]
}

// insertion is one field to add.
type insertion struct {
	field cdc.Field
	value func(r *cdc.Record) (cdc.Value, error)
}

type insertPlan struct {
	defaults
	schema *cdc.Schema
	at     []int
}

func newInsertField(s side, o *transform.Options) transform.Transform {
	t := &insertField{side: s, replace: replaceNulls(o)}
	timestamp := cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp, SchemaVersion: 1}
	t.insert(o, "topic.field", cdc.Field{Type: cdc.Text}, topicValue())
	t.insert(o, "partition.field", cdc.Field{Type: cdc.Int32}, partitionValue)
	t.insert(o, "offset.field", cdc.Field{Type: cdc.Int64}, offsetValue)
	t.insert(o, "timestamp.field", timestamp, timestampValue)
	if text := o.Text("static.value", ""); o.Text("static.field", "") != "" {
		if o.Need("static.value", "the text of the field "+o.Text("static.field", "")) != "" {
			static, err := newStaticText(text, clock{time.Now, time.Since})
			if err != nil {
				o.Fail("static.value", "a text, with $(date:FORMAT) for the time of processing: "+err.Error())
			}
			t.insert(o, "static.field", cdc.Field{Type: cdc.Text}, func(*cdc.Record) (cdc.Value, error) { return static.value(), nil })
		}
	} else if len(t.inserts) == 0 {
		o.Fail("static.field", "the name of a field, or one of topic.field, partition.field, offset.field and timestamp.field set")
	}
	t.plans = newPlanned(t.plan)
	return t
}

// insert adds the insertion that a property asks for: a name, with ! behind it
// where the field is not optional, or ? where it is.
func (t *insertField) insert(o *transform.Options, property string, f cdc.Field, value func(*cdc.Record) (cdc.Value, error)) {
	name := o.Text(property, "")
	if name == "" {
		return
	}
	f.Name, f.Optional = strings.TrimSuffix(name, "?"), true
	if required, ok := strings.CutSuffix(name, "!"); ok {
		f.Name, f.Optional = required, false
	}
	t.inserts = append(t.inserts, insertion{field: f, value: value})
}

// Apply adds the fields to r.
func (t *insertField) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "the insertion of fields")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	grow(row, len(p.schema.Fields))
	row.Schema = p.schema
	for i := range t.inserts {
		v, err := t.inserts[i].value(r)
		if err != nil {
			return false, err
		}
		if v.IsNull() && !t.inserts[i].field.Optional {
			return false, fmt.Errorf("there is no value for the required field %s", t.inserts[i].field.Name)
		}
		row.Values[p.at[i]] = v
	}
	return true, nil
}

func (t *insertField) plan(s *cdc.Schema) (*insertPlan, error) {
	p := &insertPlan{defaults: defaultsOf(s, t.replace)}
	fields, plain := slices.Clone(s.Fields), schemaless(s)
	for i := range t.inserts {
		f := t.inserts[i].field
		if plain {
			f = untyped(f)
		}
		at := slices.IndexFunc(fields, func(other cdc.Field) bool { return other.Name == f.Name })
		if at >= 0 && !plain {
			return nil, fmt.Errorf("field %s exists already", f.Name)
		}
		if at < 0 {
			at = len(fields)
			fields = append(fields, f)
		}
		p.at = append(p.at, at)
	}
	p.schema = derived(s, fields)
	return p, nil
}

// topicValue is the topic that a record is for, as bytes that are made once as
// long as it stays the same.
func topicValue() func(*cdc.Record) (cdc.Value, error) {
	var topic string
	var text []byte
	return func(r *cdc.Record) (cdc.Value, error) {
		if r.Route != topic {
			topic, text = r.Route, []byte(r.Route)
		}
		return cdc.String(text), nil
	}
}

// partitionValue is the partition that a transform chose, or else the one the
// record is in; null for a record that has none yet.
func partitionValue(r *cdc.Record) (cdc.Value, error) {
	switch {
	case r.Placed:
		return cdc.Int(int64(r.Place)), nil
	case r.Partition < 0:
		return cdc.Value{}, nil
	}
	return cdc.Int(int64(r.Partition)), nil
}

func offsetValue(r *cdc.Record) (cdc.Value, error) {
	if r.Offset < 0 {
		return cdc.Value{}, errors.New("a record has no offset before it is in Kafka")
	}
	return cdc.Int(r.Offset), nil
}

// timestampValue is the time that a transform chose, or else the record's; null
// for a record without a timestamp.
func timestampValue(r *cdc.Record) (cdc.Value, error) {
	switch {
	case r.Timed:
		return cdc.Int(r.Time), nil
	case r.Timestamp <= 0:
		return cdc.Value{}, nil
	}
	return cdc.Int(r.Timestamp), nil
}

// staticText is a text with $(date:FORMAT) for the time of processing. What it
// returns is made anew when the text changes, and never written to.
type staticText struct {
	parts []staticPart // nil: the text is always the same
	clock clock
	unit  int64 // ms in which it stays the same
	made  time.Time
	lasts time.Duration // after made
	text  []byte
}

// clock is time.Now and time.Since, of which the second costs half as much.
type clock struct {
	now   func() time.Time
	since func(time.Time) time.Duration
}

// staticPart is a literal, or the time.
type staticPart struct {
	literal string
	format  *javadate.Format
}

const (
	dateOpen  = "$(date:"
	dateClose = ")"
)

func newStaticText(text string, c clock) (*staticText, error) {
	s := &staticText{clock: c, text: []byte(text), unit: millisPerDay}
	for rest := text; ; {
		literal, date, found := strings.Cut(rest, dateOpen)
		if !found && len(s.parts) == 0 {
			return s, nil
		}
		s.parts = append(s.parts, staticPart{literal: literal})
		if !found {
			return s, nil
		}
		pattern, after, closed := strings.Cut(date, dateClose)
		if !closed {
			return nil, errors.New("$(date: is not closed by )")
		}
		format, err := javadate.Parse(pattern)
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, staticPart{format: format})
		s.unit = min(s.unit, format.Unit())
		rest = after
	}
}

func (s *staticText) value() cdc.Value {
	if s.parts != nil && (s.lasts == 0 || s.clock.since(s.made) >= s.lasts) {
		s.make()
	}
	return cdc.String(s.text)
}

// make makes the text of now, which lasts until the unit ends; a second at most,
// since the clock may have been set meanwhile.
func (s *staticText) make() {
	s.made, s.text = s.clock.now(), nil
	millis := s.made.UnixMilli()
	end := time.UnixMilli((millis/s.unit + 1) * s.unit)
	s.lasts = min(end.Sub(s.made), time.Second)
	for i := range s.parts {
		if p := &s.parts[i]; p.format != nil {
			s.text = p.format.Append(s.text, millis)
		} else {
			s.text = append(s.text, p.literal...)
		}
	}
}
