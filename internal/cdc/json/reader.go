package json

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Message is the memory that one Kafka record is read into. What it holds is
// valid until it is read into again, and as long as the record's bytes are, for
// texts without escapes are not copied. A batch of records is a slice of
// Messages that is used again.
type Message struct {
	// Key is nil for a null key. A key that is no object is a row of a bare
	// schema (cdc.Bare).
	Key *cdc.Row
	// Value is the row of a value that is no envelope. Bare values are as in
	// Key.
	Value *cdc.Row
	// Envelope is the change; nil if the value is none.
	Envelope *cdc.Envelope
	// Tombstone says that the value is null, as bytes or as JSON.
	Tombstone bool

	key, before, after, other cdc.Row
	envelope                  cdc.Envelope
}

func (m *Message) clearValue() { m.Value, m.Envelope, m.Tombstone = nil, nil, false }

// Reader reads keys and values of one partition: Debezium's envelopes and flat
// rows, with an inline schema, with the schema that a fingerprint names, or with
// none. It learns how records look, so that the next one like it is read
// quickly. It is used by one goroutine at a time.
type Reader struct {
	entry   *SchemaEntry
	entries map[string]*entryPlans
	known   *entryPlans // of entry, nil for none

	keys, values          inlineCache
	keyShapes             keyShapes
	stateShape, flatShape *shape
	bare                  *readPlan
	source                sourceTemplate
	p                     parser
}

// entryPlans is how the records of a SchemaEntry are read.
type entryPlans struct {
	key, value *readPlan // key is nil for a keyless table
	ambiguous  bool      // the row has the fields that tell an envelope
}

// NewReader returns a Reader for records of entry; nil if none is known, which
// Use may change at any record.
func NewReader(entry *SchemaEntry) *Reader {
	r := &Reader{
		entries: map[string]*entryPlans{}, stateShape: newShape(), flatShape: newShape(),
		bare: newReadPlan(cdc.Bare(cdc.Field{Type: cdc.Any, Optional: true}), false),
	}
	r.SetPlaceholder(DefaultPlaceholder)
	r.Use(entry)
	return r
}

// Use sets what the fingerprint of the next records stands for; nil for records
// that have none.
func (r *Reader) Use(entry *SchemaEntry) {
	if entry == r.entry {
		return
	}
	if r.entry = entry; entry == nil {
		r.known = nil
		return
	}
	if r.known = r.entries[entry.Fingerprint]; r.known == nil {
		_, _, ambiguous := envelopeStates(entry.Value)
		r.known = &entryPlans{value: newReadPlan(entry.Value, false), ambiguous: ambiguous}
		if entry.Key != nil {
			r.known.key = newReadPlan(entry.Key, false)
		}
		r.entries[entry.Fingerprint] = r.known
	}
}

// SetPlaceholder sets the text that stands for a value that the source did not
// send (unavailable.value.placeholder): such a value is read as absent.
func (r *Reader) SetPlaceholder(s string) {
	r.p.absent = []byte(s)
	b := appendBase64(nil, r.p.absent)
	r.p.absentBytes = b[1 : len(b)-1]
}

// ReadTextKey makes key m's Key as text, as a StringConverter would.
func (r *Reader) ReadTextKey(m *Message, key []byte) error {
	if m.Key = nil; key == nil {
		return nil
	}
	if !utf8.Valid(key) {
		return fmt.Errorf("reading text key: it is not UTF-8")
	}
	m.key.Reset(textKey)
	m.key.Values[0] = cdc.String(key)
	m.Key = &m.key
	return nil
}

var textKey = cdc.Bare(cdc.Field{Type: cdc.Text})

// ReadKey reads a record's key into m; nil bytes and JSON's null are a null key.
func (r *Reader) ReadKey(m *Message, key []byte) error {
	if m.Key = nil; key == nil {
		return nil
	}
	r.p.start(key)
	if !r.readKey(&r.p, m) || !r.p.end() {
		m.Key = nil
		return fmt.Errorf("reading JSON key: %w", r.p.failure())
	}
	return nil
}

func (r *Reader) readKey(p *parser, m *Message) bool {
	p.space()
	if bytes.HasPrefix(p.b[p.i:], []byte(schemaLead)) {
		plan, inline, ok := r.keys.begin(p)
		if !ok {
			return false
		}
		if inline {
			return r.keyPayload(p, m, plan, true) && p.consume('}')
		}
	}
	return r.keyPayload(p, m, nil, false)
}

