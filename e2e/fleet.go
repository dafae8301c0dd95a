// Package e2e runs the binaries as processes against real servers, changes the
// source at random, kills every process over and over, restarts servers, replays
// targets, and at the end compares every row of every table with every target.
package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	at     places

	kafka  *kgo.Client
	search *compare.Node
	cache  *redis.Client
	bucket compare.Bucket

	binaries string // folder of the programs
	run      string // folder of settings and logs
	group    *processes.Group
	captures []*processes.Component   // one leads, the others stand by
	sinks    [][]*processes.Component // the instances of elasticsearch, redis, lake
}

// The places of sinks in fleet.sinks.
const (
	searchSink = iota
	cacheSink
	lakeSink
)

// places are where the servers are.
type places struct {
	kafka, search, cache string
	store                servers.ObjectStore
}

// folder is where the binaries are built into.
var folder string

// services are the programs of a fleet.
var services = []string{"./cmd/weir-capture", "./cmd/weir-elasticsearch", "./cmd/weir-redis", "./cmd/weir-lake"}

// build builds them, and weirctl.
var build = processes.Once(func() string { return folder }, append(services, "./cmd/weirctl")...)

// patience is how long a process is waited for that was asked to end. After the
// ten seconds that are promised it ends by itself, with an exit code that is not
// 0; a busy machine may take longer to let it.
const patience = time.Minute

