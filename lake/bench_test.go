package lake

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"golang.org/x/sys/unix"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// ordersSchema is the benchmark table of the project: 12 columns.
func ordersSchema() *cdc.Schema {
	return cdc.NewSchema("bench.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "customer_id", Type: cdc.Int32},
		cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, Params: []cdc.Param{{Name: "allowed", Value: "new,paid,shipped,returned"}}},
		cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2},
		cdc.Field{Name: "weight", Type: cdc.Double, Optional: true},
		cdc.Field{Name: "qty", Type: cdc.Int32},
		cdc.Field{Name: "gift", Type: cdc.Int16},
		cdc.Field{Name: "title", Type: cdc.Text},
		cdc.Field{Name: "note", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "attrs", Type: cdc.Text, Semantic: cdc.JSON, Optional: true},
		cdc.Field{Name: "order_date", Type: cdc.Int32, Semantic: cdc.Date},
		cdc.Field{Name: "updated_at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp},
	)
}

// orders makes n rows of the benchmark table.
func orders(n int) []*cdc.Row {
	statuses := []string{"new", "paid", "shipped", "returned"}
	rows := make([]*cdc.Row, n)
	for i := range rows {
		r := &cdc.Row{}
		r.Reset(ordersSchema())
		r.Values[0], r.Values[1] = cdc.Int(int64(i)), cdc.Int(int64(i*7919%100_000))
		r.Values[2] = cdc.Choice([]byte(statuses[i%4]), uint64(i%4+1))
		r.Values[3], r.Values[4] = cdc.SmallDecimal(int64(i*37%1_000_000)), cdc.Float64(float64(i)*0.37)
		r.Values[5], r.Values[6] = cdc.Int(int64(i%100)), cdc.Int(int64(i%2))
		r.Values[7] = cdc.String(fmt.Appendf(nil, "Order number %d of a customer who likes long titles", i))
		r.Values[8] = cdc.String(fmt.Appendf(nil, "note %d: leave at the door, %x", i, i*2654435761))
		if i%5 == 0 {
			r.Values[8] = cdc.Value{}
		}
		r.Values[9] = cdc.String(fmt.Appendf(nil, `{"channel":"web","tags":["a","b",%d],"score":%d.5}`, i%10, i%1000))
		r.Values[10] = cdc.Int(int64(20_000 + i%365))
		r.Values[11] = cdc.String(fmt.Appendf(nil, "2026-11-22T10:%02d:%02d.%03dZ", i/60%60, i%60, i%1000))
		rows[i] = r
	}
	return rows
}

// BenchmarkRowToParquet measures check and encoding of checked rows, per row,
// with and without the columns that the lake adds.
func BenchmarkRowToParquet(b *testing.B) {
	for _, codec := range []struct {
		name  string
		codec compress.Codec
	}{{"none", &parquet.Uncompressed}, {"snappy", &parquet.Snappy}, {"zstd", &parquet.Zstd}} {
		b.Run(codec.name, func(b *testing.B) { benchmarkWriter(b, codec.codec, nil) })
		b.Run(codec.name+"/added", func(b *testing.B) { benchmarkWriter(b, codec.codec, testAdditions()) })
	}
}

func benchmarkWriter(b *testing.B, codec compress.Codec, added []addition) {
	rows := orders(20_000)
	var types rowTypes
	entries := make([]entry, len(rows))
	for i, r := range rows {
		t, err := types.of(r.Schema, false)
		if err != nil {
			b.Fatal(err)
		}
		entries[i] = entry{kind: t, values: r.Values, op: 'c', version: 1<<60 + uint64(i), millis: 1_800_000_000_000 + int64(i), offset: int64(i)}
	}
	columns := newSuperset(nil, false)
	columns.admit(entries[0].kind, nil)
	columns.freeze()
	written := &counter{}
	w := newWriter(written, columns, added, codec, nil)
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime(b)
	for n := 0; n < b.N; {
		m := min(500, b.N-n, len(entries)-n%len(entries))
		batch := entries[n%len(entries):][:m]
		for i := range batch {
			if odd, err := batch[i].kind.check(batch[i].values, false, nil); err != nil || len(odd) > 0 {
				b.Fatal(odd, err)
			}
		}
		if err := w.write(batch); err != nil {
			b.Fatal(err)
		}
		n += m
	}
	if err := w.close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(written.n)/float64(b.N), "B/row")
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/row")
}

// cpuTime is what the whole process has used, the collector included.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// testAdditions are all columns that the lake can add.
func testAdditions() (out []addition) {
	for i, name := range additionNames {
		out = append(out, addition{name: "__" + name, what: additionKind(i), shape: additionShapes[i], origin: &origin{topic: []byte("shop.bench.orders"), partition: 3}})
	}
	return out
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

var _ io.Writer = (*counter)(nil)

// nowhere is a store that forgets.
type nowhere struct{}

func (nowhere) upload(string) upload { return nowhere{} }

func (nowhere) part(context.Context, []byte) error                     { return nil }
func (nowhere) commit(context.Context, []byte, bool) error             { return nil }
func (nowhere) abort(context.Context)                                  {}
func (nowhere) sweep(context.Context, string, func(string) bool) error { return nil }
func (nowhere) remove(context.Context, string) error                   { return nil }
func (nowhere) exists(context.Context, string) (bool, error)           { return false, nil }
func (nowhere) list(context.Context, string, func(name string)) error  { return nil }
func (nowhere) probe(context.Context) error                            { return nil }

// BenchmarkRange measures all that the lake does for a record, per record:
// deciding when the range ends, checking, choosing folder and file, encoding
// with the added columns, snappy. Ranges are of 10,000 and 100,000 records.
func BenchmarkRange(b *testing.B) {
	for _, size := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := newLake(b, "partitioner.class=HourlyPartitioner", "rotate.interval.ms=3600000", fmt.Sprintf("flush.size=%d", size))
			l.store = nowhere{}
			records := make([]*cdc.Record, 20_000)
			for i, row := range orders(len(records)) {
				records[i] = recordAt(int64(i), row)
				records[i].Timestamp += int64(i) / 10
				records[i].RawValue = make([]byte, 600)
			}
			b.ReportAllocs()
			b.ResetTimer()
			began := cpuTime(b)
			r, _ := l.Open(shopOrders, 0, noon, false)
			for n := 0; n < b.N; {
				at := n % len(records)
				batch := records[at:min(at+500, at+b.N-n, len(records))]
				fit := r.Fit(noon, batch)
				if fit == 0 {
					endRange(b, r)
					r, _ = l.Open(shopOrders, int64(n), noon, false)
					continue
				}
				if err := r.Append(batch[:fit]); err != nil {
					b.Fatal(err)
				}
				if err := r.Advance(b.Context()); err != nil {
					b.Fatal(err)
				}
				n += fit
			}
			endRange(b, r)
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/record")
		})
	}
}

func endRange(b *testing.B, r sink.Range) {
	if err := r.Complete(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	r.Discard()
}
