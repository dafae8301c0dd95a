package e2e

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/compare"
	"github.com/weir-cdc/weir/internal/failpoint"
)

// zombie is one topic, and two instances of the sink that writes it.
type zombie struct {
	*fleet
	table string
}

// TestAFrozenElasticsearchSinkDoesNotBringBackWhatWasDeleted: a process stands
// still in front of a request, longer than its session. The next owner of its
// partition writes the document and deletes it, and Elasticsearch forgets that.
// When the process goes on, its request must not be sent: nothing at the server
// would refuse it. It finds out that it is no member, and works on as a new one.
func TestAFrozenElasticsearchSinkDoesNotBringBackWhatWasDeleted(t *testing.T) {
	z := &zombie{table: "orders", fleet: &fleet{t: t, prefix: servers.Unique(t, "zombie"), name: "shop", binaries: stepwise(),
		at: places{kafka: servers.Kafka(t), search: servers.Elasticsearch(t)}}}
	z.must(buildStepwise())
	z.connect()
	frozen := z.launch("WEIR_FAILPOINT=" + string(failpoint.BulkSend) + ":1:stop")
	z.produce("1", "c")
	z.waitFor("the stop in front of the request", func() bool { return says(frozen, ": stop") })
	z.must(z.ask(t.Context(), http.MethodPut, "/"+z.index()+"/_settings", `{"index": {"gc_deletes": "100ms"}}`, nil))
	z.launch("")
	z.waitFor("the next owner to write the document", func() bool { return z.found("1") })
	z.produce("1", "d")
	z.waitFor("the next owner to delete it", func() bool { return !z.found("1") })
	z.untilForgotten()
	z.must(frozen.Thaw())
	z.waitFor("the process to be a member again", func() bool { return z.members() == 2 })
	z.produce("2", "c")
	z.waitFor("a document behind all that", func() bool { return z.found("2") })
	if z.found("1") {
		t.Error("the process that was frozen brought the document back")
	}
	if says(frozen, `"level":"error"`) {
		t.Error("it reports an error")
	}
}

// connect makes the topic, the clients and the group of processes.
func (z *zombie) connect() {
	var err error
	z.kafka, err = kgo.NewClient(kgo.SeedBrokers(z.at.kafka))
	z.must(err)
	z.t.Cleanup(z.kafka.Close)
	_, err = kadm.NewClient(z.kafka).CreateTopic(z.t.Context(), 1, 1, nil, z.topic(z.table))
	z.must(err)
	z.search, err = compare.NewNode(http.DefaultClient, z.at.search)
	z.must(err)
	z.group, err = processes.NewGroup(z.t.TempDir())
	z.must(err)
	z.t.Cleanup(z.end)
}

// end stops what runs, and removes what the test left in shared servers.
func (z *zombie) end() {
	z.endProcesses()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = kadm.NewClient(z.kafka).DeleteTopics(ctx, z.topic(z.table)) // the broker is there for tests only
	z.removeIndexes(ctx)
}

// launch starts an instance.
func (z *zombie) launch(env string) *processes.Component {
	z.t.Helper()
	component, err := z.group.StartComponent(z.t.Context(), filepath.Join(z.binaries, "weir-elasticsearch"), processes.Connector{
		Name: z.prefix + "-weir-elasticsearch",
		Config: map[string]string{
			"connector.class": "ElasticsearchSinkConnector", "connection.url": z.at.search, "bootstrap.servers": z.at.kafka,
			"index.number_of_replicas": "0", "topics": z.topic(z.table), "topic.to.external.resource.mapping": z.topic(z.table) + ":" + z.route(z.table),
			"consumer.override.session.timeout.ms": "6000", "consumer.override.heartbeat.interval.ms": "500",
		},
	}, env)
	z.must(err)
	z.sinks = append(z.sinks, []*processes.Component{component})
	return component
}

// produce publishes a change of the row with an id.
func (z *zombie) produce(id, op string) {
	z.t.Helper()
	before, after := "null", `{"id":`+id+`}`
	if op == "d" {
		before, after = after, before
	}
	z.must(z.kafka.ProduceSync(z.t.Context(), &kgo.Record{
		Topic: z.topic(z.table), Key: []byte(`{"id":` + id + `}`),
		Value: []byte(`{"before":` + before + `,"after":` + after + `,"source":{"connector":"mysql","name":"shop","ts_ms":1,"db":"shop","table":"orders"},"op":"` + op + `","ts_ms":1}`),
	}).FirstErr())
}

func (z *zombie) index() string { return z.route(z.table) + "-g1" }

// found reports whether the document of a row is there.
func (z *zombie) found(id string) bool {
	z.t.Helper()
	var document struct {
		Found bool `json:"found"`
	}
	z.must(z.ask(z.t.Context(), http.MethodPost, "/"+z.index()+"/_mget?filter_path=docs.found", `{"ids": ["`+id+`"]}`, &struct {
		Docs []any `json:"docs"`
	}{[]any{&document}}))
	return document.Found
}

// untilForgotten waits until Elasticsearch has forgotten a delete that comes
// after those of the test: then it takes an older version.
func (z *zombie) untilForgotten() {
	z.t.Helper()
	write := func(method, version, body string) error {
		return z.ask(z.t.Context(), method, "/"+z.index()+"/_doc/probe?version_type=external_gte&version="+version, body, nil)
	}
	z.must(write(http.MethodPut, "1", `{"id": 0}`))
	z.must(write(http.MethodDelete, "2", ""))
	z.waitFor("Elasticsearch to forget a delete", func() bool {
		z.must(z.ask(z.t.Context(), http.MethodPost, "/"+z.index()+"/_refresh", "", nil))
		return write(http.MethodPut, "1", `{"id": 0}`) == nil
	})
}

// members is how many the group has when it is stable.
func (z *zombie) members() int {
	z.t.Helper()
	name := "weir-" + z.prefix + "-weir-elasticsearch"
	described, err := kadm.NewClient(z.kafka).DescribeGroups(z.t.Context(), name)
	if err != nil || described[name].Err != nil || described[name].State != "Stable" {
		return 0
	}
	return len(described[name].Members)
}

// waitFor waits until something is true.
func (z *zombie) waitFor(what string, done func() bool) {
	z.t.Helper()
	z.must(z.until(what, func(context.Context) string {
		if done() {
			return ""
		}
		return what
	}))
}
