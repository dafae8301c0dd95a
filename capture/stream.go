package capture

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/kafka"
)

// ErrResume says that the transaction in whose middle the capture stopped is
// not the one that the log has there now: another log, or another selection of
// tables.
var ErrResume = errors.New("the transaction in which the capture stopped is not the same any more (restore the configuration it had, or remove its offset from offset.storage.topic to read everything again)")

// stream is what a Source reports to: it gives changes their versions, writes
// them, and ends Kafka transactions where the source's end. All of it runs on
// the goroutine of Source.Stream.
type stream struct {
	ctx       context.Context // of the run
	config    *Config
	source    Source
	publisher *publisher
	topics    *topicKeeper
	clock     clock
	log       *zap.Logger
	now       func() time.Time
	metrics   *metrics
	progress  *progress

	context   []kgo.RecordHeader // headers for every change
	skipped   [256]bool          // by operation
	plans     map[string]*plan   // the newest of each table, by its ID
	last      *plan
	written   map[string]bool // fingerprints in the schema topic
	tables    *tableStates
	entries   map[string][]byte // of the Source, not stored yet
	snapshot  *snapshot
	order     *transactions     // nil without transaction metadata
	heartbeat *heartbeat        // nil without
	ddl       *schemaChanges    // nil without
	records   *recorder         // nil where records are written as they are
	domain    string            // of versions
	owners    map[string]string // whose records go to a topic: the table's ID, "" for several

	// The source transaction that is being read, and how much of it was
	// published before.
	inside bool
	tx     TransactionStart
	rows   int64
	hash   uint32
	resume resumePoint
	buffer []byte
	stored time.Time // when the offset was stored last
}

// resumePoint is how much of a source transaction is published already.
type resumePoint struct {
	pending     bool // it has not begun yet
	rows        int64
	hash        uint32
	transaction string
}

// published is how much of the current source transaction is published.
func (s *stream) published() resumePoint {
	if !s.inside || s.rows < s.resume.rows {
		return s.resume
	}
	return resumePoint{rows: s.rows, hash: s.hash, transaction: string(s.tx.ID)}
}

func (s *stream) nanos() int64 { return s.now().UnixNano() }

// Begin implements Stream.
func (s *stream) Begin(tx TransactionStart) error {
	if s.inside {
		// The connection broke in the middle of it.
		s.resume = s.published()
		s.resume.pending = s.resume.rows > 0
		s.inside = false
	} else {
		// A Kafka transaction that ends within this one stores its start, so what
		// DDL before it left goes with that: within it the Source is not asked.
		s.collect()
	}
	if s.resume.pending {
		if s.resume.transaction != string(tx.ID) {
			return fmt.Errorf("%w: %d rows of %s are published and the log goes on with %s", ErrResume, s.resume.rows, s.resume.transaction, tx.ID)
		}
	} else {
		s.resume = resumePoint{}
		if err := s.advance(); err != nil {
			return err
		}
	}
	s.resume.pending = false
	s.inside, s.rows, s.hash = true, 0, 0
	s.tx.ID = append(s.tx.ID[:0], tx.ID...)
	s.tx.CommitMillis = tx.CommitMillis
	s.clock.begin(tx.CommitMillis)
	if s.order != nil {
		s.order.begin()
	}
	failpoint.Pass(failpoint.StreamBegin)
	return nil
}

// Change implements Stream.
func (s *stream) Change(c *Change) error {
	p, err := s.plan(c.Table)
	if err != nil {
		return err
	}
	if w := p.state.watch; w != nil {
		w.touch(c)
	}
	row := c.After
	if row == nil {
		row = c.Before
	}
	muted, dropped := s.rows < s.resume.rows, s.drops(p, c)
	var key []byte
	switch {
	case p.key == nil || row == nil:
	case muted || dropped || s.records != nil:
		s.buffer = p.key.AppendColumns(s.buffer[:0], row.Values, c.Table.KeyColumns)
		key = s.buffer
	default:
		key = p.appendKey(s.publisher.arena, row)
	}
	s.rows++
	s.hash = p.hash(s.hash, c.Op, key)
	if err := s.matches(muted); err != nil {
		return err
	}
	if !dropped {
		if err := s.publish(p, c, key, muted); err != nil {
			return err
		}
	}
	return s.span()
}

// drops reports whether a change is not published: its operation is skipped, it
// changes nothing that is captured, or the table has no key and is still to be
// read, which will find what the change did.
func (s *stream) drops(p *plan, c *Change) bool {
	if s.skipped[c.Op] || p.state.hidden(c.Table) {
		return true
	}
	return s.config.SkipUnchanged && c.Op == cdc.OpUpdate && sameFields(c.Before, c.After) &&
		(p.key == nil || sameColumns(c.Before, c.After, c.Table.KeyColumns))
}

