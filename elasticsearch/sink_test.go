package elasticsearch

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	elastic "github.com/elastic/go-elasticsearch/v8"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

var (
	keySchema   = cdc.NewSchema("shop.orders.Key", cdc.Field{Name: "id", Type: cdc.Int64})
	valueSchema = cdc.NewSchema("shop.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "city", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 30, Scale: 2, Optional: true, SchemaVersion: 1},
		cdc.Field{Name: "updated", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "created", Type: cdc.Int64, Semantic: cdc.Timestamp, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "attrs", Type: cdc.Text, Semantic: cdc.JSON, SchemaVersion: 1, Optional: true})
)

func parse(t testing.TB, properties map[string]string) Config {
	t.Helper()
	all := map[string]string{"name": servers.Unique(t, "search"), "connection.url": "http://127.0.0.1:1", "max.retries": "8", "retry.backoff.ms": "20", "read.timeout.ms": "180000"}
	for k, v := range properties {
		all[k] = v
	}
	v, _, err := config.Parse(all, Properties, config.Common)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, properties map[string]string) *Sink {
	t.Helper()
	if properties == nil {
		properties = map[string]string{}
	}
	if properties["connection.url"] == "" {
		properties["connection.url"] = servers.Elasticsearch(t)
	}
	s, err := New(context.Background(), parse(t, properties), zaptest.NewLogger(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// row is a record with a value for the index route.
func row(route string, id int64, version uint64, city string) *cdc.Record {
	r := gone(route, id, version)
	r.Deleted, r.Tombstone = false, false
	r.Value = new(cdc.Row)
	r.Value.Reset(valueSchema)
	v := r.Value.Values
	v[0], v[1], v[2] = cdc.Int(id), cdc.String([]byte(city)), cdc.String([]byte("PAID"))
	v[3] = cdc.BigDecimal([]byte{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34})
	v[4], v[5], v[6] = cdc.String([]byte("2026-11-23T10:00:00.123456Z")), cdc.Int(1795427999123), cdc.Int(20780)
	v[7] = cdc.String([]byte(`{"a":[1,2]}`))
	return r
}

func gone(route string, id int64, version uint64) *cdc.Record {
	key := new(cdc.Row)
	key.Reset(keySchema)
	key.Values[0] = cdc.Int(id)
	return &cdc.Record{Origin: cdc.Origin{Topic: "shop." + route}, Route: route, Key: key, Version: version, Domain: "weir:shop", Deleted: true, Tombstone: true}
}

func write(t testing.TB, s *Sink, records ...*cdc.Record) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	return s.Write(ctx, records)
}

func mustWrite(t testing.TB, s *Sink, records ...*cdc.Record) {
	t.Helper()
	if err := write(t, s, records...); err != nil {
		t.Fatal(err)
	}
}

// ask is a client of its own, which knows nothing of the sink.
func ask(t testing.TB, method, path string, body string) map[string]any {
	t.Helper()
	client, err := elastic.NewClient(elastic.Config{Addresses: []string{servers.Elasticsearch(t)}})
	if err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Perform(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	d := stdjson.NewDecoder(response.Body)
	d.UseNumber()
	out := map[string]any{}
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// document is a document's source, nil if there is none.
func source(t testing.TB, index string, id string) map[string]any {
	t.Helper()
	found, _ := ask(t, "GET", "/"+index+"/_doc/"+id, "")["_source"].(map[string]any)
	return found
}

func indexName(t testing.TB) string { return strings.ToLower(servers.Unique(t, "orders")) }

func TestWriteAndDelete(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 1, 10, "Rome"), row(name, 2, 11, "Oslo"), row(name, 1, 12, "Bern"))
	got := source(t, name, "1") // by the alias, as a reader does
	want := `Bern 859680582837069624161.80 2026-11-23T10:00:00.123456Z 1795427999123 20780 {"a":[1,2]}`
	if text := fmt.Sprint(got["city"], " ", got["total"], " ", got["updated"], " ", got["created"], " ", got["day"], " ", got["attrs"]); text != want {
		t.Errorf("document 1 is\n%s, want\n%s", text, want)
	}
	mustWrite(t, s, gone(name, 1, 13))
	if got := source(t, name, "1"); got != nil {
		t.Errorf("document 1 is still %v", got)
	}
	if got := source(t, name, "2"); got == nil {
		t.Error("document 2 is gone")
	}
}

// TestMapping: fields get their types before the first document, and those that
// come later get theirs when they come.
func TestMapping(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	wider := row(name, 2, 2, "Oslo")
	wider.Value.Reset(valueSchema.With(cdc.Field{Name: "note", Type: cdc.Text, Optional: true, Semantic: cdc.UUID}))
	wider.Value.Values[0] = cdc.Int(2)
	mustWrite(t, s, wider)
	mappings := ask(t, "GET", "/"+name+"/_mapping", "")[name+"-g1"].(map[string]any)["mappings"].(map[string]any)["properties"].(map[string]any)
	for field, want := range map[string]string{"id": "long", "city": "text", "status": "keyword", "total": "double", "updated": "date", "created": "date", "day": "integer", "attrs": "text", "note": "keyword"} {
		m, _ := mappings[field].(map[string]any)
		if m == nil || m["type"] != want {
			t.Errorf("%s is mapped as %v, want %s", field, m, want)
		}
	}
	ask(t, "POST", "/"+name+"/_refresh", "")
	found := ask(t, "POST", "/"+name+"/_search", `{"query":{"bool":{"filter":[{"term":{"status":"PAID"}},{"range":{"updated":{"gte":"2026-11-23T09:00:00Z"}}},{"range":{"created":{"lt":"2026-11-24"}}},{"match":{"city":"rome"}}]}}}`)
	if total := found["hits"].(map[string]any)["total"].(map[string]any)["value"]; fmt.Sprint(total) != "1" {
		t.Errorf("the search found %v", found)
	}
}

// TestStaleWrites: what comes late changes nothing, neither an update nor one
// that a delete followed.
func TestStaleWrites(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 1, 10, "new"))
	mustWrite(t, s, row(name, 1, 9, "old"))
	if got := source(t, name, "1")["city"]; got != "new" {
		t.Errorf("the city is %v: an older write won", got)
	}
	mustWrite(t, s, gone(name, 1, 11))
	mustWrite(t, s, row(name, 1, 10, "new"))
	if got := source(t, name, "1"); got != nil {
		t.Errorf("a write that is older than the delete brought %v back", got)
	}
	mustWrite(t, s, gone(name, 99, 20)) // never there
	mustWrite(t, s, row(name, 99, 19, "late"))
	if got := source(t, name, "99"); got != nil {
		t.Errorf("a delete that came first did not keep %v out", got)
	}
}

