package mysql_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// trialServers are the kinds of servers, each of which has marks of its own.
var trialServers = []struct {
	name    string
	mariadb bool
	shared  func(testing.TB) servers.SQL
	own     func(testing.TB, ...string) servers.SQL
	args    []string
}{
	{"mysql", false, servers.MySQL, servers.NewMySQL, nil},
	{"mysql without GTIDs", false, nil, servers.NewMySQL, []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}},
	{"mariadb", true, servers.MariaDB, servers.NewMariaDB, nil},
}

// trialSeeds is the range of seeds to be tried: SEEDS=n tries n, SEED=n begins
// there.
func trialSeeds(otherwise uint64) (from, n uint64, many bool) {
	from, n = 1, otherwise
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		from, n, many = v, 1, true
	}
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		n, many = v, true
	}
	return from, n, many
}

// TestSnapshotBesideWriters: while eight clients insert, update and delete rows,
// change keys, and write to several tables in one transaction, tables are read
// in small chunks through a network that is slow and breaks, with DDL and
// TRUNCATE between; the capture crashes and is started again. What a consumer
// makes of the topics then equals the tables, and no key goes back to what it
// was before.
//
// It is the watermark rules of docs/design.md on real servers: eviction by
// before- and after-keys, chunks that count only if their low mark covers the
// stream, whole reads of tables that cannot be split, sweeps. SEEDS=n tries more
// seeds of each server, SEED=n one, or from there.
func TestSnapshotBesideWriters(t *testing.T) {
	from, n, many := trialSeeds(4)
	for _, s := range trialServers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var server servers.SQL
			if many || s.shared == nil {
				server = s.own(t, s.args...)
			} else {
				server = s.shared(t)
			}
			broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(2), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(broker.Close)
			started := time.Now()
			for seed := from; seed < from+n; seed++ {
				ok := t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
					newTrial(t, server, s.mariadb, broker.ListenAddrs()[0], seed).run(t)
				})
				if !ok {
					t.Errorf("repeat it with: SEED=%d go test -run '%s' ./capture/mysql", seed, t.Name())
				}
				if many && (seed-from+1)%10 == 0 {
					fmt.Fprintf(os.Stderr, "%s: %d of %d seeds from %d on, in %s\n", s.name, seed-from+1, n, from, time.Since(started).Round(time.Second))
				}
			}
		})
	}
}

// trial is one seed.
type trial struct {
	*fixture
	rng    *rand.Rand
	slow   *slowServer
	tables []*trialTable
	writes atomic.Int64
	large  bool
	log    []string
	mu     sync.Mutex
}

func newTrial(t *testing.T, server servers.SQL, mariadb bool, broker string, seed uint64) *trial {
	r := &trial{rng: rand.New(rand.NewPCG(seed, 1)), slow: slowly(t, server, seed)}
	r.large = r.rng.IntN(4) == 0
	r.fixture = &fixture{server: server, mariadb: mariadb, kafka: broker, database: server.Database(t), prefix: servers.Unique(t, "trial"), set: map[string]string{
		"database.hostname": r.slow.Host, "database.port": fmt.Sprint(r.slow.Port), "database.ssl.mode": "disabled", "decimal.handling.mode": "string",
		"snapshot.chunk.size": fmt.Sprint(2 + r.rng.IntN(30)), "snapshot.max.threads": fmt.Sprint(1 + r.rng.IntN(4)),
		"offset.flush.interval.ms": "200", "snapshot.delay.ms": fmt.Sprint(r.rng.IntN(2) * r.rng.IntN(100)),
	}}
	if r.large {
		r.set["max.queue.size.in.bytes"] = "300000"
	}
	r.db = server.Open(t, r.database)
	r.db.SetMaxIdleConns(10)
	kinds := slices.DeleteFunc(slices.Clone(trialKinds), func(k trialKind) bool { return k.mysql && mariadb || k.mariadb && !mariadb })
	r.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for i := range 3 {
		table := &trialTable{trialKind: &kinds[i], id: kinds[i].name}
		r.tables = append(r.tables, table)
		r.fixture.run(t, table.create(table.id))
		r.fill(t, table)
	}
	return r
}

