package capture

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"
)

// newStream is a stream as a run has it, that a test calls itself.
func newStream(t testing.TB, c Config, db *fakeDB) *stream {
	t.Helper()
	return newStreamWith(t, c, db, Options{Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(), Instance: "test", RunID: "run"})
}

func newStreamWith(t testing.TB, c Config, db *fakeDB, o Options) *stream {
	t.Helper()
	capture := New(c, db.open, o)
	opts, err := c.Kafka.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx := context.Background()
	if err := capture.prepare(ctx, opts); err != nil {
		t.Fatal(err)
	}
	p, err := newPublisher(ctx, opts, &c, time.Now, capture.metrics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	source, _ := db.open(ctx, capture.scope())
	st := &stored{entries: map[string][]byte{}, tables: map[string]*tableValue{}}
	s, err := (&start{capture: capture, source: source, client: client, publisher: p, stored: st}).restore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A key that is written while its topic is being swept is alive, whatever the
// sweep has read.
func TestSweepSparesWhatIsWrittenMeanwhile(t *testing.T) {
	_, at := broker(t)
	table := newFakeTable("spare", "a", true)
	db := newFakeDB(table)
	s := newStream(t, newConfig(t, at, "spare", "snapshot.mode", "no_data"), db)
	p, err := s.plan(table)
	if err != nil {
		t.Fatal(err)
	}
	w := newSweep(p.state, p)
	s.snapshot.watch(p.state).published = map[string]struct{}{}
	chunk := (&fakeReader{db}).chunk("0", table)
	s.snapshot.sources[table.ID()] = chunk.Source
	db.write(func(tx *fakeTx) { tx.put("a", 1, "written meanwhile") })
	if err := s.source.(*fakeSource).report(&db.log[0], s); err != nil {
		t.Fatal(err)
	}
	if err := s.snapshot.delete(s, w, [][]byte{[]byte(`{"id":1}`), []byte(`{"id":2}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range byVersion(readEvents(t, at, "spare.db.a")) {
		got = append(got, e.op+itoa(e.id))
	}
	if text := strings.Join(got, " "); text != "c1 d2 tombstone2" {
		t.Error(text)
	}
}
