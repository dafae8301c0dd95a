package capture

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
)

// SnapshotMode is snapshot.mode.
type SnapshotMode string

// The snapshot modes.
const (
	// SnapshotInitial reads all tables at the first start.
	SnapshotInitial SnapshotMode = "initial"
	// SnapshotInitialOnly stops when that is done.
	SnapshotInitialOnly SnapshotMode = "initial_only"
	// SnapshotNoData reads no rows.
	SnapshotNoData SnapshotMode = "no_data"
	// SnapshotWhenNeeded reads all tables again when the log does not continue.
	SnapshotWhenNeeded SnapshotMode = "when_needed"
)

// Config is a capture's configuration, without what its database and its
// connection to Kafka need.
type Config struct {
	// Name is the connector's, Prefix topic.prefix.
	Name, Prefix string
	// Delimiter joins prefix, database and table in a topic's name.
	Delimiter string
	Filter    *Filter
	// SnapshotMode, SnapshotThreads and SnapshotDelay are snapshot.mode,
	// snapshot.max.threads and snapshot.delay.ms; ChunkRows is the most rows of
	// a chunk.
	SnapshotMode    SnapshotMode
	SnapshotThreads int
	SnapshotDelay   time.Duration
	ChunkRows       int
	// Skipped are the operations that are not published.
	Skipped []cdc.Op
	// SkipUnchanged leaves out updates that change no column of Value.
	SkipUnchanged bool
	// Tombstones writes a null value after a delete.
	Tombstones bool
	// Sweep reads a truncated table again and deletes the keys that are gone.
	Sweep bool
	// SchemaChanges and Transactions write the topics of their names.
	SchemaChanges, Transactions bool
	// ContextHeaders writes Debezium's __debezium.context.* headers.
	ContextHeaders bool
	// TransactionTopic and HeartbeatTopic are whole names; Heartbeat is the
	// interval, 0 for none.
	TransactionTopic, HeartbeatTopic string
	Heartbeat                        time.Duration
	// Key and Value are how keys and values are written in JSON, HeaderOptions
	// how headers are. KeyForm, ValueForm and Header say what they are written
	// as.
	Key, Value, HeaderOptions  json.Options
	KeyForm, ValueForm, Header Form
	// Transforms are applied to every record before it is written.
	Transforms Transforms
	// SourceNulls leaves source.snapshot of changes null. Debezium does, and
	// Connect's converter writes the default, "false", unless it is told not to
	// (value.converter.replace.null.with.default=false, said explicitly).
	SourceNulls bool
	// QueueBytes bounds the memory of what is read and not yet durable in
	// Kafka, QueueRecords the records of one Kafka transaction.
	QueueBytes, QueueRecords int
	// OffsetTopic and OffsetInterval are where and how often at least the
	// offset is stored.
	OffsetTopic       string
	OffsetReplication int
	OffsetInterval    time.Duration
	// Retries is how often a run that failed by what goes away by itself is
	// tried again in a row, -1 for ever; RetryDelay and RetryDelayMax are the
	// back-off.
	Retries                   int
	RetryDelay, RetryDelayMax time.Duration
	Topics                    TopicConfig
	Producer                  ProducerConfig
	// Kafka is the connection, Producer's of what is written over it.
	Kafka, ProducerKafka kafka.Config
}

// TopicConfig is how topics are created: topic.creation.*.
type TopicConfig struct {
	Create bool
	Groups []TopicGroup // the first that matches; the last one matches all
	// Alter allows to set the policy of topics that exist.
	Alter bool
}

// TopicGroup is one group of topic.creation.groups.
type TopicGroup struct {
	Name             string
	Include, Exclude config.RegexList
	Partitions       int // -1: the broker's default
	Replication      int // -1: the broker's default
	Settings         map[string]string
}

// ProducerConfig is what producer.override.* tunes.
type ProducerConfig struct {
	Compression    string // none, gzip, snappy, lz4, zstd
	Linger         time.Duration
	MaxRecordBytes int
}

