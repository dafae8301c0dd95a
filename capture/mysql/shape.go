package mysql

import (
	"fmt"
	"slices"
	"strings"
)

// shapeError says that the log's rows do not have the shape that a definition
// has: the definition is not that of the place in the log.
type shapeError struct{ text string }

func (e *shapeError) Error() string { return e.text }

// columnTypes are the types in a table map that a column's type can have.
var columnTypes = map[string][]columnType{
	"TINYINT": {typeTiny}, "SMALLINT": {typeShort}, "MEDIUMINT": {typeInt24}, "INT": {typeLong}, "BIGINT": {typeLongLong},
	"FLOAT": {typeFloat}, "DOUBLE": {typeDouble}, "DECIMAL": {typeNewDecimal, typeDecimal}, "BIT": {typeBit}, "YEAR": {typeYear},
	"DATE": {typeDate, typeNewDate}, "TIME": {typeTime, typeTime2}, "DATETIME": {typeDatetime, typeDatetime2},
	"TIMESTAMP": {typeTimestamp, typeTimestamp2}, "JSON": {typeJSON}, "VECTOR": {typeVector, typeVarchar, typeVarString},
	"ENUM": {typeEnum}, "SET": {typeSet}, "CHAR": {typeString, typeVarString, typeVarchar}, "BINARY": {typeString, typeVarString, typeVarchar},
	"VARCHAR": {typeVarchar, typeVarString, typeVarcharCompressed}, "VARBINARY": {typeVarchar, typeVarString, typeVarcharCompressed},
	"UUID": {typeString}, "INET6": {typeString}, "INET4": {typeString},
}

// blobTypes are those of everything that is kept as a BLOB.
var blobTypes = []columnType{typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobCompressed}

// blobWidths are the bytes of a length, by type.
var blobWidths = map[string]uint16{
	"TINYTEXT": 1, "TINYBLOB": 1, "TEXT": 2, "BLOB": 2, "MEDIUMTEXT": 3, "MEDIUMBLOB": 3, "LONGTEXT": 4, "LONGBLOB": 4,
}

// checkShape compares a table map with the definition under which its rows are
// to be decoded, whatever binlog_row_metadata is.
func checkShape(d *Definition, m *tableMap) error {
	if len(d.Columns) != len(m.columns)-m.hashes(d) {
		return &shapeError{fmt.Sprintf("the log has %d columns, the definition %d", len(m.columns), len(d.Columns))}
	}
	for i := range d.Columns {
		c, mc := &d.Columns[i], &m.columns[i]
		if m.hasNames && !strings.EqualFold(c.Name, mc.name) {
			return &shapeError{fmt.Sprintf("column %d is %s in the log, %s in the definition", i+1, mc.name, c.Name)}
		}
		if why := c.differs(mc, m); why != "" {
			return &shapeError{fmt.Sprintf("column %s, a %s: %s", c.Name, c.TypeName(), why)}
		}
	}
	return nil
}

// hashes is how many columns at a table map's end are none of the table, but
// what MariaDB keeps for unique keys that are too long for an index: which those
// are depends on the engine, so that as many as there are unique keys are let
// pass.
func (m *tableMap) hashes(d *Definition) int {
	n, unique := len(m.columns)-len(d.Columns), 0
	for i := range d.Keys {
		if d.Keys[i].Unique {
			unique++
		}
	}
	if !m.mariadb || n <= 0 || n > unique {
		return 0
	}
	for _, c := range m.columns[len(d.Columns):] {
		if c.typ != typeLongLong || m.hasNames && !strings.HasPrefix(c.name, "DB_ROW_HASH_") {
			return 0
		}
	}
	return n
}

// differs says in what the log's column is another one, "" if in nothing.
func (c *Column) differs(m *mapColumn, t *tableMap) string {
	types, known := columnTypes[c.Type]
	width, blob := blobWidths[c.Type]
	switch {
	case blob:
		types = blobTypes
	case !known:
		types = []columnType{typeGeometry}
	}
	switch {
	case !slices.Contains(types, m.typ):
		return fmt.Sprintf("the log has type %d", m.typ)
	case blob && m.typ == typeBlob && m.meta != width:
		return fmt.Sprintf("the log has lengths of %d bytes", m.meta)
	case t.hasSigns && m.numeric() && c.Type != "YEAR" && m.unsigned != c.Unsigned:
		return "the log differs in the sign"
	case t.hasChoices && m.choice() && len(m.choices) != len(c.Values):
		return fmt.Sprintf("the log has %d values, the definition %d", len(m.choices), len(c.Values))
	}
	return c.differsInSize(m)
}

// differsInSize compares digits and lengths as far as the log tells them.
func (c *Column) differsInSize(m *mapColumn) string {
	switch m.typ {
	case typeNewDecimal:
		if int(m.meta>>8) != c.Length || int(m.meta&0xff) != max(c.Scale, 0) {
			return fmt.Sprintf("the log has (%d,%d) digits", m.meta>>8, m.meta&0xff)
		}
	case typeTime2, typeDatetime2, typeTimestamp2:
		if int(m.meta) != max(c.Length, 0) {
			return fmt.Sprintf("the log has %d digits of a second", m.meta)
		}
	case typeBit:
		if m.bits() != max(c.Length, 1) {
			return fmt.Sprintf("the log has %d bits", m.bits())
		}
	case typeVarchar, typeString:
		return c.differsInLength(m)
	}
	return ""
}

// differsInLength compares the bytes of a text with its characters.
func (c *Column) differsInLength(m *mapColumn) string {
	length := c.Length
	switch c.Type {
	case "CHAR", "BINARY":
		length = canonicalLength(c)
	case "VARCHAR", "VARBINARY":
	default:
		return ""
	}
	if want := length * charsetWidth(c.Charset); length >= 0 && int(m.meta) != want {
		return fmt.Sprintf("the log has room for %d bytes, the definition for %d", m.meta, want)
	}
	return ""
}
