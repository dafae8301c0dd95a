package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/failpoint"
)

// sweepKeys is how many keys a sweep holds in memory at a time; a partition of
// more is read in several passes.
const sweepKeys = 1 << 20

// sweep deletes the keys of a topic that its table has no more. The table was
// just read again, so whatever is in the table was written with a version above
// since, by the snapshot or by the stream. What remains live in the topic with
// an older version, and was not written since the sweep began, is gone.
type sweep struct {
	state   *tableState
	plan    *plan
	since   int64
	dead    chan sweepBatch
	stop    chan struct{} // closed when it is given up
	deleted int
}

// sweepBatch are keys that are gone.
type sweepBatch struct {
	keys [][]byte
	last bool
}

func newSweep(t *tableState, p *plan) *sweep {
	return &sweep{state: t, plan: p, since: t.value.Since, dead: make(chan sweepBatch, 1), stop: make(chan struct{})}
}

// resweep has a table read again and swept, whose rows are gone without events.
func (s *stream) resweep(t *Table) error {
	p, err := s.plan(t)
	if err != nil {
		return err
	}
	if t.Key == nil || t.RowKey == nil {
		s.log.Warn("rows of a table without a key are gone without events: its topic keeps them", zap.String("table", t.ID()))
		return nil
	}
	v := &p.state.value
	if !p.sweepable(s.config) {
		s.log.Warn("rows are gone without events, and transforms change the keys or topics of the table's records: they keep them", zap.String("table", t.ID()))
		return nil
	}
	if v.Phase == tableNoData && !s.config.Filter.Snapshot(t) {
		s.log.Warn("rows of a table that takes no part in snapshots are gone without events: its topic keeps them", zap.String("table", t.ID()))
		return nil
	}
	s.reread(p.state, true)
	return nil
}

// reread has a table read from its start.
func (s *stream) reread(t *tableState, sweep bool) {
	v := &t.value
	again := v.Phase == tablePending
	v.Phase, v.Sweep, v.Since, v.After, v.Rows, v.First, v.Order = tablePending, sweep, s.clock.prev, nil, 0, false, 0
	s.tables.change(t)
	if again {
		s.snapshot.restart(t)
	} else {
		s.progress.snapshotTables(1)
		s.snapshot.add(t)
	}
}

// arrived has a table read that came to its name with rows, as one is that joins
// the include list, and swept: its topic may have rows of another table that had
// the name before.
func (s *stream) arrived(t *Table) error {
	p, err := s.plan(t)
	if err != nil {
		return err
	}
	if s.config.SnapshotMode == SnapshotNoData || !s.config.Filter.Snapshot(t) {
		s.log.Warn("a table that takes no part in snapshots was renamed: the rows it had have no events under its new name", zap.String("table", t.ID()))
		return nil
	}
	if t.Key == nil {
		used, err := s.used(p)
		if err != nil {
			return err
		}
		if used {
			s.log.Warn("a table without a key came to its name with rows: what its topic has cannot be told from them, and stays as it is", zap.String("table", t.ID()))
			return nil
		}
	}
	s.log.Info("a table came to its name with rows: it is read", zap.String("table", t.ID()))
	s.reread(p.state, t.Key != nil && t.RowKey != nil && p.sweepable(s.config))
	return nil
}

// created has the topic of a new table swept if it has records: of a table of
// the same name, which was dropped.
func (s *stream) created(t *Table) error {
	p, err := s.plan(t)
	if err != nil || t.Key == nil || !p.sweepable(s.config) {
		return err
	}
	used, err := s.used(p)
	if err != nil || !used {
		return err
	}
	return s.resweep(t)
}

// used reports whether the topic of a table has records; those of the open
// Kafka transaction may not have got there yet.
func (s *stream) used(p *plan) (bool, error) {
	if p.state.wrote || p.topic == "" {
		return p.state.wrote, nil
	}
	has, err := occupied(s.ctx, s.snapshot.kafka, p.topic)
	return has[p.topic], err
}