// Properties are those of every capture, whatever its database.
var Properties = config.Table{
	Name: "Capture",
	Doc:  "What is captured, how it is written, and how snapshots are taken.",
	Properties: slices.Concat(namingProperties, selectionProperties, snapshotProperties, eventProperties,
		converterProperties("key"), converterProperties("value"), headerProperties, transform.Properties.Properties,
		runtimeProperties, topicProperties, inertProperties),
}

var namingProperties = []config.Property{
	{Name: "topic.prefix", Required: true, Old: []string{"database.server.name"}, Check: checkPrefix,
		Doc: "The name of this capture: topics are <topic.prefix>.<database>.<table>, offsets and versions are kept under it."},
	{Name: "topic.delimiter", Default: ".", Check: checkDelimiter, Doc: "What joins the parts of a topic's name."},
	{Name: "topic.transaction", Default: "transaction", Old: []string{"transaction.topic"},
		Doc: "The topic of transaction metadata is <topic.prefix>.<this>."},
	{Name: "topic.heartbeat.prefix", Default: "__debezium-heartbeat", Old: []string{"heartbeat.topics.prefix"},
		Doc: "The topic of heartbeats is <this>.<topic.prefix>."},
}

var selectionProperties = []config.Property{
	{Name: "database.include.list", Type: config.Regexes, Old: []string{"database.whitelist"}, Doc: "Databases to capture; unset: all."},
	{Name: "database.exclude.list", Type: config.Regexes, Old: []string{"database.blacklist"}, Doc: "Databases not to capture."},
	{Name: "table.include.list", Type: config.Regexes, Old: []string{"table.whitelist"}, Doc: "Tables to capture, as database.table; unset: all. A table added later is snapshot alone while the stream goes on."},
	{Name: "table.exclude.list", Type: config.Regexes, Old: []string{"table.blacklist"}, Doc: "Tables not to capture, as database.table."},
	{Name: "column.include.list", Type: config.Regexes, Doc: "Columns to capture, as database.table.column; unset: all. Columns of a key are in the key all the same."},
	{Name: "column.exclude.list", Type: config.Regexes, Old: []string{"column.blacklist"}, Doc: "Columns not to capture, as database.table.column."},
	{Name: "table.ignore.builtin", Type: config.Bool, Default: "true", Doc: "Leave out the server's own databases."},
	{Name: "message.key.columns", Check: checkKeyColumns,
		Doc: "Columns of message keys where they are not to be the primary key's: database.table:column,column;… with expressions for tables."},
	{Name: "skipped.operations", Type: config.List, Default: "t", Check: checkOperations,
		Doc: "Operations that are not published: c, u, d, t, r, or none."},
	{Name: "skip.messages.without.change", Type: config.Bool, Default: "false", Doc: "Leave out updates that change no captured column."},
}

var snapshotProperties = []config.Property{
	{Name: "snapshot.mode", Default: string(SnapshotInitial), Values: []string{"initial", "initial_only", "no_data", "when_needed", "schema_only"},
		Doc: "initial reads all tables at the first start; initial_only stops then; no_data (schema_only) reads none; when_needed reads all again when the log does not continue where the capture stopped."},
	{Name: "snapshot.max.threads", Type: config.Int, Default: "1", Min: 1, Max: 64, Doc: "Connections that read tables at the same time, several in one table too."},
	{Name: "snapshot.chunk.size", Type: config.Int, Default: "16384", Min: 1, Max: 1 << 20, Doc: "The most rows that are read at once; fewer where rows are large."},
	{Name: "snapshot.delay.ms", Type: config.Millis, Default: "0", Max: 1 << 40, Doc: "How long to wait before tables are read; the stream begins at once."},
	{Name: "snapshot.include.collection.list", Type: config.Regexes, Doc: "Captured tables that take part in snapshots, as database.table; unset: all."},
	{Name: "truncate.handling", Default: "sweep", Values: []string{"sweep", "debezium"},
		Doc: "After TRUNCATE, DROP or EXCHANGE PARTITION, RENAME, or the creation of a table whose name another one had, none of which the log has rows of: sweep reads the table and deletes the keys that are gone; debezium does nothing."},
}

