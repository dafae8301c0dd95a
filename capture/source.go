// Package capture publishes the changes of one database to Kafka as Debezium
// events: it leads or waits, restores where it stopped, runs snapshot and
// stream together, gives every change its version, and ends Kafka transactions
// at the boundaries of source transactions. What is particular to a database is
// behind Source.
package capture

import (
	"context"
	"errors"

	"github.com/weir-cdc/weir/internal/cdc"
)

// What a Source or a Reader says by wrapping one of these; any other error of
// theirs is final and ends the capture.
var (
	// ErrNoContinuity says that the log does not provably follow on from the
	// stored position: purged, another server, a position that never was.
	ErrNoContinuity = errors.New("the change log does not provably continue where the capture stopped")
	// ErrUnavailable says that the database could not be reached or gave up a
	// connection, which goes away by itself: the capture tries again.
	ErrUnavailable = errors.New("the database is not available")
	// ErrDefinition says that a table is not, or no longer, what its *Table
	// states. A chunk that failed with it is read again under the definition
	// that the stream comes to.
	ErrDefinition = errors.New("the table is not as it was defined")
	// ErrChunkFull is what the row function of Reader.Read returns, unwrapped,
	// to end the chunk before the row it was given.
	ErrChunkFull = errors.New("the chunk is full")
)

// Scope is what the capture's own configuration asks of a Source.
type Scope struct {
	// Prefix and Delimiter are topic.prefix and topic.delimiter.
	Prefix, Delimiter string
	// Filter selects databases, tables and columns, and has the columns of
	// message.key.columns. It may be used by several goroutines.
	Filter *Filter
	// EveryTransaction asks for Begin and Commit also of transactions of which
	// no row is captured: Debezium writes BEGIN and END for them.
	EveryTransaction bool
	// SourceDefaults asks for the field "snapshot" of a change's source block to
	// be its default, "false", where Debezium leaves it null.
	SourceDefaults bool
}

// OpenSource makes the Source of one run. A run that failed is followed by
// another one with a Source of its own.
type OpenSource func(ctx context.Context, scope Scope) (Source, error)

// Source is what a database must offer to be captured. One Source serves one
// run of the leader; Stream is called by one goroutine at most once, everything
// else may be called beside it unless it says otherwise. The order of calls is
// Check, Restore, Begin on a first start, Tables, SnapshotSchemas, Stream with
// Readers beside it, Close.
type Source interface {
	// Kind is the source block's connector: "mysql", "mariadb".
	Kind() string
	// SourceSchema is the schema of the source block; it has the int32 field
	// "row", which is the row's number within its log event, and the text field
	// "snapshot".
	SourceSchema() *cdc.Schema
	// Check finds what would keep the capture from working, changing nothing.
	// The error joins all findings, each with the statement that mends it.
	Check(ctx context.Context) error
	// Restore hands over what was stored by the last leader: nil for a first
	// start. It checks that the log still follows on from position (server
	// identity, nothing purged) and returns ErrNoContinuity, wrapped, with what
	// to do if that cannot be proved; it may then be called again with nil, for
	// a start from scratch.
	Restore(ctx context.Context, stored *Stored) error
	// Begin decides where a first start's stream begins: at the log's end now.
	// Called after Restore(nil) only.
	Begin(ctx context.Context) error
	// Tables are the captured tables as they are now in the database, in the
	// order in which Debezium snapshots them. Before Stream only.
	Tables(ctx context.Context) ([]*Table, error)
	// Table is a captured table as it is defined where the stream stands, nil
	// if there is none of that name (not created yet, dropped, not captured).
	// ErrDefinition says that there is one and its definition is not known yet:
	// Schema is called when it is. Called as Position is.
	Table(database, name string) (*Table, error)
	// Stream reads the log from where Restore or Begin left it and reports to
	// s until ctx ends, s returns an error, or the log cannot be read any more;
	// it returns ctx's error, the error of s unwrapped, or its own. It
	// reconnects by itself, with back-off, and then goes on after the last
	// transaction it reported whole; a transaction that broke off is begun
	// again with Begin, and s skips what it has of it. A receive on wake makes
	// it call s.Idle soon, between two transactions, even while the log is busy.
	Stream(ctx context.Context, wake <-chan struct{}, s Stream) error
	// Position is where a resume has to begin to miss nothing after what was
	// reported so far, in the Source's own JSON. Called from within the
	// callbacks of Stream or while Stream is not running. Within Begin and
	// Change it is where the transaction starts, and everything before it, also
	// what was not reported for not being captured, is covered; within Commit,
	// Schema, Progress and Idle it is after what they report.
	Position() []byte
	// Entries are the Source's own records to be stored (table definitions)
	// that changed since the last call: key → JSON, nil to remove. Called as
	// Position is, but never within Change. What was stored is what a restart
	// at the Position of the same moment needs.
	Entries() map[string][]byte
	// SnapshotSchemas are the schema change events that Debezium writes before
	// the rows of a snapshot of tables. After Tables, before Stream.
	SnapshotSchemas(ctx context.Context, tables []*Table) ([]*SchemaChange, error)
	// Reader opens a connection for reading chunks, on the same server that
	// Stream reads from (checked). While Stream runs.
	Reader(ctx context.Context) (Reader, error)
	// Reached reports whether the stream, having reported everything up to
	// position, has passed mark (a Chunk's High): everything at or before mark
	// was reported.
	Reached(position []byte, mark Mark) bool
	// Covers reports whether low, a Chunk's Low, includes everything that a
	// stream at position had reported.
	Covers(low Mark, position []byte) bool
	// Close ends all connections. After Stream has returned and all Readers are
	// closed.
	Close() error
}

