package lake

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// FuzzNumber reads decimals of any form: what is taken is written as the same
// number.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1.50", "-0", "1e400", "1E-999", "+.5", "00012.3400", "9999999999999999999999999999999999999999", "1.", "e5"} {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, b []byte, scale int) {
		d, ok := parseNumber(b)
		if !ok {
			return
		}
		text := d.append(nil)
		want, okWant := new(big.Rat).SetString(string(b))
		got, okGot := new(big.Rat).SetString(string(text))
		if !okWant || !okGot || want.Cmp(got) != 0 {
			t.Fatalf("%q became %q", b, text)
		}
		if n, ok := d.rescale(max(0, min(scale, 40))); ok && n.Sign() != d.n.Sign() {
			t.Fatalf("%q became %v", b, n)
		}
		d.reduced()
	})
}

// FuzzInstant reads instants as Go does, or refuses them.
func FuzzInstant(f *testing.F) {
	for _, s := range []string{"2024-02-29T23:59:59.123456Z", "2024-02-31T00:00:00Z", "0000-01-01T00:00:00+18:00", "9999-12-31T23:59:60Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00.1234567Z"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseTimeText(b)
		us, ok := parseInstant(b)
		if !ok {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, string(b))
		if err != nil || want.UnixMicro() != us {
			t.Fatalf("%q is %d: want %v, %v", b, us, want, err)
		}
	})
}

// FuzzJoda writes points in time by any pattern.
func FuzzJoda(f *testing.F) {
	for _, s := range []string{"'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "CCGGxxwweEEEEDDDaKhkmsSSSzZZZ", "''", "'a", "yyyyyyyyyyyyyyyyyyyyyyyyyyyy"} {
		f.Add(s, int64(1_700_000_000_123))
	}
	f.Fuzz(func(_ *testing.T, pattern string, millis int64) {
		if len(pattern) > 1000 {
			return
		}
		if p, err := parseJoda(pattern); err == nil {
			p.append(nil, time.UnixMilli(millis).UTC())
			p.localized()
		}
	})
}

// FuzzRow checks rows of any JSON, as a file's columns are chosen for them, and
// converts every value that is taken.
func FuzzRow(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":1.5,"c":"x","d":null,"e":true,"f":[1,{"g":2}],"h":1e400,"i":123456789012345678901234567890}`,
		`{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","optional":true,"field":"scale"},{"type":"bytes","optional":true,"field":"value"}],"optional":true,"name":"io.debezium.data.VariableScaleDecimal","version":1,"field":"v"},{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"30","connect.decimal.precision":"65"},"field":"d"}],"optional":false},"payload":{"v":{"scale":2147483647,"value":"AQ=="},"d":"f////////////////////w=="}}`,
		`{"schema":{"type":"struct","fields":[{"type":"int64","optional":true,"name":"io.debezium.time.Timestamp","version":1,"field":"t"},{"type":"int64","optional":true,"name":"io.debezium.time.MicroTime","version":1,"field":"m"},{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","version":1,"field":"z"},{"type":"int32","optional":true,"name":"io.debezium.time.Date","version":1,"field":"a"}],"optional":false},"payload":{"t":9223372036854775807,"m":-9223372036854775808,"z":"2024-02-30T00:00:00Z","a":-2147483648}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var m json.Message
		if json.NewReader(nil).ReadValue(&m, value) != nil || m.Value == nil {
			return
		}
		row, err := newRowType(m.Value.Schema, false)
		if err != nil {
			return
		}
		odd, err := row.check(m.Value.Values, false, nil)
		if err != nil {
			return
		}
		columns := newSuperset(nil, false)
		if !columns.admit(row, odd) {
			return
		}
		for i := range row.columns {
			convertForTest(t, &row.columns[i], columns.shapes[i], &m.Value.Values[i])
		}
	})
}

// convertForTest makes what a column of the shape has of the value, and nothing
// of what is nested.
func convertForTest(t *testing.T, c *column, to shape, v *cdc.Value) {
	if v.IsNull() || to.kind == unknown || to.kind == group || to.kind == list {
		return
	}
	conversion := newConversion(c, to, 0)
	var s scratch
	got := conversion.value(v, &s)
	if to.kind == text && v.Kind() == cdc.KindString && !bytes.Equal(got.ByteArray(), v.Bytes()) {
		t.Fatalf("%q became %q", v.Bytes(), got.ByteArray())
	}
}
