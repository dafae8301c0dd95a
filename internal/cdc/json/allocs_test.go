package json

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// noAllocs fails if f, once it is warm, allocates.
func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	for range 3 {
		f()
	}
	if n := testing.AllocsPerRun(50, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}

// everyKind is a row that has every kind of value.
var everyKind = cdc.NewSchema("all.Value",
	cdc.Field{Name: "bool", Type: cdc.Boolean},
	cdc.Field{Name: "int8", Type: cdc.Int8},
	cdc.Field{Name: "float", Type: cdc.Float},
	cdc.Field{Name: "double", Type: cdc.Double},
	cdc.Field{Name: "tiny", Type: cdc.Double},
	cdc.Field{Name: "text", Type: cdc.Text},
	cdc.Field{Name: "bytes", Type: cdc.Binary},
	cdc.Field{Name: "small", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 2},
	cdc.Field{Name: "big", Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 30},
	cdc.Field{Name: "textual", Type: cdc.Text, Precision: 30, Scale: 3},
	cdc.Field{Name: "json", Type: cdc.Text, Semantic: cdc.JSON},
	cdc.Field{Name: "time", Type: cdc.Int64, Semantic: cdc.MicroTime},
	cdc.Field{Name: "point", Type: cdc.Struct, Semantic: cdc.Point, Struct: cdc.NewSchema("io.debezium.data.geometry.Point",
		cdc.Field{Name: "x", Type: cdc.Double}, cdc.Field{Name: "wkb", Type: cdc.Binary, Optional: true}, cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})},
	cdc.Field{Name: "vector", Type: cdc.Array, Semantic: cdc.FloatVector, Element: &cdc.Field{Type: cdc.Float}},
	cdc.Field{Name: "map", Type: cdc.Map, Key: &cdc.Field{Type: cdc.Text}, Element: &cdc.Field{Type: cdc.Text}},
	cdc.Field{Name: "any", Type: cdc.Any, Optional: true},
)

const everyKindJSON = `{"bool":true,"int8":-7,"float":0.33333334,"double":-1.5,"tiny":1.0E-300,"text":"a \"quoted\" é 😀","bytes":"AAEC","small":"AMg=",` +
	`"big":"AN4jqNhyFdUXL1TYdJmBAB5m","textual":"-123456789012345678901.500","json":"{\"a\": [1,\n2]}","time":-3723000001,` +
	`"point":{"x":1.5,"wkb":"AQ==","srid":null},"vector":[1.0,-2.5,1.0E10],"map":{"k":"v"},"any":{"x":[1]}}`

// TestNoAllocations: every path is free of allocations per row.
func TestNoAllocations(t *testing.T) {
	var m, row Message
	var dst []byte
	check := func(name string, r *Reader, value []byte) {
		t.Helper()
		noAllocs(t, "reading "+name, func() {
			if err := r.ReadValue(&m, value); err != nil {
				t.Fatal(err)
			}
		})
	}
	all := NewSchemaEntry("weir:p", "all", nil, everyKind)
	check("every kind", NewReader(all), []byte(everyKindJSON))
	check("every kind in an envelope", NewReader(all), []byte(envelopeOf(everyKindJSON, everyKindJSON)))
	if err := NewReader(all).ReadValue(&row, []byte(everyKindJSON)); err != nil {
		t.Fatal(err)
	}
	for name, plan := range map[string]*Plan{"base64": NewPlan(everyKind, Options{}), "numeric": NewPlan(everyKind, Options{Decimal: Numeric, Schemas: true})} {
		noAllocs(t, "writing every kind, "+name, func() { dst = plan.Append(dst[:0], row.Value) })
	}
	for _, options := range []DocumentOptions{{}, {NestJSON: true, ISO: true}} {
		d := NewDocument(everyKind, options)
		noAllocs(t, "document of every kind", func() { dst = d.Append(dst[:0], row.Value) })
	}
	for i := range everyKind.Fields {
		f, v := &everyKind.Fields[i], &row.Value.Values[i]
		if f.Type != cdc.Struct && f.Type != cdc.Array {
			noAllocs(t, "text of "+f.Name, func() { dst = AppendText(dst[:0], f, v) })
		}
	}
}

func TestNoAllocationsOfOrders(t *testing.T) {
	var m Message
	var dst []byte
	tx := &cdc.Transaction{ID: []byte("g:1"), TotalOrder: 1, CollectionOrder: 1}
	for _, op := range []cdc.Op{cdc.OpCreate, cdc.OpUpdate} {
		events := newOrderEvents(op, 20)
		for _, inline := range []bool{false, true} {
			w := NewEnveloper(ordersRow, ordersSource, Options{Schemas: inline})
			noAllocs(t, "writing envelopes", func() { dst = events.write(w, dst, func([]byte) {}) })
			noAllocs(t, "writing envelopes of transactions", func() {
				for i, after := range events.after {
					w.Begin(events.sources[0], ordersNow+int64(i))
					dst = w.Append(dst[:0], op, nil, after, i, tx)
				}
			})
			values, _ := events.values(Options{Schemas: inline})
			for name, r := range map[string]*Reader{"fingerprint": NewReader(ordersEntry), "no fingerprint": NewReader(nil)} {
				noAllocs(t, "reading envelopes, "+name, func() {
					for _, v := range values {
						if err := r.ReadValue(&m, v); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func TestNoAllocationsOfKeysAndRows(t *testing.T) {
	var m Message
	var dst []byte
	row := newOrders().row()
	for _, options := range []Options{{}, {Schemas: true}} {
		plan := NewPlan(ordersKey, options)
		noAllocs(t, "writing keys", func() { dst = plan.AppendColumns(dst[:0], row.Values, []int{0}) })
		for _, r := range []*Reader{NewReader(ordersEntry), NewReader(nil)} {
			noAllocs(t, "reading keys", func() {
				if err := r.ReadKey(&m, dst); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	for _, text := range []string{`"text"`, `12`, `{ "schema" : {"type":"int32"} , "payload" : 12 }`, ` { "b" : 1 , "a" : 2 }`} {
		r, key := NewReader(nil), []byte(text)
		noAllocs(t, "reading the key "+text, func() {
			if err := r.ReadKey(&m, key); err != nil {
				t.Fatal(err)
			}
		})
	}
	flat := NewPlan(ordersRow, Options{}).Append(nil, row)
	sloppy := append([]byte(` { "id" : 5 ,`), flat[1:]...)
	inline := NewPlan(ordersRow, Options{Schemas: true}).Append(nil, row)
	for _, r := range []*Reader{NewReader(ordersEntry), NewReader(nil)} {
		noAllocs(t, "reading rows", func() {
			for _, value := range [][]byte{flat, sloppy, inline, nil} {
				if err := r.ReadValue(&m, value); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	u := newUnwrap(DocumentOptions{})
	value, _ := newOrderEvents(cdc.OpUpdate, 1).values(Options{})
	r := NewReader(ordersEntry)
	noAllocs(t, "documents with added fields", func() {
		if err := r.ReadValue(&m, value[0]); err != nil {
			t.Fatal(err)
		}
		u.message(&m)
	})
}
