package expression

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

var exampleLine = regexp.MustCompile("^\\| `(.+)` \\| `(.+)` \\|$")

// TestExamples runs the examples of docs/expressions.md on the record there.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```json\n")
	event, after, _ := strings.Cut(after, "\n```")
	table, _, _ := strings.Cut(after, "\n## ")
	m := new(json.Message)
	if err := json.NewReader(nil).ReadValue(m, []byte(event)); err != nil || m.Envelope == nil {
		t.Fatal(err)
	}
	r := &cdc.Record{Route: "shop.orders", Envelope: m.Envelope, Op: m.Envelope.Op}
	examples := 0
	for line := range strings.SplitSeq(table, "\n") {
		found := exampleLine.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		examples++
		p, err := Compile(found[1], "")
		if err != nil {
			t.Error(err)
			continue
		}
		if got, _, err := p.Text(r); got != found[2] || err != nil {
			t.Errorf("%s = %s, %v; the page says %s", found[1], got, err, found[2])
		}
	}
	if examples < 20 {
		t.Errorf("%d examples", examples)
	}
}

// TestFunctionsAreDocumented: each function has its name on the page.
func TestFunctionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "## Functions")
	for _, name := range functionNames() {
		if !regexp.MustCompile("`" + name + "[`(]").MatchString(list) {
			t.Errorf("%s is not in docs/expressions.md", name)
		}
	}
}
