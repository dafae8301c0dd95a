package capture

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// TestTextsOfConverters: what StringConverter and SimpleHeaderConverter write of
// the kinds of values that keys, values and headers have.
func TestTextsOfConverters(t *testing.T) {
	inner := cdc.NewSchema("inner", cdc.Field{Name: "a", Type: cdc.Text}, cdc.Field{Name: "b", Type: cdc.Int32, Optional: true})
	decimal := cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2}
	for name, c := range map[string]struct {
		field        cdc.Field
		value        cdc.Value
		text, simple string
	}{
		"text":       {cdc.Field{Type: cdc.Text}, cdc.String([]byte("a \"b\" \\ \n")), "a \"b\" \\ \n", "a \"b\" \\ \n"},
		"integer":    {cdc.Field{Type: cdc.Int64}, cdc.Int(-7), "-7", "-7"},
		"boolean":    {cdc.Field{Type: cdc.Boolean}, cdc.Bool(true), "true", "true"},
		"double":     {cdc.Field{Type: cdc.Double}, cdc.Float64(1.5), "1.5", "1.5"},
		"decimal":    {decimal, cdc.SmallDecimal(1234), "12.34", "12.34"},
		"bytes":      {cdc.Field{Type: cdc.Binary}, cdc.Bytes([]byte{1, 2, 255}), "AQL/", "AQL/"},
		"zoned":      {cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp, Digits: 3}, cdc.Micros(1_000), "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.001Z"},
		"a date":     {cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectDate}, cdc.Int(19724), "Tue Jan 02 00:00:00 UTC 2024", "2024-01-02"},
		"a time":     {cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectTime}, cdc.Int(3_661_001), "Thu Jan 01 01:01:01 UTC 1970", "01:01:01.001Z"},
		"a point":    {cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp}, cdc.Int(1_704_164_645_678), "Tue Jan 02 03:04:05 UTC 2024", "2024-01-02T03:04:05.678Z"},
		"struct":     {cdc.Field{Type: cdc.Struct, Struct: inner}, cdc.List([]cdc.Value{cdc.String([]byte(`x"y`)), {}}), `Struct{a=x"y}`, `{"a":"x\"y","b":null}`},
		"array":      {cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Text}}, cdc.List([]cdc.Value{cdc.String([]byte("a")), cdc.String([]byte("b"))}), "[a, b]", `["a","b"]`},
		"empty text": {cdc.Field{Type: cdc.Text}, cdc.String(nil), "", ""},
	} {
		row := cdc.Row{Schema: cdc.Bare(c.field), Values: []cdc.Value{c.value}}
		for form, want := range map[Form]string{FormText: c.text, FormSimple: c.simple} {
			got, err := newConversion(form, row.Schema, json.Options{}).append(nil, &row)
			if err != nil || string(got) != want {
				t.Errorf("%s by %s: %q, %v; want %q", name, formClasses[form], got, err, want)
			}
		}
	}
	text := cdc.Row{Schema: headerText, Values: []cdc.Value{cdc.String([]byte("x"))}}
	if _, err := newConversion(FormBytes, headerText, json.Options{}).append(nil, &text); err == nil {
		t.Error("ByteArrayConverter took text")
	}
	binary := cdc.Row{Schema: cdc.Bare(cdc.Field{Type: cdc.Binary}), Values: []cdc.Value{cdc.Bytes([]byte{1, 2})}}
	if got, err := newConversion(FormBytes, binary.Schema, json.Options{}).append(nil, &binary); err != nil || string(got) != "\x01\x02" {
		t.Errorf("bytes: %q, %v", got, err)
	}
}
