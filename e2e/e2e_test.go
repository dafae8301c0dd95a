package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/compare"
)

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "weir-e2e-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// seed makes runs the same again, as far as processes on a busy machine are.
const seed = 20261122

func TestEveryRowReachesEveryTargetThroughCrashes(t *testing.T) {
	for _, source := range []struct {
		name, class string
		start       func(testing.TB, ...string) servers.SQL
		settings    map[string]map[string]string // of sinks, by binary
	}{
		{"MySQL", "io.debezium.connector.mysql.MySqlConnector", servers.NewMySQL, nil},
		{"MariaDB", "io.debezium.connector.mariadb.MariaDbConnector", servers.NewMariaDB, map[string]map[string]string{
			"weir-elasticsearch": {"temporal.format": "iso"}, "weir-redis": {"redis.type": "HASH"},
		}},
	} {
		t.Run(source.name, func(t *testing.T) {
			f := newFleet(t, source.start(t))
			w := &workload{db: f.db, seed: seed, pause: 5 * time.Millisecond, tables: tables()}
			if err := w.create(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.startCapture(source.class)
			f.startSinks(source.settings)
			f.disturb(w)
			f.settle(time.Minute)
			f.check(w)
		})
	}
}

// disturb lets the workload run while every process is killed once and started
// again, the capture while it reads the tables and in a large transaction.
func (f *fleet) disturb(w *workload) {
	f.t.Helper()
	ctx, stop := context.WithCancel(f.t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()

	r := rand.New(rand.NewPCG(seed, 0))
	moment := func(ms int) time.Duration { return time.Duration(ms+r.IntN(ms)) * time.Millisecond }
	f.untilSnapshot("RUNNING")
	f.crash(f.capture, moment(200))
	for _, i := range r.Perm(len(f.sinks)) {
		time.Sleep(moment(1000))
		f.crash(f.sinks[i], moment(200))
	}
	f.untilSnapshot("COMPLETED")
	f.must(w.addColumn(f.t.Context(), "orders", "channel VARCHAR(20) NULL", "channel = 'shop'"))
	f.must(w.addColumn(f.t.Context(), "parts", "level INT NOT NULL DEFAULT 7", "level = 8"))
	large := make(chan error, 1)
	go func() { large <- w.large(f.t.Context(), 5000) }()
	time.Sleep(moment(1000))
	f.crash(f.capture, moment(200))
	f.must(<-large)
	time.Sleep(moment(2000))
	stop()
	f.must(<-done)
	f.t.Logf("%d transactions changed %d rows", w.transactions.Load(), w.rows.Load())
}

// untilSnapshot waits until the capture's snapshot is in a state and has rows.
func (f *fleet) untilSnapshot(state string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	err := f.capture.Until(ctx, func(ctx context.Context) error {
		s, err := f.capture.Status(ctx)
		if err == nil && (s.Snapshot == nil || s.Snapshot.State != state || s.Snapshot.Rows == 0) {
			err = errors.New("the snapshot is not " + state)
		}
		return err
	})
	f.must(err)
}

// check compares all tables with all targets, and stops the fleet, which has to
// end cleanly.
func (f *fleet) check(w *workload) {
	f.t.Helper()
	report, err := compare.Verify(f.t.Context(), f.jobs(w.tables), compare.Options{})
	f.must(err)
	var text strings.Builder
	f.must(report.Write(&text))
	f.t.Logf("\n%s", text.String())
	if report.Differences() > 0 {
		f.t.Errorf("%d differences", report.Differences())
	}
	for _, r := range report.Results {
		if r.Incomplete > 0 && !strings.HasSuffix(r.Table, ".orders") && !strings.HasSuffix(r.Table, ".parts") {
			f.t.Errorf("%s lacks columns in %d rows of %s, and none was added", r.Target, r.Incomplete, r.Table)
		}
	}
	for _, e := range report.Events {
		if e.Compacted > 0 {
			f.t.Errorf("%d events of %s are no longer in Kafka", e.Compacted, e.Table)
		}
	}
	f.checkWithDuckDB(w)
	for _, c := range f.components() {
		if err := c.Stop(patience); err != nil {
			f.t.Error(err)
		}
	}
}
