package e2e

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// seed throws the dice of a run: the same one makes the same changes and
// disturbances, as far as processes on a busy machine are the same.
var seed uint64

func TestMain(m *testing.M) {
	flag.Uint64Var(&seed, "seed", fixedSeed, "throws the dice; 0 is a new one each time")
	flag.IntVar(&kills, "kills", 0, "how often processes are killed in all, half of it on each source; 0 is a short run")
	flag.Parse()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			panic("SEED: " + err.Error())
		}
	}
	for seed == 0 {
		seed = rand.Uint64N(1_000_000)
	}
	var err error
	if folder, err = os.MkdirTemp("", "weir-e2e-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

const fixedSeed = 20261122

// kills is how long the run is. The short one is for every change, the long one
// (task chaos) restarts every server and takes a quarter of an hour.
var kills int

// ownServers are servers that no other test uses, so that they can be restarted.
type ownServers struct {
	at                          places
	kafka, cache, store, search *servers.Private
}

// newServers starts them. The short run shares Elasticsearch, which takes longest
// to start.
func newServers(t *testing.T) *ownServers {
	t.Helper()
	o := &ownServers{kafka: servers.NewBroker(t, nil),
		// With everysec, the default, an answer may be ahead of the file.
		cache: servers.NewRedisServer(t, "--appendonly", "yes", "--appendfsync", "no")}
	o.store, o.at.store = servers.NewS3(t)
	o.at.kafka, o.at.cache = o.kafka.Address, o.cache.Address
	if kills == 0 {
		o.at.search = servers.Elasticsearch(t)
		return o
	}
	o.search = servers.NewElasticsearch(t)
	o.at.search = "http://" + o.search.Address
	return o
}

func TestEveryRowReachesEveryTargetThroughCrashes(t *testing.T) {
	t.Logf("seed %d", seed)
	own := newServers(t)
	t.Run("MySQL", func(t *testing.T) {
		c := prepare(t, servers.NewMySQL(t), own, 20, 1)
		c.startCaptures(2, "io.debezium.connector.mysql.MySqlConnector")
		c.startSinks(c.instancesOfSinks(), nil)
		c.disturb(c.everything(own))
	})
	t.Run("MariaDB", func(t *testing.T) {
		c := prepare(t, servers.NewMariaDB(t), own, 8, 2)
		c.startCaptures(2, "io.debezium.connector.mariadb.MariaDbConnector")
		c.startSinks(c.instancesOfSinks(), map[string]map[string]string{
			"weir-elasticsearch": {"temporal.format": "iso"}, "weir-redis": {"redis.type": "HASH"},
		})
		if kills == 0 {
			c.disturb(c.little())
			return
		}
		c.disturb(c.everything(own))
	})
}

// prepare makes a fleet without processes and its tables; few is how many kills
// a short run has.
func prepare(t *testing.T, source servers.SQL, own *ownServers, few int, stream uint64) *chaos {
	t.Helper()
	f := newFleet(t, source, own.at)
	w := &workload{db: f.db, seed: seed + stream, pause: 30 * time.Millisecond, tables: tables()}
	c := newChaos(f, w, few, 800*time.Millisecond)
	if kills > 0 {
		w.pause, c.kills, c.pause = 50*time.Millisecond, kills/2, 2500*time.Millisecond
	}
	f.must(w.create(t.Context()))
	return c
}

func (c *chaos) instancesOfSinks() int {
	if kills > 0 {
		return 3
	}
	return 2
}

// disturb lets the workload run, and readers, while all processes are killed over
// and over and events happen; then it compares everything.
func (c *chaos) disturb(events []event) {
	c.t.Helper()
	c.occupy()
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- c.w.run(ctx) }()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { c.moderate(ctx) })
	c.watch.start()
	c.untilSnapshot(false)
	c.killLeader()
	c.run(events)
	stop()
	c.must(<-done)
	c.say("%d transactions; waiting for zero lag", c.w.transactions.Load())
	c.settle()
	c.watch.end()
	c.check()
}

// share is the number of kills after which a share of them is done.
func (c *chaos) share(percent int) int { return c.kills * percent / 100 }

