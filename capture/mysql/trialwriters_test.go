package mysql_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// trialWriter changes the tables of a trial at random.
type trialWriter struct {
	db     *sql.DB
	tables []*trialTable
	writes *atomic.Int64 // the last number that was given to a write
	rng    *rand.Rand
	large  bool // rows are of some KB
}

// hold is a stripe that has to be held.
type hold struct {
	table  *trialTable
	stripe int
}

// trialWrite is one statement, made when its stripes are held.
type trialWrite struct {
	holds     []hold
	statement func(n int64) string
}

// run writes until ctx ends.
func (w *trialWriter) run(ctx context.Context) error {
	for ctx.Err() == nil {
		writes := make([]trialWrite, 1+w.rng.IntN(3)*w.rng.IntN(2))
		for i := range writes {
			writes[i] = w.write()
		}
		if err := w.transaction(ctx, writes); err != nil && ctx.Err() == nil {
			return err
		}
		if w.rng.IntN(3) == 0 {
			time.Sleep(time.Duration(w.rng.IntN(4000)) * time.Microsecond)
		}
	}
	return nil
}

// transaction runs writes in one transaction, and rolls some back.
func (w *trialWriter) transaction(ctx context.Context, writes []trialWrite) error {
	defer holdAll(writes)()
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, one := range writes {
		s := one.statement(w.writes.Add(1))
		if _, err := tx.ExecContext(ctx, s); err != nil {
			if expected(err) {
				return nil
			}
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if w.rng.IntN(12) == 0 {
		return nil // rolled back
	}
	return tx.Commit()
}

// holdAll locks the stripes of writes, in an order that all writers keep to.
func holdAll(writes []trialWrite) (release func()) {
	var holds []hold
	for _, one := range writes {
		holds = append(holds, one.holds...)
	}
	slices.SortFunc(holds, func(a, b hold) int {
		return cmp.Or(strings.Compare(a.table.id, b.table.id), cmp.Compare(a.stripe, b.stripe))
	})
	holds = slices.Compact(holds)
	for _, h := range holds {
		h.table.stripes[h.stripe].Lock()
	}
	return func() {
		for _, h := range holds {
			h.table.stripes[h.stripe].Unlock()
		}
	}
}

// expected are answers that come of writers that meet, and of DDL beside them.
func expected(err error) bool {
	const duplicate, deadlock, lockTimeout, noTable, changed, redefined = 1062, 1213, 1205, 1146, 1020, 1412
	var server *driver.MySQLError
	return errors.As(err, &server) && slices.Contains([]uint16{duplicate, deadlock, lockTimeout, noTable, changed, redefined}, server.Number)
}

// all are all stripes of a table.
func (k *trialTable) all() []hold {
	holds := make([]hold, len(k.stripes))
	for i := range holds {
		holds[i] = hold{k, i}
	}
	return holds
}

// write is a random write.
func (w *trialWriter) write() trialWrite {
	t := w.tables[w.rng.IntN(len(w.tables))]
	group, other := w.rng.IntN(t.groups), w.rng.IntN(t.groups)
	key, to := t.key(group, w.rng.IntN(t.variants)), t.key(other, w.rng.IntN(t.variants))
	v := w.rng.IntN(1000)
	one := trialWrite{holds: []hold{{t, group % len(t.stripes)}}}
	row := func(n int64, key []string) string {
		return fmt.Sprintf("(%s, n, v, pad) VALUES (%s, %d, %d, %s)", t.names(), strings.Join(key, ", "), n, v, w.pad())
	}
	chance := w.rng.IntN(20)
	limit := ""
	if t.index == "" { // rows that have one key are not to become ever more, and each an event
		limit = " LIMIT 2"
	}
	switch {
	case chance < 4 && t.index == "":
		one.statement = func(n int64) string { return "INSERT INTO " + t.id + " " + row(n, key) }
	case chance < 3:
		one.statement = func(n int64) string { return "REPLACE INTO " + t.id + " " + row(n, key) }
	case chance < 6 && t.index != "":
		one.statement = func(n int64) string {
			return "INSERT INTO " + t.id + " " + row(n, key) + fmt.Sprintf(" ON DUPLICATE KEY UPDATE n = %d, v = %d", n, v)
		}
	case chance >= 6 && chance < 11:
		one.statement = func(n int64) string {
			return fmt.Sprintf("UPDATE %s SET n = %d, v = %d WHERE %s%s", t.id, n, v, t.where(key), limit)
		}
	case chance >= 6 && chance < 15:
		one.holds = append(one.holds, hold{t, other % len(t.stripes)})
		one.statement = func(n int64) string {
			return fmt.Sprintf("UPDATE IGNORE %s SET n = %d, %s WHERE %s%s", t.id, n, strings.ReplaceAll(t.where(to), " AND ", ", "), t.where(key), limit)
		}
	case chance < 19:
		one.statement = func(int64) string { return "DELETE FROM " + t.id + " WHERE " + t.where(key) + limit }
	default:
		one.holds = t.all()
		one.statement = func(n int64) string {
			return fmt.Sprintf("UPDATE %s SET n = %d, v = v + 1 WHERE v BETWEEN %d AND %d LIMIT 20", t.id, n, v, v+50)
		}
	}
	return one
}

func (w *trialWriter) pad() string {
	if w.large && w.rng.IntN(2) == 0 {
		return fmt.Sprintf("REPEAT('p', %d)", w.rng.IntN(3000))
	}
	return fmt.Sprintf("'p%d'", w.rng.IntN(100))
}
