// Package e2e runs the binaries as processes against real servers, changes the
// source at random, kills every process, and at the end compares every row of
// every table with every target.
package e2e

import (
	"context"
	"database/sql"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/compare"
)

// fleet is a capture and three sinks, and what they are connected to.
type fleet struct {
	t      *testing.T
	prefix string // topic.prefix, and what names of indexes and keys begin with
	source servers.SQL
	db     *sql.DB // of the captured database
	name   string  // of the captured database

	kafka  *kgo.Client
	search *compare.Node
	cache  *redis.Client
	bucket compare.Bucket

	run     string // folder of settings and logs
	group   *processes.Group
	capture *processes.Component
	sinks   []*processes.Component // elasticsearch, redis, lake
}

// folder is where the binaries are built into.
var folder string

// build builds them, once for all tests of a run.
var build = sync.OnceValue(func() error {
	root, err := processes.Root(context.Background())
	if err != nil {
		return err
	}
	return processes.Build(context.Background(), root, folder, "./cmd/weir-capture", "./cmd/weir-elasticsearch", "./cmd/weir-redis", "./cmd/weir-lake", "./cmd/weirctl")
})

// patience is how long a process may take to stop: what is promised, and a
// little for a busy machine.
const patience = 15 * time.Second

// newFleet builds the binaries and prepares all servers; it starts no process.
func newFleet(t *testing.T, source servers.SQL) *fleet {
	t.Helper()
	f := &fleet{t: t, prefix: servers.Unique(t, "e2e"), source: source}
	f.name = source.Database(t)
	f.db = source.Open(t, f.name)
	f.db.SetMaxOpenConns(20)
	var err error
	if f.kafka, err = kgo.NewClient(kgo.SeedBrokers(servers.Kafka(t))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.kafka.Close)
	if f.search, err = compare.NewNode(http.DefaultClient, servers.Elasticsearch(t)); err != nil {
		t.Fatal(err)
	}
	f.cache = redis.NewClient(&redis.Options{Addr: servers.Redis(t)})
	t.Cleanup(func() { _ = f.cache.Close() })
	store := servers.S3(t)
	f.bucket = compare.Bucket{Client: store.Client(), Name: store.Bucket(t)}
	f.run = filepath.Join(t.TempDir(), "run")
	if f.group, err = processes.NewGroup(f.run); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.end)
	return f
}

// endProcesses stops what runs, and shows the logs of a test that failed.
func (f *fleet) endProcesses() {
	if err := f.group.Stop(patience); err != nil {
		f.t.Errorf("%v", err)
	}
	if f.t.Failed() {
		f.keepLogs()
	}
}

// end stops what runs, and removes what the test left in shared servers.
func (f *fleet) end() {
	f.endProcesses()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cluster := kadm.NewClient(f.kafka)
	if topics, err := cluster.ListTopics(ctx); err == nil {
		for _, name := range topics.Names() {
			if strings.Contains(name, f.prefix) {
				_, _ = cluster.DeleteTopics(ctx, name) // the broker is there for tests only
			}
		}
	}
	for keys := f.cache.Scan(ctx, 0, f.prefix+"*", 1000).Iterator(); keys.Next(ctx); {
		f.cache.Del(ctx, keys.Val())
	}
	f.removeIndexes(ctx)
}

// keepLogs shows the ends of the logs and keeps the whole of them.
func (f *fleet) keepLogs() {
	for _, c := range f.components() {
		f.t.Log(c.LogTail())
	}
	kept, err := os.MkdirTemp("", "weir-e2e-logs-")
	if err == nil {
		err = os.CopyFS(kept, os.DirFS(f.run))
	}
	f.t.Logf("settings and logs are kept in %s (%v)", kept, err)
}

// must ends the test if err is one.
func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) removeIndexes(ctx context.Context) {
	for _, t := range tables() {
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, "/"+f.route(t.name)+"-g1", nil)
		if err != nil {
			continue
		}
		if response, err := f.search.Do(request); err == nil {
			_ = response.Body.Close() // the answer does not matter
		}
	}
}

// topic is that of a table, route what the sinks make of it.
func (f *fleet) topic(table string) string { return f.prefix + "." + f.name + "." + table }
func (f *fleet) route(table string) string { return f.prefix + "-" + table }

func (f *fleet) components() []*processes.Component {
	var all []*processes.Component
	if f.capture != nil {
		all = append(all, f.capture)
	}
	return append(all, f.sinks...)
}

