package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/failpoint"
)

const (
	// wholeTries is how often a table that cannot be split is read without a
	// lock before it is read with one.
	wholeTries = 3
	// readerBackoff is the wait before a chunk that failed is read again.
	readerBackoff    = 100 * time.Millisecond
	readerBackoffMax = 5 * time.Second
	// reachInterval is how often, at most, a busy stream looks whether it has
	// reached what waits for it.
	reachInterval = 2 * time.Millisecond
)

// snapshot reads tables beside the stream, in windows. Readers claim windows,
// read and encode; everything that touches Kafka or compares positions happens
// in advance, on the stream's goroutine. Windows are published in the order in
// which they were planned, whatever order they are read in, so that one key per
// table is all the progress there is to store, and rows come in the order of
// Debezium's.
type snapshot struct {
	config  *Config
	source  Source
	log     *zap.Logger
	now     func() time.Time
	metrics *metrics
	kafka   *kgo.Client // to read topics with
	seed    maphash.Seed
	wake    chan struct{} // to Source.Stream
	// attention says whether advance has something to do.
	attention atomic.Int32
	looked    time.Time // stream: when advance looked last
	exact     bool      // stream: what waits must be looked at before every transaction
	announce  bool      // stream: tables are being read; the end is to be told

	mu         sync.Mutex
	cond       *sync.Cond
	queue      []*window
	plans      []*tablePlan // tables to plan windows of; the first is current
	planning   bool         // a window of the current table has no range yet
	begin      time.Time    // when reading may begin
	pool       []*rowSet
	chunkBytes int
	maxWindows int
	sweepKeys  int

	// The rest is the stream's.
	watches []*tableState
	sources map[string]*cdc.Row // the last chunk's source block, by table
	sweeps  chan *sweep
	sweep   *sweep   // that waits for the stream
	waiting []*sweep // that wait for their turn
}

// What attention says.
const (
	attentionNone int32 = iota
	attentionWait       // the stream is to look whether it got to where something waits
	attentionNews       // readers did something
)

// tablePlan is how far the windows of a table are planned.
type tablePlan struct {
	state *tableState
	after []byte
	mean  int // bytes of a row, 0 if unknown
}

func newSnapshot(c *Config, source Source, client *kgo.Client, log *zap.Logger, now func() time.Time, m *metrics) *snapshot {
	n := &snapshot{config: c, source: source, kafka: client, log: log, now: now, metrics: m, wake: make(chan struct{}, 1),
		sources: map[string]*cdc.Row{}, sweeps: make(chan *sweep, 1), begin: now().Add(c.SnapshotDelay),
		seed: maphash.MakeSeed(), sweepKeys: sweepKeys}
	n.cond = sync.NewCond(&n.mu)
	n.maxWindows = max(4, 2*c.SnapshotThreads+2)
	n.chunkBytes = min(8<<20, max(64<<10, c.QueueBytes/2/n.maxWindows))
	return n
}

// add has tables read, in the order given. Called while the stream does not run
// or on its goroutine.
func (n *snapshot) add(tables ...*tableState) {
	if len(tables) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range tables {
		n.plans = append(n.plans, &tablePlan{state: t, after: t.value.After})
	}
	n.announce = true
	n.metrics.snapshotTables(len(n.plans))
	n.cond.Broadcast()
}

// run reads until ctx ends or something fails for good.
func (n *snapshot) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n.config.SnapshotThreads {
		g.Go(func() error { return newChunkReader(n).run(ctx) })
	}
	g.Go(func() error { return n.sweepLoop(ctx) })
	return g.Wait()
}

