package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
)

// DecimalMode is decimal.handling.mode: what a DECIMAL becomes.
type DecimalMode uint8

// The values of decimal.handling.mode.
const (
	DecimalPrecise DecimalMode = iota // Connect's Decimal
	DecimalString
	DecimalDouble
)

// BigintUnsignedMode is bigint.unsigned.handling.mode: what a BIGINT UNSIGNED
// becomes.
type BigintUnsignedMode uint8

// The values of bigint.unsigned.handling.mode.
const (
	BigintUnsignedLong    BigintUnsignedMode = iota // int64; values above its range wrap
	BigintUnsignedPrecise                           // Connect's Decimal of scale 0
)

// BinaryMode is binary.handling.mode: what BINARY and BLOB columns become.
type BinaryMode uint8

// The values of binary.handling.mode; all but BinaryBytes are text.
const (
	BinaryBytes BinaryMode = iota
	BinaryBase64
	BinaryBase64URL
	BinaryHex
)

// TimeMode is time.precision.mode: what DATE, TIME and DATETIME become.
type TimeMode uint8

// The values of time.precision.mode.
const (
	TimeAdaptiveMicroseconds TimeMode = iota // TIME in µs, DATETIME in ms or µs by its digits
	TimeAdaptive                             // TIME and DATETIME in ms or µs by their digits
	TimeConnect                              // Connect's own types, all in ms
	TimeISOString
	TimeMicroseconds
	TimeNanoseconds
)

// ValueOptions say what a column's values become. The zero value is Debezium's
// default.
type ValueOptions struct {
	Decimal        DecimalMode
	BigintUnsigned BigintUnsignedMode
	Binary         BinaryMode
	Time           TimeMode
	// TinyIntBoolean makes TINYINT(1) a boolean, as Debezium's
	// TinyIntOneToBooleanConverter does.
	TinyIntBoolean bool
	// KeepYears is enable.time.adjuster=false: years below 100 stay what they
	// are instead of becoming those of 1970 to 2069.
	KeepYears bool
}

// SchemaOptions say what a Definition becomes. The zero value but for Prefix is
// Debezium's default.
type SchemaOptions struct {
	Prefix    string // topic.prefix
	Delimiter string // topic.delimiter; "" is "."
	Values    ValueOptions
	// SchemaNames and FieldNames are schema.name.adjustment.mode and
	// field.name.adjustment.mode.
	SchemaNames, FieldNames NameAdjustment
	// Comments is include.schema.comments; Debezium's MariaDB connector behaves
	// as if it were always set.
	Comments    bool
	Filter      *capture.Filter // which columns are published, and message.key.columns; nil: all, and the table's own key
	SourceTypes SourceTypes
}

// SourceTypes are column.propagate.source.type, which matches
// database.table.column, and datatype.propagate.source.type, which matches
// database.table.TYPE: whose type in the database is told in the schema's
// parameters.
type SourceTypes struct{ Columns, Types config.RegexList }

// TableSchema is a Definition with what is published of it.
type TableSchema struct {
	*capture.Table
	Definition *Definition
	// Fields and Ordinals describe the Values of a row: value i is Fields[i],
	// and comes from Definition.Columns[Ordinals[i]]. The first are the fields
	// of Table.Value; columns of a key that Value leaves out follow.
	Fields   []cdc.Field
	Ordinals []int
}

// NewTableSchema makes the schemas that Debezium's TableSchemaBuilder makes of
// d. Its error names the columns whose types are not known.
func NewTableSchema(d *Definition, o *SchemaOptions) (*TableSchema, error) {
	topic := o.TopicName(d.Database, d.Name)
	b := schemaBuilder{d: d, o: o, out: &TableSchema{Definition: d}}
	b.out.Table = &capture.Table{Database: d.Database, Name: d.Name, Topic: topic}
	err := errors.Join(b.value(topic), b.key(topic))
	if err != nil {
		return nil, fmt.Errorf("schema of table %s.%s: %w", d.Database, d.Name, err)
	}
	return b.out, nil
}

type schemaBuilder struct {
	d   *Definition
	o   *SchemaOptions
	out *TableSchema
}

