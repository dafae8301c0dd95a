package expression

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/cockroachdb/apd/v3"
)

// Rounding says how digits beyond a scale are dropped; the names are those of
// java.math.RoundingMode.
type Rounding string

// The roundings there are. The empty one is RoundHalfUp.
const (
	RoundHalfUp   Rounding = "HALF_UP"
	RoundHalfEven Rounding = "HALF_EVEN"
	RoundHalfDown Rounding = "HALF_DOWN"
	RoundUp       Rounding = "UP"
	RoundDown     Rounding = "DOWN"
	RoundCeiling  Rounding = "CEILING"
	RoundFloor    Rounding = "FLOOR"
)

var rounders = map[Rounding]apd.Rounder{
	"": apd.RoundHalfUp, RoundHalfUp: apd.RoundHalfUp, RoundHalfEven: apd.RoundHalfEven, RoundHalfDown: apd.RoundHalfDown,
	RoundUp: apd.RoundUp, RoundDown: apd.RoundDown, RoundCeiling: apd.RoundCeiling, RoundFloor: apd.RoundFloor,
}

// ErrDivisionByZero is what / and % of an exact zero are.
var ErrDivisionByZero = errors.New("division by zero")

// errTooLong is a number that nobody's column holds: it keeps a few bytes of
// text (1E1000000000) from becoming much memory.
var errTooLong = fmt.Errorf("a number of more than %d digits", maxDigits)

const (
	maxDigits      = 4000
	quotientDigits = 34 // IEEE 754 decimal128
	maxSmallScale  = 18
)

var pow10 = func() (p [maxSmallScale + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return
}()

// number is an exact decimal: n·10^-scale with scale from 0 to maxSmallScale, or
// big where that is not enough. A big is never written to once it is made.
type number struct {
	n     int64
	scale int32
	big   *apd.Decimal
}

// exact is the context of operations that do not round.
var exact = apd.Context{MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent, Traps: apd.DefaultTraps}

// decimal is the number for apd, in scratch if it is small.
func (x *number) decimal(scratch *apd.Decimal) *apd.Decimal {
	if x.big != nil {
		return x.big
	}
	return scratch.SetFinite(x.n, -x.scale)
}

// newNumber takes d, which is then nobody else's.
func newNumber(d *apd.Decimal) (number, error) {
	if d.NumDigits() > maxDigits || d.Exponent > maxDigits || d.Exponent < -maxDigits {
		return number{}, errTooLong
	}
	if d.Exponent > 0 { // 1E3 is 1000
		var factor apd.BigInt
		factor.Exp(apd.NewBigInt(10), apd.NewBigInt(int64(d.Exponent)), nil)
		d.Coeff.Mul(&d.Coeff, &factor)
		d.Exponent = 0
	}
	if d.Exponent >= -maxSmallScale && d.Coeff.IsInt64() {
		n := d.Coeff.Int64()
		if d.Negative {
			n = -n
		}
		return number{n: n, scale: -d.Exponent}, nil
	}
	return number{big: d}, nil
}

// parseNumber reads a decimal as people and JSON write it.
func parseNumber(s []byte) (number, bool) {
	if x, ok := parseSmall(s); ok {
		return x, true
	}
	if len(s) == 0 || len(s) > maxDigits || !isNumeric(s) {
		return number{}, false
	}
	d, _, err := apd.NewFromString(string(s))
	if err != nil || d.Form != apd.Finite {
		return number{}, false
	}
	x, err := newNumber(d)
	return x, err == nil
}

// isNumeric keeps what apd reads beyond numbers (NaN, Infinity) out.
func isNumeric(s []byte) bool {
	for _, c := range s {
		if c-'0' > 9 && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return false
		}
	}
	return true
}

// parseSmall reads digits with a point among them, of up to 18 digits.
func parseSmall(s []byte) (x number, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	if len(s) == 0 || len(s) > maxSmallScale+1 {
		return x, false
	}
	point, digits := false, 0
	for _, c := range s {
		switch {
		case c-'0' <= 9:
			x.n = x.n*10 + int64(c-'0')
			if digits++; point {
				x.scale++
			}
		case c == '.' && !point:
			point = true
		default:
			return number{}, false
		}
	}
	if negative {
		x.n = -x.n
	}
	return x, digits > 0 && digits <= maxSmallScale
}

// fromFloat is the shortest decimal that reads back as f.
func fromFloat(f float64, bitSize int) (number, bool) {
	var b [32]byte
	return parseNumber(strconv.AppendFloat(b[:0], f, 'g', -1, bitSize))
}

