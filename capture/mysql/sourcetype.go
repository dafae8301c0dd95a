package mysql

import (
	"strconv"

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
	switch c.Type {
	case "ENUM":
		return 1
	case "SET":
		return max(2*len(c.Values)-1, 0)
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
