package capture

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/failpoint"
)

// head is the window that is to be published next.
func (n *snapshot) head() *window {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return nil
	}
	return n.queue[0]
}

// ready reports whether a window can be published where the stream stands. A
// whole read that is ready was accepted, and has to be published before the
// stream goes on.
func (n *snapshot) ready(s *stream, w *window, position []byte) (bool, error) {
	n.mu.Lock()
	phase := w.phase
	n.mu.Unlock()
	if w.first != nil {
		return true, nil
	}
	if phase != windowRead && phase != windowFixed {
		return false, nil
	}
	if !n.source.Covers(w.chunk.Low, w.start) {
		n.log.Warn("a chunk was read from a server that is behind the stream: it is read again", zap.String("table", w.state.id))
		n.reject(w, phase)
		return false, nil
	}
	if !n.source.Reached(position, w.chunk.High) {
		n.exact = n.exact || phase == windowFixed
		n.lookAgain()
		return false, nil
	}
	if phase == windowRead {
		return true, nil
	}
	k := w.state.watch
	if !w.evictable() && k.touchedAt != nil && !n.source.Covers(w.chunk.Low, k.touchedAt) {
		n.log.Info("a table changed while it was read in one piece: it is read again", zap.String("table", w.state.id), zap.Int("tries", w.tries+1))
		n.reject(w, phase)
		return false, nil
	}
	return n.accept(s, w)
}

// chunkLocked reports whether the whole read is made under a lock.
func (w *window) chunkLocked() bool { return w.tries >= wholeTries }

// evictable reports whether a whole read counts although the table changed
// behind Low: it was made under a lock, so that it saw none of that, and the
// rows that changed can be told from the others. Where they cannot, the changes
// were not published, and are in no read but the next.
func (w *window) evictable() bool { return w.chunkLocked() && w.table.RowKey != nil }

func (n *snapshot) reject(w *window, phase windowPhase) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.tries++
	if phase == windowFixed {
		// Its reader makes it due again.
		w.phase = windowOpen
		w.verdict <- false
		return
	}
	n.again(w)
}

// accept lets a whole read go on and waits for its first rows.
func (n *snapshot) accept(s *stream, w *window) (bool, error) {
	n.mu.Lock()
	w.phase = windowOpen
	w.verdict <- true
	n.mu.Unlock()
	first, err := w.receive(s)
	if err != nil || first.err != nil {
		return false, err // its reader makes it due again
	}
	w.first = &first
	return true, nil
}

// receive waits for the next rows of a whole read. No Kafka transaction stays
// open meanwhile, for it would time out.
func (w *window) receive(s *stream) (wholeBatch, error) {
	select {
	case b := <-w.batches:
		return b, nil
	default:
	}
	if s.publisher.open {
		if err := s.end(); err != nil {
			return wholeBatch{}, err
		}
	}
	select {
	case b := <-w.batches:
		return b, nil
	case <-s.ctx.Done():
		return wholeBatch{}, s.ctx.Err()
	}
}

// follows reports whether rows follow behind the first window; known is false
// while that is open.
func (n *snapshot) follows(s *stream, position []byte) (more, known bool, err error) {
	n.mu.Lock()
	behind := slices.Clone(n.queue[1:])
	n.mu.Unlock()
	for _, w := range behind {
		if ok, err := n.ready(s, w, position); err != nil || !ok {
			return false, false, err
		}
		rows := w.rows
		if w.first != nil {
			rows = w.first.rows
		}
		if w.anyLive(rows) || w.first != nil && !w.first.last {
			return true, true, nil
		}
		// It has nothing to publish: it must not keep others from being read.
		n.giveRows(rows)
		n.sources[w.state.id] = w.chunk.Source
		n.finish(s, w, w.last)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return false, len(n.plans) == 0 && !n.planning, nil
}

// publish writes the rows of a window that is ready, and the progress, in one
// Kafka transaction; a whole read that is larger may take several.
func (n *snapshot) publish(s *stream, w *window, final bool) error {
	s.clock.begin(s.now().UnixMilli())
	n.sources[w.state.id] = w.chunk.Source
	if w.first == nil {
		if err := n.rows(s, w, w.rows, w.last, final); err != nil {
			return err
		}
		failpoint.Pass(failpoint.SnapshotEmitted)
		n.giveRows(w.rows)
		n.finish(s, w, w.last)
		failpoint.Pass(failpoint.SnapshotStored)
		return n.full(s)
	}
	for b := *w.first; ; {
		last, err := n.lastOfAll(s, b)
		if err != nil {
			return err
		}
		if err := n.rows(s, w, b.rows, b.last, last); err != nil {
			return err
		}
		failpoint.Pass(failpoint.SnapshotWhole)
		n.giveRows(b.rows)
		if b.last {
			n.finish(s, w, true)
			return n.full(s)
		}
		if err := n.full(s); err != nil {
			return err
		}
		if b, err = w.receive(s); err != nil {
			return err
		}
		if b.err != nil {
			n.log.Warn("a table that is read in one piece broke off: it is read again from its start", zap.String("table", w.state.id))
			w.first = nil
			return nil
		}
	}
}

// lastWait is how long the last rows of a whole read wait to know whether the
// tables behind it have any.
const lastWait = time.Second

// lastOfAll reports whether a batch of a whole read has the snapshot's last row.
// The stream has to stand still until it is written, so what is behind counts as
// more where it cannot be read and shown to be empty meanwhile.
func (n *snapshot) lastOfAll(s *stream, b wholeBatch) (bool, error) {
	if !b.last || len(b.rows.list) == 0 || !n.moreTables() {
		return b.last, nil
	}
	if s.publisher.open { // it would time out
		if err := s.end(); err != nil {
			return false, err
		}
	}
	defer n.notify()
	position := s.source.Position()
	timeout := time.NewTimer(lastWait)
	defer timeout.Stop()
	for {
		if err := n.register(s, position); err != nil {
			return false, err
		}
		read := n.nextIsRead()
		more, known, err := n.follows(s, position)
		if err != nil || known {
			return known && !more, err
		}
		if read {
			return false, nil // the stream has not reached it, and cannot
		}
		select {
		case <-n.wake:
		case <-timeout.C:
			return false, nil
		case <-s.ctx.Done():
			return false, s.ctx.Err()
		}
	}
}

// nextIsRead reports whether the window behind the first one was read.
func (n *snapshot) nextIsRead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 1 && (n.queue[1].phase == windowRead || n.queue[1].phase == windowFixed)
}

