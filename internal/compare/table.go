package compare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Table is a MySQL or MariaDB table as one side of a comparison.
type Table struct {
	Database, Name string
	Columns        []Column
	Key            []string // names of the key's columns, in order
	db             *sql.DB
}

// NewTable reads a table's columns and key. db has to be in UTC (time_zone).
func NewTable(ctx context.Context, db *sql.DB, database, name string) (*Table, error) {
	t := &Table{Database: database, Name: name, db: db}
	rows, err := db.QueryContext(ctx, `SELECT column_name, LOWER(data_type), COALESCE(datetime_precision, numeric_precision, 0)
		FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`, database, name)
	if err != nil {
		return nil, fmt.Errorf("reading the columns of %s.%s: %w", database, name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Name, &c.Type, &c.Bits); err != nil {
			return nil, fmt.Errorf("reading the columns of %s.%s: %w", database, name, err)
		}
		t.Columns = append(t.Columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the columns of %s.%s: %w", database, name, err)
	}
	if len(t.Columns) == 0 {
		return nil, fmt.Errorf("reading the columns of %s.%s: there is no such table", database, name)
	}
	return t, t.readKey(ctx)
}

func (t *Table) readKey(ctx context.Context) error {
	rows, err := t.db.QueryContext(ctx, `SELECT column_name FROM information_schema.statistics
		WHERE table_schema = ? AND table_name = ? AND index_name = 'PRIMARY' ORDER BY seq_in_index`, t.Database, t.Name)
	if err != nil {
		return fmt.Errorf("reading the key of %s.%s: %w", t.Database, t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return fmt.Errorf("reading the key of %s.%s: %w", t.Database, t.Name, err)
		}
		t.Key = append(t.Key, name)
	}
	if len(t.Key) == 0 && rows.Err() == nil {
		return fmt.Errorf("%s.%s has no primary key, so that its rows cannot be told apart", t.Database, t.Name)
	}
	return rows.Err()
}

// Each reads the table in one consistent read.
func (t *Table) Each(ctx context.Context, each func(key, row string) error) error {
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = "`" + strings.ReplaceAll(t.Columns[i].Name, "`", "``") + "`"
	}
	rows, err := t.db.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM `%s`.`%s`", strings.Join(names, ", "), t.Database, t.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	texts := make([]sql.RawBytes, len(t.Columns))
	into := make([]any, len(texts))
	for i := range texts {
		into[i] = &texts[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		key, row, err := t.canonical(func(i int) (string, error) {
			if texts[i] == nil {
				return null, nil
			}
			return t.Columns[i].fromTable(string(texts[i]))
		})
		if err != nil {
			return err
		}
		if err := each(key, row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// canonical joins the canonical values of all columns, and those of the key.
func (t *Table) canonical(value func(column int) (string, error)) (key, row string, err error) {
	var columns []string
	values := map[string]string{}
	for i := range t.Columns {
		v, err := value(i)
		if err != nil {
			return "", "", fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
		}
		values[t.Columns[i].Name] = v
		columns = append(columns, t.Columns[i].Name+"="+v)
	}
	var keys []string
	for _, name := range t.Key {
		keys = append(keys, values[name])
	}
	return strings.Join(keys, "|"), strings.Join(columns, separator), nil
}

// Document is the canonical form of a document that holds a row of t, and of
// its key. Fields that are no columns do not matter; a column that the document
// lacks is an error.
func (t *Table) Document(document map[string]any) (key, row string, err error) {
	return t.canonical(func(i int) (string, error) {
		v, ok := document[t.Columns[i].Name]
		if !ok {
			return "", errors.New("the document does not have it")
		}
		return t.Columns[i].fromJSON(v)
	})
}
