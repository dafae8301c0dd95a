package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

// noon is when the tests' ranges begin and their records were written.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// shopOrders is the partition that most tests render.
var shopOrders = sink.Partition{Topic: "shop.orders", TopicID: [16]byte{0xab, 0xcd, 0xef, 0x01, 5: 9}, Number: 3}

// newLake is a lake with properties, one "name=value" each; files go to a
// directory of the test unless they say otherwise.
func newLake(t testing.TB, properties ...string) *Lake {
	t.Helper()
	l, err := tryLake(t, properties...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tryLake(t testing.TB, properties ...string) (*Lake, error) {
	given := map[string]string{}
	for _, p := range properties {
		name, value, _ := strings.Cut(p, "=")
		given[name] = value
	}
	if given["store.url"] == "" && given["s3.bucket.name"] == "" {
		given["store.url"] = "file://" + t.TempDir()
	}
	v, _, err := config.Parse(given, Properties)
	if err != nil {
		return nil, err
	}
	c, err := NewConfig(v)
	if err != nil {
		return nil, err
	}
	return New(context.Background(), c, prometheus.NewRegistry(), zap.NewNop(), time.Now)
}

// rowOf is a row with values in the schema's order.
func rowOf(s *cdc.Schema, values ...cdc.Value) *cdc.Row {
	r := &cdc.Row{}
	r.Reset(s)
	copy(r.Values, values)
	return r
}

// recordAt is a record of shopOrders.
func recordAt(offset int64, value *cdc.Row) *cdc.Record {
	return &cdc.Record{
		Origin: cdc.Origin{Topic: shopOrders.Topic, Partition: shopOrders.Number, Offset: offset, Timestamp: noon.UnixMilli()},
		Route:  shopOrders.Topic, Value: value, Op: cdc.OpCreate, Version: uint64(1000 + offset),
	}
}

// render makes the files of [start, end) out of records.
func render(t testing.TB, l *Lake, start, end int64, records ...*cdc.Record) {
	t.Helper()
	r, err := l.Open(shopOrders, start, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Append(records); err != nil {
		t.Fatal(err)
	}
	finish(t, r, end)
}

func finish(t testing.TB, r sink.Range, end int64) {
	t.Helper()
	if err := r.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	r.Discard()
}

// filesOf are the names of all visible files of a lake in a directory.
func filesOf(t testing.TB, l *Lake) (out []string) {
	t.Helper()
	root := l.config.Directory
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(root, path)
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// memoryStore is a store whose next write of late arrives when it is told to.
type memoryStore struct {
	mu      sync.Mutex
	files   map[string][]byte
	late    string // what its name ends with
	arrives func()
}

type memoryUpload struct {
	s    *memoryStore
	name string
	body []byte
}

var errNoAnswer = errors.New("no answer")

func newMemoryStore() *memoryStore { return &memoryStore{files: map[string][]byte{}} }

func (s *memoryStore) upload(name string) upload { return &memoryUpload{s: s, name: name} }

func (s *memoryStore) exists(_ context.Context, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name] != nil, nil
}

func (s *memoryStore) list(_ context.Context, prefix string, each func(string)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		if strings.HasPrefix(name, prefix) {
			each(name)
		}
	}
	return nil
}

func (s *memoryStore) sweep(context.Context, string, func(string) bool) error { return nil }

func (s *memoryStore) remove(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, name)
	return nil
}

func (s *memoryStore) probe(context.Context) error { return nil }

func (u *memoryUpload) part(_ context.Context, body []byte) error {
	u.body = append(u.body, body...)
	return nil
}

func (u *memoryUpload) abort(context.Context) {}

func (u *memoryUpload) commit(_ context.Context, rest []byte, keep bool) error {
	body := append(slices.Clone(u.body), rest...)
	apply := func() {
		u.s.mu.Lock()
		defer u.s.mu.Unlock()
		if u.s.files[u.name] == nil || !keep {
			u.s.files[u.name] = body
		}
	}
	if u.s.late != "" && strings.HasSuffix(u.name, u.s.late) {
		u.s.late, u.s.arrives = "", apply
		return errNoAnswer
	}
	apply()
	return nil
}

// copies is in how many files each record is, by offset.
func (s *memoryStore) copies(t testing.TB) map[int64]int {
	t.Helper()
	out := map[int64]int{}
	for _, body := range s.files {
		rows, err := parquet.Read[parquetRow](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			out[r.Offset]++
		}
	}
	return out
}

// readers are Python with two independent implementations of Parquet.
func readers(t testing.TB) servers.Python {
	return servers.PythonWith(t, "duckdb==2.0.0", "pyarrow==26.0.1", "pytz")
}

// table is what a reader found in a file.
type table struct {
	Types map[string]string
	Order []string
	Rows  []map[string]any
}

// readBoth reads a file with pyarrow and with DuckDB, by the engines' own types
// and values as text.
func readBoth(t testing.TB, path string) (arrow, duck table) {
	t.Helper()
	var both [2]table
	if err := json.Unmarshal(readers(t).Run(t, readScript, path), &both); err != nil {
		t.Fatal(err)
	}
	return both[0], both[1]
}

const readScript = `
import sys, json, datetime, decimal
import duckdb, pyarrow.parquet as pq
def text(v):
    if v is None or isinstance(v, (bool, int, str)): return v
    if isinstance(v, float): return repr(v)
    if isinstance(v, (bytes, bytearray)): return "0x" + bytes(v).hex()
    if isinstance(v, dict): return {k: text(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)): return [text(x) for x in v]
    return str(v)
t = pq.read_table(sys.argv[1], partitioning=None)
arrow = {"Types": {f.name: str(f.type) for f in t.schema}, "Order": t.schema.names,
         "Rows": [{k: text(v) for k, v in r.items()} for r in t.to_pylist()]}
c = duckdb.connect(); c.execute("SET TimeZone='UTC'")
r = c.execute("SELECT * FROM read_parquet(?, hive_partitioning=false)", [sys.argv[1]])
names = [d[0] for d in r.description]
rows = [{k: text(v) for k, v in zip(names, row)} for row in r.fetchall()]
kinds = {row[0]: row[1] for row in c.execute("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning=false)", [sys.argv[1]]).fetchall()}
json.dump([arrow, {"Types": kinds, "Order": names, "Rows": rows}], sys.stdout)
`
