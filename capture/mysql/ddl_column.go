package mysql

import (
	"strconv"
	"strings"
)

// ddlColumn is a column as a statement says it: what the table's defaults add
// is missing.
type ddlColumn struct {
	Column          // Charset and Collation as far as they were said
	primary, unique bool
	references      bool // another table, by a foreign key
	null            ddlNull
	// binary is the attribute BINARY: the character set's _bin collation.
	binary bool
	// nullLast is NULL behind AUTO_INCREMENT, which wins over it.
	nullLast bool
	// versioned is WITH SYSTEM VERSIONING, which makes the table so.
	versioned bool
	// rowBound says that it is the row start or row end of a MariaDB table.
	rowBound bool
	// serial says that it is NOT NULL AUTO_INCREMENT UNIQUE without saying so.
	serial      bool
	ifNotExists bool
	first       bool
	was         string // the name of a column that is moved
	after       string
}

// ddlNull is what was said of NULL.
type ddlNull int8

const (
	nullUnsaid ddlNull = iota
	nullYes
	nullNo
)

// column reads a column's definition from behind its name.
func (p *ddlParser) column(name string) ddlColumn {
	c := ddlColumn{Column: Column{Name: name, Length: -1, Scale: -1, SRID: -1}}
	p.dataType(&c)
	for p.problem == "" && p.attribute(&c) {
	}
	return c
}

// ddlType is what a type's name stands for.
type ddlType struct {
	base string
	// length and scale are what it has that says none; 0 is none.
	length int
	scaled bool
}

// ddlTypes are the types by the names that DDL has for them. Those that differ
// from base are kept in Column.Written.
var ddlTypes = map[string]ddlType{
	"TINYINT": {base: "TINYINT"}, "INT1": {base: "TINYINT"},
	"BOOL": {base: "TINYINT", length: 1}, "BOOLEAN": {base: "TINYINT", length: 1},
	"SMALLINT": {base: "SMALLINT"}, "INT2": {base: "SMALLINT"},
	"MEDIUMINT": {base: "MEDIUMINT"}, "INT3": {base: "MEDIUMINT"}, "MIDDLEINT": {base: "MEDIUMINT"},
	"INT": {base: "INT"}, "INTEGER": {base: "INT"}, "INT4": {base: "INT"},
	"BIGINT": {base: "BIGINT"}, "INT8": {base: "BIGINT"}, "SERIAL": {base: "BIGINT"},
	"DECIMAL": {base: "DECIMAL", length: 10, scaled: true}, "DEC": {base: "DECIMAL", length: 10, scaled: true},
	"NUMERIC": {base: "DECIMAL", length: 10, scaled: true}, "FIXED": {base: "DECIMAL", length: 10, scaled: true},
	"FLOAT": {base: "FLOAT"}, "FLOAT4": {base: "FLOAT"},
	"DOUBLE": {base: "DOUBLE"}, "FLOAT8": {base: "DOUBLE"}, "REAL": {base: "DOUBLE"},
	"BIT":  {base: "BIT", length: 1},
	"CHAR": {base: "CHAR"}, "CHARACTER": {base: "CHAR"}, "NCHAR": {base: "CHAR"},
	"VARCHAR": {base: "VARCHAR"}, "VARCHARACTER": {base: "VARCHAR"}, "NVARCHAR": {base: "VARCHAR"},
	"TINYTEXT": {base: "TINYTEXT"}, "TEXT": {base: "TEXT"}, "MEDIUMTEXT": {base: "MEDIUMTEXT"}, "LONGTEXT": {base: "LONGTEXT"},
	"LONG":   {base: "MEDIUMTEXT"},
	"BINARY": {base: "BINARY"}, "VARBINARY": {base: "VARBINARY"},
	"TINYBLOB": {base: "TINYBLOB"}, "BLOB": {base: "BLOB"}, "MEDIUMBLOB": {base: "MEDIUMBLOB"}, "LONGBLOB": {base: "LONGBLOB"},
	"ENUM": {base: "ENUM"}, "SET": {base: "SET"}, "JSON": {base: "JSON"},
	"DATE": {base: "DATE"}, "TIME": {base: "TIME"}, "DATETIME": {base: "DATETIME"}, "TIMESTAMP": {base: "TIMESTAMP"}, "YEAR": {base: "YEAR"},
	"GEOMETRY": {base: "GEOMETRY"}, "POINT": {base: "POINT"}, "LINESTRING": {base: "LINESTRING"}, "POLYGON": {base: "POLYGON"},
	"MULTIPOINT": {base: "MULTIPOINT"}, "MULTILINESTRING": {base: "MULTILINESTRING"}, "MULTIPOLYGON": {base: "MULTIPOLYGON"},
	"GEOMCOLLECTION": {base: "GEOMCOLLECTION"}, "GEOMETRYCOLLECTION": {base: "GEOMCOLLECTION"},
	"VECTOR": {base: "VECTOR", length: 2048}, "UUID": {base: "UUID"}, "INET4": {base: "INET4"}, "INET6": {base: "INET6"},
}

