package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestServersStartAreListedAndStop(t *testing.T) {
	data := t.TempDir()
	local := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"-data", data}, args...), &out); err != nil {
			t.Fatalf("local %v: %v", args, err)
		}
		return out.String()
	}
	t.Cleanup(func() { local("down", "-purge", "redis") })
	if table := local("up", "redis"); !rowOf(table, "redis", data+"/shared/redis") {
		t.Errorf("after up:\n%s", table)
	}
	local("down", "redis")
	if table := local("status"); !rowOf(table, "redis", "- -") {
		t.Errorf("after down:\n%s", table)
	}
}

// rowOf tells whether a table has a row that starts with name and holds text, whatever the spaces.
func rowOf(table, name, text string) bool {
	for line := range strings.Lines(table) {
		row := strings.Join(strings.Fields(line), " ")
		if strings.HasPrefix(row, name+" ") && strings.Contains(row, text) {
			return true
		}
	}
	return false
}

func TestAWrongCommandLineNamesWhatIsRight(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "up, down, status"}, {"start", `"start"`}, {"up oracle", `"oracle"`}, {"-datum x up", "-datum"},
	} {
		err := run(t.Context(), append([]string{"-data", t.TempDir()}, strings.Fields(test.args)...), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("local %s: %v, want %s in it", test.args, err, test.want)
		}
	}
}
