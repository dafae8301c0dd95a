package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// fakeDB is a database with a log, as a Source is to see one. Positions and
// marks are the number of log entries.
type fakeDB struct {
	mu      sync.Mutex
	changed chan struct{} // closed and renewed when the log grows
	tables  map[string]*fakeTable
	order   []string // in which tables are snapshot
	log     []fakeEntry
	purged  int   // entries before it cannot be read any more
	counter int64 // grows with every write of a row
	millis  int64 // commit time of the next transaction
	sources int

	// hook, if set, is called by readers between their steps, with the lock
	// not held: "low", "read", "high", "whole-low", "whole-high", "unlocked".
	hook func(step, table string)
	// breaks, if set, says whether the stream's connection breaks before a
	// change of an entry.
	breaks func(entry, change int) bool
	// slow, if set, is called before the stream reports an entry.
	slow func()
	// failRead, if set, makes reads fail.
	failRead func(table string) error
	locks    int
	reads    int
}

type fakeTable struct {
	def  *Table
	rows map[int64]fakeRow
}

// fakeRow is a row: group and text are payload, n says which write it is of.
type fakeRow struct {
	id, n int64
	text  string
}

type fakeEntry struct {
	id      string
	millis  int64
	changes []fakeChange
	ddl     *fakeDDL
}

type fakeChange struct {
	table         *Table
	op            cdc.Op
	before, after *fakeRow
}

type fakeDDL struct {
	text      string
	tables    []string
	define    map[string]*Table // nil: dropped
	truncated []*Table
	truncate  *Table
	arrived   []*Table
	created   []*Table
}

var fakeSourceSchema = cdc.NewSchema("io.debezium.connector.fake.Source",
	cdc.Field{Name: "version", Type: cdc.Text},
	cdc.Field{Name: "connector", Type: cdc.Text},
	cdc.Field{Name: "name", Type: cdc.Text},
	cdc.Field{Name: "ts_ms", Type: cdc.Int64},
	cdc.Field{Name: "snapshot", Type: cdc.Text, Optional: true},
	cdc.Field{Name: "db", Type: cdc.Text},
	cdc.Field{Name: "table", Type: cdc.Text, Optional: true},
	cdc.Field{Name: "pos", Type: cdc.Int64},
	cdc.Field{Name: "row", Type: cdc.Int32},
)

func fillSource(row *cdc.Row, t *Table, millis int64, snapshot string, pos int) {
	row.Reset(fakeSourceSchema)
	for i, v := range []cdc.Value{cdc.String([]byte("1")), cdc.String([]byte("fake")), cdc.String([]byte("t")), cdc.Int(millis),
		cdc.String([]byte(snapshot)), cdc.String([]byte(t.Database)), cdc.String([]byte(t.Name)), cdc.Int(int64(pos)), cdc.Int(0)} {
		row.Values[i] = v
	}
}

// newFakeTable defines prefix.db.name; keyed: by id.
func newFakeTable(prefix, name string, keyed bool, more ...cdc.Field) *Table {
	topic := prefix + ".db." + name
	value := cdc.NewSchema(topic+".Value", append([]cdc.Field{
		{Name: "id", Type: cdc.Int64}, {Name: "n", Type: cdc.Int64}, {Name: "text", Type: cdc.Text, Optional: true},
	}, more...)...)
	t := &Table{Database: "db", Name: name, Topic: topic, Value: value}
	if keyed {
		t.Key = cdc.NewSchema(topic+".Key", value.Fields[0])
		t.KeyColumns, t.RowKey = []int{0}, []int{0}
	}
	return t
}

func newFakeDB(tables ...*Table) *fakeDB {
	db := &fakeDB{changed: make(chan struct{}), tables: map[string]*fakeTable{}, millis: 1_800_000_000_000}
	for _, t := range tables {
		db.tables[t.ID()] = &fakeTable{def: t, rows: map[int64]fakeRow{}}
		db.order = append(db.order, t.ID())
	}
	return db
}

