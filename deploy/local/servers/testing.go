package servers

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tests is the set that all tests on this machine share.
var tests = sync.OnceValues(func() (*Local, error) {
	local, err := Open(Options{})
	if err == nil {
		local.sweep()
	}
	return local, err
})

// fetchPatience bounds everything a test may wait for: another process's fetching, then starting.
const fetchPatience = 15 * time.Minute

// running returns the nodes of a shared server, started if need be; the test fails if it cannot be had.
func running(tb testing.TB, kind Kind) (*Local, []*node) {
	tb.Helper()
	local, err := tests()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), fetchPatience)
	defer cancel()
	nodes, err := local.up(ctx, kind)
	if err != nil {
		tb.Fatal(err)
	}
	return local, nodes
}

// runningPrivate starts a server that ends with the test, on ports of which the first may be preferred.
func runningPrivate(tb testing.TB, name string, ports int, args []string, recipe func(*Local) recipe, preferred ...int) *node {
	tb.Helper()
	local, err := tests()
	if err != nil {
		tb.Fatal(err)
	}
	n, release, err := local.private(name, recipe(local), ports, args)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	copy(n.preferred, preferred)
	ctx, cancel := context.WithTimeout(tb.Context(), fetchPatience)
	defer cancel()
	if err := n.start(ctx); err != nil {
		tb.Fatalf("starting a private %s: %v", name, err)
	}
	return n
}

// SQL is a running MySQL or MariaDB server with a user that has all rights.
type SQL struct {
	Host     string
	Port     int
	User     string
	Password string

	private *node // nil when it is shared
	tb      testing.TB
}

// MySQL returns the shared MySQL: GTIDs on, row format, full row images, full metadata.
func MySQL(tb testing.TB) SQL {
	tb.Helper()
	_, nodes := running(tb, KindMySQL)
	return sqlOf(nodes[0])
}

// MariaDB returns the shared MariaDB: row format, full row images, full metadata.
func MariaDB(tb testing.TB) SQL {
	tb.Helper()
	_, nodes := running(tb, KindMariaDB)
	return sqlOf(nodes[0])
}

// NewMySQL starts a MySQL of the test's own, configured as the shared one but for further server arguments, which win.
func NewMySQL(tb testing.TB, args ...string) SQL {
	tb.Helper()
	n := runningPrivate(tb, "mysql", 1, args, func(l *Local) recipe { return mysqlRecipe(l, 64) })
	return privateSQL(tb, n)
}

// NewMariaDB starts a MariaDB of the test's own, configured as the shared one but for further server arguments, which
// win.
func NewMariaDB(tb testing.TB, args ...string) SQL {
	tb.Helper()
	n := runningPrivate(tb, "mariadb", 1, args, func(l *Local) recipe { return mariadbRecipe(l, 64) })
	return privateSQL(tb, n)
}

func sqlOf(n *node) SQL {
	return SQL{Host: loopback, Port: n.ports[0], User: sqlUser, Password: sqlPassword}
}

func privateSQL(tb testing.TB, n *node) SQL {
	server := sqlOf(n)
	server.private, server.tb = n, tb
	return server
}

// DSN is the go-sql-driver data source name for a database; empty: none.
func (s SQL) DSN(database string) string { return dsn(s.Host, s.Port, database) }

