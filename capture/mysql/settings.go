package mysql

import (
	"errors"
	"strings"
	"time"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/config"
)

// Settings say what the log and the tables become.
type Settings struct {
	// MariaDB is whether the connector is MariaDB's.
	MariaDB bool
	Values  ValueOptions
	// SchemaNames and FieldNames are schema.name.adjustment.mode and
	// field.name.adjustment.mode.
	SchemaNames, FieldNames NameAdjustment
	Comments                bool // include.schema.comments
	SourceTypes             SourceTypes
	IncludeQuery            bool
	// CapturedDatabasesOnly and CapturedTablesOnly are
	// schema.history.internal.store.only.captured.databases.ddl and .tables.ddl:
	// which statements the schema change topic has.
	CapturedDatabasesOnly, CapturedTablesOnly bool
	// PartialImages is binlog.row.image.partial=placeholder.
	PartialImages bool
	Cascades      string // foreign.key.cascades
	Retention     time.Duration
}

// ValueProperties are those of Debezium's MySQL and MariaDB connectors that are
// about what values and schemas become.
var ValueProperties = config.Table{
	Name: "MySQL and MariaDB values",
	Doc:  "What columns become in events.",
	Properties: []config.Property{
		{Name: "decimal.handling.mode", Default: "precise", Values: []string{"precise", "string", "double"},
			Doc: "DECIMAL as Connect's Decimal, as text, or as a double, which may lose digits."},
		{Name: "bigint.unsigned.handling.mode", Default: "long", Values: []string{"long", "precise"},
			Doc: "BIGINT UNSIGNED as a 64-bit integer, which wraps above 2^63-1, or as Connect's Decimal."},
		{Name: "binary.handling.mode", Default: "bytes", Values: []string{"bytes", "base64", "base64-url-safe", "hex"}, Doc: "BINARY and BLOB as bytes, or as text in base64 or hexadecimal."},
		{Name: "time.precision.mode", Default: "adaptive_time_microseconds",
			Values: []string{"adaptive_time_microseconds", "adaptive", "connect", "isostring", "microseconds", "nanoseconds"}, Doc: "What DATE, TIME and DATETIME become."},
		{Name: "enable.time.adjuster", Type: config.Bool, Default: "true", Doc: "Years below 100 become those of 1970 to 2069, as the server reads them."},
		{Name: "converters", Type: config.List, Doc: "Names of custom converters; TinyIntOneToBooleanConverter is known, JdbcSinkDataTypesConverter is not needed."},
		{Name: "converters.*", Doc: "<name>.type and options of a custom converter."},
		{Name: "schema.name.adjustment.mode", Default: "none", Values: []string{"none", "avro", "avro_unicode"}, Doc: "How characters of schema names that Avro does not allow are replaced."},
		{Name: "field.name.adjustment.mode", Default: "none", Values: []string{"none", "avro", "avro_unicode"}, Doc: "How characters of field names that Avro does not allow are replaced."},
		{Name: "include.schema.comments", Type: config.Bool, Default: "false", Doc: "Comments of tables and columns are part of schemas and schema changes."},
		{Name: "column.propagate.source.type", Type: config.Regexes, Doc: "database.table.column of columns whose type in the database is told in the schema's parameters."},
		{Name: "datatype.propagate.source.type", Type: config.Regexes, Doc: "database.table.TYPE of columns whose type in the database is told in the schema's parameters."},
		{Name: "include.query", Type: config.Bool, Default: "false", Doc: "The statement behind a change, where the server logs it (binlog_rows_query_log_events, binlog_annotate_row_events)."},
		{Name: "schema.history.internal.store.only.captured.databases.ddl", Type: config.Bool, Default: "false", Doc: "The schema change topic has statements about captured databases only."},
		{Name: "schema.history.internal.store.only.captured.tables.ddl", Type: config.Bool, Default: "false", Doc: "The schema change topic has statements about captured tables only."},
		{Name: "schema.history.internal.skip.unparseable.ddl", Type: config.Bool, Default: "false", Inert: "a statement that is not understood matters only for captured tables, whose definition is then read from the server"},
		{Name: "binlog.row.image.partial", Default: "refuse", Values: []string{"refuse", "placeholder"},
			Doc: "What a server with binlog_row_image other than FULL means: refuse to start, or write the placeholder for columns that are not in the log."},
		{Name: "inconsistent.schema.handling.mode", Default: "fail", Inert: "rows that do not fit their table's definition always stop the capture: passing over them would lose changes"},
		{Name: "event.converting.failure.handling.mode", Default: "fail", Inert: "a value that cannot be decoded always stops the capture: Debezium's warn and skip write NULL in its place"},
		{Name: "snapshot.locking.mode", Default: "minimal", Values: []string{"minimal", "minimal_percona", "extended", "none"}, Inert: "snapshots take no global lock; a table is locked for a moment only where nothing else serves"},
		{Name: "snapshot.lock.timeout.ms", Type: config.Millis, Default: "10000", Inert: "snapshots take no global lock"},
		{Name: "snapshot.fetch.size", Type: config.Int, Default: "0", Inert: "rows are read as the server sends them, and the size of chunks is snapshot.chunk.size"},
		{Name: "min.row.count.to.stream.results", Type: config.Int, Default: "1000", Inert: "rows are read as the server sends them"},
	},
}

