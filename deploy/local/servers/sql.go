package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// The account that exists on every MySQL and MariaDB server of this package, with all rights.
const (
	sqlUser     = "weir"
	sqlPassword = "weir"
)

// initSQL runs at every start of a server, one statement a line, outside of the binlog.
const initSQL = `SET SESSION sql_log_bin=0;
CREATE USER IF NOT EXISTS '` + sqlUser + `'@'%' IDENTIFIED BY '` + sqlPassword + `';
GRANT ALL ON *.* TO '` + sqlUser + `'@'%' WITH GRANT OPTION;
`

// dsn is the go-sql-driver data source name of a server and database; no database when empty.
func dsn(host string, port int, database string) string {
	config := mysql.NewConfig()
	config.User, config.Passwd = sqlUser, sqlPassword
	config.Net, config.Addr = "tcp", fmt.Sprintf("%s:%d", host, port)
	config.DBName = database
	return config.FormatDSN()
}

// quiet keeps the driver from writing to standard error about servers that are starting or were killed.
type quiet struct{}

// Print implements the driver's logger.
func (quiet) Print(...any) {}

// openSQL returns a pool of connections to a database; none when empty.
func openSQL(host string, port int, database string) (*sql.DB, error) {
	config, err := mysql.ParseDSN(dsn(host, port, database))
	if err != nil {
		return nil, err
	}
	config.Logger = quiet{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// probeSQL returns nil when the server lets our account in.
func probeSQL(ctx context.Context, n *node) error {
	db, err := openSQL(loopback, n.ports[0], "")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// prepareSQL fills an empty node folder with a copy of the freshly initialised template and the start-up statements.
func prepareSQL(ctx context.Context, n *node, template string) error {
	if err := os.WriteFile(n.path("init.sql"), []byte(initSQL), 0o644); err != nil {
		return err
	}
	// After a kill the lock of the socket names a process that init may not have buried yet: the server would not start.
	_ = os.Remove(socket(n) + ".lock")
	if err := makeFolder(n.path("tmp")); err != nil || exists(n.path("data")) {
		return err
	}
	partial := n.path("data.partial")
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := run(exec.CommandContext(ctx, "cp", "-a", template, partial)); err != nil {
		return err
	}
	return os.Rename(partial, n.path("data"))
}

// sqlArguments are the server arguments that MySQL and MariaDB have in common; pool is the buffer pool in MiB.
func sqlArguments(n *node, pool int) []string {
	args := []string{
		"--datadir=" + n.path("data"), "--tmpdir=" + n.path("tmp"), "--init-file=" + n.path("init.sql"),
		"--port=" + strconv.Itoa(n.ports[0]), "--bind-address=" + loopback,
		"--socket=" + socket(n),
		"--pid-file=" + n.path("server.pid"), "--secure-file-priv=", "--local-infile=ON",
		"--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--innodb-buffer-pool-size=" + strconv.Itoa(pool) + "M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
		"--max-allowed-packet=64M", "--max-connections=500",
	}
	return append(args, asRoot()...)
}

// asRoot is the argument without which these servers refuse to run as root.
func asRoot() []string {
	if os.Getuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// socket is the node's Unix socket: not in its folder, for the path may have 107 bytes at most.
func socket(n *node) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("weir-%d.sock", n.ports[0]))
}
