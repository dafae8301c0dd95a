package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
)

// counters are tables of (id, n) of which every change of a row moves n on by
// one: an insert gives it one more than the row of the id last had, an update
// adds one, a delete ends it until the next insert.
type counters struct {
	rig *rig
	// pause is between two transactions of a writer.
	pause time.Duration
	// keep is for no deletes, so that the table shows all counters.
	keep bool
	// outage is called when the server does not answer; the writer goes on when
	// it returns nil. nil: no outage is expected.
	outage func(ctx context.Context) error

	transactions atomic.Int64
}

const (
	writers  = 2
	keys     = 40  // of a writer, in each of small
	wideRows = 600 // of table wide, of each writer
)

// small are the tables that are changed row by row.
var small = []string{"a", "b"}

// create makes the tables with some rows: those that count; one without a key,
// which a snapshot reads in one piece; and one for TRUNCATE.
func (c *counters) create() {
	for _, table := range append([]string{"wide", "swept"}, small...) {
		c.rig.exec("CREATE TABLE " + table + " (id INT PRIMARY KEY, n BIGINT NOT NULL, pad VARCHAR(200) NOT NULL)")
	}
	c.rig.exec("CREATE TABLE bare (v INT, s VARCHAR(20))", "CREATE TABLE marks (writer INT PRIMARY KEY, tx BIGINT)")
	series := func(rows int) string {
		return fmt.Sprintf("WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT ", rows)
	}
	c.rig.exec("SET SESSION cte_max_recursion_depth = 100000", "INSERT INTO bare "+series(300)+"i, 'first' FROM s", "INSERT INTO swept "+series(50)+"i, 1, '' FROM s")
	for w := range writers {
		c.rig.exec(fmt.Sprintf("INSERT INTO marks VALUES (%d, 0)", w))
	}
}

// writer changes rows of its own: nobody else does.
type writer struct {
	*counters
	number int
	r      *rand.Rand
	tx     int64
	n      map[string][]int64 // by table, by key: of the row, or negative of one that is gone
}

// start runs the writers; the function that it returns stops them.
func (c *counters) start(seed uint64) (stop func()) {
	c.rig.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	for i := range writers {
		w := &writer{counters: c, number: i, r: rand.New(rand.NewPCG(seed, uint64(i))), n: map[string][]int64{"wide": make([]int64, wideRows)}}
		for _, table := range small {
			w.n[table] = make([]int64, keys)
		}
		if err := w.read(ctx); err != nil {
			c.rig.t.Fatal(err)
		}
		g.Go(func() error { return w.run(ctx) })
	}
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := g.Wait(); err != nil {
			c.rig.t.Errorf("writing: %v", err)
		}
	}
	c.rig.t.Cleanup(stop)
	return stop
}

// id is that of a writer's key.
func (w *writer) id(key int) int { return w.number*10_000 + key }

// read takes over what the tables have: where they have nothing, a row that is
// known to be gone keeps its number.
func (w *writer) read(ctx context.Context) error {
	if err := w.rig.db.QueryRowContext(ctx, "SELECT tx FROM marks WHERE writer = ?", w.number).Scan(&w.tx); err != nil {
		return err
	}
	for table, n := range w.n {
		for key := range n {
			if n[key] > 0 {
				n[key] = 0
			}
		}
		rows, err := w.rig.db.QueryContext(ctx, "SELECT id, n FROM "+table+" WHERE id BETWEEN ? AND ?", w.id(0), w.id(len(n)-1))
		if err != nil {
			return err
		}
		for rows.Next() {
			var id, at int64
			if err := rows.Scan(&id, &at); err != nil {
				return err
			}
			n[int(id)-w.id(0)] = at
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // a loop's defer would come late
			return err
		}
	}
	return nil
}

func (w *writer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.transaction(ctx)
		if err != nil && ctx.Err() == nil {
			if err := w.recover(ctx, err); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.pause):
		}
	}
	return nil
}

// recover deals with a transaction that failed.
func (w *writer) recover(ctx context.Context, err error) error {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && (refused.Number == 1213 || refused.Number == 1205) { // deadlock, lock wait: all of it is rolled back
		return nil
	}
	if w.outage == nil {
		return err
	}
	if err := w.outage(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if !w.keep {
		return w.resolve(ctx, err)
	}
	return w.read(ctx)
}

// resolve stops a test that would not know the counters of rows that are gone.
func (w *writer) resolve(_ context.Context, err error) error {
	return fmt.Errorf("an outage needs counters.keep: %w", err)
}

// transaction makes one, and takes note of it when it is committed.
func (w *writer) transaction(ctx context.Context) error {
	tx, err := w.rig.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it is committed, or given up
	after := map[string]map[int]int64{}
	do := w.some
	if w.r.IntN(25) == 0 {
		do = w.all
	}
	if err := do(ctx, tx, after); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE marks SET tx = ? WHERE writer = ?", w.tx+1, w.number); err != nil {
		return err
	}
	// A commit is not cut short: its outcome would not be known.
	if err := tx.Commit(); err != nil {
		return err
	}
	w.tx++
	w.transactions.Add(1)
	for table, rows := range after {
		for key, n := range rows {
			w.n[table][key] = n
		}
	}
	return nil
}

// some changes a few rows of small tables, perhaps one several times.
func (w *writer) some(ctx context.Context, tx *sql.Tx, after map[string]map[int]int64) error {
	for range 1 + w.r.IntN(5) {
		table, key := small[w.r.IntN(len(small))], w.r.IntN(keys)
		if after[table] == nil {
			after[table] = map[int]int64{}
		}
		n, ok := after[table][key]
		if !ok {
			n = w.n[table][key]
		}
		pad := strings.Repeat("x", w.r.IntN(200))
		var err error
		switch {
		case n <= 0:
			n = -n + 1
			_, err = tx.ExecContext(ctx, "INSERT INTO "+table+" (id, n, pad) VALUES (?, ?, ?)", w.id(key), n, pad)
		case !w.keep && w.r.IntN(6) == 0:
			n = -n
			_, err = tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE id = ?", w.id(key))
		default:
			n++
			_, err = tx.ExecContext(ctx, "UPDATE "+table+" SET n = n + 1, pad = ? WHERE id = ?", pad, w.id(key))
		}
		if err != nil {
			return err
		}
		after[table][key] = n
	}
	return nil
}

// all changes every row of the writer in table wide, which spans several Kafka
// transactions.
func (w *writer) all(ctx context.Context, tx *sql.Tx, after map[string]map[int]int64) error {
	rows := map[int]int64{}
	for key, n := range w.n["wide"] {
		rows[key] = n + 1
	}
	after["wide"] = rows
	if w.n["wide"][0] == 0 {
		values := make([]string, wideRows)
		for key := range values {
			values[key] = fmt.Sprintf("(%d, 1, '')", w.id(key))
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO wide VALUES "+strings.Join(values, ","))
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE wide SET n = n + 1 WHERE id BETWEEN ? AND ?", w.id(0), w.id(wideRows-1))
	return err
}
