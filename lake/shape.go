package lake

import (
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/internal/cdc"
)

// shapeKind is the physical and logical type of a column, less its parameters.
type shapeKind uint8

const (
	unknown   shapeKind = iota // only nulls were seen: there is no column yet
	boolean                    // BOOLEAN
	int32s                     // INT32: every integer of up to 32 bits, so that SMALLINT → INT is no change
	int64s                     // INT64
	float32s                   // FLOAT
	float64s                   // DOUBLE
	decimal                    // DECIMAL(precision, scale) on INT32, INT64 or FIXED_LEN_BYTE_ARRAY
	date                       // DATE on INT32
	timeOfDay                  // TIME(unit), not adjusted to UTC
	duration                   // INT64 in unit: a TIME column that left the day (MySQL's goes to ±838 h)
	timestamp                  // TIMESTAMP(unit, utc)
	text                       // STRING
	binary                     // BYTE_ARRAY
	group                      // a group of members
	list                       // LIST
)

// The units of times and timestamps: digits of the fraction of a second.
const (
	millis = 3
	micros = 6
	nanos  = 9
)

// maxPrecision is the most digits of a decimal that the engines which read
// Parquet agree on. A wider one is written as exact text: DuckDB would read it
// as a double, Spark and Trino not at all.
const maxPrecision = 38

// shape is the type of one column. Every column is optional, so that a delete
// of which only the key is known, a column added later and one dropped are rows
// like others.
type shape struct {
	kind       shapeKind
	unit       uint8 // timeOfDay, duration, timestamp
	utc        bool  // timestamp: adjusted to UTC
	dictionary bool  // dictionary encoded
	delta      bool  // int64s: encoded as differences
	wide       bool  // int64s: maybe beyond ±2^53, so not to be mixed with doubles
	precision  uint8 // decimal
	scale      uint8 // decimal
	names      []string
	members    []shape // group: beside names; list: the element
}

// equal reports whether two shapes are one column type.
func (s shape) equal(o shape) bool {
	return s.kind == o.kind && s.unit == o.unit && s.utc == o.utc && s.dictionary == o.dictionary && s.delta == o.delta && s.wide == o.wide &&
		s.precision == o.precision && s.scale == o.scale && slices.Equal(s.names, o.names) &&
		slices.EqualFunc(s.members, o.members, shape.equal)
}

// leaves is how many Parquet columns the shape has.
func (s shape) leaves() int {
	if s.kind != group && s.kind != list {
		return 1
	}
	n := 0
	for i := range s.members {
		n += s.members[i].leaves()
	}
	return n
}

// decimalShape is the column of decimals with precision digits in all, scale of
// them behind the point.
func decimalShape(precision, scale int) shape {
	if precision > maxPrecision || scale > precision || scale < 0 {
		return shape{kind: text}
	}
	return shape{kind: decimal, precision: uint8(precision), scale: uint8(scale)}
}

// shapeOf is the column that f's values usually need; observe says when one
// value needs another. It is unknown for a field of type Any.
func shapeOf(f *cdc.Field) (shape, error) {
	if s, ok := semanticShape(f); ok {
		return s, nil
	}
	switch f.Type {
	case cdc.Boolean:
		return shape{kind: boolean}, nil
	case cdc.Int8, cdc.Int16, cdc.Int32:
		return shape{kind: int32s}, nil
	case cdc.Int64:
		return shape{kind: int64s, wide: true}, nil
	case cdc.Float:
		return shape{kind: float32s}, nil
	case cdc.Double:
		return shape{kind: float64s}, nil
	case cdc.Text:
		return shape{kind: text}, nil
	case cdc.Binary:
		return shape{kind: binary}, nil
	case cdc.Any:
		return shape{}, nil
	case cdc.Struct:
		return structShape(f)
	case cdc.Array:
		return arrayShape(f)
	}
	return shape{}, fmt.Errorf("column %s: no Parquet type for Connect type %v", f.Name, f.Type)
}

// semanticShape is the column of a field by its meaning, where that decides.
func semanticShape(f *cdc.Field) (shape, bool) {
	switch f.Semantic {
	case cdc.Date, cdc.ConnectDate:
		return shape{kind: date}, true
	case cdc.Time, cdc.ConnectTime:
		return shape{kind: timeOfDay, unit: millis}, true
	case cdc.MicroTime:
		return shape{kind: timeOfDay, unit: micros}, true
	case cdc.NanoTime:
		return shape{kind: timeOfDay, unit: nanos}, true
	case cdc.Timestamp:
		return shape{kind: timestamp, unit: millis}, true
	case cdc.MicroTimestamp:
		return shape{kind: timestamp, unit: micros}, true
	case cdc.NanoTimestamp:
		return shape{kind: timestamp, unit: nanos}, true
	case cdc.ConnectTimestamp: // an instant, unlike Debezium's own
		return shape{kind: timestamp, unit: millis, utc: true}, true
	case cdc.ZonedTimestamp:
		return shape{kind: timestamp, unit: micros, utc: true}, true
	case cdc.Decimal:
		if f.Precision == 0 { // Connect's schemas need not say
			return decimalShape(maxPrecision, f.Scale), true
		}
		return decimalShape(f.Precision, f.Scale), true
	case cdc.Enum, cdc.EnumSet:
		return shape{kind: text, dictionary: true}, true
	case cdc.VariableDecimal:
		return shape{kind: text}, true
	}
	return shape{}, false
}

