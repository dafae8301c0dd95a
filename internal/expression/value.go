package expression

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// kind is what a value is while an expression runs.
type kind uint8

const (
	null     kind = iota
	boolean       // num.n is 1 for true
	decimal       // num: every number but doubles
	double        // src, a KindFloat32 or KindFloat64
	text          // src's bytes
	binary        // src's bytes
	instant       // num.n: µs since the epoch, of dates too
	clock         // num.n: µs since midnight
	object        // src's list by the schema of field
	list          // src's list by the element of field
	jsonText      // src's bytes: a JSON object or array
)

// value is what a part of an expression comes to.
type value struct {
	kind kind
	num  number
	// src is the value as a row has it, field what its schema says of it: nil
	// for what was computed.
	src   cdc.Value
	field *cdc.Field
}

func boolValue(b bool) value {
	v := value{kind: boolean}
	if b {
		v.num.n = 1
	}
	return v
}

func textValue(b []byte) value { return value{kind: text, src: cdc.String(b)} }

func numberValue(n number) value { return value{kind: decimal, num: n} }

func intValue(n int64) value { return value{kind: decimal, num: number{n: n}} }

// instantField is the type of a point in time that was computed.
var instantField = &cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp, SchemaVersion: 1, Optional: true}

// instantValue is a point in time that no column has, in µs since the epoch.
func instantValue(micros int64) value { return value{kind: instant, num: number{n: micros}} }

// anyField is the type of what no schema states.
var anyField = &cdc.Field{Type: cdc.Any, Optional: true}

// load makes a value of a row's, whose type is f.
func load(v cdc.Value, f *cdc.Field) value {
	out := value{src: v, field: f}
	switch v.Kind() {
	case cdc.KindNull, cdc.KindAbsent:
		return value{}
	case cdc.KindBool:
		out.kind, out.num.n = boolean, int64(v.Uint())
	case cdc.KindInt:
		out.kind, out.num.n = decimal, v.Int()
		if f.Semantic != cdc.Plain {
			out.temporal()
		}
	case cdc.KindDecimal:
		out.kind, out.num = decimal, number{n: v.Int(), scale: int32(f.Scale)}
		if f.Scale > maxSmallScale || f.Scale < 0 {
			out.wide(strconv.AppendInt(nil, v.Int(), 10), f.Scale)
		}
	case cdc.KindFloat32, cdc.KindFloat64:
		out.kind = double
	case cdc.KindString:
		out.kind = text
		if f.Semantic != cdc.Plain {
			out.temporalText()
		}
	case cdc.KindBytes:
		out.kind = binary
	case cdc.KindMicros:
		out.kind, out.num.n = instant, v.Int()
	case cdc.KindJSON:
		out.kind = jsonText
	case cdc.KindList:
		if out.kind = object; f.Type == cdc.Array {
			out.kind = list
		}
	default:
		return out.rare()
	}
	return out
}

// rare loads numbers that are seldom met.
func (v value) rare() value {
	ok := false
	v.kind = decimal
	switch v.src.Kind() {
	case cdc.KindUint:
		v.num, ok = parseNumber(strconv.AppendUint(nil, v.src.Uint(), 10))
	case cdc.KindNumber:
		v.num, ok = parseNumber(v.src.Bytes())
	case cdc.KindBigDecimal:
		var err error
		v.num, err = fromTwos(v.src.Bytes(), v.field.Scale)
		ok = err == nil
	}
	if !ok {
		v.kind = text // a number too long to reckon with
		v.src = cdc.String(v.appendText(nil))
	}
	return v
}

// wide is a small unscaled number with a scale that no small number has.
func (v *value) wide(digits []byte, scale int) {
	n, ok := parseNumber(append(append(digits, 'E'), strconv.Itoa(-scale)...))
	if v.num = n; !ok {
		v.kind = null
	}
}

