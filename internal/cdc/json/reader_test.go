package json

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

var (
	itemRow = cdc.NewSchema("p.shop.items.Value",
		cdc.Field{Name: "id", Type: cdc.Int32},
		cdc.Field{Name: "name", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "price", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Optional: true, Precision: 10, Scale: 2},
		cdc.Field{Name: "stock", Type: cdc.Int16, Default: new(cdc.Int(7))},
		cdc.Field{Name: "blob", Type: cdc.Binary, Optional: true},
		cdc.Field{Name: "ratio", Type: cdc.Double, Optional: true},
		cdc.Field{Name: "textual", Type: cdc.Text, Precision: 12, Scale: 3, Optional: true},
	)
	itemKey   = cdc.NewSchema("p.shop.items.Key", cdc.Field{Name: "id", Type: cdc.Int32})
	itemEntry = NewSchemaEntry("weir:p", "p.shop.items", itemKey, itemRow)
)

func envelopeOf(before, after string) string {
	return `{"before":` + before + `,"after":` + after + `,"source":{"ts_ms":5,"db":"shop"},"transaction":null,"op":"u","ts_ms":6,"ts_us":6001,"ts_ns":6001002}`
}

// show is a row as name=value, without nulls.
func show(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	var parts []string
	for i := range r.Values {
		if v := &r.Values[i]; v.Kind() == cdc.KindAbsent {
			parts = append(parts, r.Schema.Fields[i].Name+"=absent")
		} else if !v.IsNull() {
			parts = append(parts, r.Schema.Fields[i].Name+"="+string(AppendText(nil, &r.Schema.Fields[i], v)))
		}
	}
	return strings.Join(parts, " ")
}

