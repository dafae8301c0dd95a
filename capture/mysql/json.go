package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// The text of a JSON column is the server's own without the spaces behind ':'
// and ',': the stream makes it of MySQL's binary form, a snapshot of the
// server's text, and both come to the same bytes. MariaDB's JSON is text and
// stays as it is.

var errJSON = errors.New("malformed JSON column")

// The types of MySQL's binary JSON.
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString

	jsonOpaque = 15
)

// jsonMaxDepth is how deep the server lets documents nest.
const jsonMaxDepth = 100

// jsonText appends the text of binary JSON. budget is what of the document's
// bytes is not yet accounted for, so that a malformed one that says its parts
// again and again ends.
type jsonText struct {
	dst           []byte
	budget, depth int
}

// appendJSON appends the text of a JSON column's binary value; no bytes at all
// are the null that the server puts in place of an invalid one.
func appendJSON(dst, d []byte) ([]byte, error) {
	if len(d) == 0 {
		return append(dst, "null"...), nil
	}
	w := jsonText{dst: dst, budget: len(d)}
	err := w.value(d[0], d[1:])
	return w.dst, err
}

// spend accounts for n bytes of the document.
func (w *jsonText) spend(n int) bool {
	w.budget -= n
	return w.budget >= 0
}

func (w *jsonText) value(typ byte, d []byte) error {
	switch typ {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return w.container(typ, d)
	case jsonString:
		size, n := jsonLength(d)
		if n == 0 || !w.spend(size) {
			return errJSON
		}
		w.dst = appendJSONString(w.dst, d[n:n+size])
		return nil
	case jsonOpaque:
		return w.opaque(d)
	}
	if len(d) < jsonWidth(typ) {
		return errJSON
	}
	switch typ {
	case jsonLiteral:
		if d[0] > 2 {
			return errJSON
		}
		w.dst = append(w.dst, [...]string{"null", "true", "false"}[d[0]]...)
	case jsonInt16:
		w.dst = strconv.AppendInt(w.dst, int64(int16(binary.LittleEndian.Uint16(d))), 10)
	case jsonUint16:
		w.dst = strconv.AppendUint(w.dst, uint64(binary.LittleEndian.Uint16(d)), 10)
	case jsonInt32:
		w.dst = strconv.AppendInt(w.dst, int64(int32(binary.LittleEndian.Uint32(d))), 10)
	case jsonUint32:
		w.dst = strconv.AppendUint(w.dst, uint64(binary.LittleEndian.Uint32(d)), 10)
	case jsonInt64:
		w.dst = strconv.AppendInt(w.dst, int64(binary.LittleEndian.Uint64(d)), 10)
	case jsonUint64:
		w.dst = strconv.AppendUint(w.dst, binary.LittleEndian.Uint64(d), 10)
	case jsonDouble:
		w.dst = appendServerDouble(w.dst, math.Float64frombits(binary.LittleEndian.Uint64(d)))
	default:
		return fmt.Errorf("%w: type %d", errJSON, typ)
	}
	return nil
}

func jsonWidth(typ byte) int {
	switch typ {
	case jsonLiteral:
		return 1
	case jsonInt16, jsonUint16:
		return 2
	case jsonInt32, jsonUint32:
		return 4
	}
	return 8
}

// jsonLength reads a length of seven bits a byte and checks that as many bytes
// follow; n is 0 if not.
func jsonLength(d []byte) (size, n int) {
	if len(d) > 0 && d[0] < 0x80 {
		if size = int(d[0]); size < len(d) {
			return size, 1
		}
		return 0, 0
	}
	u, n := binary.Uvarint(d)
	if n <= 0 || n > 5 || u > uint64(len(d)-n) {
		return 0, 0
	}
	return int(u), n
}

// jsonContainer is an object or array: count, size, then for an object the
// offset and length of each key, then the type and offset (or the value itself,
// where it fits) of each value.
type jsonContainer struct {
	d             []byte
	width, count  int
	object        bool
	keys, entries int // where they start
}

