package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// customers is how many the shop begins with, as products and warehouses are.
const (
	customers  = 200
	products   = 100
	warehouses = 3
	shoppers   = 4 // at a time
)

// workload is what happens in the shop while the demo watches.
type workload struct {
	db           *sql.DB
	limiter      *rate.Limiter
	lastOrder    atomic.Int64
	transactions atomic.Int64
	rows         atomic.Int64
}

// work lets the shop be used for a while, and tells how it goes.
func (d *demo) work(ctx context.Context) error {
	d.step("A live workload: orders, payments, cancellations, stock movements, price changes")
	w := &workload{db: d.db, limiter: rate.NewLimiter(rate.Limit(d.rate), 10)}
	var last int64
	if err := d.db.QueryRowContext(ctx, "SELECT MAX(id) FROM ecommerce.orders").Scan(&last); err != nil {
		return fmt.Errorf("looking at the shop: %w", err)
	}
	w.lastOrder.Store(last)
	timed, cancel := context.WithTimeout(ctx, d.duration)
	defer cancel()
	var g errgroup.Group
	for i := range shoppers {
		g.Go(func() error { return w.shop(timed, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	g.Go(func() error { return d.watch(timed, w) })
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// every is how often the screen tells how it goes.
const every = 5 * time.Second

// watch prints how far the shop and the fleet are.
func (d *demo) watch(ctx context.Context, w *workload) error {
	began := time.Now()
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			d.progress(context.WithoutCancel(ctx), began, w)
			return nil
		case <-ticks.C:
		}
		if time.Since(began) > d.duration-every/2 {
			continue // the last line comes at the end
		}
		if err := d.group.Ended(); err != nil {
			return err
		}
		d.progress(ctx, began, w)
	}
}

func (d *demo) progress(ctx context.Context, began time.Time, w *workload) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	lags := ""
	for _, sink := range d.fleet.sinks {
		lag := "-"
		if s, err := sink.Status(ctx); err == nil && len(s.Tasks) > 0 && s.Lag.Records >= 0 {
			lag = fmt.Sprint(s.Lag.Records)
		}
		lags += fmt.Sprintf("   %s %5s", sink.Name[len("weir-"):], lag)
	}
	d.print("  %3.0f s   %6d transactions   %6d rows changed   records behind:%s\n",
		time.Since(began).Seconds(), w.transactions.Load(), w.rows.Load(), lags)
}

// shop does one thing after the other until ctx ends.
func (w *workload) shop(ctx context.Context, r *rand.Rand) error {
	for w.limiter.Wait(ctx) == nil {
		rows, err := w.act(ctx, r)
		switch {
		case ctx.Err() != nil || isConflict(err):
			continue
		case err != nil:
			return fmt.Errorf("using the shop: %w", err)
		}
		w.transactions.Add(1)
		w.rows.Add(rows)
	}
	return nil
}

// isConflict reports whether the server gave the transaction up for another one,
// or a row is there already.
func isConflict(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && (refused.Number == 1213 || refused.Number == 1205 || refused.Number == 1062)
}

// transaction is one of the shop's; it counts the rows that it changes.
type transaction struct {
	*sql.Tx
	rows int64
}

// do runs a statement and returns the id that it gave.
func (t *transaction) do(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	t.rows += rows
	return result.LastInsertId()
}

// act does one thing in a transaction.
func (w *workload) act(ctx context.Context, r *rand.Rand) (rows int64, err error) {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	t := &transaction{Tx: tx}
	switch n := r.IntN(100); {
	case n < 40:
		err = w.order(ctx, t, r)
	case n < 65:
		err = w.progressOrder(ctx, t, r)
	case n < 72:
		err = w.cancel(ctx, t, r)
	case n < 84:
		err = w.restock(ctx, t, r)
	case n < 90:
		_, err = t.do(ctx, "UPDATE ecommerce.products SET price = ROUND(price * ?, 2), state = 'active' WHERE id = ?", 0.9+r.Float64()/5, 1+r.IntN(products))
	case n < 97:
		_, err = t.do(ctx, "UPDATE ecommerce.customers SET tier = ELT(?, 'standard', 'silver', 'gold'), phone = IF(? = 0, NULL, phone) WHERE id = ?", 1+r.IntN(3), r.IntN(4), 1+r.IntN(customers))
	default:
		err = w.move(ctx, t, r)
	}
	if err != nil {
		return 0, errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return t.rows, tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// order places an order of some items and takes them from the stock.
func (w *workload) order(ctx context.Context, t *transaction, r *rand.Rand) error {
	id, err := t.do(ctx, `INSERT INTO ecommerce.orders (customer_id, coupon, gift, shipping, note, ordered_at)
		VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3))`, 1+r.IntN(customers), maybe(r, fmt.Sprintf("SAVE%d", r.IntN(30))), r.IntN(2),
		maybe(r, fmt.Sprintf(`{"city": "Zürich", "express": %v, "floor": %d}`, r.IntN(2) == 0, r.IntN(9))), maybe(r, "Bitte zweimal klingeln. 🔔"))
	if err != nil {
		return err
	}
	for line := range 1 + r.IntN(3) {
		product, quantity, warehouse := 1+r.IntN(products), 1+r.IntN(4), 1+r.IntN(warehouses)
		if _, err := t.do(ctx, `INSERT INTO ecommerce.order_items (order_id, line_no, product_id, quantity, unit_price, discount)
			SELECT ?, ?, id, ?, price, ? FROM ecommerce.products WHERE id = ?`, id, line+1, quantity, maybe(r, "0.0500"), product); err != nil {
			return err
		}
		if err := w.moveStock(ctx, t, warehouse, product, "sale", -quantity); err != nil {
			return err
		}
	}
	_, err = t.do(ctx, `UPDATE ecommerce.orders SET total = (SELECT SUM(quantity * unit_price) FROM ecommerce.order_items WHERE order_id = ?) WHERE id = ?`, id, id)
	if err == nil {
		w.lastOrder.Store(id)
	}
	return err
}

// maybe is a value or NULL.
func maybe(r *rand.Rand, text string) any {
	if r.IntN(3) == 0 {
		return nil
	}
	return text
}

// moveStock changes how many there are of a product, and says why.
func (w *workload) moveStock(ctx context.Context, t *transaction, warehouse, product int, kind string, quantity int) error {
	if _, err := t.do(ctx, "UPDATE inventory.inventory SET quantity = quantity + ? WHERE warehouse_id = ? AND product_id = ?", quantity, warehouse, product); err != nil {
		return err
	}
	_, err := t.do(ctx, `INSERT INTO inventory.stock_movements (warehouse_id, product_id, kind, change_qty, unit_cost, reference, payload, moved_at)
		VALUES (?, ?, ?, ?, ? / 7, ?, UNHEX('00FF7F80'), UTC_TIMESTAMP(6))`, warehouse, product, kind, quantity, product, fmt.Sprintf("%s-%d", kind, product))
	return err
}

// progressOrder pays, ships or delivers an order.
func (w *workload) progressOrder(ctx context.Context, t *transaction, r *rand.Rand) error {
	_, err := t.do(ctx, `UPDATE ecommerce.orders SET status = ELT(FIELD(status, 'pending', 'paid', 'shipped'), 'paid', 'shipped', 'delivered'),
		shipped_at = IF(status = 'shipped', UTC_TIMESTAMP(3), shipped_at) WHERE id = ? AND status IN ('pending', 'paid', 'shipped')`, w.anyOrder(r))
	return err
}

// cancel removes an order with its items.
func (w *workload) cancel(ctx context.Context, t *transaction, r *rand.Rand) error {
	id := w.anyOrder(r)
	if _, err := t.do(ctx, "DELETE FROM ecommerce.order_items WHERE order_id = ?", id); err != nil {
		return err
	}
	_, err := t.do(ctx, "DELETE FROM ecommerce.orders WHERE id = ?", id)
	return err
}

func (w *workload) anyOrder(r *rand.Rand) int64 { return 1 + r.Int64N(w.lastOrder.Load()) }

// restock takes goods in.
func (w *workload) restock(ctx context.Context, t *transaction, r *rand.Rand) error {
	return w.moveStock(ctx, t, 1+r.IntN(warehouses), 1+r.IntN(products), "receipt", 10+r.IntN(50))
}

// move gives a line of the inventory another key, as a warehouse that takes over
// a product does.
func (w *workload) move(ctx context.Context, t *transaction, r *rand.Rand) error {
	from, to := 1+r.IntN(warehouses), 1+r.IntN(warehouses)
	_, err := t.do(ctx, "UPDATE inventory.inventory SET warehouse_id = ? WHERE warehouse_id = ? AND product_id = ?", to, from, 1+r.IntN(products))
	return err
}
