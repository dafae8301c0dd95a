package mysql

import "strings"

// ddlSpecOp is what one part of ALTER TABLE does.
type ddlSpecOp uint8

const (
	specNothing ddlSpecOp = iota // that matters to a definition
	specAddColumns
	specChange // MODIFY too: name is the old name
	specDropColumn
	specRenameColumn
	specDefault // SET and DROP DEFAULT
	specVisibility
	specAddKey
	specDropKey
	specDropPrimary
	specDropConstraint
	specRenameKey
	specRenameTable
	specConvert
	specOptions
	specVersioning
	specNoVersioning
	specDropPeriod
	specLosesRows    // of a partition, or of all by IMPORT TABLESPACE
	specExchange     // rows of two tables change without events
	specPartitionOut // a partition becomes a table
	specTableIn      // a table becomes a partition
)

// ddlSpec is one part of ALTER TABLE. The parts are applied in their order,
// but for keys, which the server looks at last.
type ddlSpec struct {
	op       ddlSpecOp
	name, to string
	columns  []ddlColumn
	keys     []ddlKey
	table    tableName // the new name, or the table of a partition
	options  ddlTableOptions
	ifExists bool
}

func (p *ddlParser) alterTable(out *ddlStatement) {
	out.kind = ddlAlterTable
	out.ifExists = p.ifExists()
	out.tables = []tableName{p.table()}
	p.wait()
	for !p.done() && !(p.isPunct(";") && p.peekAt(1).kind == ddlEnd) {
		before := p.pos
		if s := p.spec(); s.op != specNothing {
			out.alter = append(out.alter, s)
		}
		if !p.punct(",") && p.pos == before {
			p.unexpected("ALTER TABLE")
		}
	}
}

// specWords are the words that a part of ALTER TABLE can begin with, beside
// those of options.
var specWords = ddlWords("ADD", "ALGORITHM", "ALTER", "ANALYZE", "CHANGE", "CHECK", "COALESCE", "CONVERT", "DISABLE", "DISCARD",
	"DROP", "ENABLE", "EXCHANGE", "FORCE", "IMPORT", "LOCK", "MODIFY", "OPTIMIZE", "ORDER", "PARTITION", "REBUILD", "REMOVE",
	"RENAME", "REORGANIZE", "REPAIR", "SECONDARY_LOAD", "SECONDARY_UNLOAD", "TRUNCATE", "WITH", "WITHOUT")

// specFollows reports whether a part of ALTER TABLE that is no option begins n
// tokens ahead.
func (p *ddlParser) specFollows(n int) bool {
	t := p.peekAt(n)
	return t.kind == ddlWord && specWords[upperWord(t.text)]
}

// spec reads one part of ALTER TABLE.
func (p *ddlParser) spec() ddlSpec {
	switch w := p.specWord(); w {
	case "ADD":
		return p.addSpec()
	case "CHANGE", "MODIFY":
		return p.changeSpec(w == "MODIFY")
	case "DROP":
		return p.dropSpec()
	case "RENAME":
		return p.renameSpec()
	case "ALTER":
		return p.alterSpec()
	case "CONVERT":
		return p.convertSpec()
	case "WITH", "WITHOUT":
		return p.withSpec(w)
	case "ORDER":
		p.orderSpec()
	case "LOCK", "ALGORITHM":
		p.option()
	case "ENABLE", "DISABLE":
		p.accept("KEYS")
	case "FORCE", "SECONDARY_LOAD", "SECONDARY_UNLOAD":
	case "":
		s := ddlSpec{op: specOptions}
		p.tableOptions(&s.options)
		return s
	default:
		return p.partitionSpec(w)
	}
	return ddlSpec{}
}

// specWord takes the word that a part begins with; "" before an option.
func (p *ddlParser) specWord() string {
	if !p.specFollows(0) {
		return ""
	}
	return upperWord(p.take().text)
}

