package expression

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// class is the type of an expression as far as it can be said before a record
// is there.
type class uint8

const (
	unknown class = iota // no schema says
	nothing              // null
	truth
	whole // integers
	exactly
	doubly
	words
	octets
	moment
	timeOfDay
	structure
	array
)

var classNames = [...]string{
	unknown: "of no known type", nothing: "null", truth: "true or false", whole: "an integer", exactly: "a decimal", doubly: "a double",
	words: "text", octets: "bytes", moment: "a date or time", timeOfDay: "a time of day", structure: "a struct", array: "an array",
}

// Limits of the types that are derived, as in MySQL.
const (
	maxPrecision   = 65
	maxScale       = 30
	divisionScale  = 4 // digits that a quotient has more than its operands
	minQuotient    = 6 // and how many it has at least
	doubleScale    = 6 // digits of a double that stands beside a decimal
	unknownDigits  = 19
	literalDoubles = 15
)

// typ is the type of a part of an expression.
type typ struct {
	class            class
	precision, scale int
	// constant is a literal's value.
	constant *value
	// asText is a decimal that travels as text.
	asText bool
	// field is the column whose value it is, unchanged.
	field *cdc.Field
}

func (t typ) isNumber() bool { return t.class == whole || t.class == exactly || t.class == doubly }

// typeOf is the type of a column.
func typeOf(f *cdc.Field) typ {
	t := typ{field: f}
	switch {
	case f.IsDecimal():
		t.class, t.precision, t.scale, t.asText = exactly, f.Precision, f.Scale, f.Type == cdc.Text
		if t.precision == 0 {
			t.precision = maxPrecision
		}
		return t
	case isMoment(f.Semantic):
		t.class = moment
		return t
	case f.Semantic == cdc.Time || f.Semantic == cdc.MicroTime || f.Semantic == cdc.NanoTime || f.Semantic == cdc.ConnectTime:
		t.class = timeOfDay
		return t
	}
	t.class, t.precision = plainClass(f.Type)
	return t
}

func isMoment(s cdc.Semantic) bool {
	switch s {
	case cdc.Date, cdc.ConnectDate, cdc.Timestamp, cdc.ConnectTimestamp, cdc.MicroTimestamp, cdc.NanoTimestamp, cdc.ZonedTimestamp, cdc.IsoDate, cdc.IsoTimestamp:
		return true
	}
	return false
}

func plainClass(t cdc.Type) (class, int) {
	switch t {
	case cdc.Boolean:
		return truth, 0
	case cdc.Int8:
		return whole, 3
	case cdc.Int16:
		return whole, 5
	case cdc.Int32:
		return whole, 10
	case cdc.Int64:
		return whole, 19
	case cdc.Float, cdc.Double:
		return doubly, literalDoubles
	case cdc.Text:
		return words, 0
	case cdc.Binary:
		return octets, 0
	case cdc.Struct:
		return structure, 0
	case cdc.Array:
		return array, 0
	}
	return unknown, 0
}

// resultField is the type of a result as a row's field, without a name. All of
// them are optional.
func (t typ) resultField() cdc.Field {
	if t.field != nil {
		f := *t.field
		f.Optional, f.Default = true, nil
		return f
	}
	out := cdc.Field{Optional: true}
	switch t.class {
	case truth:
		out.Type = cdc.Boolean
	case whole:
		out.Type = cdc.Int64
	case exactly:
		return decimalField(t.precision, t.scale, t.asText)
	case doubly:
		out.Type = cdc.Double
	case words, nothing:
		out.Type = cdc.Text
	case octets:
		out.Type = cdc.Binary
	case moment:
		return *instantField
	default:
		out.Type = cdc.Any
	}
	return out
}

// decimalField is Connect's Decimal, or a decimal that travels as text.
func decimalField(precision, scale int, asText bool) cdc.Field {
	scale = min(scale, maxScale)
	precision = max(min(precision, maxPrecision), scale, 1)
	if asText {
		return cdc.Field{Type: cdc.Text, Optional: true, Precision: precision, Scale: scale}
	}
	return cdc.Field{
		Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Optional: true, Precision: precision, Scale: scale,
		Params: []cdc.Param{{Name: "scale", Value: strconv.Itoa(scale)}, {Name: "connect.decimal.precision", Value: strconv.Itoa(precision)}},
	}
}

// shape is what is known of records before one is there: the schemas of their
// parts, nil where nothing is known.
type shape struct {
	parts    [ofSource + 1]*cdc.Schema
	elements []typ
	// variables are the types of the lets around.
	variables []typ
	missing   bool // a field that the state lacks is an error
	errs      []error
}

func (s *shape) fail(format string, arguments ...any) typ {
	s.errs = append(s.errs, fmt.Errorf(format, arguments...))
	return typ{}
}

// MissingField is a name in an expression that the row's schema does not have.
type MissingField struct {
	Name string
	Have []string
}

// Error says which fields there are.
func (m *MissingField) Error() string {
	return fmt.Sprintf("no field %s; the row has %s", m.Name, strings.Join(m.Have, ", "))
}

// IsMissing reports whether err is about nothing but fields that the row lacks,
// which may be right where a chain sees several tables.
func IsMissing(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		var m *MissingField
		return errors.As(err, &m)
	}
	for _, e := range joined.Unwrap() {
		if !IsMissing(e) {
			return false
		}
	}
	return err != nil
}

