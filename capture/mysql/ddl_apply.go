package mysql

import (
	"fmt"
	"slices"
	"strings"
)

// tableChange is what a statement did to one table.
type tableChange struct {
	op    tableOp
	table tableName
	from  tableName // of a rename: the name before
	// definition is the table's now; nil where it was dropped, was not known, or
	// has to be read from the server.
	definition *Definition
	hadKey     bool // before the statement
}

type tableOp uint8

const (
	tableCreated tableOp = iota
	tableAltered
	tableDropped
	tableKept // CREATE TABLE IF NOT EXISTS of a table that exists
)

// ddlEffect is all that a statement did.
type ddlEffect struct {
	statement *ddlStatement
	changes   []tableChange
	// unsure are tables whose definition the statement changed in a way that
	// could not be followed: it has to be read from the server. Why says it.
	unsure map[tableName]string
	// emptied are tables that lost rows, or got other ones, without row events.
	emptied []tableName
	// fold is the catalog's, under which the names of tables are known.
	fold func(tableName) tableName
}

func (e *ddlEffect) doubt(t tableName, format string, args ...any) {
	if e.unsure == nil {
		e.unsure = map[tableName]string{}
	}
	if _, ok := e.unsure[t]; !ok {
		e.unsure[t] = fmt.Sprintf(format, args...)
	}
}

// catalog is what is known of all tables at one position of the log.
type catalog struct {
	caseless  bool // names of tables and databases are compared without case
	tables    map[tableName]*Definition
	databases map[string]ddlLocale // their defaults
	server    ddlLocale            // what a new database gets
}

func newCatalog(caseless bool) *catalog {
	return &catalog{caseless: caseless, tables: map[tableName]*Definition{}, databases: map[string]ddlLocale{}}
}

// fold is the key of a name.
func (c *catalog) fold(n tableName) tableName {
	if c.caseless {
		return tableName{strings.ToLower(n.database), strings.ToLower(n.name)}
	}
	return n
}

func (c *catalog) foldDatabase(name string) string { return c.fold(tableName{database: name}).database }

func (c *catalog) table(n tableName) *Definition { return c.tables[c.fold(n)] }

// put makes d what is known of its table, and returns it: where names are
// compared without case they are kept in lower case, as DDL, table maps and
// the server's answers need not agree.
func (c *catalog) put(d *Definition) *Definition {
	key := c.fold(tableName{d.Database, d.Name})
	if key.database != d.Database || key.name != d.Name {
		d = d.clone()
		d.Database, d.Name = key.database, key.name
	}
	c.tables[key] = d
	return d
}

func (c *catalog) remove(n tableName) { delete(c.tables, c.fold(n)) }

// locale is the default of a database's tables.
func (c *catalog) locale(database string, s *ddlSession) ddlLocale {
	if l, ok := c.databases[c.foldDatabase(database)]; ok {
		return l
	}
	if s.databaseCollation != "" && c.foldDatabase(database) == c.foldDatabase(s.database) {
		return ddlLocale{charsetOf(s.databaseCollation, c.server.charset), s.databaseCollation}
	}
	return c.serverLocale(s)
}

// serverLocale is what the session's new databases get.
func (c *catalog) serverLocale(s *ddlSession) ddlLocale {
	if s.serverCollation != "" {
		return ddlLocale{charsetOf(s.serverCollation, c.server.charset), s.serverCollation}
	}
	return c.server
}

// apply changes the catalog as the statement changed the database.
func (c *catalog) apply(st *ddlStatement, s *ddlSession) *ddlEffect {
	e := &ddlEffect{statement: st, fold: c.fold}
	if st.implicitTimestamps != nil {
		own := *s
		own.implicitTimestamps = *st.implicitTimestamps
		s = &own
	}
	switch st.kind {
	case ddlUnknown:
		c.applyUnknown(st, e)
	case ddlCreateTable:
		c.applyCreate(st, s, e)
	case ddlAlterTable:
		c.applyAlter(st, st.alter, s, e)
	case ddlCreateIndex, ddlDropIndex:
		c.applyAlter(st, []ddlSpec{*st.index}, s, e)
	case ddlDropTables:
		for _, t := range st.tables {
			c.remove(t)
			e.changes = append(e.changes, tableChange{op: tableDropped, table: t})
		}
	case ddlRenameTables:
		for _, pair := range st.renames {
			if known := c.table(pair[0]) != nil; !known && st.ifExists {
				e.changes = append(e.changes, tableChange{op: tableKept, table: pair[1]})
				continue
			} else if !known {
				e.doubt(pair[1], "it was %s before, whose definition is not known", pair[0])
			}
			c.rename(pair[0], pair[1])
			e.changes = append(e.changes, tableChange{op: tableAltered, table: pair[1], from: pair[0]})
		}
	case ddlTruncate:
		e.emptied = st.tables
	case ddlCreateDatabase, ddlAlterDatabase, ddlDropDatabase:
		c.applyDatabase(st, s, e)
	}
	for i := range e.changes {
		if ch := &e.changes[i]; ch.op != tableDropped {
			ch.definition = c.table(ch.table)
		}
	}
	return e
}

// applyUnknown doubts every table that the statement names, or whose database
// it names.
func (c *catalog) applyUnknown(st *ddlStatement, e *ddlEffect) {
	for _, d := range c.tables {
		if t := (tableName{d.Database, d.Name}); st.mentions(t, c.caseless) {
			e.doubt(t, "%s", st.problem)
		}
	}
	for t := range e.unsure {
		c.remove(t)
	}
}

