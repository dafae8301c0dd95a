package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition is one partition of a topic, with the topic's id.
type Partition struct {
	Topic  string
	ID     [16]byte
	Number int32
}

// Ended reports whether the log has no record from next to below end that a
// consumer of committed records would be given. Compaction removes records,
// aborted transactions are skipped, and neither leaves anything that a client
// would show; but the batches say how far they reached.
func Ended(ctx context.Context, cl *kgo.Client, at Partition, next, end int64) (bool, error) {
	if next >= end {
		return true, nil
	}
	leader, err := at.leader(ctx, cl)
	if err != nil {
		return false, err
	}
	for next < end {
		p, err := at.fetch(ctx, cl, leader, next)
		if err != nil {
			return false, err
		}
		to, live := covered(p, next, end)
		if live || to == next { // the client will have it, or there is nothing yet
			return false, nil
		}
		next = to
	}
	return true, nil
}

func (at Partition) leader(ctx context.Context, cl *kgo.Client) (int32, error) {
	topics, err := kadm.NewClient(cl).ListTopics(ctx, at.Topic)
	if err != nil {
		return 0, fmt.Errorf("looking for the leader of %s-%d: %w", at.Topic, at.Number, err)
	}
	p, ok := topics[at.Topic].Partitions[at.Number]
	if !ok || p.Leader < 0 {
		return 0, fmt.Errorf("looking for the leader of %s-%d: %w", at.Topic, at.Number, kerr.LeaderNotAvailable)
	}
	return p.Leader, nil
}

// fetch reads batches as they lie in the log, from the one that has offset.
func (at Partition) fetch(ctx context.Context, cl *kgo.Client, leader int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.Number, offset, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = at.Topic, at.ID
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.IsolationLevel = 100, 1<<20, 1
	req.Topics = append(req.Topics, t)
	answer, err := cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("reading %s-%d at %d: %w", at.Topic, at.Number, offset, err)
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer lacks the partition")
	}
	out := &resp.Topics[0].Partitions[0]
	return out, kerr.ErrorForCode(out.ErrorCode)
}

// batchHead is how much of a batch comes before the length that its header has.
const batchHead = 12

// Attributes of a batch.
const (
	batchTransactional = 1 << 4
	batchControl       = 1 << 5
)

// covered is one past the last offset that the batches of p reach from next on,
// and whether one that begins below end has a record, or a marker, that a
// consumer of committed records would be given.
func covered(p *kmsg.FetchResponseTopicPartition, next, end int64) (to int64, live bool) {
	for raw := p.RecordBatches; len(raw) > batchHead && next < end; {
		size := batchHead + int(binary.BigEndian.Uint32(raw[8:]))
		if size > len(raw) {
			break // cut off by the size of the answer
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			break
		}
		raw = raw[size:]
		last := b.FirstOffset + int64(b.LastOffsetDelta)
		if last < next {
			continue
		}
		if b.NumRecords > 0 && !aborted(p, &b) {
			return next, true
		}
		next = last + 1
	}
	return next, false
}

// aborted reports whether a batch with data belongs to a transaction that was
// aborted, which consumers of committed records are not given.
func aborted(p *kmsg.FetchResponseTopicPartition, b *kmsg.RecordBatch) bool {
	if b.Attributes&batchTransactional == 0 || b.Attributes&batchControl != 0 {
		return false
	}
	for _, a := range p.AbortedTransactions {
		if a.ProducerID == b.ProducerID && a.FirstOffset <= b.FirstOffset {
			return true
		}
	}
	return false
}
