package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
)

func mentions(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing of %q in: %v", part, err)
		}
	}
}

// settle waits until r has committed everything of db, and ends it.
func settleAndEnd(t testing.TB, r *running, db *fakeDB) {
	t.Helper()
	r.reached(t, db)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

func sameLines(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s:\n%s\nwant\n%s", what, g, w)
	}
}

func cleanupPolicy(t testing.TB, at, topic string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(at))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.On(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range c.Configs {
		if one.Key == "cleanup.policy" && one.Value != nil {
			return *one.Value
		}
	}
	return ""
}

func topicNames(t testing.TB, at string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(at))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	list, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list.Names(), " ")
}

// ◆ "compact for captured tables with a key, one-to-one renames included; not
// behind many-to-one or conditional routes or row-dropping filters".
func TestPoliciesOfRoutedTopics(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		want map[string]string
	}{
		"one to one":  {chainOf("io.weir.transforms.ByTable"), map[string]string{"a": "compact", "b": "compact", "k": "delete"}},
		"many to one": {chainOf(connectTransform+"RegexRouter", "regex", `(.*)\.db\..`, "replacement", "$1.all"), map[string]string{"many-to-one.all": "delete"}},
		"by field":    {chainOf(unwrapRecord, "route.by.field", "text"), map[string]string{"red": "delete", "blue": "delete"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, at := broker(t)
			prefix := strings.ReplaceAll(name, " ", "-")
			tables := []*Table{newFakeTable(prefix, "a", true), newFakeTable(prefix, "b", true), newFakeTable(prefix, "k", false)}
			if name == "many to one" {
				tables = tables[:2]
			}
			db := newFakeDB(tables...)
			db.write(func(tx *fakeTx) { tx.put("a", 1, "red"); tx.put("b", 1, "blue") })
			r := launch(t, newConfig(t, at, prefix, append(c.set, "include.schema.changes", "false")...), db.open)
			settleAndEnd(t, r, db)
			for topic, want := range c.want {
				if got := cleanupPolicy(t, at, topic); got != want {
					t.Errorf("topic %s has cleanup.policy=%s, want %s", topic, got, want)
				}
			}
			if strings.Contains(topicNames(t, at), prefix+".db.") {
				t.Errorf("topics that nothing is written to: %s", topicNames(t, at))
			}
		})
	}
}

// Every record passes the chain, whatever it is of: changes of the snapshot and
// of the stream, tombstones, the two halves of a change of a key, schema
// changes, transaction metadata and heartbeats.
func TestEveryRecordPasses(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("every", "a", true))
	db.write(func(tx *fakeTx) { tx.put("a", 1, "read") })
	r := launch(t, newConfig(t, at, "every", append(chainOf(connectTransform+"RegexRouter", "regex", `(.*)`, "replacement", "x-$1"),
		"topic.creation.default.partitions", "1", "provide.transaction.metadata", "true", "heartbeat.interval.ms", "50", "debezium.context.headers.enable", "true")...), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 2, "x"); tx.put("a", 1, "y"); tx.del("a", 2); tx.move("a", 1, 3) })
	settleAndEnd(t, r, db)
	var ops []string
	for _, k := range readTopic(t, at, "x-every.db.a") {
		e := parseEvent(t, k)
		op := e.op
		for _, h := range k.Headers {
			if h.Key == headerNewKey || h.Key == headerOldKey {
				op += " " + h.Key + " " + string(h.Value)
			}
		}
		ops = append(ops, op)
	}
	tombstone := parseEvent(t, &kgo.Record{Key: []byte(`{"id":1}`), Headers: readTopic(t, at, "x-every.db.a")[0].Headers}).op
	sameLines(t, "changes", ops, "r", "c", "u", "d", tombstone, `d __debezium.newkey {"id":3}`, tombstone+` __debezium.newkey {"id":3}`, `c __debezium.oldkey {"id":1}`)
	for topic, least := range map[string]int{"x-every": 1, "x-every.transaction": 2, "x-__debezium-heartbeat.every": 1} {
		if n := len(readTopic(t, at, topic)); n < least {
			t.Errorf("topic %s has %d records", topic, n)
		}
	}
	for _, name := range strings.Fields(topicNames(t, at)) {
		if !strings.HasPrefix(name, "x-") && name != "every.weir-schemas" && !strings.HasPrefix(name, "weir-offsets") {
			t.Errorf("topic %s is not one of the chain's", name)
		}
	}
}

