package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// createTable is the table that captures are measured with: 12 columns of the
// types that shops have.
const createTable = `CREATE TABLE orders (
  id BIGINT PRIMARY KEY, customer_id INT NOT NULL, status ENUM('NEW','PAID','SHIPPED','DONE') NOT NULL,
  total DECIMAL(12,2) NOT NULL, weight DOUBLE NULL, qty SMALLINT UNSIGNED NOT NULL, gift TINYINT(1) NOT NULL,
  title VARCHAR(120) NOT NULL, note TEXT NULL, attrs JSON NULL, order_date DATE NOT NULL, updated_at TIMESTAMP(3) NOT NULL)`

const (
	rowsPerInsert    = 10
	updatesPerCommit = 20
	writers          = 4
)

// load is what is put into the table.
type load struct {
	db            *sql.DB
	rows, updates int
	report        func(format string, args ...any)
	written       atomic.Int64
}

// insert writes the rows, rowsPerInsert a statement and statement a transaction.
func (l *load) insert(ctx context.Context) error {
	return l.parallel(ctx, "inserts", l.rows, rowsPerInsert, func(ctx context.Context, r *rand.Rand, first, n int) error {
		var b strings.Builder
		b.WriteString("INSERT INTO orders VALUES ")
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			id := first + i + 1
			fmt.Fprintf(&b, `(%d,%d,'%s',%d.%02d,%s,%d,%d,'%s',%s,%s,'2026-%02d-%02d','2026-11-%02d 12:%02d:%02d.%03d')`,
				id, r.IntN(100_000), [...]string{"NEW", "PAID", "SHIPPED", "DONE"}[r.IntN(4)], r.IntN(5000), r.IntN(100),
				optional(r, fmt.Sprintf("%.3f", r.Float64()*50)), r.IntN(100), r.IntN(2), words(r, 8), optional(r, "'"+words(r, 20)+"'"),
				fmt.Sprintf(`'{"color":"%s","size":%d,"tags":["%s","%s"],"weight":%.2f}'`, words(r, 1), r.IntN(50), words(r, 1), words(r, 1), r.Float64()*10),
				1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(28), r.IntN(60), r.IntN(60), r.IntN(1000))
		}
		_, err := l.db.ExecContext(ctx, b.String())
		return err
	})
}

// update changes single rows, updatesPerCommit a transaction.
func (l *load) update(ctx context.Context) error {
	return l.parallel(ctx, "updates", l.updates, updatesPerCommit, func(ctx context.Context, r *rand.Rand, _, n int) error {
		tx, err := l.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		first := 1 + r.IntN(l.rows-n) // neighbours, so that transactions do not deadlock
		for i := range n {
			statement := fmt.Sprintf("UPDATE orders SET status='DONE', total=total+1, qty=%d, updated_at=NOW(3) WHERE id=%d", r.IntN(100), first+i)
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
}

// parallel splits total into pieces of size, over several writers, with a line
// of progress every few seconds.
func (l *load) parallel(ctx context.Context, what string, total, size int, piece func(ctx context.Context, r *rand.Rand, first, n int) error) error {
	l.written.Store(0)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Second):
				l.report("  %d of %d %s", l.written.Load(), total, what)
			}
		}
	}()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		r := rand.New(rand.NewPCG(uint64(w), 7))
		group.Go(func() error {
			for ctx.Err() == nil {
				first := int(next.Add(int64(size))) - size
				if first >= total {
					return nil
				}
				n := min(size, total-first)
				if err := piece(ctx, r, first, n); err != nil {
					return fmt.Errorf("writing %s: %w", what, err)
				}
				l.written.Add(int64(n))
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func optional(r *rand.Rand, text string) string {
	if r.IntN(4) == 0 {
		return "NULL"
	}
	return text
}

var vocabulary = strings.Fields("amber basket candle drawer ember fabric garden hammer island jacket kettle lantern mirror needle orchid pillow quartz ribbon saddle teapot umbrella velvet window yellow zipper")

func words(r *rand.Rand, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = vocabulary[r.IntN(len(vocabulary))]
	}
	text := strings.Join(out, " ")
	return text[:min(len(text), 118)]
}
