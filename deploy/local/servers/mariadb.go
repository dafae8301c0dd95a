package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mariadbServer is an installed MariaDB: the folder above its bin and sbin, and its version.
type mariadbServer struct {
	usr     string
	env     []string
	version string
}

// mariadbRecipe runs MariaDB with full row images, pool MiB of buffers.
func mariadbRecipe(l *Local, pool int) recipe {
	var server mariadbServer
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			server, err = l.mariadb(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			template, err := l.mariadbTemplate(ctx, server)
			if err != nil {
				return nil, err
			}
			if err := prepareSQL(ctx, n, filepath.Join(template, "data")); err != nil {
				return nil, fmt.Errorf("preparing the data folder: %w", err)
			}
			return server.cmd(ctx, append(append(sqlArguments(n, pool),
				"--server-id=11", "--gtid-domain-id=0", "--log-bin=mariadb-bin", "--binlog-annotate-row-events=ON",
				"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"), n.args...)), nil
		},
		probe: probeSQL,
	}
}

// mariadb finds MariaDB 10.5 or newer on PATH or fetches the distribution's (10.11 on Debian 12).
func (l *Local) mariadb(ctx context.Context) (mariadbServer, error) {
	if path, ok := lookPath("mariadbd"); ok {
		if _, version := versionOf(ctx, path, "--version"); atLeast(version, 10, 5) {
			usr := filepath.Dir(filepath.Dir(path))
			return mariadbServer{usr: usr, env: os.Environ(), version: versionText(version)}, nil
		}
	}
	prefix, err := l.fetchOnce(ctx, "mariadb", "mariadb-server with apt-get", func(ctx context.Context, dir string) error {
		return l.stableState().unpack(ctx, dir, "mariadb-server")
	})
	if err != nil {
		return mariadbServer{}, err
	}
	usr := filepath.Join(prefix, "usr")
	server := mariadbServer{usr: usr, env: append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(usr, "lib", libraryFolder()))}
	cmd := exec.CommandContext(ctx, filepath.Join(usr, "sbin/mariadbd"), "--no-defaults", "--version")
	cmd.Env = server.env
	output, _ := cmd.Output()
	server.version = versionNumber.FindString(strings.ReplaceAll(string(output), prefix, ""))
	return server, nil
}

// share is the folder of messages and character sets.
func (s mariadbServer) share() string { return filepath.Join(s.usr, "share/mysql") }

// cmd is mariadbd with the arguments.
func (s mariadbServer) cmd(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.usr, "sbin/mariadbd"), append([]string{
		"--no-defaults", "--basedir=" + s.usr, "--lc-messages-dir=" + s.share(),
		"--character-sets-dir=" + filepath.Join(s.share(), "charsets"), "--plugin-dir=" + filepath.Join(s.usr, "lib/mysql/plugin"),
	}, args...)...)
	cmd.Env = s.env
	return cmd
}

// mariadbTemplate is a freshly initialised data folder, made once per version.
func (l *Local) mariadbTemplate(ctx context.Context, server mariadbServer) (string, error) {
	name := "mariadb-data-" + server.version
	return l.fetchOnce(ctx, name, "initialising an empty data folder", func(ctx context.Context, dir string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(server.usr, "bin/mariadb-install-db"), append(asRoot(),
			"--no-defaults", "--basedir="+server.usr, "--datadir="+filepath.Join(dir, "data"),
			"--lc-messages-dir="+server.share(), "--auth-root-authentication-method=normal", "--skip-test-db",
			"--force")...) // also where this machine's own name is not known to it, as in a bare container
		cmd.Env = server.env
		return run(cmd)
	})
}
