package routing

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestOperationRouter has the block operation_based_routing of the reference
// configuration, on every kind of record.
func TestOperationRouter(t *testing.T) {
	c := one(t, map[string]string{"type": "com.company.debezium.OperationRouter",
		"insert.topic": "inserts", "update.topic": "updates", "delete.topic": "deletes"})
	ann, bob := customer(1, "Ann", 5), customer(1, "Bob", 0)
	flat := change(cdc.OpUpdate, ann, bob)
	flat.Value = bob // unwrapped before
	for name, x := range map[string]struct {
		record *cdc.Record
		want   string
	}{
		"insert":                {change(cdc.OpCreate, nil, ann), "inserts"},
		"snapshot":              {change(cdc.OpRead, nil, ann), "inserts"},
		"update":                {change(cdc.OpUpdate, ann, bob), "updates"},
		"update, null field":    {change(cdc.OpUpdate, bob, bob), "updates"},
		"unwrapped":             {flat, "updates"},
		"delete":                {change(cdc.OpDelete, ann, nil), "deletes"},
		"tombstone":             {read(t, "shop.ecommerce.customers", `{"id":1}`, ""), "deletes"},
		"truncate":              {change(cdc.OpTruncate, nil, nil), "shop.ecommerce.customers"},
		"schemaless":            {read(t, "x", `{"id":1}`, `{"before":null,"after":{"id":1},"source":{"db":"a"},"op":"c","ts_ms":1}`), "inserts"},
		"schemaless, unwrapped": {read(t, "x", `{"id":1}`, `{"id":1,"__op":"u"}`), "updates"},
		"schemaless, deleted":   {read(t, "x", `{"id":1}`, `{"id":1,"__deleted":"true"}`), "deletes"},
		"no change":             {read(t, "x", `{"id":1}`, `{"id":1}`), "x"},
	} {
		if !apply(t, c, x.record) || x.record.Route != x.want {
			t.Errorf("%s is routed to %s, want %s", name, x.record.Route, x.want)
		}
	}
	refused(t, "insert.topic", map[string]string{"type": "OperationRouter"})
}
