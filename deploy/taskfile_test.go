package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// taskfile is what we read of Taskfile.yml.
type taskfile struct {
	Vars  map[string]string
	Tasks map[string]struct{ Cmd string }
}

func TestTaskfileRunsProgramsThatAreThere(t *testing.T) {
	var file taskfile
	if err := yaml.Unmarshal(read(t, "../Taskfile.yml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"demo", "test", "race", "lint", "bench", "bench:capture", "golden", "up", "down"} {
		if file.Tasks[name].Cmd == "" {
			t.Errorf("no task %s", name)
		}
	}
	for name, program := range file.Vars {
		if !strings.HasPrefix(program, "./") {
			continue
		}
		if sources, _ := filepath.Glob(filepath.Join("..", program, "*.go")); len(sources) == 0 {
			t.Errorf("%s is %s, where there is no program", name, program)
		}
	}
}

var taskVersion = regexp.MustCompile(`go-task/task/v3/cmd/task@v[\d.]+ (\w+)`)

func TestContinuousIntegrationRunsTheReadmesTestCommand(t *testing.T) {
	script := string(read(t, "../.ci/run"))
	found := taskVersion.FindString(script)
	if !strings.HasSuffix(found, " test") || !strings.Contains(string(read(t, "../README.md")), "go run github.com/"+found) {
		t.Errorf("README.md does not name the command of .ci/run: %q", found)
	}
	if info, err := os.Stat("../.ci/run"); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf(".ci/run cannot be executed: %v", err)
	}
}
