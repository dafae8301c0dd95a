package consumers

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// Properties are what every sink's runtime knows. They join those of the Kafka
// connection, the transforms and the sink.
var Properties = config.Table{
	Name: "Sink runtime",
	Doc:  "What a sink reads, how it reads it, and what becomes of records that cannot be written. The names are Kafka Connect's.",
	Properties: []config.Property{
		{Name: "topics", Type: config.List, Doc: "The topics to read."},
		{Name: "topics.regex", Check: checkTopicsRegex, Doc: "A regular expression that the whole name of a topic to read must match; new topics are found within metadata.max.age.ms."},
		{Name: "group.id", Doc: "The consumer group. Unset: weir-<connector name>."},
		{Name: "auto.offset.reset", Default: "earliest", Values: []string{"earliest", "latest", "none"}, Doc: "Where a partition begins that the group has no offset of."},
		{Name: "key.converter", Type: config.Class, Default: jsonConverter, Check: checkKeyConverter,
			Doc: "How keys are written: JsonConverter (with or without schemas), StringConverter or ByteArrayConverter."},
		{Name: "value.converter", Type: config.Class, Default: jsonConverter, Check: checkValueConverter,
			Doc: "How values are written: JsonConverter, with or without schemas."},
		{Name: "key.converter.*", Inert: "both forms of JSON are read, and the schemas of capture are found by fingerprint"},
		{Name: "value.converter.*", Inert: "both forms of JSON are read, and the schemas of capture are found by fingerprint"},
		{Name: "version.source", Values: []string{"header", "offset", "record-time"},
			Doc: "What orders the changes of a key: the header weir.version, the Kafka offset, or the record's time. Unset: the header where there is one, else the offset."},
		{Name: "errors.tolerance", Default: "none", Values: []string{"none", "all"},
			Doc: "none: a record that can never be written stops its partition. all: it goes to the dead letter topic."},
		{Name: "errors.deadletterqueue.topic.name", Doc: "The dead letter topic. Unset: <connector name>-dlq."},
		{Name: "errors.deadletterqueue.topic.replication.factor", Type: config.Int, Min: 1, Max: 32767,
			Doc: "Copies of the dead letter topic when it is created. Unset: 3, or as many as there are brokers."},
		{Name: "errors.deadletterqueue.context.headers.enable", Type: config.Bool, Default: "false",
			Doc: "Add headers __connect.errors.* to dead letters, which say where the record came from and what was wrong."},
		{Name: "errors.retry.timeout", Type: config.Millis, Default: "-1", Min: -1, Max: 1 << 53,
			Doc: "How long a transform that fails for a passing reason, such as a look-up that does not answer, is tried again before the record counts as one that can never be written; -1: for ever. Kafka Connect's default is 0."},
		{Name: "errors.retry.delay.max.ms", Type: config.Millis, Default: "60000", Min: 1, Max: 1 << 40, Doc: "The longest pause between two attempts."},
		{Name: "errors.log.enable", Type: config.Bool, Default: "false", Doc: "Log every record that cannot be written."},
		{Name: "errors.log.include.messages", Type: config.Bool, Default: "false", Doc: "Include topic, partition, offset and key of the record in that log."},
		{Name: "retry.backoff.ms", Type: config.Millis, Default: "100", Min: 1, Max: 1 << 40, Doc: "The first pause before a batch is written again; it doubles up to errors.retry.delay.max.ms."},
		{Name: "fetch.buffer.bytes", Type: config.Bytes, Min: 1 << 20, Max: 1 << 40,
			Doc: "How much is read ahead of the target, over all partitions. Unset: 64 MiB; weir-lake: 8 MiB."},
		{Name: "offset.flush.interval.ms", Type: config.Millis, Default: "500", Min: 0, Max: 1 << 40,
			Doc: "How long offsets of written records may wait for their commit. Kafka Connect's default is 60000; what was not committed is written again after a crash."},
		{Name: "offset.flush.timeout.ms", Inert: "a commit is sent once; one without an answer replaces the client"},
		{Name: "tombstone.horizon.ms", Type: config.Millis, Default: "-1", Min: -1, Max: 1 << 53,
			Doc: "How old unread records of a compacted topic may be before the sink refuses to go on, since deletes may be gone; -1: the topic's delete.retention.ms, or its min.compaction.lag.ms where that is shorter, not 0, and a transform routes, filters or keys by what a row has; 0: never refuse."},
	},
}