// publish writes the events of one change. A muted one was published before and
// only counts.
func (s *stream) publish(p *plan, c *Change, key []byte, muted bool) error {
	switch c.Op {
	case cdc.OpUpdate:
		if p.key != nil && !sameColumns(c.Before, c.After, c.Table.KeyColumns) {
			return s.rekey(p, c, key, muted)
		}
		return s.event(p, c, c.Op, c.Before, c.After, key, link{}, muted)
	case cdc.OpDelete:
		return s.remove(p, c, key, link{}, muted)
	}
	return s.event(p, c, c.Op, c.Before, c.After, key, link{}, muted)
}

// link is the header by which one half of a change of a key names the other.
type link struct {
	name string
	row  *cdc.Row // of the other half; nil for no link
}

// rekey writes an update that changes the key: a delete of the old one and a
// create of the new one, each naming the other.
func (s *stream) rekey(p *plan, c *Change, key []byte, muted bool) error {
	var before []byte
	if !muted && s.records == nil {
		before = p.appendKey(s.publisher.arena, c.Before)
	}
	if err := s.remove(p, c, before, link{headerNewKey, c.After}, muted); err != nil {
		return err
	}
	return s.event(p, c, cdc.OpCreate, nil, c.After, key, link{headerOldKey, c.Before}, muted)
}

// remove writes a delete and its tombstone, which is of the same version: it
// says the same of the same row.
func (s *stream) remove(p *plan, c *Change, key []byte, to link, muted bool) error {
	if err := s.event(p, c, cdc.OpDelete, c.Before, nil, key, to, muted); err != nil || muted || !s.config.Tombstones {
		return err
	}
	if s.records != nil {
		return s.records.tombstone(p, c.Before, s.clock.prev, to)
	}
	return s.produce(p, key, nil, s.clock.prev, to)
}

// event writes one envelope.
func (s *stream) event(p *plan, c *Change, op cdc.Op, before, after *cdc.Row, key []byte, to link, muted bool) error {
	var tx *cdc.Transaction
	if s.order != nil && s.inside {
		if s.order.count == 0 && !muted {
			if err := s.order.write(s, "BEGIN"); err != nil {
				return err
			}
		}
		tx = s.order.next(p, s.tx.ID)
	}
	if muted {
		return nil
	}
	if s.records != nil {
		return s.records.change(p, &change{op: op, before: before, after: after, source: c.Source, seq: c.SourceSeq, row: c.Row,
			nanos: p.processed(c, s.nanos), tx: tx, version: s.clock.next(), link: to})
	}
	p.event(c, s.nanos)
	return s.produce(p, key, p.appendValue(s.publisher.arena, op, before, after, c.Row, tx), s.clock.next(), to)
}

// produce writes a record of a table's topic.
func (s *stream) produce(p *plan, key, value []byte, version int64, to link) error {
	a := s.publisher.arena
	n := 2
	if to.row != nil {
		n++
	}
	h := a.headerSlots(n + len(s.context))
	h[0] = kgo.RecordHeader{Key: cdc.HeaderVersion, Value: a.version(version)}
	h[1] = kgo.RecordHeader{Key: cdc.HeaderSchema, Value: p.schema}
	if to.row != nil {
		h[2] = kgo.RecordHeader{Key: to.name, Value: p.appendLink(a, to.row)}
	}
	copy(h[n:], s.context)
	p.state.wrote = true
	if w := p.state.watch; w != nil && w.published != nil && key != nil {
		w.published[string(key)] = struct{}{}
	}
	err := s.publisher.produce(p.table.Topic, key, value, h)
	failpoint.Pass(failpoint.StreamEvent)
	return err
}

// plan is what is compiled for t. The first of a definition makes its topic
// ready and writes its schema, in the Kafka transaction that uses it.
func (s *stream) plan(t *Table) (*plan, error) {
	if p := s.last; p != nil && p.table == t {
		return p, nil
	}
	id := t.ID()
	p := s.plans[id]
	if p == nil || p.table != t {
		p = newPlan(t, s.source.SourceSchema(), s.config)
		p.state = s.tables.of(id)
		if p.state.value.Phase == "" { // created while the stream went on
			p.state.value.Phase = tableStreamed
			s.tables.change(p.state)
		}
		if err := s.ready(p); err != nil {
			return nil, err
		}
		s.plans[id] = p
	}
	s.last = p
	return p, nil
}

