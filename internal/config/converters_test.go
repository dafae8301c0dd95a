package config

import "testing"

// TestConvertersByTheirOwnNames takes the properties of a custom converter as
// Debezium has them, and only those of converters that are listed.
func TestConvertersByTheirOwnNames(t *testing.T) {
	table := Table{Name: "t", Doc: "T.", Properties: []Property{
		{Name: "converters", Type: List, Doc: "Names."}, {Name: "converters.*", Doc: "Of a converter."}, {Name: "boolean.kept", Doc: "Another one."},
	}}
	v, _, err := Parse(map[string]string{"converters": "x, boolean", "boolean.type": "a.B", "boolean.selector": ".*", "boolean.kept": "1"}, table)
	if err != nil {
		t.Fatal(err)
	}
	under := v.Under("converters.")
	if under["boolean.type"] != "a.B" || under["boolean.selector"] != ".*" || v.String("boolean.kept") != "1" {
		t.Errorf("got %v and %q", under, v.String("boolean.kept"))
	}
	if _, _, err := Parse(map[string]string{"converters": "x", "boolean.type": "a.B"}, table); err == nil {
		t.Error("a property of a converter that is not listed was taken")
	}
}
