package mysql

import "strings"

// ddlCreate is what CREATE TABLE says.
type ddlCreate struct {
	like    *tableName
	columns []ddlColumn
	keys    []ddlKey
	ddlTableOptions
	// query says that there are columns of a query too, which only the server
	// knows.
	query bool
}

// ddlTableOptions are the options of a table that matter to its rows.
type ddlTableOptions struct {
	ddlLocale
	comment    string
	hasComment bool
	versioned  bool // WITH SYSTEM VERSIONING
	sequence   bool // SEQUENCE=1: a MariaDB sequence, shown as a table
}

// ddlKey is an index.
type ddlKey struct {
	name            string
	primary, unique bool
	columns         []string
	prefixes        []int // of columns, 0 for a whole one
	// prefix says that it has only the beginning of a column, and expression
	// that it has something else than columns.
	prefix, expression bool
	expressionFirst    bool
	period             bool   // no key, but the two columns of a MariaDB period, which are NOT NULL
	foreign            bool   // no key, but the index that a foreign key needs
	overlaps           string // the period that stands behind columns: WITHOUT OVERLAPS
	ifNotExists        bool
}

func (p *ddlParser) createTable(out *ddlStatement) {
	out.kind = ddlCreateTable
	out.ifNotExists = p.ifNotExists()
	out.tables = []tableName{p.table()}
	c := &ddlCreate{}
	out.create = c
	switch {
	case p.accept("LIKE"):
		like := p.table()
		c.like = &like
	case p.isPunct("(") && p.peekAt(1).kind == ddlWord && strings.EqualFold(p.peekAt(1).text, "LIKE"):
		p.pos += 2
		like := p.table()
		c.like = &like
		p.expect(")", "CREATE TABLE … LIKE")
	default:
		if p.isPunct("(") && !p.queryInParens() {
			p.take()
			p.elements(&c.columns, &c.keys)
		}
		p.tableOptions(&c.ddlTableOptions)
		out.sequence = c.sequence
		c.query = p.query()
	}
}

// queryInParens reports whether a query follows, not columns.
func (p *ddlParser) queryInParens() bool {
	for n := 1; ; n++ {
		switch t := p.peekAt(n); {
		case t.kind == ddlPunct && t.text == "(":
		case t.kind == ddlWord:
			w := upperWord(t.text)
			return w == "SELECT" || w == "WITH" || w == "VALUES" || w == "TABLE"
		default:
			return false
		}
	}
}

// elements reads columns, keys and constraints up to the closing parenthesis.
func (p *ddlParser) elements(columns *[]ddlColumn, keys *[]ddlKey) {
	for {
		if !p.keyOrConstraint(keys) {
			*columns = append(*columns, p.column(p.name("the table")))
		}
		if p.punct(",") {
			continue
		}
		p.expect(")", "the table")
		return
	}
}

// keyOrConstraint reads everything in a table that is no column.
func (p *ddlParser) keyOrConstraint(keys *[]ddlKey) bool {
	name := ""
	constraint := p.accept("CONSTRAINT")
	if constraint && !p.isAt("PRIMARY") && !p.isAt("UNIQUE") && !p.isAt("FOREIGN") && !p.isAt("CHECK") {
		p.ifNotExists()
		name = p.name("the constraint")
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		k := p.key(ddlKey{primary: true, unique: true, name: "PRIMARY"})
		k.name = "PRIMARY"
		*keys = append(*keys, k)
	case p.accept("UNIQUE"):
		p.acceptOne("INDEX", "KEY")
		*keys = append(*keys, p.key(ddlKey{unique: true, name: name}))
	case p.accept("FOREIGN", "KEY"):
		*keys = append(*keys, p.foreignKey(name))
	case p.isAt("CHECK"):
		p.skipElement()
	case p.accept("PERIOD", "FOR"):
		k := ddlKey{period: true, name: p.name("the period")}
		p.keyParts(&k)
		*keys = append(*keys, k)
	case constraint:
		p.unexpected("the constraint")
	case p.isIndex():
		p.acceptOne("FULLTEXT", "SPATIAL", "VECTOR")
		p.acceptOne("INDEX", "KEY")
		*keys = append(*keys, p.key(ddlKey{}))
	default:
		return false
	}
	return true
}

