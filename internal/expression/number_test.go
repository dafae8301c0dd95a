package expression

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// rat is a number as a fraction.
func rat(t *testing.T, n *number) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(string(n.append(nil)))
	if !ok {
		t.Fatalf("%s is no number", n.append(nil))
	}
	return r
}

// randomText writes a number of one to forty digits.
func randomText(random *rand.Rand) string {
	var b strings.Builder
	if random.IntN(2) == 0 {
		b.WriteByte('-')
	}
	whole, fraction := 1+random.IntN(1+random.IntN(22)), random.IntN(1+random.IntN(20))
	for range whole {
		b.WriteByte(byte('0' + random.IntN(10)))
	}
	if fraction > 0 {
		b.WriteByte('.')
	}
	for range fraction {
		b.WriteByte(byte('0' + random.IntN(10)))
	}
	return b.String()
}

// TestNumbersAreExact compares arithmetic with that of fractions, across the
// border between small numbers and big ones.
func TestNumbersAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		s1, s2 := randomText(random), randomText(random)
		x, ok1 := parseNumber([]byte(s1))
		y, ok2 := parseNumber([]byte(s2))
		if !ok1 || !ok2 {
			t.Fatal(s1, s2)
		}
		a, b := rat(t, &x), rat(t, &y)
		if want, _ := new(big.Rat).SetString(s1); a.Cmp(want) != 0 {
			t.Fatalf("%s is read as %s", s1, x.append(nil))
		}
		for operator, want := range map[string]*big.Rat{"+": new(big.Rat).Add(a, b), "-": new(big.Rat).Sub(a, b), "*": new(big.Rat).Mul(a, b)} {
			if got, err := reckon(operator, &x, &y); err != nil || rat(t, &got).Cmp(want) != 0 {
				t.Fatalf("%s %s %s = %s, %v", s1, operator, s2, got.append(nil), err)
			}
		}
		if got := x.compare(&y); got != a.Cmp(b) || x.sign() != a.Sign() {
			t.Fatalf("%s compared with %s is %d", s1, s2, got)
		}
		if negative := x.negate(); rat(t, &negative).Cmp(new(big.Rat).Neg(a)) != 0 {
			t.Fatalf("-%s = %s", s1, negative.append(nil))
		}
		twos, err := x.twos(20, "")
		back, err2 := fromTwos(twos, 20)
		if err != nil || err2 != nil || back.compare(&x) != 0 || len(twos) == 0 {
			t.Fatalf("%s in bytes is %x, which is %s; %v, %v", s1, twos, back.append(nil), err, err2)
		}
		checkDivision(t, &x, &y, a, b)
	}
}

func checkDivision(t *testing.T, x, y *number, a, b *big.Rat) {
	t.Helper()
	if b.Sign() == 0 {
		return
	}
	q, err := quo(x, y)
	want := new(big.Rat).Quo(a, b)
	off := new(big.Rat).Sub(rat(t, &q), want)
	limit := new(big.Rat).Mul(want.Abs(want), big.NewRat(1, 1).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(33), nil)))
	if err != nil || off.Abs(off).Cmp(limit) > 0 {
		t.Fatalf("%s / %s = %s, %v", x.append(nil), y.append(nil), q.append(nil), err)
	}
	r, err := rem(x, y)
	if err != nil {
		t.Fatal(err)
	}
	back := new(big.Rat).Quo(new(big.Rat).Sub(a, rat(t, &r)), b)
	if left := rat(t, &r); !back.IsInt() || left.Sign() != 0 && left.Sign() != a.Sign() || left.Abs(left).Cmp(new(big.Rat).Abs(b)) >= 0 {
		t.Fatalf("%s %% %s = %s", x.append(nil), y.append(nil), r.append(nil))
	}
}

// TestRounding has the table of java.math.RoundingMode's documentation, for
// small and for big numbers.
func TestRounding(t *testing.T) {
	inputs := []string{"5.5", "2.5", "1.6", "1.1", "1.0", "-1.0", "-1.1", "-1.6", "-2.5", "-5.5"}
	for how, want := range map[Rounding]string{
		RoundUp: "6 3 2 2 1 -1 -2 -2 -3 -6", RoundDown: "5 2 1 1 1 -1 -1 -1 -2 -5", RoundCeiling: "6 3 2 2 1 -1 -1 -1 -2 -5", RoundFloor: "5 2 1 1 1 -1 -2 -2 -3 -6",
		RoundHalfUp: "6 3 2 1 1 -1 -1 -2 -3 -6", RoundHalfDown: "5 2 2 1 1 -1 -1 -2 -2 -5", RoundHalfEven: "6 2 2 1 1 -1 -1 -2 -2 -6", "": "6 3 2 1 1 -1 -1 -2 -3 -6",
	} {
		for i, w := range strings.Fields(want) {
			x, _ := parseNumber([]byte(inputs[i]))
			small, err := x.round(0, how)
			exactly, _ := parseNumber([]byte(w))
			large, err2 := x.quantize(0, how)
			if err != nil || err2 != nil || small.compare(&exactly) != 0 || large.compare(&exactly) != 0 {
				t.Errorf("%s of %s = %s and %s, want %s", how, inputs[i], small.append(nil), large.append(nil), w)
			}
		}
	}
}

// TestAbsurdNumbers take no memory.
func TestAbsurdNumbers(t *testing.T) {
	for _, s := range []string{"1E1000000000", "1e-1000000000", "NaN", "Infinity", "", "-", ".", "1.2.3", "0x10", "1e", "--1", strings.Repeat("9", 5000)} {
		if n, ok := parseNumber([]byte(s)); ok {
			t.Errorf("%q is %s", s, n.append(nil))
		}
	}
}

// FuzzCompile: no text makes the compiler or a program panic.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{`price * quantity > 10`, `value.op == 'u' && value.before.id == 2`, `any(tags, # == 'x')`, `let a = 1; a ?: b`, `status[1:-1] matches 'a+'`, `x in 1..5`, `-price ** 3 % 2`} {
		f.Add(text)
	}
	all := records(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, language := range []Language{"", "jsr223.groovy"} {
			p, err := Compile(text, language)
			if err != nil {
				continue
			}
			_ = p.Check(orders)
			for _, r := range all {
				_, _ = p.Test(r)
				_, _, _ = p.Text(r)
				into := new(cdc.Row)
				into.Reset(noFields)
				_, _, _ = p.Eval(r, into)
			}
		}
	})
}
