package doctor

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func set(name, text string, after ...string) Change {
	return Change{Property: name, Text: text, as: name, after: strings.Join(after, "")}
}

func removed(name string) Change { return Change{Property: name, Remove: true, as: name} }

func TestCorrected(t *testing.T) {
	for name, c := range map[string]struct {
		path, text string
		changes    []Change
		want       string
	}{
		"replace": {"a.json", "{\n  \"name\": \"n\",\n  \"config\": {\n    \"a\" : 1, \"b\": \"x\"\n  }\n}\n",
			[]Change{set("a", `2 & "3" <4>`)}, "{\n  \"name\": \"n\",\n  \"config\": {\n    \"a\" : \"2 & \\\"3\\\" <4>\", \"b\": \"x\"\n  }\n}\n"},
		"insert behind":            {"a.json", "{\n\t\"a\": \"1\",\n\t\"b\": \"2\"\n}", []Change{set("c", "3", "a")}, "{\n\t\"a\": \"1\",\n\t\"c\": \"3\",\n\t\"b\": \"2\"\n}"},
		"insert at the end":        {"a.json", `{"a":"1","b":"2"}`, []Change{set("c", "3")}, `{"a":"1","b":"2","c":"3"}`},
		"remove the last":          {"a.json", "{\n  \"a\": 1,\n  \"b\": 2\n}", []Change{removed("b")}, "{\n  \"a\": 1\n}"},
		"remove the first":         {"a.json", "{\n  \"a\": 1,\n  \"b\": 2\n}", []Change{removed("a")}, "{\n  \"b\": 2\n}"},
		"remove the only":          {"a.json", `{"a": 1}`, []Change{removed("a")}, `{}`},
		"remove what is not there": {"a.json", `{"a": 1}`, []Change{removed("b")}, `{"a": 1}`},
		"the last of two counts":   {"a.json", `{"a": 1, "a": 2}`, []Change{set("a", "3")}, `{"a": 1, "a": "3"}`},
		"nested objects stay":      {"a.json", `{"config": {"t": {"a": "{"}, "a": ["}"]}}`, []Change{set("a", "1")}, `{"config": {"t": {"a": "{"}, "a": "1"}}`},
		"config that is a text":    {"a.json", `{"config": "{}", "a": 1}`, []Change{set("a", "2")}, `{"config": "{}", "a": "2"}`},
		"several":                  {"noname", `{"a": 1}`, []Change{set("b", "2", "a"), set("a", "3"), set("b", "4")}, `{"a": "3","b": "4"}`},
		"properties":               {"a.properties", "# a=0\na = 1\nb:2", []Change{set("a", `x\y`), set("c", "3", "a"), set("d", "4")}, "# a=0\na=x\\\\y\nc=3\nb:2\nd=4\n"},
		"properties removed":       {"a.properties", "a=1\nb=2\n", []Change{removed("a"), removed("z")}, "b=2\n"},
	} {
		got, err := Corrected(c.path, []byte(c.text), c.changes)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	for name, c := range map[string]struct{ path, text, want string }{
		"yaml":       {"a.yaml", "a: 1", "write it by hand"},
		"many lines": {"a.properties", "a=1\\\n 2\n", "several lines"},
		"empty":      {"a.json", "{}", "no properties"},
		"no object":  {"a.json", "[]", "an object is wanted"},
		"broken":     {"a.json", `{"a": `, "changing a in a.json"},
	} {
		if _, err := Corrected(c.path, []byte(c.text), []Change{set("a", "x")}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEditJSON: a change leaves JSON that says what it did, but for the change.
func FuzzEditJSON(f *testing.F) {
	f.Add(`{"name": "n", "config": {"a": "1", "b": {"c": [1, "}"]}}}`, "a", "x")
	f.Add("{\n\t\"a\" : null }", "é", "\"\\\n")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		var before map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &before) != nil || name == "" || name == "config" || !utf8.ValidString(text) || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return
		}
		out, err := Corrected("a.json", []byte(text), []Change{set(name, value)})
		if err != nil {
			return
		}
		base, spans, err := body(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		at := find(spans, name)
		if at < 0 {
			t.Fatalf("%q is not in %s", name, out)
		}
		var got string
		if err := json.Unmarshal(out[base+spans[at].value:base+spans[at].to], &got); err != nil || got != value {
			t.Fatalf("%q, want %q: %v\n%s", got, value, err, out)
		}
		if !json.Valid(out) {
			t.Fatalf("no JSON: %s", out)
		}
	})
}
