package enrich

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

// inTopic is a look-up in a topic.
func inTopic(addr, topic string, more ...string) map[string]string {
	properties := map[string]string{
		"lookup.source": "topic", "lookup.topic.name": topic, "lookup.kafka.bootstrap.servers": addr,
		"lookup.key.field": "user_id", "lookup.value.fields": "name:user_name,email", "lookup.miss.policy": "null",
	}
	for i := 0; i < len(more); i += 2 {
		properties[more[i]] = more[i+1]
	}
	return properties
}

// fakeKafka is a broker in memory.
func fakeKafka(t testing.TB) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// newTopic makes a topic on a broker.
func newTopic(t testing.TB, addr, topic string, partitions int32, configs map[string]string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	all := map[string]*string{}
	for name, text := range configs {
		all[name] = &text
	}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, all, topic); err != nil {
		t.Fatal(err)
	}
	return cl
}

// send produces a record; an empty value is a tombstone.
func send(t testing.TB, cl *kgo.Client, topic, key, value string, headers ...kgo.RecordHeader) {
	t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Headers: headers}
	if value == "" {
		r.Value = nil
	}
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// soon is until the chain makes want of value.
func (l *looking) soon(t testing.TB, value, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = l.apply(t, value)[0]; got == want {
			return
		}
	}
	t.Errorf("got  %s\nwant %s", got, want)
}

// TestALookupTopicThatMayNotBeRead is asked for with pauses.
func TestALookupTopicThatMayNotBeRead(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	addr := cluster.ListenAddrs()[0]
	send(t, newTopic(t, addr, "users", 1, nil), "users", `{"id":1}`, `{"name":"Ann","email":"a@x"}`)
	began := time.Now()
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1,
		When: func(kmsg.Request) bool { return time.Since(began) < 3*time.Second }})
	l := startLookup(t, inTopic(addr, "users"))
	l.soon(t, `{"user_id":1}`, `{"user_id":1,"user_name":"Ann","email":"a@x"}`)
	if n := refused.Hits(); n == 0 || n > 20 {
		t.Errorf("asked %d times in 3 s", n)
	}
}

// TestLookupInATopic: all forms of values, read to the end before the first
// record, and followed afterwards.
func TestLookupInATopic(t *testing.T) {
	for name, broker := range map[string]func(testing.TB) string{"Kafka": servers.Kafka, "fake": fakeKafka} {
		t.Run(name, func(t *testing.T) {
			addr, topic := broker(t), servers.Unique(t, "users")
			cl := newTopic(t, addr, topic, 3, map[string]string{"cleanup.policy": "compact"})
			envelope := func(state, op string) string {
				return `{"before":null,"after":` + state + `,"source":{"db":"shop","name":"shop"},"op":"` + op + `","ts_ms":1}`
			}
			send(t, cl, topic, `{"id":1}`, `{"id":1,"name":"Ann","email":"a@x"}`)
			send(t, cl, topic, `{"id":1}`, `{"id":1,"name":"Anne","email":null}`)
			send(t, cl, topic, `{"id":2}`, envelope(`{"id":2,"name":"Bob","email":true}`, "c"))
			send(t, cl, topic, `{"id":3}`, envelope(`{"id":3,"name":"Cid"}`, "r"))
			send(t, cl, topic, `{"id":3}`, envelope(`null`, "d"))
			send(t, cl, topic, `4`, `{"schema":{"type":"struct","optional":false,"fields":[{"field":"name","type":"string","optional":true}]},"payload":{"name":"Dan"}}`)
			send(t, cl, topic, `{"id":5}`, `{"name":"Eve"}`)
			send(t, cl, topic, `{"id":5}`, ``)
			send(t, cl, topic, `customer-6`, `{"name":"Fay","__deleted":"false"}`)
			send(t, cl, topic, `{"id":7}`, `{"name":"Gus","__deleted":"true"}`)
			send(t, cl, topic, `{"id":8}`, `{"name"`)
			l := startLookup(t, inTopic(addr, topic))
			in := []string{`{"user_id":1}`, `{"user_id":"2"}`, `{"user_id":3}`, `{"user_id":4}`, `{"user_id":5}`, `{"user_id":"customer-6"}`, `{"user_id":7}`}
			want := []string{`{"user_id":1,"user_name":"Anne","email":null}`, `{"user_id":"2","user_name":"Bob","email":true}`, `{"user_id":3,"user_name":null,"email":null}`,
				`{"user_id":4,"user_name":"Dan","email":null}`, `{"user_id":5,"user_name":null,"email":null}`, `{"user_id":"customer-6","user_name":"Fay","email":null}`,
				`{"user_id":7,"user_name":null,"email":null}`}
			if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
				t.Error(d)
			}
			if got := l.apply(t, `{"user_id":8}`)[0]; !strings.Contains(got, "rejected: applying transform user: looking up 8 in topic "+topic+": reading offset ") {
				t.Error(got)
			}
			keys, bytes := l.metric(t, "weir_lookup_entries", "kind", "topic"), l.metric(t, "weir_lookup_bytes", "kind", "topic")
			if keys != 5 || bytes < 5*entryOverhead || bytes > 5*2*entryOverhead {
				t.Errorf("%v keys in %v bytes", keys, bytes)
			}
			send(t, cl, topic, `{"id":1}`, ``)
			send(t, cl, topic, `{"id":3}`, envelope(`{"id":3,"name":"Cindy"}`, "u"))
			l.soon(t, `{"user_id":3}`, `{"user_id":3,"user_name":"Cindy","email":null}`)
			l.soon(t, `{"user_id":1}`, `{"user_id":1,"user_name":null,"email":null}`)
		})
	}
}

