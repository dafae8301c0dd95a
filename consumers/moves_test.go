package consumers

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// TestRowsAreDeletedWhereAnUpdateTakesThemFrom: an order that is paid leaves the
// index of open orders, and one that is archived leaves all.
func TestRowsAreDeletedWhereAnUpdateTakesThemFrom(t *testing.T) {
	_, addr := fake(t, "orders")
	cl := connect(t, addr)
	s := newTarget()
	r := setup{addr: addr, writer: s, chain: byStatus, properties: map[string]string{"topics": "orders"}}.build(t)
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

// byStatus is a chain that sends orders to an index by their status, and archived
// ones nowhere.
func byStatus() (Chain, error) {
	v, _, err := config.Parse(map[string]string{
		"transforms":                              "unwrap,seen,route",
		"transforms.unwrap.type":                  "io.debezium.transforms.ExtractNewRecordState",
		"transforms.seen.type":                    "io.debezium.transforms.Filter",
		"transforms.seen.condition":               "status != 'archived'",
		"transforms.route.type":                   "com.company.ConditionalRouter",
		"transforms.route.conditions.open-orders": "status == 'open'",
		"transforms.route.default.topic":          "other-orders",
	}, transform.Properties)
	if err != nil {
		return nil, err
	}
	return transform.New(v, routing.Classes, enrich.Classes)
}

// TestTheHorizonOfMovesIsTheCompactionLag: an update that moves a row may be
// compacted away before a delete is. A sink that was down for longer refuses to go
// on; where a topic keeps no update, that is said.
func TestTheHorizonOfMovesIsTheCompactionLag(t *testing.T) {
	t.Parallel()
	hour, ever := strconv.FormatInt(time.Hour.Milliseconds(), 10), strconv.FormatInt(1<<50, 10)
	for what, c := range map[string]struct {
		lag   string
		chain func() (Chain, error)
		state admin.State
		said  int
	}{
		"rows that move":                     {hour, byStatus, admin.Failed, 0},
		"rows that stay":                     {hour, nil, admin.Running, 0},
		"rows that move, and no update kept": {"0", byStatus, admin.Running, 1},
	} {
		t.Run(what, func(t *testing.T) {
			addr, topic, name, cl := realTopic(t, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": c.lag, "message.timestamp.before.max.ms": ever})
			run := func() (*Runner, *observer.ObservedLogs) {
				setup := onKafka(addr, topic, name, newTarget())
				setup.chain = c.chain
				o := setup.options(t)
				core, logs := observer.New(zap.WarnLevel)
				o.Log = zap.New(core)
				r, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				return r, logs
			}
			change := func(pos int64, was, is string) {
				r := orderChange(pos, was, is)
				r.Topic, r.Timestamp = topic, time.Now().Add(-2*time.Hour)
				produce(t, cl, r)
			}
			change(0, "", "open")
			r, _ := run()
			stop := start(t, r)
			caughtUp(t, r, 3)
			stop()
			setMarks(t, cl, "weir-"+name, topic, time.Now().Add(-3*time.Hour))
			change(2, "paid", "paid")
			r, logs := run()
			start(t, r)
			eventually(t, func() error {
				st := r.Status()
				if len(st.Tasks) != 3 || st.Tasks[0].State != c.state || c.state == admin.Running && st.Tasks[0].Committed != 2 {
					return fmt.Errorf("%s", describe(r))
				}
				return nil
			})
			if p := r.Status().Tasks[0].Problem; c.state == admin.Failed && (!strings.Contains(p.Text, "older than 1h0m0s") || !strings.Contains(p.Text, "updates that move rows")) {
				t.Errorf("problem %+v", p)
			}
			if said := logs.FilterField(zap.String("min.compaction.lag.ms", "0")).Len(); said != c.said {
				t.Errorf("said %d times: %v", said, logs.All())
			}
		})
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