// foreignKey reads [name] (column, …) REFERENCES …; the index has the constraint's
// name, or its own, which come in another order in MariaDB.
func (p *ddlParser) foreignKey(constraint string) ddlKey {
	p.ifNotExists()
	k := ddlKey{foreign: true, name: constraint}
	if p.isName() {
		own := p.name("the foreign key")
		if k.name == "" || p.session.mariadb {
			k.name = own
		}
	}
	p.keyParts(&k)
	p.skipElement()
	return k
}

// isIndex reports whether an index follows: INDEX, KEY, or a kind of index,
// which VECTOR is only in front of INDEX.
func (p *ddlParser) isIndex() bool {
	return p.isAt("INDEX") || p.isAt("KEY") || p.isAt("UNIQUE") || p.isAt("FULLTEXT") || p.isAt("SPATIAL", "INDEX") ||
		p.isAt("SPATIAL", "KEY") || p.isAt("SPATIAL") && p.peekAt(1).kind != ddlWord || p.isAt("VECTOR", "INDEX") || p.isAt("VECTOR", "KEY")
}

// key reads a key from its name on.
func (p *ddlParser) key(k ddlKey) ddlKey {
	k.ifNotExists = p.ifNotExists()
	if p.isName() && !p.isAt("USING") && !p.isAt("TYPE") || p.isName() && p.peek().kind == ddlQuoted {
		k.name = p.name("the key")
	}
	if p.acceptOne("USING", "TYPE") != "" {
		p.take()
	}
	p.keyParts(&k)
	p.skipElement()
	return k
}

// keyParts reads (column [(length)] [ASC|DESC] | (expression), …).
func (p *ddlParser) keyParts(k *ddlKey) {
	p.expect("(", "the key")
	for !p.done() {
		if p.isPunct("(") {
			p.parens()
			k.expression = true
			k.expressionFirst = k.expressionFirst || len(k.columns) == 0
		} else {
			k.columns, k.prefixes = append(k.columns, p.name("the key")), append(k.prefixes, 0)
			if p.punct("(") {
				k.prefix = true
				k.prefixes[len(k.prefixes)-1] = p.number("the key")
				p.expect(")", "the key")
			}
		}
		p.acceptOne("ASC", "DESC")
		if p.accept("WITHOUT", "OVERLAPS") { // of MariaDB: the column is a period
			last := len(k.columns) - 1
			k.overlaps, k.columns, k.expression = k.columns[last], k.columns[:last], true
			k.prefixes = k.prefixes[:last]
		}
		if p.punct(")") {
			return
		}
		p.expect(",", "the key")
	}
}

// skipElement passes over the rest of a column, key or constraint.
func (p *ddlParser) skipElement() {
	for !p.done() && !p.isPunct(",") && !p.isPunct(")") && !p.isPunct(";") {
		if !p.parens() {
			p.take()
		}
	}
}

// tableOptions reads options of a table as long as there are any.
func (p *ddlParser) tableOptions(o *ddlTableOptions) {
	for !p.done() && !p.atQuery() && p.tableOption(o) {
		if p.isPunct(",") && p.peekAt(1).kind != ddlEnd && !p.specFollows(1) {
			p.punct(",")
		}
	}
}

// tableOption reads one option; false if there is none.
func (p *ddlParser) tableOption(o *ddlTableOptions) bool {
	if p.isAt("PARTITION", "BY") || !p.isName() || p.isAt("START", "TRANSACTION") {
		return false
	}
	if p.isAt("DEFAULT", "CHARACTER") || p.isAt("DEFAULT", "CHARSET") || p.isAt("DEFAULT", "COLLATE") || p.isAt("DEFAULT", "CHAR") {
		p.take()
	}
	switch {
	case p.charset(&o.ddlLocale), p.collation(&o.ddlLocale):
	case p.accept("COMMENT"):
		p.punct("=")
		o.hasComment = true
		o.comment = p.textLiteral("the table's comment")
	case p.accept("WITH", "SYSTEM", "VERSIONING"):
		o.versioned = true
	case p.accept("SEQUENCE"):
		p.punct("=")
		o.sequence = p.take().text == "1"
	case p.accept("DATA", "DIRECTORY"), p.accept("INDEX", "DIRECTORY"):
		p.option()
	case tableOptionWords[upperWord(p.peek().text)], p.peekAt(1).kind == ddlPunct && p.peekAt(1).text == "=":
		p.take()
		p.option()
	default:
		return false
	}
	return true
}

