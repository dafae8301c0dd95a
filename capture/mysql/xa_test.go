package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestXAIsReadAgainAcrossDDL: a capture that goes back for the rows of a prepared
// XA transaction follows the definitions on its way as it did before.
func TestXAIsReadAgainAcrossDDL(t *testing.T) {
	eachServer(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, map[string]string{"snapshot.mode": "no_data"})
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY, a INT, b INT)")
		stop := f.start(t)
		f.sync(t)
		id := fmt.Sprintf("'%s'", f.database)
		f.session(t, "XA START "+id, "INSERT INTO t VALUES (7)", "XA END "+id, "XA PREPARE "+id)
		f.run(t, "INSERT INTO u (id, a, b) VALUES (1, 1, 2)", "ALTER TABLE u MODIFY a INT AFTER b", "INSERT INTO u (id, a, b) VALUES (2, 1, 2)")
		f.sync(t)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.run(t, "INSERT INTO u (id, a, b) VALUES (3, 1, 2)")
		f.session(t, "XA COMMIT "+id)
		f.start(t)
		var got []string
		for _, table := range []string{"t", "u"} {
			for _, e := range f.events(t, table) {
				got = append(got, e.op+text(e.after))
			}
		}
		if d := cmp.Diff([]string{"cid=7", "ca=1 b=2 id=1", "ca=1 b=2 id=2", "ca=1 b=2 id=3"}, got); d != "" {
			t.Error(d)
		}
	})
}

// TestXAPreparedBeforeTheStart: the rows of an XA transaction that was open when
// the capture first began are read when it is committed, where they may be.
func TestXAPreparedBeforeTheStart(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, map[string]string{"snapshot.mode": "when_needed"})
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)")
		id := fmt.Sprintf("'%s'", f.database)
		f.session(t, "XA START "+id, "INSERT INTO t VALUES (1)", "XA END "+id, "XA PREPARE "+id)
		f.start(t)
		f.sync(t)
		f.session(t, "XA COMMIT "+id)
		f.becomeSame(t, "t")
	})
}

// TestGTIDsSwitchedOn: a position from before GTIDs were switched on is completed
// with those that there were already, or their transactions would come again.
func TestGTIDsSwitchedOn(t *testing.T) {
	f := newFixture(t, servers.NewMySQL(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=ON"), false, nil)
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "SET GLOBAL gtid_mode = OFF_PERMISSIVE", "SET GLOBAL gtid_mode = ON_PERMISSIVE", "INSERT INTO t VALUES (2)")
	stop := f.start(t)
	f.run(t, "INSERT INTO t VALUES (3)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (4)")
	f.sync(t)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.run(t, "SET GLOBAL gtid_mode = ON")
	f.start(t)
	f.run(t, "INSERT INTO t VALUES (5)")
	f.sync(t)
	var executed string
	if err := f.db.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&executed); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(string(f.capture.Status().Position), executed); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the position is %s, the server has %s", f.capture.Status().Position, executed)
		}
	}
}
