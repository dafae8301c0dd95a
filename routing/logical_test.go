package routing

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

const (
	logicalClass = "io.debezium.transforms.ByLogicalTableRouter"
	logicalNew   = "io.debezium.transforms.ToLogicalTopicRouter"
)

// TestLogicalRouter has golden case smt-logicalrouter, with names of the shop:
// the key's and the rows' schemas are named after the new topic, and the key has
// the old one.
func TestLogicalRouter(t *testing.T) {
	c := one(t, map[string]string{"type": logicalClass, "topic.regex": `(.*)customers(_[0-9]+)?$`, "topic.replacement": "$1all_customers",
		"key.field.name": "shard_id", "key.enforce.uniqueness": "true"})
	ann, bob := customer(1, "Ann", 5), customer(1, "Bob", 0)
	r := change(cdc.OpUpdate, ann, bob)
	if !apply(t, c, r) {
		t.Fatal("an update is dropped")
	}
	want := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":false,"field":"shard_id"}],"optional":false,"name":"shop.ecommerce.all_customers.Key"},"payload":{"id":1,"shard_id":"shop.ecommerce.customers"}}`
	if got := whole(r.Key); got != want {
		t.Errorf("the key is\n%s, want\n%s", got, want)
	}
	for _, row := range []*cdc.Row{r.Envelope.Before, r.Envelope.After} {
		if row.Schema.Name != "shop.ecommerce.all_customers.Value" || !row.Schema.Optional || len(row.Schema.Fields) != 4 {
			t.Errorf("a row's schema is %s", row.Schema.Name)
		}
	}
	if text(bob) != `{"id":1,"name":"Bob","score":null,"balance":"BNI="}` || r.Route != "shop.ecommerce.all_customers" {
		t.Errorf("the row is %s, in %s", text(bob), r.Route)
	}
	for name, x := range map[string]struct {
		record            *cdc.Record
		route, key, value string
	}{
		"tombstone":  {read(t, "a.customers_2", `{"id":7}`, ""), "a.all_customers", `{"id":7,"shard_id":"a.customers_2"}`, "null"},
		"schemaless": {read(t, "a.customers", `{"id":7}`, `{"x":null}`), "a.all_customers", `{"id":7,"shard_id":"a.customers"}`, `{"x":null}`},
		"keyless":    {read(t, "a.customers", "", `{"x":1}`), "a.all_customers", "null", `{"x":1}`},
		"others":     {read(t, "a.orders", `{"id":7}`, `{"x":1}`), "a.orders", `{"id":7}`, `{"x":1}`},
	} {
		if !apply(t, c, x.record) || x.record.Route != x.route || text(x.record.Key) != x.key || text(x.record.Value) != x.value {
			t.Errorf("%s is %s: %s, %s", name, x.record.Route, text(x.record.Key), text(x.record.Value))
		}
	}
	rejected(t, c, read(t, "a.customers", `7`, `{"x":1}`), "the key is no struct")
	rejected(t, c, read(t, "a.customers", `{"shard_id":7}`, `{"x":1}`), "key.field.name")
}

func TestLogicalRouterProperties(t *testing.T) {
	for _, x := range []struct {
		more       map[string]string
		key, named string
	}{
		{map[string]string{"type": logicalClass, "logical.table.cache.size": "100"},
			`{"id":1,"__dbz__physicalTableIdentifier":"shop.ecommerce.customers"}`, "all-shop.Key"},
		{map[string]string{"type": logicalNew, "logical.destination.cache.size": "100"},
			`{"id":1,"__dbz__sourceIdentifier":"shop.ecommerce.customers"}`, "all-shop.Key"},
		{map[string]string{"type": logicalNew, "key.enforce.uniqueness": "false", "schema.name.adjustment.mode": "avro"}, `{"id":1}`, "all_shop.Key"},
		{map[string]string{"type": logicalNew, "schema.name.adjustment.mode": "avro_unicode", "key.field.regex": `(.*)\.(.*)\.(.*)`, "key.field.replacement": "$2"},
			`{"id":1,"__dbz__sourceIdentifier":"ecommerce"}`, "all_u002dshop.Key"},
		{map[string]string{"type": logicalNew, "key.field.regex": `nothing`, "key.field.replacement": "x"},
			`{"id":1,"__dbz__sourceIdentifier":"shop.ecommerce.customers"}`, "all-shop.Key"},
	} {
		x.more["topic.regex"], x.more["topic.replacement"] = `(\w+)\.ecommerce\..*`, "all-$1"
		r := change(cdc.OpCreate, nil, customer(1, "Ann", 5))
		if !apply(t, one(t, x.more), r) || text(r.Key) != x.key || r.Key.Schema.Name != x.named {
			t.Errorf("%v: the key is %s, a %s; want %s, a %s", x.more, text(r.Key), r.Key.Schema.Name, x.key, x.named)
		}
	}
	// A new topic of the old one's name is a match as any other; an empty one is none.
	same := change(cdc.OpCreate, nil, customer(1, "Ann", 5))
	apply(t, one(t, map[string]string{"type": logicalNew, "topic.regex": "(.*)", "topic.replacement": "$1"}), same)
	empty := change(cdc.OpCreate, nil, customer(1, "Ann", 5))
	apply(t, one(t, map[string]string{"type": logicalNew, "topic.regex": ".*", "topic.replacement": "${x}${x}"[:0] + `\$`}), empty)
	if len(same.Key.Values) != 2 || empty.Route != "$" {
		t.Errorf("the key is %s, the other topic %s", text(same.Key), empty.Route)
	}
	for property, value := range map[string]string{
		"topic.regex": "(", "topic.replacement": "$2", "key.field.regex": "(", "key.enforce.uniqueness": "x", "logical.destination.cache.size": "0",
		"schema.name.adjustment.mode": "x",
	} {
		properties := map[string]string{"type": logicalNew, "topic.regex": "x", "topic.replacement": "y", "key.field.replacement": "z"}
		properties[property] = value
		refused(t, property, properties)
	}
	refused(t, "key.field.replacement", map[string]string{"type": logicalNew, "topic.regex": "x", "topic.replacement": "y", "key.field.regex": "z"})
}

func BenchmarkLogicalRouter(b *testing.B) {
	c := one(b, map[string]string{"type": logicalNew, "topic.regex": `shop\.(.*)`, "topic.replacement": "all"})
	row, e := customer(1, "Ann", 5), &cdc.Envelope{}
	benchmark(b, c, func(r *cdc.Record) {
		key := r.Key
		if key == nil {
			key = &cdc.Row{}
		}
		row.Schema = customers
		key.Schema, key.Values = customerKey, append(key.Values[:0], cdc.Int(1))
		*e = cdc.Envelope{Op: cdc.OpCreate, After: row}
		*r = cdc.Record{Route: "shop.ecommerce.customers", Key: key, Envelope: e, Op: cdc.OpCreate}
	})
}
