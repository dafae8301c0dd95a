package elasticsearch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestRejectedSuccessor: what a record replaced within its batch is written
// where the cluster rejects that record: only it is lost.
func TestRejectedSuccessor(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "0"}), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	const no = `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no"}}}]}`
	s.client = &refusing{performer: s.client, fail: func(n int64, _ *http.Request) *http.Response {
		if n <= 2 {
			return answerOf(200, no)
		}
		return nil
	}}
	err := write(t, s, row(name, 1, 2, "Oslo"), row(name, 1, 3, "Bern"), row(name, 1, 4, "Kyiv"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 2 || rejected.Items[0].Index != 2 || rejected.Items[1].Index != 1 {
		t.Fatalf("the batch: %v", err)
	}
	if got := source(t, name, "1"); got["city"] != "Oslo" {
		t.Errorf("the document is %v; want the newest that was taken", got)
	}
}

// TestOnlyWhatIsNoDocumentIsDropped: with drop.invalid.message a record that
// cannot be made into a document is dropped, and one that the cluster refuses,
// or that has no index, is not.
func TestOnlyWhatIsNoDocumentIsDropped(t *testing.T) {
	s, name := open(t, map[string]string{"drop.invalid.message": "true"}), indexName(t)
	keyless := row(name, 1, 1, "Rome")
	keyless.Key = nil
	mustWrite(t, s, keyless, row(name, 2, 2, "Oslo"))
	refused := row(name, 3, 3, "Bern")
	refused.Value.Values[4] = cdc.String([]byte("not a date"))
	err := write(t, s, keyless, refused, row("a,b", 4, 4, "Kyiv"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 2 || rejected.Items[0].Index != 2 || rejected.Items[1].Index != 1 {
		t.Errorf("the batch: %v", err)
	}
}

// TestDocumentTooLarge: a document that the cluster never takes is rejected, for
// to try it again would stop the partition without a word.
func TestDocumentTooLarge(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 100, 1, "Rome"))
	s.client = &refusing{performer: s.client, fail: func(_ int64, r *http.Request) *http.Response {
		if r.ContentLength > 400 {
			return answerOf(http.StatusRequestEntityTooLarge, "")
		}
		return nil
	}}
	err := write(t, s, row(name, 1, 1, "Oslo"), row(name, 2, 2, strings.Repeat("x", 400)), row(name, 3, 3, "Bern"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 {
		t.Fatalf("the batch: %v", err)
	}
	if got := source(t, name, "3"); got["city"] != "Bern" {
		t.Errorf("the document beside it is %v", got)
	}
}

// TestRefusedForTheIndex: what is wrong with the index or the user's rights is no
// reason to give a record up.
func TestRefusedForTheIndex(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   string
		want   outcome
	}{
		{403, "security_exception", pending}, {403, "cluster_block_exception", pending}, {400, "index_closed_exception", pending},
		{404, "index_not_found_exception", pending}, {400, "invalid_index_name_exception", pending}, {503, "unavailable_shards_exception", pending}, {400, "mapper_parsing_exception", rejected},
	} {
		if got, _ := classify(c.status, false, c.kind, "", ""); got != c.want {
			t.Errorf("%d %s is %d; want %d", c.status, c.kind, got, c.want)
		}
	}
}

// TestWhatIsWrongWithTheIndexIsWaitedFor, and no record is given up for it: a
// copy that was restored with the aliases, and a pipeline that is gone. With that
// mended, the sink goes on.
func TestWhatIsWrongWithTheIndexIsWaitedFor(t *testing.T) {
	for _, c := range []struct{ want, path, body, mended, mend string }{
		{"stands for another index, too", "PUT /restored-NAME-g1", `{"aliases":{"NAME-g1.Weir":{"is_hidden":true},"NAME":{}}}`, "DELETE /restored-NAME-g1", ""},
		{"an ingest pipeline that is gone", "PUT /NAME-g1/_settings", `{"index.default_pipeline":"NAME-none"}`, "PUT /NAME-g1/_settings", `{"index.default_pipeline":null}`},
		{"an ingest pipeline that is gone", "PUT /NAME-g1/_settings", `{"index.final_pipeline":"NAME-none"}`, "PUT /NAME-g1/_settings", `{"index.final_pipeline":null}`},
	} {
		s, name := open(t, map[string]string{"max.retries": "0"}), indexName(t)
		do := func(what, body string) {
			method, path, _ := strings.Cut(strings.ReplaceAll(what, "NAME", name), " ")
			ask(t, method, path, strings.ReplaceAll(body, "NAME", name))
		}
		mustWrite(t, s, row(name, 1, 1, "Rome"))
		do(c.path, c.body)
		err := write(t, s, row(name, 2, 2, "Oslo"), gone(name, 1, 2))
		var rejected *sink.Rejected
		if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.path, c.body, err)
		}
		do(c.mended, c.mend)
		mustWrite(t, s, row(name, 2, 2, "Oslo"), gone(name, 1, 2))
		if source(t, name, "2") == nil || source(t, name, "1") != nil {
			t.Errorf("%s %s: the batch is not written", c.path, c.body)
		}
	}
}

