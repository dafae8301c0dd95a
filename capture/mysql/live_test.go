package mysql_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// fixture is a database with a capture that can be started and stopped.
type fixture struct {
	server   servers.SQL
	mariadb  bool
	db       *sql.DB
	database string
	prefix   string
	kafka    string
	set      map[string]string
	capture  *capture.Capture // the last that was started
	wrap     func(capture.OpenSource) capture.OpenSource
}

func newFixture(t testing.TB, server servers.SQL, mariadb bool, set map[string]string) *fixture {
	t.Helper()
	f := &fixture{server: server, mariadb: mariadb, kafka: servers.Kafka(t), set: set}
	f.database = server.Database(t)
	f.db = server.Open(t, f.database)
	f.prefix = servers.Unique(t, "live")
	f.run(t, "CREATE TABLE sentinel (id INT PRIMARY KEY)")
	return f
}

func (f *fixture) run(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := f.db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// start starts the capture; stop ends it and returns what Run returned.
func (f *fixture) start(t testing.TB) (stop func() error) {
	t.Helper()
	class := "io.debezium.connector.mysql.MySqlConnector"
	if f.mariadb {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	properties := map[string]string{
		"name": f.prefix, "connector.class": class, "database.hostname": f.server.Host, "database.port": fmt.Sprint(f.server.Port),
		"database.user": f.server.User, "database.password": f.server.Password, "topic.prefix": f.prefix,
		"database.server.id":    fmt.Sprint(rand.IntN(1 << 30)),
		"database.include.list": f.database, "bootstrap.servers": f.kafka, "offset.storage.topic": f.prefix + "-offsets",
		"include.schema.changes": "false", "errors.retry.delay.initial.ms": "50", "errors.retry.delay.max.ms": "500",
	}
	for k, v := range f.set {
		properties[k] = v
	}
	v, _, err := config.Parse(properties, config.Common, mysql.Properties, mysql.ValueProperties, capture.Properties, kafka.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := capture.NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := mysql.NewConnection(v, c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := mysql.NewSettings(v)
	if err != nil {
		t.Fatal(err)
	}
	log := zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	open := mysql.Open(connection, settings, log)
	if f.wrap != nil {
		open = f.wrap(open)
	}
	run := capture.New(c, open, capture.Options{Log: log, Registerer: prometheus.NewRegistry(), Instance: "test"})
	f.capture = run
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	for deadline := time.Now().Add(2 * time.Minute); len(run.Status().Position) == 0 && run.Status().State != capture.StateFailed; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the capture does not get going")
		}
	}
	return stop
}

// event is a record of a change topic.
type event struct {
	key, header string // header is weir.version
	partition   int32
	tombstone   bool
	op          string
	before      map[string]any
	after       map[string]any
	source      map[string]any
}

// events reads everything that a table's topic has, read committed, until an
// event of the sentinel table that was just written has come.
func (f *fixture) events(t testing.TB, table string) []event {
	t.Helper()
	f.sync(t)
	return f.read(t, table)
}

var sentinels atomic.Int64

// sync waits until a snapshot is over and everything written so far is in Kafka.
func (f *fixture) sync(t testing.TB) {
	t.Helper()
	n := sentinels.Add(1)
	f.run(t, fmt.Sprintf("INSERT INTO sentinel VALUES (%d)", n))
	deadline := time.Now().Add(40 * time.Second)
	for time.Now().Before(deadline) {
		if s := f.capture.Status().Snapshot; s != nil && s.Running {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if slices.ContainsFunc(f.read(t, "sentinel"), func(e event) bool { return fmt.Sprint(e.after["id"]) == fmt.Sprint(n) }) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the capture did not come to the end of the log in 40 s")
}

// read reads a table's topic up to its end now.
func (f *fixture) read(t testing.TB, table string) []event {
	t.Helper()
	topic := f.prefix + "." + f.database + "." + table
	client, err := kgo.NewClient(kgo.SeedBrokers(f.kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset - 1
		}
	})
	var out []event
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %v still to come", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				out = append(out, parseEvent(t, r))
			}
		})
	}
	return out
}

func parseEvent(t testing.TB, r *kgo.Record) event {
	t.Helper()
	e := event{key: string(r.Key), partition: r.Partition, tombstone: r.Value == nil}
	for _, h := range r.Headers {
		if h.Key == "weir.version" {
			e.header = string(h.Value)
		}
	}
	if e.tombstone {
		return e
	}
	var envelope struct {
		Before, After, Source map[string]any
		Op                    string
	}
	d := json.NewDecoder(bytes.NewReader(r.Value))
	d.UseNumber()
	if err := d.Decode(&envelope); err != nil {
		t.Fatalf("%s: %v", r.Value, err)
	}
	e.op, e.before, e.after, e.source = envelope.Op, envelope.Before, envelope.After, envelope.Source
	return e
}

