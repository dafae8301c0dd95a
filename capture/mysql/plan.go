package mysql

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// errDefinition says that the log and a table's definition contradict each
// other: the definition is not the one that the rows were written under.
var errDefinition = errors.New("the table's definition is not the one its rows were written under")

// plan decodes the row images of one table map: one column, one step, all
// decided when the table map is first seen. It is used by one goroutine at a
// time.
type plan struct {
	table *TableSchema
	steps []step // by the table map's columns
	extra int    // values of a row behind those of its schema's fields
	json  []int  // the steps of MySQL's JSON columns that are decoded
	// versioned says that the table is system-versioned: rows whose column
	// rowEnd is not the end of time are history.
	versioned bool
	rowEnd    int
}

// kind is what a column holds, whatever its bytes are.
type kind uint8

const (
	kindInt kind = iota
	kindFloat
	kindDouble
	kindDecimal
	kindYear
	kindBit
	kindEnum
	kindSet
	kindText
	kindBinary
	kindJSON
	kindGeometry
	kindVector
	kindDate
	kindTime
	kindDatetime
	kindTimestamp
	kindUUID
	kindINET4
	kindINET6
)

var kinds = map[string]kind{
	"TINYINT": kindInt, "SMALLINT": kindInt, "MEDIUMINT": kindInt, "INT": kindInt, "BIGINT": kindInt,
	"FLOAT": kindFloat, "DOUBLE": kindDouble, "DECIMAL": kindDecimal, "YEAR": kindYear, "BIT": kindBit,
	"ENUM": kindEnum, "SET": kindSet, "CHAR": kindText, "VARCHAR": kindText, "TINYTEXT": kindText, "TEXT": kindText,
	"MEDIUMTEXT": kindText, "LONGTEXT": kindText, "BINARY": kindBinary, "VARBINARY": kindBinary, "TINYBLOB": kindBinary,
	"BLOB": kindBinary, "MEDIUMBLOB": kindBinary, "LONGBLOB": kindBinary, "JSON": kindJSON,
	"GEOMETRY": kindGeometry, "POINT": kindGeometry, "LINESTRING": kindGeometry, "POLYGON": kindGeometry,
	"MULTIPOINT": kindGeometry, "MULTILINESTRING": kindGeometry, "MULTIPOLYGON": kindGeometry, "GEOMCOLLECTION": kindGeometry,
	"GEOMETRYCOLLECTION": kindGeometry, "VECTOR": kindVector, "DATE": kindDate, "TIME": kindTime, "DATETIME": kindDatetime,
	"TIMESTAMP": kindTimestamp, "UUID": kindUUID, "INET4": kindINET4, "INET6": kindINET6,
}

// integerBytes are the sizes of the integer types.
var integerBytes = map[string]int{"TINYINT": 1, "SMALLINT": 2, "MEDIUMINT": 3, "INT": 4, "BIGINT": 8}

// step decodes one column.
type step struct {
	op       op
	kind     kind
	variable bool // the value has its length in front, in width bytes
	width    int  // bytes of the value, or of its length
	at       int  // the place in the row's Values; -1: passed over
	n        int  // what else the op needs: bytes of a fraction, bits, digits …

	unit      unit      // of temporal columns
	keepYears bool      // of DATE and DATETIME
	zero      cdc.Value // what stands for a date with a part of zero
	charset   *charset  // of text
	texts     [][]byte  // the choices of an ENUM or SET, from 1
	decimal   *decimalLayout
	encode    func(dst, src []byte) []byte // binary.handling.mode; nil: bytes
	inflate   *inflater                    // of COMPRESSED columns

	// Of JSON: what was decoded last, and the document of an update's before
	// image with its text, which the after image mostly has again.
	last, old []byte
	oldText   cdc.Value
}