var eventProperties = []config.Property{
	{Name: "tombstones.on.delete", Type: config.Bool, Default: "true", Doc: "Write a null value after a delete, so that compaction removes the key."},
	{Name: "provide.transaction.metadata", Type: config.Bool, Default: "false", Doc: "Write BEGIN and END of transactions to a topic, and the transaction block in events."},
	{Name: "include.schema.changes", Type: config.Bool, Default: "true", Doc: "Write DDL to the topic <topic.prefix>."},
	{Name: "heartbeat.interval.ms", Type: config.Millis, Default: "0", Max: 1 << 40, Doc: "How often to write a heartbeat; 0: never."},
	{Name: "debezium.context.headers.enable", Type: config.Bool, Default: "false", Doc: "Write the headers __debezium.context.* as Debezium does."},
	{Name: "unavailable.value.placeholder", Default: json.DefaultPlaceholder, Doc: "What stands for a value that the source did not send."},
}

// converterProperties are those of Connect's key.converter or value.converter.
func converterProperties(of string) []config.Property {
	name := of + ".converter"
	return []config.Property{
		{Name: name, Type: config.Class, Default: formClasses[FormJSON], Check: checkConverter,
			Doc: "How " + of + "s are written: Connect's JsonConverter, StringConverter or ByteArrayConverter."},
		{Name: name + ".schemas.enable", Type: config.Bool, Default: "false",
			Doc: "Write {\"schema\":…,\"payload\":…} with every " + of + ". Connect's default is true; here the schema is named by header weir.schema and kept in the topic <topic.prefix>.weir-schemas."},
		{Name: name + ".decimal.format", Default: "base64", Values: []string{"base64", "numeric"}, Doc: "How decimals are written."},
		{Name: name + ".replace.null.with.default", Type: config.Bool, Default: "false", Doc: "Write a NULL as the column's default. Connect's default is true."},
		{Name: name + ".schemas.cache.size", Inert: "what is compiled for a schema is kept as long as the schema is in use"},
	}
}

// headerProperties are those of Connect's header.converter.
var headerProperties = []config.Property{
	{Name: "header.converter", Type: config.Class, Default: formClasses[FormSimple], Check: checkHeaderConverter,
		Doc: "How headers are written: Connect's SimpleHeaderConverter, JsonConverter or StringConverter. Those of Weir are text whatever it is."},
	{Name: "header.converter.schemas.enable", Type: config.Bool, Default: "true", Doc: "Write {\"schema\":…,\"payload\":…} with every header that JsonConverter writes."},
	{Name: "header.converter.decimal.format", Default: "base64", Values: []string{"base64", "numeric"}, Doc: "How JsonConverter writes decimals in headers."},
	{Name: "header.converter.schemas.cache.size", Inert: "what is compiled for a schema is kept as long as the schema is in use"},
}

var runtimeProperties = []config.Property{
	{Name: "max.queue.size.in.bytes", Type: config.Bytes, Default: strconv.Itoa(64 << 20), Max: 1 << 40,
		Doc: "The most bytes that are read from the source and not yet durable in Kafka; 0: the default. At most a quarter of it goes into one Kafka transaction."},
	{Name: "max.queue.size", Type: config.Int, Default: "65536", Min: 1, Max: 1 << 24, Doc: "The most records of one Kafka transaction."},
	{Name: "errors.tolerance", Default: "none", Values: []string{"none", "all"},
		Doc: "What becomes of a record that a transform or a converter refuses: none stops the capture in front of it, all leaves it out, with a line in the log and a metric. Changes that cannot be read always stop the capture."},
	{Name: "errors.max.retries", Type: config.Int, Default: "-1", Min: -1, Max: 1 << 31, Doc: "How often in a row to try again what can go away by itself; -1: for ever."},
	{Name: "errors.retry.delay.initial.ms", Type: config.Millis, Default: "300", Min: 1, Max: 1 << 40, Doc: "The first wait before trying again."},
	{Name: "errors.retry.delay.max.ms", Type: config.Millis, Default: "10000", Min: 1, Max: 1 << 40, Doc: "The longest wait before trying again."},
	{Name: "offset.storage.topic", Default: "weir-offsets", Doc: "The compacted topic, of one partition, that offsets of captures are kept in."},
	{Name: "offset.storage.replication.factor", Type: config.Int, Default: "-1", Min: -1, Max: 1 << 15, Doc: "Replication of offset.storage.topic when it is created; -1: the broker's default."},
	{Name: "offset.flush.interval.ms", Type: config.Millis, Default: "10000", Min: 100, Max: 1 << 40,
		Doc: "How often the offset is stored when nothing captured happens. It is always stored together with events."},
}

