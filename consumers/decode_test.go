package consumers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
)

// keep is a target that keeps what it is given, as text.
type keep struct {
	*target
	lines []string
}

func (k *keep) Write(_ context.Context, batch []*cdc.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range batch {
		k.lines = append(k.lines, line(r))
	}
	return nil
}

// line is a record as the sinks see it.
func line(r *cdc.Record) string {
	out := fmt.Sprintf("%d %s v%d %s", r.Offset, r.Route, r.Version, r.Domain)
	if r.Op != cdc.OpNone {
		out += " op=" + string(r.Op)
	}
	if r.Deleted {
		out += " deleted"
	}
	if r.Tombstone {
		out += " tombstone"
	}
	for _, row := range []*cdc.Row{r.Key, r.Value} {
		out += " |"
		if row == nil {
			out += " null"
			continue
		}
		for i := range row.Values {
			v := &row.Values[i]
			switch v.Kind() {
			case cdc.KindString, cdc.KindNumber, cdc.KindBytes:
				out += fmt.Sprintf(" %s=%s", row.Schema.Fields[i].Name, v.Bytes())
			case cdc.KindNull:
				out += fmt.Sprintf(" %s=null", row.Schema.Fields[i].Name)
			default:
				out += fmt.Sprintf(" %s=%d", row.Schema.Fields[i].Name, v.Int())
			}
		}
	}
	return out
}

var itemEntry = json.NewSchemaEntry("weir:shop", "shop.db.items",
	cdc.NewSchema("shop.db.items.Key", cdc.Field{Name: "id", Type: cdc.Int64}),
	cdc.NewSchema("shop.db.items.Value", cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "name", Type: cdc.Text, Optional: true}))

// change is a Debezium event of the table items, with Weir's headers if version
// is not 0.
func change(topic string, op byte, id int, name string, version uint64) *kgo.Record {
	row := fmt.Sprintf(`{"id":%d,"name":%q}`, id, name)
	before, after := "null", row
	if op == 'd' {
		before, after = row, "null"
	}
	r := &kgo.Record{
		Topic: topic, Key: fmt.Appendf(nil, `{"id":%d}`, id),
		Value: fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"version":"1","connector":"mysql","name":"shop","ts_ms":5,"db":"db","table":"items"},"transaction":null,"op":"%c","ts_ms":7,"ts_us":7,"ts_ns":7}`, before, after, op),
	}
	if version > 0 {
		r.Headers = []kgo.RecordHeader{{Key: cdc.HeaderVersion, Value: fmt.Appendf(nil, "%019d", version)}, {Key: cdc.HeaderSchema, Value: []byte(itemEntry.Fingerprint)}}
	}
	return r
}

// decodeAll decodes records with a schema source that knows the items.
func decodeAll(t *testing.T, config Config, records ...*kgo.Record) ([]string, error) {
	t.Helper()
	d := newDecoder(&config, nil, newDomains())
	d.entries[itemEntry.Fingerprint] = itemEntry
	var out []string
	for i, raw := range records {
		raw.Offset = int64(i)
		var s slot
		if err := d.decode(raw, &s); err != nil {
			return out, err
		}
		if r := &s.record; r.Value == nil && r.Envelope != nil {
			if r.Value = r.Envelope.After; r.Op == cdc.OpDelete {
				r.Value, r.Deleted = r.Envelope.Before, true
			}
		}
		out = append(out, line(&s.record))
	}
	return out, nil
}

func TestRecordsAreReadInEveryForm(t *testing.T) {
	tomb := change("t", 'd', 1, "", 0)
	tomb.Value = nil
	inline := &kgo.Record{Topic: "t", Key: []byte(`{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false},"payload":{"id":4}}`),
		Value: []byte(`{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"}],"optional":false},"payload":{"id":4,"name":"d"}}`)}
	got, err := decodeAll(t, Config{}, change("t", 'c', 1, "a", 0), change("t", 'd', 1, "a", 0), tomb, flat("t", 0, 3, 9), inline)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0 t v0 offset op=c | id=1 | id=1 name=a",
		"1 t v1 offset op=d deleted | id=1 | id=1 name=a",
		"2 t v2 offset deleted tombstone | id=1 | null",
		"3 t v3 offset | id=3 | id=3 n=9",
		"4 t v4 offset | id=4 | id=4 name=d",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("record %d:\n got %v\nwant %v", i, got[min(i, len(got)-1)], want[i])
		}
	}
}

