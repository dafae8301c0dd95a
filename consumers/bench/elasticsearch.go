package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// bulksAtOnce is how many bulk requests the sink and the bare loader have under
// way.
const bulksAtOnce = 5

// elasticsearch measures weir-elasticsearch. The bare loader sends the same bulk
// requests, as many at once, into an index of the same mapping.
func (b *bench) elasticsearch(ctx context.Context, t *topic) error {
	if err := b.local.Up(ctx, servers.KindElasticsearch); err != nil {
		return err
	}
	address, err := b.local.Elasticsearch(ctx)
	if err != nil {
		return err
	}
	index := search{url: address, index: b.id + "-orders-g1"}
	config := func(at string) map[string]string {
		return map[string]string{"connector.class": "ElasticsearchSinkConnector", "connection.url": at, "index.number_of_replicas": "0",
			"max.in.flight.requests": fmt.Sprint(bulksAtOnce), "behavior.on.null.values": "delete"}
	}
	r := result{name: "elasticsearch", bareName: "the same bulk requests"}
	if r.sink, err = b.runSink(ctx, t, sinkRun{"weir-elasticsearch", b.id + "-es", config(address)}); err != nil {
		return err
	}
	definition, err := index.definition(ctx)
	if err == nil {
		err = index.remove(ctx)
	}
	if err != nil {
		return err
	}
	b.say("recording what the sink sends")
	tape, err := newBulkTape(address)
	if err != nil {
		return err
	}
	_, err = b.runSink(ctx, t, sinkRun{"weir-elasticsearch", b.id + "-es-tape", config(tape.URL)})
	tape.Close()
	if err == nil {
		err = index.replace(ctx, definition)
	}
	if err != nil {
		return err
	}
	b.say("sending it again: %d requests", len(tape.bodies))
	wall, err := index.send(ctx, tape.bodies)
	if err != nil {
		return err
	}
	r.bare = cost{records: t.records, wall: wall}
	b.results = append(b.results, r)
	return index.remove(ctx)
}

// search is the index of a run.
type search struct{ url, index string }

// call sends a request and returns the answer's body.
func (s search) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking Elasticsearch: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("asking Elasticsearch for %s %s: %s: %.300s", method, path, response.Status, text)
	}
	return text, err
}

// definition is the mapping and the aliases of the index, as a request to create
// it: operations go by an alias.
func (s search) definition(ctx context.Context) ([]byte, error) {
	text, err := s.call(ctx, http.MethodGet, "/"+s.index, nil)
	if err != nil {
		return nil, err
	}
	var found map[string]struct {
		Mappings json.RawMessage `json:"mappings"`
		Aliases  json.RawMessage `json:"aliases"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("reading the definition of the index: %w", err)
	}
	return fmt.Appendf(nil, `{"settings":{"number_of_replicas":0},"mappings":%s,"aliases":%s}`, found[s.index].Mappings, found[s.index].Aliases), nil
}

func (s search) remove(ctx context.Context) error {
	_, err := s.call(ctx, http.MethodDelete, "/"+s.index, nil)
	return err
}

// replace makes the index anew and empty.
func (s search) replace(ctx context.Context, definition []byte) error {
	if err := s.remove(ctx); err != nil {
		return err
	}
	_, err := s.call(ctx, http.MethodPut, "/"+s.index, definition)
	return err
}

// send sends bulk requests, bulksAtOnce at a time.
func (s search) send(ctx context.Context, bodies [][]byte) (time.Duration, error) {
	began := time.Now()
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range bulksAtOnce {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				answer, err := s.call(ctx, http.MethodPost, "/_bulk?filter_path=errors,items.*.error.reason", bodies[i])
				if err == nil && bytes.Contains(answer, []byte(`"reason"`)) && !bytes.Contains(answer, []byte("version conflict")) {
					err = fmt.Errorf("sending the tape again: %.300s", answer)
				}
				if err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	return time.Since(began), err
}

// bulkTape is a proxy that keeps the bodies of bulk requests.
type bulkTape struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte
}

func newBulkTape(target string) (*bulkTape, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	t := &bulkTape{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	t.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_bulk") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			t.mu.Lock()
			t.bodies = append(t.bodies, body)
			t.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	return t, nil
}
