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
	"strings"
	"sync"
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
	batches  sync.Pool // *batch
	prefixes sync.Map  // route → prefix
	lookout  *lookout
	warned   sync.Once // of eviction

	mu      sync.Mutex
	domains map[claim]string
}

// New makes a sink; it connects when it is first used.
func New(c Config, log *zap.Logger, registry prometheus.Registerer) *Sink {
	options := &redis.UniversalOptions{
		Addrs: c.Hosts, Username: c.User, Password: c.Password.Reveal(), DB: c.DB, TLSConfig: c.TLS, IsClusterMode: c.Cluster,
		PoolSize: c.Pool, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, ContextTimeoutEnabled: true,
		MaxRetries: 3, DisableIdentity: true,
	}
	return &Sink{
		config: c, client: redis.NewUniversalClient(options), log: log, metrics: newMetrics(registry), domains: map[claim]string{}, lookout: newLookout(),
		batches: sync.Pool{New: func() any {
			return &batch{newest: map[string]int{}, documents: map[*cdc.Schema]*json.Document{}}
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

// batch is the memory of one call of Write.
type batch struct {
	text       []byte
	items      []item
	newest     map[string]int // key → index in items
	rejections []sink.Rejection
	// whole says that a server does not know the script, so that it is sent with
	// the call: also a master that has none of its slots yet is asked (ASK).
	whole     bool
	documents map[*cdc.Schema]*json.Document
}

// item is the newest that a batch says about one key.
type item struct {
	record     int
	guard, key []byte
	topic      string
	version    [19]byte
	slot       int
	delete     bool
	texts      [][]byte // the document, or fields and values
	done       bool
}

// Write makes the batch durable, as sink.Writer says.
func (s *Sink) Write(ctx context.Context, records []*cdc.Record) error {
	b := s.batches.Get().(*batch)
	defer s.batches.Put(b)
	b.text, b.items, b.rejections, b.whole = b.text[:0], b.items[:0], nil, false
	clear(b.newest)
	for i, r := range records {
		if err := s.admit(ctx, s.prefixOf(r.Route), r.Topic, r.Domain); err != nil {
			return err
		}
		if err := s.add(b, i, r); err != nil {
			s.reject(b, i, err)
		}
	}
	if err := s.flush(ctx, b); err != nil {
		return err
	}
	if len(b.rejections) > 0 {
		return &sink.Rejected{Items: b.rejections}
	}
	return nil
}

func (s *Sink) reject(b *batch, i int, reason error) {
	s.metrics.records.WithLabelValues("rejected").Inc()
	b.rejections = append(b.rejections, sink.Rejection{Index: i, Reason: reason})
}

// add appends the item of a record, in place of an older one of the same key.
func (s *Sink) add(b *batch, i int, r *cdc.Record) error {
	x := item{record: i, topic: r.Topic, delete: r.Deleted || r.Tombstone || r.Value == nil}
	prefix := s.prefixOf(r.Route)
	from := len(b.text)
	b.text = append(b.text, prefix...)
	var err error
	if b.text, err = s.appendKey(b.text, r); err != nil {
		b.text = b.text[:from]
		return err
	}
	x.key = b.text[from:len(b.text):len(b.text)]
	appendVersion(&x.version, r.Version)
	if at, ok := b.newest[string(x.key)]; ok && bytes.Compare(b.items[at].version[:], x.version[:]) > 0 {
		s.metrics.records.WithLabelValues("coalesced").Inc()
		return nil
	}
	if !x.delete {
		if err := s.fill(b, &x, r.Value); err != nil {
			return err
		}
	}
	x.slot = slotOf(x.key)
	from = len(b.text)
	b.text = appendVersionKey(b.text, x.key, len(prefix))
	x.guard = b.text[from:len(b.text):len(b.text)]
	if at, ok := b.newest[string(x.key)]; ok {
		s.metrics.records.WithLabelValues("coalesced").Inc()
		b.items[at] = x
		return nil
	}
	b.newest[string(x.key)] = len(b.items)
	b.items = append(b.items, x)
	return nil
}

// appendVersion writes a version as 19 digits, so that the order of texts is
// that of versions.
func appendVersion(dst *[19]byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

// fill gives x the document of row, or its fields.
func (s *Sink) fill(b *batch, x *item, row *cdc.Row) error {
	if f := row.Absent(); f != nil {
		return fmt.Errorf("the column %s was not in the row image (binlog_row_image is not FULL), and its placeholder must not replace the value: set binlog.row.image.partial=reselect at the capture", f.Name)
	}
	if !s.config.Hash {
		d := b.documents[row.Schema]
		if d == nil {
			d = json.NewDocument(row.Schema, json.DocumentOptions{NestJSON: s.config.JSONObjects})
			b.documents[row.Schema] = d
		}
		from := len(b.text)
		b.text = d.Append(b.text, row)
		x.texts = [][]byte{b.text[from:len(b.text):len(b.text)]}
		return nil
	}
	for i := range row.Values {
		if row.Values[i].IsNull() {
			continue // a hash has no NULL: the field is not there
		}
		f := &row.Schema.Fields[i]
		from := len(b.text)
		b.text = json.AppendText(b.text, f, &row.Values[i])
		x.texts = append(x.texts, []byte(f.Name), b.text[from:len(b.text):len(b.text)])
	}
	if len(x.texts) == 0 {
		return errors.New("every field of the record is NULL, and Redis has no empty hashes")
	}
	return nil
}

// flush sends the items until none is open, or the quick attempts are used up.
func (s *Sink) flush(ctx context.Context, b *batch) error {
	for attempt := 0; ; attempt++ {
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

// callSize is how many records one call of the script has, at most: a call keeps
// the server from everything else.
const callSize = 64

// call is one call of the script.
type call struct {
	items   []int
	command *redis.Cmd
}

// round sends open items, as many as one pipeline has, and returns the reason of
// one that is still open.
func (s *Sink) round(ctx context.Context, b *batch) (reason error) {
	calls := s.calls(b)
	if len(calls) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	start := time.Now()
	pipe := s.client.Pipeline()
	for i := range calls {
		keys, args := s.keys(b, calls[i].items), s.arguments(b, calls[i].items)
		if b.whole {
			calls[i].command = pipe.Eval(ctx, guard, keys, args...)
		} else {
			calls[i].command = pipe.EvalSha(ctx, guardSHA, keys, args...)
		}
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	s.metrics.pipelines.Inc()
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	b.whole = false
	for i := range calls {
		if err := s.settle(b, &calls[i]); err != nil {
			b.whole = b.whole || isUnknownScript(err)
			reason = err
			s.metrics.retried.Inc()
		}
	}
	return reason
}

// calls groups the first open items: by slot on a cluster, in the order of the
// batch.
func (s *Sink) calls(b *batch) []call {
	var calls []call
	current := map[int]int{} // slot → index in calls
	left := s.config.BatchSize
	for i := range b.items {
		if b.items[i].done {
			continue
		}
		if left--; left < 0 {
			break
		}
		slot := 0
		if s.config.Cluster {
			slot = b.items[i].slot
		}
		at, ok := current[slot]
		if !ok || len(calls[at].items) >= callSize {
			at = len(calls)
			current[slot] = at
			calls = append(calls, call{})
		}
		calls[at].items = append(calls[at].items, i)
	}
	return calls
}

func (s *Sink) keys(b *batch, items []int) []string {
	keys := make([]string, 0, 2*len(items))
	for _, i := range items {
		keys = append(keys, string(b.items[i].guard), string(b.items[i].key))
	}
	return keys
}

func (s *Sink) arguments(b *batch, items []int) []any {
	form := "s"
	if s.config.Hash {
		form = "h"
	}
	args := append(make([]any, 0, 3+4*len(items)), form, s.config.TTL.Milliseconds(), s.config.Retention.Milliseconds())
	for _, i := range items {
		x := &b.items[i]
		args = append(args, x.topic, x.version[:], len(x.texts))
		for _, text := range x.texts {
			args = append(args, text)
		}
	}
	return args
}

// settle takes the answers of one call.
func (s *Sink) settle(b *batch, c *call) error {
	answers, err := c.command.Int64Slice()
	if err != nil {
		return err
	}
	if len(answers) != len(c.items) {
		return fmt.Errorf("the script answered for %d of %d keys", len(answers), len(c.items))
	}
	for k, i := range c.items {
		x := &b.items[i]
		x.done = true
		switch answers[k] {
		case answerForeign:
			s.reject(b, x.record, fmt.Errorf("the key %s belongs to another topic: two topics under one cache.prefix have this key; give each its own, for example with ${topic}", x.key))
		case answerStale:
			s.metrics.records.WithLabelValues("stale").Inc()
		case answerUnguarded:
			s.metrics.records.WithLabelValues("unguarded").Inc()
		default:
			s.metrics.records.WithLabelValues("written").Inc()
		}
	}
	return nil
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

func isUnknownScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}
