package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// s3Module is the S3 server, a gateway that keeps objects as plain files.
const s3Module = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// The account of the shared S3 server.
const (
	s3AccessKey = "weir"
	s3SecretKey = "weir-secret"
	s3Region    = "us-east-1"
)

// s3Recipe runs the S3 server. Port: HTTP.
func s3Recipe(l *Local) recipe {
	var program string
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			program, err = l.versitygw(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			for _, folder := range []string{"objects", "accounts", "attributes"} {
				if err := makeFolder(n.path(folder)); err != nil {
					return nil, err
				}
			}
			args := []string{
				"--port", address(n.ports[0]), "--access", s3AccessKey, "--secret", s3SecretKey, "--region", s3Region,
				"--quiet", "--keep-alive", "--health", "/health", "--iam-dir", n.path("accounts"), "posix",
			}
			if !extendedAttributes(n.path("objects")) {
				args = append(args, "--sidecar", n.path("attributes"))
			}
			cmd := exec.CommandContext(ctx, program, append(args, n.path("objects"))...)
			cmd.Dir = n.dir
			return cmd, nil
		},
		probe: func(ctx context.Context, n *node) error {
			return probeHTTP(ctx, "http://"+address(n.ports[0])+"/health")
		},
	}
}

// versitygw finds the server on PATH or builds it.
func (l *Local) versitygw(ctx context.Context) (string, error) {
	if path, ok := lookPath("versitygw"); ok {
		return path, nil
	}
	folder, err := l.fetchOnce(ctx, "versitygw-1.8.0", "building it takes two minutes", func(ctx context.Context, dir string) error {
		cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", s3Module)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		return run(cmd)
	})
	return filepath.Join(folder, "versitygw"), err
}

// extendedAttributes tells whether files in dir can carry attributes, where the server keeps an object's metadata.
func extendedAttributes(dir string) bool {
	return unix.Setxattr(dir, "user.weir", []byte("1"), 0) == nil
}