// notify has the stream call advance soon.
func (n *snapshot) notify() {
	n.attention.Store(attentionNews)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// claim returns a window to read: one that is due again, or the next of the
// current table. Without wait it returns nil where there is none.
func (n *snapshot) claim(ctx context.Context, wait bool) (*window, error) {
	defer context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.cond.Broadcast()
	})()
	n.mu.Lock()
	defer n.mu.Unlock()
	for ctx.Err() == nil {
		if w := n.nextDue(); w != nil {
			w.claimed, w.phase, w.void = true, windowWaiting, false
			w.registered = make(chan struct{})
			return w, nil
		}
		if !wait {
			return nil, nil
		}
		n.cond.Wait()
	}
	return nil, ctx.Err()
}

// nextDue finds or plans a window that nobody reads.
func (n *snapshot) nextDue() *window {
	for _, w := range n.queue {
		if w.phase == windowDue && !w.claimed {
			return w
		}
	}
	if len(n.plans) == 0 || n.planning || len(n.queue) >= n.maxWindows {
		return nil
	}
	p := n.plans[0]
	w := &window{state: p.state, after: p.after}
	n.planning = true
	n.queue = append(n.queue, w)
	return w
}

// size is how many rows to ask for in the current table's next chunk.
func (n *snapshot) size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.plans) == 0 || n.plans[0].mean == 0 {
		return n.config.ChunkRows
	}
	return min(n.config.ChunkRows, max(16, n.chunkBytes*9/10/n.plans[0].mean))
}

// setRange sets the range of a window, and the next one is planned behind it.
func (n *snapshot) setRange(w *window, b Bounds) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.phase == windowDead {
		return
	}
	w.ranged, w.upTo, w.whole = true, b.UpTo, b.Whole
	w.last = b.Whole || b.UpTo == nil
	n.planning = false
	if w.last {
		n.plans = n.plans[1:]
	} else {
		n.plans[0].after = b.UpTo
	}
	n.cond.Broadcast()
}

// deliver hands a chunk over to the stream. A chunk that was cut short leaves
// the rest to a window behind it.
func (n *snapshot) deliver(w *window, chunk Chunk, rows *rowSet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.usable(w) {
		n.pool = append(n.pool, rows)
		return
	}
	if chunk.UpTo != nil {
		rest := &window{state: w.state, after: chunk.UpTo, upTo: w.upTo, ranged: true, last: w.last}
		w.upTo, w.last = chunk.UpTo, false
		n.queue = slices.Insert(n.queue, slices.Index(n.queue, w)+1, rest)
		n.cond.Broadcast()
	}
	if len(n.plans) > 0 && n.plans[0].state == w.state && len(rows.list) > 0 {
		n.plans[0].mean = rows.bytes/len(rows.list) + 1
	}
	w.chunk, w.rows, w.phase, w.claimed = chunk, rows, windowRead, false
	n.notify()
}

// usable reports whether what was read for w still counts; otherwise w is due
// again, or gone.
func (n *snapshot) usable(w *window) bool {
	if w.phase == windowDead {
		return false
	}
	if w.void {
		n.again(w)
		return false
	}
	return true
}

// again has a window read once more. The mutex is held.
func (n *snapshot) again(w *window) {
	if w.rows != nil {
		n.pool = append(n.pool, w.rows)
	}
	w.phase, w.claimed, w.rows, w.void = windowDue, false, nil, false
	n.giveWay(w)
	n.cond.Broadcast()
}

// giveWay ends the waiting of whole reads behind a window that is due: their
// verdict comes when it is published, and every reader may be in one of them.
// The mutex is held.
func (n *snapshot) giveWay(w *window) {
	for _, o := range n.queue[slices.Index(n.queue, w)+1:] {
		if o.phase == windowFixed {
			o.verdict <- false
			o.phase = windowOpen // its reader makes it due again
		}
	}
}

// isBehindDue reports whether a window in front of w waits for a reader. The
// mutex is held.
func (n *snapshot) isBehindDue(w *window) bool {
	for _, o := range n.queue {
		if o == w {
			break
		}
		if o.phase == windowDue && !o.claimed {
			return true
		}
	}
	return false
}

