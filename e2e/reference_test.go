package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

func TestReferenceShopRunsFromItsFiles(t *testing.T) {
	s := newShop(t)
	w := &workload{db: s.db, seed: seed, pause: 10 * time.Millisecond, tables: shopTables()}
	s.must(w.create(t.Context()))
	s.start()
	s.disturb(w)
	s.settle()
	compared(s.t, s.jobs())
	s.checkKeys()
	s.checkObjects()
	s.checkLake()
	s.checkOtherTopics()
	s.checkReadme()
	s.verify()
	for _, c := range s.components() {
		if err := c.Stop(patience); err != nil {
			t.Error(err)
		}
	}
}

// disturb lets the workload run while every process is killed once and started
// again, and columns are added.
func (s *shop) disturb(w *workload) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()

	r := rand.New(rand.NewPCG(seed, 1))
	some := func(ms int) time.Duration { return time.Duration(ms+r.IntN(ms)) * time.Millisecond }
	s.untilSnapshot(true)
	s.crash(s.captures[0], some(200))
	for _, i := range r.Perm(len(s.sinks)) {
		time.Sleep(some(500))
		s.crash(s.sinks[i][0], some(200))
	}
	s.must(w.addColumn(s.t.Context(), "orders", "channel VARCHAR(20) NULL", "channel = 'shop'"))
	s.must(w.addColumn(s.t.Context(), "customers", "level INT NOT NULL DEFAULT 7", "level = 8"))
	time.Sleep(some(1000))
	stop()
	s.must(<-done)
	s.t.Logf("%d transactions changed %d rows", w.transactions.Load(), w.rows.Load())
}

// checkKeys looks at every key of the cache: it is a row's and expires within
// the time of the files, or it is the sink's own.
func (s *shop) checkKeys() {
	s.t.Helper()
	ctx := s.t.Context()
	row := regexp.MustCompile(`^` + cachePrefix + `(` + strings.Join(cached, "|") + `):(weir:|\d+$)`)
	rows, wrong := 0, 0
	for keys := s.cache.Scan(ctx, 0, "*", 1000).Iterator(); keys.Next(ctx); {
		parts := row.FindStringSubmatch(keys.Val())
		switch {
		case parts == nil:
			s.t.Errorf("the cache has the key %s", keys.Val())
		case parts[2] != "weir:":
			rows++
			left, err := s.cache.PTTL(ctx, keys.Val()).Result()
			if wrong < 5 && (err != nil || left <= 0 || left > cacheTTL) {
				wrong++
				s.t.Errorf("%s expires in %v (%v)", keys.Val(), left, err)
			}
		}
	}
	if rows == 0 {
		s.t.Error("the cache has no rows")
	}
}

// checkObjects looks at the name of every object of the lake.
func (s *shop) checkObjects() {
	s.t.Helper()
	name := regexp.MustCompile(`^topics/(orders\.(?:` + strings.Join(indexed, "|") + `))/(\d{4}/\d\d/\d\d/\d\d)/(\S+?)\+\d\+\d{10}\+[0-9a-f]{8}(?:\+s\d+)?\.snappy\.parquet$`)
	objects := map[string]int{}
	s.must(s.bucket.List(s.t.Context(), "", func(object string) error {
		parts := name.FindStringSubmatch(object)
		if parts == nil || parts[3] != parts[1] {
			s.t.Errorf("the lake has the object %s", object)
			return nil
		}
		hour, err := time.Parse("2006/01/02/15", parts[2])
		if err != nil || hour.Before(s.began.UTC().Truncate(time.Hour)) || hour.After(time.Now()) {
			s.t.Errorf("the object %s is not in the hour of its records (%v)", object, err)
		}
		objects[parts[1]]++
		return nil
	}))
	if len(objects) != len(indexed) {
		s.t.Errorf("the lake has objects of %v only", objects)
	}
}

// lakeScript counts, of each topic named, the rows, those without what the
// files' transforms add, and the keys that are not deleted.
const lakeScript = `
import sys, json, duckdb
c, found = duckdb.connect(), {}
for topic in sys.argv[3:]:
    c.execute(f"CREATE OR REPLACE VIEW v AS SELECT * FROM read_parquet('{sys.argv[1]}/topics/{topic}/**/*.parquet', union_by_name=true, hive_partitioning=false)")
    rows, events, bare = c.execute(f"""SELECT count(*), count(DISTINCT (__partition, __offset)), count(*) FILTER (NOT coalesce(CASE WHEN __deleted THEN __op = 'd' ELSE
        regexp_full_match(processed_at, '{sys.argv[2]}') AND __op IN ('c', 'u', 'r') AND __source_ts_ms BETWEEN 1700000000000 AND __ts_ms + 1000 END, false)) FROM v""").fetchone()
    live, = c.execute("SELECT count(*) FROM (SELECT __deleted FROM v QUALIFY row_number() OVER (PARTITION BY id ORDER BY __version DESC) = 1) WHERE NOT __deleted").fetchone()
    found[topic] = {"Rows": rows, "Events": events, "Bare": bare, "Live": live}
json.dump(found, sys.stdout)
`

