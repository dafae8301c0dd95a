package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// ◆ Snapshot: "register the window, note the stream's position S, then read; a
// chunk counts only if L ⊇ S; before- and after-keys of every event from L until
// emission are evicted; progress is part of the offset; a crash resumes at the
// unfinished chunk". Writers change keys between every two steps of every
// chunk, connections break and the capture crashes: afterwards the topic equals
// the table, no key's version or value ever went backwards, and every change of
// the log was published exactly once.
func TestSnapshotBesideWritersAndCrashes(t *testing.T) {
	_, at := broker(t)
	for seed := range uint64(8) {
		for _, threads := range []string{"1", "3"} {
			t.Run(fmt.Sprintf("seed %d threads %s", seed, threads), func(t *testing.T) {
				snapshotChaos(t, at, fmt.Sprintf("chaos-%d-%s", seed, threads), seed, threads)
			})
		}
	}
	t.Run("Apache Kafka", func(t *testing.T) {
		snapshotChaos(t, servers.Kafka(t), servers.Unique(t, "chaos"), 77, "2")
	})
}

func snapshotChaos(t *testing.T, at, prefix string, seed uint64, threads string) {
	const keys = 300
	db := newFakeDB(newFakeTable(prefix, "a", true), newFakeTable(prefix, "b", true))
	db.fill("a", keys)
	db.fill("b", 40)
	var steps atomic.Int64
	lock := make(chan struct{}, 1)
	rng := rand.New(rand.NewPCG(seed, 7))
	random := func(n int) int {
		lock <- struct{}{}
		defer func() { <-lock }()
		return rng.IntN(n)
	}
	db.hook = func(_, table string) {
		steps.Add(1)
		lock <- struct{}{}
		defer func() { <-lock }()
		for range rng.IntN(3) {
			db.workload(rng, "a", keys)
			db.workload(rng, "b", 60)
		}
	}
	db.breaks = func(int, int) bool { return random(400) == 0 }
	db.slow = func() { // the stream is behind the readers as often as not
		if random(4) == 0 {
			time.Sleep(3 * time.Millisecond)
		}
	}
	crash := errors.New("crash")
	db.failRead = func(string) error {
		switch random(25) {
		case 0:
			return crash
		case 1:
			return ErrUnavailable
		case 2:
			return ErrDefinition
		}
		return nil
	}
	c := newConfig(t, at, prefix, "snapshot.max.threads", threads, "snapshot.chunk.size", "17")
	crashes := 0
	var r *running
	for r = launch(t, c, db.open); ; r = launch(t, c, db.open) {
		var err error
		select {
		case err = <-r.done:
			r.done <- err
		case <-time.After(50 * time.Millisecond):
			waitFor(t, "the snapshot or a crash", func() bool {
				s := r.Status()
				return len(r.done) > 0 || s.State == StateRunning && s.Snapshot != nil && !s.Snapshot.Running
			})
		}
		if len(r.done) == 0 {
			break
		}
		if err = r.end(t); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		if crashes++; crashes > 200 {
			t.Fatal("it never gets through")
		}
	}
	for range 20 {
		lock <- struct{}{}
		db.workload(rng, "a", keys)
		<-lock
	}
	r.reached(t, db)
	for _, table := range []string{"a", "b"} {
		events := readEvents(t, at, prefix+".db."+table)
		sameRows(t, state(t, events), db.rows(table))
		sameChanges(t, streamed(events), db.logged(table, 0))
	}
	t.Logf("%d steps, %d crashes, %d transactions, %d reads", steps.Load(), crashes, db.length(), db.reads)
}

// markersOf are the snapshot markers of all rows that were read, by table.
func markersOf(t *testing.T, at, prefix string, tables ...string) string {
	t.Helper()
	var out []string
	for _, table := range tables {
		var markers []string
		for _, e := range byVersion(readEvents(t, at, prefix+".db."+table)) {
			if e.op == "r" {
				markers = append(markers, e.marker)
			}
		}
		out = append(out, table+": "+strings.Join(markers, " "))
	}
	return strings.Join(out, "; ")
}

