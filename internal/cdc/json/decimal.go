package json

import (
	"math/big"
	"math/bits"
	"slices"
	"strconv"
)

// maxLimbs is the size of the numbers that are converted without allocation: 64
// bytes, 154 digits. Longer ones go through math/big.
const maxLimbs = 8

// maxZeros bounds what a few bytes of text (1E1000000000) can make of memory.
const maxZeros = 1 << 14

// mostDigits and mostDecimalBytes bound the decimals that are read: no database
// has such, and making text of one takes time that grows with its square.
const (
	mostDigits       = 1 << 15
	mostDecimalBytes = mostDigits / 2
)

// tenTo19 is the largest power of ten in a uint64.
const tenTo19 = 10_000_000_000_000_000_000

// decimalText says how a decimal is laid out.
type decimalText uint8

const (
	plain decimalText = iota // BigDecimal.toPlainString
	java                     // BigDecimal.toString, which has exponents below 1E-6
)

// appendSmallDecimal appends unscaled·10^-scale, unquoted.
func appendSmallDecimal(dst []byte, unscaled int64, scale int, t decimalText) []byte {
	if scale == 0 {
		return appendInt(dst, unscaled)
	}
	u, negative := uint64(unscaled), unscaled < 0
	if negative {
		u = -u
	}
	var b [24]byte
	return layOut(dst, negative, appendUint(b[:0], u), scale, t)
}

// appendBigDecimal appends the unscaled two's complement in twos, shifted by
// scale, unquoted.
func appendBigDecimal(dst, twos []byte, scale int, t decimalText) []byte {
	var b [20 * maxLimbs]byte
	if len(twos) > 8*maxLimbs {
		n := bigInt(twos)
		return layOut(dst, n.Sign() < 0, new(big.Int).Abs(n).Append(nil, 10), scale, t)
	}
	digits, negative := bigDigits(b[:], twos)
	return layOut(dst, negative, digits, scale, t)
}

// layOut appends digits, which have no needless zeros in front, as a decimal of
// scale.
func layOut(dst []byte, negative bool, digits []byte, scale int, t decimalText) []byte {
	if negative {
		dst = append(dst, '-')
	}
	n := len(digits)
	switch exponent := n - 1 - scale; {
	case scale == 0:
		return append(dst, digits...)
	case t == java && (scale < 0 || exponent < -6):
		return appendExponent(dst, digits, exponent)
	case scale < 0:
		if dst = append(dst, digits...); digits[0] != '0' {
			dst = appendZeros(dst, -scale)
		}
		return dst
	case n <= scale:
		dst = appendZeros(append(dst, '0', '.'), scale-n)
		return append(dst, digits...)
	}
	dst = append(append(dst, digits[:n-scale]...), '.')
	return append(dst, digits[n-scale:]...)
}

func appendExponent(dst, digits []byte, exponent int) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	if dst = append(dst, 'E'); exponent > 0 {
		dst = append(dst, '+')
	}
	return appendInt(dst, int64(exponent))
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

func bigInt(twos []byte) *big.Int {
	n := new(big.Int).SetBytes(twos)
	if len(twos) > 0 && twos[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(twos))))
	}
	return n
}

// bigDigits writes the digits of |twos|, of at most 8·maxLimbs bytes, at the
// end of b.
func bigDigits(b, twos []byte) (digits []byte, negative bool) {
	var limbs [maxLimbs]uint64 // little-endian
	negative = len(twos) > 0 && twos[0] >= 0x80
	for i := range twos {
		c := uint64(twos[len(twos)-1-i])
		if negative {
			c ^= 0xff
		}
		limbs[i/8] |= c << (8 * (i % 8))
	}
	if negative {
		addTo(&limbs, 1)
	}
	at := len(b)
	for top := maxLimbs; ; {
		for top > 0 && limbs[top-1] == 0 {
			top--
		}
		var rest uint64
		for i := top - 1; i >= 0; i-- {
			limbs[i], rest = bits.Div64(rest, limbs[i], tenTo19)
		}
		last := top == 0 || top == 1 && limbs[0] == 0
		for n := 0; n < 19 && (!last || rest > 0 || n == 0); n++ {
			at--
			b[at] = byte('0' + rest%10)
			rest /= 10
		}
		if last {
			return b[at:], negative
		}
	}
}