// field is the type of a field of a part of the record.
func (s *shape) field(n *fieldNode) typ {
	part := s.parts[n.base]
	if part == nil {
		return typ{}
	}
	if f := part.Field(n.name); f != nil {
		if f.Type == cdc.Any {
			return typ{}
		}
		return typeOf(f)
	}
	if s.missing && !(n.base == ofValue && envelopeNames[n.name]) && !(n.base == ofSource) {
		have := make([]string, len(part.Fields))
		for i := range part.Fields {
			have[i] = part.Fields[i].Name
		}
		s.errs = append(s.errs, &MissingField{Name: n.name, Have: have})
	}
	return typ{}
}

var envelopeNames = map[string]bool{"op": true, "before": true, "after": true, "source": true, "ts_ms": true, "ts_us": true, "ts_ns": true, "transaction": true}

// reckoned is the type of an operation on two numbers.
func (s *shape) reckoned(operator string, a, b typ) typ {
	for _, t := range []typ{a, b} {
		if !t.isNumber() && t.class != unknown && t.class != nothing {
			return s.fail("%s needs numbers on both sides, and one is %s", operator, classNames[t.class])
		}
	}
	switch {
	case a.class == unknown || b.class == unknown:
		return typ{}
	case a.class == nothing || b.class == nothing:
		return typ{class: nothing}
	case isDouble(a, b):
		return typ{class: doubly}
	}
	a, b = besideDouble(a), besideDouble(b)
	out := typ{class: exactly, asText: a.asText || b.asText}
	if a.class == whole && b.class == whole && operator != "/" {
		out.class = whole
	}
	switch operator {
	case "*":
		out.scale, out.precision = a.scale+b.scale, a.precision+b.precision
	case "/":
		out.scale = max(max(a.scale, b.scale)+divisionScale, minQuotient)
		out.precision = a.precision - a.scale + b.scale + out.scale
	case "**":
		out = powered(a, b, out)
	default:
		out.scale = max(a.scale, b.scale)
		out.precision = max(a.precision-a.scale, b.precision-b.scale) + 1 + out.scale
	}
	return out
}

func powered(a, b, out typ) typ {
	if b.constant == nil {
		out.scale, out.precision = maxScale, maxPrecision
		if a.scale == 0 {
			out.scale = 0
		}
		return out
	}
	n := int(b.constant.num.n)
	out.scale, out.precision = min(a.scale*n, maxScale), min(a.precision*max(n, 1), maxPrecision)
	return out
}

// isDouble reports whether two numbers make a double: one is one, and the other
// is no decimal column.
func isDouble(a, b typ) bool {
	exact := func(t typ) bool { return t.class == exactly && t.constant == nil }
	return (a.class == doubly || b.class == doubly) && !exact(a) && !exact(b)
}

// besideDouble is the decimal type of a double beside a decimal.
func besideDouble(t typ) typ {
	if t.class == doubly {
		return typ{class: exactly, precision: unknownDigits + doubleScale, scale: doubleScale}
	}
	return t
}

// either is the type of a value that has one of two types.
func either(a, b typ) typ {
	switch {
	case a.class == nothing:
		return b
	case b.class == nothing:
		return a
	case a.field != nil && a.field == b.field:
		return a
	case a.isNumber() && b.isNumber():
		return eitherNumber(a, b)
	case a.class == moment && b.class == moment:
		return typ{class: moment}
	case a.class == b.class && a.class != structure && a.class != array && a.class != timeOfDay:
		return typ{class: a.class}
	}
	return typ{}
}

func eitherNumber(a, b typ) typ {
	if isDouble(a, b) {
		return typ{class: doubly}
	}
	a, b = besideDouble(a), besideDouble(b)
	out := typ{class: exactly, scale: max(a.scale, b.scale), asText: a.asText || b.asText}
	if a.class == whole && b.class == whole {
		out.class = whole
	}
	out.precision = max(a.precision-a.scale, b.precision-b.scale) + out.scale
	return out
}

// comparable checks that two types can be compared at all, and that a literal
// says something that the other side's type has.
func (s *shape) comparable(operator string, a, b typ) {
	for _, t := range []typ{a, b} {
		other := a
		if t.class == a.class {
			other = b
		}
		if (t.class == structure || t.class == array) && other.class != nothing && other.class != unknown {
			s.fail("%s cannot compare %s", operator, classNames[t.class])
			return
		}
	}
	s.literal(operator, a, b)
	s.literal(operator, b, a)
}

func (s *shape) literal(operator string, constant, other typ) {
	if constant.constant == nil || other.constant != nil || constant.class != words {
		if constant.constant != nil && constant.class == truth && (other.class == moment || other.class == timeOfDay) {
			s.fail("%s cannot compare %s with %s", operator, classNames[other.class], classNames[constant.class])
		}
		return
	}
	said := constant.constant.src.Bytes()
	ok, want := true, ""
	switch other.class {
	case whole, exactly, doubly:
		_, ok = parseNumber(said)
		want = "a number"
	case moment:
		_, ok = parseInstant(said)
		want = "a date or time such as 2026-01-31 or 2026-01-31T12:30:00Z"
	case timeOfDay:
		_, ok = parseClock(said)
		want = "a time such as 12:30:00"
	case truth:
		ok, want = string(said) == "true" || string(said) == "false", "true or false"
	}
	if !ok {
		s.fail("%s compares with '%s', which is not %s", operator, said, want)
	}
}

// condition checks that a type can be asked whether it is true.
func (s *shape) condition(where string, t typ) {
	switch t.class {
	case truth, unknown, nothing:
	case whole:
		if t.field == nil { // a flag that travels as a number is a condition
			s.fail("%s needs a condition, and this is %s", where, classNames[t.class])
		}
	default:
		s.fail("%s needs a condition, and this is %s", where, classNames[t.class])
	}
}
