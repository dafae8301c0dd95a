package lake

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// rule says how one value is checked against its column before it is taken.
// The cheap test comes first; only what fails it is looked at closely.
type rule uint8

const (
	byKind     rule = iota // the kind alone decides
	smallInt               // a kind, and a number of at most limit
	ofDay                  // a number from 0 to below limit
	eachAlone              // every value is observed
	nestedRule             // members and elements are checked
)

// column is one field of a row schema: what its values usually become, and how
// to tell the unusual ones.
type column struct {
	field *cdc.Field
	shape shape
	rule  rule
	kinds uint16 // byKind, smallInt: a bit per cdc.Kind
	limit int64
	inner []column // nestedRule: the members, or the element
}

func kinds(ks ...cdc.Kind) (mask uint16) {
	for _, k := range ks {
		mask |= 1 << k
	}
	return mask
}

// newColumn prepares f.
func newColumn(f *cdc.Field) (column, error) {
	s, err := shapeOf(f)
	if err != nil {
		return column{}, err
	}
	c := column{field: f, shape: s}
	switch s.kind {
	case unknown:
		c.rule = eachAlone
	case boolean:
		c.kinds = kinds(cdc.KindBool, cdc.KindInt)
	case int32s, date:
		c.rule, c.limit, c.kinds = smallInt, math.MaxInt32, kinds(cdc.KindInt)
	case int64s:
		c.kinds = kinds(cdc.KindInt)
	case timestamp:
		c.kinds = kinds(cdc.KindInt, cdc.KindMicros)
		if s.unit == millis { // the file's column may be one of microseconds
			c.rule, c.limit, c.kinds = smallInt, math.MaxInt64/1000, kinds(cdc.KindInt)
		}
	case float32s:
		c.kinds = kinds(cdc.KindFloat32)
	case float64s:
		c.kinds = kinds(cdc.KindFloat32, cdc.KindFloat64)
	case decimal:
		c.rule, c.limit, c.kinds = smallInt, pow10s[min(int(s.precision), 18)]-1, kinds(cdc.KindDecimal)
	case timeOfDay:
		c.rule, c.limit = ofDay, dayIn[s.unit]
	case text:
		c.kinds = kinds(cdc.KindString, cdc.KindNumber, cdc.KindJSON)
		if f.Semantic == cdc.VariableDecimal || f.Semantic == cdc.Decimal {
			c.rule = eachAlone
		}
	case binary:
		c.kinds = kinds(cdc.KindBytes, cdc.KindString)
	case group, list:
		c.rule = nestedRule
		err = c.nest()
	}
	return c, err
}

// nest prepares what is inside a struct or array.
func (c *column) nest() error {
	fields := []cdc.Field{}
	if c.field.Type == cdc.Struct {
		fields = c.field.Struct.Fields
	} else {
		fields = append(fields, *c.field.Element)
	}
	for i := range fields {
		inner, err := newColumn(&fields[i])
		if err != nil {
			return err
		}
		inner.shape = nestedShape(inner.shape)
		c.inner = append(c.inner, inner)
	}
	return nil
}

// usual reports, quickly, whether v is a value of the column's shape.
func (c *column) usual(v *cdc.Value) bool {
	switch c.rule {
	case byKind:
		return c.kinds>>v.Kind()&1 != 0
	case smallInt:
		n := v.Int()
		return c.kinds>>v.Kind()&1 != 0 && n <= c.limit && n >= -c.limit
	case ofDay:
		return v.Kind() == cdc.KindInt && v.Int() >= 0 && v.Int() < c.limit
	}
	return false
}

var (
	errKind    = errors.New("the value is not of the column's type")
	errFormat  = errors.New("the value cannot be read")
	errRange   = errors.New("the value is out of range")
	errMissing = errors.New("the value was not in the row image")
)

// observe returns the shape that a value which is not usual needs.
func (c *column) observe(v *cdc.Value) (shape, error) {
	s, err := c.needed(v)
	if err != nil {
		return s, fmt.Errorf("column %s: %w", c.field.Name, err)
	}
	return s, nil
}