// checkLake reads the lake with an engine that is not ours.
func (s *shop) checkLake() {
	s.t.Helper()
	arguments := []string{filepath.Clean(s.download()), moment}
	for _, name := range indexed {
		arguments = append(arguments, topicOf(name))
	}
	var found map[string]struct{ Rows, Events, Bare, Live int }
	python := servers.PythonWith(s.t, "duckdb==2.0.0", "pyarrow==26.0.1", "pytz")
	s.must(json.Unmarshal(python.Run(s.t, lakeScript, arguments...), &found))
	for _, name := range indexed {
		var rows int
		s.must(s.db.QueryRowContext(s.t.Context(), "SELECT COUNT(*) FROM "+name).Scan(&rows))
		if got := found[topicOf(name)]; got.Live != rows || got.Events != got.Rows || got.Bare != 0 {
			s.t.Errorf("%s has %d rows; DuckDB finds %+v", name, rows, got)
		}
	}
}

// checkOtherTopics looks for the events that are about no row, schema changes
// and transactions, whose topics the capture's route leaves alone; and for dead
// letters, of which there are none.
func (s *shop) checkOtherTopics() {
	s.t.Helper()
	ends, err := kadm.NewClient(s.kafka).ListEndOffsets(s.t.Context())
	s.must(err)
	records := map[string]int64{}
	ends.Each(func(end kadm.ListedOffset) { records[end.Topic] += max(0, end.Offset) })
	for _, topic := range []string{shopPrefix, shopPrefix + ".transactions.orders.ecommerce"} {
		if records[topic] == 0 {
			s.t.Errorf("topic %s has no events", topic)
		}
	}
	for topic, n := range records {
		if strings.HasSuffix(topic, "-dlq") && n > 0 {
			s.t.Errorf("topic %s has %d dead letters", topic, n)
		}
	}
}

// checkReadme compares the commands of the files' README with what was set here,
// but for what is set for tests only.
func (s *shop) checkReadme() {
	s.t.Helper()
	forTests := []string{"transforms.route.replacement", "rotate.schedule.interval.ms", "consumer.override.session.timeout.ms", "consumer.override.heartbeat.interval.ms"}
	text, err := os.ReadFile(filepath.Join(corrected, "README.md"))
	s.must(err)
	for _, c := range s.started {
		command := regexp.MustCompile(`(?m)^weir-.*--config ` + regexp.QuoteMeta(c.file) + `(.*)$`).FindStringSubmatch(string(text))
		if command == nil {
			s.t.Errorf("the README does not run %s", c.file)
			continue
		}
		var want, got []string
		for name := range c.set {
			if !slices.Contains(forTests, name) {
				want = append(want, name)
			}
		}
		for _, set := range regexp.MustCompile(`--set ([^= ]+)=`).FindAllStringSubmatch(command[1], -1) {
			got = append(got, set[1])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			s.t.Errorf("the README sets %v for %s, and the shop runs with %v", got, c.file, want)
		}
	}
}

// verify lets weirctl compare everything, with the files as the components have
// them.
func (s *shop) verify() {
	s.t.Helper()
	environ := append(os.Environ(), "WEIR_BOOTSTRAP_SERVERS="+s.brokers)
	args := []string{"verify", "--events", "--rounds", "0"}
	for _, c := range s.started {
		connector, err := processes.ReadConnector(filepath.Join(corrected, c.file), c.set)
		s.must(err)
		text, err := json.Marshal(connector)
		s.must(err)
		file := filepath.Join(s.run, "verified-"+c.file)
		s.must(os.WriteFile(file, text, 0o600))
		args, environ = append(args, "-c", file), append(environ, c.env...)
	}
	command := exec.CommandContext(s.t.Context(), filepath.Join(folder, "weirctl"), args...)
	command.Env = environ
	output, err := command.CombinedOutput()
	if err != nil {
		s.t.Errorf("weirctl verify: %v\n%s", err, output)
	}
	for _, want := range []string{"elasticsearch", "redis", "lake", "change events", "ecommerce.orders ", "ecommerce.order_items ", "ecommerce.customers ", "ecommerce.products "} {
		if !strings.Contains(string(output), want) {
			s.t.Errorf("weirctl verify says nothing of %s:\n%s", want, output)
		}
	}
}