// dataType reads the type and what belongs to its name.
func (p *ddlParser) dataType(c *ddlColumn) {
	schema := ""
	if t := p.peek(); p.peekAt(1).text == "." && t.kind == ddlWord && strings.HasSuffix(lowerWord(t.text), "_schema") {
		schema = lowerWord(t.text)
		p.pos += 2
	}
	t := p.peek()
	written := upperWord(t.text)
	typ, known := ddlTypes[written]
	if written == "NATIONAL" {
		typ, known = ddlTypes["NCHAR"], true
	}
	if t.kind != ddlWord || !known {
		p.unexpected("the type of column " + c.Name)
		return
	}
	p.pos++
	c.Type = typ.base
	switch {
	case schema == "oracle_schema" && c.Type == "DATE", schema == "maxdb_schema" && c.Type == "TIMESTAMP":
		c.Type = "DATETIME"
	case schema != "" && schema != "mariadb_schema":
		p.fail("the type of column %s is of %s", c.Name, schema)
	}
	written = p.compoundName(c, written)
	p.dimensions(c, &typ)
	p.normalize(c, written)
	if written += p.signs(c); written != c.TypeName() {
		c.Written = written
	}
}

// compoundName takes the other words of a type's name.
func (p *ddlParser) compoundName(c *ddlColumn, written string) string {
	also := func(words ...string) bool {
		if !p.accept(words...) {
			return false
		}
		written += " " + strings.Join(words, " ")
		return true
	}
	switch written {
	case "NATIONAL":
		if also("VARCHAR") || also("VARCHARACTER") {
			c.Type = "VARCHAR"
		} else if also("CHAR") || also("CHARACTER") {
			if also("VARYING") {
				c.Type = "VARCHAR"
			}
		}
		c.Charset = nationalCharset
	case "NCHAR":
		if also("VARCHAR") || also("VARCHARACTER") || also("VARYING") {
			c.Type = "VARCHAR"
		}
		c.Charset = nationalCharset
	case "NVARCHAR":
		c.Charset = nationalCharset
	case "CHAR", "CHARACTER":
		if also("VARYING") {
			c.Type = "VARCHAR"
		}
	case "LONG":
		if also("VARBINARY") {
			c.Type = "MEDIUMBLOB"
		} else if !also("VARCHAR") && !also("CHAR", "VARYING") { // LONG CHARACTER SET x is none
			also("CHARACTER", "VARYING")
		}
	case "DOUBLE":
		also("PRECISION")
	}
	return written
}

// dimensions reads (n), (n,m), or the values of an ENUM or SET.
func (p *ddlParser) dimensions(c *ddlColumn, t *ddlType) {
	if c.Type == "ENUM" || c.Type == "SET" {
		p.choices(c)
		return
	}
	if p.punct("(") {
		c.Length = p.number("the length of column " + c.Name)
		if p.punct(",") {
			c.Scale = p.number("the scale of column " + c.Name)
		}
		p.expect(")", "the length of column "+c.Name)
	}
	if c.Length < 0 && t.length > 0 {
		c.Length = t.length
	}
	if t.scaled {
		c.Scale = max(c.Scale, 0)
		if c.Length <= 0 && c.Scale == 0 { // DECIMAL(0) is one that says none
			c.Length = t.length
		}
	}
}

