package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/compare"
)

// corrected are the reference shop's files.
const corrected = "../docs/examples/reference/corrected"

// shop is the reference shop: its fleet started from its files as they are but
// for addresses. The database, Kafka and Redis are its own, so that it has the
// names, the user and the password that the files say.
type shop struct {
	*fleet
	brokers string
	index   string // what names of indexes begin with: Elasticsearch is shared
	began   time.Time
	started []started
}

// started is a component as it was started.
type started struct {
	file string
	set  map[string]string
	env  []string
}

// What the files say.
const (
	shopDatabase = "ecommerce"
	shopPrefix   = "orders"
	shopUser     = "debezium_user"
	shopPassword = "secure_password"
	cachePrefix  = "cache:"
	cacheSecret  = "redis_password"
	cacheTTL     = time.Hour
)

// newShop prepares the servers; it starts no process.
func newShop(t *testing.T) *shop {
	t.Helper()
	f := &fleet{t: t, prefix: shopPrefix, name: shopDatabase, source: servers.NewMySQL(t)}
	s := &shop{fleet: f, index: servers.Unique(t, "e2e") + "-", began: time.Now().Truncate(time.Second)}
	s.createDatabase()
	s.brokers = servers.NewKafka(t, "num.partitions=3")
	var err error
	f.kafka, err = kgo.NewClient(kgo.SeedBrokers(s.brokers))
	f.must(err)
	t.Cleanup(f.kafka.Close)
	f.search, err = compare.NewNode(http.DefaultClient, servers.Elasticsearch(t))
	f.must(err)
	f.cache = redis.NewClient(&redis.Options{Addr: servers.NewRedis(t, "--requirepass", cacheSecret), Password: cacheSecret})
	t.Cleanup(func() { _ = f.cache.Close() })
	store := servers.S3(t)
	f.bucket = compare.Bucket{Client: store.Client(), Name: store.Bucket(t)}
	f.run = filepath.Join(t.TempDir(), "run")
	f.group, err = processes.NewGroup(f.run)
	f.must(err)
	t.Cleanup(s.removeIndexes)
	t.Cleanup(f.endProcesses)
	return s
}

// createDatabase makes the database, and the capture's user with the rights that
// docs/operations.md states and no more.
func (s *shop) createDatabase() {
	s.t.Helper()
	all := s.source.Open(s.t, "")
	for _, statement := range []string{
		"CREATE DATABASE " + shopDatabase,
		"CREATE USER '" + shopUser + "'@'%' IDENTIFIED BY '" + shopPassword + "'",
		"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '" + shopUser + "'@'%'",
	} {
		_, err := all.ExecContext(s.t.Context(), statement)
		s.must(err)
	}
	s.db = s.source.Open(s.t, shopDatabase)
	s.db.SetMaxOpenConns(20)
}

// removeIndexes removes what the test left in the shared Elasticsearch.
func (s *shop) removeIndexes() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, t := range shopTables() {
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, "/"+s.indexOf(t.name)+"-g1", nil)
		if err != nil {
			continue
		}
		if response, err := s.search.Do(request); err == nil {
			_ = response.Body.Close() // the answer does not matter
		}
	}
}

func (s *shop) indexOf(table string) string { return s.index + table + "-index" }

// start starts the four binaries. Besides addresses, this is set: the shared
// Elasticsearch's indexes get a prefix, the lake's files end after seconds and
// not after an hour, and a group misses a killed member within seconds.
func (s *shop) start() {
	s.t.Helper()
	store := servers.S3(s.t)
	s.captures = []*processes.Component{s.component("weir-capture", "mysql-orders-connector", nil,
		"database.hostname="+s.source.Host, "database.port="+strconv.Itoa(s.source.Port), "schema.history.internal.kafka.bootstrap.servers="+s.brokers)}
	for _, sink := range []*processes.Component{
		s.sink("weir-elasticsearch", "elasticsearch-orders-sink", nil,
			"connection.url="+servers.Elasticsearch(s.t), "transforms.route.replacement="+s.index+"$1-index"),
		s.sink("weir-redis", "redis-cache-sink", nil, "redis.hosts="+s.cache.Options().Addr),
		s.sink("weir-lake", "s3-data-lake-sink", []string{"AWS_ACCESS_KEY_ID=" + store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + store.SecretKey},
			"store.url="+store.Endpoint, "s3.bucket.name="+s.bucket.Name, "s3.region="+store.Region, "rotate.schedule.interval.ms=2000"),
	} {
		s.sinks = append(s.sinks, []*processes.Component{sink})
	}
}

