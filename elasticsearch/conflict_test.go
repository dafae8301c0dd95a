package elasticsearch

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// TestRefuses says what an index refuses, by the type that it maps a field as.
func TestRefuses(t *testing.T) {
	s := &Sink{}
	field := func(kind cdc.Type, semantic cdc.Semantic) *cdc.Field {
		return &cdc.Field{Name: "f", Type: kind, Semantic: semantic}
	}
	yes, no := true, false
	for name, c := range map[string]struct {
		has  mapped
		f    *cdc.Field
		want string
	}{
		"the same":              {mapped{Type: "integer"}, field(cdc.Int32, cdc.Plain), ""},
		"wider":                 {mapped{Type: "integer"}, field(cdc.Int64, cdc.Plain), "it is mapped as integer, and its values have up to 64 bits"},
		"a word":                {mapped{Type: "keyword"}, field(cdc.Int64, cdc.Plain), ""},
		"a boolean":             {mapped{Type: "boolean"}, field(cdc.Int16, cdc.Plain), "it is mapped as boolean, and its values are whole numbers"},
		"a boolean of its kind": {mapped{Type: "boolean"}, field(cdc.Boolean, cdc.Plain), ""},
		"a decimal as a float":  {mapped{Type: "scaled_float"}, field(cdc.Binary, cdc.Decimal), ""},
		"a decimal as a date":   {mapped{Type: "date"}, field(cdc.Binary, cdc.Decimal), "it is mapped as date, and its values are numbers with a fraction"},
		"a text as a date":      {mapped{Type: "date"}, field(cdc.Text, cdc.Plain), "it is mapped as date, and its values are texts"},
		"a time as a date":      {mapped{Type: "date"}, field(cdc.Text, cdc.ZonedTimestamp), ""},
		"a text as a number":    {mapped{Type: "long"}, field(cdc.Text, cdc.Plain), "it is mapped as long, and its values are texts"},
		"an object":             {mapped{Type: "object"}, field(cdc.Text, cdc.Plain), "it is mapped as an object, and its values are texts"},
		"an object that is on":  {mapped{Type: "object", Enabled: &yes}, field(cdc.Int32, cdc.Plain), "it is mapped as an object, and its values are whole numbers"},
		"an object that is off": {mapped{Type: "object", Enabled: &no}, field(cdc.Text, cdc.Plain), ""},
		"a type of a plugin":    {mapped{Type: "murmur3"}, field(cdc.Text, cdc.Plain), ""},
		"any value":             {mapped{Type: "boolean"}, field(cdc.Any, cdc.Plain), ""},
	} {
		if got := s.refuses(c.has, c.f); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestConflicts reads a real mapping; what it calls a conflict, the server
// refuses, and nothing else.
func TestConflicts(t *testing.T) {
	s := open(t, map[string]string{"schema.ignore": "true"})
	route := servers.Unique(t, "conflict")
	body := map[string]any{"mappings": map[string]any{"dynamic": "strict", "properties": map[string]any{
		"id": map[string]any{"type": "long"}, "city": map[string]any{"type": "date"}, "total": map[string]any{"type": "double"},
		"updated": map[string]any{"type": "date"}, "created": map[string]any{"type": "boolean"}, "day": map[string]any{"type": "integer"}, "attrs": map[string]any{"type": "text"},
	}}}
	if err := s.call(t.Context(), http.MethodPut, "/"+route, body, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.call(context.Background(), http.MethodDelete, "/"+route, nil, nil); err != nil {
			t.Log(err)
		}
	})
	got, err := s.Conflicts(t.Context(), route, valueSchema)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	for _, c := range got {
		if c.Index != route {
			t.Error(c.Index)
		}
		fields[c.Field] = true
	}
	if diff := cmp.Diff(map[string]bool{"city": true, "created": true, "status": true}, fields); diff != "" {
		t.Error(diff)
	}
	for name, value := range map[string]any{"id": 1, "city": "Oslo", "status": "new", "total": 12.5, "updated": "2026-11-22T10:00:00.123456Z", "created": 1795341600000, "day": 20000, "attrs": "{}"} {
		err := s.call(t.Context(), http.MethodPut, "/"+route+"/_doc/"+name, map[string]any{name: value}, nil)
		if (err != nil) != fields[name] {
			t.Errorf("%s: called a conflict %v, and the server says %v", name, fields[name], err)
		}
	}
	if got, err := s.Conflicts(t.Context(), route+"-none", valueSchema); err != nil || got != nil {
		t.Error(got, err)
	}
}
