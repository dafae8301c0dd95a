package enrich

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

// topicTable is what a compacted topic says, in memory. It is safe for
// concurrent use.
type topicTable struct {
	mu      sync.RWMutex
	entries map[string]*found
	bytes   int
}

// get is what is under key, or nil.
func (t *topicTable) get(key []byte) *found {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.entries[string(key)]
}

// set puts f under key, or takes away what is there for nil.
func (t *topicTable) set(key string, f *found) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.entries[key]; old != nil {
		t.bytes -= entryOverhead + len(key) + old.size
		delete(t.entries, key)
	}
	if f != nil {
		t.bytes += entryOverhead + len(key) + f.size
		t.entries[key] = f
	}
}

func (t *topicTable) held() (entries, bytes int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries), t.bytes
}

// topicSource reads a topic to its end, and follows it from then on.
type topicSource struct {
	lookup  *lookup
	run     *lookupRun
	client  *kgo.Client
	schemas *kafka.SchemaSource
	wait    time.Duration // for the end of the topic, in one call of ask

	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed at the end that the topic had in the beginning

	reader    *json.Reader
	message   json.Message
	documents map[*cdc.Schema]*json.Document

	mu     sync.Mutex
	reason error // why it is not ready
}

// newTopicSource begins to read.
func newTopicSource(c kafka.Config, l *lookup, run *lookupRun, wait time.Duration) (*topicSource, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.WithLogger(kafka.Logger(run.log)))
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	l.table = &topicTable{entries: map[string]*found{}}
	s := &topicSource{
		lookup: l, run: run, client: client, schemas: kafka.NewSchemaSource(run.log, opts...), wait: wait,
		done: make(chan struct{}), ready: make(chan struct{}),
		reader: json.NewReader(nil), documents: map[*cdc.Schema]*json.Document{}, reason: errors.New("reading it has begun"),
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.read(ctx)
	return s, nil
}

func (s *topicSource) close() error {
	s.cancel()
	<-s.done
	s.client.Close()
	s.schemas.Close()
	return nil
}

// ask answers by what is in memory, once all of the topic is.
func (s *topicSource) ask(ctx context.Context, open []*question) error {
	late := time.NewTimer(s.wait)
	defer late.Stop()
	select {
	case <-s.ready:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errors.New("it is closed")
	case <-late.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("reading %s to its end: %w", s.lookup.where, s.reason)
	}
	for _, q := range open {
		if q.found = s.lookup.table.get([]byte(q.key)); q.found == nil {
			q.answer(&found{missing: true})
		}
	}
	return nil
}

func (s *topicSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = err
}

// read reads until ctx ends.
func (s *topicSource) read(ctx context.Context) {
	defer close(s.done)
	ahead := s.ends(ctx)
	for ctx.Err() == nil {
		if ahead != nil && ahead.reached(ctx, s) {
			ahead = nil
			s.measure()
			entries, bytes := s.lookup.table.held()
			s.run.log.Info("read the topic of a look-up", zap.String("topic", s.lookup.topic), zap.Int("keys", entries), zap.Int("bytes", bytes))
			close(s.ready)
		}
		s.poll(ctx, ahead)
	}
}

// pollFor is how long a poll waits for records.
const pollFor = 300 * time.Millisecond

// poll takes in what has come. ahead is told how far that goes, unless it is nil.
func (s *topicSource) poll(ctx context.Context, ahead *distance) {
	polling, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	fetches := s.client.PollFetches(polling)
	if ctx.Err() != nil {
		return
	}
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		s.fail(err)
		s.run.log.Warn("reading the topic of a look-up", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
	})
	taken := 0
	fetches.EachRecord(func(r *kgo.Record) {
		if ctx.Err() == nil && !r.Attrs.IsControl() {
			s.take(ctx, r)
			taken++
		}
		if ahead != nil {
			ahead.next[r.Partition] = r.Offset + 1
		}
	})
	if ahead != nil {
		ahead.idle = fetches.NumRecords() == 0
	}
	if taken > 0 {
		s.measure()
	}
	kafka.RestAfterErrors(ctx, fetches)
}

func (s *topicSource) measure() {
	entries, bytes := s.lookup.table.held()
	s.run.metrics.entries.WithLabelValues(s.lookup.name, "topic").Set(float64(entries))
	s.run.metrics.bytes.WithLabelValues(s.lookup.name, "topic").Set(float64(bytes))
}

// distance is how far the topic's end is.
type distance struct {
	id        [16]byte
	next, end map[int32]int64
	idle      bool // the last poll brought nothing
}

