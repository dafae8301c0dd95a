package expression

import (
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// env is one evaluation.
type env struct {
	r     *cdc.Record
	into  *cdc.Row // memory for what is computed
	now   func() time.Time
	state view // the row that bare names are fields of
	err   error
	// stack has the arguments of functions and the elements that predicates
	// look at.
	stack    []value
	elements []value
	// variables are the values of the lets around what is evaluated.
	variables []value
}

// fail ends the evaluation with an error; the first one counts.
func (e *env) fail(err error) value {
	if e.err == nil {
		e.err = err
	}
	return value{}
}

// view is a row, wherever it is held; its zero value is null.
type view struct {
	schema *cdc.Schema
	values []cdc.Value
}

func viewOf(r *cdc.Row) view {
	if r == nil || r.Schema == nil {
		return view{}
	}
	return view{r.Schema, r.Values}
}

// base is what a name in an expression is part of.
type base uint8

const (
	ofState  base = iota // a field of the row itself
	ofValue              // value: the flat row, or the envelope
	ofKey                // key
	ofBefore             // before
	ofAfter              // after
	ofSource             // source
)

var bases = map[string]base{"this": ofState, "value": ofValue, "key": ofKey, "before": ofBefore, "after": ofAfter, "source": ofSource}

// stateOf is the row that the record is about: the flat value; of an envelope
// the row after the change, or else that before it.
func stateOf(r *cdc.Record) view {
	if r.Value != nil && !r.Wrapped {
		return viewOf(r.Value)
	}
	if r.Tombstone {
		return view{}
	}
	if v := partOf(r, ofAfter); v.schema != nil {
		return v
	}
	return partOf(r, ofBefore)
}

// partOf is a part of the record as a row; null where it has none.
func partOf(r *cdc.Record, b base) view {
	e := r.Envelope
	switch b {
	case ofKey:
		return viewOf(r.Key)
	case ofValue:
		return viewOf(r.Value)
	case ofBefore, ofAfter, ofSource:
		if r.Wrapped && r.Value != nil {
			return memberView(r.Value, b)
		}
	}
	switch {
	case e == nil:
	case b == ofBefore:
		return viewOf(e.Before)
	case b == ofAfter:
		return viewOf(e.After)
	case b == ofSource:
		return viewOf(e.Source)
	}
	return view{}
}

var baseNames = map[base]string{ofBefore: "before", ofAfter: "after", ofSource: "source"}

// memberView is a struct of a whole envelope.
func memberView(whole *cdc.Row, b base) view {
	f, v := whole.Schema.Field(baseNames[b]), whole.Value(baseNames[b])
	if v == nil || f.Struct == nil || v.IsNull() {
		return view{}
	}
	return view{f.Struct, v.List()}
}

// field reads the named field of a part of the record.
func (e *env) field(n *fieldNode) value {
	part := e.state
	if n.base != ofState {
		part = partOf(e.r, n.base)
	}
	if part.schema != nil {
		if i := n.index(part.schema); i >= 0 && i < len(part.values) {
			return load(part.values[i], &part.schema.Fields[i])
		}
	}
	switch {
	case n.base == ofSource && e.r.Envelope != nil && part.schema == nil:
		return e.member(value{kind: jsonText, src: cdc.RawJSON(e.r.Envelope.SourceJSON)}, n.name)
	case n.base == ofValue:
		return e.ofEnvelope(n)
	}
	return value{}
}

// ofEnvelope reads value.<name> where the value is an envelope that no
// transform has looked at, or has been unwrapped: the envelope still says what
// op was.
func (e *env) ofEnvelope(n *fieldNode) value {
	if e.r.Envelope == nil {
		return value{}
	}
	switch env := e.r.Envelope; n.name {
	case "op":
		return opValue(e.r)
	case "before", "after", "source":
		return wholePart(e.r, bases[n.name])
	case "ts_ms":
		return positive(env.Millis)
	case "ts_us":
		return positive(env.Micros)
	case "ts_ns":
		return positive(env.Nanos)
	}
	return value{}
}

func positive(n int64) value {
	if n == 0 {
		return value{}
	}
	return intValue(n)
}

// wholePart is a part of the record as one value: null or not.
func wholePart(r *cdc.Record, b base) value {
	if b == ofSource && r.Envelope != nil && r.Envelope.SourceJSON != nil && r.Envelope.Source == nil {
		return value{kind: jsonText, src: cdc.RawJSON(r.Envelope.SourceJSON)}
	}
	part := partOf(r, b)
	if b == ofValue && part.schema == nil && r.Envelope != nil && !r.Tombstone {
		return value{kind: object, field: anyField}
	}
	if part.schema == nil {
		return value{}
	}
	f := anyField
	if b == ofKey && part.schema.IsBare() {
		return load(part.values[0], &part.schema.Fields[0])
	}
	return value{kind: object, src: cdc.List(part.values), field: f}
}

// member reads a member of a struct or of a JSON object, whatever v is of these.
func (e *env) member(v value, name string) value {
	switch {
	case v.kind == object && v.field != nil && v.field.Struct != nil:
		s, members := v.field.Struct, v.src.List()
		if i := s.Index([]byte(name)); i >= 0 && i < len(members) {
			return load(members[i], &s.Fields[i])
		}
	case v.kind == jsonText || v.kind == text && v.field != nil && v.field.Semantic == cdc.JSON:
		return e.readJSON(json.Member(v.src.Bytes(), name))
	}
	return value{}
}

// readJSON makes a value of JSON text; nil is null.
func (e *env) readJSON(b []byte) value {
	if b == nil {
		return value{}
	}
	v, err := json.ReadAny(e.into, b)
	if err != nil {
		return e.fail(err)
	}
	return load(v, anyField)
}

var opTexts = func() (texts [256][]byte) {
	for i := range texts {
		texts[i] = []byte{byte(i)}
	}
	return
}()

func opValue(r *cdc.Record) value {
	op := r.Op
	if op == cdc.OpNone && r.Envelope != nil {
		op = r.Envelope.Op
	}
	if op == cdc.OpNone {
		return value{}
	}
	return textValue(opTexts[op])
}

// changedAt is when the record's change was made, in µs: as its source says,
// else when it was read, else the time of the Kafka record.
func changedAt(r *cdc.Record) int64 {
	if e := r.Envelope; e != nil {
		if e.SourceMillis != 0 {
			return e.SourceMillis * 1000
		}
		if e.Source != nil {
			if v := e.Source.Value("ts_ms"); v != nil && v.Int() != 0 {
				return v.Int() * 1000
			}
		}
		if e.Millis != 0 {
			return e.Millis * 1000
		}
	}
	return r.Timestamp * 1000
}

// header is the last header of a name, as Kafka's lastHeader.
func header(r *cdc.Record, name string) value {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		h := &r.Headers[i]
		if h.Key != name {
			continue
		}
		if h.Typed != nil && len(h.Typed.Values) > 0 {
			return load(h.Typed.Values[0], &h.Typed.Schema.Fields[0])
		}
		if h.Value == nil {
			return value{}
		}
		return textValue(h.Value)
	}
	return value{}
}
