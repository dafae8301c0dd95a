package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestNode goes through what needs a node of its own: a small one that makes no
// index by itself, and that is killed.
func TestNode(t *testing.T) {
	node := servers.NewElasticsearch(t, "action.auto_create_index: false", "http.max_content_length: 256kb", "indexing_pressure.memory.limit: 64kb")
	at := func(properties map[string]string) *Sink {
		all := map[string]string{"connection.url": "http://" + node.Address, "index.number_of_replicas": "0"}
		for k, v := range properties {
			all[k] = v
		}
		return open(t, all)
	}
	t.Run("small requests", func(t *testing.T) {
		smallRequests(t, at(map[string]string{"max.retries": "30", "retry.backoff.ms": "5"}))
	})
	t.Run("too large", func(t *testing.T) { tooLarge(t, at(nil)) })
	t.Run("no index by itself", func(t *testing.T) { noIndexByItself(t, at) })
	t.Run("red", func(t *testing.T) { red(t, at(map[string]string{"read.timeout.ms": "4000", "max.retries": "0"})) })
	t.Run("killed", func(t *testing.T) { killed(t, node, at(nil)) })
}

// smallRequests: a node that takes less than a whole bulk, by size (413) and by
// its memory (429), gets smaller ones until it takes them.
func smallRequests(t *testing.T, s *Sink) {
	var batch []*cdc.Record
	for i := range int64(3000) {
		batch = append(batch, row("small", i, uint64(i+1), "a city of a name that is long enough to fill requests"))
	}
	mustWriteLong(t, s, batch)
	if s.limit >= 2000 {
		t.Errorf("requests still have %d operations: the node refused none", s.limit)
	}
	if n := count(t, s, "small"); n != len(batch) {
		t.Errorf("%d documents are there", n)
	}
}

// tooLarge: a document that alone is larger than a request may be is rejected.
func tooLarge(t *testing.T, s *Sink) {
	var rejected *sink.Rejected
	err := write(t, s, row("large", 1, 1, "Rome"), row("large", 2, 2, strings.Repeat("x", 300<<10)), row("large", 3, 3, "Bern"))
	for range 20 { // as the runtime does
		if errors.As(err, &rejected) {
			break
		}
		err = write(t, s, row("large", 1, 1, "Rome"), row("large", 2, 2, strings.Repeat("x", 300<<10)), row("large", 3, 3, "Bern"))
	}
	if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 || !strings.Contains(err.Error(), "larger than the cluster takes") {
		t.Fatalf("the batch: %v", err)
	}
	if n := count(t, s, "large"); n != 2 {
		t.Errorf("%d documents are there", n)
	}
}

// noIndexByItself: where the cluster makes no index that nobody created, the
// sink works all the same, a rebuild included.
func noIndexByItself(t *testing.T, at func(map[string]string) *Sink) {
	mustWrite(t, at(map[string]string{"name": "apart"}), row("apart", 1, 1, "old"), gone("apart", 2, 2))
	rebuilt := at(map[string]string{"name": "apart", "index.generation": "2"})
	mustWrite(t, rebuilt, row("apart", 1, 1, "rebuilt"))
	if err := rebuilt.Promote(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if live, err := rebuilt.Live(t.Context()); err != nil || live.Generation != 2 {
		t.Errorf("%+v is live: %v", live, err)
	}
}

// red: an index whose shard no node serves is waited for, with the reason from
// the server, and not with a timeout.
func red(t *testing.T, s *Sink) {
	ctx := t.Context()
	settings := func(value any) map[string]any {
		return map[string]any{"index.routing.allocation.require._name": value, "index.number_of_replicas": 0}
	}
	if err := s.call(ctx, http.MethodPut, "/red?wait_for_active_shards=0", map[string]any{"settings": settings("nobody")}, nil); err != nil {
		t.Fatal(err)
	}
	batch := []*cdc.Record{row("red", 1, 1, "Rome")}
	err := write(t, s, batch...)
	var rejected *sink.Rejected
	if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "a shard that no node serves") {
		t.Errorf("while it is red: %v", err)
	}
	if err := s.Check(ctx); err == nil || !strings.Contains(err.Error(), "red") {
		t.Errorf("the check: %v", err)
	}
	if err := s.call(ctx, http.MethodPut, "/red/_settings", settings(nil), nil); err != nil {
		t.Fatal(err)
	}
	mustWriteLong(t, s, batch)
	if n := count(t, s, "red"); n != 1 {
		t.Errorf("%d documents are there", n)
	}
}

// killed: a node that is killed in the middle of the work and started again has
// all that was acknowledged, and the sink goes on by itself.
func killed(t *testing.T, node *servers.Private, s *Sink) {
	const keys, batches = 20, 40
	half, done := make(chan struct{}), make(chan error, 1)
	version := func(batch, key int) uint64 { return uint64(batch*keys + key + 1) }
	go func() {
		for b := range batches {
			if b == batches/2 {
				close(half)
			}
			var batch []*cdc.Record
			for k := range keys {
				if (b+k)%4 == 0 {
					batch = append(batch, gone("killed", int64(k), version(b, k)))
				} else {
					batch = append(batch, row("killed", int64(k), version(b, k), fmt.Sprint("v", version(b, k))))
				}
			}
			if err := writeLong(s, batch); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-half
	node.Kill()
	if err := write(t, at0(s), row("killed", 1000, 1, "x")); err == nil || !strings.Contains(err.Error(), "the connection to Elasticsearch failed") {
		t.Errorf("while the node is gone: %v", err)
	}
	node.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for k := range keys {
		var found struct {
			Found   bool   `json:"found"`
			Version uint64 `json:"_version"`
		}
		err := s.call(t.Context(), http.MethodGet, fmt.Sprint("/killed/_doc/", k), nil, &found)
		wanted := (batches-1+k)%4 != 0
		if err != nil && !errors.Is(err, errNotFound) || found.Found != wanted || wanted && found.Version != version(batches-1, k) {
			t.Errorf("key %d is %+v, %v", k, found, err)
		}
	}
}

// at0 is a sink to the same cluster that gives a batch back at once.
func at0(s *Sink) *Sink {
	c := s.config
	c.MaxRetries = 0
	return newSink(c, s.client, s.log, s.metrics)
}

// writeLong writes a batch as the runtime does: again until it succeeds.
func writeLong(s *Sink, batch []*cdc.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		err := s.Write(ctx, batch)
		var rejected *sink.Rejected
		if err == nil || errors.As(err, &rejected) || ctx.Err() != nil {
			return err
		}
		_ = sleep(ctx, 50*time.Millisecond, 0)
	}
}

func mustWriteLong(t *testing.T, s *Sink, batch []*cdc.Record) {
	t.Helper()
	if err := writeLong(s, batch); err != nil {
		t.Fatal(err)
	}
}

// count is how many documents an index has.
func count(t *testing.T, s *Sink, index string) int {
	t.Helper()
	if err := s.call(t.Context(), http.MethodPost, "/"+index+"/_refresh", nil, nil); err != nil {
		t.Fatal(err)
	}
	var found struct {
		Count int `json:"count"`
	}
	if err := s.call(t.Context(), http.MethodGet, "/"+index+"/_count", nil, &found); err != nil {
		t.Fatal(err)
	}
	return found.Count
}
