package mysql

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tableBuilder makes a Definition of what CREATE and ALTER TABLE say. Its
// errors mean that the table was not what it was thought to be.
type tableBuilder struct {
	session  *ddlSession
	d        *Definition
	database ddlLocale // what CONVERT TO CHARACTER SET DEFAULT means
	locale   ddlLocale // the table's default
	// converted is what CONVERT TO gives the columns.
	converted ddlLocale
	// columns are those of the new table while it is being made; was is the name
	// that an existing one has had.
	columns []builtColumn
	stamped []string // columns that got the implicit default of a TIMESTAMP
}

type builtColumn struct {
	Column
	was  string
	said bool // by the statement itself
}

// create makes the table of a CREATE TABLE.
func (b *tableBuilder) create(c *ddlCreate) error {
	if b.locale.charset == "" {
		return fmt.Errorf("the default character set of database %s is not known", b.d.Database)
	}
	b.d.Charset, b.d.Collation = b.locale.charset, b.locale.collation
	var keys []ddlKey
	bounds := false
	for i := range c.columns {
		column := &c.columns[i]
		bounds, c.versioned = bounds || column.rowBound, c.versioned || column.versioned
		b.columns = append(b.columns, builtColumn{Column: b.column(column)})
		keys = append(keys, columnKeys(column)...)
	}
	b.finishColumns()
	if c.versioned {
		b.addVersioning(bounds)
	}
	if err := b.addKeys(append(keys, c.keys...)); err != nil {
		return err
	}
	return b.finish()
}

// columnKeys are the keys that a column's attributes ask for.
func columnKeys(c *ddlColumn) []ddlKey {
	var out []ddlKey
	if c.primary {
		out = append(out, ddlKey{primary: true, columns: []string{c.Name}})
	}
	if c.unique || c.serial {
		out = append(out, ddlKey{unique: true, columns: []string{c.Name}})
	}
	if c.references {
		out = append(out, ddlKey{foreign: true, columns: []string{c.Name}})
	}
	return out
}

// column completes a column with the table's defaults.
func (b *tableBuilder) column(c *ddlColumn) Column {
	out := c.Column
	out.AutoIncrement = c.AutoIncrement || c.serial
	out.Optional = c.null != nullNo && !c.primary && (!out.AutoIncrement || c.nullLast || b.session.shown) && !c.rowBound
	if out.Type == "TIMESTAMP" && b.session.implicitTimestamps {
		b.implicitTimestamp(&out, c)
	}
	b.characterSet(&out, c.binary)
	return out
}

// implicitTimestamp is what explicit_defaults_for_timestamp=OFF makes of a
// TIMESTAMP: NOT NULL unless it says NULL, and with zero as default.
func (b *tableBuilder) implicitTimestamp(out *Column, c *ddlColumn) {
	out.Optional = c.null == nullYes
	if out.Optional || out.HasDefault || c.Generated {
		return
	}
	out.HasDefault, out.Default = true, zeroTimestamp
	b.stamped = append(b.stamped, out.Name)
}

const zeroTimestamp = "0000-00-00 00:00:00"

// firstTimestamp gives the table's first TIMESTAMP, if the statement made it
// and said no default, the current time.
func (b *tableBuilder) firstTimestamp() {
	i := slices.IndexFunc(b.d.Columns, func(c Column) bool { return c.Type == "TIMESTAMP" })
	if i >= 0 && slices.Contains(b.stamped, b.d.Columns[i].Name) {
		b.d.Columns[i].Default, b.d.Columns[i].DefaultExpression = "CURRENT_TIMESTAMP", true
	}
}

// binaryTypes are what character types are with the character set binary.
var binaryTypes = map[string]string{
	"CHAR": "BINARY", "VARCHAR": "VARBINARY", "TINYTEXT": "TINYBLOB", "TEXT": "BLOB", "MEDIUMTEXT": "MEDIUMBLOB", "LONGTEXT": "LONGBLOB",
}

