package json

import (
	stdjson "encoding/json"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

func TestDocument(t *testing.T) {
	var m Message
	if err := NewReader(NewSchemaEntry("", "", nil, everyKind)).ReadValue(&m, []byte(everyKindJSON)); err != nil {
		t.Fatal(err)
	}
	same := `{"bool":true,"int8":-7,"float":0.33333334,"double":-1.5,"tiny":1.0E-300,"text":"a \"quoted\" é \uD83D\uDE00","bytes":"AAEC","small":2.00,` +
		`"big":268435455.123456789012345678901234567890,"textual":-123456789012345678901.500,`
	rest := `"point":{"x":1.5,"wkb":"AQ==","srid":null},"vector":[1.0,-2.5,1.0E10],"map":{"k":"v"},"any":{"x":[1]}}`
	m.Value.Values[8] = bigDecimal(t, "268435455.123456789012345678901234567890", 30)
	for want, options := range map[string]DocumentOptions{
		same + `"json":"{\"a\": [1,\n2]}","time":-3723000001,` + rest:   {},
		same + `"json":{"a": [1, 2]},"time":"-01:02:03.000001",` + rest: {NestJSON: true, ISO: true},
	} {
		got := NewDocument(everyKind, options).Append([]byte("x"), m.Value)
		if string(got) != "x"+want {
			t.Errorf("%+v:\ngot  %s\nwant %s", options, got, want)
		}
		if !stdjson.Valid(got[1:]) {
			t.Error("no JSON")
		}
	}
}

func bigDecimal(t *testing.T, number string, scale int) cdc.Value {
	t.Helper()
	var v cdc.Value
	f := readField{scale: scale}
	if !f.literal(new(cdc.Row), &v, []byte(number)) {
		t.Fatal(number)
	}
	return v
}

// TestDocumentDecimals: a decimal is the same exact number whatever its form in
// Kafka.
func TestDocumentDecimals(t *testing.T) {
	for _, c := range []struct {
		field cdc.Field
		value cdc.Value
		want  string
	}{
		{cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 9}, cdc.SmallDecimal(1), "0.000000001"},
		{cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: -2}, cdc.SmallDecimal(5), "500"},
		{cdc.Field{Type: cdc.Text, Precision: 9, Scale: 2}, cdc.SmallDecimal(-1), "-0.01"},
		{cdc.Field{Type: cdc.Text, Precision: 9, Scale: 2}, cdc.String([]byte("12.30")), "12.30"},
		{cdc.Field{Type: cdc.Text, Precision: 9, Scale: 2}, cdc.String([]byte("012.30")), `"012.30"`},
		{cdc.Field{Type: cdc.Text, Precision: 9, Scale: 2}, cdc.String([]byte("NaN")), `"NaN"`},
		{cdc.Field{Type: cdc.Text}, cdc.String([]byte("12.30")), `"12.30"`},
		{cdc.Field{Type: cdc.Double}, cdc.Float64(12.3), "12.3"},
		{cdc.Field{Type: cdc.Any}, cdc.Number([]byte("1.50")), "1.50"},
		{variableDecimal("scale", "value"), cdc.List([]cdc.Value{cdc.Int(3), cdc.Bytes([]byte{0xff})}), "-0.001"},
		{variableDecimal("value", "scale"), cdc.List([]cdc.Value{cdc.Bytes([]byte{2}), cdc.Int(-1)}), "20"},
		{variableDecimal("scale", "value"), cdc.List([]cdc.Value{cdc.Int(1 << 40), cdc.Bytes([]byte{2})}), `{"scale":1099511627776,"value":"Ag=="}`},
		{variableDecimal("scale", "value"), cdc.Value{}, "null"},
	} {
		c.field.Name = "f"
		s := cdc.NewSchema("", c.field)
		if got := NewDocument(s, DocumentOptions{}).Append(nil, rowOf(s, c.value)); string(got) != `{"f":`+c.want+"}" {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func variableDecimal(names ...string) cdc.Field {
	var fields []cdc.Field
	for _, name := range names {
		fields = append(fields, cdc.Field{Name: name, Type: map[string]cdc.Type{"scale": cdc.Int32, "value": cdc.Binary}[name]})
	}
	return cdc.Field{Type: cdc.Struct, Semantic: cdc.VariableDecimal, Struct: cdc.NewSchema("", fields...)}
}

// TestDocumentNestedJSON: text that is no JSON is never put into a document as it
// is, and a document is one line.
func TestDocumentNestedJSON(t *testing.T) {
	s := cdc.NewSchema("", cdc.Field{Name: "j", Type: cdc.Text, Semantic: cdc.JSON, Optional: true}, cdc.Field{Name: "any", Type: cdc.Any, Optional: true})
	d := NewDocument(s, DocumentOptions{NestJSON: true})
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, "[1,\r\n2]": "[1,  2]", `"text"`: `"text"`, ` 5 `: ` 5 `, "null": "null",
		`{"a":1`: `"{\"a\":1"`, "": `""`, `1,"injected":2`: `"1,\"injected\":2"`, "{} {}": `"{} {}"`, "\"\xff\"": "\"\\\"\uFFFD\\\"\"",
	} {
		if got := d.Append(nil, rowOf(s, cdc.String([]byte(in)))); string(got) != `{"j":`+want+`,"any":null}` {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := d.Append(nil, rowOf(s, cdc.Value{}, cdc.RawJSON([]byte("{\n}")))); string(got) != `{"j":null,"any":{ }}` {
		t.Errorf("got %s", got)
	}
	bare := cdc.Bare(cdc.Field{Type: cdc.Any})
	if got := NewDocument(bare, DocumentOptions{}).Append(nil, rowOf(bare, cdc.RawJSON([]byte("[\n]")))); string(got) != "[ ]" {
		t.Errorf("got %s", got)
	}
}

func TestAppendText(t *testing.T) {
	for _, c := range []struct {
		field cdc.Field
		value cdc.Value
		want  string
	}{
		{cdc.Field{Type: cdc.Int64}, cdc.Int(-5), "-5"},
		{cdc.Field{Type: cdc.Int64}, cdc.Uint(1 << 63), "9223372036854775808"},
		{cdc.Field{Type: cdc.Text}, cdc.String([]byte(`a "b"`)), `a "b"`},
		{cdc.Field{Type: cdc.Boolean}, cdc.Bool(true), "true"},
		{cdc.Field{Type: cdc.Binary}, cdc.Bytes([]byte{1, 2}), "AQI="},
		{cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 8}, cdc.SmallDecimal(1), "0.00000001"},
		{cdc.Field{Type: cdc.Double}, cdc.Float64(1e10), "1.0E10"},
		{cdc.Field{Type: cdc.Float}, cdc.Float32(0.1), "0.1"},
		{cdc.Field{Type: cdc.Int32, Semantic: cdc.Date}, cdc.Int(0), "1970-01-01"},
		{cdc.Field{Type: cdc.Int32, Semantic: cdc.Year}, cdc.Int(2026), "2026"},
		{cdc.Field{Type: cdc.Int64, Semantic: cdc.Timestamp}, cdc.Int(1), "1970-01-01T00:00:00.001"},
		{cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp, Digits: 3}, cdc.Micros(1000), "1970-01-01T00:00:00.001Z"},
		{cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, cdc.String([]byte("1970-01-01T00:00:00.001Z")), "1970-01-01T00:00:00.001Z"},
		{cdc.Field{Type: cdc.Any}, cdc.Number([]byte("1.50")), "1.50"},
		{cdc.Field{Type: cdc.Any}, cdc.RawJSON([]byte("[1]")), "[1]"},
		{cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Int8}}, cdc.List([]cdc.Value{cdc.Int(1), {}}), "[1,null]"},
		{cdc.Field{Type: cdc.Text}, cdc.Value{}, ""},
		{cdc.Field{Type: cdc.Text}, cdc.Absent(), ""},
	} {
		if got := AppendText([]byte("x"), &c.field, &c.value); string(got) != "x"+c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
