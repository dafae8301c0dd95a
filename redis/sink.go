// Package redis writes records to Redis and Valkey: one key a record's key, as
// a JSON document or a hash, never an older state over a newer one, by a script
// that compares versions.
package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/sink"
)

// Sink writes batches of records. It implements sink.Volatile.
type Sink struct {
	config   Config
	client   redis.UniversalClient
	log      *zap.Logger
	metrics  *metrics
	batches  sync.Pool    // *batch
	prefixes sync.Map     // route → prefix
	routes   atomic.Int64 // in prefixes, about
	lookout  *lookout
	warned   sync.Once // of eviction
	named    sync.Once // keys by a field of the value
	changes  sync.Map  // topics of which there were change events, where that is asked

	mu      sync.Mutex
	domains map[claim]string
}

// writeBuffer is how many bytes of a pipeline are sent at a time, for each
// connection.
const writeBuffer = 128 << 10

// New makes a sink; it connects when it is first used.
func New(c Config, log *zap.Logger, registry prometheus.Registerer) *Sink {
	options := &redis.UniversalOptions{
		Addrs: c.Hosts, Username: c.User, Password: c.Password.Reveal(), DB: c.DB, TLSConfig: c.TLS, IsClusterMode: c.Cluster,
		PoolSize: c.Pool, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, ContextTimeoutEnabled: true,
		MaxRetries: 3, DisableIdentity: true, WriteBufferSize: writeBuffer,
	}
	return &Sink{
		config: c, client: redis.NewUniversalClient(options), log: log, metrics: newMetrics(registry), domains: map[claim]string{}, lookout: newLookout(),
		batches: sync.Pool{New: func() any {
			return &batch{documents: map[*cdc.Schema]*json.Document{}}
		}},
	}
}

// Close ends the connections.
func (s *Sink) Close() error { return s.client.Close() }

// Check asks the server whether it can be written to, changing nothing.
func (s *Sink) Check(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("checking Redis: %w", err)
	}
	return nil
}

// batch is the memory of one call of Write. All of it is used again.
type batch struct {
	text       []byte // of all items
	items      []item
	spans      []span // texts of items
	newest     index  // of items, by key
	calls      []call
	rejections []sink.Rejection
	// whole says that a server does not know the script, so that it is sent with
	// the call: also a master that has none of its slots yet is asked (ASK).
	whole     bool
	changes   bool // the topic has change events
	documents map[*cdc.Schema]*json.Document

	route, prefix string // of the record before
	topic, domain string // of the record before, if it was admitted
	coalesced     int
}

// span is a part of batch.text.
type span struct{ from, to int }

func (b *batch) bytes(s span) []byte { return b.text[s.from:s.to] }

// isOwn reports whether a key has the name of one of the sink's own.
func (b *batch) isOwn(key []byte) bool {
	return bytes.HasPrefix(key[len(b.prefix):], []byte(ownNames))
}

// since is what text got from an index on.
func (b *batch) since(from int) span { return span{from, len(b.text)} }

// item is the newest that a batch says about one key.
type item struct {
	record              int
	guard, key, version span
	topic               string
	slot                int
	delete              bool
	left                bool   // the record is an update, whose row had this key before
	texts               [2]int // from and to in spans: the document, or fields and values
	done                bool
}

// reset empties the batch.
func (b *batch) reset() {
	b.text, b.items, b.spans, b.rejections, b.whole, b.coalesced = b.text[:0], b.items[:0], b.spans[:0], nil, false, 0
	b.route, b.prefix, b.topic, b.domain = "", "", "", ""
	b.newest.reset()
}

// Write makes the batch durable, as sink.Writer says.
func (s *Sink) Write(ctx context.Context, records []*cdc.Record) error {
	b := s.batches.Get().(*batch)
	defer s.batches.Put(b)
	b.reset()
	b.changes = s.hasChanges(records)
	for i, r := range records {
		if err := s.enter(ctx, b, i, r); err != nil {
			return err
		}
		if err := s.add(b, i, r); err != nil {
			s.reject(b, i, err)
		}
	}
	s.metrics.coalesced.Add(float64(b.coalesced))
	if err := s.flush(ctx, b); err != nil {
		return err
	}
	if len(b.rejections) > 0 {
		return &sink.Rejected{Items: b.rejections}
	}
	return nil
}

// enter finds the prefix of a record and checks that its version can be compared
// with those under it. Most records are of the topic of the one before.
func (s *Sink) enter(ctx context.Context, b *batch, i int, r *cdc.Record) error {
	if i > 0 && r.Route == b.route && r.Topic == b.topic && r.Domain == b.domain {
		return nil
	}
	prefix := s.prefixOf(r.Route)
	if err := s.admit(ctx, prefix, r.Topic, r.Domain); err != nil {
		return err
	}
	b.route, b.prefix, b.topic, b.domain = r.Route, prefix, r.Topic, r.Domain
	return nil
}

func (s *Sink) reject(b *batch, i int, reason error) {
	s.metrics.rejected.Inc()
	b.rejections = append(b.rejections, sink.Rejection{Index: i, Reason: reason})
}

