package consumers

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// TestRowsAreDeletedWhereAnUpdateTakesThemFrom: an order that is paid leaves the
// index of open orders, and one that is archived leaves all.
func TestRowsAreDeletedWhereAnUpdateTakesThemFrom(t *testing.T) {
	_, addr := fake(t, "orders")
	cl := connect(t, addr)
	properties := map[string]string{
		"transforms":                              "unwrap,seen,route",
		"transforms.unwrap.type":                  "io.debezium.transforms.ExtractNewRecordState",
		"transforms.seen.type":                    "io.debezium.transforms.Filter",
		"transforms.seen.condition":               "status != 'archived'",
		"transforms.route.type":                   "com.company.ConditionalRouter",
		"transforms.route.conditions.open-orders": "status == 'open'",
		"transforms.route.default.topic":          "other-orders",
	}
	newChain := func() (Chain, error) {
		v, _, err := config.Parse(properties, transform.Properties)
		if err != nil {
			return nil, err
		}
		return transform.New(v, routing.Classes, enrich.Classes)
	}
	s := newTarget()
	r := setup{addr: addr, writer: s, chain: newChain, properties: map[string]string{"topics": "orders"}}.build(t)
	start(t, r)
	for i, change := range [][2]string{{"", "open"}, {"open", "open"}, {"open", "paid"}, {"paid", "archived"}} {
		produce(t, cl, orderChange(int64(i), change[0], change[1]))
		caughtUp(t, r, 3)
		for _, index := range []string{"open-orders", "other-orders"} {
			row, ok := s.get(index + `/{"id":7}`)
			there := ok && !row.deleted
			if want := (change[1] == "open" && index == "open-orders") || (change[1] == "paid" && index == "other-orders"); there != want {
				t.Errorf("after %q → %q the order is in %s: %v", change[0], change[1], index, there)
			}
		}
	}
}

// orderChange is an envelope whose order was and is in a status; "" is no row.
func orderChange(pos int64, was, is string) *kgo.Record {
	state := func(status string) string {
		if status == "" {
			return "null"
		}
		return fmt.Sprintf(`{"id":7,"status":%q}`, status)
	}
	op := "u"
	if was == "" {
		op = "c"
	}
	return &kgo.Record{Topic: "orders", Key: []byte(`{"id":7}`), Value: fmt.Appendf(nil,
		`{"before":%s,"after":%s,"source":{"connector":"mysql","name":"shop","ts_ms":1,"pos":%d},"transaction":null,"op":%q,"ts_ms":1}`, state(was), state(is), pos, op)}
}
