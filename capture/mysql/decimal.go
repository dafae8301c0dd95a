package mysql

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/weir-cdc/weir/internal/cdc"
)

// decimalLayout is how DECIMAL(precision, scale) lies in a row image: groups of
// nine digits in four bytes, the odd digits of either side in as few as hold
// them, the sign in the first bit, everything inverted when negative.
type decimalLayout struct {
	groups []digitGroup
	whole  int // groups in front of the point
	size   int
	scale  int
	small  bool // every value fits cdc.SmallDecimal
}

// digitGroup is one big-endian number of up to nine digits.
type digitGroup struct {
	bytes, digits int
}

var digitBytes = [...]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

var tens = [...]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// maxDigits is what the servers let a DECIMAL have.
const maxDigits = 65

// maxSmallDigits is what cdc.SmallDecimal holds.
const maxSmallDigits = 18

// newDecimalLayout returns nil for what is no DECIMAL.
func newDecimalLayout(precision, scale int) *decimalLayout {
	if precision < 1 || scale < 0 || scale > precision || precision > maxDigits {
		return nil
	}
	l := &decimalLayout{small: precision <= maxSmallDigits, scale: scale}
	add := func(digits int) {
		if digits > 0 {
			l.groups = append(l.groups, digitGroup{digitBytes[digits], digits})
			l.size += digitBytes[digits]
		}
	}
	whole := precision - scale
	add(whole % 9)
	for range whole / 9 {
		add(9)
	}
	l.whole = len(l.groups)
	for range scale / 9 {
		add(9)
	}
	add(scale % 9)
	return l
}

// group reads group i at the head of d, clearing sign and inversion.
func (l *decimalLayout) group(i int, d []byte, negative bool) uint64 {
	n := l.groups[i].bytes
	var u uint32
	if n == 4 {
		u = binary.BigEndian.Uint32(d)
	} else {
		u = uint32(bigEndian(d[:n]))
	}
	mask := uint32(1)<<(8*n-1)<<1 - 1
	if i == 0 {
		u ^= 0x80 << (8 * (n - 1))
	}
	if negative {
		u = ^u & mask
	}
	return uint64(u)
}

// decode decodes the value in d, which has l.size bytes.
func (l *decimalLayout) decode(r *cdc.Row, d []byte) cdc.Value {
	negative := d[0]&0x80 == 0
	if !l.small {
		var w wide
		for i := range l.groups {
			w.shift(l.groups[i].digits, l.group(i, d, negative))
			d = d[l.groups[i].bytes:]
		}
		return w.value(r, negative)
	}
	var u uint64
	for i := range l.groups {
		u = u*tens[l.groups[i].digits] + l.group(i, d, negative)
		d = d[l.groups[i].bytes:]
	}
	if negative {
		u = -u
	}
	return cdc.SmallDecimal(int64(u))
}

// appendText appends the value in d as the server writes it: all digits of the
// scale, at least one in front of the point.
func (l *decimalLayout) appendText(dst, d []byte) []byte {
	negative := d[0]&0x80 == 0
	if negative {
		dst = append(dst, '-')
	}
	start := len(dst)
	for i := range l.groups {
		if i == l.whole {
			dst = endWhole(dst, start)
		}
		dst = appendDigits(dst, l.group(i, d, negative), l.groups[i].digits)
		d = d[l.groups[i].bytes:]
	}
	if l.scale == 0 {
		return endWholeWithoutPoint(dst, start)
	}
	return dst
}

// endWhole drops leading zeros of the digits from start and appends the point.
func endWhole(dst []byte, start int) []byte {
	return append(endWholeWithoutPoint(dst, start), '.')
}

func endWholeWithoutPoint(dst []byte, start int) []byte {
	zeros := start
	for zeros < len(dst)-1 && dst[zeros] == '0' {
		zeros++
	}
	dst = append(dst[:start], dst[zeros:]...)
	if len(dst) == start {
		dst = append(dst, '0')
	}
	return dst
}

// appendDigits appends u in exactly n digits.
func appendDigits(dst []byte, u uint64, n int) []byte {
	at := len(dst)
	dst = append(dst, "000000000"[:n]...)
	for i := at + n - 1; i >= at; i-- {
		dst[i] = byte('0' + u%10)
		u /= 10
	}
	return dst
}

// double is the value in d as the nearest float64.
func (l *decimalLayout) double(d []byte) float64 {
	var buf [128]byte
	return parseDouble(l.appendText(buf[:0], d))
}

// parseDouble parses a number that the server wrote; what is none is 0.
func parseDouble(text []byte) float64 {
	f, _ := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	return f
}

// parseDecimal reads a decimal in the server's text, of at most scale digits
// behind the point, which are made exactly as many.
func parseDecimal(r *cdc.Row, text []byte, scale int) (cdc.Value, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, fraction := text, []byte(nil)
	if point := bytes.IndexByte(text, '.'); point >= 0 {
		whole, fraction = text[:point], text[point+1:]
	}
	if len(text) == 0 || len(fraction) > scale {
		return cdc.Value{}, false
	}
	var w wide
	if !w.parse(whole) || !w.parse(fraction) {
		return cdc.Value{}, false
	}
	for missing := scale - len(fraction); missing > 0; missing -= 9 {
		w.shift(min(missing, 9), 0)
	}
	return w.value(r, negative), true
}

// parse appends decimal digits.
func (w *wide) parse(digits []byte) bool {
	for len(digits) > 0 {
		n := min(len(digits), maxSmallDigits)
		var u uint64
		for _, c := range digits[:n] {
			if c < '0' || c > '9' {
				return false
			}
			u = u*10 + uint64(c-'0')
		}
		if bits.Len64(w[len(w)-1])+n*10/3+1 > 64 { // more than the servers have
			return false
		}
		w.shift(n, u)
		digits = digits[n:]
	}
	return true
}

// wide is an unsigned number of 256 bits, the lowest first; the server's
// decimals have up to 65 digits, which are 216.
type wide [4]uint64

// shift appends digits decimal digits of value u.
func (w *wide) shift(digits int, u uint64) {
	for i := range w {
		hi, lo := bits.Mul64(w[i], tens[digits])
		var carry uint64
		w[i], carry = bits.Add64(lo, u, 0)
		u = hi + carry
	}
}

// value is ±w in the one form that a decimal of its size has.
func (w *wide) value(r *cdc.Row, negative bool) cdc.Value {
	if w[1]|w[2]|w[3] == 0 && w[0] < tens[maxSmallDigits] {
		if negative {
			return cdc.SmallDecimal(-int64(w[0]))
		}
		return cdc.SmallDecimal(int64(w[0]))
	}
	top := w.bits()
	if negative { // two's complement: the number before is as long as it gets
		w.negate()
		top = w.signedBits()
	}
	b := r.Alloc(top/8 + 1)
	for i := range b {
		at := len(b) - 1 - i
		b[i] = byte(w[at/8] >> (8 * (at % 8)))
	}
	return cdc.BigDecimal(b)
}

// bits is the number of bits up to the highest one.
func (w *wide) bits() int {
	for i := len(w) - 1; i >= 0; i-- {
		if w[i] != 0 {
			return 64*i + bits.Len64(w[i])
		}
	}
	return 0
}

func (w *wide) negate() {
	carry := uint64(1)
	for i := range w {
		w[i], carry = bits.Add64(^w[i], 0, carry)
	}
}

// signedBits is the number of bits of a negative number without its sign.
func (w *wide) signedBits() int {
	inverted := wide{^w[0], ^w[1], ^w[2], ^w[3]}
	return inverted.bits()
}