// What a record's fingerprint names reads it: the entry is of the schemas that
// it has behind the transforms, and names the topic it was written to.
func TestSchemasBehindTransforms(t *testing.T) {
	for name, set := range map[string][]string{
		"route":  chainOf("io.weir.transforms.ByTable"),
		"unwrap": {"transforms", "u,b", "transforms.u.type", unwrapRecord, "transforms.u.add.fields", "op,source.ts_ms", "transforms.b.type", "io.weir.transforms.ByTable"},
		"whole":  {"transforms", "i,b", "transforms.i.type", connectTransform + "InsertField$Value", "transforms.i.static.field", "x", "transforms.i.static.value", "y", "transforms.b.type", "io.weir.transforms.ByTable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, at := broker(t)
			db := newFakeDB(newFakeTable("entries", "a", true))
			db.write(func(tx *fakeTx) { tx.put("a", 1, "one") })
			r := launch(t, newConfig(t, at, "entries", set...), db.open)
			r.reached(t, db)
			db.write(func(tx *fakeTx) { tx.put("a", 1, "two"); tx.del("a", 1) })
			settleAndEnd(t, r, db)
			entries := map[string]*json.SchemaEntry{}
			for _, k := range readTopic(t, at, kafka.SchemaTopic("entries")) {
				e, err := json.UnmarshalSchemaEntry(k.Value)
				if err != nil || string(k.Key) != e.Fingerprint || e.Topic != "a" {
					t.Fatalf("%s: %+v, %v", k.Key, e, err)
				}
				entries[e.Fingerprint] = e
			}
			texts := 0
			for _, k := range readTopic(t, at, "a") {
				e := entries[headerOf(k, cdc.HeaderSchema)]
				if e == nil || len(headerOf(k, cdc.HeaderVersion)) != versionDigits {
					t.Fatalf("a record without its headers: %v", k.Headers)
				}
				var m json.Message
				reader := json.NewReader(e)
				if err := errors.Join(reader.ReadKey(&m, k.Key), reader.ReadValue(&m, k.Value)); err != nil {
					t.Fatalf("%s: %v", k.Value, err)
				}
				row := m.Value
				if m.Envelope != nil {
					row = m.Envelope.After
				}
				if m.Key.Schema.Name != "entries.db.a.Key" || m.Key.Values[0].Int() != 1 {
					t.Errorf("key %v", m.Key)
				}
				if row != nil && strings.HasPrefix(row.Schema.Name, "entries.db.a.Value") && row.Schema.Field("id").Type == cdc.Int64 {
					texts++
				}
			}
			if texts != 2 {
				t.Errorf("%d rows of their schema, want 2", texts)
			}
		})
	}
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// A record that is dropped is written nowhere, and read no more.
func TestDroppedRecordsAdvance(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("drop", "a", true), newFakeTable("drop", "b", true))
	c := newConfig(t, at, "drop", append(chainOf(connectTransform+"Filter", "predicate", "p"), "predicates", "p",
		"predicates.p.type", connectTransform+"predicates.TopicNameMatches", "predicates.p.pattern", `.*\.a`)...)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
	r := launch(t, c, db.open)
	r.reached(t, db)
	for range 50 {
		db.write(func(tx *fakeTx) { tx.put("a", 1, "y") })
	}
	settleAndEnd(t, r, db)
	if at := fakeAt(storedOffset(t, at, "drop").offset.Position); at != db.length() {
		t.Errorf("the offset is %d of %d", at, db.length())
	}
	if strings.Contains(topicNames(t, at), "drop.db.a") {
		t.Error("a topic was made that nothing is written to")
	}
	db.write(func(tx *fakeTx) { tx.put("b", 1, "z") })
	r = launch(t, c, db.open)
	settleAndEnd(t, r, db)
	if n := len(readTopic(t, at, "drop.db.b")); n != 1 {
		t.Errorf("%d records", n)
	}
}

