package json

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

func TestDecimalText(t *testing.T) {
	for _, c := range []struct {
		unscaled    int64
		scale       int
		plain, java string
	}{
		{0, 0, "0", "0"}, {0, 2, "0.00", "0.00"}, {0, 10, "0.0000000000", "0E-10"}, {-1, 10, "-0.0000000001", "-1E-10"},
		{12345, 2, "123.45", "123.45"}, {-5, 3, "-0.005", "-0.005"}, {1, 6, "0.000001", "0.000001"}, {1, 7, "0.0000001", "1E-7"},
		{123, 9, "0.000000123", "1.23E-7"}, {1500, -2, "150000", "1.500E+5"}, {0, -3, "0", "0E+3"}, {7, -1, "70", "7E+1"},
		{-9223372036854775808, 4, "-922337203685477.5808", "-922337203685477.5808"},
	} {
		twos := appendTwos(nil, c.unscaled < 0, bigDigitsOf(c.unscaled))
		for layout, want := range map[decimalText]string{plain: c.plain, java: c.java} {
			if got := appendSmallDecimal(nil, c.unscaled, c.scale, layout); string(got) != want {
				t.Errorf("%d, %d: %s, want %s", c.unscaled, c.scale, got, want)
			}
			if got := appendBigDecimal(nil, twos, c.scale, layout); string(got) != want {
				t.Errorf("big %d, %d: %s, want %s", c.unscaled, c.scale, got, want)
			}
		}
	}
}

// FuzzDecimal compares the conversions of big decimals with math/big.
func FuzzDecimal(f *testing.F) {
	for _, b := range [][]byte{{0}, {0x80}, {0xff, 0xff}, {0, 0xff}, make([]byte, 70), []byte(strings.Repeat("\xff", 65)), []byte(strings.Repeat("\x80", 64))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, twos []byte) {
		if len(twos) == 0 || len(twos) > 300 {
			return
		}
		checkTwos(t, twos)
	})
}

func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for range 20_000 {
		twos := make([]byte, 1+r.IntN(80))
		for i := range twos {
			twos[i] = byte(r.Uint32())
		}
		if r.IntN(3) == 0 {
			clear(twos[1:])
		}
		checkTwos(t, twos)
	}
}

func checkTwos(t *testing.T, twos []byte) {
	t.Helper()
	want := bigInt(twos)
	if got := appendBigDecimal(nil, twos, 0, plain); string(got) != want.String() {
		t.Fatalf("%x: %s, want %s", twos, got, want)
	}
	back := appendTwos(nil, want.Sign() < 0, []byte("000"+new(big.Int).Abs(want).String()))
	if bigInt(back).Cmp(want) != 0 {
		t.Fatalf("%s: %x", want, back)
	}
	v := decimalValue(twos)
	if v.Kind() == cdc.KindDecimal {
		if v.Int() != want.Int64() || !want.IsInt64() {
			t.Fatalf("%x: %d", twos, v.Int())
		}
	} else if string(v.Bytes()) != string(back) {
		t.Fatalf("%x: %x is not the shortest, %x", twos, v.Bytes(), back)
	}
}