// On an idle database the markers are Debezium's, also with several readers:
// an empty first table leaves no row marked first; the last row of all is last,
// whichever table it is of; a table of one row has the marker of a last row.
func TestSnapshotMarkers(t *testing.T) {
	_, at := broker(t)
	for i, c := range []struct {
		rows []int64
		want string
	}{
		{[]int64{3, 2}, "a: first true last_in_data_collection; b: first_in_data_collection last"},
		{[]int64{0, 3, 1}, "a: ; b: first_in_data_collection true last_in_data_collection; c: last"},
		{[]int64{2, 0}, "a: first last; b: "},
		{[]int64{1, 1, 0, 0, 0, 0, 0, 0, 0}, "a: first; b: last; c: ; d: ; e: ; f: ; g: ; h: ; i: "},
		{[]int64{1}, "a: last"},
		{[]int64{0, 0}, "a: ; b: "},
		{[]int64{5, 1, 4}, "a: first true true true last_in_data_collection; b: last_in_data_collection; c: first_in_data_collection true true last"},
	} {
		for _, threads := range []string{"1", "4"} {
			prefix := fmt.Sprintf("markers-%d-%s", i, threads)
			var tables []*Table
			var names []string
			for n := range c.rows {
				names = append(names, string(rune('a'+n)))
				tables = append(tables, newFakeTable(prefix, names[n], true))
			}
			db := newFakeDB(tables...)
			for n, rows := range c.rows {
				db.fill(names[n], rows)
			}
			r := launch(t, newConfig(t, at, prefix, "snapshot.chunk.size", "2", "snapshot.max.threads", threads), db.open)
			r.reached(t, db)
			if err := r.end(t); err != nil {
				t.Fatal(err)
			}
			if got := markersOf(t, at, prefix, names...); got != c.want {
				t.Errorf("%v, %s threads:\n got %s\nwant %s", c.rows, threads, got, c.want)
			}
		}
	}
}

// ◆ "keyless tables: one consistent read, accepted only if the stream saw no
// event of the table in (L, H], retried, then LOCK TABLES": a writer that is
// always at it forces the lock; every row arrives once, by the read or by the
// log, also one that is written the moment the lock is given back.
func TestSnapshotOfKeylessTable(t *testing.T) {
	_, at := broker(t)
	for _, busy := range []string{"", "whole-low", "whole-high", "unlocked"} {
		prefix := "keyless-" + busy
		db := newFakeDB(newFakeTable(prefix, "k", true), newFakeTable(prefix, "a", false))
		db.fill("k", 3)
		db.fill("a", 50)
		next := int64(1000)
		db.hook = func(step, table string) {
			if table != "a" || step != busy && (busy != "unlocked" || step != "whole-low") {
				return
			}
			db.write(func(tx *fakeTx) { tx.put("a", next, "added") })
			next++
			if step == "unlocked" { // time enough for the stream to go past the read, if it does
				time.Sleep(100 * time.Millisecond)
			}
		}
		db.write(func(tx *fakeTx) { tx.put("a", 500, "before the start") })
		r := launch(t, newConfig(t, at, prefix, "snapshot.delay.ms", "100"), db.open)
		waitFor(t, "the stream", func() bool { return r.Status().State == StateRunning })
		db.write(func(tx *fakeTx) { tx.put("a", 600, "while it waits to be read") })
		r.reached(t, db)
		db.write(func(tx *fakeTx) { tx.put("a", 700, "afterwards") })
		r.reached(t, db)
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		seen := map[int64]int{}
		for _, e := range readEvents(t, at, prefix+".db.a") {
			seen[e.after.id]++
		}
		for id, row := range db.rows("a") {
			if seen[id] != 1 {
				t.Errorf("%q: row %d (%s) arrived %d times", busy, id, row.text, seen[id])
			}
		}
		if wantLock := busy == "whole-low" || busy == "unlocked"; (db.locks > 0) != wantLock {
			t.Errorf("%q: locked %d times", busy, db.locks)
		}
	}
}

