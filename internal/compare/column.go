package compare

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Column is a column of a compared table.
type Column struct {
	Name string
	// Type is the column's type as information_schema.columns has it in
	// data_type, in lower case.
	Type     string
	Unsigned bool
	Nullable bool
	// Digits is the width of the fraction of seconds of a temporal column.
	Digits int

	kind kind
	// objects says that a target has JSON columns nested, not as text.
	objects bool
	// added is what rows that were written before the column was added have in
	// it; nil if that is not known.
	added *value
}

// kind is how the values of a column are compared.
type kind uint8

const (
	kindText kind = iota
	kindInt
	kindDecimal
	kindFloat
	kindDouble
	kindBit
	kindBinary
	kindJSON
	kindDate
	kindDatetime
	kindTimestamp
	kindTime
	kindGeometry
	kindVector
)

var kinds = map[string]kind{
	"tinyint": kindInt, "smallint": kindInt, "mediumint": kindInt, "int": kindInt, "bigint": kindInt, "year": kindInt,
	"decimal": kindDecimal, "float": kindFloat, "double": kindDouble, "bit": kindBit,
	"binary": kindBinary, "varbinary": kindBinary, "tinyblob": kindBinary, "blob": kindBinary, "mediumblob": kindBinary, "longblob": kindBinary,
	"json": kindJSON, "date": kindDate, "datetime": kindDatetime, "timestamp": kindTimestamp, "time": kindTime, "vector": kindVector,
	"char": kindText, "varchar": kindText, "tinytext": kindText, "text": kindText, "mediumtext": kindText, "longtext": kindText,
	"enum": kindText, "set": kindText, "uuid": kindText, "inet4": kindText, "inet6": kindText,
	"geometry": kindGeometry, "point": kindGeometry, "linestring": kindGeometry, "polygon": kindGeometry, "multipoint": kindGeometry,
	"multilinestring": kindGeometry, "multipolygon": kindGeometry, "geomcollection": kindGeometry, "geometrycollection": kindGeometry,
}

// value is a column's value in the form that all sides have in common.
type value struct {
	text []byte
	null bool
}

// cell is a value as a side has it.
type cell struct {
	kind cellKind
	text []byte // cellNumber, cellText, cellBytes, cellJSON
	n    int64  // cellMicros, cellDays; cellBool: 0 or 1
}

type cellKind uint8

const (
	cellNull   cellKind = iota
	cellBool            // a boolean
	cellNumber          // a number, as JSON writes it
	cellText            // UTF-8 text
	cellBytes           // any bytes
	cellJSON            // an object or array
	cellMicros          // a date with time, or a time: µs
	cellDays            // a date: days since 1970-01-01
)

