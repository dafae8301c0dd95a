package mysql

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// schemaTopic makes the events of Debezium's schema change topic.
type schemaTopic struct {
	key, value  *cdc.Schema
	source      *cdc.Schema // of the source block
	comments    bool        // of columns and tables
	mariadb     bool
	filter      *capture.Filter // may be nil
	ignoreOther bool            // databases that are not captured: schema.history.internal.store.only.captured.databases.ddl
	ignoreMore  bool            // tables that are not captured: schema.history.internal.store.only.captured.tables.ddl
}

// newSchemaTopic makes the topic's schemas; kind is "mysql" or "mariadb".
func newSchemaTopic(kind string, source *cdc.Schema, o *SchemaOptions) *schemaTopic {
	name := func(what string) string { return o.SchemaNames.adjustSchema(what) }
	prefix := "io.debezium.connector." + kind + ".SchemaChange"
	text := func(name string, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Text, Optional: optional}
	}
	key := cdc.Schema{Name: name(prefix + "Key"), Version: 1, Fields: []cdc.Field{text("databaseName", false)}}
	value := cdc.Schema{Name: name(prefix + "Value"), Version: 1, Fields: []cdc.Field{
		{Name: "source", Type: cdc.Struct, Struct: source, SchemaVersion: source.Version},
		{Name: "ts_ms", Type: cdc.Int64},
		text("databaseName", true), text("schemaName", true), text("ddl", true),
		{Name: "tableChanges", Type: cdc.Array, Element: changeField(name)},
	}}
	return &schemaTopic{
		key: key.Intern(), value: value.Intern(), source: source,
		comments: o.Comments || kind == "mariadb", mariadb: kind == "mariadb", filter: o.Filter,
	}
}

// changeField is Debezium's schema of a change of a table.
func changeField(name func(string) string) *cdc.Field {
	field := func(n string, t cdc.Type, optional bool) cdc.Field {
		return cdc.Field{Name: n, Type: t, Optional: optional}
	}
	texts := func(n string) cdc.Field {
		return cdc.Field{Name: n, Type: cdc.Array, Optional: true, Element: &cdc.Field{Type: cdc.Text}}
	}
	column := cdc.Schema{Name: name("io.debezium.connector.schema.Column"), Version: 1, Fields: []cdc.Field{
		field("name", cdc.Text, false), field("jdbcType", cdc.Int32, false), field("nativeType", cdc.Int32, true),
		field("typeName", cdc.Text, false), field("typeExpression", cdc.Text, true), field("charsetName", cdc.Text, true),
		field("length", cdc.Int32, true), field("scale", cdc.Int32, true), field("position", cdc.Int32, false),
		field("optional", cdc.Boolean, true), field("autoIncremented", cdc.Boolean, true), field("generated", cdc.Boolean, true),
		field("comment", cdc.Text, true), field("defaultValueExpression", cdc.Text, true), texts("enumValues"),
	}}
	table := cdc.Schema{Name: name("io.debezium.connector.schema.Table"), Version: 1, Fields: []cdc.Field{
		field("defaultCharsetName", cdc.Text, true), texts("primaryKeyColumnNames"),
		{Name: "columns", Type: cdc.Array, Element: &cdc.Field{Type: cdc.Struct, Struct: column.Intern(), SchemaVersion: 1}},
		field("comment", cdc.Text, true),
	}}
	change := cdc.Schema{Name: name("io.debezium.connector.schema.Change"), Version: 1, Fields: []cdc.Field{
		field("type", cdc.Text, false), field("id", cdc.Text, false),
		{Name: "table", Type: cdc.Struct, Optional: true, Struct: table.Intern(), SchemaVersion: 1},
	}}
	return &cdc.Field{Type: cdc.Struct, Struct: change.Intern(), SchemaVersion: 1}
}