// ◆ "any DDL on the table discards open windows": a column appears while a
// chunk is being read, and the chunk is read again under the new definition.
func TestSnapshotAndDDL(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("ddl", "a", true))
	db.fill("a", 100)
	wider := newFakeTable("ddl", "a", true, fieldExtra)
	reads := 0
	var r *running
	started := make(chan struct{})
	db.hook = func(step, _ string) {
		if step != "read" {
			return
		}
		if reads++; reads == 3 {
			<-started
			waitFor(t, "two chunks to go out", func() bool { return r.Status().Snapshot.Rows == 20 })
			db.redefine("ALTER TABLE a ADD extra", map[string]*Table{"db.a": wider})
			waitFor(t, "the stream to pass it", func() bool { return fakeAt(r.Status().Position) == db.length() })
		}
	}
	r = launch(t, newConfig(t, at, "ddl", "snapshot.chunk.size", "10"), db.open)
	close(started)
	r.reached(t, db)
	events := readEvents(t, at, "ddl.db.a")
	sameRows(t, state(t, events), db.rows("a"))
	var read, extra int
	for _, e := range events {
		if e.op == "r" {
			read++
		}
		if contains(e.Value, `"extra":null`) {
			extra++
		}
	}
	if read != 100 || extra != 80 {
		t.Errorf("%d rows read, %d with the new column; want 100 and 80", read, extra)
	}
	if n := len(readTopic(t, at, "ddl")); n != 2 {
		t.Errorf("%d schema changes published, want the table's and the ALTER", n)
	}
}

// A table that is read in one piece waits, when its view is fixed, for the stream
// to publish what is in front of it. If that has to be read again there may be
// no other reader: the whole read gives way.
func TestWholeReadGivesWay(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("way", "a", true), newFakeTable("way", "k", false))
	db.fill("a", 5)
	db.fill("k", 5)
	wider := newFakeTable("way", "a", true, fieldExtra)
	const steps = 150
	var began sync.Once
	var reported, fixedAt int
	db.hook = func(step, table string) {
		switch {
		case step == "read" && table == "a":
			began.Do(func() { // the stream has a long way to where the chunk was read
				for range steps {
					db.write(func(tx *fakeTx) { tx.put("a", 1, "on the way") })
				}
				db.redefine("ALTER TABLE a ADD extra", map[string]*Table{"db.a": wider})
			})
		case step == "whole-high":
			db.mu.Lock()
			fixedAt = max(fixedAt, reported)
			db.mu.Unlock()
		}
	}
	db.slow = func() {
		db.mu.Lock()
		reported++
		db.mu.Unlock()
		time.Sleep(3 * time.Millisecond)
	}
	r := launch(t, newConfig(t, at, "way", "snapshot.max.threads", "1"), db.open)
	r.reached(t, db)
	sameRows(t, state(t, readEvents(t, at, "way.db.a")), db.rows("a"))
	if n := len(readEvents(t, at, "way.db.k")); n != 5 {
		t.Errorf("%d rows of 5 of the table without a key", n)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if fixedAt == 0 {
		t.Error("no table was read in one piece beside the other")
	}
}

// A table whose keys get another order while it is read, by another collation,
// is read from its start: what is behind a key is not what was behind it.
func TestSnapshotAndOrderOfKeys(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("order", "a", true))
	db.fill("a", 40)
	other := newFakeTable("order", "a", true)
	other.RowOrder = "downwards"
	reads := 0
	var r *running
	started := make(chan struct{})
	db.hook = func(step, _ string) {
		if step != "read" {
			return
		}
		if reads++; reads == 3 {
			<-started
			waitFor(t, "two chunks to go out", func() bool { return r.Status().Snapshot.Rows == 20 })
			db.redefine("ALTER TABLE a MODIFY id COLLATE downwards", map[string]*Table{"db.a": other})
		}
	}
	r = launch(t, newConfig(t, at, "order", "snapshot.chunk.size", "10"), db.open)
	close(started)
	r.reached(t, db)
	read := 0
	for _, e := range readEvents(t, at, "order.db.a") {
		if e.op == "r" {
			read++
		}
	}
	if read != 60 {
		t.Errorf("%d rows read, want the first 20 again with all others", read)
	}
}