// state is what a consumer makes of events: for a table with a key the last
// state of each, else the rows that are left. No key's version may go back.
func state(t testing.TB, events []event) map[string]int {
	t.Helper()
	rows, versions, byKey := map[string]int{}, map[string]string{}, map[string]string{}
	for _, e := range events {
		if e.key != "" && e.header < versions[e.key] {
			t.Errorf("key %s: version %s after %s", e.key, e.header, versions[e.key])
		}
		versions[e.key] = e.header
		switch {
		case e.tombstone:
		case e.key != "":
			byKey[e.key] = text(e.after)
		default:
			if e.before != nil {
				rows[text(e.before)]--
			}
			if e.after != nil {
				rows[text(e.after)]++
			}
		}
	}
	for _, row := range byKey {
		if row != "" {
			rows[row]++
		}
	}
	for row, n := range rows {
		if n == 0 {
			delete(rows, row)
		}
	}
	return rows
}

// text is a row in the form that table makes.
func text(row map[string]any) string {
	if row == nil {
		return ""
	}
	var columns []string
	for name, v := range row {
		if v == nil {
			v = "NULL"
		}
		columns = append(columns, fmt.Sprintf("%s=%v", name, v))
	}
	slices.Sort(columns)
	return strings.Join(columns, " ")
}

// table is a table's rows, as text makes them of events.
func (f *fixture) table(t testing.TB, name string) map[string]int {
	t.Helper()
	rows, err := f.db.Query("SELECT * FROM " + name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	out := map[string]int{}
	for rows.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i := range values {
			row[names[i]] = nil
			if values[i].Valid {
				row[names[i]] = values[i].String
			}
		}
		out[text(row)]++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// sameTables compares what a consumer makes of the topics with the tables.
func (f *fixture) sameTables(t testing.TB, tables ...string) {
	t.Helper()
	f.sync(t)
	for _, name := range tables {
		if d := cmp.Diff(f.table(t, name), state(t, f.read(t, name))); d != "" {
			t.Errorf("table %s, and its topic:\n%s", name, d)
		}
	}
}

// eachServer runs a test on MySQL with and without GTIDs, with the least
// metadata, and on MariaDB.
func eachServer(t *testing.T, test func(t *testing.T, server servers.SQL, mariadb bool)) {
	for name, server := range map[string]func(t *testing.T) servers.SQL{
		"mysql": func(t *testing.T) servers.SQL { return servers.MySQL(t) },
		"mysql without GTIDs": func(t *testing.T) servers.SQL {
			return servers.NewMySQL(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
		},
		"mysql with MINIMAL metadata": func(t *testing.T) servers.SQL { return servers.NewMySQL(t, "--binlog-row-metadata=MINIMAL") },
		"mariadb":                     func(t *testing.T) servers.SQL { return servers.MariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server(t), name == "mariadb")
		})
	}
}

// TestDDLInTheStream: rows are decoded under the definition of their place in
// the log, not under the one that the table has by the time they are read.
func TestDDLInTheStream(t *testing.T) {
	eachServer(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, map[string]string{"truncate.handling": "debezium"}) // nothing is read again
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, a SMALLINT, b VARCHAR(10))", "INSERT INTO t VALUES (1, 1, 'one')")
		stop := f.start(t)
		f.sync(t)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		// All of this is in the log when the capture starts again.
		f.run(t, "INSERT INTO t VALUES (2, 2, 'two')",
			"ALTER TABLE t ADD COLUMN c BIGINT UNSIGNED NOT NULL DEFAULT 7 AFTER id", "INSERT INTO t (id, a) VALUES (3, 3)",
			"ALTER TABLE t CHANGE a a2 BIGINT, DROP COLUMN b", "INSERT INTO t VALUES (4, 44, 4000000000000)",
			"RENAME TABLE t TO u", "INSERT INTO u VALUES (5, 55, 5)",
			"CREATE TABLE t LIKE u", "INSERT INTO t VALUES (6, 66, 6)", "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (c)", "UPDATE t SET a2=7")
		f.start(t)
		var got []string
		for _, e := range f.events(t, "t") {
			if !e.tombstone {
				got = append(got, e.op+" "+e.key+" "+text(e.after))
			}
		}
		want := []string{`r {"id":1} a=1 b=one id=1`, `c {"id":2} a=2 b=two id=2`, `c {"id":3} a=3 b=NULL c=7 id=3`,
			`c {"id":4} a2=4000000000000 c=44 id=4`, `c {"id":6} a2=6 c=66 id=6`, `u {"c":66} a2=7 c=66 id=6`}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		renamed := f.events(t, "u")
		if len(renamed) != 1 || text(renamed[0].after) != "a2=5 c=55 id=5" {
			t.Errorf("events of the renamed table: %v", renamed)
		}
	})
}

