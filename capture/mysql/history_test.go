package mysql

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/capture"
)

// tester is a history whose positions are numbers, with what it would have
// stored.
type historyTester struct {
	*history
	stored map[string][]byte
}

func newHistoryTester() *historyTester {
	h := &historyTester{history: newHistory(&SchemaOptions{Prefix: "p"}, false), stored: map[string][]byte{}}
	h.load([]byte("100"), 100, ddlLocale{"utf8mb4", "utf8mb4_bin"}, map[string]ddlLocale{"db": {"latin1", "latin1_bin"}}, nil)
	return h
}

// run follows a statement at a position, which is its time too.
func (h *historyTester) run(at int, text string) *ddlEffect {
	return h.apply([]byte(strconv.Itoa(at)), int64(at), text, &ddlSession{database: "db"})
}

// store takes over what has to be stored.
func (h *historyTester) store() {
	for key, b := range h.Entries() {
		if b == nil {
			delete(h.stored, key)
		} else {
			h.stored[key] = b
		}
	}
}

// restored is a new history of what was stored, at a position.
func (h *historyTester) restored(t *testing.T, at int) (*historyTester, error) {
	t.Helper()
	h.store()
	out := &historyTester{history: newHistory(&SchemaOptions{Prefix: "p"}, false), stored: maps.Clone(h.stored)}
	err := out.restore(h.stored, func(b []byte) bool {
		n, err := strconv.Atoi(string(b))
		if err != nil {
			t.Fatal(err)
		}
		return n <= at
	})
	return out, err
}

// columns are the names of a table's columns, or why there are none.
func (h *historyTester) columns(table string) string {
	s, err := h.table("db", table)
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, c := range s.Definition.Columns {
		out = append(out, c.Name)
	}
	return strings.Join(out, ",")
}