// TestNoValuesInReasons: the cluster's words for what it refuses are shown
// without the value, and still name the field.
func TestNoValuesInReasons(t *testing.T) {
	const card = "4111-1111-1111-1234"
	for _, mapping := range []string{
		`{"type":"integer"}`, `{"type":"date"}`, `{"type":"boolean"}`, `{"type":"ip"}`, `{"type":"geo_point"}`,
		`{"type":"date_range"}`, `{"type":"object"}`, `{"type":"keyword"}`,
	} {
		s, name := open(t, nil), indexName(t)
		ask(t, "PUT", "/"+name, `{"mappings":{"properties":{"city":`+mapping+`}}}`)
		err := write(t, s, row(name, 1, 1, strings.Repeat(card, 2000)))
		if err == nil || strings.Contains(err.Error(), card[:9]) || strings.Contains(err.Error(), "52, 49, 49") || !strings.Contains(err.Error(), "city") {
			t.Errorf("%s: %.300v", mapping, err)
		}
	}
}

// TestNoPasswordInErrors: a URL that is refused is shown without its user.
func TestNoPasswordInErrors(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"name": "search", "connection.url": "elastic:hunter2@search:9200"}, Properties, config.Common)
	if err == nil {
		_, err = NewConfig(v)
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

// TestIndexGone: an index that is deleted under the sink is not made again by
// what is written to it, neither by a document nor by a versioned delete, for
// it would lack mapping, settings and alias. The sink waits and says so.
func TestIndexGone(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "0"}), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	ask(t, "DELETE", "/"+name+"-g1", "")
	for what, r := range map[string]*cdc.Record{"a document": row(name, 2, 2, "Oslo"), "a delete": gone(name, 1, 2)} {
		err := write(t, s, r)
		var rejected *sink.Rejected
		if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "the index is gone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if found := ask(t, "GET", "/"+name+"*?expand_wildcards=all", ""); len(found) != 0 {
		t.Errorf("there is %v", found)
	}
	mustWrite(t, open(t, nil), row(name, 1, 1, "Rome")) // a sink that starts makes it
	mustWrite(t, s, row(name, 2, 2, "Oslo"))            // and the other one goes on
	if got := source(t, name, "2"); got["city"] != "Oslo" {
		t.Errorf("document 2 is %v", got)
	}
}

// TestARestoredIndexGetsItsMapping: an index that was gone or closed for a while
// may be there again without the fields that it had.
func TestARestoredIndexGetsItsMapping(t *testing.T) {
	for what, c := range map[string]struct{ away, method, aliases string }{
		"deleted":                      {"", "DELETE", `"NAME-g1.Weir":{"is_hidden":true},"NAME":{}`},
		"deleted, restored alone":      {"", "DELETE", `"NAME":{}`},
		"closed, and restored over it": {"/_close", "POST", `"NAME-g1.Weir":{"is_hidden":true},"NAME":{}`},
	} {
		s, name := open(t, map[string]string{"max.retries": "3", "retry.backoff.ms": "1"}), indexName(t)
		mustWrite(t, s, row(name, 1, 1, "Rome"))
		ask(t, c.method, "/"+name+"-g1"+c.away, "")
		var rejected *sink.Rejected
		if err := write(t, s, row(name, 2, 2, "Oslo"), gone(name, 1, 2)); err == nil || errors.As(err, &rejected) {
			t.Fatalf("%s: %v", what, err)
		}
		ask(t, "DELETE", "/"+name+"-g1", "")
		ask(t, "PUT", "/"+name+"-g1", `{"aliases":{`+strings.ReplaceAll(c.aliases, "NAME", name)+`}}`)
		if err := write(t, s, row(name, 2, 2, "Oslo")); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for field, want := range map[string]string{"total": "double", "status": "keyword", "day": "integer"} {
			if got := mappedAs(t, name+"-g1", field); got != want {
				t.Errorf("%s: %s is mapped as %v, want %s", what, field, got, want)
			}
		}
		r := row(name, 3, 3, "Bern")
		r.Domain = "offset"
		if err := write(t, open(t, nil), r); err == nil {
			t.Errorf("%s: the index does not have the domain of its versions", what)
		}
	}
}

