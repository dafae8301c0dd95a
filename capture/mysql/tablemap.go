package mysql

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// columnType is a column's type in a table map and on the wire.
type columnType uint8

const (
	typeDecimal           columnType = 0
	typeTiny              columnType = 1
	typeShort             columnType = 2
	typeLong              columnType = 3
	typeFloat             columnType = 4
	typeDouble            columnType = 5
	typeNull              columnType = 6
	typeTimestamp         columnType = 7
	typeLongLong          columnType = 8
	typeInt24             columnType = 9
	typeDate              columnType = 10
	typeTime              columnType = 11
	typeDatetime          columnType = 12
	typeYear              columnType = 13
	typeNewDate           columnType = 14
	typeVarchar           columnType = 15
	typeBit               columnType = 16
	typeTimestamp2        columnType = 17
	typeDatetime2         columnType = 18
	typeTime2             columnType = 19
	typeBlobCompressed    columnType = 140 // MariaDB
	typeVarcharCompressed columnType = 141 // MariaDB
	typeVector            columnType = 242
	typeJSON              columnType = 245
	typeNewDecimal        columnType = 246
	typeEnum              columnType = 247
	typeSet               columnType = 248
	typeTinyBlob          columnType = 249
	typeMediumBlob        columnType = 250
	typeLongBlob          columnType = 251
	typeBlob              columnType = 252
	typeVarString         columnType = 253
	typeString            columnType = 254
	typeGeometry          columnType = 255
)

// tableMap says what lies in the row images of the rows events that follow.
// Everything behind columns is what binlog_row_metadata=MINIMAL and FULL add.
type tableMap struct {
	database, name string
	columns        []mapColumn
	// hasSigns, hasCharsets, hasNames and hasChoices say which metadata there
	// is; hasKey that the primary key is: FULL without one is a table without.
	hasSigns, hasCharsets, hasNames, hasChoices, hasKey bool
	primaryKey                                          []int
	mariadb                                             bool
}

// mapColumn is one column of a tableMap.
type mapColumn struct {
	typ      columnType // ENUM and SET told apart from the strings they hide in
	meta     uint16     // what the type needs: lengths, digits, bits
	nullable bool
	unsigned bool
	// collation is of character columns, ENUM and SET; 63 is binary, 0 unknown.
	collation int
	name      string
	choices   []string // of ENUM and SET, in the column's character set
	geometry  int      // the kind of geometry, as OGC numbers it
	dimension int      // of VECTOR
	visible   bool
}

// tableEntry is a table map that was seen, with what decodes its rows.
type tableEntry struct {
	plan *plan // nil: not captured
	m    *tableMap
}

// tableCache keeps plans by the bytes of table maps: the server sends them
// again with every statement, under ids that change.
type tableCache struct {
	resolve func(*tableMap) (*plan, error)
	mariadb bool
	known   map[string]*tableEntry
	// open are the table maps of the current statement.
	open  []openTable
	ended bool
}

type openTable struct {
	id    uint64
	entry *tableEntry
}

// maxTables bounds the cache. A server with more tables than this in use pays
// for reading their maps again.
const maxTables = 1 << 15

// tableHeaderSize is what is in front of a table map: the table's id and flags.
const tableHeaderSize = 8

// add remembers the table map for the statement's rows.
func (t *tableCache) add(b []byte) (*tableEntry, error) {
	if len(b) < tableHeaderSize {
		return nil, errMalformed
	}
	if t.ended {
		t.open, t.ended = t.open[:0], false
	}
	id, raw := littleEndian(b[:6]), b[tableHeaderSize:]
	entry, err := t.lookUp(raw)
	if err != nil {
		return nil, err
	}
	for i := range t.open {
		if t.open[i].id == id {
			t.open[i].entry = entry
			return entry, nil
		}
	}
	t.open = append(t.open, openTable{id, entry})
	return entry, nil
}

// lookUp finds what is known of a table map, or reads it.
func (t *tableCache) lookUp(raw []byte) (*tableEntry, error) {
	if entry, ok := t.known[string(raw)]; ok {
		return entry, nil
	}
	m, err := parseTableMap(raw, t.mariadb)
	if err != nil {
		return nil, err
	}
	entry := &tableEntry{m: m}
	if entry.plan, err = t.resolve(m); err != nil {
		return nil, fmt.Errorf("table %s.%s: %w", m.database, m.name, err)
	}
	if len(t.known) >= maxTables {
		clear(t.known)
	}
	t.known[string(raw)] = entry
	return entry, nil
}