var topicProperties = []config.Property{
	{Name: "topic.creation.enable", Type: config.Bool, Default: "true", Doc: "Create topics that are missing, with the policy they need."},
	{Name: "topic.creation.groups", Type: config.List, Doc: "Names of groups of topics with settings of their own, the first that matches."},
	{Name: "topic.creation.*", Doc: "topic.creation.default.partitions, .replication.factor and any setting of a topic; the same of a group, with .include and .exclude expressions. Partitions and replication default to the broker's."},
	{Name: "topic.policy.alter", Type: config.Bool, Default: "false", Doc: "Set cleanup.policy and its delays of topics that exist and have others; otherwise they are only checked."},
}

var inertProperties = []config.Property{
	{Name: "max.batch.size", Inert: "records are sent in the batches of the Kafka producer (producer.override.batch.size)"},
	{Name: "poll.interval.ms", Inert: "changes are published when they arrive"},
	{Name: "topic.naming.strategy", Inert: "topics are named as Debezium's DefaultTopicNamingStrategy does"},
	{Name: "topic.cache.size", Inert: "names are made once a table"},
	{Name: "errors.log.enable", Inert: "errors are always logged"},
	{Name: "errors.log.include.messages", Inert: "rows are never logged"},
	{Name: "event.processing.failure.handling.mode", Inert: "a change that cannot be read always stops the capture"},
	{Name: "sourceinfo.struct.maker", Inert: "the source block is Debezium's"},
	{Name: "schema.history.internal", Inert: "definitions of tables are kept in offset.storage.topic"},
	{Name: "schema.history.internal.*", Inert: "definitions of tables are kept in offset.storage.topic"},
	{Name: "database.history", Inert: "definitions of tables are kept in offset.storage.topic"},
	{Name: "database.history.*", Inert: "definitions of tables are kept in offset.storage.topic"},
}

// producerProperties are what producer.override.* takes besides the
// connection's.
var producerProperties = config.Table{
	Name: "Producer of a capture",
	Properties: []config.Property{
		{Name: "compression.type", Default: "lz4", Values: []string{"none", "gzip", "snappy", "lz4", "zstd"}, Doc: "Compression of batches."},
		{Name: "linger.ms", Type: config.Millis, Default: "5", Max: 10_000, Doc: "How long a batch may wait for more records."},
		{Name: "max.request.size", Type: config.Bytes, Default: "1048576", Min: 1024, Max: 1 << 30, Doc: "The largest record and batch; the topic's max.message.bytes must allow it."},
		{Name: "batch.size", Inert: "batches grow to max.request.size while linger.ms lasts"},
		{Name: "buffer.memory", Inert: "max.queue.size.in.bytes bounds it"},
		{Name: "acks", Inert: "transactions need acks=all"},
		{Name: "enable.idempotence", Inert: "transactions are idempotent"},
		{Name: "transactional.id", Inert: "it is made from topic.prefix"},
		{Name: "transaction.timeout.ms", Inert: "10 s, so that a leader that died does not block readers"},
		{Name: "max.in.flight.requests.per.connection", Inert: "5, in order"},
		{Name: "retries", Inert: "records are tried again until the transaction times out"},
		{Name: "delivery.timeout.ms", Inert: "the transaction's timeout bounds it"},
		{Name: "max.block.ms", Inert: "a full queue makes the source wait"},
		{Name: "partitioner.class", Inert: "keys are hashed as by Kafka's default partitioner"},
		{Name: "key.serializer", Inert: "key.converter decides"},
		{Name: "value.serializer", Inert: "value.converter decides"},
	},
}