// tableOptionWords are options of tables; there need be no = behind them. Engines
// of MariaDB have others, with one.
var tableOptionWords = ddlWords("AUTOEXTEND_SIZE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "COMPRESSION", "CONNECTION",
	"DELAY_KEY_WRITE", "ENCRYPTION", "ENGINE", "ENGINE_ATTRIBUTE", "INSERT_METHOD", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS",
	"PACK_KEYS", "PAGE_CHECKSUM", "PASSWORD", "ROW_FORMAT", "SECONDARY_ENGINE", "SECONDARY_ENGINE_ATTRIBUTE", "STATS_AUTO_RECALC",
	"STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "STORAGE", "TABLESPACE", "TABLE_CHECKSUM", "TRANSACTIONAL", "TYPE", "UNION")

// textLiteral takes a text and returns its source.
func (p *ddlParser) textLiteral(where string) string {
	t := p.peek()
	if t.kind != ddlString {
		p.unexpected(where)
		return ""
	}
	p.pos++
	out := t.text
	for p.peek().kind == ddlString { // 'a' 'b' is 'ab'
		out += p.take().text
	}
	return out
}

// atQuery reports whether the query of CREATE TABLE … AS follows.
func (p *ddlParser) atQuery() bool {
	return p.isPunct("(") || p.isAt("AS") || p.isAt("SELECT") || p.isAt("IGNORE") || p.isAt("REPLACE") ||
		p.isAt("VALUES") || p.isAt("TABLE") || p.isAt("WITH") && !p.isAt("WITH", "SYSTEM")
}

// query passes over partitions and the query, and reports whether there is one.
func (p *ddlParser) query() bool {
	found := false
	for !p.done() && !p.isAt("START", "TRANSACTION") && !(p.isPunct(";") && p.peekAt(1).kind == ddlEnd) {
		if p.isAt("PARTITION", "BY") {
			p.partitions()
			continue
		}
		if !p.atQuery() {
			p.unexpected("CREATE TABLE")
			return false
		}
		found = true
		p.toEnd()
	}
	return found
}

// partitions passes over PARTITION BY … up to a query.
func (p *ddlParser) partitions() {
	p.pos += 2
	for !p.done() && !p.isPunct(";") && !p.isPunct(",") && !p.isAt("START", "TRANSACTION") {
		if p.isAt("AS") || p.isAt("SELECT") || p.isAt("IGNORE") || p.isAt("REPLACE") {
			return
		}
		if !p.parens() {
			p.take()
		}
	}
}

// createIndex reads CREATE [UNIQUE …] INDEX name [USING x] ON table (…).
func (p *ddlParser) createIndex(out *ddlStatement) {
	out.kind = ddlCreateIndex
	k := ddlKey{unique: p.accept("UNIQUE")}
	p.acceptOne("FULLTEXT", "SPATIAL", "VECTOR")
	if p.acceptOne("INDEX", "KEY") == "" {
		p.unexpected("CREATE INDEX")
	}
	k.ifNotExists = p.ifNotExists()
	k.name = p.name("CREATE INDEX")
	if p.acceptOne("USING", "TYPE") != "" {
		p.take()
	}
	if !p.accept("ON") {
		p.unexpected("CREATE INDEX")
	}
	out.tables = []tableName{p.table()}
	p.wait()
	p.keyParts(&k)
	out.index = &ddlSpec{op: specAddKey, keys: []ddlKey{k}}
	p.toEnd()
}

// dropIndex reads DROP INDEX name ON table.
func (p *ddlParser) dropIndex(out *ddlStatement) {
	out.kind = ddlDropIndex
	out.ifExists = p.ifExists()
	s := &ddlSpec{op: specDropKey, name: p.name("DROP INDEX")}
	if strings.EqualFold(s.name, "PRIMARY") {
		s.op = specDropPrimary
	}
	if !p.accept("ON") {
		p.unexpected("DROP INDEX")
	}
	out.tables = []tableName{p.table()}
	out.index = s
	p.toEnd()
}