// add appends the item of a record, in place of an older one of the same key.
func (s *Sink) add(b *batch, i int, r *cdc.Record) error {
	x := item{record: i, topic: r.Topic, delete: r.Deleted || r.Tombstone || r.Value == nil}
	from := len(b.text)
	b.text = append(b.text, b.prefix...)
	var by naming
	var err error
	if b.text, by, err = s.appendKey(b.text, r); err != nil {
		b.text = b.text[:from]
		if b.isPassedOver(r, err) {
			s.metrics.passed.Inc()
			return nil
		}
		return err
	}
	if key := b.text[from:]; b.isOwn(key) {
		b.text = b.text[:from]
		return ownName(key)
	}
	x.key = b.since(from)
	if err := s.put(b, &x, r); err != nil || by == byKey || x.delete {
		return err
	}
	return s.leave(b, &x, r)
}

// leave appends the delete of the key that the row of x had before an update that
// named it anew.
func (s *Sink) leave(b *batch, x *item, r *cdc.Record) error {
	if r.Op != cdc.OpUpdate || r.Envelope == nil {
		return nil
	}
	from := len(b.text)
	was, ok := s.appendFieldOf(append(b.text, b.prefix...), r.Envelope.Before)
	if !ok || bytes.Equal(was[from:], b.bytes(x.key)) || b.isOwn(was[from:]) {
		return nil
	}
	b.text = was
	return s.put(b, &item{record: x.record, topic: x.topic, delete: true, left: true, key: b.since(from)}, r)
}

// put appends an item whose key is known, in place of an older one of that key.
func (s *Sink) put(b *batch, x *item, r *cdc.Record) error {
	from := len(b.text)
	b.text = appendVersion(b.text, r.Version)
	x.version = b.since(from)
	at, known := b.newest.find(b, b.bytes(x.key))
	if known && bytes.Compare(b.bytes(b.items[at].version), b.bytes(x.version)) > 0 {
		b.coalesced++
		return nil
	}
	x.texts = [2]int{len(b.spans), len(b.spans)}
	if !x.delete {
		if err := s.fill(b, x, r.Value); err != nil {
			return err
		}
	}
	x.slot = slotOf(b.bytes(x.key))
	from = len(b.text)
	b.text = appendVersionKey(b.text, b.bytes(x.key), len(b.prefix), x.slot)
	x.guard = b.since(from)
	if known {
		b.coalesced++
		b.items[at] = *x
		return nil
	}
	b.newest.add(b, len(b.items), b.bytes(x.key))
	b.items = append(b.items, *x)
	return nil
}

// appendVersion writes a version as 19 digits, so that the order of texts is
// that of versions.
func appendVersion(dst []byte, v uint64) []byte {
	var digits [19]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, digits[:]...)
}

// fill gives x the document of row, or its fields.
func (s *Sink) fill(b *batch, x *item, row *cdc.Row) error {
	if f := row.Absent(); f != nil {
		return fmt.Errorf("the column %s was not in the row image (binlog_row_image is not FULL), and its placeholder must not replace the value: set binlog_row_image=FULL at the source", f.Name)
	}
	if !s.config.Hash {
		d := b.documents[row.Schema]
		if d == nil {
			d = json.NewDocument(row.Schema, json.DocumentOptions{NestJSON: s.config.JSONObjects})
			b.documents[row.Schema] = d
		}
		from := len(b.text)
		b.text = d.Append(b.text, row)
		b.spans = append(b.spans, b.since(from))
		x.texts[1] = len(b.spans)
		return nil
	}
	for i := range row.Values {
		if row.Values[i].IsNull() {
			continue // a hash has no NULL: the field is not there
		}
		f := &row.Schema.Fields[i]
		from := len(b.text)
		b.text = append(b.text, f.Name...)
		b.spans = append(b.spans, b.since(from))
		from = len(b.text)
		b.text = json.AppendText(b.text, f, &row.Values[i])
		b.spans = append(b.spans, b.since(from))
	}
	if x.texts[1] = len(b.spans); x.texts[0] == x.texts[1] {
		return errors.New("every field of the record is NULL, and Redis has no empty hashes")
	}
	return nil
}

// flush sends the items until none is open, or the quick attempts are used up.
func (s *Sink) flush(ctx context.Context, b *batch) error {
	for attempt := 0; ; attempt++ {
		was := b.whole
		err := s.round(ctx, b)
		open := b.open()
		if open == 0 {
			return s.wait(ctx)
		}
		if err == nil { // the rest is for the next pipeline
			attempt = -1
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if b.whole && !was { // what is sent next has the script with it
			attempt--
			continue
		}
		if attempt >= s.config.Retries {
			return fmt.Errorf("writing to Redis: %d of %d keys are not accepted: %w", open, len(b.items), err)
		}
		pause := min(s.config.Backoff<<min(attempt, 10), 10*time.Second)
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open is how many items are not done.
func (b *batch) open() (n int) {
	for i := range b.items {
		if !b.items[i].done {
			n++
		}
	}
	return n
}

// wait waits until enough replicas have what was written before. WAIT counts
// from its connection's last command, which therefore is one on the same
// connection; the server's replication offset then covers every connection's
// writes.
func (s *Sink) wait(ctx context.Context) error {
	if s.config.Replicas == 0 {
		return nil
	}
	err := s.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		pipe := c.Pipeline()
		pipe.Ping(ctx)
		waited := pipe.Do(ctx, "WAIT", s.config.Replicas, s.config.WaitTime.Milliseconds())
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		n, err := waited.Int64()
		if err != nil {
			return err
		}
		if n < int64(s.config.Replicas) {
			return fmt.Errorf("%d of %d replicas have acknowledged within %s", n, s.config.Replicas, s.config.WaitTime)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for replicas: %w", err)
	}
	return nil
}
