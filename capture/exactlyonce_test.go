package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// ◆ "A huge source transaction may span several Kafka transactions, the offset
// then counts rows over all tables plus a running hash of their keys": the
// capture is ended in its middle, again and again, and goes on at the very row.
func TestResumeInsideHugeTransaction(t *testing.T) {
	_, at := broker(t)
	const rows = 6000
	db := newFakeDB(newFakeTable("huge", "a", true), newFakeTable("huge", "b", true), newFakeTable("huge", "k", false))
	c := newConfig(t, at, "huge", "max.queue.size", "500", "provide.transaction.metadata", "true")
	r := launch(t, c, db.open)
	r.reached(t, db)
	r.end(t)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "before") })
	db.write(func(tx *fakeTx) {
		for id := int64(1); id <= rows; id++ {
			tx.put([]string{"a", "b", "k"}[id%3], id, "huge")
			if id%7 == 0 {
				tx.move("a", id-3, id+rows)
			}
		}
	})
	db.write(func(tx *fakeTx) { tx.put("a", 2, "after") })
	crash := errors.New("crash")
	runs, inside := 0, 0
	for limit := 700; ; limit += 900 {
		runs++
		r = launch(t, c, openWith(db, func(s *fakeSource) Source { return &endingSource{s, limit, crash} }))
		waitFor(t, "the end or a crash", func() bool {
			s := r.Status()
			return len(r.done) > 0 || s.Position != nil && fakeAt(s.Position) == db.length()
		})
		if len(r.done) == 0 {
			break
		}
		if err := r.end(t); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		if o := storedOffset(t, at, "huge").offset; o.Rows > 0 {
			inside++
		}
	}
	r.end(t)
	if inside < 3 {
		t.Errorf("%d runs, of which %d ended inside of the transaction", runs, inside)
	}
	for _, table := range []string{"a", "b", "k"} {
		events := readEvents(t, at, "huge.db."+table)
		sameChanges(t, streamed(events), db.logged(table, 0))
		orders(t, events)
	}
	ends := map[string]int{}
	for _, r := range readTopic(t, at, "huge.transaction") {
		var v struct{ Status, ID string }
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		ends[v.Status+" "+v.ID]++
	}
	for _, want := range []string{"BEGIN tx-0", "END tx-0", "BEGIN tx-1", "END tx-1", "BEGIN tx-2", "END tx-2"} {
		if ends[want] != 1 {
			t.Errorf("%s was written %d times", want, ends[want])
		}
	}
}

// DDL that is part of a transaction (CREATE TABLE … SELECT) is published once
// with its rows, wherever the connection breaks or the capture crashes.
func TestResumeInsideTransactionWithDDL(t *testing.T) {
	_, at := broker(t)
	for _, cut := range []int{0, 1, 500, 999} {
		prefix := fmt.Sprintf("ctas-%d", cut)
		db := newFakeDB(newFakeTable(prefix, "a", true))
		r := launch(t, newConfig(t, at, prefix, "max.queue.size", "400"), db.open)
		r.reached(t, db)
		breaks := 0
		db.breaks = func(_, change int) bool {
			if change != cut || breaks == 2 {
				return false
			}
			breaks++
			return true
		}
		db.mu.Lock()
		b := newFakeTable(prefix, "b", true)
		db.tables["db.b"] = &fakeTable{def: b, rows: map[int64]fakeRow{}}
		tx := &fakeTx{db: db}
		for id := range int64(1000) {
			tx.put("b", id, "selected")
		}
		db.append(fakeEntry{changes: tx.changes, ddl: &fakeDDL{text: "CREATE TABLE b SELECT", tables: []string{"db.b"}, define: map[string]*Table{"db.b": b}}})
		db.mu.Unlock()
		r.reached(t, db)
		r.end(t)
		sameChanges(t, streamed(readEvents(t, at, prefix+".db.b")), db.logged("b", 0))
		statements := 0
		for _, r := range readTopic(t, at, prefix) {
			if contains(r.Value, "CREATE TABLE b SELECT") {
				statements++
			}
		}
		if statements != 1 || breaks != 2 {
			t.Errorf("cut at %d: the statement was published %d times, over %d breaks", cut, statements, breaks)
		}
	}
}

