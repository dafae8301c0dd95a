package routing

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// expanded is what becomes of a payload: schema and value, or the error.
func expanded(x *expander, text string) string {
	row := &cdc.Row{}
	row.Reset(scratchSchema)
	s, v, err := x.expand("payload", []byte(text), row)
	if err != nil {
		return "error: " + err.Error()
	}
	out := string(json.NewPlan(s, json.Options{Schemas: true}).Append(nil, &cdc.Row{Schema: s, Values: []cdc.Value{v}}))
	for long, short := range map[string]string{`"optional":true,`: "", `"type":`: "", `"struct","fields":`: "", `,"optional":true`: "", `"field":`: ""} {
		out = strings.ReplaceAll(out, long, short)
	}
	return out
}

// TestExpand has payloads with the schemas that JsonSchemaData infers from them
// where it can, and more where it cannot.
func TestExpand(t *testing.T) {
	x := &expander{}
	for text, want := range map[string]string{
		`{"a":1,"b":3000000000,"c":-1.5e2,"d":"x","e":true,"f":null,"g":[]}`: `{"schema":{[{"int32","a"},{"int64","b"},{"double","c"},{"string","d"},{"boolean","e"}],"name":"payload"},"payload":{"a":1,"b":3000000000,"c":-150.0,"d":"x","e":true}}`,
		`{"o":{"p":{"q":"\u00e9"}}}`:                                         `{"schema":{[{[{[{"string","q"}],"name":"payload.o.p","p"}],"name":"payload.o","o"}],"name":"payload"},"payload":{"o":{"p":{"q":"é"}}}}`,
		`{"a":1,"a":2}`:                                                      `{"schema":{[{"int32","a"}],"name":"payload"},"payload":{"a":2}}`,
		`{}`:                                                                 `{"schema":{[],"name":"payload"},"payload":{}}`,
		`[1,null,2]`:                                                         `{"schema":{"array","items":{"int32"}},"payload":[1,null,2]}`,
		`[[{"a":1}],[{"b":2}]]`:                                              `{"schema":{"array","items":{"array","items":{[{"int32","a"},{"int32","b"}]}}},"payload":[[{"a":1,"b":null}],[{"a":null,"b":2}]]}`,
		`[{"a":{"b":1}},{"a":{"c":"x"},"d":1}]`:                              `{"schema":{"array","items":{[{[{"int32","b"},{"string","c"}],"name":"payload.a","a"},{"int32","d"}],"name":"payload"}},"payload":[{"a":{"b":1,"c":null},"d":null},{"a":{"b":null,"c":"x"},"d":1}]}`,
		`[{"a":1},{"a":2.5},{"a":3000000000},{"x":[]}]`:                      `{"schema":{"array","items":{[{"double","a"}],"name":"payload"}},"payload":[{"a":1.0},{"a":2.5},{"a":3.0E9},{"a":null}]}`,
		`[1,"x"]`:                                                            "error: an array has elements of several types",
		`[1,2.5]`:                                                            "error: an array has elements of several types",
		`[{"a":1},{"a":"x"}]`:                                                "error: a member of the objects in an array has several types",
		`[null]`:                                                             "error: an array has elements of no type",
		`[]`:                                                                 "error: an empty array has no type",
		`{"a":123456789012345678901}`:                                        "error: the number 123456789012345678901 has more than 64 bits",
		`[{"a":9007199254740993},{"a":2.5}]`:                                 "error: the number 9007199254740993 has more digits than a double has",
		`{"a":1e999}`:                                                        "error: the number 1e999 is too large",
		`"text"`:                                                             "error: it is no JSON object or array",
		`{"a":`:                                                              "error: it is no JSON object or array",
		``:                                                                   "error: it is no JSON object or array",
	} {
		for range 2 { // the second time by a schema that is known
			if got := expanded(x, text); got != want {
				t.Errorf("%s became\n%s, want\n%s", text, got, want)
			}
		}
	}
	with := &expander{nullBytes: true, emptyStrings: true, adjustment: adjustment{on: true}}
	for text, want := range map[string]string{
		`{"a-b":null,"c.d":[],"1":[null]}`: `{"schema":{[{"bytes","a_b"},{"array","items":{"string"},"c_d"},{"array","items":{"bytes"},"_1"}],"name":"payload"},"payload":{"a_b":null,"c_d":[],"_1":[null]}}`,
		`[{"a":null},{"a":1}]`:             `{"schema":{"array","items":{[{"int32","a"}],"name":"payload"}},"payload":[{"a":null},{"a":1}]}`,
	} {
		for range 2 {
			if got := expanded(with, text); got != want {
				t.Errorf("%s became\n%s, want\n%s", text, got, want)
			}
		}
	}
}

// FuzzExpand: what an expander makes of a text does not depend on what it has
// seen before.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{"c":null},{"c":"x"}]}`, `{"a":2.5,"b":[]}`, `[[1],[null]]`, `{"b":{"a":true}}`} {
		f.Add(s, `{"a":1,"b":[{"c":"y"}]}`)
	}
	f.Fuzz(func(t *testing.T, text, before string) {
		for _, x := range []expander{{}, {nullBytes: true, emptyStrings: true}} {
			fresh, used := x, x
			expanded(&used, before)
			if a, b := expanded(&fresh, text), expanded(&used, text); a != b {
				t.Errorf("%q is\n%s, and after %q\n%s", text, a, before, b)
			}
		}
	})
}