// retry has a window read once more after its reader failed.
func (n *snapshot) retry(w *window) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.phase != windowDead {
		n.again(w)
	}
}

func (n *snapshot) takeRows() *rowSet {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.pool) - 1; last >= 0 {
		r := n.pool[last]
		n.pool = n.pool[:last]
		r.reset()
		return r
	}
	return &rowSet{arena: newArena()}
}

func (n *snapshot) giveRows(r *rowSet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pool = append(n.pool, r)
}

// wants reports whether advance has something to do.
func (n *snapshot) wants() bool {
	switch n.attention.Load() {
	case attentionNone:
		return false
	case attentionNews:
		return true
	}
	return n.exact || n.now().Sub(n.looked) >= reachInterval
}

// lookAgain has advance look again when the stream has moved on.
func (n *snapshot) lookAgain() { n.attention.CompareAndSwap(attentionNone, attentionWait) }

// busy reports whether tables are being read or swept.
func (n *snapshot) busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) > 0 || len(n.plans) > 0 || n.sweep != nil || len(n.waiting) > 0
}

// settle is the end of a source transaction.
func (n *snapshot) settle() {
	var position []byte
	for _, t := range n.watches {
		if t.watch.dirty {
			if position == nil {
				position = bytes.Clone(n.source.Position())
			}
			t.watch.dirty, t.watch.touchedAt = false, position
		}
	}
}

// advance, on the stream's goroutine and between two source transactions,
// registers windows and publishes those that the stream has reached.
func (n *snapshot) advance(s *stream) error {
	n.attention.Store(attentionNone)
	n.looked, n.exact = n.now(), false
	position := s.source.Position()
	if err := n.register(s, position); err != nil {
		return err
	}
	for {
		w := n.head()
		if w == nil {
			break
		}
		ok, err := n.ready(s, w, position)
		if err != nil {
			return err
		}
		final := false
		if ok && w.last && !w.whole && w.anyLive(w.rows) {
			var more bool
			if more, ok, err = n.follows(s, position); err != nil {
				return err
			}
			final = !more
		}
		if !ok {
			break
		}
		if err := n.publish(s, w, final); err != nil {
			return err
		}
	}
	if err := n.advanceSweep(s); err != nil {
		return err
	}
	if n.announce && !n.busy() {
		return n.completed(s)
	}
	return nil
}

// completed is the end of all reading.
func (n *snapshot) completed(s *stream) error {
	failpoint.Pass(failpoint.SnapshotDone)
	if err := s.end(); err != nil {
		return err
	}
	n.announce = false
	n.mu.Lock()
	n.pool = nil // its memory may not be needed again
	n.mu.Unlock()
	n.log.Info("snapshot completed")
	s.progress.snapshotDone()
	if s.config.SnapshotMode == SnapshotInitialOnly {
		return errFinished
	}
	return nil
}

// register opens the windows that wait for it: from here on every change of
// their tables is seen.
func (n *snapshot) register(s *stream, position []byte) error {
	n.mu.Lock()
	waiting := slices.Collect(func(yield func(*window) bool) {
		for _, w := range n.queue {
			if w.phase == windowWaiting && !yield(w) {
				return
			}
		}
	})
	n.mu.Unlock()
	for _, w := range waiting {
		if w.phase == windowDead { // of a table that began anew just now
			continue
		}
		if err := n.open(s, w, position); err != nil {
			return err
		}
	}
	return nil
}

