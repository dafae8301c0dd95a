package capture

import (
	"fmt"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// Filter selects what is captured by Debezium's include and exclude lists:
// anchored regular expressions, compared without regard to case, compiled once.
// An include list that is set wins; a table must also be of a database that is
// selected. The zero Filter selects everything. It is immutable.
type Filter struct {
	databases, tables, columns, snapshot selection
	keys                                 []keyRule
	ignoreBuiltin                        bool
}

// selection is one pair of lists; at most one of them is set.
type selection struct{ include, exclude config.RegexList }

func (s *selection) match(name string) bool {
	if len(s.include) > 0 {
		return s.include.Match(name)
	}
	return !s.exclude.Match(name)
}

// keyRule is one entry of message.key.columns.
type keyRule struct {
	table   *config.Regex
	columns []string
}

// Database reports whether databases of this name are captured at all.
func (f *Filter) Database(name string) bool { return f.databases.match(name) }

// Table reports whether the table database.name is captured.
func (f *Filter) Table(database, name string) bool {
	return f.databases.match(database) && f.tables.match(database+"."+name)
}

// Column reports whether a captured table's column is part of its rows. Columns
// of its key are part of the key all the same.
func (f *Filter) Column(database, table, column string) bool {
	return f.columns.match(database + "." + table + "." + column)
}

// Snapshot reports whether a captured table takes part in snapshots
// (snapshot.include.collection.list).
func (f *Filter) Snapshot(t *Table) bool { return f.snapshot.match(t.ID()) }

// IgnoreBuiltin is table.ignore.builtin: the server's own databases are never
// captured.
func (f *Filter) IgnoreBuiltin() bool { return f.ignoreBuiltin }

// KeyColumns are the columns that message.key.columns names for a table, in its
// order; ok is false where it names none. Their case is the configuration's.
func (f *Filter) KeyColumns(database, table string) (columns []string, ok bool) {
	for i := range f.keys {
		if f.keys[i].table.Match(database + "." + table) {
			return f.keys[i].columns, true
		}
	}
	return nil, false
}

// newFilter reads the lists; all errors at once are left to the caller.
func newFilter(v *config.Values) (*Filter, []error) {
	f := &Filter{ignoreBuiltin: v.Bool("table.ignore.builtin")}
	var errs []error
	for kind, to := range map[string]*selection{"database": &f.databases, "table": &f.tables, "column": &f.columns} {
		include, exclude := kind+".include.list", kind+".exclude.list"
		to.include, to.exclude = v.Regexes(include), v.Regexes(exclude)
		if len(to.include) > 0 && len(to.exclude) > 0 {
			errs = append(errs, v.Error(exclude, "either "+include+" or "+exclude+", not both"))
		}
	}
	f.snapshot.include = v.Regexes("snapshot.include.collection.list")
	keys, err := parseKeyColumns(v.String("message.key.columns"))
	if err != nil {
		errs = append(errs, v.Error("message.key.columns", err.Error()))
	}
	f.keys = keys
	return f, errs
}

// parseKeyColumns reads database.table:column,column;… whose tables are
// expressions.
func parseKeyColumns(text string) ([]keyRule, error) {
	var rules []keyRule
	for _, entry := range strings.Split(text, ";") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		at := strings.LastIndexByte(entry, ':')
		if at <= 0 || at == len(entry)-1 {
			return nil, fmt.Errorf("database.table:column,column;… where %q is", entry)
		}
		table, err := config.CompileRegex(strings.TrimSpace(entry[:at]))
		if err != nil {
			return nil, fmt.Errorf("an expression before the colon of %q (%w)", entry, err)
		}
		rule := keyRule{table: table}
		for _, column := range strings.Split(entry[at+1:], ",") {
			if column = strings.TrimSpace(column); column == "" {
				return nil, fmt.Errorf("a column's name after each comma of %q", entry)
			}
			rule.columns = append(rule.columns, column)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
