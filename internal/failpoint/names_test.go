package failpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/failpoint"
)

// declared are the names of the constants, and their values.
func declared(t *testing.T) map[string]failpoint.Name {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]failpoint.Name{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if value, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, _ := strconv.Unquote(value.Value) // the parser accepted it
				names[spec.Names[0].Name] = failpoint.Name(text)
			}
		}
		return true
	})
	return names
}

// Every step is in a list, so that tests come by it, and somewhere in the code.
func TestEveryStepIsListedAndPassed(t *testing.T) {
	passed := map[string]int{}
	use := regexp.MustCompile(`failpoint\.Pass\(failpoint\.(\w+)\)`)
	for _, folder := range []string{"capture", "consumers", "elasticsearch"} {
		err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range use.FindAllSubmatch(text, -1) {
				passed[string(m[1])]++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := declared(t)
	for constant, name := range names {
		if !slices.Contains(failpoint.Capture, name) && !slices.Contains(failpoint.Consumers, name) {
			t.Errorf("%s is in no list", constant)
		}
		if passed[constant] == 0 {
			t.Errorf("%s is passed nowhere", constant)
		}
	}
	if got := len(failpoint.Capture) + len(failpoint.Consumers); got != len(names) {
		t.Errorf("%d names are listed, and %d declared", got, len(names))
	}
}
