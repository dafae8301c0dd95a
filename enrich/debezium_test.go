package enrich

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// debezium makes the chain of one transform of io.debezium.transforms.
func debezium(tb testing.TB, class string, properties ...string) *transform.Chain {
	tb.Helper()
	c, err := tryDebezium(class, properties...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func tryDebezium(class string, properties ...string) (*transform.Chain, error) {
	if !strings.Contains(class, ".") {
		class = "io.debezium.transforms." + class
	}
	all := map[string]string{"transforms": "t", "transforms.t.type": class}
	for i := 0; i < len(properties); i += 2 {
		all["transforms.t."+properties[i]] = properties[i+1]
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		return nil, err
	}
	return transform.New(v, Classes)
}

// mustKeep sends r through c, which has to keep it.
func mustKeep(tb testing.TB, c *transform.Chain, r *cdc.Record) {
	tb.Helper()
	if kept, err := c.Apply(context.Background(), []*cdc.Record{r}); err != nil || len(kept) != 1 {
		tb.Fatalf("kept %d: %v", len(kept), err)
	}
}

// times is a table with a column of every temporal type.
var times = cdc.Schema{Name: "shop.ecommerce.times.Value", Optional: true, Fields: []cdc.Field{
	{Name: "id", Type: cdc.Int32},
	{Name: "ms", Type: cdc.Int64, Semantic: cdc.Timestamp, Optional: true},
	{Name: "us", Type: cdc.Int64, Semantic: cdc.MicroTimestamp, Optional: true},
	{Name: "ns", Type: cdc.Int64, Semantic: cdc.NanoTimestamp, Optional: true},
	{Name: "connect", Type: cdc.Int64, Semantic: cdc.ConnectTimestamp, Optional: true},
	{Name: "zoned", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, Optional: true, Digits: 6},
	{Name: "text", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, Optional: true},
	{Name: "clock", Type: cdc.Text, Semantic: cdc.ZonedTime, Optional: true},
	{Name: "date", Type: cdc.Int32, Semantic: cdc.Date, Optional: true},
}}.Intern()

// timesRow is a row of times, all at the same moment: ms since the epoch.
func timesRow(ms int64, text, clock string) *cdc.Row {
	r := &cdc.Row{}
	r.Reset(times)
	r.Values[0], r.Values[1], r.Values[2], r.Values[3] = cdc.Int(1), cdc.Int(ms), cdc.Int(ms*1000+1), cdc.Int(ms*1_000_000+1)
	r.Values[4], r.Values[5], r.Values[6] = cdc.Int(ms), cdc.Micros(ms*1000+901), cdc.String([]byte(text))
	r.Values[7], r.Values[8] = cdc.String([]byte(clock)), cdc.Int(19724)
	return r
}

func ofTimes(op cdc.Op, before, after *cdc.Row) *cdc.Record {
	return &cdc.Record{Route: "shop.ecommerce.times", Op: op, Envelope: &cdc.Envelope{
		Op: op, Before: before, After: after, Millis: 1704164645678, SourceMillis: 1704164645000,
		SourceJSON: []byte(`{"table":"times","ts_ms":1704164645000,"ts_us":1704164645000001,"query":null}`),
	}}
}

func jsonOf(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	return string(json.NewPlan(r.Schema, json.Options{}).Append(nil, r))
}

// TestTimezoneConverter: golden case smt-timezone, and every type there is.
func TestTimezoneConverter(t *testing.T) {
	const same = `{"id":1,"ms":1704164645678,"us":1704164645678001,"ns":1704164645678000001,"connect":1704164645678,"zoned":"2024-01-02T03:04:05.678901Z","text":"2024-01-02T03:04:05Z","clock":"03:04:05Z","date":19724}`
	row := func() *cdc.Row { return timesRow(1704164645678, "2024-01-02T03:04:05Z", "03:04:05Z") }
	for name, x := range map[string]struct {
		properties []string
		want       string
	}{
		"everything": {[]string{"converted.timezone", "Asia/Tokyo"}, `{"id":1,"ms":1704132245678,"us":1704132245678001,"ns":1704132245678000001,"connect":1704132245678,"zoned":"2024-01-02T12:04:05.678901+09:00","text":"2024-01-02T12:04:05+09:00","clock":"12:04:05+09:00","date":19724}`},
		"an offset":  {[]string{"converted.timezone", "-03:30"}, `{"id":1,"ms":1704177245678,"us":1704177245678001,"ns":1704177245678000001,"connect":1704177245678,"zoned":"2024-01-01T23:34:05.678901-03:30","text":"2024-01-01T23:34:05-03:30","clock":"23:34:05-03:30","date":19724}`},
		"UTC":        {[]string{"converted.timezone", "UTC"}, same},
		"a field of a table": {[]string{"converted.timezone", "+05:30", "include.list", "source:times:zoned"},
			`{"id":1,"ms":1704164645678,"us":1704164645678001,"ns":1704164645678000001,"connect":1704164645678,"zoned":"2024-01-02T08:34:05.678901+05:30","text":"2024-01-02T03:04:05Z","clock":"03:04:05Z","date":19724}`},
		"fields of after, and of before": {[]string{"converted.timezone", "+01:00", "include.list", "topic:shop.ecommerce.times:after.ms,shop.ecommerce.times:before.us"},
			`{"id":1,"ms":1704161045678,"us":1704164645678001,"ns":1704164645678000001,"connect":1704164645678,"zoned":"2024-01-02T03:04:05.678901Z","text":"2024-01-02T03:04:05Z","clock":"03:04:05Z","date":19724}`},
		"all but":             {[]string{"converted.timezone", "+01:00", "exclude.list", "times:ms,times:us,times:ns,times:connect,times:text,times:clock"}, `{"id":1,"ms":1704164645678,"us":1704164645678001,"ns":1704164645678000001,"connect":1704164645678,"zoned":"2024-01-02T04:04:05.678901+01:00","text":"2024-01-02T03:04:05Z","clock":"03:04:05Z","date":19724}`},
		"not the table":       {[]string{"converted.timezone", "+01:00", "exclude.list", "source:times"}, same},
		"another table":       {[]string{"converted.timezone", "+01:00", "include.list", "source:others"}, same},
		"another excluded":    {[]string{"converted.timezone", "+00:00", "exclude.list", "topic:others:ms"}, same},
		"a topic, everything": {[]string{"converted.timezone", "+00:00", "include.list", "topic:shop.ecommerce.times"}, same},
	} {
		r := ofTimes(cdc.OpCreate, nil, row())
		mustKeep(t, debezium(t, "TimezoneConverter", x.properties...), r)
		if got := jsonOf(r.Envelope.After); got != x.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, x.want)
		}
	}
}