// defaultBuffer is fetch.buffer.bytes where it is not set.
const defaultBuffer = 64 << 20

// override are the properties of Kafka's consumer, under consumer.override.
var override = config.Table{Properties: []config.Property{
	{Name: "group.id"},
	{Name: "auto.offset.reset", Values: []string{"earliest", "latest", "none"}},
	{Name: "isolation.level", Values: []string{"read_committed"}},
	{Name: "client.rack"},
	{Name: "session.timeout.ms", Type: config.Millis, Default: "45000", Min: 1, Max: 1 << 31},
	{Name: "heartbeat.interval.ms", Type: config.Millis, Default: "3000", Min: 1, Max: 1 << 31},
	{Name: "max.poll.interval.ms", Type: config.Millis, Default: "60000", Min: 1, Max: 1 << 31},
	{Name: "fetch.max.bytes", Type: config.Bytes, Default: "16777216", Min: 1024, Max: 1<<31 - 1},
	// Compressed: four times as much or more comes of it, which is to stay below a
	// partition's share of fetch.buffer.bytes. With Kafka's 1 MiB more was in use
	// than the soft limit of memory, and collecting garbage took most of the CPU.
	{Name: "max.partition.fetch.bytes", Type: config.Bytes, Default: "131072", Min: 1024, Max: 1<<31 - 1},
	{Name: "fetch.min.bytes", Type: config.Bytes, Default: "1", Min: 1, Max: 1<<31 - 1},
	{Name: "fetch.max.wait.ms", Type: config.Millis, Default: "500", Min: 1, Max: 1 << 31},
	{Name: "max.poll.records", Inert: "batches are bounded by the sink's own properties"},
	{Name: "enable.auto.commit", Inert: "offsets are committed after the records are durable, never else"},
	{Name: "auto.commit.interval.ms", Inert: "offsets are committed after the records are durable, never else"},
	{Name: "partition.assignment.strategy", Inert: "partitions are assigned by the eager sticky strategy"},
	{Name: "group.protocol", Inert: "the classic protocol is spoken"},
	{Name: "group.instance.id", Inert: "static members are not used"},
	{Name: "check.crcs", Inert: "checksums are always checked"},
	{Name: "allow.auto.create.topics", Inert: "topics that do not exist are waited for"},
	{Name: "exclude.internal.topics", Inert: "internal topics are never read"},
	{Name: "interceptor.classes", Inert: "there are no Java classes here"},
	{Name: "key.deserializer", Inert: "key.converter says how keys are read"},
	{Name: "value.deserializer", Inert: "value.converter says how values are read"},
}}

// producing are the properties of Kafka's producer, under producer.override.
var producing = config.Table{Properties: []config.Property{
	{Name: "compression.type", Values: []string{"none", "gzip", "snappy", "lz4", "zstd"}},
	{Name: "max.request.size", Type: config.Bytes, Default: "1048576", Min: 1024, Max: 1 << 30},
	{Name: "acks", Inert: "every in-sync replica must acknowledge"},
	{Name: "enable.idempotence", Inert: "the producer is always idempotent"},
	{Name: "retries", Inert: "a dead letter is sent until it is acknowledged"},
	{Name: "delivery.timeout.ms", Inert: "a dead letter is sent until it is acknowledged"},
	{Name: "linger.ms", Inert: "dead letters are sent at once"},
	{Name: "batch.size", Inert: "dead letters are sent at once"},
	{Name: "buffer.memory", Inert: "dead letters are not buffered"},
}}

