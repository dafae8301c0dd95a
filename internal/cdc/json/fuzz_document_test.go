package json

import (
	"bytes"
	stdjson "encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
)

// inlineSeeds are values and keys with inline schemas of every type.
var inlineSeeds = []string{
	`{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"default":"x","field":"s"},{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"9"},"field":"d"}],"optional":false,"name":"a.Value"},"payload":{"id":1,"s":null,"d":"MDk="}}`,
	`{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","optional":true,"field":"scale"},{"type":"bytes","optional":true,"field":"value"}],"optional":true,"name":"io.debezium.data.VariableScaleDecimal","version":1,"field":"v"}],"optional":false},"payload":{"v":{"scale":2000000000,"value":"AQ=="}}}`,
	`{"schema":{"type":"struct","fields":[{"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp","version":1,"field":"t"},{"type":"int32","optional":true,"name":"io.debezium.time.Date","version":1,"field":"a"},{"type":"int64","optional":true,"name":"io.debezium.time.NanoTime","version":1,"field":"n"},{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","version":1,"field":"z"}],"optional":false},"payload":{"t":-9223372036854775808,"a":-2147483648,"n":9223372036854775807,"z":"2024-02-31T00:00:00Z"}}`,
	`{"schema":{"type":"struct","fields":[{"type":"array","items":{"type":"float","optional":true},"optional":true,"field":"l"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":true},"optional":true,"field":"m"},{"type":"boolean","optional":true,"field":"b"},{"type":"double","optional":true,"field":"f"}],"optional":false},"payload":{"l":[1.5,"NaN",null],"m":{"a":1},"b":true,"f":"-Infinity"}}`,
	`{"schema":{"type":"string","optional":false},"payload":"bare"}`, `{"schema":null,"payload":{"a":[1,{"b":"\n"}]}}`,
	`{"schema":{"type":"struct","fields":[{"type":"string","optional":true,"name":"io.debezium.data.Json","version":1,"field":"j"},{"type":"string","optional":true,"parameters":{"__debezium.source.column.type":"DECIMAL","__debezium.source.column.length":"9","__debezium.source.column.scale":"2"},"field":"t"}],"optional":false},"payload":{"j":"{\"a\": [1,\n2]}","t":"1e5"}}`,
	`{"a":1e400,"b":-0,"c":18446744073709551616,"d":0.1e-30}`,
}

// FuzzDocument reads values of any form: the documents and key texts that are
// made of what is taken are JSON of one line, and text.
func FuzzDocument(f *testing.F) {
	for _, v := range append(inlineSeeds, malformedSeeds...) {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r := NewReader(nil)
		var m Message
		if r.ReadValue(&m, value) == nil {
			rows := []*cdc.Row{m.Value}
			if m.Envelope != nil {
				rows = append(rows, m.Envelope.Before, m.Envelope.After)
			}
			for _, row := range rows {
				checkDocument(t, row)
			}
		}
		if r.ReadKey(&m, value) == nil {
			checkDocument(t, m.Key)
		}
	})
}

func checkDocument(t *testing.T, row *cdc.Row) {
	if row == nil {
		return
	}
	for _, o := range []DocumentOptions{{}, {NestJSON: true, ISO: true}} {
		d := NewDocument(row.Schema, o).Append(nil, row)
		if !stdjson.Valid(d) || bytes.ContainsAny(d, "\n\r") || !utf8.Valid(d) {
			t.Fatalf("the document %q", d)
		}
	}
	if text := AppendKeyText(nil, row); !utf8.Valid(text) {
		t.Fatalf("the key %q", text)
	}
}

// FuzzSchemaEntry reads schema entries and bare schemas: one that is taken is
// written as the same, and a row of it can be made.
func FuzzSchemaEntry(f *testing.F) {
	for seed := range uint64(8) {
		g := newGenerator(seed, 0)
		e := NewSchemaEntry("weir:fuzz", "fuzz", g.schema("fuzz.Key", 2, 0), g.schema("fuzz.Value", 8, 2))
		f.Add(e.Marshal())
		f.Add(AppendSchema(nil, e.Value, Options{}))
	}
	for _, v := range inlineSeeds {
		f.Add(Member([]byte(v), "schema"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := UnmarshalSchemaEntry(b); err == nil {
			again, err := UnmarshalSchemaEntry(e.Marshal())
			if err != nil || again.Fingerprint != e.Fingerprint || again.Value != e.Value || again.Key != e.Key {
				t.Fatalf("%s became %s: %v", b, e.Marshal(), err)
			}
		}
		s, err := ParseSchema(b)
		if err != nil {
			return
		}
		text := schemaWriter{extended: true}.append(nil, s)
		again, err := ParseSchema(text)
		if err != nil {
			t.Fatalf("%s became %s: %v", b, text, err)
		}
		if once := (schemaWriter{extended: true}).append(nil, again); !bytes.Equal(once, text) {
			t.Fatalf("%s became %s, then %s", b, text, once)
		}
		newReadPlan(s, false)
		NewDocument(s, DocumentOptions{ISO: true})
	})
}

// FuzzTemporal writes any number as any date or time, and reads instants as
// their text says.
func FuzzTemporal(f *testing.F) {
	for _, n := range []int64{0, -1, math.MinInt64, math.MaxInt64, 253402300800000000, -62167219200000001, 1_700_000_000_123_456} {
		f.Add(n, "2024-02-29T23:59:59.123456Z")
	}
	f.Add(int64(5), "2024-02-31T00:00:00+02:00")
	f.Fuzz(func(t *testing.T, n int64, text string) {
		for s := range cdc.Other {
			appendISO(nil, s, n)
		}
		if micros, ok := ParseZoned([]byte(text)); ok {
			zoned := AppendZoned(nil, micros, 6)
			if again, ok := ParseZoned(zoned); !ok || again != micros {
				// Offsets may lead out of the years of four digits, which have no text.
				if zoned[0] != '-' && zoned[0] != '+' {
					t.Fatalf("%q is %d, then %q", text, micros, zoned)
				}
			}
		}
		const year0, year10000 = -62_167_219_200_000_000, 253_402_300_800_000_000
		if n >= year0 && n < year10000 {
			if again, ok := ParseZoned(AppendZoned(nil, n, 6)); !ok || again != n {
				t.Fatalf("%d became %q, then %d", n, AppendZoned(nil, n, 6), again)
			}
		}
	})
}
