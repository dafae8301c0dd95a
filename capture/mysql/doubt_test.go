package mysql_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// bothServers runs a test on MySQL and on MariaDB.
func bothServers(t *testing.T, test func(t *testing.T, server servers.SQL, mariadb bool)) {
	t.Run("mysql", func(t *testing.T) { test(t, servers.MySQL(t), false) })
	t.Run("mariadb", func(t *testing.T) { test(t, servers.MariaDB(t), true) })
}

// becomeSame waits until topics equal their tables, as they do when a table was
// read again that lost or got rows without events.
func (f *fixture) becomeSame(t *testing.T, tables ...string) {
	t.Helper()
	f.sync(t)
	for _, name := range tables {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			d := cmp.Diff(f.table(t, name), state(t, f.read(t, name)))
			if d == "" {
				break
			}
			if time.Now().After(deadline) || f.capture.Status().State == capture.StateFailed {
				t.Fatalf("table %s, and its topic:\n%s%s", name, d, f.capture.Status().Error)
			}
		}
	}
}

// TestDoubtBeforeATableIsRead: a table whose definition is not known when its
// turn comes is read all the same when it is.
func TestDoubtBeforeATableIsRead(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, map[string]string{"snapshot.delay.ms": "2500"})
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 2)")
		f.start(t)
		f.run(t, "ALTER TABLE t CONVERT TO CHARACTER SET binary")
		f.becomeSame(t, "t")
	})
}

// TestTruncateOfATableInDoubt: behind a statement that is not understood a
// TRUNCATE rids the topic of the old rows.
func TestTruncateOfATableInDoubt(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 2)")
		f.start(t)
		f.becomeSame(t, "t")
		f.run(t, "ALTER TABLE t CONVERT TO CHARACTER SET binary", "TRUNCATE TABLE t", "INSERT INTO t VALUES (9, 9)")
		f.becomeSame(t, "t")
	})
}

// TestTableInDoubtUntilALaterStatement: what happened to a table is told when its
// definition is proved, which it is not while another statement on it is ahead.
func TestTableInDoubtUntilALaterStatement(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		other := server.Database(t)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 2)",
			"CREATE TABLE "+other+".n (id INT PRIMARY KEY, v INT)", "INSERT INTO "+other+".n VALUES (2, 20), (3, 30)")
		stop := f.start(t)
		f.becomeSame(t, "t")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.run(t, "RENAME TABLE t TO t_old, "+other+".n TO t", "INSERT INTO sentinel VALUES (-1)", "ALTER TABLE t COMMENT 'later'")
		f.start(t)
		f.becomeSame(t, "t")
	})
}

// TestTableThatComesFromElsewhere: the definition of a table that comes out of a
// database that is not captured is read, so that it is read as one that is known.
func TestTableThatComesFromElsewhere(t *testing.T) {
	for name, statements := range map[string][]string{
		"renamed":      {"RENAME TABLE t TO t_old, %s.n TO t"},
		"created like": {"DROP TABLE t", "CREATE TABLE t LIKE %s.n"},
	} {
		t.Run(name, func(t *testing.T) {
			bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
				f := newFixture(t, server, mariadb, nil)
				other := server.Database(t)
				f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 2)",
					"CREATE TABLE "+other+".n (id INT PRIMARY KEY, v INT)", "INSERT INTO "+other+".n VALUES (2, 20), (3, 30)")
				f.start(t)
				f.becomeSame(t, "t")
				for _, s := range statements {
					f.run(t, strings.ReplaceAll(s, "%s", other))
				}
				f.becomeSame(t, "t")
				f.run(t, "INSERT INTO t VALUES (9, 9)")
				f.becomeSame(t, "t")
			})
		})
	}
}

// TestScratchTablesBesideTheStart: tables that are not captured do not keep a
// capture from starting that come and go while definitions are read.
func TestScratchTablesBesideTheStart(t *testing.T) {
	f := newFixture(t, servers.MySQL(t), false, nil)
	f.set = map[string]string{"table.include.list": f.database + `\.(t|sentinel)`}
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	for i := range 300 { // so that reading them takes a while
		f.run(t, fmt.Sprintf("CREATE TABLE other_%d (id INT PRIMARY KEY)", i))
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			_, _ = f.db.Exec(fmt.Sprintf("CREATE TABLE a_scratch_%d (id INT)", i))
			_, _ = f.db.Exec(fmt.Sprintf("DROP TABLE IF EXISTS a_scratch_%d", i-3))
		}
	}()
	f.start(t)
	if e := f.capture.Status().Error; e != "" {
		t.Errorf("the capture began, and failed before: %s", e)
	}
	close(done)
	<-ended
	f.becomeSame(t, "t")
}

// TestViewInDoubt: a name in doubt that turns out to be no table's is in doubt no
// more.
func TestViewInDoubt(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t")
		stop := f.start(t)
		f.run(t, "RENAME TABLE v TO w", "INSERT INTO t VALUES (1)")
		f.becomeSame(t, "t")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.start(t)
		f.run(t, "INSERT INTO t VALUES (2)")
		f.becomeSame(t, "t")
	})
}
