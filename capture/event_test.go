package capture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	cdcjson "github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

// describeRecords is records as lines: operation, key, value's rows, headers
// without version and schema.
func describeRecords(t *testing.T, records []*kgo.Record) string {
	t.Helper()
	var out []string
	events := make([]event, len(records))
	for i, r := range records {
		events[i] = parseEvent(t, r)
	}
	for _, e := range byVersion(events) {
		line := e.op + " " + string(e.Key)
		for _, h := range e.Headers {
			if h.Key != cdc.HeaderVersion && h.Key != cdc.HeaderSchema {
				line += " " + h.Key + "=" + string(h.Value)
			}
		}
		if e.tx != nil {
			line += fmt.Sprintf(" %s/%d/%d", e.tx.ID, e.tx.Total, e.tx.Table)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// A change of a key is a delete with header __debezium.newkey, its tombstone
// with the same, and a create with __debezium.oldkey (golden case keys); a
// delete has a tombstone after it; a table without a key has null keys; all
// records of a change have its version and the fingerprint of their schemas,
// and the schemas are in the schema topic.
func TestEventsOfChanges(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("events", "a", true), newFakeTable("events", "k", false))
	r := launch(t, newConfig(t, at, "events", "topic.creation.default.partitions", "1", "debezium.context.headers.enable", "true"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) {
		tx.put("a", 1, "one")
		tx.put("a", 1, "uno")
		tx.move("a", 1, 2)
		tx.del("a", 2)
		tx.put("k", 9, "nine")
		tx.del("k", 9)
	})
	r.reached(t, db)
	r.end(t)
	context := " __debezium.context.connectorLogicalName=events __debezium.context.taskId=0 __debezium.context.connectorName=fake __debezium.context.runId=run"
	want := strings.Join([]string{
		`c {"id":1}`, `u {"id":1}`,
		`d {"id":1} __debezium.newkey={"id":2}`, `tombstone {"id":1} __debezium.newkey={"id":2}`, `c {"id":2} __debezium.oldkey={"id":1}`,
		`d {"id":2}`, `tombstone {"id":2}`,
	}, context+"\n") + context
	records := readTopic(t, at, "events.db.a")
	if got := describeRecords(t, records); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := describeRecords(t, readTopic(t, at, "events.db.k")), strings.Join([]string{"c ", "d ", "tombstone "}, context+"\n")+context; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	entries := map[string]*cdcjson.SchemaEntry{}
	for _, r := range readTopic(t, at, kafka.SchemaTopic("events")) {
		e, err := cdcjson.UnmarshalSchemaEntry(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		entries[string(r.Key)] = e
	}
	for _, r := range records {
		e := entries[header(r, cdc.HeaderSchema)]
		if e == nil || e.Domain != "weir:events" || e.Topic != "events.db.a" || e.Key != newFakeTable("events", "a", true).Key {
			t.Fatalf("the schema of a record is %+v", e)
		}
		if len(header(r, cdc.HeaderVersion)) != 19 {
			t.Fatalf("version %q", header(r, cdc.HeaderVersion))
		}
	}
}

// What is not wanted is not written: operations, tombstones, updates that
// change nothing.
func TestEventsLeftOut(t *testing.T) {
	_, at := broker(t)
	for name, c := range map[string]struct {
		set  []string
		want string
	}{
		"skipped":    {[]string{"skipped.operations", "u,r"}, "c1 c2 d2 tombstone2"},
		"tombstones": {[]string{"tombstones.on.delete", "false"}, "r50 c1 c2 u1 u1 d2"},
		"unchanged":  {[]string{"skip.messages.without.change", "true"}, "r50 c1 c2 u1 d2 tombstone2"},
	} {
		prefix := "leftout-" + name
		db := newFakeDB(newFakeTable(prefix, "a", true))
		db.mu.Lock()
		db.tables["db.a"].rows[50] = fakeRow{id: 50, n: 1, text: "read"}
		db.mu.Unlock()
		r := launch(t, newConfig(t, at, prefix, c.set...), db.open)
		r.reached(t, db)
		db.write(func(tx *fakeTx) {
			tx.put("a", 1, "one")
			tx.put("a", 2, "two")
			tx.put("a", 1, "uno")
			same := *tx.changes[2].after
			tx.changes = append(tx.changes, fakeChange{tx.changes[2].table, cdc.OpUpdate, &same, &same})
			tx.del("a", 2)
		})
		r.reached(t, db)
		r.end(t)
		var got []string
		for _, e := range byVersion(readEvents(t, at, prefix+".db.a")) {
			got = append(got, e.op+itoa(e.id))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %s, want %s", name, text, c.want)
		}
	}
}

// TRUNCATE is an event of op t with a null key where t is not skipped; ◆ its
// topic then must not be compacted.
func TestEventOfTruncate(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("trunc", "a", true))
	db.fill("a", 3)
	r := launch(t, newConfig(t, at, "trunc", "skipped.operations", "none", "truncate.handling", "debezium"), db.open)
	r.reached(t, db)
	db.truncate("a", func(int64) bool { return true })
	r.reached(t, db)
	r.end(t)
	events := byVersion(readEvents(t, at, "trunc.db.a"))
	if last := events[len(events)-1]; last.op != "t" || !last.keyless || last.after != nil {
		t.Errorf("the last event is %s", last.Value)
	}
	if got := topicConfig(t, at, "trunc.db.a", "cleanup.policy"); got != "delete" {
		t.Errorf("cleanup.policy=%s", got)
	}
}

// Transaction metadata is that of golden case tx-metadata: BEGIN and END with
// the counts, also where nothing of a transaction is captured, the tables of
// END in the order of a Java HashMap, and a block in every event.
func TestTransactionMetadata(t *testing.T) {
	_, at := broker(t)
	prefix := "meta"
	tables := []*Table{}
	for _, name := range []string{"a", "b", "c", "audit"} {
		tables = append(tables, newFakeTable(prefix, name, true))
	}
	db := newFakeDB(tables...)
	r := launch(t, newConfig(t, at, prefix, "provide.transaction.metadata", "true", "topic.creation.default.partitions", "1"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) {
		tx.put("a", 5, "x")
		tx.put("a", 6, "x")
		tx.put("b", 4, "x")
		tx.put("a", 6, "y")
		tx.put("audit", 1, "x")
		tx.put("c", 1, "x")
		tx.move("a", 5, 1000)
	})
	db.mu.Lock()
	db.append(fakeEntry{}) // of which nothing is captured
	db.mu.Unlock()
	r.reached(t, db)
	r.end(t)
	var got []string
	for _, r := range readTopic(t, at, "meta.transaction") {
		if len(r.Headers) > 0 {
			t.Errorf("a record of the transaction topic has headers")
		}
		got = append(got, string(r.Key)+" "+string(r.Value))
	}
	ms := func(i int) string { return itoa(db.log[i].millis) }
	want := []string{
		`{"id":"tx-0"} {"status":"BEGIN","id":"tx-0","event_count":null,"data_collections":null,"ts_ms":` + ms(0) + `}`,
		`{"id":"tx-0"} {"status":"END","id":"tx-0","event_count":8,"data_collections":[` + collections(map[string]int{"db.a": 5, "db.b": 1, "db.c": 1, "db.audit": 1}, "db.a", "db.b", "db.audit", "db.c") + `],"ts_ms":` + ms(0) + `}`,
		`{"id":"tx-1"} {"status":"BEGIN","id":"tx-1","event_count":null,"data_collections":null,"ts_ms":` + ms(1) + `}`,
		`{"id":"tx-1"} {"status":"END","id":"tx-1","event_count":0,"data_collections":[],"ts_ms":` + ms(1) + `}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	lines := describeRecords(t, readTopic(t, at, "meta.db.a"))
	if want := "c {\"id\":5} tx-0/1/1\nc {\"id\":6} tx-0/2/2\nu {\"id\":6} tx-0/4/3\nd {\"id\":5} __debezium.newkey={\"id\":1000} tx-0/7/4\n" +
		"tombstone {\"id\":5} __debezium.newkey={\"id\":1000}\nc {\"id\":1000} __debezium.oldkey={\"id\":5} tx-0/8/5"; lines != want {
		t.Errorf("got\n%s\nwant\n%s", lines, want)
	}
}

// collections is the text of data_collections of names in the order of their
// first event, by the buckets that Java's String.hashCode gives, computed here
// by definition.
func collections(counts map[string]int, names ...string) string {
	bucket := func(s string) uint32 {
		var h uint32
		for _, c := range s {
			h = h*31 + uint32(c)
		}
		return (h ^ h>>16) % 16
	}
	slices.SortStableFunc(names, func(a, b string) int { return int(bucket(a)) - int(bucket(b)) })
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf(`{"data_collection":%q,"event_count":%d}`, n, counts[n]))
	}
	return strings.Join(out, ",")
}

// The order that golden case tx-metadata has.
func TestJavaHashOrder(t *testing.T) {
	var got []string
	tx := &transactions{}
	for _, name := range []string{"a", "b", "audit", "c"} {
		tx.touched = append(tx.touched, &plan{table: &Table{Database: "tx_metadata", Name: name}})
	}
	var row cdc.Row
	row.Reset(transactionValueSchema)
	tx.collections(&row)
	for _, p := range tx.touched {
		got = append(got, p.table.Name)
	}
	if text := strings.Join(got, " "); text != "b c a audit" {
		t.Error(text)
	}
}

// Heartbeats are written at their interval, busy or not, and only then.
func TestHeartbeats(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("beat", "a", true))
	r := launch(t, newConfig(t, at, "beat", "heartbeat.interval.ms", "100", "topic.heartbeat.prefix", "hb"), db.open)
	r.reached(t, db)
	for i := range 10 {
		db.write(func(tx *fakeTx) { tx.put("a", int64(i), "x") })
		time.Sleep(50 * time.Millisecond)
	}
	r.end(t)
	beats := readTopic(t, at, "hb.beat")
	if len(beats) < 3 || len(beats) > 8 {
		t.Errorf("%d heartbeats in half a second, at one in 100 ms", len(beats))
	}
	var last int64
	for _, b := range beats {
		var v struct {
			Millis int64 `json:"ts_ms"`
		}
		if err := json.Unmarshal(b.Value, &v); err != nil || string(b.Key) != `{"serverName":"beat"}` || v.Millis < last+100 {
			t.Errorf("%s %s after %d (%v)", b.Key, b.Value, last, err)
		}
		last = v.Millis
	}
}

// With schemas.enable the envelope has its schema inline, in snapshot rows and
// in changes alike.
func TestEventsWithInlineSchemas(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("inline", "a", true))
	db.fill("a", 2)
	r := launch(t, newConfig(t, at, "inline", "value.converter.schemas.enable", "true", "key.converter.schemas.enable", "true"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 3, "x") })
	r.reached(t, db)
	r.end(t)
	var schemas []string
	for _, r := range readTopic(t, at, "inline.db.a") {
		var key, value struct {
			Schema  struct{ Name string }
			Payload struct {
				ID    int64
				Op    string
				After *jsonRow
			}
		}
		if json.Unmarshal(r.Key, &key) != nil || json.Unmarshal(r.Value, &value) != nil {
			t.Fatalf("%s %s", r.Key, r.Value)
		}
		if key.Payload.ID != value.Payload.After.ID || key.Schema.Name != "inline.db.a.Key" {
			t.Errorf("%s %s", r.Key, r.Value)
		}
		schemas = append(schemas, value.Schema.Name+" "+value.Payload.Op)
	}
	slices.Sort(schemas)
	if text := strings.Join(schemas, ", "); text != "inline.db.a.Envelope c, inline.db.a.Envelope r, inline.db.a.Envelope r" {
		t.Error(text)
	}
}