// newFleet builds the binaries and prepares all servers; it starts no process.
func newFleet(t *testing.T, source servers.SQL, at places) *fleet {
	t.Helper()
	f := &fleet{t: t, prefix: servers.Unique(t, "e2e"), source: source, at: at, binaries: folder}
	f.must(build())
	f.name = source.Database(t)
	f.db = source.Open(t, f.name)
	f.db.SetMaxOpenConns(20)
	var err error
	if f.kafka, err = kgo.NewClient(kgo.SeedBrokers(at.kafka)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.kafka.Close)
	if f.search, err = compare.NewNode(http.DefaultClient, at.search); err != nil {
		t.Fatal(err)
	}
	f.cache = redis.NewClient(&redis.Options{Addr: at.cache})
	t.Cleanup(func() { _ = f.cache.Close() })
	f.bucket = compare.Bucket{Client: at.store.Client(), Name: at.store.Bucket(t)}
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

// removeIndexes removes all generations of the indexes, and what the connector
// has written down.
func (f *fleet) removeIndexes(ctx context.Context) {
	names, _ := f.indexes(ctx) // nothing can be removed from a server that does not answer
	for _, name := range append(names, "weir-connectors/_doc/"+f.prefix+"-weir-elasticsearch") {
		_ = f.ask(ctx, http.MethodDelete, "/"+name, "", nil)
	}
}

// indexes are the names of the fleet's indexes, of all generations.
func (f *fleet) indexes(ctx context.Context) ([]string, error) {
	var found map[string]any
	err := f.ask(ctx, http.MethodGet, "/"+f.prefix+"-*?allow_no_indices=true&filter_path=*.settings.index.uuid", "", &found)
	return slices.Sorted(maps.Keys(found)), err
}

// ask sends a request to Elasticsearch and reads the answer into out, if not nil.
func (f *fleet) ask(ctx context.Context, method, path, body string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := f.search.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// topic is that of a table, route what the sinks make of it.
func (f *fleet) topic(table string) string { return f.prefix + "." + f.name + "." + table }
func (f *fleet) route(table string) string { return f.prefix + "-" + table }

func (f *fleet) components() []*processes.Component {
	return slices.Concat(append([][]*processes.Component{f.captures}, f.sinks...)...)
}

// startCaptures starts instances of the capture, with small chunks and
// transactions, so that there is something to be killed in.
func (f *fleet) startCaptures(instances int, class string) {
	f.t.Helper()
	for range instances {
		f.captures = append(f.captures, f.start("weir-capture", map[string]string{
			"connector.class": class, "topic.prefix": f.prefix, "offset.storage.topic": f.prefix + "-offsets",
			"database.hostname": f.source.Host, "database.port": strconv.Itoa(f.source.Port),
			"database.user": f.source.User, "database.password": f.source.Password, "database.server.id": "5400",
			"database.include.list": f.name, "topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1",
			"snapshot.chunk.size": "200", "snapshot.max.threads": "2", "max.queue.size": "1000",
			"provide.transaction.metadata": "true", "offset.flush.interval.ms": "1000",
		}))
	}
}

// startSinks starts instances of the three sinks, with more settings for some.
func (f *fleet) startSinks(instances int, more map[string]map[string]string) {
	f.t.Helper()
	for _, sink := range []struct {
		binary string
		own    map[string]string
	}{
		searchSink: {"weir-elasticsearch", map[string]string{"connector.class": "ElasticsearchSinkConnector", "connection.url": f.at.search, "index.number_of_replicas": "0"}},
		cacheSink:  {"weir-redis", map[string]string{"connector.class": "RedisSinkConnector", "redis.hosts": f.at.cache, "cache.prefix": "${topic}:"}},
		lakeSink: {"weir-lake", map[string]string{"connector.class": "io.confluent.connect.s3.S3SinkConnector", "store.url": f.at.store.Endpoint, "s3.bucket.name": f.bucket.Name,
			"s3.region": f.at.store.Region, "aws.access.key.id": f.at.store.AccessKey, "aws.secret.access.key": f.at.store.SecretKey,
			"partitioner.class": "io.confluent.connect.storage.partitioner.HourlyPartitioner", "flush.size": "1500", "rotate.schedule.interval.ms": "2000"}},
	} {
		config := map[string]string{
			"topics.regex": strings.ReplaceAll(f.topic(""), ".", `\.`) + `[^.]+`,
			"transforms":   "route", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
			"transforms.route.regex": `(.*)\.[^.]+\.([^.]+)`, "transforms.route.replacement": "$1-$2",
			"consumer.override.session.timeout.ms": "3000", "consumer.override.heartbeat.interval.ms": "500",
		}
		maps.Copy(config, sink.own)
		maps.Copy(config, more[sink.binary])
		var started []*processes.Component
		for range instances {
			started = append(started, f.start(sink.binary, maps.Clone(config)))
		}
		f.sinks = append(f.sinks, started)
	}
}

// start starts one component.
func (f *fleet) start(binary string, config map[string]string) *processes.Component {
	f.t.Helper()
	config["bootstrap.servers"] = f.at.kafka
	component, err := f.group.StartComponent(f.t.Context(), filepath.Join(f.binaries, binary), processes.Connector{Name: f.prefix + "-" + binary, Config: config})
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
func (f *fleet) settle() {
	f.t.Helper()
	p := processes.Pipeline{
		Source: f.db, Captures: f.captures, Kafka: kadm.NewClient(f.kafka), Sinks: f.sinks, Group: f.group,
		Topics: func(topic string) bool { return strings.HasPrefix(topic, f.topic("")) },
	}
	f.must(p.Settle(f.t.Context(), func(waiting string) { f.t.Log(waiting) }))
}

// until calls probe until it has nothing to wait for any more, as long as what it
// waits for changes at times.
func (f *fleet) until(what string, probe func(context.Context) (waiting string)) error {
	var stall processes.Stall
	for ctx := f.t.Context(); ; {
		waiting := probe(ctx)
		if waiting == "" {
			return nil
		}
		if err := errors.Join(ctx.Err(), f.group.Ended(), stall.Check(waiting)); err != nil {
			return fmt.Errorf("waiting for %s: %s: %w", what, waiting, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// untilSnapshot waits until the capture's snapshot has rows, or until it is done.
func (f *fleet) untilSnapshot(done bool) {
	f.t.Helper()
	f.must(f.until("the snapshot", func(ctx context.Context) string {
		s, leads, err := processes.Leader(ctx, f.captures)
		switch {
		case err != nil:
			return err.Error()
		case !leads:
			return "no capture leads"
		case s.Snapshot == nil: // a leader before has done all of it
			return ""
		case s.Snapshot.Rows == 0 || done && s.Snapshot.State != "COMPLETED":
			return fmt.Sprintf("%+v", *s.Snapshot)
		}
		return ""
	}))
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

// compared compares a source with its targets, shows the result, and fails the
// test for each difference.
func compared(t *testing.T, jobs []compare.Job) *compare.Report {
	t.Helper()
	report, err := compare.Verify(t.Context(), jobs, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.Write(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", text.String())
	if report.Differences() > 0 {
		t.Errorf("%d differences", report.Differences())
	}
	for _, e := range report.Events {
		if e.Compacted > 0 {
			t.Errorf("%d events of %s are no longer in Kafka", e.Compacted, e.Table)
		}
	}
	return report
}