// published is one event as Debezium would write it.
type published struct {
	database string // the key
	ddl      string
	// sourceDatabase and sourceTable are the source block's db and table, the
	// latter null where noTable.
	sourceDatabase, sourceTable string
	noTable                     bool
	// change is CREATE, ALTER or DROP of table, "" for an event without one.
	change     string
	table      tableName
	definition *Definition
}

// events are the events of a statement in the stream. source is the source
// block but for db and table; text is the statement as it is in the log.
func (t *schemaTopic) events(e *ddlEffect, s *ddlSession, text string, source *cdc.Row) []*capture.SchemaChange {
	list := t.published(e, s, strings.TrimFunc(text, func(r rune) bool { return r <= ' ' }))
	touched := touchedTables(e)
	var out []*capture.SchemaChange
	for i := range list {
		c := t.event(&list[i], source)
		c.Tables, c.Publish = touched, t.publishes(&list[i], e)
		out = append(out, c)
	}
	return out
}

// touchedTables names all tables that the statement changed; "db." is all of a
// database.
func touchedTables(e *ddlEffect) []string {
	var out []string
	for _, t := range namedTables(e) {
		out = append(out, t.String())
	}
	if e.statement.kind == ddlDropDatabase {
		out = append(out, e.fold(tableName{database: e.statement.database}).String())
	}
	return out
}

// namedTables are all tables that the statement changed, named as they are known.
func namedTables(e *ddlEffect) []tableName {
	var out []tableName
	add := func(t tableName) {
		if t = e.fold(t); t != (tableName{}) && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	for _, c := range e.changes {
		add(c.table)
		add(c.from)
	}
	for _, t := range e.emptied {
		add(t)
	}
	unsure := make([]tableName, 0, len(e.unsure))
	for t := range e.unsure {
		unsure = append(unsure, t)
	}
	slices.SortFunc(unsure, compareTables)
	for _, t := range unsure {
		add(t)
	}
	return out
}

func compareTables(a, b tableName) int {
	return cmp.Or(strings.Compare(a.database, b.database), strings.Compare(a.name, b.name))
}

// published is what Debezium's parser makes of the statement: an event for each
// table, or one for the database it was run in.
func (t *schemaTopic) published(e *ddlEffect, s *ddlSession, text string) []published {
	var out []published
	st := e.statement
	of := func(i int, change, ddl string) {
		c := &e.changes[i]
		p := published{database: c.table.database, ddl: ddl, change: change, table: c.table, definition: c.definition}
		if change != "DROP" && p.definition == nil {
			p.change = ""
		}
		out = append(out, p)
	}
	switch st.kind {
	case ddlTruncate, ddlDML:
		return nil
	case ddlDropTables, ddlRenameTables:
		for i := range e.changes {
			of(i, map[ddlKind]string{ddlDropTables: "DROP", ddlRenameTables: "ALTER"}[st.kind], st.pieces[i])
		}
	case ddlCreateTable:
		if c := &e.changes[0]; c.op == tableCreated && c.definition != nil && !st.sequence {
			of(0, "CREATE", st.text)
		}
	case ddlAlterTable:
		if e.changes[0].definition != nil {
			of(0, "ALTER", st.text)
		}
	case ddlCreateIndex:
		if t.becomesKey(e) {
			of(0, "ALTER", st.text)
		}
	case ddlCreateDatabase, ddlDropDatabase:
		return []published{{database: st.database, sourceDatabase: st.database, ddl: st.text, noTable: true}}
	case ddlOther, ddlUnknown:
		if unpublished.MatchString(text) {
			return nil
		}
	}
	if len(out) == 0 {
		return []published{{database: s.database, sourceDatabase: s.database, ddl: text}}
	}
	nameSources(out)
	return out
}

// becomesKey: of the statements about indexes Debezium takes notice of those
// only that may give a captured table a key.
func (t *schemaTopic) becomesKey(e *ddlEffect) bool {
	c := &e.changes[0]
	k := &e.statement.index.keys[0]
	if !k.unique || c.hadKey || c.definition == nil || k.expression {
		return false
	}
	return t.filter == nil || t.filter.Table(c.table.database, c.table.name)
}

// nameSources fills in the source block's db and table: the database of the
// first and the names of all tables of events that follow each other and are of
// the same database.
func nameSources(list []published) {
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].database == list[start].database {
			end++
		}
		var tables []tableName
		for _, p := range list[start:end] {
			if !slices.Contains(tables, p.table) {
				tables = append(tables, p.table)
			}
		}
		tables = javaSetOrder(tables)
		names := make([]string, len(tables))
		for i := range tables {
			names[i] = tables[i].name
		}
		for i := start; i < end; i++ {
			list[i].sourceDatabase, list[i].sourceTable = tables[0].database, strings.Join(names, ",")
		}
		start = end
	}
}