func newJSONContainer(typ byte, d []byte) (jsonContainer, error) {
	c := jsonContainer{d: d, width: 2, object: typ <= jsonLargeObject}
	if typ == jsonLargeObject || typ == jsonLargeArray {
		c.width = 4
	}
	if len(d) < 2*c.width {
		return c, errJSON
	}
	c.count = jsonOffset(d, c.width)
	c.keys = 2 * c.width
	c.entries = c.keys
	if c.count > len(d) {
		return c, errJSON
	}
	if c.object {
		c.entries += c.count * (c.width + 2)
	}
	if c.entries+c.count*(c.width+1) > len(d) {
		return c, errJSON
	}
	return c, nil
}

// key is the name of member i.
func (c *jsonContainer) key(i int) ([]byte, error) {
	k := c.d[c.keys+i*(c.width+2):]
	at, n := jsonOffset(k, c.width), int(binary.LittleEndian.Uint16(k[c.width:]))
	if at > len(c.d) || n > len(c.d)-at {
		return nil, errJSON
	}
	return c.d[at : at+n], nil
}

// value is the type and the bytes of member or element i.
func (c *jsonContainer) value(i int) (typ byte, d []byte, err error) {
	v := c.d[c.entries+i*(c.width+1):]
	if jsonInline(v[0], c.width) {
		return v[0], v[1 : 1+c.width], nil
	}
	at := jsonOffset(v[1:], c.width)
	if at < c.entries+c.count*(c.width+1) || at > len(c.d) {
		return 0, nil, errJSON
	}
	return v[0], c.d[at:], nil
}

func (w *jsonText) container(typ byte, d []byte) error {
	c, err := newJSONContainer(typ, d)
	if err != nil {
		return err
	}
	if w.depth++; w.depth > jsonMaxDepth || !w.spend(c.count) {
		return errJSON
	}
	open, end := byte('['), byte(']')
	if c.object {
		open, end = '{', '}'
	}
	for i := range c.count {
		w.dst = append(w.dst, open)
		open = ','
		if c.object {
			key, err := c.key(i)
			if err != nil || !w.spend(len(key)) {
				return errJSON
			}
			w.dst = append(appendJSONString(w.dst, key), ':')
		}
		typ, v, err := c.value(i)
		if err == nil {
			err = w.value(typ, v)
		}
		if err != nil {
			return err
		}
	}
	if c.count == 0 {
		w.dst = append(w.dst, open)
	}
	w.dst = append(w.dst, end)
	w.depth--
	return nil
}

func jsonInline(typ byte, width int) bool {
	switch typ {
	case jsonLiteral, jsonInt16, jsonUint16:
		return true
	case jsonInt32, jsonUint32:
		return width == 4
	}
	return false
}

func jsonOffset(d []byte, width int) int {
	if width == 2 {
		return int(binary.LittleEndian.Uint16(d))
	}
	return int(binary.LittleEndian.Uint32(d))
}

// opaque appends a value of a type that JSON does not have: a number or a
// quoted text for decimals and temporal types, what the server calls base64 for
// the rest.
func (w *jsonText) opaque(d []byte) error {
	if len(d) == 0 {
		return errJSON
	}
	typ, d := columnType(d[0]), d[1:]
	size, n := jsonLength(d)
	if n == 0 || !w.spend(size) {
		return errJSON
	}
	d = d[n : n+size]
	switch typ {
	case typeNewDecimal:
		return w.decimal(d)
	case typeDate, typeTime, typeDatetime, typeTimestamp:
		if len(d) != 8 {
			return errJSON
		}
		w.temporal(typ, int64(binary.LittleEndian.Uint64(d)))
		return nil
	}
	w.dst = strconv.AppendUint(append(w.dst, `"base64:type`...), uint64(typ), 10)
	w.dst = append(appendServerBase64(append(w.dst, ':'), d), '"')
	return nil
}

