package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/weir-cdc/weir/internal/cdc"
)

// patternTimeout bounds one match, since Java's regular expressions, which
// these are, can take for ever.
const patternTimeout = time.Second

// patterns is a list of Java regular expressions that have to match a whole
// name, without regard to case, as everywhere in Debezium's filters.
type patterns []*regexp2.Regexp

func newPatterns(property string, list []string) (patterns, error) {
	var out patterns
	var errs []error
	for _, text := range list {
		p, err := regexp2.Compile(`\A(?:`+strings.ReplaceAll(text, `\,`, `,`)+`)\z`, regexp2.IgnoreCase)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is no regular expression: %w", property, text, err))
			continue
		}
		p.MatchTimeout = patternTimeout
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}

// match reports whether any pattern matches name; one that runs into its time
// limit does not match.
func (ps patterns) match(name string) bool {
	return slices.ContainsFunc(ps, func(p *regexp2.Regexp) bool {
		ok, err := p.MatchString(name)
		return err == nil && ok
	})
}

// includeExclude is a pair of lists of which Debezium allows one to be set.
type includeExclude struct{ include, exclude patterns }

func newIncludeExclude(name string, include, exclude []string) (includeExclude, error) {
	in, err1 := newPatterns(name+".include.list", include)
	ex, err2 := newPatterns(name+".exclude.list", exclude)
	var both error
	if len(include) > 0 && len(exclude) > 0 {
		both = fmt.Errorf("%s.include.list and %s.exclude.list are both set; only one may be", name, name)
	}
	return includeExclude{in, ex}, errors.Join(err1, err2, both)
}

func (f *includeExclude) includes(name string) bool {
	if len(f.include) > 0 {
		return f.include.match(name)
	}
	return !f.exclude.match(name)
}

// FilterLists are the lists of database., table. and column.include.list and
// exclude.list; table.ignore.builtin is true.
type FilterLists struct {
	DatabaseInclude, DatabaseExclude []string // match database
	TableInclude, TableExclude       []string // match database.table
}

// TableFilter says which databases and tables are captured.
type TableFilter struct{ databases, tables includeExclude }

// NewTableFilter compiles the lists. Its error joins all that is wrong.
func NewTableFilter(l FilterLists) (*TableFilter, error) {
	databases, err1 := newIncludeExclude("database", l.DatabaseInclude, l.DatabaseExclude)
	tables, err2 := newIncludeExclude("table", l.TableInclude, l.TableExclude)
	return &TableFilter{databases, tables}, errors.Join(err1, err2)
}

// builtin are the servers' own databases.
var builtin = []string{"mysql", "performance_schema", "sys", "information_schema"}

// Database reports whether tables of the database can be captured.
func (f *TableFilter) Database(name string) bool {
	return !isBuiltin(name) && f.databases.includes(name)
}

// Table reports whether the table is captured.
func (f *TableFilter) Table(database, table string) bool {
	return f.Database(database) && f.tables.includes(database+"."+table)
}

func isBuiltin(database string) bool { return slices.Contains(builtin, strings.ToLower(database)) }

// ColumnFilter is column.include.list or column.exclude.list.
type ColumnFilter struct{ columns includeExclude }

// NewColumnFilter compiles the lists; nil if both are empty.
func NewColumnFilter(include, exclude []string) (*ColumnFilter, error) {
	if len(include)+len(exclude) == 0 {
		return nil, nil
	}
	columns, err := newIncludeExclude("column", include, exclude)
	return &ColumnFilter{columns}, err
}

// Includes reports whether a column is published. A nil filter takes all.
func (f *ColumnFilter) Includes(database, table, column string) bool {
	return f == nil || f.columns.includes(database+"."+table+"."+column)
}

// KeyColumns is message.key.columns: which columns are the key instead of a
// table's own.
type KeyColumns struct{ columns patterns }

// NewKeyColumns reads table:column,column;table:column …; nil for "".
func NewKeyColumns(text string) (*KeyColumns, error) {
	const property = "message.key.columns"
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var list []string
	for _, entry := range strings.Split(text, ";") {
		table, columns, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok || table == "" || columns == "" || strings.Contains(columns, ":") {
			return nil, fmt.Errorf("%s: %q is not of the form database.table:column,column", property, entry)
		}
		for _, column := range strings.Split(columns, ",") {
			list = append(list, table+"."+strings.TrimSpace(column))
		}
	}
	ps, err := newPatterns(property, list)
	return &KeyColumns{ps}, err
}

// Of are the names of a table's key columns in the order of the property; the
// table's own key where the property says nothing of it.
func (k *KeyColumns) Of(d *Definition) []string {
	if k == nil {
		return d.Key()
	}
	var out []string
	for i := range k.columns {
		for c := range d.Columns {
			if k.columns[i : i+1].match(d.Database + "." + d.Name + "." + d.Columns[c].Name) {
				out = append(out, d.Columns[c].Name)
			}
		}
	}
	if len(out) == 0 {
		return d.Key()
	}
	return out
}

// SourceTypes are column.propagate.source.type and
// datatype.propagate.source.type: whose type in the database is told in the
// schema's parameters.
type SourceTypes struct{ columns, types patterns }

// NewSourceTypes compiles the lists, which match database.table.column and
// database.table.TYPE; nil if both are empty.
func NewSourceTypes(columns, types []string) (*SourceTypes, error) {
	if len(columns)+len(types) == 0 {
		return nil, nil
	}
	c, err1 := newPatterns("column.propagate.source.type", columns)
	t, err2 := newPatterns("datatype.propagate.source.type", types)
	return &SourceTypes{c, t}, errors.Join(err1, err2)
}

// params are the parameters that Debezium adds for a column.
func (s *SourceTypes) params(d *Definition, c *Column) []cdc.Param {
	if s == nil {
		return nil
	}
	table := d.Database + "." + d.Name + "."
	if !s.columns.match(table+c.Name) && !s.types.match(table+c.TypeName()) {
		return nil
	}
	return sourceTypeParams(c)
}