// keyPayload reads the key itself. wrapped says that it is within
// {"schema":…,"payload":…}, of which the schema's plan may be given.
func (r *Reader) keyPayload(p *parser, m *Message, inline *valuePlan, wrapped bool) bool {
	if p.space(); p.literal("null") {
		return true
	}
	m.Key = &m.key
	plan := inline.row()
	if r.known != nil && r.known.key != nil {
		plan = r.known.key
	}
	if p.peek() != '{' {
		return r.row(p, &m.key, plan)
	}
	likely, at := plan, p.i
	if likely == nil {
		likely = r.keyShapes.likely()
	}
	if likely != nil && likely.likely(p, &m.key) {
		return true
	}
	if p.back(at); !wrapped {
		if f, ok := classify(p); !ok {
			return false
		} else if f.inline() {
			inline, ok := r.keys.at(p, &f)
			return ok && r.keyPayload(p, m, inline, true) && p.jump(f.end)
		}
		p.back(at)
	}
	if plan == nil {
		return r.keyShapes.row(p, &m.key)
	}
	return r.row(p, &m.key, plan)
}

// row reads a row or bare value of plan; nil for a bare value of any type.
func (r *Reader) row(p *parser, row *cdc.Row, plan *readPlan) bool {
	if plan == nil {
		plan = r.bare
	}
	if !plan.schema.IsBare() {
		return plan.row(p, row)
	}
	row.Reset(plan.schema)
	return plan.fields[0].value(p, row, &row.Values[0])
}

// ReadValue reads a record's value into m.
func (r *Reader) ReadValue(m *Message, value []byte) error {
	m.clearValue()
	if value == nil {
		m.Tombstone = true
		return nil
	}
	r.p.start(value)
	defer r.p.letGo()
	if !r.readValue(&r.p, m) || !r.p.end() {
		m.clearValue()
		return fmt.Errorf("reading JSON value: %w", r.p.failure())
	}
	return nil
}

func (r *Reader) readValue(p *parser, m *Message) bool {
	p.space()
	if bytes.HasPrefix(p.b[p.i:], []byte(schemaLead)) {
		plan, inline, ok := r.values.begin(p)
		if !ok {
			return false
		}
		if inline {
			return r.payload(p, m, plan, true) && p.consume('}')
		}
	}
	return r.payload(p, m, nil, false)
}

// payload reads the value itself. wrapped says that it is within
// {"schema":…,"payload":…}, of which the schema's plan may be given.
func (r *Reader) payload(p *parser, m *Message, inline *valuePlan, wrapped bool) bool {
	if p.space(); p.literal("null") {
		m.Tombstone = true
		return true
	}
	plan := inline.row()
	if r.known != nil {
		plan = r.known.value
	}
	switch {
	case inline != nil && inline.before != nil:
		return r.envelope(p, m, inline)
	case p.peek() == '{' && inline == nil && (plan == nil || !plan.schema.IsBare()):
		return r.object(p, m, wrapped)
	}
	m.Value = &m.after
	return r.row(p, m.Value, plan)
}

const beforeLead = `{"before":`

// object reads an object without an inline schema: an envelope, a row, or after
// all one with an inline schema that is not written as JsonConverter does. What
// it most likely is is tried first.
func (r *Reader) object(p *parser, m *Message, wrapped bool) bool {
	at := p.i
	if bytes.HasPrefix(p.b[at:], []byte(beforeLead)) {
		if r.envelope(p, m, nil) {
			return true
		}
	} else if r.likelyRow(p, m) {
		return true
	}
	failed := p.mishap
	p.back(at)
	f, ok := classify(p)
	if !ok {
		p.prefer(failed)
		return false
	}
	switch p.back(at); {
	case f.inline() && !wrapped:
		inline, ok := r.values.at(p, &f)
		return ok && r.payload(p, m, inline, true) && p.jump(f.end)
	case f.envelope():
		return r.envelope(p, m, nil)
	}
	m.Value = &m.after
	if r.known != nil {
		return r.known.value.row(p, m.Value)
	}
	return r.flatShape.row(p, m.Value)
}

// likelyRow reads a row that has exactly the fields of the last one, or of the
// schema, which then cannot be an envelope.
func (r *Reader) likelyRow(p *parser, m *Message) bool {
	plan, ambiguous := r.flatShape.plan, r.flatShape.ambiguous
	if r.known != nil {
		plan, ambiguous = r.known.value, r.known.ambiguous
	}
	if ambiguous || !plan.likely(p, &m.after) {
		return false
	}
	m.Value = &m.after
	return true
}

