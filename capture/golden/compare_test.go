package golden

import (
	"strings"
	"testing"
)

// fakeCase is a case of a few records, compared with a changed copy of them.
func fakeCase() *Case {
	c := &Case{Name: "fake", Properties: map[string]string{"topic.prefix": "p"}}
	c.Meta.BinlogFiles = []string{"binlog.1"}
	text := func(s string) *string { return &s }
	row := func(id, name, snapshot string) Record {
		return Record{Topic: "p.db.t", Key: text(`{"id":` + id + `}`), Value: text(`{"before":null,"after":{"id":` + id + `,"name":"` + name +
			`"},"source":{"version":"1","ts_ms":5,"snapshot":"` + snapshot + `","file":"binlog.1","pos":7,"gtid":null},"op":"c","ts_ms":1,"ts_us":1,"ts_ns":1}`),
			Headers: []Header{{"__debezium.context.runId", text("a")}, {"x", text("y")}}}
	}
	c.Records = []Record{
		row("1", "one", "true"), row("2", "two", "last"), row("3", "three", "false"), row("4", "four", "false"),
		{Topic: "p.db.t", Key: text(`{"id":4}`), Headers: []Header{{"x", text("y")}}},
		{Topic: "p.transaction", Key: text(`{"id":"1"}`), Value: text(`{"status":"BEGIN","ts_ms":9}`)},
		{Topic: "hb", Key: text(`{"n":1}`), Value: text(`{"ts_ms":9}`)}, {Topic: "hb", Key: text(`{"n":1}`), Value: text(`{"ts_ms":10}`)},
	}
	for i := range c.Records {
		c.Records[i].Offset = int64(i)
	}
	return c
}

func compareFake(c *Case, part Part, got []Record) *Report {
	report := &Report{limit: 10}
	k := &comparison{c: c, part: part, topics: topics{"p", "p.transaction", "hb"}, report: report}
	k.run(of(part, c.Records), of(part, got))
	return report
}

func TestComparisonFindsEveryKindOfDifference(t *testing.T) {
	edit := func(at int, old, other string) func([]Record) []Record {
		return func(r []Record) []Record {
			changed := strings.Replace(*r[at].Value, old, other, 1)
			if changed == *r[at].Value {
				t.Fatalf("%s is not in %s", old, changed)
			}
			r[at].Value = &changed
			return r
		}
	}
	for _, c := range []struct {
		name   string
		part   Part
		change func([]Record) []Record
		path   string // of the first difference; "-": none
	}{
		{"the same", PartStream, func(r []Record) []Record { return r }, "-"},
		{"a value", PartStream, edit(2, "three", "drei"), "value.after.name"},
		{"a value of the snapshot", PartSnapshot, edit(1, "two", "zwei"), "value.after.name"},
		{"a marker", PartSnapshot, edit(1, "last", "true"), "value.source.snapshot"},
		{"the time of processing", PartStream, edit(2, `"op":"c","ts_ms":1`, `"op":"c","ts_ms":2`), "-"},
		{"the time of a transaction", PartStream, edit(5, `9`, `8`), "value.ts_ms"},
		{"the time of a change", PartStream, edit(2, `"ts_ms":5`, `"ts_ms":6`), "value.source.ts_ms"},
		{"the time of reading", PartSnapshot, edit(0, `"ts_ms":5`, `"ts_ms":6`), "-"},
		{"the place of a change", PartStream, edit(2, `"pos":7`, `"pos":8`), "value.source.pos"},
		{"the place of reading", PartSnapshot, edit(0, `"pos":7`, `"pos":8`), "-"},
		{"the order of members", PartStream, edit(2, `{"id":3,"name":"three"}`, `{"name":"three","id":3}`), "value.after"},
		{"the order of records", PartStream, func(r []Record) []Record { r[2], r[3] = r[3], r[2]; return r }, "key.id"},
		{"a missing record", PartStream, func(r []Record) []Record { return r[:4] }, ""},
		{"a record too many", PartStream, func(r []Record) []Record { return append(r, r[3]) }, ""},
		{"another topic", PartStream, func(r []Record) []Record { r[3].Topic = "p.db.u"; return r }, "value"},
		{"a null for a tombstone", PartStream, func(r []Record) []Record { null := "null"; r[4].Value = &null; return r }, "value"},
		{"a null key", PartStream, func(r []Record) []Record { r[2].Key = nil; return r }, "key"},
		{"a header's value", PartStream, func(r []Record) []Record { z := "z"; r[2].Headers[1].Value = &z; return r }, "header.x"},
		{"a missing header", PartStream, func(r []Record) []Record { r[2].Headers = r[2].Headers[:1]; return r }, "headers"},
		{"a header that names the run", PartStream, func(r []Record) []Record { z := "z"; r[2].Headers[0].Value = &z; return r }, "-"},
		{"a header of ours", PartStream, func(r []Record) []Record { r[2].Headers = append(r[2].Headers, Header{Key: "weir.version"}); return r }, "-"},
		{"more heartbeats", PartStream, func(r []Record) []Record { return append(r, r[7]) }, "-"},
		{"no heartbeat", PartStream, func(r []Record) []Record { return r[:6] }, ""},
	} {
		base := fakeCase()
		report := compareFake(base, c.part, c.change(fakeCase().Records))
		switch {
		case c.path == "-" && !report.Passed():
			t.Errorf("%s: differs:\n%s", c.name, report)
		case c.path != "-" && report.Passed():
			t.Errorf("%s: passes", c.name)
		case c.path != "-" && report.Differences[0].Path != c.path:
			t.Errorf("%s: differs first at %q, want %q", c.name, report.Differences[0].Path, c.path)
		}
	}
}

