package lake

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/internal/cdc"
)

// typeCase is one column: a field, a value, and what two readers must see.
type typeCase struct {
	name        string
	field       cdc.Field
	value       cdc.Value
	arrow, duck string // types
	seen        any    // by both
}

func str(s string) cdc.Value { return cdc.String([]byte(s)) }

var point = cdc.NewSchema("io.debezium.data.geometry.Point",
	cdc.Field{Name: "x", Type: cdc.Double}, cdc.Field{Name: "y", Type: cdc.Double},
	cdc.Field{Name: "wkb", Type: cdc.Binary, Optional: true}, cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})

var variable = cdc.NewSchema("io.debezium.data.VariableScaleDecimal",
	cdc.Field{Name: "scale", Type: cdc.Int32}, cdc.Field{Name: "value", Type: cdc.Binary})

// typeCases has every semantic type, in every form in which its values travel.
func typeCases() []typeCase {
	return slices.Concat(plainCases(), temporalCases(), decimalCases(), nestedCases(), typelessCases())
}

func plainCases() []typeCase {
	return []typeCase{
		{name: "boolean", field: cdc.Field{Type: cdc.Boolean}, value: cdc.Bool(true), arrow: "bool", duck: "BOOLEAN", seen: true},
		{name: "int8", field: cdc.Field{Type: cdc.Int8}, value: cdc.Int(-128), arrow: "int32", duck: "INTEGER", seen: -128.0},
		{name: "int16", field: cdc.Field{Type: cdc.Int16}, value: cdc.Int(32767), arrow: "int32", duck: "INTEGER", seen: 32767.0},
		{name: "int32", field: cdc.Field{Type: cdc.Int32}, value: cdc.Int(math.MinInt32 + 1), arrow: "int32", duck: "INTEGER", seen: float64(math.MinInt32 + 1)},
		{name: "int32_smallest", field: cdc.Field{Type: cdc.Int32}, value: cdc.Int(math.MinInt32), arrow: "int32", duck: "INTEGER", seen: float64(math.MinInt32)},
		{name: "int32_overflowing", field: cdc.Field{Type: cdc.Int32}, value: cdc.Int(1 << 40), arrow: "int64", duck: "BIGINT", seen: float64(1 << 40)},
		{name: "int64", field: cdc.Field{Type: cdc.Int64}, value: cdc.Int(-(1 << 52)), arrow: "int64", duck: "BIGINT", seen: -float64(1 << 52)},
		{name: "uint64", field: cdc.Field{Type: cdc.Int64}, value: cdc.Uint(math.MaxUint64), arrow: "decimal128(20, 0)", duck: "DECIMAL(20,0)", seen: "18446744073709551615"},
		{name: "float", field: cdc.Field{Type: cdc.Float}, value: cdc.Float32(1.5), arrow: "float", duck: "FLOAT", seen: "1.5"},
		{name: "float_from_json", field: cdc.Field{Type: cdc.Float}, value: cdc.Float64(0.25), arrow: "float", duck: "FLOAT", seen: "0.25"},
		{name: "double", field: cdc.Field{Type: cdc.Double}, value: cdc.Float64(0.1), arrow: "double", duck: "DOUBLE", seen: "0.1"},
		{name: "double_from_int", field: cdc.Field{Type: cdc.Double}, value: cdc.Int(7), arrow: "double", duck: "DOUBLE", seen: "7.0"},
		{name: "text", field: cdc.Field{Type: cdc.Text}, value: str("Grüße, 世界 🎉"), arrow: "string", duck: "VARCHAR", seen: "Grüße, 世界 🎉"},
		{name: "bytes", field: cdc.Field{Type: cdc.Binary}, value: cdc.Bytes([]byte{0, 255, 1}), arrow: "binary", duck: "BLOB", seen: "0x00ff01"},
		{name: "bits", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Bits}, value: cdc.Bytes([]byte{5, 1}), arrow: "binary", duck: "BLOB", seen: "0x0501"},
		{name: "enumeration", field: cdc.Field{Type: cdc.Text, Semantic: cdc.Enum}, value: cdc.Choice([]byte("paid"), 2), arrow: "string", duck: "VARCHAR", seen: "paid"},
		{name: "enum_set", field: cdc.Field{Type: cdc.Text, Semantic: cdc.EnumSet}, value: str("a,c"), arrow: "string", duck: "VARCHAR", seen: "a,c"},
		{name: "json", field: cdc.Field{Type: cdc.Text, Semantic: cdc.JSON}, value: str(`{"a": [1, 2]}`), arrow: "string", duck: "VARCHAR", seen: `{"a": [1, 2]}`},
		{name: "xml", field: cdc.Field{Type: cdc.Text, Semantic: cdc.XML}, value: str("<a/>"), arrow: "string", duck: "VARCHAR", seen: "<a/>"},
		{name: "uuid", field: cdc.Field{Type: cdc.Text, Semantic: cdc.UUID}, value: str("123e4567-e89b-12d3-a456-426614174000"), arrow: "string", duck: "VARCHAR", seen: "123e4567-e89b-12d3-a456-426614174000"},
		{name: "year", field: cdc.Field{Type: cdc.Int32, Semantic: cdc.Year}, value: cdc.Int(2026), arrow: "int32", duck: "INTEGER", seen: 2026.0},
	}
}