// choices reads the values of an ENUM or SET. Whether blanks at a value's end
// count is decided with the character set.
func (p *ddlParser) choices(c *ddlColumn) {
	p.expect("(", "the values of column "+c.Name)
	plain := true
	var literals []string
	for p.problem == "" {
		t := p.peek()
		value, literal, ok := p.choice(t)
		if !ok {
			p.unexpected("the values of column " + c.Name)
			return
		}
		literals = append(literals, literal)
		plain = plain && literal == choiceLiteral(strings.TrimRight(value, " "))
		c.Values = append(c.Values, value)
		if p.punct(")") {
			break
		}
		p.expect(",", "the values of column "+c.Name)
	}
	if !plain {
		c.Literals = literals
	}
}

// choice takes one value: a text, with or without a character set, or a
// hexadecimal literal.
func (p *ddlParser) choice(t *ddlToken) (value, literal string, ok bool) {
	if t.kind == ddlWord && t.text[0] == '_' {
		p.pos++
		t = p.peek()
	}
	p.take()
	literal = p.in[t.start:t.end]
	switch t.kind {
	case ddlString:
		value = ddlText(t.text, t.quote, p.session.noBackslashEscapes)
	case ddlHex:
		value = hexText(t.text)
	default:
		return "", "", false
	}
	return value, literal, true
}

// choiceLiteral is a value as the servers write it.
func choiceLiteral(value string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), "'", "''") + "'"
}

// normalize makes of a type what the server makes of it.
func (p *ddlParser) normalize(c *ddlColumn, written string) {
	switch {
	case written == "SERIAL":
		c.Unsigned, c.serial = true, true
	case written == "REAL" && p.session.realAsFloat:
		c.Type = "FLOAT"
	case c.Type == "FLOAT" && c.Scale < 0 && c.Length > 24:
		c.Type = "DOUBLE"
	case c.Type == "TIME" && c.Length == 0, c.Type == "DATETIME" && c.Length == 0, c.Type == "TIMESTAMP" && c.Length == 0:
		c.Length = -1
	case c.Type == "JSON" && p.session.mariadb: // an alias there
		c.Type, c.Charset, c.Collation = "LONGTEXT", "utf8mb4", "utf8mb4_bin"
	}
}

// signs reads what stands between a number's type and its attributes.
func (p *ddlParser) signs(c *ddlColumn) string {
	written := ""
	if c.serial {
		return ""
	}
	for {
		switch w := p.acceptOne("UNSIGNED", "SIGNED", "ZEROFILL"); w {
		case "":
			return written
		case "UNSIGNED":
			c.Unsigned = true
			written += " " + w
		case "ZEROFILL":
			c.Unsigned, c.Zerofill = true, true
			written += " " + w
		default:
			written += " " + w
		}
	}
}

// attribute reads one attribute of a column; false at the column's end.
func (p *ddlParser) attribute(c *ddlColumn) bool {
	if p.done() || p.isPunct(",") || p.isPunct(")") || p.isPunct(";") {
		return false
	}
	return p.plainAttribute(c) || p.localeAttribute(c) || p.generated(c) || p.constraintAttribute(c) || p.storageAttribute(c) || p.lastAttribute(c)
}

// plainAttribute reads the attributes that say what a value may be.
func (p *ddlParser) plainAttribute(c *ddlColumn) bool {
	switch {
	case p.accept("NULL"):
		c.null, c.nullLast = nullYes, c.AutoIncrement || c.serial
	case p.accept("NOT", "NULL"):
		c.null = nullNo
	case p.accept("DEFAULT"):
		p.defaultValue(c)
	case p.accept("ON", "UPDATE"):
		p.take()
		p.parens()
	case p.accept("AUTO_INCREMENT"):
		c.AutoIncrement = true
	case p.accept("SERIAL", "DEFAULT", "VALUE"):
		c.serial = true
	case p.accept("PRIMARY"):
		p.accept("KEY")
		c.primary = true
	case p.accept("UNIQUE"):
		p.accept("KEY")
		c.unique = true
	case p.accept("KEY"):
		c.primary = true
	case p.accept("COMMENT"):
		c.Comment = p.textLiteral("the comment of column " + c.Name)
	case p.accept("INVISIBLE"):
		c.Invisible = true
	case p.accept("VISIBLE"):
		c.Invisible = false
	case p.accept("SRID"):
		c.SRID = p.number("SRID")
	case p.accept("REF_SYSTEM_ID"):
		p.punct("=") // MariaDB forgets it
		p.number("REF_SYSTEM_ID")
	default:
		return false
	}
	return true
}

