package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelp(t *testing.T) {
	var b strings.Builder
	if err := Help(&b, Table{Name: "Shop", Properties: []Property{
		{Name: "name", Required: true, Doc: "The name. More of it."},
		{Name: "size", Default: "3", Doc: "How large it is, in a text that is longer than one line may be on a terminal of the usual width, or so."},
		{Name: "a.name.that.is.longer.than.its.column.is", Doc: "Long."},
		{Name: "nothing", Inert: "none"},
	}}); err != nil {
		t.Fatal(err)
	}
	want := `
Shop
  name                                 required       The name.
  size                                 3              How large it is, in a text that is longer than one line may be on
                                                      a terminal of the usual width, or so.
  a.name.that.is.longer.than.its.column.is
                                                      Long.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdown(t *testing.T) {
	text := Markdown([]Component{{"weir-a", "does a", []Table{shop}}, {"weir-b", "does b", []Table{Common, shop}}})
	for _, want := range []string{
		"| `weir-b` does b | [Connector](#connector), [Shop](#shop) |\n",
		"| `database.port` | number | `3306` | The server's port. From 1 to 65535. |\n",
		"| `topic.transaction` | text | `transaction` | The topic of transactions. Old: `transaction.topic`. |\n",
		"| `skipped.operations` | list | `t` | What to skip. Some of `c`, `u`, `d`, `t`, `none`. |\n",
		"| `database.hostname` | text | **required** | The server's host. |\n",
		"| `binlog.buffer.size` | events are read as they come |\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%d times %s", strings.Count(text, want), want)
		}
	}
}

func TestLint(t *testing.T) {
	if err := Lint(Common); err != nil {
		t.Error(err)
	}
	if err := Lint(Common, Table{Name: "x", Doc: "X.", Properties: []Property{Common.Properties[0]}}); err != nil {
		t.Error(err)
	}
	err := Lint(Table{Properties: []Property{
		{Name: "a", Doc: "A."}, {Name: "b", Doc: "B.", Old: []string{"a"}}, {Name: "c"}, {Name: "d", Type: Int, Default: "x", Doc: "D."},
		{Name: "e", Required: true, Inert: "none"}, {Name: "f.g", Doc: "F."}, {Name: "f_g", Doc: "G."},
	}})
	want := []string{
		": a table wants a name and a doc", "a: is a name of a and of b", "c: no doc", `d: its default "x": want a whole number`,
		"e: required, and without effect", "f_g: has the same variable as f.g",
	}
	if diff := cmp.Diff(want, errorLines(t, err)); diff != "" {
		t.Error(diff)
	}
}
