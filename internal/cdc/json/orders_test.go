package json

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// The table of the benchmarks: 12 columns, about 822 bytes an insert.
var (
	ordersRow = cdc.NewSchema("weir.bench.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "customer_id", Type: cdc.Int32},
		cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Params: []cdc.Param{{Name: "allowed", Value: "new,paid,shipped,cancelled"}}},
		cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Precision: 12, Scale: 2, Params: []cdc.Param{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "12"}}},
		cdc.Field{Name: "weight", Type: cdc.Double, Optional: true},
		cdc.Field{Name: "qty", Type: cdc.Int32},
		cdc.Field{Name: "gift", Type: cdc.Int16},
		cdc.Field{Name: "title", Type: cdc.Text},
		cdc.Field{Name: "note", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "attrs", Type: cdc.Text, Semantic: cdc.JSON, SchemaVersion: 1, Optional: true},
		cdc.Field{Name: "order_date", Type: cdc.Int32, Semantic: cdc.Date, SchemaVersion: 1},
		cdc.Field{Name: "updated_at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, SchemaVersion: 1, Digits: 3},
	)
	ordersKey    = cdc.NewSchema("weir.bench.orders.Key", cdc.Field{Name: "id", Type: cdc.Int64})
	ordersEntry  = NewSchemaEntry("weir:weir", "weir.bench.orders", ordersKey, ordersRow)
	ordersSource = cdc.Schema{Name: "io.debezium.connector.mysql.Source", Version: 1, Fields: []cdc.Field{
		{Name: "version", Type: cdc.Text}, {Name: "connector", Type: cdc.Text}, {Name: "name", Type: cdc.Text},
		{Name: "ts_ms", Type: cdc.Int64},
		{Name: "snapshot", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Optional: true, Default: new(cdc.String([]byte("false"))),
			Params: []cdc.Param{{Name: "allowed", Value: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}}},
		{Name: "db", Type: cdc.Text}, {Name: "sequence", Type: cdc.Text, Optional: true},
		{Name: "ts_us", Type: cdc.Int64, Optional: true}, {Name: "ts_ns", Type: cdc.Int64, Optional: true},
		{Name: "table", Type: cdc.Text, Optional: true}, {Name: "server_id", Type: cdc.Int64}, {Name: "gtid", Type: cdc.Text, Optional: true},
		{Name: "file", Type: cdc.Text}, {Name: "pos", Type: cdc.Int64}, {Name: "row", Type: cdc.Int32},
		{Name: "thread", Type: cdc.Int64, Optional: true}, {Name: "query", Type: cdc.Text, Optional: true},
	}}.Intern()
)

const ordersNow = 1795390837199457362

// orders makes rows of the table.
type orders struct {
	*rand.Rand
	id int64
}

func newOrders() *orders { return &orders{Rand: rand.New(rand.NewPCG(1, 2))} }

