package e2e

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
)

// workload changes tables at random: inserts, updates, deletes, key changes,
// transactions over several tables, rollbacks, one large transaction, added
// columns. The same seed makes the same changes, but for what writers do at the
// same time.
type workload struct {
	db     *sql.DB
	seed   uint64
	pause  time.Duration // between two transactions of a writer
	slow   atomic.Bool   // writers wait: the targets are far behind
	tables []*table

	next         atomic.Int64 // number of the next key
	transactions atomic.Int64
	rows         atomic.Int64
}

// writers is how many change the tables at a time. Each has keys of its own, so
// that they wait for one another on few rows only.
const writers = 3

// writer is one of them.
type writer struct {
	*workload
	r    *rand.Rand
	keys map[*table][][]any // rows that it knows
}

// create makes the tables and their first rows.
func (w *workload) create(ctx context.Context) error {
	for _, t := range w.tables {
		if _, err := w.db.ExecContext(ctx, t.create()); err != nil {
			return fmt.Errorf("creating %s: %w", t.name, err)
		}
	}
	one := w.writer(writers)
	for _, t := range w.tables {
		if err := one.transaction(ctx, func(c *change) error { return c.insert(t, t.seeded) }); err != nil {
			return fmt.Errorf("filling %s: %w", t.name, err)
		}
	}
	return nil
}

func (w *workload) writer(i int) *writer {
	return &writer{workload: w, r: rand.New(rand.NewPCG(w.seed, uint64(i))), keys: map[*table][][]any{}}
}

// run changes the tables until ctx ends.
func (w *workload) run(ctx context.Context) error {
	var g errgroup.Group
	for i := range writers {
		g.Go(func() error { return w.writer(i).run(ctx) })
	}
	return g.Wait()
}