// javaSetOrder is the order in which a Java HashSet of Debezium's TableIds
// lists them.
func javaSetOrder(tables []tableName) []tableName {
	const load = 0.75
	capacity := 16
	for capacity < int(float64(len(tables))/load)+1 {
		capacity *= 2
	}
	bucket := func(t tableName) uint32 {
		var h uint32
		for _, c := range utf16.Encode([]rune(t.String())) {
			h = 31*h + uint32(c)
		}
		return (h ^ h>>16) & uint32(capacity-1)
	}
	out := slices.Clone(tables)
	slices.SortStableFunc(out, func(a, b tableName) int { return cmp.Compare(bucket(a), bucket(b)) })
	return out
}

// unpublished are the statements that Debezium's schema.history.internal.ddl.filter
// leaves out by default, and those it ignores.
var unpublished = regexp.MustCompile(`(?is)\A(?:` + strings.Join([]string{
	`BEGIN|END|FLUSH PRIVILEGES|COMMIT|ROLLBACK|XA .*`,
	`DROP TEMPORARY TABLE IF EXISTS .+ /\* generated by server \*/`,
	`(SET STATEMENT .*)?INSERT INTO (mysql\.)?rds_heartbeat2\(.*\) values \(.*\) ON DUPLICATE KEY UPDATE value = .*`,
	`(SET STATEMENT .*)?DELETE FROM (mysql\.)?rds_(sysinfo|monitor).*`,
	`(SET STATEMENT .*)?INSERT INTO (mysql\.)?rds_(sysinfo|monitor)\(.*\) values \(.*\)`,
	`(SET STATEMENT .*)?INSERT INTO (mysql\.)?rds_monitor\(.*\) values \(.*\) ON DUPLICATE KEY UPDATE value = .*`,
	`FLUSH RELAY LOGS.*`,
	`SAVEPOINT .*`,
	`\s*#\s*Dummy event.*`,
	`(SET STATEMENT .*)?REPLACE INTO .*`,
	`(?:SET STATEMENT\s+.*?FOR\s+)?(?:GRANT|REVOKE)\s+.*`,
	`(?:SET STATEMENT\s+.*?FOR\s+)?(?:ANALYZE|OPTIMIZE|REPAIR)\s+(?:NO_WRITE_TO_BINLOG\s+|LOCAL\s+)?TABLE\s+.*`,
	`(?:SET STATEMENT\s+.*?FOR\s+)?(CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(USER|ROLE)\b.*`,
	`(?:SET STATEMENT\s+.*?FOR\s+)?(CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:ALGORITHM\s*=\s*\S+\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:SQL\s+SECURITY\s+\S+\s+)?(VIEW|FUNCTION|PROCEDURE|TRIGGER)\s+.*`,
}, "|") + `)\z`)

