package elasticsearch

import (
	"bytes"
	"compress/gzip"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

const (
	chaosPartitions = 3
	chaosKeys       = 24 // a partition
	chaosBatches    = 16
	chaosPatience   = 4 * time.Minute // for a seed
)

// change is one record of the trial: what a key becomes.
type change struct {
	key       int
	version   uint64
	gone, bad bool // bad: the index never takes it
}

// chaosPart is a partition with everything that ever happens in it.
type chaosPart struct {
	batches   [][]change
	committed int // batches that no process will write again
	attempted int // batches that any process has begun to write
}

// chaos is a trial: processes, one after the other, write the partitions through
// a network that fails, and die in the middle of it; somebody reads all along.
type chaos struct {
	t    *testing.T
	seed uint64
	name string
	// forgets says that the index forgets a delete's version after 100 ms. Then
	// no request may arrive after its process has died; else many do.
	forgets bool
	proxy   *faults.HTTP
	parts   []*chaosPart

	mu      sync.Mutex
	life    int
	atLeast map[int]change // of a key: the newest that was acknowledged or seen, as long as nothing older may come
	bad     []string       // what is wrong
	stats   map[string]int
}

// TestChaos: through refusals, lost and broken answers, half requests, bulks of
// which some items fail, requests that come late and crashes at any moment, what
// is acknowledged is there, what is never taken is named, every document ends as
// the newest of its changes says, none is ever seen to go back, and no two
// operations of one are under way. SEEDS=n plays more, SEED=n begins elsewhere.
func TestChaos(t *testing.T) {
	from, n := uint64(1), uint64(3)
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		from = v
	}
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		n = v
	}
	stats := map[string]int{}
	for seed := from; seed < from+n; seed++ {
		began := time.Now()
		c := playChaos(t, seed)
		for _, bad := range c.bad {
			t.Errorf("seed %d: %s", seed, bad)
		}
		for what, n := range c.stats {
			stats[what] += n
		}
		for a := faults.Pass; a <= faults.SlowAnswer; a++ {
			stats["action "+strconv.Itoa(int(a))] += c.proxy.Count(a)
		}
		t.Logf("seed %d: %v", seed, time.Since(began).Round(100*time.Millisecond))
	}
	t.Log(stats)
	for a := faults.Pass; a <= faults.SlowAnswer; a++ {
		if stats["action "+strconv.Itoa(int(a))] == 0 {
			t.Errorf("no request met with action %d", a)
		}
	}
	for _, what := range []string{"crashes", "items refused", "answers cut that refuse items", "rejections", "reads", "retries"} {
		if stats[what] == 0 {
			t.Errorf("no %s: the trial tries nothing", what)
		}
	}
}

func playChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{t: t, seed: seed, name: indexName(t), forgets: seed%3 != 0, atLeast: map[int]change{}, stats: map[string]int{}}
	rng := rand.New(rand.NewPCG(seed, 1))
	for p := range chaosPartitions {
		c.parts = append(c.parts, &chaosPart{batches: c.history(rng, p)})
	}
	mustWrite(t, open(t, nil), row(c.name, -1, 1, "the first")) // makes the index
	defer ask(t, "DELETE", "/"+c.name+"-g1", "")
	if c.forgets {
		ask(t, "PUT", "/"+c.name+"-g1/_settings", `{"index.gc_deletes":"100ms"}`)
	}
	c.proxy = faults.NewHTTP(servers.Elasticsearch(t), nil)
	defer c.proxy.Close()
	ctx, cancel := context.WithTimeout(context.Background(), chaosPatience)
	defer cancel()
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { c.read(reading) })
	for range 3 + rng.IntN(4) {
		c.live(ctx, rng, 5+rng.IntN(60))
	}
	c.live(ctx, rng, 1<<30)
	stop()
	reader.Wait()
	c.compare()
	return c
}

// history makes what happens in a partition: versions grow.
func (c *chaos) history(rng *rand.Rand, partition int) (batches [][]change) {
	version := uint64(1000)
	for range chaosBatches {
		var batch []change
		for range 1 + rng.IntN(12) {
			version += 1 + rng.Uint64N(3)
			kind := rng.IntN(100)
			batch = append(batch, change{key: partition*chaosKeys + rng.IntN(chaosKeys), version: version, gone: kind < 35, bad: kind >= 95})
		}
		batches = append(batches, batch)
	}
	return batches
}

