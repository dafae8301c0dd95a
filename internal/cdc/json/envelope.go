package json

import (
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// transactionSchema is Debezium's transaction block.
var transactionSchema = cdc.Schema{Name: "event.block", Version: 1, Fields: []cdc.Field{
	{Name: "id", Type: cdc.Text},
	{Name: "total_order", Type: cdc.Int64},
	{Name: "data_collection_order", Type: cdc.Int64},
}}.Intern()

// Enveloper appends Debezium envelopes of one table. What is the same for all
// rows of one log event is appended once, by Begin, so that a row costs its
// values and a few copies. It is used by one goroutine at a time.
type Enveloper struct {
	plan   *Plan // of the rows, without their schema
	source []planField
	row    int    // index of the field "row" in the source block, -1 if it has none
	open   []byte // `{"before":`, the inline schema before it
	close  []byte
	head   []byte // of the current log event: `,"source":{…`, up to the value of row
	tail   []byte // from behind the value of row up to `,"transaction":`
	now    []byte // from `","ts_ms":` on
	nanos  int64  // of now
}

// NewEnveloper compiles the envelope of rows of schema row, whose source block
// is of schema source. The names in an inline schema follow from row's, which
// ends in ".Value".
func NewEnveloper(row, source *cdc.Schema, options Options) *Enveloper {
	e := &Enveloper{source: newPlanFields(source, options), row: source.Index([]byte("row"))}
	alone := options
	alone.Schemas = false
	e.plan = NewPlan(row, alone)
	e.open = []byte(`{"before":`)
	if options.Schemas {
		e.open = append([]byte(`{"schema":`), AppendSchema(nil, EnvelopeSchema(row, source), options)...)
		e.open = append(e.open, `,"payload":{"before":`...)
		e.close = []byte{'}'}
	}
	return e
}

// EnvelopeSchema is the schema that Debezium gives the envelope of rows.
func EnvelopeSchema(row, source *cdc.Schema) *cdc.Schema {
	block := func(name string, s *cdc.Schema, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Struct, Struct: s, Optional: optional}
	}
	return cdc.Schema{
		Name: strings.TrimSuffix(row.Name, ".Value") + ".Envelope", Version: 2,
		Fields: []cdc.Field{
			block("before", row, true),
			block("after", row, true),
			block("source", source, false),
			block("transaction", transactionSchema, true),
			{Name: "op", Type: cdc.Text},
			{Name: "ts_ms", Type: cdc.Int64, Optional: true},
			{Name: "ts_us", Type: cdc.Int64, Optional: true},
			{Name: "ts_ns", Type: cdc.Int64, Optional: true},
		},
	}.Intern()
}

// Begin sets the log event that the next rows are from: source is its source
// block, of which only the field "row" differs between rows, and nowNanos the
// time of processing, ns since the epoch.
func (e *Enveloper) Begin(source *cdc.Row, nowNanos int64) {
	b := append(e.head[:0], `,"source":`...)
	if e.row < 0 {
		if len(e.source) == 0 {
			b = append(b, '{')
		}
		e.head = append(appendFields(b, e.source, source.Values), '}')
		e.tail = e.tail[:0]
	} else {
		b = appendFields(b, e.source[:e.row], source.Values[:e.row])
		e.head = append(b, e.source[e.row].lead...)
		b = appendFields(e.tail[:0], e.source[e.row+1:], source.Values[e.row+1:])
		e.tail = append(b, '}')
	}
	e.tail = append(e.tail, `,"transaction":`...)

	if nowNanos == e.nanos && len(e.now) > 0 {
		return
	}
	e.nanos = nowNanos
	b = appendInt(append(e.now[:0], `","ts_ms":`...), nowNanos/1_000_000)
	b = appendInt(append(b, `,"ts_us":`...), nowNanos/1000)
	b = appendInt(append(b, `,"ts_ns":`...), nowNanos)
	e.now = append(append(b, '}'), e.close...)
}

// Append appends the envelope of one change. before or after is nil where the
// change has none, row is its number within the log event, tx nil (or without
// an ID) where there is no transaction block.
func (e *Enveloper) Append(dst []byte, op cdc.Op, before, after *cdc.Row, row int, tx *cdc.Transaction) []byte {
	dst = e.appendState(append(dst, e.open...), before)
	dst = e.appendState(append(dst, `,"after":`...), after)
	dst = append(dst, e.head...)
	if e.row >= 0 {
		dst = appendInt(dst, int64(row))
	}
	dst = append(dst, e.tail...)
	dst = appendTransaction(dst, tx)
	dst = append(dst, `,"op":"`...)
	dst = append(dst, byte(op))
	return append(dst, e.now...)
}

func (e *Enveloper) appendState(dst []byte, r *cdc.Row) []byte {
	if r == nil {
		return append(dst, "null"...)
	}
	return e.plan.appendPayload(dst, r.Values)
}

func appendTransaction(dst []byte, tx *cdc.Transaction) []byte {
	if tx == nil || len(tx.ID) == 0 {
		return append(dst, "null"...)
	}
	dst = AppendString(append(dst, `{"id":`...), tx.ID)
	dst = appendInt(append(dst, `,"total_order":`...), tx.TotalOrder)
	dst = appendInt(append(dst, `,"data_collection_order":`...), tx.CollectionOrder)
	return append(dst, '}')
}
