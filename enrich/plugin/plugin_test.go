package plugin

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/enrich/plugin/plugintest"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// scripted is a Transform that does what a test wants.
type scripted struct {
	apply func(*Record) error
	trace *[]string
}

func (s scripted) Apply(r *Record) error { return s.apply(r) }

func (s scripted) Start(env Env) error {
	if env.Log == nil || env.Metrics == nil {
		return errors.New("nothing to log or count with")
	}
	*s.trace = append(*s.trace, "started")
	return env.Metrics.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "scripted"}))
}

func (s scripted) Close() error {
	*s.trace = append(*s.trace, "closed")
	return nil
}

// script is what the class of the tests does; tests run one after the other.
var script scripted

func init() {
	Register("com.example.Scripted", func(o *Options) Transform {
		if o.Bool("fail", false) {
			o.Fail("fail", "false")
		}
		return script
	})
}

func chain(t testing.TB, apply func(*Record) error) *plugintest.Chain {
	t.Helper()
	script = scripted{apply: apply, trace: new([]string)}
	return plugintest.New(t, map[string]string{"transforms": "s", "transforms.s.type": "com.example.Scripted"})
}

func TestLife(t *testing.T) {
	var trace *[]string
	t.Run("chain", func(t *testing.T) {
		chain(t, func(*Record) error { return nil })
		trace = script.trace
	})
	if !slices.Equal(*trace, []string{"started", "closed"}) {
		t.Error(*trace)
	}
}

func TestMistakes(t *testing.T) {
	err := plugintest.Mistakes(t, map[string]string{"transforms": "s", "transforms.s.type": "com.example.Scripted", "transforms.s.fail": "true", "transforms.s.colour": "blue"})
	if !strings.Contains(err.Error(), "transforms.s.fail") || !strings.Contains(err.Error(), "transforms.s.colour") {
		t.Error(err)
	}
}

func TestRegisterTwice(t *testing.T) {
	for _, class := range []string{"com.example.Scripted", "io.debezium.transforms.ExtractNewRecordState", ""} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was registered again", class)
				}
			}()
			Register(class, nil)
		}()
	}
}

type still struct{ scripted }

func (still) Moves() bool { return false }

func TestMoves(t *testing.T) {
	if !(&adapter{user: scripted{}}).DependsOnRow() || (&adapter{user: still{}}).DependsOnRow() {
		t.Error("a Transform moves records unless it says that it does not")
	}
}