var orderWords = []string{"the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "parcels", "arrive", "at", "every", "door"}

func (o *orders) words(n int) []byte {
	var b []byte
	if o.IntN(20) == 0 {
		b = append(b, "Café \"Zoë\" "...)
	}
	for len(b) < n {
		b = append(append(b, orderWords[o.IntN(len(orderWords))]...), ' ')
	}
	return b[:len(b)-1]
}

func (o *orders) row() *cdc.Row {
	o.id++
	r := new(cdc.Row)
	r.Reset(ordersRow)
	v := r.Values
	v[0], v[1] = cdc.Int(o.id), cdc.Int(o.Int64N(200_000))
	status := o.IntN(4)
	v[2] = cdc.Choice([]byte([]string{"new", "paid", "shipped", "cancelled"}[status]), uint64(status+1))
	v[3] = cdc.SmallDecimal(o.Int64N(10_000_000))
	if o.IntN(10) > 0 {
		v[4] = cdc.Float64(float64(o.IntN(100_000)) / 1000)
	}
	v[5], v[6] = cdc.Int(o.Int64N(60_000)), cdc.Int(o.Int64N(2))
	v[7] = cdc.String(o.words(40))
	if o.IntN(3) > 0 {
		v[8] = cdc.String(o.words(120))
	}
	if o.IntN(10) > 0 {
		v[9] = cdc.String(fmt.Appendf(nil, `{"color":"%s","size":%d,"tags":["%s","gift"],"fragile":%t}`, orderWords[o.IntN(12)], o.IntN(50), orderWords[o.IntN(12)], o.IntN(2) == 0))
	}
	v[10] = cdc.Int(20_000 + o.Int64N(1000))
	v[11] = cdc.Micros(1795390000000000 + o.Int64N(1e12)/1000*1000)
	return r
}

// event sets the source block of the n-th log event.
func (o *orders) event(r *cdc.Row, n int) {
	micros := int64(1795390837198155) + int64(n)*1733
	r.Reset(ordersSource)
	v := r.Values
	v[0], v[1], v[2] = cdc.String([]byte("3.5.0.Final")), cdc.String([]byte("mysql")), cdc.String([]byte("weir"))
	v[3], v[4], v[5] = cdc.Int(micros/1000), cdc.String([]byte("false")), cdc.String([]byte("bench"))
	v[7], v[8], v[9] = cdc.Int(micros), cdc.Int(micros*1000), cdc.String([]byte("orders"))
	v[10], v[11] = cdc.Int(1), cdc.String(fmt.Appendf(nil, "fd00e986-e6ca-11f1-912a-02fc00000001:%d", n))
	v[12], v[13] = cdc.String([]byte("binlog.000006")), cdc.Int(int64(1000+n*3511))
	v[15] = cdc.Int(1477)
}

// orderEvents are changes as a capture has them.
type orderEvents struct {
	op            cdc.Op
	perEvent      int
	before, after []*cdc.Row // before is empty for inserts
	sources       []*cdc.Row // one of perEvent rows
}

func newOrderEvents(op cdc.Op, n int) *orderEvents {
	o, e := newOrders(), &orderEvents{op: op, perEvent: 10}
	if op == cdc.OpUpdate {
		e.perEvent = 1
	}
	for i := range n {
		row := o.row()
		if op == cdc.OpUpdate {
			e.before = append(e.before, row)
			after := new(cdc.Row)
			after.CopyFrom(row)
			after.Values[2] = cdc.Choice([]byte("paid"), 2)
			after.Values[11] = cdc.Micros(1795390000000000 + int64(i)*1000)
			row = after
		}
		e.after = append(e.after, row)
		if i%e.perEvent == 0 {
			source := new(cdc.Row)
			o.event(source, i)
			e.sources = append(e.sources, source)
		}
	}
	return e
}

// write writes all events to f.
func (e *orderEvents) write(w *Enveloper, dst []byte, f func([]byte)) []byte {
	for i, after := range e.after {
		if i%e.perEvent == 0 {
			w.Begin(e.sources[i/e.perEvent], ordersNow)
		}
		var before *cdc.Row
		if e.before != nil {
			before = e.before[i]
		}
		dst = w.Append(dst[:0], e.op, before, after, i%e.perEvent, nil)
		f(dst)
	}
	return dst
}

// values are the events as they lie in a fetched batch.
func (e *orderEvents) values(options Options) (values [][]byte, size int) {
	e.write(NewEnveloper(ordersRow, ordersSource, options), nil, func(b []byte) {
		values = append(values, append([]byte(nil), b...))
		size += len(b)
	})
	return values, size
}

func eachOp(b *testing.B, rows int, run func(b *testing.B, e *orderEvents)) {
	b.Run("inserts", func(b *testing.B) { run(b, newOrderEvents(cdc.OpCreate, rows)) })
	b.Run("updates", func(b *testing.B) { run(b, newOrderEvents(cdc.OpUpdate, rows)) })
}

// BenchmarkEnvelope is what a change costs from row to JSON. A capture has just
// decoded the row, so there are few and they are in the cache.
func BenchmarkEnvelope(b *testing.B) {
	eachOp(b, 200, func(b *testing.B, e *orderEvents) {
		w := NewEnveloper(ordersRow, ordersSource, Options{})
		rows, size := 0, 0
		var dst []byte
		m := startMeter(b)
		for b.Loop() {
			dst = e.write(w, dst, func(b []byte) { size += len(b) })
			rows += len(e.after)
		}
		m.stop(rows, size)
	})
}

func benchmarkRead(b *testing.B, options Options, entry *SchemaEntry, use func(*Message)) {
	eachOp(b, 20_000, func(b *testing.B, e *orderEvents) {
		values, size := e.values(options)
		r, msg := NewReader(entry), new(Message)
		rows, bytes := 0, 0
		m := startMeter(b)
		for b.Loop() {
			for _, v := range values {
				if err := r.ReadValue(msg, v); err != nil {
					b.Fatal(err)
				}
				use(msg)
			}
			rows += len(values)
			bytes += size
		}
		m.stop(rows, bytes)
	})
}

// BenchmarkRead is what a change costs from JSON to row.
func BenchmarkRead(b *testing.B) {
	nothing := func(*Message) {}
	b.Run("fingerprint", func(b *testing.B) { benchmarkRead(b, Options{}, ordersEntry, nothing) })
	b.Run("inline", func(b *testing.B) { benchmarkRead(b, Options{Schemas: true}, nil, nothing) })
	b.Run("none", func(b *testing.B) { benchmarkRead(b, Options{}, nil, nothing) })
}

// BenchmarkReadAlternating is a topic in which two inline schemas alternate.
func BenchmarkReadAlternating(b *testing.B) {
	values, size := newOrderEvents(cdc.OpCreate, 20_000).values(Options{Schemas: true})
	other := NewPlan(itemRow, Options{Schemas: true}).Append(nil, rowOf(itemRow, cdc.Int(1)))
	r, msg := NewReader(nil), new(Message)
	rows, bytes := 0, 0
	m := startMeter(b)
	for b.Loop() {
		for _, v := range values {
			if err := r.ReadValue(msg, v); err != nil {
				b.Fatal(err)
			}
			if err := r.ReadValue(msg, other); err != nil {
				b.Fatal(err)
			}
		}
		rows += len(values)
		bytes += size
	}
	m.stop(rows, bytes)
}

// BenchmarkReadDocument is what a sink does of a change: JSON to row to document
// with three fields added.
func BenchmarkReadDocument(b *testing.B) {
	for name, options := range map[string]DocumentOptions{"plain": {}, "nested-iso": {NestJSON: true, ISO: true}} {
		b.Run(name, func(b *testing.B) {
			u := newUnwrap(options)
			benchmarkRead(b, Options{}, ordersEntry, u.message)
		})
	}
}

// BenchmarkKey is what a key costs, from the row to JSON and back.
func BenchmarkKey(b *testing.B) {
	row, plan, r := newOrders().row(), NewPlan(ordersKey, Options{}), NewReader(ordersEntry)
	var dst []byte
	var msg Message
	n := 0
	m := startMeter(b)
	for b.Loop() {
		dst = plan.AppendColumns(dst[:0], row.Values, []int{0})
		if err := r.ReadKey(&msg, dst); err != nil {
			b.Fatal(err)
		}
		n++
	}
	m.stop(n, 0)
}

// unwrap makes documents as a sink behind ExtractNewRecordState does.
type unwrap struct {
	schema   *cdc.Schema
	document *Document
	row      cdc.Row
	op       [1]byte
	out      []byte
}

func newUnwrap(options DocumentOptions) *unwrap {
	s := ordersRow.With(cdc.Field{Name: "__op", Type: cdc.Text}, cdc.Field{Name: "__source_ts_ms", Type: cdc.Int64}, cdc.Field{Name: "__deleted", Type: cdc.Text})
	return &unwrap{schema: s, document: NewDocument(s, options)}
}

var deletedText = []byte("false")

func (u *unwrap) message(m *Message) {
	u.row.Reset(u.schema)
	n := copy(u.row.Values, m.Envelope.After.Values)
	u.op[0] = byte(m.Envelope.Op)
	u.row.Values[n] = cdc.String(u.op[:])
	u.row.Values[n+1] = cdc.Int(m.Envelope.SourceMillis)
	u.row.Values[n+2] = cdc.String(deletedText)
	u.out = u.document.Append(u.out[:0], &u.row)
}

// meter measures the CPU time of the whole process, its garbage collector
// included: on a shared machine that is what repeats, not the wall clock.
type meter struct {
	b     *testing.B
	start time.Duration
}

func startMeter(b *testing.B) meter {
	b.ReportAllocs()
	b.ResetTimer()
	return meter{b, cpuTime()}
}

// stop reports per row; bytes is what the rows took as JSON, 0 to leave it out.
func (m meter) stop(rows, bytes int) {
	d := cpuTime() - m.start
	m.b.ReportMetric(float64(d.Nanoseconds())/float64(rows), "cpu-ns/row")
	if bytes > 0 {
		m.b.ReportMetric(float64(bytes)/float64(rows), "bytes/row")
	}
	m.b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