func (r *trial) writer() *trialWriter {
	return &trialWriter{db: r.db, tables: r.tables, writes: &r.writes, rng: rand.New(rand.NewPCG(r.rng.Uint64(), 3)), large: r.large}
}

// fill gives a table its first rows.
func (r *trial) fill(t *testing.T, table *trialTable) {
	w := r.writer()
	var rows []string
	for g := range table.groups {
		if r.rng.IntN(4) > 0 {
			rows = append(rows, fmt.Sprintf("(%s, %d, 0, %s)", strings.Join(table.key(g, r.rng.IntN(table.variants)), ", "), r.writes.Add(1), w.pad()))
		}
	}
	if len(rows) > 0 {
		r.fixture.run(t, fmt.Sprintf("INSERT INTO %s (%s, n, v, pad) VALUES %s", table.id, table.names(), strings.Join(rows, ", ")))
	}
}

// note keeps what happened, for a seed that fails.
func (r *trial) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (r *trial) run(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("settings: %v\n%s", r.set, strings.Join(r.log, "\n"))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := make(chan error, 9)
	for range 8 {
		w := r.writer()
		go func() { errs <- w.run(ctx) }()
	}
	changes := r.changes()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		errs <- r.change(ctx, changes)
	}()
	for range r.rng.IntN(5) {
		r.crash(t)
	}
	stop := r.start(t)
	<-changed
	r.read(t)
	cancel()
	for range 9 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	r.slow.quiet()
	r.caughtUp(t)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, table := range r.tables {
		r.compare(t, table)
	}
}

// read waits until all tables are read and swept.
func (r *trial) read(t *testing.T) {
	t.Helper()
	r.wait(t, "the snapshot", func() bool {
		s := r.capture.Status()
		return s.Snapshot == nil || !s.Snapshot.Running
	})
}

const trialPatience = 3 * time.Minute

func (r *trial) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(trialPatience); !done(); time.Sleep(5 * time.Millisecond) {
		if s := r.capture.Status(); s.State == capture.StateFailed {
			t.Fatalf("the capture failed: %s", s.Error)
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %+v", trialPatience, what, r.capture.Status())
		}
	}
}

// caughtUp waits until everything that was written is in Kafka, and all tables
// are read.
func (r *trial) caughtUp(t *testing.T) {
	t.Helper()
	statement := "SHOW BINARY LOG STATUS"
	if r.mariadb {
		statement = "SHOW MASTER STATUS"
	}
	file, pos := logEnd(t, r.db, statement)
	r.wait(t, "the end of the log", func() bool {
		var at struct {
			File string
			Pos  uint64
		}
		_ = json.Unmarshal(r.capture.Status().Position, &at)
		return at.File > file || at.File == file && at.Pos >= pos
	})
	r.read(t)
}

func logEnd(t *testing.T, db *sql.DB, statement string) (file string, pos uint64) {
	t.Helper()
	rows, err := db.Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	into := make([]any, len(names))
	for i := range into {
		into[i] = new(sql.RawBytes)
	}
	into[0], into[1] = &file, &pos
	if !rows.Next() {
		t.Fatal("the server writes no log", rows.Err())
	}
	if err := errors.Join(rows.Scan(into...), rows.Err()); err != nil {
		t.Fatal(err)
	}
	return file, pos
}

var errCrash = errors.New("crash")