// moreTables reports whether there is anything planned behind the first window.
func (n *snapshot) moreTables() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 1 || len(n.plans) > 0
}

// full ends the Kafka transaction if it has as much as it may.
func (n *snapshot) full(s *stream) error {
	if s.full() {
		return s.end()
	}
	return s.publisher.err()
}

// rows writes the rows that are live.
func (n *snapshot) rows(s *stream, w *window, rows *rowSet, lastSet, final bool) error {
	if s.publisher.open && s.publisher.bytes+rows.bytes > s.config.transactionBytes() {
		if err := s.end(); err != nil {
			return err
		}
	}
	last := -1
	for i := len(rows.list) - 1; i >= 0 && lastSet; i-- {
		if w.live(rows, i) {
			last = i
			break
		}
	}
	v := &w.state.value
	for i := range rows.list {
		if !w.live(rows, i) {
			n.metrics.evicted()
			continue
		}
		m := markerOf(v.First, v.Rows == 0, i == last, final)
		v.Rows++
		if s.skipped[cdc.OpRead] {
			continue
		}
		if s.records != nil {
			if err := s.records.read(w.plan, rows, i, m, s.clock.next()); err != nil {
				return err
			}
			continue
		}
		a := s.publisher.arena
		var key []byte
		if rows.list[i].key != nil {
			key = a.copy(rows.list[i].key)
		}
		if err := s.produce(w.plan, key, rows.appendValue(a, i, m), s.clock.next(), link{}); err != nil {
			return err
		}
	}
	n.metrics.snapshotRows(len(rows.list))
	s.progress.snapshotRows(w.state.id, v.Rows)
	s.tables.change(w.state)
	return nil
}

// finish takes a published window away and stores how far its table is.
func (n *snapshot) finish(s *stream, w *window, last bool) {
	v := &w.state.value
	if w.upTo != nil {
		v.After = w.upTo
	}
	n.mu.Lock()
	w.phase = windowDead
	n.queue = slices.DeleteFunc(n.queue, func(o *window) bool { return o == w })
	n.metrics.snapshotTables(len(n.plans))
	n.cond.Broadcast()
	n.mu.Unlock()
	if last && v.Sweep && w.plan.sweepable(s.config) {
		n.waiting = append(n.waiting, newSweep(w.state, w.plan))
		n.watch(w.state).published = map[string]struct{}{}
	} else if last {
		n.done(s, w.state)
	}
	n.release(w)
	if k := w.state.watch; k != nil {
		k.prune(n.oldest(w.state, k.seq))
	}
	s.tables.change(w.state)
}

// done ends the reading of a table.
func (n *snapshot) done(s *stream, t *tableState) {
	t.value.Phase, t.value.After, t.value.Sweep, t.value.Since = tableDone, nil, false, 0
	s.tables.change(t)
	n.log.Info("read table", zap.String("table", t.id), zap.Int64("rows", t.value.Rows))
	s.progress.tableDone()
}

// oldest is the smallest seq that an open window of t can ask for.
func (n *snapshot) oldest(t *tableState, now uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.queue {
		if w.state == t && w.watching {
			now = min(now, w.seq)
		}
	}
	return now
}
