package capture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// broker is an embedded broker in this process.
func broker(t testing.TB) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

// newConfig is a configuration with a few properties set over the defaults.
func newConfig(t testing.TB, bootstrap, prefix string, set ...string) Config {
	t.Helper()
	properties := map[string]string{
		"name": prefix, "topic.prefix": prefix, "bootstrap.servers": bootstrap, "offset.storage.topic": "weir-offsets-" + prefix,
		"errors.retry.delay.initial.ms": "20", "errors.retry.delay.max.ms": "200", "offset.flush.interval.ms": "200",
	}
	for i := 0; i < len(set); i += 2 {
		properties[set[i]] = set[i+1]
	}
	v, _, err := config.Parse(properties, config.Common, Properties, kafka.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is a capture that runs in a test.
type running struct {
	*Capture
	stop context.CancelFunc
	done chan error
}

// launch runs a capture; it is stopped when the test ends.
func launch(t testing.TB, c Config, open OpenSource, more ...kgo.Opt) *running {
	t.Helper()
	capture := New(c, open, Options{Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(), Instance: t.Name(), RunID: "run"})
	capture.clients = more
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Capture: capture, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- capture.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

// end stops the capture and returns its error.
func (r *running) end(t testing.TB) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the capture did not stop")
		return nil
	}
}

// failure waits for the capture to end by itself.
func (r *running) failure(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the capture goes on")
		return nil
	}
}

// reached waits until the capture has stored a position at or behind the log's
// end, and finished its snapshot.
func (r *running) reached(t testing.TB, db *fakeDB) {
	t.Helper()
	waitFor(t, "the end of the log", func() bool {
		s := r.Status()
		return s.Position != nil && fakeAt(s.Position) >= db.length() && (s.Snapshot == nil || !s.Snapshot.Running)
	})
}

// event is a record of a topic, taken apart.
type event struct {
	*kgo.Record
	version int64
	id      int64 // of the key
	keyless bool
	op      string
	before  *fakeRow
	after   *fakeRow
	marker  string
	tx      *struct {
		ID    string `json:"id"`
		Total int64  `json:"total_order"`
		Table int64  `json:"data_collection_order"`
	}
}

type jsonRow struct {
	ID   int64  `json:"id"`
	N    int64  `json:"n"`
	Text string `json:"text"`
}

func (r *jsonRow) row() *fakeRow {
	if r == nil {
		return nil
	}
	return &fakeRow{id: r.ID, n: r.N, text: r.Text}
}

func parseEvent(t testing.TB, r *kgo.Record) event {
	t.Helper()
	e := event{Record: r, keyless: r.Key == nil}
	for _, h := range r.Headers {
		if h.Key == cdc.HeaderVersion {
			e.version = parseVersion(h.Value)
		}
	}
	if r.Key != nil {
		var key struct{ ID int64 }
		if err := json.Unmarshal(r.Key, &key); err != nil {
			t.Fatal(err)
		}
		e.id = key.ID
	}
	if r.Value == nil {
		e.op = "tombstone"
		return e
	}
	var value struct {
		Before, After *jsonRow
		Op            string
		Source        struct{ Snapshot string }
		Transaction   *struct {
			ID    string `json:"id"`
			Total int64  `json:"total_order"`
			Table int64  `json:"data_collection_order"`
		}
	}
	if err := json.Unmarshal(r.Value, &value); err != nil {
		t.Fatalf("%v in %s", err, r.Value)
	}
	e.op, e.before, e.after, e.marker = value.Op, value.Before.row(), value.After.row(), value.Source.Snapshot
	e.tx = value.Transaction
	return e
}

