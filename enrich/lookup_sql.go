package enrich

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
)

// sqlServer is how a MySQL or MariaDB server is reached.
type sqlServer struct {
	host        string // host:port
	user        string
	password    config.SecretText
	database    string
	tls         *tls.Config // nil: in clear
	connections int
}

func newSQLServer(o lookupOptions) sqlServer {
	s := sqlServer{
		user: o.text("sql.username", ""), password: config.NewSecret(o.text("sql.password", "")), database: o.text("sql.database", ""),
		tls: lookupTLS(o, "sql.tls"), connections: max(1, o.number("sql.connections", 8, 1000)),
	}
	if host := o.text("sql.host", ""); host == "" {
		o.fail("sql.host", "host:port of the MySQL or MariaDB server")
	} else {
		s.host = o.host("sql.host", host)
	}
	if s.tls != nil {
		s.tls.ServerName, _, _ = net.SplitHostPort(s.host)
	}
	return s
}

// sqlSource looks up rows of tables, all keys of a look-up in one query.
type sqlSource struct {
	db      *sql.DB
	timeout time.Duration

	mu     sync.Mutex
	tables map[*lookup]*sqlTable
}

func newSQLSource(s sqlServer, timeout time.Duration) (*sqlSource, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", s.host, s.user, s.password.Reveal(), s.database
	c.Timeout, c.ReadTimeout, c.WriteTimeout = timeout, timeout, timeout
	c.InterpolateParams, c.Logger, c.TLS = true, &mysql.NopLogger{}, s.tls
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(s.connections)
	db.SetMaxIdleConns(s.connections)
	db.SetConnMaxLifetime(5 * time.Minute) // servers and proxies end them some day
	return &sqlSource{db: db, timeout: timeout, tables: map[*lookup]*sqlTable{}}, nil
}

func (s *sqlSource) close() error { return s.db.Close() }

// sqlTable is the query of one look-up and what its columns are.
type sqlTable struct {
	query   string // up to IN
	tuple   string // (?,?) for a key of two columns
	integer []bool // the columns of the key that are numbers
	fields  []cdc.Field
}

// chunk is how many keys one query has, at most: max_allowed_packet bounds it.
const sqlChunk = 5000

func (s *sqlSource) ask(ctx context.Context, open []*question) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	byLookup := map[*lookup][]*question{}
	var lookups []*lookup
	for _, q := range open {
		if byLookup[q.lookup] == nil {
			lookups = append(lookups, q.lookup)
		}
		byLookup[q.lookup] = append(byLookup[q.lookup], q)
	}
	var errs []error
	for _, l := range lookups {
		t, err := s.tableOf(ctx, l)
		for chunk := range slices.Chunk(byLookup[l], sqlChunk) {
			if err == nil {
				err = s.query(ctx, l, t, chunk)
			}
		}
		if err != nil {
			errs = append(errs, judged(fmt.Errorf("asking %s: %w", l.where, err)))
		}
	}
	return errors.Join(errs...)
}

// mistakes are the codes of errors that are the configuration's or the grants'
// fault: no such database, access denied, no such table, no such column.
var mistakes = []uint16{1044, 1045, 1049, 1054, 1142, 1143, 1146}

func judged(err error) error {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && slices.Contains(mistakes, refused.Number) {
		return &misconfigured{err}
	}
	return err
}

// quotedName is a name, or database.table, in backticks.
func quotedName(name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = "`" + strings.ReplaceAll(part, "`", "``") + "`"
	}
	return strings.Join(parts, ".")
}

