package mysql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

func randomINET6(r *rand.Rand) string {
	var groups []string
	for range 8 {
		groups = append(groups, fmt.Sprintf("%x", []uint32{0, 0, 1, r.Uint32N(65536)}[r.IntN(4)]))
	}
	return "'" + strings.Join(groups, ":") + "'"
}

var mariadbColumns = map[string]generator{
	"a UUID": oneOf(func(r *rand.Rand) string {
		return fmt.Sprintf("'%08x-%04x-%04x-%04x-%012x'", r.Uint32(), r.Uint32N(65536), r.Uint32N(65536), r.Uint32N(65536), r.Uint64N(1<<48))
	}, "NULL", "UUID()", "'00000000-0000-0000-0000-000000000000'", "'01890000-0000-7000-8000-000000000000'"),
	"b INET6": oneOf(randomINET6, "NULL", "'::'", "'::1'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1::'", "'2001:db8:0:0:1:0:0:1'", "'::ffff:0:0'", "'0:0:1::'"),
	"c INET4": oneOf(func(r *rand.Rand) string {
		return fmt.Sprintf("'%d.%d.%d.%d'", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256))
	}, "NULL", "'0.0.0.0'", "'1.2.3.0'", "'32.32.32.32'"),
	"d JSON":                     oneOf(func(*rand.Rand) string { return `'{"b": 1,  "a":[1, 2.50]}'` }, "NULL", "'null'"),
	"e VARCHAR(3000) COMPRESSED": textsOf(someText, 3000), "f TEXT COMPRESSED": oneOf(textsOf(someText, 200), "REPEAT('x', 60000)"),
	"g BLOB COMPRESSED": oneOf(bytesOf(500), "REPEAT(x'FF', 60000)"), "h VARBINARY(900) COMPRESSED": bytesOf(900),
	"i VARCHAR(100) CHARACTER SET latin1 COMPRESSED": textsOf("aäöü", 100),
	"j UUID NOT NULL": func(*rand.Rand) string { return "UUID()" },
}

// TestMariaDBTypes reads the types that only MariaDB has.
func TestMariaDBTypes(t *testing.T) {
	l := live(t, servers.MariaDB(t), true)
	l.mark()
	l.fill("m", mariadbColumns, 200)
	l.equalBothWays([]string{"m"})
}

// TestMariaDBPrivate reads what a server writes with compressed events and with
// the temporal types of before MariaDB 10.1.
func TestMariaDBPrivate(t *testing.T) {
	l := live(t, servers.NewMariaDB(t, "--log-bin-compress=ON", "--log-bin-compress-min-len=10", "--mysql56-temporal-format=OFF",
		"--binlog-row-metadata=MINIMAL"), true)
	l.mark()
	columns := map[string]generator{}
	for c, g := range liveColumns["times"] {
		if !strings.HasPrefix(c, "s") {
			columns[c] = g
		}
	}
	columns["s0 TIMESTAMP NULL"], columns["s3 TIMESTAMP(3) NULL"], columns["s6 TIMESTAMP(6) NULL"] = dates(1971, 2037), dates(1971, 2037), dates(1971, 2037)
	l.fill("old", columns, 100)
	l.fill("texts", liveColumns["texts"], 60)
	l.equalBothWays([]string{"old", "texts"})
}

// TestSystemVersioned demands of a system-versioned table the changes of its
// current rows, and none of its history.
func TestSystemVersioned(t *testing.T) {
	l := live(t, servers.MariaDB(t), true)
	l.run("CREATE TABLE v (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING")
	o := &ValueOptions{}
	schema := l.schema("v", o)
	l.mark()
	l.run("INSERT INTO v VALUES (1, 1), (2, 2), (3, 3)", "UPDATE v SET x = 20 WHERE id = 2", "DELETE FROM v WHERE id = 1",
		"INSERT INTO v VALUES (1, 11)", "UPDATE v SET id = 33 WHERE id = 3", "REPLACE INTO v VALUES (2, 22)", "DELETE HISTORY FROM v",
		"INSERT INTO v VALUES (2, 23) ON DUPLICATE KEY UPDATE x = 24")
	now := map[int64]int64{}
	for _, c := range l.changes(map[string]*TableSchema{"v": schema}, o) {
		if len(c.before.Values) > 0 {
			id := c.before.Values[0].Int()
			if now[id] != c.before.Values[1].Int() {
				t.Errorf("%c of %d, which was %d and not %d", c.op, id, now[id], c.before.Values[1].Int())
			}
			delete(now, id)
		}
		if len(c.after.Values) > 0 {
			id := c.after.Values[0].Int()
			if _, ok := now[id]; ok {
				t.Errorf("%c of %d, which is there", c.op, id)
			}
			now[id] = c.after.Values[1].Int()
		}
	}
	want := map[int64]int64{}
	for _, row := range l.snapshot(schema, o) {
		want[row.Values[0].Int()] = row.Values[1].Int()
	}
	if fmt.Sprint(now) != fmt.Sprint(want) || len(want) != 3 {
		t.Errorf("the log makes %v, the table has %v", now, want)
	}
}