// TestLongAndEmptyIDs: a single one that Elasticsearch refuses would fail a
// whole bulk request.
func TestLongAndEmptyIDs(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	text := cdc.NewSchema("k", cdc.Field{Name: "code", Type: cdc.Text})
	var records []*cdc.Record
	keys := []string{"", strings.Repeat("é", 300), "sha256:abc", "fine"}
	for i, key := range keys {
		r := row(name, int64(i), uint64(i+1), key)
		r.Key.Reset(text)
		r.Key.Values[0] = cdc.String([]byte(key))
		records = append(records, r)
	}
	mustWrite(t, s, records...)
	for _, key := range keys {
		id, full := shortID([]byte(key), 0)
		got := source(t, name, string(id))
		if got["city"] != key {
			t.Errorf("the document of key %.10q is %v", key, got)
		}
		if full != nil && got[keyField] != key {
			t.Errorf("the document of key %.10q does not keep it: %v", key, got)
		}
	}
}

// TestRejectedItem: one record that does not fit the mapping is named, and the
// others of its batch are written.
func TestRejectedItem(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	bad := row(name, 2, 2, "Oslo")
	bad.Value.Values[4] = cdc.String([]byte("not a date"))
	var rejected *sink.Rejected
	// A delete of nothing is done also where the answer says that something failed.
	err := write(t, s, row(name, 1, 1, "Rome"), bad, row(name, 3, 3, "Bern"), gone(name, 4, 4))
	if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 || !strings.Contains(err.Error(), "updated") {
		t.Fatalf("the batch: %v", err)
	}
	for id, want := range map[string]bool{"1": true, "2": false, "3": true} {
		if got := source(t, name, id); (got != nil) != want {
			t.Errorf("document %s is %v", id, got)
		}
	}
}

// TestBadRoute: a topic that cannot name an index rejects its record.
func TestBadRoute(t *testing.T) {
	s := open(t, nil)
	var rejected *sink.Rejected
	if err := write(t, s, row("a,b", 1, 1, "Rome")); !errors.As(err, &rejected) {
		t.Errorf("the record: %v", err)
	}
}

// moved is an update that takes a row from one city to another, behind a router
// by the city.
func moved(name, was, is string) []*cdc.Record {
	left, r := gone(name+"-"+was, 1, 2), row(name+"-"+is, 1, 2, is)
	left.Topic, r.Topic, left.Left = "shop."+name, "shop."+name, true
	return []*cdc.Record{left, r}
}

