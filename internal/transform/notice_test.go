package transform

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
)

// keeping is a Transform that does nothing.
type keeping struct{}

func (keeping) Apply(*cdc.Record) (bool, error) { return true, nil }

// TestNoticesAreGivenOnce: a chain says once what it has to say, however many
// goroutines get a clone of it.
func TestNoticesAreGivenOnce(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"transforms": "a", "transforms.a.type": "x.Telling", "transforms.a.condition": "b"}, Properties)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := New(v, Classes{Transforms: map[string]func(*Options) Transform{"x.Telling": func(o *Options) Transform {
		o.Text("condition", "")
		o.Notice("condition", "keeps what is true")
		return keeping{}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := chain.Clone(); err != nil {
			t.Fatal(err)
		}
	}
	notices := v.Notices()
	if len(notices) != 1 || notices[0].String() != "transforms.a.condition: keeps what is true" {
		t.Errorf("got %v", notices)
	}
}

// TestUnlistedTransforms: a transform that is not in the list is not applied,
// and a property of none at all is a mistake.
func TestUnlistedTransforms(t *testing.T) {
	v, notices, err := config.Parse(map[string]string{"transforms": "", "transforms.a.type": "x.Y", "transforms.a.field": "f"}, Properties)
	if err != nil || len(notices) != 1 || notices[0].String() != "transforms.a.type: not applied: transforms does not list a" {
		t.Fatal(notices, err)
	}
	if chain, err := New(v); err != nil || chain.Len() != 0 {
		t.Error(err)
	}
	v, _, err = config.Parse(map[string]string{"transforms.b.field": "f"}, Properties)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(v); err == nil || err.Error() != `transforms.b.field = "f": want a name of the list transforms, which is ` {
		t.Error(err)
	}
}