func temporalCases() []typeCase {
	return []typeCase{
		{name: "date", field: cdc.Field{Type: cdc.Int32, Semantic: cdc.Date}, value: cdc.Int(20_779), arrow: "date32[day]", duck: "DATE", seen: "2026-11-22"},
		{name: "connect_date", field: cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectDate}, value: cdc.Int(-1), arrow: "date32[day]", duck: "DATE", seen: "1969-12-31"},
		{name: "time_ms", field: cdc.Field{Type: cdc.Int32, Semantic: cdc.Time}, value: cdc.Int(3_723_004), arrow: "time32[ms]", duck: "TIME", seen: "01:02:03.004000"},
		{name: "connect_time", field: cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectTime}, value: cdc.Int(0), arrow: "time32[ms]", duck: "TIME", seen: "00:00:00"},
		{name: "time_us", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTime}, value: cdc.Int(3_723_000_005), arrow: "time64[us]", duck: "TIME", seen: "01:02:03.000005"},
		{name: "time_negative", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTime}, value: cdc.Int(-1), arrow: "int64", duck: "BIGINT", seen: -1.0},
		{name: "time_838h", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTime}, value: cdc.Int(838 * 3_600_000_000), arrow: "int64", duck: "BIGINT", seen: 838 * 3_600_000_000.0},
		{name: "timestamp_ms", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.Timestamp}, value: cdc.Int(1_795_348_800_123), arrow: "timestamp[ms]", duck: "TIMESTAMP", seen: "2026-11-22 12:00:00.123000"},
		{name: "timestamp_us", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTimestamp}, value: cdc.Int(-1), arrow: "timestamp[us]", duck: "TIMESTAMP", seen: "1969-12-31 23:59:59.999999"},
		{name: "timestamp_ns", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.NanoTimestamp}, value: cdc.Int(1_795_348_800_000_001_000), arrow: "timestamp[ns]", duck: "TIMESTAMP_NS", seen: "2026-11-22 12:00:00.000001"},
		{name: "connect_timestamp", field: cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp}, value: cdc.Int(1_795_348_800_000), arrow: "timestamp[ms, tz=UTC]", duck: "TIMESTAMP WITH TIME ZONE", seen: "2026-11-22 12:00:00+00:00"},
		{name: "zoned_text", field: cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, value: str("2026-11-22T14:00:00.5+02:00"), arrow: "timestamp[us, tz=UTC]", duck: "TIMESTAMP WITH TIME ZONE", seen: "2026-11-22 12:00:00.500000+00:00"},
		{name: "zoned_micros", field: cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, value: cdc.Micros(1_795_348_800_000_001), arrow: "timestamp[us, tz=UTC]", duck: "TIMESTAMP WITH TIME ZONE", seen: "2026-11-22 12:00:00.000001+00:00"},
		{name: "zoned_time", field: cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTime}, value: str("10:00:00Z"), arrow: "string", duck: "VARCHAR", seen: "10:00:00Z"},
		{name: "iso_date", field: cdc.Field{Type: cdc.Text, Semantic: cdc.IsoDate}, value: str("2026-11-22Z"), arrow: "string", duck: "VARCHAR", seen: "2026-11-22Z"},
	}
}

