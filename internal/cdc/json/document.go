package json

import (
	"bytes"
	"encoding/base64"

	"github.com/weir-cdc/weir/internal/cdc"
)

// DocumentOptions are how a document writes what a target may want in more than
// one way.
type DocumentOptions struct {
	// NestJSON writes columns of type JSON as the JSON they hold, not as text.
	// Text that is no JSON stays text.
	NestJSON bool
	// ISO writes dates and times that travel as numbers as ISO 8601, points in
	// time without a zone: 2026-11-22, 2026-11-22T10:00:00.000, 10:00:00.000000.
	ISO bool
}

// Document appends what a sink stores of a row: a JSON object of its fields.
// It differs from what travels in Kafka by decimals, which are exact JSON
// numbers without an exponent whatever their form in Kafka, and by
// DocumentOptions. A document has no line breaks. It is immutable.
//
// A value that the source did not send (cdc.Row.Absent) comes out as the
// placeholder or as null: such a row must not be written over a whole one.
type Document struct{ plan *Plan }

// NewDocument compiles the document of rows of s.
func NewDocument(s *cdc.Schema, options DocumentOptions) *Document {
	p := NewPlan(s, Options{})
	options.specialise(s.Fields, p.fields)
	return &Document{plan: p}
}

// Append appends the document of r.
func (d *Document) Append(dst []byte, r *cdc.Row) []byte {
	if !d.plan.object {
		return d.plan.fields[0].appendSpecial(dst, &r.Values[0])
	}
	return d.plan.appendPayload(dst, r.Values)
}

// specialForm is how a document writes a field otherwise than JsonConverter.
type specialForm uint8

const (
	usual          specialForm = iota
	textNumber                 // a decimal that travels as text
	structNumber               // a VariableScaleDecimal
	nestedJSON                 // text that is JSON
	rawJSON                    // JSON as it was read
	isoTemporal                // a number that is a date or time
	scaleMember    = "scale"
	unscaledMember = "value"
)

func (o DocumentOptions) specialise(fields []cdc.Field, plans []planField) {
	for i := range fields {
		o.specialiseField(&fields[i], &plans[i])
	}
}

func (o DocumentOptions) specialiseField(f *cdc.Field, p *planField) {
	p.decimal, p.semantic = decimalPlain, f.Semantic
	_, temporal := appendISO(nil, f.Semantic, 0)
	switch {
	case f.Type == cdc.Text && f.IsDecimal():
		p.special = textNumber
	case f.Semantic == cdc.VariableDecimal && f.Type == cdc.Struct:
		p.special = structNumber
	case o.NestJSON && f.Semantic == cdc.JSON:
		p.special = nestedJSON
	case f.Type == cdc.Any || f.Type == cdc.Map:
		p.special = rawJSON
	case o.ISO && temporal:
		p.special = isoTemporal
	}
	switch f.Type {
	case cdc.Struct:
		o.specialise(f.Struct.Fields, p.members)
	case cdc.Array:
		o.specialiseField(f.Element, p.element)
	}
}

// appendSpecial appends one value in the field's special form, if its kind is
// the one that has it.
func (f *planField) appendSpecial(dst []byte, v *cdc.Value) []byte {
	switch kind := v.Kind(); {
	case f.special == textNumber && kind == cdc.KindString && isNumber(v.Bytes()):
		return append(dst, v.Bytes()...)
	case f.special == structNumber && kind == cdc.KindList:
		return f.appendVariable(dst, v.List())
	case f.special == nestedJSON && kind == cdc.KindString:
		return appendNested(dst, v.Bytes())
	case f.special == rawJSON && kind == cdc.KindJSON:
		return appendOneLine(dst, v.Bytes())
	case f.special == isoTemporal && kind == cdc.KindInt:
		dst, _ = appendISO(append(dst, '"'), f.semantic, v.Int())
		return append(dst, '"')
	}
	return f.append(dst, v)
}

// appendVariable appends a VariableScaleDecimal, a struct of scale and value.
func (f *planField) appendVariable(dst []byte, members []cdc.Value) []byte {
	var scale, unscaled *cdc.Value
	for i := range members {
		switch lead := f.members[i].lead; text(lead[2 : len(lead)-2]) {
		case scaleMember:
			scale = &members[i]
		case unscaledMember:
			unscaled = &members[i]
		}
	}
	if scale == nil || unscaled == nil || unscaled.Kind() != cdc.KindBytes || len(unscaled.Bytes()) > mostDecimalBytes ||
		scale.Int() > maxScale || scale.Int() < -maxScale {
		return f.append(dst, new(cdc.List(members)))
	}
	return appendBigDecimal(dst, unscaled.Bytes(), int(scale.Int()), plain)
}

// appendNested appends text that is JSON as it is, other text as a string.
func appendNested(dst, b []byte) []byte {
	p := parser{b: b}
	p.back(0)
	if p.space(); !p.skip() || !p.end() {
		return AppendString(dst, b)
	}
	return appendOneLine(dst, b)
}

// appendOneLine appends JSON without line breaks, which can only stand between
// its tokens: a bulk request's documents are lines.
func appendOneLine(dst, b []byte) []byte {
	at := len(dst)
	dst = append(dst, b...)
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return dst
	}
	for i := at; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}

// AppendText appends a value as plain text, for ids, keys and paths: numbers and
// decimals in full without an exponent where they are exact, dates and times as
// ISO 8601, text as it is, bytes in base64, structs and arrays as JSON. It
// appends nothing for a NULL or absent value. The text of a value does not
// depend on how it travelled.
func AppendText(dst []byte, f *cdc.Field, v *cdc.Value) []byte {
	switch v.Kind() {
	case cdc.KindNull, cdc.KindAbsent:
		return dst
	case cdc.KindString, cdc.KindNumber, cdc.KindJSON:
		return append(dst, v.Bytes()...)
	case cdc.KindBytes:
		return base64.StdEncoding.AppendEncode(dst, v.Bytes())
	case cdc.KindInt:
		if dst, ok := appendISO(dst, f.Semantic, v.Int()); ok {
			return dst
		}
	case cdc.KindDecimal, cdc.KindBigDecimal:
		return appendDecimalText(dst, v, f.Scale, plain)
	case cdc.KindMicros:
		return AppendZoned(dst, v.Int(), f.Digits)
	case cdc.KindList:
		p := newPlanField(f, Options{})
		return p.append(dst, v)
	}
	at := len(dst)
	dst = (&planField{}).append(dst, v)
	if dst[at] == '"' { // NaN and the infinities
		dst = append(dst[:at], dst[at+1:len(dst)-1]...)
	}
	return dst
}
