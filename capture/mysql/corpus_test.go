package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	cdcjson "github.com/weir-cdc/weir/internal/cdc/json"
)

// The corpus is the log of a table of twelve columns and the packets of a
// snapshot of it, written by MySQL 9.7: what the benchmarks read and what fuzzing
// starts from.
const (
	corpusLog     = "testdata/binlog/orders.log"
	corpusPackets = "testdata/binlog/orders.packets"
	corpusInserts = 1200
	corpusUpdates = 900
)

var makeCorpus = flag.Bool("make-corpus", false, "write testdata/binlog anew")

const corpusTable = `CREATE TABLE orders (
	id BIGINT PRIMARY KEY, customer_id INT NOT NULL, status ENUM('new','paid','shipped','cancelled') NOT NULL,
	total DECIMAL(12,2) NOT NULL, weight DOUBLE NULL, qty SMALLINT UNSIGNED NOT NULL, gift TINYINT(1) NOT NULL,
	title VARCHAR(120) NOT NULL, note TEXT NULL, attrs JSON NULL, order_date DATE NOT NULL, updated_at TIMESTAMP(3) NOT NULL)`

// TestMakeCorpus writes the corpus, if it is asked to.
func TestMakeCorpus(t *testing.T) {
	if !*makeCorpus {
		checkCorpus(t)
		return
	}
	l := live(t, servers.NewMySQL(t), false)
	l.run("CREATE DATABASE bench", "USE bench", corpusTable, "FLUSH BINARY LOGS")
	l.database = "bench"
	file, _ := l.logEnd()
	r := rand.New(rand.NewPCG(1, 2))
	for id := 1; id <= corpusInserts; id += 10 {
		var rows []string
		for n := range 10 {
			rows = append(rows, corpusRow(r, id+n))
		}
		l.run("INSERT INTO orders VALUES " + strings.Join(rows, ","))
	}
	for n := range corpusUpdates {
		if n%20 == 0 {
			l.run("BEGIN")
		}
		l.run(fmt.Sprintf("UPDATE orders SET status = 1 + %d %% 4, total = total + 1.25, updated_at = '2026-11-%02d 10:00:00.123' WHERE id = %d", n, 1+n%28, 1+n))
		if n%20 == 19 {
			l.run("COMMIT")
		}
	}
	var log []byte
	if err := l.conn.QueryRowContext(t.Context(), "SELECT LOAD_FILE(CONCAT(@@datadir, ?))", file).Scan(&log); err != nil {
		t.Fatal(err)
	}
	conn, err := client.Connect(fmt.Sprintf("%s:%d", l.Host, l.Port), l.User, l.Password, "bench", func(c *client.Conn) error {
		c.UnsetCapability(gomysql.CLIENT_QUERY_ATTRIBUTES)
		c.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Execute(snapshotSession); err != nil {
		t.Fatal(err)
	}
	reader := corpusReader()
	var packets []byte
	for _, p := range l.binaryRows(conn, "SELECT "+reader.list+" FROM orders ORDER BY id LIMIT 300") {
		packets = append(binary.LittleEndian.AppendUint32(packets, uint32(len(p))), p...)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(corpusLog), 0o755), os.WriteFile(corpusLog, log, 0o644), os.WriteFile(corpusPackets, packets, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func corpusRow(r *rand.Rand, id int) string {
	words := strings.Fields("quick brown fox blue lamp steel chair oak table red wool coat \"large\" small café naïve 日本 grün")
	text := func(n int) string {
		var out []string
		for range n {
			out = append(out, words[r.IntN(len(words))])
		}
		return strings.Join(out, " ")
	}
	weight, note := "NULL", "NULL"
	if r.IntN(5) > 0 {
		weight = fmt.Sprintf("%.3f", r.Float64()*40)
	}
	if r.IntN(3) > 0 {
		note = "'" + text(12+r.IntN(12)) + "'"
	}
	attrs := fmt.Sprintf(`{"color": "%s", "size": %d, "tags": ["%s", "%s"], "price": %.2f, "gift": %v, "dims": {"w": %d, "h": %d}}`,
		words[r.IntN(11)], r.IntN(60), words[r.IntN(11)], words[r.IntN(11)], r.Float64()*100, r.IntN(2) == 0, r.IntN(900), r.IntN(900))
	return fmt.Sprintf("(%d,%d,%d,%d.%02d,%s,%d,%d,'%s',%s,'%s','2026-%02d-%02d','2026-11-%02d 08:%02d:%02d.%03d')",
		id, 1000+r.IntN(50000), 1+r.IntN(4), r.IntN(9000), r.IntN(100), weight, r.IntN(300), r.IntN(2), text(4+r.IntN(6)), note, attrs,
		1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(28), r.IntN(60), r.IntN(60), r.IntN(1000))
}

// checkCorpus demands that the log's rows are complete and those of the packets.
func checkCorpus(t *testing.T) {
	c := loadCorpus()
	inserts, updates := 0, 0
	packets := map[int64][]byte{}
	var row cdc.Row
	for _, p := range c.packets {
		if err := c.reader.decode(&row, p); err != nil {
			t.Fatal(err)
		}
		packets[row.Values[0].Int()] = p
	}
	latest := map[int64]*cdc.Row{}
	c.replay(c.events, func(ch *change) {
		switch ch.op {
		case cdc.OpCreate:
			inserts++
		case cdc.OpUpdate:
			updates++
			if before := latest[ch.before.Values[0].Int()]; !rowsEqual(before, ch.before) {
				t.Fatalf("update of %v, which was %v", ch.before.Values, before.Values)
			}
		}
		after := &cdc.Row{}
		after.CopyFrom(ch.after)
		latest[ch.after.Values[0].Int()] = after
	})
	if inserts != corpusInserts || updates != corpusUpdates || len(packets) < 100 {
		t.Errorf("%d inserts, %d updates, %d packets", inserts, updates, len(packets))
	}
	for id, p := range packets {
		if err := c.reader.decode(&row, p); err != nil || !rowsEqual(&row, latest[id]) {
			t.Errorf("row %d is %v in the table, %v in the log: %v", id, row.Values, latest[id].Values, err)
		}
	}
}

// orderLog is the corpus in memory.
type orderLog struct {
	parser                   *parser
	events, inserts, updates [][]byte // the raw events: all, those of the inserts, those of the updates
	packets                  [][]byte
	reader                   *rowReader
	schema                   *TableSchema
	before, after            cdc.Row
	change                   change
}

var loadCorpus = sync.OnceValue(func() *orderLog {
	c := &orderLog{reader: corpusReader()}
	c.schema = c.reader.table
	f, err := openFile(corpusLog)
	if err != nil {
		panic(err)
	}
	defer f.close()
	for {
		raw, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		c.events = append(c.events, bytes.Clone(raw))
	}
	b, err := os.ReadFile(corpusPackets)
	if err != nil {
		panic(err)
	}
	for len(b) > 0 {
		n := binary.LittleEndian.Uint32(b)
		c.packets = append(c.packets, b[4:4+n])
		b = b[4+n:]
	}
	c.parser = newParser(false, func(m *tableMap) (*plan, error) { return newPlan(c.schema, m, &ValueOptions{}) })
	c.split()
	return c
})

// split finds where the updates begin: at the transaction of the first.
func (c *orderLog) split() {
	start := 0
	for i, raw := range c.events {
		e, err := c.parser.parse(raw)
		if err != nil {
			panic(err)
		}
		if e.kind == eventGTID {
			start = i
		}
		if e.kind == eventRows && e.rows.op == cdc.OpUpdate {
			break
		}
	}
	c.inserts, c.updates = c.events[:start], c.events[start:]
}

func corpusReader() *rowReader {
	s := ddlSession{database: "bench"}
	catalog := newCatalog(false)
	catalog.server = ddlLocale{"utf8mb4", "utf8mb4_0900_ai_ci"}
	catalog.apply(parseDDL(corpusTable, s), &s)
	t, err := NewTableSchema(catalog.table(tableName{"bench", "orders"}), &SchemaOptions{Prefix: "weir"})
	if err != nil {
		panic(err)
	}
	reader, err := newRowReader(t, &ValueOptions{}, false)
	if err != nil {
		panic(err)
	}
	return reader
}

// replay parses events and, unless each is nil, decodes their rows; it returns
// how many.
func (c *orderLog) replay(events [][]byte, each func(*change)) int {
	n := 0
	for _, raw := range events {
		e, err := c.parser.parse(raw)
		if err != nil {
			panic(err)
		}
		if e.kind == eventRows && each != nil {
			n += c.rows(&e.rows, each)
		}
	}
	return n
}

func (c *orderLog) rows(r *rows, each func(*change)) int {
	for {
		more, err := r.next(&c.change, &c.before, &c.after)
		if err != nil {
			panic(err)
		}
		if !more {
			return r.n
		}
		each(&c.change)
	}
}

// TestNoAllocation: nothing is allocated for an event, a row or a packet once
// the memory has grown to its size.
func TestNoAllocation(t *testing.T) {
	c := loadCorpus()
	none := func(*change) {}
	for name, run := range map[string]func(){
		"parsing":          func() { c.replay(c.events, nil) },
		"decoding inserts": func() { c.replay(c.inserts, none) },
		"decoding updates": func() { c.replay(c.updates, none) },
		"reading packets":  func() { c.readPackets() },
	} {
		run()
		if n := testing.AllocsPerRun(3, run); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func (c *orderLog) readPackets() int {
	for _, p := range c.packets {
		if err := c.reader.decode(&c.after, p); err != nil {
			panic(err)
		}
	}
	return len(c.packets)
}

// meter measures the CPU time of the whole process, its collector included,
// which is what repeats on a machine that is shared.
type meter struct {
	b     *testing.B
	start time.Duration
}

func startMeter(b *testing.B) meter {
	b.ReportAllocs()
	b.ResetTimer()
	return meter{b, cpuTime()}
}

func (m meter) stop(rows int) {
	m.b.ReportMetric(float64((cpuTime()-m.start).Nanoseconds())/float64(rows), "cpu-ns/row")
	m.b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// eachKind runs a benchmark over the inserts, ten rows a statement, and over the
// updates, one row a statement.
func eachKind(b *testing.B, run func(b *testing.B, c *orderLog, events [][]byte)) {
	c := loadCorpus()
	b.Run("inserts", func(b *testing.B) { run(b, c, c.inserts) })
	b.Run("updates", func(b *testing.B) { run(b, c, c.updates) })
}

// BenchmarkParse is packets to parsed events, every event of the log counted to
// the rows: checksum, header, GTID, query, table map, rows.
func BenchmarkParse(b *testing.B) {
	eachKind(b, func(b *testing.B, c *orderLog, events [][]byte) {
		per := c.replay(events, func(*change) {})
		m, rows := startMeter(b), 0
		for b.Loop() {
			c.replay(events, nil)
			rows += per
		}
		m.stop(rows)
	})
}

// BenchmarkDecode is the images of parsed events to rows.
func BenchmarkDecode(b *testing.B) {
	eachKind(b, func(b *testing.B, c *orderLog, events [][]byte) {
		parsed := c.parsed(b, events)
		m, n := startMeter(b), 0
		for b.Loop() {
			for i := range parsed {
				r := parsed[i]
				n += c.rows(&r, func(*change) {})
			}
		}
		m.stop(n)
	})
}

// parsed are the rows events among events.
func (c *orderLog) parsed(b *testing.B, events [][]byte) (all []rows) {
	for _, raw := range events {
		e, err := c.parser.parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if e.kind == eventRows {
			all = append(all, e.rows)
		}
	}
	return all
}

// BenchmarkEnvelope is images to rows to the JSON of Debezium's envelopes.
func BenchmarkEnvelope(b *testing.B) {
	eachKind(b, func(b *testing.B, c *orderLog, events [][]byte) {
		parsed := c.parsed(b, events)
		w := newEnvelopes(c.schema)
		m, n := startMeter(b), 0
		for b.Loop() {
			for i := range parsed {
				r := parsed[i]
				n += w.write(c, &r)
			}
		}
		m.stop(n)
		b.ReportMetric(float64(w.size)/float64(n), "bytes/row")
	})
}

// envelopes writes the changes of an event as a capture does.
type envelopes struct {
	*cdcjson.Enveloper
	source *cdc.Row
	dst    []byte
	size   int
}

func newEnvelopes(table *TableSchema) *envelopes {
	block := sourceBlockSchema("mysql")
	source := &cdc.Row{}
	source.Reset(block)
	for name, text := range map[string]string{
		"version": "3.5.0.Final", "connector": "mysql", "name": "weir", "db": "bench", "table": "orders", "file": "binlog.000002", "snapshot": "false",
		"gtid": "fd00e986-e6ca-11f1-912a-02fc00000001:1118",
	} {
		*source.Value(name) = cdc.String([]byte(text))
	}
	return &envelopes{Enveloper: cdcjson.NewEnveloper(table.Value, block, cdcjson.Options{}), source: source}
}

func (w *envelopes) write(c *orderLog, r *rows) int {
	w.Begin(w.source, 1_795_390_570_097_334_000)
	return c.rows(r, func(ch *change) {
		w.dst = w.Append(w.dst[:0], ch.op, ch.before, ch.after, ch.row, nil)
		w.size += len(w.dst)
	})
}

// BenchmarkSnapshotRow is packets of a snapshot's SELECT to rows.
func BenchmarkSnapshotRow(b *testing.B) {
	c := loadCorpus()
	m, n := startMeter(b), 0
	for b.Loop() {
		n += c.readPackets()
	}
	m.stop(n)
}