// mappedAs is the type that an index has for a field.
func mappedAs(t *testing.T, index, field string) any {
	t.Helper()
	mappings := ask(t, "GET", "/"+index+"/_mapping", "")[index].(map[string]any)["mappings"].(map[string]any)
	return mappings["properties"].(map[string]any)[field].(map[string]any)["type"]
}

// TestAliasInItsPlace: a name that is the alias of somebody's index is not given
// a second index, which readers would see beside it.
func TestAliasInItsPlace(t *testing.T) {
	name := indexName(t)
	ask(t, "PUT", "/"+name+"-old", `{"aliases":{"`+name+`":{}}}`)
	var rejected *sink.Rejected
	if err := write(t, open(t, nil), row(name, 1, 1, "Rome")); !errors.As(err, &rejected) || !strings.Contains(err.Error(), "alias of the index "+name+"-old") {
		t.Errorf("behind an alias: %v", err)
	}
	through := map[string]string{"index.alias": "false"}
	mustWrite(t, open(t, through), row(name, 1, 2, "Oslo"))
	if got := source(t, name+"-old", "1"); got["city"] != "Oslo" {
		t.Errorf("through the alias: %v", got)
	}
	ask(t, "PUT", "/"+name+"-older", `{"aliases":{"`+name+`":{}}}`)
	if err := write(t, open(t, through), row(name, 1, 3, "Bern")); !errors.As(err, &rejected) || !strings.Contains(err.Error(), "alias of 2 indexes") {
		t.Errorf("through an alias of two: %v", err)
	}
}

// TestBlockedIndex: an index that is read-only, or closed, is waited for with
// the reason, makes no requests smaller, and is written to when that ends.
func TestBlockedIndex(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "1"}), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	version := uint64(1)
	for _, c := range []struct{ begin, body, end, endBody, want string }{
		{"PUT _settings", `{"index.blocks.read_only_allow_delete":true}`, "PUT _settings", `{"index.blocks.read_only_allow_delete":null}`, "the index is read-only"},
		{"PUT _settings", `{"index.blocks.read_only":true}`, "PUT _settings", `{"index.blocks.read_only":null}`, "the index is read-only"},
		{"POST _close", "", "POST _open", "", "the index is closed"},
	} {
		do := func(what, body string) {
			method, path, _ := strings.Cut(what, " ")
			ask(t, method, "/"+name+"-g1/"+path, body)
		}
		version++
		batch := []*cdc.Record{row(name, 1, version, "Oslo"), gone(name, 2, version), row(name, 3, version, "Bern")}
		do(c.begin, c.body)
		err := write(t, s, batch...)
		var rejected *sink.Rejected
		if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.begin, c.body, err)
		}
		if s.limit != s.config.BatchSize {
			t.Errorf("%s %s: requests have %d operations", c.begin, c.body, s.limit)
		}
		do(c.end, c.endBody)
		mustWrite(t, s, batch...)
	}
}

// TestTooManyFields: a schema that the index has no room for is rejected with
// the server's words, and another one is written.
func TestTooManyFields(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	ask(t, "PUT", "/"+name, `{"settings":{"index.mapping.total_fields.limit":12}}`)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	many := row(name, 2, 2, "Oslo")
	schema := valueSchema
	for _, field := range []string{"a", "b", "c", "d", "e", "f"} {
		schema = schema.With(cdc.Field{Name: field, Type: cdc.Text, Optional: true})
	}
	many.Value.Reset(schema)
	var rejected *sink.Rejected
	if err := write(t, s, many, row(name, 3, 3, "Bern")); !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 0 || !strings.Contains(err.Error(), "Limit of total fields") {
		t.Errorf("the batch: %v", err)
	}
	if got := source(t, name, "3"); got["city"] != "Bern" {
		t.Errorf("document 3 is %v", got)
	}
}