// open registers one window.
func (n *snapshot) open(s *stream, w *window, position []byte) error {
	database, name, _ := strings.Cut(w.state.id, ".")
	t, err := s.source.Table(database, name)
	switch {
	case errors.Is(err, ErrDefinition): // the stream comes to where it is known
		n.lookAgain()
		return nil
	case err != nil:
		return err
	case t == nil:
		n.drop(s, w)
		return nil
	}
	p, err := s.plan(t)
	if err != nil {
		return err
	}
	n.observe(w)
	if key := rowKeyName(t); key != w.state.value.Key {
		again := w.state.value.Key != "" && (w.state.value.After != nil || w.ranged)
		w.state.value.Key = key
		s.tables.change(w.state)
		if again {
			n.log.Warn("the key of a table changed while it was read: it is read from the start", zap.String("table", w.state.id))
			n.restart(w.state)
			return nil
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	w.table, w.plan, w.start = t, p, bytes.Clone(position)
	w.phase, w.gone = windowOpen, false
	close(w.registered)
	return nil
}

// rowKeyName says what the chunks of a table are bounded by.
func rowKeyName(t *Table) string {
	var b strings.Builder
	for _, i := range t.RowKey {
		if i < len(t.Value.Fields) {
			fmt.Fprintf(&b, "%s %s %s,", t.Value.Fields[i].Name, t.Value.Fields[i].Type, t.Value.Fields[i].ConnectName())
		} else {
			fmt.Fprintf(&b, "#%d,", i)
		}
	}
	b.WriteString(t.RowOrder)
	return b.String()
}

// observe has the changes of a window's table seen.
func (n *snapshot) observe(w *window) {
	k := n.watch(w.state)
	if !w.watching {
		w.watching = true
		k.windows++
	}
	w.seq = k.seq
	k.touchedAt = nil
}

func (n *snapshot) watch(t *tableState) *watch {
	if t.watch == nil {
		t.watch = &watch{touched: map[string]uint64{}}
		n.watches = append(n.watches, t)
	}
	return t.watch
}

// release ends a window's watching.
func (n *snapshot) release(w *window) {
	if !w.watching {
		return
	}
	w.watching = false
	w.state.watch.windows--
	n.unwatch(w.state)
}

func (n *snapshot) unwatch(t *tableState) {
	if t.watch == nil || t.watch.windows > 0 || t.watch.published != nil {
		return
	}
	t.watch = nil
	n.watches = slices.DeleteFunc(n.watches, func(o *tableState) bool { return o == t })
}

// drop ends the reading of a table that there is not where the stream stands:
// it was dropped, or is created later on, and then the stream has all of it.
func (n *snapshot) drop(s *stream, w *window) {
	n.forget(w.state, func(o *window) { n.release(o) })
	n.stopSweeps(w.state)
	w.state.value.Phase, w.state.value.Sweep = tableStreamed, false
	s.tables.change(w.state)
}

// forget takes all windows and plans of a table away.
func (n *snapshot) forget(t *tableState, each func(*window)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = slices.DeleteFunc(n.queue, func(o *window) bool {
		if o.state != t {
			return false
		}
		if !o.ranged && n.planning && len(n.plans) > 0 && n.plans[0].state == t {
			n.planning = false
		}
		each(o)
		if o.phase == windowWaiting {
			o.gone = true
			close(o.registered)
		}
		if o.phase == windowFixed {
			o.verdict <- false
		}
		o.phase = windowDead
		return true
	})
	n.plans = slices.DeleteFunc(n.plans, func(p *tablePlan) bool { return p.state == t })
	n.cond.Broadcast()
}

// restart reads a table from its start, behind what is planned already.
func (n *snapshot) restart(t *tableState) {
	n.stopSweeps(t)
	n.forget(t, func(o *window) { n.release(o) })
	t.value.After = nil
	n.add(t)
}

// void makes windows of the tables that DDL names due again: what was read may
// be of another definition.
func (n *snapshot) void(tables []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.queue {
		if !slices.ContainsFunc(tables, func(name string) bool {
			return name == w.state.id || strings.HasSuffix(name, ".") && strings.HasPrefix(w.state.id, name)
		}) {
			continue
		}
		switch w.phase {
		case windowOpen:
			w.void = true
		case windowRead:
			n.again(w)
		case windowFixed:
			w.verdict <- false
			w.phase, w.void = windowOpen, true
		}
	}
}