// NewConfig reads the configuration from v, which must have been loaded with
// Properties, kafka.Properties and config.Common. Errors are all at once.
func NewConfig(v *config.Values) (Config, error) {
	filter, errs := newFilter(v)
	c := Config{
		Name: v.Name(), Prefix: v.String("topic.prefix"), Delimiter: v.String("topic.delimiter"), Filter: filter,
		SnapshotMode: SnapshotMode(strings.ToLower(v.String("snapshot.mode"))), SnapshotThreads: v.Int("snapshot.max.threads"),
		SnapshotDelay: v.Duration("snapshot.delay.ms"), ChunkRows: v.Int("snapshot.chunk.size"),
		Skipped: operations(v.List("skipped.operations")), SkipUnchanged: v.Bool("skip.messages.without.change"),
		Tombstones: v.Bool("tombstones.on.delete"), Sweep: strings.EqualFold(v.String("truncate.handling"), "sweep"),
		SchemaChanges: v.Bool("include.schema.changes"), Transactions: v.Bool("provide.transaction.metadata"),
		ContextHeaders: v.Bool("debezium.context.headers.enable"), Heartbeat: v.Duration("heartbeat.interval.ms"),
		Key: converter(v, "key.converter"), Value: converter(v, "value.converter"), HeaderOptions: headerOptions(v),
		SourceNulls: v.Has("value.converter.replace.null.with.default") && !v.Bool("value.converter.replace.null.with.default"),
		QueueBytes:  v.Int("max.queue.size.in.bytes"), QueueRecords: v.Int("max.queue.size"),
		OffsetTopic: v.String("offset.storage.topic"), OffsetReplication: v.Int("offset.storage.replication.factor"),
		OffsetInterval: v.Duration("offset.flush.interval.ms"), Retries: v.Int("errors.max.retries"),
		RetryDelay: v.Duration("errors.retry.delay.initial.ms"), RetryDelayMax: v.Duration("errors.retry.delay.max.ms"),
	}
	if c.SnapshotMode == "schema_only" {
		c.SnapshotMode = SnapshotNoData
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 64 << 20
	}
	c.TransactionTopic = c.Prefix + c.Delimiter + v.String("topic.transaction")
	c.HeartbeatTopic = v.String("topic.heartbeat.prefix") + c.Delimiter + c.Prefix
	var err error
	c.Topics, err = newTopicConfig(v)
	errs = append(errs, err, c.connect(v), c.convert(v))
	c.Transforms, err = newTransforms(v, &c.Kafka)
	errs = append(errs, err)
	return c, errors.Join(errs...)
}

// connect reads how Kafka is reached and written to.
func (c *Config) connect(v *config.Values) error {
	var err error
	if c.Kafka, err = kafka.NewConfig(v); err != nil {
		return err
	}
	over, part, err := c.Kafka.Override(v, kafka.ProducerPrefix, producerProperties)
	if err != nil {
		return err
	}
	c.ProducerKafka = over
	c.Producer = ProducerConfig{
		Compression: strings.ToLower(part.String("compression.type")), Linger: part.Duration("linger.ms"),
		MaxRecordBytes: part.Int("max.request.size"),
	}
	return nil
}

// convert reads what records are written as.
func (c *Config) convert(v *config.Values) error {
	var key, value, header error
	c.KeyForm, key = formOf(v.String("key.converter"), recordForms...)
	c.ValueForm, value = formOf(v.String("value.converter"), recordForms...)
	c.Header, header = formOf(v.String("header.converter"), headerForms...)
	return errors.Join(key, value, header)
}

func headerOptions(v *config.Values) json.Options {
	o := json.Options{Schemas: v.Bool("header.converter.schemas.enable"), NullDefaults: true}
	if strings.EqualFold(v.String("header.converter.decimal.format"), "numeric") {
		o.Decimal = json.Numeric
	}
	return o
}

