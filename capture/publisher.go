package capture

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/kafka"
)

const (
	// tailInterval is how long a Kafka transaction stays open at a boundary of
	// the source while the source has more; when it is drained, the transaction
	// ends at once.
	tailInterval = 30 * time.Millisecond
	// spanInterval is how long one may stay open within a source transaction:
	// well below its timeout.
	spanInterval = 2 * time.Second
	// flushTimeout bounds the wait for the broker; after it the transaction is
	// given up, for it times out at the broker too.
	flushTimeout = transactionTimeout
)

// errFenced says that another producer of the same prefix has begun: another
// leader, or the broker that gave up on a transaction of ours.
var errFenced = errors.New("another leader publishes, or the broker gave up this one's transaction")

// publisher writes records in Kafka transactions. It is used by the stream's
// goroutine alone. After its first error it is of no use any more: whoever goes
// on makes another one, with a new epoch, and starts from the stored offset.
type publisher struct {
	client  *kgo.Client
	arena   *arena
	now     func() time.Time
	metrics *metrics

	open    bool
	began   time.Time
	bytes   int
	records int
	failure atomic.Pointer[error]
	promise func(*kgo.Record, error)
}

// newPublisher connects and initialises the producer id, which fences every
// producer of the same id before and ends its transaction: when it returns,
// whatever they wrote is committed or aborted.
func newPublisher(ctx context.Context, opts []kgo.Opt, c *Config, now func() time.Time, m *metrics) (*publisher, error) {
	client, err := kgo.NewClient(append(opts,
		kgo.TransactionalID(transactionalID(c.Prefix)), kgo.TransactionTimeout(transactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(partitioner(c)),
		kafka.Compression(c.Producer.Compression), kgo.ProducerLinger(c.Producer.Linger),
		kgo.ProducerBatchMaxBytes(int32(c.Producer.MaxRecordBytes)), kgo.BrokerMaxWriteBytes(int32(max(100<<20, 2*c.Producer.MaxRecordBytes))),
		// A topic that was just created takes a moment to be led; the default
		// would have its first records wait for five seconds.
		kgo.MetadataMinAge(250*time.Millisecond),
		// The transaction's own bounds, below, are what holds the source back.
		kgo.MaxBufferedRecords(1<<30), kgo.UnknownTopicRetries(20))...)
	if err != nil {
		return nil, fmt.Errorf("making the producer: %w", err)
	}
	p := &publisher{client: client, arena: newArena(), now: now, metrics: m}
	p.promise = func(r *kgo.Record, err error) {
		if err != nil {
			p.fail(describe(r, err))
		}
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("initialising the producer: %w", classify(err))
	}
	return p, nil
}

// describe names the record that could not be written, by topic and size;
// never by its content.
func describe(r *kgo.Record, err error) error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return fmt.Errorf("writing to topic %s: a record of %d bytes (key %s) is larger than allowed: raise producer.override.max.request.size here and max.message.bytes of the topic: %w",
			r.Topic, len(r.Key)+len(r.Value), shortKey(r.Key), err)
	}
	return fmt.Errorf("writing to topic %s: %w", r.Topic, classify(err))
}

// shortKey is a key for a message to a person.
func shortKey(key []byte) string {
	const longest = 200
	if len(key) > longest {
		return string(key[:longest]) + "…"
	}
	return string(key)
}

// classify marks the errors by which a leader knows that it leads no more.
func classify(err error) error {
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidTxnState) {
		return fmt.Errorf("%w: %w", errFenced, err)
	}
	return err
}

func (p *publisher) fail(err error) { p.failure.CompareAndSwap(nil, &err) }

