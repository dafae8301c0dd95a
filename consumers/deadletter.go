package consumers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/kafka"
)

// deadLetters writes records that can never be written to their topic, as they
// were: key, value and headers, and the timestamp in one more header. It connects
// when first needed, and where errors are tolerated at the start. It is safe for
// concurrent use.
type deadLetters struct {
	config *Config
	extra  []kgo.Opt // tests
	log    *zap.Logger
	count  func(topic string, n int)

	mu     lock // held over the making of the topic
	client *kgo.Client
	ready  bool // the topic exists
	closed bool

	warning sync.Once // that the topic drops letters of old records
}

// errLettersClosed is for a worker that was abandoned and outlives its runner.
var errLettersClosed = errors.New("writing dead letters: the sink has stopped")

// headerPrefix begins the names of the headers that Kafka Connect adds, and
// headerTime has a record's own time in milliseconds: the topic has its letter's.
const (
	headerPrefix = "__connect.errors."
	headerTime   = "weir.timestamp"
)

// send returns nil once every record is acknowledged by all in-sync replicas.
// After an error it is called again with the same records.
func (d *deadLetters) send(ctx context.Context, failures []failure) error {
	client, err := d.connect(ctx, failures[0].raw.Topic)
	if err != nil {
		return err
	}
	// Producing would ask for the id, too, but over and over without a pause.
	if _, _, err := client.ProducerID(ctx); err != nil {
		d.renew(ctx, client)
		return fmt.Errorf("writing to the dead letter topic %s: asking for a producer id: %w", d.config.DeadLetter.Topic, err)
	}
	letters := make([]*kgo.Record, len(failures))
	for i := range failures {
		letters[i] = d.letter(&failures[i])
	}
	for len(letters) > 0 {
		n := d.fitting(letters)
		err := client.ProduceSync(ctx, letters[:n]...).FirstErr()
		if errors.Is(err, kerr.MessageTooLarge) {
			return fmt.Errorf("writing to the dead letter topic %s, whose max.message.bytes is too small for a record of %d bytes: %w",
				d.config.DeadLetter.Topic, sizeOf(letters[0]), err)
		}
		if err != nil {
			return fmt.Errorf("writing to the dead letter topic %s: %w", d.config.DeadLetter.Topic, err)
		}
		letters = letters[n:]
	}
	failpoint.Pass(failpoint.DeadLettered)
	for i := range failures {
		d.count(failures[i].raw.Topic, 1)
	}
	return nil
}

// fitting says how many of letters are sent together: as many as half of
// max.request.size takes, so that one which is larger travels alone, and only its own
// size can be too much for the topic.
func (d *deadLetters) fitting(letters []*kgo.Record) int {
	usual := int64(d.config.DeadLetter.MaxBytes) / 2
	n, size := 1, sizeOf(letters[0])
	for ; n < len(letters); n++ {
		if size += sizeOf(letters[n]); size > usual {
			break
		}
	}
	return n
}

// letter is the record as a dead letter.
func (d *deadLetters) letter(f *failure) *kgo.Record {
	out := &kgo.Record{
		Topic: d.config.DeadLetter.Topic, Key: f.raw.Key, Value: f.raw.Value, Timestamp: f.raw.Timestamp,
		Headers: append([]kgo.RecordHeader(nil), f.raw.Headers...),
	}
	out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerTime, Value: strconv.AppendInt(nil, f.raw.Timestamp.UnixMilli(), 10)})
	if !d.config.DeadLetter.Context {
		return out
	}
	class, exception := "org.apache.kafka.connect.sink.SinkTask", "org.apache.kafka.connect.errors.ConnectException"
	if f.stage == stageKey || f.stage == stageValue {
		class, exception = jsonConverter, "org.apache.kafka.connect.errors.DataException"
	}
	for _, h := range [...][2]string{
		{"topic", f.raw.Topic}, {"partition", strconv.Itoa(int(f.raw.Partition))}, {"offset", strconv.FormatInt(f.raw.Offset, 10)},
		{"connector.name", d.config.Name}, {"task.id", "0"}, {"stage", string(f.stage)}, {"class.name", class},
		{"exception.class.name", exception}, {"exception.message", f.String()}, {"exception.stacktrace", f.String()},
	} {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerPrefix + h[0], Value: []byte(h[1])})
	}
	return out
}

// mostRequest is the largest request that the client can send, and mostLetter
// the largest record in one.
const (
	mostRequest = 1 << 30
	mostLetter  = mostRequest - 1<<20
)

// connect makes the client, and the topic where it does not exist. The first
// letters are of topic source.
func (d *deadLetters) connect(ctx context.Context, source string) (*kgo.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.open(); err != nil || d.ready {
		return d.client, err
	}
	if err := d.create(ctx, source); err != nil {
		return nil, err
	}
	d.ready = true
	return d.client, nil
}