// record is a change as the sink gets it.
func (c *chaos) record(x change) *cdc.Record {
	if x.gone {
		return gone(c.name, int64(x.key), x.version)
	}
	r := row(c.name, int64(x.key), x.version, fmt.Sprint("v", x.version))
	if x.bad {
		r.Value.Values[4] = cdc.String([]byte("not a date"))
	}
	return r
}

// live is one process: it writes what was not committed, until it dies at its
// n-th request, or is done.
func (c *chaos) live(ctx context.Context, rng *rand.Rand, requests int) {
	ctx, die := context.WithCancel(ctx)
	defer die()
	var seen atomic.Int64
	plan := faults.Plan(rng.Uint64(), 0.3, c.fault)
	c.proxy.SetRule(func(r *faults.Request) faults.Fault {
		f := plan(r)
		if seen.Add(1) == int64(requests) {
			if c.forgets { // what has not got through by now never will
				c.proxy.SetRule(func(*faults.Request) faults.Fault { return faults.Fault{Do: faults.Drop} })
			}
			c.count("crashes")
			die()
		}
		return f
	})
	config := parse(c.t, map[string]string{
		"name": c.name, "connection.url": c.proxy.URL, "batch.size": strconv.Itoa(2 + rng.IntN(20)), "max.in.flight.requests": strconv.Itoa(1 + rng.IntN(4)),
		"max.retries": strconv.Itoa(rng.IntN(3)), "retry.backoff.ms": "2", "connection.compression": strconv.FormatBool(rng.IntN(2) == 0),
		"read.timeout.ms": map[bool]string{true: "120000", false: "400"}[c.forgets],
	})
	var s *Sink
	for err := errors.New("not yet"); err != nil; {
		if s, err = New(ctx, config, zap.NewNop(), prometheus.NewRegistry()); ctx.Err() != nil {
			break
		}
	}
	if s != nil {
		s.client = &unanswered{performer: s.client, c: c, of: map[string]bool{}}
	}
	var working sync.WaitGroup
	for _, p := range c.parts {
		chance := rand.New(rand.NewPCG(rng.Uint64(), 3))
		if ctx.Err() == nil {
			working.Go(func() { c.work(ctx, s, p, chance) })
		}
	}
	working.Wait()
	if c.forgets {
		c.problem(c.proxy.Quiet(context.Background()))
	}
	c.forget()
}

// work writes a partition from what is committed on, as the runtime does.
func (c *chaos) work(ctx context.Context, s *Sink, p *chaosPart, chance *rand.Rand) {
	for next := p.committed; next < len(p.batches); next++ {
		c.mu.Lock()
		p.attempted = max(p.attempted, next+1)
		c.mu.Unlock()
		batch := p.batches[next]
		records := make([]*cdc.Record, len(batch))
		for i := range batch {
			records[i] = c.record(batch[i])
		}
		for !c.settled(batch, s.Write(ctx, records)) {
			if ctx.Err() != nil {
				return
			}
			c.count("retries")
			_ = sleep(ctx, time.Millisecond, 0)
		}
		c.acknowledge(batch)
		c.observe(context.Background())
		if chance.IntN(3) == 0 || next == len(p.batches)-1 {
			p.committed = next + 1
		}
	}
}

// settled reports whether err says that a batch needs no further work: nil, or
// the names of exactly those records that are never taken and that none of the
// same document and batch replaced.
func (c *chaos) settled(batch []change, err error) bool {
	var rejected *sink.Rejected
	if err != nil && !errors.As(err, &rejected) {
		return false
	}
	var got, want []int
	if rejected != nil {
		for _, item := range rejected.Items {
			c.count("rejections")
			got = append(got, item.Index)
		}
	}
	for i, x := range batch {
		if x.bad && !slices.ContainsFunc(batch[i+1:], func(later change) bool { return later.key == x.key && !later.bad }) {
			want = append(want, i)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		c.problem(fmt.Errorf("of %+v the records %v were rejected and not %v: %s", batch, got, want, fmt.Sprint(err)))
	}
	return true
}

// acknowledge keeps what must be seen from now on.
func (c *chaos) acknowledge(batch []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range batch {
		if !x.bad && x.version >= c.atLeast[x.key].version {
			c.atLeast[x.key] = x
		}
	}
}

// forget lowers what must be seen after a crash: where the index forgets deletes,
// and a later one may have come, the next process brings back what was before it,
// until it comes to the delete.
func (c *chaos) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life++
	if !c.forgets {
		return
	}
	for key, least := range c.atLeast {
		if c.deletedBehind(key, least.version) {
			delete(c.atLeast, key)
		}
	}
}