// ready makes a table's topic ready and writes its schema.
func (s *stream) ready(p *plan) error {
	spec, ok := s.destination(p.table, p.state)
	p.topic, p.exclusive = spec.name, ok && s.owners[spec.name] == p.table.ID()
	if !ok {
		return nil // the topics of records are made ready when they come
	}
	if err := s.topics.ensure(s.ctx, spec); err != nil {
		return err
	}
	if keyed := spec.role == roleKeyed; keyed != p.state.value.Keyed {
		p.state.value.Keyed = keyed
		s.tables.change(p.state)
	}
	if s.records != nil {
		return nil // it writes the schemas that records have behind the transforms
	}
	return s.writeEntry(p.entry)
}

// destination is the topic that a table's records go to; ok is false where
// transforms decide that by record.
func (s *stream) destination(t *Table, state *tableState) (spec topicSpec, ok bool) {
	topic, ok := s.config.Transforms.Route(t.Topic)
	if !ok {
		return spec, false
	}
	switch owner, known := s.owners[topic]; {
	case !known:
		s.owners[topic] = t.ID()
	case owner != t.ID() && s.config.Transforms.Chain != nil:
		s.owners[topic] = "" // keys of several tables meet there
	}
	spec = topicSpec{name: topic, role: roleOf(t, !s.skipped[cdc.OpTruncate]), ours: state.value.Keyed}
	if s.owners[topic] == "" && spec.role == roleKeyed {
		spec.role = roleRouted
	}
	return spec, true
}

// writeEntry writes an entry of the schema topic, in the Kafka transaction that
// uses it, unless this run did.
func (s *stream) writeEntry(e *json.SchemaEntry) error {
	if s.written[e.Fingerprint] {
		return nil
	}
	s.written[e.Fingerprint] = true
	err := s.publisher.produce(kafka.SchemaTopic(s.config.Prefix), []byte(e.Fingerprint), e.Marshal(), nil)
	failpoint.Pass(failpoint.StreamSchema)
	return err
}

// span ends a Kafka transaction within a large source transaction.
func (s *stream) span() error {
	p := s.publisher
	if !p.open || (!s.full() && (s.rows%256 != 0 || s.now().Sub(p.began) < spanInterval)) {
		return nil
	}
	failpoint.Pass(failpoint.StreamSpan)
	return s.end()
}

// full reports whether the open Kafka transaction has as much as it may.
func (s *stream) full() bool {
	p := s.publisher
	return p.bytes >= s.config.transactionBytes() || p.records >= s.config.QueueRecords
}

// transactionBytes is how much one Kafka transaction holds at most.
func (c *Config) transactionBytes() int { return max(1<<20, c.QueueBytes/4) }

// Commit implements Stream.
func (s *stream) Commit() error {
	if s.rows < s.resume.rows {
		return fmt.Errorf("%w: %s has %d rows, and %d of it are published", ErrResume, s.tx.ID, s.rows, s.resume.rows)
	}
	if s.order != nil {
		if s.order.count == 0 {
			if err := s.order.write(s, "BEGIN"); err != nil {
				return err
			}
		}
		if err := s.order.write(s, "END"); err != nil {
			return err
		}
	}
	failpoint.Pass(failpoint.StreamCommit)
	s.inside, s.resume = false, resumePoint{}
	s.progress.committed(s.tx.CommitMillis)
	s.snapshot.settle()
	if err := s.advance(); err != nil {
		return err
	}
	return s.boundary(false)
}

// Schema implements Stream.
func (s *stream) Schema(c *SchemaChange) error {
	var muted bool
	var err error
	if c.Inside {
		muted, err = s.counted(c)
	} else {
		err = s.between("DDL")
	}
	if err != nil {
		return err
	}
	if c.Publish && s.ddl != nil && !muted {
		if err := s.ddl.write(s, c); err != nil {
			return err
		}
		failpoint.Pass(failpoint.StreamDDL)
	}
	if t := c.Truncate; t != nil && !s.skipped[cdc.OpTruncate] {
		p, err := s.plan(t.Table)
		if err != nil {
			return err
		}
		if err := s.event(p, t, cdc.OpTruncate, nil, nil, nil, link{}, false); err != nil {
			return err
		}
	}
	if err := s.redefined(c); err != nil || c.Inside || c.More {
		return err
	}
	return s.boundary(false)
}

// counted counts a statement that is part of a transaction as one of its rows,
// so that a resume knows whether it was published.
func (s *stream) counted(c *SchemaChange) (muted bool, err error) {
	muted = s.rows < s.resume.rows
	s.rows++
	for _, table := range c.Tables {
		s.hash = crc32.Update(s.hash, castagnoli, []byte(table))
	}
	return muted, s.matches(muted)
}

// matches compares what was read of a transaction with what was published of
// it, when it is as much.
func (s *stream) matches(muted bool) error {
	if muted && s.rows == s.resume.rows && s.hash != s.resume.hash {
		return fmt.Errorf("%w: the first %d rows of %s have other keys than those that were published", ErrResume, s.rows, s.tx.ID)
	}
	return nil
}