// find returns the table map of the current statement with this id, or nil.
func (t *tableCache) find(id uint64) *tableEntry {
	for i := range t.open {
		if t.open[i].id == id {
			return t.open[i].entry
		}
	}
	return nil
}

// endStatement says that the next table map belongs to another statement.
func (t *tableCache) endStatement() { t.ended = true }

// parseTableMap reads a table map from behind its id and flags.
func parseTableMap(raw []byte, mariadb bool) (*tableMap, error) {
	c := cursor{b: raw}
	m := &tableMap{mariadb: mariadb}
	m.database = string(c.take(int(c.u8())))
	c.skip(1)
	m.name = string(c.take(int(c.u8())))
	c.skip(1)
	types := c.take(c.length())
	m.columns = make([]mapColumn, len(types))
	meta := cursor{b: c.text()}
	for i, t := range types {
		m.columns[i].typ, m.columns[i].visible = columnType(t), true
		m.columns[i].parseMeta(&meta)
	}
	nulls := c.take((len(types) + 7) / 8)
	if c.bad || meta.bad {
		return nil, errMalformed
	}
	for i := range m.columns {
		m.columns[i].nullable = nulls[i>>3]&(1<<(i&7)) != 0
	}
	for len(c.b) > 0 && !c.bad {
		kind := c.u8()
		field := cursor{b: c.text()}
		m.parseMetadata(kind, &field)
		c.bad = c.bad || field.bad
	}
	return m, c.err()
}

// parseMeta reads the type's own metadata.
func (c *mapColumn) parseMeta(meta *cursor) {
	switch c.typ {
	case typeFloat, typeDouble, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobCompressed,
		typeJSON, typeGeometry, typeVector, typeTime2, typeDatetime2, typeTimestamp2:
		c.meta = uint16(meta.u8())
	case typeVarchar, typeVarString, typeVarcharCompressed, typeBit:
		c.meta = meta.u16()
	case typeNewDecimal:
		c.meta = bigEndian16(meta)
	case typeString, typeEnum, typeSet:
		c.parseStringMeta(bigEndian16(meta))
	}
}

func bigEndian16(c *cursor) uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// parseStringMeta: CHAR's metadata has in its first byte the real type, of
// which two bits, inverted, are those of the length that the second byte has no
// room for.
func (c *mapColumn) parseStringMeta(meta uint16) {
	switch typ := columnType(meta >> 8); {
	case typ == typeEnum || typ == typeSet:
		c.typ, c.meta = typ, meta&0xff
	case meta < 256:
		c.meta = meta
	default:
		c.meta = meta&0xff | (meta>>8&0x30^0x30)<<4
	}
}

// The kinds of optional metadata.
const (
	metaSigns = iota + 1
	metaDefaultCharset
	metaColumnCharset
	metaNames
	metaSetChoices
	metaEnumChoices
	metaGeometry
	metaPrimaryKey
	metaPrefixedKey
	metaChoiceDefaultCharset
	metaChoiceColumnCharset
	metaVisibility
	metaDimensions
)

// parseMetadata reads one piece of optional metadata; kinds of later versions
// are passed over.
func (m *tableMap) parseMetadata(kind uint8, c *cursor) {
	switch kind {
	case metaSigns:
		m.hasSigns = true
		m.eachBit(c, (*mapColumn).numeric, func(col *mapColumn, set bool) { col.unsigned = set })
	case metaDefaultCharset:
		m.hasCharsets = true
		m.defaultCharset(c, m.isCharacter)
	case metaColumnCharset:
		m.hasCharsets = true
		m.eachNumber(c, m.isCharacter, func(col *mapColumn, n int) { col.collation = n })
	case metaChoiceDefaultCharset:
		m.defaultCharset(c, (*mapColumn).choice)
	case metaChoiceColumnCharset:
		m.eachNumber(c, (*mapColumn).choice, func(col *mapColumn, n int) { col.collation = n })
	case metaNames:
		m.hasNames = true
		for i := range m.columns {
			m.columns[i].name = string(c.text())
		}
	case metaSetChoices:
		m.choices(c, typeSet)
	case metaEnumChoices:
		m.choices(c, typeEnum)
	case metaGeometry:
		m.eachNumber(c, func(col *mapColumn) bool { return col.typ == typeGeometry }, func(col *mapColumn, n int) { col.geometry = n })
	case metaPrimaryKey, metaPrefixedKey:
		m.key(c, kind == metaPrefixedKey)
	case metaVisibility:
		m.eachBit(c, func(*mapColumn) bool { return true }, func(col *mapColumn, set bool) { col.visible = set })
	case metaDimensions:
		m.eachNumber(c, func(col *mapColumn) bool { return col.typ == typeVector }, func(col *mapColumn, n int) { col.dimension = n })
	}
}

