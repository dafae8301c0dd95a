package transform

import (
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
)

func members(r *cdc.Row) cdc.Value {
	if r == nil {
		return cdc.Value{}
	}
	return cdc.List(r.Values)
}

// noRow is the schema of a row that an envelope has neither before nor after.
var noRow = cdc.NewSchema("")

// wholeSchema is the schema of e as a row. Interning makes it one pointer; it
// is looked up there for each record that is wrapped.
func wholeSchema(e *cdc.Envelope) *cdc.Schema {
	row := noRow
	if e.After != nil {
		row = e.After.Schema
	} else if e.Before != nil {
		row = e.Before.Schema
	}
	if e.Source != nil {
		return json.EnvelopeSchema(row, e.Source.Schema)
	}
	s := *json.EnvelopeSchema(row, noRow)
	s.Fields = append([]cdc.Field(nil), s.Fields...)
	s.Fields[wholeSource] = cdc.Field{Name: "source", Type: cdc.Any, Optional: true}
	return s.Intern()
}