func decimalCases() []typeCase {
	return []typeCase{
		{name: "decimal_int32", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 7, Scale: 3}, value: cdc.SmallDecimal(-1234567), arrow: "decimal128(7, 3)", duck: "DECIMAL(7,3)", seen: "-1234.567"},
		{name: "decimal_int64", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 18, Scale: 2}, value: cdc.SmallDecimal(999_999_999_999_999_999), arrow: "decimal128(18, 2)", duck: "DECIMAL(18,2)", seen: "9999999999999999.99"},
		{name: "decimal_bytes_small", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2}, value: cdc.BigDecimal([]byte{0xff, 0x38}), arrow: "decimal128(12, 2)", duck: "DECIMAL(12,2)", seen: "-2.00"},
		{name: "decimal_fixed_small", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 30, Scale: 4}, value: cdc.SmallDecimal(-15), arrow: "decimal128(30, 4)", duck: "DECIMAL(30,4)", seen: "-0.0015"},
		{name: "decimal_fixed_big", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 38, Scale: 0},
			value: cdc.BigDecimal([]byte{0x4b, 0x3b, 0x4c, 0xa8, 0x5a, 0x86, 0xc4, 0x7a, 0x09, 0x8a, 0x22, 0x3f, 0xff, 0xff, 0xff, 0xff}), arrow: "decimal128(38, 0)", duck: "DECIMAL(38,0)", seen: "99999999999999999999999999999999999999"},
		{name: "decimal_unknown_precision", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2}, value: cdc.SmallDecimal(150), arrow: "decimal128(38, 2)", duck: "DECIMAL(38,2)", seen: "1.50"},
		{name: "decimal_as_text", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2}, value: str("-12.5"), arrow: "decimal128(12, 2)", duck: "DECIMAL(12,2)", seen: "-12.50"},
		{name: "decimal_as_number", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2}, value: cdc.Number([]byte("1.25e1")), arrow: "decimal128(12, 2)", duck: "DECIMAL(12,2)", seen: "12.50"},
		{name: "decimal_as_double", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2}, value: cdc.Float64(3.75), arrow: "decimal128(12, 2)", duck: "DECIMAL(12,2)", seen: "3.75"},
		{name: "decimal_too_large", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 4, Scale: 2}, value: cdc.SmallDecimal(1234567), arrow: "decimal128(7, 2)", duck: "DECIMAL(7,2)", seen: "12345.67"},
		{name: "decimal_finer", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 6, Scale: 1}, value: str("1.125"), arrow: "decimal128(8, 3)", duck: "DECIMAL(8,3)", seen: "1.125"},
		{name: "decimal_65", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 65, Scale: 30}, value: cdc.SmallDecimal(-5), arrow: "string", duck: "VARCHAR", seen: "-0.000000000000000000000000000005"},
		{name: "decimal_text_mode", field: cdc.Field{Type: cdc.Text}, value: str("12.50"), arrow: "string", duck: "VARCHAR", seen: "12.50"},
		{name: "bigint_unsigned_precise", field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 20}, value: cdc.BigDecimal([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255}), arrow: "decimal128(20, 0)", duck: "DECIMAL(20,0)", seen: "18446744073709551615"},
		{name: "variable_decimal", field: cdc.Field{Type: cdc.Struct, Semantic: cdc.VariableDecimal, Struct: variable},
			value: cdc.List([]cdc.Value{cdc.Int(3), cdc.Bytes([]byte{0xfb, 0x2e})}), arrow: "string", duck: "VARCHAR", seen: "-1.234"},
	}
}