// A connector that died left records out: what comes behind those it published
// is no difference, but they have to be there.
func TestComparisonOfAConnectorThatDied(t *testing.T) {
	c := fakeCase()
	c.Meta.Failure = "it died"
	more := append(fakeCase().Records, fakeCase().Records[3])
	if r := compareFake(c, PartStream, more); !r.Passed() || r.Beyond != 1 {
		t.Errorf("one record more: %s", r)
	}
	if r := compareFake(c, PartStream, more[:3]); r.Passed() {
		t.Error("records are missing, and it passes")
	}
}

func TestExceptionsAreOfTheirCasesOnly(t *testing.T) {
	change := func(name string) *Report {
		c := fakeCase()
		c.Name = name
		c.Meta.BinlogFiles = nil // all records are behind the log
		return compareFake(c, PartStream, nil)
	}
	if r := change("fake"); len(r.Excepted) != 1 || r.Excepted[0].Count != 2 || r.Excepted[0].Name != "behind the recorded log" {
		t.Errorf("got %v", r.Excepted)
	}
	c := fakeCase()
	old := strings.Replace(*c.Records[2].Value, `"three"`, `"x\\,y"`, 1)
	c.Records[2].Value = &old
	got := fakeCase()
	plain := strings.Replace(*got.Records[2].Value, `"three"`, `"x,y"`, 1)
	got.Records[2].Value = &plain
	if r := compareFake(c, PartStream, got.Records); r.Passed() {
		t.Error("an exception of types-string was applied to another case")
	}
	c.Name = "types-string"
	if r := compareFake(c, PartStream, got.Records); !r.Passed() || len(r.Excepted) != 1 || r.Excepted[0].Count != 1 {
		t.Errorf("the exception was not applied: %s", r)
	}
}

// A report says topic, record, path, want and got in full.
func TestReportIsComplete(t *testing.T) {
	got := fakeCase()
	changed := strings.Replace(*got.Records[3].Value, "four", "vier", 1)
	got.Records[3].Value = &changed
	text := compareFake(fakeCase(), PartStream, got.Records).String()
	for _, part := range []string{"DIFF", "topic   p.db.t, partition 0", "record  1 of the stream (offset 3)", `key {"id":4}`, "path    value.after.name", `want    "four"`, `got     "vier"`} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the report:\n%s", part, text)
		}
	}
}
