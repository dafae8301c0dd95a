package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tableName names a table; Database "" is of a statement that says none and was
// run without one.
type tableName struct{ database, name string }

func (n tableName) String() string { return n.database + "." + n.name }

// ddlKind says what a statement does.
type ddlKind uint8

const (
	// ddlOther has nothing to do with the definitions of tables: GRANT, SET,
	// views, routines, ANALYZE …
	ddlOther ddlKind = iota
	// ddlUnknown was not understood; names says what it may be about.
	ddlUnknown
	ddlCreateTable
	ddlAlterTable
	ddlDropTables
	ddlRenameTables
	ddlTruncate
	ddlCreateIndex
	ddlDropIndex
	ddlCreateDatabase
	ddlAlterDatabase
	ddlDropDatabase
	ddlDML // changes rows, which are not in the log then
)

// ddlSession is what a query event says of the session that ran a statement.
type ddlSession struct {
	ddlDialect
	database string // the session's default
	// serverCollation is what a new database gets that says nothing; "" is not
	// known, then it is the server's own.
	serverCollation string
	// databaseCollation is the default of the session's database, "" not known.
	databaseCollation string
	// utf8mb4Collation is default_collation_for_utf8mb4, "" for the server's.
	utf8mb4Collation string
	// implicitTimestamps is explicit_defaults_for_timestamp=OFF: TIMESTAMP is
	// NOT NULL unless it says NULL.
	implicitTimestamps bool
	// shown says that it is SHOW CREATE TABLE, which says everything that is NOT NULL.
	shown bool
}

// ddlStatement is a statement as it was understood, without regard to what is
// known of its tables.
type ddlStatement struct {
	kind ddlKind
	// text is what Debezium publishes of it: without comments around it.
	text string
	// tables are the tables it is about: one to create, alter or truncate; all
	// those to drop. renames are pairs of a name and its new one.
	tables  []tableName
	renames [][2]tableName
	// pieces are the texts that Debezium publishes of each of tables or renames
	// where there are several.
	pieces []string
	// database is that of the *Database statements.
	database string
	// exists is IF EXISTS, IF NOT EXISTS or OR REPLACE.
	ifExists, ifNotExists, orReplace bool
	temporary                        bool
	// ignore is MariaDB's ALTER IGNORE: rows that a key does not allow are deleted.
	ignore bool
	// sequence says that the table is a MariaDB sequence.
	sequence bool

	// implicitTimestamps is set where the statement says it for itself.
	implicitTimestamps *bool

	create *ddlCreate
	alter  []ddlSpec
	index  *ddlSpec // of CREATE and DROP INDEX
	locale ddlLocale

	// names are all names in it, lower case, where it was not understood, and
	// problem is why.
	names   map[string]bool
	problem string
}

// ddlLocale is a character set and a collation as far as they were said.
type ddlLocale struct{ charset, collation string }

// parseDDL reads one statement. It never fails: what it does not understand is
// ddlUnknown, with the names it saw.
func parseDDL(statement string, s ddlSession) *ddlStatement {
	p := &ddlParser{session: s, in: statement, tokens: ddlTokens(statement, s.ddlDialect)}
	out := &ddlStatement{}
	p.statement(out)
	if s.otherTypes && out.hasColumns() {
		p.fail("sql_mode gives types other meanings")
	}
	if p.problem != "" {
		*out = ddlStatement{kind: ddlUnknown, problem: p.problem, names: p.names()}
	}
	if out.text == "" {
		out.text = p.text(p.pos)
	}
	return out
}

// hasColumns reports whether the statement says types of columns.
func (s *ddlStatement) hasColumns() bool {
	return s.create != nil && len(s.create.columns) > 0 ||
		slices.ContainsFunc(s.alter, func(spec ddlSpec) bool { return len(spec.columns) > 0 })
}

// mentions reports whether the statement may change the definition of a table:
// what was understood says so exactly; what was not may if it names the table
// or its database.
func (s *ddlStatement) mentions(t tableName, caseless bool) bool {
	same := func(a, b string) bool { return a == b || caseless && strings.EqualFold(a, b) }
	switch s.kind {
	case ddlOther, ddlDML, ddlTruncate:
		return false
	case ddlUnknown:
		return s.names[strings.ToLower(t.name)] || s.names[strings.ToLower(t.database)]
	case ddlCreateDatabase, ddlAlterDatabase, ddlDropDatabase:
		return same(s.database, t.database)
	}
	is := func(n tableName) bool { return same(n.database, t.database) && same(n.name, t.name) }
	for _, n := range s.tables {
		if is(n) {
			return true
		}
	}
	for _, pair := range s.renames {
		if is(pair[0]) || is(pair[1]) {
			return true
		}
	}
	return s.alsoRenamed(is)
}

// alsoRenamed reports whether an ALTER TABLE gives a table a name that is asked
// for, or takes or makes a table by its partitions.
func (s *ddlStatement) alsoRenamed(is func(tableName) bool) bool {
	for i := range s.alter {
		if s.alter[i].table != (tableName{}) && is(s.alter[i].table) {
			return true
		}
	}
	return false
}