func converter(v *config.Values, name string) json.Options {
	o := json.Options{
		Schemas: v.Bool(name + ".schemas.enable"), NullDefaults: v.Bool(name + ".replace.null.with.default"),
		Placeholder: v.String("unavailable.value.placeholder"),
	}
	if strings.EqualFold(v.String(name+".decimal.format"), "numeric") {
		o.Decimal = json.Numeric
	}
	return o
}

// newTopicConfig reads topic.creation.*: the groups in their order, then the
// default.
func newTopicConfig(v *config.Values) (TopicConfig, error) {
	c := TopicConfig{Create: v.Bool("topic.creation.enable"), Alter: v.Bool("topic.policy.alter")}
	given := v.Under("topic.creation.")
	var errs []error
	for _, name := range append(v.List("topic.creation.groups"), "default") {
		g, err := newTopicGroup(v, name, given)
		c.Groups = append(c.Groups, g)
		errs = append(errs, err)
	}
	for name := range given {
		group, _, _ := strings.Cut(name, ".")
		if name != "enable" && name != "groups" && !slices.ContainsFunc(c.Groups, func(g TopicGroup) bool { return g.Name == group }) {
			errs = append(errs, v.Error("topic.creation."+name, "default or a name of topic.creation.groups behind topic.creation."))
		}
	}
	return c, errors.Join(errs...)
}

func newTopicGroup(v *config.Values, name string, given map[string]string) (TopicGroup, error) {
	g := TopicGroup{Name: name, Partitions: -1, Replication: -1, Settings: map[string]string{}}
	var errs []error
	number := func(key, text string, to *int) {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n == 0 || n < -1 || n > 1<<15 {
			errs = append(errs, v.Error("topic.creation."+key, "a number from 1, or -1 for the broker's default"))
		}
		*to = n
	}
	list := func(key, text string, to *config.RegexList) {
		for _, one := range strings.Split(text, ",") {
			r, err := config.CompileRegex(strings.TrimSpace(one))
			if err != nil {
				errs = append(errs, v.Error("topic.creation."+key, "regular expressions of topics"))
				return
			}
			*to = append(*to, r)
		}
	}
	for key, text := range given {
		rest, ok := strings.CutPrefix(key, name+".")
		if !ok {
			continue
		}
		switch rest {
		case "partitions":
			number(key, text, &g.Partitions)
		case "replication.factor":
			number(key, text, &g.Replication)
		case "include":
			list(key, text, &g.Include)
		case "exclude":
			list(key, text, &g.Exclude)
		default:
			g.Settings[rest] = text
		}
	}
	return g, errors.Join(errs...)
}

func operations(list []string) []cdc.Op {
	var ops []cdc.Op
	for _, name := range list {
		if strings.ToLower(name) != "none" {
			ops = append(ops, cdc.Op(strings.ToLower(name)[0]))
		}
	}
	return ops
}

func checkOperations(text string) error {
	for _, name := range strings.Split(text, ",") {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "c", "u", "d", "t", "r", "none", "":
		default:
			return errors.New("want a list of c, u, d, t and r, or none")
		}
	}
	return nil
}

// checkPrefix is Debezium's rule: what Kafka allows in a topic's name.
func checkPrefix(text string) error {
	for _, r := range text {
		if !(r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return errors.New("want letters, digits, dots, hyphens and underscores only")
		}
	}
	return nil
}

func checkDelimiter(text string) error {
	if text == "" || checkPrefix(text) != nil {
		return errors.New("want characters that Kafka allows in topics")
	}
	return nil
}

func checkKeyColumns(text string) error {
	_, err := parseKeyColumns(text)
	return err
}

// The converters that keys and values, and headers, may have.
var (
	recordForms = []Form{FormJSON, FormText, FormBytes}
	headerForms = []Form{FormSimple, FormJSON, FormText}
)

func checkConverter(text string) error {
	_, err := formOf(text, recordForms...)
	return err
}

func checkHeaderConverter(text string) error {
	_, err := formOf(text, headerForms...)
	return err
}
