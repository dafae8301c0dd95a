package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
)

// search is a sink's topic and configuration, and the index it writes.
type search struct {
	broker
	url, file string
}

func newSearch(t *testing.T) search {
	t.Helper()
	s := search{broker: newBroker(t), url: servers.Elasticsearch(t), file: filepath.Join(t.TempDir(), "search.json")}
	text := fmt.Sprintf(`{"name": %q, "config": {"connector.class": "ElasticsearchSinkConnector", "connection.url": %q, "bootstrap.servers": %q,
		"topics": %q, "index.number_of_replicas": "0", "index.number_of_shards": "1", "batch.size": "50", "admin.listen": "127.0.0.1:0"}}`, s.name, s.url, s.bootstrap, s.topic)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for generation := 1; generation < 5; generation++ {
			call(context.Background(), t, http.MethodDelete, fmt.Sprintf("%s/%s-g%d", s.url, s.topic, generation), "", nil)
		}
		call(context.Background(), t, http.MethodDelete, s.url+"/weir-connectors/_doc/"+s.name, "", nil)
	})
	return s
}

// call makes a request to Elasticsearch and returns the status of the answer.
func call(ctx context.Context, t *testing.T, method, url, body string, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return response.StatusCode
}

// put writes the n-th state of the documents first to last; a state below 0
// deletes them.
func (s search) put(t *testing.T, first, last, state int) {
	t.Helper()
	var records []*kgo.Record
	for id := first; id <= last; id++ {
		r := &kgo.Record{Topic: s.topic, Partition: int32(id % 2), Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: fmt.Appendf(nil, `{"id":%d,"state":%d}`, id, state)}
		if state < 0 {
			r.Value = nil
		}
		records = append(records, r)
	}
	if err := s.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// documents are the states of what the readers of an index see, by id.
func (s search) documents(t *testing.T, index string) map[string]int {
	t.Helper()
	call(t.Context(), t, http.MethodPost, s.url+"/"+index+"/_refresh", "", nil)
	return s.visible(t, index)
}

// visible are the states of what a search finds now, by id.
func (s search) visible(t *testing.T, index string) map[string]int {
	t.Helper()
	var found struct {
		Hits struct {
			Hits []struct {
				ID     string `json:"_id"`
				Source struct {
					State int `json:"state"`
				} `json:"_source"`
			} `json:"hits"`
		} `json:"hits"`
	}
	if status := call(t.Context(), t, http.MethodGet, s.url+"/"+index+"/_search?size=10000", "", &found); status != http.StatusOK {
		t.Fatalf("searching %s: %d", index, status)
	}
	out := make(map[string]int)
	for _, hit := range found.Hits.Hits {
		out[hit.ID] = hit.Source.State
	}
	return out
}

// running is weir-elasticsearch in this process.
type running struct {
	signals chan os.Signal
	done    chan int
	logs    *text
	address string
}

// text is a buffer that may be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *text) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *text) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (s search) start(t *testing.T) *running {
	t.Helper()
	return startProgram(t, elasticsearchsink.Program(), s.file)
}