// characterSet fills in character set and collation.
func (b *tableBuilder) characterSet(c *Column, binary bool) {
	switch c.Type {
	case "CHAR", "VARCHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "ENUM", "SET":
		l := b.session.resolve(ddlLocale{c.Charset, c.Collation}, b.locale)
		if binary && c.Collation == "" {
			l.collation = l.charset + "_bin"
		}
		c.Charset, c.Collation = l.charset, l.collation
		if l.charset != "binary" {
			c.trimChoices()
		}
		if typ, ok := binaryTypes[c.Type]; ok && l.charset == "binary" {
			c.Type, c.Written = typ, c.TypeName()
		}
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		c.Charset, c.Collation = "binary", "binary"
	default:
		c.Charset, c.Collation = "", ""
	}
	if (c.Type == "TEXT" || c.Type == "BLOB") && c.Length >= 0 {
		c.sized(b.session.mariadb)
	}
	c.fitted(b.session.mariadb)
}

// fitted makes a VARCHAR that is too long for one a TEXT, as the servers do which
// are not strict.
func (c *Column) fitted(mariadb bool) {
	most := 1<<16 - 1
	if mariadb { // which counts the bytes of the length
		most -= 2
	}
	written, to := c.TypeName(), map[string]string{"VARCHAR": "TEXT", "VARBINARY": "BLOB"}[c.Type]
	switch bytes := c.Length * charsetWidth(c.Charset); {
	case to == "" || bytes <= most:
		return
	case bytes < 1<<16:
		c.Type = to
	case bytes < 1<<24:
		c.Type = "MEDIUM" + to
	default:
		c.Type = "LONG" + to
	}
	c.Written = written
}

// trimChoices leaves out the blanks at the ends of an ENUM's or SET's values,
// which count among bytes only.
func (c *Column) trimChoices() {
	c.Values = slices.Clone(c.Values)
	for i := range c.Values {
		c.Values[i] = strings.TrimRight(c.Values[i], " ")
	}
}

// sized makes TEXT(n) and BLOB(n) the smallest of these types that has room.
func (c *Column) sized(mariadb bool) {
	bytes, written := c.Length*charsetWidth(c.Charset), c.TypeName()
	switch {
	case c.Length == 0 && mariadb:
	case bytes < 1<<8:
		c.Type = "TINY" + c.Type
	case bytes < 1<<16:
	case bytes < 1<<24:
		c.Type = "MEDIUM" + c.Type
	default:
		c.Type = "LONG" + c.Type
	}
	if written != c.TypeName() {
		c.Written = written
	}
}

// addVersioning adds the columns in which MariaDB keeps how long a row was
// current, unless there are such already.
func (b *tableBuilder) addVersioning(bounds bool) {
	b.d.Versioned = true
	if bounds {
		return
	}
	for _, name := range []string{"row_start", "row_end"} {
		b.d.Columns = append(b.d.Columns, Column{
			Name: name, Type: "TIMESTAMP", Length: 6, Scale: -1, SRID: -1, Invisible: true, Hidden: true, RowEnd: name == "row_end",
		})
	}
}

func (b *tableBuilder) finishColumns() {
	b.d.Columns = b.d.Columns[:0:0]
	for i := range b.columns {
		b.d.Columns = append(b.d.Columns, b.columns[i].Column)
	}
	b.firstTimestamp()
}

