package enrich

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// wasmBuilt are the WebAssembly modules of the tests, built once, by the folders
// of their sources.
var wasmBuilt struct {
	sync.Mutex
	code map[string][]byte
}

// wasmFile is a file of the package in a folder as a WebAssembly module.
func wasmFile(tb testing.TB, folder string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "module.wasm")
	wasmBuilt.Lock()
	defer wasmBuilt.Unlock()
	if code := wasmBuilt.code[folder]; code != nil {
		if err := os.WriteFile(file, code, 0o600); err != nil {
			tb.Fatal(err)
		}
		return file
	}
	command := exec.CommandContext(tb.Context(), "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", file, ".")
	command.Dir = folder
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("building %s: %v\n%s", folder, err, output)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if wasmBuilt.code == nil {
		wasmBuilt.code = map[string][]byte{}
	}
	wasmBuilt.code[folder] = code
	return file
}

// wasmScripted is the module that does what its settings say.
func wasmScripted(tb testing.TB) string { return wasmFile(tb, "testdata/wasm") }

// wasmProperties are a chain of one transform Wasm.
func wasmProperties(file string, properties ...string) map[string]string {
	all := map[string]string{"transforms": "w", "transforms.w.type": "io.weir.transforms.Wasm", "transforms.w.wasm.file": file}
	for i := 0; i < len(properties); i += 2 {
		all["transforms.w."+properties[i]] = properties[i+1]
	}
	return all
}

func newWasmChain(properties map[string]string) (*transform.Chain, error) {
	v, _, err := config.Parse(properties, transform.Properties)
	if err != nil {
		return nil, err
	}
	return transform.New(v, Classes)
}

func wasmChain(tb testing.TB, file string, properties ...string) *transform.Chain {
	tb.Helper()
	chain, err := newWasmChain(wasmProperties(file, properties...))
	if err != nil {
		tb.Fatal(err)
	}
	if err := chain.Start(transform.Env{Log: zap.NewNop(), Metrics: prometheus.NewRegistry()}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := chain.Close(); err != nil {
			tb.Error(err)
		}
	})
	return chain
}

// wasmThrough is what becomes of a record: its topic if that has changed, and its
// document; "dropped"; or the reason of its rejection.
func wasmThrough(tb testing.TB, chain *transform.Chain, r *cdc.Record) string {
	tb.Helper()
	kept, err := chain.Apply(context.Background(), []*cdc.Record{r})
	var rejected *sink.Rejected
	switch {
	case errors.As(err, &rejected):
		return "rejected: " + strings.TrimPrefix(rejected.Items[0].Reason.Error(), "applying transform w: ")
	case err != nil:
		tb.Fatal(err)
	case len(kept) == 0:
		return "dropped"
	}
	if _, err := (Flatten{}).Apply(r); err != nil {
		tb.Fatal(err)
	}
	text := ""
	if r.Route != "orders" {
		text = r.Route + " "
	}
	if r.Value == nil {
		return text + "null"
	}
	return text + string(json.NewDocument(r.Value.Schema, json.DocumentOptions{}).Append(nil, r.Value))
}

// TestWasmExample runs the module of the documentation.
func TestWasmExample(t *testing.T) {
	chain := wasmChain(t, wasmFile(t, "../docs/examples/wasmtransform"), "wasm.config", "500")
	for range 2 { // the second time on used memory
		for _, c := range []struct{ in, want string }{
			{`{"id":1,"email":"ann@shop.example","spent":600.50}`, `{"id":1,"email":"a***@shop.example","spent":600.50,"segment":"gold"}`},
			{`{"id":2,"email":"bob@shop.example","spent":1}`, `{"id":2,"email":"b***@shop.example","spent":1,"segment":"customer"}`},
			{`{"id":3,"email":"x@test.example","spent":1}`, `dropped`},
			{`{"before":null,"after":{"id":4,"email":"eve@shop.example","spent":0},"source":{},"op":"c","ts_ms":1}`, `{"id":4,"email":"e***@shop.example","spent":0,"segment":"visitor"}`},
			{`{"before":{"id":4,"email":"eve@shop.example","spent":0},"after":null,"source":{},"op":"d","ts_ms":1}`, `{"id":4,"email":"e***@shop.example","spent":0,"segment":"visitor"}`},
			{``, `null`},
			{`{"id":5}`, `rejected: reading what the module returned: email: unexpected end of JSON input`},
		} {
			if got := wasmThrough(t, chain, record(t, c.in)); got != c.want {
				t.Errorf("%s became %s, want %s", c.in, got, c.want)
			}
		}
	}
}