// expression is what to select, so that the text protocol has the value in full:
// a FLOAT would come with six digits, and a time is parsed by some drivers.
func (c *Column) expression() string {
	name := quote(c.Name)
	switch c.kind {
	case kindFloat:
		return name + " + 0e0"
	case kindDate, kindDatetime, kindTimestamp, kindTime:
		return "CAST(" + name + " AS CHAR)"
	}
	return name
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// fromServer appends to dst a value as the server's text protocol gives it, in a
// session in UTC.
func (c *Column) fromServer(dst, text []byte) (value, error) {
	if text == nil {
		return value{null: true}, nil
	}
	switch c.kind {
	case kindInt, kindDecimal, kindFloat, kindDouble:
		return c.canonical(dst, cell{kind: cellNumber, text: text})
	case kindBit:
		var n uint64
		for _, b := range text {
			n = n<<8 | uint64(b)
		}
		return value{text: strconv.AppendUint(dst, n, 10)}, nil
	case kindBinary:
		return c.canonical(dst, cell{kind: cellBytes, text: text})
	case kindGeometry:
		return nativeGeometry(dst, text)
	case kindVector:
		return nativeVector(dst, text)
	case kindJSON:
		out, err := appendJSON(dst, text)
		return value{text: out, null: c.objects && string(text) == "null"}, err
	}
	return c.canonical(dst, cell{kind: cellText, text: text})
}

// canonical appends to dst a value as a target has it.
func (c *Column) canonical(dst []byte, v cell) (value, error) {
	if v.kind == cellNull {
		return value{null: true}, nil
	}
	switch c.kind {
	case kindInt:
		return c.integer(dst, v)
	case kindDecimal:
		if v.kind == cellNumber || v.kind == cellText {
			out, err := appendNumber(dst, v.text)
			return value{text: out}, err
		}
	case kindFloat, kindDouble:
		if v.kind == cellNumber || v.kind == cellText {
			return c.float(dst, v.text)
		}
	case kindBit:
		return bit(dst, v)
	case kindBinary:
		return binaryValue(dst, v)
	case kindJSON:
		if v.kind == cellText || v.kind == cellJSON {
			out, err := appendJSON(dst, v.text)
			return value{text: out}, err
		}
	case kindDate, kindDatetime, kindTimestamp, kindTime:
		return c.temporal(dst, v)
	case kindGeometry:
		return geometry(dst, v)
	case kindVector:
		return vector(dst, v)
	case kindText:
		if v.kind == cellText {
			return value{text: append(dst, v.text...)}, nil
		}
	}
	return value{}, c.unexpected(v)
}

// unexpected is the error for a value of a kind that the column's type never has.
func (c *Column) unexpected(v cell) error {
	shown := v.text
	if len(shown) > 60 {
		shown = append(shown[:60:60], "…"...)
	}
	return fmt.Errorf("a %s column cannot be %s", c.Type, [...]string{
		"null", "a boolean", "the number " + string(shown), fmt.Sprintf("the text %q", shown), fmt.Sprintf("the bytes %x", shown), "the JSON " + string(shown),
		"the time " + strconv.FormatInt(v.n, 10) + " µs", "the day " + strconv.FormatInt(v.n, 10),
	}[v.kind])
}

// integer reads the integer types and YEAR. A BIGINT UNSIGNED may have wrapped
// (bigint.unsigned.handling.mode=long).
func (c *Column) integer(dst []byte, v cell) (value, error) {
	switch {
	case v.kind == cellBool:
		return value{text: strconv.AppendInt(dst, v.n, 10)}, nil
	case v.kind == cellText && truth(v.text) != 0:
		return value{text: append(dst, truth(v.text))}, nil
	case v.kind != cellNumber && v.kind != cellText:
		return value{}, c.unexpected(v)
	}
	if c.Unsigned && c.Type == "bigint" && len(v.text) > 0 && v.text[0] == '-' {
		n, err := strconv.ParseInt(string(v.text), 10, 64)
		return value{text: strconv.AppendUint(dst, uint64(n), 10)}, err
	}
	out, err := appendNumber(dst, v.text)
	return value{text: out}, err
}

// truth is '1' for true, '0' for false, and 0 for all else.
func truth(text []byte) byte {
	switch string(text) {
	case "true":
		return '1'
	case "false":
		return '0'
	}
	return 0
}

// float reads FLOAT and DOUBLE, which are equal if they are as the column
// stores them.
func (c *Column) float(dst, text []byte) (value, error) {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return value{}, fmt.Errorf("%q is no number", text)
	}
	if f == 0 {
		f = 0 // not -0
	}
	if c.kind == kindFloat {
		return value{text: strconv.AppendFloat(dst, float64(float32(f)), 'g', -1, 32)}, nil
	}
	return value{text: strconv.AppendFloat(dst, f, 'g', -1, 64)}, nil
}

// bit reads BIT(1), a boolean, and BIT(n), little-endian bytes (in text: base64).
func bit(dst []byte, v cell) (value, error) {
	switch v.kind {
	case cellBool:
		return value{text: strconv.AppendInt(dst, v.n, 10)}, nil
	case cellNumber:
		out, err := appendNumber(dst, v.text)
		return value{text: out}, err
	case cellText:
		if t := truth(v.text); t != 0 {
			return value{text: append(dst, t)}, nil
		}
		b, err := fromBase64(v.text)
		if err != nil {
			return value{}, err
		}
		v.text = b
	}
	if len(v.text) > 8 {
		return value{}, fmt.Errorf("%x has more than 64 bits", v.text)
	}
	var wide [8]byte
	copy(wide[:], v.text)
	return value{text: strconv.AppendUint(dst, binary.LittleEndian.Uint64(wide[:]), 10)}, nil
}

// binaryValue reads bytes (in text: base64), shown in hexadecimal.
func binaryValue(dst []byte, v cell) (value, error) {
	b := v.text
	if v.kind == cellText {
		var err error
		if b, err = fromBase64(b); err != nil {
			return value{}, err
		}
	}
	return value{text: fmt.Appendf(dst, "%x", b)}, nil
}

// nativeVector reads a VECTOR as the server stores it.
func nativeVector(dst, b []byte) (value, error) {
	for i := 0; i+4 <= len(b); i += 4 {
		dst = appendElement(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))))
	}
	return value{text: dst}, nil
}

func appendElement(dst []byte, f float64) []byte {
	return append(strconv.AppendFloat(dst, float64(float32(f)), 'g', -1, 32), ' ')
}
