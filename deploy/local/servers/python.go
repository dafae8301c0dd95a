package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Python is an interpreter that has packages from PyPI at hand, for tests that read a result with a client of its own.
type Python struct {
	program string
	env     []string
}

// PythonWith returns a Python with the packages ("duckdb==2.0.0"), which are fetched once; the test fails if they
// cannot be had.
func PythonWith(tb testing.TB, packages ...string) Python {
	tb.Helper()
	local, err := tests()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), fetchPatience)
	defer cancel()
	python, err := local.python(ctx, packages)
	if err != nil {
		tb.Fatal(err)
	}
	return python
}

// Run runs a script with arguments and returns what it prints. The test fails if the script does.
func (p Python) Run(tb testing.TB, script string, args ...string) []byte {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), p.program, append([]string{"-c", script}, args...)...)
	cmd.Env = p.env
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, lastLines(string(exit.Stderr), 25))
		}
		tb.Fatalf("running Python: %v", err)
	}
	return output
}

// python makes a virtual environment for these packages.
func (l *Local) python(ctx context.Context, packages []string) (Python, error) {
	packages = slices.Sorted(slices.Values(packages))
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	dir, err := l.fetchOnce(ctx, "python-"+hex.EncodeToString(sum[:4]), "pip install "+strings.Join(packages, " "), func(ctx context.Context, dir string) error {
		venv := filepath.Join(dir, "venv")
		if err := l.virtualEnvironment(ctx, venv); err != nil {
			return err
		}
		// Packages lie beside the environment: its own folder cannot be moved once it has any.
		return run(exec.CommandContext(ctx, filepath.Join(venv, "bin/python"), append([]string{
			"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--target", filepath.Join(dir, "site")}, packages...)...))
	})
	if err != nil {
		return Python{}, err
	}
	env := append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "site"), "PYTHONDONTWRITEBYTECODE=1")
	return Python{program: filepath.Join(dir, "venv/bin/python"), env: env}, nil
}

// virtualEnvironment makes one at dir, installing Python first where it or its venv module is missing.
func (l *Local) virtualEnvironment(ctx context.Context, dir string) error {
	create := func() error {
		program, ok := lookPath("python3")
		if !ok {
			return errors.New("finding python3: not on PATH")
		}
		return run(exec.CommandContext(ctx, program, "-m", "venv", "--clear", dir))
	}
	if create() == nil {
		return nil
	}
	if err := l.installOnSystem(ctx, "Python 3 with venv", func() bool { return false }, "python3", "python3-venv"); err != nil {
		return err
	}
	return create()
}
