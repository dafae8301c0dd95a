package json

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestSchemaText: the order of a node's members is JsonConverter's.
func TestSchemaText(t *testing.T) {
	point := cdc.Schema{Name: "io.debezium.data.geometry.Point", Version: 1, Doc: "Geometry (POINT)", Fields: []cdc.Field{{Name: "x", Type: cdc.Double}}}.Intern()
	s := cdc.Schema{Name: "p.d.t.Value", Version: 3, Doc: "a \"doc\"", Optional: true, Fields: []cdc.Field{
		{Name: "d", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Precision: 5, Scale: 2, Default: new(cdc.SmallDecimal(700)), Doc: "money",
			Params: []cdc.Param{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "5"}, {Name: "a", Value: "z"}}},
		{Name: "p", Type: cdc.Struct, Semantic: cdc.Point, SchemaVersion: 1, Doc: "Geometry (POINT)", Optional: true, Struct: point},
		{Name: "l", Type: cdc.Array, Element: &cdc.Field{Type: cdc.Text, Optional: true}},
		{Name: "m", Type: cdc.Map, Key: &cdc.Field{Type: cdc.Text}, Element: &cdc.Field{Type: cdc.Int32}, Optional: true},
		{Name: "o", Type: cdc.Text, Semantic: cdc.Other, SchemaName: "my.Type", Default: new(cdc.String([]byte("é\n")))},
		{Name: "", Type: cdc.Boolean, Default: new(cdc.Bool(false))},
	}}.Intern()
	want := `{"type":"struct","fields":[` +
		`{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"doc":"money","parameters":{"scale":"2","connect.decimal.precision":"5","a":"z"},"default":"Arw=","field":"d"},` +
		`{"type":"struct","fields":[{"type":"double","optional":false,"field":"x"}],"optional":true,"name":"io.debezium.data.geometry.Point","version":1,"doc":"Geometry (POINT)","field":"p"},` +
		`{"type":"array","items":{"type":"string","optional":true},"optional":false,"field":"l"},` +
		`{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},"optional":true,"field":"m"},` +
		`{"type":"string","optional":false,"name":"my.Type","default":"é\n","field":"o"},` +
		`{"type":"boolean","optional":false,"default":false,"field":""}` +
		`],"optional":true,"name":"p.d.t.Value","version":3,"doc":"a \"doc\""}`
	got := string(AppendSchema(nil, s, Options{}))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if numeric := string(AppendSchema(nil, s, Options{Decimal: Numeric})); numeric != strings.Replace(want, `"Arw="`, "7.00", 1) {
		t.Errorf("numeric: %s", numeric)
	}
	back, err := ParseSchema([]byte(got))
	if err != nil || back != s {
		t.Errorf("read back: %v\n%+v\n%+v", err, back, s)
	}
	bare := cdc.Bare(cdc.Field{Type: cdc.Int64, Semantic: cdc.Timestamp, SchemaVersion: 1})
	if got := string(AppendSchema(nil, bare, Options{})); got != `{"type":"int64","optional":false,"name":"io.debezium.time.Timestamp","version":1}` {
		t.Error(got)
	}
	if back, err := ParseSchema(AppendSchema(nil, bare, Options{})); err != nil || back != bare {
		t.Errorf("%v %+v", err, back)
	}
}

// TestParseSchemaAnyOrder: another writer's order and white space.
func TestParseSchemaAnyOrder(t *testing.T) {
	s, err := ParseSchema([]byte(`{ "default":null, "fields" : [ { "field" : "d", "default" : 7.5, "parameters" : { "scale" : "2" }, "name" : "org.apache.kafka.connect.data.Decimal", "optional" : true, "type" : "bytes", "what" : [] } ],
		"name":null, "version":null, "doc":null, "parameters":null, "type" : "struct" }`))
	if err != nil {
		t.Fatal(err)
	}
	f := s.Field("d")
	if f.Semantic != cdc.Decimal || f.Scale != 2 || !f.Optional || f.Default.Int() != 750 || f.SchemaVersion != 0 || len(f.Params) != 1 {
		t.Errorf("%+v", f)
	}
	text, err := ParseSchema([]byte(`{"type":"struct","fields":[{"type":"string","optional":true,"parameters":{"__debezium.source.column.type":"DECIMAL UNSIGNED","__debezium.source.column.length":"10","__debezium.source.column.scale":"3"},"field":"d"}]}`))
	if f := text.Field("d"); err != nil || !f.IsDecimal() || f.Precision != 10 || f.Scale != 3 {
		t.Errorf("a decimal that travels as text: %v %+v", err, f)
	}
}

func TestParseSchemaErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"struct","fields":[`: "the JSON text ends too early at byte 27",
		`{"type":"struct"}`:           "no list of fields",
		`{"type":"array"}`:            "not an object",
		`[]`:                          "not an object",
		`{"type":"struct","fields":[{"type":"x","field":"f"}]}`: `unknown Connect type "x"`,
		`{"type":5}`:                           "type: 5 is no text",
		`{"type":"int8","version":"1"}`:        `version: "1" is no small integer`,
		`{"type":"int8","parameters":{"a":1}}`: "parameters: 1 is no text",
		`{"type":"struct","fields":[{"type":"array","field":"f","items":{"type":"q"}}]}`:                                                         `field "f": unknown Connect type "q"`,
		`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2000000000"}}`:                                    `parameter scale is "2000000000"`,
		`{"type":"struct","fields":[{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","default":"?","field":"d","parameters":{}}]}`: `field "d": default: no decimal in base64 at byte 0`,
		`{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int8","default":300,"field":"i"}],"field":"o"}]}`:                        `field "o": field "i": default: an integer beyond the range of its type`,
	} {
		if _, err := ParseSchema([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "reading schema: ") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