// TestTransactions: savepoints, XA and rolled back work leave the events of what
// was committed, once.
func TestTransactions(t *testing.T) {
	eachServer(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, map[string]string{"snapshot.mode": "no_data"})
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
		stop := f.start(t)
		f.sync(t)
		f.session(t, "BEGIN", "INSERT INTO t VALUES (1, 1)", "SAVEPOINT s", "INSERT INTO t VALUES (2, 2)", "ROLLBACK TO s", "INSERT INTO t VALUES (3, 3)", "COMMIT")
		f.session(t, "BEGIN", "INSERT INTO t VALUES (4, 4)", "ROLLBACK")
		id := fmt.Sprintf("'%s'", f.database)
		f.session(t, "XA START "+id, "INSERT INTO t VALUES (5, 5)", "XA END "+id, "XA PREPARE "+id, "XA ROLLBACK "+id)
		f.session(t, "XA START "+id, "INSERT INTO t VALUES (6, 6)", "XA END "+id, "XA COMMIT "+id+" ONE PHASE")
		f.session(t, "XA START "+id, "INSERT INTO t VALUES (7, 7)", "XA END "+id, "XA PREPARE "+id)
		f.run(t, "INSERT INTO t VALUES (8, 8)")
		f.sync(t)
		if err := stop(); err != nil { // between PREPARE and COMMIT: the rows have to be read again
			t.Fatal(err)
		}
		f.session(t, "XA COMMIT "+id)
		f.start(t)
		var got []string
		for _, e := range f.events(t, "t") {
			got = append(got, e.op+text(e.after))
		}
		if d := cmp.Diff([]string{"cid=1 v=1", "cid=3 v=3", "cid=6 v=6", "cid=8 v=8", "cid=7 v=7"}, got); d != "" {
			t.Error(d)
		}
	})
}

// session runs statements on one connection.
func (f *fixture) session(t testing.TB, statements ...string) {
	t.Helper()
	ctx := context.Background()
	c, err := f.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer func() { _ = c.Raw(func(any) error { return driver.ErrBadConn }) }() // an XA transaction may be left on it
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestServerRestarts: the server goes away and comes back; nothing is lost or
// doubled.
func TestServerRestarts(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) servers.SQL{"mysql": servers.NewMySQL, "mariadb": servers.NewMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			f := newFixture(t, server, name == "mariadb", nil)
			f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)")
			f.start(t)
			f.sync(t)
			for i := range 3 {
				f.run(t, fmt.Sprintf("INSERT INTO t VALUES (%d, 0)", 10+i), "FLUSH BINARY LOGS", fmt.Sprintf("UPDATE t SET v=v+1 WHERE id=%d", 10+i))
				if i == 1 {
					server.Kill()
				} else {
					server.Stop()
				}
				server.Start()
			}
			f.run(t, "DELETE FROM t WHERE id=1")
			f.sync(t)
			var got []string
			for _, e := range f.read(t, "t") {
				if !e.tombstone {
					got = append(got, e.op+e.key)
				}
			}
			want := []string{`r{"id":1}`, `c{"id":10}`, `u{"id":10}`, `c{"id":11}`, `u{"id":11}`, `c{"id":12}`, `u{"id":12}`, `d{"id":1}`}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLaterTable: a table that joins the include list of a capture that has run
// is read alone, while the others go on.
func TestLaterTable(t *testing.T) {
	f := newFixture(t, servers.MySQL(t), false, nil)
	f.run(t, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1),(2)")
	f.set = map[string]string{"table.include.list": f.database + `\.(a|sentinel)`}
	stop := f.start(t)
	f.sync(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f.run(t, "INSERT INTO a VALUES (2)", "DELETE FROM b WHERE id=1")
	f.set = nil
	f.start(t)
	f.sync(t)
	var got []string
	for _, e := range f.read(t, "a") {
		got = append(got, e.op+e.key)
	}
	if d := cmp.Diff([]string{`r{"id":1}`, `c{"id":2}`}, got); d != "" {
		t.Errorf("the table that was captured before:\n%s", d)
	}
	f.sameTables(t, "b")
	if first := f.read(t, "b"); !slices.ContainsFunc(first, func(e event) bool { return e.op == "r" }) {
		t.Error("the table that joined was not read")
	}
}

// TestPurgedLog: where the server no longer has what was not captured yet, the
// capture stops and says what to do, and reads the tables again where it may.
func TestPurgedLog(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{{"GTID", nil}, {"file and position", []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers.NewMySQL(t, c.args...), false, nil)
			f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1),(2)")
			stop := f.start(t)
			f.sync(t)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			f.run(t, "DELETE FROM t WHERE id=1", "INSERT INTO t VALUES (3)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (4)", "FLUSH BINARY LOGS")
			var last string
			if err := f.db.QueryRow("SELECT LOG_NAME FROM performance_schema.log_status, JSON_TABLE(JSON_ARRAY(LOCAL->>'$.binary_log_file'), '$[*]' COLUMNS (LOG_NAME VARCHAR(50) PATH '$')) x").Scan(&last); err != nil {
				t.Fatal(err)
			}
			f.run(t, "PURGE BINARY LOGS TO '"+last+"'")
			err := f.failure(t)
			if !errors.Is(err, capture.ErrNoContinuity) || !strings.Contains(err.Error(), "when_needed") {
				t.Fatalf("the capture ended with %v", err)
			}
			f.set = map[string]string{"snapshot.mode": "when_needed"}
			f.start(t)
			f.sameTables(t, "t")
		})
	}
}