// TestAnUpdateIsNotBlamedForWhereItsRowWas: what is done with deletes in Kafka,
// and what cannot be written, is not for the delete of a row that was moved.
func TestAnUpdateIsNotBlamedForWhereItsRowWas(t *testing.T) {
	for what, c := range map[string]struct {
		properties map[string]string
		was        string
		stays      bool // a document where the row was
	}{
		"a place that is none":       {nil, "in progress", false},
		"nulls are failures":         {map[string]string{"behavior.on.null.values": "fail"}, "open", false},
		"nulls are ignored":          {map[string]string{"behavior.on.null.values": "ignore"}, "open", false},
		"a document of every change": {map[string]string{"key.ignore": "true"}, "open", true},
	} {
		s, name := open(t, c.properties), indexName(t)
		id := "1"
		if s.config.KeyIgnore {
			id = "shop." + name + "+0+0"
		}
		if c.was == "open" {
			before := row(name, 1, 1, c.was)
			before.Route += "-open"
			mustWrite(t, s, before)
		}
		if err := write(t, s, moved(name, c.was, "paid")...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := source(t, name+"-paid", id); got["city"] != "paid" {
			t.Errorf("%s: the document is %v", what, got)
		}
		if got := source(t, name+"-open", id); (got != nil) != c.stays {
			t.Errorf("%s: where the row was there is %v", what, got)
		}
	}
}

// TestDomain: versions that count something else stop the sink, also another
// process's.
func TestDomain(t *testing.T) {
	name := indexName(t)
	mustWrite(t, open(t, nil), row(name, 1, 1, "Rome"))
	r := row(name, 1, 100, "Oslo")
	r.Domain = "offset"
	var domain *DomainError
	if err := write(t, open(t, nil), r); !errors.As(err, &domain) {
		t.Errorf("a record of another domain: %v", err)
	}
	other := row(name, 2, 100, "Oslo") // another topic may count otherwise
	other.Topic, other.Domain = "legacy.orders", "offset"
	mustWrite(t, open(t, nil), other)
}

// TestOffsetDomains: offsets go on from those that an earlier version wrote down
// without their topic, and from none of another topic or of fewer partitions.
func TestOffsetDomains(t *testing.T) {
	name := indexName(t)
	for i, c := range []struct {
		domain string
		said   string // why it stops
	}{
		{"offset", ""}, {"offset:aa:3", ""}, {"offset:aa:3", ""}, {"offset", "cannot be compared"},
		{"offset:aa:4", "version.source=record-time and rebuild"}, {"offset:bb:3", "cannot be compared"}, {"offset:aa:3", ""},
	} {
		r := row(name, 1, uint64(i+1), "Rome")
		r.Domain = c.domain
		err := write(t, open(t, nil), r)
		if c.said == "" && err != nil || c.said != "" && (err == nil || !strings.Contains(err.Error(), c.said)) {
			t.Errorf("%s: %v, want %q", c.domain, err, c.said)
		}
	}
}

// holding keeps the first request that puts _meta until it may go on.
type holding struct {
	performer
	arrived, on chan struct{}
	once        sync.Once
}

// Perform sends the request on.
func (h *holding) Perform(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/_mapping") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = nopCloser{bytes.NewReader(body)}
		if bytes.Contains(body, []byte(`"_meta"`)) {
			h.once.Do(func() { close(h.arrived); <-h.on })
		}
	}
	return h.performer.Perform(r)
}

// TestTwoProcessesClaimAtOnce: of two topics of one index, whose domains two
// processes write down at once, both are kept.
func TestTwoProcessesClaimAtOnce(t *testing.T) {
	name := indexName(t)
	mapping := map[string]string{"topic.to.external.resource.mapping": "a:" + name + ",b:" + name}
	one, two := open(t, mapping), open(t, mapping)
	h := &holding{performer: two.client, arrived: make(chan struct{}), on: make(chan struct{})}
	two.client = h
	done := make(chan error, 2)
	go func() { done <- two.Write(context.Background(), []*cdc.Record{row("b", 2, 1<<60, "Oslo")}) }()
	<-h.arrived
	go func() { done <- one.Write(context.Background(), []*cdc.Record{row("a", 1, 1<<60, "Rome")}) }()
	time.Sleep(time.Second)
	close(h.on)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for id, topic := range []string{"a", "b"} {
		r := row(topic, int64(id+1), 7, "Bern")
		r.Domain = "offset"
		var domain *DomainError
		if err := write(t, open(t, mapping), r); !errors.As(err, &domain) {
			t.Errorf("records of another domain in topic %s: %v", topic, err)
		}
	}
}