// open makes the client; d.mu is held.
func (d *deadLetters) open() error {
	if d.closed {
		return errLettersClosed
	}
	if d.client != nil {
		return nil
	}
	opts, err := d.options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("connecting for dead letters: %w", err)
	}
	d.client = client
	return nil
}

// look warns of an existing topic before the first letter, as soon as the brokers
// say what it has.
func (d *deadLetters) look(ctx context.Context, again backoff) {
	for try := 0; d.asked(ctx) != nil && sleep(ctx, again.pause(try)) == nil; try++ {
	}
}

// asked is one attempt of look; nil as well where asking again does not help.
func (d *deadLetters) asked(ctx context.Context) error {
	d.mu.Lock()
	failed := d.open()
	client := d.client
	d.mu.Unlock() // a letter need not wait for the answer
	if failed != nil {
		return nil
	}
	err := d.warn(ctx, client)
	if refused := new(kerr.Error); errors.As(err, &refused) && !refused.Retriable {
		return nil
	}
	return err
}

// The topic configurations that say from when on a letter is kept, and how long.
const (
	timestampType = "message.timestamp.type"
	appendTime    = "LogAppendTime"
	retention     = "retention.ms"
)

// warn says once that an existing topic drops letters by the time of their
// records: one of an old record would be gone before anybody reads it. The error is
// that the brokers do not say what the topic has.
func (d *deadLetters) warn(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	topic := kafka.Topic{Name: d.config.DeadLetter.Topic, Configs: map[string]string{timestampType: appendTime, retention: "-1"}}
	differ, err := kafka.CheckTopics(ctx, client, topic)
	if err != nil || len(differ) < len(topic.Configs) {
		return err
	}
	d.warning.Do(func() {
		d.log.Warn("the dead letter topic drops letters by the time of their records: one of an old record is gone soon",
			zap.String("topic", topic.Name), zap.String(retention, differ[1].Has), zap.String("do", differ[0].Command()))
	})
	return nil
}

// renew gives up a client that got no producer id: one that was refused it, for
// want of a right that may be given yet, never asks again.
func (d *deadLetters) renew(ctx context.Context, client *kgo.Client) {
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == client {
		d.client = nil
		client.Close()
	}
}

func (d *deadLetters) options() ([]kgo.Opt, error) {
	opts, err := d.config.DeadLetters.Options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ClientID(d.config.DeadLetters.ClientID+"-dlq"))
	// What was read from one topic has to fit into another: the broker decides.
	opts = append(opts, kgo.ProducerBatchMaxBytes(mostLetter), kgo.BrokerMaxWriteBytes(mostRequest))
	if name := d.config.DeadLetter.Compression; name != "" {
		opts = append(opts, kafka.Compression(name))
	}
	return append(opts, d.extra...), nil
}

// usualReplicas is Kafka Connect's default for the dead letter topic.
const usualReplicas = 3

// create makes the topic where it does not exist, for records as large as those
// of source may be. It drops letters by when they were written: a record may be
// older than the topic keeps any.
func (d *deadLetters) create(ctx context.Context, source string) error {
	topic := kafka.Deleting(d.config.DeadLetter.Topic)
	topic.Partitions, topic.Replicas = 1, d.config.DeadLetter.Replicas
	topic.Configs[timestampType] = appendTime
	if largest := largestRecord(ctx, d.client, source); largest != "" {
		topic.Configs[maxMessageBytes] = largest
	}
	if topic.Replicas == 0 {
		brokers, err := kadm.NewClient(d.client).ListBrokers(ctx)
		if err != nil {
			return fmt.Errorf("counting brokers for the dead letter topic: %w", err)
		}
		topic.Replicas = min(usualReplicas, max(1, len(brokers)))
	}
	created, err := kafka.CreateTopics(ctx, d.client, topic)
	if err != nil {
		return err
	}
	if len(created) == 0 {
		if err := d.warn(ctx, d.client); err != nil {
			d.log.Warn("cannot tell how long the dead letter topic keeps letters of old records", zap.String("topic", topic.Name), zap.Error(err))
		}
	}
	for _, name := range created {
		d.log.Info("created the dead letter topic", zap.String("topic", name), zap.Int("replicas", topic.Replicas))
	}
	return nil
}

const maxMessageBytes = "max.message.bytes"

// largestRecord is what topic itself sets for the size of its records; "" where
// it has the brokers' limit, or does not say.
func largestRecord(ctx context.Context, client *kgo.Client, topic string) string {
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, topic)
	if err != nil || len(configs) != 1 || configs[0].Err != nil {
		return ""
	}
	for _, c := range configs[0].Configs {
		if c.Key == maxMessageBytes && c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			return c.MaybeValue()
		}
	}
	return ""
}

// close ends the connection for good; records that were acknowledged stay.
func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
}
