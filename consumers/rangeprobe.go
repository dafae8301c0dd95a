package consumers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logStart is the first offset of the lease's partition that still exists.
func logStart(ctx context.Context, l *Lease) (int64, error) {
	adm := kadm.NewClient(l.Client())
	return offsetOf(l, func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, l.Topic()) })
}

// rangeEnded reports whether the log has no record from next to below end that
// a consumer would be given. Compaction removes records, aborted transactions
// are skipped, and neither leaves anything that the client would show; but the
// batches say how far they reached.
func rangeEnded(ctx context.Context, l *Lease, next, end int64) (bool, error) {
	leader, err := leaderOf(ctx, l)
	if err != nil {
		return false, err
	}
	for next < end {
		p, err := fetchAt(ctx, l, leader, next)
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

func leaderOf(ctx context.Context, l *Lease) (int32, error) {
	topics, err := kadm.NewClient(l.Client()).ListTopics(ctx, l.Topic())
	if err != nil {
		return 0, fmt.Errorf("looking for the leader of %s-%d: %w", l.Topic(), l.Partition(), err)
	}
	p, ok := topics[l.Topic()].Partitions[l.Partition()]
	if !ok || p.Leader < 0 {
		return 0, fmt.Errorf("looking for the leader of %s-%d: %w", l.Topic(), l.Partition(), kerr.LeaderNotAvailable)
	}
	return p.Leader, nil
}

// fetchAt reads batches as they lie in the log, from the one that has offset.
func fetchAt(ctx context.Context, l *Lease, leader int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.Partition(), offset, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = l.Topic(), l.TopicID()
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.IsolationLevel = 100, 1<<20, 1
	req.Topics = append(req.Topics, t)
	answer, err := l.Client().Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("reading %s-%d at %d: %w", l.Topic(), l.Partition(), offset, err)
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
