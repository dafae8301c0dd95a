package enrich

import (
	"math"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestCastValues has what Java makes of values at the edges of their types.
func TestCastValues(t *testing.T) {
	decimal := cdc.Field{Name: "x", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2}
	small := cdc.Field{Name: "x", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 9}
	textual := cdc.Field{Name: "x", Type: cdc.Text, Precision: 18, Scale: 9}
	field := func(t cdc.Type, s cdc.Semantic) cdc.Field { return cdc.Field{Name: "x", Type: t, Semantic: s} }
	text := func(s string) cdc.Value { return cdc.String([]byte(s)) }
	for i, c := range []struct {
		from cdc.Field
		v    cdc.Value
		to   cdc.Type
		want string // "" for an error
	}{
		{field(cdc.Int64, 0), cdc.Int(300), cdc.Int8, cdc.Int(44).String()},
		{field(cdc.Int64, 0), cdc.Int(math.MaxInt64), cdc.Int32, cdc.Int(-1).String()},
		{field(cdc.Int64, 0), cdc.Int(9007199254740993), cdc.Double, cdc.Float64(9007199254740992).String()},
		{field(cdc.Int64, 0), cdc.Int(2), cdc.Boolean, cdc.Bool(true).String()},
		{field(cdc.Boolean, 0), cdc.Bool(true), cdc.Float, cdc.Float32(1).String()},
		{field(cdc.Boolean, 0), cdc.Bool(false), cdc.Text, text("false").String()},
		{field(cdc.Double, 0), cdc.Float64(-7.9), cdc.Int16, cdc.Int(-7).String()},
		{field(cdc.Double, 0), cdc.Float64(1e10), cdc.Int32, cdc.Int(math.MaxInt32).String()},
		{field(cdc.Double, 0), cdc.Float64(1e10), cdc.Int8, cdc.Int(-1).String()}, // by way of int
		{field(cdc.Double, 0), cdc.Float64(-1e30), cdc.Int64, cdc.Int(math.MinInt64).String()},
		{field(cdc.Double, 0), cdc.Float64(1e30), cdc.Int64, cdc.Int(math.MaxInt64).String()},
		{field(cdc.Double, 0), cdc.Float64(math.NaN()), cdc.Int64, cdc.Int(0).String()},
		{field(cdc.Double, 0), cdc.Float64(0.9), cdc.Boolean, cdc.Bool(false).String()},
		{field(cdc.Double, 0), cdc.Float64(1e7), cdc.Text, text("1.0E7").String()},
		{field(cdc.Double, 0), cdc.Float64(math.Inf(1)), cdc.Text, text("Infinity").String()},
		{field(cdc.Float, 0), cdc.Float32(0.1), cdc.Text, text("0.1").String()},
		{decimal, cdc.SmallDecimal(-1999), cdc.Int32, cdc.Int(-19).String()},
		{decimal, cdc.SmallDecimal(-50), cdc.Boolean, cdc.Bool(false).String()},
		{decimal, cdc.BigDecimal([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}), cdc.Int64, cdc.Int(184467440737095516).String()},
		{decimal, cdc.BigDecimal([]byte{100, 0, 0, 0, 0, 0, 0, 0, 0, 0}), cdc.Int64, cdc.Int(0).String()}, // 2^72,
		{decimal, cdc.SmallDecimal(1234), cdc.Double, cdc.Float64(12.34).String()},
		{decimal, cdc.SmallDecimal(1200), cdc.Text, text("12.00").String()},
		{small, cdc.SmallDecimal(12), cdc.Text, text("1.2E-8").String()}, // BigDecimal.toString
		{textual, cdc.SmallDecimal(12), cdc.Text, text("0.000000012").String()},
		{field(cdc.Text, 0), text("+7"), cdc.Int8, cdc.Int(7).String()},
		{field(cdc.Text, 0), text("128"), cdc.Int8, ""}, {field(cdc.Text, 0), text("7.0"), cdc.Int64, ""}, {field(cdc.Text, 0), text(" 7"), cdc.Int64, ""},
		{field(cdc.Text, 0), text(" 7.5f "), cdc.Double, cdc.Float64(7.5).String()}, {field(cdc.Text, 0), text("1e400"), cdc.Double, cdc.Float64(math.Inf(1)).String()},
		{field(cdc.Text, 0), text("-Infinity"), cdc.Float, cdc.Float32(float32(math.Inf(-1))).String()}, {field(cdc.Text, 0), text("inf"), cdc.Double, ""}, {field(cdc.Text, 0), text("1_0"), cdc.Double, ""},
		{field(cdc.Text, 0), text("TRUE"), cdc.Boolean, cdc.Bool(true).String()}, {field(cdc.Text, 0), text("yes"), cdc.Boolean, cdc.Bool(false).String()},
		{field(cdc.Text, cdc.ZonedTimestamp), cdc.Micros(1e6), cdc.Text, text("1970-01-01T00:00:01Z").String()},
		{field(cdc.Binary, 0), cdc.Bytes([]byte{1, 2}), cdc.Text, text("AQI=").String()}, {field(cdc.Binary, 0), cdc.Bytes([]byte{1}), cdc.Int8, ""},
		{field(cdc.Int32, cdc.ConnectDate), cdc.Int(19724), cdc.Text, text("2024-01-02").String()}, {field(cdc.Int32, cdc.ConnectDate), cdc.Int(19724), cdc.Int64, cdc.Int(19724).String()},
		{field(cdc.Int32, cdc.ConnectTime), cdc.Int(1000), cdc.Text, text("00:00:01.000Z").String()}, {field(cdc.Int32, cdc.Date), cdc.Int(19724), cdc.Text, text("19724").String()},
		{field(cdc.Any, 0), cdc.Number([]byte("1.50")), cdc.Text, text("1.5").String()}, {field(cdc.Any, 0), cdc.Number([]byte("1e3")), cdc.Int16, cdc.Int(1000).String()},
		{field(cdc.Any, 0), cdc.RawJSON([]byte("[1]")), cdc.Int16, ""}, {field(cdc.Any, 0), cdc.RawJSON([]byte("[1]")), cdc.Text, ""},
	} {
		caster, err := newCaster(0, c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		got, err := caster.value(new(cdc.Row), &c.v)
		if text := got.String(); err == nil && text != c.want || err != nil && c.want != "" {
			t.Errorf("%d: %v to %v: %s, %v; want %s", i, c.v, c.to, text, err, c.want)
		}
	}
}