// TestPurgedLogOfMariaDB: MariaDB says only when its log is asked for that it is
// purged.
func TestPurgedLogOfMariaDB(t *testing.T) {
	f := newFixture(t, servers.NewMariaDB(t), true, map[string]string{"snapshot.mode": "when_needed"})
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1),(2)")
	stop := f.start(t)
	f.becomeSame(t, "t")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f.run(t, "DELETE FROM t WHERE id=1", "INSERT INTO t VALUES (3)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (4)", "FLUSH BINARY LOGS")
	var last, pos, do, ignore string
	for purged := false; !purged; time.Sleep(100 * time.Millisecond) {
		if err := f.db.QueryRow("SHOW MASTER STATUS").Scan(&last, &pos, &do, &ignore); err != nil {
			t.Fatal(err)
		}
		f.run(t, "PURGE BINARY LOGS TO '"+last+"'")
		var first, size string
		if err := f.db.QueryRow("SHOW BINARY LOGS").Scan(&first, &size); err != nil {
			t.Fatal(err)
		}
		purged = first == last // else a checkpoint is still to come
	}
	f.start(t)
	f.becomeSame(t, "t")
}

// TestReplicaOfTheSameServerID: instances of a capture share their id, so one that
// led before and wakes up ends the dump of the one that leads.
func TestReplicaOfTheSameServerID(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		set := map[string]string{"database.server.id": fmt.Sprint(rand.IntN(1 << 30))}
		f, other := newFixture(t, server, mariadb, set), newFixture(t, server, mariadb, set)
		f.start(t)
		f.sync(t)
		stop := other.start(t)
		other.run(t, fmt.Sprintf("INSERT INTO sentinel VALUES (%d)", sentinels.Add(1)))
		time.Sleep(300 * time.Millisecond)
		_ = stop()
		f.sync(t)
	})
}

// TestPromotedMariaDBWithoutWhatWasCaptured: a replica that was promoted lacks
// transactions that were captured, and has written more of its own since.
func TestPromotedMariaDBWithoutWhatWasCaptured(t *testing.T) {
	f := newFixture(t, servers.NewMariaDB(t, "--server-id=21"), true, map[string]string{"snapshot.mode": "when_needed"})
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)")
	stop := f.start(t)
	f.becomeSame(t, "t")
	var before string
	if err := f.db.QueryRow("SELECT @@gtid_binlog_pos").Scan(&before); err != nil {
		t.Fatal(err)
	}
	f.run(t, "INSERT INTO t VALUES (2, 2)", "INSERT INTO t VALUES (3, 3)") // never come to the replica
	f.becomeSame(t, "t")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f.server = servers.NewMariaDB(t, "--server-id=22")
	f.db = f.server.Open(t, "")
	f.session(t, "SET sql_log_bin=0", "CREATE DATABASE "+f.database, "USE "+f.database, "CREATE TABLE sentinel (id INT PRIMARY KEY)",
		"CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)", "RESET MASTER", "SET GLOBAL gtid_binlog_state='"+before+"'")
	f.db = f.server.Open(t, f.database)
	for i := range 10 {
		f.run(t, fmt.Sprintf("INSERT INTO t VALUES (%d, 0)", 100+i))
	}
	f.start(t)
	f.becomeSame(t, "t")
}

// failure starts a capture, waits until it fails, and returns what with.
func (f *fixture) failure(t testing.TB) error {
	t.Helper()
	stop := f.start(t)
	for deadline := time.Now().Add(time.Minute); f.capture.Status().State != capture.StateFailed && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	return stop()
}
