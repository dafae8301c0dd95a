package mysql_test

import (
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// onBoth runs a test on the shared MySQL and MariaDB.
func onBoth(t *testing.T, test func(t *testing.T, server servers.SQL, mariadb bool)) {
	t.Run("mysql", func(t *testing.T) { test(t, servers.MySQL(t), false) })
	t.Run("mariadb", func(t *testing.T) { test(t, servers.MariaDB(t), true) })
}

// TestTypesWithoutLength: CHAR(0) and BINARY(0) are legal types, whose values are
// the empty text and NULL.
func TestTypesWithoutLength(t *testing.T) {
	onBoth(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, c CHAR(0), b BINARY(0), d CHAR, e BINARY)", "INSERT INTO t (id, c, b, d) VALUES (1, '', '', 'x'), (2, NULL, NULL, 'y')")
		f.start(t)
		f.sameTables(t, "t")
		f.run(t, "INSERT INTO t (id, c, b, d) VALUES (3, '', '', 'x'), (4, NULL, NULL, 'y')")
		f.sameTables(t, "t")
	})
}