// ◆ "What the binlog never shows": a table that comes to its name with rows, by
// RENAME, is read, whether it was being read under its name before or not, and
// its topic is swept of the table that had the name; so is the topic of one that
// was dropped and is created anew. With truncate.handling=debezium nothing is.
func TestTablesThatComeToTheirNames(t *testing.T) {
	_, at := broker(t)
	for _, handling := range []string{"sweep", "debezium"} {
		prefix := "names-" + handling
		a, b, c := newFakeTable(prefix, "a", true), newFakeTable(prefix, "b", true), newFakeTable(prefix, "c", true)
		db := newFakeDB(a, b, c)
		for _, name := range []string{"b", "a", "c"} { // the rows that b gets of a are newer than its own
			db.fill(name, 30)
		}
		var once sync.Once
		db.hook = func(step, table string) {
			if step == "read" && table == "c" {
				once.Do(func() { db.rename("c", newFakeTable(prefix, "d", true)) }) // while it is read
			}
		}
		r := launch(t, newConfig(t, at, prefix, "truncate.handling", handling, "snapshot.chunk.size", "7"), db.open)
		r.reached(t, db)
		db.write(func(tx *fakeTx) { tx.put("a", 31, "of a"); tx.del("b", 1) })
		db.rename("a", newFakeTable(prefix, "b", true))
		db.recreate(newFakeTable(prefix, "a", true))
		db.write(func(tx *fakeTx) { tx.put("a", 2, "anew"); tx.put("b", 3, "renamed") })
		r.reached(t, db)
		r.reached(t, db)
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "d"} {
			got := state(t, readEvents(t, at, prefix+".db."+name))
			if handling == "sweep" {
				sameRows(t, got, db.rows(name))
			} else if len(got) == len(db.rows(name)) {
				t.Errorf("debezium: the topic of %s was brought in line", name)
			}
		}
	}
}

// ◆ "Progress is part of the offset; a crash resumes at the unfinished chunk":
// what was published is not read again.
func TestSnapshotResumesAtTheUnfinishedChunk(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("resume", "a", true))
	db.fill("a", 40)
	crash := errors.New("crash")
	reads := 0
	db.failRead = func(string) error {
		if reads++; reads != 3 {
			return nil
		}
		waitFor(t, "two chunks to be committed", func() bool { return len(readEvents(t, at, "resume.db.a")) == 20 })
		return crash
	}
	c := newConfig(t, at, "resume", "snapshot.chunk.size", "10")
	if err := launch(t, c, db.open).failure(t); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	r := launch(t, c, db.open)
	r.reached(t, db)
	if n := len(readEvents(t, at, "resume.db.a")); n != 40 {
		t.Errorf("%d rows read, want each of 40 once", n)
	}
}

// What was published of a dropped table is swept also where it is in the same
// Kafka transaction, and so in no topic yet, as the table is created anew.
func TestTableCreatedAnewWithinOneKafkaTransaction(t *testing.T) {
	_, at := broker(t)
	a := newFakeTable("anew", "a", true)
	db := newFakeDB(a)
	r := launch(t, newConfig(t, at, "anew"), db.open)
	r.reached(t, db)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	db.write(func(tx *fakeTx) { tx.put("a", 1, "of the old table") })
	db.recreate(newFakeTable("anew", "a", true))
	db.write(func(tx *fakeTx) { tx.put("a", 2, "of the new one") })
	r = launch(t, newConfig(t, at, "anew"), db.open)
	r.reached(t, db)
	r.reached(t, db)
	sameRows(t, state(t, readEvents(t, at, "anew.db.a")), db.rows("a"))
}

// ◆ "before- and after-keys of every event from L until emission are evicted":
// of rows that appear, or come to another key, while a chunk is read, the read
// repeats nothing that the stream says.
func TestSnapshotRepeatsNothing(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("once", "a", true))
	db.fill("a", 10)
	var once sync.Once
	db.hook = func(step, _ string) {
		if step == "low" {
			once.Do(func() { db.write(func(tx *fakeTx) { tx.put("a", 20, "new"); tx.move("a", 3, 30); tx.del("a", 4) }) })
		}
	}
	r := launch(t, newConfig(t, at, "once"), db.open)
	r.reached(t, db)
	for _, e := range readEvents(t, at, "once.db.a") {
		if e.op == "r" && (e.id > 10 || e.id == 3 || e.id == 4) {
			t.Errorf("key %d was read and came by the log", e.id)
		}
	}
	sameRows(t, state(t, readEvents(t, at, "once.db.a")), db.rows("a"))
}

