package transform

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

const update = `{"before":{"id":1,"city":"Rome"},"after":{"id":1,"city":"Oslo"},"source":{"db":"shop","ts_ms":7},` +
	`"transaction":{"id":"gtid:7","total_order":3,"data_collection_order":1},"op":"u","ts_ms":5}`

func read(tb testing.TB, value string) *cdc.Record {
	tb.Helper()
	m := new(json.Message)
	if err := json.NewReader(nil).ReadValue(m, []byte(value)); err != nil {
		tb.Fatal(err)
	}
	return &cdc.Record{Value: m.Value, Envelope: m.Envelope, Op: m.Envelope.Op}
}

func text(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	return string(json.NewPlan(r.Schema, json.Options{}).Append(nil, r))
}

// TestWholeAndBack: an envelope as a row is an envelope again afterwards, in
// the same memory.
func TestWholeAndBack(t *testing.T) {
	r := read(t, update)
	e := *r.Envelope
	w := Whole(r)
	want := `{"before":{"id":1,"city":"Rome"},"after":{"id":1,"city":"Oslo"},"source":{"db":"shop","ts_ms":7},` +
		`"transaction":{"id":"gtid:7","total_order":3,"data_collection_order":1},"op":"u","ts_ms":5,"ts_us":null,"ts_ns":null}`
	if got := text(w); got != want || !r.Wrapped || r.Value != w {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if Whole(r) != w {
		t.Error("wrapped twice")
	}
	Unwrapped(r)
	if r.Wrapped || r.Value != nil || r.Envelope.After != e.After || r.Envelope.Before != e.Before || string(r.Envelope.SourceJSON) != string(e.SourceJSON) ||
		r.Op != cdc.OpUpdate || r.Envelope.Millis != 5 || r.Envelope.Transaction.TotalOrder != 3 || string(r.Envelope.Transaction.ID) != "gtid:7" {
		t.Errorf("%+v, was %+v", r.Envelope, e)
	}
}

// TestUnwrappedAfterChanges: what was done to the members is what the envelope
// has.
func TestUnwrappedAfterChanges(t *testing.T) {
	change := func(f func(w *cdc.Row, s *cdc.Schema)) *cdc.Record {
		r := read(t, update)
		w := Whole(r)
		s := *w.Schema
		s.Fields = append([]cdc.Field(nil), s.Fields...)
		f(w, &s)
		if w.Schema = s.Intern(); len(w.Values) != len(w.Schema.Fields) {
			w.Values = w.Values[:len(w.Schema.Fields)]
		}
		Unwrapped(r)
		return r
	}
	swapped := change(func(_ *cdc.Row, s *cdc.Schema) { s.Fields[0].Name, s.Fields[1].Name = "after", "before" })
	if text(swapped.Envelope.Before) != `{"id":1,"city":"Oslo"}` || text(swapped.Envelope.After) != `{"id":1,"city":"Rome"}` {
		t.Errorf("swapped: %s, %s", text(swapped.Envelope.Before), text(swapped.Envelope.After))
	}
	wider := change(func(w *cdc.Row, s *cdc.Schema) {
		s.Fields[wholeAfter].Struct = s.Fields[wholeAfter].Struct.With(cdc.Field{Name: "x", Type: cdc.Int64})
		w.Values[wholeAfter] = cdc.List(append(append([]cdc.Value(nil), w.Values[wholeAfter].List()...), cdc.Int(4)))
	})
	if got := text(wider.Envelope.After); got != `{"id":1,"city":"Oslo","x":4}` {
		t.Error(got)
	}
	deleted := change(func(w *cdc.Row, _ *cdc.Schema) {
		w.Values[wholeAfter], w.Values[wholeTransaction], w.Values[wholeOp] = cdc.Value{}, cdc.Value{}, cdc.String([]byte("d"))
	})
	if deleted.Envelope.After != nil || deleted.Op != cdc.OpDelete || len(deleted.Envelope.Transaction.ID) != 0 {
		t.Errorf("%+v", deleted.Envelope)
	}
	for name, r := range map[string]*cdc.Record{
		"without op":       change(func(_ *cdc.Row, s *cdc.Schema) { s.Fields[wholeOp].Name = "operation" }),
		"op of two":        change(func(w *cdc.Row, _ *cdc.Schema) { w.Values[wholeOp] = cdc.String([]byte("up")) }),
		"after as text":    change(func(_ *cdc.Row, s *cdc.Schema) { s.Fields[wholeAfter].Type = cdc.Text }),
		"only the before":  change(func(w *cdc.Row, s *cdc.Schema) { s.Fields = s.Fields[:1] }),
		"source elsewhere": change(func(_ *cdc.Row, s *cdc.Schema) { s.Fields[wholeSource].Name = "from" }),
	} {
		if r.Envelope != nil || r.Value == nil || r.Op != cdc.OpNone || r.Wrapped || r.Deleted {
			t.Errorf("%s: still an envelope", name)
		}
	}
	null := read(t, update)
	Whole(null)
	null.Value = nil
	if Unwrapped(null); !null.Tombstone || !null.Deleted || null.Envelope != nil {
		t.Error("null is a tombstone")
	}
}

// TestCache: what is decided is decided once, whoever asks.
func TestCache(t *testing.T) {
	var c Cache[int, *int]
	var wg sync.WaitGroup
	var decided atomic.Int32
	for range 8 {
		wg.Go(func() {
			for key := range 100 {
				v := c.Of(key, func() *int { decided.Add(1); return &key })
				if *v != key || v != c.Of(key, func() *int { return new(int) }) {
					t.Error("decided anew")
				}
			}
		})
	}
	wg.Wait()
	if n := decided.Load(); n != 100 {
		t.Errorf("decided %d times", n)
	}
}

func BenchmarkWhole(b *testing.B) {
	r := read(b, update)
	b.ReportAllocs()
	for b.Loop() {
		Whole(r)
		Unwrapped(r)
	}
}