// float is the nearest double.
func (x *number) float() float64 {
	if x.big == nil && x.n > -1<<53 && x.n < 1<<53 {
		return float64(x.n) / float64(pow10[x.scale])
	}
	var b [64]byte
	f, _ := strconv.ParseFloat(string(x.append(b[:0])), 64)
	return f
}

// append appends the number in full, without an exponent.
func (x *number) append(dst []byte) []byte {
	if x.big != nil {
		return x.big.Append(dst, 'f')
	}
	u, negative := uint64(x.n), x.n < 0
	if negative {
		dst, u = append(dst, '-'), -u
	}
	var b [24]byte
	digits, scale := strconv.AppendUint(b[:0], u, 10), int(x.scale)
	if scale == 0 {
		return append(dst, digits...)
	}
	if len(digits) <= scale {
		dst = append(dst, "0."...)
		for range scale - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(append(dst, digits[:len(digits)-scale]...), '.')
	return append(dst, digits[len(digits)-scale:]...)
}

func (x *number) isZero() bool { return x.big == nil && x.n == 0 || x.big != nil && x.big.IsZero() }

func (x *number) sign() int {
	switch {
	case x.big != nil:
		return x.big.Sign()
	case x.n < 0:
		return -1
	case x.n > 0:
		return 1
	}
	return 0
}

// align gives two small numbers one scale, or reports that they do not fit.
func align(x, y *number) (a, b int64, scale int32, ok bool) {
	if x.big != nil || y.big != nil {
		return 0, 0, 0, false
	}
	switch {
	case x.scale == y.scale:
		return x.n, y.n, x.scale, true
	case x.scale < y.scale:
		a, ok = mulSmall(x.n, pow10[y.scale-x.scale])
		return a, y.n, y.scale, ok
	}
	b, ok = mulSmall(y.n, pow10[x.scale-y.scale])
	return x.n, b, x.scale, ok
}

func mulSmall(a, b int64) (int64, bool) {
	p := a * b
	if (a > math.MaxInt32 || a < math.MinInt32 || b > math.MaxInt32 || b < math.MinInt32) && a != 0 {
		negative := a < 0 != (b < 0)
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		return p, hi == 0 && (lo <= math.MaxInt64 || negative && lo == 1<<63)
	}
	return p, true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func add(x, y *number) (number, error) {
	if a, b, scale, ok := align(x, y); ok {
		if sum := a + b; (sum > a) == (b > 0) {
			return number{n: sum, scale: scale}, nil
		}
	}
	return x.operate(y, exact.Add)
}

func sub(x, y *number) (number, error) {
	if a, b, scale, ok := align(x, y); ok {
		if rest := a - b; (rest < a) == (b > 0) {
			return number{n: rest, scale: scale}, nil
		}
	}
	return x.operate(y, exact.Sub)
}

func mul(x, y *number) (number, error) {
	if x.big == nil && y.big == nil && x.scale+y.scale <= maxSmallScale {
		if p, ok := mulSmall(x.n, y.n); ok {
			return number{n: p, scale: x.scale + y.scale}, nil
		}
	}
	return x.operate(y, exact.Mul)
}

// quo is x/y, exact if it has no more than quotientDigits digits, else rounded
// half up to as many.
func quo(x, y *number) (number, error) {
	if y.isZero() {
		return number{}, ErrDivisionByZero
	}
	if q, ok := quoSmall(x, y); ok {
		return q, nil
	}
	rounding := exact
	rounding.Precision, rounding.Rounding = quotientDigits, apd.RoundHalfUp
	return x.operate(y, func(d, x, y *apd.Decimal) (apd.Condition, error) {
		c, err := rounding.Quo(d, x, y)
		if err == nil {
			d.Reduce(d)
		}
		return c, err
	})
}

// quoSmall divides where a few digits after the point are all there are.
func quoSmall(x, y *number) (number, bool) {
	if x.big != nil || y.big != nil {
		return number{}, false
	}
	n, scale := x.n, x.scale-y.scale
	var ok bool
	for ; scale < 0; scale++ {
		if n, ok = mulSmall(n, 10); !ok {
			return number{}, false
		}
	}
	for n%y.n != 0 {
		if n, ok = mulSmall(n, 10); !ok || scale == maxSmallScale {
			return number{}, false
		}
		scale++
	}
	if n == math.MinInt64 {
		return number{}, false
	}
	return number{n: n / y.n, scale: scale}, true
}

// rem is what is left of x after y went into it a whole number of times; it has
// x's sign.
func rem(x, y *number) (number, error) {
	if y.isZero() {
		return number{}, ErrDivisionByZero
	}
	if a, b, scale, ok := align(x, y); ok {
		return number{n: a % b, scale: scale}, nil
	}
	wide := exact
	wide.Precision = 2 * maxDigits
	return x.operate(y, wide.Rem)
}

// power is x to a whole number from 0 to 999.
func power(x, y *number) (number, error) {
	if y.big != nil || y.scale != 0 || y.n < 0 || y.n > 999 {
		return number{}, errors.New("an exponent that is not a whole number from 0 to 999")
	}
	out := number{n: 1}
	for range y.n {
		var err error
		if out, err = mul(&out, x); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (x *number) operate(y *number, do func(d, x, y *apd.Decimal) (apd.Condition, error)) (number, error) {
	var a, b apd.Decimal
	d := new(apd.Decimal)
	if _, err := do(d, x.decimal(&a), y.decimal(&b)); err != nil {
		return number{}, err
	}
	return newNumber(d)
}

func (x *number) negate() number {
	if x.big == nil && x.n != math.MinInt64 {
		return number{n: -x.n, scale: x.scale}
	}
	var a apd.Decimal
	return number{big: new(apd.Decimal).Neg(x.decimal(&a))}
}

// compare is -1, 0 or 1.
func (x *number) compare(y *number) int {
	if a, b, _, ok := align(x, y); ok {
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	}
	var a, b apd.Decimal
	return x.decimal(&a).Cmp(y.decimal(&b))
}

// round is the number with no more than scale digits after the point, which may
// be negative.
func (x *number) round(scale int, how Rounding) (number, error) {
	if x.big == nil && int(x.scale) <= scale {
		return *x, nil
	}
	if x.big == nil && scale >= 0 {
		return number{n: roundSmall(x.n, pow10[int(x.scale)-scale], how), scale: int32(scale)}, nil
	}
	if x.big != nil && int(-x.big.Exponent) <= scale {
		return *x, nil
	}
	return x.quantize(scale, how)
}

// quantize is the number with exactly scale digits after the point.
func (x *number) quantize(scale int, how Rounding) (number, error) {
	if scale > maxDigits || scale < -maxDigits {
		return number{}, errTooLong
	}
	var a apd.Decimal
	d := x.decimal(&a)
	wide := exact
	wide.Precision, wide.Rounding = 3*maxDigits, rounders[how]
	out := new(apd.Decimal)
	if _, err := wide.Quantize(out, d, int32(-scale)); err != nil {
		return number{}, err
	}
	return newNumber(out)
}

// roundSmall is n/unit, rounded.
func roundSmall(n, unit int64, how Rounding) int64 {
	q, r := n/unit, n%unit
	if r == 0 {
		return q
	}
	away := int64(1)
	if n < 0 {
		away, r = -1, -r
	}
	switch how {
	case RoundDown:
	case RoundUp:
		q += away
	case RoundCeiling:
		q += (away + 1) / 2
	case RoundFloor:
		q += (away - 1) / 2
	default:
		half := unit - r // compared with r, so that nothing overflows
		if r > half || r == half && (how == "" || how == RoundHalfUp || how == RoundHalfEven && q%2 != 0) {
			q += away
		}
	}
	return q
}

// unscaled is the number as a whole of 10^-scale; ok is false if it has more
// digits after the point, or is beyond an int64.
func (x *number) unscaled(scale int) (int64, bool) {
	if x.big != nil || int(x.scale) > scale {
		return 0, false
	}
	if scale -= int(x.scale); scale > maxSmallScale {
		return 0, x.n == 0
	}
	return mulSmall(x.n, pow10[scale])
}

// twos is the number, rounded to scale, as the unscaled big-endian two's
// complement that Connect's Decimal has, as short as it can be.
func (x *number) twos(scale int, how Rounding) ([]byte, error) {
	q, err := x.quantize(scale, how)
	if err != nil {
		return nil, err
	}
	var scratch apd.Decimal
	d := q.decimal(&scratch)
	n := d.Coeff.MathBigInt()
	if !d.Negative || n.Sign() == 0 {
		return n.FillBytes(make([]byte, n.BitLen()/8+1)), nil
	}
	n.Sub(n, big.NewInt(1)) // -n is the complement of n-1
	b := n.FillBytes(make([]byte, n.BitLen()/8+1))
	for i := range b {
		b[i] = ^b[i]
	}
	return b, nil
}

// fromTwos is the inverse of twos.
func fromTwos(twos []byte, scale int) (number, error) {
	n := new(big.Int).SetBytes(twos)
	if len(twos) > 0 && twos[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(twos))))
	}
	d := new(apd.Decimal)
	d.Negative = n.Sign() < 0
	d.Coeff.SetMathBigInt(n.Abs(n))
	d.Exponent = int32(-scale)
	return newNumber(d)
}