// decimal appends a DECIMAL: its precision, its scale, its digits.
func (w *jsonText) decimal(d []byte) error {
	if len(d) < 2 {
		return errJSON
	}
	l := newDecimalLayout(int(d[0]), int(d[1]))
	if l == nil || len(d)-2 < l.size {
		return errJSON
	}
	w.dst = l.appendText(w.dst, d[2:])
	return nil
}

// temporal appends a packed date, time or both, always with six digits of
// fraction where there is a time.
func (w *jsonText) temporal(typ columnType, packed int64) {
	w.dst = append(w.dst, '"')
	if packed < 0 {
		w.dst, packed = append(w.dst, '-'), -packed
	}
	us, hms := uint64(packed&0xffffff), packed>>24
	if typ != typeTime {
		ymd := hms >> 17
		month := ymd >> 5
		w.dst = appendDate(w.dst, date{int(month / 13 % 10000), int(month % 13), int(ymd & 31)})
		hms &= 1<<17 - 1
	}
	if typ != typeDate {
		if typ != typeTime {
			w.dst = append(w.dst, ' ')
		}
		w.dst = appendClock(w.dst, uint64(hms>>12), uint64(hms>>6&63), uint64(hms&63))
		w.dst = appendDigits(append(w.dst, '.'), us%1e6, 6)
	}
	w.dst = append(w.dst, '"')
}

// appendClock appends 838:59:59.
func appendClock(dst []byte, hour, minute, second uint64) []byte {
	if hour > 99 {
		dst = strconv.AppendUint(dst, hour, 10)
	} else {
		dst = appendDigits(dst, hour, 2)
	}
	dst = appendDigits(append(dst, ':'), minute, 2)
	return appendDigits(append(dst, ':'), second, 2)
}

// appendServerBase64 appends base64 in lines of 76 characters, as the server
// breaks it; the breaks are escaped, for the text is within a JSON string.
func appendServerBase64(dst, d []byte) []byte {
	const line = 57
	for len(d) > line {
		dst = append(base64.StdEncoding.AppendEncode(dst, d[:line]), '\\', 'n')
		d = d[line:]
	}
	return base64.StdEncoding.AppendEncode(dst, d)
}

// appendServerDouble appends f as the server writes doubles in JSON: the fewest
// digits that mean f, with an exponent below 1e-15, and from 1e15 on where there
// is no fraction.
func appendServerDouble(dst []byte, f float64) []byte {
	var buf [32]byte
	s := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	e := len(s) - 1
	for s[e] != 'e' {
		e--
	}
	exponent, _ := strconv.Atoi(string(s[e+1:]))
	digits := e
	if s[0] == '-' {
		digits--
	}
	digits = max(digits-1, 1) // without the point
	if exponent >= 15 && exponent >= digits-1 || exponent < -15 {
		dst = append(append(dst, s[:e]...), 'e')
		return strconv.AppendInt(dst, int64(exponent), 10)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	for _, c := range dst[at:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// appendJSONString appends s as the server quotes it: only what has to be is
// escaped.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		n := plainPrefix(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		dst = appendEscape(dst, s[0])
		s = s[1:]
	}
	return append(dst, '"')
}

// plainPrefix counts the leading bytes that need no escape, eight at a time.
func plainPrefix(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		quote, slash := x^ones*'"', x^ones*'\\'
		if m := ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendCompactJSON appends the server's text of a JSON value without the
// spaces outside of its strings.
func appendCompactJSON(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c != '"' {
			if c != ' ' {
				dst = append(dst, c)
			}
			i++
			continue
		}
		end := i + 1
		for end < len(text) && text[end] != '"' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end+1, len(text))
		dst = append(dst, text[i:end]...)
		i = end
	}
	return dst
}