func (p *ddlParser) addSpec() ddlSpec {
	s := ddlSpec{op: specAddColumns}
	switch {
	case p.accept("PARTITION"):
		p.skipElement()
		return ddlSpec{}
	case p.accept("SYSTEM", "VERSIONING"):
		return ddlSpec{op: specVersioning}
	case p.keyOrConstraint(&s.keys):
		s.op = specAddKey
		return s
	}
	p.accept("COLUMN")
	exists := p.ifNotExists()
	if p.punct("(") {
		p.elements(&s.columns, &s.keys)
	} else {
		s.columns = []ddlColumn{p.column(p.name("ADD COLUMN"))}
	}
	for i := range s.columns {
		s.columns[i].ifNotExists = exists
	}
	return s
}

func (p *ddlParser) changeSpec(modify bool) ddlSpec {
	p.accept("COLUMN")
	s := ddlSpec{op: specChange, ifExists: p.ifExists()}
	s.name = p.name("the column")
	to := s.name
	if !modify {
		to = p.name("the column")
	}
	s.columns = []ddlColumn{p.column(to)}
	return s
}

func (p *ddlParser) dropSpec() ddlSpec {
	switch {
	case p.accept("PRIMARY", "KEY"):
		return ddlSpec{op: specDropPrimary}
	case p.acceptOne("INDEX", "KEY") != "":
		return ddlSpec{op: specDropKey, ifExists: p.ifExists(), name: p.name("DROP INDEX")}
	case p.accept("FOREIGN", "KEY"):
		p.ifExists()
		p.name("DROP FOREIGN KEY")
	case p.accept("CHECK"):
		p.name("DROP CHECK")
	case p.accept("CONSTRAINT"):
		return ddlSpec{op: specDropConstraint, ifExists: p.ifExists(), name: p.name("DROP CONSTRAINT")}
	case p.accept("PARTITION"):
		p.ifExists()
		p.nameList()
		return ddlSpec{op: specLosesRows}
	case p.accept("SYSTEM", "VERSIONING"):
		return ddlSpec{op: specNoVersioning}
	case p.accept("PERIOD", "FOR"), p.accept("PERIOD", "IF", "EXISTS", "FOR"):
		return ddlSpec{op: specDropPeriod, name: p.name("DROP PERIOD")}
	default:
		p.accept("COLUMN")
		s := ddlSpec{op: specDropColumn, ifExists: p.ifExists(), name: p.name("DROP COLUMN")}
		p.acceptOne("RESTRICT", "CASCADE")
		return s
	}
	return ddlSpec{}
}

// nameList takes name, name … up to what begins another part.
func (p *ddlParser) nameList() {
	p.name("the list")
	for p.isPunct(",") && !p.specFollows(1) {
		p.take()
		p.name("the list")
	}
}

func (p *ddlParser) renameSpec() ddlSpec {
	op := specRenameTable
	switch {
	case p.accept("COLUMN"):
		op = specRenameColumn
	case p.acceptOne("INDEX", "KEY") != "":
		op = specRenameKey
	default:
		if p.acceptOne("TO", "AS") == "" {
			p.punct("=")
		}
		return ddlSpec{op: op, table: p.table()}
	}
	s := ddlSpec{op: op, ifExists: p.ifExists(), name: p.name("RENAME")}
	if !p.accept("TO") {
		p.unexpected("RENAME")
	}
	s.to = p.name("RENAME")
	return s
}

func (p *ddlParser) alterSpec() ddlSpec {
	if p.acceptOne("INDEX", "KEY", "CHECK", "CONSTRAINT") != "" {
		p.skipElement()
		return ddlSpec{}
	}
	p.accept("COLUMN")
	s := ddlSpec{op: specDefault, ifExists: p.ifExists(), name: p.name("ALTER COLUMN")}
	s.columns = make([]ddlColumn, 1)
	c := &s.columns[0]
	switch {
	case p.accept("SET", "DEFAULT"):
		p.defaultValue(c)
		p.plainLiteral(c)
	case p.accept("DROP", "DEFAULT"):
	case p.accept("SET", "VISIBLE"):
		s.op = specVisibility
	case p.accept("SET", "INVISIBLE"):
		s.op = specVisibility
		c.Invisible = true
	default:
		p.unexpected("ALTER COLUMN")
	}
	return s
}

