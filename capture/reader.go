package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/failpoint"
)

// errRetry makes a reader give its window up to be read again.
var errRetry = errors.New("to be read again")

// chunkReader is one connection's reading of windows.
type chunkReader struct {
	n        *snapshot
	reader   Reader
	encoder  *encoder
	failures int
}

func newChunkReader(n *snapshot) *chunkReader { return &chunkReader{n: n} }

// run reads windows until ctx ends. The connection is kept while there is work.
func (c *chunkReader) run(ctx context.Context) error {
	defer c.close()
	if err := sleep(ctx, c.n.begin.Sub(c.n.now())); err != nil {
		return nil // the end of ctx is no failure
	}
	for {
		w, _ := c.n.claim(ctx, false)
		if w == nil {
			c.close()
			var err error
			if w, err = c.n.claim(ctx, true); err != nil {
				return nil // the end of ctx is no failure
			}
		}
		err := c.read(ctx, w)
		switch {
		case err == nil:
			c.failures = 0
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRetry):
			c.n.retry(w)
		case errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDefinition):
			c.n.log.Warn("reading a chunk failed: it is read again", zap.String("table", w.state.id), zap.Error(err))
			c.close()
			c.failures++
			c.n.retry(w)
			if sleep(ctx, min(readerBackoffMax, readerBackoff<<min(c.failures, 10))) != nil {
				return nil
			}
		default:
			return fmt.Errorf("reading table %s: %w", w.state.id, err)
		}
	}
}

func (c *chunkReader) close() {
	if c.reader != nil {
		_ = c.reader.Close() // nothing is lost with it
		c.reader = nil
	}
}

// read has a window registered, then reads it.
func (c *chunkReader) read(ctx context.Context, w *window) error {
	c.n.notify()
	select {
	case <-w.registered:
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.gone {
		return nil
	}
	if c.reader == nil {
		r, err := c.n.source.Reader(ctx)
		if err != nil {
			return fmt.Errorf("opening a connection: %w", err)
		}
		c.reader = r
	}
	if c.encoder == nil || c.encoder.table != w.table {
		c.encoder = newEncoder(w.table, c.n.source.SourceSchema(), c.n.config)
	}
	if !w.ranged {
		b, err := c.reader.Bounds(ctx, w.table, w.after, c.n.size())
		if err != nil {
			return err
		}
		c.n.setRange(w, b)
	}
	if w.whole {
		return c.readWhole(ctx, w)
	}
	return c.readChunk(ctx, w)
}

func (c *chunkReader) readChunk(ctx context.Context, w *window) error {
	rows := c.n.takeRows()
	chunk, err := c.reader.Read(ctx, w.table, w.after, w.upTo, func(row *cdc.Row) error {
		if rows.bytes >= c.n.chunkBytes && len(rows.list) > 0 {
			return ErrChunkFull
		}
		c.encoder.add(rows, row)
		return nil
	})
	if err == nil {
		err = c.encoder.close(rows, chunk.Source, c.n.now().UnixNano())
	}
	if err != nil {
		c.n.giveRows(rows)
		return err
	}
	failpoint.Pass(failpoint.SnapshotRead)
	c.n.deliver(w, chunk, rows)
	return nil
}

// readWhole reads a table in one piece: it fixes its view, waits for the stream
// to have got there, and then hands over rows while the stream waits.
func (c *chunkReader) readWhole(ctx context.Context, w *window) error {
	rows := c.n.takeRows()
	send := func(b wholeBatch) error {
		select {
		case w.batches <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var source *cdc.Row
	var verdict <-chan bool
	accepted := false
	flush := func(last bool) error {
		if err := c.encoder.close(rows, source, c.n.now().UnixNano()); err != nil {
			return err
		}
		err := send(wholeBatch{rows: rows, last: last})
		rows = c.n.takeRows()
		return err
	}
	wait := func() error {
		select {
		case accepted = <-verdict:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !accepted {
			return errRetry
		}
		return nil
	}
	err := c.reader.ReadWhole(ctx, w.table, w.chunkLocked(), func(chunk Chunk) (_ func() error, err error) {
		source = chunk.Source
		verdict, err = c.n.fix(w, chunk)
		return wait, err
	}, func(row *cdc.Row) error {
		if rows.bytes >= c.n.chunkBytes {
			if err := flush(false); err != nil {
				return err
			}
		}
		c.encoder.add(rows, row)
		return nil
	})
	if err == nil {
		return flush(true)
	}
	c.n.giveRows(rows)
	if accepted || verdict != nil && c.n.withdraw(w, verdict) {
		// The stream waits: it has to know before the window is read again.
		if sent := send(wholeBatch{err: err}); sent != nil {
			return sent
		}
	}
	return err
}

// fix says that the view of a whole read is fixed; the verdict of the stream
// comes through the channel.
func (n *snapshot) fix(w *window, chunk Chunk) (<-chan bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.phase == windowDead || w.void || n.isBehindDue(w) {
		return nil, errRetry
	}
	w.chunk, w.phase = chunk, windowFixed
	w.verdict, w.batches = make(chan bool, 1), make(chan wholeBatch, 1)
	n.notify()
	return w.verdict, nil
}

// withdraw ends the waiting of a read that failed for its verdict, and reports
// whether it was accepted meanwhile.
func (n *snapshot) withdraw(w *window, verdict <-chan bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.phase == windowFixed {
		w.phase = windowOpen
	}
	select {
	case accepted := <-verdict:
		return accepted
	default:
		return false
	}
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