// Stream receives what a Source reads from its log, in the log's order, on one
// goroutine. An error ends the stream and is returned from Source.Stream.
type Stream interface {
	// Begin starts a source transaction. A Begin without a Commit before it
	// says that the transaction before broke off and will come again, or is
	// this one.
	Begin(tx TransactionStart) error
	// Change reports one changed row of the transaction.
	Change(c *Change) error
	// Commit ends the transaction; the Source's Position is now after it.
	Commit() error
	// Schema reports DDL after it took effect on Table and, unless it is part of
	// a transaction (SchemaChange.Inside), on Position. Tables that changed get
	// a new *Table in the Changes that follow; open snapshot windows of the
	// tables it names are void.
	Schema(c *SchemaChange) error
	// Progress says that Position moved although nothing captured happened. It
	// need not be called more than a few times a second.
	Progress() error
	// Idle is called between transactions: with drained when the log has
	// nothing more, at once and then every few hundred ms; without it when wake
	// was received while the log is busy.
	Idle(drained bool) error
}

// TransactionStart is what is known of a source transaction when it begins.
type TransactionStart struct {
	// ID is Debezium's transaction id: the GTID, or file=…,pos=….
	ID []byte
	// CommitMillis is the commit's time at the server it was first made on, ms
	// since the epoch: what versions are made of, and ts_ms of BEGIN and END.
	CommitMillis int64
}

// Change is one row that changed. Everything it points to is valid during the
// call only.
type Change struct {
	Table         *Table
	Op            cdc.Op
	Before, After *cdc.Row // of Table.Value, with all columns of the keys; nil where the change has none
	// Source is the source block of the log event; SourceSeq changes whenever
	// its content does, so that what is written of it can be kept. Its field
	// "row" is not looked at: Row is.
	Source    *cdc.Row
	SourceSeq uint64
	// Row is the row's number within its log event: source.row.
	Row int
}

// Table is one captured table under one definition. It is immutable: DDL makes
// a new one, so that what is compiled for a table is kept by its pointer; what
// did not change keeps its pointer.
type Table struct {
	Database, Name string
	// Topic is <prefix>.<database>.<table>, with the characters that Kafka does
	// not allow replaced as Debezium does.
	Topic string
	// Value is the schema of before and after, Key that of the key, nil for a
	// table without one (primary key, NOT NULL unique key, or
	// message.key.columns).
	Value, Key *cdc.Schema
	// KeyColumns are the key's fields, in the key's order, as indexes of a row's
	// Values. A column of a key that Value leaves out or alters (excluded,
	// masked) is appended to the Values of every row, behind those of Value's
	// fields, and named by its index there.
	KeyColumns []int
	// RowKey are the columns that tell the table's rows apart, as indexes of a
	// row's Values like KeyColumns and never of an altered column: the primary
	// key or the NOT NULL unique key, whatever the message key is; nil where
	// there is none. Read and Stream hold equal values of these columns in the
	// same Kind and with the same content.
	RowKey []int
	// RowOrder is what the order of RowKey depends on beside the types of its
	// fields, such as collations: a table of another one is read from its start.
	RowOrder string
}