func TestVersions(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	stamped := func(r *kgo.Record) *kgo.Record { r.Timestamp = at; return r }
	noEntry := change("t", 'c', 1, "a", 77)
	noEntry.Headers = noEntry.Headers[:1]
	tomb := change("t", 'd', 1, "a", 78)
	tomb.Value, tomb.Headers = nil, tomb.Headers[:1]
	for _, c := range []struct {
		name    string
		source  VersionSource
		records []*kgo.Record
		want    []string // version and domain
		fails   string
	}{
		{"header and entry", VersionAuto, []*kgo.Record{change("t", 'c', 1, "a", 42)}, []string{"v42 weir:shop"}, ""},
		{"offset without a header", VersionAuto, []*kgo.Record{flat("t", 0, 1, 1), flat("t", 0, 1, 2)}, []string{"v0 offset", "v1 offset"}, ""},
		{"offset in spite of a header", VersionOffset, []*kgo.Record{change("t", 'c', 1, "a", 42)}, []string{"v0 offset"}, ""},
		{"record time", VersionRecordTime, []*kgo.Record{stamped(change("t", 'c', 1, "a", 42))}, []string{fmt.Sprintf("v%d record-time", uint64(1_700_000_000_000)<<21)}, ""},
		{"no schema entry: the source block names the capture", VersionAuto, []*kgo.Record{noEntry, tomb}, []string{"v77 weir:shop", "v78 weir:shop"}, ""},
		{"a tombstone alone does not say which capture", VersionAuto, []*kgo.Record{tomb}, nil, "which capture"},
		{"header asked for", VersionHeader, []*kgo.Record{flat("t", 0, 1, 1)}, nil, "weir.version"},
		{"broken header", VersionAuto, []*kgo.Record{{Topic: "t", Value: []byte(`{"a":1}`), Headers: []kgo.RecordHeader{{Key: cdc.HeaderVersion, Value: []byte("-1")}}}}, nil, "19 digits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeAll(t, Config{Versions: c.source}, c.records...)
			var failed *failedAt
			if c.fails != "" && (!errors.As(err, &failed) || !strings.Contains(err.Error(), c.fails)) || c.fails == "" && err != nil {
				t.Fatalf("error %v", err)
			}
			for i := range c.want {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got %s, want %s", got[i], c.want[i])
				}
			}
		})
	}
}

// TestAnotherVersionDomainStops: versions that count something else would make
// every write look older and drop it.
func TestAnotherVersionDomainStops(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newTarget()
	produce(t, cl, flat("t", 0, 1, 1), flat("t", 0, 2, 1))
	foreign := flat("t", 0, 3, 1)
	foreign.Headers = []kgo.RecordHeader{{Key: cdc.HeaderVersion, Value: []byte("0000000000000000042")}}
	foreign.Value = change("t", 'c', 3, "x", 0).Value
	produce(t, cl, foreign)
	produce(t, cl, flat("t", 1, 4, 1))
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "errors.tolerance": "all"}}.build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[0].Committed != 2 || st.Tasks[1].Lag.Records != 0 {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	if p := r.Status().Tasks[0].Problem; !strings.Contains(p.Text, "weir:shop") || !strings.Contains(p.Text, "offset 2 of t-0") || !strings.Contains(p.Do, "version.source=record-time") {
		t.Errorf("problem %+v", p)
	}
	if s.size() != 3 {
		t.Errorf("%d rows", s.size())
	}
	if err := r.Skip(t.Context(), admin.Record{Topic: "t", Partition: 0, Offset: 2}); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	if letter := consume(t, addr, "test-dlq", 1)[0]; string(letter.Key) != `{"id":3}` {
		t.Errorf("dead letter %s", letter.Key)
	}
}

