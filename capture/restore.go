package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/failpoint"
)

// start is what a run starts from.
type start struct {
	capture   *Capture
	source    Source
	client    *kgo.Client
	publisher *publisher
	stored    *stored
}

// restore makes the stream that goes on where the last leader stopped, or
// begins anew where nothing is stored.
func (f *start) restore(ctx context.Context) (*stream, error) {
	s := f.stream(ctx)
	fresh, err := f.position(ctx, s)
	if err != nil {
		return nil, err
	}
	tables, err := f.source.Tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	if len(tables) == 0 {
		f.capture.log.Warn(noTables)
	}
	occupied, err := f.occupied(ctx, tables)
	if err != nil {
		return nil, err
	}
	f.plan(s, tables, fresh, occupied)
	if err := f.topics(ctx, s, tables); err != nil {
		return nil, err
	}
	failpoint.Pass(failpoint.TopicsReady)
	if pending := s.tables.pending(); len(pending) > 0 {
		f.capture.log.Info("reading tables", zap.Int("tables", len(pending)))
		f.capture.progress.snapshotTables(len(pending))
		s.snapshot.add(pending...)
	}
	if !fresh && s.config.SnapshotMode == SnapshotInitialOnly && len(s.tables.pending()) == 0 {
		return nil, errFinished
	}
	if !fresh {
		return s, nil
	}
	if err := f.schemas(ctx, s, tables); err != nil {
		return nil, err
	}
	// From here on a crash resumes at this very position.
	if err := s.end(); err != nil {
		return nil, err
	}
	f.capture.broken = nil
	return s, nil
}

// stream puts a stream together.
func (f *start) stream(ctx context.Context) *stream {
	c := f.capture
	s := &stream{
		ctx: ctx, config: &c.config, source: f.source, publisher: f.publisher, log: c.log, now: c.now, metrics: c.metrics, progress: c.progress,
		topics: newTopicKeeper(f.client, c.config.Topics, c.log), clock: clock{now: c.now},
		context: contextHeaders(&c.config, f.source.Kind(), c.options.RunID),
		plans:   map[string]*plan{}, written: map[string]bool{}, entries: map[string][]byte{},
		tables:   newTableStates(f.stored.tables),
		snapshot: newSnapshot(&c.config, f.source, f.client, c.log, c.now, c.metrics),
		ddl:      newSchemaChanges(&c.config), heartbeat: newHeartbeat(&c.config), stored: c.now(),
	}
	s.domain, s.owners = domain(c.config.Prefix), map[string]string{}
	s.records = newRecorder(s, &c.config, f.source.Kind(), c.options.RunID)
	if c.config.Transactions {
		s.order = newTransactions(&c.config)
	}
	for _, op := range c.config.Skipped {
		s.skipped[op] = true
	}
	return s
}

// position restores the source and the clock. fresh says that the stream begins
// at the log's end, and all tables are to be read.
func (f *start) position(ctx context.Context, s *stream) (fresh bool, err error) {
	o := f.stored.offset
	if o == nil {
		if s.clock.prev, err = largestVersion(ctx, f.client, s.config); err != nil {
			return true, err
		}
		return true, f.beginAnew(ctx)
	}
	s.clock.prev = o.Version
	if o.Rows > 0 {
		s.resume = resumePoint{pending: true, rows: o.Rows, hash: o.Hash, transaction: o.Transaction}
	}
	if err = f.capture.broken; err == nil {
		err = f.source.Restore(ctx, &Stored{Position: o.Position, Entries: f.stored.entries})
	}
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, ErrNoContinuity) || s.config.SnapshotMode != SnapshotWhenNeeded {
		return false, fmt.Errorf("resuming at the stored offset: %w", err)
	}
	f.capture.log.Warn("the log does not continue where the capture stopped: all tables are read again", zap.Error(err))
	s.resume = resumePoint{}
	for k := range f.stored.entries { // those of the old log
		s.entries[k] = nil
	}
	return true, f.beginAnew(ctx)
}