func nestedCases() []typeCase {
	return []typeCase{
		{name: "point", field: cdc.Field{Type: cdc.Struct, Semantic: cdc.Point, Struct: point},
			value: cdc.List([]cdc.Value{cdc.Float64(1.5), cdc.Float64(-2), cdc.Bytes([]byte{1, 1}), {}}),
			arrow: "struct<x: double, y: double, wkb: binary, srid: int32>", duck: "STRUCT(x DOUBLE, y DOUBLE, wkb BLOB, srid INTEGER)",
			seen: map[string]any{"x": "1.5", "y": "-2.0", "wkb": "0x0101", "srid": nil}},
		{name: "vector", field: cdc.Field{Type: cdc.Array, Semantic: cdc.FloatVector, Element: &cdc.Field{Type: cdc.Float}},
			value: cdc.List([]cdc.Value{cdc.Float32(1), cdc.Float32(0.5)}), arrow: "list<element: float>", duck: "FLOAT[]", seen: []any{"1.0", "0.5"}},
		{name: "vector_empty", field: cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Double}}, value: cdc.List([]cdc.Value{}),
			arrow: "list<element: double>", duck: "DOUBLE[]", seen: []any{}},
		{name: "list_of_points", field: cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Struct, Struct: point}},
			value: cdc.List([]cdc.Value{cdc.List([]cdc.Value{cdc.Float64(1), cdc.Float64(2), {}, cdc.Int(4326)}), {}}),
			arrow: "list<element: struct<x: double, y: double, wkb: binary, srid: int32>>", duck: "STRUCT(x DOUBLE, y DOUBLE, wkb BLOB, srid INTEGER)[]",
			seen: []any{map[string]any{"x": "1.0", "y": "2.0", "wkb": nil, "srid": 4326.0}, nil}},
	}
}

func typelessCases() []typeCase {
	return []typeCase{
		{name: "any_bool", field: cdc.Field{Type: cdc.Any}, value: cdc.Bool(false), arrow: "bool", duck: "BOOLEAN", seen: false},
		{name: "any_int", field: cdc.Field{Type: cdc.Any}, value: cdc.Number([]byte("42")), arrow: "int64", duck: "BIGINT", seen: 42.0},
		{name: "any_double", field: cdc.Field{Type: cdc.Any}, value: cdc.Number([]byte("0.30000000000000004")), arrow: "double", duck: "DOUBLE", seen: "0.30000000000000004"},
		{name: "any_long_decimal", field: cdc.Field{Type: cdc.Any}, value: cdc.Number([]byte("123456789012345678.12")), arrow: "string", duck: "VARCHAR", seen: "123456789012345678.12"},
		{name: "any_huge_int", field: cdc.Field{Type: cdc.Any}, value: cdc.Number([]byte("18446744073709551615")), arrow: "string", duck: "VARCHAR", seen: "18446744073709551615"},
		{name: "any_text", field: cdc.Field{Type: cdc.Any}, value: str("x"), arrow: "string", duck: "VARCHAR", seen: "x"},
		{name: "any_object", field: cdc.Field{Type: cdc.Any}, value: cdc.RawJSON([]byte(`{"a":1}`)), arrow: "string", duck: "VARCHAR", seen: `{"a":1}`},
	}
}

// TestEveryType writes one value of every type and reads it back, types and
// values, with two implementations that are not ours; a second row is null all
// over.
func TestEveryType(t *testing.T) {
	cases := typeCases()
	var fields []cdc.Field
	var values []cdc.Value
	for _, c := range cases {
		c.field.Name, c.field.Optional = c.name, true
		fields, values = append(fields, c.field), append(values, c.value)
	}
	s := cdc.NewSchema("types", fields...)
	l := newLake(t)
	render(t, l, 0, 2, recordAt(0, rowOf(s, values...)), recordAt(1, rowOf(s)))
	arrow, duck := readBoth(t, filepath.Join(l.config.Directory, filesOf(t, l)[0]))
	if len(arrow.Rows) != 2 || len(duck.Rows) != 2 {
		t.Fatalf("%d and %d rows", len(arrow.Rows), len(duck.Rows))
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if arrow.Order[i] != c.name || duck.Order[i] != c.name {
				t.Errorf("column %d is %s and %s", i, arrow.Order[i], duck.Order[i])
			}
			if got := arrow.Types[c.name]; got != c.arrow {
				t.Errorf("pyarrow says %s, want %s", got, c.arrow)
			}
			if got := duck.Types[c.name]; got != c.duck {
				t.Errorf("DuckDB says %s, want %s", got, c.duck)
			}
			for reader, got := range map[string]table{"pyarrow": arrow, "DuckDB": duck} {
				if !reflect.DeepEqual(got.Rows[0][c.name], c.seen) {
					t.Errorf("%s read %v, want %v", reader, got.Rows[0][c.name], c.seen)
				}
				if got.Rows[1][c.name] != nil {
					t.Errorf("%s read %v for null", reader, got.Rows[1][c.name])
				}
			}
		})
	}
}

