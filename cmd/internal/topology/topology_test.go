package topology

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

var table = config.Table{Properties: []config.Property{
	{Name: "connector.class"}, {Name: "topics", Type: config.List}, {Name: "key.converter"}, {Name: "cache.prefix"}, {Name: "topic.prefix"},
	{Name: "behavior.on.null.values", Default: "delete"}, {Name: "table.include.list", Type: config.Regexes},
}}

func parse(t *testing.T, properties map[string]string) *config.Values {
	t.Helper()
	v, _, err := config.Parse(properties, table, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// regex are the properties of a chain of one RegexRouter, and more.
func regex(expression, replacement string, more ...map[string]string) map[string]string {
	p := map[string]string{"transforms": "r", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.r.regex": expression, "transforms.r.replacement": replacement}
	for _, m := range more {
		maps.Copy(p, m)
	}
	return p
}

var naming = Naming{
	Topic:    func(prefix, database, table string) string { return prefix + "." + database + "." + table },
	Captures: func(database, _ string) bool { return database != "left_out" },
}

func TestRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		topic      string
		want       string
		open       bool
	}{
		"none":                {map[string]string{}, "a.b.c", "a.b.c", false},
		"regex":               {regex(`([^.]+)\.([^.]+)\.([^.]+)`, "$1-$2-$3"), "a.b.c", "a-b-c", false},
		"regex without match": {regex(`([^.]+)`, "x"), "a.b.c", "a.b.c", false},
		"regex with predicate": {regex(`.*`, "x", map[string]string{"transforms.r.predicate": "p"}),
			"a.b.c", "a.b.c", true},
		"by table":    {map[string]string{"transforms": "t", "transforms.t.type": "ByTable"}, "a.b.c", "c", false},
		"by database": {map[string]string{"transforms": "t", "transforms.t.type": "io.weir.transforms.ByDatabase"}, "a.b.c", "a-b-c", false},
		"by operation": {map[string]string{"transforms": "t", "transforms.t.type": "com.company.debezium.OperationRouter"},
			"a.b.c", "a.b.c", true},
		"by field": {map[string]string{"transforms": "t", "transforms.t.type": "io.debezium.transforms.ExtractNewRecordState", "transforms.t.route.by.field": "f"},
			"a.b.c", "a.b.c", true},
		"sharded": {map[string]string{"transforms": "t", "transforms.t.type": "io.debezium.transforms.ByLogicalTableRouter",
			"transforms.t.topic.regex": `(.*)shard\d+`, "transforms.t.topic.replacement": "$1all"}, "a.b.shard7", "a.b.all", false},
	} {
		r := NewRoutes(parse(t, c.properties))
		if got := r.Of(c.topic); got != c.want || r.Open != c.open {
			t.Errorf("%s: %s, open %v", name, got, r.Open)
		}
	}
}

func TestCapture(t *testing.T) {
	base := map[string]string{"topic.prefix": "orders.ecommerce", "table.include.list": `ecommerce.orders, ecommerce\.items, left_out.t`}
	c := NewCapture(parse(t, regex(`orders\.ecommerce\.([^.]+)`, "orders.$1", base)), naming)
	if diff := cmp.Diff([]string{"orders.ecommerce.ecommerce.orders", "orders.ecommerce.ecommerce.items"}, c.Topics()); diff != "" || !c.Complete {
		t.Error(diff, c.Complete)
	}
	if writes, certain := c.Writes("orders.orders"); writes || !certain {
		t.Error("orders.orders:", writes, certain)
	}
	mended := c.WithPrefix("orders")
	if writes, certain := mended.Writes("orders.orders"); !writes || !certain {
		t.Error("mended:", writes, certain)
	}
	if missing, ok := mended.Missing("orders.products"); !ok || missing.ID() != "ecommerce.products" {
		t.Error(missing, ok)
	}
	if _, ok := mended.Missing("other.products"); ok {
		t.Error("a table is found for a topic of another prefix")
	}
	c.Resolve([][2]string{{"ecommerce", "a"}})
	if diff := cmp.Diff([]string{"orders.ecommerce.ecommerce.a"}, c.Topics()); diff != "" {
		t.Error(diff)
	}
	for _, list := range []string{"", `ecommerce.o.*`} {
		if c := NewCapture(parse(t, map[string]string{"topic.prefix": "p", "table.include.list": list}), naming); c.Complete {
			t.Errorf("%q names all tables", list)
		}
	}
}

func notices(problems []Problem) string {
	var lines []string
	for i := range problems {
		lines = append(lines, problems[i].Property+": "+problems[i].Notice())
	}
	return strings.Join(lines, "\n")
}

func TestDeadRoutes(t *testing.T) {
	const regular = "transforms.r.regex: matches none of the topics that come to it (p.q.a.b); the expression has to match a whole name, so they keep their names, as in Kafka Connect. "
	for name, c := range map[string]struct {
		prefix, expression, replacement, want string
	}{
		"matches":            {"p.q", `(.*)`, "x", ""},
		"a shorter prefix":   {"p.q", `p\.[^.]+\.([^.]+)`, "$1", regular + "With topic.prefix=p they would be b"},
		"nothing would help": {"p.q", `x`, "y", regular + "Write an expression that matches the whole of p.q.a.b"},
	} {
		p := regex(c.expression, c.replacement, map[string]string{"topic.prefix": c.prefix, "table.include.list": "a.b"})
		if got := notices(NewCapture(parse(t, p), naming).DeadRoutes()); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	// A prefix with which two tables would meet in one topic mends nothing.
	p := regex(`p\.[^.]+\.[^.]+`, "one", map[string]string{"topic.prefix": "p.q", "table.include.list": "a.b,a.c"})
	if got := notices(NewCapture(parse(t, p), naming).DeadRoutes()); !strings.HasSuffix(got, "matches the whole of p.q.a.b") {
		t.Error(got)
	}
	if got := notices(DeadSinkRoutes(parse(t, regex(`orders\.x\.(.*)`, "$1", map[string]string{"topics": "orders.a,orders.b"})))); !strings.HasSuffix(got, "matches the whole of orders.a") {
		t.Error(got)
	}
	if got := notices(DeadSinkRoutes(parse(t, regex(`orders\.(.*)`, "$1", map[string]string{"topics": "orders.a,other"})))); got != "" {
		t.Error(got)
	}
}

func TestTextKeys(t *testing.T) {
	chain := map[string]string{"transforms": "k", "transforms.k.type": "org.apache.kafka.connect.transforms.ExtractField$Key", "key.converter": StringConverter}
	p := TextKeys(parse(t, chain))
	if p == nil || len(p.Changes) != 2 || p.Changes[0].Text != JSONConverter {
		t.Fatal(p)
	}
	for name, change := range map[string][2]string{
		"keys are JSON":             {"key.converter", JSONConverter},
		"the transform makes a key": {"transforms.k.type", "org.apache.kafka.connect.transforms.ValueToKey"},
		"of the value":              {"transforms.k.type", "org.apache.kafka.connect.transforms.ExtractField$Value"},
	} {
		other := maps.Clone(chain)
		other[change[0]] = change[1]
		if p := TextKeys(parse(t, other)); p != nil {
			t.Errorf("%s: %s", name, p.What)
		}
	}
}

func TestUnsaidDeletes(t *testing.T) {
	said := map[string]string{"connector.class": "C", "behavior.on.null.values": "ignore"}
	if got := UnsaidDeletes(parse(t, said), "delete", ""); got != nil {
		t.Error(got)
	}
	delete(said, "behavior.on.null.values")
	if got := UnsaidDeletes(parse(t, said), "delete", ""); len(got) != 1 {
		t.Error(got)
	}
	if got := UnsaidDeletes(parse(t, map[string]string{}), "delete", ""); got != nil {
		t.Error("said of a configuration that is none of Confluent's")
	}
}

func TestSharedKeys(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		want       string
	}{
		"two tables":    {map[string]string{"topics": "o.a,o.b", "cache.prefix": "c:"}, "c:${table}:"},
		"one table":     {map[string]string{"topics": "o.a", "cache.prefix": "c:"}, ""},
		"told apart":    {map[string]string{"topics": "o.a,o.b", "cache.prefix": "c:${topic}:"}, ""},
		"of one name":   {map[string]string{"topics": "o.a,p.a", "cache.prefix": "c:"}, "c:${topic}:"},
		"made one":      {regex(".*", "one", map[string]string{"topics": "o.a,o.b", "cache.prefix": "c:"}), ""},
		"without these": {map[string]string{"topics": "o.a,o.b"}, "${table}:"},
	} {
		problems := SharedKeys(parse(t, c.properties))
		got := ""
		if len(problems) > 0 {
			got = problems[0].Changes[0].Text
		}
		if got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