// deletedBehind reports whether a delete of key may have been written that is of
// a version or a later one; c.mu is held.
func (c *chaos) deletedBehind(key int, version uint64) bool {
	p := c.parts[key/chaosKeys]
	for _, batch := range p.batches[:p.attempted] {
		if slices.ContainsFunc(batch, func(x change) bool { return x.key == key && x.gone && x.version >= version }) {
			return true
		}
	}
	return false
}

// stored is a document as a reader finds it.
type stored struct {
	ID      string `json:"_id"`
	Found   bool   `json:"found"`
	Version uint64 `json:"_version"`
	Source  struct {
		City string `json:"city"`
	} `json:"_source"`
}

// documents reads all documents at once, past the proxy and the sink.
func (c *chaos) documents(ctx context.Context) (out []stored, err error) {
	ids := make([]string, chaosPartitions*chaosKeys)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	body, _ := stdjson.Marshal(map[string]any{"ids": ids})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, servers.Elasticsearch(c.t)+"/"+c.name+"/_mget", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var found struct {
		Docs []stored `json:"docs"`
	}
	err = stdjson.NewDecoder(response.Body).Decode(&found)
	if err == nil && len(found.Docs) != len(ids) {
		err = fmt.Errorf("%d documents were answered", len(found.Docs))
	}
	return found.Docs, err
}

// read looks at all documents again and again, as a reader would.
func (c *chaos) read(ctx context.Context) {
	for sleep(ctx, 20*time.Millisecond, 0) == nil {
		c.observe(ctx)
	}
}

// observe looks at all documents once. It is also what follows on every batch
// that was acknowledged: what one of the next batches writes could hide that
// something of it is missing.
func (c *chaos) observe(ctx context.Context) {
	c.mu.Lock()
	life, before := c.life, maps.Clone(c.atLeast)
	c.mu.Unlock()
	found, err := c.documents(ctx)
	if ctx.Err() != nil {
		return
	}
	c.problem(err)
	c.count("reads")
	for key, d := range found {
		c.look(life, key, before[key], d)
	}
}

// look judges one document by what was known before it was read.
func (c *chaos) look(life, key int, least change, d stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case life != c.life: // less may be known since
	case !d.Found:
		if least.version > 0 && !least.gone && !c.deletedBehind(key, least.version) {
			c.bad = append(c.bad, fmt.Sprintf("key %d is not there, after version %d and without a delete", key, least.version))
		}
	case d.Version < least.version || d.Version == least.version && least.gone:
		c.bad = append(c.bad, fmt.Sprintf("key %d is of version %d, after %+v", key, d.Version, least))
	case d.Source.City != fmt.Sprint("v", d.Version):
		c.bad = append(c.bad, fmt.Sprintf("key %d of version %d is %s", key, d.Version, d.Source.City))
	case d.Version > c.atLeast[key].version:
		c.atLeast[key] = change{key: key, version: d.Version}
	}
}

// compare compares every document with the newest change of its key.
func (c *chaos) compare() {
	want := map[int]change{}
	for _, p := range c.parts {
		if p.committed != len(p.batches) {
			c.problem(fmt.Errorf("%d of %d batches are committed", p.committed, len(p.batches)))
			return
		}
		for _, x := range slices.Concat(p.batches...) {
			if !x.bad {
				want[x.key] = x
			}
		}
	}
	found, err := c.documents(context.Background())
	c.problem(err)
	for key, d := range found {
		if x, ok := want[key]; d.Found != (ok && !x.gone) || d.Found && d.Version != x.version {
			c.problem(fmt.Errorf("key %d ends as %+v; want %+v", key, d, x))
		}
	}
}

func (c *chaos) problem(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = append(c.bad, err.Error())
}

func (c *chaos) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats[what]++
}

