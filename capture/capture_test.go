package capture

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A first start reads the table and goes on with the log; all of it arrives once.
func TestCaptureReadsThenStreams(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("first", "a", true))
	db.fill("a", 100)
	r := launch(t, newConfig(t, at, "first"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "new"); tx.del("a", 2); tx.put("a", 200, "more") })
	r.reached(t, db)
	events := readEvents(t, at, "first.db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

// ◆ "The promise is that versions only grow along the published stream, across
// restarts, failover, binlog reset, re-snapshot": with a stored offset from
// prev; ◆ "without stored offsets it starts from the largest weir.version at the
// ends of the topics". The source's clock is set back meanwhile.
func TestVersionsGrowAcrossRestarts(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("grow", "a", true))
	db.fill("a", 10)
	db.millis = time.Now().UnixMilli() // not ahead of the capture's clock, which would bound it
	largest := func() (v int64) {
		for _, e := range readEvents(t, at, "grow.db.a") {
			v = max(v, e.version)
		}
		return v
	}
	set := []string{"topic.creation.default.partitions", "1"}
	for i, topic := range []string{"weir-offsets-grow", "weir-offsets-grow", "weir-offsets-lost"} {
		before := int64(0)
		if i > 0 {
			before = largest()
		}
		r := launch(t, newConfig(t, at, "grow", append(set, "offset.storage.topic", topic)...), db.open)
		r.reached(t, db)
		db.mu.Lock()
		db.millis -= 3_600_000
		db.mu.Unlock()
		db.write(func(tx *fakeTx) { tx.put("a", 1, "x"); tx.del("a", int64(2+i)) })
		r.reached(t, db)
		r.end(t)
		if got := storedVersion(t, at, topic, "grow"); got < largest() || got < before {
			t.Errorf("start %d: the stored version is %d, the largest in the topic %d, before %d", i, got, largest(), before)
		}
	}
	events := readEvents(t, at, "grow.db.a")
	for i := 1; i < len(events); i++ {
		if events[i].version < events[i-1].version {
			t.Fatalf("offset %d: version %d after %d", events[i].Offset, events[i].version, events[i-1].version)
		}
	}
	sameRows(t, state(t, events), db.rows("a"))
}

// ◆ "The offset is committed every 10 s even when captured tables are idle".
func TestOffsetIsStoredWhenIdle(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("idle", "a", true))
	r := launch(t, newConfig(t, at, "idle", "offset.flush.interval.ms", "100"), db.open)
	r.reached(t, db)
	count := func() int { return len(readTopic(t, at, "weir-offsets-idle")) }
	before := count()
	waitFor(t, "three more offsets", func() bool { return count() >= before+3 })
	if n := len(readTopic(t, at, "idle.db.a")); n != 0 {
		t.Errorf("%d events of an idle table", n)
	}
}

// A stop in the middle of everything is quick, loses nothing and leaves no
// transaction open.
func TestCleanStop(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("stop", "a", true))
	db.fill("a", 2000)
	c := newConfig(t, at, "stop", "snapshot.chunk.size", "50")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for i := int64(0); ctx.Err() == nil; i++ {
			db.write(func(tx *fakeTx) { tx.put("a", i%50, "x") })
			time.Sleep(time.Millisecond)
		}
	}()
	for i := range 5 {
		r := launch(t, c, db.open)
		time.Sleep(time.Duration(20+10*i) * time.Millisecond)
		began := time.Now()
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
	}
	cancel()
	r := launch(t, c, db.open)
	r.reached(t, db)
	sameRows(t, state(t, readEvents(t, at, "stop.db.a")), db.rows("a"))
}

// What a Source stores comes back to it, and what it removed does not.
func TestEntriesAreStored(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("entries", "a", true))
	c := newConfig(t, at, "entries")
	r := launch(t, c, db.open)
	r.reached(t, db)
	wide := newFakeTable("entries", "a", true, fieldExtra)
	db.redefine("ALTER TABLE a", map[string]*Table{"db.a": wide})
	db.redefine("CREATE TABLE b", map[string]*Table{"db.b": newFakeTable("entries", "b", true)})
	db.redefine("DROP TABLE b", map[string]*Table{"db.b": nil})
	r.reached(t, db)
	r.end(t)
	var got *Stored
	r = launch(t, c, openWith(db, func(s *fakeSource) Source { return &restoredSource{s, &got} }))
	r.reached(t, db)
	r.end(t)
	if len(got.Entries) != 1 || !contains(got.Entries["db.a"], wide.Value.Fingerprint()) {
		t.Errorf("restored %s", got.Entries)
	}
}

// What a Source wants stored of DDL is stored with the first offset behind it,
// also where that lies in the middle of a transaction of many rows.
func TestEntriesAreStoredWithinHugeTransaction(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("entries-huge", "a", true))
	c := newConfig(t, at, "entries-huge", "max.queue.size", "100", "offset.flush.interval.ms", "3600000")
	r := launch(t, c, db.open)
	r.reached(t, db)
	r.end(t)
	wide := newFakeTable("entries-huge", "a", true, fieldExtra)
	db.redefine("ALTER TABLE a", map[string]*Table{"db.a": wide})
	db.write(func(tx *fakeTx) {
		for id := int64(1); id <= 1000; id++ {
			tx.put("a", id, "huge")
		}
	})
	crash := errors.New("crash")
	r = launch(t, c, openWith(db, func(s *fakeSource) Source { return &endingSource{s, 500, crash} }))
	if err := r.failure(t); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	stored := storedOffset(t, at, "entries-huge")
	if stored.offset.Rows == 0 || fakeAt(stored.offset.Position) != 1 {
		t.Fatalf("it did not end within the transaction: %+v", stored.offset)
	}
	if !contains(stored.entries["db.a"], wide.Value.Fingerprint()) {
		t.Errorf("the offset is behind the statement, and what is stored is %s", stored.entries)
	}
}

// restoredSource remembers what it was restored from.
type restoredSource struct {
	*fakeSource
	got **Stored
}

func (s *restoredSource) Restore(ctx context.Context, stored *Stored) error {
	*s.got = stored
	return s.fakeSource.Restore(ctx, stored)
}

// What goes away by itself is tried again, errors.max.retries times in a row;
// the rest ends the capture at once.
func TestRetries(t *testing.T) {
	_, at := broker(t)
	for name, c := range map[string]struct {
		err   error
		opens int
	}{
		"unavailable": {ErrUnavailable, 4},
		"final":       {errors.New("no such column"), 1},
	} {
		opens := 0
		r := launch(t, newConfig(t, at, "retries-"+name, "errors.max.retries", "3"), func(context.Context, Scope) (Source, error) {
			opens++
			return nil, c.err
		})
		if err := r.failure(t); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if opens != c.opens {
			t.Errorf("%s: opened %d times, want %d", name, opens, c.opens)
		}
	}
}

// "Tailing, a Kafka transaction ends as soon as the source is drained": nothing
// but that commits here.
func TestDrainedMeansCommitted(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("drained", "a", true))
	r := launch(t, newConfig(t, at, "drained", "offset.flush.interval.ms", "3600000"), db.open)
	r.reached(t, db)
	for i := range 5 {
		db.write(func(tx *fakeTx) { tx.put("a", int64(i), "x") })
		r.reached(t, db)
		if n := len(readTopic(t, at, "drained.db.a")); n != i+1 {
			t.Fatalf("%d events after %d transactions", n, i+1)
		}
	}
}