// with is a record that has an id and one field more.
func with(route string, id int64, version uint64, field cdc.Field, v cdc.Value) *cdc.Record {
	r := gone(route, id, version)
	r.Deleted, r.Tombstone, r.Value = false, false, new(cdc.Row)
	r.Value.Reset(cdc.NewSchema("shop.orders.Value", cdc.Field{Name: "id", Type: cdc.Int64}, field))
	r.Value.Values[0], r.Value.Values[1] = cdc.Int(id), v
	return r
}

var (
	narrow = cdc.Field{Name: "c", Type: cdc.Int32, Optional: true}
	wide   = cdc.Field{Name: "c", Type: cdc.Int64, Optional: true}
)

// TestAColumnThatAnotherProcessMapped as another type, which it had then, is no
// reason to reject what comes now: only one process has met the first schema.
func TestAColumnThatAnotherProcessMapped(t *testing.T) {
	one, two, name := open(t, nil), open(t, nil), indexName(t)
	mustWrite(t, one, row(name, 1, 1, "Rome"))
	mustWrite(t, two, row(name, 2, 2, "Rome"))
	mustWrite(t, one, with(name, 3, 3, narrow, cdc.Int(5)))
	later := with(name, 4, 4, wide, cdc.Int(6))
	later.Value.Reset(later.Value.Schema.With(cdc.Field{Name: "d", Type: cdc.Int32}))
	later.Value.Values[0], later.Value.Values[1], later.Value.Values[2] = cdc.Int(4), cdc.Int(6), cdc.Int(7)
	mustWrite(t, two, later)
	for field, want := range map[string]string{"c": "integer", "d": "integer"} {
		if got := mappedAs(t, name+"-g1", field); got != want {
			t.Errorf("%s is mapped as %v, want %s", field, got, want)
		}
	}
}

// TestTopicsOfOneIndexShareItsMapping: what one has mapped is not put again for
// the other.
func TestTopicsOfOneIndexShareItsMapping(t *testing.T) {
	name := indexName(t)
	s := open(t, map[string]string{"topic.to.external.resource.mapping": "shard1:" + name + ",shard2:" + name})
	mustWrite(t, s, row("shard1", 1, 1, "Rome"), row("shard2", 2, 2, "Rome"))
	if s.indexes["shard1"] != s.indexes["shard2"] {
		t.Error("one index is kept twice")
	}
	mustWrite(t, s, with("shard1", 3, 3, narrow, cdc.Int(5)))
	mustWrite(t, s, with("shard2", 4, 4, wide, cdc.Int(6)))
}

// TestNoAnswer: a connection that is dead, or is not made, is waited for with
// the reason in words, and the batch is written when that is over.
func TestNoAnswer(t *testing.T) {
	network := faults.NewTCP(strings.TrimPrefix(servers.Elasticsearch(t), "http://"))
	defer network.Close()
	s, name := open(t, map[string]string{"connection.url": "http://" + network.Addr, "max.retries": "0"}), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	impatient := newSink(s.config, s.client, s.log, s.metrics)
	impatient.config.ReadTimeout, impatient.indexes = 200*time.Millisecond, s.indexes
	for _, c := range []struct {
		begin func()
		want  string
	}{
		{func() { network.Stall(faults.Answers) }, "no answer from Elasticsearch within 200ms"},
		{func() { network.Refuse(true); network.Cut() }, "the connection to Elasticsearch failed"},
	} {
		c.begin()
		err := write(t, impatient, row(name, 1, 2, "Oslo"))
		var rejected *sink.Rejected
		if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %s", err, c.want)
		}
		network.Resume()
		network.Refuse(false)
		mustWriteLong(t, s, []*cdc.Record{row(name, 1, 2, "Oslo")})
	}
	if got := source(t, name, "1"); got["city"] != "Oslo" {
		t.Errorf("the document is %v", got)
	}
}