func (f *start) beginAnew(ctx context.Context) error {
	if err := f.source.Restore(ctx, nil); err != nil {
		return fmt.Errorf("starting anew: %w", err)
	}
	if err := f.source.Begin(ctx); err != nil {
		return fmt.Errorf("finding the log's end: %w", err)
	}
	return nil
}

// occupied are the topics of tables that have records already: what is read
// anew into them has to end with a sweep.
func (f *start) occupied(ctx context.Context, tables []*Table) (map[string]bool, error) {
	out := map[string]bool{}
	if len(tables) == 0 {
		return out, nil
	}
	all, err := kadm.NewClient(f.client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var names []string
	for _, t := range tables {
		if topic, ok := f.capture.config.Transforms.Route(t.Topic); ok && all.Has(topic) {
			names = append(names, topic)
		}
	}
	if len(names) == 0 {
		return out, nil
	}
	return occupied(ctx, f.client, names...)
}

// occupied are those of some topics that have records.
func occupied(ctx context.Context, client *kgo.Client, names ...string) (map[string]bool, error) {
	admin, out := kadm.NewClient(client), map[string]bool{}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("finding what topics hold: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("finding what topics hold: %w", err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if at, ok := starts.Lookup(end.Topic, end.Partition); ok && at.Offset < end.Offset {
			out[end.Topic] = true
		}
	})
	return out, nil
}

// plan decides which tables are to be read: all on a fresh start; else those
// that are new to the capture, alone, while the stream goes on.
func (f *start) plan(s *stream, tables []*Table, fresh bool, occupied map[string]bool) {
	present := make(map[string]bool, len(tables))
	order := 0
	for _, t := range s.tables.byID {
		order = max(order, t.value.Order+1)
	}
	first := len(s.tables.pending()) == 0 || fresh
	for _, t := range tables {
		present[t.ID()] = true
		state := s.tables.of(t.ID())
		if !fresh && state.value.Phase != "" {
			continue
		}
		v := tableValue{Format: offsetFormat, Phase: tableNoData, Order: order, Keyed: state.value.Keyed}
		order++
		if s.config.SnapshotMode != SnapshotNoData && s.config.Filter.Snapshot(t) {
			v.Phase, v.First = tablePending, first
			first = false
			topic, ok := s.config.Transforms.Route(t.Topic)
			v.Sweep = ok && t.Key != nil && t.RowKey != nil && occupied[topic]
			v.Since = s.clock.prev
		}
		state.value = v
		s.tables.change(state)
	}
	for id, state := range s.tables.byID {
		if !present[id] && !f.doubted(id) { // captured no more: if it comes again, it is new
			s.tables.remove(state)
		}
	}
}

// doubted reports whether a table is there whose definition is not known yet.
func (f *start) doubted(id string) bool {
	database, name, _ := strings.Cut(id, ".")
	_, err := f.source.Table(database, name)
	return errors.Is(err, ErrDefinition)
}

// topics makes all topics ready that are known now; others are when they are
// needed.
func (f *start) topics(ctx context.Context, s *stream, tables []*Table) error {
	specs := s.config.topics()
	for _, t := range tables {
		// Whose topics are whose is known of all before any is made ready.
		_, _ = s.destination(t, s.tables.of(t.ID()))
	}
	for _, t := range tables {
		state := s.tables.of(t.ID())
		spec, ok := s.destination(t, state)
		if !ok {
			continue
		}
		specs = append(specs, spec)
		if keyed := spec.role == roleKeyed; keyed != state.value.Keyed {
			state.value.Keyed = keyed
			s.tables.change(state)
		}
	}
	return s.topics.ensure(ctx, specs...)
}

// schemas writes the schema change events that come before a snapshot.
func (f *start) schemas(ctx context.Context, s *stream, tables []*Table) error {
	if s.ddl == nil {
		return nil
	}
	changes, err := f.source.SnapshotSchemas(ctx, tables)
	if err != nil {
		return fmt.Errorf("reading the schemas of tables: %w", err)
	}
	if len(changes) > 0 && len(s.tables.pending()) == 0 {
		changes[len(changes)-1].mark(markerLast) // no row follows
	}
	for _, c := range changes {
		if err := s.ddl.write(s, c); err != nil {
			return err
		}
	}
	return nil
}