// ID is database.table.
func (t *Table) ID() string { return t.Database + "." + t.Name }

// SchemaChange is one event for the schema change topic.
type SchemaChange struct {
	// Key and Value are the event as rows of Debezium's SchemaChangeKey and
	// SchemaChangeValue; the field ts_ms of Value is filled in by the capture.
	Key, Value *cdc.Row
	// Tables are database.table of every table the statement names; a name of
	// "db." stands for all tables of db.
	Tables []string
	// Inside says that the statement is part of the transaction that was begun:
	// CREATE TABLE … SELECT, with the rows to follow. It is in front of them.
	Inside bool
	// Publish is false for DDL that matters to the capture but that Debezium
	// does not publish.
	Publish bool
	// Truncate is the event of op OpTruncate for a TRUNCATE of a captured
	// table, nil otherwise.
	Truncate *Change
	// Truncated are captured tables whose rows are gone without events
	// (TRUNCATE, DROP or EXCHANGE PARTITION).
	Truncated []*Table
	// Arrived are captured tables that came to their names with rows, by RENAME
	// or out of a partition: no event under the name tells of these.
	Arrived []*Table
	// Created are captured tables that are new and empty; a topic may have rows
	// of a table of the same name that was dropped.
	Created []*Table
	// More says that another event of the same statement follows: Position is
	// not to be stored before that.
	More bool
}

// Stored is what a leader stored in Kafka for the next one.
type Stored struct {
	Position []byte            // as Source.Position
	Entries  map[string][]byte // as Source.Entries, all that were not removed
}

// Mark is a point of the log in a Source's own terms, as text.
type Mark string

// Reader reads tables over one connection. One goroutine uses it. After an
// error it is closed and another one opened.
type Reader interface {
	// Bounds splits table, from behind the key after (nil: from the start),
	// into the next chunk of about size rows: it returns the key of the chunk's
	// last row, or nil if the chunk is the table's last. A table that cannot be
	// split by key (RowKey nil; ENUM, SET, FLOAT keys …) answers Whole.
	Bounds(ctx context.Context, table *Table, after []byte, size int) (Bounds, error)
	// Read reads the rows of a chunk, behind after and up to and including
	// upTo, in key order. Each row is valid during the call of row only. If row
	// returns ErrChunkFull, the chunk ends before that row, and Chunk.UpTo is
	// the key of the row before it. Any other error of row ends Read and is
	// returned.
	Read(ctx context.Context, table *Table, after, upTo []byte, row func(*cdc.Row) error) (Chunk, error)
	// ReadWhole reads a table in one consistent read, in key order where it has
	// a key. When the read's view of the table is fixed it calls begin, once,
	// with Low, High and Source, whose High is taken right after the view was
	// fixed; and before the first row wait, which takes as long as the stream
	// needs to get there. With lock, the table is locked against writes while
	// the view is fixed, on a connection of its own, so that no event can lie
	// between Low and what the read sees. The lock is given back after begin,
	// for the stream must not pass High unknowingly, and before wait.
	ReadWhole(ctx context.Context, table *Table, lock bool, begin func(Chunk) (wait func() error, err error), row func(*cdc.Row) error) error
	Close() error
}

// Bounds is where a chunk ends.
type Bounds struct {
	UpTo  []byte // the last key, in the Reader's own encoding, which may be stored; nil: to the table's end
	Whole bool   // the table can only be read in one consistent read
}

// Chunk is what is known of a chunk that was read.
type Chunk struct {
	// Low includes only what the read saw; High is at or after everything it
	// saw.
	Low, High Mark
	// UpTo is the key of the chunk's last row if row ended it with ErrChunkFull,
	// else nil.
	UpTo []byte
	// Source is the source block for the chunk's rows, all of it but for the
	// field "snapshot". It is the caller's.
	Source *cdc.Row
}
