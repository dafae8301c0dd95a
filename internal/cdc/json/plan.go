package json

import (
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Plan appends rows of one schema as JsonConverter writes them, keys and values
// alike. Whatever the schema decides is decided by NewPlan. A Plan is immutable.
type Plan struct {
	schema  *cdc.Schema
	options Options
	fields  []planField
	object  bool   // false: a bare value
	open    []byte // what comes before and after the payload
	close   []byte
}

// planField writes one field, one member of a struct or the elements of an
// array.
type planField struct {
	lead    []byte // `{"id":` of an object's first field, `,"name":` of the others
	decimal decimalForm
	scale   int
	digits  int    // of the fraction of seconds
	null    []byte // what a NULL is written as
	absent  []byte // what a value is written as that the source did not send
	members []planField
	element *planField
	// special is how a document writes what JsonConverter writes otherwise.
	special specialForm
	// semantic is the field's, for special.
	semantic cdc.Semantic
}

// decimalForm is how a field writes decimals.
type decimalForm uint8

const (
	decimalBase64 decimalForm = iota
	decimalNumber             // as BigDecimal.toString does
	decimalPlain              // a number without an exponent
	decimalQuoted             // the same as a string
)

// NewPlan compiles the plan of s.
func NewPlan(s *cdc.Schema, options Options) *Plan {
	p := &Plan{schema: s, options: options, object: !s.IsBare(), fields: newPlanFields(s, options)}
	if options.Schemas {
		p.open = append(append([]byte(`{"schema":`), AppendSchema(nil, s, options)...), `,"payload":`...)
		p.close = []byte{'}'}
	}
	return p
}

// Schema is the schema of the rows that the plan writes.
func (p *Plan) Schema() *cdc.Schema { return p.schema }

func newPlanFields(s *cdc.Schema, options Options) []planField {
	fields := make([]planField, len(s.Fields))
	for i := range s.Fields {
		fields[i] = newPlanField(&s.Fields[i], options)
		fields[i].lead = appendLead(nil, s.Fields[i].Name, i == 0)
	}
	return fields
}

// appendLead appends what comes before a member's value.
func appendLead(dst []byte, name string, first bool) []byte {
	if first {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	return append(AppendString(dst, []byte(name)), ':')
}

func newPlanField(f *cdc.Field, options Options) planField {
	p := planField{decimal: decimalFormOf(f, options), scale: f.Scale, digits: f.Digits, null: []byte("null"), absent: []byte("null")}
	switch f.Type {
	case cdc.Text:
		p.absent = AppendString(nil, []byte(options.placeholder()))
	case cdc.Binary:
		p.absent = appendBase64(nil, []byte(options.placeholder()))
	case cdc.Struct:
		p.members = newPlanFields(f.Struct, options)
	case cdc.Array:
		element := newPlanField(f.Element, options)
		p.element = &element
	}
	if f.Default != nil && options.NullDefaults {
		p.null = p.append(nil, f.Default)
	}
	return p
}

func decimalFormOf(f *cdc.Field, options Options) decimalForm {
	switch {
	case f.Type == cdc.Text:
		return decimalQuoted
	case f.Type != cdc.Binary:
		return decimalPlain
	case options.Decimal == Numeric:
		return decimalNumber
	}
	return decimalBase64
}

// Append appends r, a row of the plan's schema, or null for nil.
func (p *Plan) Append(dst []byte, r *cdc.Row) []byte {
	dst = append(dst, p.open...)
	if r == nil {
		dst = append(dst, "null"...)
	} else {
		dst = p.appendPayload(dst, r.Values)
	}
	return append(dst, p.close...)
}

// AppendColumns appends the row whose i-th field is the value values[columns[i]]:
// a key straight from the row it is part of.
func (p *Plan) AppendColumns(dst []byte, values []cdc.Value, columns []int) []byte {
	dst = append(dst, p.open...)
	if p.object {
		for i, at := range columns {
			dst = append(dst, p.fields[i].lead...)
			dst = p.fields[i].append(dst, &values[at])
		}
		dst = append(dst, '}')
	} else {
		dst = p.fields[0].append(dst, &values[columns[0]])
	}
	return append(dst, p.close...)
}

// appendPayload appends the row alone, without its schema.
func (p *Plan) appendPayload(dst []byte, values []cdc.Value) []byte {
	switch {
	case !p.object:
		return p.fields[0].append(dst, &values[0])
	case len(p.fields) == 0:
		return append(dst, '{', '}')
	}
	return append(appendFields(dst, p.fields, values), '}')
}

// appendFields leaves the object open. The frequent kinds are written here, so
// that a row is one loop.
func appendFields(dst []byte, fields []planField, values []cdc.Value) []byte {
	values = values[:len(fields)]
	for i := range fields {
		f, v := &fields[i], &values[i]
		dst = append(dst, f.lead...)
		if f.special != usual {
			dst = f.appendSpecial(dst, v)
			continue
		}
		switch v.Kind() {
		case cdc.KindNull:
			dst = append(dst, f.null...)
		case cdc.KindInt:
			dst = appendInt(dst, v.Int())
		case cdc.KindString:
			dst = AppendString(dst, v.Bytes())
		default:
			dst = f.append(dst, v)
		}
	}
	return dst
}

// append appends one value.
func (f *planField) append(dst []byte, v *cdc.Value) []byte {
	switch v.Kind() {
	case cdc.KindNull:
		return append(dst, f.null...)
	case cdc.KindAbsent:
		return append(dst, f.absent...)
	case cdc.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case cdc.KindInt:
		return appendInt(dst, v.Int())
	case cdc.KindUint:
		return appendUint(dst, v.Uint())
	case cdc.KindFloat64:
		return AppendDouble(dst, v.Float(), 64)
	case cdc.KindFloat32:
		return AppendDouble(dst, v.Float(), 32)
	case cdc.KindString:
		return AppendString(dst, v.Bytes())
	case cdc.KindBytes:
		return appendBase64(dst, v.Bytes())
	case cdc.KindDecimal, cdc.KindBigDecimal:
		return f.appendDecimal(dst, v)
	case cdc.KindMicros:
		return append(AppendZoned(append(dst, '"'), v.Int(), f.digits), '"')
	case cdc.KindNumber, cdc.KindJSON:
		return append(dst, v.Bytes()...)
	}
	return f.appendList(dst, v.List())
}

func (f *planField) appendDecimal(dst []byte, v *cdc.Value) []byte {
	layout := plain
	switch f.decimal {
	case decimalBase64:
		if v.Kind() == cdc.KindDecimal {
			return appendBase64Int(dst, v.Int())
		}
		return appendBase64(dst, v.Bytes())
	case decimalQuoted:
		return append(appendDecimalText(append(dst, '"'), v, f.scale, plain), '"')
	case decimalNumber:
		layout = java
	}
	return appendDecimalText(dst, v, f.scale, layout)
}

// appendDecimalText appends a decimal's digits, unquoted.
func appendDecimalText(dst []byte, v *cdc.Value, scale int, t decimalText) []byte {
	if v.Kind() == cdc.KindDecimal {
		return appendSmallDecimal(dst, v.Int(), scale, t)
	}
	return appendBigDecimal(dst, v.Bytes(), scale, t)
}

// appendList appends a struct or an array.
func (f *planField) appendList(dst []byte, list []cdc.Value) []byte {
	if f.element == nil {
		if len(f.members) == 0 {
			return append(dst, '{', '}')
		}
		return append(appendFields(dst, f.members, list), '}')
	}
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = f.element.appendSpecial(dst, &list[i])
	}
	return append(dst, ']')
}