// orders demands that data_collection_order counts a table's events of each
// transaction without a gap, over all restarts.
func orders(t *testing.T, events []event) {
	t.Helper()
	last := map[string]int64{}
	for _, e := range byVersion(events) {
		if e.tx == nil || e.op == "tombstone" {
			continue
		}
		if last[e.tx.ID]++; e.tx.Table != last[e.tx.ID] {
			t.Fatalf("event %d of %s has data_collection_order %d", last[e.tx.ID], e.tx.ID, e.tx.Table)
		}
	}
}

// endingSource fails after some changes.
type endingSource struct {
	*fakeSource
	limit int
	err   error
}

func (s *endingSource) Stream(ctx context.Context, wake <-chan struct{}, to Stream) error {
	return s.fakeSource.Stream(ctx, wake, &endingStream{to, s.limit, s.err})
}

type endingStream struct {
	Stream
	left int
	err  error
}

func (s *endingStream) Change(c *Change) error {
	if s.left--; s.left < 0 {
		return s.err
	}
	return s.Stream.Change(c)
}

// ◆ "and a resume that does not match stops": the transaction at the stored
// position has other keys, fewer rows, another id, or is gone.
func TestResumeThatDoesNotMatchStops(t *testing.T) {
	_, at := broker(t)
	for name, change := range map[string]func(db *fakeDB){
		"another key": func(db *fakeDB) { db.log[0].changes[7].after.id += 1000 },
		"another op": func(db *fakeDB) {
			db.log[0].changes[7].op, db.log[0].changes[7].before = cdc.OpUpdate, db.log[0].changes[7].after
		},
		"fewer rows":     func(db *fakeDB) { db.log[0].changes = db.log[0].changes[:200] },
		"another id":     func(db *fakeDB) { db.log[0].id = "tx-x" },
		"DDL in between": func(db *fakeDB) { db.log[0] = fakeEntry{ddl: &fakeDDL{text: "ALTER"}} },
	} {
		t.Run(name, func(t *testing.T) {
			prefix := strings.ReplaceAll("mismatch-"+name, " ", "-")
			db := newFakeDB(newFakeTable(prefix, "a", true))
			c := newConfig(t, at, prefix, "max.queue.size", "300")
			r := launch(t, c, db.open)
			r.reached(t, db)
			r.end(t)
			db.write(func(tx *fakeTx) {
				for id := int64(1); id <= 1000; id++ {
					tx.put("a", id, "x")
				}
			})
			crash := errors.New("crash")
			r = launch(t, c, openWith(db, func(s *fakeSource) Source { return &endingSource{s, 700, crash} }))
			if err := r.failure(t); !errors.Is(err, crash) {
				t.Fatal(err)
			}
			before := storedOffset(t, at, prefix).offset
			if before.Rows == 0 || before.Transaction != "tx-0" {
				t.Fatalf("stored %+v", before)
			}
			change(db)
			r = launch(t, c, db.open)
			if err := r.failure(t); !errors.Is(err, ErrResume) {
				t.Fatalf("it went on: %v", err)
			}
			if after := storedOffset(t, at, prefix).offset; after.Rows != before.Rows || after.Hash != before.Hash {
				t.Errorf("the offset moved from %+v to %+v", before, after)
			}
		})
	}
}

// Requests to Kafka fail in every way, before and after the broker acted on
// them, and connections break: a failed transaction starts again from the
// stored offset with a new epoch, and nothing is lost or doubled.
func TestFaultsOfKafka(t *testing.T) {
	runs := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { runs += kafkaChaos(t, seed) })
	}
	if runs < 12 {
		t.Errorf("%d runs of the capture: the faults did not bite", runs)
	}
}

