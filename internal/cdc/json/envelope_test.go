package json

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

var defaultsRow = cdc.NewSchema("p.d.t.Value",
	cdc.Field{Name: "a", Type: cdc.Int32, Optional: true, Default: new(cdc.Int(5))},
	cdc.Field{Name: "d", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2, Optional: true, Default: new(cdc.SmallDecimal(150))},
	cdc.Field{Name: "t", Type: cdc.Text, Optional: true},
	cdc.Field{Name: "x", Type: cdc.Text, Precision: 9, Scale: 1, Optional: true},
)

func rowOf(s *cdc.Schema, values ...cdc.Value) *cdc.Row {
	r := new(cdc.Row)
	r.Reset(s)
	copy(r.Values, values)
	return r
}

func TestPlanOptions(t *testing.T) {
	nulls := rowOf(defaultsRow)
	full := rowOf(defaultsRow, cdc.Int(1), cdc.SmallDecimal(-7), cdc.String([]byte("x")), cdc.SmallDecimal(12))
	absent := rowOf(defaultsRow, cdc.Absent(), cdc.Absent(), cdc.Absent(), cdc.Absent())
	for _, c := range []struct {
		row     *cdc.Row
		options Options
		want    string
	}{
		{nulls, Options{}, `{"a":null,"d":null,"t":null,"x":null}`},
		{nulls, Options{NullDefaults: true}, `{"a":5,"d":"AJY=","t":null,"x":null}`},
		{nulls, Options{NullDefaults: true, Decimal: Numeric}, `{"a":5,"d":1.50,"t":null,"x":null}`},
		{full, Options{}, `{"a":1,"d":"+Q==","t":"x","x":"1.2"}`},
		{full, Options{Decimal: Numeric}, `{"a":1,"d":-0.07,"t":"x","x":"1.2"}`},
		{absent, Options{}, `{"a":null,"d":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","t":"__debezium_unavailable_value","x":"__debezium_unavailable_value"}`},
		{absent, Options{Placeholder: "?"}, `{"a":null,"d":"Pw==","t":"?","x":"?"}`},
		{nil, Options{}, `null`},
	} {
		if got := NewPlan(defaultsRow, c.options).Append(nil, c.row); string(got) != c.want {
			t.Errorf("%+v: got %s, want %s", c.options, got, c.want)
		}
	}
	empty := cdc.NewSchema("empty")
	if got := NewPlan(empty, Options{Schemas: true}).Append([]byte("x"), rowOf(empty)); string(got) != `x{"schema":{"type":"struct","fields":[],"optional":false,"name":"empty"},"payload":{}}` {
		t.Errorf("%s", got)
	}
	bare := cdc.Bare(cdc.Field{Type: cdc.Int32})
	if got := NewPlan(bare, Options{Schemas: true}).Append(nil, rowOf(bare, cdc.Int(3))); string(got) != `{"schema":{"type":"int32","optional":false},"payload":3}` {
		t.Errorf("%s", got)
	}
}

// TestPlanKeys writes keys straight from the row.
func TestPlanKeys(t *testing.T) {
	row := rowOf(defaultsRow, cdc.Int(1), cdc.SmallDecimal(-7), cdc.String([]byte("x")))
	key := cdc.NewSchema("p.d.t.Key", *defaultsRow.Field("t"), *defaultsRow.Field("a"))
	if got := NewPlan(key, Options{}).AppendColumns(nil, row.Values, []int{2, 0}); string(got) != `{"t":"x","a":1}` {
		t.Errorf("%s", got)
	}
	if got := NewPlan(cdc.Bare(*defaultsRow.Field("t")), Options{}).AppendColumns(nil, row.Values, []int{2}); string(got) != `"x"` {
		t.Errorf("%s", got)
	}
	if got := NewPlan(key, Options{Schemas: true}).AppendColumns(nil, row.Values, []int{2, 0}); !strings.HasSuffix(string(got), `"name":"p.d.t.Key"},"payload":{"t":"x","a":1}}`) {
		t.Errorf("%s", got)
	}
}