func (db *fakeDB) append(e fakeEntry) {
	db.millis++
	e.id, e.millis = "tx-"+strconv.Itoa(len(db.log)), db.millis
	db.log = append(db.log, e)
	close(db.changed)
	db.changed = make(chan struct{})
}

// write commits one transaction that f makes.
func (db *fakeDB) write(f func(tx *fakeTx)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	tx := &fakeTx{db: db}
	f(tx)
	if len(tx.changes) > 0 {
		db.append(fakeEntry{changes: tx.changes})
	}
}

type fakeTx struct {
	db      *fakeDB
	changes []fakeChange
}

func (tx *fakeTx) put(table string, id int64, text string) {
	t := tx.db.tables["db."+table]
	tx.db.counter++
	after := fakeRow{id: id, n: tx.db.counter, text: text}
	if before, ok := t.rows[id]; ok {
		tx.changes = append(tx.changes, fakeChange{t.def, cdc.OpUpdate, &before, &after})
	} else {
		tx.changes = append(tx.changes, fakeChange{t.def, cdc.OpCreate, nil, &after})
	}
	t.rows[id] = after
}

func (tx *fakeTx) del(table string, id int64) {
	t := tx.db.tables["db."+table]
	if before, ok := t.rows[id]; ok {
		tx.changes = append(tx.changes, fakeChange{t.def, cdc.OpDelete, &before, nil})
		delete(t.rows, id)
	}
}

// move changes a row's key.
func (tx *fakeTx) move(table string, from, to int64) {
	t := tx.db.tables["db."+table]
	before, ok := t.rows[from]
	if _, taken := t.rows[to]; !ok || taken {
		return
	}
	tx.db.counter++
	after := fakeRow{id: to, n: tx.db.counter, text: before.text}
	tx.changes = append(tx.changes, fakeChange{t.def, cdc.OpUpdate, &before, &after})
	delete(t.rows, from)
	t.rows[to] = after
}

// redefine is DDL: tables get a new definition, nil drops one.
func (db *fakeDB) redefine(text string, define map[string]*Table) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for id, t := range define {
		switch old := db.tables[id]; {
		case t == nil:
			delete(db.tables, id)
		case old == nil:
			db.tables[id] = &fakeTable{def: t, rows: map[int64]fakeRow{}}
			db.order = append(db.order, id)
		default:
			old.def = t
		}
	}
	db.append(fakeEntry{ddl: &fakeDDL{text: text, tables: slices.Sorted(maps.Keys(define)), define: define}})
}

// rename gives the table of one name the name, and definition, of to, whose own
// rows are gone if there was one.
func (db *fakeDB) rename(from string, to *Table) {
	db.mu.Lock()
	defer db.mu.Unlock()
	rows := db.tables["db."+from].rows
	delete(db.tables, "db."+from)
	db.tables[to.ID()] = &fakeTable{def: to, rows: rows}
	if !slices.Contains(db.order, to.ID()) {
		db.order = append(db.order, to.ID())
	}
	db.append(fakeEntry{ddl: &fakeDDL{text: "RENAME " + from + " TO " + to.Name, tables: []string{"db." + from, to.ID()},
		define: map[string]*Table{"db." + from: nil, to.ID(): to}, arrived: []*Table{to}}})
}

// recreate drops a table and makes it anew.
func (db *fakeDB) recreate(t *Table) {
	db.redefine("DROP "+t.ID(), map[string]*Table{t.ID(): nil})
	db.mu.Lock()
	defer db.mu.Unlock()
	db.tables[t.ID()] = &fakeTable{def: t, rows: map[int64]fakeRow{}}
	db.append(fakeEntry{ddl: &fakeDDL{text: "CREATE " + t.ID(), tables: []string{t.ID()}, define: map[string]*Table{t.ID(): t}, created: []*Table{t}}})
}