// kafkaChaos returns how many runs the capture needed.
func kafkaChaos(t *testing.T, seed uint64) int {
	cluster, at := broker(t)
	prefix := fmt.Sprintf("faults-%d", seed)
	db := newFakeDB(newFakeTable(prefix, "a", true))
	db.fill("a", 200)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 11))
	chance := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n) == 0
	}
	inject := func(key kmsg.Key, errs ...*kerr.Error) {
		for _, err := range errs {
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, TxnID: transactionalID(prefix), Err: err, Count: -1, TopLevel: true,
				When: func(kmsg.Request) bool { return chance(40) }})
		}
	}
	inject(kmsg.EndTxn, kerr.RequestTimedOut, kerr.ProducerFenced, kerr.InvalidTxnState, kerr.UnknownServerError, kerr.CoordinatorNotAvailable)
	inject(kmsg.InitProducerID, kerr.NotCoordinator, kerr.ConcurrentTransactions)
	for _, err := range []*kerr.Error{kerr.NotEnoughReplicasAfterAppend, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.TransactionAbortable} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: prefix + ".db.a", Err: err, Count: -1,
			When: func(kmsg.Request) bool { return chance(100) }})
	}
	cut := func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, host)
		return &cutConn{c, func() bool { return chance(700) }}, err
	}
	r := launch(t, newConfig(t, at, prefix, "snapshot.chunk.size", "25", "errors.retry.delay.max.ms", "30"), db.open, kgo.Dialer(cut))
	waitFor(t, "the start", func() bool { return r.Status().Position != nil })
	workRNG := rand.New(rand.NewPCG(seed, 5))
	for range 120 {
		db.workload(workRNG, "a", 200)
		time.Sleep(2 * time.Millisecond)
	}
	r.reached(t, db)
	r.end(t)
	events := readEvents(t, at, prefix+".db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))
	return db.sources
}

// cutConn is a connection that breaks.
type cutConn struct {
	net.Conn
	breaks func() bool
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.breaks() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.breaks() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// The broker gives a transaction up that stays open for too long, as when the
// source stalls in the middle of one: the capture is fenced, leaves the group,
// comes back and goes on from the stored offset.
func TestTransactionThatTimesOut(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("stall", "a", true))
	var once sync.Once
	db.breaks = func(_, change int) bool {
		if change == 30 {
			once.Do(func() { time.Sleep(transactionTimeout + 3*time.Second) })
		}
		return false
	}
	r := launch(t, newConfig(t, at, "stall"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) {
		for id := int64(1); id <= 60; id++ {
			tx.put("a", id, "x")
		}
	})
	r.reached(t, db)
	r.end(t)
	sameChanges(t, streamed(readEvents(t, at, "stall.db.a")), db.logged("a", 0))
	if db.sources != 2 {
		t.Errorf("%d runs", db.sources)
	}
}

// ◆ "Fenced means leave the group": a producer of the same prefix that begins
// later wins; the one before notices at its next transaction and writes no more.
func TestFencedProducerStops(t *testing.T) {
	at := servers.Kafka(t)
	prefix := servers.Unique(t, "fenced")
	c := newConfig(t, at, prefix)
	opts, err := c.Kafka.Options()
	if err != nil {
		t.Fatal(err)
	}
	newTopic(t, at, prefix, nil)
	r := launch(t, c, newFakeDB().open) // for its metrics; its own topics are others
	r.end(t)
	first, err := newPublisher(t.Context(), opts, &c, time.Now, r.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if err := first.produce(prefix, []byte("k"), []byte("first"), nil); err != nil {
		t.Fatal(err)
	}
	if err := first.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := newPublisher(t.Context(), opts, &c, time.Now, r.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	// Its epoch has ended the first one's transaction: nothing is open.
	at1, err := second.announce(t.Context(), prefix, []byte("k"), []byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	if at1 < 2 {
		t.Errorf("the second record is at offset %d, before the end of the first one's transaction", at1)
	}
	err = errors.Join(first.produce(prefix, []byte("k"), []byte("late"), nil), first.commit(t.Context()))
	if !errors.Is(err, errFenced) {
		t.Errorf("the first producer goes on: %v", err)
	}
	got := readTopic(t, at, prefix)
	if len(got) != 1 || string(got[0].Value) != "second" {
		t.Errorf("%d records are visible", len(got))
	}
}

// A record that the broker does not take stops the capture with what to do, and
// does not loop.
func TestRecordTooLarge(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("toolarge", "a", true))
	r := launch(t, newConfig(t, at, "toolarge", "producer.override.max.request.size", "100000"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 7, strings.Repeat("secret", 50_000)) })
	err := r.failure(t)
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatal(err)
	}
	for _, want := range []string{"toolarge.db.a", `{"id":7}`, "max.request.size", "max.message.bytes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the error shows the row")
	}
	if s := r.Status(); s.State != StateFailed || s.Error == "" {
		t.Errorf("status %+v", s)
	}
}
