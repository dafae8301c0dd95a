package json

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"flag"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
)

// FuzzEnvelope writes random envelopes in the ways that JSON allows, with the
// schema inline, named by a fingerprint, or nowhere, and compares what Reader
// makes of them with encoding/json.
func FuzzEnvelope(f *testing.F) {
	for i := range uint64(60) {
		f.Add(i, i%6)
	}
	f.Fuzz(func(t *testing.T, seed, style uint64) {
		g := newGenerator(seed, style)
		s := g.schema("fuzz.Value", 14, 2)
		readSome(t, g, s, style/2%3, 2)
	})
}

// TestManyEnvelopes is FuzzEnvelope without the fuzzer's cost: each Reader reads
// many records of its topic, some of another writer.
func TestManyEnvelopes(t *testing.T) {
	until := time.Now().Add(*manyFor)
	n := 0
	for seed := uint64(0); seed < 300 || time.Now().Before(until); seed++ {
		g := newGenerator(seed, 0)
		s := g.schema("many.Value", 14, 2)
		n += readSome(t, g, s, seed%3, 10)
	}
	t.Log(n, "envelopes")
}

var manyFor = flag.Duration("many", 0, "how long TestManyEnvelopes runs at least")

// readSome reads some envelopes of s by one Reader; known is 0 for a
// fingerprint, 1 for inline schemas, 2 for none.
func readSome(t *testing.T, g *generator, s *cdc.Schema, known uint64, records int) int {
	r := NewReader(nil)
	if known == 0 {
		r.Use(NewSchemaEntry("weir:fuzz", "fuzz", nil, s))
	}
	var m Message
	sloppy := g.sloppy
	for i := range records {
		g.sloppy = sloppy || i%3 == 2
		value := g.envelope(s, known == 1)
		if !stdjson.Valid(value) {
			t.Fatalf("the generator made no JSON: %s", value)
		}
		if err := r.ReadValue(&m, value); err != nil {
			t.Fatalf("%v in %s", err, value)
		}
		if m.Envelope == nil {
			t.Fatalf("no envelope: %s", value)
		}
		compareEnvelope(t, m.Envelope, value)
		roundTrip(t, s, m.Envelope, known)
	}
	return records
}

// roundTrip writes what was read and reads it again.
func roundTrip(t *testing.T, s *cdc.Schema, e *cdc.Envelope, known uint64) {
	if e.After == nil || known == 2 {
		return
	}
	text := NewPlan(s, Options{Decimal: DecimalFormat(known)}).Append(nil, e.After)
	var again Message
	if err := NewReader(NewSchemaEntry("", "", nil, s)).ReadValue(&again, text); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for i := range e.After.Values {
		if !e.After.Values[i].Equal(&again.Value.Values[i]) {
			t.Fatalf("%s: %v became %v in %s", s.Fields[i].Name, e.After.Values[i], again.Value.Values[i], text)
		}
	}
}

// FuzzMalformed feeds arbitrary text to Readers that know a schema and that know
// none: no crash, what is no JSON is refused by both, and what is JSON is taken by
// the one that knows no schema, unless it looks like an envelope or an inline
// schema and is none, or has a field without a name.
func FuzzMalformed(f *testing.F) {
	s := cdc.NewSchema("m.Value",
		cdc.Field{Name: "i", Type: cdc.Int64, Optional: true}, cdc.Field{Name: "s", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "d", Type: cdc.Double, Optional: true}, cdc.Field{Name: "n", Type: cdc.Binary, Semantic: cdc.Decimal, Optional: true},
		cdc.Field{Name: "b", Type: cdc.Boolean, Optional: true}, cdc.Field{Name: "l", Type: cdc.Array, Optional: true, Element: &cdc.Field{Type: cdc.Text}})
	for _, v := range malformedSeeds {
		f.Add([]byte(v))
	}
	entry := NewSchemaEntry("weir:m", "m", cdc.NewSchema("m.Key", cdc.Field{Name: "i", Type: cdc.Int64}), s)
	f.Fuzz(func(t *testing.T, value []byte) {
		known, unknown := NewReader(entry), NewReader(nil)
		valid := stdjson.Valid(value)
		var m Message
		for range 2 { // the second time with what the first has learnt
			err := known.ReadValue(&m, value)
			if err == nil && !valid {
				t.Fatalf("accepted %q", value)
			}
			if err == nil && m.Envelope != nil && !ambiguous(value) {
				compareEnvelope(t, m.Envelope, value)
			}
			if err := unknown.ReadValue(&m, value); err == nil && !valid {
				t.Fatalf("accepted %q", value)
			} else if err != nil && valid && utf8.Valid(value) && plainValue(value) {
				t.Fatalf("%v in %q", err, value)
			} else if err == nil && m.Envelope != nil && !ambiguous(value) {
				compareEnvelope(t, m.Envelope, value)
			}
			if err := known.ReadKey(&m, value); err == nil && !valid {
				t.Fatalf("accepted the key %q", value)
			}
			if err := unknown.ReadKey(&m, value); err == nil && !valid {
				t.Fatalf("accepted the key %q", value)
			}
		}
	})
}