func (w *writer) run(ctx context.Context) error {
	for last := time.Now(); ctx.Err() == nil; {
		if w.slow.Load() {
			last = time.Now()
			_ = pause(ctx, 100*time.Millisecond) // ctx is looked at again
			continue
		}
		switch err := w.transaction(ctx, w.act); {
		case err == nil, ctx.Err() != nil, errors.Is(err, errRollback):
			last = time.Now()
		case !undone(err) && !lost(err), time.Since(last) > outage:
			return fmt.Errorf("changing tables: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.pause):
		}
	}
	return nil
}

// outage is how long the server may be away, or refuse every transaction.
const outage = 3 * time.Minute

// undone reports whether the server gave a transaction up: a deadlock, or a lock
// that it waited for too long.
func undone(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && (refused.Number == 1213 || refused.Number == 1205)
}

// lost reports whether the server is gone, so that nobody knows what became of
// the transaction. A writer then takes it as undone: of its keys it may miss some
// and know some that are gone, which it changes in vain.
func lost(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// persist calls try until it succeeds, with a server that may be away.
func persist(ctx context.Context, try func() error) error {
	for began := time.Now(); ; {
		err := try()
		if err == nil || ctx.Err() != nil || !undone(err) && !lost(err) || time.Since(began) > outage {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// errRollback asks for a transaction to be undone.
var errRollback = errors.New("rolled back at random")

// act is one random transaction.
func (w *writer) act(c *change) error {
	for range 1 + w.r.IntN(4) {
		t := w.tables[w.r.IntN(len(w.tables))]
		var err error
		switch n := w.r.IntN(100); {
		case n < 30:
			err = c.insert(t, 1+w.r.IntN(8))
		case n < 70:
			err = c.update(t)
		case n < 85:
			err = c.remove(t)
		case n < 95:
			err = c.rekey(t)
		default:
			err = c.savepoint(t)
		}
		if err != nil {
			return err
		}
	}
	if w.r.IntN(20) == 0 {
		return errRollback
	}
	return nil
}

// change is a transaction, and what the writer will know when it is committed.
type change struct {
	*writer
	ctx  context.Context
	tx   *sql.Tx
	now  map[*table][][]any
	rows int64
}

// transaction runs do in a transaction.
func (w *writer) transaction(ctx context.Context, do func(*change) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	c := &change{writer: w, ctx: ctx, tx: tx, now: map[*table][][]any{}}
	for t, keys := range w.keys {
		c.now[t] = append([][]any{}, keys...)
	}
	if err := do(c); err != nil {
		_ = tx.Rollback() // the error says what was wrong
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.keys = c.now
	w.transactions.Add(1)
	w.workload.rows.Add(c.rows)
	return nil
}

func (c *change) exec(statement string, values ...any) error {
	result, err := c.tx.ExecContext(c.ctx, statement, values...)
	if err != nil {
		return fmt.Errorf("%.200s: %w", statement, err)
	}
	rows, err := result.RowsAffected()
	c.rows += rows
	return err
}

// atOnce is how many rows one statement inserts at most.
const atOnce = 250

// insert adds rows.
func (c *change) insert(t *table, rows int) error {
	for rows > 0 {
		n := min(rows, atOnce)
		rows -= n
		var tuples []string
		var values []any
		for range n {
			key := t.key(c.r, c.next.Add(1))
			c.now[t] = append(c.now[t], key)
			values = append(values, key...)
			texts := strings.Repeat("?, ", len(key))
			for i := t.keys; i < len(t.columns); i++ {
				texts += t.columns[i].whole() + ", "
				values = append(values, t.columns[i].value(c.r))
			}
			tuples = append(tuples, "("+strings.TrimSuffix(texts, ", ")+")")
		}
		if err := c.exec("INSERT INTO "+t.name+" ("+t.names()+") VALUES "+strings.Join(tuples, ", "), values...); err != nil {
			return err
		}
	}
	return nil
}

// names are the columns' names; the server may have more.
func (t *table) names() string {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// pick is the place of a known row, -1 if there is none.
func (c *change) pick(t *table) int {
	if len(c.now[t]) == 0 {
		return -1
	}
	return c.r.IntN(len(c.now[t]))
}

// where selects a row by its key.
func (t *table) where() string {
	var parts []string
	for _, c := range t.columns[:t.keys] {
		parts = append(parts, c.name+" = ?")
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// update changes some columns of a row.
func (c *change) update(t *table) error {
	at := c.pick(t)
	if at < 0 {
		return nil
	}
	var sets []string
	var values []any
	first := t.keys + c.r.IntN(len(t.columns)-t.keys)
	for i := first; i < min(first+3, len(t.columns)); i++ {
		sets = append(sets, t.columns[i].name+" = "+t.columns[i].whole())
		values = append(values, t.columns[i].value(c.r))
	}
	return c.exec("UPDATE "+t.name+" SET "+strings.Join(sets, ", ")+t.where(), append(values, c.now[t][at]...)...)
}

// remove deletes a row.
func (c *change) remove(t *table) error {
	at := c.pick(t)
	if at < 0 {
		return nil
	}
	key := c.now[t][at]
	c.now[t] = append(c.now[t][:at:at], c.now[t][at+1:]...)
	return c.exec("DELETE FROM "+t.name+t.where(), key...)
}

// rekey gives a row another key; sometimes a row is inserted under the old one.
func (c *change) rekey(t *table) error {
	at := c.pick(t)
	if at < 0 {
		return nil
	}
	old, key := c.now[t][at], t.key(c.r, c.next.Add(1))
	var sets []string
	for _, column := range t.columns[:t.keys] {
		sets = append(sets, column.name+" = ?")
	}
	if err := c.exec("UPDATE "+t.name+" SET "+strings.Join(sets, ", ")+t.where(), append(append([]any{}, key...), old...)...); err != nil {
		return err
	}
	c.now[t][at] = key
	if c.r.IntN(3) > 0 {
		return nil
	}
	values, texts := append([]any{}, old...), strings.Repeat("?, ", len(old))
	for i := t.keys; i < len(t.columns); i++ {
		texts += t.columns[i].whole() + ", "
		values = append(values, t.columns[i].value(c.r))
	}
	c.now[t] = append(c.now[t], old)
	return c.exec("INSERT INTO "+t.name+" ("+t.names()+") VALUES ("+strings.TrimSuffix(texts, ", ")+")", values...)
}

// savepoint makes a change and takes it back, and keeps one before it.
func (c *change) savepoint(t *table) error {
	if err := errors.Join(c.update(t), c.exec("SAVEPOINT s")); err != nil {
		return err
	}
	known := append([][]any{}, c.now[t]...)
	if err := errors.Join(c.insert(t, 2), c.remove(t), c.exec("ROLLBACK TO SAVEPOINT s")); err != nil {
		return err
	}
	c.now[t] = known
	return nil
}

// large is one transaction of many rows, over two tables.
func (w *workload) large(ctx context.Context, rows int) error {
	orders, lines := w.tables[0], w.tables[1]
	do := func(c *change) error {
		if err := errors.Join(c.insert(orders, rows), c.insert(lines, rows/2)); err != nil {
			return err
		}
		if err := c.exec("UPDATE orders SET status = 'DONE', note = 'all at once' WHERE customer_id < 100"); err != nil {
			return err
		}
		return c.exec("DELETE FROM order_lines WHERE quantity < 1000000000")
	}
	return persist(ctx, func() error { return w.writer(writers+1).transaction(ctx, do) })
}

// addColumn adds a column, which later transactions use.
func (w *workload) addColumn(ctx context.Context, table, ddl, use string) error {
	if _, err := w.db.ExecContext(ctx, "ALTER TABLE "+table+" ADD COLUMN "+ddl); err != nil {
		return fmt.Errorf("adding a column: %w", err)
	}
	err := persist(ctx, func() error {
		_, err := w.db.ExecContext(ctx, "UPDATE "+table+" SET "+use+" LIMIT 300")
		return err
	})
	if err != nil {
		return fmt.Errorf("using a new column: %w", err)
	}
	return nil
}
