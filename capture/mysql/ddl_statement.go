package mysql

// irrelevant are the first words of statements that change no definition of a
// table.
var irrelevant = ddlWords("ANALYZE", "BACKUP", "BEGIN", "BINLOG", "CACHE", "CALL", "CHANGE", "CHECK", "CHECKSUM", "CLONE",
	"COMMIT", "DEALLOCATE", "DESC", "DESCRIBE", "DO", "END", "EXECUTE", "EXPLAIN", "FLUSH", "GRANT", "HANDLER", "HELP",
	"INSTALL", "KILL", "LOCK", "OPTIMIZE", "PREPARE", "PURGE", "RELEASE", "REPAIR", "RESET", "RESTART", "REVOKE", "ROLLBACK",
	"SAVEPOINT", "SELECT", "SET", "SHOW", "SHUTDOWN", "SIGNAL", "START", "STOP", "UNINSTALL", "UNLOCK", "USE", "XA")

// objects are what CREATE, ALTER and DROP make that is no table.
var objects = ddlWords("CATALOG", "EVENT", "FUNCTION", "INSTANCE", "LIBRARY", "LOGFILE", "PACKAGE", "PREPARE", "PROCEDURE",
	"REFERENCE", "RESOURCE", "ROLE", "SERVER", "TABLESPACE", "TRIGGER", "USER", "VIEW")

func ddlWords(words ...string) map[string]bool {
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out
}

// statement reads one statement into out.
func (p *ddlParser) statement(out *ddlStatement) {
	if p.accept("SET", "STATEMENT") { // of MariaDB: SET STATEMENT x=1 FOR …
		p.settings(out)
	}
	switch {
	case p.done():
		out.kind = ddlOther
	case p.accept("CREATE"):
		p.createStatement(out)
	case p.accept("ALTER"):
		p.alterStatement(out)
	case p.accept("DROP"):
		p.dropStatement(out)
	case p.accept("RENAME"):
		p.renameStatement(out)
	case p.accept("TRUNCATE"):
		p.truncateStatement(out)
	case p.acceptOne("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH") != "":
		out.kind = ddlDML
		return
	case p.peek().kind == ddlWord && irrelevant[upperWord(p.peek().text)]:
		out.kind = ddlOther
	default:
		p.unexpected("the statement")
	}
	if out.kind != ddlOther {
		p.end()
	}
}

// settings reads name=value, … FOR, as far as definitions depend on it.
func (p *ddlParser) settings(out *ddlStatement) {
	for !p.done() && !p.accept("FOR") {
		if p.accept("explicit_defaults_for_timestamp") && p.punct("=") {
			value := upperWord(p.peek().text)
			off := value == "0" || value == "OFF" || value == "FALSE"
			out.implicitTimestamps = &off
		}
		p.take()
	}
}

// end takes what may follow every statement.
func (p *ddlParser) end() {
	if p.isPunct(";") && p.peekAt(1).kind == ddlEnd || p.isAt("START", "TRANSACTION") {
		return
	}
	if !p.done() {
		p.unexpected("the statement")
	}
}

