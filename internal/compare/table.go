package compare

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table is a MySQL or MariaDB table as one side of a comparison.
type Table struct {
	Database, Name string
	Columns        []Column
	Key            []string // names of the key's columns, in order

	db  *sql.DB
	key []int // the key's places in Columns
}

// TableOptions say how a table's rows come out at its targets.
type TableOptions struct {
	// Key are the columns that tell rows apart where they are not those of the
	// primary key (message.key.columns).
	Key []string
	// JSONObjects says that documents have JSON columns as JSON, not as text
	// (json.columns=object).
	JSONObjects bool
}

// NewTable reads a table's columns and key.
func NewTable(ctx context.Context, db *sql.DB, database, name string, options TableOptions) (*Table, error) {
	t := &Table{Database: database, Name: name, Key: options.Key, db: db}
	if err := t.readColumns(ctx, options); err != nil {
		return nil, fmt.Errorf("reading the columns of %s: %w", t, err)
	}
	if len(t.Key) == 0 {
		if err := t.readKey(ctx); err != nil {
			return nil, fmt.Errorf("reading the key of %s: %w", t, err)
		}
	}
	for _, name := range t.Key {
		at := slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
		if at < 0 {
			return nil, fmt.Errorf("reading the key of %s: there is no column %s", t, name)
		}
		t.key = append(t.key, at)
	}
	return t, nil
}

