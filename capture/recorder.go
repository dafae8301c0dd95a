package capture

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// ErrTransform says that a transform or a converter refused a record: the
// capture stops in front of it, and loses nothing.
var ErrTransform = errors.New("a record could not be transformed")

// recorderSlots is how many records go through a chain together that gains by
// it.
const recorderSlots = 256

// recorder writes the records of a capture that has transforms, or other
// converters than JsonConverter: each becomes a cdc.Record, passes the chain,
// and is written as what it is then, to the topic that it is routed to. What was
// decided about it before stays: its version, the watching of windows by the
// source's key, the counting of rows. It is used on the stream's goroutine.
type recorder struct {
	stream  *stream
	chain   *transform.Chain
	slots   []*slot // more than one where the chain works in batches
	used    int
	list    []*cdc.Record
	written int    // records, in all
	sets    uint64 // sets of rows that were read

	context      []cdc.Header // for every change
	headers      headerWriter
	keys, values conversions
	envelopes    map[envelopeRows]*envelopeWriter
	lastEnvelope *envelopeWriter
	entries      map[entryKey][]byte
	lastEntry    entryKey
	lastPrint    []byte
}

// slot is one record on its way, and the memory for it.
type slot struct {
	record   cdc.Record
	envelope cdc.Envelope
	key      cdc.Row
	value    cdc.Row // of a record that is no change
	before   cdc.Row
	after    cdc.Row
	source   cdc.Row
	given    []cdc.Value // the source block as it was
	seq      uint64      // of the source block
	plan     *plan       // nil for what is of no table
	version  int64
}

// envelopeRows are the schemas that an envelope is made of.
type envelopeRows struct{ row, source *cdc.Schema }

// envelopeWriter writes envelopes of one kind. It was begun with the source
// block seq, unless begun is false.
type envelopeWriter struct {
	of    envelopeRows
	json  *json.Enveloper
	row   int // index of the field "row" of the source block, -1 without one
	begun bool
	seq   uint64
	nanos int64
	hint  int
}

// entryKey is what an entry of the schema topic is made of.
type entryKey struct {
	key, value *cdc.Schema
	topic      string
}

// newRecorder returns nil where records are written as they are.
func newRecorder(s *stream, c *Config, kind, runID string) *recorder {
	if c.plainRecords() {
		return nil
	}
	w := &recorder{
		stream: s, chain: c.Transforms.Chain, headers: newHeaderWriter(c.Header, c.HeaderOptions),
		keys: newConversions(c.KeyForm, c.Key), values: newConversions(c.ValueForm, c.Value),
		envelopes: map[envelopeRows]*envelopeWriter{}, entries: map[entryKey][]byte{},
	}
	if w.chain == nil {
		w.chain = new(transform.Chain)
	}
	for _, h := range contextHeaders(c, kind, runID) {
		w.context = append(w.context, w.headers.constant(h.Key, h.Value))
	}
	n := 1
	if w.chain.Batched() {
		n = recorderSlots
	}
	for range n {
		w.slots = append(w.slots, new(slot))
	}
	w.list = make([]*cdc.Record, 0, n)
	return w
}

// plainRecords reports whether records are written as they are, in JSON.
func (c *Config) plainRecords() bool {
	return c.Transforms.Chain == nil && c.KeyForm == FormJSON && c.ValueForm == FormJSON && c.Header == FormSimple
}

// next is a free slot for a record of a topic. A Kafka transaction is open from
// then on.
func (w *recorder) next(topic string, p *plan) (*slot, error) {
	if err := w.stream.publisher.begin(); err != nil {
		return nil, err
	}
	s := w.slots[w.used]
	s.plan, s.version = p, 0
	r := &s.record
	r.Origin = cdc.Origin{Topic: topic, Partition: -1, Offset: -1}
	r.Route, r.Headers = topic, r.Headers[:0]
	r.Key, r.Value, r.Envelope, r.Op = nil, nil, nil, cdc.OpNone
	r.Wrapped, r.Deleted, r.Tombstone, r.Placed, r.Timed = false, false, false, false, false
	r.Version, r.Domain = 0, ""
	r.RawKey, r.RawValue = nil, nil
	return s, nil
}

// take makes to a row of the fields of from, of which a chain that works at once
// needs no copy: what transforms do to it does not touch from.
func (w *recorder) take(to, from *cdc.Row) *cdc.Row {
	if from == nil {
		return nil
	}
	if len(w.slots) > 1 {
		to.CopyFrom(from)
		to.Values = to.Values[:len(to.Schema.Fields)]
		return to
	}
	to.Reset(from.Schema)
	copy(to.Values, from.Values)
	return to
}

