// Package processes builds the binaries and runs them as processes: starts,
// kills and stops them, keeps their logs, and waits until nothing lags. The demo
// and the end-to-end tests use it.
package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Root is the folder of the module that the working directory is in.
func Root(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	file := strings.TrimSpace(string(output))
	if file == "" || file == os.DevNull {
		return "", errors.New("finding the module: the working directory is in none; go to the folder of the clone")
	}
	return filepath.Dir(file), nil
}

// Build compiles commands of the module, such as ./cmd/weir-lake, into a folder;
// flags of go build may come before them.
func Build(ctx context.Context, root, folder string, commands ...string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("building the binaries: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", folder + string(filepath.Separator)}, commands...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the binaries: %w\n%s", err, output)
	}
	return nil
}

// Once is Build into a folder that is known when it is first called: it builds
// then, and returns each time how that went.
func Once(folder func() string, commands ...string) func() error {
	return sync.OnceValue(func() error {
		root, err := Root(context.Background())
		if err != nil {
			return err
		}
		return Build(context.Background(), root, folder(), commands...)
	})
}
