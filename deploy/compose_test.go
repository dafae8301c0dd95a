package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// composeFile is what we read of compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
}

type composeService struct {
	Image       string
	Build       struct{ Context, Dockerfile string }
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// weirServices are the services that run our binaries.
func weirServices(t *testing.T) map[string]composeService {
	t.Helper()
	services := map[string]composeService{}
	for name, service := range readCompose(t).Services {
		if strings.HasPrefix(name, "weir-") {
			services[name] = service
		}
	}
	return services
}

func TestComposeHasTheWholeFleet(t *testing.T) {
	services := readCompose(t).Services
	for _, name := range []string{
		"mysql", "kafka", "elasticsearch", "redis", "s3", "weir-capture", "weir-elasticsearch", "weir-redis", "weir-lake",
	} {
		if services[name].Image == "" {
			t.Errorf("no service %s with an image", name)
		}
	}
}

func TestComposeCommandsFitTheBinaries(t *testing.T) {
	for name, service := range weirServices(t) {
		t.Run(name, func(t *testing.T) {
			if service.Command[0] != name {
				t.Fatalf("it runs %s", service.Command[0])
			}
			known := flagsOf(t, name)
			for i, word := range service.Command[1:] {
				isFlag := strings.HasPrefix(word, "-")
				if isFlag != (i%2 == 0) {
					t.Errorf("%q: want a flag and its value by turns in %q", word, service.Command)
				}
				if isFlag && !slices.Contains(known, word) {
					t.Errorf("%s has no flag %s; it has %v", name, word, known)
				}
			}
		})
	}
}

var longFlag = regexp.MustCompile(`(^|[\s,])(--[a-z][a-z-]*)`)

// flags remembers what flagsOf found: building takes a while.
var flags = map[string][]string{}

// flagsOf builds a binary and reads the flags it has from its help.
func flagsOf(t *testing.T, name string) []string {
	t.Helper()
	if known := flags[name]; known != nil {
		return known
	}
	binary := filepath.Join(t.TempDir(), name)
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, output)
	}
	help, err := exec.CommandContext(t.Context(), binary, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v\n%s", name, err, help)
	}
	for _, match := range longFlag.FindAllStringSubmatch(string(help), -1) {
		flags[name] = append(flags[name], match[2])
	}
	return flags[name]
}

func TestComposeMountsWhatIsThere(t *testing.T) {
	file := readCompose(t)
	for name, service := range file.Services {
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, named := file.Volumes[source]; named {
				continue
			}
			if _, err := os.Stat(source); err != nil {
				t.Errorf("%s mounts %s: %v", name, source, err)
			}
		}
	}
}

func TestComposeMountsTheConfigurationsItNames(t *testing.T) {
	for name, service := range weirServices(t) {
		for i, word := range service.Command {
			if word == "--config" && !mounts(service, service.Command[i+1]) {
				t.Errorf("%s reads %s, which is not mounted: %v", name, service.Command[i+1], service.Volumes)
			}
		}
	}
}

func mounts(service composeService, target string) bool {
	return slices.ContainsFunc(service.Volumes, func(volume string) bool { return strings.HasSuffix(volume, ":"+target+":ro") })
}

var variableReference = regexp.MustCompile(`\$\{env:(\w+)\}`)

func TestComposeSetsTheVariablesThatConfigurationsRead(t *testing.T) {
	for name, service := range weirServices(t) {
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			for _, match := range variableReference.FindAllStringSubmatch(string(read(t, source)), -1) {
				if service.Environment[match[1]] == "" {
					t.Errorf("%s: %s reads the variable %s, which is not set", name, source, match[1])
				}
			}
		}
	}
}

func TestComposeServicesAreConnected(t *testing.T) {
	file := readCompose(t)
	for name, service := range file.Services {
		for needed, how := range service.DependsOn {
			other, there := file.Services[needed]
			if !there {
				t.Errorf("%s depends on %s, which is no service", name, needed)
			}
			if how.Condition == "service_healthy" && len(other.Healthcheck.Test) == 0 {
				t.Errorf("%s waits for the health of %s, which has no check", name, needed)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s opens %s to the network", name, port)
			}
		}
	}
}

// serverAddress is host:port in an example configuration.
var serverAddress = regexp.MustCompile(`"(?:https?://)?([a-z][a-z0-9]*):(\d+)"`)

func TestExampleConfigurationsNameServicesOfTheFleet(t *testing.T) {
	services := readCompose(t).Services
	for _, name := range []string{"capture", "elasticsearch", "redis", "lake"} {
		text := string(read(t, filepath.Join("examples/shop", name+".json")))
		addresses := serverAddress.FindAllStringSubmatch(text, -1)
		if len(addresses) == 0 {
			t.Errorf("%s.json names no server", name)
		}
		for _, address := range addresses {
			if services[address[1]].Image == "" {
				t.Errorf("%s.json: %s is no service of compose.yaml", name, address[1])
			}
		}
	}
}

func TestComposeBuildsTheDockerfile(t *testing.T) {
	for name, service := range weirServices(t) {
		if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