// advanceSweep begins the next sweep and writes the deletes that one has found.
func (n *snapshot) advanceSweep(s *stream) error {
	if n.sweep == nil && len(n.waiting) > 0 {
		// What was written before has to be committed, to be seen by the sweep;
		// what is written from now on is in published.
		if err := s.end(); err != nil {
			return err
		}
		n.sweep, n.waiting = n.waiting[0], n.waiting[1:]
		select {
		case n.sweeps <- n.sweep:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	for n.sweep != nil {
		select {
		case b := <-n.sweep.dead:
			if err := n.delete(s, n.sweep, b.keys); err != nil {
				return err
			}
			if b.last {
				n.finishSweep(s)
			}
		default:
			return nil
		}
	}
	return nil
}

// finishSweep ends a sweep and the reading of its table.
func (n *snapshot) finishSweep(s *stream) {
	w := n.sweep
	n.sweep = nil
	n.log.Info("swept topic", zap.String("topic", w.plan.topic), zap.Int("deleted", w.deleted))
	w.state.watch.published = nil
	n.unwatch(w.state)
	n.done(s, w.state)
	if len(n.waiting) > 0 {
		n.notify()
	}
}

// stopSweeps gives a table's sweeps up: it is to be read again first.
func (n *snapshot) stopSweeps(t *tableState) {
	kept := n.waiting[:0]
	for _, w := range n.waiting {
		if w.state != t {
			kept = append(kept, w)
		}
	}
	n.waiting = kept
	if n.sweep != nil && n.sweep.state == t {
		close(n.sweep.stop)
		n.sweep = nil
	}
	if t.watch != nil {
		t.watch.published = nil
		n.unwatch(t)
	}
}

// delete writes deletes of keys that nothing was written to meanwhile.
func (n *snapshot) delete(s *stream, w *sweep, keys [][]byte) error {
	if len(keys) == 0 || s.skipped[cdc.OpDelete] {
		return nil
	}
	if s.records != nil {
		return n.deleteRecords(s, w, keys)
	}
	source := n.sources[w.state.id]
	*source.Value("snapshot") = cdc.String([]byte("false"))
	w.plan.enveloper.Begin(source, s.nanos())
	w.plan.begun = false
	s.clock.begin(s.now().UnixMilli())
	for _, key := range keys {
		if _, written := w.state.watch.published[string(key)]; written {
			continue
		}
		a := s.publisher.arena
		value := w.plan.appendValue(a, cdc.OpDelete, nil, nil, 0, nil)
		if err := s.produce(w.plan, a.copy(key), value, s.clock.next(), link{}); err != nil {
			return err
		}
		if s.config.Tombstones {
			if err := s.produce(w.plan, a.copy(key), nil, s.clock.prev, link{}); err != nil {
				return err
			}
		}
		failpoint.Pass(failpoint.SweepDeleted)
		w.deleted++
		if err := n.full(s); err != nil {
			return err
		}
	}
	n.metrics.swept(len(keys))
	return nil
}

// sweepable reports whether the keys in the table's topic are the table's own,
// as the source has them, and of no other table.
func (p *plan) sweepable(c *Config) bool {
	return p.topic != "" && p.exclusive && c.KeyForm == FormJSON
}

// deleteRecords writes the deletes as records that pass the transforms.
func (n *snapshot) deleteRecords(s *stream, w *sweep, keys [][]byte) error {
	if err := s.records.flush(); err != nil { // what waits is written, then, and known to be
		return err
	}
	s.clock.begin(s.now().UnixMilli())
	reader := json.NewReader(w.plan.entry)
	for _, key := range keys {
		if _, written := w.state.watch.published[string(key)]; written {
			continue
		}
		var m json.Message
		if err := reader.ReadKey(&m, key); err != nil {
			return fmt.Errorf("sweeping topic %s: %w", w.plan.topic, err)
		}
		if err := s.records.gone(w.plan, m.Key, n.sources[w.state.id]); err != nil {
			return err
		}
		w.deleted++
		if err := n.full(s); err != nil {
			return err
		}
	}
	n.metrics.swept(len(keys))
	return nil
}

// sweepLoop reads topics for the sweeps that the stream begins.
func (n *snapshot) sweepLoop(ctx context.Context) error {
	for {
		select {
		case w := <-n.sweeps:
			if err := n.search(ctx, w); err != nil && !errors.Is(err, errRetry) {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("sweeping topic %s: %w", w.plan.topic, err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// search finds the keys that are gone, partition by partition.
func (n *snapshot) search(ctx context.Context, w *sweep) error {
	topic := w.plan.topic
	admin := kadm.NewClient(n.kafka)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	for _, end := range ends.Offsets().Sorted() {
		start, _ := starts.Lookup(topic, end.Partition)
		for passes, pass := uint64(1), uint64(0); pass < passes; pass++ {
			keys, full, err := n.pass(ctx, w, end.Partition, start.Offset, end.At, passes, pass)
			if err != nil {
				return err
			}
			if full { // smaller passes; the keys of the earlier ones are deleted already
				passes, pass = passes*2, ^uint64(0)
				continue
			}
			if err := n.found(ctx, w, sweepBatch{keys: keys}); err != nil {
				return err
			}
		}
	}
	return n.found(ctx, w, sweepBatch{last: true})
}

func (n *snapshot) found(ctx context.Context, w *sweep, b sweepBatch) error {
	select {
	case w.dead <- b:
		n.notify()
		return nil
	case <-w.stop:
		return errRetry
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass reads one partition and returns the keys, of those whose hash is pass
// modulo passes, that are live with an old version. full says that there were
// too many to hold.
func (n *snapshot) pass(ctx context.Context, w *sweep, partition int32, from, to int64, passes, pass uint64) (keys [][]byte, full bool, err error) {
	live := map[string]struct{}{}
	err = scan(ctx, n.kafka, w.plan.topic, partition, from, to, true, func(r *kgo.Record) error {
		select {
		case <-w.stop:
			return errRetry
		default:
		}
		switch {
		case full || r.Key == nil || maphash.Bytes(n.seed, r.Key)%passes != pass:
		case isDelete(r.Value) || headerVersion(r) > w.since:
			delete(live, string(r.Key))
		default:
			live[string(r.Key)] = struct{}{}
			full = len(live) > n.sweepKeys
		}
		return nil
	})
	if err != nil || full {
		return nil, full, err
	}
	for key := range live {
		keys = append(keys, []byte(key))
	}
	return keys, false, nil
}

// headerVersion is a record's version, 0 for one that was not written by a
// capture of ours.
func headerVersion(r *kgo.Record) int64 {
	for i := range r.Headers {
		if r.Headers[i].Key == cdc.HeaderVersion {
			return parseVersion(r.Headers[i].Value)
		}
	}
	return 0
}

// isDelete reports whether a record's value says that its key is gone: a
// tombstone, a delete's envelope, at whose end its operation stands, or an
// unwrapped one that says so.
func isDelete(value []byte) bool {
	const tail = 256
	if value == nil {
		return true
	}
	end := value[max(0, len(value)-tail):]
	at := bytes.LastIndex(end, []byte(`"op":"`))
	return at >= 0 && at+6 < len(end) && end[at+6] == 'd' || bytes.Contains(end, []byte(`"__deleted":"true"`))
}
