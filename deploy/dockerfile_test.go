package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instruction is one line of a Dockerfile, continued lines joined.
type instruction struct {
	name string
	args []string
}

// readDockerfile reads the instructions of each stage.
func readDockerfile(t *testing.T) (stages [][]instruction) {
	t.Helper()
	text := strings.ReplaceAll(string(read(t, "docker/Dockerfile")), "\\\n", " ")
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) == 0 {
			t.Fatalf("%s before FROM", words[0])
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name: words[0], args: words[1:]})
	}
	return stages
}

// find returns the arguments of a stage's instructions of a name, one text each.
func find(stage []instruction, name string) (found []string) {
	for _, line := range stage {
		if line.name == name {
			found = append(found, strings.Join(line.args, " "))
		}
	}
	return found
}

func TestDockerfileKnowsItsInstructions(t *testing.T) {
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENV", "USER", "EXPOSE", "CMD"}
	for _, stage := range readDockerfile(t) {
		for _, line := range stage {
			if !slices.Contains(known, line.name) || len(line.args) == 0 {
				t.Errorf("%s %v: want one of %v with arguments", line.name, line.args, known)
			}
		}
	}
}

func TestImageIsStaticAndRunsAsNobody(t *testing.T) {
	stages := readDockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("%d stages, want a build and an image", len(stages))
	}
	build, image := stages[0], stages[1]
	if base := find(image, "FROM"); base[0] != "scratch" {
		t.Errorf("the image is built on %s, want scratch", base[0])
	}
	if user := find(image, "USER"); len(user) != 1 || strings.HasPrefix(user[0], "0") || user[0] == "root" {
		t.Errorf("USER %v, want one that is not root", user)
	}
	compiled := slices.ContainsFunc(find(build, "RUN"), func(command string) bool {
		return strings.Contains(command, "CGO_ENABLED=0 go build") && strings.HasSuffix(command, "./cmd/...")
	})
	if !compiled {
		t.Error("not all of cmd is compiled without C")
	}
	if runs := find(image, "RUN"); len(runs) > 0 {
		t.Errorf("an empty image has nothing to run %v with", runs)
	}
}

func TestImageCopiesWhatIsThere(t *testing.T) {
	for _, stage := range readDockerfile(t) {
		for _, line := range stage {
			if line.name != "COPY" || strings.HasPrefix(line.args[0], "--from=") {
				continue
			}
			for _, source := range line.args[:len(line.args)-1] {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("COPY %s: %v", source, err)
				}
			}
		}
	}
}

// The build's context holds only the folders that .dockerignore lets in.
func TestImageContextHoldsAllThatIsCompiled(t *testing.T) {
	allowed := map[string]bool{}
	for line := range strings.Lines(string(read(t, "docker/Dockerfile.dockerignore"))) {
		if name, let := strings.CutPrefix(strings.TrimSpace(line), "!"); let {
			allowed[name] = true
		}
	}
	const module = "github.com/weir-cdc/weir/"
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, output)
	}
	for path := range strings.FieldsSeq(string(output)) {
		ours, found := strings.CutPrefix(path, module)
		if folder, _, _ := strings.Cut(ours, "/"); found && !allowed[folder] {
			t.Errorf("%s is compiled, but %s is not in the build's context", path, folder)
		}
	}
}