// startCapture starts the capture with small chunks and transactions, so that
// there is something to be killed in.
func (f *fleet) startCapture(class string) {
	f.t.Helper()
	f.capture = f.start("weir-capture", map[string]string{
		"connector.class": class, "topic.prefix": f.prefix, "offset.storage.topic": f.prefix + "-offsets",
		"database.hostname": f.source.Host, "database.port": strconv.Itoa(f.source.Port),
		"database.user": f.source.User, "database.password": f.source.Password, "database.server.id": "5400",
		"database.include.list": f.name, "topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1",
		"snapshot.chunk.size": "200", "snapshot.max.threads": "2", "max.queue.size": "1000",
		"provide.transaction.metadata": "true", "offset.flush.interval.ms": "1000",
	})
}

// startSinks starts the three sinks, with more settings for some.
func (f *fleet) startSinks(more map[string]map[string]string) {
	f.t.Helper()
	store := servers.S3(f.t)
	for binary, own := range map[string]map[string]string{
		"weir-elasticsearch": {"connector.class": "ElasticsearchSinkConnector", "connection.url": servers.Elasticsearch(f.t), "index.number_of_replicas": "0"},
		"weir-redis":         {"connector.class": "RedisSinkConnector", "redis.hosts": servers.Redis(f.t), "cache.prefix": "${topic}:"},
		"weir-lake": {"connector.class": "io.confluent.connect.s3.S3SinkConnector", "store.url": store.Endpoint, "s3.bucket.name": f.bucket.Name,
			"s3.region": store.Region, "aws.access.key.id": store.AccessKey, "aws.secret.access.key": store.SecretKey,
			"partitioner.class": "io.confluent.connect.storage.partitioner.HourlyPartitioner", "flush.size": "1500", "rotate.schedule.interval.ms": "2000"},
	} {
		own["topics.regex"] = strings.ReplaceAll(f.topic(""), ".", `\.`) + `[^.]+`
		own["transforms"], own["transforms.route.type"] = "route", "org.apache.kafka.connect.transforms.RegexRouter"
		own["transforms.route.regex"], own["transforms.route.replacement"] = `(.*)\.[^.]+\.([^.]+)`, "$1-$2"
		own["consumer.override.session.timeout.ms"], own["consumer.override.heartbeat.interval.ms"] = "3000", "500"
		maps.Copy(own, more[binary])
		f.sinks = append(f.sinks, f.start(binary, own))
	}
}

// start starts one component.
func (f *fleet) start(binary string, config map[string]string) *processes.Component {
	f.t.Helper()
	if err := build(); err != nil {
		f.t.Fatal(err)
	}
	config["bootstrap.servers"] = servers.Kafka(f.t)
	component, err := f.group.StartComponent(f.t.Context(), filepath.Join(folder, binary), processes.Connector{Name: f.prefix + "-" + binary, Config: config})
	if err != nil {
		f.t.Fatal(err)
	}
	return component
}

// crash kills a component, leaves it dead for a while, and starts it again.
func (f *fleet) crash(c *processes.Component, dead time.Duration) {
	f.t.Helper()
	if err := c.Kill(); err != nil {
		f.t.Fatal(err)
	}
	time.Sleep(dead)
	if err := c.Restart(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// settle waits until nothing lags.
func (f *fleet) settle(within time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	p := processes.Pipeline{
		Source: f.db, Capture: f.capture, Kafka: kadm.NewClient(f.kafka), Sinks: f.sinks, Group: f.group,
		Topics: func(topic string) bool { return strings.HasPrefix(topic, f.topic("")) },
	}
	if err := p.Settle(ctx, func(waiting string) { f.t.Log(waiting) }); err != nil {
		f.t.Fatal(err)
	}
}

// jobs are the comparisons of all tables with all targets.
func (f *fleet) jobs(tables []*table) (jobs []compare.Job) {
	f.t.Helper()
	for _, t := range tables {
		table, err := compare.NewTable(f.t.Context(), f.db, f.name, t.name, compare.TableOptions{})
		if err != nil {
			f.t.Fatal(err)
		}
		jobs = append(jobs, compare.Job{
			Table: table, Topics: []string{f.topic(t.name)}, Kafka: f.kafka.Opts(),
			Targets: []compare.Target{
				{Name: "elasticsearch", Rows: &compare.Elasticsearch{Do: f.search.Do, Index: f.route(t.name), Table: table}},
				{Name: "redis", Rows: &compare.Redis{Client: f.cache, Prefix: f.route(t.name) + ":", Table: table}},
				{Name: "lake", Rows: &compare.Lake{Store: f.bucket, Dir: "topics", Topic: f.route(t.name), Table: table}},
			},
		})
	}
	return jobs
}
