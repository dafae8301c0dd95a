package mysql

import (
	"bytes"
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

// jsonLimits end the reading of a malformed document. budget is what of the
// document's bytes is not yet accounted for, so that one that says its parts
// again and again ends.
type jsonLimits struct{ budget, depth int }

// appendJSON appends the text of a JSON column's binary value; no bytes at all
// are the null that the server puts in place of an invalid one.
func appendJSON(dst, d []byte) ([]byte, error) {
	if len(d) == 0 {
		return append(dst, "null"...), nil
	}
	w := jsonLimits{budget: len(d)}
	return w.value(dst, d[0], d[1:])
}

// spend accounts for n bytes of the document.
func (w *jsonLimits) spend(n int) bool {
	w.budget -= n
	return w.budget >= 0
}

// value appends one value.
func (w *jsonLimits) value(dst []byte, typ byte, d []byte) ([]byte, error) {
	switch typ {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return w.container(dst, typ, d)
	case jsonString:
		size, n := jsonLength(d)
		if n == 0 || !w.spend(size) {
			return dst, errJSON
		}
		return appendJSONText(dst, d, n, size), nil
	case jsonOpaque:
		return w.opaque(dst, d)
	}
	if len(d) < jsonWidth(typ) {
		return dst, errJSON
	}
	switch typ {
	case jsonLiteral:
		if d[0] > 2 {
			return dst, errJSON
		}
		return append(dst, [...]string{"null", "true", "false"}[d[0]]...), nil
	case jsonInt16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(d))), 10), nil
	case jsonUint16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(d)), 10), nil
	case jsonInt32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(d))), 10), nil
	case jsonUint32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(d)), 10), nil
	case jsonInt64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(d)), 10), nil
	case jsonUint64:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(d), 10), nil
	case jsonDouble:
		f := math.Float64frombits(binary.LittleEndian.Uint64(d))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return dst, errJSON
		}
		return appendServerDouble(dst, f), nil
	}
	return dst, fmt.Errorf("%w: type %d", errJSON, typ)
}

// jsonWidth is how many bytes a value of the type has.
func jsonWidth(typ byte) int {
	if typ < byte(len(jsonWidths)) {
		return jsonWidths[typ]
	}
	return 8
}