func TestReadKnown(t *testing.T) {
	for _, c := range []struct{ name, row, want string }{
		{"as written", `{"id":1,"name":"a","price":"AMg=","stock":3,"blob":"AQI=","ratio":1.5,"textual":"1.250"}`, "id=1 name=a price=2.00 stock=3 blob=AQI= ratio=1.5 textual=1.250"},
		{"other order, white space", "{ \"stock\" : 3 ,\n\"id\":\t1}", "id=1 stock=3"},
		{"required with default is missing", `{"id":1}`, "id=1 stock=7"},
		{"required with default is null", `{"id":1,"stock":null}`, "id=1 stock=7"},
		{"numeric decimals", `{"id":1,"price":-12.5,"stock":0}`, "id=1 price=-12.50 stock=0"},
		{"numeric decimal with exponent", `{"id":1,"price":125E-2,"stock":0}`, "id=1 price=1.25 stock=0"},
		{"needless zeros", `{"id":1,"price":1.2500,"stock":0}`, "id=1 price=1.25 stock=0"},
		{"number of 30 digits", `{"id":1,"price":1234567890123456789012345678.91,"stock":0}`, "id=1 price=1234567890123456789012345678.91 stock=0"},
		{"NaN", `{"id":1,"stock":0,"ratio":"NaN"}`, "id=1 stock=0 ratio=NaN"},
		{"text that is no decimal", `{"id":1,"stock":0,"textual":"about 3"}`, "id=1 stock=0 textual=about 3"},
		{"a name twice", `{"id":1,"stock":0,"id":2}`, "id=2 stock=0"},
		{"names with escapes", `{"\u0069d":1,"stock":0}`, "id=1 stock=0"},
		{"the placeholder", `{"id":1,"name":"__debezium_unavailable_value","price":null,"stock":3,"blob":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","ratio":null,"textual":null}`, "id=1 name=absent stock=3 blob=absent"},
	} {
		var m Message
		r := NewReader(itemEntry)
		if err := r.ReadValue(&m, []byte(envelopeOf("null", c.row))); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(m.Envelope.After); got != c.want || m.Envelope.Before != nil || m.Value != nil {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if err := r.ReadValue(&m, []byte(c.row)); err != nil || m.Envelope != nil || show(m.Value) != c.want {
			t.Errorf("%s: flat: %v %s, want %s", c.name, err, show(m.Value), c.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	row := func(s string) string { return envelopeOf("null", s) }
	for _, c := range []struct{ value, want string }{
		{row(`{"id":1,"stock":1,"nam":"x"}`), `field "nam": not a field of the schema at byte`},
		{row(`{"stock":1}`), `field "id": missing in the object that ends at byte`},
		{row(`{"id":null,"stock":1}`), `field "id": null although the field is required at byte 29`},
		{row(`{"id":2147483648,"stock":1}`), `field "id": an integer beyond the range of its type at byte 29`},
		{row(`{"id":1,"stock":-32769}`), `field "stock": an integer beyond the range of its type`},
		{row(`{"id":9223372036854775808,"stock":1}`), `field "id": an integer of more than 64 bits`},
		{row(`{"id":1.5,"stock":1}`), `field "id": no integer`},
		{row(`{"id":"1","stock":1}`), `field "id": no integer`},
		{row(`{"id":1,"stock":1,"price":"?"}`), `field "price": no decimal in base64`},
		{row(`{"id":1,"stock":1,"price":1.234}`), `field "price": a number with more digits after the point than the field's scale`},
		{row(`{"id":1,"stock":1,"price":1E99999}`), `field "price": a number`},
		{row(`{"id":1,"stock":1,"blob":"A"}`), `field "blob": no bytes in base64`},
		{row(`{"id":1,"stock":1,"name":5}`), `field "name": no text`},
		{row(`{"id":1,"stock":1,"name":"` + "\xff" + `"}`), "text that is not UTF-8 at byte 49"},
		{row(`{"id":1,"stock":1,"ratio":1E999}`), `field "ratio": a number beyond the range`},
		{row(`{"id":1,"stock":1,"ratio":"many"}`), `field "ratio": no number`},
		{row(`{"id":01,"stock":1}`), "malformed JSON at byte 29"},
		{row(`[1]`), "no object at byte 23"},
		{row(`{"id":1,"stock":1}`) + "x", "something follows the JSON value at byte"},
		{`{"before":null,"after":{"id":1,"stock":1},"source":{"ts_ms":5,"x":"\x"},"op":"c"}`, "malformed JSON at byte 67"},
		{`{"before":null,"after":{"id":1,"stock":1},"source":{"ts_ms":5},"x":[1,2}],"op":"c"}`, "malformed JSON at byte"},
		{`{"before":null,"after":{"id":1,"stock":1},"source":{"ts_ms":5},"transaction":null,"op":"cc"}`, "op is no single letter"},
		{`{"id":1,"stock":1,"name":"x`, "the JSON text ends too early at byte 27"},
		{`{"id":1,"stock":1,"name":"x"`, "the JSON text ends too early at byte 28"},
		{"", "the JSON text ends too early at byte 0"},
		{"Struct{id=1}", "malformed JSON at byte 0"},
		{strings.Repeat("[", 2000) + strings.Repeat("]", 2000), "at byte"},
		{`{"schema":{"type":"strange"},"payload":{}}`, `reading schema: unknown Connect type "strange"`},
		{`{"schema":{"type":"struct","fields":[{"type":"int8","default":"x","field":"f"}]},"payload":{}}`, `reading schema: field "f": default: no integer at byte 0`},
	} {
		r := NewReader(itemEntry)
		for range 2 {
			var m Message
			err := r.ReadValue(&m, []byte(c.value))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "reading JSON value: ") {
				t.Errorf("%.90s: got %v, want %s", c.value, err, c.want)
			}
			if m.Envelope != nil || m.Value != nil || m.Tombstone {
				t.Errorf("%.90s: a failed read leaves something behind", c.value)
			}
		}
	}
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	if err := NewReader(nil).ReadValue(new(Message), []byte(deep)); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("deep: %v", err)
	}
}

// TestUnknownMembers: in source and envelope they are skipped, not in rows.
func TestUnknownMembers(t *testing.T) {
	value := `{"future":{"a":[1,{}]},"before":null,"after":{"id":1,"stock":1},"source":{"ts_ms":5,"new":{"x":1}},"op":"c","ts_ms":1,"more":1e5}`
	var m Message
	if err := NewReader(itemEntry).ReadValue(&m, []byte(value)); err != nil || m.Envelope.SourceMillis != 5 || m.Envelope.Op != cdc.OpCreate || m.Envelope.Millis != 1 {
		t.Fatal(err)
	}
}

func TestReadEnvelope(t *testing.T) {
	value := `{"before":{"id":1,"stock":2},"after":null,"source":{"db":"a } b","ts_ms":77,"row":0},"transaction":{"id":"g\u003a1","total_order":3,"data_collection_order":2},"op":"d","ts_ms":1,"ts_us":2,"ts_ns":3}`
	var m Message
	r := NewReader(itemEntry)
	if err := r.ReadValue(&m, []byte(value)); err != nil {
		t.Fatal(err)
	}
	e := m.Envelope
	if show(e.Before) != "id=1 stock=2" || e.After != nil || e.Op != cdc.OpDelete || e.SourceMillis != 77 || e.Millis != 1 || e.Micros != 2 || e.Nanos != 3 {
		t.Errorf("%+v", e)
	}
	if string(e.SourceJSON) != `{"db":"a } b","ts_ms":77,"row":0}` || string(Member(e.SourceJSON, "db")) != `"a } b"` || Member(e.SourceJSON, "none") != nil {
		t.Errorf("source %s", e.SourceJSON)
	}
	if tx := e.Transaction; string(tx.ID) != "g:1" || tx.TotalOrder != 3 || tx.CollectionOrder != 2 {
		t.Errorf("%+v", tx)
	}
	if err := r.ReadValue(&m, []byte(envelopeOf("null", "null"))); err != nil || len(m.Envelope.Transaction.ID) != 0 || m.Envelope.Before != nil {
		t.Errorf("the next one: %v %+v", err, m.Envelope)
	}
}

func TestTombstones(t *testing.T) {
	r := NewReader(itemEntry)
	for _, value := range [][]byte{nil, []byte("null"), []byte(" null "), []byte(`{"schema":{"type":"int32","optional":true},"payload":null}`), []byte(`{"schema":null,"payload":null}`), []byte(`{ "payload" : null, "schema" : null }`)} {
		m := Message{Value: new(cdc.Row)}
		if err := r.ReadValue(&m, value); err != nil || !m.Tombstone || m.Value != nil || m.Envelope != nil {
			t.Errorf("%s: %v %+v", value, err, m.Tombstone)
		}
	}
	var m Message
	if err := r.ReadValue(&m, []byte(`{"id":1}`)); err != nil || m.Tombstone {
		t.Error(err)
	}
}

// TestEnvelopeOrRow: what an envelope is is decided by its members, also where a
// table's columns are named like them.
func TestEnvelopeOrRow(t *testing.T) {
	columns := func(types ...cdc.Type) (fields []cdc.Field) {
		for i, name := range []string{"before", "after", "source", "op"} {
			fields = append(fields, cdc.Field{Name: name, Type: types[i], Optional: true})
		}
		return fields
	}
	texts := NewSchemaEntry("", "", nil, cdc.NewSchema("t", columns(cdc.Text, cdc.Text, cdc.Text, cdc.Text)...))
	for _, c := range []struct {
		entry    *SchemaEntry
		value    string
		envelope bool
	}{
		{nil, `{"op":"c","source":{},"after":{"x":1}}`, true},
		{nil, `{"op":"c","source":{},"before":null}`, true},
		{nil, `{"op":"c","source":{}}`, false},
		{nil, `{"op":"c","after":{"x":1}}`, false},
		{nil, `{"before":null,"after":{"x":1},"source":{}}`, false},
		{nil, `{"before":null,"after":"x","source":"s","op":"o"}`, false},
		{nil, `{"op":1,"source":{},"after":{}}`, false},
		{texts, `{"before":null,"after":null,"source":"s","op":"o"}`, false},
		{texts, `{"before":"b","after":"a","source":"s","op":"o"}`, false},
		{texts, `{"before":null,"after":{"before":"b","after":null,"source":"s","op":"o"},"source":{"ts_ms":1},"op":"c"}`, true},
		{texts, `{"op":"u","source":{"ts_ms":1},"before":null,"after":{"op":"o"}}`, true},
	} {
		r := NewReader(c.entry)
		for range 3 {
			var m Message
			if err := r.ReadValue(&m, []byte(c.value)); err != nil || (m.Envelope != nil) != c.envelope || (m.Value == nil) != c.envelope {
				t.Errorf("%s: %v, envelope %v", c.value, err, m.Envelope != nil)
			}
		}
	}
}

func TestInlineForms(t *testing.T) {
	schema := `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"name":"x.y.Z","field":"name"}],"optional":true,"name":"T"}`
	for _, value := range []string{
		`{"schema":` + schema + `,"payload":{"id":1,"name":"a"}}`,
		`{ "schema" : ` + schema + ` , "payload" : { "name" : "a" , "id" : 1 } } `,
		`{"payload":{"id":1,"name":"a"},"schema":` + schema + `}`,
	} {
		r := NewReader(nil)
		for range 2 {
			var m Message
			if err := r.ReadValue(&m, []byte(value)); err != nil || m.Value == nil || show(m.Value) != "id=1 name=a" || m.Value.Schema.Name != "T" {
				t.Fatalf("%s: %v", value, err)
			}
			if f := m.Value.Schema.Field("name"); f.Semantic != cdc.Other || f.SchemaName != "x.y.Z" {
				t.Errorf("%+v", f)
			}
			if err := r.ReadKey(&m, []byte(value)); err != nil || show(m.Key) != "id=1 name=a" || m.Key.Schema.Name != "T" {
				t.Fatalf("key %s: %v", value, err)
			}
		}
	}
	var m Message
	r := NewReader(nil)
	if err := r.ReadValue(&m, []byte(`{"schema":`+schema+`,"payload":{"id":1,"nam":"a"}}`)); err == nil || !strings.Contains(err.Error(), `field "nam": not a field`) {
		t.Error(err)
	}
	for _, value := range []string{`{"schema":"s","payload":1}`, `{"schema":"s","payload":1,"x":2}`, `{"payload":1}`, `{"schema":{"a":1}}`} {
		if err := r.ReadValue(&m, []byte(value)); err != nil || m.Value == nil || m.Value.Value("payload") == nil && m.Value.Value("schema") == nil {
			t.Errorf("%s is a row: %v", value, err)
		}
	}
}

// TestLastInlineSchemas: the last four are kept, so that a topic in which they
// alternate is not parsed again and again.
func TestLastInlineSchemas(t *testing.T) {
	r := NewReader(nil)
	value := func(i int) []byte {
		return fmt.Appendf(nil, `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"f%d"}],"optional":false},"payload":{"f%d":%d}}`, i, i, i)
	}
	read := func(i int) {
		var m Message
		if err := r.ReadValue(&m, value(i)); err != nil || show(m.Value) != fmt.Sprintf("f%d=%d", i, i) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	for range 3 {
		for i := range 9 {
			read(i)
			if len(r.values.kept) > keptInline {
				t.Fatal("too many kept")
			}
		}
	}
	kept := slices.Clone(r.values.kept)
	for i := 5; i < 9; i++ {
		read(i)
	}
	for _, s := range r.values.kept {
		if !slices.Contains(kept, s) {
			t.Error("a schema among the last four was parsed again")
		}
	}
}

func TestSchemaless(t *testing.T) {
	r := NewReader(nil)
	var m Message
	read := func(value, want string) *cdc.Row {
		t.Helper()
		if err := r.ReadValue(&m, []byte(value)); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		row := m.Value
		if m.Envelope != nil {
			row = m.Envelope.After
		}
		if got := show(row); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
		return row
	}
	first := read(`{"a":1,"b":"x","c":1.50,"d":true,"e":[1, {"f":null}],"g":18446744073709551615,"h":null,"i":-0,"j":123456789012345678901}`,
		`a=1 b=x c=1.50 d=true e=[1, {"f":null}] g=18446744073709551615 i=-0 j=123456789012345678901`)
	kinds := []cdc.Kind{cdc.KindInt, cdc.KindString, cdc.KindNumber, cdc.KindBool, cdc.KindJSON, cdc.KindUint, cdc.KindNull, cdc.KindNumber, cdc.KindNumber}
	for i := range kinds {
		if first.Values[i].Kind() != kinds[i] || first.Schema.Fields[i].Type != cdc.Any || !first.Schema.Fields[i].Optional {
			t.Errorf("%s: kind %v", first.Schema.Fields[i].Name, first.Values[i].Kind())
		}
	}
	schema := first.Schema
	if again := read(`{"b":"y","a":2}`, "a=2 b=y"); again.Schema != schema {
		t.Error("fewer fields must not make another schema")
	}
	wider := read(`{"a":3,"z":1,"y":2,"z":4}`, "a=3 z=4 y=2").Schema
	if wider == schema || len(wider.Fields) != len(schema.Fields)+2 {
		t.Errorf("%d fields", len(wider.Fields))
	}
	if got := read(`{"a":1}`, "a=1").Schema; got != wider {
		t.Error("a schema never narrows")
	}
	if state := read(envelopeOf("null", `{"q":1}`), "q=1").Schema; len(state.Fields) != 1 {
		t.Error("rows of envelopes have a schema of their own")
	}
	for value, want := range map[string]string{`5`: "=5", `"t"`: "=t", ` [1] `: "=[1]", `false`: "=false"} {
		if row := read(value, want); !row.Schema.IsBare() {
			t.Errorf("%s is bare", value)
		}
	}
	if err := r.ReadValue(&m, []byte(`{"":5}`)); err == nil || !strings.Contains(err.Error(), "a field without a name") {
		t.Errorf("a field without a name: %v", err)
	}
}

// TestSchemalessIsBounded: fields that never end are an error, not memory.
func TestSchemalessIsBounded(t *testing.T) {
	r := NewReader(nil)
	var m Message
	for i := range 10_000 {
		if err := r.ReadValue(&m, fmt.Appendf(nil, `{"bounded%d":1}`, i)); err != nil {
			if i > maxShapeFields || !strings.Contains(err.Error(), "too many different fields") {
				t.Fatalf("after %d: %v", i, err)
			}
			return
		}
	}
	t.Fatal("no error")
}

func TestReadKeys(t *testing.T) {
	for _, c := range []struct {
		entry     *SchemaEntry
		key, want string
	}{
		{itemEntry, `{"id":5}`, "id=5"},
		{itemEntry, ` { "id" : 5 } `, "id=5"},
		{itemEntry, `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false},"payload":{"id":5}}`, "id=5"},
		{nil, `{"id":5,"t":"x"}`, "id=5 t=x"},
		{nil, `"k 1"`, "=k 1"},
		{nil, `17`, "=17"},
		{nil, `{"schema":{"type":"string","optional":false},"payload":"c-9"}`, "=c-9"},
		{nil, `{"schema":{"type":"int32","optional":false},"payload":1}`, "=1"},
		{nil, `{ "payload" : 1 , "schema" : {"type":"int32","optional":false} }`, "=1"},
		{nil, `{"schema":null,"payload":{"a":1}}`, "a=1"},
		{nil, `null`, "null"},
		{nil, `{"schema":null,"payload":null}`, "null"},
		{NewSchemaEntry("", "", cdc.Bare(cdc.Field{Type: cdc.Int64}), itemRow), "12", "=12"},
		{NewSchemaEntry("", "", nil, itemRow), `{"any":1}`, "any=1"},
	} {
		r := NewReader(c.entry)
		for range 2 {
			var m Message
			if err := r.ReadKey(&m, []byte(c.key)); err != nil || show(m.Key) != c.want {
				t.Errorf("%s: %v %s, want %s", c.key, err, show(m.Key), c.want)
			}
		}
	}
	r := NewReader(itemEntry)
	m := Message{Key: new(cdc.Row)}
	if err := r.ReadKey(&m, nil); err != nil || m.Key != nil {
		t.Error(err)
	}
	for key, want := range map[string]string{`{"id":5,"x":1}`: `field "x"`, `{}`: `field "id": missing`, `5`: "byte 0", `{"id":5}}`: "something follows", ``: "too early", `k`: "malformed"} {
		if err := r.ReadKey(&m, []byte(key)); err == nil || !strings.HasPrefix(err.Error(), "reading JSON key: ") || !strings.Contains(err.Error(), want) || m.Key != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestReadTextKey(t *testing.T) {
	r, m := NewReader(nil), new(Message)
	if err := r.ReadTextKey(m, []byte("Struct{id=1}")); err != nil || show(m.Key) != "=Struct{id=1}" || !m.Key.Schema.IsBare() {
		t.Error(err)
	}
	if err := r.ReadTextKey(m, nil); err != nil || m.Key != nil {
		t.Error(err)
	}
	if err := r.ReadTextKey(m, []byte("\xff")); err == nil {
		t.Error("not UTF-8")
	}
}

// TestUse: one Reader reads a partition whose fingerprint changes.
func TestUse(t *testing.T) {
	wider := NewSchemaEntry("weir:p", "p.shop.items", itemKey, itemRow.With(cdc.Field{Name: "added", Type: cdc.Int32, Optional: true}))
	r, m := NewReader(nil), new(Message)
	for range 3 {
		for entry, value := range map[*SchemaEntry]string{
			itemEntry: envelopeOf("null", `{"id":1,"stock":2}`), wider: envelopeOf("null", `{"id":1,"stock":2,"added":3}`), nil: envelopeOf("null", `{"what":1}`),
		} {
			r.Use(entry)
			if err := r.ReadValue(m, []byte(value)); err != nil {
				t.Fatal(err)
			}
			if entry != nil && m.Envelope.After.Schema != entry.Value {
				t.Error("a row of another schema")
			}
		}
	}
}

// TestBatch: records that were read stay as they are while others are read.
func TestBatch(t *testing.T) {
	r := NewReader(itemEntry)
	messages := make([]Message, 50)
	value := func(i int) []byte {
		return []byte(envelopeOf(fmt.Sprintf(`{"id":%d,"stock":1,"name":"b \"%d\""}`, i, i), fmt.Sprintf(`{"id":%d,"stock":2,"name":"a \"%d\"","price":12345678901234567890.%02d}`, i, i, i)))
	}
	for round := range 2 {
		for i := range messages {
			if err := r.ReadValue(&messages[i], value(i+round)); err != nil {
				t.Fatal(err)
			}
			if err := r.ReadKey(&messages[i], fmt.Appendf(nil, `{"id":%d}`, i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range messages {
			n := i + round
			e := messages[i].Envelope
			if got, want := show(e.Before)+", "+show(e.After), fmt.Sprintf(`id=%d name=b "%d" stock=1, id=%d name=a "%d" price=12345678901234567890.%02d stock=2`, n, n, n, n, n); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := show(messages[i].Key); got != fmt.Sprintf("id=%d", i) {
				t.Error(got)
			}
		}
	}
}

func TestPlaceholder(t *testing.T) {
	r, m := NewReader(itemEntry), new(Message)
	r.SetPlaceholder("gone")
	if err := r.ReadValue(m, []byte(`{"id":1,"name":"gone"}`)); err != nil || m.Value.Absent() == nil || m.Value.Absent().Name != "name" {
		t.Error(err)
	}
	r.SetPlaceholder("")
	if err := r.ReadValue(m, []byte(`{"id":1,"name":"","blob":""}`)); err != nil || m.Value.Absent() != nil {
		t.Error(err)
	}
}

func TestReadAny(t *testing.T) {
	var row cdc.Row
	for in, want := range map[string]cdc.Value{` "a\n" `: cdc.String([]byte("a\n")), "5": cdc.Int(5), "5.0": cdc.Number([]byte("5.0")), "null": {}, "{}": cdc.RawJSON([]byte("{}"))} {
		if got, err := ReadAny(&row, []byte(in)); err != nil || !got.Equal(&want) {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	if _, err := ReadAny(&row, []byte("5 6")); err == nil {
		t.Error("two values")
	}
}

// TestKeysWithoutSchema: the text of a key does not depend on the keys before it.
func TestKeysWithoutSchema(t *testing.T) {
	r := NewReader(nil)
	var m Message
	for range 2 {
		for _, c := range [][2]string{
			{`{"id":7}`, "7"}, {`{"id":7,"x":1}`, "7|1"}, {`{"id":8}`, "8"}, {`{"id": 8}`, "8"}, {`{"x":2}`, "2"}, {`{"id":null}`, `\N`}, {`{}`, ""},
			{`{"x":3,"id":9}`, "9|3"}, {`{"id":9,"y":1}`, "9|1"}, {`{"a":1,"b":2,"c":3}`, "1|2|3"}, {`{"id":10}`, "10"},
		} {
			if err := r.ReadKey(&m, []byte(c[0])); err != nil || string(AppendKeyText(nil, m.Key)) != c[1] {
				t.Errorf("%s is %q, want %q: %v", c[0], AppendKeyText(nil, m.Key), c[1], err)
			}
		}
	}
	if err := r.ReadKey(&m, []byte(`{"":1}`)); err == nil || !strings.Contains(err.Error(), "without a name") {
		t.Error(err)
	}
}
