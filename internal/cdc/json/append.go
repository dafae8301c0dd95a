package json

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks (in each byte's high bit) what a JSON string cannot hold as it
// is: control characters, quote, backslash, and the lead byte of a rune beyond
// the BMP, which Jackson writes as two \u escapes. The lowest mark is exact;
// marks above it may be false.
func special(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	lead := x & (x << 1) & (x << 2) & (x << 3)
	return ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash | lead) & highs
}

const upperHex = "0123456789ABCDEF"

// AppendString appends s as the JSON string that Jackson writes for it. What is
// not UTF-8 in s becomes U+FFFD.
func AppendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		n, ascii := plainPrefix(s)
		if ascii || utf8.Valid(s[:n]) {
			dst = append(dst, s[:n]...)
		} else {
			dst = appendValid(dst, s[:n])
		}
		if s = s[n:]; len(s) == 0 {
			break
		}
		dst, n = appendEscaped(dst, s)
		s = s[n:]
	}
	return append(dst, '"')
}

// plainPrefix counts the leading bytes that need no escape, and says whether
// they are surely ASCII.
func plainPrefix(s []byte) (n int, ascii bool) {
	i, seen := 0, uint64(0)
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		seen |= x
		if m := special(x); m != 0 {
			return i + bits.TrailingZeros64(m)/8, seen&highs == 0
		}
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c == '"' || c == '\\' || c >= 0xf0 {
			break
		}
		seen |= uint64(c)
	}
	return i, seen&highs == 0
}

// appendValid appends s with every byte that is not UTF-8 replaced.
func appendValid(dst, s []byte) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst
}

// appendEscaped appends the escape of the first character and says how long that was.
func appendEscaped(dst, s []byte) ([]byte, int) {
	switch c := s[0]; {
	case c == '"' || c == '\\':
		return append(dst, '\\', c), 1
	case c == '\n':
		return append(dst, '\\', 'n'), 1
	case c == '\r':
		return append(dst, '\\', 'r'), 1
	case c == '\t':
		return append(dst, '\\', 't'), 1
	case c == '\b':
		return append(dst, '\\', 'b'), 1
	case c == '\f':
		return append(dst, '\\', 'f'), 1
	case c < 0x20:
		return append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15]), 1
	}
	r, n := utf8.DecodeRune(s)
	if n < 4 {
		return append(dst, "\uFFFD"...), 1
	}
	r -= 0x10000
	return appendU16(appendU16(dst, 0xd800+uint16(r>>10)), 0xdc00+uint16(r&0x3ff)), n
}

func appendU16(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', upperHex[u>>12], upperHex[u>>8&15], upperHex[u>>4&15], upperHex[u&15])
}

// AppendDouble appends f as Java's Double.toString does since version 19, or
// Float.toString for a bitSize of 32: the shortest digits that read back as f,
// at least one of them after the point, and an exponent outside [1e-3, 1e7).
// What is no number is a JSON string, as Jackson writes it.
func AppendDouble(dst []byte, f float64, bitSize int) []byte {
	a := math.Abs(f)
	switch {
	case f == 0:
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, "0.0"...)
	case a >= 1e-3 && a < 1e7:
		at := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, bitSize)
		for _, c := range dst[at:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, '.', '0')
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return appendScientific(dst, f, bitSize)
}

// appendScientific appends 1.5E10. Where one digit would do, Java takes the
// nearest number of two, which differs for a few subnormal numbers (4.9E-324).
func appendScientific(dst []byte, f float64, bitSize int) []byte {
	var b [32]byte
	s := strconv.AppendFloat(b[:0], f, 'e', -1, bitSize)
	if s[1] == 'e' || s[0] == '-' && s[2] == 'e' {
		s = strconv.AppendFloat(b[:0], f, 'e', 1, bitSize)
	}
	e := len(s) - 1
	for s[e] != 'e' {
		e--
	}
	dst = append(append(dst, s[:e]...), 'E')
	exp := s[e+1:]
	if exp[0] == '-' {
		dst = append(dst, '-')
	}
	exp = exp[1:]
	for len(exp) > 1 && exp[0] == '0' {
		exp = exp[1:]
	}
	return append(dst, exp...)
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// appendBase64Int appends the shortest big-endian two's complement of i as a
// string in base64, which is how Connect writes a small Decimal.
func appendBase64Int(dst []byte, i int64) []byte {
	n := (72 - bits.LeadingZeros64(uint64(i^i>>63))) / 8 // one bit more, for the sign
	u := uint64(i) << (64 - 8*n)                         // left-aligned: read off in sixes
	dst = append(dst, '"')
	for ; n >= 3; n -= 3 {
		dst = append(dst, base64Digits[u>>58], base64Digits[u>>52&63], base64Digits[u>>46&63], base64Digits[u>>40&63])
		u <<= 24
	}
	switch n {
	case 1:
		dst = append(dst, base64Digits[u>>58], base64Digits[u>>52&63], '=', '=')
	case 2:
		dst = append(dst, base64Digits[u>>58], base64Digits[u>>52&63], base64Digits[u>>46&63], '=')
	}
	return append(dst, '"')
}

// appendBase64 appends b as a string in base64.
func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// text views b as a string without copying it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
