package mysql

import (
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TypeName is the column's type as Debezium names it: in capitals, as the DDL
// wrote it, with UNSIGNED and ZEROFILL.
func (c *Column) TypeName() string {
	switch {
	case c.Written != "":
		return c.Written
	case c.Zerofill:
		return c.Type + " UNSIGNED ZEROFILL"
	case c.Unsigned:
		return c.Type + " UNSIGNED"
	}
	return c.Type
}

// size is the length that Debezium gives a column: what stands in parentheses,
// 1 for an ENUM and room for one character a value for a SET; -1 is none.
func (c *Column) size() int {
	switch {
	case c.Type == "ENUM":
		return 1
	case c.Type == "SET":
		return max(2*len(c.Values)-1, 0)
	case strings.HasPrefix(c.Written, "BOOL"):
		return -1
	}
	return c.Length
}

// params are the parameters by which Debezium tells the type of a column that
// s selects.
func (s *SourceTypes) params(d *Definition, c *Column) []cdc.Param {
	table := d.Database + "." + d.Name + "."
	if !s.Columns.Match(table+c.Name) && !s.Types.Match(table+c.TypeName()) {
		return nil
	}
	const prefix = "__debezium.source.column."
	out := []cdc.Param{{Name: prefix + "type", Value: c.TypeName()}}
	if n := c.size(); n >= 0 {
		out = append(out, cdc.Param{Name: prefix + "length", Value: strconv.Itoa(n)})
	}
	if c.Scale >= 0 {
		out = append(out, cdc.Param{Name: prefix + "scale", Value: strconv.Itoa(c.Scale)})
	}
	return append(out, cdc.Param{Name: prefix + "name", Value: c.Name})
}

// jdbcTypes are Java's numbers for types; what is not here is OTHER.
var jdbcTypes = map[string]int{
	"TINYINT": 5, "SMALLINT": 5, "MEDIUMINT": 4, "INT": 4, "BIGINT": -5, "YEAR": 4, "BIT": -7, "FLOAT": 6, "DOUBLE": 8, "DECIMAL": 3,
	"CHAR": 1, "ENUM": 1, "SET": 1, "VARCHAR": 12, "TINYTEXT": 12, "TEXT": 12, "MEDIUMTEXT": 12, "LONGTEXT": 12,
	"BINARY": -2, "VARBINARY": -3, "TINYBLOB": 2004, "BLOB": 2004, "MEDIUMBLOB": 2004, "LONGBLOB": 2004,
	"DATE": 91, "TIME": 92, "DATETIME": 93, "TIMESTAMP": 2014,
}

// jdbcTypesWritten are those of types whose written name changes the number.
var jdbcTypesWritten = map[string]int{
	"BOOL": 16, "BOOLEAN": 16, "REAL": 7, "NUMERIC": 2, "JSON": 1111,
	"NCHAR": -15, "NATIONAL CHAR": -15, "NATIONAL CHARACTER": -15,
	"NVARCHAR": -9, "NATIONAL VARCHAR": -9, "NCHAR VARCHAR": -9, "NATIONAL CHAR VARYING": -9, "NATIONAL CHARACTER VARYING": -9,
}

// jdbcType is the number by which Debezium tells the column's type.
func (c *Column) jdbcType() int {
	written, _, _ := strings.Cut(c.Written, " UNSIGNED")
	if n, ok := jdbcTypesWritten[written]; ok {
		return n
	}
	if n, ok := jdbcTypes[c.Type]; ok {
		return n
	}
	const other = 1111
	return other
}
