package lake

import (
	"bytes"
	"math/big"
	"math/bits"
)

// pow10s are the powers of ten that an int64 holds.
var pow10s = [...]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// decimalBytes is the fewest bytes whose two's complement holds every number of
// precision digits.
func decimalBytes(precision int) int {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return limit.Sub(limit, big.NewInt(1)).BitLen()/8 + 1
}

// bigDigits is how many decimal digits n has.
func bigDigits(n *big.Int) int {
	return len(new(big.Int).Abs(n).String())
}

// bigOf reads big-endian two's complement.
func bigOf(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// smallOf reads big-endian two's complement of up to 8 bytes.
func smallOf(b []byte) (int64, bool) {
	if len(b) > 8 {
		b = trimSign(b)
	}
	if len(b) > 8 || len(b) == 0 {
		return 0, false
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// trimSign drops the leading bytes that only repeat the sign.
func trimSign(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// appendSigned appends b as two's complement of exactly size bytes, into which
// it must fit.
func appendSigned(dst, b []byte, size int) []byte {
	b = trimSign(b)
	fill := byte(0)
	if len(b) > 0 && b[0]&0x80 != 0 {
		fill = 0xff
	}
	for range size - len(b) {
		dst = append(dst, fill)
	}
	return append(dst, b...)
}

// appendInt64 appends n as two's complement of exactly size bytes.
func appendInt64(dst []byte, n int64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		if i >= 8 {
			dst = append(dst, byte(n>>63))
			continue
		}
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// appendBig appends n as two's complement of exactly size bytes, into which it
// must fit.
func appendBig(dst []byte, n *big.Int, size int) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	n.FillBytes(dst[at:])
	return dst
}

// mostScale bounds the powers of ten of the numbers that are read, and mostDigits
// their digits: no database has such a decimal.
const (
	mostScale  = 1 << 14
	mostDigits = 1 << 15
)

// number is an exact decimal: n × 10^-scale.
type number struct {
	n     *big.Int
	scale int
}

// parseNumber reads a decimal or JSON number literal, with or without an
// exponent.
func parseNumber(b []byte) (number, bool) {
	mantissa, exponent := b, 0
	if i := bytes.IndexAny(b, "eE"); i >= 0 {
		n, ok := parseSmall(b[i+1:])
		if !ok || n < -1000 || n > 1000 {
			return number{}, false
		}
		mantissa, exponent = b[:i], int(n)
	}
	if len(mantissa) > mostDigits {
		return number{}, false
	}
	digits := make([]byte, 0, len(mantissa))
	scale, seen, point := 0, false, false
	for i, c := range mantissa {
		switch {
		case c >= '0' && c <= '9':
			seen = true
			digits = append(digits, c)
			if point {
				scale++
			}
		case (c == '-' || c == '+') && i == 0:
			digits = append(digits, c)
		case c == '.' && !point:
			point = true
		default:
			return number{}, false
		}
	}
	n, ok := new(big.Int).SetString(string(digits), 10)
	if !ok || !seen {
		return number{}, false
	}
	return number{n, scale - exponent}, true
}

// parseSmall reads a signed integer of up to 18 digits.
func parseSmall(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// rescale returns the number in units of 10^-scale; false where that is not
// exact.
func (d number) rescale(scale int) (*big.Int, bool) {
	if d.n == nil {
		return nil, false
	}
	if scale >= d.scale {
		f := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-d.scale)), nil)
		return f.Mul(f, d.n), true
	}
	f := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.scale-scale)), nil)
	q, r := new(big.Int).QuoRem(d.n, f, f)
	return q, r.Sign() == 0
}

// reduced drops zeros at the end of the fraction.
func (d number) reduced() number {
	ten := big.NewInt(10)
	for d.scale > 0 {
		q, r := new(big.Int).QuoRem(d.n, ten, new(big.Int))
		if r.Sign() != 0 {
			break
		}
		d.n, d.scale = q, d.scale-1
	}
	return d
}

// append writes the number without an exponent, with scale digits behind the
// point.
func (d number) append(dst []byte) []byte {
	if d.scale <= 0 {
		n, _ := d.rescale(0)
		return n.Append(dst, 10)
	}
	text := new(big.Int).Abs(d.n).String()
	if d.n.Sign() < 0 {
		dst = append(dst, '-')
	}
	for len(text) <= d.scale {
		text = "0" + text
	}
	point := len(text) - d.scale
	return append(append(append(dst, text[:point]...), '.'), text[point:]...)
}

// mulFits multiplies where the product fits an int64.
func mulFits(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	neg := (a < 0) != (b < 0)
	ua, ub := uint64(a), uint64(b)
	if a < 0 {
		ua = -ua
	}
	if b < 0 {
		ub = -ub
	}
	hi, lo := bits.Mul64(ua, ub)
	if hi != 0 || lo > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}