func (p *ddlParser) convertSpec() ddlSpec {
	s := ddlSpec{op: specConvert}
	switch {
	case p.accept("TO") && p.charset(&s.options.ddlLocale):
		p.collation(&s.options.ddlLocale)
	case p.accept("PARTITION"):
		p.name("CONVERT PARTITION")
		if !p.accept("TO", "TABLE") {
			p.unexpected("CONVERT PARTITION")
		}
		s.op, s.table = specPartitionOut, p.table()
	case p.accept("TABLE"):
		s.op, s.table = specTableIn, p.table()
		p.skipElement()
	default:
		p.unexpected("CONVERT")
	}
	return s
}

// withSpec reads [WITH|WITHOUT] VALIDATION, and WITH SYSTEM VERSIONING.
func (p *ddlParser) withSpec(word string) ddlSpec {
	switch {
	case p.accept("VALIDATION"):
	case word == "WITH" && p.accept("SYSTEM", "VERSIONING"):
		return ddlSpec{op: specVersioning}
	default:
		p.unexpected(word)
	}
	return ddlSpec{}
}

// orderSpec reads ORDER BY column [ASC|DESC], …
func (p *ddlParser) orderSpec() {
	if !p.accept("BY") {
		p.unexpected("ORDER BY")
	}
	for {
		p.name("ORDER BY")
		for p.punct(".") {
			p.name("ORDER BY")
		}
		p.acceptOne("ASC", "DESC")
		if !p.isPunct(",") || p.specFollows(1) {
			return
		}
		p.take()
	}
}

// partitionSpec reads the parts that are about partitions and tablespaces.
func (p *ddlParser) partitionSpec(word string) ddlSpec {
	switch word {
	case "EXCHANGE":
		if !p.accept("PARTITION") {
			p.unexpected("EXCHANGE")
		}
		p.name("EXCHANGE PARTITION")
		if !p.accept("WITH", "TABLE") {
			p.unexpected("EXCHANGE PARTITION")
		}
		return ddlSpec{op: specExchange, table: p.table()}
	case "IMPORT":
		p.skipElement()
		return ddlSpec{op: specLosesRows}
	case "TRUNCATE":
		p.accept("PARTITION")
		p.nameList()
		return ddlSpec{op: specLosesRows}
	case "PARTITION":
		p.partitionBy()
	case "CHECK", "ANALYZE", "OPTIMIZE", "REBUILD", "REPAIR":
		p.accept("PARTITION")
		p.acceptOne("NO_WRITE_TO_BINLOG", "LOCAL")
		p.nameList()
		p.skipElement()
	case "REORGANIZE":
		p.accept("PARTITION")
		if !p.accept("INTO") && p.isName() {
			p.nameList()
		}
		p.skipElement()
	default: // COALESCE, REMOVE, DISCARD
		p.skipElement()
	}
	return ddlSpec{}
}

func (p *ddlParser) partitionBy() {
	if !p.isAt("BY") {
		p.unexpected("PARTITION")
		return
	}
	p.pos--
	p.partitions()
}

// plainLiteral takes a literal in parentheses for one without: so does MariaDB,
// and MySQL in SET DEFAULT ('x'), but not in a column's DEFAULT ('x').
func (p *ddlParser) plainLiteral(c *ddlColumn) {
	last := p.pos - 1
	if !c.DefaultExpression || last < 2 || p.tokens[last].text != ")" || p.tokens[last-2].text != "(" {
		return
	}
	switch t := &p.tokens[last-1]; t.kind {
	case ddlString, ddlNumber:
		c.Default, c.DefaultExpression = t.text, false
	case ddlWord:
		if p.session.mariadb && strings.EqualFold(t.text, "NULL") {
			c.Default, c.DefaultNull, c.DefaultExpression = "", true, false
		}
	}
}
