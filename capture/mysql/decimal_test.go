package mysql

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// unscaled is a decimal value as a number without its scale.
func unscaled(v cdc.Value) *big.Int {
	if v.Kind() == cdc.KindDecimal {
		return big.NewInt(v.Int())
	}
	b := v.Bytes()
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// encodeDecimal lays a decimal out as the server does: the test's own reading of
// its rule.
func encodeDecimal(precision, scale int, n *big.Int) []byte {
	digits := new(big.Int).Abs(n).String()
	digits = strings.Repeat("0", precision-len(digits)) + digits
	var out []byte
	put := func(part string) {
		if part == "" {
			return
		}
		u, _ := new(big.Int).SetString(part, 10)
		out = append(out, u.FillBytes(make([]byte, digitBytes[len(part)]))...)
	}
	whole, fraction := digits[:precision-scale], digits[precision-scale:]
	put(whole[:len(whole)%9])
	for whole = whole[len(whole)%9:]; whole != ""; whole = whole[9:] {
		put(whole[:9])
	}
	for ; len(fraction) >= 9; fraction = fraction[9:] {
		put(fraction[:9])
	}
	put(fraction)
	if n.Sign() < 0 {
		for i := range out {
			out[i] ^= 0xff
		}
	}
	out[0] ^= 0x80
	return out
}

// TestDecimals takes decimals of every precision and scale through the log's
// layout, the server's text and back.
func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var row cdc.Row
	row.Reset(cdc.NewSchema("t"))
	for precision := 1; precision <= 65; precision++ {
		for scale := 0; scale <= min(precision, 30); scale++ {
			limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
			for try := range 6 {
				n := new(big.Int).Rsh(limit, uint(r.IntN(limit.BitLen())))
				if try == 0 {
					n.Sub(limit, big.NewInt(1))
				} else if n.Sign() > 0 {
					n.Sub(n, big.NewInt(int64(r.IntN(3))))
				}
				if try&1 != 0 {
					n.Neg(n)
				}
				if n.CmpAbs(limit) < 0 {
					checkDecimal(t, &row, precision, scale, n)
				}
			}
		}
	}
}

func checkDecimal(t *testing.T, row *cdc.Row, precision, scale int, n *big.Int) {
	l := newDecimalLayout(precision, scale)
	raw := encodeDecimal(precision, scale, n)
	if len(raw) != l.size {
		t.Fatalf("DECIMAL(%d,%d) has %d bytes, not %d", precision, scale, l.size, len(raw))
	}
	v := l.decode(row, raw)
	if got := unscaled(v); got.Cmp(n) != 0 {
		t.Errorf("DECIMAL(%d,%d) %s: decoded %s", precision, scale, n, got)
	}
	shortest := len(v.Bytes()) <= 1 || v.Bytes()[0] != 0 && v.Bytes()[0] != 0xff || (v.Bytes()[0] == 0) == (v.Bytes()[1]&0x80 != 0)
	if small := n.IsInt64() && n.CmpAbs(big.NewInt(1e18)) < 0; small != (v.Kind() == cdc.KindDecimal) || !shortest {
		t.Errorf("DECIMAL(%d,%d) %s is held as %v", precision, scale, n, v)
	}
	text := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
	if got := string(l.appendText(nil, raw)); got != text {
		t.Errorf("DECIMAL(%d,%d): text %s, want %s", precision, scale, got, text)
	}
	if back, ok := parseDecimal(row, []byte(text), scale); !ok || !back.Equal(&v) {
		t.Errorf("DECIMAL(%d,%d): parsing %s gives %v, want %v", precision, scale, text, back, v)
	}
}

func TestParseDecimal(t *testing.T) {
	var row cdc.Row
	row.Reset(cdc.NewSchema("t"))
	for text, want := range map[string]string{
		"5": "500", "000.5": "50", "-0.01": "-1", "0": "0", "-12": "-1200", ".5": "50", "1.234": "no", "": "no", "x": "no", "1.2.3": "no",
		"1e5": "no", "--1": "no", strings.Repeat("9", 90): "no",
	} {
		got := "no"
		if v, ok := parseDecimal(&row, []byte(text), 2); ok {
			got = fmt.Sprint(unscaled(v))
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
