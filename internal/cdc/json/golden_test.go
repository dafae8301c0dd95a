package json

import (
	"bufio"
	stdjson "encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// goldenRecord is one record that the real Debezium wrote.
type goldenRecord struct {
	Case, Topic string
	Key, Value  *string
}

// goldenFile is a sample of what Debezium 3.5.0 on Kafka Connect 4.1.0 wrote.
const goldenFile = "testdata/golden.jsonl"

func eachGolden(t *testing.T, f func(t *testing.T, r *goldenRecord)) {
	t.Helper()
	in, err := os.Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	n := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		r := new(goldenRecord)
		if err := stdjson.Unmarshal(lines.Bytes(), r); err != nil {
			t.Fatal(err)
		}
		n++
		f(t, r)
	}
	if err := lines.Err(); err != nil || n < 100 {
		t.Fatalf("%d records, %v", n, err)
	}
}

func (r *goldenRecord) options(inline bool) Options {
	o := Options{Schemas: inline}
	if r.Case == "conv-decimal-numeric" {
		o.Decimal = Numeric
	}
	return o
}

// split takes {"schema":…,"payload":…} apart; inline is false for anything else.
func split(t *testing.T, value string) (schema *cdc.Schema, payload string, inline bool) {
	t.Helper()
	if !strings.HasPrefix(value, schemaLead+"{") {
		return nil, value, false
	}
	node := Member([]byte(value), "schema")
	schema, err := ParseSchema(node)
	if err != nil {
		t.Fatalf("%v in %s", err, node)
	}
	return schema, string(Member([]byte(value), "payload")), true
}

// TestGoldenInline reads what Debezium wrote with schemas.enable and writes it
// again, to the byte.
func TestGoldenInline(t *testing.T) {
	r := NewReader(nil)
	eachGolden(t, func(t *testing.T, g *goldenRecord) {
		var m Message
		if g.Key != nil {
			schema, _, inline := split(t, *g.Key)
			if inline {
				if err := r.ReadKey(&m, []byte(*g.Key)); err != nil {
					t.Fatalf("%s: %v in %s", g.Case, err, *g.Key)
				}
				got := NewPlan(schema, Options{Schemas: true}).Append(nil, m.Key)
				same(t, g, got, *g.Key)
			}
		}
		if g.Value == nil {
			return
		}
		schema, _, inline := split(t, *g.Value)
		if !inline {
			return
		}
		if err := r.ReadValue(&m, []byte(*g.Value)); err != nil {
			t.Fatalf("%s: %v in %s", g.Case, err, *g.Value)
		}
		same(t, g, rewrite(t, &m, schema, g.options(true)), *g.Value)
	})
}

// TestGoldenEntry reads payloads without their schema, which a SchemaEntry gives
// instead, and writes them again.
func TestGoldenEntry(t *testing.T) {
	readers := map[string]*Reader{}
	eachGolden(t, func(t *testing.T, g *goldenRecord) {
		if g.Value == nil {
			return
		}
		schema, payload, inline := split(t, *g.Value)
		if !inline || payload == "null" {
			return
		}
		row := schema
		if before, _, ok := envelopeStates(schema); ok {
			row = before
		}
		e := NewSchemaEntry("weir:x", g.Topic, nil, row)
		e, err := UnmarshalSchemaEntry(e.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		r := readers[e.Fingerprint]
		if r == nil {
			r = NewReader(e)
			readers[e.Fingerprint] = r
		}
		var m Message
		if err := r.ReadValue(&m, []byte(payload)); err != nil {
			t.Fatalf("%s: %v in %s", g.Case, err, payload)
		}
		same(t, g, rewrite(t, &m, schema, g.options(false)), payload)
	})
}

// TestGoldenSchemaless reads payloads of which no schema is known, each by a
// Reader of its own and all of a topic by one.
func TestGoldenSchemaless(t *testing.T) {
	readers := map[string]*Reader{}
	eachGolden(t, func(t *testing.T, g *goldenRecord) {
		if g.Value == nil {
			return
		}
		_, payload, _ := split(t, *g.Value)
		if payload == "null" {
			return
		}
		own := NewReader(nil)
		r := readers[g.Topic]
		if r == nil {
			r = NewReader(nil)
			readers[g.Topic] = r
		}
		for _, r := range []*Reader{own, r} {
			var m Message
			if err := r.ReadValue(&m, []byte(payload)); err != nil {
				t.Fatalf("%s: %v in %s", g.Case, err, payload)
			}
			if m.Envelope == nil {
				if r == own {
					same(t, g, NewPlan(m.Value.Schema, Options{}).Append(nil, m.Value), payload)
				}
				continue
			}
			for name, row := range map[string]*cdc.Row{"before": m.Envelope.Before, "after": m.Envelope.After} {
				want := string(Member([]byte(payload), name))
				if row == nil {
					same(t, g, []byte("null"), want)
				} else if r == own {
					same(t, g, NewPlan(row.Schema, Options{}).Append(nil, row), want)
				}
			}
		}
	})
}

func same(t *testing.T, g *goldenRecord, got []byte, want string) {
	t.Helper()
	if string(got) == want {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s %s: from byte %d\ngot  %.200s\nwant %.200s", g.Case, g.Topic, i, got[max(0, i-40):], want[max(0, i-40):])
}

// rewrite writes m as a value of schema.
func rewrite(t *testing.T, m *Message, schema *cdc.Schema, options Options) []byte {
	t.Helper()
	if m.Envelope == nil {
		return NewPlan(schema, options).Append(nil, m.Value)
	}
	source := sourceRow(t, m.Envelope, schema.Field("source").Struct)
	_, after, _ := envelopeStates(schema)
	e := NewEnveloper(after, source.Schema, options)
	e.Begin(source, m.Envelope.Nanos)
	return e.Append(nil, m.Envelope.Op, m.Envelope.Before, m.Envelope.After, int(source.Value("row").Int()), &m.Envelope.Transaction)
}

// sourceRow is the source block as capture has it.
func sourceRow(t testing.TB, e *cdc.Envelope, schema *cdc.Schema) *cdc.Row {
	t.Helper()
	var p parser
	p.start(e.SourceJSON)
	row := new(cdc.Row)
	if !newReadPlan(schema, false).row(&p, row) {
		t.Fatalf("source block: %v", p.failure())
	}
	return row
}
