package transform

import (
	"slices"
	"sync"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// Whole is the record's value as Kafka Connect's transforms see it: the flat
// row, or else the whole envelope as a row of before, after, source,
// transaction, op, ts_ms, ts_us and ts_ns; nil for null. The rows in it are the
// envelope's own, so what is done to their members is done to them.
func Whole(r *cdc.Record) *cdc.Row {
	e := r.Envelope
	if r.Value != nil || e == nil || r.Tombstone || r.Deleted {
		return r.Value
	}
	w := &r.Whole
	w.Reset(wholeSchema(e))
	v := w.Values
	v[wholeBefore], v[wholeAfter], v[wholeSource] = members(e.Before), members(e.After), members(e.Source)
	if e.Source == nil && e.SourceJSON != nil {
		v[wholeSource] = cdc.RawJSON(e.SourceJSON)
	}
	if tx := &e.Transaction; len(tx.ID) > 0 {
		list := w.AllocList(3)
		list[0], list[1], list[2] = cdc.String(tx.ID), cdc.Int(tx.TotalOrder), cdc.Int(tx.CollectionOrder)
		v[wholeTransaction] = cdc.List(list)
	}
	op := w.Alloc(1)
	op[0] = byte(e.Op)
	v[wholeOp] = cdc.String(op)
	for i, at := range []int64{e.Millis, e.Micros, e.Nanos} {
		if at != 0 {
			v[wholeMillis+i] = cdc.Int(at)
		}
	}
	r.Value, r.Wrapped = w, true
	return w
}

// Unwrapped is the inverse of Whole: a value that is the envelope as a row
// becomes the record's Envelope again, with what transforms have done to its
// members; members that an envelope does not have are lost. A value that is an
// envelope no more (one without op, source, or both before and after) stays as
// a flat row, and the record has no Envelope then; null makes it a tombstone.
func Unwrapped(r *cdc.Record) {
	if !r.Wrapped {
		return
	}
	r.Wrapped = false
	if r.Value != nil {
		if s := shapeOf(r.Value.Schema); s != nil && s.restore(r.Envelope, r.Value.Values) {
			r.Value, r.Op = nil, r.Envelope.Op
			return
		}
	}
	r.Envelope, r.Op = nil, cdc.OpNone
	if r.Value == nil {
		r.Tombstone, r.Deleted = true, true
	}
}

// The fields of an envelope, in Debezium's order.
const (
	wholeBefore = iota
	wholeAfter
	wholeSource
	wholeTransaction
	wholeOp
	wholeMillis
	wholeMicros
	wholeNanos
	wholeFields
)

var wholeNames = [wholeFields]string{"before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"}

// IsMember reports whether an envelope has a member of the name.
func IsMember(name string) bool { return slices.Contains(wholeNames[:], name) }

func members(r *cdc.Row) cdc.Value {
	if r == nil {
		return cdc.Value{}
	}
	return cdc.List(r.Values)
}

// noRow is the schema of a row that an envelope has neither before nor after.
var noRow = cdc.NewSchema("")

// parts are the schemas that an envelope is made of; source is nil for one that
// was read from JSON.
type parts struct{ before, after, source *cdc.Schema }

func partsOf(e *cdc.Envelope) parts {
	p := parts{noRow, noRow, nil}
	switch {
	case e.After != nil:
		p.before, p.after = e.After.Schema, e.After.Schema
		if e.Before != nil {
			p.before = e.Before.Schema
		}
	case e.Before != nil:
		p.before, p.after = e.Before.Schema, e.Before.Schema
	}
	if e.Source != nil {
		p.source = e.Source.Schema
	}
	return p
}

// wholes has the schema of each kind of envelope met so far.
var wholes Cache[parts, *cdc.Schema]

// wholeSchema is the schema of e as a row.
func wholeSchema(e *cdc.Envelope) *cdc.Schema {
	p := partsOf(e)
	return wholes.Of(p, p.schema)
}

func (p parts) schema() *cdc.Schema {
	source := p.source
	if source == nil {
		source = noRow
	}
	s := *json.EnvelopeSchema(p.after, source)
	s.Fields = slices.Clone(s.Fields)
	s.Fields[wholeBefore].Struct = p.before
	if p.source == nil {
		s.Fields[wholeSource] = cdc.Field{Name: "source", Type: cdc.Any, Optional: true}
	}
	return s.Intern()
}

// envelopeShape is where a row has the members of an envelope, -1 for those it
// lacks.
type envelopeShape struct {
	schema *cdc.Schema
	at     [wholeFields]int
}

var shapes sync.Map // *cdc.Schema → *envelopeShape, nil for rows that are no envelopes

func shapeOf(s *cdc.Schema) *envelopeShape {
	if known, ok := shapes.Load(s); ok {
		return known.(*envelopeShape)
	}
	shape := newShape(s)
	shapes.Store(s, shape)
	return shape
}

func newShape(s *cdc.Schema) *envelopeShape {
	shape := &envelopeShape{schema: s}
	for i, name := range wholeNames {
		shape.at[i] = s.Index([]byte(name))
	}
	is := func(member int, types ...cdc.Type) bool {
		at := shape.at[member]
		return at >= 0 && slices.Contains(types, s.Fields[at].Type)
	}
	state := is(wholeBefore, cdc.Struct) && (shape.at[wholeAfter] < 0 || is(wholeAfter, cdc.Struct)) ||
		is(wholeAfter, cdc.Struct) && shape.at[wholeBefore] < 0
	if !state || !is(wholeOp, cdc.Text, cdc.Any) || !is(wholeSource, cdc.Struct, cdc.Any) {
		return nil
	}
	return shape
}

// value is the member's value; null where there is none.
func (s *envelopeShape) value(values []cdc.Value, member int) *cdc.Value {
	if at := s.at[member]; at >= 0 {
		return &values[at]
	}
	return new(cdc.Value)
}

// restore fills e from the values of a row. It reports false where they are not
// those of an envelope.
func (s *envelopeShape) restore(e *cdc.Envelope, values []cdc.Value) bool {
	op := s.value(values, wholeOp)
	if op.Kind() != cdc.KindString || len(op.Bytes()) != 1 {
		return false
	}
	e.Op = cdc.Op(op.Bytes()[0])
	before, after := e.Before, e.After
	e.Before = s.row(before, values, wholeBefore)
	e.After = s.row(after, values, wholeAfter)
	e.Source = s.row(e.Source, values, wholeSource)
	e.SourceJSON = nil
	if source := s.value(values, wholeSource); source.Kind() == cdc.KindJSON {
		e.SourceJSON = source.Bytes()
	}
	for i, to := range []*int64{&e.Millis, &e.Micros, &e.Nanos} {
		*to = 0
		if v := s.value(values, wholeMillis+i); v.Kind() == cdc.KindInt {
			*to = v.Int()
		}
	}
	tx := s.value(values, wholeTransaction).List()
	if len(tx) != 3 {
		e.Transaction = cdc.Transaction{}
		return true
	}
	e.Transaction = cdc.Transaction{ID: tx[0].Bytes(), TotalOrder: tx[1].Int(), CollectionOrder: tx[2].Int()}
	return true
}

// row is the member as a row: old, if its values are still in it, else one that
// shares no memory with the lists of another row.
func (s *envelopeShape) row(old *cdc.Row, values []cdc.Value, member int) *cdc.Row {
	v := s.value(values, member)
	if v.Kind() != cdc.KindList {
		return nil
	}
	list, schema := v.List(), s.schema.Fields[s.at[member]].Struct
	if old != nil && len(list) == len(old.Values) && (len(list) == 0 || &list[0] == &old.Values[0]) {
		old.Schema = schema
		return old
	}
	return &cdc.Row{Schema: schema, Values: slices.Clone(list)}
}
