package capture

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// brokerVariable makes the test binary a broker, so that the CPU time of the
// publisher is measured alone.
const brokerVariable = "WEIR_CAPTURE_TEST_BROKER"

func TestMain(m *testing.M) {
	if os.Getenv(brokerVariable) != "" {
		serveBroker()
		return
	}
	os.Exit(m.Run())
}

// serveBroker runs a broker that forgets records, until its input ends.
func serveBroker() {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer c.Close()
	fmt.Println(c.ListenAddrs()[0])
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return
		case <-time.After(100 * time.Millisecond):
			for _, p := range c.PartitionInfos("bench.db.orders") {
				_ = c.DeleteRecords("bench.db.orders", p.Partition, p.LastStableOffset)
			}
		}
	}
}

func brokerProcess(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// benchTable is the table of 12 columns that capture is measured with.
func benchTable() *Table {
	value := cdc.NewSchema("bench.db.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "customer_id", Type: cdc.Int32},
		cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum}, cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2, Precision: 12},
		cdc.Field{Name: "weight", Type: cdc.Double, Optional: true}, cdc.Field{Name: "qty", Type: cdc.Int32}, cdc.Field{Name: "gift", Type: cdc.Int16},
		cdc.Field{Name: "title", Type: cdc.Text}, cdc.Field{Name: "note", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "attrs", Type: cdc.Text, Semantic: cdc.JSON, Optional: true}, cdc.Field{Name: "order_date", Type: cdc.Int32, Semantic: cdc.Date},
		cdc.Field{Name: "updated_at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, Digits: 3})
	return &Table{Database: "db", Name: "orders", Topic: "bench.db.orders", Value: value, Key: cdc.NewSchema("bench.db.orders.Key", value.Fields[0]),
		KeyColumns: []int{0}, RowKey: []int{0}}
}

func fillBenchRow(r *cdc.Row, t *Table, id int64) {
	r.Reset(t.Value)
	note := strings.Repeat("a note about this order ", 8)
	for i, v := range []cdc.Value{cdc.Int(id), cdc.Int(id % 5000), cdc.Choice([]byte("PAID"), 2), cdc.SmallDecimal(1_234_567 + id), cdc.Float64(1.25),
		cdc.Int(3), cdc.Int(0), cdc.String([]byte("a title of some length, as a product has it")), cdc.String([]byte(note)),
		cdc.String([]byte(`{"color":"red","size":"XL","tags":["a","b","c"],"dimensions":{"w":10,"h":20}}`)), cdc.Int(20_000), cdc.Micros(1_800_000_000_123_000)} {
		r.Values[i] = v
	}
}

// benchRoute only names topics; benchUnwrap is what most configurations have.
var (
	benchRoute = []string{"transforms", "route", "transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.route.regex", `(.*)\.db\.(.*)`, "transforms.route.replacement", "$1.db.$2"}
	benchUnwrap = append([]string{"transforms", "unwrap,route", "transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState",
		"transforms.unwrap.add.fields", "op,ts_ms,source.ts_ms"}, benchRoute[2:]...)
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPublish is the way of a change from the source's callback into
// Kafka: envelope, key, version, headers, producer, transactions. Bar: with the
// log's decoding, 6 CPU-µs a change over all; the floor of kgo with lz4 is 1.6.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name   string
		set    []string
		update bool
	}{
		{"insert", nil, false},
		{"update", nil, true},
		{"insert-uncompressed", []string{"producer.override.compression.type", "none"}, false},
		{"insert-metadata", []string{"provide.transaction.metadata", "true"}, false},
		{"insert-route", benchRoute, false},
		{"update-route", benchRoute, true},
		{"insert-unwrap-route", benchUnwrap, false},
		{"update-unwrap-route", benchUnwrap, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			at := brokerProcess(b)
			table := benchTable()
			config := newConfig(b, at, "bench", append([]string{"snapshot.mode", "no_data", "topic.creation.default.partitions", "4"}, c.set...)...)
			s := newBenchStream(b, config, newFakeDB(table))
			var before, after, source cdc.Row
			change := Change{Table: table, Op: cdc.OpCreate, After: &after, Source: &source}
			if c.update {
				change.Op, change.Before = cdc.OpUpdate, &before
			}
			fillBenchRow(&before, table, 1)
			fillBenchRow(&after, table, 1)
			fillSource(&source, table, 1_800_000_000_000, "false", 1)
			n, events := int64(0), 0
			b.ReportAllocs()
			started, bytes := cpuTime(), s.progress.get().Bytes
			for b.Loop() {
				// Ten rows a log event, a hundred a transaction.
				must(b, s.Begin(TransactionStart{ID: []byte("tx"), CommitMillis: 1_800_000_000_000}))
				for i := range 100 {
					n++
					before.Values[0], after.Values[0] = cdc.Int(n), cdc.Int(n)
					change.Row, change.SourceSeq = i%10, uint64(n/10)
					must(b, s.Change(&change))
					events++
				}
				must(b, s.Commit())
			}
			must(b, s.Idle(true))
			took := cpuTime() - started
			b.ReportMetric(float64(took.Nanoseconds())/float64(events), "cpu-ns/event")
			b.ReportMetric(float64(s.progress.get().Bytes-bytes)/float64(events), "bytes/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSnapshotRows is the way of a row from a Reader into Kafka.
func BenchmarkSnapshotRows(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchSnapshotRows(b) })
	b.Run("route", func(b *testing.B) { benchSnapshotRows(b, benchRoute...) })
	b.Run("unwrap-route", func(b *testing.B) { benchSnapshotRows(b, benchUnwrap...) })
}

func benchSnapshotRows(b *testing.B, set ...string) {
	at := brokerProcess(b)
	table := benchTable()
	config := newConfig(b, at, "bench", append([]string{"snapshot.mode", "no_data", "topic.creation.default.partitions", "4"}, set...)...)
	s := newBenchStream(b, config, newFakeDB(table))
	p, err := s.plan(table)
	must(b, err)
	e := newEncoder(table, fakeSourceSchema, &config)
	w := &window{state: p.state, plan: p}
	s.snapshot.observe(w)
	rows := &rowSet{arena: newArena()}
	var row, source cdc.Row
	fillBenchRow(&row, table, 1)
	fillSource(&source, table, 1_800_000_000_000, "", 1)
	n := 0
	b.ReportAllocs()
	started := cpuTime()
	for b.Loop() {
		rows.reset()
		for range 10_000 {
			n++
			row.Values[0] = cdc.Int(int64(n))
			e.add(rows, &row)
		}
		must(b, e.close(rows, &source, 1))
		must(b, s.snapshot.rows(s, w, rows, false, false))
	}
	must(b, s.end())
	b.ReportMetric(float64((cpuTime()-started).Nanoseconds())/float64(n), "cpu-ns/row")
	b.ReportMetric(0, "ns/op")
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func newBenchStream(b *testing.B, c Config, db *fakeDB) *stream {
	b.Helper()
	return newStreamWith(b, c, db, Options{Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
}

// BenchmarkTail is the time from a commit at the source until a read-committed
// consumer has its event, at 500 transactions a second, through Apache Kafka.
// Bar: p99 below 50 ms.
func BenchmarkTail(b *testing.B) {
	at := servers.Kafka(b)
	prefix := servers.Unique(b, "tail")
	db := newFakeDB(newFakeTable(prefix, "a", true))
	config := newConfig(b, at, prefix, "topic.creation.default.partitions", "1")
	capture := New(config, db.open, Options{Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- capture.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	waitFor(b, "the start", func() bool { return capture.Status().Position != nil })
	consumer, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.ConsumeTopics(prefix+".db.a"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(time.Second))
	must(b, err)
	defer consumer.Close()
	var committed sync.Map
	var took []time.Duration
	for b.Loop() {
		const count = 1000
		first := db.counter
		go func() {
			for range count {
				db.write(func(tx *fakeTx) {
					committed.Store(db.counter+1, time.Now())
					tx.put("a", db.counter%100, "x")
				})
				time.Sleep(2 * time.Millisecond)
			}
		}()
		for seen := first; seen < first+count; {
			consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				e := parseEvent(b, r)
				since, _ := committed.Load(e.after.n)
				took = append(took, time.Since(since.(time.Time)))
				seen = e.after.n
			})
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
