package lake

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// folderOf is where a lake puts a record.
func folderOf(t testing.TB, l *Lake, r *cdc.Record, instant time.Time) (string, error) {
	t.Helper()
	path, err := l.config.partitioner.folder(r, instant, &bucketed{})
	return path, err
}

var timed = cdc.NewSchema("timed",
	cdc.Field{Name: "ms", Type: cdc.Int64, Semantic: cdc.Timestamp, Optional: true},
	cdc.Field{Name: "us", Type: cdc.Int64, Semantic: cdc.MicroTimestamp},
	cdc.Field{Name: "ns", Type: cdc.Int64, Semantic: cdc.NanoTimestamp},
	cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date},
	cdc.Field{Name: "zoned", Type: cdc.Text, Semantic: cdc.ZonedTimestamp},
	cdc.Field{Name: "micros", Type: cdc.Text, Semantic: cdc.ZonedTimestamp},
	cdc.Field{Name: "long", Type: cdc.Int64},
	cdc.Field{Name: "iso", Type: cdc.Text},
	cdc.Field{Name: "blank", Type: cdc.Text},
	cdc.Field{Name: "any", Type: cdc.Any},
	cdc.Field{Name: "flag", Type: cdc.Boolean},
	cdc.Field{Name: "nested", Type: cdc.Struct, Struct: cdc.NewSchema("", cdc.Field{Name: "at", Type: cdc.Int64})},
	cdc.Field{Name: "name", Type: cdc.Text},
	cdc.Field{Name: "price", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 6, Scale: 2},
)

func timedRow() *cdc.Row {
	at := time.Date(2020, 2, 29, 23, 59, 58, 0, time.UTC)
	return rowOf(timed, cdc.Int(at.UnixMilli()), cdc.Int(at.UnixMicro()), cdc.Int(at.UnixNano()), cdc.Int(at.Unix()/86400),
		str("2020-02-29T23:59:58Z"), cdc.Micros(at.UnixMicro()), cdc.Int(at.UnixMilli()), str("2020-03-01T01:59:58+02:00"), str("2020-02-29 23:59:58"),
		cdc.Number([]byte("1583020798000")), cdc.Bool(true), cdc.List([]cdc.Value{cdc.Int(at.UnixMilli())}), str("a/b=c d"), cdc.SmallDecimal(1250))
}