// wasmRecord is a typed record with a field of each kind.
func wasmRecord() *cdc.Record {
	point := cdc.NewSchema("", cdc.Field{Name: "x", Type: cdc.Double}, cdc.Field{Name: "y", Type: cdc.Double})
	row := &cdc.Row{}
	row.Reset(cdc.NewSchema("typed",
		cdc.Field{Name: "id", Type: cdc.Int32},
		cdc.Field{Name: "price", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 10, Scale: 2, Optional: true},
		cdc.Field{Name: "text", Type: cdc.Text}, cdc.Field{Name: "single", Type: cdc.Float}, cdc.Field{Name: "flag", Type: cdc.Boolean},
		cdc.Field{Name: "bytes", Type: cdc.Binary}, cdc.Field{Name: "at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp},
		cdc.Field{Name: "point", Type: cdc.Struct, Struct: point, Optional: true},
		cdc.Field{Name: "amount", Type: cdc.Text, Precision: 8, Scale: 1}, cdc.Field{Name: "any", Type: cdc.Any, Optional: true},
	))
	for i, v := range []cdc.Value{cdc.Int(7), cdc.SmallDecimal(1990), cdc.String([]byte("ü\n")), cdc.Float32(0.1), cdc.Bool(true), cdc.Bytes([]byte{1, 2}),
		cdc.Micros(1795392841000000), cdc.List([]cdc.Value{cdc.Float64(1.5), cdc.Float64(2)}), cdc.String([]byte("3.0")), cdc.Number([]byte("1.10"))} {
		row.Values[i] = v
	}
	return &cdc.Record{Route: "orders", Origin: cdc.Origin{Topic: "orders"}, Value: row, Headers: []cdc.Header{{Key: "h", Value: []byte("1")}}}
}

const wasmRow1 = `"id":7,"price":19.90,"text":"ü\n","single":0.1,"flag":true,"bytes":"AQI=","at":"2026-11-23T00:14:01Z","point":{"x":1.5,"y":2.0},"amount":3.0,"any":1.10`

// TestWasmAnswers: what becomes of a typed record for each answer of a module.
// An answer's value is what is written here with % for the row as it was sent.
func TestWasmAnswers(t *testing.T) {
	file := wasmScripted(t)
	for name, c := range map[string]struct {
		answer, want string
		same         bool // the schema
	}{
		"as it was":         {`{"value":{%}}`, `{%}`, true},
		"another order":     {`{"value":{"any":1.10,"amount":3.0,"point":{"y":2.0, "x":1.5},"at":"2026-11-23T00:14:01Z","bytes":"AQI=","flag":true,"single":0.1,"text":"\u00fc\n","price":19.90,"id":7}}`, `{%}`, true},
		"other words":       {`{"value":{"id":7,"price":19.9,"text":"ü\u000a","single":1e-1,"flag":true,"bytes":"AQI=","at":"2026-11-23T01:14:01+01:00","point":{"x":1.5,"y":2.0},"amount":"3","any":1.1}}`, `{"id":7,"price":19.90,"text":"ü\n","single":0.1,"flag":true,"bytes":"AQI=","at":"2026-11-23T00:14:01Z","point":{"x":1.5,"y":2.0},"amount":3,"any":1.1}`, true},
		"nothing of value":  {`{"topic":"elsewhere"}`, `elsewhere {%}`, true},
		"other members":     {`{"offset":99,"key":{"id":5},"colour":"blue"}`, `{%}`, true},
		"fewer fields":      {`{"value":{"id":8}}`, `{"id":8}`, false},
		"no fields":         {`{"value":{}}`, `{}`, false},
		"more fields":       {`{"value":{"new":[1, 2],"id":8,"other":"x"}}`, `{"id":8,"new":[1, 2],"other":"x"}`, false},
		"another struct":    {`{"value":{"point":{"x":1}}}`, `{"point":{"x":1}}`, false},
		"null":              {`{"value":{"price":null,"point":null}}`, `{"price":null,"point":null}`, false},
		"null of required":  {`{"value":{"id":null}}`, `rejected: reading what the module returned: field id: null, which it cannot be`, true},
		"too many digits":   {`{"value":{"price":1.999}}`, `rejected: reading what the module returned: field price: 1.999 is no decimal of 2 digits after the point`, true},
		"too large":         {`{"value":{"id":3000000000}}`, `rejected: reading what the module returned: field id: 3000000000 is no value of type int32`, true},
		"text for a number": {`{"value":{"id":"7"}}`, `rejected: reading what the module returned: field id: "7" is no value of type int32`, true},
		"number for text":   {`{"value":{"text":7}}`, `rejected: reading what the module returned: field text: 7 is no value of type string`, true},
		"no time":           {`{"value":{"at":"noon"}}`, `rejected: reading what the module returned: field at: "noon" is no value of type string (io.debezium.time.ZonedTimestamp)`, true},
		"no base64":         {`{"value":{"bytes":"?"}}`, `rejected: reading what the module returned: field bytes: "?" is no value of type bytes`, true},
		"value null":        {`{"value":null}`, `rejected: reading what the module returned: value is null: to drop a record, return null as a whole`, true},
		"null as a whole":   {`null`, `dropped`, true},
		"error":             {`{"error":"not this one"}`, `rejected: reading what the module returned: not this one`, true},
		"no topic":          {`{"topic":5}`, `rejected: reading what the module returned: topic is 5, want text`, true},
		"no JSON":           {`what?`, `rejected: reading what the module returned: `, true},
		"half of JSON":      {`{"value":{"id":`, `rejected: reading what the module returned: `, true},
		"a number":          {`5`, `rejected: reading what the module returned: `, true},
	} {
		t.Run(name, func(t *testing.T) {
			fill := func(s string) string { return strings.ReplaceAll(s, "%", wasmRow1) }
			chain := wasmChain(t, file, "wasm.config", "answer:"+fill(c.answer))
			r := wasmRecord()
			schema := r.Value.Schema
			got := wasmThrough(t, chain, r)
			if want := fill(c.want); got != want && (!strings.HasSuffix(want, ": ") || !strings.HasPrefix(got, want)) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !strings.HasPrefix(got, "rejected") && (r.Value.Schema == schema) != c.same {
				t.Errorf("the schema is the same: %v", !c.same)
			}
			again := wasmRecord()
			if wasmThrough(t, chain, again); again.Value.Schema != r.Value.Schema {
				t.Error("the same answer makes another schema")
			}
		})
	}
}

// TestWasmHeaders sets one header, and takes one out.
func TestWasmHeaders(t *testing.T) {
	r := wasmRecord()
	wasmThrough(t, wasmChain(t, wasmScripted(t), "wasm.config", `answer:{"headers":{"h":null,"new":"a\"b"}}`), r)
	if len(r.Headers) != 1 || r.Headers[0].Key != "new" || string(r.Headers[0].Value) != `a"b` {
		t.Errorf("%+v", r.Headers)
	}
}

// TestWasmDocument: what a module is given.
func TestWasmDocument(t *testing.T) {
	r := wasmRecord()
	r.Key = &cdc.Row{}
	r.Key.Reset(cdc.NewSchema("", cdc.Field{Name: "id", Type: cdc.Int64}))
	r.Key.Values[0] = cdc.Int(7)
	r.Offset, r.Timestamp, r.Op = 12, 5, cdc.OpRead
	r.Headers = append(r.Headers, cdc.Header{Key: "binary", Value: []byte{255}})
	w := &wasm{plans: map[*cdc.Schema]*wasmPlan{}}
	got := string(w.appendRecord(nil, r, r.Value))
	want := `{"topic":"orders","partition":0,"offset":12,"timestamp":5,"op":"r","deleted":false,"headers":{"h":"1"},"key":{"id":7},"value":{` + wasmRow1 + `}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestWasmFailures: a module that fails rejects the record, and the next one
// finds a new instance.
func TestWasmFailures(t *testing.T) {
	file := wasmScripted(t)
	for settings, want := range map[string]string{
		"panic":   "rejected: the module failed: wasm error: unreachable: panic: as told",
		"exit":    "rejected: the module ended with code 3: leaving",
		"loop":    "rejected: the module took longer than 500ms",
		"grow":    "rejected: the module failed: wasm error: unreachable: runtime: out of memory: cannot allocate 1048576-byte block (",
		"nowhere": "rejected: the module returned 0xfffffff000000100, which is no place in its memory",
		"nothing": "dropped",
		"outside": "rejected: reading what the module returned: year 2022, open /etc/passwd: Bad file number",
	} {
		t.Run(settings, func(t *testing.T) {
			limit := "30000" // ms: only what loops is to meet it, on the slowest machine
			if settings == "loop" {
				limit = "500"
			}
			chain := wasmChain(t, file, "wasm.config", settings, "wasm.timeout.ms", limit, "wasm.memory.limit.mb", "16")
			for range 2 {
				got := wasmThrough(t, chain, record(t, `{"id":1}`))
				if got != want && (!strings.HasSuffix(want, "(") || !strings.HasPrefix(got, want)) {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := wasmThrough(t, chain, record(t, `{"id":"calm"}`)); got != `orders {"id":"calm"}` && got != `{"id":"calm"}` {
					t.Errorf("afterwards: %s", got)
				}
			}
		})
	}
}

// TestWasmInstances: each chain has an instance of its own.
func TestWasmInstances(t *testing.T) {
	first := wasmChain(t, wasmScripted(t), "wasm.config", "calls")
	second, err := first.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for _, c := range []struct {
		chain *transform.Chain
		want  string
	}{{first, "calls-1"}, {first, "calls-2"}, {second, "calls-1"}} {
		if got := wasmThrough(t, c.chain, wasmRecord()); !strings.HasPrefix(got, c.want+" ") {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestWasmMistakes: what cannot be a module is said before the first record.
func TestWasmMistakes(t *testing.T) {
	write := func(content string) string {
		file := filepath.Join(t.TempDir(), "x.wasm")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const head = "\x00asm\x01\x00\x00\x00"
	// One function of no parameters, exported as weir_alloc.
	const wrongForm = head + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x07\x0e\x01\x0aweir_alloc\x00\x00" + "\x0a\x04\x01\x02\x00\x0b"
	for name, c := range map[string]struct {
		properties map[string]string
		want       []string
	}{
		"no file":     {map[string]string{"transforms": "w", "transforms.w.type": "io.weir.transforms.Wasm"}, []string{"transforms.w.wasm.file"}},
		"missing":     {wasmProperties("/nowhere.wasm"), []string{"transforms.w.wasm.file", "/nowhere.wasm", "no such file"}},
		"no module":   {wasmProperties(write("text")), []string{"transforms.w.wasm.file", "invalid magic number"}},
		"no exports":  {wasmProperties(write(head)), []string{"transforms.w.wasm.file", "it has no function weir_alloc"}},
		"wrong form":  {wasmProperties(write(wrongForm)), []string{"its function weir_alloc is not (i32) → i32"}},
		"settings":    {wasmProperties(wasmScripted(t), "wasm.config", "refuse:that colour"), []string{"transforms.w.wasm.config", "the module refuses it: that colour"}},
		"limits":      {wasmProperties(wasmScripted(t), "wasm.timeout.ms", "-1", "wasm.memory.limit.mb", "much"), []string{"wasm.timeout.ms", "wasm.memory.limit.mb"}},
		"memory":      {wasmProperties(wasmScripted(t), "wasm.memory.limit.mb", "1"), []string{"transforms.w.wasm.file", "memory"}},
		"other names": {wasmProperties(wasmScripted(t), "wasm.colour", "blue"), []string{"transforms.w.wasm.colour"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newWasmChain(c.properties)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no word of %s in: %v", want, err)
				}
			}
		})
	}
}

// TestWasmMoves: a module that may route is one that depends on the row.
func TestWasmMoves(t *testing.T) {
	if !(&wasm{moves: true}).DependsOnRow() || (&wasm{}).DependsOnRow() {
		t.Error("moves.rows is not what counts")
	}
}

// TestWasmWithoutTimeLimit: 0 is no limit.
func TestWasmWithoutTimeLimit(t *testing.T) {
	chain := wasmChain(t, wasmScripted(t), "wasm.config", "panic", "wasm.timeout.ms", "0")
	for _, c := range []struct{ in, want string }{
		{`{"id":"calm"}`, `{"id":"calm"}`},
		{`{"id":1}`, "rejected: the module failed: wasm error: unreachable: panic: as told"},
		{`{"id":"calm"}`, `{"id":"calm"}`},
	} {
		r := record(t, c.in)
		if got := wasmThrough(t, chain, r); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// BenchmarkWasm has a module return the record that it was given, and one work
// on it with Go's package json, with a time limit and without.
func BenchmarkWasm(b *testing.B) {
	echo, example := wasmScripted(b), wasmFile(b, "../docs/examples/wasmtransform")
	for _, c := range []struct{ name, file, limit string }{
		{"echo", echo, "1000"}, {"echo without limit", echo, "0"}, {"example", example, "1000"}, {"example without limit", example, "0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			chain := wasmChain(b, c.file, "wasm.timeout.ms", c.limit)
			reader, m := json.NewReader(nil), new(json.Message)
			text := []byte(`{"id":1,"email":"ann@shop.example","spent":600.50,"city":"Rome","country":"IT","name":"Ann","created":1795392841168,"active":true}`)
			r := &cdc.Record{Route: "orders"}
			records := []*cdc.Record{r}
			b.ReportAllocs()
			for b.Loop() {
				if err := reader.ReadValue(m, text); err != nil {
					b.Fatal(err)
				}
				r.Value = m.Value
				if _, err := chain.Apply(context.Background(), records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