// crash runs the capture for a while, until it crashes between any two steps of
// the stream, or until it is stopped.
func (r *trial) crash(t *testing.T) {
	left := &atomic.Int64{}
	left.Store(1 + int64(r.rng.IntN(40)*r.rng.IntN(15)))
	inFront := r.rng.IntN(2) == 0
	r.wrap = func(open capture.OpenSource) capture.OpenSource {
		return func(ctx context.Context, scope capture.Scope) (capture.Source, error) {
			s, err := open(ctx, scope)
			return &crashingSource{s, left, inFront}, err
		}
	}
	defer func() { r.wrap = nil }()
	stop := r.start(t)
	limit := time.Duration(r.rng.IntN(1500)) * time.Millisecond
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && r.capture.Status().State != capture.StateFailed; {
		time.Sleep(time.Millisecond)
	}
	err := stop()
	r.note("ended: %v", err)
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
}

// crashingSource fails in the middle of the stream.
type crashingSource struct {
	capture.Source
	left    *atomic.Int64
	inFront bool
}

func (s *crashingSource) Stream(ctx context.Context, wake <-chan struct{}, to capture.Stream) error {
	return s.Source.Stream(ctx, wake, &crashingStream{to, s.left, s.inFront})
}

type crashingStream struct {
	capture.Stream
	left    *atomic.Int64
	inFront bool
}

// step does one step, and crashes in front of it or behind it.
func (s *crashingStream) step(do func() error) error {
	left := s.left.Add(-1)
	if left < 0 {
		return errCrash
	}
	if err := do(); err != nil || left > 0 || s.inFront {
		return err
	}
	return errCrash
}

func (s *crashingStream) Begin(tx capture.TransactionStart) error {
	return s.step(func() error { return s.Stream.Begin(tx) })
}

func (s *crashingStream) Change(c *capture.Change) error {
	return s.step(func() error { return s.Stream.Change(c) })
}

func (s *crashingStream) Commit() error { return s.step(s.Stream.Commit) }

func (s *crashingStream) Idle(drained bool) error {
	return s.step(func() error { return s.Stream.Idle(drained) })
}

func (s *crashingStream) Schema(c *capture.SchemaChange) error {
	return s.step(func() error { return s.Stream.Schema(c) })
}

// trialDDL is a statement, or several, with a pause in front.
type trialDDL struct {
	pause time.Duration
	do    func(ctx context.Context) error
}

// changes are the DDL of a trial.
func (r *trial) changes() []trialDDL {
	var out []trialDDL
	for range r.rng.IntN(5) {
		table := r.tables[r.rng.IntN(len(r.tables))]
		do := []func(context.Context, *trialTable) error{r.addColumn, r.dropColumn, r.truncate, r.rebind, r.recreate, r.renamed, r.swap}[r.rng.IntN(7)]
		out = append(out, trialDDL{time.Duration(r.rng.IntN(900)) * time.Millisecond, func(ctx context.Context) error { return do(ctx, table) }})
	}
	return out
}