// A table that is dropped while it waits to be read, and one that is created
// then, need no reading.
func TestSnapshotAndDroppedTable(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("drop", "a", true), newFakeTable("drop", "b", true))
	db.fill("a", 30)
	db.fill("b", 30)
	dropped := false
	db.hook = func(step, _ string) {
		if step == "low" && !dropped {
			dropped = true
			db.redefine("DROP TABLE b; CREATE TABLE c", map[string]*Table{"db.b": nil, "db.c": newFakeTable("drop", "c", true)})
			db.write(func(tx *fakeTx) { tx.put("c", 1, "born") })
		}
	}
	r := launch(t, newConfig(t, at, "drop", "snapshot.chunk.size", "10"), db.open)
	r.reached(t, db)
	if got := markersOf(t, at, "drop", "b", "c"); got != "b: ; c: " {
		t.Error(got)
	}
	sameRows(t, state(t, readEvents(t, at, "drop.db.c")), db.rows("c"))
	r.end(t)
	s := storedOffset(t, at, "drop")
	if s.tables["db.c"].Phase != tableStreamed || s.tables["db.a"].Phase != tableDone {
		t.Errorf("stored: %+v %+v", s.tables["db.c"], s.tables["db.a"])
	}
}

// doubtfulSource does not know one table's definition as long as it is told so.
type doubtfulSource struct {
	*fakeSource
	id    string
	doubt *atomic.Bool
}

func (s *doubtfulSource) Table(database, name string) (*Table, error) {
	if database+"."+name == s.id && s.doubt.Load() {
		return nil, ErrDefinition
	}
	return s.fakeSource.Table(database, name)
}

func (s *doubtfulSource) Tables(ctx context.Context) ([]*Table, error) {
	out, err := s.fakeSource.Tables(ctx)
	return slices.DeleteFunc(out, func(t *Table) bool { return t.ID() == s.id && s.doubt.Load() }), err
}

// A table that is to be read waits while its definition is not known, also
// across a restart.
func TestSnapshotWaitsForADefinition(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("doubt", "a", true), newFakeTable("doubt", "b", true))
	db.fill("a", 30)
	db.fill("b", 30)
	var doubt atomic.Bool
	open := openWith(db, func(s *fakeSource) Source { return &doubtfulSource{s, "db.b", &doubt} })
	db.hook = func(step, _ string) {
		if step == "low" {
			doubt.Store(true)
		}
	}
	r := launch(t, newConfig(t, at, "doubt", "snapshot.chunk.size", "10"), open)
	for deadline := time.Now().Add(20 * time.Second); len(readEvents(t, at, "doubt.db.a")) < 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other table is not read")
		}
	}
	r.end(t)
	if got := storedOffset(t, at, "doubt").tables["db.b"].Phase; got != tablePending {
		t.Fatalf("stored: %q", got)
	}
	db.hook = nil
	r = launch(t, newConfig(t, at, "doubt", "snapshot.chunk.size", "10"), open)
	doubt.Store(false)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
	r.reached(t, db)
	sameRows(t, state(t, readEvents(t, at, "doubt.db.b")), db.rows("b"))
}

// ◆ "a chunk counts only if L ⊇ S": a read from a server that is behind the
// stream is thrown away.
func TestSnapshotFromServerBehind(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("behind", "a", true))
	db.fill("a", 10)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
	reads := 0
	open := openWith(db, func(s *fakeSource) Source { return &behindSource{s, &reads} })
	r := launch(t, newConfig(t, at, "behind"), open)
	r.reached(t, db)
	if reads < 2 {
		t.Errorf("%d reads", reads)
	}
	if got := len(slices.DeleteFunc(readEvents(t, at, "behind.db.a"), func(e event) bool { return e.op != "r" })); got != 10 {
		t.Errorf("%d rows read", got)
	}
}