func (c *catalog) applyDatabase(st *ddlStatement, s *ddlSession, e *ddlEffect) {
	key := c.foldDatabase(st.database)
	_, known := c.databases[key]
	switch {
	case st.kind == ddlAlterDatabase:
		c.databases[key] = s.resolve(st.locale, c.locale(st.database, s))
	case st.kind == ddlCreateDatabase && (!known || !st.ifNotExists):
		c.databases[key] = s.resolve(st.locale, c.serverLocale(s))
	case st.kind == ddlDropDatabase:
		delete(c.databases, key)
		for _, t := range c.tablesOf(st.database) {
			c.remove(t)
			e.changes = append(e.changes, tableChange{op: tableDropped, table: t})
		}
	}
}

// tablesOf are the tables of a database, in the order of their names.
func (c *catalog) tablesOf(database string) []tableName {
	var out []tableName
	for key, d := range c.tables {
		if key.database == c.foldDatabase(database) {
			out = append(out, tableName{d.Database, d.Name})
		}
	}
	slices.SortFunc(out, func(a, b tableName) int { return strings.Compare(a.name, b.name) })
	return out
}

// rename gives a table another name; what had that name is gone.
func (c *catalog) rename(from, to tableName) {
	d := c.table(from)
	c.remove(from)
	c.remove(to)
	if d != nil {
		d = d.clone()
		d.Database, d.Name = to.database, to.name
		c.put(d)
	}
}

func (c *catalog) applyCreate(st *ddlStatement, s *ddlSession, e *ddlEffect) {
	t := st.tables[0]
	if st.ifNotExists && c.table(t) != nil {
		e.changes = append(e.changes, tableChange{op: tableKept, table: t})
		return
	}
	e.changes = append(e.changes, tableChange{op: tableCreated, table: t})
	c.remove(t)
	switch cr := st.create; {
	case cr.like != nil:
		like := c.table(*cr.like)
		if like == nil {
			e.doubt(t, "it is like %s, whose definition is not known", cr.like)
			return
		}
		d := like.clone()
		d.Database, d.Name = t.database, t.name
		c.put(d)
	case cr.query:
		e.doubt(t, "its columns come from a query")
	default:
		b := tableBuilder{session: s, locale: s.resolve(cr.ddlLocale, c.locale(t.database, s))}
		b.d = &Definition{Database: t.database, Name: t.name, Comment: cr.comment, Sequence: st.sequence}
		if err := b.create(cr); err != nil {
			e.doubt(t, "%v", err)
			return
		}
		c.put(b.d)
	}
}

func (c *catalog) applyAlter(st *ddlStatement, specs []ddlSpec, s *ddlSession, e *ddlEffect) {
	t := st.tables[0]
	d := c.table(t)
	e.changes = append(e.changes, tableChange{op: tableAltered, table: t, hadKey: d != nil && len(d.Key()) > 0})
	if d != nil {
		b := tableBuilder{session: s, d: d.clone(), database: c.locale(t.database, s)}
		if !s.mariadb {
			b.database = c.locale(s.database, s)
		}
		if err := b.alter(specs); err != nil {
			e.doubt(t, "%v", err)
			c.remove(t)
		} else {
			c.put(b.d)
		}
	}
	if st.ignore && slices.ContainsFunc(specs, ddlSpec.dropsDuplicates) {
		e.emptied = append(e.emptied, t)
	}
	for i := range specs {
		c.applyTableSpec(t, &specs[i], e)
	}
}

// dropsDuplicates reports whether rows that were different may be the same to a
// unique key afterwards.
func (s ddlSpec) dropsDuplicates() bool {
	unique := func(k ddlKey) bool { return k.unique }
	switch s.op {
	case specAddColumns, specAddKey:
		return slices.ContainsFunc(s.keys, unique) || slices.ContainsFunc(s.columns, func(c ddlColumn) bool { return len(columnKeys(&c)) > 0 })
	case specChange, specConvert, specDropColumn:
		return true
	}
	return false
}

// applyTableSpec does what a part of ALTER TABLE does to tables as a whole.
func (c *catalog) applyTableSpec(t tableName, s *ddlSpec, e *ddlEffect) {
	switch s.op {
	case specRenameTable:
		c.rename(t, s.table)
		if why, ok := e.unsure[t]; ok {
			delete(e.unsure, t)
			e.doubt(s.table, "%s", why)
		}
		e.changes[0].table, e.changes[0].from = s.table, t
	case specLosesRows:
		e.emptied = append(e.emptied, t)
	case specExchange:
		e.emptied = append(e.emptied, t, s.table)
	case specPartitionOut:
		e.emptied = append(e.emptied, t)
		e.changes = append(e.changes, tableChange{op: tableCreated, table: s.table})
		if d := c.table(t); d != nil {
			d = d.clone()
			d.Database, d.Name = s.table.database, s.table.name
			c.put(d)
		} else {
			e.doubt(s.table, "it was a partition of %s, whose definition is not known", t)
		}
	case specTableIn:
		e.emptied = append(e.emptied, t)
		c.remove(s.table)
		e.changes = append(e.changes, tableChange{op: tableDropped, table: s.table})
	}
}
