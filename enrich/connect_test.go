package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// rowSchema is that of the rows with a schema.
const rowSchema = `{"type":"struct","optional":true,"name":"shop.orders.Value","fields":[
	{"type":"int32","optional":false,"field":"id"},
	{"type":"string","optional":true,"default":"Bern","field":"city"},
	{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"total"},
	{"type":"double","optional":true,"field":"score"},
	{"type":"boolean","optional":true,"field":"active"},
	{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},
	{"type":"struct","optional":true,"name":"shop.N","fields":[{"type":"int32","optional":false,"field":"a"},{"type":"string","optional":true,"field":"b"}],"field":"n"}]}`

// inputs are the records that every transform is tried on.
var inputs = map[string]struct{ key, value string }{
	"struct": {`{"schema":{"type":"struct","optional":false,"name":"shop.orders.Key","fields":[{"type":"int32","optional":false,"field":"id"}]},"payload":{"id":1}}`,
		`{"schema":` + rowSchema + `,"payload":{"id":1,"city":"Oslo","total":"AMg=","score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x"}}}`},
	"nulls": {`{"schema":{"type":"struct","optional":false,"fields":[{"type":"int32","optional":true,"field":"id"}]},"payload":{"id":null}}`,
		`{"schema":` + rowSchema + `,"payload":{"id":1,"city":null,"total":null,"score":null,"active":null,"at":null,"n":null}}`},
	"map":       {`{"id":1}`, `{"id":1,"city":"Oslo","total":2.50,"score":7.9,"active":true,"at":1704164645678,"n":{"a":5,"b":"x"}}`},
	"map nulls": {`{"id":null}`, `{"id":1,"city":null,"total":null,"score":null,"active":null,"at":null,"n":null}`},
	"tombstone": {`{"id":1}`, ""},
	"plain":     {`7`, `"text"`},
}

// input reads one of inputs as a consumer does.
func input(tb testing.TB, name string) *cdc.Record {
	tb.Helper()
	in := inputs[name]
	m, reader := new(json.Message), json.NewReader(nil)
	var value []byte
	if in.value != "" {
		value = []byte(in.value)
	}
	if err := errors.Join(reader.ReadKey(m, []byte(in.key)), reader.ReadValue(m, value)); err != nil {
		tb.Fatal(err)
	}
	return &cdc.Record{
		Origin: cdc.Origin{Topic: "orders", Partition: 3, Offset: 42, Timestamp: 1704164645678}, Route: "orders",
		Key: m.Key, Value: m.Value, Tombstone: m.Tombstone, Deleted: m.Tombstone,
	}
}

// shape is a schema in short: name:type, with ? where it is optional.
func shape(s *cdc.Schema) string {
	if s.IsBare() {
		return fieldShape(&s.Fields[0])
	}
	var b strings.Builder
	b.WriteString(s.Name + "{")
	for i := range s.Fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.Fields[i].Name + ":" + fieldShape(&s.Fields[i]))
	}
	b.WriteByte('}')
	if s.Optional {
		b.WriteByte('?')
	}
	return b.String()
}

func fieldShape(f *cdc.Field) string {
	text := f.Type.String()
	if f.Type == cdc.Struct {
		text = shape(f.Struct)
	} else if name := f.ConnectName(); name != "" {
		text = name[strings.LastIndexByte(name, '.')+1:]
	}
	if f.Default != nil {
		text += "=" + f.Default.String()
	}
	if f.Optional {
		text += "?"
	}
	return text
}

// rowText is a row with its schema in short, unless it has none.
func rowText(row *cdc.Row) string {
	if row == nil {
		return "null"
	}
	text := string(json.NewPlan(row.Schema, json.Options{}).Append(nil, row))
	if !schemaless(row.Schema) {
		text += " " + shape(row.Schema)
	}
	return text
}

// applied is what a chain makes of a record: the value, or the key for a class
// of keys, and headers; or the error.
func applied(tb testing.TB, properties string, r *cdc.Record) string {
	tb.Helper()
	kept, err := connectChain(tb, properties).Apply(context.Background(), []*cdc.Record{r})
	var rejected *sink.Rejected
	switch {
	case errors.As(err, &rejected):
		return "error: " + strings.TrimPrefix(rejected.Items[0].Reason.Error(), "applying transform t: ")
	case err != nil:
		tb.Fatal(err)
	case len(kept) == 0:
		return "dropped"
	}
	text := rowText(r.Value)
	if strings.Contains(properties, "$Key") || strings.Contains(properties, "ValueToKey") {
		text = rowText(r.Key)
	}
	for _, h := range r.Headers {
		text += " " + h.Key + "=" + rowText(h.Typed)
	}
	if r.Value == nil != r.Tombstone {
		text += " (not marked as a tombstone)"
	}
	return text
}

