package consumers

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

// orders is the table of the benchmarks: 12 columns of the usual types.
var orders = json.NewSchemaEntry("weir:bench", "bench.shop.orders",
	cdc.NewSchema("bench.shop.orders.Key", cdc.Field{Name: "id", Type: cdc.Int64}),
	cdc.NewSchema("bench.shop.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "customer_id", Type: cdc.Int32},
		cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Params: []cdc.Param{{Name: "allowed", Value: "new,paid,sent,done"}}},
		cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Precision: 12, Scale: 2, Params: []cdc.Param{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "12"}}},
		cdc.Field{Name: "weight", Type: cdc.Double, Optional: true},
		cdc.Field{Name: "qty", Type: cdc.Int32},
		cdc.Field{Name: "gift", Type: cdc.Int16},
		cdc.Field{Name: "title", Type: cdc.Text},
		cdc.Field{Name: "note", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "attrs", Type: cdc.Text, Semantic: cdc.JSON, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "order_date", Type: cdc.Int32, Semantic: cdc.Date, SchemaVersion: 1},
		cdc.Field{Name: "updated_at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, SchemaVersion: 1},
	))

// inserts are events of that table as the capture writes them, about 820 bytes.
func inserts(n int) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		row := fmt.Sprintf(`{"id":%d,"customer_id":%d,"status":"paid","total":"BCo=","weight":%d.25,"qty":%d,"gift":0,"title":"A title of the order number %d, a bit longer",`+
			`"note":"some note that somebody wrote about it, with a \"quote\" in it","attrs":"{\"color\": \"red\", \"size\": %d, \"tags\": [\"a\", \"b\"]}","order_date":20780,"updated_at":"2026-11-22T10:00:00.123Z"}`,
			i, i%5000, i%90, i%7, i, i%40)
		out[i] = &kgo.Record{
			Topic: "bench.shop.orders", Offset: int64(i), Timestamp: time.UnixMilli(1_795_000_000_000), Key: fmt.Appendf(nil, `{"id":%d}`, i),
			Value: fmt.Appendf(nil, `{"before":null,"after":%s,"source":{"version":"3.5.0.Final","connector":"mysql","name":"bench","ts_ms":1795000000000,"snapshot":"false","db":"shop","sequence":null,"ts_us":1795000000000000,"ts_ns":1795000000000000000,"table":"orders","server_id":1,"gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:%d","file":"binlog.000001","pos":%d,"row":0,"thread":12,"query":null},"transaction":null,"op":"c","ts_ms":1795000000001,"ts_us":1795000000001000,"ts_ns":1795000000001000000}`,
				row, i, 1000*i),
			Headers: []kgo.RecordHeader{{Key: cdc.HeaderVersion, Value: fmt.Appendf(nil, "%019d", 3_700_000_000_000_000_000+int64(i))}, {Key: cdc.HeaderSchema, Value: []byte(orders.Fingerprint)}},
		}
	}
	return out
}

// nothing is a Writer that takes everything.
type nothing struct{}

func (nothing) Write(context.Context, []*cdc.Record) error { return nil }

// cpu is the CPU time of the whole process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWorker is what the runtime costs per record: from the fetched Kafka
// record through inbox, batch, decoding and unwrapping to a sink that does
// nothing. cpu-ns/record is of the whole process.
func BenchmarkWorker(b *testing.B) {
	const n = 20_000
	records := inserts(n)
	size := 0
	for _, r := range records {
		size += len(r.Value)
	}
	w := benchWorker(b)
	ctx := context.Background()
	pass := func() {
		for at := 0; at < n; at += 500 {
			w.inbox.put(records[at : at+500])
		}
		for taken := 0; taken < n; taken += len(w.batch.raws) {
			if err := w.collect(ctx); err != nil {
				b.Fatal(err)
			}
			if err := w.handle(ctx); err != nil {
				b.Fatal(err)
			}
		}
		w.expect = 0
	}
	pass()
	b.ReportAllocs()
	b.ResetTimer()
	began, passes := cpu(), 0
	for b.Loop() {
		pass()
		passes++
	}
	b.ReportMetric(float64(cpu()-began)/float64(passes*n), "cpu-ns/record")
	b.ReportMetric(float64(size)/n, "bytes/record")
}

// benchWorker is a worker without a group.
func benchWorker(b *testing.B) *worker {
	c, _, err := configure(b, map[string]string{"name": "bench", "topics": "bench.shop.orders", "fetch.buffer.bytes": "1099511627776", "offset.flush.interval.ms": "3600000000"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Options{Config: c, Limits: Limits{Records: 2000, Bytes: 5 << 20}, Writer: nothing{}, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	g := newGate("g", time.Second, kgo.NewOffset().AtStart())
	w := newWorker(r, &Lease{gate: g, part: partition{"bench.shop.orders", 0}, mu: make(lock, 1), done: make(chan struct{})}, newAhead(c.BufferBytes))
	f := newWriterFlow(w, nothing{})
	f.last = time.Now().Add(time.Hour)
	w.flow = f
	w.decoder.entries[orders.Fingerprint] = orders
	return w
}

// counting is a Writer that counts.
type counting struct{ n atomic.Int64 }

func (c *counting) Write(_ context.Context, batch []*cdc.Record) error {
	c.n.Add(int64(len(batch)))
	return nil
}

// BenchmarkRunner is the whole runtime reading from Apache Kafka, lz4 as the
// capture writes it, into a sink that does nothing. The broker is another
// process and not counted.
func BenchmarkRunner(b *testing.B) {
	const n = 200_000
	addr, topic := servers.Kafka(b), servers.Unique(b, "bench")
	cl := connect(b, addr, kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.MaxBufferedRecords(n))
	if _, err := kafka.CreateTopics(context.Background(), cl, kafka.Topic{Name: topic, Partitions: 3}, kafka.Topic{Name: kafka.SchemaTopic(topic), Partitions: 1}); err != nil {
		b.Fatal(err)
	}
	produce(b, cl, &kgo.Record{Topic: kafka.SchemaTopic(topic), Key: []byte(orders.Fingerprint), Value: orders.Marshal()})
	for i, r := range inserts(n) {
		r.Topic, r.Partition, r.Offset = topic, int32(i%3), 0
		cl.Produce(context.Background(), r, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	b.ReportAllocs()
	var used time.Duration
	var passes, allocs int
	for b.Loop() {
		used0, mallocs := cpu(), mallocs()
		runOnce(b, addr, topic, n)
		used += cpu() - used0
		allocs += int(mallocsSince(mallocs))
		passes++
	}
	b.ReportMetric(float64(used)/float64(passes*n), "cpu-ns/record")
	b.ReportMetric(float64(allocs)/float64(passes*n), "allocs/record")
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func mallocsSince(before uint64) uint64 { return mallocs() - before }

// runOnce reads the topic with a group of its own.
func runOnce(b *testing.B, addr, topic string, n int64) {
	c, _, err := configure(b, map[string]string{"name": servers.Unique(b, "bench"), "bootstrap.servers": addr, "topics": topic})
	if err != nil {
		b.Fatal(err)
	}
	sink := &counting{}
	r, err := New(Options{Config: c, Limits: Limits{Records: 2000, Bytes: 5 << 20, Linger: time.Millisecond}, Writer: sink, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for sink.n.Load() < n {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
