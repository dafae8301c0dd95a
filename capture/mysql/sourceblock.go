package mysql

import (
	"github.com/weir-cdc/weir/internal/cdc"
)

// sourceVersion is the version of Debezium whose events these are, in the
// source block's field version.
const sourceVersion = "3.5.0.Final"

// The fields of the source block, in Debezium's order.
const (
	sourceFieldVersion = iota
	sourceFieldConnector
	sourceFieldName
	sourceFieldMillis
	sourceFieldSnapshot
	sourceFieldDB
	sourceFieldSequence
	sourceFieldMicros
	sourceFieldNanos
	sourceFieldTable
	sourceFieldServerID
	sourceFieldGTID
	sourceFieldFile
	sourceFieldPos
	sourceFieldRow
	sourceFieldThread
	sourceFieldQuery
)

// sourceBlockSchema is io.debezium.connector.<kind>.Source.
func sourceBlockSchema(kind string) *cdc.Schema {
	text := func(name string, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Text, Optional: optional}
	}
	number := func(name string, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Int64, Optional: optional}
	}
	none := cdc.String([]byte("false"))
	snapshot := cdc.Field{
		Name: "snapshot", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Optional: true, Default: &none,
		Params: []cdc.Param{{Name: "allowed", Value: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}},
	}
	return cdc.Schema{
		Name: "io.debezium.connector." + kind + ".Source", Version: 1,
		Fields: []cdc.Field{
			text("version", false), text("connector", false), text("name", false), number("ts_ms", false), snapshot,
			text("db", false), text("sequence", true), number("ts_us", true), number("ts_ns", true), text("table", true),
			number("server_id", false), text("gtid", true), text("file", false), number("pos", false),
			{Name: "row", Type: cdc.Int32}, number("thread", true), text("query", true),
		},
	}.Intern()
}

// sourceBlock makes the source blocks of a stream. The row it returns is the
// same every time.
type sourceBlock struct {
	schema *cdc.Schema
	row    cdc.Row
	seq    uint64
	kind   []byte
	prefix []byte
	file   []byte
}

func newSourceBlock(kind, prefix string) *sourceBlock {
	return &sourceBlock{schema: sourceBlockSchema(kind), kind: []byte(kind), prefix: []byte(prefix)}
}

var (
	versionText   = []byte(sourceVersion)
	notSnapshot   = []byte("false")
	snapshotValue = []byte("true")
)

// constant fills what is the same in every block.
func (b *sourceBlock) constant(row *cdc.Row, micros int64) {
	row.Reset(b.schema)
	v := row.Values
	v[sourceFieldVersion] = cdc.String(versionText)
	v[sourceFieldConnector] = cdc.String(b.kind)
	v[sourceFieldName] = cdc.String(b.prefix)
	v[sourceFieldMillis] = cdc.Int(micros / 1000)
	v[sourceFieldMicros] = cdc.Int(micros)
	v[sourceFieldNanos] = cdc.Int(micros * 1000)
	v[sourceFieldRow] = cdc.Int(0)
}

// event is the block of a rows event.
func (b *sourceBlock) event(s *Source, e *event, table *TableSchema) *cdc.Row {
	row := b.statement(s, e)
	row.Values[sourceFieldDB] = cdc.String([]byte(table.Database))
	row.Values[sourceFieldTable] = cdc.String([]byte(table.Name))
	return row
}

// statement is the block of an event without db and table: MySQL's commit time
// in µs where the log has it, else the event's in seconds.
func (b *sourceBlock) statement(s *Source, e *event) *cdc.Row {
	t := &s.tx
	micros := int64(e.seconds) * 1_000_000
	if t.known && t.head.originalMicros != 0 {
		micros = t.micros
	}
	b.seq++
	b.constant(&b.row, micros)
	v := b.row.Values
	if s.scope.SourceDefaults {
		v[sourceFieldSnapshot] = cdc.String(notSnapshot)
	}
	v[sourceFieldDB] = cdc.String(nil)
	v[sourceFieldServerID] = cdc.Int(int64(e.serverID))
	if len(t.gtid) > 0 {
		v[sourceFieldGTID] = cdc.String(t.gtid)
	}
	b.file = append(b.file[:0], s.file...)
	v[sourceFieldFile] = cdc.String(b.file)
	v[sourceFieldPos] = cdc.Int(int64(e.start))
	if t.thread != 0 {
		v[sourceFieldThread] = cdc.Int(int64(t.thread))
	}
	if t.queried && s.settings.IncludeQuery {
		v[sourceFieldQuery] = cdc.String(t.query)
	}
	return &b.row
}

// snapshot is the block of rows that were read from a table at a place of the
// log; micros is the time of reading.
func (b *sourceBlock) snapshot(row *cdc.Row, database, table string, at *position, micros int64) {
	b.constant(row, micros)
	v := row.Values
	v[sourceFieldSnapshot] = cdc.String(snapshotValue)
	v[sourceFieldDB] = row.Copy(cdc.String([]byte(database)))
	if table != "" {
		v[sourceFieldTable] = row.Copy(cdc.String([]byte(table)))
	}
	v[sourceFieldServerID] = cdc.Int(0)
	v[sourceFieldFile] = row.Copy(cdc.String([]byte(at.File)))
	v[sourceFieldPos] = cdc.Int(int64(at.Pos))
}