// addKeys adds keys; those without a name are named as the servers do.
func (b *tableBuilder) addKeys(keys []ddlKey) error {
	b.addPeriods(keys)
	var foreign []string
	for i := range keys {
		k := &keys[i]
		if k.period || k.foreign && b.covered(k, keys) {
			continue
		}
		k.columns = b.withoutRowEnd(k.columns)
		if k.primary {
			if err := b.primaryKey(k); err != nil {
				return err
			}
			continue
		}
		if k.name == "" {
			if at := b.keyIndex(k.first()); at >= 0 && b.d.Keys[at].Foreign && !slices.Contains(foreign, k.first()) {
				return fmt.Errorf("whether index %s of a foreign key is still there is not known", k.first())
			}
			k.name = b.keyName(k)
		} else if k.ifNotExists && b.keyIndex(k.name) >= 0 {
			continue
		}
		key := Key{Name: k.name, Unique: k.unique, Columns: k.columns, Prefix: k.prefix, Expression: k.expression, Foreign: k.foreign}
		if k.foreign {
			foreign = append(foreign, k.name)
		}
		if k.prefix && len(k.prefixes) == len(k.columns) { // else the end of a row's version was left out
			key.Prefixes = slices.Clone(k.prefixes)
		}
		b.d.Keys = append(b.d.Keys, key)
	}
	return nil
}

// covered reports whether a foreign key needs no index of its own, since another
// key begins with its columns. If that is all of the other one, it may be the one
// that the server made for it.
func (b *tableBuilder) covered(k *ddlKey, keys []ddlKey) bool {
	begins := func(columns []string) bool {
		return len(columns) >= len(k.columns) && slices.EqualFunc(columns[:len(k.columns)], k.columns, strings.EqualFold)
	}
	found := begins(b.d.PrimaryKey)
	for i := range keys {
		other := &keys[i]
		found = found || !other.foreign && !other.period && !other.prefix && !other.expression && begins(other.columns)
	}
	for i := range b.d.Keys {
		other := &b.d.Keys[i]
		if other.Prefix || other.Expression || !begins(other.Columns) {
			continue
		}
		found = true
		other.Foreign = other.Foreign || !other.Unique && len(other.Columns) == len(k.columns)
	}
	return found
}

// addPeriods makes the columns of periods NOT NULL, and knows the one that keys
// can have.
func (b *tableBuilder) addPeriods(keys []ddlKey) {
	for i := range keys {
		k := &keys[i]
		if !k.period {
			continue
		}
		b.notNull(k.columns)
		if len(k.columns) == 2 && !strings.EqualFold(k.name, "SYSTEM_TIME") {
			b.d.Period = Period{Name: k.name, Start: k.columns[0], End: k.columns[1]}
		}
	}
}

// primaryKey sets the primary key. A period in it stands for its end, then its
// start, behind the columns.
func (b *tableBuilder) primaryKey(k *ddlKey) error {
	b.d.PrimaryKey = k.columns
	if k.overlaps == "" {
		return nil
	}
	if !strings.EqualFold(k.overlaps, b.d.Period.Name) {
		return fmt.Errorf("the primary key's period %s is not known", k.overlaps)
	}
	b.d.PrimaryKey = append(b.d.PrimaryKey, b.d.Period.End, b.d.Period.Start)
	return nil
}

// notNull makes columns NOT NULL.
func (b *tableBuilder) notNull(names []string) {
	for _, name := range names {
		if c := b.d.Column(name); c != nil {
			c.Optional = false
		}
	}
}

// withoutRowEnd leaves out of a key the end of a row's version, which MariaDB
// adds to every unique key of a system-versioned table: of the current rows,
// which are those that are captured, the others are unique without it.
func (b *tableBuilder) withoutRowEnd(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		c := b.d.Column(name)
		return c != nil && c.RowEnd
	})
}

// first is the name that a key has which says none, unless it is taken.
func (k *ddlKey) first() string {
	if k.expressionFirst || len(k.columns) == 0 {
		return "functional_index"
	}
	return k.columns[0]
}

// keyName is the first column's name, with a number where it is taken.
func (b *tableBuilder) keyName(k *ddlKey) string {
	name := k.first()
	if b.keyIndex(name) < 0 && !strings.EqualFold(name, "PRIMARY") {
		return name
	}
	for n := 2; ; n++ {
		if numbered := name + "_" + strconv.Itoa(n); b.keyIndex(numbered) < 0 {
			return numbered
		}
	}
}

