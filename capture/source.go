// Package capture publishes the changes of one database to Kafka as Debezium
// events: it leads or waits, restores where it stopped, runs snapshot and
// stream together, gives every change its version, and ends Kafka transactions
// at the boundaries of source transactions. What is particular to a database is
// behind Source.
package capture

import (
	"context"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Source is what a database must offer to be captured. One Source serves one
// run of the leader; Stream is called by one goroutine, everything else may be
// called beside it.
type Source interface {
	// Kind is the source block's connector: "mysql", "mariadb".
	Kind() string
	// SourceSchema is the schema of the source block; it has the int32 field
	// "row", which is the row's number within its log event.
	SourceSchema() *cdc.Schema
	// Check finds what would keep the capture from working, changing nothing.
	// The error joins all findings, each with the statement that mends it.
	Check(ctx context.Context) error
	// Restore hands over what was stored by the last leader: nil for a first
	// start. It checks that the log still follows on from position (server
	// identity, nothing purged) and returns ErrNoContinuity, wrapped, with what
	// to do if that cannot be proved.
	Restore(ctx context.Context, stored *Stored) error
	// Tables are the captured tables as they are now, in the order in which
	// Debezium snapshots them. Before the first call of Stream only.
	Tables(ctx context.Context) ([]*Table, error)
	// Stream reads the log from where Restore or Begin left it and reports to
	// s until ctx ends, s returns an error, or the log cannot be read any more.
	// It reconnects by itself, with back-off, and then goes on after the last
	// transaction it reported. A receive on wake makes it call s.Idle soon,
	// between two transactions, even while the log is busy.
	Stream(ctx context.Context, wake <-chan struct{}, s Stream) error
	// Begin decides where a first start's stream begins: at the log's end now.
	Begin(ctx context.Context) error
	// Position is where a resume has to begin to miss nothing after what was
	// reported so far, in the Source's own JSON. Called from within the
	// callbacks Commit, Progress and Idle of Stream, or while Stream is not
	// running.
	Position() []byte
	// Entries are the Source's own records to be stored (table definitions)
	// that changed since the last call: key → JSON, nil to remove. Called as
	// Position is.
	Entries() map[string][]byte
	// SnapshotSchemas are the schema change events that Debezium writes before
	// the rows of a snapshot of tables.
	SnapshotSchemas(ctx context.Context, tables []*Table) ([]*SchemaChange, error)
	// Reader opens a connection for reading chunks, on the same server that
	// Stream reads from (checked).
	Reader(ctx context.Context) (Reader, error)
	// Reached reports whether the stream, having reported everything up to
	// position, has passed mark (a Chunk's High).
	Reached(position []byte, mark Mark) bool
	// Covers reports whether low, a Chunk's Low, includes everything that a
	// stream at position had reported.
	Covers(low Mark, position []byte) bool
	Close() error
}

// Stream receives what a Source reads from its log, in the log's order. An
// error ends the stream and is returned from Source.Stream.
type Stream interface {
	// Begin starts a source transaction.
	Begin(tx TransactionStart) error
	// Change reports one changed row of the transaction.
	Change(c *Change) error
	// Commit ends the transaction; the Source's Position is now after it.
	Commit() error
	// Schema reports DDL, outside of a transaction. Tables that changed get a
	// new *Table in the Changes that follow; open snapshot windows of the
	// tables it names are void.
	Schema(c *SchemaChange) error
	// Progress says that Position moved although nothing captured happened.
	Progress() error
	// Idle says that the log is drained, or that wake was received. It is
	// called between transactions, at once when the log becomes drained and
	// then every few hundred ms.
	Idle() error
}

// TransactionStart is what is known of a source transaction when it begins.
type TransactionStart struct {
	// ID is Debezium's transaction id: the GTID, or file=…,pos=….
	ID []byte
	// CommitMillis is the commit's time at the server it was first made on, ms
	// since the epoch: what versions are made of.
	CommitMillis int64
}

// Change is one row that changed. Everything it points to is valid during the
// call only.
type Change struct {
	Table         *Table
	Op            cdc.Op
	Before, After *cdc.Row // of Table.Value; nil where the change has none
	// Source is the source block of the log event; SourceSeq changes whenever
	// its content does, so that what is written of it can be kept.
	Source    *cdc.Row
	SourceSeq uint64
	// Row is the row's number within its log event: source.row.
	Row int
}

// Table is one captured table under one definition. It is immutable: DDL makes
// a new one, so that what is compiled for a table is kept by its pointer.
type Table struct {
	Database, Name string
	// Topic is <prefix>.<database>.<table>, with the characters that Kafka does
	// not allow replaced as Debezium does.
	Topic string
	// Value is the schema of before and after, Key that of the key, nil for a
	// table without one. KeyColumns are the key's fields as indexes of Value,
	// in the key's order.
	Value, Key *cdc.Schema
	KeyColumns []int
}

// ID is database.table.
func (t *Table) ID() string { return t.Database + "." + t.Name }

// SchemaChange is one event for the schema change topic.
type SchemaChange struct {
	// Key and Value are the event as rows of Debezium's SchemaChangeKey and
	// SchemaChangeValue.
	Key, Value *cdc.Row
	// Tables are database.table of every table the statement names; a name of
	// "db." stands for all tables of db.
	Tables []string
	// Publish is false for DDL that matters to the capture but that Debezium
	// does not publish.
	Publish bool
	// Truncated are captured tables whose rows are gone without events
	// (TRUNCATE, DROP or EXCHANGE PARTITION).
	Truncated []*Table
}

// Stored is what a leader stored in Kafka for the next one.
type Stored struct {
	Position []byte            // as Source.Position
	Entries  map[string][]byte // as Source.Entries, all that were not removed
}

// Mark is a point of the log in a Source's own terms, as text.
type Mark string

// Reader reads chunks of tables over one connection.
type Reader interface {
	// Bounds splits table, from behind the key after (nil: from the start),
	// into the next chunk of about size rows: it returns the key of the chunk's
	// last row, or nil if the chunk is the table's last. A table that cannot be
	// split by key (keyless; ENUM, SET, FLOAT keys …) is one chunk, Whole true.
	Bounds(ctx context.Context, table *Table, after []byte, size int) (Bounds, error)
	// Read reads the rows of a chunk, in key order. Each row is valid during
	// the call of row only.
	Read(ctx context.Context, table *Table, after, upTo []byte, row func(*cdc.Row) error) (Chunk, error)
	Close() error
}

// Bounds is where a chunk ends.
type Bounds struct {
	UpTo  []byte // the last key, in the Reader's own encoding; nil: to the table's end
	Whole bool   // the table can only be read in one consistent read
}

// Chunk is what is known of a chunk that was read.
type Chunk struct {
	// Low includes only what the read saw; High is at or after everything it
	// saw.
	Low, High Mark
	// Locked says that the table was locked while the read began, so that no
	// event can lie between Low and what the read saw.
	Locked bool
	// Source is the source block for the chunk's rows, but for snapshot and
	// table.
	Source *cdc.Row
}