// addTo adds u to the number in limbs, and reports whether it still fits.
func addTo(limbs *[maxLimbs]uint64, u uint64) bool {
	for i := range limbs {
		if limbs[i], u = bits.Add64(limbs[i], u, 0); u == 0 {
			return true
		}
	}
	return false
}

// appendTwos appends the shortest big-endian two's complement of ±digits; digits
// are decimal and may have zeros in front.
func appendTwos(dst []byte, negative bool, digits []byte) []byte {
	if len(digits) > 19*maxLimbs {
		return appendBigTwos(dst, negative, digits)
	}
	var limbs [maxLimbs]uint64
	for len(digits) > 0 {
		n := min(len(digits), 19)
		var chunk, power uint64 = 0, 1
		for _, c := range digits[:n] {
			chunk, power = chunk*10+uint64(c-'0'), power*10
		}
		digits = digits[n:]
		carry := chunk
		for i := range limbs {
			hi, lo := bits.Mul64(limbs[i], power)
			var c uint64
			limbs[i], c = bits.Add64(lo, carry, 0)
			carry = hi + c
		}
	}
	if negative {
		for i := range limbs {
			limbs[i] = ^limbs[i]
		}
		addTo(&limbs, 1)
	}
	return appendLimbs(dst, &limbs)
}

// appendLimbs appends the two's complement in limbs without bytes that only
// repeat the sign.
func appendLimbs(dst []byte, limbs *[maxLimbs]uint64) []byte {
	at := func(i int) byte { return byte(limbs[i/8] >> (8 * (i % 8))) }
	n := 8 * maxLimbs
	for n > 1 && (at(n-1) == 0 && at(n-2) < 0x80 || at(n-1) == 0xff && at(n-2) >= 0x80) {
		n--
	}
	for n--; n >= 0; n-- {
		dst = append(dst, at(n))
	}
	return dst
}

func appendBigTwos(dst []byte, negative bool, digits []byte) []byte {
	n, _ := new(big.Int).SetString(string(digits), 10)
	if !negative {
		b := n.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			dst = append(dst, 0)
		}
		return append(dst, b...)
	}
	size := n.Sub(n, big.NewInt(1)).BitLen()/8 + 1 // −n is the complement of n−1
	b := n.FillBytes(make([]byte, size))
	for i := range b {
		b[i] = ^b[i]
	}
	return append(dst, b...)
}

// parseDecimal takes a JSON number literal apart: value = ±digits·10^-scale,
// digits being put into b. It reports false where the exponent is absurd.
func parseDecimal(b, literal []byte) (digits []byte, scale int, negative, ok bool) {
	digits = b[:0]
	point := false
	for i, c := range literal {
		switch c {
		case '-':
			negative = true
		case '.':
			point = true
		case 'e', 'E':
			exponent, err := strconv.Atoi(text(literal[i+1:]))
			if err != nil || exponent > maxZeros || exponent < -maxZeros {
				return nil, 0, false, false
			}
			return digits, scale - exponent, negative, true
		default:
			if digits = append(digits, c); point {
				scale++
			}
		}
	}
	return digits, scale, negative, true
}

// rescale makes digits·10^-from a number of scale to, exactly, or reports false.
func rescale(digits []byte, from, to int) ([]byte, bool) {
	if to-from > maxZeros {
		return nil, false
	}
	for ; from < to; from++ {
		digits = append(digits, '0')
	}
	cut := min(from-to, len(digits))
	for _, c := range digits[len(digits)-cut:] {
		if c != '0' {
			return nil, false
		}
	}
	digits = digits[:len(digits)-cut]
	if len(digits) == 0 {
		digits = append(digits, '0')
	}
	if zeros := slices.IndexFunc(digits, func(c byte) bool { return c != '0' }); zeros > 0 {
		digits = digits[zeros:]
	} else if zeros < 0 {
		digits = digits[:1]
	}
	return digits, true
}
