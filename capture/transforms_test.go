package capture

import (
	"testing"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// chainOf are properties of a chain of one transform.
func chainOf(class string, more ...string) []string {
	out := []string{"transforms", "t", "transforms.t.type", class}
	for i := 0; i < len(more); i += 2 {
		out = append(out, "transforms.t."+more[i], more[i+1])
	}
	return out
}

const (
	connectTransform = "org.apache.kafka.connect.transforms."
	unwrapRecord     = "io.debezium.transforms.ExtractNewRecordState"
)

// TestRoute: where topics follow from the names of tables alone is known before
// any record; where records decide, no topic is a table's own.
func TestRoute(t *testing.T) {
	router := []string{"transforms.r.type", connectTransform + "RegexRouter", "transforms.r.regex", `shop\.(.*)`, "transforms.r.replacement", "$1"}
	predicate := func(class string, more ...string) []string {
		return append([]string{"predicates", "p", "predicates.p.type", connectTransform + "predicates." + class, "transforms.r.predicate", "p"}, more...)
	}
	for name, c := range map[string]struct {
		set  []string
		want string // "" where records decide
	}{
		"none":                   {nil, "shop.db.a"},
		"a router":               {append([]string{"transforms", "r"}, router...), "db.a"},
		"by table":               {chainOf("io.weir.transforms.ByTable"), "a"},
		"another package's name": {chainOf("com.acme.ByTable"), "a"},
		"unwrap and a router":    {append([]string{"transforms", "u,r", "transforms.u.type", unwrapRecord}, router...), "db.a"},
		"of some topics":         {append(append([]string{"transforms", "r"}, router...), predicate("TopicNameMatches", "predicates.p.pattern", `.*\.b`)...), "shop.db.a"},
		"of some records":        {append(append([]string{"transforms", "r"}, router...), predicate("RecordIsTombstone")...), ""},
		"by a field":             {chainOf(unwrapRecord, "route.by.field", "text"), ""},
		"a filter":               {chainOf(connectTransform + "Filter"), ""},
		"keys":                   {chainOf(connectTransform+"ValueToKey", "fields", "n"), ""},
	} {
		c, want := newConfig(t, "localhost:1", "shop", c.set...), c.want
		got, ok := c.Transforms.Route("shop.db.a")
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}

// TestPlainRecords: only what changes records costs the way through them.
func TestPlainRecords(t *testing.T) {
	for name, c := range map[string]struct {
		set   []string
		plain bool
	}{
		"nothing":         {nil, true},
		"a transform":     {chainOf("io.weir.transforms.ByTable"), false},
		"text keys":       {[]string{"key.converter", formClasses[FormText]}, false},
		"bytes as values": {[]string{"value.converter", formClasses[FormBytes]}, false},
		"headers in JSON": {[]string{"header.converter", formClasses[FormJSON]}, false},
		"the defaults":    {[]string{"header.converter", formClasses[FormSimple], "key.converter", formClasses[FormJSON], "transforms", ""}, true},
	} {
		config := newConfig(t, "localhost:1", "shop", c.set...)
		if got := config.plainRecords(); got != c.plain {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestErrorsOfTransforms are all said at once, with the rest.
func TestErrorsOfTransforms(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"name": "n", "topic.prefix": "p", "bootstrap.servers": "k:9092", "transforms": "a", "transforms.a.type": "ByTable",
		"transforms.a.unknown": "x", "topic.creation.default.partitions": "0"}, config.Common, Properties, kafka.Properties)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewConfig(v)
	mentions(t, err, "transforms.a.unknown", "topic.creation.default.partitions")
}