// publishes reports whether Debezium publishes the event under the options.
func (t *schemaTopic) publishes(p *published, e *ddlEffect) bool {
	if t.filter == nil {
		return true
	}
	if t.ignoreOther && p.database != "" && !t.filter.Database(p.database) {
		return false
	}
	if !t.ignoreMore {
		return true
	}
	if p.noTable {
		return t.filter.Database(p.database)
	}
	return slices.ContainsFunc(e.changes, func(c tableChange) bool { return t.filter.Table(c.table.database, c.table.name) })
}

// event makes the rows of an event.
func (t *schemaTopic) event(p *published, source *cdc.Row) *capture.SchemaChange {
	key := &cdc.Row{}
	key.Reset(t.key)
	key.Values[0] = textValue(p.database)
	value := &cdc.Row{}
	value.Reset(t.value)
	value.Values[0] = t.sourceValue(p, source)
	value.Values[1] = cdc.Int(0)
	value.Values[2] = textValue(p.database)
	value.Values[4] = textValue(p.ddl)
	var changes []cdc.Value
	if p.change != "" {
		changes = append(changes, t.changeValue(p))
	}
	value.Values[5] = cdc.List(changes)
	return &capture.SchemaChange{Key: key, Value: value}
}

func textValue(s string) cdc.Value { return cdc.String([]byte(s)) }

// sourceValue is the source block with the event's db and table.
func (t *schemaTopic) sourceValue(p *published, source *cdc.Row) cdc.Value {
	var own cdc.Row
	own.CopyFrom(source)
	if v := own.Value("db"); v != nil {
		*v = textValue(p.sourceDatabase)
	}
	if v := own.Value("table"); v != nil {
		*v = cdc.Value{}
		if !p.noTable {
			*v = textValue(p.sourceTable)
		}
	}
	return cdc.List(own.Values)
}

func (t *schemaTopic) changeValue(p *published) cdc.Value {
	table := cdc.Value{}
	if p.change != "DROP" {
		table = t.tableValue(p.definition)
	}
	id := `"` + strings.ReplaceAll(p.table.name, `"`, `""`) + `"`
	if p.table.database != "" {
		id = `"` + strings.ReplaceAll(p.table.database, `"`, `""`) + `".` + id
	}
	return cdc.List([]cdc.Value{textValue(p.change), textValue(id), table})
}

func (t *schemaTopic) tableValue(d *Definition) cdc.Value {
	var columns []cdc.Value
	for i := range d.Columns {
		if c := &d.Columns[i]; !c.Hidden {
			columns = append(columns, t.columnValue(c, len(columns)+1))
		}
	}
	comment := cdc.Value{}
	if d.Comment != "" && t.comments {
		comment = textValue(d.Comment)
	}
	return cdc.List([]cdc.Value{optionalText(d.Charset), textList(d.Key()), cdc.List(columns), comment})
}

func optionalText(s string) cdc.Value {
	if s == "" {
		return cdc.Value{}
	}
	return textValue(s)
}

func textList(list []string) cdc.Value {
	out := make([]cdc.Value, len(list))
	for i, s := range list {
		out[i] = textValue(s)
	}
	return cdc.List(out)
}

func optionalInt(n int) cdc.Value {
	if n < 0 {
		return cdc.Value{}
	}
	return cdc.Int(int64(n))
}

// columnValue is Debezium's Column of c, in the order of the schema.
func (t *schemaTopic) columnValue(c *Column, position int) cdc.Value {
	name := c.TypeName()
	comment, text := cdc.Value{}, cdc.Value{}
	if t.comments {
		comment = optionalText(c.Comment)
	}
	if s, ok := defaultText(c); ok {
		text = textValue(s)
	}
	return cdc.List([]cdc.Value{
		textValue(c.Name), cdc.Int(int64(c.jdbcType())), {}, textValue(name), textValue(name), c.charsetValue(),
		optionalInt(c.size()), optionalInt(c.Scale), cdc.Int(int64(position)), cdc.Bool(c.Optional),
		// Generated is to Debezium what the server makes up: AUTO_INCREMENT.
		cdc.Bool(c.AutoIncrement), cdc.Bool(c.AutoIncrement), comment, text, c.choicesValue(),
	})
}