// connectChain is a chain of one transform t, whose properties are name=value,
// the first being its class, with blanks between.
func connectChain(tb testing.TB, properties string) *transform.Chain {
	tb.Helper()
	c, err := connectChainOf(tb, properties)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func connectChainOf(tb testing.TB, properties string) (*transform.Chain, error) {
	tb.Helper()
	class, rest, _ := strings.Cut(properties, " ")
	all := map[string]string{"transforms": "t", "transforms.t.type": connectPackage + class}
	for property := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(property, "=")
		all["transforms.t."+name] = value
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	return transform.New(v, Classes)
}

// TestConnectTransforms has for each transform what becomes of records with and
// without a schema, of tombstones, nulls, and of fields that are missing.
func TestConnectTransforms(t *testing.T) {
	for properties, want := range connectCases {
		t.Run(properties, func(t *testing.T) {
			got := map[string]string{}
			for name := range inputs {
				got[name] = applied(t, properties, input(t, name))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestProcessingTime: $(date:FORMAT) is the time of processing, made anew when
// it changes, with what is around it.
func TestProcessingTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 5, 6, 7, 891e6, time.UTC)
	c := clock{func() time.Time { return now }, func(t time.Time) time.Duration { return now.Sub(t) }}
	s, err := newStaticText("it's $(date:yyyy-MM-dd'T'HH:mm:ss'Z') o'clock", c)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "07"}, {108 * time.Millisecond, "07"}, {time.Millisecond, "08"}, {999 * time.Millisecond, "08"}, {time.Millisecond, "09"}, {time.Hour, "09"}} {
		now = now.Add(step.after)
		v := s.value()
		if want := "it's " + now.Format("2006-01-02T15:04:") + step.want + "Z o'clock"; string(v.Bytes()) != want {
			t.Errorf("%s, want %s", v.Bytes(), want)
		}
	}
	for _, text := range []string{"$(date:yyyy", "$(date:bbb)"} {
		if _, err := newStaticText(text, clock{time.Now, time.Since}); err == nil {
			t.Errorf("%s is no static value", text)
		}
	}
}

// TestConnectConfigurationErrors: each is refused before the first record.
func TestConnectConfigurationErrors(t *testing.T) {
	for _, properties := range []string{
		"Cast$Value", "Cast$Value spec=a:int65", "Cast$Value spec=int8,a:int8", "Cast$Value spec=a:struct", "Cast spec=a:int8",
		"ExtractField$Key", "ExtractField$Key field=`a field.syntax.version=V2", "ExtractField$Key field=a field.syntax.version=V3",
		"HoistField$Key", "InsertField$Value", "InsertField$Value static.field=a", "InsertField$Value static.field=a static.value=$(date:b)",
		"MaskField$Value", "ReplaceField$Value renames=a", "ReplaceField$Value renames=a:b:c", "ReplaceField$Value greylist=a",
		"HeaderFrom$Value fields=a headers=b", "HeaderFrom$Value fields=a,b headers=b operation=move", "HeaderFrom$Value operation=swap fields=a headers=b",
		"InsertHeader header=a", "DropHeaders", "ValueToKey", "SetSchemaMetadata$Value", "SetSchemaMetadata$Value schema.version=x",
		"TimestampConverter$Value field=a", "TimestampConverter$Value target.type=string", "TimestampConverter$Value target.type=text",
		"TimestampConverter$Value target.type=string format=b", "TimestampConverter$Value target.type=unix unix.precision=hours",
	} {
		if _, err := connectChainOf(t, properties); err == nil {
			t.Errorf("%s is no configuration", properties)
		}
	}
}

// TestLiteral has what Connect's Values.parseString makes of texts.
func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{
		"42": "42 int8", "-129": "-129 int16", "70000": "70000 int32", "9007199254740993": "9007199254740993 int64", "1.5": "1.5 float", "2.0": "2 int8",
		"1e300": "1.0E300 double", "true": "true boolean", "True": `"True" string`, "null": "null string?", "abc": `"abc" string`, "-": `"-" string`, "1a": `"1a" string`,
		"2024-01-02": "19724 Date", "2024-01-02T03:04:05.678Z": "1704164645678 Timestamp", "03:04:05.678Z": "11045678 Time",
		`["a",1]`: `["a",1]`, `{"a":1}`: `{"a":1}`, "[a": `"[a" string`, " 7 ": "7 int8", " a": `" a" string`,
	} {
		if got := rowText(parseLiteral(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestFieldPath has the paths of Connect's own tests of syntax V2.
func TestFieldPath(t *testing.T) {
	for path, want := range map[string][]string{
		"foo": {"foo"}, "foo.bar.baz": {"foo", "bar", "baz"}, "foo.": {"foo", ""}, ".foo": {"", "foo"}, "foo..bar": {"foo", "", "bar"},
		"`foo.bar`.baz": {"foo.bar", "baz"}, "foo.`bar.baz`": {"foo", "bar.baz"}, "`foo`": {"foo"}, "`foo`.": {"foo", ""}, "``": {""},
		"foo`bar": {"foo`bar"}, "`foo`bar`.baz": {"foo`bar", "baz"}, "`foo\\`.bar`": {"foo`.bar"}, "`foo\\`bar`": {"foo\\`bar"},
		"`foo": nil, "foo.`bar.baz": nil, "`foo\\`": nil,
	} {
		got, err := fieldPath(path)
		if (err != nil) != (want == nil) || !slices.Equal(got, want) && want != nil {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

// TestOldNames: exclude and include were blacklist and whitelist.
func TestOldNames(t *testing.T) {
	for properties, want := range map[string]string{
		"ReplaceField$Value whitelist=id,city": `{"id":1,"city":"Oslo"}`, "ReplaceField$Value blacklist=n,at,active,score,total,id": `{"city":"Oslo"}`,
	} {
		if got := applied(t, properties, input(t, "map")); got != want {
			t.Errorf("%s: %s", properties, got)
		}
	}
}

// TestFlatteningLosesNoField: of two that get one name, neither vanishes.
func TestFlatteningLosesNoField(t *testing.T) {
	inner := cdc.NewSchema("", cdc.Field{Name: "b", Type: cdc.Int32})
	twice := cdc.NewSchema("t", cdc.Field{Name: "a", Type: cdc.Struct, Struct: inner}, cdc.Field{Name: "a_b", Type: cdc.Text})
	row := &cdc.Row{}
	row.Reset(twice)
	copy(row.Values, []cdc.Value{cdc.List([]cdc.Value{cdc.Int(1)}), cdc.String([]byte("x"))})
	chain := connectChain(t, "Flatten$Value delimiter=_")
	const want = "flattening makes field a_b of two fields"
	if _, err := chain.Apply(context.Background(), []*cdc.Record{{Value: row}}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with a schema: %v", err)
	}
	for value, want := range map[string]string{
		`{"a":{"b":1},"a_b":"x"}`:         "error",
		`{"a_b":"x","a":{"b":1}}`:         "error",
		`{"a":{"b_c":1,"b":{"c":2}}}`:     "error",
		`{"a":{"b":1},"a_b":null}`:        `{"a_b":1}`,
		`{"a":{"b":null},"a_b":"x"}`:      `{"a_b":"x"}`,
		`{"a":{"b":1,"b":2,"b":null}}`:    `{"a_b":null}`,
		`{"a":{"b":{"c":1},"b":{"c":2}}}`: `{"a_b_c":2}`,
	} {
		m := new(json.Message)
		if err := json.NewReader(nil).ReadValue(m, []byte(value)); err != nil {
			t.Fatal(err)
		}
		r, got := &cdc.Record{Value: m.Value}, "error"
		if _, err := connectChain(t, "Flatten$Value delimiter=_").Apply(context.Background(), []*cdc.Record{r}); err == nil {
			got = rowText(r.Value)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// TestGrowingRows: fields come and go in objects without a schema, in any order,
// and their number is bounded.
func TestGrowingRows(t *testing.T) {
	chain := connectChain(t, "Flatten$Value")
	flattened := func(value string) string {
		m := new(json.Message)
		if err := json.NewReader(nil).ReadValue(m, []byte(value)); err != nil {
			t.Fatal(err)
		}
		r := &cdc.Record{Value: m.Value}
		if _, err := chain.Apply(context.Background(), []*cdc.Record{r}); err != nil {
			return "error"
		}
		return rowText(r.Value)
	}
	for _, c := range [][2]string{
		{`{"o":{"a":1,"b":{"c":[1,{"d":2}],"e":"\u0041"}}}`, `{"o.a":1,"o.b.c":[1,{"d":2}],"o.b.e":"A"}`},
		{`{"o":{"x":null,"a":2,"x":3}}`, `{"o.a":2,"o.b.c":null,"o.b.e":null,"o.x":3}`},
		{`{"o":{}}`, `{"o.a":null,"o.b.c":null,"o.b.e":null,"o.x":null}`},
		{`{"o":7}`, `{"o.a":null,"o.b.c":null,"o.b.e":null,"o.x":null,"o":7}`},
	} {
		if got := flattened(c[0]); got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
	var many strings.Builder
	for i := range maxGrown {
		fmt.Fprintf(&many, `,"f%d":1`, i)
	}
	if got := flattened(`{"o":{` + many.String()[1:] + `}}`); got != "error" {
		t.Errorf("%d fields: %.100s", maxGrown, got)
	}
	for i := range maxWidening {
		flattened(fmt.Sprintf(`{"o":{"g%d":1}}`, i))
	}
	if got := flattened(`{"o":{"another":1}}`); got != "error" {
		t.Error("a schema for every record")
	}
}

// TestHeadersAreDropped by name, all of a name.
func TestHeadersAreDropped(t *testing.T) {
	r := input(t, "struct")
	r.Headers = []cdc.Header{{Key: "a"}, {Key: "b"}, {Key: "a"}, {Key: "c"}}
	applied(t, "DropHeaders headers=a,c", r)
	if len(r.Headers) != 1 || r.Headers[0].Key != "b" {
		t.Errorf("%v", r.Headers)
	}
}

// benchmarks are one of each transform.
var benchmarks = []string{
	"Cast$Value spec=score:string,active:int8,total:float64", "ExtractField$Value field=n", "Flatten$Value", "HeaderFrom$Value fields=city headers=h operation=copy",
	"HoistField$Value field=rec", "InsertField$Value static.field=x static.value=y topic.field=t", "InsertField$Value static.field=x static.value=$(date:yyyy-MM-dd'T'HH:mm:ss'Z')",
	"MaskField$Value fields=city,score", "ReplaceField$Value exclude=score renames=city:town", "SetSchemaMetadata$Value schema.name=x",
	"TimestampConverter$Value field=at target.type=string format=yyyy-MM-dd'T'HH:mm:ss", "DropHeaders headers=x", "InsertHeader header=x value.literal=y", "ValueToKey fields=city",
}

// BenchmarkConnect is what each transform adds to a record.
func BenchmarkConnect(b *testing.B) {
	for _, properties := range benchmarks {
		for _, kind := range []string{"struct", "map"} {
			if kind == "map" && strings.HasPrefix(properties, "SetSchemaMetadata") {
				continue // it needs a schema
			}
			b.Run(properties+"/"+kind, func(b *testing.B) { benchmarkOne(b, connectChain(b, properties), input(b, kind)) })
		}
	}
}

// benchmarkOne applies a chain to a record, which is made as it was each time
// without its memory being given back, as a batch does.
func benchmarkOne(b *testing.B, chain *transform.Chain, r *cdc.Record) {
	key, value, ctx := r.Key, r.Value, context.Background()
	var kept cdc.Row
	kept.CopyFrom(value)
	keySchema, keyValues := key.Schema, append([]cdc.Value(nil), key.Values...)
	records := []*cdc.Record{r}
	b.ReportAllocs()
	for b.Loop() {
		value.Reset(kept.Schema)
		copy(value.Values, kept.Values)
		key.Reset(keySchema)
		copy(key.Values, keyValues)
		r.Key, r.Value, r.Headers, r.Tombstone, r.Deleted = key, value, r.Headers[:0], false, false
		if _, err := chain.Apply(ctx, records); err != nil {
			b.Fatal(err)
		}
	}
}
