// Package elasticsearch writes records to Elasticsearch and OpenSearch: one
// document a key, never an older state over a newer one, by bulk requests with
// external versions.
package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// Sink writes batches of records. It implements sink.Writer.
type Sink struct {
	config   Config
	client   performer
	log      *zap.Logger
	metrics  *metrics
	inflight *inflight
	slots    chan struct{} // one for each bulk request under way
	seed     maphash.Seed
	bodies   sync.Pool // *bytes.Buffer
	batches  sync.Pool // *batch

	generation int
	opening    sync.Mutex
	mu         sync.Mutex
	indexes    map[string]*index // by route
	limit      int               // operations a bulk, adapted to what the cluster takes
}

// performer is the client's transport.
type performer interface {
	Perform(*http.Request) (*http.Response, error)
}

// New connects to the cluster and finds out which generation of the indexes is
// live.
func New(ctx context.Context, c Config, log *zap.Logger, metrics prometheus.Registerer) (*Sink, error) {
	client, err := newClient(&c)
	if err != nil {
		return nil, err
	}
	s := newSink(c, client, log, newMetrics(metrics))
	if s.generation = c.Generation; s.generation == 0 {
		live, err := s.Live(ctx)
		if err != nil {
			return nil, err
		}
		s.generation = live.Generation
	}
	return s, nil
}

func newSink(c Config, client performer, log *zap.Logger, m *metrics) *Sink {
	return &Sink{
		config: c, client: client, log: log, metrics: m, inflight: newInflight(), slots: make(chan struct{}, c.MaxInFlight),
		seed: maphash.MakeSeed(), indexes: map[string]*index{}, limit: c.BatchSize,
		bodies:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
		batches: sync.Pool{New: func() any { return &batch{newest: map[uint64]int{}, documents: map[*cdc.Schema]*document{}} }},
	}
}

// batch is the memory of one call of Write.
type batch struct {
	text       []byte
	ids        []byte
	operations []operation
	replaced   []operation    // by newer ones of the same document
	newest     map[uint64]int // document → index in operations
	hashes     []uint64
	rejections []sink.Rejection
	documents  map[*cdc.Schema]*document
}

// Write makes the batch durable, as sink.Writer says.
func (s *Sink) Write(ctx context.Context, records []*cdc.Record) error {
	b := s.batches.Get().(*batch)
	defer s.batches.Put(b)
	b.reset()
	for i, r := range records {
		if err := s.add(ctx, b, i, r); err != nil {
			return err
		}
	}
	if err := s.flush(ctx, b); err != nil {
		return err
	}
	if len(b.rejections) > 0 {
		return &sink.Rejected{Items: append([]sink.Rejection(nil), b.rejections...)}
	}
	return nil
}

func (b *batch) reset() {
	b.ids = b.ids[:0]
	b.text, b.operations, b.hashes, b.rejections = b.text[:0], b.operations[:0], b.hashes[:0], b.rejections[:0]
	b.replaced = b.replaced[:0]
	clear(b.newest)
}