// charsetValue is null for all but text; NCHAR and the like are always utf8.
func (c *Column) charsetValue() cdc.Value {
	switch {
	case c.Charset == "binary":
		return cdc.Value{}
	case strings.HasPrefix(c.Written, "N") && c.Charset == nationalCharset:
		return textValue("utf8")
	}
	return optionalText(c.Charset)
}

// choicesValue are the values of an ENUM or SET as they were written.
func (c *Column) choicesValue() cdc.Value {
	if len(c.Values) == 0 {
		return cdc.Value{}
	}
	if c.Literals != nil {
		return textList(c.Literals)
	}
	out := make([]string, len(c.Values))
	for i, v := range c.Values {
		out[i] = choiceLiteral(v)
	}
	return textList(out)
}

// snapshotSchemas is what a snapshot tells of the server.
type snapshotSchemas struct {
	server    ddlLocale // character_set_server and collation_server
	databases []snapshotDatabase
	tables    []snapshotTable
}

type snapshotDatabase struct {
	name   string
	locale ddlLocale
}

// snapshotTable is a table and its SHOW CREATE TABLE.
type snapshotTable struct {
	definition *Definition
	create     string
}

// snapshotEvents are the events that Debezium writes in front of a snapshot:
// the server's character set, the drop of every table, then each database with
// its tables. source makes the source block but for db and table, once for each
// event.
func (t *schemaTopic) snapshotEvents(s *snapshotSchemas, source func() *cdc.Row) []*capture.SchemaChange {
	tables := slices.Clone(s.tables)
	slices.SortFunc(tables, func(a, b snapshotTable) int {
		return compareTables(tableName{a.definition.Database, a.definition.Name}, tableName{b.definition.Database, b.definition.Name})
	})
	list := []published{{ddl: "SET character_set_server=" + s.server.charset + ", collation_server=" + s.server.collation, noTable: true}}
	for i := range tables {
		d := tables[i].definition
		name := tableName{d.Database, d.Name}
		list = append(list, published{
			database: d.Database, sourceDatabase: d.Database, sourceTable: d.Name,
			ddl: "DROP TABLE IF EXISTS " + backquoted(name), change: "DROP", table: name,
		})
	}
	databases := slices.Clone(s.databases)
	slices.SortFunc(databases, func(a, b snapshotDatabase) int { return strings.Compare(a.name, b.name) })
	for _, db := range databases {
		list = append(list, t.snapshotDatabase(db, tables)...)
	}
	out := make([]*capture.SchemaChange, len(list))
	for i := range list {
		out[i] = t.event(&list[i], source())
		out[i].Publish = true
	}
	return out
}

// snapshotDatabase are the events of one database and its tables.
func (t *schemaTopic) snapshotDatabase(db snapshotDatabase, tables []snapshotTable) []published {
	of := func(ddl string) published {
		return published{database: db.name, sourceDatabase: db.name, ddl: ddl, noTable: true}
	}
	create := "CREATE DATABASE " + quote(db.name)
	if db.locale.charset != "" {
		create += " CHARSET " + db.locale.charset + " COLLATE " + db.locale.collation
	}
	out := []published{of("DROP DATABASE IF EXISTS " + quote(db.name)), of(create), of("USE " + quote(db.name))}
	for i := range tables {
		d := tables[i].definition
		if d.Database != db.name {
			continue
		}
		st := parseDDL(tables[i].create, ddlSession{ddlDialect: ddlDialect{mariadb: t.mariadb}, database: db.name})
		out = append(out, published{
			database: db.name, sourceDatabase: db.name, sourceTable: d.Name,
			ddl: st.text, change: "CREATE", table: tableName{d.Database, d.Name}, definition: d,
		})
	}
	return out
}