// TestMariaDBTransactionEvents reads GTIDs, XA and annotations.
func TestMariaDBTransactionEvents(t *testing.T) {
	l := live(t, servers.NewMariaDB(t), true)
	l.run("CREATE TABLE x (id INT PRIMARY KEY)", "FLUSH BINARY LOGS")
	l.mark()
	l.run("INSERT INTO x VALUES (1)", "SET gtid_domain_id = 7, server_id = 9", "INSERT INTO x VALUES (2)", "SET gtid_domain_id = 0",
		"XA START 'g1', 'b', 3", "INSERT INTO x VALUES (3)", "XA END 'g1', 'b', 3", "XA PREPARE 'g1', 'b', 3", "XA COMMIT 'g1', 'b', 3",
		"ALTER TABLE x ADD y INT", "FLUSH BINARY LOGS", "INSERT INTO x VALUES (4, 4)")
	var got []string
	var at gtidList
	p := newParser(false, func(m *tableMap) (*plan, error) { return nil, nil })
	l.events(func(raw []byte) {
		e, err := p.parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		switch e.kind {
		case eventGTIDList:
			list, err := parseGTIDList(e.data)
			if err != nil || !list.contains(at) {
				t.Errorf("list %s does not contain %s: %v", list, at, err)
			}
			at = slices.Clone(list)
		case eventGTID:
			if at.has(&e.gtid) {
				t.Errorf("%s again", e.gtid.appendText(nil))
			}
			at.add(&e.gtid)
			line := fmt.Sprintf("gtid %d-%d", e.gtid.domain, e.gtid.server)
			for flag, set := range map[string]bool{" standalone": e.gtid.standalone && !e.gtid.ddl && !e.gtid.completedXA, " ddl": e.gtid.ddl, " prepared": e.gtid.preparedXA, " completed": e.gtid.completedXA} {
				if set {
					line += flag
				}
			}
			got = append(got, strings.TrimSpace(line+" "+string(e.gtid.xa)))
		case eventQuery:
			got = append(got, fmt.Sprintf("query %d %s", e.query.kind(), e.query.text()))
		case eventXAPrepare:
			got = append(got, fmt.Sprintf("prepare %v %s", e.xa.onePhase, e.xa.id))
		case eventRowsQuery:
			got = append(got, "rows of "+string(e.data))
		case eventXID:
			got = append(got, "xid")
		}
	})
	var current string
	if err := l.conn.QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_binlog_pos").Scan(&current); err != nil {
		t.Fatal(err)
	}
	list, err := parseMariaDBGTIDs(current)
	if err != nil || !list.contains(at) || !at.contains(list) {
		t.Errorf("the log ends at %s, the server says %s: %v", at, current, err)
	}
	want := []string{
		"gtid 0-11", "rows of INSERT INTO x VALUES (1)", "xid", "gtid 7-9", "rows of INSERT INTO x VALUES (2)", "xid",
		"gtid 0-9 prepared X'6731',X'62',3", "rows of INSERT INTO x VALUES (3)", "query 6 XA END X'6731',X'62',3", "prepare false X'6731',X'62',3",
		"gtid 0-9 completed X'6731',X'62',3", "query 7 XA COMMIT X'6731',X'62',3", "gtid 0-9 ddl", "query 0 ALTER TABLE x ADD y INT",
		"gtid 0-9", "rows of INSERT INTO x VALUES (4, 4)", "xid",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
