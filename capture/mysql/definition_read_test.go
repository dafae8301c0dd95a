package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
// comes to are those the server shows.
func TestDefinitionsAsMySQL(t *testing.T) {
	followOnServer(t, servers.MySQL(t), "common.sql", "mysql.sql")
}

func TestDefinitionsAsMariaDB(t *testing.T) {
	followOnServer(t, servers.MariaDB(t), "common.sql", "mariadb.sql")
}

func followOnServer(t *testing.T, server servers.SQL, files ...string) {
	f := newFollower(t, server)
	n := 0
	for _, file := range files {
		for _, s := range ddlCorpus(t, file) {
			f.run(t, s)
			n++
		}
	}
	t.Logf("%d statements", n)
}

// follower follows one session's statements.
type follower struct {
	ctx      context.Context
	conn     *sql.Conn // runs the statements
	reader   sqlQuerier
	server   *ddlServer
	catalog  *catalog
	database string
}

func newFollower(t *testing.T, server servers.SQL) *follower {
	t.Helper()
	ctx := t.Context()
	f := &follower{ctx: ctx, database: server.Database(t)}
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

func (f *follower) run(t *testing.T, s ddlCorpusStatement) {
	t.Helper()
	text := strings.ReplaceAll(s.text, "{db}", f.database)
	session := f.session(t)
	if _, err := f.conn.ExecContext(f.ctx, text); err != nil {
		t.Errorf("%s\nserver: %v", text, err)
		return
	}
	effect := f.catalog.apply(parseDDL(text, session), &session)
	if effect.statement.kind == ddlUnknown {
		t.Errorf("%s\nnot understood: %s", text, effect.statement.problem)
	}
	if doubts := len(effect.unsure) > 0; doubts != s.reread {
		t.Errorf("%s\ndoubts are %v, want some: %v", text, effect.unsure, s.reread)
	}
	f.compare(t, text, effect.unsure)
}

// compare reads all tables of the databases and compares them.
func (f *follower) compare(t *testing.T, text string, unsure map[tableName]string) {
	t.Helper()
	tables, err := listTables(f.ctx, f.reader, func(db string) bool { return strings.HasPrefix(db, f.database) })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		want, _, err := f.server.readDefinition(f.ctx, f.reader, name, f.catalog.databases[name.database])
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		if _, ok := unsure[name]; ok {
			f.catalog.put(want)
			continue
		}
		if difference := definitionsDiffer(f.catalog.table(name), want); difference != "" {
			t.Errorf("%s\n%s: %s", text, name, difference)
			f.catalog.put(want) // so that the next statement is judged by itself
		}
	}
	for _, d := range f.catalog.tables {
		if name := (tableName{d.Database, d.Name}); !slices.Contains(tables, name) {
			t.Errorf("%s\n%s is known, and the server has no such table", text, name)
			f.catalog.remove(name)
		}
	}
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

// TestDefinitionsFromMySQLsLog and its sister run all statements, then follow
// what the server wrote of them into its log, where queries have become columns
// and defaults of sessions are told beside, and compare with the server at the
// end.
func TestDefinitionsFromMySQLsLog(t *testing.T) {
	followLog(t, servers.MySQL(t), false, "common.sql", "mysql.sql", "mysql-log.sql")
}

func TestDefinitionsFromMariaDBsLog(t *testing.T) {
	followLog(t, servers.MariaDB(t), true, "common.sql", "mariadb.sql", "mariadb-log.sql")
}

func followLog(t *testing.T, sql servers.SQL, mariadb bool, files ...string) {
	f := newFollower(t, sql)
	s := &Source{srv: &server{mariadb: mariadb}, conn: Connection{
		Host: sql.Host, Port: sql.Port, User: sql.User, ServerID: 1, ConnectTimeout: time.Minute, KeepAlive: time.Second,
		Password: config.NewSecret(sql.Password),
	}}
	from := f.logEnd(t)
	for _, file := range files {
		for _, st := range ddlCorpus(t, file) {
			text := strings.ReplaceAll(st.text, "{db}", f.database)
			if _, err := f.conn.ExecContext(f.ctx, text); err != nil {
				t.Errorf("%s\nserver: %v", text, err)
			}
		}
	}
	to := f.logEnd(t)
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
	for key := range f.catalog.tables {
		if !strings.HasPrefix(key.database, f.database) {
			delete(f.catalog.tables, key) // of another test on the same server
		}
	}
	f.compare(t, "in the end", nil)
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
