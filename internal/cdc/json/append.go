package json

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	lows  = 0x7f7f7f7f7f7f7f7f
)

// quotes marks (in each byte's high bit) the quotes and backslashes among eight
// bytes, exactly.
func quotes(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ^((quote&lows + lows | quote) & (slash&lows + lows | slash)) & highs
}

// rare marks what else a JSON string cannot hold as it is: control characters,
// and the lead byte of a rune beyond the BMP, which Jackson writes as two \u
// escapes. The lowest mark is exact; marks above it may be false.
func rare(x uint64) uint64 {
	return ((x-ones*0x20)&^x | x&(x<<1)&(x<<2)&(x<<3)) & highs
}

const upperHex = "0123456789ABCDEF"

// AppendString appends s as the JSON string that Jackson writes for it. What is
// not UTF-8 in s becomes U+FFFD.
func AppendString(dst, s []byte) []byte {
	const room = 24 // for eight escaped bytes, or an escape, and the closing quote
	dst = append(slices.Grow(dst, len(s)+len(s)/8+room), '"')
	buf, n, i := dst[:cap(dst)], len(dst), 0
	var due, doubt uint64 // see continuations
	for i < len(s) {
		if n+room > len(buf) {
			buf = slices.Grow(buf[:n], 2*(len(s)-i)+room)
			buf = buf[:cap(buf)]
		}
		var x, within uint64
		k := 8
		if i+8 <= len(s) {
			x, within = binary.LittleEndian.Uint64(s[i:]), highs
		} else {
			x, k = lastWord(s, i)
			within = highs & (1<<(8*k) - 1)
		}
		if mark := rare(x) & within; mark != 0 {
			// The bytes before it come round again alone.
			doubt |= x & highs
			if k = bits.TrailingZeros64(mark) / 8; k == 0 {
				out, size := appendEscaped(buf[:n], s[i:])
				buf, n, i = out[:cap(out)], len(out), i+size
				continue
			}
			x &= 1<<(8*k) - 1
		}
		if x&highs|due != 0 {
			var wrong uint64
			wrong, due = continuations(x, due)
			doubt |= wrong
		}
		i += k
		marks := quotes(x)
		if marks == 0 {
			binary.LittleEndian.PutUint64(buf[n:], x)
			n += k
			continue
		}
		n += putQuoted((*[16]byte)(buf[n:]), x, marks) - (8 - k)
	}
	if doubt|due != 0 && !utf8.Valid(s) {
		return append(appendPieces(buf[:len(dst)], s), '"')
	}
	return append(buf[:n], '"')
}

// continuations checks eight bytes of UTF-8: each lead byte says which of those
// behind it must be continuations, and no other may be. due are those that the
// bytes before demand, owed those that these demand of the next; wrong is 0 if
// all is as it must be. Lead bytes with rules of their own are wrong here.
func continuations(x, due uint64) (wrong, owed uint64) {
	lead := x & (x << 1) & highs
	lead3 := lead & (x << 2)
	overlong := lead &^ (x<<2 | x<<3 | x<<4 | x<<5 | x<<6)                      // c0, c1
	second := lead3&^(x<<4|x<<5|x<<6|x<<7) | lead3&(x<<4)&(x<<5)&^(x<<6)&(x<<7) // e0, ed
	misplaced := x&^(x<<1)&highs ^ (lead<<8 | lead3<<16 | due)
	return misplaced | overlong | second | lead3&(x<<3), lead>>56 | lead3>>48
}

// putQuoted writes the bytes of x, each that is marked behind a backslash, and
// returns how many that made. Where the quotes of a text stand cannot be
// foreseen, so there is no branch on it.
func putQuoted(buf *[16]byte, x, marks uint64) int {
	mask := marks >> 7 * 0x0102040810204080 >> 56 // one bit a byte
	low, high := &quoting[mask&15], &quoting[mask>>4]
	binary.LittleEndian.PutUint64(buf[:], low.spread(x))
	binary.LittleEndian.PutUint64(buf[low.size:], high.spread(x>>32))
	return low.size + high.size
}

// quoted says how four bytes become up to eight: what takes each to its place,
// the backslashes between them, and how many bytes there are then. A byte is
// moved by a multiplication, which costs less than a shift by a variable.
type quoted struct {
	slashes, a, b, c, d uint64
	size                int
}

func (q *quoted) spread(x uint64) uint64 {
	return q.slashes | (x&0xff)*q.a | (x>>8&0xff)*q.b | (x>>16&0xff)*q.c | (x>>24&0xff)*q.d
}

// quoting is by which of the four bytes are to be quoted, a bit each.
var quoting = func() (table [16]quoted) {
	for mask := range table {
		q := &table[mask]
		for i, to := range []*uint64{&q.a, &q.b, &q.c, &q.d} {
			if mask>>i&1 != 0 {
				q.slashes |= '\\' << (8 * q.size)
				q.size++
			}
			*to = 1 << (8 * q.size)
			q.size++
		}
	}
	return table
}()

// lastWord is s[i:], less than eight bytes, as a word with zeros behind, and how
// many they are.
func lastWord(s []byte, i int) (x uint64, n int) {
	if n = len(s) - i; len(s) >= 8 {
		return binary.LittleEndian.Uint64(s[len(s)-8:]) >> (8 * (8 - n)), n
	}
	switch s = s[i:]; {
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(s)) | uint64(binary.LittleEndian.Uint32(s[n-4:]))<<(8*(n-4)), n
	case n >= 2:
		return uint64(binary.LittleEndian.Uint16(s)) | uint64(binary.LittleEndian.Uint16(s[n-2:]))<<(8*(n-2)), n
	}
	return uint64(s[0]), n
}

// appendPieces appends the content of a string that may not be UTF-8.
func appendPieces(dst, s []byte) []byte {
	for len(s) > 0 {
		n := plainPrefix(s)
		dst = appendValid(dst, s[:n])
		if s = s[n:]; len(s) == 0 {
			break
		}
		dst, n = appendEscaped(dst, s)
		s = s[n:]
	}
	return dst
}

// plainPrefix counts the leading bytes that need no escape.
func plainPrefix(s []byte) (n int) {
	for n < len(s) && s[n] >= 0x20 && s[n] != '"' && s[n] != '\\' && s[n] < 0xf0 {
		n++
	}
	return n
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