// localeAttribute reads character set and collation.
func (p *ddlParser) localeAttribute(c *ddlColumn) bool {
	var l ddlLocale
	switch {
	case p.charset(&l):
		c.Charset = l.charset
	case p.collation(&l):
		c.Collation = l.collation
	case p.accept("ASCII"):
		c.Charset = "latin1"
	case p.accept("UNICODE"):
		c.Charset = "ucs2"
	case p.accept("BYTE"):
		c.Charset = "binary"
	case p.accept("BINARY"):
		c.binary = true
	default:
		return false
	}
	return true
}

// generated reads [GENERATED ALWAYS] AS (…) and MariaDB's AS ROW START.
func (p *ddlParser) generated(c *ddlColumn) bool {
	if !p.accept("GENERATED", "ALWAYS", "AS") && !p.accept("AS") {
		return false
	}
	if p.accept("ROW", "START") {
		c.rowBound = true
		return true
	}
	if p.accept("ROW", "END") {
		c.rowBound, c.RowEnd = true, true
		return true
	}
	if !p.parens() {
		p.unexpected("the expression of column " + c.Name)
	}
	c.Generated = true
	p.acceptOne("VIRTUAL", "STORED", "PERSISTENT")
	return true
}

// constraintAttribute reads CHECK and REFERENCES.
func (p *ddlParser) constraintAttribute(c *ddlColumn) bool {
	if p.accept("CONSTRAINT") && !p.isAt("CHECK") {
		p.name("the constraint of column " + c.Name)
	}
	switch {
	case p.accept("CHECK"):
		if !p.parens() {
			p.unexpected("the check of column " + c.Name)
		}
		if !p.accept("NOT", "ENFORCED") {
			p.accept("ENFORCED")
		}
	case p.accept("REFERENCES"):
		c.references = true
		p.references()
	default:
		return false
	}
	return true
}

// references reads a foreign key's target.
func (p *ddlParser) references() {
	p.table()
	p.parens()
	for {
		switch {
		case p.accept("MATCH"):
			p.take()
		case p.accept("ON", "DELETE"), p.accept("ON", "UPDATE"):
			if !p.accept("SET", "NULL") && !p.accept("SET", "DEFAULT") && !p.accept("NO", "ACTION") {
				p.take()
			}
		default:
			return
		}
	}
}

// storageAttribute reads what is about how a column is kept.
func (p *ddlParser) storageAttribute(c *ddlColumn) bool {
	switch {
	case p.acceptOne("COLUMN_FORMAT", "STORAGE") != "":
		p.take()
	case p.acceptOne("ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE") != "":
		p.option()
	case p.accept("NOT", "SECONDARY"):
	case p.accept("COMPRESSED"):
		if p.punct("=") {
			p.take()
		}
	case p.accept("WITH", "SYSTEM", "VERSIONING"):
		c.versioned = true
	case p.accept("WITHOUT", "SYSTEM", "VERSIONING"):
	case p.isName() && p.peekAt(1).kind == ddlPunct && p.peekAt(1).text == "=": // of a MariaDB engine
		p.take()
		p.option()
	default:
		return false
	}
	return true
}

// lastAttribute reads the column's place in ALTER TABLE; false is what the
// caller has to understand.
func (p *ddlParser) lastAttribute(c *ddlColumn) bool {
	switch {
	case p.accept("FIRST"):
		c.first = true
	case p.accept("AFTER"):
		c.after = p.name("AFTER")
	}
	return false
}