// ◆ "Tables added to the include list later are snapshot alone, while the stream
// goes on"; one that was taken out and comes again is read anew and swept.
func TestSnapshotOfAddedTable(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("added", "a", true), newFakeTable("added", "b", true))
	db.fill("a", 10)
	db.fill("b", 10)
	both, one := newConfig(t, at, "added"), newConfig(t, at, "added")
	only := func(names ...string) OpenSource {
		return openWith(db, func(s *fakeSource) Source { return &onlySource{s, names} })
	}
	r := launch(t, one, only("db.a"))
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 11, "x"); tx.put("b", 11, "not captured") })
	r.reached(t, db)
	r.end(t)
	r = launch(t, both, only("db.a", "db.b"))
	r.reached(t, db)
	r.end(t)
	if got := markersOf(t, at, "added", "a", "b"); strings.Count(got, "true") != 8+9 || !strings.Contains(got, "b: first true") {
		t.Error(got)
	}
	r = launch(t, one, only("db.a"))
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.del("b", 3); tx.put("b", 12, "unseen") })
	r.reached(t, db)
	r.end(t)
	r = launch(t, both, only("db.a", "db.b"))
	r.reached(t, db)
	r.end(t)
	for _, table := range []string{"a", "b"} {
		sameRows(t, state(t, readEvents(t, at, "added.db."+table)), db.rows(table))
	}
}

// snapshot.mode no_data reads nothing, initial_only ends when it has read, and
// neither reads at a later start.
func TestSnapshotModes(t *testing.T) {
	_, at := broker(t)
	for _, mode := range []string{"no_data", "schema_only", "initial_only"} {
		prefix := "mode-" + mode
		db := newFakeDB(newFakeTable(prefix, "a", true))
		db.fill("a", 25)
		c := newConfig(t, at, prefix, "snapshot.mode", mode)
		r := launch(t, c, db.open)
		want := 0
		if mode == "initial_only" {
			want = 25
			for range 2 { // the second start finds nothing to do
				if err := r.failure(t); err != nil {
					t.Fatal(err)
				}
				r = launch(t, c, db.open)
			}
		} else {
			r.reached(t, db)
			db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
			r.reached(t, db)
			r.end(t)
			if got := len(readTopic(t, at, prefix)); got != 1 {
				t.Errorf("%s: %d schema changes", mode, got)
			}
			sameChanges(t, streamed(readEvents(t, at, prefix+".db.a")), db.logged("a", 0))
			r = launch(t, newConfig(t, at, prefix), db.open)
			r.reached(t, db)
			r.end(t)
		}
		if got := len(slices.DeleteFunc(readEvents(t, at, prefix+".db.a"), func(e event) bool { return e.op != "r" })); got != want {
			t.Errorf("%s: %d rows read, want %d", mode, got, want)
		}
	}
}

// ◆ "where continuity cannot be proved it halts with what to do, and never
// skips"; with when_needed it reads all again and ends with a key sweep: rows
// that vanished in the gap become deletes. Versions go on growing.
func TestSnapshotWhenNeeded(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("gap", "a", true))
	db.fill("a", 50)
	r := launch(t, newConfig(t, at, "gap"), db.open)
	r.reached(t, db)
	r.end(t)
	db.write(func(tx *fakeTx) { tx.del("a", 7); tx.put("a", 8, "changed in the gap"); tx.move("a", 9, 99) })
	db.purged = db.length()

	r = launch(t, newConfig(t, at, "gap"), db.open)
	if err := r.failure(t); !errors.Is(err, ErrNoContinuity) {
		t.Fatalf("resumed over a gap: %v", err)
	}
	before := storedOffset(t, at, "gap").offset.Version

	r = launch(t, newConfig(t, at, "gap", "snapshot.mode", "when_needed"), db.open)
	r.reached(t, db)
	r.end(t)
	events := readEvents(t, at, "gap.db.a")
	sameRows(t, state(t, events), db.rows("a"))
	var deleted []int64
	for _, e := range events {
		if e.op == "d" && e.version > before {
			deleted = append(deleted, e.id)
		}
	}
	slices.Sort(deleted)
	if !slices.Equal(deleted, []int64{7, 9}) {
		t.Errorf("swept %v, want 7 and 9", deleted)
	}
}