// startProgram runs a component with a configuration file until the test ends.
func startProgram(t *testing.T, p service.Program, file string) *running {
	t.Helper()
	r := &running{signals: make(chan os.Signal, 2), done: make(chan int, 1), logs: &text{}}
	go func() {
		r.done <- service.Run(p, service.Process{Args: []string{"--config", file}, Stdout: io.Discard, Stderr: r.logs,
			Signals: r.signals, Patience: time.Minute, Abort: func(code int) { r.done <- code }})
	}()
	t.Cleanup(func() {
		r.signals <- syscall.SIGTERM
		if code := <-r.done; code != service.ExitOK {
			t.Errorf("%s ended with %d\n%s", p.Name, code, r.logs)
		}
	})
	waitFor(t, p.Name, func() bool {
		for line := range strings.Lines(r.logs.String()) {
			var entry struct{ Message, Admin string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "started" {
				r.address = "http://" + entry.Admin
			}
		}
		return r.address != ""
	})
	return r
}

// caughtUp waits until the sink, as a member of group, has nothing to read.
func (r *running) caughtUp(t *testing.T, group string, ends int64) {
	t.Helper()
	waitFor(t, "group "+group, func() bool {
		s, err := (&admin.Client{URL: r.address}).Status(t.Context())
		if err != nil || s.Group != group || len(s.Tasks) != 2 {
			return false
		}
		var committed int64
		for _, task := range s.Tasks {
			committed += task.Committed
		}
		return committed == ends && s.Lag.Records == 0
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func states(first, last, state int) map[string]int {
	out := make(map[string]int)
	for id := first; id <= last; id++ {
		out[fmt.Sprint(id)] = state
	}
	return out
}

func TestRebuildReplacesTheIndexBehindTheAlias(t *testing.T) {
	s := newSearch(t)
	s.put(t, 1, 100, 1)
	s.put(t, 91, 100, -1)
	sink := s.start(t)
	sink.caughtUp(t, s.group(), 110)
	// A document that no record made: only a rebuild removes it.
	if status := call(t.Context(), t, http.MethodPut, s.url+"/"+s.topic+"-g1/_doc/stray", `{"id": 1, "state": 1}`, nil); status != http.StatusCreated {
		t.Fatal(status)
	}
	writing, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for state := 2; writing.Err() == nil; state++ {
			s.put(t, 1, 10, state)
			time.Sleep(50 * time.Millisecond)
		}
	})
	looks := 0
	writer.Go(func() { looks = s.neverBack(writing, t, 10) })
	code, out, errs := weirctl(t, nil, "rebuild", "elasticsearch", "-c", s.file)
	stop()
	writer.Wait()
	if looks == 0 {
		t.Error("no reader looked at the documents")
	}
	for _, want := range []string{"building generation 2, group " + s.group() + "-g2", " records", "caught up: the aliases point to generation 2", "the running sinks have taken over", "kept, to be dropped when you like: " + s.topic + "-g1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != service.ExitOK {
		t.Fatalf("%d %s\n%s\n%s", code, errs, out, sink.logs)
	}
	s.put(t, 1, 100, 1000)
	s.put(t, 1, 9, -1)
	waitFor(t, "the new index", func() bool { return cmp.Equal(s.documents(t, s.topic), states(10, 100, 1000)) })
	// The old index may be written to again by who wants to.
	if status := call(t.Context(), t, http.MethodPut, s.url+"/"+s.topic+"-g1/_doc/after", `{"id": 2, "state": 1}`, nil); status != http.StatusCreated {
		t.Errorf("the old index is held still: %d", status)
	}
	if got := s.documents(t, s.topic+"-g1"); got["stray"] != 1 || got["50"] != 1 {
		t.Errorf("the old index has changed: %v", got)
	}
	// weirctl knows which group is live now.
	if code, _, errs := weirctl(t, nil, "reset", "-c", s.file, "--to", "earliest"); code != 1 || !strings.Contains(errs, "group "+s.group()+"-g2: the group has members") {
		t.Errorf("%d %s", code, errs)
	}
}

// neverBack reads documents 1 to n through the alias until ctx ends: none may be
// missing, or older than it was before. It returns how often it read them.
func (s search) neverBack(ctx context.Context, t *testing.T, n int) (looks int) {
	last := map[string]uint64{}
	var ids []string
	for id := 1; id <= n; id++ {
		ids = append(ids, fmt.Sprintf("%q", fmt.Sprint(id)))
	}
	for ; ctx.Err() == nil; looks++ {
		request, _ := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, s.url+"/"+s.topic+"/_mget?_source=false", strings.NewReader(`{"ids": [`+strings.Join(ids, ",")+`]}`))
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return looks
		}
		var found struct {
			Docs []struct {
				Index   string `json:"_index"`
				ID      string `json:"_id"`
				Version uint64 `json:"_version"`
			} `json:"docs"`
		}
		err = json.NewDecoder(response.Body).Decode(&found)
		response.Body.Close()
		if err != nil || len(found.Docs) != n {
			t.Errorf("%d documents, %v", len(found.Docs), err)
			return looks
		}
		for _, d := range found.Docs {
			if d.Version < last[d.ID] {
				t.Errorf("document %s went from version %d back to %d, in %s", d.ID, last[d.ID], d.Version, d.Index)
			}
			last[d.ID] = d.Version
		}
	}
	return looks
}

// gate is where a request waits until the test lets it go on.
type gate struct{ come, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}), make(chan struct{})} }