func structShape(f *cdc.Field) (shape, error) {
	out := shape{kind: group}
	if len(f.Struct.Fields) == 0 {
		return out, fmt.Errorf("column %s: Parquet has no struct without members", f.Name)
	}
	for i := range f.Struct.Fields {
		m := &f.Struct.Fields[i]
		if f.Struct.Index([]byte(m.Name)) != i {
			return out, fmt.Errorf("column %s: its struct has %s twice", f.Name, m.Name)
		}
		s, err := shapeOf(m)
		if err != nil {
			return out, fmt.Errorf("column %s: %w", f.Name, err)
		}
		out.names, out.members = append(out.names, m.Name), append(out.members, nestedShape(s))
	}
	return out, nil
}

func arrayShape(f *cdc.Field) (shape, error) {
	s, err := shapeOf(f.Element)
	if err != nil {
		return s, fmt.Errorf("column %s: %w", f.Name, err)
	}
	return shape{kind: list, members: []shape{nestedShape(s)}}, nil
}

// nestedShape is the shape of a member or an element whose values usually have
// shape s. Values inside others do not choose their column's shape one by one,
// so what could leave its type has the wider one.
func nestedShape(s shape) shape {
	switch s.kind {
	case unknown:
		s.kind = text
	case timeOfDay:
		s.kind = duration
	}
	return s
}

// widen returns the one column type that holds every value of a and of b
// exactly. It is false where there is none: such rows need two files.
func widen(a, b shape) (shape, bool) {
	switch {
	case a.equal(b), b.kind == unknown:
		return a, true
	case a.kind == unknown:
		return b, true
	case a.kind > b.kind:
		a, b = b, a
	}
	switch {
	case a.kind == text && b.kind == text:
		return shape{kind: text}, true
	case a.kind == int64s && b.kind == int64s:
		return shape{kind: int64s, wide: true}, true
	case a.kind == int32s && (b.kind == int64s || b.kind == float64s), a.kind == float32s && b.kind == float64s:
		return b, true
	case a.kind == int32s && b.kind == decimal:
		return widenDecimal(decimalShape(10, 0), b)
	case a.kind == int64s && b.kind == decimal:
		return widenDecimal(decimalShape(19, 0), b)
	case a.kind == decimal && b.kind == decimal:
		return widenDecimal(a, b)
	case a.kind == timeOfDay && b.kind == timeOfDay, a.kind == duration && b.kind == duration, a.kind == timeOfDay && b.kind == duration:
		b.unit = max(a.unit, b.unit)
		return b, true
	case a.kind == timestamp && b.kind == timestamp && a.utc == b.utc:
		return widenTimestamp(a, b)
	}
	return shape{}, false
}

// widenDecimal keeps the digits before the point and those behind of both.
func widenDecimal(a, b shape) (shape, bool) {
	scale := max(a.scale, b.scale)
	precision := max(a.precision-a.scale, b.precision-b.scale) + scale
	out := decimalShape(int(precision), int(scale))
	return out, out.kind == decimal
}

// widenTimestamp goes to the finer unit, but not to nanoseconds, which end in
// the year 2262.
func widenTimestamp(a, b shape) (shape, bool) {
	a.unit = max(a.unit, b.unit)
	return a, a.unit < nanos
}

// fits reports whether a column of shape s holds every value of shape o.
func (s shape) fits(o shape) bool {
	w, ok := widen(s, o)
	return ok && w.equal(s)
}

// node is the Parquet type of the shape.
func (s shape) node() parquet.Node {
	var n parquet.Node
	switch s.kind {
	case group:
		n = newOrderedGroup(s.names, s.members)
	case list:
		n = parquet.List(s.members[0].node())
	default:
		n = s.encoded(s.leaf())
	}
	return parquet.Optional(n)
}

// leaf is the Parquet type of a shape that is one column.
func (s shape) leaf() parquet.Node {
	switch s.kind {
	case boolean:
		return parquet.Leaf(parquet.BooleanType)
	case int32s:
		return parquet.Leaf(parquet.Int32Type)
	case int64s, duration:
		return parquet.Leaf(parquet.Int64Type)
	case float32s:
		return parquet.Leaf(parquet.FloatType)
	case float64s:
		return parquet.Leaf(parquet.DoubleType)
	case decimal:
		return parquet.Decimal(int(s.scale), int(s.precision), s.decimalType())
	case date:
		return parquet.Date()
	case timeOfDay:
		return parquet.TimeAdjusted(timeUnits[s.unit], false)
	case timestamp:
		return parquet.TimestampAdjusted(timeUnits[s.unit], s.utc)
	case text:
		return parquet.String()
	}
	return parquet.Leaf(parquet.ByteArrayType)
}

var timeUnits = map[uint8]parquet.TimeUnit{millis: parquet.Millisecond, micros: parquet.Microsecond, nanos: parquet.Nanosecond}

// decimalType is the physical type that the Parquet specification gives a
// decimal of that many digits.
func (s shape) decimalType() parquet.Type {
	switch {
	case s.precision <= 9:
		return parquet.Int32Type
	case s.precision <= 18:
		return parquet.Int64Type
	}
	return parquet.FixedLenByteArrayType(decimalBytes(int(s.precision)))
}

// orderedGroup is a group whose fields keep their order; parquet.Group sorts
// them by name.
type orderedGroup struct {
	parquet.Group
	order map[string]int
}

func newOrderedGroup(names []string, shapes []shape) orderedGroup {
	g := orderedGroup{Group: parquet.Group{}, order: make(map[string]int, len(names))}
	for i, name := range names {
		g.Group[name] = shapes[i].node()
		g.order[name] = i
	}
	return g
}

// Fields are the group's fields in the order they were given.
func (g orderedGroup) Fields() []parquet.Field {
	out := make([]parquet.Field, len(g.order))
	for _, f := range g.Group.Fields() {
		out[g.order[f.Name()]] = f
	}
	return out
}
