package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/compare"
)

func TestReferenceShopRunsFromItsFiles(t *testing.T) {
	s := newShop(t)
	w := &workload{db: s.db, seed: seed, pause: 10 * time.Millisecond, tables: shopTables()}
	s.must(w.create(t.Context()))
	s.start()
	s.disturb(w)
	s.settle(40 * time.Second)
	s.compare()
	s.checkKeys()
	s.checkObjects()
	s.checkLake()
	s.checkOtherTopics()
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
	s.untilSnapshot("COMPLETED")
	s.crash(s.capture, some(200))
	for _, i := range r.Perm(len(s.sinks)) {
		time.Sleep(some(500))
		s.crash(s.sinks[i], some(200))
	}
	s.must(w.addColumn(s.t.Context(), "orders", "channel VARCHAR(20) NULL", "channel = 'shop'"))
	s.must(w.addColumn(s.t.Context(), "customers", "level INT NOT NULL DEFAULT 7", "level = 8"))
	time.Sleep(some(1000))
	stop()
	s.must(<-done)
	s.t.Logf("%d transactions changed %d rows", w.transactions.Load(), w.rows.Load())
}

// compare compares every table with its targets.
func (s *shop) compare() {
	s.t.Helper()
	report, err := compare.Verify(s.t.Context(), s.jobs(), compare.Options{})
	s.must(err)
	var text strings.Builder
	s.must(report.Write(&text))
	s.t.Logf("\n%s", text.String())
	if report.Differences() > 0 {
		s.t.Errorf("%d differences", report.Differences())
	}
	for _, e := range report.Events {
		if e.Compacted > 0 {
			s.t.Errorf("%d events of %s are no longer in Kafka", e.Compacted, e.Table)
		}
	}
}

// checkKeys looks at every key of the cache: it is a row's and expires within
// the time of the files, or it is the sink's own.
func (s *shop) checkKeys() {
	s.t.Helper()
	ctx := s.t.Context()
	row := regexp.MustCompile(`^` + cachePrefix + `(` + strings.Join(cached, "|") + `):(weir:|\d+$)`)
	rows := 0
	for keys := s.cache.Scan(ctx, 0, "*", 1000).Iterator(); keys.Next(ctx); {
		parts := row.FindStringSubmatch(keys.Val())
		switch {
		case parts == nil:
			s.t.Errorf("the cache has the key %s", keys.Val())
		case parts[2] != "weir:":
			rows++
			if left, err := s.cache.PTTL(ctx, keys.Val()).Result(); err != nil || left <= 0 || left > cacheTTL {
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
