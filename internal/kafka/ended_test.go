package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestCovered reads batches as they lie in the log.
func TestCovered(t *testing.T) {
	batch := func(first int64, delta int32, records int32, attributes int16, producer int64) []byte {
		b := kmsg.RecordBatch{FirstOffset: first, LastOffsetDelta: delta, NumRecords: records, Attributes: attributes, ProducerID: producer, Magic: 2, Length: 49}
		return b.AppendTo(nil)
	}
	for _, c := range []struct {
		name    string
		batches [][]byte
		from    int64
		to      int64
		live    bool
	}{
		{"nothing", nil, 5, 5, false},
		{"emptied batches", [][]byte{batch(0, 4, 0, 0, -1), batch(5, 4, 0, 0, -1)}, 3, 10, false},
		{"a batch before", [][]byte{batch(0, 4, 5, 0, -1)}, 5, 5, false},
		{"a record", [][]byte{batch(5, 0, 0, 0, -1), batch(6, 1, 1, 0, -1)}, 5, 6, true},
		{"a marker", [][]byte{batch(5, 0, 1, batchTransactional|batchControl, 9)}, 5, 5, true},
		{"aborted data", [][]byte{batch(5, 3, 4, batchTransactional, 7)}, 5, 9, false},
		{"committed data", [][]byte{batch(5, 3, 4, batchTransactional, 8)}, 5, 5, true},
		{"cut off", [][]byte{batch(5, 3, 0, 0, -1)[:30]}, 5, 5, false},
	} {
		p := &kmsg.FetchResponseTopicPartition{AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 7, FirstOffset: 5}}}
		for _, b := range c.batches {
			p.RecordBatches = append(p.RecordBatches, b...)
		}
		if to, live := covered(p, c.from, 100); to != c.to || live != c.live {
			t.Errorf("%s: up to %d, live %v; want %d, %v", c.name, to, live, c.to, c.live)
		}
	}
}
