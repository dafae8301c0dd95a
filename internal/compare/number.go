package compare

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// appendNumber appends a number in one form for all ways to write it: without
// zeros at its ends, and without an exponent unless it is a long one.
func appendNumber(dst, literal []byte) ([]byte, error) {
	n, ok := parseNumber(literal)
	if !ok {
		return nil, fmt.Errorf("%q is no number", literal)
	}
	return n.append(dst), nil
}

// number is ±0.digits × 10^exponent; digits has no zero at either end, and none
// at all for 0.
type number struct {
	negative bool
	digits   []byte
	exponent int
}

// parseNumber reads [±]digits[.digits][e[±]digits].
func parseNumber(s []byte) (n number, ok bool) {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		n.negative, s = s[0] == '-', s[1:]
	}
	if at := bytes.IndexAny(s, "eE"); at >= 0 {
		e, err := strconv.Atoi(string(bytes.TrimPrefix(s[at+1:], []byte("+"))))
		if err != nil {
			return n, false
		}
		n.exponent, s = e, s[:at]
	}
	whole, fraction, dotted := bytes.Cut(s, []byte("."))
	if len(whole)+len(fraction) == 0 || dotted && bytes.IndexByte(fraction, '.') >= 0 {
		return n, false
	}
	n.exponent += len(whole)
	n.digits = whole
	if len(fraction) > 0 {
		n.digits = append(append(make([]byte, 0, len(s)), whole...), fraction...)
	}
	for _, c := range n.digits {
		if c < '0' || c > '9' {
			return n, false
		}
	}
	leading := len(n.digits) - len(bytes.TrimLeft(n.digits, "0"))
	n.digits = bytes.TrimRight(n.digits[leading:], "0")
	n.exponent -= leading
	return n, true
}

// longest is how many zeros a number is written with before it gets an exponent.
const longest = 40

func (n number) append(dst []byte) []byte {
	if len(n.digits) == 0 {
		return append(dst, '0')
	}
	if n.negative {
		dst = append(dst, '-')
	}
	switch {
	case n.exponent > len(n.digits)+longest || n.exponent < -longest:
		dst = append(append(append(dst, "0."...), n.digits...), 'e')
		return strconv.AppendInt(dst, int64(n.exponent), 10)
	case n.exponent <= 0:
		dst = append(append(dst, "0."...), bytes.Repeat([]byte("0"), -n.exponent)...)
		return append(dst, n.digits...)
	case n.exponent >= len(n.digits):
		return append(append(dst, n.digits...), bytes.Repeat([]byte("0"), n.exponent-len(n.digits))...)
	}
	dst = append(append(dst, n.digits[:n.exponent]...), '.')
	return append(dst, n.digits[n.exponent:]...)
}

func fromBase64(text []byte) ([]byte, error) {
	out, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, fmt.Errorf("%q is no base64", text)
	}
	return out, nil
}