func TestEnveloper(t *testing.T) {
	source := cdc.Schema{Name: "S", Version: 1, Fields: []cdc.Field{
		{Name: "db", Type: cdc.Text}, {Name: "snapshot", Type: cdc.Text, Optional: true, Default: new(cdc.String([]byte("false")))}, {Name: "row", Type: cdc.Int32}, {Name: "query", Type: cdc.Text, Optional: true},
	}}.Intern()
	small := cdc.NewSchema("p.d.t.Value", cdc.Field{Name: "i", Type: cdc.Int8})
	before, after := rowOf(small, cdc.Int(1)), rowOf(small, cdc.Int(2))
	block := rowOf(source, cdc.String([]byte("d")))
	tx := &cdc.Transaction{ID: []byte(`g"1`), TotalOrder: 2, CollectionOrder: 1}
	e := NewEnveloper(small, source, Options{})
	e.Begin(block, 1700000000123456789)
	for _, c := range []struct {
		op            cdc.Op
		before, after *cdc.Row
		row           int
		tx            *cdc.Transaction
		want          string
	}{
		{cdc.OpUpdate, before, after, 3, tx, `{"before":{"i":1},"after":{"i":2},"source":{"db":"d","snapshot":null,"row":3,"query":null},"transaction":{"id":"g\"1","total_order":2,"data_collection_order":1},"op":"u","ts_ms":1700000000123,"ts_us":1700000000123456,"ts_ns":1700000000123456789}`},
		{cdc.OpCreate, nil, after, 4, nil, `{"before":null,"after":{"i":2},"source":{"db":"d","snapshot":null,"row":4,"query":null},"transaction":null,"op":"c","ts_ms":1700000000123,"ts_us":1700000000123456,"ts_ns":1700000000123456789}`},
		{cdc.OpTruncate, nil, nil, 0, &cdc.Transaction{}, `{"before":null,"after":null,"source":{"db":"d","snapshot":null,"row":0,"query":null},"transaction":null,"op":"t","ts_ms":1700000000123,"ts_us":1700000000123456,"ts_ns":1700000000123456789}`},
	} {
		if got := e.Append([]byte("x"), c.op, c.before, c.after, c.row, c.tx); string(got) != "x"+c.want {
			t.Errorf("got  %s\nwant x%s", got, c.want)
		}
	}
	block.Values[3] = cdc.String([]byte("q"))
	e.Begin(block, 1000)
	if got := e.Append(nil, cdc.OpDelete, before, nil, 0, nil); string(got) != `{"before":{"i":1},"after":null,"source":{"db":"d","snapshot":null,"row":0,"query":"q"},"transaction":null,"op":"d","ts_ms":0,"ts_us":1,"ts_ns":1000}` {
		t.Errorf("the next event: %s", got)
	}
}

// TestEnveloperSources: a source block needs no field row, and it may be last.
func TestEnveloperSources(t *testing.T) {
	small := cdc.NewSchema("p.d.t.Value", cdc.Field{Name: "i", Type: cdc.Int8})
	for _, c := range []struct {
		fields []cdc.Field
		want   string
	}{
		{nil, `{}`},
		{[]cdc.Field{{Name: "row", Type: cdc.Int32}}, `{"row":9}`},
		{[]cdc.Field{{Name: "lsn", Type: cdc.Int64}}, `{"lsn":1}`},
		{[]cdc.Field{{Name: "lsn", Type: cdc.Int64}, {Name: "row", Type: cdc.Int32}}, `{"lsn":1,"row":9}`},
	} {
		source := cdc.NewSchema("S", c.fields...)
		e := NewEnveloper(small, source, Options{})
		e.Begin(rowOf(source, cdc.Int(1)), 0)
		got := e.Append(nil, cdc.OpCreate, nil, nil, 9, nil)
		if string(Member(got, "source")) != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestEnveloperDefaults: with replace.null.with.default the source block has
// "snapshot":"false", as Debezium with Connect's defaults writes it.
func TestEnveloperDefaults(t *testing.T) {
	e := NewEnveloper(ordersRow, ordersSource, Options{NullDefaults: true})
	source := new(cdc.Row)
	newOrders().event(source, 1)
	source.Values[4] = cdc.Value{}
	e.Begin(source, ordersNow)
	if got := e.Append(nil, cdc.OpCreate, nil, nil, 0, nil); string(Member(Member(got, "source"), "snapshot")) != `"false"` {
		t.Errorf("%s", got)
	}
}