// takeKey makes the key of a row.
func (w *recorder) takeKey(s *slot, t *Table, row *cdc.Row) {
	if t.Key == nil || row == nil {
		return
	}
	s.key.Reset(t.Key)
	for i, at := range t.KeyColumns {
		v := row.Values[at]
		if len(w.slots) > 1 {
			v = s.key.Copy(v)
		}
		s.key.Values[i] = v
	}
	s.record.Key = &s.key
}

// change is what a recorder is told of a change.
type change struct {
	op            cdc.Op
	before, after *cdc.Row
	key           *cdc.Row // the row that the key is of, where that is none of them
	source        *cdc.Row
	seq           uint64 // of the source block, without row and marker
	row           int
	marker        []byte // source.snapshot, nil to leave it
	nanos         int64  // of the processing
	tx            *cdc.Transaction
	version       int64
	link          link
}

// change writes a change of a table.
func (w *recorder) change(p *plan, c *change) error {
	s, err := w.next(p.table.Topic, p)
	if err != nil {
		return err
	}
	row := c.after
	if row == nil {
		row = c.before
	}
	if c.key != nil {
		row = c.key
	}
	w.takeKey(s, p.table, row)
	w.version(s, c.version)
	e := &s.envelope
	*e = cdc.Envelope{
		Op: c.op, Before: w.take(&s.before, c.before), After: w.take(&s.after, c.after), Source: w.take(&s.source, c.source),
		Millis: c.nanos / 1e6, Micros: c.nanos / 1e3, Nanos: c.nanos,
	}
	if c.tx != nil {
		e.Transaction = *c.tx
		if len(w.slots) > 1 {
			id := s.source.Alloc(len(c.tx.ID))
			copy(id, c.tx.ID)
			e.Transaction.ID = id
		}
	}
	if p.sourceRow >= 0 {
		s.source.Values[p.sourceRow] = cdc.Int(int64(c.row))
	}
	if c.marker != nil {
		*s.source.Value("snapshot") = cdc.String(c.marker)
	}
	if at := p.sourceMillis; at >= 0 {
		e.SourceMillis = s.source.Values[at].Int()
	}
	s.given = append(s.given[:0], s.source.Values...)
	s.seq = c.seq
	r := &s.record
	r.Envelope, r.Op = e, c.op
	w.takeHeaders(s, p, c.link)
	return w.done()
}

// takeHeaders makes the headers of a table's record.
func (w *recorder) takeHeaders(s *slot, p *plan, to link) {
	r := &s.record
	if to.row != nil {
		if p.linked == nil {
			p.linked = cdc.Bare(cdc.Field{Type: cdc.Struct, Struct: p.table.Key})
		}
		var key cdc.Row
		key.Reset(p.table.Key)
		for i, at := range p.table.KeyColumns {
			key.Values[i] = key.Copy(to.row.Values[at])
		}
		r.Headers = append(r.Headers, cdc.Header{Key: to.name, Typed: transform.BareRow(p.linked, cdc.List(key.Values))})
	}
	r.Headers = append(r.Headers, w.context...)
}

func (w *recorder) version(s *slot, v int64) {
	s.version = v
	s.record.Version, s.record.Domain = uint64(v), w.stream.domain
}

// read writes row i of rows, which a snapshot has read.
func (w *recorder) read(p *plan, rows *rowSet, i int, m marker, version int64) error {
	if rows.seq == 0 {
		w.sets++
		rows.seq = w.sets<<markerBits | readSeq
	}
	return w.change(p, &change{op: cdc.OpRead, after: rows.rows[i], source: &rows.source, seq: rows.seq | uint64(m), marker: markerTexts[m],
		nanos: rows.nanos, version: version})
}

// gone writes a delete, and its tombstone, of a key that is in the topic and
// whose row is no more. Unwrapping drops a delete without a row: it has the key's
// columns then.
func (w *recorder) gone(p *plan, key, source *cdc.Row) error {
	var row, before cdc.Row
	n := len(p.table.Value.Fields)
	for _, at := range p.table.KeyColumns {
		n = max(n, at+1)
	}
	row.Reset(p.table.Value)
	for len(row.Values) < n {
		row.Values = append(row.Values, cdc.Value{})
	}
	for i, at := range p.table.KeyColumns {
		row.Values[at] = key.Values[i]
	}
	version, nanos := w.stream.clock.next(), w.stream.nanos()
	w.sets++
	c := change{op: cdc.OpDelete, source: source, seq: w.sets<<markerBits | readSeq, marker: []byte("false"), nanos: nanos, version: version, key: &row}
	written := w.written
	if err := w.changeNow(p, &c); err != nil {
		return err
	}
	if written == w.written {
		before.CopyFrom(&row)
		c.before = &before
		if err := w.changeNow(p, &c); err != nil {
			return err
		}
	}
	if !w.stream.config.Tombstones {
		return nil
	}
	if err := w.tombstone(p, &row, version, link{}); err != nil {
		return err
	}
	return w.flush()
}