// truncate empties a table, or the rows for which gone is true.
func (db *fakeDB) truncate(table string, gone func(id int64) bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables["db."+table]
	maps.DeleteFunc(t.rows, func(id int64, _ fakeRow) bool { return gone(id) })
	db.append(fakeEntry{ddl: &fakeDDL{text: "TRUNCATE " + table, tables: []string{t.def.ID()}, truncated: []*Table{t.def}, truncate: t.def}})
}

func (db *fakeDB) rows(table string) map[int64]fakeRow {
	db.mu.Lock()
	defer db.mu.Unlock()
	return maps.Clone(db.tables["db."+table].rows)
}

func (db *fakeDB) length() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.log)
}

func (db *fakeDB) step(step, table string) {
	if db.hook != nil {
		db.hook(step, table)
	}
}

// open is an OpenSource.
func (db *fakeDB) open(context.Context, Scope) (Source, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.sources++
	return &fakeSource{db: db, defs: map[string]*Table{}}, nil
}

type fakePosition struct {
	Pos int `json:"pos"`
}

// fakeSource is the Source of a fakeDB.
type fakeSource struct {
	db      *fakeDB
	at      int // entries reported
	defs    map[string]*Table
	entries map[string][]byte
	seq     uint64
}

func (s *fakeSource) Kind() string              { return "fake" }
func (s *fakeSource) SourceSchema() *cdc.Schema { return fakeSourceSchema }
func (s *fakeSource) Check(context.Context) error {
	return nil
}

func (s *fakeSource) Restore(_ context.Context, stored *Stored) error {
	if stored == nil {
		return nil
	}
	var p fakePosition
	if err := json.Unmarshal(stored.Position, &p); err != nil {
		return err
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if p.Pos < s.db.purged || p.Pos > len(s.db.log) {
		return fmt.Errorf("%w: position %d is purged", ErrNoContinuity, p.Pos)
	}
	s.at = p.Pos
	s.define()
	return nil
}

func (s *fakeSource) Begin(context.Context) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.at = len(s.db.log)
	s.define()
	return nil
}

// define finds the definitions as they were at s.at: those of now, unwound.
func (s *fakeSource) define() {
	for id, t := range s.db.tables {
		s.defs[id] = t.def
	}
	for i := len(s.db.log) - 1; i >= s.at; i-- {
		if d := s.db.log[i].ddl; d != nil {
			for id := range d.define {
				s.defs[id] = s.before(id, i)
			}
		}
	}
}

// before is a table's definition before entry i: what the last DDL before said.
func (s *fakeSource) before(id string, i int) *Table {
	for i--; i >= 0; i-- {
		if d := s.db.log[i].ddl; d != nil {
			if t, ok := d.define[id]; ok {
				return t
			}
		}
	}
	for _, e := range s.db.log {
		for _, c := range e.changes {
			if c.table.ID() == id {
				return c.table
			}
		}
		if e.ddl != nil {
			if _, ok := e.ddl.define[id]; ok {
				return nil
			}
		}
	}
	return nil
}

func (s *fakeSource) Tables(context.Context) ([]*Table, error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	var out []*Table
	for _, id := range s.db.order {
		if t := s.db.tables[id]; t != nil {
			out = append(out, t.def)
		}
	}
	return out, nil
}

func (s *fakeSource) Table(database, name string) (*Table, error) {
	return s.defs[database+"."+name], nil
}

func (s *fakeSource) Position() []byte { return mustJSON(fakePosition{s.at}) }

func (s *fakeSource) Entries() map[string][]byte {
	out := s.entries
	s.entries = nil
	return out
}

var (
	fakeDDLKey   = cdc.NewSchema("fake.SchemaChangeKey", cdc.Field{Name: "databaseName", Type: cdc.Text})
	fakeDDLValue = cdc.NewSchema("fake.SchemaChangeValue", cdc.Field{Name: "ts_ms", Type: cdc.Int64}, cdc.Field{Name: "ddl", Type: cdc.Text})
)

