package mysql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// byStatement runs a statement in a session that logs it as such.
func (f *fixture) byStatement(t *testing.T, statement string) {
	t.Helper()
	f.session(t, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET SESSION binlog_format=STATEMENT", statement)
}

// TestChangesThatAreLoggedAsStatementsAreRefused, in whatever form.
func TestChangesThatAreLoggedAsStatementsAreRefused(t *testing.T) {
	for name, change := range map[string]string{
		"insert":   "INSERT INTO t VALUES (5)",
		"select":   "SELECT f()",
		"do":       "DO f()",
		"settings": "SET STATEMENT max_statement_time=100 FOR INSERT INTO t VALUES (5)",
	} {
		t.Run(name, func(t *testing.T) {
			bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
				if name == "settings" && !mariadb {
					return // it is of MariaDB
				}
				f := newFixture(t, server, mariadb, nil)
				f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)",
					"CREATE FUNCTION f() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO t VALUES (7); RETURN 1; END")
				stop := f.start(t)
				f.sync(t)
				f.byStatement(t, change)
				f.fails(t)
				if err := stop(); err == nil || !strings.Contains(err.Error(), "logged as a statement") {
					t.Errorf("the capture ended with %v", err)
				}
			})
		})
	}
}

// TestTableCreatedByALoggedQuery: its rows are in no event, so it is read.
func TestTableCreatedByALoggedQuery(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
		f.start(t)
		f.sync(t)
		f.byStatement(t, "CREATE TABLE u (PRIMARY KEY (id)) SELECT id FROM t")
		f.run(t, "INSERT INTO u VALUES (9)")
		f.becomeSame(t, "t", "u")
	})
}

// TestStatementsElsewhere: what is logged as a statement and is of a database that
// is not captured, such as a provider's heartbeat, is nothing to the capture.
func TestStatementsElsewhere(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		other := server.Database(t)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE "+other+".h (id INT AUTO_INCREMENT PRIMARY KEY, v BIGINT)")
		f.start(t)
		f.byStatement(t, "INSERT INTO "+other+".h VALUES (1, 5) ON DUPLICATE KEY UPDATE v = 5")
		f.byStatement(t, "INSERT INTO "+other+".h (v) VALUES (6)")
		f.run(t, "INSERT INTO t VALUES (1)")
		f.becomeSame(t, "t")
	})
}

// fails waits until the capture has failed for good.
func (f *fixture) fails(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); f.capture.Status().State != capture.StateFailed; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the capture goes on: %+v", f.capture.Status())
		}
	}
}
