package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

const (
	scanBytes   = 4 << 20
	scanWait    = 500 * time.Millisecond
	scanBackoff = 200 * time.Millisecond
	// scanEmpty is how many empty answers in a row, from a partition that says
	// that it has more, show that compaction left nothing there.
	scanEmpty = 3
)

// scanner reads parts of partitions, from one offset to another. Unlike a
// consumer it knows when it is there, also where the last records were compacted
// away or are transaction markers.
type scanner struct {
	client    *kgo.Client
	topic     string
	partition int32
	committed bool // leave out what is not committed, and wait for what is open
	id        [16]byte
	leader    int32
	offset    int64
	empty     int
}

// scan calls each for the records of [from, to). A record is valid during the
// call only.
func scan(ctx context.Context, client *kgo.Client, topic string, partition int32, from, to int64, committed bool, each func(*kgo.Record) error) error {
	s := &scanner{client: client, topic: topic, partition: partition, committed: committed, offset: from, leader: -1}
	for s.offset < to {
		if err := s.next(ctx, to, each); err != nil {
			return fmt.Errorf("reading partition %d of topic %s: %w", partition, topic, err)
		}
	}
	return nil
}

// next fetches once.
func (s *scanner) next(ctx context.Context, to int64, each func(*kgo.Record) error) error {
	if s.leader < 0 {
		if err := s.locate(ctx); err != nil {
			return err
		}
	}
	resp, err := s.client.Broker(int(s.leader)).RetriableRequest(ctx, s.request())
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.leader = -1 // another broker may have it by now
		return sleep(ctx, scanBackoff)
	}
	answer, ok := resp.(*kmsg.FetchResponse)
	if !ok || len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return s.refused(ctx, kerr.ErrorForCode(answer.ErrorCode))
	}
	part := &answer.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
		return s.refused(ctx, err)
	}
	return s.take(part, to, answer.ThrottleMillis > 0, each)
}

func (s *scanner) request() *kmsg.FetchRequest {
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = s.partition, s.offset, scanBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = s.topic, s.id, []kmsg.FetchRequestTopicPartition{part}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(scanWait.Milliseconds()), 1, 2*scanBytes
	req.Topics = []kmsg.FetchRequestTopic{topic}
	if s.committed {
		req.IsolationLevel = 1
	}
	return req
}

// refused decides about an error of the broker.
func (s *scanner) refused(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		starts, lerr := kadm.NewClient(s.client).ListStartOffsets(ctx, s.topic)
		if lerr != nil {
			return fmt.Errorf("finding its start: %w", lerr)
		}
		if at, ok := starts.Lookup(s.topic, s.partition); ok && at.Offset > s.offset {
			s.offset = at.Offset
			return nil
		}
		return err
	case err == nil || kerr.IsRetriable(err):
		s.leader = -1
		return sleep(ctx, scanBackoff)
	}
	return err
}

// take hands over the records of an answer and moves on.
func (s *scanner) take(part *kmsg.FetchResponseTopicPartition, to int64, throttled bool, each func(*kgo.Record) error) error {
	opts := kgo.ProcessFetchPartitionOpts{Offset: s.offset, Topic: s.topic, Partition: s.partition}
	if s.committed {
		opts.IsolationLevel = kgo.ReadCommitted()
	}
	got, next := kgo.ProcessFetchPartition(opts, part, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return got.Err
	}
	for _, r := range got.Records {
		if r.Offset >= to {
			break
		}
		if err := each(r); err != nil {
			return err
		}
	}
	end := part.HighWatermark
	if s.committed {
		end = part.LastStableOffset
	}
	switch {
	case next > s.offset:
		s.offset, s.empty = next, 0
	case end >= to && !throttled:
		if s.empty++; s.empty >= scanEmpty {
			s.offset = to
		}
	}
	return nil
}

// locate finds who has the partition.
func (s *scanner) locate(ctx context.Context) error {
	topics, err := kadm.NewClient(s.client).ListTopics(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("finding its leader: %w", err)
	}
	t := topics[s.topic]
	if t.Err != nil && !kerr.IsRetriable(t.Err) {
		return fmt.Errorf("finding its leader: %w", t.Err)
	}
	p, ok := t.Partitions[s.partition]
	if t.Err != nil || !ok || p.Err != nil || p.Leader < 0 {
		return sleep(ctx, scanBackoff)
	}
	s.id, s.leader = t.ID, p.Leader
	return nil
}

// versionTail is how many of a partition's last offsets are looked at first for
// its largest version.
const versionTail = 64

// largestVersion finds the largest weir.version at the ends of a prefix's
// topics, written by whatever leader: with it the clock goes on where no offset
// is stored. Versions grow along a partition, so its last record has the
// largest. Topics that transforms have led records to are those that the schema
// topic names.
func largestVersion(ctx context.Context, client *kgo.Client, c *Config) (int64, error) {
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return 0, fmt.Errorf("finding the largest version: %w", err)
	}
	schemas := kafka.SchemaTopic(c.Prefix)
	routed := map[string]bool{}
	if topics.Has(schemas) {
		if err := routedTopics(ctx, client, schemas, routed); err != nil {
			return 0, fmt.Errorf("finding the largest version: %w", err)
		}
	}
	var names []string
	for _, name := range topics.Names() {
		if (strings.HasPrefix(name, c.Prefix+c.Delimiter) || routed[name]) && name != schemas {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return 0, fmt.Errorf("finding the largest version: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return 0, fmt.Errorf("finding the largest version: %w", err)
	}
	var largest int64
	var failed error
	ends.Each(func(end kadm.ListedOffset) {
		if failed != nil {
			return
		}
		start, _ := starts.Lookup(end.Topic, end.Partition)
		var v int64
		v, failed = tailVersion(ctx, client, end.Topic, end.Partition, start.Offset, end.Offset)
		largest = max(largest, v)
	})
	return largest, failed
}

// routedTopics adds the topics that the entries of a schema topic name.
func routedTopics(ctx context.Context, client *kgo.Client, schemas string, to map[string]bool) error {
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, schemas)
	if err != nil {
		return err
	}
	for _, end := range ends.Offsets().Sorted() {
		err := scan(ctx, client, schemas, end.Partition, 0, end.At, false, func(r *kgo.Record) error {
			if r.Value == nil {
				return nil
			}
			e, err := json.UnmarshalSchemaEntry(r.Value)
			if err != nil {
				return err
			}
			to[e.Topic] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tailVersion is the largest version in the last records of a partition, of
// aborted ones too: a number once given is not given again.
func tailVersion(ctx context.Context, client *kgo.Client, topic string, partition int32, start, end int64) (int64, error) {
	for n := int64(versionTail); ; n *= 4 {
		from := max(start, end-n)
		var largest int64
		err := scan(ctx, client, topic, partition, from, end, false, func(r *kgo.Record) error {
			for i := range r.Headers {
				if r.Headers[i].Key == cdc.HeaderVersion {
					largest = max(largest, parseVersion(r.Headers[i].Value))
				}
			}
			return nil
		})
		if err != nil || largest > 0 || from == start {
			return largest, err
		}
	}
}