func (s *shop) sink(binary, file string, env []string, set ...string) *processes.Component {
	s.t.Helper()
	return s.component(binary, file, append(env, "WEIR_BOOTSTRAP_SERVERS="+s.brokers),
		append(set, "consumer.override.session.timeout.ms=3000", "consumer.override.heartbeat.interval.ms=500")...)
}

func (s *shop) component(binary, file string, env []string, set ...string) *processes.Component {
	s.t.Helper()
	s.must(build())
	c, err := s.group.StartConfigured(s.t.Context(), filepath.Join(folder, binary), filepath.Join(corrected, file+".json"), set, env...)
	s.must(err)
	properties := map[string]string{}
	for _, property := range set {
		name, text, _ := strings.Cut(property, "=")
		properties[name] = text
	}
	s.started = append(s.started, started{file + ".json", properties, env})
	return c
}

// settle waits until nothing lags. The cache reads other topics than the index
// and the lake.
func (s *shop) settle() {
	s.t.Helper()
	for _, readers := range []struct {
		tables []string
		sinks  [][]*processes.Component
	}{{indexed, [][]*processes.Component{s.sinks[searchSink], s.sinks[lakeSink]}}, {cached, s.sinks[cacheSink : cacheSink+1]}} {
		p := processes.Pipeline{
			Source: s.db, Captures: s.captures, Kafka: kadm.NewClient(s.kafka), Sinks: readers.sinks, Group: s.group,
			Topics: func(topic string) bool { return contains(readers.tables, topic) },
		}
		s.must(p.Settle(s.t.Context(), func(waiting string) { s.t.Log(waiting) }))
	}
}

// The tables that come to the targets.
var (
	indexed = []string{"orders", "order_items", "customers"} // and to the lake
	cached  = []string{"customers", "products"}
)

// contains reports whether a topic is that of one of the tables.
func contains(tables []string, topic string) bool {
	for _, name := range tables {
		if topic == topicOf(name) {
			return true
		}
	}
	return false
}

// topicOf is a table's topic behind the capture's route.
func topicOf(table string) string { return shopPrefix + "." + table }