// TestLookupInATopicOfACapture: rows are read by the schema that their header
// names.
func TestLookupInATopicOfACapture(t *testing.T) {
	addr, prefix := fakeKafka(t), "shop" // with the schema topics of this test only
	topic := prefix + ".users"
	cl := newTopic(t, addr, topic, 1, map[string]string{"cleanup.policy": "compact"})
	newTopic(t, addr, kafka.SchemaTopic(prefix), 1, map[string]string{"cleanup.policy": "compact"})
	row := cdc.NewSchema("row", cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "name", Type: cdc.Text, Optional: true}, decimalField("credit", 10, 2),
		cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date, Optional: true})
	entry := json.NewSchemaEntry("weir:"+prefix, topic, cdc.NewSchema("key", cdc.Field{Name: "id", Type: cdc.Int64}), row)
	send(t, cl, kafka.SchemaTopic(prefix), entry.Fingerprint, string(entry.Marshal()))
	header := kgo.RecordHeader{Key: cdc.HeaderSchema, Value: []byte(entry.Fingerprint)}
	send(t, cl, topic, `{"id":7}`, `{"before":null,"after":{"id":7,"name":"Ann","credit":"MDk=","day":3},"source":{"name":"shop"},"op":"c","ts_ms":1}`, header)
	l := startLookup(t, inTopic(addr, topic, "lookup.value.fields", "name,credit,day", "lookup.types", "credit:decimal(10,2)"))
	if got, want := l.apply(t, `{"user_id":7}`)[0], `{"user_id":7,"name":"Ann","credit":123.45,"day":3}`; got != want {
		t.Error(got)
	}
}

// TestTheEndOfATopicIsFound behind aborted transactions, markers, and records
// that were compacted away.
func TestTheEndOfATopicIsFound(t *testing.T) {
	addr, topic := servers.Kafka(t), servers.Unique(t, "users")
	newTopic(t, addr, topic, 2, map[string]string{"cleanup.policy": "compact"})
	tx, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	for i := range 6 {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(t, tx, topic, fmt.Sprintf(`{"id":%d}`, i), fmt.Sprintf(`{"name":"n%d"}`, i))
		if err := tx.EndTransaction(context.Background(), i < 3); err != nil {
			t.Fatal(err)
		}
	}
	l := startLookup(t, inTopic(addr, topic))
	want := []string{`{"user_id":2,"user_name":"n2","email":null}`, `{"user_id":3,"user_name":null,"email":null}`}
	if d := cmp.Diff(want, l.apply(t, `{"user_id":2}`, `{"user_id":3}`)); d != "" {
		t.Error(d)
	}
}