// Tables lists the base tables of databases, sorted.
func Tables(ctx context.Context, db *sql.DB, databases ...string) (tables [][2]string, err error) {
	for _, database := range databases {
		rows, err := db.QueryContext(ctx, `SELECT table_name FROM information_schema.tables
			WHERE table_schema = ? AND table_type = 'BASE TABLE' ORDER BY table_name`, database)
		if err != nil {
			return nil, fmt.Errorf("listing the tables of %s: %w", database, err)
		}
		var name string
		err = eachRow(rows, []any{&name}, func() error {
			tables = append(tables, [2]string{database, name})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("listing the tables of %s: %w", database, err)
		}
	}
	return tables, nil
}

// eachRow scans every row, and closes rows.
func eachRow(rows *sql.Rows, into []any, each func() error) error {
	defer func() { _ = rows.Close() }() // its error is that of Err
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// String is database.name.
func (t *Table) String() string { return t.Database + "." + t.Name }

// from is the table's name in SQL.
func (t *Table) from() string { return quote(t.Database) + "." + quote(t.Name) }

func (t *Table) readColumns(ctx context.Context, options TableOptions) error {
	rows, err := t.db.QueryContext(ctx, `SELECT column_name, LOWER(data_type), column_type LIKE '%unsigned%', is_nullable = 'YES', COALESCE(datetime_precision, 0)
		FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`, t.Database, t.Name)
	if err != nil {
		return err
	}
	c := Column{objects: options.JSONObjects}
	err = eachRow(rows, []any{&c.Name, &c.Type, &c.Unsigned, &c.Nullable, &c.Digits}, func() error {
		var known bool
		if c.kind, known = kinds[c.Type]; !known {
			return fmt.Errorf("column %s is of type %s, which cannot be compared", c.Name, c.Type)
		}
		t.Columns = append(t.Columns, c)
		return nil
	})
	if err == nil && len(t.Columns) == 0 {
		err = errors.New("there is no such table, or no right to read it")
	}
	if err != nil {
		return err
	}
	return t.inSession(ctx, func(connection *sql.Conn) error {
		for i := range t.Columns {
			if err := t.readDefault(ctx, connection, &t.Columns[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// readDefault asks for what ADD COLUMN put into the rows that were there. It
// remains unknown for an expression, and in an empty table.
func (t *Table) readDefault(ctx context.Context, connection *sql.Conn, c *Column) error {
	expression := "DEFAULT(" + quote(c.Name) + ")"
	if c.kind == kindFloat {
		expression += " + 0e0"
	}
	var text sql.RawBytes
	rows, err := connection.QueryContext(ctx, "SELECT "+expression+" FROM "+t.from()+" LIMIT 1")
	if err != nil {
		return ctx.Err() // the column has no default: a row that lacks it is wrong
	}
	err = eachRow(rows, []any{&text}, func() error {
		v, err := c.fromServer(nil, text)
		c.added = &v
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.added = nil
	}
	return nil
}

func (t *Table) readKey(ctx context.Context) error {
	rows, err := t.db.QueryContext(ctx, `SELECT column_name FROM information_schema.statistics
		WHERE table_schema = ? AND table_name = ? AND index_name = 'PRIMARY' ORDER BY seq_in_index`, t.Database, t.Name)
	if err != nil {
		return err
	}
	var name string
	err = eachRow(rows, []any{&name}, func() error {
		t.Key = append(t.Key, name)
		return nil
	})
	if err == nil && len(t.Key) == 0 {
		err = errors.New("the table has no primary key, so that its rows cannot be told apart")
	}
	return err
}

// session makes the server's texts the same on every server and connection.
const session = "SET SESSION time_zone = '+00:00', sql_mode = '', character_set_results = 'utf8mb4'"

// inSession calls do with a connection of its own, which nobody gets afterwards.
func (t *Table) inSession(ctx context.Context, do func(*sql.Conn) error) error {
	connection, err := t.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_ = connection.Raw(func(any) error { return driver.ErrBadConn }) // closes it
	}()
	if _, err := connection.ExecContext(ctx, session); err != nil {
		return err
	}
	return do(connection)
}

// Each reads the table in one consistent read.
func (t *Table) Each(ctx context.Context, each func(*Row) error) error {
	return t.inSession(ctx, func(connection *sql.Conn) error { return t.read(ctx, connection, each) })
}

func (t *Table) read(ctx context.Context, connection *sql.Conn, each func(*Row) error) error {
	expressions := make([]string, len(t.Columns))
	for i := range t.Columns {
		expressions[i] = t.Columns[i].expression()
	}
	rows, err := connection.QueryContext(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM "+t.from())
	if err != nil {
		return err
	}
	texts := make([]sql.RawBytes, len(t.Columns))
	into := make([]any, len(texts))
	for i := range texts {
		into[i] = &texts[i]
	}
	b := t.builder()
	return eachRow(rows, into, func() error {
		for i := range texts {
			v, err := t.Columns[i].fromServer(b.scratch[i][:0], texts[i])
			if err != nil {
				return fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
			}
			b.set(i, v)
		}
		return each(b.build())
	})
}

// builder puts the rows of one side together.
type builder struct {
	table   *Table
	values  []value
	scratch [][]byte // memory of the values
	row     Row
}

func (t *Table) builder() *builder {
	return &builder{table: t, values: make([]value, len(t.Columns)), scratch: make([][]byte, len(t.Columns))}
}

func (b *builder) set(i int, v value) {
	b.values[i] = v
	if v.text != nil {
		b.scratch[i] = v.text
	}
}

// take sets a column to what a target has. What cannot be that column's value is
// equal to none.
func (b *builder) take(i int, v cell) {
	out, err := b.table.Columns[i].canonical(b.scratch[i][:0], v)
	if err != nil {
		out = value{text: append(b.scratch[i][:0], "unreadable ("+err.Error()+")"...)}
	}
	b.set(i, out)
}

// lack is a column that a row of the target does not have: one from before the
// column was added, if the column has a default.
func (b *builder) lack(i int) {
	if c := &b.table.Columns[i]; c.added != nil {
		b.values[i] = *c.added
		b.row.Incomplete = true
		return
	}
	b.set(i, value{text: append(b.scratch[i][:0], "absent"...)})
}

// build is the row of the values, valid until the next one.
func (b *builder) build() *Row {
	r := &b.row
	r.Key, r.Values = r.Key[:0], r.Values[:0]
	for _, i := range b.table.key {
		r.Key = appendValue(r.Key, b.values[i])
	}
	for i := range b.values {
		r.Values = appendValue(r.Values, b.values[i])
	}
	return r
}

// reset forgets what was said of the row before.
func (b *builder) reset() { b.row = Row{Key: b.row.Key, Values: b.row.Values} }

// appendValue appends a value so that no two rows are one text: its length plus
// one, 0 for NULL, and its text.
func appendValue(dst []byte, v value) []byte {
	if v.null {
		return append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(v.text))+1), v.text...)
}

// splitValue is the inverse of appendValue.
func splitValue(b []byte) (v value, rest []byte) {
	n, size := binary.Uvarint(b)
	if n == 0 {
		return value{null: true}, b[size:]
	}
	return value{text: b[size : size+int(n)-1]}, b[size+int(n)-1:]
}

// keyText is the key as Elasticsearch's ids and Redis's keys have it: the text
// of the only column, or those of all joined by |, with \ before each \ and |. It
// is false where a key's text is not that of its value here.
func (b *builder) keyText() (string, bool) {
	var out strings.Builder
	for n, i := range b.table.key {
		switch c := &b.table.Columns[i]; {
		case c.kind != kindText && c.kind != kindInt && c.kind != kindDate:
			return "", false
		case c.Unsigned && c.Type == "bigint": // may have wrapped
			return "", false
		}
		if n > 0 {
			out.WriteByte('|')
		}
		text := string(b.values[i].text)
		if len(b.table.key) > 1 {
			text = strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(text)
		}
		out.WriteString(text)
	}
	return out.String(), true
}

// describeKey shows a key to people.
func (t *Table) describeKey(key []byte) string {
	var parts []string
	for range t.Key {
		var v value
		v, key = splitValue(key)
		parts = append(parts, v.String())
	}
	return strings.Join(parts, "|")
}

// longestShown bounds what is shown of a value.
const longestShown = 80

// String shows a value to people.
func (v value) String() string {
	if v.null {
		return "NULL"
	}
	if len(v.text) > longestShown {
		return fmt.Sprintf("%q… (%d bytes)", v.text[:longestShown], len(v.text))
	}
	return string(v.text)
}

// describeDifference says which column of two rows is not the same.
func (t *Table) describeDifference(source, copied []byte, target string) string {
	for i := range t.Columns {
		var want, got value
		want, source = splitValue(source)
		got, copied = splitValue(copied)
		if want.null != got.null || string(want.text) != string(got.text) {
			return fmt.Sprintf("%s is %s in the table and %s in %s", t.Columns[i].Name, want, got, target)
		}
	}
	return "it differed and is equal meanwhile"
}