// The converters' classes, by Kafka Connect's names.
const (
	jsonConverter   = "org.apache.kafka.connect.json.JsonConverter"
	stringConverter = "org.apache.kafka.connect.storage.StringConverter"
	bytesConverter  = "org.apache.kafka.connect.converters.ByteArrayConverter"
)

// Config is what the runtime has to know. NewConfig makes it from properties.
type Config struct {
	Name       string // the connector's
	Topics     []string
	TopicRegex string // RE2, matched against the whole name; "" if Topics are listed
	Group      string
	Reset      Reset
	// Source and DeadLetters are the connections to read with and to write dead
	// letters with.
	Source, DeadLetters kafka.Config
	Fetch               Fetch
	KeyText, KeyBytes   bool // keys are not JSON but text, or any bytes
	Versions            VersionSource

	Tolerate     bool // errors.tolerance=all
	DeadLetter   DeadLetter
	LogErrors    bool
	LogMessages  bool
	RetryTimeout time.Duration // of a transform; negative: for ever
	Backoff      time.Duration // first pause
	MaxBackoff   time.Duration
	BufferBytes  int64
	CommitEvery  time.Duration
	Horizon      time.Duration // negative: the topic's, 0: none
}

// Fetch is how the group member reads.
type Fetch struct {
	Session, Heartbeat, Rebalance, MaxWait time.Duration
	MaxBytes, PartitionBytes, MinBytes     int32
	Rack                                   string
}

// DeadLetter is where records go that can never be written.
type DeadLetter struct {
	Topic       string
	Replicas    int // 0: three, or as many as there are brokers
	Context     bool
	Compression string // "" is the client's default
	MaxBytes    int32
}

// Reset is where a partition without a committed offset begins.
type Reset string

// The values of auto.offset.reset.
const (
	Earliest Reset = "earliest"
	Latest   Reset = "latest"
	NoReset  Reset = "none"
)

// offset is the same for franz-go.
func (r Reset) offset() kgo.Offset {
	switch r {
	case Latest:
		return kgo.NewOffset().AtEnd()
	case NoReset:
		return kgo.NewOffset().AtCommitted()
	}
	return kgo.NewOffset().AtStart()
}

// VersionSource is what a record's version is.
type VersionSource string

// The values of version.source.
const (
	VersionAuto       VersionSource = "" // the header, else the offset
	VersionHeader     VersionSource = "header"
	VersionOffset     VersionSource = "offset"
	VersionRecordTime VersionSource = "record-time"
)

// NewConfig reads the runtime's configuration from v, which must have been
// parsed with Properties and kafka.Properties. Errors are all at once; what the
// user should know is added to v's notices.
func NewConfig(v *config.Values) (Config, error) {
	c := Config{
		Name: v.Name(), Topics: v.List("topics"), TopicRegex: v.String("topics.regex"),
		Group: v.String("group.id"), Reset: Reset(v.String("auto.offset.reset")),
		KeyText: isClass(v.String("key.converter"), stringConverter), KeyBytes: isClass(v.String("key.converter"), bytesConverter),
		Versions: VersionSource(v.String("version.source")), Tolerate: v.String("errors.tolerance") == "all",
		LogErrors: v.Bool("errors.log.enable"), LogMessages: v.Bool("errors.log.include.messages"),
		RetryTimeout: v.Duration("errors.retry.timeout"), Backoff: v.Duration("retry.backoff.ms"), MaxBackoff: v.Duration("errors.retry.delay.max.ms"),
		BufferBytes: int64(v.Int("fetch.buffer.bytes")), CommitEvery: v.Duration("offset.flush.interval.ms"), Horizon: v.Duration("tombstone.horizon.ms"),
		DeadLetter: DeadLetter{
			Topic: v.String("errors.deadletterqueue.topic.name"), Replicas: v.Int("errors.deadletterqueue.topic.replication.factor"),
			Context: v.Bool("errors.deadletterqueue.context.headers.enable"),
		},
	}
	base, errBase := kafka.NewConfig(v)
	errs := []error{errBase, c.checkTopics(v), c.source(v, base), c.deadLetters(v, base)}
	if c.Group == "" {
		c.Group = "weir-" + c.Name
	}
	if c.DeadLetter.Topic == "" {
		c.DeadLetter.Topic = c.Name + "-dlq"
		if c.Tolerate {
			v.Notice("errors.tolerance", "records that can never be written go to topic "+c.DeadLetter.Topic+"; name another with errors.deadletterqueue.topic.name")
		}
	}
	if !v.Has("fetch.buffer.bytes") {
		c.BufferBytes = defaultBuffer
	}
	c.MaxBackoff = max(c.MaxBackoff, c.Backoff)
	return c, errors.Join(errs...)
}