// numeric columns are those that signs are told of.
func (c *mapColumn) numeric() bool {
	switch c.typ {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeFloat, typeDouble, typeNewDecimal, typeDecimal, typeYear:
		return true
	}
	return false
}

func (c *mapColumn) choice() bool { return c.typ == typeEnum || c.typ == typeSet }

// isCharacter columns are those that character sets are told of; to MariaDB
// geometry is one.
func (m *tableMap) isCharacter(c *mapColumn) bool {
	switch c.typ {
	case typeString, typeVarString, typeVarchar, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob,
		typeBlobCompressed, typeVarcharCompressed:
		return true
	case typeGeometry:
		return m.mariadb
	}
	return false
}

// eachBit reads a bit, the highest first, for each column that is asked for.
func (m *tableMap) eachBit(c *cursor, wanted func(*mapColumn) bool, set func(*mapColumn, bool)) {
	n := 0
	for i := range m.columns {
		if !wanted(&m.columns[i]) {
			continue
		}
		if n>>3 >= len(c.b) {
			c.bad = true
			return
		}
		set(&m.columns[i], c.b[n>>3]&(0x80>>(n&7)) != 0)
		n++
	}
}

// eachNumber reads a number for each column that is asked for.
func (m *tableMap) eachNumber(c *cursor, wanted func(*mapColumn) bool, set func(*mapColumn, int)) {
	for i := range m.columns {
		if wanted(&m.columns[i]) {
			set(&m.columns[i], int(c.packed()))
		}
	}
}

// defaultCharset reads the collation most columns have, then pairs of the
// number of a column among those asked for and its collation.
func (m *tableMap) defaultCharset(c *cursor, wanted func(*mapColumn) bool) {
	usual := int(c.packed())
	var columns []*mapColumn
	for i := range m.columns {
		if wanted(&m.columns[i]) {
			m.columns[i].collation = usual
			columns = append(columns, &m.columns[i])
		}
	}
	for len(c.b) > 0 && !c.bad {
		i, collation := c.packed(), int(c.packed())
		if i >= uint64(len(columns)) {
			c.bad = true
			return
		}
		columns[i].collation = collation
	}
}

// choices reads the values of every ENUM or every SET.
func (m *tableMap) choices(c *cursor, typ columnType) {
	m.hasChoices = true
	for i := range m.columns {
		if m.columns[i].typ != typ {
			continue
		}
		n := c.length()
		m.columns[i].choices = make([]string, 0, n)
		for range n {
			m.columns[i].choices = append(m.columns[i].choices, string(c.text()))
		}
	}
}

// key reads the primary key's columns, with the length of each one's prefix.
func (m *tableMap) key(c *cursor, prefixed bool) {
	m.hasKey = true
	for len(c.b) > 0 && !c.bad {
		i := c.packed()
		if prefixed {
			c.packed()
		}
		if i >= uint64(len(m.columns)) {
			c.bad = true
			return
		}
		m.primaryKey = append(m.primaryKey, int(i))
	}
}

