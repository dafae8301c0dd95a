package mysql

import (
	"reflect"
	"slices"
	"strings"
)

// sameDefinition reports whether two definitions are of the same table, however
// each came to be known: a table's rows, their schemas and what the server
// answers are the same.
func sameDefinition(a, b *Definition) bool {
	return reflect.DeepEqual(canonicalDefinition(a), canonicalDefinition(b))
}

// canonicalDefinition leaves out of a definition what is a matter of writing:
// DDL and SHOW CREATE TABLE differ in it.
func canonicalDefinition(d *Definition) Definition {
	out := *d.clone()
	out.Comment = ddlText(out.Comment, '\'', false)
	out.Keys = slices.DeleteFunc(out.Keys, func(k Key) bool { return !k.Unique })
	slices.SortFunc(out.Keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	if len(out.Keys) == 0 {
		out.Keys = nil
	}
	if out.Sequence {
		out.Columns = nil // they are always the same, and DDL does not name them
	}
	for i := range out.Columns {
		canonicalColumn(&out.Columns[i])
	}
	return out
}

func canonicalColumn(c *Column) {
	c.Written, c.Literals = "", nil
	c.Comment = ddlText(c.Comment, '\'', false)
	c.Length = canonicalLength(c)
	canonicalDefault(c)
}

// canonicalLength is the length without those that say nothing: of integers,
// whose width is for display, and of TEXT, which decides its type.
func canonicalLength(c *Column) int {
	switch c.Type {
	case "TINYINT":
		if c.Length == 1 && !c.Unsigned {
			return 1
		}
		return -1
	case "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
		"TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		return -1
	case "FLOAT", "DOUBLE":
		if c.Scale < 0 {
			return -1
		}
	case "CHAR", "BINARY":
		if c.Length < 0 {
			return 1
		}
	}
	return c.Length
}

// canonicalDefault makes a default its value. Of bytes and expressions it is
// only told that there is one, since the server shows them in a form of its own.
func canonicalDefault(c *Column) {
	if c.DefaultNull {
		c.HasDefault = false
	}
	value := ""
	switch f, err := new(ValueOptions).Field(c); {
	case err != nil || !c.HasDefault:
	case c.DefaultExpression:
		if isNow(c.Default) {
			value = "now"
		}
	case c.Charset == "binary":
		value = "bytes"
	case c.Charset != "":
		// How the text was quoted is not known any more.
		text := c.Default
		if m := introducer.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		value = strings.ReplaceAll(ddlText(text, '\'', false), `""`, `"`)
	case f.Default != nil:
		value = f.Default.String()
	}
	c.Default, c.DefaultNull, c.DefaultHex = value, false, false
}