// TestASchemaThatNeverComes: its partition waits with the reason, what came
// before is written and committed, and the record can be skipped.
func TestASchemaThatNeverComes(t *testing.T) {
	addr, topic, name, cl := realTopic(t, nil)
	lost := flat(topic, 0, 2, 1)
	lost.Headers = []kgo.RecordHeader{{Key: cdc.HeaderSchema, Value: fmt.Appendf(nil, "%016x", rand.Uint64())}}
	produce(t, cl, flat(topic, 0, 1, 1), lost, flat(topic, 0, 3, 1), flat(topic, 1, 4, 1))
	s := newTarget()
	r := onKafka(addr, topic, name, s).build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Running || st.Tasks[0].Problem == nil || st.Tasks[0].Committed != 1 || st.Tasks[1].Lag.Records != 0 {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	p := r.Status().Tasks[0].Problem
	if want := fmt.Sprintf("offset 1 of %s-0, key {\"id\":2}: waiting for schema %s", topic, lost.Headers[0].Value); !strings.HasPrefix(p.Text, want) || !strings.Contains(p.Do, "weirctl skip "+topic+" 0 1") {
		t.Errorf("problem %+v, want %s", p, want)
	}
	at := admin.Record{Topic: topic, Partition: 0, Offset: 2}
	if err := r.Skip(t.Context(), at); err == nil {
		t.Error("skipped a record that is not stuck")
	}
	at.Offset = 1
	if err := r.Skip(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	if s.size() != 3 {
		t.Errorf("%d rows", s.size())
	}
	if letter := consume(t, addr, name+"-dlq", 1)[0]; string(letter.Key) != `{"id":2}` {
		t.Errorf("dead letter %s", letter.Key)
	}
}

func TestKeysThatAreNoJSON(t *testing.T) {
	raw := &kgo.Record{Topic: "t", Key: []byte("customer 7"), Value: []byte(`{"a":"b"}`)}
	for _, c := range []Config{{KeyText: true}, {KeyBytes: true}} {
		got, err := decodeAll(t, c, raw)
		if err != nil || got[0] != "0 t v0 offset | =customer 7 | a=b" {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if _, err := decodeAll(t, Config{}, raw); err == nil {
		t.Error("read as JSON")
	}
}

// TestTypedRowsBySchemaFingerprint: the schema's entry arrives after the records
// that name it, and is waited for.
func TestTypedRowsBySchemaFingerprint(t *testing.T) {
	addr, topic, name, cl := realTopic(t, nil)
	unknown := change(topic, 'c', 2, "b", 43)
	unknown.Value = []byte(strings.Replace(string(unknown.Value), `"name"`, `"nickname"`, 1))
	produce(t, cl, change(topic, 'c', 1, "a", 42), unknown, change(topic, 'd', 1, "a", 44))
	// An entry of its own, for the topic is shared.
	entry := json.NewSchemaEntry("weir:"+topic, topic, itemEntry.Key, itemEntry.Value)
	prefix := servers.Unique(t, "shop")
	third := change(topic, 'u', 3, "c", 45)
	third.Headers[1].Value = []byte(entry.Fingerprint)
	if _, err := kafka.CreateTopics(context.Background(), cl, kafka.Compacted(kafka.SchemaTopic(prefix))); err != nil {
		t.Fatal(err)
	}
	k := &keep{target: newTarget()}
	s := onKafka(addr, topic, name, k.target, "errors.tolerance", "all")
	s.writer = k
	r := s.build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) == 3 && st.Tasks[0].Problem != nil && strings.Contains(st.Tasks[0].Problem.Text, "waiting for schema "+itemEntry.Fingerprint) {
			return nil
		}
		return fmt.Errorf("%s", describe(r))
	})
	produce(t, cl, &kgo.Record{Topic: kafka.SchemaTopic(prefix), Key: []byte(itemEntry.Fingerprint), Value: itemEntry.Marshal()})
	caughtUp(t, r, 3)
	k.mu.Lock()
	defer k.mu.Unlock()
	want := []string{
		"0 " + topic + " v42 weir:shop op=c | id=1 | id=1 name=a",
		"2 " + topic + " v44 weir:shop op=d deleted | id=1 | id=1 name=a",
	}
	if fmt.Sprint(k.lines) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", k.lines, want)
	}
	letters := consume(t, addr, name+"-dlq", 1)
	if string(letters[0].Key) != `{"id":2}` { // a field that the schema lacks
		t.Errorf("dead letter %s", letters[0].Key)
	}
}

// TestASchemaOfALaterVersionStops.
func TestASchemaOfALaterVersionStops(t *testing.T) {
	addr := servers.Kafka(t)
	cl := connect(t, addr)
	prefix := servers.Unique(t, "later")
	if _, err := kafka.CreateTopics(context.Background(), cl, kafka.Compacted(kafka.SchemaTopic(prefix))); err != nil {
		t.Fatal(err)
	}
	fingerprint := fmt.Appendf(nil, "%016x", rand.Uint64())
	produce(t, cl, &kgo.Record{Topic: kafka.SchemaTopic(prefix), Key: fingerprint, Value: []byte(`{"version":99,"fingerprint":"x"}`)})
	source := kafka.NewSchemaSource(logger(t), kgo.SeedBrokers(addr))
	defer source.Close()
	d := newDecoder(&Config{}, source, newDomains())
	var s slot
	err := d.decode(&kgo.Record{Topic: "t", Value: []byte(`{}`), Headers: []kgo.RecordHeader{{Key: cdc.HeaderSchema, Value: fingerprint}}}, &s)
	var missing *missingSchema
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
	err = d.await(t.Context(), missing)
	var stopped *sink.Stopped
	if !errors.As(err, &stopped) || !strings.Contains(err.Error(), "format version 99") || !strings.Contains(stopped.Advice, "update this binary") {
		t.Errorf("got %v", err)
	}
}