// upperWord is ToUpper of ASCII, which is all that keywords have.
func upperWord(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func (p *ddlParser) createStatement(out *ddlStatement) {
	out.orReplace = p.accept("OR", "REPLACE")
	out.temporary = p.acceptOne("TEMPORARY", "TEMP") != ""
	switch {
	case p.accept("TABLE"):
		p.createTable(out)
	case p.accept("SEQUENCE"):
		p.createSequence(out)
	case p.acceptOne("DATABASE", "SCHEMA") != "":
		p.createDatabase(out)
	case p.isIndex():
		p.createIndex(out)
	default:
		p.otherObject(out)
	}
	if out.temporary {
		*out = ddlStatement{kind: ddlOther}
	}
}

// otherObject finds what a statement makes, alters or drops behind options such
// as DEFINER.
func (p *ddlParser) otherObject(out *ddlStatement) {
	const far = 24
	for range far {
		t := p.take()
		if t.kind == ddlEnd {
			break
		}
		if t.kind == ddlWord && objects[upperWord(t.text)] {
			out.kind = ddlOther
			return
		}
	}
	p.fail("it says neither table nor any other object that is known")
}

func (p *ddlParser) createSequence(out *ddlStatement) {
	out.kind, out.sequence = ddlCreateTable, true
	out.ifNotExists = p.ifNotExists()
	out.tables = []tableName{p.table()}
	out.create = &ddlCreate{}
	p.toEnd()
}

// toEnd passes over the rest of the statement.
func (p *ddlParser) toEnd() {
	for !p.done() && !(p.isPunct(";") && p.peekAt(1).kind == ddlEnd) {
		p.take()
	}
}

func (p *ddlParser) createDatabase(out *ddlStatement) {
	out.kind = ddlCreateDatabase
	out.ifNotExists = p.ifNotExists()
	out.database = p.name("CREATE DATABASE")
	p.databaseOptions(out)
}

// databaseOptions are the options of CREATE and ALTER DATABASE.
func (p *ddlParser) databaseOptions(out *ddlStatement) {
	for !p.done() && !p.isPunct(";") {
		p.accept("DEFAULT")
		switch {
		case p.charset(&out.locale), p.collation(&out.locale):
		case p.accept("UPGRADE", "DATA", "DIRECTORY", "NAME"):
		case p.acceptOne("ENCRYPTION", "COMMENT") != "":
			p.option()
		case p.accept("READ", "ONLY"):
			p.option()
		default:
			p.unexpected("the database's options")
		}
	}
}

// charset takes CHARACTER SET [=] name.
func (p *ddlParser) charset(to *ddlLocale) bool {
	if !p.accept("CHARACTER", "SET") && !p.accept("CHAR", "SET") && !p.accept("CHARSET") {
		return false
	}
	p.punct("=")
	to.charset = p.localeName()
	return true
}

// collation takes COLLATE [=] name.
func (p *ddlParser) collation(to *ddlLocale) bool {
	if !p.accept("COLLATE") {
		return false
	}
	p.punct("=")
	to.collation = p.localeName()
	return true
}

// localeName takes the name of a character set or collation, which may be a
// text; DEFAULT is said as such.
func (p *ddlParser) localeName() string {
	if t := p.peek(); t.kind == ddlString {
		p.pos++
		return lowerWord(t.text)
	}
	return lowerWord(p.name("the character set"))
}

func (p *ddlParser) alterStatement(out *ddlStatement) {
	for w := "ALTER"; w != ""; w = p.acceptOne("ONLINE", "OFFLINE", "IGNORE") {
		out.ignore = out.ignore || w == "IGNORE"
	}
	switch {
	case p.accept("TABLE"):
		p.alterTable(out)
	case p.acceptOne("DATABASE", "SCHEMA") != "":
		p.alterDatabase(out)
	case p.accept("SEQUENCE"):
		out.kind = ddlOther
	default:
		p.otherObject(out)
	}
}

// alterDatabase: the name may be missing, it is the session's then.
func (p *ddlParser) alterDatabase(out *ddlStatement) {
	out.kind, out.database = ddlAlterDatabase, p.session.database
	option := p.isAt("DEFAULT") || p.isAt("CHARACTER", "SET") || p.isAt("CHARSET") || p.isAt("COLLATE") ||
		p.isAt("ENCRYPTION") || p.isAt("READ", "ONLY") || p.isAt("COMMENT")
	if !option {
		out.database = p.name("ALTER DATABASE")
	}
	p.databaseOptions(out)
}

func (p *ddlParser) dropStatement(out *ddlStatement) {
	temporary := p.accept("TEMPORARY")
	switch {
	case temporary:
		out.kind = ddlOther
	case p.acceptOne("TABLE", "TABLES") != "":
		p.dropTables(out, p.pos)
	case p.accept("SEQUENCE"):
		p.dropTables(out, p.pos)
	case p.acceptOne("DATABASE", "SCHEMA") != "":
		out.kind = ddlDropDatabase
		out.ifExists = p.ifExists()
		out.database = p.name("DROP DATABASE")
	case p.accept("INDEX"):
		p.dropIndex(out)
	default:
		p.otherObject(out)
	}
}

// dropTables reads the list of tables. Debezium publishes the drop of each
// table as a statement of its own, with what stands before the list.
func (p *ddlParser) dropTables(out *ddlStatement, from int) {
	out.kind = ddlDropTables
	out.ifExists = p.ifExists()
	before := p.in[p.firstByte(from):p.peek().start]
	for {
		out.tables = append(out.tables, p.table())
		p.wait()
		if !p.punct(",") {
			break
		}
	}
	after := p.acceptOne("RESTRICT", "CASCADE")
	if after != "" {
		after = " " + p.tokens[p.pos-1].text
	}
	for _, t := range out.tables {
		out.pieces = append(out.pieces, before+backquoted(t)+after)
	}
}

// firstByte is where the statement's text begins.
func (p *ddlParser) firstByte(upTo int) int {
	for i := range p.tokens[:upTo] {
		if !p.tokens[i].versioned {
			return p.tokens[i].start
		}
	}
	return 0
}

// backquoted is `database`.`table`; without a database only the table.
func backquoted(t tableName) string {
	if t.database == "" {
		return quote(t.name)
	}
	return quote(t.database) + "." + quote(t.name)
}

// wait takes MariaDB's WAIT n and NOWAIT.
func (p *ddlParser) wait() {
	switch {
	case p.accept("NOWAIT"):
	case p.isAt("WAIT") && p.peekAt(1).kind == ddlNumber:
		p.pos += 2
	}
}

func (p *ddlParser) renameStatement(out *ddlStatement) {
	if p.accept("USER") {
		out.kind = ddlOther
		return
	}
	if p.acceptOne("TABLE", "TABLES") == "" {
		p.unexpected("RENAME")
	}
	out.kind = ddlRenameTables
	out.ifExists = p.ifExists()
	before := p.in[p.firstByte(p.pos):p.peek().start]
	for {
		start := p.peek().start
		old := p.table()
		p.wait()
		if !p.accept("TO") {
			p.unexpected("RENAME TABLE")
		}
		out.renames = append(out.renames, [2]tableName{old, p.table()})
		if p.pos > 0 && p.problem == "" {
			out.pieces = append(out.pieces, before+p.in[start:p.tokens[p.pos-1].end])
		}
		if !p.punct(",") {
			return
		}
	}
}

func (p *ddlParser) truncateStatement(out *ddlStatement) {
	p.accept("TABLE")
	out.kind = ddlTruncate
	out.tables = []tableName{p.table()}
	p.wait()
}
