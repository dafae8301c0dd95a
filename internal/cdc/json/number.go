package json

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// appendInt appends n in decimal.
func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendUint(append(dst, '-'), -uint64(n))
	}
	return appendUint(dst, uint64(n))
}

// appendUint appends u in decimal, eight digits at a time: strconv takes two,
// and timestamps of 13 to 19 digits are half of an envelope's numbers.
func appendUint(dst []byte, u uint64) []byte {
	const chunk = 100_000_000
	n := len(dst)
	dst = slices.Grow(dst, 24)
	buf := dst[:n+24]
	first := u
	if u >= chunk {
		first = u / chunk
		if first >= chunk {
			first = first / chunk
		}
	}
	x := digitsOf8(first)
	zeros := min(bits.TrailingZeros64(x)/8, 7)
	binary.LittleEndian.PutUint64(buf[n:], (x|ones*'0')>>(8*zeros))
	n += 8 - zeros
	if u >= chunk*chunk {
		binary.LittleEndian.PutUint64(buf[n:], digitsOf8(u/chunk%chunk)|ones*'0')
		n += 8
	}
	if u >= chunk {
		binary.LittleEndian.PutUint64(buf[n:], digitsOf8(u%chunk)|ones*'0')
		n += 8
	}
	return buf[:n]
}

// digitsOf8 is the inverse of valueOf8 for a number below 10^8, but that the
// digits are 0 to 9 and not their characters.
func digitsOf8(u uint64) uint64 {
	x := u/10_000 | u%10_000<<32
	q := x * 10486 >> 20 & 0x7f_0000_007f // /100
	x = q | (x-100*q)<<16
	q = x * 103 >> 10 & 0x000f_000f_000f_000f // /10
	return q | (x-10*q)<<8
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
		if bitSize == 64 {
			if out, ok := appendShort(dst, f); ok {
				return out
			}
		}
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

// appendShort appends a number below 1e7 of at most four digits after the point.
// They are the shortest that read back as f, for no two decimals of up to 15
// digits are the same double.
func appendShort(dst []byte, f float64) ([]byte, bool) {
	const scale = 10_000
	n := int64(math.Abs(f)*scale + 0.5)
	if float64(n)/scale != math.Abs(f) {
		return dst, false
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	dst = append(appendInt(dst, n/scale), '.')
	rest := n % scale
	dst = append2(append2(dst, rest/100), rest%100)
	for zeros := 0; zeros < 3 && dst[len(dst)-1] == '0'; zeros++ {
		dst = dst[:len(dst)-1]
	}
	return dst, true
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
