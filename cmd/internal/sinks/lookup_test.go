package sinks

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
)

// documents is a sink that keeps what it is given.
type documents struct {
	mu   sync.Mutex
	rows []string
}

func (d *documents) Write(_ context.Context, records []*cdc.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		d.rows = append(d.rows, string(json.NewDocument(r.Value.Schema, json.DocumentOptions{}).Append(nil, r.Value)))
	}
	return nil
}

func (d *documents) sorted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.rows))
}

// until waits for a condition.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// freePort is an address at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// forward passes connections to an address on to another.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if s, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to); err == nil {
				go pass(c, s)
				go pass(s, c)
			}
		}
	}()
}

// TestLookupsInASink: the reference configuration's look-up, behind transforms
// that have changed the records before, waits for the sink's own Redis with the
// reason, and then every record is as if the server had been there; the
// partitions share one cache.
func TestLookupsInASink(t *testing.T) {
	broker, topic, own := servers.Kafka(t), servers.Unique(t, "orders"), freePort(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 3, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 60 {
		r := &kgo.Record{Topic: topic, Partition: int32(i % 3), Key: fmt.Appendf(nil, `{"id":%d}`, i),
			Value: fmt.Appendf(nil, `{"before":null,"after":{"id":%d,"user_id":%d},"source":{"name":"shop"},"op":"c","ts_ms":1}`, i, i%5)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf(`{"order_id":%d,"user_id":%d,"seen":"once","user_name":"u%d","user_email":null,"user_role":%d}`, i, i%5, i%5, i%5))
	}
	slices.Sort(want)
	registry, sink := prometheus.NewRegistry(), &documents{}
	runner := lookupRunner(t, registry, sink, enrich.LookupServers{Redis: &enrich.RedisServer{Hosts: []string{own}}}, map[string]string{
		"name": topic, "topics": topic, "bootstrap.servers": broker, "transforms": "unwrap,rename,mark,enrich",
		"transforms.unwrap.type":       "io.debezium.transforms.ExtractNewRecordState",
		"transforms.rename.type":       "org.apache.kafka.connect.transforms.ReplaceField$Value",
		"transforms.rename.renames":    "id:order_id",
		"transforms.mark.type":         "org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.mark.static.field": "seen", "transforms.mark.static.value": "once",
		"transforms.enrich.type":          "com.company.debezium.LookupTransform",
		"transforms.enrich.lookup.source": "redis", "transforms.enrich.lookup.key.field": "user_id",
		"transforms.enrich.lookup.value.fields": "user_name,user_email,user_role",
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	until(t, "the reason", func() bool {
		return slices.ContainsFunc(runner.Status().Tasks, func(task admin.Task) bool {
			return task.Problem != nil && strings.HasPrefix(task.Problem.Text, "looking up: asking Redis: ")
		})
	})
	forward(t, own, servers.NewRedis(t)) // it comes under the address that is waited for
	redisClient := redis.NewClient(&redis.Options{Addr: own})
	defer func() { _ = redisClient.Close() }()
	for i := range 5 { // the look-ups wait for these, too
		redisClient.Set(t.Context(), fmt.Sprintf("user_id:%d", i), fmt.Sprintf(`{"user_name":"u%d","user_role":%d}`, i, i), 0)
	}
	until(t, "the last record", func() bool { return len(sink.sorted()) == 60 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want, sink.sorted()); d != "" {
		t.Error(d)
	}
	if families, err := registry.Gather(); err != nil || len(families) == 0 {
		t.Errorf("metrics: %v", err)
	}
}

// lookupRunner is the runtime of a sink with these properties.
func lookupRunner(t *testing.T, registry *prometheus.Registry, sink *documents, lent enrich.LookupServers, properties map[string]string) *consumers.Runner {
	t.Helper()
	v, _, err := config.Parse(properties, config.Common, batching, consumers.Properties, transform.Properties, kafka.Properties)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := NewRuntime(v, lent)
	if err != nil {
		t.Fatal(err)
	}
	options := runtime.Options("weir-test", zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), registry)
	options.Writer, options.Limits.Records, options.Limits.Bytes = sink, 500, 1<<20
	runner, err := consumers.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return runner
}