// TestTimezoneConverterRecords: before and after, nulls, and what is left alone.
func TestTimezoneConverterRecords(t *testing.T) {
	c := debezium(t, "TimezoneConverter", "converted.timezone", "Asia/Tokyo")
	before, after := timesRow(-1, "1969-12-31T23:59:59.9Z", "23:00:00Z"), timesRow(0, "2038-01-01T00:00:00Z", "00:00:00.5+01:00")
	after.Values[2], after.Values[5] = cdc.Value{}, cdc.Absent()
	mustKeep(t, c, ofTimes(cdc.OpUpdate, before, after))
	if got, want := jsonOf(before), `{"id":1,"ms":-32400001,"us":-32400000999,"ns":-32400000999999,"connect":-32400001,"zoned":"1970-01-01T08:59:59.999901+09:00","text":"1970-01-01T08:59:59.9+09:00","clock":"08:00:00+09:00","date":19724}`; got != want {
		t.Errorf("before is\n%s, want\n%s", got, want)
	}
	if got, want := jsonOf(after), `{"id":1,"ms":-32400000,"us":null,"ns":-32399999999999,"connect":-32400000,"zoned":"__debezium_unavailable_value","text":"2038-01-01T09:00:00+09:00","clock":"08:00:00.5+09:00","date":19724}`; got != want {
		t.Errorf("after is\n%s, want\n%s", got, want)
	}
	flat := ofTimes(cdc.OpCreate, nil, timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z"))
	flat.Value = flat.Envelope.After
	for name, r := range map[string]*cdc.Record{"unwrapped": flat, "tombstone": input(t, "tombstone"), "struct": input(t, "struct"), "map": input(t, "map")} {
		was := jsonOf(r.Value)
		if mustKeep(t, c, r); jsonOf(r.Value) != was {
			t.Errorf("%s became %s", name, jsonOf(r.Value))
		}
	}
	schemaless := ofTimes(cdc.OpCreate, nil, input(t, "map").Value)
	was := jsonOf(schemaless.Envelope.After)
	if mustKeep(t, c, schemaless); jsonOf(schemaless.Envelope.After) != was {
		t.Errorf("a row without types became %s", jsonOf(schemaless.Envelope.After))
	}
	bad := ofTimes(cdc.OpCreate, nil, timesRow(5, "yesterday", "00:00:00Z"))
	if _, err := c.Apply(context.Background(), []*cdc.Record{bad}); err == nil {
		t.Error("no error of a text that is no time")
	}
}

// TestTimezoneConverterSource: times of the source block where a list names
// them, from JSON and from a typed block.
func TestTimezoneConverterSource(t *testing.T) {
	c := debezium(t, "TimezoneConverter", "converted.timezone", "+01:00", "include.list", "source:times:source.ts_ms")
	r := ofTimes(cdc.OpDelete, timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z"), nil)
	mustKeep(t, c, r)
	if got, want := string(r.Envelope.SourceJSON), `{"table":"times","ts_ms":1704168245000,"ts_us":1704164645000001,"query":null}`; got != want || r.Envelope.SourceMillis != 1704168245000 {
		t.Errorf("the source is\n%s, want\n%s", got, want)
	}
	typed := ofTimes(cdc.OpDelete, timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z"), nil)
	typed.Envelope.Source = &cdc.Row{}
	typed.Envelope.Source.Reset(cdc.NewSchema("s", cdc.Field{Name: "table", Type: cdc.Text}, cdc.Field{Name: "ts_ms", Type: cdc.Int64}))
	typed.Envelope.Source.Values[0], typed.Envelope.Source.Values[1] = cdc.String([]byte("times")), cdc.Int(1000)
	if mustKeep(t, c, typed); jsonOf(typed.Envelope.Source) != `{"table":"times","ts_ms":3601000}` {
		t.Errorf("the source is %s", jsonOf(typed.Envelope.Source))
	}
}

// TestLocalOffset: what java.time.zone.ZoneRules.getOffset says of local times
// around the change of the clock.
func TestLocalOffset(t *testing.T) {
	berlin, ok := newZone("Europe/Berlin")
	if !ok {
		t.Fatal("there is no Europe/Berlin")
	}
	for local, want := range map[int64]int64{
		1711850399: 3600, 1711850400: 3600, 1711853999: 3600, 1711854000: 7200, // 2024-03-31 01:59:59, 02:00 and 02:59:59 (left out), 03:00
		1729994399: 7200, 1729994400: 7200, 1729997999: 7200, 1729998000: 3600, // 2024-10-27 01:59:59, 02:00 and 02:59:59 (twice), 03:00
	} {
		if got := berlin.offsetOfLocal(local); got != want {
			t.Errorf("the offset at %d is %d, want %d", local, got, want)
		}
	}
	for _, name := range []string{"Mars/Olympus", "Local", "+25:00", "+1:00", "+01:60"} {
		if _, ok := newZone(name); ok {
			t.Errorf("%s is taken for a time zone", name)
		}
	}
	for _, properties := range [][]string{
		{}, {"converted.timezone", "x"}, {"converted.timezone", "UTC", "include.list", "a"}, {"converted.timezone", "UTC", "include.list", "source:a:b:c"},
		{"converted.timezone", "UTC", "include.list", "source:a", "exclude.list", "source:b"},
	} {
		if _, err := tryDebezium("TimezoneConverter", properties...); err == nil {
			t.Errorf("%v is accepted", properties)
		}
	}
}

// headerTexts are the headers of r as text.
func headerTexts(r *cdc.Record) (out []string) {
	for _, h := range r.Headers {
		if h.Typed != nil {
			out = append(out, h.Key+"="+jsonOf(h.Typed))
		} else {
			out = append(out, h.Key+"="+string(h.Value))
		}
	}
	return out
}

// TestExtractChangedRecordState has what golden case smt-extract-changed has.
func TestExtractChangedRecordState(t *testing.T) {
	c := debezium(t, "ExtractChangedRecordState", "header.changed.name", "Changed", "header.unchanged.name", "Unchanged")
	row := func() *cdc.Row { return timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z") }
	other := timesRow(6, "2038-01-01T00:00:00Z", "00:00:00Z")
	other.Values[8], other.Values[7] = cdc.Value{}, cdc.Absent()
	flat := ofTimes(cdc.OpUpdate, row(), other)
	flat.Value = other
	for name, x := range map[string]struct {
		record *cdc.Record
		want   []string
	}{
		"update":    {ofTimes(cdc.OpUpdate, row(), other), []string{`Changed=["ms","us","ns","connect","zoned","date"]`, `Unchanged=["id","text","clock"]`}},
		"same":      {ofTimes(cdc.OpUpdate, row(), row()), []string{`Changed=[]`, `Unchanged=["id","ms","us","ns","connect","zoned","text","clock","date"]`}},
		"insert":    {ofTimes(cdc.OpCreate, nil, row()), []string{`Changed=[]`, `Unchanged=[]`}},
		"delete":    {ofTimes(cdc.OpDelete, row(), nil), []string{`Changed=[]`, `Unchanged=[]`}},
		"map":       {ofTimes(cdc.OpUpdate, input(t, "map nulls").Value, input(t, "map").Value), []string{`Changed=["city","total","score","active","at","n"]`, `Unchanged=["id"]`}},
		"added":     {ofTimes(cdc.OpUpdate, &cdc.Row{Schema: noColumns}, input(t, "map nulls").Value), []string{`Changed=["id"]`, `Unchanged=["city","total","score","active","at","n"]`}},
		"tombstone": {input(t, "tombstone"), nil},
		"unwrapped": {flat, nil},
	} {
		mustKeep(t, c, x.record)
		if got := headerTexts(x.record); len(got) != len(x.want) || len(got) > 0 && (got[0] != x.want[0] || got[1] != x.want[1]) {
			t.Errorf("%s has the headers %q, want %q", name, got, x.want)
		}
	}
	none := ofTimes(cdc.OpUpdate, row(), other)
	if mustKeep(t, debezium(t, "ExtractChangedRecordState"), none); len(none.Headers) != 0 {
		t.Errorf("without names there are headers %q", headerTexts(none))
	}
	if s := namesSchema("Changed"); shape(s) != "Changed?" || s.Fields[0].Element.Type != cdc.Text {
		t.Errorf("the header's schema is %s", shape(s))
	}
}

var noColumns = cdc.NewSchema("")

// TestReadToInsertEvent: rows of snapshots, and nothing else, become inserts.
func TestReadToInsertEvent(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"transforms": "t", "transforms.t.type": "io.debezium.connector.mysql.transforms.ReadToInsertEvent"}, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		t.Fatal(err)
	}
	row := timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z")
	for op, want := range map[cdc.Op]cdc.Op{cdc.OpRead: cdc.OpCreate, cdc.OpCreate: cdc.OpCreate, cdc.OpUpdate: cdc.OpUpdate, cdc.OpTruncate: cdc.OpTruncate} {
		r := ofTimes(op, nil, row)
		if mustKeep(t, c, r); r.Op != want || r.Envelope.Op != want {
			t.Errorf("%c became %c, in its envelope %c", op, r.Op, r.Envelope.Op)
		}
	}
	flat := ofTimes(cdc.OpRead, nil, row)
	flat.Value = row
	for name, r := range map[string]*cdc.Record{"unwrapped": flat, "tombstone": input(t, "tombstone"), "map": input(t, "map")} {
		was := r.Op
		if mustKeep(t, c, r); r.Op != was {
			t.Errorf("%s became %c", name, r.Op)
		}
	}
}

// TestHeaderToValue moves and copies, into fields of their own and of structs.
func TestHeaderToValue(t *testing.T) {
	typed := func() cdc.Header {
		return cdc.Header{Key: "who", Typed: transform.BareRow(cdc.Bare(cdc.Field{Type: cdc.Text}), cdc.String([]byte("ann")))}
	}
	bytes := func(s string) cdc.Header { return cdc.Header{Key: "n", Value: []byte(s)} }
	for name, x := range map[string]struct {
		input, headers, fields, operation string
		given                             []cdc.Header
		want                              string
		left                              int
	}{
		"struct": {"struct", "who,n", "user,number", "move", []cdc.Header{typed(), bytes("5"), {Key: "x"}},
			`{"id":1,"city":"Oslo","total":"AMg=","score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x"},"user":"ann","number":5}`, 1},
		"copy":        {"map", "who", "user", "copy", []cdc.Header{typed()}, `{"id":1,"city":"Oslo","total":2.50,"score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x"},"user":"ann"}`, 1},
		"replaced":    {"map nulls", "who", "city", "move", []cdc.Header{typed()}, `{"id":1,"city":"ann","total":null,"score":null,"active":null,"at":null,"n":null}`, 0},
		"in a struct": {"struct", "who", "n.c", "move", []cdc.Header{typed()}, `{"id":1,"city":"Oslo","total":"AMg=","score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x","c":"ann"}}`, 0},
		"in a map":    {"map", "who,n", "n.c,n.a", "move", []cdc.Header{typed(), bytes(`{"z":[1]}`)}, `{"id":1,"city":"Oslo","total":2.50,"score":7.9,"active":true,"at":1704164645678,"n":{"a":{"z":[1]},"b":"x","c":"ann"}}`, 0},
		"in a null":   {"nulls", "who", "n.c", "move", []cdc.Header{typed()}, `{"id":1,"city":null,"total":null,"score":null,"active":null,"at":null,"n":null}`, 0},
		"a struct":    {"map", "n", "x.y.z", "move", []cdc.Header{bytes("plain text")}, `{"id":1,"city":"Oslo","total":2.50,"score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x"},"x":{"y":{"z":"plain text"}}}`, 0},
		"no header":   {"map nulls", "who", "user", "move", []cdc.Header{bytes("1")}, `{"id":1,"city":null,"total":null,"score":null,"active":null,"at":null,"n":null}`, 1},
		"tombstone":   {"tombstone", "who", "user", "move", []cdc.Header{typed()}, "null", 1},
	} {
		r := input(t, x.input)
		r.Headers = x.given
		mustKeep(t, debezium(t, "HeaderToValue", "headers", x.headers, "fields", x.fields, "operation", x.operation), r)
		if got := jsonOf(r.Value); got != x.want || len(r.Headers) != x.left {
			t.Errorf("%s: %s with %d headers, want\n%s with %d", name, got, len(r.Headers), x.want, x.left)
		}
	}
	r := input(t, "struct")
	r.Headers = []cdc.Header{typed()}
	if _, err := debezium(t, "HeaderToValue", "headers", "who", "fields", "city.x", "operation", "move").Apply(context.Background(), []*cdc.Record{r}); err == nil {
		t.Error("no error of a field within a text")
	}
	var errs error
	for _, properties := range [][]string{
		{"fields", "a", "operation", "move"}, {"headers", "a", "fields", "b,c", "operation", "move"}, {"headers", "a", "fields", "b", "operation", "x"}, {"headers", "a", "fields", ".b", "operation", "copy"},
	} {
		if _, err := tryDebezium("HeaderToValue", properties...); err == nil {
			errs = errors.Join(errs, errors.New(properties[1]))
		}
	}
	if errs != nil {
		t.Errorf("accepted: %v", errs)
	}
}

// TestChangedFieldsInTheRow: ExtractChangedRecordState, HeaderToValue and
// ExtractNewRecordState in a row, as Debezium's documentation has them.
func TestChangedFieldsInTheRow(t *testing.T) {
	v, _, err := config.Parse(map[string]string{
		"transforms":        "c,h,u",
		"transforms.c.type": "io.debezium.transforms.ExtractChangedRecordState", "transforms.c.header.changed.name": "Changed",
		"transforms.h.type": "io.debezium.transforms.HeaderToValue", "transforms.h.headers": "Changed", "transforms.h.fields": "after.changed", "transforms.h.operation": "move",
		"transforms.u.type": "io.debezium.transforms.ExtractNewRecordState",
	}, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		t.Fatal(err)
	}
	r := ofTimes(cdc.OpUpdate, timesRow(5, "2038-01-01T00:00:00Z", "00:00:00Z"), timesRow(6, "2038-01-01T00:00:00Z", "00:00:00Z"))
	mustKeep(t, c, r)
	if got, want := jsonOf(r.Value), `{"id":1,"ms":6,"us":6001,"ns":6000001,"connect":6,"zoned":"1970-01-01T00:00:00.006901Z","text":"2038-01-01T00:00:00Z","clock":"00:00:00Z","date":19724,"changed":["ms","us","ns","connect","zoned"]}`; got != want || len(r.Headers) != 0 {
		t.Errorf("the row is\n%s, want\n%s", got, want)
	}
}

func BenchmarkTimezoneConverter(b *testing.B) {
	for name, zone := range map[string]string{"offset": "+09:00", "zone": "Europe/Berlin"} {
		b.Run(name, func(b *testing.B) {
			c, row := debezium(b, "TimezoneConverter", "converted.timezone", zone), &cdc.Row{}
			model := timesRow(1704164645678, "2024-01-02T03:04:05Z", "03:04:05Z")
			model.Values[7] = cdc.Value{}
			e := &cdc.Envelope{}
			benchmarkRecord(b, c, func(r *cdc.Record) {
				row.CopyFrom(model)
				*e = cdc.Envelope{Op: cdc.OpCreate, After: row}
				*r = cdc.Record{Envelope: e, Op: cdc.OpCreate}
			})
		})
	}
}

func BenchmarkExtractChangedRecordState(b *testing.B) {
	c := debezium(b, "ExtractChangedRecordState", "header.changed.name", "Changed")
	before, after, e := timesRow(5, "x", "y"), &cdc.Row{}, &cdc.Envelope{}
	benchmarkRecord(b, c, func(r *cdc.Record) {
		after.CopyFrom(before)
		*e = cdc.Envelope{Op: cdc.OpUpdate, Before: before, After: after}
		*r = cdc.Record{Envelope: e, Op: cdc.OpUpdate, Headers: r.Headers[:0]}
	})
}

func BenchmarkHeaderToValue(b *testing.B) {
	c := debezium(b, "HeaderToValue", "headers", "who", "fields", "user", "operation", "copy")
	model, row := timesRow(5, "x", "y"), &cdc.Row{}
	header := cdc.Header{Key: "who", Typed: transform.BareRow(cdc.Bare(cdc.Field{Type: cdc.Text}), cdc.String([]byte("ann")))}
	benchmarkRecord(b, c, func(r *cdc.Record) {
		row.CopyFrom(model)
		*r = cdc.Record{Value: row, Headers: append(r.Headers[:0], header)}
	})
}

func BenchmarkReadToInsertEvent(b *testing.B) {
	c := debezium(b, "io.debezium.connector.mysql.transforms.ReadToInsertEvent")
	model, row := timesRow(5, "x", "y"), &cdc.Row{}
	e := &cdc.Envelope{}
	benchmarkRecord(b, c, func(r *cdc.Record) {
		row.CopyFrom(model)
		*e = cdc.Envelope{Op: cdc.OpRead, After: row}
		*r = cdc.Record{Envelope: e, Op: cdc.OpRead}
	})
}

// benchmarkRecord measures the chain on one record that set makes anew.
func benchmarkRecord(b *testing.B, c *transform.Chain, set func(*cdc.Record)) {
	r := &cdc.Record{}
	records := []*cdc.Record{r}
	b.ReportAllocs()
	for b.Loop() {
		set(r)
		if _, err := c.Apply(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
}
