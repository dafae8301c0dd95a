package capture

import (
	"errors"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
)

// Form is what keys, values or headers become in Kafka: one of Kafka Connect's
// converters.
type Form uint8

// The forms.
const (
	FormJSON   Form = iota // JsonConverter
	FormText               // StringConverter: the text that Java has for a value
	FormBytes              // ByteArrayConverter: bytes as they are, and nothing else
	FormSimple             // SimpleHeaderConverter: text that tells the types of values
)

// The converters' classes, by form.
var formClasses = map[Form]string{
	FormJSON:   "org.apache.kafka.connect.json.JsonConverter",
	FormText:   "org.apache.kafka.connect.storage.StringConverter",
	FormBytes:  "org.apache.kafka.connect.converters.ByteArrayConverter",
	FormSimple: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
}

// formOf is the form that a class stands for, of those allowed.
func formOf(class string, allowed ...Form) (Form, error) {
	want := ""
	for i, f := range allowed {
		if _, ok := config.MatchClass(class, []string{formClasses[f]}); ok {
			return f, nil
		}
		if i > 0 {
			want += ", "
		}
		want += formClasses[f]
	}
	return 0, errors.New("want one of " + want)
}

// conversion writes the rows of one schema.
type conversion struct {
	form   Form
	schema *cdc.Schema
	json   *json.Plan // of FormJSON
	// rows is the schema under which consumers read a value: that of before and
	// after, where the schema is an envelope's, else the schema itself; nil where
	// there is none for both before and after.
	rows *cdc.Schema
	hint int // about how long a text is
}

func newConversion(form Form, s *cdc.Schema, options json.Options) *conversion {
	c := &conversion{form: form, schema: s, rows: rowsOf(s), hint: 256}
	if form == FormJSON {
		c.json = json.NewPlan(s, options)
	}
	return c
}

// rowsOf is the schema of before and after of an envelope's schema, and any
// other schema itself.
func rowsOf(s *cdc.Schema) *cdc.Schema {
	before, after, op, source := s.Field("before"), s.Field("after"), s.Field("op"), s.Field("source")
	switch {
	case op == nil || op.Type != cdc.Text || source == nil || source.Type != cdc.Struct:
		return s
	case after == nil || after.Type != cdc.Struct || before == nil || before.Type != cdc.Struct:
		return s
	case before.Struct != after.Struct:
		return nil
	}
	return after.Struct
}

// keep keeps the text of row in a.
func (c *conversion) keep(a *arena, row *cdc.Row) ([]byte, error) {
	b, err := c.append(a.tail(c.hint), row)
	if err != nil {
		return nil, err
	}
	if len(b) > c.hint || len(b) < c.hint/4 {
		c.hint = len(b) + len(b)/4
	}
	return a.keep(b), nil
}

func (c *conversion) append(dst []byte, row *cdc.Row) ([]byte, error) {
	switch c.form {
	case FormJSON:
		return c.json.Append(dst, row), nil
	case FormBytes:
		if !c.schema.IsBare() || c.schema.Fields[0].Type != cdc.Binary || row.Values[0].Kind() != cdc.KindBytes {
			return dst, fmt.Errorf("converting a value of type %s: ByteArrayConverter takes bytes only", typeOf(c.schema))
		}
		return append(dst, row.Values[0].Bytes()...), nil
	case FormText:
		return appendJavaText(dst, c.schema, row.Values), nil
	}
	return appendSimpleText(dst, c.schema, row.Values), nil
}

func typeOf(s *cdc.Schema) cdc.Type {
	if s.IsBare() {
		return s.Fields[0].Type
	}
	return cdc.Struct
}

// conversions are those of keys, or of values, by schema.
type conversions struct {
	form    Form
	options json.Options
	known   map[*cdc.Schema]*conversion
	last    *conversion
}

func newConversions(form Form, options json.Options) conversions {
	return conversions{form: form, options: options, known: map[*cdc.Schema]*conversion{}}
}

func (c *conversions) of(s *cdc.Schema) *conversion {
	if c.last != nil && c.last.schema == s {
		return c.last
	}
	found := c.known[s]
	if found == nil {
		found = newConversion(c.form, s, c.options)
		c.known[s] = found
	}
	c.last = found
	return found
}