// TestRejectsValues has values that no column can hold.
func TestRejectsValues(t *testing.T) {
	for _, c := range []struct {
		name  string
		field cdc.Field
		value cdc.Value
		want  string
	}{
		{"absent", cdc.Field{Type: cdc.Text}, cdc.Absent(), "column c: the value was not in the row image"},
		{"kind", cdc.Field{Type: cdc.Int32}, str("1"), "column c: the value is not of the column's type"},
		{"instant", cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, str("2026-13-01T00:00:00Z"), "column c: the value cannot be read"},
		{"instant finer than a column", cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, str("2026-12-01T00:00:00.1234567Z"), "at most six digits"},
		{"decimal", cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 4}, str("1.2.3"), "column c: the value cannot be read"},
		{"date", cdc.Field{Type: cdc.Int32, Semantic: cdc.Date}, cdc.Int(1 << 40), "column c: the value is out of range"},
		{"member", cdc.Field{Type: cdc.Struct, Struct: point}, cdc.List([]cdc.Value{str("x"), {}, {}, {}}), "column c: x: the value is not of the column's type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.field.Name = "c"
			r, err := newLake(t).Open(shopOrders, 0, noon, false)
			if err != nil {
				t.Fatal(err)
			}
			s := cdc.NewSchema("s", c.field)
			err = r.Append([]*cdc.Record{recordAt(0, rowOf(s)), recordAt(1, rowOf(s, c.value)), recordAt(2, rowOf(s))})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if r.Records() != 1 {
				t.Errorf("%d records were taken, want the one before", r.Records())
			}
		})
	}
}

// encode renders records and closes their files in this goroutine; it returns
// how many rows are in them.
func encode(t testing.TB, l *Lake, records ...*cdc.Record) (rows int64) {
	t.Helper()
	made, err := l.Open(shopOrders, records[0].Offset, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Discard()
	if err := made.Append(records); err != nil {
		t.Error(err)
		return 0
	}
	r := made.(*rendering)
	for _, file := range r.order[0].files {
		if err := r.close(file); err != nil {
			t.Error(err)
			continue
		}
		read, err := parquet.OpenFile(bytes.NewReader(file.out.rest), int64(len(file.out.rest)))
		if err != nil {
			t.Error(err)
			continue
		}
		rows += read.NumRows()
	}
	return rows
}

// anyTypes are fields of every type, with values that make columns of every shape.
func anyTypes() (fields []cdc.Field, values [][]cdc.Value) {
	add := func(f cdc.Field, v ...cdc.Value) {
		f.Name, f.Optional = "c", true
		fields, values = append(fields, f), append(values, append(v, cdc.Value{}))
	}
	loose := cdc.NewSchema("", field("x", cdc.Double), field("y", cdc.Any))
	at := cdc.List([]cdc.Value{cdc.Float64(1), str("a")})
	add(cdc.Field{Type: cdc.Any}, cdc.Int(1), cdc.Number([]byte("1.5")), str("x"), cdc.Bool(true), cdc.RawJSON([]byte(`{"a":1}`)), cdc.Bytes([]byte{1}), cdc.Uint(1<<63))
	add(cdc.Field{Type: cdc.Boolean}, cdc.Bool(true))
	add(cdc.Field{Type: cdc.Int32}, cdc.Int(1), cdc.Int(1<<40))
	add(cdc.Field{Type: cdc.Int64}, cdc.Int(1<<60+1), cdc.Uint(1<<63))
	add(cdc.Field{Type: cdc.Float}, cdc.Float32(1.5))
	add(cdc.Field{Type: cdc.Double}, cdc.Float64(0.1))
	add(cdc.Field{Type: cdc.Text}, str("x"))
	add(cdc.Field{Type: cdc.Binary}, cdc.Bytes([]byte{1}))
	add(cdc.Field{Type: cdc.Int32, Semantic: cdc.Date}, cdc.Int(1))
	add(cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTime}, cdc.Int(1), cdc.Int(-1))
	add(cdc.Field{Type: cdc.Int32, Semantic: cdc.Time}, cdc.Int(1), cdc.Int(-1))
	add(cdc.Field{Type: cdc.Int64, Semantic: cdc.Timestamp}, cdc.Int(1))
	add(cdc.Field{Type: cdc.Int64, Semantic: cdc.NanoTimestamp}, cdc.Int(1))
	add(cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, str("2020-01-01T00:00:00Z"))
	add(dec("c", 6, 2), cdc.SmallDecimal(125))
	add(dec("c", 30, 10), cdc.SmallDecimal(125))
	add(dec("c", 65, 30), cdc.SmallDecimal(125))
	add(cdc.Field{Type: cdc.Struct, Struct: loose}, at)
	add(cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Int32}}, cdc.List([]cdc.Value{cdc.Int(1)}), cdc.List(nil))
	add(cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Struct, Struct: loose}}, cdc.List([]cdc.Value{at}))
	return fields, values
}

