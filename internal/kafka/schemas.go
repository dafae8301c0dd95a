package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc/json"
)

// schemaSuffix ends the names of schema topics.
const schemaSuffix = ".weir-schemas"

// SchemaTopic is the compacted topic in which the capture of a topic prefix
// keeps the schemas that header weir.schema names: the record's key is the
// fingerprint, its value a marshalled json.SchemaEntry.
func SchemaTopic(prefix string) string { return prefix + schemaSuffix }

// lookEvery is how often brokers are asked for new schema topics while somebody
// waits for an entry that no known topic has.
const lookEvery = time.Second

// SchemaSource knows the entries of every schema topic that it may read. It
// begins to read when first asked, and goes on until it is closed. Entries of
// one topic are in the same Kafka transaction as the first records that need
// them, so one that is missing is on its way. It is safe for concurrent use.
type SchemaSource struct {
	options []kgo.Opt
	log     *zap.Logger

	mu      sync.Mutex
	client  *kgo.Client
	cancel  context.CancelFunc
	done    chan struct{}
	entries map[string]*json.SchemaEntry
	broken  map[string]error // entries that cannot be read, by fingerprint
	news    chan struct{}    // closed and replaced at every new entry
	closed  bool
}

// NewSchemaSource returns a source that reads with a client of these options.
func NewSchemaSource(log *zap.Logger, options ...kgo.Opt) *SchemaSource {
	return &SchemaSource{
		options: options, log: log,
		entries: map[string]*json.SchemaEntry{}, broken: map[string]error{}, news: make(chan struct{}),
	}
}

// Known returns the entry of a fingerprint if it has arrived, else nil.
func (s *SchemaSource) Known(fingerprint []byte) *json.SchemaEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[string(fingerprint)]
}

// Entry returns the entry of a fingerprint, waiting for it until ctx ends. Any
// other error means that the entry is there and cannot be read, or that the
// source is closed.
func (s *SchemaSource) Entry(ctx context.Context, fingerprint []byte) (*json.SchemaEntry, error) {
	if err := s.start(); err != nil {
		return nil, err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		s.mu.Lock()
		entry, broken, news, client, closed := s.entries[string(fingerprint)], s.broken[string(fingerprint)], s.news, s.client, s.closed
		s.mu.Unlock()
		switch {
		case entry != nil:
			return entry, nil
		case broken != nil:
			return nil, broken
		case closed:
			return nil, errors.New("waiting for a schema: the source is closed")
		}
		select {
		case <-news:
		case <-look.C:
			client.ForceMetadataRefresh()
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for schema %s: %w", fingerprint, context.Cause(ctx))
		}
	}
}

// start connects at the first question.
func (s *SchemaSource) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil || s.closed {
		return nil
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, s.options...),
		kgo.ConsumeRegex(), kgo.ConsumeTopics(`^.+\.weir-schemas$`),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(250*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("connecting to read schemas: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.client, s.cancel, s.done = client, cancel, make(chan struct{})
	go s.read(ctx)
	return nil
}

// read takes in entries until the source is closed.
func (s *SchemaSource) read(ctx context.Context) {
	defer close(s.done)
	for {
		fetches := s.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			s.log.Warn("reading schemas", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
		})
		s.mu.Lock()
		fetches.EachRecord(s.add)
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
		RestAfterErrors(ctx, fetches)
	}
}

// add takes in one entry; s.mu is held.
func (s *SchemaSource) add(r *kgo.Record) {
	if r.Value == nil || !strings.HasSuffix(r.Topic, schemaSuffix) {
		return // an entry that was pruned is still good for records that name it
	}
	entry, err := json.UnmarshalSchemaEntry(r.Value)
	if err != nil {
		s.broken[string(r.Key)] = fmt.Errorf("reading offset %d of %s: %w", r.Offset, r.Topic, err)
		return
	}
	s.entries[entry.Fingerprint] = entry
	delete(s.broken, entry.Fingerprint)
}

// Close stops reading; whoever waits gets an error.
func (s *SchemaSource) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.news)
	s.news = make(chan struct{})
	client, cancel, done := s.client, s.cancel, s.done
	s.mu.Unlock()
	if client == nil {
		return
	}
	cancel()
	<-done
	client.Close()
}