// definition makes a Definition of FULL metadata: all that the log itself says
// of a table. Defaults, comments, unique keys, the lengths of integers and
// FLOAT(M,D) are not in it.
func (m *tableMap) definition() (*Definition, error) {
	if !m.hasNames || !m.hasSigns && slices.ContainsFunc(m.columns, func(c mapColumn) bool { return c.numeric() }) {
		return nil, fmt.Errorf("table %s.%s: the log has no column names (binlog_row_metadata=FULL is needed)", m.database, m.name)
	}
	d := &Definition{Database: m.database, Name: m.name}
	for i := range m.columns {
		c, err := m.columns[i].column(m.mariadb)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s, column %s: %w", m.database, m.name, m.columns[i].name, err)
		}
		d.Columns = append(d.Columns, c)
	}
	for _, i := range m.primaryKey {
		d.PrimaryKey = append(d.PrimaryKey, m.columns[i].name)
	}
	return d, nil
}

// column is what the log says of one column.
func (c *mapColumn) column(mariadb bool) (Column, error) {
	out := Column{Name: c.name, Unsigned: c.unsigned, Length: -1, Scale: -1, Optional: c.nullable, Invisible: !c.visible, SRID: -1}
	if c.collation > 0 {
		cs, err := charsetByCollation(c.collation)
		if err != nil {
			return out, err
		}
		out.Charset = cs.name
	}
	switch {
	case c.choice():
		return c.choiceColumn(out)
	case isText(c.typ):
		c.textColumn(&out)
		return out, nil
	}
	names := map[columnType]string{
		typeTiny: "TINYINT", typeShort: "SMALLINT", typeInt24: "MEDIUMINT", typeLong: "INT", typeLongLong: "BIGINT",
		typeFloat: "FLOAT", typeDouble: "DOUBLE", typeNewDecimal: "DECIMAL", typeYear: "YEAR", typeBit: "BIT",
		typeDate: "DATE", typeNewDate: "DATE", typeTime: "TIME", typeTime2: "TIME", typeDatetime: "DATETIME",
		typeDatetime2: "DATETIME", typeTimestamp: "TIMESTAMP", typeTimestamp2: "TIMESTAMP", typeJSON: "JSON", typeVector: "VECTOR",
	}
	out.Type = names[c.typ]
	switch c.typ {
	case typeNewDecimal:
		out.Length, out.Scale = int(c.meta>>8), int(c.meta&0xff)
	case typeBit:
		out.Length = c.bits()
	case typeTime2, typeDatetime2, typeTimestamp2:
		out.Length = int(c.meta)
	case typeYear:
		out.Unsigned = false
	case typeGeometry:
		out.Type, out.Charset = geometryNames[0], ""
		if c.geometry > 0 && c.geometry < len(geometryNames) {
			out.Type = geometryNames[c.geometry]
		}
	}
	if out.Type == "" {
		return out, fmt.Errorf("type %d is not known", c.typ)
	}
	return out, nil
}

// geometryNames are MySQL's kinds of geometry by number.
var geometryNames = []string{
	"GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMCOLLECTION",
}

// bits is the width of a BIT.
func (c *mapColumn) bits() int { return int(c.meta>>8)*8 + int(c.meta&0xff) }

func isText(t columnType) bool {
	switch t {
	case typeString, typeVarString, typeVarchar, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob,
		typeBlobCompressed, typeVarcharCompressed:
		return true
	}
	return false
}

// textColumn fills in a character or binary type.
func (c *mapColumn) textColumn(out *Column) {
	binary := out.Charset == "" || out.Charset == "binary"
	switch c.typ {
	case typeString:
		out.Type, out.Length = pick(binary, "BINARY", "CHAR"), int(c.meta)
	case typeVarchar, typeVarString, typeVarcharCompressed:
		out.Type, out.Length = pick(binary, "VARBINARY", "VARCHAR"), int(c.meta)
	default:
		out.Type = pick(binary, "BLOB", "TEXT")
	}
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// choiceColumn fills in an ENUM or SET.
func (c *mapColumn) choiceColumn(out Column) (Column, error) {
	out.Type = pick(c.typ == typeEnum, "ENUM", "SET")
	values, err := c.choiceTexts()
	out.Values = values
	return out, err
}

// choiceTexts are the choices in UTF-8.
func (c *mapColumn) choiceTexts() ([]string, error) {
	cs, err := charsetByCollation(c.collation)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(c.choices))
	for i, v := range c.choices {
		out[i] = string(cs.appendUTF8(nil, []byte(v)))
	}
	return out, nil
}