func fakeSchemaChange(text string) *SchemaChange {
	c := &SchemaChange{Key: &cdc.Row{}, Value: &cdc.Row{}, Publish: true}
	c.Key.Reset(fakeDDLKey)
	c.Key.Values[0] = cdc.String([]byte("db"))
	c.Value.Reset(fakeDDLValue)
	c.Value.Values[1] = cdc.String([]byte(text))
	return c
}

func (s *fakeSource) SnapshotSchemas(_ context.Context, tables []*Table) ([]*SchemaChange, error) {
	var out []*SchemaChange
	for _, t := range tables {
		out = append(out, fakeSchemaChange("CREATE "+t.ID()))
	}
	return out, nil
}

func (s *fakeSource) Stream(ctx context.Context, wake <-chan struct{}, to Stream) error {
	for {
		s.db.mu.Lock()
		if s.at < s.db.purged {
			s.db.mu.Unlock()
			return fmt.Errorf("%w: entry %d is purged", ErrNoContinuity, s.at)
		}
		var entry *fakeEntry
		if s.at < len(s.db.log) {
			entry = &s.db.log[s.at]
		}
		changed := s.db.changed
		s.db.mu.Unlock()
		if entry == nil {
			if err := to.Idle(true); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			case <-wake:
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if s.db.slow != nil {
			s.db.slow()
		}
		if err := s.report(entry, to); err != nil {
			if errors.Is(err, errBroke) {
				continue
			}
			return err
		}
		select {
		case <-wake:
			if err := to.Idle(false); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
	}
}

var errBroke = errors.New("the connection broke")

func (s *fakeSource) report(e *fakeEntry, to Stream) error {
	if e.ddl != nil && e.changes == nil {
		s.at++
		return s.reportDDL(e, to)
	}
	if err := to.Begin(TransactionStart{ID: []byte(e.id), CommitMillis: e.millis}); err != nil {
		return err
	}
	if e.ddl != nil {
		if err := s.reportDDL(e, to); err != nil {
			return err
		}
	}
	s.seq++
	var source, before, after cdc.Row
	for i, c := range e.changes {
		if s.db.breaks != nil && s.db.breaks(s.at, i) {
			return errBroke
		}
		s.seq++ // every change is a log event of its own
		fillSource(&source, c.table, e.millis, "false", s.at)
		change := Change{Table: c.table, Op: c.op, Source: &source, SourceSeq: s.seq, Row: 0}
		if c.before != nil {
			fillRow(&before, c.table, *c.before)
			change.Before = &before
		}
		if c.after != nil {
			fillRow(&after, c.table, *c.after)
			change.After = &after
		}
		if err := to.Change(&change); err != nil {
			return err
		}
	}
	s.at++
	return to.Commit()
}

func fillRow(row *cdc.Row, t *Table, r fakeRow) {
	row.Reset(t.Value)
	row.Values[0], row.Values[1], row.Values[2] = cdc.Int(r.id), cdc.Int(r.n), cdc.String([]byte(r.text))
}

func (s *fakeSource) reportDDL(e *fakeEntry, to Stream) error {
	for id, t := range e.ddl.define {
		s.defs[id] = t
		if s.entries == nil {
			s.entries = map[string][]byte{}
		}
		s.entries[id] = nil
		if t != nil {
			s.entries[id] = mustJSON(map[string]string{"table": t.Value.Fingerprint()})
		}
	}
	c := fakeSchemaChange(e.ddl.text)
	c.Tables, c.Truncated, c.Inside = e.ddl.tables, e.ddl.truncated, e.changes != nil
	c.Arrived, c.Created = e.ddl.arrived, e.ddl.created
	if t := e.ddl.truncate; t != nil {
		s.seq++
		var source cdc.Row
		fillSource(&source, t, e.millis, "false", s.at)
		c.Truncate = &Change{Table: t, Op: cdc.OpTruncate, Source: &source, SourceSeq: s.seq}
	}
	return to.Schema(c)
}

func (s *fakeSource) Reader(context.Context) (Reader, error) { return &fakeReader{db: s.db}, nil }

func (s *fakeSource) Reached(position []byte, mark Mark) bool {
	return fakeAt(position) >= markAt(mark)
}

func (s *fakeSource) Covers(low Mark, position []byte) bool { return markAt(low) >= fakeAt(position) }

func (s *fakeSource) Close() error { return nil }

func fakeAt(position []byte) int {
	var p fakePosition
	if err := json.Unmarshal(position, &p); err != nil {
		panic(err)
	}
	return p.Pos
}

func markAt(m Mark) int {
	n, err := strconv.Atoi(string(m))
	if err != nil {
		panic(err)
	}
	return n
}

// fakeReader reads a fakeDB.
type fakeReader struct{ db *fakeDB }

func (r *fakeReader) mark() Mark { return Mark(strconv.Itoa(r.db.length())) }

func keyOf(b []byte) int64 {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// sorted are the rows behind after up to upTo, in key order.
func (r *fakeReader) sorted(t *Table, after, upTo []byte) ([]fakeRow, error) {
	r.db.mu.Lock()
	defer r.db.mu.Unlock()
	r.db.reads++
	table := r.db.tables[t.ID()]
	if table == nil || table.def != t {
		return nil, fmt.Errorf("%w: %s", ErrDefinition, t.ID())
	}
	var out []fakeRow
	for id, row := range table.rows {
		if (after == nil || id > keyOf(after)) && (upTo == nil || id <= keyOf(upTo)) {
			out = append(out, row)
		}
	}
	slices.SortFunc(out, func(a, b fakeRow) int { return int(a.id - b.id) })
	return out, nil
}

func (r *fakeReader) Bounds(_ context.Context, t *Table, after []byte, size int) (Bounds, error) {
	if t.RowKey == nil {
		return Bounds{Whole: true}, nil
	}
	rows, err := r.sorted(t, after, nil)
	if err != nil || len(rows) <= size {
		return Bounds{}, err
	}
	return Bounds{UpTo: strconv.AppendInt(nil, rows[size-1].id, 10)}, nil
}

func (r *fakeReader) chunk(low Mark, t *Table) Chunk {
	c := Chunk{Low: low, High: r.mark(), Source: &cdc.Row{}}
	fillSource(c.Source, t, 1_800_000_000_000, "", markAt(c.High))
	return c
}

func (r *fakeReader) Read(_ context.Context, t *Table, after, upTo []byte, row func(*cdc.Row) error) (Chunk, error) {
	if r.db.failRead != nil {
		if err := r.db.failRead(t.Name); err != nil {
			return Chunk{}, err
		}
	}
	low := r.mark()
	r.db.step("low", t.Name)
	rows, err := r.sorted(t, after, upTo)
	if err != nil {
		return Chunk{}, err
	}
	r.db.step("read", t.Name)
	var buffer cdc.Row
	var last, cut []byte
	for _, one := range rows {
		fillRow(&buffer, t, one)
		if err := row(&buffer); errors.Is(err, ErrChunkFull) {
			cut = last
			break
		} else if err != nil {
			return Chunk{}, err
		}
		last = strconv.AppendInt(nil, one.id, 10)
	}
	c := r.chunk(low, t)
	c.UpTo = cut
	r.db.step("high", t.Name)
	return c, nil
}

func (r *fakeReader) ReadWhole(_ context.Context, t *Table, lock bool, begin func(Chunk) (func() error, error), row func(*cdc.Row) error) error {
	var rows []fakeRow
	var wait func() error
	var err error
	if lock {
		r.db.mu.Lock()
		r.db.locks++
		mark := Mark(strconv.Itoa(len(r.db.log)))
		for _, one := range r.db.tables[t.ID()].rows {
			rows = append(rows, one)
		}
		slices.SortFunc(rows, func(a, b fakeRow) int { return int(a.id - b.id) })
		chunk := Chunk{Low: mark, High: mark, Source: &cdc.Row{}}
		fillSource(chunk.Source, t, 1_800_000_000_000, "", markAt(mark))
		wait, err = begin(chunk)
		r.db.mu.Unlock()
		r.db.step("unlocked", t.Name)
	} else {
		low := r.mark()
		r.db.step("whole-low", t.Name)
		if rows, err = r.sorted(t, nil, nil); err != nil {
			return err
		}
		chunk := r.chunk(low, t)
		r.db.step("whole-high", t.Name)
		wait, err = begin(chunk)
	}
	if err != nil {
		return err
	}
	if r.db.failRead != nil {
		if err := r.db.failRead(t.Name); err != nil {
			return err
		}
	}
	if err := wait(); err != nil {
		return err
	}
	var buffer cdc.Row
	for _, one := range rows {
		fillRow(&buffer, t, one)
		if err := row(&buffer); err != nil {
			return err
		}
	}
	return nil
}

func (r *fakeReader) Close() error { return nil }

// workload writes random transactions to a table of keys 1 … keys.
func (db *fakeDB) workload(rng *rand.Rand, table string, keys int64) {
	db.write(func(tx *fakeTx) {
		for range 1 + rng.IntN(4) {
			id := 1 + rng.Int64N(keys)
			switch rng.IntN(6) {
			case 0:
				tx.del(table, id)
			case 1:
				tx.move(table, id, 1+rng.Int64N(keys))
			default:
				tx.put(table, id, "w"+strconv.FormatInt(id, 10))
			}
		}
	})
}

// fill puts rows 1 … n into a table without a log.
func (db *fakeDB) fill(table string, n int64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for id := int64(1); id <= n; id++ {
		db.counter++
		db.tables["db."+table].rows[id] = fakeRow{id: id, n: db.counter, text: "f" + strconv.FormatInt(id, 10)}
	}
}

// patience is how long a condition may take to come about, on a machine that has
// much else to do.
const patience = 3 * time.Minute

// waitFor waits for a condition that another goroutine brings about.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}

var fieldExtra = cdc.Field{Name: "extra", Type: cdc.Text, Optional: true}

// behindSource reads its first chunk from a server that is behind.
type behindSource struct {
	*fakeSource
	reads *int
}

func (s *behindSource) Reader(ctx context.Context) (Reader, error) {
	r, err := s.fakeSource.Reader(ctx)
	return &behindReader{r.(*fakeReader), s.reads}, err
}

type behindReader struct {
	*fakeReader
	reads *int
}

func (r *behindReader) Read(ctx context.Context, t *Table, after, upTo []byte, row func(*cdc.Row) error) (Chunk, error) {
	c, err := r.fakeReader.Read(ctx, t, after, upTo, row)
	if *r.reads++; *r.reads == 1 {
		c.Low = "0"
	}
	return c, err
}

// onlySource captures some of the tables.
type onlySource struct {
	*fakeSource
	names []string
}

func (s *onlySource) Tables(ctx context.Context) ([]*Table, error) {
	all, err := s.fakeSource.Tables(ctx)
	return slices.DeleteFunc(all, func(t *Table) bool { return !slices.Contains(s.names, t.ID()) }), err
}

func (s *onlySource) Stream(ctx context.Context, wake <-chan struct{}, to Stream) error {
	return s.fakeSource.Stream(ctx, wake, &onlyStream{to, s.names, false})
}

// onlyStream leaves out the changes of other tables, and transactions of which
// nothing is left.
type onlyStream struct {
	Stream
	names []string
	begun bool
}

func (s *onlyStream) Change(c *Change) error {
	if !slices.Contains(s.names, c.Table.ID()) {
		return nil
	}
	return s.Stream.Change(c)
}