// pass is what a request does, unless the test has ended.
func (g gate) pass(ctx context.Context) {
	select {
	case g.come <- struct{}{}:
	case <-ctx.Done():
		return
	}
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

// TestRebuildMovesAliasesWhenNowhereBehind: the old indexes get rows in the
// moment in which the new ones had caught up, and the writes of the rebuild do
// not come through. The aliases move when these are there, can be searched, and
// the old indexes can get no more.
func TestRebuildMovesAliasesWhenNowhereBehind(t *testing.T) {
	s := newSearch(t)
	old, next := s.url+"/"+s.topic+"-g1", s.url+"/"+s.topic+"-g2"
	s.put(t, 1, 100, 1)
	s.start(t).caughtUp(t, s.group(), 100)
	hold, move, bulks := newGate(), newGate(), make(chan struct{})
	var slow atomic.Bool
	proxy := faults.NewHTTP(s.url, func(r *faults.Request) faults.Fault {
		switch {
		case strings.HasSuffix(r.URL.Path, "/_block/write"):
			hold.pass(t.Context())
		case r.URL.Path == "/_aliases":
			move.pass(t.Context())
		case r.URL.Path == "/_bulk" && slow.Load():
			select {
			case <-bulks:
			case <-t.Context().Done():
			}
		}
		return faults.Fault{}
	})
	defer proxy.Close()
	var out, errs text
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"rebuild", "elasticsearch", "-c", s.file, "--set", "connection.url=" + proxy.URL}, nil, strings.NewReader(""), &out, &errs)
	}()
	came := func(what string, g gate) {
		t.Helper()
		select {
		case <-g.come:
		case code := <-done:
			t.Fatalf("the rebuild ended with %d before it %s: %s %s", code, what, &out, &errs)
		}
	}

	came("held the old index", hold)
	slow.Store(true)
	s.put(t, 1, 100, 2)
	waitFor(t, "the old index", func() bool { return cmp.Equal(s.documents(t, s.topic), states(1, 100, 2)) })
	if status := call(t.Context(), t, http.MethodPut, next+"/_settings", `{"index.refresh_interval": "-1"}`, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	lines := strings.Count(out.String(), "\n")
	close(hold.open)
	early := false
	waitFor(t, "the rebuild to look how far it is", func() bool { // and to find that it is not there
		select {
		case <-move.come:
			early = true
		default:
		}
		return early || strings.Count(out.String(), "\n") > lines
	})
	close(bulks)
	if early {
		t.Error("the aliases move while rows that readers have seen are missing in the new index")
	} else {
		came("moved the aliases", move)
	}
	if got, want := s.visible(t, s.topic+"-g2"), states(1, 100, 2); !cmp.Equal(got, want) {
		t.Errorf("the aliases move to an index that is behind: %s", cmp.Diff(want, got))
	}
	if status := call(t.Context(), t, http.MethodPut, old+"/_doc/late", `{"id": 1, "state": 3}`, nil); status != http.StatusForbidden {
		t.Errorf("the old index can be written to while the aliases move: %d", status)
	}
	close(move.open)
	if code := <-done; code != service.ExitOK {
		t.Fatalf("%d %s %s", code, &out, &errs)
	}
	if got, want := s.documents(t, s.topic), states(1, 100, 2); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestRebuildIsStoppedAndResumed(t *testing.T) {
	s := newSearch(t)
	s.put(t, 1, 3000, 1)
	group := s.group() + "-g2"
	stopping, stop := context.WithCancel(t.Context())
	var out, errs text
	done := make(chan int)
	go func() {
		done <- run(stopping, []string{"rebuild", "elasticsearch", "-c", s.file, "--set", "offset.flush.interval.ms=1"}, nil, strings.NewReader(""), &out, &errs)
	}()
	waitFor(t, "the first offsets", func() bool {
		offsets, err := s.cluster.FetchOffsets(t.Context(), group)
		at, ok := offsets.Lookup(s.topic, 0)
		return err == nil && ok && at.At > 0
	})
	stop()
	if code := <-done; code != service.ExitFailed || !strings.Contains(out.String(), "the same command goes on from here") {
		t.Fatalf("%d %s %s", code, &out, &errs)
	}
	if status := call(t.Context(), t, http.MethodHead, s.url+"/_alias/"+s.topic, "", nil); status != http.StatusNotFound {
		t.Errorf("the alias is there before the rebuild has caught up: %d", status)
	}
	// Offsets that are lost with the documents kept are no state to go on from.
	if _, err := s.cluster.DeleteGroups(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	code, _, refused := weirctl(t, nil, "rebuild", "elasticsearch", "-c", s.file)
	if code != service.ExitFailed || !strings.Contains(refused, s.topic+"-g2 are left of an earlier rebuild") || !strings.Contains(refused, "--restart") {
		t.Fatalf("%d %s", code, refused)
	}
	again, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var second text
	if code := run(again, []string{"rebuild", "elasticsearch", "-c", s.file, "--restart"}, nil, strings.NewReader(""), &second, &errs); code != service.ExitOK {
		t.Fatalf("%d %s %s", code, &second, &errs)
	}
	if !strings.Contains(second.String(), "no sink is running; one that is started goes on from here") {
		t.Error(second.String())
	}
	if got := s.documents(t, s.topic); !cmp.Equal(got, states(1, 3000, 1)) {
		t.Errorf("%d documents", len(got))
	}
}

func TestRebuildGoesOn(t *testing.T) {
	s := newSearch(t)
	s.put(t, 1, 10, 1)
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: s.topic, Partition: 0, At: 2, LeaderEpoch: -1, Metadata: resetMark(t, s)})
	offsets.Add(kadm.Offset{Topic: s.topic, Partition: 1, At: 2, LeaderEpoch: -1, Metadata: resetMark(t, s)})
	if err := s.cluster.CommitAllOffsets(t.Context(), s.group()+"-g2", offsets); err != nil {
		t.Fatal(err)
	}
	// The one before was killed while it held the old index.
	held := s.url + "/" + s.topic + "-g1"
	meta := fmt.Sprintf(`{"settings": {"index.blocks.write": true}, "mappings": {"_meta": {"weir": {"format": 1, "connector": %q, "generation": 1}}}}`, s.name)
	if status := call(t.Context(), t, http.MethodPut, held, meta, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	code, out, errs := weirctl(t, nil, "rebuild", "elasticsearch", "-c", s.file)
	if status := call(t.Context(), t, http.MethodPut, held+"/_doc/1", `{}`, nil); status != http.StatusCreated {
		t.Errorf("the old index is held still: %d", status)
	}
	if code != service.ExitOK || !strings.Contains(out, "going on with generation 2") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	if got, want := s.documents(t, s.topic), states(5, 10, 1); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

// resetMark is the metadata of the rebuild's own commits.
func resetMark(t *testing.T, s search) string {
	t.Helper()
	details, err := s.cluster.ListTopics(t.Context(), s.topic)
	if err != nil {
		t.Fatal(err)
	}
	return consumers.ResetMetadata(details[s.topic].ID, time.Now())
}

func TestRebuildRefuses(t *testing.T) {
	s := newSearch(t)
	s.put(t, 1, 10, 1)
	for _, c := range []struct {
		set  string
		code int
		want string
	}{
		{"index.alias=false", 2, "index.alias is false"},
		{"index.generation=3", 2, "index.generation is set"},
		{"topics=no-such-topic", 2, "none of the sink's topics is there"},
		{"connection.url=http://127.0.0.1:1", 3, "no answer from Elasticsearch"},
		{"bootstrap.servers=127.0.0.1:1", 3, "no answer from Kafka"},
		{"batch.sice=1", 2, "did you mean batch.size?"},
	} {
		code, _, errs := weirctl(t, nil, "rebuild", "elasticsearch", "-c", s.file, "--set", c.set)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s", c.set, code, errs)
		}
	}
	if code, _, errs := weirctl(t, nil, "rebuild", "elasticsearch"); code != 2 || !strings.Contains(errs, "want --config") {
		t.Errorf("%d %s", code, errs)
	}
	gone := make(kadm.Offsets)
	gone.AddOffset(s.topic, 1, 3, -1)
	if _, err := s.cluster.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	code, _, errs := weirctl(t, nil, "rebuild", "elasticsearch", "-c", s.file)
	if code != 1 || !strings.Contains(errs, s.topic+"-1 begins at offset 3") || !strings.Contains(errs, "snapshot these tables again") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestPace(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	p := pace{}
	p.add(at, []move{{start: 100, committed: -1, end: 1100}, {end: 0, committed: -1}})
	if got := p.line(); got != "  0 %  0 of 1,000 records" {
		t.Error(got)
	}
	p.add(at.Add(10*time.Second), []move{{start: 100, committed: 600, end: 1200}})
	if got := p.line(); got != " 45 %  500 of 1,100 records, 50/s, 15s left" {
		t.Error(got)
	}
	p.add(at.Add(20*time.Second), []move{{start: 100, committed: 1200, end: 1200}})
	if got := p.line(); got != "100 %  1,100 of 1,100 records, 55/s" {
		t.Error(got)
	}
	if got := (&pace{samples: []sample{{}}}).line(); got != "100 %  0 of 0 records" {
		t.Error(got)
	}
}