var malformedSeeds = []string{
	`{"before":null,"after":{"i":1,"s":"a\nb\ud83d\ude00","d":1.5e3,"n":"AQ==","b":true,"l":["x",null]},"source":{"a":"x","ts_ms":12,"f":"}"},"transaction":null,"op":"c","ts_ms":4,"ts_us":4000,"ts_ns":4000000}`,
	`{"before":null,"after":{"i":1},"source":{"ts_ms":12},"transaction":{"id":"a","total_order":1,"data_collection_order":1},"op":"c"}`,
	`{"after":{},"op":"u","source":null}`, `{"schema":{},"payload":{}}`, `{"schema":null,"payload":{"i":1}}`,
	`{"schema":{"type":"struct","fields":[{"type":"int32","optional":true,"field":"i"}],"optional":false},"payload":{"i":1}}`,
	`{"i":1,"s":"x"}`, `null`, `"text"`, `-1.5E+10`, `[1,{"a":[]}]`, "", " ", `{"i":01}`, `{"s":"\u12"}`, `{"s":"\ud800"}`, "{\"s\":\"\xff\"}", `{"n":"="}`, `{"n":1E400}`,
}

// plainValue reports whether value, which is JSON, is surely no envelope, has no
// inline schema and no field without a name, and is not too deep.
func plainValue(value []byte) bool {
	var m map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(value, &m); err == nil && (m["op"] != nil || m["schema"] != nil || m[""] != nil) {
		return false
	}
	return bytes.Count(value, []byte("["))+bytes.Count(value, []byte("{")) < maxDepth
}

// ambiguous reports whether names come twice or are escaped, which the oracle
// treats otherwise in nested objects.
func ambiguous(value []byte) bool {
	for _, k := range []string{"before", "after", "op", "source", "transaction", "i", "s", "d", "n", "b", "l", "ts_ms", "payload", "schema"} {
		if bytes.Count(value, []byte(`"`+k+`"`)) > 1 {
			return true
		}
	}
	return bytes.Contains(value, []byte(`\u`))
}

// compareEnvelope compares e with what encoding/json makes of value.
func compareEnvelope(t *testing.T, e *cdc.Envelope, value []byte) {
	t.Helper()
	d := stdjson.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if p, ok := m["payload"].(map[string]any); ok {
		m = p
	}
	if op, _ := m["op"].(string); op != string(rune(e.Op)) {
		t.Fatalf("op %q, want %q in %s", e.Op, op, value)
	}
	if source, ok := m["source"].(map[string]any); ok {
		if n, ok := source["ts_ms"].(stdjson.Number); ok && n.String() != fmt.Sprint(e.SourceMillis) && isInteger(n) {
			t.Fatalf("source.ts_ms %d, want %s in %s", e.SourceMillis, n, value)
		}
		var got map[string]any
		if err := stdjson.Unmarshal(e.SourceJSON, &got); err != nil || len(got) != len(source) {
			t.Fatalf("source %s: %v in %s", e.SourceJSON, err, value)
		}
	}
	if tx, ok := m["transaction"].(map[string]any); ok {
		if id, ok := tx["id"].(string); ok && id != string(e.Transaction.ID) {
			t.Fatalf("transaction %s, want %s in %s", e.Transaction.ID, id, value)
		}
	}
	compareRow(t, e.Before, m["before"], value)
	compareRow(t, e.After, m["after"], value)
}