// TestAClaimOutlivesACrashOfAnother: a process that crashed while it wrote down a
// domain is waited for, and then no longer.
func TestAClaimOutlivesACrashOfAnother(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	crashed := &index{name: name + "-g1"}
	if _, err := s.begin(t.Context(), crashed); err != nil {
		t.Fatal(err)
	}
	if err := write(t, s, row(name, 1, 1, "Rome")); !errors.Is(err, errTurn) {
		t.Errorf("while another process may be writing: %v", err)
	}
	s.indexes[name].since = time.Now().Add(-turnOver)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	if found := ask(t, "GET", turnPath(crashed), "")["found"]; found != false {
		t.Errorf("a turn is left behind: %v", found)
	}
}

// TestPlainIndex: an index that exists under the plain name is written to as it
// is.
func TestPlainIndex(t *testing.T) {
	name := indexName(t)
	ask(t, "PUT", "/"+name, "")
	mustWrite(t, open(t, nil), row(name, 1, 1, "Rome"))
	if got := ask(t, "GET", "/"+name+"/_doc/1", ""); got["_index"] != name {
		t.Errorf("the document went to %v", got["_index"])
	}
}

// refusing is a cluster that refuses some requests, in front of the real one.
type refusing struct {
	performer
	fail  func(n int64, r *http.Request) *http.Response
	calls atomic.Int64
}

// Perform answers with a fault, or asks the real cluster.
func (f *refusing) Perform(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/_bulk") {
		if response := f.fail(f.calls.Add(1), r); response != nil {
			return response, nil
		}
	}
	return f.performer.Perform(r)
}

func answerOf(status int, body string) *http.Response {
	recorder := &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{}, Body: nopCloser{bytes.NewReader([]byte(body))}}
	return recorder
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// TestBusyItems: items that the cluster refuses for now are sent again, those
// alone, until they are taken; and so is a whole request.
func TestBusyItems(t *testing.T) {
	s, name := open(t, map[string]string{"max.in.flight.requests": "1"}), indexName(t)
	mustWrite(t, s, row(name, 100, 1, "Rome")) // the index exists
	var sizes []int
	f := &refusing{performer: s.client, fail: func(n int64, r *http.Request) *http.Response {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = nopCloser{bytes.NewReader(body)}
		sizes = append(sizes, bytes.Count(body, []byte(`{"index":`)))
		switch n {
		case 1:
			return answerOf(429, `{"error":{"type":"es_rejected_execution_exception","reason":"full"}}`)
		case 2:
			return answerOf(200, `{"errors":true,"items":[{"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}]}`)
		}
		return nil
	}}
	s.client = f
	mustWrite(t, s, row(name, 1, 2, "Oslo"), row(name, 2, 3, "Bern"))
	if got := fmt.Sprint(sizes); got != "[2 1 1 1]" {
		t.Errorf("requests of %s operations; want the refused one halved, and only what is open sent again", got)
	}
	for id, city := range map[string]string{"1": "Oslo", "2": "Bern"} {
		if got := source(t, name, id); got["city"] != city {
			t.Errorf("document %s is %v", id, got)
		}
	}
}

// TestGivesBack: a cluster that refuses for long gives the batch back with the
// reason, to be tried again later.
func TestGivesBack(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "1"}), indexName(t)
	s.client = &refusing{performer: s.client, fail: func(int64, *http.Request) *http.Response {
		return answerOf(503, `{"error":{"type":"unavailable","reason":"no shard"}}`)
	}}
	err := write(t, s, row(name, 1, 1, "Rome"))
	var rejected *sink.Rejected
	if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "no shard") {
		t.Errorf("the batch: %v", err)
	}
}

// TestOneOperationAtATime: while an operation of a document is not answered, no
// other one of it is sent, whichever partition it comes from.
func TestOneOperationAtATime(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 100, 1, "Rome"))
	held, release := make(chan struct{}), make(chan struct{})
	var sent atomic.Int64
	s.client = &refusing{performer: s.client, fail: func(n int64, _ *http.Request) *http.Response {
		sent.Add(1)
		if n == 1 {
			close(held)
			<-release
		}
		return nil
	}}
	done := make(chan error, 2)
	go func() { done <- s.Write(context.Background(), []*cdc.Record{row(name, 1, 2, "first")}) }()
	<-held
	go func() { done <- s.Write(context.Background(), []*cdc.Record{gone(name, 1, 3)}) }()
	other := make(chan error, 1)
	go func() { other <- s.Write(context.Background(), []*cdc.Record{row(name, 2, 4, "other")}) }()
	if err := <-other; err != nil { // another document does not wait
		t.Fatal(err)
	}
	if n := sent.Load(); n != 2 {
		t.Errorf("%d requests were sent while document 1 was busy, want 2", n)
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := source(t, name, "1"); got != nil {
		t.Errorf("document 1 is %v", got)
	}
}