// temporal tells dates and times from other integers.
func (v *value) temporal() {
	n := v.num.n
	switch v.field.Semantic {
	case cdc.Date, cdc.ConnectDate:
		v.kind, v.num.n = instant, n*microsPerDay
	case cdc.Timestamp, cdc.ConnectTimestamp:
		v.kind, v.num.n = instant, n*1000
	case cdc.MicroTimestamp:
		v.kind = instant
	case cdc.NanoTimestamp:
		v.kind, v.num.n = instant, floor(n, 1000)
	case cdc.Time, cdc.ConnectTime:
		v.kind, v.num.n = clock, n*1000
	case cdc.MicroTime:
		v.kind = clock
	case cdc.NanoTime:
		v.kind, v.num.n = clock, floor(n, 1000)
	}
}

// temporalText tells points in time that travel as text from other text.
func (v *value) temporalText() {
	switch v.field.Semantic {
	case cdc.ZonedTimestamp, cdc.IsoDate, cdc.IsoTimestamp:
		if micros, ok := parseInstant(v.src.Bytes()); ok {
			v.kind, v.num.n = instant, micros
		}
	}
}

const microsPerDay = 86_400_000_000

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// number is the value as an exact number, if it is one: a double counts as its
// shortest decimal, a point in time as the number that travels.
func (v *value) number() (number, bool) {
	switch v.kind {
	case decimal, boolean:
		return v.num, true
	case double:
		f := v.src.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return number{}, false
		}
		return fromFloat(f, v.bitSize())
	case instant, clock:
		if v.src.Kind() == cdc.KindInt {
			return number{n: v.src.Int()}, true
		}
		return number{n: floor(v.num.n, 1000)}, true
	case text:
		return parseNumber(v.src.Bytes())
	}
	return number{}, false
}

func (v *value) bitSize() int {
	if v.src.Kind() == cdc.KindFloat32 {
		return 32
	}
	return 64
}

// truth is what the value says as a condition: null says no; 0, an empty text
// and false do too, as in Groovy and JavaScript.
func (v *value) truth() bool {
	switch v.kind {
	case null:
		return false
	case boolean:
		return v.num.n != 0
	case decimal:
		return !v.num.isZero()
	case double:
		return v.src.Float() != 0
	case text:
		return len(v.src.Bytes()) > 0
	}
	return true
}

// appendText appends the value as people write it: numbers in full, dates and
// times as ISO 8601, structs and arrays as JSON; nothing for null.
func (v *value) appendText(dst []byte) []byte {
	switch v.kind {
	case null:
		return dst
	case boolean:
		return strconv.AppendBool(dst, v.num.n != 0)
	case text, jsonText:
		return append(dst, v.src.Bytes()...)
	case decimal:
		if v.src.Kind() != cdc.KindNumber {
			return v.num.append(dst)
		}
	case instant:
		if v.field == nil {
			return json.AppendZoned(dst, v.num.n, 3)
		}
	}
	return json.AppendText(dst, v.field, &v.src)
}

// parseInstant reads a date, or a date and a time with or without an offset, as
// µs since the epoch: 2026-01-31, 2026-01-31 12:30, 2026-01-31T12:30:00.5+02:00.
func parseInstant(s []byte) (micros int64, ok bool) {
	if len(s) < len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	var scratch [48]byte
	b := append(scratch[:0], s[:10]...)
	switch rest := s[10:]; {
	case len(rest) == 0:
		b = append(b, "T00:00:00Z"...)
	case len(rest) < len(" 15:04") || len(rest) > 30 || rest[0] != ' ' && rest[0] != 'T':
		return 0, false
	default:
		b = append(append(b, 'T'), rest[1:6]...)
		if rest = rest[6:]; len(rest) == 0 || rest[0] != ':' {
			b = append(b, ":00"...)
		}
		b = append(b, rest...)
		if tail := b[len(b)-min(len(rest), 6):]; !hasOffset(tail) {
			b = append(b, 'Z')
		}
	}
	return json.ParseZoned(b)
}