// little is what happens in any run.
func (c *chaos) little() []event {
	return []event{
		{c.share(15), "columns are added when the snapshot is done", c.addColumns},
		{c.share(25), "the leader is killed in a large transaction", c.large},
		{c.share(50), "the leader is frozen", c.freezeLeader},
		{c.share(75), "the source is restarted", func() { c.restart("source", c.source.Kill, c.source.Start) }},
	}
}

// everything is what happens in a run that proves all.
func (c *chaos) everything(own *ownServers) []event {
	var rebuilt chan struct{}
	crash := time.Duration(0)
	if kills > 0 {
		crash = c.about(4 * time.Second)
	}
	events := []event{
		{c.share(10), "columns are added when the snapshot is done", c.addColumns},
		{c.share(15), "the leader is killed in a large transaction", c.large},
		{c.share(20), "Redis is restarted", func() { c.restart("Redis", own.cache.Kill, own.cache.Start) }},
		{c.share(25), "the leader is frozen", c.freezeLeader},
		{c.share(30), "Kafka is restarted", func() { c.restart("Kafka", own.kafka.Kill, own.kafka.Start) }},
		{c.share(35), "the indexes are rebuilt", func() { rebuilt = c.rebuild(crash) }},
		{c.share(50), "Redis is replayed when the indexes are rebuilt", func() { <-rebuilt; c.replay(cacheSink) }},
		{c.share(55), "a reset of the lake is refused", c.refuseLake},
		{c.share(60), "Elasticsearch is replayed", func() {
			c.replay(searchSink, "Deleted documents may reappear until their deletes are read again; weirctl rebuild elasticsearch avoids that.")
		}},
		{c.share(70), "the S3 server is restarted", func() { c.restart("S3", own.store.Kill, own.store.Start) }},
		{c.share(75), "the source is restarted", func() { c.restart("source", c.source.Kill, c.source.Start) }},
	}
	if kills == 0 {
		return events
	}
	return append(events,
		event{c.share(80), "Elasticsearch is restarted", func() {
			c.restart("Elasticsearch", func() { own.search.Kill(); c.watch.search.forget() }, own.search.Start)
		}},
		event{c.share(84), "the lake's offsets are moved behind its back", c.resetLake},
		event{c.share(88), "the leader is frozen", c.freezeLeader},
		event{c.share(92), "Kafka is restarted", func() { c.restart("Kafka", own.kafka.Kill, own.kafka.Start) }},
		event{c.share(95), "the leader is killed in a large transaction", c.large},
	)
}

// addColumns adds columns, of which later transactions make use.
func (c *chaos) addColumns() {
	c.t.Helper()
	c.untilSnapshot(true)
	c.must(c.w.addColumn(c.t.Context(), "orders", "channel VARCHAR(20) NULL", "channel = 'shop'"))
	c.must(c.w.addColumn(c.t.Context(), "parts", "level INT NOT NULL DEFAULT 7", "level = 8"))
}

// large kills the leader in a large transaction.
func (c *chaos) large() {
	c.t.Helper()
	c.beside.Go(func() error { return c.w.large(c.t.Context(), 5000) })
	c.wait(c.about(1500 * time.Millisecond))
	c.killLeader()
}

// check compares all tables with all targets and judges what was seen meanwhile,
// and stops the fleet, which has to end cleanly.
func (c *chaos) check() {
	c.t.Helper()
	report := compared(c.t, c.jobs(c.w.tables))
	for _, r := range report.Results {
		if r.Incomplete > 0 && !strings.HasSuffix(r.Table, ".orders") && !strings.HasSuffix(r.Table, ".parts") {
			c.t.Errorf("%s lacks columns in %d rows of %s, and none was added", r.Target, r.Incomplete, r.Table)
		}
	}
	c.checkWithDuckDB(c.w)
	c.watch.check()
	c.checkLive()
	c.usage.check(c.fleet, c.slots)
	for _, s := range c.components() {
		if err := s.Stop(patience); err != nil {
			c.t.Error(err)
		}
	}
	c.t.Logf("seed %d: %s", seed, c.summary(report))
}
