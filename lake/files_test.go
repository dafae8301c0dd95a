package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parquet-go/parquet-go/compress"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// schema makes a schema of fields given as name and type.
func schema(name string, fields ...cdc.Field) *cdc.Schema { return cdc.NewSchema(name, fields...) }

func field(name string, t cdc.Type) cdc.Field { return cdc.Field{Name: name, Type: t, Optional: true} }

func dec(name string, precision, scale int) cdc.Field {
	return cdc.Field{Name: name, Type: cdc.Binary, Semantic: cdc.Decimal, Precision: precision, Scale: scale}
}

// readFile reads a file with both readers, which must agree on the values.
func readFile(t testing.TB, l *Lake, name string) table {
	t.Helper()
	arrow, duck := readBoth(t, filepath.Join(l.config.Directory, name))
	for i := range arrow.Rows {
		if !reflect.DeepEqual(arrow.Rows[i], duck.Rows[i]) {
			t.Errorf("%s, row %d: pyarrow reads %v, DuckDB %v", name, i, arrow.Rows[i], duck.Rows[i])
		}
	}
	return arrow
}

func values(tb table, column string) (out []any) {
	for _, row := range tb.Rows {
		out = append(out, row[column])
	}
	return out
}

// TestSchemasShareAFile whose columns hold all of them exactly: added, dropped
// and widened columns, and keys alone.
func TestSchemasShareAFile(t *testing.T) {
	l := newLake(t, "add.columns=offset")
	one := schema("t", field("id", cdc.Int32), field("gone", cdc.Text), dec("price", 6, 2), cdc.Field{Name: "at", Type: cdc.Int64, Semantic: cdc.Timestamp}, field("f", cdc.Float))
	two := schema("t", field("id", cdc.Int64), dec("price", 10, 4), cdc.Field{Name: "at", Type: cdc.Int64, Semantic: cdc.MicroTimestamp}, field("f", cdc.Double), field("new", cdc.Text))
	key := schema("k", field("id", cdc.Int32))
	lone := recordAt(2, nil)
	lone.Key, lone.Tombstone, lone.Deleted = rowOf(key, cdc.Int(3)), true, true
	render(t, l, 0, 3,
		recordAt(0, rowOf(one, cdc.Int(1), str("old"), cdc.SmallDecimal(125), cdc.Int(1_795_348_800_123), cdc.Float32(0.5))),
		recordAt(1, rowOf(two, cdc.Int(1<<40), cdc.SmallDecimal(12345), cdc.Int(1_795_348_800_123_456), cdc.Float64(0.1), str("new"))),
		lone)
	files := filesOf(t, l)
	if len(files) != 1 {
		t.Fatalf("files %v, want one", files)
	}
	got := readFile(t, l, files[0])
	if want := []string{"id", "gone", "price", "at", "f", "new", "__offset"}; !slices.Equal(got.Order, want) {
		t.Errorf("columns %v, want %v", got.Order, want)
	}
	for name, want := range map[string]string{"id": "int64", "price": "decimal128(10, 4)", "at": "timestamp[us]", "f": "double"} {
		if got.Types[name] != want {
			t.Errorf("%s is %s, want %s", name, got.Types[name], want)
		}
	}
	for name, want := range map[string][]any{
		"id": {1.0, float64(1 << 40), 3.0}, "gone": {"old", nil, nil}, "price": {"1.2500", "1.2345", nil}, "new": {nil, "new", nil},
		"at": {"2026-11-22 12:00:00.123000", "2026-11-22 12:00:00.123456", nil}, "f": {"0.5", "0.1", nil}, "__offset": {0.0, 1.0, 2.0},
	} {
		if !reflect.DeepEqual(values(got, name), want) {
			t.Errorf("%s: %v, want %v", name, values(got, name), want)
		}
	}
}

