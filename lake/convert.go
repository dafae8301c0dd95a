package lake

import (
	"math/big"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/internal/cdc"
)

// conversion turns the checked values of one field into those of one Parquet
// column, or of several where the field is a struct.
type conversion struct {
	to     shape
	scale  int   // of the field, where it is a decimal
	factor int64 // of a time or an unscaled decimal whose column is finer; 0: beyond an int64
	exact  bool  // decimal: the column has the field's scale

	size  int // of a decimal in bytes
	leaf  int // the Parquet column, the first of a group or list
	inner []conversion
}

// newConversion is the way from a field to the column at leaf.
func newConversion(c *column, to shape, leaf int) conversion {
	v := conversion{to: to, scale: c.field.Scale, factor: 1, leaf: leaf}
	switch to.kind {
	case timeOfDay, duration, timestamp:
		v.factor = pow10s[to.unit-c.shape.unit]
	case decimal:
		if c.field.Semantic != cdc.Decimal {
			v.scale = 0
		}
		v.exact = v.scale == int(to.scale)
		if d := int(to.scale) - v.scale; d >= 0 && d <= 18 {
			v.factor = pow10s[d]
		} else {
			v.factor = 0
		}
		v.size = decimalBytes(int(to.precision))
	case group, list:
		for i := range to.members {
			v.inner = append(v.inner, newConversion(&c.inner[i], to.members[i], leaf))
			leaf += to.members[i].leaves()
		}
	}
	return v
}

// fills reports whether values of the field can be in a column of shape to, for
// only a struct or an array is one. Another field's are null there: it has no
// stated type, and what else it has goes to a further file.
func (c *column) fills(to shape) bool {
	return to.kind != group && to.kind != list || c.shape.kind == to.kind
}

// scratch is memory for values that have to be made; it is reused once they
// were written.
type scratch []byte

// value is v, which was checked and is not null, as the physical type of a
// column that is not nested. What it points to lives as long as v and s.
func (c *conversion) value(v *cdc.Value, s *scratch) parquet.Value {
	switch c.to.kind {
	case boolean:
		return parquet.BooleanValue(v.Bool())
	case int32s, date:
		return parquet.Int32Value(int32(v.Int()))
	case int64s:
		return parquet.Int64Value(integer(v))
	case timeOfDay, duration:
		return c.time(v)
	case timestamp:
		return parquet.Int64Value(c.instant(v))
	case float32s:
		return parquet.FloatValue(float32(v.Float()))
	case float64s:
		return parquet.DoubleValue(float(v))
	case decimal:
		return c.decimal(v, s)
	case text:
		return parquet.ByteArrayValue(c.text(v, s))
	}
	return parquet.ByteArrayValue(v.Bytes())
}

// time is a time of day or a duration; milliseconds of a day are an INT32.
func (c *conversion) time(v *cdc.Value) parquet.Value {
	if c.to.kind == timeOfDay && c.to.unit == millis {
		return parquet.Int32Value(int32(v.Int()))
	}
	return parquet.Int64Value(v.Int() * c.factor)
}

// integer is a whole number; schemaless JSON has it as a literal.
func integer(v *cdc.Value) int64 {
	if v.Kind() == cdc.KindNumber {
		n, _ := strconv.ParseInt(string(v.Bytes()), 10, 64)
		return n
	}
	return v.Int()
}

func float(v *cdc.Value) float64 {
	switch v.Kind() {
	case cdc.KindInt:
		return float64(v.Int())
	case cdc.KindNumber:
		f, _ := strconv.ParseFloat(string(v.Bytes()), 64)
		return f
	}
	return v.Float()
}

func (c *conversion) instant(v *cdc.Value) int64 {
	switch v.Kind() {
	case cdc.KindString:
		us, _ := parseInstant(v.Bytes())
		return us
	case cdc.KindMicros:
		if c.to.unit == millis {
			return v.Int() / 1000
		}
		return v.Int()
	}
	return v.Int() * c.factor
}

// decimal is v's unscaled number as the column's physical type.
func (c *conversion) decimal(v *cdc.Value, s *scratch) parquet.Value {
	switch v.Kind() {
	case cdc.KindDecimal, cdc.KindInt:
		if n, ok := mulFits(v.Int(), c.factor); ok && c.factor > 0 && (v.Kind() == cdc.KindDecimal || c.scale == 0) {
			return c.unscaled(n, s)
		}
	case cdc.KindBigDecimal, cdc.KindBytes:
		if c.exact && c.to.precision > 18 {
			return c.fixed(appendSigned((*s), v.Bytes(), c.size), s)
		}
		if n, ok := smallOf(v.Bytes()); ok && c.exact {
			return c.unscaled(n, s)
		}
	}
	d, _ := decimalNumber(v, c.scale)
	n, _ := d.rescale(int(c.to.scale))
	if n == nil {
		n = new(big.Int)
	}
	if c.to.precision <= 18 {
		return c.unscaled(n.Int64(), s)
	}
	return c.fixed(appendBig(*s, n, c.size), s)
}

// unscaled is a number that the column holds.
func (c *conversion) unscaled(n int64, s *scratch) parquet.Value {
	switch {
	case c.to.precision <= 9:
		return parquet.Int32Value(int32(n))
	case c.to.precision <= 18:
		return parquet.Int64Value(n)
	}
	return c.fixed(appendInt64(*s, n, c.size), s)
}

// fixed is the last size bytes of grown, which becomes s.
func (c *conversion) fixed(grown []byte, s *scratch) parquet.Value {
	*s = grown
	return parquet.FixedLenByteArrayValue(grown[len(grown)-c.size:])
}

// text is v as text; numbers and truth values are their JSON literals.
func (c *conversion) text(v *cdc.Value, s *scratch) []byte {
	from := len(*s)
	switch v.Kind() {
	case cdc.KindBool:
		*s = strconv.AppendBool(*s, v.Bool())
	case cdc.KindInt:
		*s = strconv.AppendInt(*s, v.Int(), 10)
	case cdc.KindUint:
		*s = strconv.AppendUint(*s, v.Uint(), 10)
	case cdc.KindFloat32:
		*s = strconv.AppendFloat(*s, v.Float(), 'g', -1, 32)
	case cdc.KindFloat64:
		*s = strconv.AppendFloat(*s, v.Float(), 'g', -1, 64)
	case cdc.KindDecimal, cdc.KindBigDecimal, cdc.KindBytes:
		d, _ := decimalNumber(v, c.scale)
		*s = d.append(*s)
	case cdc.KindList:
		d, _ := variableNumber(v)
		*s = d.append(*s)
	default:
		return v.Bytes()
	}
	return (*s)[from:]
}
