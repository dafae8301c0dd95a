package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weir-cdc/weir/"

// rule says what the packages below a path may import of ours, tests aside.
// Paths are of folders, and stand for all packages below them.
type rule struct {
	path  string
	may   []string
	tests []string // what their tests may import besides
}

// words are what every room may speak.
var words = []string{"internal/cdc", "internal/sink", "internal/config", "internal/transform", "internal/javadate", "internal/failpoint"}

// rules are the directions of docs/design.md. The first that fits a package
// counts; a package that none fits is a failure, so that new ones are thought
// about.
var rules = []rule{
	{path: "internal/cdc", may: []string{"internal/cdc"}},
	{path: "internal/sink", may: []string{"internal/cdc"}},
	{path: "internal/config"},
	{path: "internal/javadate"},
	{path: "internal/failpoint"},
	{path: "internal/transform", may: words, tests: []string{"routing", "enrich"}},
	{path: "internal/expression", may: words},
	{path: "internal/kafka", may: words},
	{path: "internal/admin", may: []string{"internal/config"}},
	{path: "internal/service", may: []string{"internal/config", "internal/admin"}},
	{path: "internal/compare", may: append([]string{"internal/kafka"}, words...), tests: []string{"elasticsearch", "redis", "lake"}},
	{path: "internal/lint"},
	{path: "routing", may: append([]string{"routing", "internal/expression"}, words...), tests: []string{"enrich"}},
	{path: "enrich/plugin/plugintest", may: append([]string{"enrich", "routing"}, words...)},
	{path: "enrich", may: append([]string{"enrich", "internal/kafka", "internal/expression"}, words...), tests: []string{"routing"}},
	{path: "elasticsearch", may: append([]string{"elasticsearch"}, words...), tests: []string{"consumers/sinktest"}},
	{path: "redis", may: append([]string{"redis"}, words...), tests: []string{"consumers/sinktest"}},
	{path: "lake", may: append([]string{"lake"}, words...), tests: []string{"consumers/sinktest"}},
	{path: "capture/golden/compare", may: []string{"capture", "deploy/local"}},
	{path: "capture/bench", may: []string{"capture", "deploy/local", "internal"}},
	{path: "capture/golden", may: []string{"capture", "deploy/local", "internal"}},
	{path: "capture", may: append([]string{"capture", "routing", "enrich", "internal/kafka", "internal/admin"}, words...), tests: []string{"internal"}},
	{path: "consumers/bench", may: []string{"deploy/local", "internal"}},
	{path: "consumers", may: append([]string{"consumers", "routing", "enrich", "internal/kafka", "internal/admin"}, words...), tests: []string{"internal"}},
	{path: "cmd", may: []string{""}},
	{path: "deploy/local/servers"},
	{path: "deploy/local/faults"},
	{path: "deploy", may: []string{"deploy", "internal", "cmd"}},
	{path: "docs/examples", may: []string{"docs/examples", "cmd/run", "enrich/plugin"}},
	{path: "e2e", may: []string{""}},
}

// forTests may be imported by the tests of every package.
var forTests = []string{"deploy/local/servers", "deploy/local/faults"}

// listed is what the go command knows of a package.
type listed struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// packages lists the packages of the module by their paths within it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", module+"...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	out := make(map[string]listed)
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if len(out) < 5 {
		t.Fatalf("only %d packages are found", len(out))
	}
	return out
}

// within reports whether a package is one of folders or below one.
func within(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// violations are the imports of package path that the rules do not allow.
func violations(path string, p listed) []string {
	at := slices.IndexFunc(rules, func(r rule) bool { return within(path, []string{r.path}) })
	if at < 0 {
		return []string{fmt.Sprintf("%s: no rule says what it may import", path)}
	}
	r := rules[at]
	var out []string
	check := func(imports, may []string, who string) {
		for _, imported := range imports {
			ours, ok := strings.CutPrefix(imported, module)
			if ok && ours != path && !within(ours, may) {
				out = append(out, fmt.Sprintf("%s%s imports %s", path, who, ours))
			}
		}
	}
	tests := append(append(append([]string{}, r.may...), r.tests...), forTests...)
	check(p.Imports, r.may, "")
	check(p.TestImports, tests, " (test)")
	check(p.XTestImports, tests, " (test)")
	return out
}

func TestImportsPointOneWay(t *testing.T) {
	for path, p := range packages(t) {
		for _, v := range violations(path, p) {
			t.Error(v)
		}
	}
}

func TestTheRulesCatchWhatTheyForbid(t *testing.T) {
	for _, c := range []struct {
		path, imports string
		test          bool
		want          bool
	}{
		{"internal/cdc/json", "internal/cdc", false, true},
		{"internal/cdc", "internal/config", false, false},
		{"internal/sink", "internal/cdc", false, true},
		{"internal/config", "routing", false, false},
		{"internal/kafka", "consumers", false, false},
		{"elasticsearch", "redis", false, false},
		{"elasticsearch", "redis", true, false},
		{"elasticsearch", "consumers/sinktest", true, true},
		{"elasticsearch", "consumers/sinktest", false, false},
		{"elasticsearch", "consumers", true, false},
		{"lake", "internal/kafka", false, false},
		{"enrich", "internal/kafka", false, true},
		{"routing", "internal/kafka", false, false},
		{"routing", "enrich", false, false},
		{"consumers", "enrich", false, true},
		{"consumers", "capture", false, false},
		{"capture/mysql", "capture", false, true},
		{"capture", "lake", false, false},
		{"cmd/weirctl", "lake", false, true},
		{"redis", "deploy/local/servers", true, true},
		{"redis", "deploy/local/servers", false, false},
		{"internal/admin", "cmd/weirctl", false, false},
		{"brand/new", "fmt", false, false},
	} {
		p := listed{Imports: []string{module + c.imports}}
		if c.test {
			p = listed{XTestImports: p.Imports}
		}
		if got := len(violations(c.path, p)) == 0; got != c.want {
			t.Errorf("%s imports %s (test: %v): allowed %v, want %v", c.path, c.imports, c.test, got, c.want)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for path, p := range packages(t) {
		files := slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles)
		if !slices.ContainsFunc(files, func(file string) bool { return documents(t, filepath.Join(p.Dir, file)) }) {
			t.Errorf("%s has no doc comment", path)
		}
	}
}

// documents reports whether a file has a package comment.
func documents(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Error(err)
		return false
	}
	return parsed.Doc != nil
}