// TestWhatCannotShareAFileGetsAnother, told apart by +s<n>.
func TestWhatCannotShareAFileGetsAnother(t *testing.T) {
	l := newLake(t, "add.columns=offset")
	number, word, blob := schema("t", field("a", cdc.Int64)), schema("t", field("a", cdc.Text)), schema("t", field("a", cdc.Binary))
	render(t, l, 5, 11,
		recordAt(5, rowOf(number, cdc.Int(1))), recordAt(6, rowOf(word, str("x"))), recordAt(7, rowOf(number, cdc.Int(2))),
		recordAt(8, rowOf(blob, cdc.Bytes([]byte{1}))), recordAt(9, rowOf(word, str("y"))), recordAt(10, rowOf(number, cdc.Int(3))))
	base := "topics/shop.orders/partition=3/shop.orders+3+0000000005+abcdef01"
	want := []string{base + "+s1.snappy.parquet", base + "+s2.snappy.parquet", base + ".snappy.parquet"}
	if got := filesOf(t, l); !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	for i, offsets := range [][]any{{6.0, 9.0}, {8.0}, {5.0, 7.0, 10.0}} {
		if got := values(readFile(t, l, want[i]), "__offset"); !reflect.DeepEqual(got, offsets) {
			t.Errorf("%s has %v, want %v", want[i], got, offsets)
		}
	}
}

// TestCompatibilityNone gives every schema a file; a key alone is no schema.
func TestCompatibilityNone(t *testing.T) {
	l := newLake(t, "schema.compatibility=NONE")
	one, two := schema("t", field("id", cdc.Int32)), schema("t", field("id", cdc.Int32), field("b", cdc.Text))
	lone := recordAt(3, nil)
	lone.Key, lone.Tombstone, lone.Deleted = rowOf(schema("k", field("id", cdc.Int32)), cdc.Int(3)), true, true
	render(t, l, 0, 4, recordAt(0, rowOf(one, cdc.Int(1))), recordAt(1, rowOf(two, cdc.Int(1))), recordAt(2, rowOf(one, cdc.Int(1))), lone)
	if got := filesOf(t, l); len(got) != 2 {
		t.Errorf("files %v, want two", got)
	}
}

// TestSchemalessRows become columns by what is seen in them; what disagrees
// becomes text rather than a further file.
func TestSchemalessRows(t *testing.T) {
	l := newLake(t, "add.columns=none")
	s := schema("", field("n", cdc.Any), field("d", cdc.Any), field("mixed", cdc.Any), field("wide", cdc.Any), field("never", cdc.Any), field("late", cdc.Any))
	number := func(text string) cdc.Value { return cdc.Number([]byte(text)) }
	render(t, l, 0, 3,
		recordAt(0, rowOf(s, number("1"), number("1"), number("1"), number("9007199254740993"), cdc.Value{}, cdc.Value{})),
		recordAt(1, rowOf(s, number("2"), number("2.5"), str("x"), number("0.5"), cdc.Value{}, cdc.Value{})),
		recordAt(2, rowOf(s, cdc.Value{}, number("-1e3"), cdc.Bool(true), cdc.Value{}, cdc.Value{}, cdc.RawJSON([]byte(`[1]`)))))
	files := filesOf(t, l)
	if len(files) != 1 {
		t.Fatalf("files %v, want one", files)
	}
	got := readFile(t, l, files[0])
	want := map[string]string{"n": "int64", "d": "double", "mixed": "string", "wide": "string", "late": "string"}
	if !reflect.DeepEqual(got.Types, want) {
		t.Errorf("columns %v, want %v", got.Types, want)
	}
	for name, want := range map[string][]any{
		"n": {1.0, 2.0, nil}, "d": {"1.0", "2.5", "-1000.0"}, "mixed": {"1", "x", "true"}, "wide": {"9007199254740993", "0.5", nil}, "late": {nil, nil, "[1]"},
	} {
		if !reflect.DeepEqual(values(got, name), want) {
			t.Errorf("%s: %v, want %v", name, values(got, name), want)
		}
	}
}