// err is the first failure of what was produced.
func (p *publisher) err() error {
	if e := p.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// produce hands a record over, opening a transaction if none is open. Key,
// value and headers must live until the transaction ends: in the arena, or in
// one that was lent.
func (p *publisher) produce(topic string, key, value []byte, headers []kgo.RecordHeader) error {
	if err := p.begin(); err != nil {
		return err
	}
	r := p.arena.record()
	*r = kgo.Record{Topic: topic, Key: key, Value: value, Headers: headers, Timestamp: p.began}
	p.client.Produce(context.Background(), r, p.promise)
	p.records++
	p.bytes += len(key) + len(value)
	return nil
}

// produceAs does so with the partition and the timestamp that transforms gave to
// a record, where they did.
func (p *publisher) produceAs(as *cdc.Record, key, value []byte, headers []kgo.RecordHeader) error {
	if err := p.begin(); err != nil {
		return err
	}
	r := p.arena.record()
	*r = kgo.Record{Topic: as.Route, Key: key, Value: value, Headers: headers, Timestamp: p.began, Partition: unplaced}
	if as.Timed {
		r.Timestamp = time.UnixMilli(as.Time)
	}
	if as.Placed {
		r.Partition = as.Place
	}
	p.client.Produce(context.Background(), r, p.promise)
	p.records++
	p.bytes += len(key) + len(value)
	return nil
}

// unplaced is the partition of a record that its key, or nothing, places.
const unplaced = -1

// placing is a partitioner for records of which some name their partition.
type placing struct{ kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (p placing) ForTopic(topic string) kgo.TopicPartitioner {
	return placed{p.Partitioner.ForTopic(topic)}
}

type placed struct{ kgo.TopicPartitioner }

// RequiresConsistency reports that a record that names its partition goes
// nowhere else.
func (p placed) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != unplaced || p.TopicPartitioner.RequiresConsistency(r)
}

// Partition is the one that the record names, or that its key has.
func (p placed) Partition(r *kgo.Record, n int) int {
	if r.Partition != unplaced {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

// OnNewBatch implements kgo.TopicPartitionerOnNewBatch.
func (p placed) OnNewBatch() {
	if b, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		b.OnNewBatch()
	}
}

// partitioner is Kafka's own, and where transforms may name partitions theirs.
func partitioner(c *Config) kgo.Partitioner {
	p := kgo.StickyKeyPartitioner(nil)
	if c.plainRecords() {
		return p
	}
	return placing{p}
}

// begin opens a transaction if none is open.
func (p *publisher) begin() error {
	if p.open {
		return nil
	}
	if err := p.err(); err != nil {
		return err
	}
	failpoint.Pass(failpoint.PublisherBegin)
	if err := p.client.BeginTransaction(); err != nil {
		err = fmt.Errorf("beginning a Kafka transaction: %w", classify(err))
		p.fail(err)
		return err
	}
	failpoint.Pass(failpoint.PublisherBegun)
	p.open, p.began = true, p.now()
	return nil
}

// commit waits for all records and commits them. After an error nothing is
// known of the transaction's outcome.
func (p *publisher) commit(ctx context.Context) error {
	if !p.open {
		return p.err()
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	started := p.now()
	failpoint.Pass(failpoint.PublisherFlush)
	if err := p.client.Flush(ctx); err != nil {
		p.fail(fmt.Errorf("waiting for Kafka: %w", err))
	}
	if err := p.err(); err != nil {
		return err
	}
	failpoint.Pass(failpoint.PublisherFlushed)
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		err = fmt.Errorf("committing a Kafka transaction: %w", classify(err))
		p.fail(err)
		return err
	}
	failpoint.Pass(failpoint.PublisherEnded)
	p.metrics.committed(p.records, p.bytes, p.now().Sub(started))
	p.release()
	failpoint.Pass(failpoint.PublisherNoted)
	return nil
}

// announce writes and commits one record to partition 0 of topic, and returns
// its offset: everything that a producer before this one wrote is below it.
func (p *publisher) announce(ctx context.Context, topic string, key, value []byte) (int64, error) {
	if err := p.begin(); err != nil {
		return 0, err
	}
	r, err := p.client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: key, Value: value}).First()
	if err != nil {
		return 0, describe(&kgo.Record{Topic: topic, Key: key, Value: value}, err)
	}
	if r.Partition != 0 {
		return 0, fmt.Errorf("topic %s has more than one partition: offsets need a topic of one", topic)
	}
	return r.Offset, p.commit(ctx)
}

// release takes back all memory: nothing points into it any more.
func (p *publisher) release() {
	p.open, p.bytes, p.records = false, 0, 0
	p.arena.reset()
}

// close aborts what is open, so that readers need not wait for its timeout, and
// disconnects.
func (p *publisher) close() {
	if p.open {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		if err := p.client.AbortBufferedRecords(ctx); err == nil {
			_ = p.client.EndTransaction(ctx, kgo.TryAbort) // the next leader's producer id does the same
		}
		p.open = false
	}
	p.client.Close()
}
