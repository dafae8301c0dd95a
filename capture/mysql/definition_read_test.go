package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/config"
)

// sqlQuerier answers from a *sql.Conn.
type sqlQuerier struct{ conn *sql.Conn }

func (q sqlQuerier) query(ctx context.Context, statement string) ([][]string, error) {
	rows, err := q.conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		texts := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i := range texts {
			row[i] = texts[i].String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// ddlCorpus reads statements of testdata/ddl, each ended by a semicolon at the end
// of a line. A statement behind the line "-- reread" is one whose result only
// the server knows.
func ddlCorpus(t *testing.T, name string) []ddlCorpusStatement {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/ddl", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []ddlCorpusStatement
	for _, text := range strings.Split(string(b), ";\n") {
		s := ddlCorpusStatement{text: strings.TrimSpace(text)}
		s.text, s.reread = cutPrefix(s.text, "-- reread\n")
		if s.text != "" {
			out = append(out, s)
		}
	}
	if len(out) < 20 {
		t.Fatalf("%s has %d statements", name, len(out))
	}
	return out
}

func cutPrefix(s, prefix string) (string, bool) { return strings.CutPrefix(s, prefix) }

type ddlCorpusStatement struct {
	text   string
	reread bool
}

// TestDefinitionsAsMySQL and its sister run every statement of the corpora on a
// real server and demand, after each, that the definitions that the parser
// comes to are those the server shows. Then they follow what the server wrote
// of the statements into its log, where queries have become columns and
// defaults of sessions are told beside, and compare once more.
func TestDefinitionsAsMySQL(t *testing.T) {
	f := newFollower(t, servers.MySQL(t))
	from := f.logEnd(t)
	f.runAll(t, "common.sql", "mysql.sql")
	f.execAll(t, "mysql-log.sql")
	f.followLog(t, from, f.logEnd(t))
}

func TestDefinitionsAsMariaDB(t *testing.T) {
	f := newFollower(t, servers.MariaDB(t))
	from := f.logEnd(t)
	f.runAll(t, "common.sql", "mariadb.sql")
	f.execAll(t, "mariadb-log.sql")
	f.followLog(t, from, f.logEnd(t))
}

// TestOddDefinitionsAsMySQL and its sister do the same with statements that look
// for what the parser might take otherwise than the server.
func TestOddDefinitionsAsMySQL(t *testing.T) {
	newFollower(t, servers.MySQL(t)).runAll(t, "odd-mysql.sql")
}

func TestOddDefinitionsAsMariaDB(t *testing.T) {
	newFollower(t, servers.MariaDB(t)).runAll(t, "odd-mariadb.sql")
}

// runAll follows the statements of files as they are.
func (f *follower) runAll(t *testing.T, files ...string) {
	for _, file := range files {
		for i, s := range ddlCorpus(t, file) {
			touched := f.run(t, s)
			if i%40 == 39 {
				touched = f.tables(t)
			}
			f.compare(t, s.text, touched)
		}
	}
	f.compare(t, "in the end", f.tables(t))
}

// execAll only runs the statements of a file.
func (f *follower) execAll(t *testing.T, file string) {
	for _, s := range ddlCorpus(t, file) {
		text := strings.ReplaceAll(s.text, "{db}", f.database)
		if _, err := f.conn.ExecContext(f.ctx, text); err != nil {
			t.Errorf("%s\nserver: %v", text, err)
		}
	}
}

// follower follows one session's statements.
type follower struct {
	ctx      context.Context
	conn     *sql.Conn // runs the statements
	reader   sqlQuerier
	server   *ddlServer
	catalog  *catalog
	database string
	at       servers.SQL
}

func newFollower(t *testing.T, server servers.SQL) *follower {
	t.Helper()
	ctx := t.Context()
	f := &follower{ctx: ctx, database: server.Database(t), at: server}
	open := func() *sql.Conn {
		c, err := server.Open(t, f.database).Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	f.conn = open()
	f.reader = sqlQuerier{open()}
	if _, err := f.reader.conn.ExecContext(ctx, plainMode); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.server, err = readDDLServer(ctx, f.reader); err != nil {
		t.Fatal(err)
	}
	databases, err := readDatabases(ctx, f.reader)
	if err != nil {
		t.Fatal(err)
	}
	f.catalog = newCatalog(f.server.caseless)
	f.catalog.server = f.server.locale
	f.catalog.databases = databases
	return f
}

// session is that of the statements' connection now.
func (f *follower) session(t *testing.T) ddlSession {
	t.Helper()
	rows, err := sqlQuerier{f.conn}.query(f.ctx, "SELECT DATABASE(), @@SESSION.sql_mode, @@SESSION.explicit_defaults_for_timestamp")
	if err != nil {
		t.Fatal(err)
	}
	var mode uint64
	for name, bit := range map[string]uint64{"ANSI_QUOTES": modeANSIQuotes, "NO_BACKSLASH_ESCAPES": modeNoBackslashEscapes, "REAL_AS_FLOAT": modeRealAsFloat} {
		if slices.Contains(strings.Split(rows[0][1], ","), name) {
			mode |= bit
		}
	}
	s := f.server.session(rows[0][0], mode)
	s.implicitTimestamps = rows[0][2] == "0"
	return s
}

// run runs and follows a statement, and returns the tables it touched.
func (f *follower) run(t *testing.T, s ddlCorpusStatement) []tableName {
	t.Helper()
	text := strings.ReplaceAll(s.text, "{db}", f.database)
	session := f.session(t)
	if _, err := f.conn.ExecContext(f.ctx, text); err != nil {
		t.Errorf("%s\nserver: %v", text, err)
		return nil
	}
	effect := f.catalog.apply(parseDDL(text, session), &session)
	if effect.statement.kind == ddlUnknown {
		t.Errorf("%s\nnot understood: %s", text, effect.statement.problem)
	}
	if doubts := len(effect.unsure) > 0; doubts != s.reread {
		t.Errorf("%s\ndoubts are %v, want some: %v", text, effect.unsure, s.reread)
	}
	var touched []tableName
	for _, c := range effect.changes {
		touched = append(touched, c.table, c.from)
	}
	for name := range effect.unsure {
		f.learn(t, name)
	}
	return touched
}

// learn takes a definition from the server.
func (f *follower) learn(t *testing.T, name tableName) {
	t.Helper()
	d, _, err := f.server.readDefinition(f.ctx, f.reader, name, f.catalog.databases[name.database])
	if err != nil || d == nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	f.catalog.put(d)
}

// tables are all that the server or the catalog has.
func (f *follower) tables(t *testing.T) []tableName {
	t.Helper()
	tables, err := listTables(f.ctx, f.reader, func(db string) bool { return strings.HasPrefix(db, f.database) })
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.catalog.tables {
		tables = append(tables, tableName{d.Database, d.Name})
	}
	return tables
}

// compare reads tables from the server and compares them.
func (f *follower) compare(t *testing.T, text string, tables []tableName) {
	t.Helper()
	for _, name := range tables {
		if name == (tableName{}) || !strings.HasPrefix(name.database, f.database) {
			continue // of another test on the same server
		}
		got := f.catalog.table(name)
		want, _, err := f.server.readDefinition(f.ctx, f.reader, name, f.catalog.databases[name.database])
		switch {
		case isNoTable(err) || err == nil && want == nil:
			if got != nil {
				t.Errorf("%s\n%s is known, and the server has no such table", text, name)
				f.catalog.remove(name)
			}
		case err != nil:
			t.Errorf("%s\n%v", text, err)
		default:
			if difference := definitionsDiffer(got, want); difference != "" {
				t.Errorf("%s\n%s: %s", text, name, difference)
				f.catalog.put(want) // so that the next statement is judged by itself
			}
		}
	}
}

// isNoTable knows the test's driver's errors of what does not exist.
func isNoTable(err error) bool {
	var server *driver.MySQLError
	return errors.As(err, &server) && (server.Number == 1146 || server.Number == 1049)
}

// definitionsDiffer says in what two definitions differ that makes a difference.
func definitionsDiffer(got, want *Definition) string {
	switch {
	case want == nil:
		return "the server shows no table"
	case got == nil:
		return "it is not known"
	case sameDefinition(got, want):
		return ""
	}
	g, w := canonicalDefinition(got), canonicalDefinition(want)
	for i := range min(len(g.Columns), len(w.Columns)) {
		if !reflect.DeepEqual(g.Columns[i], w.Columns[i]) {
			return fmt.Sprintf("column %d is\n     %s\nwant %s", i, asJSON(g.Columns[i]), asJSON(w.Columns[i]))
		}
	}
	if len(g.Columns) == len(w.Columns) {
		g.Columns, w.Columns = nil, nil
	}
	return fmt.Sprintf("it is\n     %s\nwant %s", asJSON(g), asJSON(w))
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// followLog follows the statements of a part of the log, from the state before
// them.
func (f *follower) followLog(t *testing.T, from, to position) {
	t.Helper()
	f.catalog = newCatalog(f.server.caseless)
	f.catalog.server, f.catalog.databases = f.server.locale, map[string]ddlLocale{}
	s := &Source{srv: &server{mariadb: f.server.mariadb}, conn: Connection{
		Host: f.at.Host, Port: f.at.Port, User: f.at.User, ServerID: 1, ConnectTimeout: time.Minute, KeepAlive: time.Second,
		Password: config.NewSecret(f.at.Password),
	}}
	statements := 0
	for st, err := range s.statements(f.ctx, f.server, &from, &to) {
		if err != nil {
			t.Fatal(err)
		}
		statements++
		effect := f.catalog.apply(parseDDL(st.text, st.session), &st.session)
		for name, why := range effect.unsure {
			if strings.HasPrefix(name.database, f.database) && !strings.Contains(name.name, "view") {
				t.Errorf("%s\n%s is in doubt: %s", st.text, name, why)
			}
		}
		if effect.statement.kind == ddlUnknown {
			t.Errorf("%s\nnot understood: %s", st.text, effect.statement.problem)
		}
	}
	if statements < 100 {
		t.Errorf("only %d statements were in the log", statements)
	}
	f.compare(t, "at the log's end", f.tables(t))
}

// logEnd is the end of the server's log.
func (f *follower) logEnd(t *testing.T) position {
	t.Helper()
	statement := "SHOW BINARY LOG STATUS"
	if f.server.mariadb {
		statement = "SHOW MASTER STATUS"
	}
	rows, err := f.reader.query(f.ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
	pos, err := strconv.ParseUint(rows[0][1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return position{File: rows[0][0], Pos: pos}
}