// newPlan compiles the decoding of rows that lie as m says, under the schema t.
// Its errors wrap errDefinition where m and t's definition contradict each
// other.
func newPlan(t *TableSchema, m *tableMap, o *ValueOptions) (*plan, error) {
	columns, err := matchColumns(t.Definition, m)
	if err != nil {
		return nil, err
	}
	p := &plan{table: t, extra: len(t.Fields) - len(t.Value.Fields), steps: make([]step, len(m.columns)), rowEnd: -1}
	for i, at := range columns {
		c, field := &t.Definition.Columns[at], slices.Index(t.Ordinals, at)
		if c.Hidden { // row_start, then row_end
			p.versioned, p.rowEnd = true, i
		}
		s := &p.steps[i]
		s.at = field
		if field >= 0 {
			*s, err = newStep(c, &t.Fields[field], o)
			s.at = field
		} else {
			s.kind = kinds[c.Type]
		}
		if err == nil {
			err = s.lay(&m.columns[i], c)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		if s.op == opJSON {
			p.json = append(p.json, i)
		}
	}
	for i := len(columns); i < len(p.steps); i++ {
		p.steps[i] = step{op: opSkip, kind: kindInt, at: -1, width: integerBytes["BIGINT"]}
	}
	return p, nil
}

// matchColumns finds the definition's column for each of the table map's but
// hashes: by name where the log has names, else by place.
func matchColumns(d *Definition, m *tableMap) ([]int, error) {
	if len(d.Columns) != len(m.columns)-m.hashes(d) {
		return nil, fmt.Errorf("%w: it has %d columns, the rows have %d", errDefinition, len(d.Columns), len(m.columns))
	}
	out := make([]int, len(d.Columns))
	for i := range out {
		out[i] = i
		if name := m.columns[i].name; m.hasNames && !strings.EqualFold(name, d.Columns[i].Name) {
			return nil, fmt.Errorf("%w: column %d is %s in it, %s in the rows", errDefinition, i+1, d.Columns[i].Name, name)
		}
	}
	return out, nil
}

// newStep decides everything about a column that does not depend on how its
// bytes lie.
func newStep(c *Column, f *cdc.Field, o *ValueOptions) (step, error) {
	k, ok := kinds[c.Type]
	if !ok {
		return step{}, fmt.Errorf("type %s is not known", c.Type)
	}
	s := step{kind: k, keepYears: o.KeepYears}
	var err error
	switch k {
	case kindDate, kindTime, kindDatetime, kindTimestamp:
		s.unit, err = unitOf(f)
		s.zero = zeroDate(f, s.unit, k)
	case kindDecimal:
		if s.decimal = newDecimalLayout(c.Length, max(c.Scale, 0)); s.decimal == nil {
			err = fmt.Errorf("DECIMAL(%d,%d) is not known", c.Length, c.Scale)
		}
	case kindText:
		s.charset, err = charsetByName(c.Charset)
	case kindJSON:
		s.charset, err = charsetByName("utf8mb4")
	case kindBinary:
		if f.Type == cdc.Text {
			s.encode = encoder(o.Binary)
		}
	case kindEnum, kindSet:
		s.texts = make([][]byte, 1, len(c.Values)+1)
		s.texts[0] = []byte{}
		for _, v := range c.Values {
			s.texts = append(s.texts, []byte(v))
		}
	case kindBit:
		s.n = max(c.Length, 1)
	}
	s.op = target(c, f, k)
	return s, err
}

// zeroDate is what stands for a date with a part of zero: null, or in a column
// that is NOT NULL its default, which Debezium ignores for TIMESTAMP, or the
// epoch.
func zeroDate(f *cdc.Field, u unit, k kind) cdc.Value {
	switch {
	case f.Optional:
		return cdc.Value{}
	case k != kindTimestamp && f.Default != nil:
		return *f.Default
	case u == unitText && k == kindDate:
		return cdc.String([]byte("1970-01-01Z"))
	case u == unitText:
		return cdc.String([]byte("1970-01-01T00:00:00Z"))
	case u == unitZoned:
		return cdc.Micros(0)
	}
	return cdc.Int(0)
}

// encoder is what binary.handling.mode makes of bytes.
func encoder(m BinaryMode) func(dst, src []byte) []byte {
	switch m {
	case BinaryBase64:
		return base64.StdEncoding.AppendEncode
	case BinaryBase64URL:
		return base64.URLEncoding.AppendEncode
	}
	return hex.AppendEncode
}

// target decides the op where it follows from what the field wants: the rest is
// decided by lay.
func target(c *Column, f *cdc.Field, k kind) op {
	switch k {
	case kindInt:
		switch {
		case f.Type == cdc.Boolean:
			return opBool
		case f.Semantic == cdc.Decimal:
			return opUintDecimal
		}
	case kindFloat:
		return pickOp(f.Type == cdc.Double, opFloatDouble, opFloat)
	case kindDouble:
		return opDouble
	case kindDecimal:
		switch f.Type {
		case cdc.Text:
			return opDecimalText
		case cdc.Double:
			return opDecimalDouble
		}
		return opDecimal
	case kindYear:
		return opYear
	case kindBit:
		return pickOp(f.Type == cdc.Boolean, opBitBool, opBits)
	case kindEnum:
		return opEnum
	case kindSet:
		return opSet
	case kindText:
		return opText
	case kindBinary:
		return opBinary
	case kindJSON:
		return opJSON
	case kindGeometry:
		return pickOp(f.Semantic == cdc.Point, opPoint, opGeometry)
	case kindVector:
		return opVector
	case kindUUID:
		return opUUID
	case kindINET4:
		return opINET4
	case kindINET6:
		return opINET6
	}
	return opSkip // temporal: there are several layouts
}

func pickOp(yes bool, a, b op) op {
	if yes {
		return a
	}
	return b
}

// lay decides how the column's bytes lie and checks that m can be what the
// definition says.
func (s *step) lay(m *mapColumn, c *Column) error {
	var ok bool
	switch s.kind {
	case kindInt:
		ok = s.layInteger(m, c)
	case kindDate, kindTime, kindDatetime, kindTimestamp:
		ok = s.layTemporal(m, c)
	case kindEnum, kindSet:
		ok = s.layChoice(m, c)
	case kindText, kindBinary:
		return s.layText(m, c)
	case kindUUID, kindINET4, kindINET6:
		ok = s.layAddress(m)
	default:
		ok = s.layOther(m)
	}
	if !ok {
		return s.contradiction(m, c)
	}
	if s.at < 0 {
		s.op = opSkip
	}
	return nil
}

func (s *step) contradiction(m *mapColumn, c *Column) error {
	return fmt.Errorf("%w: it is %s in it, of type %d with metadata %d in the rows", errDefinition, c.Type, m.typ, m.meta)
}

// integerTypes are the integers of the log by their size.
var integerTypes = map[int]columnType{1: typeTiny, 2: typeShort, 3: typeInt24, 4: typeLong, 8: typeLongLong}

func (s *step) layInteger(m *mapColumn, c *Column) bool {
	s.width = integerBytes[c.Type]
	if s.op != opBool && s.op != opUintDecimal {
		ops := map[int][2]op{
			1: {opInt8, opUint8}, 2: {opInt16, opUint16}, 3: {opInt24, opUint24}, 4: {opInt32, opUint32}, 8: {opInt64, opInt64},
		}[s.width]
		s.op = pickOp(c.Unsigned, ops[1], ops[0])
	}
	return m.typ == integerTypes[s.width]
}

func (s *step) layOther(m *mapColumn) bool {
	switch s.kind {
	case kindFloat:
		s.width = 4
		return m.typ == typeFloat
	case kindDouble:
		s.width = 8
		return m.typ == typeDouble
	case kindDecimal:
		l := newDecimalLayout(int(m.meta>>8), int(m.meta&0xff))
		if m.typ != typeNewDecimal || l == nil || s.decimal != nil && (l.size != s.decimal.size || l.scale != s.decimal.scale) {
			return false
		}
		s.width = l.size
		return true
	case kindYear:
		s.width = 1
		return m.typ == typeYear
	case kindBit:
		s.width = (m.bits() + 7) / 8
		return m.typ == typeBit && (s.at < 0 || m.bits() == s.n)
	case kindJSON: // MariaDB's is text
		s.variable, s.width = true, int(m.meta)
		if m.typ == typeBlob && s.op == opJSON {
			s.op = opText
		}
		return (m.typ == typeJSON || m.typ == typeBlob) && m.meta >= 1 && m.meta <= 4
	case kindGeometry:
		s.variable, s.width = true, int(m.meta)
		return m.typ == typeGeometry && m.meta >= 1 && m.meta <= 4
	case kindVector:
		s.variable, s.width = true, int(m.meta)
		if m.typ == typeVarchar { // MariaDB's
			s.width = 1 + min(int(m.meta)/256, 1)
		}
		return (m.typ == typeVector || m.typ == typeVarchar) && s.width >= 1 && s.width <= 4
	}
	return false
}

// layText: the length in front has as many bytes as the longest value needs.
func (s *step) layText(m *mapColumn, c *Column) error {
	s.variable = true
	switch m.typ {
	case typeString, typeVarchar, typeVarString, typeVarcharCompressed:
		s.width = 1
		if m.meta > 255 {
			s.width = 2
		}
		if m.typ == typeString && s.kind == kindBinary { // padded with zeros
			s.n = int(m.meta)
		}
	case typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobCompressed:
		s.width = int(m.meta)
	default:
		return s.contradiction(m, c)
	}
	if s.width < 1 || s.width > 4 {
		return s.contradiction(m, c)
	}
	if s.at < 0 {
		s.op = opSkip
		return nil
	}
	if m.typ == typeVarcharCompressed || m.typ == typeBlobCompressed {
		s.op, s.inflate = opCompressed, &inflater{}
	}
	return s.checkCharset(m, c)
}

// checkCharset takes the character set of the log, where it is said: that is
// what the bytes are in.
func (s *step) checkCharset(m *mapColumn, c *Column) error {
	if m.collation == 0 {
		return nil
	}
	if binary := m.collation == binaryCollation; binary != (s.kind == kindBinary) {
		return s.contradiction(m, c)
	}
	if s.kind == kindBinary {
		return nil
	}
	var err error
	s.charset, err = charsetByCollation(m.collation)
	return err
}

func (s *step) layChoice(m *mapColumn, c *Column) bool {
	s.width = int(m.meta)
	if s.width < 1 || s.width > 8 || m.choices != nil && len(m.choices) != len(c.Values) {
		return false
	}
	if s.kind == kindEnum {
		return m.typ == typeEnum
	}
	return m.typ == typeSet
}

// layAddress: MariaDB's types of fixed size lie as BINARY does.
func (s *step) layAddress(m *mapColumn) bool {
	s.n = 16
	if s.kind == kindINET4 {
		s.n = 4
	}
	s.variable, s.width = true, 1
	return m.typ == typeString && int(m.meta) == s.n
}

// layTemporal: each type has one or two older layouts, which a table keeps until
// it is rebuilt; MariaDB's are told apart only by the definition's digits.
func (s *step) layTemporal(m *mapColumn, c *Column) bool {
	digits := max(c.Length, 0)
	s.n = digits
	if digits > 6 {
		return false
	}
	switch m.typ {
	case typeTime2, typeDatetime2, typeTimestamp2:
		if int(m.meta) != digits {
			return false
		}
		s.n = (digits + 1) / 2
	}
	var layout columnType
	layout, s.op, s.width = temporalLayout(m.typ, digits)
	switch s.kind {
	case kindDate:
		return layout == typeDate
	case kindTime:
		return layout == typeTime
	case kindDatetime:
		return layout == typeDatetime
	}
	return layout == typeTimestamp
}

// temporalLayout says what a type of the log is, how it is decoded, and its
// size; typeNull for what is not temporal.
func temporalLayout(t columnType, digits int) (columnType, op, int) {
	fraction := (digits + 1) / 2
	switch t {
	case typeDate, typeNewDate:
		return typeDate, opDate, 3
	case typeTime2:
		return typeTime, opTime, 3 + fraction
	case typeDatetime2:
		return typeDatetime, opDatetime, 5 + fraction
	case typeTimestamp2:
		return typeTimestamp, opTimestamp, 4 + fraction
	case typeTime:
		return typeTime, pickOp(digits > 0, opTimeHires, opTimeOld), hiresTimeBytes[digits]
	case typeDatetime:
		if digits == 0 {
			return typeDatetime, opDatetimeOld, 8
		}
		return typeDatetime, opDatetimeHires, hiresDatetimeBytes[digits]
	case typeTimestamp:
		return typeTimestamp, pickOp(digits > 0, opTimestampHires, opTimestampOld), hiresTimestampBytes[digits]
	}
	return typeNull, opSkip, 0
}
