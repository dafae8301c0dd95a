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
	n.cond.Broadcast()
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
	t := s.source.Table(database, name)
	if t == nil {
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
	if !w.chunkLocked() && k.touchedAt != nil && !n.source.Covers(w.chunk.Low, k.touchedAt) {
		n.log.Info("a table changed while it was read in one piece: it is read again", zap.String("table", w.state.id), zap.Int("tries", w.tries+1))
		n.reject(w, phase)
		return false, nil
	}
	return n.accept(s, w)
}

// chunkLocked reports whether the whole read was made under a lock.
func (w *window) chunkLocked() bool { return w.tries >= wholeTries }

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
	n.mu.Unlock()
	w.verdict <- true
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
		n.giveRows(w.rows)
		n.finish(s, w, w.last)
		return n.full(s)
	}
	for b := *w.first; ; {
		last := b.last && !n.moreTables()
		if err := n.rows(s, w, b.rows, b.last, last); err != nil {
			return err
		}
		n.giveRows(b.rows)
		if b.last {
			n.finish(s, w, true)
			return n.full(s)
		}
		if err := n.full(s); err != nil {
			return err
		}
		var err error
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
		a := s.publisher.arena
		var key []byte
		if rows.list[i].key != nil {
			key = a.copy(rows.list[i].key)
		}
		if err := s.produce(w.plan, key, rows.appendValue(a, i, m), s.clock.next(), nil); err != nil {
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
	if last && v.Sweep {
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
		return nil //nolint:nilerr // the end of ctx is no failure
	}
	for {
		w, _ := c.n.claim(ctx, false)
		if w == nil {
			c.close()
			var err error
			if w, err = c.n.claim(ctx, true); err != nil {
				return nil //nolint:nilerr // the end of ctx is no failure
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
	accepted := false
	flush := func(last bool) error {
		if err := c.encoder.close(rows, source, c.n.now().UnixNano()); err != nil {
			return err
		}
		err := send(wholeBatch{rows: rows, last: last})
		rows = c.n.takeRows()
		return err
	}
	err := c.reader.ReadWhole(ctx, w.table, w.chunkLocked(), func(chunk Chunk) error {
		source = chunk.Source
		verdict, err := c.n.fix(w, chunk)
		if err != nil {
			return err
		}
		select {
		case accepted = <-verdict:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !accepted {
			return errRetry
		}
		return nil
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
	if accepted {
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
	if w.phase == windowDead || w.void {
		return nil, errRetry
	}
	w.chunk, w.phase = chunk, windowFixed
	w.verdict, w.batches = make(chan bool, 1), make(chan wholeBatch, 1)
	n.notify()
	return w.verdict, nil
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
