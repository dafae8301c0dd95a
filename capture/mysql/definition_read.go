package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// querier runs a statement and returns its rows as texts, a NULL as "". It is
// what reading definitions needs of a connection.
type querier interface {
	query(ctx context.Context, statement string) ([][]string, error)
}

// ddlServer is what the meaning of DDL takes from the server, as far as the log
// does not say it with each statement.
type ddlServer struct {
	ddlDialect
	locale             ddlLocale // character_set_server, collation_server
	utf8mb4Collation   string
	implicitTimestamps bool
	caseless           bool // lower_case_table_names is not 0
	// retention is for how long the server keeps its log, 0 for ever.
	retention time.Duration
	// collations are the names of all collations by their numbers.
	collations map[int]string
}

// session is the session of a statement in the log whose default database and
// sql_mode are these.
func (s *ddlServer) session(database string, mode uint64) ddlSession {
	return ddlSession{
		ddlDialect: s.withMode(mode), database: database,
		utf8mb4Collation: s.utf8mb4Collation, implicitTimestamps: s.implicitTimestamps,
	}
}

// sessionOf is the session that ran a statement of the log.
func (s *ddlServer) sessionOf(q *query) ddlSession {
	out := s.session(string(q.database), q.sqlMode)
	out.serverCollation = canonicalCollation(s.collations[q.server])
	out.databaseCollation = canonicalCollation(s.collations[q.ofDatabase])
	if name := s.collations[q.utf8mb4]; name != "" {
		out.utf8mb4Collation = name
	}
	const saysExplicit, explicit = 100804, 1 << 24
	switch {
	case !s.mariadb:
		out.implicitTimestamps = q.implicitTimestamps
	case s.version >= saysExplicit:
		out.implicitTimestamps = q.flags&explicit == 0
	}
	return out
}

// readDDLServer asks the server.
func readDDLServer(ctx context.Context, q querier) (*ddlServer, error) {
	rows, err := q.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'character_set_server', 'collation_server', "+
		"'default_collation_for_utf8mb4', 'explicit_defaults_for_timestamp', 'lower_case_table_names', 'binlog_expire_logs_seconds', 'expire_logs_days', 'old_mode')")
	if err != nil {
		return nil, fmt.Errorf("asking for the server's defaults: %w", err)
	}
	s := &ddlServer{}
	for _, row := range rows {
		switch value := row[1]; row[0] {
		case "version":
			s.mariadb = strings.Contains(value, "MariaDB")
			s.version = commentVersion(value)
		case "character_set_server":
			s.locale.charset = canonicalCharset(value)
		case "collation_server":
			s.locale.collation = canonicalCollation(value)
		case "default_collation_for_utf8mb4":
			s.utf8mb4Collation = value
		case "explicit_defaults_for_timestamp":
			s.implicitTimestamps = strings.EqualFold(value, "OFF")
		case "binlog_expire_logs_seconds", "expire_logs_days":
			unit := time.Second
			if row[0] == "expire_logs_days" {
				unit = 24 * time.Hour
			}
			if n, err := strconv.ParseFloat(value, 64); err == nil { // MariaDB has fractions of days
				s.retention = max(s.retention, time.Duration(n*float64(unit)))
			}
		case "old_mode":
			s.utf8IsMB4 = !strings.Contains(value, "UTF8_IS_UTF8MB3")
		case "lower_case_table_names":
			s.caseless = value != "0"
		}
	}
	if s.locale.charset == "" || s.version == 0 {
		return nil, fmt.Errorf("asking for the server's defaults: the answer %v has no version or character set", rows)
	}
	const utf8Varies = 100601
	s.utf8IsMB4 = s.utf8IsMB4 && s.mariadb && s.version >= utf8Varies
	s.collations, err = readCollations(ctx, q, s.mariadb)
	return s, err
}