// defaultValue reads what stands behind DEFAULT.
func (p *ddlParser) defaultValue(c *ddlColumn) {
	c.HasDefault, c.Default, c.DefaultNull, c.DefaultExpression, c.DefaultHex = true, "", false, false, false
	start := p.peek().start
	sign := ""
	if p.isPunct("-") || p.isPunct("+") {
		sign = p.take().text
	}
	switch t := p.peek(); {
	case p.accept("NULL"):
		c.DefaultNull = true
	case p.parens():
		c.DefaultExpression = true
		c.Default = strings.TrimSpace(p.in[start+1 : p.tokens[p.pos-1].start])
		if p.session.mariadb {
			p.plainLiteral(c)
		}
	case t.kind == ddlNumber:
		p.take()
		c.Default = sign + t.text
	case t.kind == ddlHex, t.kind == ddlBit:
		p.take()
		c.DefaultHex = t.kind == ddlHex
		c.Default = t.text
		if c.DefaultHex {
			c.Default = p.in[t.start:t.end]
		}
	case t.kind == ddlString:
		c.Default = sign + p.textLiteral("the default")
	case t.kind == ddlWord:
		p.defaultWord(c, t)
	case p.session.mariadb && (p.isPunct(`\`) || p.isPunct("{")):
		p.mariadbLiteral(c)
	case t.kind == ddlQuoted: // another column, as MariaDB shows it
		p.take()
		c.Default, c.DefaultExpression = p.in[t.start:t.end], true
	default:
		p.unexpected("the default of column " + c.Name)
	}
}

// mariadbLiteral reads \N, which is NULL, and ODBC's {d '2020-01-01'}.
func (p *ddlParser) mariadbLiteral(c *ddlColumn) {
	if p.take().text != "{" {
		if p.name("the default") != "N" {
			p.fail("the default of column %s is not known", c.Name)
		}
		c.DefaultNull = true
		return
	}
	p.name("the default")
	c.Default = p.textLiteral("the default")
	p.expect("}", "the default")
}

// caseExpression reads CASE … END from behind CASE.
func (p *ddlParser) caseExpression() {
	for depth := 1; depth > 0 && !p.done(); {
		switch {
		case p.accept("CASE"):
			depth++
		case p.accept("END"):
			depth--
		default:
			p.take()
		}
	}
}

// defaultWord reads a default that begins with a word: TRUE, a text with its
// character set, DATE '…', CURRENT_TIMESTAMP, or a function.
func (p *ddlParser) defaultWord(c *ddlColumn, t *ddlToken) {
	p.take()
	literal := p.peek().kind == ddlString
	number := p.peek().kind == ddlHex || p.peek().kind == ddlBit
	switch {
	case number && t.text[0] == '_': // which is a text then
		c.Default, c.DefaultHex = p.in[p.peek().start:p.peek().end], true
		p.take()
	case p.session.mariadb && strings.EqualFold(t.text, "CASE"):
		p.caseExpression()
		c.Default, c.DefaultExpression = p.in[t.start:p.tokens[p.pos-1].end], true
	case literal && t.text[0] == '_':
		from := p.peek().start
		p.textLiteral("the default")
		c.Default = t.text + p.in[from:p.tokens[p.pos-1].end]
	case literal && ddlTypes[upperWord(t.text)].base != "": // DATE, TIME, TIMESTAMP
		c.Default = p.textLiteral("the default")
	case strings.EqualFold(t.text, "TRUE"), strings.EqualFold(t.text, "FALSE"):
		c.Default = t.text
	case strings.EqualFold(t.text, "NEXT") && p.accept("VALUE", "FOR"):
		p.table()
		c.Default, c.DefaultExpression = p.in[t.start:p.tokens[p.pos-1].end], true
	default:
		for p.punct(".") {
			p.name("the default of column " + c.Name)
		}
		p.parens()
		c.Default, c.DefaultExpression = p.in[t.start:p.tokens[p.pos-1].end], true
	}
}

// hexText is the text that hexadecimal digits stand for.
func hexText(digits string) string {
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	out := make([]byte, 0, len(digits)/2)
	for i := 0; i+1 < len(digits); i += 2 {
		n, err := strconv.ParseUint(digits[i:i+2], 16, 8)
		if err != nil {
			return digits
		}
		out = append(out, byte(n))
	}
	return string(out)
}