var jsonWidths = [...]int{
	jsonSmallObject: 8, jsonLargeObject: 8, jsonSmallArray: 8, jsonLargeArray: 8,
	jsonLiteral: 1, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4,
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
// where it fits) of each value. keys and entries are what of these was not read.
type jsonContainer struct {
	d             []byte
	width, count  int
	object        bool
	keys, entries []byte
	start         int // of the keys and values themselves
}

func newJSONContainer(typ byte, d []byte) (c jsonContainer, ok bool) {
	ok = c.open(typ, d)
	return c, ok
}

// open reads the head of a container that nothing was read from yet.
func (c *jsonContainer) open(typ byte, d []byte) bool {
	c.d, c.width, c.object = d, 2, typ <= jsonLargeObject
	if typ == jsonLargeObject || typ == jsonLargeArray {
		c.width = 4
	}
	if len(d) < 2*c.width {
		return false
	}
	c.count = jsonOffset(d, c.width)
	if c.count > len(d) {
		return false
	}
	keys := 2 * c.width
	entries := keys
	if c.object {
		entries += c.count * (c.width + 2)
	}
	c.start = entries + c.count*(c.width+1)
	if c.start > len(d) {
		return false
	}
	c.keys, c.entries = d[keys:entries], d[entries:c.start]
	return true
}

// key reads where the next member's name lies in d.
func (c *jsonContainer) key() (at, n int, ok bool) {
	k := c.keys
	if c.width == 2 {
		at, n, c.keys = int(binary.LittleEndian.Uint16(k)), int(binary.LittleEndian.Uint16(k[2:])), k[4:]
	} else {
		at, n, c.keys = int(binary.LittleEndian.Uint32(k)), int(binary.LittleEndian.Uint16(k[4:])), k[6:]
	}
	return at, n, at+n <= len(c.d)
}

// value reads the type and the bytes of the next member or element.
func (c *jsonContainer) value() (typ byte, d []byte, ok bool) {
	v := c.entries
	typ, c.entries = v[0], v[c.width+1:]
	if typ < byte(len(jsonInline)) && jsonInline[typ] <= c.width {
		return typ, v[1 : 1+c.width], true
	}
	at := jsonOffset(v[1:], c.width)
	if at < c.start || at > len(c.d) {
		return 0, nil, false
	}
	return typ, c.d[at:], true
}

func (w *jsonLimits) container(dst []byte, typ byte, d []byte) ([]byte, error) {
	var c jsonContainer
	if w.depth++; !c.open(typ, d) || w.depth > jsonMaxDepth || !w.spend(c.count) {
		return dst, errJSON
	}
	open, end := byte('['), byte(']')
	if c.object {
		open, end = '{', '}'
	}
	for range c.count {
		dst = append(dst, open)
		open = ','
		if c.object {
			at, n, ok := c.key()
			if !ok || !w.spend(n) {
				return dst, errJSON
			}
			dst = append(appendJSONText(dst, d, at, n), ':')
		}
		typ, v, ok := c.value()
		if !ok {
			return dst, errJSON
		}
		var err error
		if dst, err = w.value(dst, typ, v); err != nil {
			return dst, err
		}
	}
	if c.count == 0 {
		dst = append(dst, open)
	}
	w.depth--
	return append(dst, end), nil
}

// jsonInline says how wide the offsets of a container must be for a value of the
// type to stand in an offset's place.
var jsonInline = [...]int{
	jsonSmallObject: 8, jsonLargeObject: 8, jsonSmallArray: 8, jsonLargeArray: 8,
	jsonLiteral: 2, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4,
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
func (w *jsonLimits) opaque(dst, d []byte) ([]byte, error) {
	if len(d) == 0 {
		return dst, errJSON
	}
	typ, d := columnType(d[0]), d[1:]
	size, n := jsonLength(d)
	if n == 0 || !w.spend(size) {
		return dst, errJSON
	}
	d = d[n : n+size]
	switch typ {
	case typeNewDecimal:
		return appendJSONDecimal(dst, d)
	case typeDate, typeTime, typeDatetime, typeTimestamp:
		if len(d) != 8 {
			return dst, errJSON
		}
		return appendJSONTemporal(dst, typ, int64(binary.LittleEndian.Uint64(d))), nil
	}
	dst = strconv.AppendUint(append(dst, `"base64:type`...), uint64(typ), 10)
	return append(appendServerBase64(append(dst, ':'), d), '"'), nil
}

// appendJSONDecimal appends a DECIMAL: its precision, its scale, its digits.
func appendJSONDecimal(dst, d []byte) ([]byte, error) {
	if len(d) < 2 {
		return dst, errJSON
	}
	l := newDecimalLayout(int(d[0]), int(d[1]))
	if l == nil || len(d)-2 < l.size {
		return dst, errJSON
	}
	return l.appendText(dst, d[2:]), nil
}

// appendJSONTemporal appends a packed date, time or both, always with six
// digits of fraction where there is a time.
func appendJSONTemporal(dst []byte, typ columnType, packed int64) []byte {
	dst = append(dst, '"')
	if packed < 0 {
		dst, packed = append(dst, '-'), -packed
	}
	us, hms := uint64(packed&0xffffff), packed>>24
	if typ != typeTime {
		ymd := hms >> 17
		month := ymd >> 5
		dst = appendDate(dst, date{int(month / 13 % 10000), int(month % 13), int(ymd & 31)})
		hms &= 1<<17 - 1
	}
	if typ != typeDate {
		if typ != typeTime {
			dst = append(dst, ' ')
		}
		dst = appendClock(dst, uint64(hms>>12), uint64(hms>>6&63), uint64(hms&63))
		dst = appendDigits(append(dst, '.'), us%1e6, 6)
	}
	return append(dst, '"')
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
	if a := math.Abs(f); a >= 1e-4 && a < 1e11 {
		// A decimal of at most 15 digits that is nearest to f is the shortest: the
		// quotient of two exact numbers is the nearest to theirs.
		if n := math.Round(f * 1e4); n/1e4 == f {
			return appendFixed(dst, int64(n))
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	var buf [32]byte
	s := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	e := bytes.IndexByte(s, 'e')
	exponent, _ := strconv.Atoi(string(s[e+1:]))
	digits := len(bytes.TrimLeft(s[:e], "-"))
	digits = max(digits-1, 1) // without the point
	if exponent >= 15 && exponent >= digits-1 || exponent < -15 {
		dst = append(append(dst, s[:e]...), 'e')
		return strconv.AppendInt(dst, int64(exponent), 10)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[at:], '.') >= 0 {
		return dst
	}
	return append(dst, ".0"...)
}

// appendFixed appends n/10000 with at least one digit behind the point.
func appendFixed(dst []byte, n int64) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = append(strconv.AppendInt(dst, n/1e4, 10), '.')
	n %= 1e4
	dst = append(dst, byte('0'+n/1000), byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
	end := len(dst)
	for dst[end-1] == '0' && dst[end-2] != '.' {
		end--
	}
	return dst[:end]
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, in each byte's high bit, what the server escapes in a string:
// control characters, the quote and the backslash. The lowest mark is exact.
func special(x uint64) uint64 {
	quote, slash := x^ones*'"', x^ones*'\\'
	return ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// appendJSONText appends the n bytes at at of d as a string. Most are short: one
// of up to eight is looked at, and written, at once.
func appendJSONText(dst, d []byte, at, n int) []byte {
	if n <= 8 && len(d)-at >= 8 {
		x := binary.LittleEndian.Uint64(d[at:])
		rest := ^uint64(0) << (8 * n)
		if special(x&^rest|ones*'a'&rest) == 0 {
			dst = binary.LittleEndian.AppendUint64(append(dst, '"'), x)
			return append(dst[:len(dst)-8+n], '"')
		}
	}
	return appendJSONString(dst, d[at:at+n])
}

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
		if m := special(binary.LittleEndian.Uint64(s[i:])); m != 0 {
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
	start := 0
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			i = endOfString(text, i+1)
		case ' ':
			dst = append(dst, text[start:i]...)
			i++
			start = i
		default:
			i++
		}
	}
	return append(dst, text[start:]...)
}

// endOfString finds what is behind the string whose content begins at i.
func endOfString(text []byte, i int) int {
	for i < len(text) {
		i += plainPrefix(text[i:])
		switch {
		case i >= len(text):
		case text[i] == '"':
			return i + 1
		case text[i] == '\\':
			i += 2
		default:
			i++
		}
	}
	return len(text)
}