// TestRecords: what a Transform sees of each kind of record, and what it can do
// with it as a whole.
func TestRecords(t *testing.T) {
	const envelope = `{"topic":"orders","key":{"id":1},"headers":{"h":"1"},"value":{"before":{"id":1,"n":1},"after":{"id":1,"n":2},"source":{},"op":"u","ts_ms":1}}`
	const deletion = `{"topic":"orders","key":{"id":1},"value":{"before":{"id":1,"n":1},"after":null,"source":{},"op":"d","ts_ms":1}}`
	seen := func(r *Record) error {
		if r.Value() == nil {
			return nil
		}
		n, _ := r.Value().Int("n")
		r.Value().SetInt("n", n+10)
		r.Value().SetText("op", r.Op())
		r.Value().SetBool("deleted", r.Deleted())
		r.Value().SetBool("before", r.Before() != nil)
		if key := r.Key(); key != nil {
			id, _ := key.Int("id")
			r.Value().SetInt("key", id)
		}
		h, _ := r.Header("h")
		r.Value().SetText("h", string(h))
		return nil
	}
	for name, c := range map[string]struct {
		apply    func(*Record) error
		in, want string
	}{
		"update":    {seen, envelope, `{"id":1,"n":12,"op":"u","deleted":false,"before":true,"key":1,"h":"1"}`},
		"delete":    {seen, deletion, `{"id":1,"n":11,"op":"d","deleted":true,"before":false,"key":1,"h":""}`},
		"flat":      {seen, `{"topic":"orders","value":{"n":1}}`, `{"n":11,"op":"","deleted":false,"before":false,"h":""}`},
		"tombstone": {seen, `{"topic":"orders","key":{"id":1},"value":null}`, `null`},
		"bare":      {func(r *Record) error { r.Value().SetInt("", 6); return nil }, `{"topic":"orders","value":5}`, `6`},
		"drop":      {func(r *Record) error { r.Drop(); return nil }, envelope, ``},
		"route":     {func(r *Record) error { r.SetTopic(r.Topic() + "-x"); return nil }, `{"topic":"orders","value":{"n":1}}`, `orders-x {"n":1}`},
		"headers": {func(r *Record) error {
			r.SetHeader("h", []byte("2"))
			h, _ := r.Header("h")
			r.Value().SetText("h", string(h))
			return nil
		}, envelope, `{"id":1,"n":2,"h":"2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := chain(t, c.apply).Value(c.in); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestRejections: an error and a panic reject the record, and the next one is
// fine.
func TestRejections(t *testing.T) {
	c := chain(t, func(r *Record) error {
		if r.Value().Has("panic") {
			r.Value().row.Values[99] = cdc.Value{}
		}
		if r.Value().Has("error") {
			return errors.New("not this one")
		}
		return nil
	})
	if err := c.Reject(`{"topic":"t","value":{"panic":1}}`); !strings.Contains(err.Error(), "the transform panicked: runtime error: index out of range [99]") {
		t.Error(err)
	}
	if err := c.Reject(`{"topic":"t","value":{"error":1}}`); !strings.Contains(err.Error(), "applying transform s: not this one") {
		t.Error(err)
	}
	if got := c.Value(`{"topic":"t","value":{"n":1}}`); got != `{"n":1}` {
		t.Error(got)
	}
}

// typed is a row with a field of each kind.
func typed() *Row {
	r := &cdc.Row{}
	r.Reset(cdc.NewSchema("typed",
		cdc.Field{Name: "small", Type: cdc.Int16}, cdc.Field{Name: "big", Type: cdc.Int64, Optional: true},
		cdc.Field{Name: "single", Type: cdc.Float}, cdc.Field{Name: "double", Type: cdc.Double},
		cdc.Field{Name: "text", Type: cdc.Text}, cdc.Field{Name: "bytes", Type: cdc.Binary},
		cdc.Field{Name: "price", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 10, Scale: 2},
		cdc.Field{Name: "flag", Type: cdc.Boolean}, cdc.Field{Name: "at", Type: cdc.Int64, Semantic: cdc.MicroTimestamp, Digits: 6},
		cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date}, cdc.Field{Name: "any", Type: cdc.Any, Optional: true},
		cdc.Field{Name: "absent", Type: cdc.Text, Optional: true},
	))
	for i, v := range []cdc.Value{cdc.Int(-7), cdc.Int(1 << 40), cdc.Float32(1.5), cdc.Float64(2.25), cdc.String([]byte("12.00")), cdc.Bytes([]byte{1, 2}),
		cdc.SmallDecimal(1990), cdc.Bool(true), cdc.Int(1795392841168000), cdc.Int(20000), cdc.Number([]byte("1.10")), cdc.Absent()} {
		r.Values[i] = v
	}
	return &Row{r, changes{}}
}

func TestGet(t *testing.T) {
	w := typed()
	for _, c := range []struct {
		name, text string
		whole      int64
		isWhole    bool
		float      float64
		isFloat    bool
	}{
		{"small", "-7", -7, true, -7, true},
		{"big", "1099511627776", 1 << 40, true, 1 << 40, true},
		{"single", "1.5", 0, false, 1.5, true},
		{"double", "2.25", 0, false, 2.25, true},
		{"text", "12.00", 12, true, 12, true},
		{"price", "19.90", 0, false, 19.9, true},
		{"any", "1.10", 0, false, 1.1, true},
		{"bytes", "AQI=", 0, false, 0, false},
		{"flag", "true", 0, false, 0, false},
	} {
		text, ok := w.Text(c.name)
		if text != c.text || !ok || !w.Has(c.name) || w.IsNull(c.name) {
			t.Errorf("%s: text %q, %v", c.name, text, ok)
		}
		if n, ok := w.Int(c.name); ok != c.isWhole || ok && n != c.whole {
			t.Errorf("%s: whole %d, %v", c.name, n, ok)
		}
		if x, ok := w.Float(c.name); ok != c.isFloat || ok && x != c.float {
			t.Errorf("%s: float %v, %v", c.name, x, ok)
		}
	}
	for _, name := range []string{"absent", "nobody"} {
		_, text := w.Text(name)
		_, whole := w.Int(name)
		_, float := w.Float(name)
		_, flag := w.Bool(name)
		_, bytes := w.Bytes(name)
		_, at := w.Time(name)
		if text || whole || float || flag || bytes || at || !w.IsNull(name) || w.Has(name) != (name == "absent") {
			t.Errorf("%s has a value", name)
		}
	}
	if b, ok := w.Bytes("bytes"); string(b) != "\x01\x02" || !ok {
		t.Errorf("bytes %v", b)
	}
	if b, ok := w.Bool("flag"); !b || !ok {
		t.Error("flag is not true")
	}
	if at, ok := w.Time("at"); !ok || !at.Equal(time.UnixMicro(1795392841168000)) {
		t.Errorf("at %v, %v", at, ok)
	}
	if day, ok := w.Time("day"); !ok || !day.Equal(time.Unix(20000*86400, 0)) {
		t.Errorf("day %v, %v", day, ok)
	}
	if names := slices.Collect(w.Names()); len(names) != 12 || names[0] != "small" {
		t.Error(names)
	}
}

// TestSet: what becomes of the value and of the field's type, for fields that
// fit, that do not, and that are new.
func TestSet(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	for name, c := range map[string]struct {
		set     func(*Row) error
		field   string
		want    string // the field's JSON
		typ     cdc.Type
		changed bool // the schema
	}{
		"small":              {func(w *Row) error { w.SetInt("small", 300); return nil }, "small", `300`, cdc.Int16, false},
		"small too big":      {func(w *Row) error { w.SetInt("small", 40000); return nil }, "small", `40000`, cdc.Int64, true},
		"single":             {func(w *Row) error { w.SetFloat("single", 0.1); return nil }, "single", `0.1`, cdc.Float, false},
		"double":             {func(w *Row) error { w.SetFloat("double", 0.1); return nil }, "double", `0.1`, cdc.Double, false},
		"text":               {func(w *Row) error { w.SetText("text", "ü"); return nil }, "text", `"ü"`, cdc.Text, false},
		"text of number":     {func(w *Row) error { w.SetText("big", "x"); return nil }, "big", `"x"`, cdc.Text, true},
		"int of time":        {func(w *Row) error { w.SetInt("at", 5); return nil }, "at", `5`, cdc.Int64, true},
		"new text":           {func(w *Row) error { w.SetText("new", "x"); return nil }, "new", `"x"`, cdc.Text, true},
		"new bool":           {func(w *Row) error { w.SetBool("new", true); return nil }, "new", `true`, cdc.Boolean, true},
		"new bytes":          {func(w *Row) error { w.SetBytes("new", []byte{255}); return nil }, "new", `"/w=="`, cdc.Binary, true},
		"new time":           {func(w *Row) error { w.SetTime("new", at); return nil }, "new", `"2026-01-02T03:04:05.678000Z"`, cdc.Text, true},
		"new JSON":           {func(w *Row) error { w.SetJSON("new", `{"a":1}`); return nil }, "new", `"{\"a\":1}"`, cdc.Text, true},
		"decimal":            {func(w *Row) error { return w.SetDecimal("price", "-0.5", 2) }, "price", `-0.50`, cdc.Binary, false},
		"decimal too fine":   {func(w *Row) error { return w.SetDecimal("price", "0.005", 2) }, "", `setting field price: "0.005" is no decimal of 2 digits after the point`, 0, false},
		"decimal of words":   {func(w *Row) error { return w.SetDecimal("price", "free", 2) }, "", `setting field price: "free" is no decimal of 2 digits after the point`, 0, false},
		"another scale":      {func(w *Row) error { return w.SetDecimal("price", "0.005", 3) }, "price", `0.005`, cdc.Binary, true},
		"huge decimal":       {func(w *Row) error { return w.SetDecimal("new", "123456789012345678901234567890.12", 2) }, "new", `123456789012345678901234567890.12`, cdc.Binary, true},
		"any":                {func(w *Row) error { w.SetText("any", "x"); return nil }, "any", `"x"`, cdc.Any, false},
		"any number":         {func(w *Row) error { return w.SetDecimal("any", "1.230", 3) }, "any", `1.230`, cdc.Any, false},
		"any bytes":          {func(w *Row) error { w.SetBytes("any", []byte{1}); return nil }, "any", `"AQ=="`, cdc.Binary, true},
		"null":               {func(w *Row) error { w.SetNull("big", Int); return nil }, "big", `null`, cdc.Int64, false},
		"null of required":   {func(w *Row) error { w.SetNull("price", Decimal(2)); return nil }, "price", `null`, cdc.Binary, true},
		"new null":           {func(w *Row) error { w.SetNull("new", Time); return nil }, "new", `null`, cdc.Text, true},
		"removed":            {func(w *Row) error { w.Remove("small"); return nil }, "small", ``, 0, true},
		"removed, not there": {func(w *Row) error { w.Remove("nobody"); return nil }, "nobody", ``, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := typed()
			before := w.row.Schema
			if err := c.set(w); err != nil {
				if err.Error() != c.want {
					t.Error(err)
				}
				return
			}
			if (w.row.Schema != before) != c.changed {
				t.Errorf("another schema: %v", !c.changed)
			}
			if len(w.row.Values) != len(w.row.Schema.Fields) {
				t.Fatalf("%d values of %d fields", len(w.row.Values), len(w.row.Schema.Fields))
			}
			f := w.row.Schema.Field(c.field)
			if c.typ == 0 {
				if f != nil {
					t.Error("the field is still there")
				}
				return
			}
			row := &cdc.Row{}
			row.Reset(cdc.NewSchema("", *f))
			row.Values[0] = *w.row.Value(c.field)
			got := string(json.NewDocument(row.Schema, json.DocumentOptions{}).Append(nil, row))
			if want := `{"` + c.field + `":` + c.want + `}`; got != want || f.Type != c.typ {
				t.Errorf("%s of type %s, want %s of %s", got, f.Type, want, c.typ)
			}
		})
	}
}

// TestSchemasAreMadeOnce: the same changes of the same schema are one schema.
func TestSchemasAreMadeOnce(t *testing.T) {
	plans := changes{}
	var schemas []*cdc.Schema
	for range 3 {
		w := &Row{typed().row, plans}
		w.SetText("new", "x")
		w.Remove("flag")
		w.SetNull("price", Decimal(2))
		schemas = append(schemas, w.row.Schema)
	}
	if len(plans) != 3 || schemas[0] != schemas[2] {
		t.Errorf("%d changes", len(plans))
	}
}

// BenchmarkApply reads a number and sets two new fields.
func BenchmarkApply(b *testing.B) {
	a := &adapter{user: scripted{apply: func(r *Record) error {
		n, _ := r.Value().Int("small")
		r.Value().SetInt("twice", 2*n)
		r.Value().SetText("kind", "small")
		return nil
	}}}
	row := typed().row
	schema, values := row.Schema, slices.Clone(row.Values)
	r := &cdc.Record{Value: row}
	b.ReportAllocs()
	for b.Loop() {
		row.Reset(schema)
		copy(row.Values, values)
		if _, err := a.Apply(r); err != nil {
			b.Fatal(err)
		}
	}
}