func (b *tableBuilder) keyIndex(name string) int {
	return slices.IndexFunc(b.d.Keys, func(k Key) bool { return strings.EqualFold(k.Name, name) })
}

// finish makes what follows from columns and keys.
func (b *tableBuilder) finish() error {
	for i, name := range b.d.PrimaryKey {
		c := b.d.Column(name)
		if c == nil {
			return fmt.Errorf("the primary key's column %s is not known", name)
		}
		c.Optional = false
		if c.DefaultNull {
			c.HasDefault, c.DefaultNull = false, false
		}
		b.d.PrimaryKey[i] = c.Name
	}
	for i := range b.d.Keys {
		for j, name := range b.d.Keys[i].Columns {
			c := b.d.Column(name)
			if c == nil {
				return fmt.Errorf("column %s of key %s is not known", name, b.d.Keys[i].Name)
			}
			b.d.Keys[i].Columns[j] = c.Name
		}
		b.d.wholeColumns(&b.d.Keys[i])
	}
	b.d.sortKeys()
	b.d.chooseUnique()
	return nil
}

// alter changes the table. As in the servers, names of columns are those before
// the statement, but for AFTER; what is moved and what is new takes its place
// in the statement's order.
func (b *tableBuilder) alter(specs []ddlSpec) error {
	b.tableLocale(specs)
	var hidden []Column
	for _, c := range b.d.Columns {
		if c.Hidden {
			hidden = append(hidden, c)
			continue
		}
		b.columns = append(b.columns, builtColumn{Column: c, was: c.Name})
	}
	var keys []ddlKey
	var places []ddlColumn
	for i := range specs {
		if err := b.alterColumn(&specs[i], &places, &keys); err != nil {
			return err
		}
	}
	for i := range places {
		if err := b.place(&places[i]); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(specs, func(s ddlSpec) bool { return s.op == specConvert }) {
		if err := b.convert(); err != nil {
			return err
		}
	}
	if b.keepsPlace(specs) {
		return fmt.Errorf("whether a key that was dropped and added again keeps its place is not known")
	}
	if err := b.followColumns(specs); err != nil {
		return err
	}
	b.finishColumns()
	b.d.Columns = append(b.d.Columns, hidden...)
	b.versioning(specs)
	if err := b.addKeys(keys); err != nil {
		return err
	}
	return b.finish()
}

// tableLocale finds the table's default character set after the statement,
// which columns that are added get too.
func (b *tableBuilder) tableLocale(specs []ddlSpec) {
	b.locale = ddlLocale{b.d.Charset, b.d.Collation}
	var said ddlLocale
	for i := range specs {
		o := &specs[i].options
		switch specs[i].op {
		case specConvert:
			inherited := b.locale
			if o.charset == "default" {
				inherited = b.database
			}
			b.locale = b.session.resolve(o.ddlLocale, inherited)
			if o.charset == "default" && o.collation == "" && !b.session.mariadb {
				b.locale = b.database
			}
			b.converted = b.locale
			if !b.session.mariadb {
				said = ddlLocale{}
			}
		case specOptions:
			said = ddlLocale{cmp.Or(o.charset, said.charset), cmp.Or(o.collation, said.collation)}
			if o.hasComment {
				b.d.Comment = o.comment
			}
		}
	}
	b.locale = b.session.resolve(said, b.locale)
	b.d.Charset, b.d.Collation = b.locale.charset, b.locale.collation
}

// find is the index of an existing column by its name before the statement.
func (b *tableBuilder) find(name string) int {
	return slices.IndexFunc(b.columns, func(c builtColumn) bool { return c.was != "" && strings.EqualFold(c.was, name) })
}

// alterColumn does what a part does to columns; what has to find its place
// afterwards is added to places, keys of columns to keys.
func (b *tableBuilder) alterColumn(s *ddlSpec, places *[]ddlColumn, keys *[]ddlKey) error {
	switch s.op {
	case specAddColumns:
		for _, c := range s.columns {
			if c.ifNotExists && b.find(c.Name) >= 0 {
				continue
			}
			*places = append(*places, c)
			*keys = append(*keys, columnKeys(&c)...)
		}
		*keys = append(*keys, s.keys...)
		return nil
	case specAddKey:
		*keys = append(*keys, s.keys...)
		return nil
	case specChange, specDropColumn, specRenameColumn, specDefault, specVisibility:
	default:
		return nil
	}
	at := b.find(s.name)
	if at < 0 && s.ifExists {
		return nil
	}
	if at < 0 {
		return fmt.Errorf("it has no column %s", s.name)
	}
	if s.op == specChange {
		*keys = append(*keys, columnKeys(&s.columns[0])...)
	}
	b.changeColumn(s, at, places)
	return nil
}

func (b *tableBuilder) changeColumn(s *ddlSpec, at int, places *[]ddlColumn) {
	c := &b.columns[at]
	switch s.op {
	case specRenameColumn:
		c.Name = s.to
	case specDropColumn:
		b.columns = slices.Delete(b.columns, at, at+1)
	case specVisibility:
		c.Invisible = s.columns[0].Invisible
	case specDefault:
		d := &s.columns[0]
		c.HasDefault, c.Default, c.DefaultNull = d.HasDefault, d.Default, d.DefaultNull
		c.DefaultExpression, c.DefaultHex = d.DefaultExpression, d.DefaultHex
	case specChange:
		d := s.columns[0]
		if d.first || d.after != "" {
			d.was = c.was
			*places = append(*places, d)
			b.columns = slices.Delete(b.columns, at, at+1)
			return
		}
		c.Column, c.said = b.column(&d), true
	}
}

// place puts a column where it says.
func (b *tableBuilder) place(c *ddlColumn) error {
	same := func(name string) int {
		return slices.IndexFunc(b.columns, func(x builtColumn) bool { return strings.EqualFold(x.Name, name) })
	}
	if same(c.Name) >= 0 {
		return fmt.Errorf("it has a column %s already", c.Name)
	}
	at := len(b.columns)
	switch {
	case c.first && b.generatedKey():
		at = 1
	case c.first:
		at = 0
	case c.after != "":
		if at = same(c.after) + 1; at == 0 {
			return fmt.Errorf("it has no column %s", c.after)
		}
	}
	b.columns = slices.Insert(b.columns, at, builtColumn{b.column(c), c.was, true})
	return nil
}

// generatedKey reports whether the first column is the primary key that MySQL
// made (sql_generate_invisible_primary_key): it stays the first.
func (b *tableBuilder) generatedKey() bool {
	if len(b.columns) == 0 || len(b.d.PrimaryKey) != 1 {
		return false
	}
	c := &b.columns[0]
	return c.Name == "my_row_id" && b.d.PrimaryKey[0] == c.Name && c.AutoIncrement && c.Invisible
}

// convert gives all columns of text the table's new character set, whatever the
// statement says of a column. TEXT that was there grows where the same number of
// characters may need more bytes.
func (b *tableBuilder) convert() error {
	if b.converted.charset == "binary" {
		return fmt.Errorf("it was converted to bytes")
	}
	sizes := map[string]int{"TINYTEXT": 1<<8 - 1, "TEXT": 1<<16 - 1, "MEDIUMTEXT": 1<<24 - 1}
	for i := range b.columns {
		c := &b.columns[i]
		if c.Charset == "" || c.Charset == "binary" {
			continue
		}
		size, ok := sizes[c.Type]
		if ok && c.said && c.was != "" && !b.session.mariadb {
			return fmt.Errorf("column %s was changed and converted", c.Name)
		}
		if ok && !c.said {
			switch bytes := size / charsetWidth(c.Charset) * charsetWidth(b.converted.charset); {
			case bytes >= 1<<24:
				c.Type = "LONGTEXT"
			case bytes >= 1<<16:
				c.Type = "MEDIUMTEXT"
			case bytes >= 1<<8 && c.Type == "TINYTEXT":
				c.Type = "TEXT"
			}
		}
		c.Charset, c.Collation = b.converted.charset, b.converted.collation
		c.fitted(b.session.mariadb)
	}
	return nil
}

// followColumns lets the keys follow the columns, then drops and renames keys.
func (b *tableBuilder) followColumns(specs []ddlSpec) error {
	b.d.PrimaryKey = b.follow(b.d.PrimaryKey)
	for i := range b.d.Keys {
		b.followKey(&b.d.Keys[i])
	}
	b.d.Keys = slices.DeleteFunc(b.d.Keys, func(k Key) bool { return len(k.Columns) == 0 && !k.Expression })
	for i := range specs {
		switch s := &specs[i]; s.op {
		case specDropPrimary:
			b.d.PrimaryKey = nil
		case specDropPeriod:
			b.d.Period = Period{}
		case specDropKey, specDropConstraint:
			if at := b.keyIndex(s.name); at >= 0 {
				b.d.Keys = slices.Delete(b.d.Keys, at, at+1)
			} else if strings.EqualFold(s.name, "PRIMARY") {
				b.d.PrimaryKey = nil
			} else if s.op == specDropKey && !s.ifExists && len(b.d.PrimaryKey) == 0 && len(b.d.Unique) > 0 {
				return fmt.Errorf("it has no index %s", s.name)
			}
		case specRenameKey:
			if at := b.keyIndex(s.name); at >= 0 {
				b.d.Keys[at].Name = s.to
			}
		}
	}
	return nil
}

// followKey lets a key's columns follow, each with its prefix.
func (b *tableBuilder) followKey(k *Key) {
	columns := k.Columns
	k.Columns = b.follow(columns)
	if len(k.Prefixes) != len(columns) {
		return
	}
	var prefixes []int
	for i, name := range columns {
		if b.find(name) >= 0 {
			prefixes = append(prefixes, k.Prefixes[i])
		}
	}
	k.Prefixes = prefixes
}

// follow returns the names that a key's columns have now, without those that
// are gone.
func (b *tableBuilder) follow(names []string) []string {
	var out []string
	for _, name := range names {
		if at := b.find(name); at >= 0 {
			out = append(out, b.columns[at].Name)
		}
	}
	return out
}

// keepsPlace reports whether MySQL may leave a unique key where it was, which
// decides which one is the table's: it does for one that is dropped and added
// again as it was, if nothing else has it make the table anew.
func (b *tableBuilder) keepsPlace(specs []ddlSpec) bool {
	if b.session.mariadb || len(b.d.PrimaryKey) > 0 {
		return false
	}
	again := func(was *Key) bool {
		return was.Unique && slices.ContainsFunc(specs, func(s ddlSpec) bool {
			return s.op == specAddKey && slices.ContainsFunc(s.keys, func(k ddlKey) bool {
				return k.unique && slices.EqualFunc(k.columns, was.Columns, strings.EqualFold)
			})
		})
	}
	return slices.ContainsFunc(specs, func(s ddlSpec) bool {
		at := b.keyIndex(s.name)
		return (s.op == specDropKey || s.op == specDropConstraint) && at >= 0 && again(&b.d.Keys[at]) && len(b.d.Unique) > 0
	})
}

// versioning adds or drops system versioning.
func (b *tableBuilder) versioning(specs []ddlSpec) {
	for i := range specs {
		switch specs[i].op {
		case specVersioning:
			bounds := slices.ContainsFunc(specs, func(s ddlSpec) bool {
				return slices.ContainsFunc(s.columns, func(c ddlColumn) bool { return c.rowBound })
			})
			b.addVersioning(bounds)
		case specNoVersioning:
			b.d.Versioned = false
			b.d.Columns = slices.DeleteFunc(b.d.Columns, func(c Column) bool { return c.Hidden })
		}
	}
}