func (b *schemaBuilder) value(topic string) error {
	var errs []error
	for i := range b.d.Columns {
		c := &b.d.Columns[i]
		if c.Hidden || b.o.Filter != nil && !b.o.Filter.Column(b.d.Database, b.d.Name, c.Name) {
			continue
		}
		f, err := b.o.field(c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.Params = append(f.Params, b.o.SourceTypes.params(b.d, c)...)
		b.out.Fields = append(b.out.Fields, f)
		b.out.Ordinals = append(b.out.Ordinals, i)
	}
	s := cdc.Schema{Name: b.o.SchemaNames.adjustSchema(topic + ".Value"), Fields: b.out.Fields}
	b.out.Value = s.Intern()
	return errors.Join(errs...)
}

// key makes the key's schema and says where in a row keys are. The key's fields
// are the value's without the parameters of propagated source types, as
// Debezium has it.
func (b *schemaBuilder) key(topic string) error {
	var err error
	if b.out.RowKey, err = b.positions(b.d.Key()); err != nil {
		return err
	}
	b.out.RowOrder = b.rowOrder()
	if b.out.KeyColumns, err = b.positions(b.messageKey()); err != nil {
		return err
	}
	if len(b.out.KeyColumns) == 0 {
		return nil
	}
	s := cdc.Schema{Name: b.o.SchemaNames.adjustSchema(topic + ".Key")}
	for _, i := range b.out.KeyColumns {
		f, err := b.o.field(&b.d.Columns[b.out.Ordinals[i]])
		if err != nil {
			return err
		}
		s.Fields = append(s.Fields, f)
	}
	b.out.Key = s.Intern()
	return nil
}

// rowOrder names the collations of the row key's columns.
func (b *schemaBuilder) rowOrder() string {
	var out []string
	for _, i := range b.out.RowKey {
		if c := &b.d.Columns[b.out.Ordinals[i]]; c.Collation != "" {
			out = append(out, c.Collation)
		}
	}
	return strings.Join(out, ",")
}

// messageKey are the columns of the message's key: those of message.key.columns
// that the table has, else the table's own key.
func (b *schemaBuilder) messageKey() []string {
	if b.o.Filter != nil {
		names, _ := b.o.Filter.KeyColumns(b.d.Database, b.d.Name)
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return b.d.Column(name) == nil })
		if len(names) > 0 {
			return names
		}
	}
	return b.d.Key()
}

// positions finds columns among a row's Values, adding those that are missing.
func (b *schemaBuilder) positions(columns []string) ([]int, error) {
	var out []int
	for _, name := range columns {
		at := slices.IndexFunc(b.d.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
		if at < 0 {
			return nil, fmt.Errorf("key column %s does not exist", name)
		}
		i := slices.Index(b.out.Ordinals, at)
		if i < 0 {
			f, err := b.o.field(&b.d.Columns[at])
			if err != nil {
				return nil, err
			}
			i = len(b.out.Fields)
			b.out.Fields, b.out.Ordinals = append(b.out.Fields, f), append(b.out.Ordinals, at)
		}
		out = append(out, i)
	}
	return out, nil
}

// field is a column's field with everything but the propagated source type.
func (o *SchemaOptions) field(c *Column) (cdc.Field, error) {
	f, err := o.Values.Field(c)
	if err != nil {
		return f, fmt.Errorf("column %s: %w", c.Name, err)
	}
	f.Name = o.FieldNames.adjustField(c.Name)
	if o.Comments && c.Comment != "" {
		f.Doc = c.Comment
	}
	return f, nil
}

// Field is the field that Debezium makes of a column under these options: its
// type, name, version, parameters, optionality and default.
func (o *ValueOptions) Field(c *Column) (cdc.Field, error) {
	f, err := o.fieldType(c)
	if err != nil {
		return f, err
	}
	f.Name, f.Optional = c.Name, c.Optional
	if f.Semantic != cdc.Plain {
		f.SchemaVersion = 1
	}
	if v, ok := o.defaultValue(c, &f); ok {
		f.Default = &v
	}
	return f, nil
}

// fieldType is the type map.
func (o *ValueOptions) fieldType(c *Column) (cdc.Field, error) {
	switch c.Type {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		return o.integerType(c), nil
	case "FLOAT", "DOUBLE", "DECIMAL":
		return o.numberType(c), nil
	case "BIT":
		return bitType(c), nil
	case "CHAR", "VARCHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "INET4", "INET6":
		return cdc.Field{Type: cdc.Text}, nil
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		return o.binaryType(), nil
	case "ENUM":
		return choiceType(cdc.Enum, c.Values), nil
	case "SET":
		return choiceType(cdc.EnumSet, c.Values), nil
	case "JSON":
		return cdc.Field{Type: cdc.Text, Semantic: cdc.JSON}, nil
	case "UUID":
		return cdc.Field{Type: cdc.Text, Semantic: cdc.UUID}, nil
	case "DATE", "TIME", "DATETIME", "TIMESTAMP":
		return o.temporalType(c), nil
	case "GEOMETRY", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMCOLLECTION":
		return geometryType(), nil
	case "POINT":
		return pointType(), nil
	case "VECTOR":
		return cdc.Field{Type: cdc.Array, Semantic: cdc.FloatVector, Element: &cdc.Field{Type: cdc.Float}}, nil
	}
	return cdc.Field{}, fmt.Errorf("type %s is not known", c.Type)
}

func (o *ValueOptions) integerType(c *Column) cdc.Field {
	switch {
	case c.Type == "YEAR":
		return cdc.Field{Type: cdc.Int32, Semantic: cdc.Year}
	case c.Type == "TINYINT" && c.Length == 1 && !c.Zerofill && o.TinyIntBoolean:
		return cdc.Field{Type: cdc.Boolean}
	case c.Type == "TINYINT", c.Type == "SMALLINT" && !c.Unsigned:
		return cdc.Field{Type: cdc.Int16}
	case c.Type == "SMALLINT", c.Type == "MEDIUMINT", c.Type == "INT" && !c.Unsigned:
		return cdc.Field{Type: cdc.Int32}
	case c.Type == "BIGINT" && c.Unsigned && o.BigintUnsigned == BigintUnsignedPrecise:
		return decimalType(20, 0)
	}
	return cdc.Field{Type: cdc.Int64}
}

// numberType: only a FLOAT without (M,D) is single precision to Debezium.
func (o *ValueOptions) numberType(c *Column) cdc.Field {
	switch {
	case c.Type == "FLOAT" && c.Scale < 0:
		return cdc.Field{Type: cdc.Float}
	case c.Type != "DECIMAL":
		return cdc.Field{Type: cdc.Double}
	case o.Decimal == DecimalString:
		return cdc.Field{Type: cdc.Text, Precision: c.Length, Scale: max(c.Scale, 0)}
	case o.Decimal == DecimalDouble:
		return cdc.Field{Type: cdc.Double, Precision: c.Length, Scale: max(c.Scale, 0)}
	}
	return decimalType(c.Length, max(c.Scale, 0))
}

func decimalType(precision, scale int) cdc.Field {
	return cdc.Field{
		Type: cdc.Binary, Semantic: cdc.Decimal, Precision: precision, Scale: scale,
		Params: []cdc.Param{
			{Name: "scale", Value: strconv.Itoa(scale)},
			{Name: "connect.decimal.precision", Value: strconv.Itoa(precision)},
		},
	}
}

func bitType(c *Column) cdc.Field {
	if c.Length <= 1 {
		return cdc.Field{Type: cdc.Boolean}
	}
	return cdc.Field{
		Type: cdc.Binary, Semantic: cdc.Bits,
		Params: []cdc.Param{{Name: "length", Value: strconv.Itoa(c.Length)}},
	}
}

func (o *ValueOptions) binaryType() cdc.Field {
	if o.Binary == BinaryBytes {
		return cdc.Field{Type: cdc.Binary}
	}
	return cdc.Field{Type: cdc.Text}
}

// choiceType writes a comma within a value as \, as Debezium does.
func choiceType(s cdc.Semantic, values []string) cdc.Field {
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = strings.ReplaceAll(v, ",", `\,`)
	}
	return cdc.Field{
		Type: cdc.Text, Semantic: s,
		Params: []cdc.Param{{Name: "allowed", Value: strings.Join(escaped, ",")}},
	}
}