func hasOffset(tail []byte) bool {
	return len(tail) > 0 && (tail[len(tail)-1] == 'Z' || len(tail) == 6 && (tail[0] == '+' || tail[0] == '-') && tail[3] == ':')
}

// parseClock reads hh:mm[:ss[.ffffff]], after a - if it is negative, as µs.
func parseClock(s []byte) (micros int64, ok bool) {
	d, err := time.ParseDuration(clockDuration(string(s)))
	return d.Microseconds(), err == nil
}

// clockDuration writes hh:mm:ss the way that time.ParseDuration reads.
func clockDuration(s string) string {
	units := []byte("hms")
	out := make([]byte, 0, len(s)+3)
	for i := range len(s) {
		if s[i] != ':' {
			out = append(out, s[i])
			continue
		}
		if len(units) == 1 {
			return ""
		}
		out, units = append(out, units[0]), units[1:]
	}
	if len(units) == 3 {
		return ""
	}
	return string(append(out, units[0]))
}

// compare orders two values that can be compared: numbers with numbers, text
// with numbers and with dates and times as what it says, text with text by its
// bytes. ok is false otherwise, and for null.
func compare(a, b *value) (order int, ok bool) {
	switch {
	case a.kind == decimal && b.kind == decimal:
		return a.num.compare(&b.num), true
	case a.kind == null || b.kind == null:
		return 0, false
	case a.kind == b.kind:
		return compareAlike(a, b)
	case a.kind == text:
		return compareText(a, b)
	case b.kind == text:
		order, ok = compareText(b, a)
		return -order, ok
	}
	return compareNumbers(a, b)
}

func compareAlike(a, b *value) (int, bool) {
	switch a.kind {
	case text, binary, jsonText:
		return bytes.Compare(a.src.Bytes(), b.src.Bytes()), true
	case boolean, instant, clock:
		return order(a.num.n, b.num.n), true
	case double:
		x, y := a.src.Float(), b.src.Float()
		return order(x, y), x == x && y == y
	}
	return 0, a.src.Equal(&b.src)
}

func order[T int64 | float64](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// compareNumbers compares a number with a double, a truth value (1 and 0) or the
// number that a date or time travels as.
func compareNumbers(a, b *value) (int, bool) {
	switch {
	case a.kind == double && b.kind == decimal && b.num.big == nil && a.bitSize() == 64:
		return order(a.src.Float(), b.num.float()), !math.IsNaN(a.src.Float())
	case b.kind == double && a.kind == decimal && a.num.big == nil && b.bitSize() == 64:
		return order(a.num.float(), b.src.Float()), !math.IsNaN(b.src.Float())
	}
	x, ok1 := a.number()
	y, ok2 := b.number()
	if !ok1 || !ok2 {
		return 0, false
	}
	return x.compare(&y), true
}

// compareText compares text with what is none.
func compareText(a, b *value) (int, bool) {
	s := a.src.Bytes()
	switch b.kind {
	case decimal, double:
		n, ok := parseNumber(s)
		if !ok {
			return 0, false
		}
		x := numberValue(n)
		if b.kind == decimal {
			return n.compare(&b.num), true
		}
		return compareNumbers(&x, b)
	case instant:
		micros, ok := parseInstant(s)
		return order(micros, b.num.n), ok
	case clock:
		micros, ok := parseClock(s)
		return order(micros, b.num.n), ok
	case boolean:
		return order(boolOf(s), b.num.n), string(s) == "true" || string(s) == "false"
	case binary, jsonText:
		return bytes.Compare(s, b.src.Bytes()), true
	}
	return 0, false
}

func boolOf(s []byte) int64 {
	if string(s) == "true" {
		return 1
	}
	return 0
}

// equal is compare's order 0; null equals null.
func equal(a, b *value) bool {
	if a.kind == null && b.kind == null {
		return true
	}
	c, ok := compare(a, b)
	return ok && c == 0
}

func floatValue(f float64) value { return value{kind: double, src: cdc.Float64(f), field: doubleField} }

var doubleField = &cdc.Field{Type: cdc.Double, Optional: true}