// refusing is a transform of tests: it refuses rows whose text is "bad", puts
// rows into partition n, and changes their key to text.
type refusing struct {
	batches int
}

func (f *refusing) Apply(r *cdc.Record) (bool, error) {
	e := transform.Envelope(r)
	if e == nil || e.After == nil {
		return true, nil
	}
	if v := e.After.Value("text"); v != nil && string(v.Bytes()) == "bad" {
		return false, errors.New("it is bad")
	}
	return true, nil
}

type refusingBatch struct{ refusing }

func (f *refusingBatch) ApplyAll(_ context.Context, records []*cdc.Record, verdicts []transform.Verdict) error {
	f.batches++
	for i, r := range records {
		keep, err := f.Apply(r)
		verdicts[i] = transform.Verdict{Drop: !keep, Err: err}
	}
	return nil
}

// withChain gives a configuration a chain of one transform of the test's.
func withChain(t testing.TB, c Config, one transform.Transform) Config {
	t.Helper()
	v, _, err := config.Parse(map[string]string{"transforms": "t", "transforms.t.type": "Tested"}, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c.Transforms.Chain, err = transform.New(v, transform.Classes{Transforms: map[string]func(*transform.Options) transform.Transform{
		"Tested": func(*transform.Options) transform.Transform { return one },
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A record that a transform refuses stops the capture in front of it; mended,
// it goes on with that record, and nothing is lost or doubled.
func TestRefusedRecordsStop(t *testing.T) {
	for name, one := range map[string]func() transform.Transform{
		"one by one": func() transform.Transform { return &refusing{} },
		"in batches": func() transform.Transform { return &refusingBatch{} },
	} {
		t.Run(name, func(t *testing.T) {
			_, at := broker(t)
			db := newFakeDB(newFakeTable("refuse", "a", true))
			c := newConfig(t, at, "refuse")
			r := launch(t, withChain(t, c, one()), db.open)
			r.reached(t, db)
			db.write(func(tx *fakeTx) { tx.put("a", 1, "good") })
			r.reached(t, db)
			db.write(func(tx *fakeTx) { tx.put("a", 2, "good"); tx.put("a", 3, "bad") })
			err := r.failure(t)
			if !errors.Is(err, ErrTransform) {
				t.Errorf("ended with %v", err)
			}
			mentions(t, err, "refuse.db.a", "it is bad", "errors.tolerance=all")
			r = launch(t, c, db.open)
			settleAndEnd(t, r, db)
			sameChanges(t, streamed(readEvents(t, at, "refuse.db.a")), db.logged("a", 0))
		})
	}
}

// With errors.tolerance=all what is refused is left out, and counted.
func TestRefusedRecordsAreLeftOut(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("lenient", "a", true))
	one := &refusingBatch{}
	r := launch(t, withChain(t, newConfig(t, at, "lenient", "errors.tolerance", "all"), one), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) {
		for id := range int64(600) {
			tx.put("a", id, []string{"good", "bad", "good"}[id%3])
		}
	})
	settleAndEnd(t, r, db)
	if n := len(readEvents(t, at, "lenient.db.a")); n != 400 {
		t.Errorf("%d events", n)
	}
	if got := counted(t, r.metrics.skipped); got != 200 {
		t.Errorf("%v were counted", got)
	}
	if one.batches > 10 {
		t.Errorf("the chain was asked %d times", one.batches)
	}
}

// counted is what a counter says.
func counted(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// placing puts records where their text says.
type placingText struct{}

func (placingText) Apply(r *cdc.Record) (bool, error) {
	if e := transform.Envelope(r); e != nil && e.After != nil {
		switch text := string(e.After.Value("text").Bytes()); text {
		case "0", "1", "2":
			r.Placed, r.Place = true, int32(text[0]-'0')
		default:
			r.Route = text
		}
		r.Timed, r.Time = true, 1_700_000_000_000
	}
	return true, nil
}

// A transform may choose the partition and the timestamp; a topic that Kafka
// cannot have is refused.
func TestPlacedAndTimedRecords(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("place", "a", true))
	c := newConfig(t, at, "place", "topic.creation.default.partitions", "3", "errors.tolerance", "all")
	r := launch(t, withChain(t, c, placingText{}), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) {
		for id := range int64(30) {
			tx.put("a", id, fmt.Sprint(id%3))
		}
		tx.put("a", 100, "São Paulo")
	})
	settleAndEnd(t, r, db)
	records := readTopic(t, at, "place.db.a")
	if len(records) != 30 {
		t.Fatalf("%d records", len(records))
	}
	for _, k := range records {
		if e := parseEvent(t, k); e.after.text != fmt.Sprint(k.Partition) || k.Timestamp.UnixMilli() != 1_700_000_000_000 {
			t.Errorf("%s is in partition %d at %s", e.after.text, k.Partition, k.Timestamp)
		}
	}
}

// ◆ "before- and after-keys of every event from L until emission are evicted":
// by the key of the source, whatever the transforms make of it.
func TestEvictionsBehindTransformsOfKeys(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("evict", "a", true))
	db.fill("a", 400)
	writes := 0
	db.hook = func(step, table string) {
		if (step == "low" || step == "read" || step == "high") && writes < 60 {
			writes++
			db.write(func(tx *fakeTx) {
				for id := range int64(40) {
					tx.put("a", id*10+int64(writes%10), "newer")
				}
			})
		}
	}
	c := newConfig(t, at, "evict", "snapshot.chunk.size", "50", "include.schema.changes", "false", "topic.creation.default.partitions", "1",
		"transforms", "u,k", "transforms.u.type", unwrapRecord, "transforms.u.delete.tombstone.handling.mode", "rewrite",
		"transforms.k.type", connectTransform+"ValueToKey", "transforms.k.fields", "text")
	r := launch(t, c, db.open)
	settleAndEnd(t, r, db)
	last := map[int64]int64{}
	for _, k := range readTopic(t, at, "evict.db.a") {
		row := readFlat(t, k)
		id, n := row.Value("id"), row.Value("n")
		if literal(t, n) < last[literal(t, id)] {
			t.Errorf("row %d goes back to write %d, behind %d", literal(t, id), literal(t, n), last[literal(t, id)])
		}
		last[literal(t, id)] = literal(t, n)
	}
	rows := db.rows("a")
	if len(last) != len(rows) {
		t.Errorf("%d rows, want %d", len(last), len(rows))
	}
	for id, row := range rows {
		if last[id] != row.n {
			t.Errorf("row %d is of write %d, want %d", id, last[id], row.n)
		}
	}
}

func readFlat(t testing.TB, k *kgo.Record) *cdc.Row {
	t.Helper()
	m := new(json.Message)
	if err := json.NewReader(nil).ReadValue(m, k.Value); err != nil {
		t.Fatal(err)
	}
	return m.Value
}

func literal(t testing.TB, v *cdc.Value) int64 {
	t.Helper()
	var n int64
	if _, err := fmt.Sscan(string(v.Bytes()), &n); err != nil {
		n = v.Int()
	}
	return n
}

// Keys whose rows a TRUNCATE took are deleted behind transforms, too, in the
// form that they give to deletes; where they change keys or mix tables, they
// are not touched.
func TestSweepBehindTransforms(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		want string // of a key that is gone
	}{
		"route":   {chainOf("io.weir.transforms.ByTable"), `{"before":null,"after":null`},
		"unwrap":  {[]string{"transforms", "u,b", "transforms.u.type", unwrapRecord, "transforms.b.type", "ByTable"}, "null"},
		"rewrite": {[]string{"transforms", "u,b", "transforms.u.type", unwrapRecord, "transforms.u.delete.tombstone.handling.mode", "rewrite", "transforms.b.type", "ByTable"}, `"__deleted":"true"`},
		"mixed":   {chainOf(connectTransform+"RegexRouter", "regex", `.*\.db\..*`, "replacement", "a"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, at := broker(t)
			db := newFakeDB(newFakeTable("sweeps", "a", true), newFakeTable("sweeps", "b", true))
			db.fill("a", 20)
			db.write(func(tx *fakeTx) { tx.put("b", 3, "of another table") })
			r := launch(t, newConfig(t, at, "sweeps", append(c.set, "topic.creation.default.partitions", "1")...), db.open)
			r.reached(t, db)
			before := len(readTopic(t, at, "a"))
			db.truncate("a", func(id int64) bool { return id%2 == 0 })
			r.reached(t, db)
			deleted := func() int {
				gone := map[string]bool{}
				for _, k := range readTopic(t, at, "a")[before:] {
					value := "null"
					if k.Value != nil {
						value = string(k.Value)
					}
					if c.want != "" && strings.Contains(value, c.want) {
						gone[string(k.Key)] = true
					}
				}
				return len(gone)
			}
			if c.want != "" {
				waitFor(t, "the sweep", func() bool { return deleted() == 10 })
			}
			settleAndEnd(t, r, db)
			if want := map[bool]int{true: 10}[c.want != ""]; deleted() != want || len(readTopic(t, at, "a")) < before {
				t.Errorf("%d keys were deleted, want %d", deleted(), want)
			}
		})
	}
}