func (w *recorder) changeNow(p *plan, c *change) error {
	if err := w.change(p, c); err != nil {
		return err
	}
	return w.flush()
}

// readSeq sets the numbers of the source blocks of snapshots apart from those of
// the log; the marker is in the lowest bits.
const (
	readSeq    = 1 << 63
	markerBits = 3
)

var markerTexts = func() (texts [markers][]byte) {
	for m, name := range markerNames {
		texts[m] = []byte(name)
	}
	return texts
}()

// tombstone writes a null value for the key of row.
func (w *recorder) tombstone(p *plan, row *cdc.Row, version int64, to link) error {
	s, err := w.next(p.table.Topic, p)
	if err != nil {
		return err
	}
	w.takeKey(s, p.table, row)
	w.version(s, version)
	r := &s.record
	r.Tombstone, r.Deleted = true, true
	w.takeHeaders(s, p, to)
	return w.done()
}

// other writes a record that is of no table.
func (w *recorder) other(topic string, key, value *cdc.Row, context bool) error {
	s, err := w.next(topic, nil)
	if err != nil {
		return err
	}
	r := &s.record
	r.Partition = 0
	r.Key, r.Value = w.take(&s.key, key), w.take(&s.value, value)
	if context {
		r.Headers = append(r.Headers, w.context...)
	}
	return w.done()
}

// done is the end of filling a slot.
func (w *recorder) done() error {
	w.used++
	if w.used < len(w.slots) {
		return nil
	}
	return w.flush()
}

// flush sends what waits through the chain and writes what it keeps.
func (w *recorder) flush() error {
	if w.used == 0 {
		return nil
	}
	w.list = w.list[:0]
	for _, s := range w.slots[:w.used] {
		w.list = append(w.list, &s.record)
	}
	kept, err := w.chain.Apply(w.stream.ctx, w.list)
	if err != nil {
		if err := w.rejected(err); err != nil {
			return err
		}
	}
	at := 0
	for _, r := range kept {
		for &w.slots[at].record != r {
			at++
		}
		if err := w.write(w.slots[at]); err != nil {
			return err
		}
	}
	w.used = 0
	return nil
}

// rejected decides about the records that the chain names as refused; any other
// error is of all of them.
func (w *recorder) rejected(err error) error {
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) {
		return err
	}
	for _, item := range rejected.Items {
		if err := w.refused(w.list[item.Index].Topic, item.Reason); err != nil {
			return err
		}
	}
	return nil
}

// refused decides about a record that a transform or a converter refuses.
func (w *recorder) refused(topic string, reason error) error {
	s := w.stream
	if !s.config.Transforms.Tolerant {
		return fmt.Errorf("%w: a record of topic %s: %w (errors.tolerance=all leaves such records out)", ErrTransform, topic, reason)
	}
	s.metrics.skipped.Inc()
	s.log.Warn("a record is left out, for it could not be transformed", zap.String("topic", topic), zap.Error(reason))
	return nil
}

// write writes one record that the chain has kept.
func (w *recorder) write(s *slot) error {
	r, a := &s.record, w.stream.publisher.arena
	key, keySchema, err := w.key(s)
	if err != nil {
		return w.refused(r.Topic, err)
	}
	value, rows, err := w.value(s)
	if err == nil {
		err = validTopic(r.Route)
	}
	if err != nil {
		return w.refused(r.Topic, err)
	}
	headers := a.headerSlots(2 + len(r.Headers))[:0]
	if s.plan != nil {
		headers = append(headers, kgo.RecordHeader{Key: cdc.HeaderVersion, Value: a.version(s.version)})
		if rows != nil {
			id, err := w.entry(entryKey{keySchema, rows, r.Route})
			if err != nil {
				return err
			}
			headers = append(headers, kgo.RecordHeader{Key: cdc.HeaderSchema, Value: id})
		}
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		b, err := w.headers.value(a, h)
		if err != nil {
			return w.refused(r.Topic, fmt.Errorf("header %s: %w", h.Key, err))
		}
		headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: b})
	}
	if err := w.ensure(s, key == nil); err != nil {
		return err
	}
	if s.plan != nil {
		s.plan.state.wrote = true
		if k := s.plan.state.watch; k != nil && k.published != nil && key != nil {
			k.published[string(key)] = struct{}{}
		}
	}
	w.written++
	return w.stream.publisher.produceAs(r, key, value, headers)
}