// envelope reads an envelope: an object with op, source, and before or after.
// Members that an envelope does not have are skipped.
func (r *Reader) envelope(p *parser, m *Message, plan *valuePlan) bool {
	at := p.i
	m.envelope = cdc.Envelope{}
	if !r.usualEnvelope(p, m, plan) {
		p.back(at)
		m.envelope = cdc.Envelope{}
		if !r.anyEnvelope(p, m, plan) {
			return false
		}
	}
	m.Envelope = &m.envelope
	return true
}

// usualEnvelope reads an envelope that JsonConverter wrote: Debezium's order,
// without white space.
func (r *Reader) usualEnvelope(p *parser, m *Message, plan *valuePlan) (ok bool) {
	e := &m.envelope
	if !p.literal(beforeLead) {
		return false
	}
	if e.Before, ok = r.state(p, &m.before, plan, false); !ok || !p.literal(`,"after":`) {
		return false
	}
	if e.After, ok = r.state(p, &m.after, plan, true); !ok || !p.literal(`,"source":`) {
		return false
	}
	if e.SourceJSON, e.SourceMillis, ok = r.source.read(p); !ok || !p.literal(`,"transaction":`) {
		return false
	}
	if !readTransaction(p, m) || !p.literal(`,"op":`) || !readOpName(p, e) || !p.literal(`,"ts_ms":`) {
		return false
	}
	if e.Millis, ok = p.nullableInt(); !ok || !p.literal(`,"ts_us":`) {
		return false
	}
	if e.Micros, ok = p.nullableInt(); !ok || !p.literal(`,"ts_ns":`) {
		return false
	}
	e.Nanos, ok = p.nullableInt()
	return ok && p.literal("}")
}

// anyEnvelope reads an envelope that another writer wrote.
func (r *Reader) anyEnvelope(p *parser, m *Message, plan *valuePlan) bool {
	e := &m.envelope
	var op, source, state bool
	if !p.consume('{') {
		return false
	}
	for more := !p.consume('}'); more; {
		key, ok := p.key()
		if !ok {
			return false
		}
		switch text(key) {
		case "before":
			state = true
			e.Before, ok = r.state(p, &m.before, plan, false)
		case "after":
			state = true
			e.After, ok = r.state(p, &m.after, plan, true)
		case "source":
			source = true
			e.SourceJSON, e.SourceMillis, ok = r.source.read(p)
		case "op":
			op, ok = true, readOpName(p, e)
		case "ts_ms":
			e.Millis, ok = p.nullableInt()
		case "ts_us":
			e.Micros, ok = p.nullableInt()
		case "ts_ns":
			e.Nanos, ok = p.nullableInt()
		case "transaction":
			ok = readTransaction(p, m)
		default:
			ok = p.skip()
		}
		if !ok {
			return false
		}
		if more, ok = p.next('}'); !ok {
			return false
		}
	}
	if !op || !source || !state {
		return p.fail(p.i, "no envelope: op, source, or both before and after are missing in the object that ends")
	}
	return true
}

// state reads before or after.
func (r *Reader) state(p *parser, row *cdc.Row, inline *valuePlan, after bool) (*cdc.Row, bool) {
	switch {
	case p.literal("null"):
		return nil, true
	case p.peek() != '{':
		return nil, p.fail(p.i, "no object")
	case r.known != nil:
		return row, r.known.value.row(p, row)
	case inline == nil:
		return row, r.stateShape.row(p, row)
	case after:
		return row, inline.after.row(p, row)
	}
	return row, inline.before.row(p, row)
}

// readOpName reads the operation's letter.
func readOpName(p *parser, e *cdc.Envelope) bool {
	at := p.i
	s, ok := p.str(nil)
	if !ok || len(s) != 1 {
		return p.fail(at, "op is no single letter")
	}
	e.Op = cdc.Op(s[0])
	return true
}

// readTransaction reads the transaction block.
func readTransaction(p *parser, m *Message) bool {
	if p.literal("null") {
		return true
	}
	m.other.Reset(transactionSchema)
	if !p.consume('{') {
		return false
	}
	t := &m.envelope.Transaction
	for more := !p.consume('}'); more; {
		key, ok := p.key()
		if !ok {
			return false
		}
		switch text(key) {
		case "id":
			t.ID, ok = p.str(&m.other)
		case "total_order":
			t.TotalOrder, ok = p.nullableInt()
		case "data_collection_order":
			t.CollectionOrder, ok = p.nullableInt()
		default:
			ok = p.skip()
		}
		if !ok {
			return false
		}
		if more, ok = p.next('}'); !ok {
			return false
		}
	}
	return true
}
