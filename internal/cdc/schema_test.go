package cdc

import (
	"sync"
	"testing"
)

func TestTypeNames(t *testing.T) {
	for i := Boolean; i <= Map; i++ {
		if back, err := ParseType(i.String()); err != nil || back != i {
			t.Errorf("%v: %v %v", i, back, err)
		}
	}
	for _, name := range []string{"", "float32", "INT8"} {
		if _, err := ParseType(name); err == nil {
			t.Errorf("%q is no type", name)
		}
	}
	if got := Type(200).String(); got != "type(200)" {
		t.Error(got)
	}
}

func TestSemanticNames(t *testing.T) {
	for s := Date; s <= DoubleVector; s++ {
		if s.Name() == "" || ParseSemantic(s.Name()) != s {
			t.Errorf("%d: %q", s, s.Name())
		}
	}
	if ParseSemantic("") != Plain || ParseSemantic("com.example.Own") != Other || Plain.Name() != "" || Other.Name() != "" {
		t.Error("names that are none")
	}
}

func fieldsOf() []Field {
	return []Field{
		{Name: "id", Type: Int64},
		{Name: "total", Type: Binary, Semantic: Decimal, Optional: true, Precision: 12, Scale: 2, Params: []Param{{"scale", "2"}}, Default: new(SmallDecimal(5))},
		{Name: "point", Type: Struct, Semantic: Point, Struct: NewSchema("", Field{Name: "x", Type: Double})},
		{Name: "list", Type: Array, Element: &Field{Type: Float}},
		{Name: "map", Type: Map, Key: &Field{Type: Text}, Element: &Field{Type: Text}},
	}
}

// TestIntern: equal schemas are one pointer, however they came about.
func TestIntern(t *testing.T) {
	first := NewSchema("t", fieldsOf()...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if NewSchema("t", fieldsOf()...) != first || (Schema{Name: "t", Fields: fieldsOf()}).Intern() != first {
				t.Error("another pointer")
			}
		})
	}
	wg.Wait()
	fields := fieldsOf()
	s := NewSchema("kept", fields...)
	fields[0].Name = "changed"
	if s.Fields[0].Name != "id" {
		t.Error("the schema shares the caller's fields")
	}
}

// TestFingerprint: whatever a schema says is in its fingerprint, which must not
// change between versions.
func TestFingerprint(t *testing.T) {
	base := NewSchema("t", fieldsOf()...)
	if got := base.Fingerprint(); got != "69375b7b595045bc" {
		t.Errorf("the fingerprint of what is stored changed to %s", got)
	}
	seen := map[string]string{base.Fingerprint(): "the base"}
	add := func(name string, s *Schema) {
		t.Helper()
		if other, ok := seen[s.Fingerprint()]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[s.Fingerprint()] = name
	}
	change := func(name string, i int, f func(*Field)) {
		fields := fieldsOf()
		f(&fields[i])
		add(name, NewSchema("t", fields...))
	}
	add("name", NewSchema("u", fieldsOf()...))
	add("version", Schema{Name: "t", Version: 1, Fields: fieldsOf()}.Intern())
	add("doc", Schema{Name: "t", Doc: "d", Fields: fieldsOf()}.Intern())
	add("optional schema", Schema{Name: "t", Optional: true, Fields: fieldsOf()}.Intern())
	add("fewer fields", NewSchema("t", fieldsOf()[1:]...))
	change("field name", 0, func(f *Field) { f.Name = "i" })
	change("type", 0, func(f *Field) { f.Type = Int32 })
	change("semantic", 0, func(f *Field) { f.Semantic = Timestamp })
	change("other semantic", 0, func(f *Field) { f.Semantic, f.SchemaName = Other, "my.Own" })
	change("schema version", 0, func(f *Field) { f.SchemaVersion = 1 })
	change("field doc", 0, func(f *Field) { f.Doc = "d" })
	change("optional", 0, func(f *Field) { f.Optional = true })
	change("digits", 0, func(f *Field) { f.Digits = 3 })
	change("precision", 1, func(f *Field) { f.Precision = 13 })
	change("scale", 1, func(f *Field) { f.Scale = 3 })
	change("parameter", 1, func(f *Field) { f.Params = []Param{{"scale", "3"}} })
	change("more parameters", 1, func(f *Field) { f.Params = []Param{{"scale", "2"}, {"a", "b"}} })
	change("default", 1, func(f *Field) { f.Default = new(SmallDecimal(6)) })
	change("no default", 1, func(f *Field) { f.Default = nil })
	change("members", 2, func(f *Field) { f.Struct = NewSchema("", Field{Name: "y", Type: Double}) })
	change("element", 3, func(f *Field) { f.Element = &Field{Type: Double} })
	change("key", 4, func(f *Field) { f.Key = &Field{Type: Int32} })
}

func TestBare(t *testing.T) {
	s := Bare(Field{Name: "dropped", Type: Int64})
	if !s.IsBare() || s != Bare(Field{Type: Int64}) || s.Fields[0].Name != "" {
		t.Errorf("%+v", s)
	}
	if NewSchema("", Field{Name: "", Type: Int64}).IsBare() || NewSchema("").IsBare() {
		t.Error("a struct is not bare, whatever its fields are named")
	}
}

func TestWith(t *testing.T) {
	s := Schema{Name: "t", Version: 2, Fields: fieldsOf()}.Intern()
	wider := s.With(Field{Name: "id", Type: Text}, Field{Name: "new", Type: Int8})
	if len(wider.Fields) != len(s.Fields)+1 || wider.Fields[0].Type != Text || wider.Version != 2 || s.Fields[0].Type != Int64 {
		t.Errorf("%+v", wider)
	}
	if wider.Index([]byte("new")) != len(s.Fields) || wider.Index([]byte("none")) != -1 || wider.Field("new").Type != Int8 || wider.Field("none") != nil {
		t.Error("look-ups")
	}
}

func TestFieldNames(t *testing.T) {
	for want, f := range map[string]Field{
		"io.debezium.time.Date": {Semantic: Date}, "my.Own": {Semantic: Other, SchemaName: "my.Own"},
		"":                                   {SchemaName: "ignored"},
		"the.Block":                          {Type: Struct, Struct: NewSchema("the.Block")},
		"io.debezium.data.geometry.Geometry": {Type: Struct, Semantic: Geometry, Struct: NewSchema("x")},
	} {
		if got := f.ConnectName(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f := Field{Params: []Param{{"a", "1"}}}
	if f.Param("a") != "1" || f.Param("b") != "" {
		t.Error("parameters")
	}
	for _, c := range []struct {
		f    Field
		want bool
	}{{Field{Semantic: Decimal, Type: Binary}, true}, {Field{Type: Text, Precision: 5}, true}, {Field{Type: Text}, false}, {Field{Type: Double, Precision: 5}, false}} {
		if c.f.IsDecimal() != c.want {
			t.Errorf("%+v", c.f)
		}
	}
}