// key is the record's key, and the schema that it is of.
func (w *recorder) key(s *slot) ([]byte, *cdc.Schema, error) {
	row := s.record.Key
	if row == nil || row.Schema.IsBare() && row.Values[0].IsNull() {
		return nil, nil, nil
	}
	b, err := w.keys.of(row.Schema).keep(w.stream.publisher.arena, row)
	return b, row.Schema, err
}

// value is the record's value, and the schema of the rows that it is made of,
// nil where consumers cannot read it by one.
func (w *recorder) value(s *slot) ([]byte, *cdc.Schema, error) {
	r := &s.record
	if transform.IsNull(r) {
		return nil, s.rows(), nil
	}
	if r.Value == nil && w.values.form == FormJSON {
		if b := w.envelope(s); b != nil {
			return b, s.rows(), nil
		}
	}
	row := transform.Whole(r)
	c := w.values.of(row.Schema)
	b, err := c.keep(w.stream.publisher.arena, row)
	if w.values.form != FormJSON {
		return b, nil, err
	}
	if s.plan != nil {
		s.plan.rows = c.rows
	}
	return b, c.rows, err
}

// rows is the schema of the rows of a record that has an envelope, or of a null:
// what a record of the table had last.
func (s *slot) rows() *cdc.Schema {
	switch e := s.record.Envelope; {
	case s.plan == nil:
		return nil
	case s.record.Value == nil && e != nil && e.After != nil && !transform.IsNull(&s.record):
		return e.After.Schema
	case s.record.Value == nil && e != nil && e.Before != nil && !transform.IsNull(&s.record):
		return e.Before.Schema
	case s.plan.rows != nil:
		return s.plan.rows
	}
	return s.plan.table.Value
}

// envelope is the record's envelope, nil where its rows are of different
// schemas.
func (w *recorder) envelope(s *slot) []byte {
	e := s.record.Envelope
	if e.Source == nil {
		return nil
	}
	of := envelopeRows{s.plan.table.Value, e.Source.Schema}
	switch {
	case e.After != nil && e.Before != nil && e.After.Schema != e.Before.Schema:
		return nil
	case e.After != nil:
		of.row = e.After.Schema
	case e.Before != nil:
		of.row = e.Before.Schema
	}
	x := w.envelopeWriter(of)
	same := slices.Equal(s.given, e.Source.Values)
	if !x.begun || !same || x.seq != s.seq || x.nanos != e.Nanos {
		x.json.Begin(e.Source, e.Nanos)
		x.begun, x.seq, x.nanos = same, s.seq, e.Nanos
	}
	row := 0
	if x.row >= 0 {
		row = int(e.Source.Values[x.row].Int())
	}
	s.plan.rows = of.row
	a := w.stream.publisher.arena
	b := a.keep(x.json.Append(a.tail(x.hint), e.Op, e.Before, e.After, row, &e.Transaction))
	if len(b) > x.hint || len(b) < x.hint/4 {
		x.hint = len(b) + len(b)/4
	}
	return b
}

func (w *recorder) envelopeWriter(of envelopeRows) *envelopeWriter {
	if x := w.lastEnvelope; x != nil && x.of == of {
		return x
	}
	x := w.envelopes[of]
	if x == nil {
		x = &envelopeWriter{of: of, json: json.NewEnveloper(of.row, of.source, w.stream.config.Value), row: of.source.Index([]byte("row")), hint: 512}
		w.envelopes[of] = x
	}
	w.lastEnvelope = x
	return x
}

// entry is the fingerprint of an entry of the schema topic, which is written,
// in the Kafka transaction that uses it, when it is new.
func (w *recorder) entry(of entryKey) ([]byte, error) {
	if w.lastPrint != nil && w.lastEntry == of {
		return w.lastPrint, nil
	}
	id := w.entries[of]
	if id == nil {
		e := json.NewSchemaEntry(w.stream.domain, of.topic, of.key, of.value)
		id = []byte(e.Fingerprint)
		if err := w.stream.writeEntry(e); err != nil {
			return nil, err
		}
		w.entries[of] = id
	}
	w.lastEntry, w.lastPrint = of, id
	return id, nil
}

// ensure makes the topic of a record ready.
func (w *recorder) ensure(s *slot, keyless bool) error {
	spec := topicSpec{name: s.record.Route, role: roleRouted}
	switch {
	case s.plan == nil:
		spec.partitions = 1
	case spec.name == s.plan.topic:
		return nil // since the plan was made
	case keyless:
		spec.role = roleKeyless
	}
	if w.stream.topics.has(spec.name, spec.role) {
		return nil
	}
	return w.stream.topics.ensure(w.stream.ctx, spec)
}
