package routing

import (
	"context"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

func chain(t testing.TB, properties map[string]string) *transform.Chain {
	t.Helper()
	c, err := build(t, properties)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func build(t testing.TB, properties map[string]string) (*transform.Chain, error) {
	t.Helper()
	v, _, err := config.Parse(properties, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	return transform.New(v, Classes)
}

// TestReplace has the references of java.util.regex.Matcher's replacements.
func TestReplace(t *testing.T) {
	for _, c := range []struct{ regex, replacement, in, want string }{
		{`shop\.ecommerce\.(.*)`, "$1", "shop.ecommerce.orders", "orders"},
		{`orders\.([^.]+)`, "$1-index", "orders.customers", "customers-index"},
		{`orders\.([^.]+)`, "$1-index", "shop.orders.customers", "shop.orders.customers"}, // the whole has to match
		{`([^.]+)\.([^.]+)\.([^.]+)`, "$1-$2-$3", "a.b.c", "a-b-c"},
		{`(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)`, "$11$1", "abcdefghijk", "ka"},
		{`(a)bc`, "$12", "abc", "a2"}, // there is no group 12: group 1, then a 2
		{`(?<db>\w+)\.(?<table>\w+)`, "${table}_in_${db}", "shop.orders", "orders_in_shop"},
		{`(.*)`, `\$1`, "x", "$1"},
		{`(\w+)(?=\.orders)\.orders`, "$1", "shop.orders", "shop"}, // look-ahead: the backtracking engine
		{`(\w+)\.\1`, "twice-$1", "shop.shop", "twice-shop"},
	} {
		p, err := Compile(c.regex)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := p.Replace(c.in, c.replacement); err != nil || got != c.want {
			t.Errorf("%s → %s of %s = %q, %v; want %q", c.regex, c.replacement, c.in, got, err, c.want)
		}
	}
}

// TestPatternTimesOut: an expression that backtracks for ever is an error, and
// does not hang the fleet.
func TestPatternTimesOut(t *testing.T) {
	p, err := Compile(`(?=a)(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Match(strings.Repeat("a", 40) + "!"); err == nil {
		t.Error("a match of exponential time ended without an error")
	}
}

func TestRouters(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		want       string
	}{
		"regex": {map[string]string{"transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
			"transforms.r.regex": `shop\.ecommerce\.(.*)`, "transforms.r.replacement": "$1"}, "orders"},
		"table":    {map[string]string{"transforms.r.type": "ByTable"}, "orders"},
		"database": {map[string]string{"transforms.r.type": "com.company.ByDatabase"}, "shop-ecommerce-orders"},
	} {
		t.Run(name, func(t *testing.T) {
			c.properties["transforms"] = "r"
			r := &cdc.Record{Origin: cdc.Origin{Topic: "shop.ecommerce.orders"}, Route: "shop.ecommerce.orders"}
			for range 2 { // the second is remembered
				r.Route = r.Topic
				kept, err := chain(t, c.properties).Apply(context.Background(), []*cdc.Record{r})
				if err != nil || len(kept) != 1 || r.Route != c.want || r.Topic != "shop.ecommerce.orders" {
					t.Errorf("routed to %s, %v; want %s", r.Route, err, c.want)
				}
			}
		})
	}
}

// TestFilter drops what a predicate holds for, and with negate what it does not
// hold for.
func TestFilter(t *testing.T) {
	row := new(cdc.Row)
	tombstone := func() *cdc.Record { return &cdc.Record{Route: "shop.orders"} }
	update := func() *cdc.Record {
		return &cdc.Record{Route: "shop.orders", Value: row, Headers: []cdc.Header{{Key: "source", Value: []byte("x")}}}
	}
	for name, c := range map[string]struct {
		predicate map[string]string
		negate    string
		want      [2]bool // tombstone, update are kept
	}{
		"tombstones":     {map[string]string{"type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}, "false", [2]bool{false, true}},
		"all but those":  {map[string]string{"type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}, "true", [2]bool{true, false}},
		"by topic":       {map[string]string{"type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "pattern": `shop\..*`}, "false", [2]bool{false, false}},
		"by other topic": {map[string]string{"type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "pattern": `shop`}, "false", [2]bool{true, true}},
		"by header":      {map[string]string{"type": "org.apache.kafka.connect.transforms.predicates.HasHeaderKey", "name": "source"}, "false", [2]bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			properties := map[string]string{"transforms": "f", "transforms.f.type": "org.apache.kafka.connect.transforms.Filter",
				"transforms.f.predicate": "p", "transforms.f.negate": c.negate, "predicates": "p"}
			for k, v := range c.predicate {
				properties["predicates.p."+k] = v
			}
			for i, r := range []*cdc.Record{tombstone(), update()} {
				kept, err := chain(t, properties).Apply(context.Background(), []*cdc.Record{r})
				if err != nil || (len(kept) == 1) != c.want[i] {
					t.Errorf("record %d: kept %d, %v; want %v", i, len(kept), err, c.want[i])
				}
			}
		})
	}
}

// TestConfigurationErrors: all of them at once, each with its property.
func TestConfigurationErrors(t *testing.T) {
	_, err := build(t, map[string]string{
		"transforms":        "a,b,c,d",
		"transforms.a.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.a.regex": "(", "transforms.a.replacement": "x",
		"transforms.b.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.b.regex": "(.*)", "transforms.b.replacement": "$2",
		"transforms.c.type": "org.apache.kafka.connect.transforms.RegexRooter",
		"transforms.d.type": "ByTable", "transforms.d.colour": "blue", "transforms.d.predicate": "nobody",
		"transforms.e.regex": "x",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"transforms.a.regex", "transforms.b.replacement", "transforms.c.type", "transforms.d.colour", "transforms.d.predicate", "transforms.e.regex"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
}

// BenchmarkRouters is what records cost that are routed, or filtered, by their
// topic.
func BenchmarkRouters(b *testing.B) {
	const connect = "org.apache.kafka.connect.transforms."
	for name, properties := range map[string]map[string]string{
		"RegexRouter": {"transforms.r.type": connect + "RegexRouter", "transforms.r.regex": `shop\.ecommerce\.(.*)`, "transforms.r.replacement": "$1"},
		"ByTable":     {"transforms.r.type": "ByTable"},
		"ByDatabase":  {"transforms.r.type": "ByDatabase"},
		"Filter of a topic": {"transforms.r.type": connect + "Filter", "transforms.r.predicate": "p", "predicates": "p",
			"predicates.p.type": connect + "predicates.TopicNameMatches", "predicates.p.pattern": `other\..*`},
		"Filter of a header": {"transforms.r.type": connect + "Filter", "transforms.r.predicate": "p", "predicates": "p",
			"predicates.p.type": connect + "predicates.HasHeaderKey", "predicates.p.name": "absent"},
		"Filter of tombstones": {"transforms.r.type": connect + "Filter", "transforms.r.predicate": "p", "predicates": "p",
			"predicates.p.type": connect + "predicates.RecordIsTombstone"},
	} {
		b.Run(name, func(b *testing.B) {
			properties["transforms"] = "r"
			benchmarkRoutes(b, chain(b, properties))
		})
	}
}

func benchmarkRoutes(b *testing.B, c *transform.Chain) {
	records := make([]*cdc.Record, 500)
	for i := range records {
		records[i] = &cdc.Record{Value: &cdc.Row{Schema: cdc.NewSchema("")}, Headers: []cdc.Header{{Key: "id"}}}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range records {
			r.Route = "shop.ecommerce.orders"
		}
		if kept, err := c.Apply(context.Background(), records); err != nil || len(kept) != len(records) {
			b.Fatal(len(kept), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}
