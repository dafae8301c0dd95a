package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// mysqlServer is an installed MySQL: how its mysqld is called, and where it came from.
type mysqlServer struct {
	command []string // the program, after the loader if it runs from a prefix
	base    []string // arguments that point into the prefix
	env     []string
	version string
}

// mysqlRecipe runs MySQL with GTIDs and full row images, pool MiB of buffers.
func mysqlRecipe(l *Local, pool int) recipe {
	var server mysqlServer
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			server, err = l.mysql(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			template, err := l.mysqlTemplate(ctx, server)
			if err != nil {
				return nil, err
			}
			if err := prepareSQL(ctx, n, filepath.Join(template, "data")); err != nil {
				return nil, fmt.Errorf("preparing the data folder: %w", err)
			}
			return server.cmd(ctx, append(append(sqlArguments(n, pool),
				"--mysqlx=OFF", "--server-id=1", "--log-bin=binlog", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
				"--innodb-redo-log-capacity="+strconv.Itoa(pool)+"M", "--event-scheduler=OFF"), n.args...)), nil
		},
		probe: probeSQL,
	}
}

// mysql finds MySQL 8.0 or newer on PATH or fetches MySQL 9.7 LTS from Debian's sid.
func (l *Local) mysql(ctx context.Context) (mysqlServer, error) {
	if path, ok := lookPath("mysqld"); ok {
		text, version := versionOf(ctx, path, "--version")
		if atLeast(version, 8, 0) && !strings.Contains(text, "MariaDB") {
			return mysqlServer{command: []string{path}, env: os.Environ(), version: versionText(version)}, nil
		}
	}
	prefix, err := l.fetchOnce(ctx, "mysql-9.7", "mysql-server-core from Debian sid", func(ctx context.Context, dir string) error {
		state, err := l.sidState()
		if err != nil {
			return fmt.Errorf("%w; install MySQL 8.0 or newer and put mysqld on PATH", err)
		}
		return state.unpack(ctx, dir, "mysql-server-core")
	})
	if err != nil {
		return mysqlServer{}, err
	}
	return mysqlInPrefix(ctx, prefix), nil
}

// mysqlInPrefix runs mysqld by the prefix's own loader and libraries: it is newer than the system's C library.
func mysqlInPrefix(ctx context.Context, prefix string) mysqlServer {
	libraries := filepath.Join(prefix, "usr/lib", libraryFolder())
	share := filepath.Join(prefix, "usr/share/mysql")
	server := mysqlServer{
		command: []string{
			filepath.Join(libraries, loader()), "--library-path", libraries, filepath.Join(prefix, "usr/sbin/mysqld"),
		},
		base: []string{
			"--basedir=" + filepath.Join(prefix, "usr"), "--lc-messages-dir=" + share,
			"--character-sets-dir=" + filepath.Join(share, "charsets"),
		},
		env: append(os.Environ(),
			"OPENSSL_MODULES="+filepath.Join(libraries, "ossl-modules"), "GCONV_PATH="+filepath.Join(libraries, "gconv")),
	}
	cmd := server.cmd(ctx, []string{"--version"})
	cmd.Args = append(server.command[:len(server.command):len(server.command)], "--no-defaults", "--version")
	output, _ := cmd.Output()
	server.version = versionNumber.FindString(strings.ReplaceAll(string(output), prefix, ""))
	return server
}

// cmd is mysqld with the arguments.
func (s mysqlServer) cmd(ctx context.Context, args []string) *exec.Cmd {
	all := append(append(append(s.command[1:len(s.command):len(s.command)], "--no-defaults"), s.base...), args...)
	cmd := exec.CommandContext(ctx, s.command[0], all...)
	cmd.Env = s.env
	return cmd
}

// mysqlTemplate is a freshly initialised data folder, made once per version; copying it is much faster.
func (l *Local) mysqlTemplate(ctx context.Context, server mysqlServer) (string, error) {
	name := "mysql-data-" + server.version
	return l.fetchOnce(ctx, name, "initialising an empty data folder", func(ctx context.Context, dir string) error {
		data := filepath.Join(dir, "data")
		args := append(asRoot(), "--initialize-insecure", "--innodb-redo-log-capacity=64M", "--datadir="+data)
		if err := run(server.cmd(ctx, args)); err != nil {
			return err
		}
		return os.Remove(filepath.Join(data, "auto.cnf")) // each copy gets a server UUID of its own
	})
}

// versionText renders a version for a folder's name.
func versionText(version []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(version)), "."), "[]")
}