// readTopic is everything committed in a topic, per partition in offset order.
func readTopic(t testing.TB, bootstrap, topic string) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var out []*kgo.Record
	for _, end := range ends.Offsets().Sorted() {
		if end.At < 0 {
			continue
		}
		err := scan(ctx, client, topic, end.Partition, 0, end.At, true, func(r *kgo.Record) error {
			out = append(out, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func readEvents(t testing.TB, bootstrap, topic string) []event {
	t.Helper()
	var out []event
	for _, r := range readTopic(t, bootstrap, topic) {
		out = append(out, parseEvent(t, r))
	}
	return out
}

// state folds a topic into the rows it says the table has, and checks that
// neither version nor value of any key goes backwards.
func state(t testing.TB, events []event) map[int64]fakeRow {
	t.Helper()
	rows := map[int64]fakeRow{}
	versions, writes := map[int64]int64{}, map[int64]int64{}
	for _, e := range events {
		if e.version == 0 {
			t.Fatalf("offset %d has no version", e.Offset)
		}
		if e.version < versions[e.id] || e.version == versions[e.id] && e.op != "tombstone" {
			t.Fatalf("key %d: version %d (%s) comes after %d", e.id, e.version, e.op, versions[e.id])
		}
		versions[e.id] = e.version
		switch {
		case e.after != nil:
			if e.after.n < writes[e.id] {
				t.Fatalf("key %d: %s of write %d comes after write %d", e.id, e.op, e.after.n, writes[e.id])
			}
			writes[e.id] = e.after.n
			rows[e.id] = *e.after
		default:
			delete(rows, e.id)
		}
	}
	return rows
}

// sameRows compares a topic's state with the table.
func sameRows(t testing.TB, got, want map[int64]fakeRow) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			t.Errorf("key %d: the topic has %+v, the table %+v", id, got[id], want[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			t.Errorf("key %d: the topic has %+v, the table nothing", id, got[id])
		}
	}
}

// streamed are the changes of a table, in the order of their versions, as text;
// the two halves of a change of a key are one.
func streamed(events []event) []string {
	events = slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.op == "r" || e.op == "tombstone" })
	events = byVersion(events)
	var out []string
	for i, e := range events {
		if e.op == "c" && i > 0 && hasHeader(e.Record, headerOldKey) {
			out[len(out)-1] = fmt.Sprintf("u %v→%v", *events[i-1].before, *e.after)
			continue
		}
		out = append(out, describeChange(e.op, e.before, e.after))
	}
	return out
}

// byVersion sorts events of several partitions into the order of the stream.
func byVersion(events []event) []event {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.version, b.version) })
	return events
}

func describeChange(op string, before, after *fakeRow) string {
	switch {
	case before == nil:
		return fmt.Sprintf("%s %v", op, *after)
	case after == nil:
		return fmt.Sprintf("%s %v", op, *before)
	}
	return fmt.Sprintf("%s %v→%v", op, *before, *after)
}

// logged are the changes of a table in the log from entry from on.
func (db *fakeDB) logged(table string, from int) []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	var out []string
	for _, e := range db.log[from:] {
		for _, c := range e.changes {
			if c.table.Name == table {
				out = append(out, describeChange(string(c.op), c.before, c.after))
			}
		}
	}
	return out
}

// sameChanges demands that every change of the log was published once, in order.
func sameChanges(t testing.TB, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("change %d of %d (%d published): published %s, the log has %s", i, len(want), len(got), g, w)
		}
	}
}

func hasHeader(r *kgo.Record, key string) bool {
	return slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == key })
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// storedOffset is the newest offset record of a prefix.
func storedOffset(t testing.TB, bootstrap, prefix string) *stored {
	t.Helper()
	s := &stored{entries: map[string][]byte{}, tables: map[string]*tableValue{}}
	for _, r := range readTopic(t, bootstrap, "weir-offsets-"+prefix) {
		if err := s.add(prefix, r.Key, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// storedVersion is the version in the newest offset that topic has.
func storedVersion(t testing.TB, bootstrap, topic, prefix string) int64 {
	t.Helper()
	s := &stored{entries: map[string][]byte{}, tables: map[string]*tableValue{}}
	for _, r := range readTopic(t, bootstrap, topic) {
		if err := s.add(prefix, r.Key, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	return s.offset.Version
}

// newTopic creates a topic of one partition.
func newTopic(t testing.TB, bootstrap, name string, configs map[string]*string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(context.Background(), 1, 1, configs, name); err != nil {
		t.Fatal(err)
	}
}

func topicConfig(t testing.TB, bootstrap, name, setting string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := kadm.NewClient(client).DescribeTopicConfigs(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all[0].Configs {
		if c.Key == setting {
			return c.MaybeValue()
		}
	}
	return ""
}

func contains(b []byte, text string) bool { return bytes.Contains(b, []byte(text)) }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