// TestPromoteMovesWhatOthersOpened: a rebuild that was stopped and resumed, or
// that has nothing left of a topic, moves the aliases of all indexes.
func TestPromoteMovesWhatOthersOpened(t *testing.T) {
	first, empty, connector := indexName(t), indexName(t), servers.Unique(t, "search")
	mustWrite(t, open(t, map[string]string{"name": connector}), row(first, 1, 1, "old"), row(empty, 1, 1, "gone since"))
	next := map[string]string{"name": connector, "index.generation": "2"}
	mustWrite(t, open(t, next), row(first, 1, 1, "rebuilt"))
	resumed := open(t, next)
	if names, err := resumed.Indexes(context.Background()); err != nil || len(names) != 1 || names[0] != first+"-g2" {
		t.Fatal(names, err)
	}
	if err := resumed.Promote(context.Background(), "g"); err != nil {
		t.Fatal(err)
	}
	if got := source(t, first, "1")["city"]; got != "rebuilt" {
		t.Errorf("a reader sees %v", got)
	}
	if got := source(t, empty, "1"); got != nil {
		t.Errorf("a reader sees %v of an index that nothing is left of", got)
	}
}

// TestDiscard: what an unfinished rebuild left is removed, never what is live.
func TestDiscard(t *testing.T) {
	name, connector := indexName(t), servers.Unique(t, "search")
	live := open(t, map[string]string{"name": connector})
	mustWrite(t, live, row(name, 1, 1, "live"))
	rebuilt := open(t, map[string]string{"name": connector, "index.generation": "2"})
	mustWrite(t, rebuilt, row(name, 1, 1, "half"))
	other := open(t, map[string]string{"name": connector + "-other", "index.generation": "2"})
	mustWrite(t, other, row(name+"-other", 1, 1, "another connector's"))
	if err := live.Discard(context.Background()); err == nil {
		t.Error("the live generation is removed")
	}
	if err := rebuilt.Discard(context.Background()); err != nil {
		t.Fatal(err)
	}
	if source(t, name, "1") == nil || source(t, name+"-g2", "1") != nil || source(t, name+"-other-g2", "1") == nil {
		t.Error("not exactly the unfinished generation is removed")
	}
}

// TestRebuildOfAPlainIndex: what has the alias's name cannot be rebuilt.
func TestRebuildOfAPlainIndex(t *testing.T) {
	name := indexName(t)
	mustWrite(t, open(t, map[string]string{"name": name, "index.alias": "false"}), row(name, 1, 1, "plain"))
	err := write(t, open(t, map[string]string{"name": name, "index.generation": "2"}), row(name, 1, 2, "rebuilt"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || !strings.Contains(err.Error(), "cannot be rebuilt") {
		t.Errorf("%v", err)
	}
}

// TestPromote: a rebuild fills the indexes of the next generation, readers see
// the old ones until the alias moves, and the old ones stay.
func TestPromote(t *testing.T) {
	name, connector := indexName(t), servers.Unique(t, "search")
	live := open(t, map[string]string{"name": connector})
	mustWrite(t, live, row(name, 1, 1, "old"), row(name, 2, 2, "vanished"))
	rebuilt := open(t, map[string]string{"name": connector, "index.generation": "2"})
	mustWrite(t, rebuilt, row(name, 1, 1, "rebuilt"))
	if got := source(t, name, "1")["city"]; got != "old" {
		t.Errorf("a reader sees %v before the alias moves", got)
	}
	if err := rebuilt.Promote(context.Background(), "weir-search-g2"); err != nil {
		t.Fatal(err)
	}
	if got := source(t, name, "1")["city"]; got != "rebuilt" {
		t.Errorf("a reader sees %v after the alias moved", got)
	}
	if got := source(t, name, "2"); got != nil {
		t.Errorf("a reader still sees %v", got)
	}
	if got := source(t, name+"-g1", "2"); got == nil {
		t.Error("the old index is gone")
	}
	if next := open(t, map[string]string{"name": connector}); next.generation != 2 {
		t.Errorf("a sink that starts now writes to generation %d", next.generation)
	}
}