// Progress implements Stream.
func (s *stream) Progress() error {
	if err := s.between("a position"); err != nil {
		return err
	}
	if err := s.advance(); err != nil {
		return err
	}
	return s.boundary(false)
}

// Idle implements Stream.
func (s *stream) Idle(drained bool) error {
	if drained {
		s.progress.drained()
	}
	if s.resume.pending {
		return nil // the log is behind what is published: nothing to store
	}
	if s.inside { // the connection broke in the middle of a transaction
		return s.publisher.err()
	}
	if err := s.advance(); err != nil {
		return err
	}
	return s.boundary(drained)
}

// between refuses what cannot come between a stored offset and the rest of its
// transaction.
func (s *stream) between(what string) error {
	if s.resume.pending {
		return fmt.Errorf("%w: %d rows of %s are published and the log goes on with %s", ErrResume, s.resume.rows, s.resume.transaction, what)
	}
	if p := s.published(); s.inside && p.rows > 0 { // it broke off, and did not come again
		return fmt.Errorf("%w: %d rows of %s are published and the log goes on with %s", ErrResume, p.rows, p.transaction, what)
	}
	s.inside = false
	return nil
}

// boundary is between two source transactions: the place to end a Kafka
// transaction, to beat, and to store the offset of a quiet database.
func (s *stream) boundary(drained bool) error {
	now := s.now()
	if s.heartbeat != nil && s.heartbeat.due(now) {
		if err := s.heartbeat.write(s, now); err != nil {
			return err
		}
	}
	p := s.publisher
	switch {
	case p.open && (drained || s.full() || now.Sub(p.began) >= tailInterval):
	case now.Sub(s.stored) >= s.config.OffsetInterval:
	default:
		return p.err()
	}
	return s.end()
}

// end stores the offset, and what goes with it, in the open Kafka transaction
// (or in one of its own) and commits it.
func (s *stream) end() error {
	if s.records != nil {
		if err := s.records.flush(); err != nil {
			return err
		}
	}
	if !s.inside {
		s.collect()
	}
	position := s.source.Position()
	if err := s.store(position); err != nil {
		return err
	}
	records, bytes := s.publisher.records, s.publisher.bytes
	// Leading may end meanwhile: what is complete is better committed, and
	// where another leads, fencing refuses it.
	if err := s.publisher.commit(context.Background()); err != nil {
		return err
	}
	s.stored = s.now()
	s.progress.stored(position, s.clock.prev, records, bytes)
	return nil
}

// collect takes over what the Source wants stored.
func (s *stream) collect() {
	for k, v := range s.source.Entries() {
		s.entries[k] = v
	}
}

// store writes offset, entries and the states of tables that changed.
func (s *stream) store(position []byte) error {
	prefix, topic, a := s.config.Prefix, s.config.OffsetTopic, s.publisher.arena
	put := func(key offsetKey, value []byte) error {
		return s.publisher.produce(topic, a.copy(mustJSON(key)), value, nil)
	}
	o := offsetValue{Format: offsetFormat, Position: position, Version: s.clock.prev, Millis: s.now().UnixMilli()}
	if p := s.published(); p.rows > 0 {
		o.Rows, o.Hash, o.Transaction = p.rows, p.hash, p.transaction
	}
	for k, v := range s.entries {
		if err := put(offsetKey{Prefix: prefix, Entry: k}, v); err != nil {
			return err
		}
	}
	if len(s.entries) > 0 {
		failpoint.Pass(failpoint.OffsetEntries)
	}
	clear(s.entries)
	for _, t := range s.tables.takeChanged() {
		var value []byte
		if !t.removed {
			value = mustJSON(t.value)
		}
		if err := put(offsetKey{Prefix: prefix, Table: t.id}, value); err != nil {
			return err
		}
		failpoint.Pass(failpoint.OffsetTables)
	}
	err := put(offsetKey{Prefix: prefix}, a.copy(mustJSON(o)))
	failpoint.Pass(failpoint.OffsetStored)
	return err
}

// advance lets the snapshot go on where the stream stands, between two source
// transactions.
func (s *stream) advance() error {
	if !s.snapshot.wants() {
		return nil
	}
	return s.snapshot.advance(s)
}

// redefined makes void what is open on tables that DDL names, and has those
// read again whose rows are gone without events.
func (s *stream) redefined(c *SchemaChange) error {
	s.last = nil
	s.snapshot.void(c.Tables)
	if !s.config.Sweep {
		return nil
	}
	for _, t := range c.Truncated {
		if err := s.resweep(t); err != nil {
			return err
		}
	}
	for _, t := range c.Arrived {
		if err := s.arrived(t); err != nil {
			return err
		}
	}
	for _, t := range c.Created {
		if err := s.created(t); err != nil {
			return err
		}
	}
	return nil
}