// tableOf is the query of a look-up; the first time the server is asked for the
// types of the columns.
func (s *sqlSource) tableOf(ctx context.Context, l *lookup) (*sqlTable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[l]; t != nil {
		return t, nil
	}
	var columns, keys []string
	for _, name := range l.columns {
		keys = append(keys, quotedName(name))
	}
	for _, name := range l.froms() {
		columns = append(columns, quotedName(name))
	}
	query := "SELECT " + strings.Join(append(slices.Clone(keys), columns...), ",") + " FROM " + quotedName(l.tableName) + " WHERE "
	rows, err := s.db.QueryContext(ctx, query+"1=0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	t := &sqlTable{query: query + "(" + strings.Join(keys, ",") + ") IN (", tuple: "(" + strings.Repeat(",?", len(keys))[1:] + ")"}
	if len(keys) == 1 {
		t.query, t.tuple = query+keys[0]+" IN (", "?"
	}
	for i, c := range types {
		if i < len(keys) {
			t.integer = append(t.integer, strings.Contains(c.DatabaseTypeName(), "INT"))
			continue
		}
		t.fields = append(t.fields, l.outputs[i-len(keys)].column(c))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	l.fields.CompareAndSwap(nil, &t.fields)
	s.tables[l] = t
	return t, nil
}

// column is the output's field: of the stated type, or of the column's.
func (out *output) column(c *sql.ColumnType) cdc.Field {
	f := cdc.Field{Name: out.field.Name, Type: cdc.Text, Optional: true}
	switch name := c.DatabaseTypeName(); {
	case out.stated:
		return out.field
	case strings.Contains(name, "INT"), name == "YEAR":
		f.Type = cdc.Int64
	case name == "FLOAT":
		f.Type = cdc.Float
	case name == "DOUBLE":
		f.Type = cdc.Double
	case name == "DECIMAL":
		if precision, scale, ok := c.DecimalSize(); ok {
			return decimalField(f.Name, int(precision), int(scale))
		}
	case strings.Contains(name, "BLOB"), strings.Contains(name, "BINARY"), name == "BIT", name == "GEOMETRY":
		f.Type = cdc.Binary
	}
	return f
}

// query asks for the rows of some keys.
func (s *sqlSource) query(ctx context.Context, l *lookup, t *sqlTable, open []*question) error {
	byKey := map[string]*question{}
	var args []any
	n := 0
	for _, q := range open {
		if parts, ok := t.arguments(q); ok {
			args = append(args, parts...)
			byKey[q.key] = q
			n++
		} else { // a text for a key that is a number
			q.answer(&found{missing: true})
		}
	}
	if n == 0 {
		return nil
	}
	rows, err := s.db.QueryContext(ctx, t.query+strings.Repeat(","+t.tuple, n)[1:]+")", args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	answers := map[*question]*found{}
	if err := t.read(rows, l, byKey, answers); err != nil {
		return err
	}
	for _, q := range byKey { // only now, when nothing can fail any more
		if f := answers[q]; f != nil {
			q.answer(f)
		} else {
			q.answer(&found{missing: true})
		}
	}
	return nil
}

// arguments are the parts of a key as the columns compare them: a number with a
// text column would be compared as floating point, and without an index.
func (t *sqlTable) arguments(q *question) (args []any, ok bool) {
	for i, part := range q.parts {
		if !t.integer[i] {
			args = append(args, part)
			continue
		}
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			args = append(args, n)
		} else if u, err := strconv.ParseUint(part, 10, 64); err == nil {
			args = append(args, u)
		} else {
			return nil, false
		}
	}
	return args, true
}

// read takes rows as answers. Of several rows for one key the first counts.
func (t *sqlTable) read(rows *sql.Rows, l *lookup, byKey map[string]*question, answers map[*question]*found) error {
	keys := len(t.integer)
	cells := make([]sql.RawBytes, keys+len(t.fields))
	to := make([]any, len(cells))
	for i := range cells {
		to[i] = &cells[i]
	}
	fields := *l.fields.Load()
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		q := questionOf(byKey, cells[:keys])
		if q == nil || answers[q] != nil {
			continue
		}
		raw := make([]cdc.Value, len(t.fields))
		for i, cell := range cells[keys:] {
			switch {
			case cell == nil:
			case fields[i].Type == cdc.Binary && fields[i].Semantic == cdc.Plain:
				raw[i] = cdc.Bytes(cell)
			default:
				raw[i] = cdc.String(cell)
			}
		}
		answers[q] = newFound(fields, raw)
	}
	return rows.Err()
}

// questionOf finds the question that a row answers: by the key's text, or, as
// collations do, without regard to case and blanks at the end.
func questionOf(byKey map[string]*question, cells []sql.RawBytes) *question {
	var key cdc.Row
	fields := make([]cdc.Field, len(cells))
	for i := range fields {
		fields[i] = cdc.Field{Name: strconv.Itoa(i), Type: cdc.Text}
	}
	key.Reset(cdc.NewSchema("", fields...))
	for i, cell := range cells {
		key.Values[i] = cdc.String(cell)
	}
	text := string(json.AppendKeyText(nil, &key))
	if q := byKey[text]; q != nil {
		return q
	}
	for asked, q := range byKey {
		if strings.EqualFold(strings.TrimRight(asked, " "), strings.TrimRight(text, " ")) {
			return q
		}
	}
	return nil
}