// readCollations are the names of collations. Those that MariaDB has for several
// character sets have numbers in a table of their own, since 10.10.
func readCollations(ctx context.Context, q querier, mariadb bool) (map[int]string, error) {
	statement := "SELECT ID, COLLATION_NAME FROM information_schema.COLLATIONS"
	rows, err := q.query(ctx, statement)
	if mariadb && err == nil {
		var full [][]string
		full, err = q.query(ctx, "SELECT ID, FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
		rows = append(rows, full...)
		if isServerError(err, 1054) { // no such column before
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the collations: %w", err)
	}
	out := make(map[int]string, len(rows))
	for _, row := range rows {
		if id, err := strconv.Atoi(row[0]); err == nil {
			out[id] = row[1]
		}
	}
	return out, nil
}

// commentVersion makes 90704 of 9.7.4-2, the form that versions have in comments.
func commentVersion(version string) int {
	out := 0
	parts := strings.SplitN(version, ".", 3)
	for i := range 3 {
		n := 0
		if i < len(parts) {
			digits := strings.TrimLeft(parts[i], "0123456789")
			n, _ = strconv.Atoi(parts[i][:len(parts[i])-len(digits)])
		}
		out = out*100 + n
	}
	return out
}

// readDatabases are the defaults of all databases but the server's own.
func readDatabases(ctx context.Context, q querier) (map[string]ddlLocale, error) {
	rows, err := q.query(ctx, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA")
	if err != nil {
		return nil, fmt.Errorf("listing the databases: %w", err)
	}
	out := make(map[string]ddlLocale, len(rows))
	for _, row := range rows {
		if !builtin(row[0]) {
			out[row[0]] = ddlLocale{canonicalCharset(row[1]), canonicalCollation(row[2])}
		}
	}
	return out, nil
}

// listTables are the tables of the databases that wanted names, sequences
// included, in the order of their names; no views.
func listTables(ctx context.Context, q querier, wanted func(database string) bool) ([]tableName, error) {
	rows, err := q.query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "+
		"WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') ORDER BY BINARY TABLE_SCHEMA, BINARY TABLE_NAME")
	if err != nil {
		return nil, fmt.Errorf("listing the tables: %w", err)
	}
	var out []tableName
	for _, row := range rows {
		if !builtin(row[0]) && wanted(row[0]) {
			out = append(out, tableName{row[0], row[1]})
		}
	}
	return out, nil
}

// plainMode makes SHOW CREATE TABLE answer in the form that this package reads;
// it changes the session.
const plainMode = "SET SESSION sql_mode = '', SESSION sql_quote_show_create = 1"

// errNotUnderstood says that the server answered, and in a form that is not
// known here: asking again changes nothing.
var errNotUnderstood = errors.New("the server's answer is not understood")

// readDefinition reads a table's definition from the server, and returns the
// statement that would create it. A table that does not exist, or that is a
// view, is nil.
func (s *ddlServer) readDefinition(ctx context.Context, q querier, t tableName, database ddlLocale) (*Definition, string, error) {
	rows, err := q.query(ctx, "SHOW CREATE TABLE "+backquoted(t))
	if isServerError(err, 1146, 1049) { // no such table, no such database
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the definition of %s: %w", t, err)
	}
	if len(rows) != 1 || len(rows[0]) != 2 {
		return nil, "", nil // a view has more columns
	}
	create := rows[0][1]
	session := s.session(t.database, 0)
	session.implicitTimestamps, session.shown = false, true // what is shown says NULL or NOT NULL
	st := parseDDL(create, session)
	if st.kind != ddlCreateTable {
		return nil, "", fmt.Errorf("reading the definition of %s: %w: %s: %s", t, errNotUnderstood, st.problem, create)
	}
	st.tables[0] = t // as it is listed
	c := newCatalog(false)
	c.server = s.locale
	c.databases[t.database] = database
	effect := c.apply(st, &session)
	d := c.table(t)
	if d == nil {
		return nil, "", fmt.Errorf("reading the definition of %s: %w: %s: %s", t, errNotUnderstood, effect.unsure[t], create)
	}
	return d, create, nil
}