// TestFolders has every partitioner and extractor.
func TestFolders(t *testing.T) {
	const class, hours = "partitioner.class=io.confluent.connect.storage.partitioner.", "path.format=YYYY/MM/dd/HH"
	byField := []string{class + "TimeBasedPartitioner", hours, "timestamp.extractor=RecordField"}
	record := recordAt(0, timedRow()) // at noon, 2026-11-22
	for _, c := range []struct {
		name       string
		properties []string
		want       string // or a part of the error
	}{
		{"default", nil, "partition=3"},
		{"hourly", []string{class + "HourlyPartitioner"}, "year=2026/month=11/day=22/hour=12"},
		{"daily", []string{class + "DailyPartitioner"}, "year=2026/month=11/day=22"},
		{"time", []string{class + "TimeBasedPartitioner", hours, "partition.duration.ms=3600000"}, "2026/11/22/12"},
		{"six hours", []string{class + "TimeBasedPartitioner", hours, "partition.duration.ms=21600000", "timezone=Asia/Tokyo"}, "2026/11/22/18"},
		{"zone", []string{class + "DailyPartitioner", "timezone=Asia/Tokyo"}, "year=2026/month=11/day=22"},
		{"zone over midnight", []string{class + "DailyPartitioner", "timezone=Pacific/Kiritimati"}, "year=2026/month=11/day=23"},
		{"wall clock", []string{class + "TimeBasedPartitioner", hours, "timestamp.extractor=Wallclock"}, "2030/01/01/05"},
		{"timestamp", append(byField, "timestamp.field=ms"), "2020/02/29/23"},
		{"micro timestamp", append(byField, "timestamp.field=us"), "2020/02/29/23"},
		{"nano timestamp", append(byField, "timestamp.field=ns"), "2020/02/29/23"},
		{"date", append(byField, "timestamp.field=day"), "2020/02/29/00"},
		{"zoned timestamp", append(byField, "timestamp.field=zoned"), "2020/02/29/23"},
		{"zoned timestamp as micros", append(byField, "timestamp.field=micros"), "2020/02/29/23"},
		{"long", append(byField, "timestamp.field=long"), "2020/02/29/23"},
		{"text with an offset", append(byField, "timestamp.field=iso"), "2020/02/29/23"},
		{"text without one", append(byField, "timestamp.field=blank"), "2020/02/29/23"},
		{"schemaless", append(byField, "timestamp.field=any"), "2020/02/29/23"},
		{"member", append(byField, "timestamp.field=nested.at"), "2020/02/29/23"},
		{"no time", append(byField, "timestamp.field=flag"), "is no time"},
		{"no such field", append(byField, "timestamp.field=x.y"), "has no field x.y"},
		{"text that is none", append(byField, "timestamp.field=name"), "is not a time in ISO 8601"},
		{"field", []string{class + "FieldPartitioner", "partition.field.name=flag,day,nested.at"}, "flag=true/day=2020-02-29/at=1583020798000"},
		{"field escaped", []string{class + "FieldPartitioner", "partition.field.name=name,price"}, "name=a%2Fb%3Dc d/price=12.50"},
		{"field missing", []string{class + "FieldPartitioner", "partition.field.name=x"}, "has no field x"},
		{"field of no use", []string{class + "FieldPartitioner", "partition.field.name=nested"}, "cannot name a folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := folderOf(t, newLake(t, c.properties...), record, time.Date(2030, 1, 1, 5, 0, 0, 0, time.UTC))
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestFoldersOfDeletesWithoutARow: the key is all there is.
func TestFoldersOfDeletesWithoutARow(t *testing.T) {
	lone := recordAt(0, nil)
	lone.Key, lone.Deleted, lone.Tombstone = rowOf(cdc.NewSchema("", cdc.Field{Name: "id", Type: cdc.Int64}), cdc.Int(7)), true, true
	for _, c := range []struct {
		properties []string
		want       string
	}{
		{[]string{"partitioner.class=HourlyPartitioner", "timestamp.extractor=RecordField", "timestamp.field=created"}, "year=2026/month=11/day=22/hour=12"},
		{[]string{"partitioner.class=FieldPartitioner", "partition.field.name=id,region"}, "id=7/region=__HIVE_DEFAULT_PARTITION__"},
	} {
		l, err := tryLake(t, c.properties...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := folderOf(t, l, lone, noon); err != nil || got != c.want {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
	live := recordAt(0, rowOf(timed))
	l := newLake(t, "partitioner.class=HourlyPartitioner", "timestamp.extractor=RecordField", "timestamp.field=ms")
	for _, live.Deleted = range []bool{false, true} { // a delete that has a row is like another
		if _, err := folderOf(t, l, live, noon); err == nil || !strings.Contains(err.Error(), "is null") {
			t.Errorf("a row without its time: %v", err)
		}
	}
}

// TestBucketsFollowTheZone over a change of daylight saving time, with and
// without the memory of the last bucket.
func TestBucketsFollowTheZone(t *testing.T) {
	l := newLake(t, "partitioner.class=TimeBasedPartitioner", "path.format=dd-HH-ZZ", "timezone=Europe/Berlin")
	p := &l.config.partitioner
	var memory bucketed
	began := time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC) // 01:00 in Berlin; at 01:00 UTC clocks go back
	want := []string{"25-01-+02:00", "25-02-+02:00", "25-02-+01:00", "25-03-+01:00"}
	for i := range 4 * 60 {
		at := began.Add(time.Duration(i) * time.Minute).UnixMilli()
		path, start := p.bucket(at, &memory)
		fresh, freshStart := p.bucket(at, &bucketed{})
		if path != want[i/60] || fresh != path || start != freshStart || start != began.Add(time.Duration(i/60)*time.Hour).UnixMilli() {
			t.Fatalf("minute %d: %s from %d, fresh %s from %d, want %s", i, path, start, fresh, freshStart, want[i/60])
		}
	}
}

// TestNames spells and reads names.
func TestNames(t *testing.T) {
	p := sink.Partition{Topic: "shop.orders", TopicID: [16]byte{0xde, 0xad, 0xbe, 0xef}, Number: 12}
	n := names{dir: "topics", pad: 10, extension: ".snappy.parquet"}
	for want, got := range map[string]string{
		"topics/orders/2026/11/orders+12+0000000042+deadbeef.snappy.parquet":    n.file("orders", "2026/11", p, 42, 0),
		"topics/orders/2026/11/orders+12+0000000042+deadbeef+s3.snappy.parquet": n.file("orders", "2026/11", p, 42, 3),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if o, ok := ownerOfName(got); !ok || o != ownerOf(p) {
			t.Errorf("%s belongs to %v", got, o)
		}
	}
	bare := names{pad: 0, extension: ".parquet"}
	if got := bare.file("a.b", "", p, 7, 0); got != "a.b/a.b+12+7+deadbeef.parquet" {
		t.Errorf("got %s", got)
	} else if o, ok := ownerOfName(got); !ok || o != ownerOf(p) {
		t.Errorf("%s belongs to %v", got, o)
	}
	for _, other := range []string{"a/b.parquet", "orders+12+0000000042.snappy.parquet", "orders+x+1+deadbeef.parquet", "orders+1+2+deadbeef.json", "a+1+2+dead+s1.parquet"} {
		if o, ok := ownerOfName(other); ok {
			t.Errorf("%s belongs to %v", other, o)
		}
	}
}

// TestOwnersOfRoutedNames: a route may have any character, and its files are known
// for what they are.
func TestOwnersOfRoutedNames(t *testing.T) {
	n := names{dir: "topics", pad: 10, extension: ".snappy.parquet"}
	for _, topic := range []string{"orders", "a+b", "eu/orders", "a.b+c.d", "a+1+2+abcdef01", "a+s1"} {
		for further := range 2 {
			name := n.file(topic, "partition=0", shopOrders, 7, further)
			if o, ok := ownerOfName(name); !ok || o != ownerOf(shopOrders) {
				t.Errorf("%s belongs to %v, %v", name, o, ok)
			}
		}
	}
}

// TestAFolderDoesNotDependOnTheRecordBefore: clocks were changed within a quarter of
// an hour, too.
func TestAFolderDoesNotDependOnTheRecordBefore(t *testing.T) {
	p := &newLake(t, "partitioner.class=HourlyPartitioner", "timezone=America/St_Johns").config.partitioner
	change := time.Date(2010, 3, 14, 3, 31, 0, 0, time.UTC) // at 0:01 there
	var memory bucketed
	for _, at := range []time.Time{change.Add(-30 * time.Second), change.Add(30 * time.Second), change.Add(-time.Second), change} {
		got, _ := p.bucket(at.UnixMilli(), &memory)
		if want, _ := p.bucket(at.UnixMilli(), &bucketed{}); got != want {
			t.Errorf("%v is filed under %s behind another record, else under %s", at.In(p.zone), got, want)
		}
	}
}