// ends is where the topic begins and ends now, asked for until there is an
// answer or ctx ends.
func (s *topicSource) ends(ctx context.Context) *distance {
	for {
		d, err := s.look(ctx)
		if err == nil {
			return d
		}
		if ctx.Err() != nil {
			return nil
		}
		s.fail(err)
		s.run.log.Warn("looking for the end of the topic of a look-up", zap.String("topic", s.lookup.topic), zap.Error(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (s *topicSource) look(ctx context.Context) (*distance, error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	adm := kadm.NewClient(s.client)
	topics, err := adm.ListTopics(ctx, s.lookup.topic)
	if err != nil {
		return nil, err
	}
	d := &distance{id: topics[s.lookup.topic].ID, next: map[int32]int64{}, end: map[int32]int64{}}
	for _, list := range []struct {
		ask func(context.Context, ...string) (kadm.ListedOffsets, error)
		to  map[int32]int64
	}{{adm.ListStartOffsets, d.next}, {adm.ListCommittedOffsets, d.end}} {
		offsets, err := list.ask(ctx, s.lookup.topic)
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return nil, err
		}
		offsets.Each(func(o kadm.ListedOffset) { list.to[o.Partition] = o.Offset })
	}
	return d, nil
}

// reached reports whether everything up to the end has been taken in. What was
// compacted away or aborted is never shown: where nothing comes, the log itself
// is looked at.
func (d *distance) reached(ctx context.Context, s *topicSource) bool {
	left := int64(0)
	for partition, end := range d.end {
		if d.next[partition] >= end {
			continue
		}
		if d.idle {
			at := kafka.Partition{Topic: s.lookup.topic, ID: d.id, Number: partition}
			ended, err := kafka.Ended(ctx, s.client, at, d.next[partition], end)
			if err != nil {
				s.fail(err)
			}
			if ended {
				d.next[partition] = end
				continue
			}
		}
		left += end - d.next[partition]
	}
	if left > 0 {
		s.fail(fmt.Errorf("%d offsets are left", left))
	}
	return left == 0
}

// take takes one record in. What cannot be read is an error to whoever looks it
// up.
func (s *topicSource) take(ctx context.Context, r *kgo.Record) {
	unknown := s.use(ctx, r)
	if ctx.Err() != nil {
		return
	}
	key, err := s.key(r)
	if err != nil {
		s.run.log.Error("the key of a record that is looked up cannot be read", zap.String("topic", r.Topic), zap.Int32("partition", r.Partition),
			zap.Int64("offset", r.Offset), zap.Error(err))
		return
	}
	f, err := s.value(r)
	if err = errors.Join(unknown, err); err != nil {
		f = &found{err: fmt.Errorf("reading offset %d of %s-%d: %w", r.Offset, r.Topic, r.Partition, err)}
	}
	if f != nil {
		f.key = key
	}
	s.lookup.table.set(key, f)
}

// use makes the reader read what has the schema that the record names.
func (s *topicSource) use(ctx context.Context, r *kgo.Record) error {
	s.reader.Use(nil)
	for i := range r.Headers {
		if r.Headers[i].Key != cdc.HeaderSchema {
			continue
		}
		fingerprint := r.Headers[i].Value
		entry := s.schemas.Known(fingerprint)
		if entry == nil {
			var err error
			if entry, err = s.schemas.Entry(ctx, fingerprint); err != nil {
				return err
			}
		}
		s.reader.Use(entry)
	}
	return nil
}

// key is the text of a record's key, JSON's or as it is.
func (s *topicSource) key(r *kgo.Record) (string, error) {
	if err := s.reader.ReadKey(&s.message, r.Key); err != nil {
		if err := s.reader.ReadTextKey(&s.message, r.Key); err != nil {
			return "", err
		}
	}
	if s.message.Key == nil {
		return "", errors.New("it is null")
	}
	return string(json.AppendKeyText(nil, s.message.Key)), nil
}

// value is what a record says of the outputs; nil for a delete.
func (s *topicSource) value(r *kgo.Record) (*found, error) {
	if err := s.reader.ReadValue(&s.message, r.Value); err != nil {
		return nil, err
	}
	row := s.message.Value
	if e := s.message.Envelope; e != nil {
		row = e.After
	}
	if row == nil || isRewrittenDelete(row) {
		return nil, nil
	}
	if f := row.Absent(); f != nil {
		return nil, fmt.Errorf("the column %s was not in the row image (binlog_row_image is not FULL)", f.Name)
	}
	d := s.documents[row.Schema]
	if d == nil {
		d = json.NewDocument(row.Schema, json.DocumentOptions{})
		s.documents[row.Schema] = d
	}
	return s.lookup.fromJSON(d.Append(nil, row)), nil
}

// isRewrittenDelete reports whether a row is a delete that ExtractNewRecordState
// has rewritten.
func isRewrittenDelete(row *cdc.Row) bool {
	v := row.Value(deletedField)
	return v != nil && string(v.Bytes()) == "true"
}