// jobs are the comparisons of the tables with the targets that they come to.
func (s *shop) jobs() (jobs []compare.Job) {
	s.t.Helper()
	for _, t := range shopTables() {
		table, err := compare.NewTable(s.t.Context(), s.db, shopDatabase, t.name, compare.TableOptions{})
		s.must(err)
		topic := topicOf(t.name)
		job := compare.Job{Table: table, Kafka: s.kafka.Opts()}
		if contains(indexed, topic) {
			job.Topics = []string{topic}
			job.Targets = append(job.Targets,
				compare.Target{Name: "elasticsearch", Rows: &compare.Elasticsearch{Do: s.search.Do, Index: s.indexOf(t.name), Table: table, Look: s.carries("processed_at", "indexed_at")}},
				compare.Target{Name: "lake", Rows: &compare.Lake{Store: s.bucket, Dir: "topics", Topic: topic, Table: table}})
		}
		if contains(cached, topic) {
			job.Targets = append(job.Targets,
				compare.Target{Name: "redis", Rows: &compare.Redis{Client: s.cache, Prefix: cachePrefix + t.name + ":", Table: table, Look: s.carries("processed_at", "cached_at")}})
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// moment is the form of the times that the files' transforms add.
const moment = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`

var momentOnly = regexp.MustCompile(`^` + moment + `$`)

// carries checks what the transforms added to a document: the named times, and
// the fields that the capture's unwrap adds.
func (s *shop) carries(times ...string) func(string, []byte) error {
	return func(_ string, document []byte) error {
		var added struct {
			Op     string `json:"__op"`
			At     int64  `json:"__ts_ms"`
			Source int64  `json:"__source_ts_ms"`
		}
		members := map[string]any{}
		if err := json.Unmarshal(document, &added); err != nil {
			return fmt.Errorf("reading what was added: %w", err)
		}
		if err := json.Unmarshal(document, &members); err != nil {
			return err
		}
		for _, name := range times {
			text, _ := members[name].(string)
			at, err := time.Parse(time.RFC3339, text)
			if err != nil || !momentOnly.MatchString(text) || at.Before(s.began) || at.After(time.Now()) {
				return fmt.Errorf("%s is %v", name, members[name])
			}
		}
		began, now := s.began.UnixMilli(), time.Now().UnixMilli()
		if !strings.Contains("cur", added.Op) || len(added.Op) != 1 || added.At < began || added.At > now || added.Source < began || added.Source > added.At {
			return fmt.Errorf("unwrap added %+v", added)
		}
		return nil
	}
}

// counted is a key of one number, from 1 on in each table, so that the tables'
// keys meet.
func counted() func(*rand.Rand, int64) []any {
	var last atomic.Int64
	return func(*rand.Rand, int64) []any { return []any{last.Add(1)} }
}

// shopTables are the reference shop's.
func shopTables() []*table {
	return []*table{
		{name: "orders", keys: 1, key: counted(), seeded: 3000, columns: []column{
			{name: "id", ddl: "BIGINT NOT NULL"},
			{name: "customer_id", ddl: "INT NOT NULL", value: between(1, 500)},
			{name: "status", ddl: "ENUM('PENDING','PAID','SHIPPED','CANCELLED') NOT NULL", value: oneOf("PENDING", "PAID", "SHIPPED", "CANCELLED")},
			{name: "total_amount", ddl: "DECIMAL(12,2) NOT NULL", value: decimals(10, 2)},
			{name: "notes", ddl: "TEXT NULL", value: optional(words(60))},
			{name: "created_at", ddl: "DATETIME(3) NOT NULL", value: datetimes(3)},
			{name: "updated_at", ddl: "TIMESTAMP(6) NULL", value: optional(timestamps(6))},
		}},
		{name: "order_items", keys: 1, key: counted(), seeded: 1500, columns: []column{
			{name: "id", ddl: "BIGINT UNSIGNED NOT NULL"},
			{name: "order_id", ddl: "BIGINT NOT NULL", value: between(1, 3000)},
			{name: "product_id", ddl: "INT NOT NULL", value: between(1, 300)},
			{name: "quantity", ddl: "SMALLINT UNSIGNED NOT NULL", value: between(1, 65535)},
			{name: "price", ddl: "DECIMAL(10,4) NULL", value: optional(decimals(6, 4))},
			{name: "gift", ddl: "TINYINT(1) NOT NULL", value: between(0, 1)},
		}},
		{name: "customers", keys: 1, key: counted(), seeded: 500, columns: []column{
			{name: "id", ddl: "INT NOT NULL"},
			{name: "name", ddl: "VARCHAR(60) NOT NULL", value: words(60)},
			{name: "born", ddl: "DATE NULL", value: optional(dates)},
			{name: "preferences", ddl: "JSON NULL", value: optional(documents)},
			{name: "photo", ddl: "BLOB NULL", value: optional(bytesOf(100))},
		}},
		{name: "products", keys: 1, key: counted(), seeded: 300, columns: []column{
			{name: "id", ddl: "INT NOT NULL"},
			{name: "name", ddl: "VARCHAR(80) NOT NULL", value: words(80)},
			{name: "price", ddl: "DECIMAL(10,2) NOT NULL", value: decimals(8, 2)},
			{name: "weight", ddl: "DOUBLE NULL", value: optional(floats)},
			{name: "stock", ddl: "INT UNSIGNED NOT NULL", value: between(0, 1<<32-1)},
		}},
	}
}