func (c *column) needed(v *cdc.Value) (shape, error) {
	switch {
	case v.Kind() == cdc.KindAbsent:
		return shape{}, errMissing
	case c.field.Type == cdc.Any && c.field.Semantic == cdc.Plain:
		return observeAny(v)
	case c.field.Semantic == cdc.Decimal:
		return c.observeDecimal(v)
	case c.field.Semantic == cdc.VariableDecimal:
		_, ok := variableNumber(v)
		return c.shape, orFormat(ok)
	}
	switch c.shape.kind {
	case int32s, int64s:
		return c.observeInt(v)
	case date:
		return c.shape, errRange
	case timestamp:
		return c.observeInstant(v)
	case float32s, float64s:
		return c.observeFloat(v)
	case timeOfDay, duration:
		if v.Kind() == cdc.KindInt {
			if n, limit := v.Int(), longest(c.shape.unit); n > limit || n < -limit {
				return shape{}, errRange
			}
			return shape{kind: duration, unit: c.shape.unit}, nil
		}
	case group, list:
		return c.shape, c.checkNested(v)
	}
	return shape{}, errKind
}

func orFormat(ok bool) error {
	if !ok {
		return errFormat
	}
	return nil
}

// observeInt is for integers that are larger than their column.
func (c *column) observeInt(v *cdc.Value) (shape, error) {
	switch n := v.Int(); v.Kind() {
	case cdc.KindInt:
		if c.shape.kind == int32s && n == math.MinInt32 {
			return c.shape, nil
		}
		return shape{kind: int64s, wide: true}, nil
	case cdc.KindUint:
		return decimalShape(20, 0), nil
	}
	return shape{}, errKind
}

func (c *column) observeFloat(v *cdc.Value) (shape, error) {
	switch v.Kind() {
	case cdc.KindFloat64:
		if f := v.Float(); c.shape.kind == float32s && (float64(float32(f)) == f || f != f) {
			return c.shape, nil
		}
		return shape{kind: float64s}, nil
	case cdc.KindInt:
		if n := v.Int(); int64(float64(n)) == n {
			return shape{kind: float64s}, nil
		}
		return shape{}, errRange
	}
	return shape{}, errKind
}

// longest is the longest duration of a unit that a column of a finer unit holds,
// too: the file's may be one.
func longest(unit uint8) int64 { return math.MaxInt64 / pow10s[nanos-unit] }

// observeInstant is for instants that travel as text, and those that are out of
// range.
func (c *column) observeInstant(v *cdc.Value) (shape, error) {
	switch v.Kind() {
	case cdc.KindMicros:
		return c.shape, nil
	case cdc.KindInt:
		return shape{}, errRange
	}
	if v.Kind() != cdc.KindString || c.field.Semantic != cdc.ZonedTimestamp {
		return shape{}, errKind
	}
	if _, ok := parseInstant(v.Bytes()); !ok {
		return shape{}, fmt.Errorf("%w: %.40q is no timestamp with an offset and at most six digits of a second", errFormat, v.Bytes())
	}
	return c.shape, nil
}

// observeDecimal is for decimals that are large, or whose form is not the usual.
func (c *column) observeDecimal(v *cdc.Value) (shape, error) {
	d, ok := decimalNumber(v, c.field.Scale)
	if !ok {
		return shape{}, errFormat
	}
	var needed shape
	if n, ok := d.rescale(c.field.Scale); ok {
		needed = decimalShape(bigDigits(n), c.field.Scale)
	} else { // finer than the column says
		d = d.reduced()
		needed = decimalShape(max(bigDigits(d.n), d.scale), d.scale)
	}
	switch {
	case c.shape.kind == text, needed.kind == decimal && needed.scale == c.shape.scale && needed.precision <= c.shape.precision:
		return c.shape, nil
	case needed.kind == text: // text and decimals go into no column together
		return shape{}, errRange
	}
	return needed, nil
}

