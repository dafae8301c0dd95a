package plugin

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// changes are the schemas that changes of fields have led to, so that a change
// makes a schema once.
type changes map[change]*cdc.Schema

// change is a schema and what is done to the field of a name: it becomes one of
// a type, or goes.
type change struct {
	schema   *cdc.Schema
	name     string
	typ      cdc.Type // 0: it goes
	semantic cdc.Semantic
	scale    int
}

// field is the field that a change makes.
func (c *change) field() cdc.Field {
	f := cdc.Field{Name: c.name, Type: c.typ, Semantic: c.semantic, Optional: true, Scale: c.scale}
	switch c.semantic {
	case cdc.Decimal:
		f.SchemaVersion, f.Params = 1, []cdc.Param{{Name: "scale", Value: fmt.Sprint(c.scale)}}
	case cdc.ZonedTimestamp:
		f.SchemaVersion, f.Digits = 1, 6
	case cdc.JSON:
		f.SchemaVersion = 1
	}
	return f
}

// put gives a field a value of a type. A field that has the type, or no stated
// one, keeps its schema; another becomes optional and of the type, and one that
// is not there is added at the end.
func (w *Row) put(c change, v cdc.Value) {
	c.schema = w.row.Schema
	at := c.schema.Index([]byte(c.name))
	if at >= 0 {
		f := &c.schema.Fields[at]
		if fits(f, &c, &v) {
			w.row.Values[at] = v
			return
		}
	}
	w.become(c, func() *cdc.Schema { return c.schema.With(c.field()) })
	if at < 0 {
		at = len(w.row.Schema.Fields) - 1
	}
	for len(w.row.Values) <= at {
		w.row.Values = append(w.row.Values, cdc.Value{})
	}
	w.row.Values[at] = v
}

// become gives the row the schema that a change leads to.
func (w *Row) become(c change, changed func() *cdc.Schema) {
	s := w.plans[c]
	if s == nil {
		s = changed()
		w.plans[c] = s
	}
	w.row.Schema = s
}

// fits reports whether a field can hold a value as it is, and makes the value
// one of the field's.
func fits(f *cdc.Field, c *change, v *cdc.Value) bool {
	switch {
	case v.IsNull():
		return f.Optional || f.Type == cdc.Any
	case f.Type == cdc.Any:
		return v.Kind() != cdc.KindDecimal && v.Kind() != cdc.KindBigDecimal && v.Kind() != cdc.KindMicros && v.Kind() != cdc.KindBytes
	case f.Semantic == cdc.Plain && c.typ == cdc.Int64 && v.Kind() == cdc.KindInt:
		return holds(f.Type, v.Int())
	case f.Semantic == cdc.Plain && f.Type == cdc.Float && c.typ == cdc.Double:
		*v = cdc.Float32(float32(v.Float()))
		return true
	}
	return f.Type == c.typ && f.Semantic == c.semantic && f.Scale == c.scale && !(f.Type == cdc.Text && f.Semantic == cdc.Plain && f.IsDecimal())
}

// holds reports whether n is of an integer type's range.
func holds(t cdc.Type, n int64) bool {
	switch t {
	case cdc.Int8:
		return n == int64(int8(n))
	case cdc.Int16:
		return n == int64(int16(n))
	case cdc.Int32:
		return n == int64(int32(n))
	}
	return t == cdc.Int64
}

// copied is content in the row's own memory.
func (w *Row) copied(content string) []byte {
	b := w.row.Alloc(len(content))
	copy(b, content)
	return b
}

// SetText makes a field text.
func (w *Row) SetText(name, text string) {
	w.put(change{name: name, typ: cdc.Text}, cdc.String(w.copied(text)))
}

// SetInt makes a field a whole number: int64, or what integer type it has if
// that can hold it.
func (w *Row) SetInt(name string, n int64) {
	w.put(change{name: name, typ: cdc.Int64}, cdc.Int(n))
}

// SetFloat makes a field a number of double precision, or keeps it single.
func (w *Row) SetFloat(name string, x float64) {
	w.put(change{name: name, typ: cdc.Double}, cdc.Float64(x))
}

// SetBool makes a field a boolean.
func (w *Row) SetBool(name string, b bool) {
	w.put(change{name: name, typ: cdc.Boolean}, cdc.Bool(b))
}

// SetBytes makes a field bytes.
func (w *Row) SetBytes(name string, content []byte) {
	w.put(change{name: name, typ: cdc.Binary}, cdc.Bytes(w.copied(string(content))))
}

// SetTime makes a field a point in time, of microseconds
// (io.debezium.time.ZonedTimestamp).
func (w *Row) SetTime(name string, at time.Time) {
	w.put(change{name: name, typ: cdc.Text, semantic: cdc.ZonedTimestamp}, cdc.Micros(at.UnixMicro()))
}

// SetJSON makes a field a JSON column (io.debezium.data.Json). It does not check
// the text.
func (w *Row) SetJSON(name, text string) {
	w.put(change{name: name, typ: cdc.Text, semantic: cdc.JSON}, cdc.String(w.copied(text)))
}

// SetDecimal makes a field an exact decimal with so many digits after the point.
// The error says that text is no number, or has more of them.
func (w *Row) SetDecimal(name, text string, scale int) error {
	literal := w.copied(text)
	v, ok := json.ParseDecimal(w.row, literal, scale)
	if !ok {
		return fmt.Errorf("setting field %s: %q is no decimal of %d digits after the point", name, text, scale)
	}
	if f := w.row.Schema.Field(name); f != nil && f.Type == cdc.Any {
		v = cdc.Number(literal)
	}
	w.put(change{name: name, typ: cdc.Binary, semantic: cdc.Decimal, scale: scale}, v)
	return nil
}

// Type is what SetNull makes of a field.
type Type struct {
	typ      cdc.Type
	semantic cdc.Semantic
	scale    int
}

// The types of fields that the other setters make.
var (
	Text  = Type{typ: cdc.Text}
	Int   = Type{typ: cdc.Int64}
	Float = Type{typ: cdc.Double}
	Bool  = Type{typ: cdc.Boolean}
	Bytes = Type{typ: cdc.Binary}
	Time  = Type{typ: cdc.Text, semantic: cdc.ZonedTimestamp}
	JSON  = Type{typ: cdc.Text, semantic: cdc.JSON}
)

// Decimal is the type of fields that SetDecimal makes.
func Decimal(scale int) Type { return Type{cdc.Binary, cdc.Decimal, scale} }

// SetNull makes a field null: one that can be null as it is, else of type t, so
// that rows with and without a value have one schema.
func (w *Row) SetNull(name string, t Type) {
	w.put(change{name: name, typ: t.typ, semantic: t.semantic, scale: t.scale}, cdc.Value{})
}

// Remove takes a field out, if there is one.
func (w *Row) Remove(name string) {
	s := w.row.Schema
	at := s.Index([]byte(name))
	if at < 0 {
		return
	}
	w.become(change{schema: s, name: name}, func() *cdc.Schema {
		without := *s
		without.Fields = slices.Delete(slices.Clone(s.Fields), at, at+1)
		return without.Intern()
	})
	w.row.Values = slices.Delete(w.row.Values, at, at+1)
}