func isInteger(n stdjson.Number) bool {
	i, err := n.Int64()
	return err == nil && fmt.Sprint(i) == n.String()
}

func compareRow(t *testing.T, row *cdc.Row, want any, value []byte) {
	t.Helper()
	members, has := want.(map[string]any)
	if has != (row != nil) {
		t.Fatalf("row %v, want %v in %s", row, want, value)
	}
	if !has {
		return
	}
	for name := range members {
		if row.Value(name) == nil {
			t.Fatalf("%q is lost in %s", name, value)
		}
	}
	for i := range row.Schema.Fields {
		f := &row.Schema.Fields[i]
		compareValue(t, f, &row.Values[i], members[f.Name], value)
	}
}

func compareValue(t *testing.T, f *cdc.Field, v *cdc.Value, want any, value []byte) {
	t.Helper()
	var got, exp string
	switch w := want.(type) {
	case nil:
		got, exp = fmt.Sprint(v.IsNull()), "true"
	case bool:
		got, exp = fmt.Sprint(v.Kind() == cdc.KindBool, v.Bool()), fmt.Sprint(true, w)
	case stdjson.Number:
		got, exp = numbers(f, v, w)
	case string:
		got, exp = texts(f, v, w)
	case []any:
		if f.Type == cdc.Any {
			got, exp = generic(t, v.Bytes()), fmt.Sprint(w)
			break
		}
		list := v.List()
		if len(list) != len(w) {
			t.Fatalf("%s: %d elements, want %d in %s", f.Name, len(list), len(w), value)
		}
		for i := range list {
			compareValue(t, f.Element, &list[i], w[i], value)
		}
	case map[string]any:
		if f.Type == cdc.Any {
			got, exp = generic(t, v.Bytes()), fmt.Sprint(w)
			break
		}
		for i := range f.Struct.Fields {
			compareValue(t, &f.Struct.Fields[i], &v.List()[i], w[f.Struct.Fields[i].Name], value)
		}
	}
	if got != exp {
		t.Fatalf("%s: %q, want %q in %s", f.Name, got, exp, value)
	}
}

// generic is JSON text as encoding/json has it.
func generic(t *testing.T, b []byte) string {
	t.Helper()
	d := stdjson.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

// numbers are the number read and that wanted, alike written.
func numbers(f *cdc.Field, v *cdc.Value, w stdjson.Number) (got, exp string) {
	switch {
	case f.Type == cdc.Double || f.Type == cdc.Float:
		n, _ := w.Float64()
		if f.Type == cdc.Float {
			single, _ := new(big.Float).SetString(w.String())
			f32, _ := single.Float32()
			n = float64(f32)
		}
		return fmt.Sprint(math.Float64bits(v.Float())), fmt.Sprint(math.Float64bits(n))
	case f.Semantic == cdc.Decimal:
		want, _ := new(big.Rat).SetString(w.String())
		return decimalOf(f, v).RatString(), want.RatString()
	case v.Kind() == cdc.KindNumber:
		return string(v.Bytes()), w.String()
	case v.Kind() == cdc.KindUint:
		return fmt.Sprint(v.Uint()), w.String()
	}
	if got, exp = fmt.Sprint(v.Int()), w.String(); exp == "-0" {
		exp = "0"
	}
	return got, exp
}

func texts(f *cdc.Field, v *cdc.Value, w string) (got, exp string) {
	switch {
	case f.Semantic == cdc.Decimal:
		b, _ := base64.StdEncoding.DecodeString(w)
		want := new(big.Rat).SetFrac(bigInt(b), tenTo(f.Scale))
		return decimalOf(f, v).RatString(), want.RatString()
	case f.Type == cdc.Binary:
		b, _ := base64.StdEncoding.DecodeString(w)
		return fmt.Sprintf("%x", v.Bytes()), fmt.Sprintf("%x", b)
	case f.Type == cdc.Double || f.Type == cdc.Float:
		return fmt.Sprint(v.Float()), fmt.Sprint(map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[w])
	}
	return string(v.Bytes()), w
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func decimalOf(f *cdc.Field, v *cdc.Value) *big.Rat {
	unscaled := big.NewInt(v.Int())
	if v.Kind() == cdc.KindBigDecimal {
		unscaled = bigInt(v.Bytes())
	}
	return new(big.Rat).SetFrac(unscaled, tenTo(f.Scale))
}
