package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// folder is one that other users may enter, as Elasticsearch does.
func folder(t *testing.T) string {
	t.Helper()
	local, err := servers.Open(servers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(local.Data(), servers.Unique(t, "demo-test"))
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return path
}

func TestTheDemoEndsWithoutDifferences(t *testing.T) {
	data := folder(t)
	if code := run(t.Context(), []string{"--seconds", "3", "--keep=false", "--data", data}); code != 0 {
		t.Errorf("exit code %d", code)
	}
	local, err := servers.Open(servers.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range local.Status() {
		if server.Running {
			t.Errorf("%s still runs", server.Name)
		}
	}
}

func TestOneDemoAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path); err == nil || !strings.Contains(err.Error(), "another demo is running") {
		t.Errorf("got %v", err)
	}
	unlock()
	if unlock, err = lock(path); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"--real", "--seconds", "7", "--rate=20"})
	if err != nil || !o.real || o.duration != 7*time.Second || o.rate != 20 {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range [][]string{{"--seconds", "0"}, {"more"}, {"--rate", "-1"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if code := run(t.Context(), []string{"--help"}); code != 0 {
		t.Errorf("--help ends with %d", code)
	}
}