// The same when the log is purged under the stream's feet.
func TestSnapshotWhenPurgedMeanwhile(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("purged", "a", true))
	db.fill("a", 20)
	var once sync.Once
	db.slow = func() {
		once.Do(func() {
			db.write(func(tx *fakeTx) { tx.del("a", 3) })
			db.write(func(tx *fakeTx) { tx.del("a", 4) })
			db.mu.Lock()
			defer db.mu.Unlock()
			db.purged = len(db.log)
		})
	}
	r := launch(t, newConfig(t, at, "purged", "snapshot.mode", "when_needed"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
	purged := func() bool {
		db.mu.Lock()
		defer db.mu.Unlock()
		return db.purged > 0
	}
	waitFor(t, "the second run", func() bool { return purged() && r.Status().Error != "" })
	r.reached(t, db)
	r.end(t)
	sameRows(t, state(t, readEvents(t, at, "purged.db.a")), db.rows("a"))
}

// A chunk is cut where it has enough bytes, and nothing of it is lost.
func TestSnapshotOfLargeRows(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("large", "a", true))
	db.write(func(tx *fakeTx) {
		for id := int64(1); id <= 40; id++ {
			tx.put("a", id, strings.Repeat("x", 30_000))
		}
	})
	r := launch(t, newConfig(t, at, "large", "max.queue.size.in.bytes", "600000", "snapshot.max.threads", "2"), db.open)
	r.reached(t, db)
	sameRows(t, state(t, readEvents(t, at, "large.db.a")), db.rows("a"))
	if db.reads < 10 {
		t.Errorf("%d reads, for rows of more than ten chunks", db.reads)
	}
	if got := markersOf(t, at, "large", "a"); got != "a: first "+strings.Repeat("true ", 38)+"last" {
		t.Error(got)
	}
}

// openWith wraps the sources of a database.
func openWith(db *fakeDB, wrap func(*fakeSource) Source) OpenSource {
	return func(ctx context.Context, scope Scope) (Source, error) {
		s, err := db.open(ctx, scope)
		return wrap(s.(*fakeSource)), err
	}
}

// TRUNCATE and partitions that are dropped leave no events. ◆ "TRUNCATE and
// partition DDL trigger a key sweep"; with truncate.handling=debezium they do
// not. Keys written meanwhile are spared.
func TestSweepAfterTruncate(t *testing.T) {
	_, at := broker(t)
	for _, handling := range []string{"sweep", "debezium"} {
		prefix := "truncate-" + handling
		db := newFakeDB(newFakeTable(prefix, "a", true), newFakeTable(prefix, "b", false))
		db.fill("a", 60)
		db.fill("b", 5)
		r := launch(t, newConfig(t, at, prefix, "truncate.handling", handling, "snapshot.chunk.size", "7"), db.open)
		r.reached(t, db)
		db.truncate("a", func(id int64) bool { return id%3 != 0 })
		db.truncate("b", func(int64) bool { return true })
		db.write(func(tx *fakeTx) { tx.put("a", 1, "again"); tx.put("a", 100, "new"); tx.del("a", 3) })
		r.reached(t, db)
		r.reached(t, db)
		r.end(t)
		got := state(t, readEvents(t, at, prefix+".db.a"))
		if handling == "sweep" {
			sameRows(t, got, db.rows("a"))
		} else if len(got) != 60 {
			t.Errorf("debezium: %d keys are left", len(got))
		}
		if n := len(readEvents(t, at, prefix+".db.b")); n != 5 {
			t.Errorf("%s: %d events of the table without a key", handling, n)
		}
	}
}

// A sweep that finds more keys than it may hold takes several passes.
func TestSweepInPasses(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("passes", "a", true))
	db.fill("a", 300)
	c := newConfig(t, at, "passes")
	r := launch(t, c, db.open)
	r.reached(t, db)
	r.end(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(at))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n := newSnapshot(&c, nil, client, r.log, time.Now, r.metrics)
	n.sweepKeys = 40
	w := &sweep{plan: &plan{table: newFakeTable("passes", "a", true), topic: "passes.db.a"}, since: 1 << 62, dead: make(chan sweepBatch, 1000), stop: make(chan struct{})}
	if err := n.search(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	close(w.dead)
	found := map[string]bool{}
	batches := 0
	for b := range w.dead {
		if len(b.keys) > 40 {
			t.Errorf("%d keys at a time", len(b.keys))
		}
		batches++
		for _, k := range b.keys {
			found[string(k)] = true
		}
	}
	if len(found) != 300 || batches < 8 {
		t.Errorf("%d keys in %d batches", len(found), batches)
	}
}
