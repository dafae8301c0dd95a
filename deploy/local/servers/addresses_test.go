package servers

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A set with a data folder of its own, as the demo has, runs beside the one that tests share.
func TestASetOfItsOwnHasServersOfItsOwn(t *testing.T) {
	local, err := Open(Options{Data: t.TempDir(), Progress: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = local.Down(context.WithoutCancel(t.Context())) })
	own, err := local.MySQL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if shared := MySQL(t); shared.Port == own.Port {
		t.Errorf("both are on port %d", own.Port)
	}
	execute(t, own, "", "CREATE DATABASE IF NOT EXISTS mine")
	again, err := local.MySQL(t.Context())
	if err != nil || again.Port != own.Port {
		t.Errorf("found again on port %d, %v; want %d", again.Port, err, own.Port)
	}
	redis, err := local.Redis(t.Context())
	if err != nil || redis == Redis(t) {
		t.Errorf("Redis: %s, %v; the shared one is %s", redis, err, Redis(t))
	}
}

func TestAClosedParentIsNotEnterable(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if enterable(filepath.Join(closed, "cache")) {
		t.Error("a folder below one with mode 0700 counts as open to others")
	}
	if !enterable("/usr/lib") {
		t.Error("/usr/lib counts as closed")
	}
}
