package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unit is a systemd unit: sections, keys, and each key's values in order.
type unit map[string]map[string][]string

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	sections, section := unit{}, ""
	for line := range strings.Lines(string(read(t, path))) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			sections[section] = map[string][]string{}
		default:
			key, value, found := strings.Cut(line, "=")
			if !found || section == "" {
				t.Fatalf("%s: %q is no setting in a section", path, line)
			}
			sections[section][key] = append(sections[section][key], value)
		}
	}
	return sections
}

func units(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("systemd/*.service")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no units: %v", err)
	}
	return paths
}

func TestEveryServiceHasAUnit(t *testing.T) {
	var names []string
	for _, path := range units(t) {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".service"))
	}
	for name := range weirServices(t) {
		if !slices.Contains(names, name) {
			t.Errorf("no unit for %s", name)
		}
	}
}

func TestUnitsStartTheirBinaryWithFlagsItHas(t *testing.T) {
	for _, path := range units(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".service")
		t.Run(name, func(t *testing.T) {
			service := readUnit(t, path)["Service"]
			command := strings.Fields(strings.Join(service["ExecStart"], " "))
			if len(command) < 3 || command[0] != "/usr/local/bin/"+name {
				t.Fatalf("ExecStart=%v", command)
			}
			if known := flagsOf(t, name); !slices.Contains(known, command[1]) {
				t.Errorf("%s has no flag %s; it has %v", name, command[1], known)
			}
		})
	}
}

func TestUnitsRunUnprivilegedAndStopInTime(t *testing.T) {
	want := map[string]string{
		"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "",
		"Restart": "on-failure", "TimeoutStopSec": "15",
	}
	for _, path := range units(t) {
		service := readUnit(t, path)["Service"]
		for key, value := range want {
			if got := service[key]; len(got) != 1 || got[0] != value {
				t.Errorf("%s: %s=%v, want %q", path, key, got, value)
			}
		}
		if got := readUnit(t, path)["Install"]["WantedBy"]; len(got) != 1 {
			t.Errorf("%s: WantedBy=%v, want one target", path, got)
		}
	}
}

// Where systemd is at hand, it judges itself. It also wants the binaries to be there: this test's own stands in.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze on PATH: the units are checked by the other tests only")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, path := range units(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".service")
		text := strings.ReplaceAll(string(read(t, path)), "/usr/local/bin/"+name, self)
		copied := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, copied)
	}
	output, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, dir) {
			t.Error(line)
		}
	}
}