// Open opens a pool of connections to a database (empty: none), closed when the test ends.
func (s SQL) Open(tb testing.TB, database string) *sql.DB {
	tb.Helper()
	db, err := openSQL(s.Host, s.Port, database)
	if err != nil {
		tb.Fatalf("opening %s: %v", database, err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Database creates an empty database with a name of its own and drops it when the test ends.
func (s SQL) Database(tb testing.TB) string {
	tb.Helper()
	name := strings.ReplaceAll(Unique(tb, "t"), "-", "_")
	db := s.Open(tb, "")
	if _, err := db.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("creating database %s: %v", name, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = db.ExecContext(ctx, "DROP DATABASE "+name) // the server may have been killed by the test
	})
	return name
}

// Kill ends a private server at once, as a crash does.
func (s SQL) Kill() {
	s.private.mustBePrivate(s.tb)
	s.tb.Helper()
	s.private.killed(s.tb)
}

// Stop ends a private server cleanly.
func (s SQL) Stop() {
	s.private.mustBePrivate(s.tb)
	s.private.stopped()
}

// Start starts a private server again after Kill or Stop, on the same port and data.
func (s SQL) Start() {
	s.private.mustBePrivate(s.tb)
	s.tb.Helper()
	s.private.startedAgain(s.tb)
}

func (n *node) killed(tb testing.TB) {
	tb.Helper()
	p, alive := readProcess(n.path("pid"))
	if !alive {
		tb.Fatalf("killing %s: it does not run", n.name)
	}
	p.kill()
}

func (n *node) stopped() {
	if p, alive := readProcess(n.path("pid")); alive {
		p.stop(stopPatience)
	}
}

func (n *node) startedAgain(tb testing.TB) {
	tb.Helper()
	if err := n.start(tb.Context()); err != nil {
		tb.Fatalf("starting %s again: %v", n.name, err)
	}
}

// mustBePrivate panics for a shared server, which other tests are using.
func (n *node) mustBePrivate(tb testing.TB) {
	if n == nil || tb == nil {
		panic("servers: a shared server is not to be stopped by a test: use NewMySQL or NewMariaDB")
	}
}

// Kafka returns the bootstrap address of the shared Apache Kafka: one broker, no automatic topics, log cleaner on.
func Kafka(tb testing.TB) string {
	tb.Helper()
	_, nodes := running(tb, KindKafka)
	return address(nodes[0].ports[0])
}

// NewKafka starts a broker of the test's own, configured as the shared one but for further lines of server.properties,
// which win, and returns its bootstrap address.
func NewKafka(tb testing.TB, properties ...string) string {
	tb.Helper()
	n := runningPrivate(tb, "kafka", 2, properties, kafkaRecipe)
	return address(n.ports[0])
}

// KafkaSecure returns the shared broker with TLS and SASL.
func KafkaSecure(tb testing.TB) KafkaSecurity {
	tb.Helper()
	local, nodes := running(tb, KindKafkaSecure)
	security, err := local.kafkaSecurity(tb.Context(), nodes[0])
	if err != nil {
		tb.Fatal(err)
	}
	return security
}

// TLS returns certificates for servers and clients on this machine, for the arguments of private servers.
func TLS(tb testing.TB) Certificates {
	tb.Helper()
	local, err := tests()
	if err != nil {
		tb.Fatal(err)
	}
	files, err := local.Certificates(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// Elasticsearch returns the URL of the shared Elasticsearch 8.
func Elasticsearch(tb testing.TB) string {
	tb.Helper()
	_, nodes := running(tb, KindElasticsearch)
	return "http://" + address(nodes[0].ports[0])
}

// Redis returns host:port of the shared Redis.
func Redis(tb testing.TB) string {
	tb.Helper()
	_, nodes := running(tb, KindRedis)
	return address(nodes[0].ports[0])
}

// NewRedis starts a Redis of the test's own with further server arguments, which win, and returns host:port. With
// `--tls-port` the argument `{port}` stands for the port, and `--port 0` switches the other listener off.
func NewRedis(tb testing.TB, args ...string) string {
	tb.Helper()
	n := runningPrivate(tb, "redis", 1, args, func(l *Local) recipe { return redisRecipe(l) })
	return address(n.ports[0])
}

// RedisCluster returns host:port of the three masters of the shared Redis cluster.
func RedisCluster(tb testing.TB) []string {
	tb.Helper()
	_, nodes := running(tb, KindRedisCluster)
	addresses := make([]string, len(nodes))
	for i, n := range nodes {
		addresses[i] = address(n.ports[0])
	}
	return addresses
}

// Unique returns prefix with a suffix that no other call returns, in this run or another; good for topics, groups,
// indexes, buckets and key prefixes as long as prefix is in lower case.
func Unique(tb testing.TB, prefix string) string {
	tb.Helper()
	const day = 24 * time.Hour
	moment := time.Now().UnixMilli() % (10_000 * day).Milliseconds()
	return fmt.Sprintf("%s-%s%s", prefix, strconv.FormatInt(moment, 36), strconv.FormatInt(rand.Int64N(36*36*36*36*36*36), 36))
}