// decimalNumber is the exact value of a Decimal field in any of the forms in
// which it travels: unscaled number or bytes, literal, text, float.
func decimalNumber(v *cdc.Value, scale int) (number, bool) {
	var d number
	switch v.Kind() {
	case cdc.KindDecimal:
		d.n, d.scale = big.NewInt(v.Int()), scale
	case cdc.KindInt:
		d.n = big.NewInt(v.Int())
	case cdc.KindUint:
		d.n = big.NewInt(0).SetUint64(v.Uint())
	case cdc.KindBigDecimal, cdc.KindBytes:
		d.n, d.scale = bigOf(v.Bytes()), scale
	case cdc.KindString, cdc.KindNumber:
		return parseNumber(v.Bytes())
	case cdc.KindFloat64, cdc.KindFloat32:
		return parseNumber(strconv.AppendFloat(nil, v.Float(), 'e', -1, 64))
	default:
		return d, false
	}
	return d, true
}

// variableNumber is the exact value of a VariableScaleDecimal.
func variableNumber(v *cdc.Value) (number, bool) {
	members := v.List()
	if len(members) != 2 || members[0].Kind() != cdc.KindInt || members[1].IsNull() {
		return number{}, false
	}
	if scale := members[0].Int(); scale > mostScale || scale < -mostScale || len(members[1].Bytes()) > mostDigits/2 {
		return number{}, false
	}
	return decimalNumber(&members[1], int(members[0].Int()))
}

// observeAny is the shape of one value of schemaless JSON.
func observeAny(v *cdc.Value) (shape, error) {
	switch v.Kind() {
	case cdc.KindBool:
		return shape{kind: boolean}, nil
	case cdc.KindInt:
		n := v.Int()
		return shape{kind: int64s, wide: n > 1<<53 || n < -1<<53}, nil
	case cdc.KindFloat32, cdc.KindFloat64:
		return shape{kind: float64s}, nil
	case cdc.KindNumber:
		return observeLiteral(v.Bytes()), nil
	case cdc.KindString, cdc.KindJSON, cdc.KindUint:
		return shape{kind: text}, nil
	case cdc.KindBytes:
		return shape{kind: binary}, nil
	}
	return shape{}, errKind
}

// observeLiteral is the shape of a JSON number: INT64, DOUBLE where that loses
// no digit, else text.
func observeLiteral(b []byte) shape {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return shape{kind: int64s, wide: n > 1<<53 || n < -1<<53}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !bytes.ContainsAny(b, ".eE") {
		return shape{kind: text}
	}
	var buffer [40]byte
	if string(significant(strconv.AppendFloat(buffer[:0], f, 'e', -1, 64))) != string(significant(b)) {
		return shape{kind: text}
	}
	return shape{kind: float64s}
}

// significant are the digits of a literal from the first to the last that is
// not zero.
func significant(b []byte) []byte {
	if i := bytes.IndexAny(b, "eE"); i >= 0 {
		b = b[:i]
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c >= '0' && c <= '9' {
			out = append(out, c)
		}
	}
	return bytes.Trim(out, "0")
}

// widenAny is widen for a column whose values have no stated type: what
// disagrees becomes text, so that it needs no further file.
func widenAny(a, b shape) (shape, bool) {
	if w, ok := widen(a, b); ok {
		return w, true
	}
	if !a.literal() || !b.literal() {
		return shape{}, false
	}
	numbers := a.kind != boolean && a.kind != text && b.kind != boolean && b.kind != text
	if numbers && !a.wide && !b.wide {
		return shape{kind: float64s}, true
	}
	return shape{kind: text}, true
}

// literal reports whether values of the shape have a JSON literal.
func (s shape) literal() bool {
	switch s.kind {
	case boolean, int32s, int64s, float32s, float64s, text:
		return true
	}
	return false
}

// checkNested checks everything inside a struct or array.
func (c *column) checkNested(v *cdc.Value) error {
	members := v.List()
	if v.Kind() != cdc.KindList || c.shape.kind == group && len(members) != len(c.inner) {
		return errKind
	}
	for i := range members {
		inner := &c.inner[min(i, len(c.inner)-1)]
		m := &members[i]
		if m.IsNull() || inner.usual(m) {
			continue
		}
		s, err := inner.needed(m)
		if err == nil && !inner.shape.fits(s) && !(inner.shape.kind == text && s.literal()) {
			err = errRange
		}
		if err != nil && c.shape.kind == group {
			err = fmt.Errorf("%s: %w", inner.field.Name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