func (c *Config) checkTopics(v *config.Values) error {
	switch {
	case len(c.Topics) == 0 && c.TopicRegex == "":
		return v.Error("topics", "the topics to read, here or in topics.regex")
	case len(c.Topics) > 0 && c.TopicRegex != "":
		return v.Error("topics.regex", "either topics or topics.regex")
	}
	return nil
}

// source reads consumer.override.*.
func (c *Config) source(v *config.Values, base kafka.Config) error {
	source, part, err := base.Override(v, kafka.ConsumerPrefix, override)
	if err != nil {
		return err
	}
	if !v.Has("client.id") && !part.Has("client.id") {
		source.ClientID = "weir-" + c.Name
	}
	c.Source = source
	if part.Has("group.id") {
		c.Group = part.String("group.id")
	}
	if part.Has("auto.offset.reset") {
		c.Reset = Reset(part.String("auto.offset.reset"))
	}
	c.Fetch = Fetch{
		Session: part.Duration("session.timeout.ms"), Heartbeat: part.Duration("heartbeat.interval.ms"),
		Rebalance: part.Duration("max.poll.interval.ms"), MaxWait: part.Duration("fetch.max.wait.ms"), Rack: part.String("client.rack"),
		MaxBytes: int32(part.Int("fetch.max.bytes")), PartitionBytes: int32(part.Int("max.partition.fetch.bytes")), MinBytes: int32(part.Int("fetch.min.bytes")),
	}
	if c.Fetch.Heartbeat*3 > c.Fetch.Session {
		return part.Error("heartbeat.interval.ms", "at most a third of session.timeout.ms")
	}
	return nil
}

// deadLetters reads producer.override.*.
func (c *Config) deadLetters(v *config.Values, base kafka.Config) error {
	to, part, err := base.Override(v, kafka.ProducerPrefix, producing)
	if err != nil {
		return err
	}
	if !v.Has("client.id") && !part.Has("client.id") {
		to.ClientID = "weir-" + c.Name
	}
	c.DeadLetters = to
	c.DeadLetter.Compression, c.DeadLetter.MaxBytes = part.String("compression.type"), int32(part.Int("max.request.size"))
	return nil
}

// isClass reports whether a class, given whole or by its last part, is known.
func isClass(class, known string) bool {
	return class == known || class == known[strings.LastIndexByte(known, '.')+1:]
}

func checkTopicsRegex(text string) error {
	if _, err := regexp.Compile(text); err != nil {
		return errors.New("want a regular expression without look-around and back-references: " + err.Error())
	}
	return nil
}

func checkKeyConverter(text string) error {
	if isClass(text, jsonConverter) || isClass(text, stringConverter) || isClass(text, bytesConverter) {
		return nil
	}
	return errors.New("want JsonConverter, StringConverter or ByteArrayConverter" + avroAdvice(text))
}

func checkValueConverter(text string) error {
	if isClass(text, jsonConverter) {
		return nil
	}
	return errors.New("want " + jsonConverter + avroAdvice(text))
}

// avroAdvice is for the converter that is asked for most of all.
func avroAdvice(text string) string {
	if strings.HasSuffix(text, "AvroConverter") {
		return "; Avro comes in a later version, until then let the capture write JSON"
	}
	return ""
}