func (r *trial) change(ctx context.Context, changes []trialDDL) error {
	for _, c := range changes {
		select {
		case <-time.After(c.pause):
		case <-ctx.Done():
			return nil
		}
		if err := c.do(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// ddl runs a statement, again where it met writers.
func (r *trial) ddl(ctx context.Context, format string, args ...any) error {
	statement := fmt.Sprintf(format, args...)
	for {
		_, err := r.db.ExecContext(ctx, statement)
		if err == nil || !expected(err) {
			r.note("%s: %v", statement, err)
			return err
		}
	}
}

func (r *trial) addColumn(ctx context.Context, t *trialTable) error {
	n := 1 + len(t.extras)
	t.extras = append(t.extras, n)
	return r.ddl(ctx, "ALTER TABLE %s ADD COLUMN x%d INT NOT NULL DEFAULT %d", t.id, n, n)
}

func (r *trial) dropColumn(ctx context.Context, t *trialTable) error {
	if len(t.extras) == 0 {
		return r.addColumn(ctx, t)
	}
	n := t.extras[len(t.extras)-1]
	t.extras[len(t.extras)-1] = 0
	if n == 0 {
		return nil
	}
	return r.ddl(ctx, "ALTER TABLE %s DROP COLUMN x%d", t.id, n)
}

// truncate empties a table; the rows of one without a key stay in its topic.
func (r *trial) truncate(ctx context.Context, t *trialTable) error {
	if t.index == "" {
		return nil
	}
	return r.ddl(ctx, "TRUNCATE %s", t.id)
}

// recreate drops a table and makes it anew.
func (r *trial) recreate(ctx context.Context, t *trialTable) error {
	if t.index == "" {
		return nil
	}
	t.extras = nil
	if err := r.ddl(ctx, "DROP TABLE %s", t.id); err != nil {
		return err
	}
	time.Sleep(rand.N(50 * time.Millisecond)) // not of r.rng, which the trial uses beside this
	return r.ddl(ctx, "%s", t.create(t.id))
}

// renamed takes a table its name and gives it back.
func (r *trial) renamed(ctx context.Context, t *trialTable) error {
	if err := r.ddl(ctx, "RENAME TABLE %s TO %s_away", t.id, t.id); err != nil {
		return err
	}
	time.Sleep(rand.N(100 * time.Millisecond)) // not of r.rng, as above
	return r.ddl(ctx, "RENAME TABLE %s_away TO %s", t.id, t.id)
}

// swap puts another table in the place of one: with some rows less, and some
// changed.
func (r *trial) swap(ctx context.Context, t *trialTable) error {
	if t.index == "" {
		return nil
	}
	defer holdAll([]trialWrite{{holds: t.all()}})()
	for _, statement := range []string{"CREATE TABLE %[1]s_new LIKE %[1]s", "INSERT INTO %[1]s_new SELECT * FROM %[1]s", "DELETE FROM %[1]s_new WHERE n %% 3 = 0",
		fmt.Sprintf("UPDATE %%[1]s_new SET n = %d WHERE n %%%% 3 = 1", r.writes.Add(1)), "RENAME TABLE %[1]s TO %[1]s_old, %[1]s_new TO %[1]s", "DROP TABLE %[1]s_old"} {
		if err := r.ddl(ctx, statement, t.id); err != nil {
			return err
		}
	}
	return nil
}

// rebind changes the order of a table's keys.
func (r *trial) rebind(ctx context.Context, t *trialTable) error {
	if t.rebinds == "" {
		return nil
	}
	return r.ddl(ctx, t.rebinds, t.id)
}

// compare compares a table with what a consumer makes of its topic.
func (r *trial) compare(t *testing.T, table *trialTable) {
	t.Helper()
	events := r.fixture.read(t, table.id)
	if table.index == "" { // without keys, the order of the versions is that of the rows over all partitions
		slices.SortStableFunc(events, func(a, b event) int { return strings.Compare(a.header, b.header) })
	}
	forward(t, table, events)
	want, extras := r.rows(t, table)
	if d := cmp.Diff(want, consumed(events, table, extras)); d != "" {
		t.Errorf("table %s, and its topic:\n%s", table.id, d)
		r.history(t, table, events, d)
	}
}

// history logs events of the rows that a diff names.
func (r *trial) history(t *testing.T, table *trialTable, events []event, diff string) {
	shown := 0
	for _, e := range events {
		row := e.after
		if row == nil {
			row = e.before
		}
		key := table.text(row, nil)
		if end := strings.Index(key, " n="); end > 0 {
			key = key[:end]
		}
		if row == nil || strings.Contains(diff, key+" ") {
			if shown++; shown < 60 {
				t.Logf("%s %s %s %s → %s (snapshot %v, %v:%v)", e.header, e.op, e.key, table.text(e.before, nil), table.text(e.after, nil), e.source["snapshot"], e.source["file"], e.source["pos"])
			}
		}
	}
}

// forward demands that versions grow along every partition, and that no key
// goes back: after a write of number n come only later ones, or what says again
// what that write made of the row, but not after its delete. A row without a
// key is never taken away before it came.
func forward(t *testing.T, table *trialTable, events []event) {
	t.Helper()
	type last struct {
		n       int64
		deleted bool
	}
	versions, keys, rows := map[int32]string{}, map[string]last{}, map[string]int{}
	for i, e := range events {
		if e.header <= versions[e.partition] && !(e.tombstone && e.header == versions[e.partition]) {
			t.Errorf("table %s, event %d (%s %s): version %s after %s", table.id, i, e.op, e.key, e.header, versions[e.partition])
		}
		versions[e.partition] = e.header
		if e.tombstone {
			continue
		}
		if table.index == "" {
			if e.before != nil {
				if rows[table.text(e.before, nil)]--; rows[table.text(e.before, nil)] < 0 {
					t.Errorf("table %s, event %d: %s of %s, which is not there", table.id, i, e.op, table.text(e.before, nil))
				}
			}
			if e.after != nil {
				rows[table.text(e.after, nil)]++
			}
			continue
		}
		at := keys[e.key]
		if e.after != nil {
			if n := number(e.after); n < at.n || n == at.n && at.deleted {
				t.Errorf("table %s, event %d: %s of %s is of write %d and comes after write %d (deleted: %v)", table.id, i, e.op, e.key, n, at.n, at.deleted)
			} else {
				at = last{n: n}
			}
		} else {
			at.deleted = true
			if e.before != nil {
				at.n = max(at.n, number(e.before))
			}
		}
		keys[e.key] = at
	}
}

func number(row map[string]any) int64 {
	n, err := row["n"].(json.Number).Int64()
	if err != nil {
		panic(err)
	}
	return n
}

// text is a row as text: its key, n, v, and how long pad is; and extras, which
// have their defaults where an event is older than they are.
func (k *trialTable) text(row map[string]any, extras []int) string {
	if row == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range k.columns {
		fmt.Fprintf(&b, "%s=%q ", c.name, fmt.Sprint(row[c.name]))
	}
	fmt.Fprintf(&b, "n=%v v=%v pad=%d", row["n"], row["v"], len(fmt.Sprint(row["pad"])))
	for _, x := range extras {
		value, ok := row[fmt.Sprintf("x%d", x)]
		if !ok {
			value = x
		}
		fmt.Fprintf(&b, " x%d=%v", x, value)
	}
	return b.String()
}

// consumed is what a consumer makes of events.
func consumed(events []event, table *trialTable, extras []int) map[string]int {
	byKey, rows := map[string]string{}, map[string]int{}
	for _, e := range events {
		switch {
		case e.tombstone:
		case table.index != "":
			byKey[e.key] = table.text(e.after, extras)
		default:
			rows[table.text(e.before, extras)]--
			rows[table.text(e.after, extras)]++
		}
	}
	for _, row := range byKey {
		rows[row]++
	}
	for row, n := range rows {
		if n == 0 || row == "" {
			delete(rows, row)
		}
	}
	return rows
}

// rows are the rows of a table, and the columns that were added to it.
func (r *trial) rows(t *testing.T, table *trialTable) (map[string]int, []int) {
	t.Helper()
	var extras []int
	for _, x := range table.extras {
		if x > 0 {
			extras = append(extras, x)
		}
	}
	var list []string
	for _, c := range table.columns {
		if c.compare == "" {
			list = append(list, "CAST("+c.name+" AS CHAR)")
		} else {
			list = append(list, fmt.Sprintf(c.compare, c.name))
		}
	}
	list = append(list, "n", "v", "LENGTH(pad)")
	for _, x := range extras {
		list = append(list, fmt.Sprintf("x%d", x))
	}
	rows, err := r.db.Query("SELECT " + strings.Join(list, ", ") + " FROM " + table.id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		values, into := make([]sql.NullString, len(list)), make([]any, len(list))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i, c := range table.columns {
			row[c.name] = values[i].String
		}
		at := len(table.columns)
		length, _ := strconv.Atoi(values[at+2].String)
		row["n"], row["v"], row["pad"] = values[at].String, values[at+1].String, strings.Repeat("p", length)
		for i, x := range extras {
			row[fmt.Sprintf("x%d", x)] = values[at+3+i].String
		}
		out[table.text(row, extras)]++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out, extras
}