// ddlParser reads tokens. The first problem ends it: everything after reads as
// the statement's end.
type ddlParser struct {
	session ddlSession
	in      string
	tokens  []ddlToken
	pos     int
	problem string
}

// fail notes why the statement is not understood.
func (p *ddlParser) fail(format string, args ...any) {
	if p.problem == "" {
		p.problem = fmt.Sprintf(format, args...)
	}
	p.pos = len(p.tokens) - 1
}

// unexpected fails at the current token.
func (p *ddlParser) unexpected(where string) {
	if t := p.peek(); t.kind == ddlEnd {
		p.fail("%s ends early", where)
	} else {
		p.fail("%s has an unexpected %q", where, p.in[t.start:t.end])
	}
}

func (p *ddlParser) peek() *ddlToken { return &p.tokens[p.pos] }

func (p *ddlParser) peekAt(n int) *ddlToken { return &p.tokens[min(p.pos+n, len(p.tokens)-1)] }

func (p *ddlParser) take() *ddlToken {
	t := p.peek()
	if t.kind != ddlEnd {
		p.pos++
	}
	return t
}

func (p *ddlParser) done() bool { return p.peek().kind == ddlEnd }

// isAt reports whether the next tokens are these keywords.
func (p *ddlParser) isAt(words ...string) bool {
	for i, w := range words {
		if t := p.peekAt(i); t.kind != ddlWord || !strings.EqualFold(t.text, w) {
			return false
		}
	}
	return true
}

// accept takes these keywords if they are next.
func (p *ddlParser) accept(words ...string) bool {
	if !p.isAt(words...) {
		return false
	}
	p.pos += len(words)
	return true
}

// acceptOne takes one of the keywords and returns it in capitals, or "".
func (p *ddlParser) acceptOne(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	return ""
}

func (p *ddlParser) isPunct(c string) bool {
	t := p.peek()
	return t.kind == ddlPunct && t.text == c
}

func (p *ddlParser) punct(c string) bool {
	if p.isPunct(c) {
		p.pos++
		return true
	}
	return false
}

// expect takes the punctuation or fails.
func (p *ddlParser) expect(c, where string) {
	if !p.punct(c) {
		p.unexpected(where)
	}
}

// name takes a name, with or without quotes.
func (p *ddlParser) name(where string) string {
	switch t := p.peek(); {
	case t.kind == ddlWord, t.kind == ddlQuoted:
		p.pos++
		return t.text
	case t.kind == ddlString && t.quote == '"': // with ANSI_QUOTES unknown to us
		p.pos++
		return ddlText(t.text, '"', true)
	}
	p.unexpected(where)
	return ""
}

// isName reports whether the next token can be a name.
func (p *ddlParser) isName() bool {
	k := p.peek().kind
	return k == ddlWord || k == ddlQuoted
}

// table takes [database.]table.
func (p *ddlParser) table() tableName {
	p.punct(".") // .table is the same as table
	first := p.name("the table's name")
	if p.punct(".") {
		return tableName{first, p.name("the table's name")}
	}
	return tableName{p.session.database, first}
}

// parens passes over (…) if it is next, with all that is nested in it.
func (p *ddlParser) parens() bool {
	if !p.isPunct("(") {
		return false
	}
	for depth := 0; !p.done(); {
		switch t := p.take(); {
		case t.kind == ddlPunct && t.text == "(":
			depth++
		case t.kind == ddlPunct && t.text == ")":
			if depth--; depth == 0 {
				return true
			}
		}
	}
	p.fail("a parenthesis is not closed")
	return false
}

// number takes an unsigned integer.
func (p *ddlParser) number(where string) int {
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != ddlNumber || err != nil {
		p.unexpected(where)
		return 0
	}
	p.pos++
	return n
}

// option takes [=] and the value of an option: a word, text, number, or a list
// in parentheses.
func (p *ddlParser) option() {
	p.punct("=")
	if p.parens() {
		return
	}
	p.punct("-")
	p.take()
}

// text is the statement's text up to the token before end, without comments at
// its ends; versioned comments count as such unless there is nothing else.
func (p *ddlParser) text(end int) string {
	first, last := -1, -1
	for i := 0; i < end && i < len(p.tokens); i++ {
		if t := &p.tokens[i]; t.kind != ddlEnd && !t.versioned {
			if first < 0 {
				first = t.start
			}
			last = t.end
		}
	}
	if first < 0 {
		return strings.TrimSpace(p.in)
	}
	return p.in[first:last]
}

// names are all words and quoted names of the statement, in lower case.
func (p *ddlParser) names() map[string]bool {
	out := map[string]bool{}
	for i := range p.tokens {
		switch t := &p.tokens[i]; t.kind {
		case ddlWord, ddlQuoted:
			out[strings.ToLower(t.text)] = true
		case ddlString:
			if t.quote == '"' {
				out[strings.ToLower(t.text)] = true
			}
		}
	}
	return out
}

// ifExists takes IF EXISTS.
func (p *ddlParser) ifExists() bool { return p.accept("IF", "EXISTS") }

// ifNotExists takes IF NOT EXISTS.
func (p *ddlParser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }
