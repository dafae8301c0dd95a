// Package mysql captures MySQL and MariaDB: it reads the binary log and tables,
// follows the definitions of tables through DDL, and turns row images into rows.
package mysql

import (
	"slices"
	"strings"
)

// Definition is a table as it was at some position of the log. It is
// immutable; DDL makes another.
type Definition struct {
	Database  string   `json:"db"`
	Name      string   `json:"table"`
	Charset   string   `json:"charset,omitempty"`   // the table's default character set, e.g. utf8mb4
	Collation string   `json:"collation,omitempty"` // the table's default collation
	Comment   string   `json:"comment,omitempty"`
	Columns   []Column `json:"columns"`
	// PrimaryKey are the names of the primary key's columns in the key's order;
	// Unique the same of the first unique key whose columns are all NOT NULL,
	// used where there is no primary key.
	PrimaryKey []string `json:"primary,omitempty"`
	Unique     []string `json:"unique,omitempty"`
	// Keys are all other keys in the order in which the servers show them. Unique
	// follows from them.
	Keys []Key `json:"keys,omitempty"`
	// Versioned says that MariaDB keeps the history of rows (system versioning),
	// Sequence that this is no table but a MariaDB sequence.
	Versioned bool `json:"versioned,omitempty"`
	Sequence  bool `json:"sequence,omitempty"`
	// Period is MariaDB's application-time period, which keys name like a column.
	Period Period `json:"period,omitzero"`
}

// Period is a period of a MariaDB table: its name and its two columns.
type Period struct {
	Name  string `json:"name"`
	Start string `json:"start"`
	End   string `json:"end"`
}

// Key is an index of a table, other than the primary key.
type Key struct {
	Name    string   `json:"name"`
	Unique  bool     `json:"unique,omitempty"`
	Columns []string `json:"columns,omitempty"`
	// Prefix says that it has only the beginning of a column, Expression that it
	// has something else than columns.
	Prefix     bool `json:"prefix,omitempty"`
	Expression bool `json:"expression,omitempty"`
	// Foreign says that it is the index that a foreign key made, which the server
	// may drop for another one.
	Foreign bool `json:"foreign,omitempty"`
	// Prefixes are how much of each of Columns it has, 0 for all; nil for all of all.
	Prefixes []int `json:"prefixes,omitempty"`
}

// Column is one column of a Definition.
type Column struct {
	Name string `json:"name"`
	// Type is the base type in capitals, without attributes, as the server
	// names it: INT, VARCHAR, DECIMAL, ENUM, TIMESTAMP, GEOMETRY, INET6 …
	Type     string `json:"type"`
	Unsigned bool   `json:"unsigned,omitempty"`
	Zerofill bool   `json:"zerofill,omitempty"`
	// Length is what stands in parentheses: characters, digits, bits, fraction
	// digits of a temporal type; -1 is nothing. Scale likewise; -1 is nothing.
	Length int `json:"length"`
	Scale  int `json:"scale"`
	// Charset and Collation are of character columns, ENUM and SET, the table's
	// defaults filled in; "binary" for binary columns.
	Charset   string `json:"charset,omitempty"`
	Collation string `json:"collation,omitempty"`
	Optional  bool   `json:"optional,omitempty"` // may be NULL
	// HasDefault says that the column has a DEFAULT; Default is its text
	// without quotes (an expression's source where DefaultExpression), and
	// DefaultNull that it is NULL.
	HasDefault        bool     `json:"hasDefault,omitempty"`
	Default           string   `json:"default,omitempty"`
	DefaultNull       bool     `json:"defaultNull,omitempty"`
	DefaultExpression bool     `json:"defaultExpression,omitempty"`
	DefaultHex        bool     `json:"defaultHex,omitempty"` // Default is a literal 0x… or x'…', as it stands
	AutoIncrement     bool     `json:"autoIncrement,omitempty"`
	Generated         bool     `json:"generated,omitempty"` // GENERATED ALWAYS AS …, stored or virtual
	Invisible         bool     `json:"invisible,omitempty"`
	Comment           string   `json:"comment,omitempty"`
	Values            []string `json:"values,omitempty"` // of ENUM and SET
	SRID              int      `json:"srid,omitempty"`   // of geometry; -1 is none
	// Hidden says that the column is in row images only: the row_start and
	// row_end that MariaDB adds to system-versioned tables.
	Hidden bool `json:"hidden,omitempty"`
	// RowEnd says that the column is where a row's version ends in a
	// system-versioned MariaDB table, hidden or not. It is part of no key.
	RowEnd bool `json:"rowEnd,omitempty"`
	// Written is the type's name, with UNSIGNED and the like, where DDL wrote
	// another than the server shows (INTEGER, BOOLEAN, NVARCHAR), in capitals;
	// Literals are Values as they were written where the server would write
	// them otherwise. Schema change events repeat both.
	Written  string   `json:"written,omitempty"`
	Literals []string `json:"literals,omitempty"`
}

// Column returns the named column, without regard to case as MySQL has it, or
// nil.
func (d *Definition) Column(name string) *Column {
	for i := range d.Columns {
		if strings.EqualFold(d.Columns[i].Name, name) {
			return &d.Columns[i]
		}
	}
	return nil
}

// Key are the names of the columns that identify a row: the primary key, else
// the first NOT NULL unique key, else nil.
func (d *Definition) Key() []string {
	if len(d.PrimaryKey) > 0 {
		return d.PrimaryKey
	}
	return d.Unique
}

// sortKeys puts the keys in the servers' order, which decides which of several
// unique keys is the table's: unique ones whose columns are all NOT NULL, other
// unique ones, the rest; among unique ones those of whole columns first.
func (d *Definition) sortKeys() {
	rank := func(k *Key) int {
		switch {
		case !k.Unique:
			return 4
		case !d.notNull(k) && k.Prefix:
			return 3
		case !d.notNull(k):
			return 2
		case k.Prefix:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(d.Keys, func(a, b Key) int { return rank(&a) - rank(&b) })
}

// chooseUnique sets Unique to the first key that tells rows apart.
func (d *Definition) chooseUnique() {
	d.Unique = nil
	for i := range d.Keys {
		if k := &d.Keys[i]; k.Unique && !k.Expression && d.notNull(k) {
			d.Unique = slices.Clone(k.Columns)
			return
		}
	}
}

// wholeColumns forgets prefixes that are as long as their columns, or of columns
// that have none: to the servers they are whole columns.
func (d *Definition) wholeColumns(k *Key) {
	if len(k.Prefixes) != len(k.Columns) {
		return
	}
	for i, name := range k.Columns {
		if c := d.Column(name); c != nil && !c.longerThan(k.Prefixes[i]) {
			k.Prefixes[i] = 0
		}
	}
	k.Prefix = slices.ContainsFunc(k.Prefixes, func(n int) bool { return n > 0 })
	if !k.Prefix {
		k.Prefixes = nil
	}
}

// longerThan reports whether a prefix of n is not all of a column.
func (c *Column) longerThan(n int) bool {
	switch c.Type {
	case "CHAR", "BINARY", "VARCHAR", "VARBINARY":
		return n < canonicalLength(c)
	}
	k := kinds[c.Type]
	return k == kindText || k == kindBinary || k == kindGeometry
}

// notNull reports whether none of a key's columns can be NULL.
func (d *Definition) notNull(k *Key) bool {
	for _, name := range k.Columns {
		if c := d.Column(name); c == nil || c.Optional || c.Hidden {
			return false
		}
	}
	return len(k.Columns) > 0
}

// clone is a copy whose columns and keys can be changed.
func (d *Definition) clone() *Definition {
	out := *d
	out.Columns = slices.Clone(d.Columns)
	out.PrimaryKey = slices.Clone(d.PrimaryKey)
	out.Keys = slices.Clone(d.Keys)
	for i := range out.Keys {
		out.Keys[i].Columns = slices.Clone(out.Keys[i].Columns)
		out.Keys[i].Prefixes = slices.Clone(out.Keys[i].Prefixes)
	}
	return &out
}
