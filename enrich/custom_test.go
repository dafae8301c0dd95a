package enrich

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

const customClass = "com.company.debezium.CustomTransform"

var paymentSchema = cdc.NewSchema("shop.payments.Value",
	optionalDecimal("price", 10, 2), cdc.Field{Name: "quantity", Type: cdc.Int32}, optionalDecimal("final_amount", 10, 2),
	cdc.Field{Name: "email", Type: cdc.Text, Optional: true}, cdc.Field{Name: "card_number", Type: cdc.Int64, Optional: true})

func payment(amount int64) *cdc.Row {
	row := new(cdc.Row)
	row.Reset(paymentSchema)
	copy(row.Values, []cdc.Value{cdc.SmallDecimal(60000), cdc.Int(2), cdc.SmallDecimal(amount), cdc.String([]byte("a@b.it")), cdc.Int(4111111111111111)})
	return row
}

// sumOfPepper is what `echo -n peppera@b.it | sha256sum` prints.
const sumOfPepper = "de76b48de670e78725b49945653b9d344f65d822e1c09c92ced8a190d959db03"

// TestCustom: the reference block, with every shape of record.
func TestCustom(t *testing.T) {
	loose := `{"price":600.00,"quantity":2,"final_amount":1200.00,"email":"a@b.it","card_number":"4111-1111-1111-1111"}`
	null, invalid := payment(120000), payment(120000)
	null.Values[3], null.Values[4] = cdc.Value{}, cdc.Value{}
	invalid.Values[3] = cdc.String([]byte("nobody"))
	for name, c := range map[string]struct {
		record *cdc.Record
		want   string
	}{
		"struct":        {&cdc.Record{Value: payment(120000)}, `{"price":600.00,"quantity":2,"final_amount":1200.00,"email":SUM,"card_number":"************1111","tier":"gold","total_amount":1200.00}`},
		"small order":   {&cdc.Record{Value: payment(100000)}, `{"price":600.00,"quantity":2,"final_amount":1000.00,"email":SUM,"card_number":"************1111","tier":null,"total_amount":1200.00}`},
		"schemaless":    {record(t, loose), `{"price":600.00,"quantity":2,"final_amount":1200.00,"email":SUM,"card_number":"***************1111","tier":"gold","total_amount":1200.00}`},
		"tombstone":     {&cdc.Record{Tombstone: true, Deleted: true}, "tombstone"},
		"null field":    {&cdc.Record{Value: null}, `{"price":600.00,"quantity":2,"final_amount":1200.00,"email":null,"card_number":null,"tier":"gold","total_amount":1200.00}`},
		"missing field": {record(t, `{"id":1,"quantity":1}`), `{"id":1,"quantity":1}`},
		"invalid":       {&cdc.Record{Value: invalid}, `validating email: the rule "matches '^[^@]+@[^@]+$'" does not hold`},
		"envelope": {&cdc.Record{Envelope: &cdc.Envelope{Op: cdc.OpUpdate, Before: payment(100), After: payment(120000)}},
			`{"price":600.00,"quantity":2,"final_amount":1.00,"email":SUM,"card_number":"************1111","tier":null,"total_amount":1200.00}` +
				` → {"price":600.00,"quantity":2,"final_amount":1200.00,"email":SUM,"card_number":"************1111","tier":"gold","total_amount":1200.00}`},
		"delete": {&cdc.Record{Envelope: &cdc.Envelope{Op: cdc.OpDelete, Before: payment(100)}},
			`{"price":600.00,"quantity":2,"final_amount":1.00,"email":SUM,"card_number":"************1111","tier":null,"total_amount":1200.00} → null`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runThrough(t, referenceChain(t, "transforms-custom.json"), c.record)
			if c.record.Value != nil && !strings.Contains(got, "applying") {
				got = showRow(c.record.Value)
			}
			if want := strings.ReplaceAll(c.want, "SUM", `"`+sumOfPepper+`"`); !strings.Contains(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// customChain compiles a chain of one CustomTransform; the names are those below
// config.
func customChain(tb testing.TB, block map[string]string) (*transform.Chain, error) {
	tb.Helper()
	properties := map[string]string{}
	for name, text := range block {
		properties["config."+name] = text
	}
	return chainOf(tb, customClass, properties)
}

func mustCustom(tb testing.TB, block map[string]string) *transform.Chain {
	tb.Helper()
	c, err := customChain(tb, block)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestBusinessRules(t *testing.T) {
	const in = `{"id":1,"total":1500,"region":"EU","tier":null}`
	for name, c := range map[string]struct {
		block       map[string]string
		want, route string
	}{
		"set in order": {map[string]string{"business_rules.0.when": "total > 1000", "business_rules.0.set.tier": "'gold'",
			"business_rules.1.when": "tier == 'gold'", "business_rules.1.set.bonus": "total * 0.1"}, `"tier":"gold","bonus":150.0}`, "orders"},
		"always":     {map[string]string{"business_rules.0.set.seen": "true"}, `"seen":true}`, "orders"},
		"last wins":  {map[string]string{"business_rules.0.set.x": "1", "business_rules.1.set.x": "0.25"}, `"x":0.25}`, "orders"},
		"route":      {map[string]string{"business_rules.0.when": "total > 1000", "business_rules.0.route": "vip-orders"}, `"id":1`, "vip-orders"},
		"template":   {map[string]string{"business_rules.0.route": "${topic}-${lower(region)}"}, `"id":1`, "orders-eu"},
		"null route": {map[string]string{"business_rules.0.route": "x-${tier}"}, "routing by tier, which is null or empty", "orders"},
		"drop":       {map[string]string{"business_rules.0.when": "region == 'EU'", "business_rules.0.drop": "true"}, "dropped", "orders"},
		"no drop":    {map[string]string{"business_rules.0.when": "region == 'US'", "business_rules.0.drop": "true"}, in, "orders"},
		"not needed": {map[string]string{"business_rules.0.when": "other > 1", "business_rules.0.set.x": "1"}, in, "orders"},
		"error":      {map[string]string{"business_rules.0.name": "bad", "business_rules.0.set.x": "region * 2"}, "applying business rule bad: * needs a number", "orders"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, in)
			got := runThrough(t, mustCustom(t, c.block), r)
			if !strings.Contains(got, c.want) || r.Route != c.route {
				t.Errorf("got %s for %s; want %s for %s", got, r.Route, c.want, c.route)
			}
		})
	}
}

// TestBusinessRulesKeepTypes: a field that the row has keeps its type, and a new
// one has room for what each rule sets.
func TestBusinessRulesKeepTypes(t *testing.T) {
	s := cdc.NewSchema("t.Value", cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum}, cdc.Field{Name: "level", Type: cdc.Int8}, cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date})
	row := func() *cdc.Row {
		row := new(cdc.Row)
		row.Reset(s)
		copy(row.Values, []cdc.Value{cdc.String([]byte("NEW")), cdc.Int(1), cdc.Int(20000)})
		return row
	}
	c := mustCustom(t, map[string]string{"business_rules.0.set.status": "'VIP'", "business_rules.0.set.level": "level + 1", "business_rules.0.set.day": "'2026-11-22'",
		"business_rules.1.set.rate": "0.1", "business_rules.2.set.rate": "0.125"})
	r := &cdc.Record{Value: row()}
	runThrough(t, c, r)
	if got, want := showRow(r.Value), `{"status":"VIP","level":2,"day":20779,"rate":0.125}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if f := r.Value.Schema.Field("status"); f.Semantic != cdc.Enum {
		t.Errorf("%+v", f)
	}
	for set, want := range map[string]string{"level=1000": "beyond a 8-bit integer", "day='soon'": "is no value of type io.debezium.time.Date", "status=null": "null, which status cannot be"} {
		name, value, _ := strings.Cut(set, "=")
		c := mustCustom(t, map[string]string{"business_rules.0.set." + name: value})
		if got := runThrough(t, c, &cdc.Record{Value: row()}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", set, got)
		}
	}
	absent := row()
	absent.Values[0] = cdc.Absent()
	c = mustCustom(t, map[string]string{"business_rules.0.when": "status == 'NEW'", "business_rules.0.drop": "true"})
	if got := runThrough(t, c, &cdc.Record{Value: absent}); !strings.Contains(got, "did not send the column status") {
		t.Error(got)
	}
}

func TestValidation(t *testing.T) {
	for name, c := range map[string]struct {
		rule, action, field, in, want string
	}{
		"holds":           {"> 0", "reject", "n", `{"n":1}`, `{"n":1}`},
		"broken":          {"> 0", "reject", "n", `{"n":0}`, `validating n: the rule "> 0" does not hold`},
		"null":            {"> 0", "reject", "n", `{"n":null}`, `{"n":null}`},
		"required":        {"required", "reject", "n", `{"n":null}`, "does not hold"},
		"not null":        {"!= null", "reject", "n", `{"n":null}`, "does not hold"},
		"required, given": {"required", "reject", "n", `{"n":0}`, `{"n":0}`},
		"missing":         {"required", "reject", "n", `{"m":1}`, "does not hold"},
		"elsewhere":       {"> 0", "reject", "n", `{"m":1}`, `{"m":1}`},
		"to null":         {"> 0", "null", "n", `{"n":-1}`, `{"n":null}`},
		"warn":            {"> 0", "warn", "n", `{"n":-1}`, `{"n":-1}`},
		"matches":         {"matches '^a+$'", "reject", "s", `{"s":"ab"}`, "does not hold"},
		"not matches":     {"not matches '^a+$'", "reject", "s", `{"s":"ab"}`, `{"s":"ab"}`},
		"in":              {"in ['a', 'b']", "reject", "s", `{"s":"c"}`, "does not hold"},
		"not in":          {"not in ['a']", "reject", "s", `{"s":"c"}`, `{"s":"c"}`},
		"of the row":      {"n > m", "reject", "", `{"n":1,"m":2}`, "validating n > m:"},
		"odd name":        {"> 0", "reject", `odd-name "x"`, `{"odd-name \"x\"":0}`, "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			block := map[string]string{"data_validation.0.rule": c.rule, "data_validation.0.action": c.action}
			if c.field != "" {
				block["data_validation.0.field"] = c.field
			}
			if got := runThrough(t, mustCustom(t, block), record(t, c.in)); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestValidationRejects: a broken rule rejects its record alone, is counted, and
// the content of the row is in no log.
func TestValidationRejects(t *testing.T) {
	registry := prometheus.NewRegistry()
	core, logs := observer.New(zapcore.DebugLevel)
	c := mustCustom(t, map[string]string{"data_validation.0.rule": "> 0", "data_validation.0.field": "n", "data_validation.0.name": "positive",
		"data_validation.1.rule": "< 100", "data_validation.1.field": "n", "data_validation.1.action": "warn"})
	if err := c.Start(transform.Env{Log: zap.New(core), Metrics: registry}); err != nil {
		t.Fatal(err)
	}
	var records []*cdc.Record
	for _, in := range []string{`{"n":1}`, `{"n":-1}`, `{"n":12345}`, `{"n":12345}`, `{"n":12345}`} {
		records = append(records, record(t, in))
	}
	records = append(records, &cdc.Record{Value: record(t, `{"n":-1}`).Value, Deleted: true})
	kept, err := c.Apply(context.Background(), records)
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 || len(kept) != 5 {
		t.Errorf("%v, kept %d", err, len(kept))
	}
	want := `
# HELP weir_transform_validation_failures_total Rows that broke a rule of a CustomTransform's data_validation, by the rule's name.
# TYPE weir_transform_validation_failures_total counter
weir_transform_validation_failures_total{rule="n"} 3
weir_transform_validation_failures_total{rule="positive"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if n := logs.FilterMessage("a row breaks a rule").Len(); n != 2 {
		t.Errorf("%d warnings of 3 rows", n)
	}
	for _, l := range logs.All() {
		for _, f := range l.Context {
			if strings.Contains(f.String, "12345") {
				t.Errorf("a value in the log: %v", l)
			}
		}
	}
}

func TestMasking(t *testing.T) {
	for name, c := range map[string]struct {
		mask     map[string]string
		in, want string
	}{
		"keep last":   {map[string]string{"keep_last": "4"}, "4111-1111-1111-1234", "***************1234"},
		"keep both":   {map[string]string{"keep_first": "1", "keep_last": "2", "mask_with": "•"}, "Ångström", "Å•••••öm"},
		"too short":   {map[string]string{"keep_last": "4"}, "1234", "****"},
		"hash":        {map[string]string{"hash": "SHA-256", "salt": "pepper"}, "a@b.it", sumOfPepper},
		"hmac":        {map[string]string{"hmac": "SHA-256", "key": "key"}, "The quick brown fox jumps over the lazy dog", "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"},
		"redact":      {map[string]string{"redact": "[gone]"}, "secret", "[gone]"},
		"redact true": {map[string]string{"redact": "true"}, "secret", "REDACTED"},
		"truncate":    {map[string]string{"truncate": "3"}, "Ångström", "Ång"},
		"few digits":  {map[string]string{"tokenize": "digits", "key": "k"}, "ab-12345", "ab-00000"},
	} {
		t.Run(name, func(t *testing.T) {
			block := map[string]string{"masking.0.field": "f"}
			for k, v := range c.mask {
				block["masking.0."+k] = v
			}
			r := record(t, `{"f":"x"}`)
			r.Value.Values[0] = cdc.String([]byte(c.in))
			runThrough(t, mustCustom(t, block), r)
			if got := string(r.Value.Values[0].Bytes()); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestTokens: the same text gives the same token, another another, and all that
// is no digit stays.
func TestTokens(t *testing.T) {
	token := newTokenizer("key")
	seen := map[string]bool{}
	for _, text := range []string{"4111-1111-1111-1111", "4111-1111-1111-1112", "5111-1111-1111-1111", "4111-1111-1111-111"} {
		got := string(token.append(nil, []byte(text)))
		if again := string(token.append(nil, []byte(text))); again != got || got == text || seen[got] {
			t.Errorf("%s → %s, %s", text, got, again)
		}
		for i := range text {
			if (text[i] == '-') != (got[i] == '-') {
				t.Errorf("%s → %s has another format", text, got)
			}
		}
		seen[got] = true
	}
	if a, b := newTokenizer("key").append(nil, []byte("123456")), newTokenizer("other").append(nil, []byte("123456")); bytes.Equal(a, b) {
		t.Error("the key does not matter")
	}
}

// TestFF1 has NIST's samples of FF1 with radix 10.
func TestFF1(t *testing.T) {
	for _, c := range []struct{ key, tweak, plain, want string }{
		{"2B7E151628AED2A6ABF7158809CF4F3C", "", "0123456789", "2433477484"},
		{"2B7E151628AED2A6ABF7158809CF4F3C", "39383736353433323130", "0123456789", "6124200773"},
		{"2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F", "", "0123456789", "2830668132"},
		{"2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F", "39383736353433323130", "0123456789", "2496655549"},
		{"2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94", "", "0123456789", "6657667009"},
		{"2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94", "39383736353433323130", "0123456789", "1001623463"},
	} {
		key, _ := hex.DecodeString(c.key)
		tweak, _ := hex.DecodeString(c.tweak)
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(ff1Encrypt(block, tweak, []byte(c.plain))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestCustomErrors(t *testing.T) {
	for want, block := range map[string]map[string]string{
		"something in one of them":             {},
		"config.masking.0.redact":              {"masking.0.field": "x"},
		"exactly one of keep_first":            {"masking.0.field": "x", "masking.0.hash": "SHA-256", "masking.0.redact": "x"},
		"config.masking.0.field is not set":    {"masking.0.redact": "x"},
		"config.masking.0.key is not set":      {"masking.0.field": "x", "masking.0.hmac": "SHA-256"},
		"sha-512":                              {"masking.0.field": "x", "masking.0.hash": "MD5"},
		"one character":                        {"masking.0.field": "x", "masking.0.keep_last": "4", "masking.0.mask_with": "xx"},
		"config.data_validation.0.rule is not": {"data_validation.0.field": "x"},
		"config.data_validation.0.field":       {"data_validation.0.rule": "> 1"},
		"a regular expression":                 {"data_validation.0.field": "x", "data_validation.0.rule": "matches '('"},
		"something to do":                      {"business_rules.0.when": "x > 1"},
		"a } is missing":                       {"business_rules.0.route": "a-${x"},
		"go in a circle: a → b → a":            {"enrichment.a": "b", "enrichment.b": "a"},
		"a list of objects":                    {"masking": "email", "enrichment.x": "1"},
		"a property of this class":             {"masking.0.field": "x", "masking.0.redact": "x", "masking.0.keep": "1"},
		"unexpected token":                     {"enrichment.x": "1 +"},
	} {
		if _, err := customChain(t, block); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := chainOf(t, customClass, map[string]string{"config": "{}"}); err == nil || !strings.Contains(err.Error(), "a nested object") {
		t.Error(err)
	}
}

// TestCustomDependsOnRow: only rules that route or drop can take an update from
// one place to another.
func TestCustomDependsOnRow(t *testing.T) {
	for property, want := range map[string]bool{"config.business_rules.0.drop": true, "config.business_rules.0.route": true, "config.business_rules.0.set.x": false} {
		v, _, err := config.Parse(map[string]string{"transforms": "t", "transforms.t.type": customClass, "transforms.t." + property: "true"}, transform.Properties)
		if err != nil {
			t.Fatal(err)
		}
		var got bool
		_, err = transform.New(v, transform.Classes{Transforms: map[string]func(*transform.Options) transform.Transform{
			"io.weir.transforms.CustomTransform": func(o *transform.Options) transform.Transform {
				c := newCustom(o)
				got = c.(transform.RowDependent).DependsOnRow()
				return c
			},
		}})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", property, got, err)
		}
	}
}

// BenchmarkCustom has the reference block (a rule, two checks, a formula, two
// masks), and its parts one by one.
func BenchmarkCustom(b *testing.B) {
	b.Run("no transform", func(b *testing.B) { // what copying the row costs, which is in all of them
		benchmarkRow(b, new(transform.Chain), payment(120000))
	})
	b.Run("reference", func(b *testing.B) {
		benchmarkRow(b, referenceChain(b, "transforms-custom.json"), payment(120000))
	})
	for name, block := range map[string]map[string]string{
		"rule":       {"business_rules.0.when": "final_amount > 1000", "business_rules.0.set.tier": "'gold'"},
		"validation": {"data_validation.0.field": "quantity", "data_validation.0.rule": "> 0"},
		"keep_last":  {"masking.0.field": "card_number", "masking.0.keep_last": "4"},
		"hash":       {"masking.0.field": "email", "masking.0.hash": "SHA-256", "masking.0.salt": "pepper"},
		"hmac":       {"masking.0.field": "email", "masking.0.hmac": "SHA-256", "masking.0.key": "k"},
		"tokenize":   {"masking.0.field": "card_number", "masking.0.tokenize": "digits", "masking.0.key": "k"},
	} {
		b.Run(name, func(b *testing.B) { benchmarkRow(b, mustCustom(b, block), payment(120000)) })
	}
}
