// Package run holds the test of its sub-packages: that code outside of Weir's
// module can build Weir's binaries with transforms of its own.
package run

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere copies docs/examples/gotransform to a module of its own, which
// requires Weir as it is here.
func elsewhere(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(filepath.Join(root, "docs", "examples", "gotransform"))); err != nil {
		t.Fatal(err)
	}
	rewrite := func(from, to string, change func(string) string) {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(change(string(b))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	same := func(s string) string { return s }
	rewrite(filepath.Join(root, "go.sum"), filepath.Join(to, "go.sum"), same)
	rewrite(filepath.Join(root, "go.mod"), filepath.Join(to, "go.mod"), func(s string) string {
		s = strings.Replace(s, "module github.com/weir-cdc/weir\n", "module example.com/shop\n", 1)
		return s + "\nrequire github.com/weir-cdc/weir v0.0.0\n\nreplace github.com/weir-cdc/weir => " + root + "\n"
	})
	main := filepath.Join(to, "main.go")
	rewrite(main, main, func(s string) string {
		return strings.ReplaceAll(s, "github.com/weir-cdc/weir/docs/examples/gotransform/", "example.com/shop/")
	})
	return to
}

// TestFromAnotherModule builds the example as its user would and shows the
// binary configurations with its class.
func TestFromAnotherModule(t *testing.T) {
	folder := elsewhere(t)
	run := func(name string, arguments ...string) (output string, code int) {
		command := exec.CommandContext(t.Context(), name, arguments...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		err := command.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return out.String(), command.ProcessState.ExitCode()
	}
	if output, code := run("go", "test", "./..."); code != 0 {
		t.Fatalf("testing the example: %s", output)
	}
	if output, code := run("go", "build", "-o", "shop", "."); code != 0 {
		t.Fatalf("building the example: %s", output)
	}
	binary := filepath.Join(folder, "shop")
	common := []string{"--validate", "--set", "name=search", "--set", "topics=shop.ecommerce.orders", "--set", "connection.url=http://127.0.0.1:1",
		"--set", "bootstrap.servers=127.0.0.1:1", "--set", "transforms=vat", "--set", "transforms.vat.type=com.example.shop.VatTransform"}
	output, code := run(binary, append(common, "--set", "transforms.vat.rates=DE:many", "--set", "transforms.vat.colour=blue")...)
	if code != 2 || !strings.Contains(output, "transforms.vat.rates") || !strings.Contains(output, "DE:many is none") || !strings.Contains(output, "transforms.vat.colour") {
		t.Errorf("exit code %d of a wrong configuration:\n%s", code, output)
	}
	output, code = run(binary, append(common, "--set", "transforms.vat.rates=DE:19")...)
	if code != 3 || strings.Contains(output, "transforms") {
		t.Errorf("exit code %d of a right configuration whose servers cannot be reached:\n%s", code, output)
	}
}
