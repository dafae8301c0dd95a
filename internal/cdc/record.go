package cdc

// Op is the operation of a change, the letter that Debezium's envelope has.
type Op byte

// The operations. OpNone is that of a record that is no envelope.
const (
	OpNone     Op = 0
	OpCreate   Op = 'c'
	OpUpdate   Op = 'u'
	OpDelete   Op = 'd'
	OpRead     Op = 'r' // a snapshot's
	OpTruncate Op = 't'
	OpMessage  Op = 'm' // PostgreSQL's logical messages
)

// The headers that Weir's capture puts on every change.
const (
	// HeaderVersion has the change's version, 19 decimal digits, zero-padded.
	HeaderVersion = "weir.version"
	// HeaderSchema has the fingerprint of the record's SchemaEntry, 16
	// hexadecimal digits.
	HeaderSchema = "weir.schema"
)

// Envelope is one change: a Debezium envelope, written or read. Its rows and
// slices belong to whoever filled it.
type Envelope struct {
	Op            Op
	Before, After *Row // nil: null
	// Source is the typed source block, of the connector's own schema. Capture
	// fills it; a reader leaves it nil and keeps SourceJSON.
	Source *Row
	// SourceJSON is the source block as read, nil when null or missing, and
	// SourceMillis its ts_ms, 0 if it has none.
	SourceJSON   []byte
	SourceMillis int64
	// Millis, Micros and Nanos are ts_ms, ts_us and ts_ns of the processing, 0
	// where missing.
	Millis, Micros, Nanos int64
	// Transaction is the transaction block; its zero value is null.
	Transaction Transaction
}

// Transaction is Debezium's transaction block (event.block, version 1).
type Transaction struct {
	ID              []byte // empty: there is no block
	TotalOrder      int64  // the event's number within its transaction, from 1
	CollectionOrder int64  // the same within its table
}

// Origin is where a record stands in Kafka; no transform changes it. One that a
// capture has yet to write has Partition and Offset −1 and Timestamp 0.
type Origin struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Timestamp   int64 // ms since the epoch
}

// Header is a Kafka record header: bytes, or what a transform made of it and a
// header converter has yet to write.
type Header struct {
	Key   string
	Value []byte
	// Typed is a row of a Bare schema in place of Value, nil for bytes.
	Typed *Row
}

// Record is one Kafka record on its way through a transform chain to a sink.
// Everything it points to is owned by the batch it belongs to.
type Record struct {
	Origin
	// Route is the topic the record is for: the Origin's at first, then what
	// the chain makes of it. Sinks name index, key space and folder by it.
	Route string
	// Key is nil for a null key.
	Key *Row
	// Value is the flat row; nil for a null value, and for an envelope that has
	// not been unwrapped.
	Value *Row
	// Wrapped says that Value is not flat but the whole envelope as a row, for
	// transforms that look at it so: transform.Whole makes it, and what they did
	// to it goes back with transform.Unwrapped. Whole is the memory for it.
	Wrapped bool
	Whole   Row
	// Envelope is the change that the record carried, also after unwrapping;
	// nil for a record that was no envelope.
	Envelope *Envelope
	// Op is the envelope's, or OpNone.
	Op Op
	// Deleted says that the record takes its key out of the target: a delete,
	// or a tombstone. Value may still hold the last known state.
	Deleted bool
	// Tombstone says that the Kafka value was null.
	Tombstone bool
	// Left says that the record is no record in Kafka, but takes a row out of
	// where it was before the update that it comes with. What a sink does with
	// deletes in Kafka, and what it refuses, is not for it: the update is a good
	// record, wherever its row was.
	Left bool
	// Version orders the changes of one key within Domain.
	Version uint64
	// Domain names what Version counts: "weir:<topic.prefix>", "record-time" or
	// "offset:<topic id>:<partitions>". Versions of different domains cannot be
	// compared.
	Domain string
	// Headers are the record's own, without HeaderVersion and HeaderSchema.
	Headers []Header
	// Placed says that a transform chose the partition Place of the topic that
	// the record is produced to, which its key decides otherwise; Timed that one
	// chose the Time it is produced with, ms since the epoch.
	Placed, Timed bool
	Place         int32
	Time          int64
	// RawKey and RawValue are the bytes in Kafka, nil for null.
	RawKey, RawValue []byte
}

// Millis is the record's timestamp as transforms see it, ms since the epoch:
// Time, where one has chosen it, else the Origin's.
func (r *Record) Millis() int64 {
	if r.Timed {
		return r.Time
	}
	return r.Timestamp
}