func (o *ValueOptions) temporalType(c *Column) cdc.Field {
	f := cdc.Field{Type: cdc.Int64, Digits: max(c.Length, 0)}
	switch c.Type {
	case "TIMESTAMP":
		f.Type, f.Semantic = cdc.Text, cdc.ZonedTimestamp
	case "DATE":
		f.Type, f.Digits = cdc.Int32, 0
		f.Semantic = o.Time.pick(cdc.Date, cdc.ConnectDate, cdc.IsoDate, cdc.Date, cdc.Date)
	case "TIME":
		adaptive := cdc.MicroTime
		if o.Time == TimeAdaptive && f.Digits <= 3 {
			adaptive = cdc.Time
		}
		f.Semantic = o.Time.pick(adaptive, cdc.ConnectTime, cdc.IsoTime, cdc.MicroTime, cdc.NanoTime)
		if f.Semantic == cdc.Time || f.Semantic == cdc.ConnectTime {
			f.Type = cdc.Int32
		}
	default: // DATETIME
		adaptive := cdc.MicroTimestamp
		if f.Digits <= 3 {
			adaptive = cdc.Timestamp
		}
		f.Semantic = o.Time.pick(adaptive, cdc.ConnectTimestamp, cdc.IsoTimestamp, cdc.MicroTimestamp, cdc.NanoTimestamp)
	}
	if o.Time == TimeISOString {
		f.Type = cdc.Text
	}
	return f
}

// pick chooses the semantic type that a mode has for a kind of column.
func (m TimeMode) pick(adaptive, connect, iso, micros, nanos cdc.Semantic) cdc.Semantic {
	switch m {
	case TimeConnect:
		return connect
	case TimeISOString:
		return iso
	case TimeMicroseconds:
		return micros
	case TimeNanoseconds:
		return nanos
	}
	return adaptive
}

func geometryType() cdc.Field {
	return structType(cdc.Geometry, "Geometry",
		cdc.Field{Name: "wkb", Type: cdc.Binary},
		cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})
}

func pointType() cdc.Field {
	return structType(cdc.Point, "Geometry (POINT)",
		cdc.Field{Name: "x", Type: cdc.Double},
		cdc.Field{Name: "y", Type: cdc.Double},
		cdc.Field{Name: "wkb", Type: cdc.Binary, Optional: true},
		cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})
}

func structType(s cdc.Semantic, doc string, members ...cdc.Field) cdc.Field {
	schema := cdc.Schema{Name: s.Name(), Version: 1, Doc: doc, Fields: members}
	return cdc.Field{Type: cdc.Struct, Semantic: s, Doc: doc, Struct: schema.Intern()}
}