// TestColumnsAreDecidedAfterASample: what comes later and does not fit goes
// into another file, and what fits stays.
func TestColumnsAreDecidedAfterASample(t *testing.T) {
	l := newLake(t, "add.columns=offset")
	one, two := schema("t", field("a", cdc.Text)), schema("t", field("a", cdc.Text), field("b", cdc.Int32))
	long := strings.Repeat("x", 100_000)
	var records []*cdc.Record
	for i := range int64(14) { // more than sampleBytes
		records = append(records, recordAt(i, rowOf(one, str(long))))
		records[i].RawValue = []byte(long)
	}
	records = append(records, recordAt(14, rowOf(two, str("y"), cdc.Int(1))), recordAt(15, rowOf(one, str("z"))))
	render(t, l, 0, 16, records...)
	files := filesOf(t, l)
	if len(files) != 2 {
		t.Fatalf("files %v, want two", files)
	}
	if got := values(readFile(t, l, files[0]), "__offset"); !reflect.DeepEqual(got, []any{14.0}) {
		t.Errorf("the other file has %v", got)
	}
	if got := len(readFile(t, l, files[1]).Rows); got != 15 {
		t.Errorf("the first file has %d rows, want 15", got)
	}
}

// TestAFieldThatComesTwice is rejected: one of its values would vanish.
func TestAFieldThatComesTwice(t *testing.T) {
	twice := cdc.NewSchema("", field("b", cdc.Int32), field("b", cdc.Text))
	pair := []cdc.Value{cdc.Int(1), str("x")}
	for name, row := range map[string]*cdc.Row{
		"in the row":  rowOf(twice, pair...),
		"in a struct": rowOf(schema("t", cdc.Field{Name: "s", Type: cdc.Struct, Struct: twice}), cdc.List(pair)),
	} {
		err := openRange(t, newLake(t)).Append([]*cdc.Record{recordAt(0, row)})
		if err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestARejectedRowLeavesNoFolder, which would have no file: also where the range is
// rendered again.
func TestARejectedRowLeavesNoFolder(t *testing.T) {
	l := newLake(t)
	finer := recordAt(0, rowOf(schema("t", dec("c", 38, 2)), str("1.125"))) // of 39 digits then
	for _, redo := range []bool{false, true} {
		r, err := l.Open(shopOrders, 0, noon, redo)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Append([]*cdc.Record{finer}); err == nil || r.Files() {
			t.Errorf("%v, files %v", err, r.Files())
		}
		finish(t, r, 1)
	}
}

// TestANameThatIsTooLong can never be written, so its record is rejected before
// it is intended; the longest that is taken is written.
func TestANameThatIsTooLong(t *testing.T) {
	s := schema("t", field("note", cdc.Text))
	record := func(offset int64, n int) *cdc.Record {
		return recordAt(offset, rowOf(s, str(strings.Repeat("x", n))))
	}
	for name, c := range map[string]struct {
		properties []string
		longest    int
		want       string
	}{
		"a bucket":    {[]string{"s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=b"}, objectName - room - len("topics/shop.orders/note=/shop.orders+3+0000000000+abcdef01.snappy.parquet"), "the file's name has"},
		"a directory": {nil, pathSegment - room - len("."+hidden) - 10 - len("note="), "a folder's or file's name has"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLake(t, append(c.properties, "partitioner.class=FieldPartitioner", "partition.field.name=note")...)
			if l.config.Directory == "" {
				l.store = newMemoryStore()
			}
			r := openRange(t, l)
			if err := r.Append([]*cdc.Record{record(0, c.longest)}); err != nil {
				t.Fatal(err)
			}
			if err := r.Append([]*cdc.Record{record(1, c.longest+1)}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			finish(t, r, 2)
		})
	}
}

// TestARouteThatLeadsElsewhere is a text of a row, as that of an outbox event may
// be: no file is written beside the lake.
func TestARouteThatLeadsElsewhere(t *testing.T) {
	s := schema("t", field("id", cdc.Int32))
	for _, route := range []string{"..", ".", "../../beside", "orders/../../beside"} {
		l := newLake(t)
		r := openRange(t, l)
		bad := recordAt(0, rowOf(s, cdc.Int(1)))
		bad.Route = route
		if err := r.Append([]*cdc.Record{bad}); err == nil || !strings.Contains(err.Error(), "stands for another one") {
			t.Errorf("route %q: %v", route, err)
		}
		if r.Files() {
			t.Errorf("route %q: a file is intended", route)
		}
	}
}

// TestAddedColumns are typed, named as asked, and win over a field of that name.
func TestAddedColumns(t *testing.T) {
	l := newLake(t, "add.columns=op:kind,deleted,version,ts_ms,topic,partition,offset", "add.columns.prefix=_")
	s := schema("t", field("id", cdc.Int32), field("_deleted", cdc.Text))
	r := recordAt(41, rowOf(s, cdc.Int(1), str("true")))
	r.Op, r.Version, r.Deleted = cdc.OpDelete, 1<<62, true
	r.Envelope = &cdc.Envelope{SourceMillis: 123}
	plain := recordAt(42, rowOf(s, cdc.Int(2), str("false")))
	plain.Op, plain.Version = cdc.OpNone, 0
	truncated := recordAt(43, nil)
	truncated.Op = cdc.OpTruncate
	render(t, l, 41, 44, r, plain, truncated)
	got := readFile(t, l, filesOf(t, l)[0])
	if want := []string{"id", "_kind", "_deleted", "_version", "_ts_ms", "_topic", "_partition", "_offset"}; !slices.Equal(got.Order, want) {
		t.Errorf("columns %v", got.Order)
	}
	if got.Types["_version"] != "int64" || got.Types["_deleted"] != "bool" || got.Types["_partition"] != "int32" || got.Types["_kind"] != "string" {
		t.Errorf("types %v", got.Types)
	}
	for name, want := range map[string][]any{
		"_kind": {"d", nil, "t"}, "_deleted": {true, false, true}, "_version": {float64(1 << 62), nil, 1043.0}, "_ts_ms": {123.0, float64(noon.UnixMilli()), float64(noon.UnixMilli())},
		"_topic": {"shop.orders", "shop.orders", "shop.orders"}, "_partition": {3.0, 3.0, 3.0}, "_offset": {41.0, 42.0, 43.0}, "id": {1.0, 2.0, nil},
	} {
		if !reflect.DeepEqual(values(got, name), want) {
			t.Errorf("%s: %v, want %v", name, values(got, name), want)
		}
	}
}

// TestTheOperationOfAnUnwrappedRow is that in the row itself, whose field the
// added column takes the place of.
func TestTheOperationOfAnUnwrappedRow(t *testing.T) {
	l := newLake(t, "add.columns=op")
	flat := schema("t", field("id", cdc.Int32), field("__op", cdc.Text))
	var records []*cdc.Record
	for i, op := range []cdc.Value{str("c"), str("changed"), {}, str("c")} {
		r := recordAt(int64(i), rowOf(flat, cdc.Int(int64(i)), op))
		r.Op = cdc.OpNone
		records = append(records, r)
	}
	records[3].Op = cdc.OpUpdate // an envelope's
	render(t, l, 0, 4, records...)
	got := readFile(t, l, filesOf(t, l)[0])
	if want := []any{"c", nil, nil, "u"}; !reflect.DeepEqual(values(got, "__op"), want) {
		t.Errorf("operations %v, want %v", values(got, "__op"), want)
	}
}

// TestRowsWithoutAnyColumn still count.
func TestRowsWithoutAnyColumn(t *testing.T) {
	l := newLake(t, "add.columns=none")
	render(t, l, 0, 2, recordAt(0, rowOf(schema("", field("x", cdc.Any)))), recordAt(1, rowOf(schema("", field("x", cdc.Any)))))
	if got := readFile(t, l, filesOf(t, l)[0]); len(got.Rows) != 2 {
		t.Errorf("%d rows, want 2", len(got.Rows))
	}
}

// TestADeleteMayLackColumns that were not in the row image; an update may not.
func TestADeleteMayLackColumns(t *testing.T) {
	s := schema("t", field("id", cdc.Int32), field("note", cdc.Text))
	gone := recordAt(0, rowOf(s, cdc.Int(1), cdc.Absent()))
	gone.Op, gone.Deleted = cdc.OpDelete, true
	l := newLake(t, "add.columns=deleted")
	render(t, l, 0, 1, gone)
	if got := readFile(t, l, filesOf(t, l)[0]); !reflect.DeepEqual(got.Rows, []map[string]any{{"id": 1.0, "note": nil, "__deleted": true}}) {
		t.Errorf("got %v", got.Rows)
	}
}

// TestNullValues is behavior.on.null.values.
func TestNullValues(t *testing.T) {
	lone := func() *cdc.Record {
		r := recordAt(0, nil)
		r.Key, r.Tombstone, r.Deleted = rowOf(schema("k", field("id", cdc.Int32)), cdc.Int(3)), true, true
		return r
	}
	ignoring, err := newLake(t, "behavior.on.null.values=ignore").Open(shopOrders, 0, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := ignoring.Append([]*cdc.Record{lone()}); err != nil || ignoring.Files() || ignoring.Records() != 1 {
		t.Errorf("ignore: %v, files %v, records %d", err, ignoring.Files(), ignoring.Records())
	}
	failing, err := newLake(t, "behavior.on.null.values=fail").Open(shopOrders, 0, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := failing.Append([]*cdc.Record{lone()}); err == nil || !strings.Contains(err.Error(), "behavior.on.null.values") {
		t.Errorf("fail: %v", err)
	}
}

// TestRoutesAndFoldersAreApart: one range, several topics' folders.
func TestRoutesAndFoldersAreApart(t *testing.T) {
	l := newLake(t, "partitioner.class=HourlyPartitioner", "parquet.codec=zstd")
	s := schema("t", field("id", cdc.Int32))
	var records []*cdc.Record
	for i := range int64(6) {
		r := recordAt(i, rowOf(s, cdc.Int(i)))
		r.Route = []string{"orders", "archive"}[i%2]
		r.Timestamp += i / 4 * 3_600_000
		records = append(records, r)
	}
	render(t, l, 0, 6, records...)
	want := []string{}
	for _, f := range []string{"archive/H12/archive", "archive/H13/archive", "orders/H12/orders", "orders/H13/orders"} {
		f = strings.ReplaceAll(f, "H", "year=2026/month=11/day=22/hour=")
		want = append(want, "topics/"+f+"+3+0000000000+abcdef01.zstd.parquet")
	}
	if got := filesOf(t, l); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// commitsOf is a store that notes which files became visible, in order.
type commitsOf struct {
	store
	names *[]string
}

func (c commitsOf) upload(name string) upload {
	return notedCommit{c.store.upload(name), name, c.names}
}

type notedCommit struct {
	upload
	name  string
	names *[]string
}

func (n notedCommit) commit(ctx context.Context, rest []byte, keep bool) error {
	*n.names = append(*n.names, n.name)
	return n.upload.commit(ctx, rest, keep)
}

// TestTheFirstFileOfAFolderAppearsLast: whoever renders the range again and finds
// it keeps all of them.
func TestTheFirstFileOfAFolderAppearsLast(t *testing.T) {
	l := newLake(t)
	var names []string
	l.store = commitsOf{l.store, &names}
	number, word, blob := schema("t", field("a", cdc.Int64)), schema("t", field("a", cdc.Text)), schema("t", field("a", cdc.Binary))
	render(t, l, 5, 8, recordAt(5, rowOf(number, cdc.Int(1))), recordAt(6, rowOf(word, str("x"))), recordAt(7, rowOf(blob, cdc.Bytes([]byte{1}))))
	base := "topics/shop.orders/partition=3/shop.orders+3+0000000005+abcdef01"
	if want := []string{base + "+s2.snappy.parquet", base + "+s1.snappy.parquet", base + ".snappy.parquet"}; !slices.Equal(names, want) {
		t.Errorf("published %v, want %v", names, want)
	}
}

// TestACompactedRangeKeepsItsFiles: when a pending range is rendered again and
// records of it are gone, the files that are there stay, and what is missing comes.
func TestACompactedRangeKeepsItsFiles(t *testing.T) {
	l := newLake(t, "add.columns=offset", "partitioner.class=HourlyPartitioner")
	s := schema("t", field("id", cdc.Int32))
	record := func(offset int64, hours int64) *cdc.Record {
		r := recordAt(offset, rowOf(s, cdc.Int(offset)))
		r.Timestamp += hours * 3_600_000
		return r
	}
	render(t, l, 0, 4, record(0, 0), record(1, 0), record(2, 1), record(3, 1))
	files := filesOf(t, l)
	if len(files) != 2 {
		t.Fatalf("files %v, want two", files)
	}
	if err := os.Remove(filepath.Join(l.config.Directory, files[1])); err != nil { // as if the crash came before it
		t.Fatal(err)
	}
	again, err := l.Open(shopOrders, 0, noon, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Append([]*cdc.Record{record(1, 0), record(2, 1), record(3, 1)}); err != nil { // 0 is gone
		t.Fatal(err)
	}
	finish(t, again, 4)
	for i, want := range [][]any{{0.0, 1.0}, {2.0, 3.0}} {
		if got := values(readFile(t, l, files[i]), "__offset"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %v, want %v", files[i], got, want)
		}
	}
}

// TestFurtherFilesOfARenderingThatBrokeOff: records that were compacted away
// since may have decided how the rows were divided, so what a crash left of the
// old division gives way to the new one.
func TestFurtherFilesOfARenderingThatBrokeOff(t *testing.T) {
	l := newLake(t, "add.columns=offset", "topics.dir=")
	number, word, blob := schema("t", field("a", cdc.Int64)), schema("t", field("a", cdc.Text)), schema("t", field("a", cdc.Binary))
	last := []*cdc.Record{recordAt(6, rowOf(word, str("x"))), recordAt(7, rowOf(blob, cdc.Bytes([]byte{1})))}
	render(t, l, 5, 8, append([]*cdc.Record{recordAt(5, rowOf(number, cdc.Int(1)))}, last...)...)
	render(t, l, 50, 51, recordAt(50, rowOf(number, cdc.Int(1)))) // of another range
	base := "shop.orders/partition=3/shop.orders+3+0000000005+abcdef01"
	if err := os.Remove(filepath.Join(l.config.Directory, base+".snappy.parquet")); err != nil {
		t.Fatal(err)
	}
	again, err := l.Open(shopOrders, 5, noon, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Append(last); err != nil {
		t.Fatal(err)
	}
	finish(t, again, 8)
	other := "shop.orders/partition=3/shop.orders+3+0000000050+abcdef01.snappy.parquet"
	want := map[string]any{base + ".snappy.parquet": 6.0, base + "+s1.snappy.parquet": 7.0, other: 50.0}
	got := map[string]any{}
	for _, name := range filesOf(t, l) {
		for _, offset := range values(readFile(t, l, name), "__offset") {
			got[name] = offset
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("files and the offsets in them %v, want %v", got, want)
	}
}

// lateUpload renders records, loses the answer to the upload of the file whose
// name ends with late, and dies. Another owner renders others, which are the same
// in Kafka, and then the upload arrives. Each record is in one file.
func lateUpload(t *testing.T, late string, records, others []*cdc.Record) {
	t.Helper()
	s := newMemoryStore()
	s.late = late
	first, second := newLake(t), newLake(t)
	first.store, second.store = s, s
	start := records[0].Offset
	end := start + int64(len(records))
	r, err := first.Open(shopOrders, start, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Append(records); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(t.Context(), end); !errors.Is(err, errNoAnswer) {
		t.Fatalf("completed with %v: no file %s", err, late)
	}
	r.Discard()
	again, err := second.Open(shopOrders, start, noon, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Append(others); err != nil {
		t.Fatal(err)
	}
	finish(t, again, end)
	s.arrives()
	copies := s.copies(t)
	for o := start; o < end; o++ {
		if copies[o] != 1 {
			t.Fatalf("record %d is in %d files", o, copies[o])
		}
	}
}

// schemaless are n records of JSON as one lease's decoder reads them, which has
// read before; the last one has a field more.
func schemaless(t *testing.T, before string, n int) (out []*cdc.Record) {
	reader := json.NewReader(nil)
	read := func(text string) *cdc.Record {
		m := &json.Message{}
		if err := reader.ReadValue(m, []byte(text)); err != nil {
			t.Fatal(err)
		}
		r := recordAt(int64(100+len(out)), m.Value)
		r.RawValue = []byte(text)
		return r
	}
	read(before)
	for i := range n - 1 {
		out = append(out, read(fmt.Sprintf(`{"id":%d,"name":"n%d"}`, i, i)))
	}
	return append(out, read(`{"id":0,"name":"n","added":"x"}`))
}

// TestSchemalessRowsAreDividedTheSameWay by the owner that has read what came
// before the range and by its successor, which has not.
func TestSchemalessRowsAreDividedTheSameWay(t *testing.T) {
	wide := []byte(`{"id":0`)
	for i := range 60 {
		wide = fmt.Appendf(wide, `,"f%d":%d`, i, i)
	}
	for _, late := range []string{"+s1.snappy.parquet", "0100+abcdef01.snappy.parquet"} {
		t.Run(late, func(t *testing.T) {
			lateUpload(t, late, schemaless(t, string(wide)+"}", 9000), schemaless(t, "{}", 9000))
		})
	}
}

// TestRowsAreDividedWithoutLookedUpTexts: the look-up had an answer for the first
// owner and has none for its successor.
func TestRowsAreDividedWithoutLookedUpTexts(t *testing.T) {
	const n = 9000
	one := schema("t", field("id", cdc.Int64), field("looked", cdc.Text))
	two := schema("t", field("id", cdc.Int64), field("added", cdc.Text), field("looked", cdc.Text))
	records := func(found cdc.Value) (out []*cdc.Record) {
		for i := range int64(n - 1) {
			out = append(out, recordAt(100+i, rowOf(one, cdc.Int(i), found)))
		}
		return append(out, recordAt(100+n-1, rowOf(two, cdc.Int(n), str("x"), found)))
	}
	lateUpload(t, "0100+abcdef01.snappy.parquet", records(str(strings.Repeat("x", 1000))), records(cdc.Value{}))
}

// TestBytesDependOnTheRecordsAlone: not on how they came in, nor on what the
// process did before.
func TestBytesDependOnTheRecordsAlone(t *testing.T) {
	for _, codec := range []string{"none", "snappy", "gzip", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			var records []*cdc.Record
			for i, row := range orders(20_000) {
				r := recordAt(int64(i), row)
				r.Timestamp += int64(i) * 200
				records = append(records, r)
			}
			var first map[string][]byte
			for _, size := range []int{20_000, 37, 513} {
				l := newLake(t, "parquet.codec="+codec, "partitioner.class=HourlyPartitioner", "flush.size=100000")
				if size == 37 { // memory that was used before
					render(t, l, 900_000, 900_100, records[100:200]...)
					if err := os.RemoveAll(filepath.Join(l.config.Directory, "topics")); err != nil {
						t.Fatal(err)
					}
				}
				r, err := l.Open(shopOrders, 0, noon, false)
				if err != nil {
					t.Fatal(err)
				}
				for batch := range slices.Chunk(records, size) {
					if err := r.Append(batch); err != nil {
						t.Fatal(err)
					}
				}
				finish(t, r, 20_000)
				got := map[string][]byte{}
				for _, name := range filesOf(t, l) {
					if got[name], err = os.ReadFile(filepath.Join(l.config.Directory, name)); err != nil {
						t.Fatal(err)
					}
				}
				if first == nil {
					first = got
				}
				for name, body := range first {
					if !bytes.Equal(got[name], body) {
						t.Errorf("in batches of %d, %s has other bytes (%d, not %d)", size, name, len(got[name]), len(body))
					}
				}
				if len(got) != len(first) {
					t.Errorf("in batches of %d there are %d files, not %d", size, len(got), len(first))
				}
			}
		})
	}
}

// failingOnce is a codec that fails at the first page.
type failingOnce struct {
	compress.Codec
	failed atomic.Bool
}

func (c *failingOnce) Encode(dst, src []byte) ([]byte, error) {
	if c.failed.CompareAndSwap(false, true) {
		return dst, errors.New("no page today")
	}
	return c.Codec.Encode(dst, src)
}

// TestAFileThatFailedIsNeverPublished, also when its range is tried again: it lacks
// the rows that were written while it failed.
func TestAFileThatFailedIsNeverPublished(t *testing.T) {
	for name, rows := range map[string]int64{"at its end": 10, "before": pageRows + 1} {
		t.Run(name, func(t *testing.T) {
			l := newLake(t)
			l.codec = &failingOnce{Codec: l.codec}
			r := openRange(t, l)
			for o := range rows {
				if err := r.Append([]*cdc.Record{at(o, 0)}); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				if err := r.Complete(t.Context(), rows); err == nil || !strings.Contains(err.Error(), "no page today") {
					t.Errorf("completed with %v", err)
				}
			}
			if got := filesOf(t, l); len(got) > 0 {
				t.Errorf("files %v", got)
			}
		})
	}
}

// TestALargeFile has several pages and row groups, and is sent in parts before
// it is completed.
func TestALargeFile(t *testing.T) {
	l := newLake(t, "s3.part.size=5242880", "parquet.codec=none", "flush.size=10000000", "flush.bytes=0")
	s := schema("t", field("id", cdc.Int64), field("noise", cdc.Binary))
	body := noise(64 << 10)
	r, err := l.Open(shopOrders, 0, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 2500 // 160 MB
	ahead := false
	for i := range int64(rows) {
		record := recordAt(i, rowOf(s, cdc.Int(i), cdc.Bytes(body)))
		record.RawValue = body
		if err := r.Append([]*cdc.Record{record}); err != nil {
			t.Fatal(err)
		}
		ahead = ahead || len(r.(*rendering).order[0].files[0].out.parts) > 0
		if err := r.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, r, rows)
	if !ahead {
		t.Error("no part was sent ahead")
	}
	script := `
import sys, duckdb
c = duckdb.connect()
print(c.execute("SELECT count(*), sum(id), count(DISTINCT id), min(octet_length(noise)) FROM read_parquet(?)", [sys.argv[1]]).fetchone())
print(c.execute("SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [sys.argv[1]]).fetchone()[0])`
	got := string(readers(t).Run(t, script, filepath.Join(l.config.Directory, filesOf(t, l)[0])))
	if want := fmt.Sprintf("(%d, %d, %d, %d)\n5\n", rows, rows*(rows-1)/2, rows, 64<<10); got != want {
		t.Errorf("DuckDB counts %swant %s", got, want)
	}
}