// waitedFor applies the chain to one record until it says what it waits for.
func (l *looking) waitedFor(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := l.Apply(ctx, oneUser(t))
		done <- err
	}()
	reason := <-l.waits
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	return reason
}

// TestLookupWaitsForItsTopic, and for its brokers, and says so.
func TestLookupWaitsForItsTopic(t *testing.T) {
	addr, topic := servers.Kafka(t), servers.Unique(t, "users")
	gone := newGate(t, "").listener.Addr().String()
	properties := inTopic(addr, topic, "lookup.timeout.ms", "1500", "lookup.unavailable.policy", "null", "lookup.unavailable.timeout.ms", "0")
	if reason := startLookup(t, properties, "lookup.kafka.bootstrap.servers", gone).waitedFor(t); !strings.HasPrefix(reason, "looking up: reading topic "+topic+" to its end: ") {
		t.Errorf("without a broker it waits for %q", reason)
	}
	l := startLookup(t, properties)
	if reason := l.waitedFor(t); !strings.Contains(reason, "UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("without a topic it waits for %q", reason)
	}
	send(t, newTopic(t, addr, topic, 1, nil), topic, `{"id":1}`, `{"name":"Ann"}`)
	if got, want := l.apply(t, `{"user_id":1}`)[0], `{"user_id":1,"user_name":"Ann","email":null}`; got != want {
		t.Error(got)
	}
}

// TestTheComponentsOwnKafka is read where the look-up names no other.
func TestTheComponentsOwnKafka(t *testing.T) {
	addr, topic := servers.Kafka(t), servers.Unique(t, "users")
	send(t, newTopic(t, addr, topic, 1, nil), topic, `{"id":1}`, `{"name":"Ann"}`)
	properties := inTopic(addr, topic)
	delete(properties, "lookup.kafka.bootstrap.servers")
	l := startLookupWith(t, LookupServers{Kafka: &kafka.Config{Bootstrap: []string{addr}}}, properties)
	if got, want := l.apply(t, `{"user_id":1}`)[0], `{"user_id":1,"user_name":"Ann","email":null}`; got != want {
		t.Error(got)
	}
}

// TestTheDistanceToTheEnd: what no consumer is given does not have to come; what
// is still to come does.
func TestTheDistanceToTheEnd(t *testing.T) {
	addr, topic := servers.Kafka(t), servers.Unique(t, "users")
	newTopic(t, addr, topic, 1, nil)
	tx, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} { // offset 0 and its marker, offset 2 and its marker
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(t, tx, topic, `1`, `{}`)
		if err := tx.EndTransaction(context.Background(), commit); err != nil {
			t.Fatal(err)
		}
	}
	l := startLookup(t, inTopic(addr, topic))
	s := l.made[0].run.sources[0].source.(*topicSource)
	first, err := s.look(t.Context())
	if err != nil || first.next[0] != 0 || first.end[0] != 4 {
		t.Fatalf("the topic is %+v, %v", first, err)
	}
	for _, c := range []struct {
		next, end     int64
		idle, reached bool
	}{{0, 1, true, true}, {0, 1, false, false}, {0, 2, true, false}, {2, 3, true, false}, {3, 3, false, true}} {
		d := &distance{id: first.id, next: map[int32]int64{0: c.next}, end: map[int32]int64{0: c.end}, idle: c.idle}
		if got := d.reached(t.Context(), s); got != c.reached {
			t.Errorf("from %d to %d, idle %v: reached is %v", c.next, c.end, c.idle, got)
		}
	}
}
