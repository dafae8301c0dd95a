package failpoint

// Name is that of a step.
type Name string

// The steps of a capture, in about the order in which it comes to them.
const (
	LeaderJoined    Name = "leader.joined"    // it leads, and has done nothing yet
	LeaderProducer  Name = "leader.producer"  // its producer id is initialised: leaders before are fenced
	LeaderAnnounced Name = "leader.announced" // its own record in the offset topic is committed
	LeaderOffsets   Name = "leader.offsets"   // offsets are read
	TopicsReady     Name = "topics.ready"     // topics are created and checked, and not written to yet
	LeaderRestored  Name = "leader.restored"  // the source stands where the stream begins

	StreamBegin   Name = "stream.begin"   // a source transaction begins
	StreamEvent   Name = "stream.event"   // an event is handed to the producer
	StreamSchema  Name = "stream.schema"  // an entry of the schema topic is
	StreamDDL     Name = "stream.ddl"     // a schema change event is
	StreamCommit  Name = "stream.commit"  // the source transaction is read to its end
	StreamSpan    Name = "stream.span"    // a Kafka transaction is to end within a source transaction
	OffsetEntries Name = "offset.entries" // definitions of tables are handed to the producer, the offset is not
	OffsetTables  Name = "offset.tables"  // states of tables are, the offset is not
	OffsetStored  Name = "offset.stored"  // the offset is

	PublisherBegin   Name = "publisher.begin"   // a Kafka transaction is to begin
	PublisherBegun   Name = "publisher.begun"   // it has begun, and is empty
	PublisherFlush   Name = "publisher.flush"   // all of it is handed to the producer, and may be on its way
	PublisherFlushed Name = "publisher.flushed" // the broker has all of it, and no end yet
	PublisherEnded   Name = "publisher.ended"   // it is committed, and nobody here has noted it
	PublisherNoted   Name = "publisher.noted"   // it is noted

	SnapshotRead    Name = "snapshot.read"    // a chunk is read
	SnapshotEmitted Name = "snapshot.emitted" // its rows are handed to the producer
	SnapshotStored  Name = "snapshot.stored"  // and its progress is to go with the next offset
	SnapshotWhole   Name = "snapshot.whole"   // a table that is read in one piece is being published
	SnapshotDone    Name = "snapshot.done"    // all tables are read, and it is not stored yet
	SweepDeleted    Name = "sweep.deleted"    // a delete of a key sweep is handed to the producer
)

// Capture are the steps of a capture.
var Capture = []Name{
	LeaderJoined, LeaderProducer, LeaderAnnounced, LeaderOffsets, TopicsReady, LeaderRestored,
	StreamBegin, StreamEvent, StreamSchema, StreamDDL, StreamCommit, StreamSpan, OffsetEntries, OffsetTables, OffsetStored,
	PublisherBegin, PublisherBegun, PublisherFlush, PublisherFlushed, PublisherEnded, PublisherNoted,
	SnapshotRead, SnapshotEmitted, SnapshotStored, SnapshotWhole, SnapshotDone, SweepDeleted,
}

// The steps of a sink.
const (
	GateCommit    Name = "gate.commit"    // an offset is to be committed
	GateCommitted Name = "gate.committed" // it is, and nobody here has noted it
	WriterWritten Name = "writer.written" // a batch is durable in the target, and its offset not committed
	DeadLettered  Name = "letters.sent"   // dead letters are written, their offset is not committed
	BulkSend      Name = "bulk.send"      // a bulk request to Elasticsearch is about to be sent

	RangeFirst     Name = "range.first"     // a partition without files is to get its first offset
	RangeIntended  Name = "range.intended"  // the intent is committed, no file is visible yet
	RangeCompleted Name = "range.completed" // the files are visible, their end is not committed
	RangeCommitted Name = "range.committed" // the end is committed
)

// Consumers are the steps of a sink: those of the gate of all, those of the
// writers that write record by record, and those of the ranges of the lake.
var Consumers = []Name{GateCommit, GateCommitted, WriterWritten, DeadLettered, BulkSend, RangeFirst, RangeIntended, RangeCompleted, RangeCommitted}