func TestDefinitionsAreChosenByPosition(t *testing.T) {
	h := newHistoryTester()
	h.run(110, "CREATE TABLE t (a INT, s VARCHAR(5))")
	h.run(120, "ALTER TABLE t ADD b INT")
	h.run(130, "RENAME TABLE t TO u")
	h.run(140, "CREATE TABLE t (z INT)")
	h.run(150, "DROP TABLE u")
	unknown := capture.ErrDefinition.Error() + ": table db.%s is not known"
	for _, c := range []struct {
		at   int
		t, u string
	}{
		{105, fmt.Sprintf(unknown, "t"), fmt.Sprintf(unknown, "u")},
		{110, "a,s", fmt.Sprintf(unknown, "u")},
		{129, "a,s,b", fmt.Sprintf(unknown, "u")},
		{130, fmt.Sprintf(unknown, "t"), "a,s,b"},
		{149, "z", "a,s,b"},
		{150, "z", fmt.Sprintf(unknown, "u")},
	} {
		r, err := h.restored(t, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if gotT, gotU := r.columns("t"), r.columns("u"); gotT != c.t || gotU != c.u {
			t.Errorf("at %d: t has %s, u has %s; want %s and %s", c.at, gotT, gotU, c.t, c.u)
		}
	}
	if d := h.catalog.table(tableName{"db", "t"}); d.Charset != "latin1" {
		t.Errorf("the database's default is not kept: %+v", d)
	}
	if _, err := h.restored(t, 99); !errors.As(err, new(*errNoDefinitions)) {
		t.Errorf("a position before everything that is known: %v, want errNoDefinitions", err)
	}
	if err := newHistory(&SchemaOptions{}, false).restore(nil, nil); !errors.As(err, new(*errNoDefinitions)) {
		t.Errorf("nothing stored: %v, want errNoDefinitions", err)
	}
}

// What came after the position a capture goes back to comes again: it must not
// be there twice.
func TestEntriesAfterThePositionAreReplaced(t *testing.T) {
	h := newHistoryTester()
	h.run(110, "CREATE TABLE t (a INT)")
	h.run(120, "ALTER TABLE t ADD b INT")
	r, err := h.restored(t, 115)
	if err != nil {
		t.Fatal(err)
	}
	r.run(120, "ALTER TABLE t ADD b INT")
	again, err := r.restored(t, 130)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.columns("t"); got != "a,b" {
		t.Errorf("t has %s, want a,b", got)
	}
	if len(r.stored) != len(h.stored) {
		t.Errorf("%d entries are stored, want %d as before", len(r.stored), len(h.stored))
	}
}

func TestOldDefinitionsArePruned(t *testing.T) {
	h := newHistoryTester()
	h.run(110, "CREATE TABLE t (a INT)")
	h.run(120, "ALTER TABLE t ADD b INT")
	h.run(130, "ALTER TABLE t ADD c INT")
	h.run(140, "CREATE TABLE gone (a INT)")
	h.run(150, "DROP TABLE gone")
	h.run(160, "CREATE TABLE later (a INT)")
	h.store()
	before := len(h.stored)
	h.prune(125) // the oldest log file begins here
	for at, want := range map[int]string{125: "a,b", 135: "a,b,c", 170: "a,b,c"} {
		r, err := h.restored(t, at)
		if err != nil || r.columns("t") != want {
			t.Errorf("after pruning, at %d t has %s, want %s (%v)", at, r.columns("t"), want, err)
		}
	}
	h.retention = time.Millisecond
	h.run(156+int((h.retention+retentionSlack).Milliseconds()), "ALTER DATABASE db CHARACTER SET latin1")
	h.store()
	before++
	if got := len(h.stored); got != before-4 { // t twice, gone and its end
		t.Errorf("%d entries are left of %d, want %d", got, before, before-4)
	}
	if r, err := h.restored(t, 170); err != nil || r.columns("t") != "a,b,c" || r.columns("later") != "a" {
		t.Errorf("after pruning t has %s, later %s (%v)", r.columns("t"), r.columns("later"), err)
	}
}

func TestADoubtLastsUntilTheDefinitionIsRead(t *testing.T) {
	h := newHistoryTester()
	h.run(110, "CREATE TABLE t (a INT)")
	e := h.run(120, "ALTER TABLE t FROBNICATE")
	if len(e.unsure) != 1 {
		t.Fatalf("doubts are %v", e.unsure)
	}
	h.run(125, "ALTER TABLE t ADD z INT")
	r, err := h.restored(t, 126)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*historyTester{"now": h, "restored": r} {
		if _, err := h.table("db", "t"); !errors.Is(err, capture.ErrDefinition) || !strings.Contains(err.Error(), "FROBNICATE") {
			t.Errorf("%s: %v, want ErrDefinition with the statement", name, err)
		}
	}
	h.learn([]byte("130"), 130, &Definition{Database: "db", Name: "t", Columns: []Column{{Name: "q", Type: "INT"}}})
	if got := h.columns("t"); got != "q" {
		t.Errorf("after reading it t has %s, want q", got)
	}
	h.run(140, "RENAME TABLE t TO u")
	if got := h.columns("u"); got != "q" {
		t.Errorf("u has %s, want q", got)
	}
	h.run(150, "FROBNICATE u")
	h.run(160, "RENAME TABLE u TO v")
	if _, err := h.table("db", "v"); err == nil || !strings.Contains(err.Error(), "db.u") {
		t.Errorf("the doubt does not follow the name: %v", err)
	}
	h.run(170, "DROP TABLE v")
	h.run(180, "CREATE TABLE v (n INT)")
	if got := h.columns("v"); got != "n" {
		t.Errorf("v has %s, want n", got)
	}
}

// What is compiled for a table is kept by its pointer, so that only a change of
// what is published makes another.
func TestATableKeepsItsPointer(t *testing.T) {
	h := newHistoryTester()
	h.run(110, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(5))")
	before := h.captured("db", "t")
	h.run(120, "ALTER TABLE t ADD INDEX (a), COMMENT 'x', MODIFY a VARCHAR(9)")
	same := h.captured("db", "t")
	if same.Table != before.Table || same.Definition == before.Definition {
		t.Error("a change that is not published made another table, or none a new definition")
	}
	h.run(130, "ALTER TABLE t ADD b INT")
	if after := h.captured("db", "t"); after.Table == before.Table {
		t.Error("another column made no other table")
	}
}

func TestNamesWithoutRegardToCase(t *testing.T) {
	h := newHistory(&SchemaOptions{Prefix: "p"}, true)
	h.load([]byte("1"), 1, ddlLocale{"utf8mb4", "utf8mb4_bin"}, nil, nil)
	s := ddlSession{database: "DB"}
	h.apply([]byte("2"), 2, "CREATE TABLE Orders (A INT)", &s)
	h.apply([]byte("3"), 3, "ALTER TABLE db.ORDERS ADD b INT", &s)
	got := h.captured("db", "orders")
	if got == nil || len(got.Definition.Columns) != 2 || got.Topic != "p.db.orders" {
		t.Errorf("orders is %+v", got)
	}
}

func TestSequencesAndViewsAreNotCaptured(t *testing.T) {
	h := newHistoryTester()
	h.apply([]byte("110"), 110, "CREATE SEQUENCE s", &ddlSession{ddlDialect: ddlDialect{mariadb: true}, database: "db"})
	h.run(120, "CREATE VIEW v AS SELECT 1")
	if s, err := h.table("db", "s"); s != nil || err != nil {
		t.Errorf("the sequence is %v, %v", s, err)
	}
	if known := h.known(); len(known) != 0 {
		t.Errorf("tables are %v", known)
	}
}

func TestDefinitionsAreProvedUnchanged(t *testing.T) {
	tables := []tableName{{"db", "t"}, {"db", "u"}, {"other", "t"}}
	log := func(yield func(loggedStatement, error) bool) {
		for _, text := range []string{
			"CREATE TABLE x (a INT)", "GRANT ALL ON db.t TO x", "TRUNCATE TABLE t", "ALTER TABLE u ADD a INT", "ALTER TABLE u DROP a",
			"FROBNICATE other",
			// Captured tables that are gone: rows of theirs may lie in front.
			"DROP TABLE gone, elsewhere.gone", "RENAME TABLE old TO new, other TO new2", "ALTER TABLE former RENAME TO later",
		} {
			if !yield(loggedStatement{text, ddlSession{database: "db"}}, nil) {
				return
			}
		}
	}
	captured := func(t tableName) bool { return t.database == "db" && t.name != "other" }
	got, err := changedSince(tables, false, captured, log)
	if err != nil {
		t.Fatal(err)
	}
	want := map[tableName]string{{"db", "u"}: "ALTER TABLE u ADD a INT", {"other", "t"}: "FROBNICATE other",
		{"db", "gone"}: "DROP TABLE gone, elsewhere.gone", {"db", "old"}: "RENAME TABLE old TO new, other TO new2",
		{"db", "former"}: "ALTER TABLE former RENAME TO later"}
	if !maps.Equal(got, want) {
		t.Errorf("changed are %v, want %v", got, want)
	}
	broken := errors.New("the connection broke")
	_, err = changedSince(tables, false, captured, func(yield func(loggedStatement, error) bool) { yield(loggedStatement{}, broken) })
	if !errors.Is(err, broken) {
		t.Errorf("a broken log gives %v", err)
	}
}

// TestStatementsNameTablesWithoutCase: where names are compared without case, what
// is open on a table is void whatever case the statement has.
func TestStatementsNameTablesWithoutCase(t *testing.T) {
	h := newHistory(&SchemaOptions{Prefix: "p"}, true)
	h.load([]byte(`{"file":"b.1","pos":4}`), 0, ddlLocale{"utf8mb4", "utf8mb4_bin"}, nil,
		[]*Definition{{Database: "db", Name: "t", Columns: []Column{{Name: "a", Type: "INT", Length: -1, Scale: -1}}}})
	table, err := h.table("db", "t")
	if err != nil {
		t.Fatal(err)
	}
	for statement, want := range map[string]string{"ALTER TABLE T ADD b INT": table.ID(), "TRUNCATE T": table.ID(), "DROP DATABASE Db": "db."} {
		e := h.apply([]byte(`{"file":"b.1","pos":9}`), 0, statement, &ddlSession{database: "DB"})
		if got := touchedTables(e); !slices.Contains(got, want) {
			t.Errorf("%s touches %v, and what is open is known as %s", statement, got, want)
		}
	}
}