// NewSettings reads the settings. The error joins all that is wrong.
func NewSettings(v *config.Values) (Settings, error) {
	s := Settings{
		MariaDB:  strings.Contains(v.String("connector.class"), "mariadb"),
		Comments: v.Bool("include.schema.comments"), IncludeQuery: v.Bool("include.query"),
		SchemaNames: adjustment(v.String("schema.name.adjustment.mode")), FieldNames: adjustment(v.String("field.name.adjustment.mode")),
		SourceTypes:           SourceTypes{Columns: v.Regexes("column.propagate.source.type"), Types: v.Regexes("datatype.propagate.source.type")},
		CapturedDatabasesOnly: v.Bool("schema.history.internal.store.only.captured.databases.ddl"),
		CapturedTablesOnly:    v.Bool("schema.history.internal.store.only.captured.tables.ddl"),
		PartialImages:         v.String("binlog.row.image.partial") == "placeholder",
		Cascades:              v.String("foreign.key.cascades"), Retention: v.Duration("binlog.retention.min.ms"),
	}
	s.Values = ValueOptions{
		Decimal:        DecimalMode(choice(v, "decimal.handling.mode")),
		BigintUnsigned: BigintUnsignedMode(choice(v, "bigint.unsigned.handling.mode")),
		Binary:         BinaryMode(choice(v, "binary.handling.mode")),
		Time:           TimeMode(choice(v, "time.precision.mode")),
		KeepYears:      !v.Bool("enable.time.adjuster"),
	}
	return s, s.readConverters(v)
}

// choice is the place of a property's text among its values, which the modes'
// constants follow.
func choice(v *config.Values, name string) int {
	for _, p := range ValueProperties.Properties {
		if p.Name != name {
			continue
		}
		for i, text := range p.Values {
			if strings.EqualFold(text, v.String(name)) {
				return i
			}
		}
	}
	return 0
}

func adjustment(mode string) NameAdjustment {
	switch strings.ToLower(mode) {
	case "avro":
		return AdjustAvro
	case "avro_unicode":
		return AdjustAvroUnicode
	}
	return AdjustNone
}

// readConverters takes the custom converters that Debezium ships for MySQL.
func (s *Settings) readConverters(v *config.Values) error {
	var errs []error
	for _, name := range v.List("converters") {
		property := "converters." + name + ".type"
		class := v.Under("converters.")[name+".type"]
		if class == "" { // as Debezium has it: the name alone is the prefix
			property = name + ".type"
		}
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "TinyIntOneToBooleanConverter":
			s.Values.TinyIntBoolean = true
			for _, option := range []string{"selector", "length.checker"} {
				if text, ok := v.Under("converters.")[name+"."+option]; ok {
					errs = append(errs, config.NewError(name+"."+option, text, "nothing: the converter is for all columns of TINYINT(1)"))
				}
			}
		case "JdbcSinkDataTypesConverter":
		default:
			errs = append(errs, config.NewError(property, class, "io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter; code of your own cannot be loaded"))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) kind() string {
	if s.MariaDB {
		return "mariadb"
	}
	return "mysql"
}

// schemaOptions are the settings for schemas of one capture.
func (s *Settings) schemaOptions(scope capture.Scope) *SchemaOptions {
	return &SchemaOptions{
		Prefix: scope.Prefix, Delimiter: scope.Delimiter, Values: s.Values, SchemaNames: s.SchemaNames, FieldNames: s.FieldNames,
		Comments: s.Comments || s.MariaDB, Filter: scope.Filter, SourceTypes: s.SourceTypes,
	}
}