// fault is one of any kind, one that fails some items of a bulk, or one that
// makes a request come after its client has given it up.
func (c *chaos) fault(rng *rand.Rand, r *faults.Request) faults.Fault {
	f := faults.Any(rng, r)
	if f.Do == faults.Pass {
		f.Do = faults.LoseAnswer
	}
	switch bulk := r.URL.Path == "/_bulk"; {
	case bulk && rng.IntN(3) == 0:
		status := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[rng.IntN(2)]
		return faults.Fault{Serve: func(w http.ResponseWriter, r *faults.Request, forward func(*faults.Request) (*faults.Answer, error)) {
			c.count("items refused")
			a := refuseItems(r, forward, status, func() bool { return rng.IntN(2) == 0 })
			if rng.IntN(3) > 0 {
				a.Write(w, r)
				return
			}
			c.count("answers cut that refuse items")
			w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
			_, _ = w.Write(a.Body[:rng.IntN(len(a.Body))])
			panic(http.ErrAbortHandler)
		}}
	case bulk && !c.forgets && rng.IntN(6) == 0:
		return faults.Fault{Before: time.Duration(200+rng.IntN(600)) * time.Millisecond, Late: true}
	}
	return f
}

// refuseItems refuses some items of a bulk with a status, and has the cluster do
// the others.
func refuseItems(r *faults.Request, forward func(*faults.Request) (*faults.Answer, error), status int, refuse func() bool) *faults.Answer {
	operations := operationsOf(r)
	answers := make([]stdjson.RawMessage, len(operations))
	var rest bytes.Buffer
	for i, o := range operations {
		if refuse() {
			answers[i] = fmt.Appendf(nil, `{"index":{"status":%d,"error":{"type":"es_rejected_execution_exception","reason":"for now"}}}`, status)
		} else {
			rest.Write(o)
		}
	}
	whole := struct {
		Errors bool                 `json:"errors"`
		Items  []stdjson.RawMessage `json:"items"`
	}{}
	if rest.Len() > 0 {
		r.Payload = rest.Bytes()
		r.Header.Del("Content-Encoding")
		a, err := forward(r)
		if err != nil || a.Status != http.StatusOK || stdjson.Unmarshal(a.Body, &whole) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	for i := range answers {
		if answers[i] == nil {
			answers[i], whole.Items = whole.Items[0], whole.Items[1:]
		} else {
			whole.Errors = true
		}
	}
	whole.Items = answers
	body, _ := stdjson.Marshal(whole)
	return &faults.Answer{Status: http.StatusOK, Header: http.Header{"X-Elastic-Product": {"Elasticsearch"}, "Content-Type": {"application/json"}}, Body: body}
}

// operationsOf splits a bulk into its operations, each with its document.
func operationsOf(r *faults.Request) (out [][]byte) {
	for line := range bytes.Lines(unzipped(r)) {
		if n := len(out); n > 0 && !bytes.HasPrefix(line, []byte(`{"index":{"_index"`)) && !bytes.HasPrefix(line, []byte(`{"delete":{"_index"`)) {
			out[n-1] = append(out[n-1], line...)
		} else {
			out = append(out, slices.Clone(line))
		}
	}
	return out
}

// unzipped is a request's body.
func unzipped(r *faults.Request) []byte {
	if !strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		return r.Payload
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Payload))
	if err != nil {
		panic(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return text
}

// unanswered stands before a process's client and looks that no document has two
// operations that are not answered, in one bulk or in two.
type unanswered struct {
	performer
	c  *chaos
	mu sync.Mutex
	of map[string]bool
}

// Perform makes a request.
func (u *unanswered) Perform(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/_bulk" {
		documents := documentsOf(r)
		u.begin(documents)
		defer u.end(documents)
	}
	return u.performer.Perform(r)
}

func (u *unanswered) begin(documents []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range documents {
		if u.of[d] {
			u.c.problem(fmt.Errorf("document %s has two operations that are not answered", d))
		}
		u.of[d] = true
	}
}

func (u *unanswered) end(documents []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range documents {
		delete(u.of, d)
	}
}

// documentsOf are the ids of a bulk's operations.
func documentsOf(r *http.Request) (ids []string) {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	for _, o := range operationsOf(&faults.Request{Request: r, Payload: text}) {
		var action map[string]struct {
			ID string `json:"_id"`
		}
		if err := stdjson.NewDecoder(bytes.NewReader(o)).Decode(&action); err != nil {
			panic(err)
		}
		for _, of := range action {
			ids = append(ids, of.ID)
		}
	}
	return ids
}