// ◆ "without stored offsets it starts from the largest weir.version at the ends
// of the topics", those that transforms have named included.
func TestVersionsGrowOnRoutedTopics(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("clock", "a", true))
	db.millis = time.Now().Add(30 * time.Second).UnixMilli() // ahead of the next run's clock
	db.write(func(tx *fakeTx) { tx.put("a", 1, "x") })
	set := chainOf("io.weir.transforms.ByTable")
	for _, offsets := range []string{"weir-offsets-1", "weir-offsets-2"} {
		r := launch(t, newConfig(t, at, "clock", append(set, "offset.storage.topic", offsets)...), db.open)
		r.reached(t, db)
		db.write(func(tx *fakeTx) { tx.put("a", 1, "y") })
		settleAndEnd(t, r, db)
		db.millis -= 3_600_000
	}
	var last int64
	for _, k := range readTopic(t, at, "a") {
		if v := headerVersion(k); v <= last {
			t.Errorf("version %d comes behind %d", v, last)
		} else {
			last = v
		}
	}
}

// ◆ A huge transaction goes on at the very record where a crash left it, behind
// transforms as without.
func TestResumeInsideHugeTransactionBehindTransforms(t *testing.T) {
	for name, one := range map[string]transform.Transform{"one by one": &refusing{}, "in batches": &refusingBatch{}} {
		t.Run(name, func(t *testing.T) {
			_, at := broker(t)
			db := newFakeDB(newFakeTable("vast", "a", true))
			c := withChain(t, newConfig(t, at, "vast", "max.queue.size", "300"), one)
			r := launch(t, c, db.open)
			settleAndEnd(t, r, db)
			db.write(func(tx *fakeTx) {
				for id := range int64(3000) {
					tx.put("a", id, "huge")
				}
			})
			crash := errors.New("crash")
			for limit := 450; ; limit += 700 {
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
			}
			r.end(t)
			events := readEvents(t, at, "vast.db.a")
			sameChanges(t, streamed(events), db.logged("a", 0))
			orders(t, events)
		})
	}
}