// TestAnyTwoTypesOfAColumn in one range are two rows: also a null without a type
// beside a struct or an array, as it comes where a topic's records no longer
// have a schema.
func TestAnyTwoTypesOfAColumn(t *testing.T) {
	fields, values := anyTypes()
	for _, compatibility := range []string{"BACKWARD", "NONE"} {
		l := newLake(t, "schema.compatibility="+compatibility)
		for i := range fields {
			for j := range fields {
				one, two := schema("", fields[i], field("h", cdc.Any)), schema("", field("id", cdc.Int32), fields[j])
				for _, v := range values[i] {
					for _, w := range values[j] {
						t.Run(fmt.Sprintf("%v %v %v, then %v %v %v", fields[i].Type, fields[i].Semantic, v.Kind(), fields[j].Type, fields[j].Semantic, w.Kind()), func(t *testing.T) {
							if n := encode(t, l, recordAt(0, rowOf(one, v, cdc.Value{})), recordAt(1, rowOf(two, cdc.Int(1), w))); n != 2 {
								t.Errorf("%d rows", n)
							}
						})
					}
				}
			}
		}
	}
}

// TestWholeNumbersStayExact, whatever lies beside them in their column: an INT64
// is no DOUBLE, though other fields of its rows, or other rows, have no type.
func TestWholeNumbersStayExact(t *testing.T) {
	const id = int64(1)<<60 + 1
	beside := func(f cdc.Field) *cdc.Schema { return schema("t", f, field("h", cdc.Any)) }
	typed := rowOf(beside(field("n", cdc.Int64)), cdc.Int(id), cdc.Value{})
	for name, other := range map[string]*cdc.Row{
		"a typed double":               rowOf(beside(field("n", cdc.Double)), cdc.Float64(1.5), cdc.Value{}),
		"a number without a type":      rowOf(schema("", field("n", cdc.Any)), cdc.Number([]byte("1.5"))),
		"a double without a type":      rowOf(schema("", field("n", cdc.Any)), cdc.Float64(1.5)),
		"an integer that is too large": rowOf(schema("t", field("n", cdc.Int32)), cdc.Int(id)),
	} {
		for _, order := range []string{"before", "after"} {
			t.Run(name+" "+order, func(t *testing.T) {
				rows := []*cdc.Row{typed, other}
				if order == "before" {
					slices.Reverse(rows)
				}
				l := newLake(t, "add.columns=none")
				render(t, l, 0, 2, recordAt(0, rows[0]), recordAt(1, rows[1]))
				found := false
				for _, file := range filesOf(t, l) {
					for _, v := range values(readFile(t, l, file), "n") {
						found = found || fmt.Sprint(v) == strconv.FormatInt(id, 10) || v == float64(id) && readFile(t, l, file).Types["n"] == "int64"
					}
				}
				if !found {
					t.Errorf("no file has %d", id)
				}
			})
		}
	}
}

// TestATypedIntegerNeedsNoFurtherFile where the column holds those without a type.
func TestATypedIntegerNeedsNoFurtherFile(t *testing.T) {
	r := openRange(t, newLake(t))
	loose, typed := schema("", field("n", cdc.Any), field("pad", cdc.Any)), schema("t", field("n", cdc.Int64))
	long := str(strings.Repeat("x", sampleBytes))
	records := []*cdc.Record{recordAt(0, rowOf(loose, cdc.Int(1), long)), recordAt(1, rowOf(typed, cdc.Int(1<<60+1))), recordAt(2, rowOf(loose, cdc.Int(1<<60+1), cdc.Value{}))}
	records[0].RawValue = long.Bytes()
	if err := r.Append(records); err != nil {
		t.Fatal(err)
	}
	if n := len(r.order[0].files); n != 1 {
		t.Errorf("%d files", n)
	}
}