// add appends the operation of a record, in place of an older one of the same
// document. An error is the cluster's; the record's own are rejections.
func (s *Sink) add(ctx context.Context, b *batch, i int, r *cdc.Record) error {
	if r.Left {
		return s.leave(ctx, b, i, r)
	}
	gone := r.Deleted || r.Tombstone || r.Value == nil
	if gone && s.config.Nulls != nullsDelete {
		if s.config.Nulls == nullsFail {
			s.refuse(b, i, errors.New("the record has no value, and behavior.on.null.values is fail"))
		}
		return nil
	}
	x, err := s.indexOf(ctx, r.Route)
	if err == nil && !gone {
		err = s.mapSchema(ctx, x, r.Value.Schema)
	}
	if err == nil {
		err = s.admit(ctx, x, r.Topic, r.Domain)
	}
	var bad *unusable
	if errors.As(err, &bad) {
		s.reject(b, i, bad)
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.appendOperation(b, i, r, x, gone); err != nil {
		s.refuse(b, i, err)
	}
	return nil
}

// leave appends the delete of a row that an update takes elsewhere. What cannot
// be the place of a document never was: neither a name that no index has, nor,
// where key.ignore is true, that of a change, which stays what it was.
func (s *Sink) leave(ctx context.Context, b *batch, i int, r *cdc.Record) error {
	if s.config.KeyIgnore {
		return nil
	}
	x, err := s.indexOf(ctx, r.Route)
	if err == nil {
		err = s.admit(ctx, x, r.Topic, r.Domain)
	}
	var nowhere *unusable
	if errors.As(err, &nowhere) {
		return nil
	}
	if err == nil {
		_ = s.appendOperation(b, i, r, x, true) // without a key there never was a document
	}
	return err
}

func (s *Sink) appendOperation(b *batch, i int, r *cdc.Record, x *index, gone bool) (err error) {
	o := operation{record: i, index: x, version: r.Version, delete: gone, from: len(b.text), idFrom: len(b.ids)}
	var full []byte
	if s.config.KeyIgnore {
		if gone {
			return errors.New("a delete cannot find its document where key.ignore is true")
		}
		b.ids = appendOffsetID(b.ids, &r.Origin)
	} else if b.ids, full, err = appendID(b.ids, r.Key); err != nil {
		b.ids = b.ids[:o.idFrom]
		return err
	}
	o.idTo = len(b.ids)
	older := b.find(&o, maphash.Bytes(s.seed, b.ids[o.idFrom:])^x.hash)
	if older != nil && older.version > o.version {
		s.metrics.operations.WithLabelValues("coalesced").Inc()
		return nil
	}
	b.text = appendAction(b.text, &o, b.ids[o.idFrom:o.idTo], !s.config.KeyIgnore)
	if !gone {
		if b.text, err = b.document(s, r.Value.Schema).append(b.text, r.Value, full); err != nil {
			b.text = b.text[:o.from]
			return err
		}
	}
	o.to = len(b.text)
	if older != nil {
		s.metrics.operations.WithLabelValues("coalesced").Inc()
		b.replaced = append(b.replaced, *older)
		o.older = len(b.replaced)
		*older = o
		return nil
	}
	b.newest[o.document] = len(b.operations)
	b.operations = append(b.operations, o)
	b.hashes = append(b.hashes, o.document)
	return nil
}

// find returns the operation that the batch already has for o's document, and
// gives o the number of that document: its hash, or the next number that no
// other document of the batch has.
func (b *batch) find(o *operation, hash uint64) *operation {
	for ; ; hash++ {
		o.document = hash
		at, ok := b.newest[hash]
		if !ok {
			return nil
		}
		known := &b.operations[at]
		if known.index.name == o.index.name && bytes.Equal(b.ids[known.idFrom:known.idTo], b.ids[o.idFrom:o.idTo]) {
			return known
		}
	}
}

// refuse rejects a record that cannot be made into a document, or drops it where
// that is asked for. What the cluster refuses is a good document, and may be
// refused for what the index is.
func (s *Sink) refuse(b *batch, i int, reason error) {
	if !s.config.DropInvalid {
		s.reject(b, i, reason)
		return
	}
	s.metrics.rejected.Inc()
	s.log.Warn("dropping a record (drop.invalid.message=true)", zap.Error(reason))
}

func (s *Sink) reject(b *batch, i int, reason error) {
	s.metrics.rejected.Inc()
	b.rejections = append(b.rejections, sink.Rejection{Index: i, Reason: reason})
}

// flush sends the batch's operations until none is pending, or the quick
// attempts are used up.
func (s *Sink) flush(ctx context.Context, b *batch) error {
	if len(b.operations) == 0 {
		return nil
	}
	release, err := s.inflight.acquire(ctx, b.hashes)
	if err != nil {
		return err
	}
	defer release()
	open := make([]*operation, len(b.operations))
	for i := range b.operations {
		open[i] = &b.operations[i]
	}
	for attempt := 0; ; attempt++ {
		var failed error
		if open, failed = s.round(ctx, b, open); len(open) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if failed == nil { // open are those whose successors were rejected
			attempt--
			continue
		}
		if attempt >= s.config.MaxRetries || slices.ContainsFunc(open, (*operation).lost) {
			return fmt.Errorf("writing to Elasticsearch: %d of %d operations are not accepted: %w", len(open), len(b.operations), failed)
		}
		s.metrics.retried.Add(float64(len(open)))
		if err := sleep(ctx, s.config.Backoff, attempt); err != nil {
			return err
		}
	}
}

// lost reports whether the operation cannot be sent again as it is: its index is
// to be looked at first.
func (o *operation) lost() bool { return o.index.lost() }

// sleep pauses before a retry: the back-off doubled each time, with jitter.
func sleep(ctx context.Context, backoff time.Duration, attempt int) error {
	pause := min(backoff<<min(attempt, 10), 10*time.Second)
	pause = pause/2 + rand.N(pause/2+1)
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// round sends the open operations once, in several bulks at a time, and returns
// those still open with the reason of one of them.
func (s *Sink) round(ctx context.Context, b *batch, open []*operation) ([]*operation, error) {
	bulks := s.cut(open)
	failures := make([]error, len(bulks))
	var group sync.WaitGroup
	for i := range bulks {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			failures[i] = ctx.Err()
			continue
		}
		group.Go(func() {
			defer func() { <-s.slots }()
			failures[i] = s.send(ctx, &bulks[i], b.text)
		})
	}
	group.Wait()
	var still []*operation
	var reason error
	taken := true
	for i := range bulks {
		left, why := s.settle(b, &bulks[i], failures[i])
		still = append(still, left...)
		if why != nil {
			reason = why
		}
		taken = taken && (failures[i] == nil || errors.Is(failures[i], errLease)) && !bulks[i].busy()
	}
	s.adapt(taken, len(bulks[0].operations))
	return still, reason
}

// busy reports whether the cluster refused an operation for how much comes. What
// is wrong with one index is no reason for smaller requests to the others.
func (b *bulk) busy() bool {
	return slices.ContainsFunc(b.reasons, func(err error) bool { return errors.Is(err, errBusy) })
}

// cut makes bulks of operations, by count and bytes.
func (s *Sink) cut(open []*operation) []bulk {
	s.mu.Lock()
	limit := s.limit
	s.mu.Unlock()
	var bulks []bulk
	for len(open) > 0 {
		n, size := 0, 0
		for n < len(open) && n < limit && (n == 0 || size+open[n].to-open[n].from <= s.config.BulkBytes) {
			size += open[n].to - open[n].from
			n++
		}
		s.metrics.bytes.Add(float64(size))
		bulks = append(bulks, bulk{operations: open[:n], outcomes: make([]outcome, n), reasons: make([]error, n)})
		open = open[n:]
	}
	return bulks
}

// settle takes what became of a bulk's operations; those to be tried again are
// returned, with the reason of one, and in place of a rejected one what it had
// replaced, which is as good as before.
func (s *Sink) settle(b *batch, k *bulk, failure error) (still []*operation, reason error) {
	if failure != nil {
		return k.operations, failure
	}
	for i, o := range k.operations {
		switch k.outcomes[i] {
		case pending:
			still, reason = append(still, o), k.reasons[i]
		case rejected:
			s.reject(b, o.record, k.reasons[i])
			if o.older > 0 {
				*o = b.replaced[o.older-1]
				still = append(still, o)
			}
		case stale:
			s.metrics.operations.WithLabelValues("stale").Inc()
		case done:
			if o.delete {
				s.metrics.operations.WithLabelValues("deleted").Inc()
			} else {
				s.metrics.operations.WithLabelValues("indexed").Inc()
			}
		}
	}
	return still, reason
}

// adapt halves the size of bulks while the cluster refuses some, and lets it
// grow again after; size is how many operations the largest bulk had.
func (s *Sink) adapt(taken bool, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if taken {
		s.limit = min(s.config.BatchSize, s.limit+s.limit/8+1)
		return
	}
	s.limit = max(1, min(s.limit, size)/2)
}
