package json

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                        `""`,
		"a":                       `"a"`,
		"plain text of more than": `"plain text of more than"`,
		`say "hi" \ /`:            `"say \"hi\" \\ /"`,
		"\b\f\n\r\t\x00\x1f\x7f":  "\"\\b\\f\\n\\r\\t\\u0000\\u001F\x7f\"",
		"é東\u2028":                "\"é東\u2028\"",
		"x😀y":                     `"x\uD83D\uDE00y"`,
		"\U0010FFFF":              `"\uDBFF\uDFFF"`,
		"bad \xff\xc3":            "\"bad \uFFFD\uFFFD\"",
		"\xf0\x9f cut":            "\"\uFFFD\uFFFD cut\"",
		"1234567\xc3\n\xa9":       "\"1234567\uFFFD\\n\uFFFD\"", // the halves of a letter, at the end of a word and behind a control character
		"ends with half 1234\xc3": "\"ends with half 1234\uFFFD\"",
	} {
		if got := AppendString(nil, []byte(in)); string(got) != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// TestAppendStringRandom compares with encoding/json, whose escapes differ but
// mean the same, and asserts that nothing before or behind is touched.
func TestAppendStringRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "bc", "longer piece", `"`, `\`, "\n", "\x01", "é", "東京", "😀", "\xff", "\xe2\x82", "/", "\u007f", "        ",
		"\xc3", "\xe2", "\x80", "\xa9\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ก", "한"} // halves, and what only looks like UTF-8
	for range 200_000 {
		var in strings.Builder
		for range r.IntN(12) {
			in.WriteString(pieces[r.IntN(len(pieces))])
		}
		dst := make([]byte, r.IntN(20), 20+r.IntN(40))
		before := bytes.Clone(dst)
		got := AppendString(dst, []byte(in.String()))
		if !bytes.HasPrefix(got, before) || !utf8.Valid(got[len(before):]) {
			t.Fatalf("%q: %q", in.String(), got)
		}
		var back string
		if err := stdjson.Unmarshal(got[len(before):], &back); err != nil || back != string(appendValid(nil, []byte(in.String()))) {
			t.Fatalf("%q: %s reads back as %q, %v", in.String(), got, back, err)
		}
	}
}

// TestAppendDouble has what Java 19 and later writes.
func TestAppendDouble(t *testing.T) {
	for want, f := range map[string]float64{
		"0.0": 0, "-0.0": math.Copysign(0, -1), "1.0": 1, "-1.5": -1.5, "0.001": 1e-3, "9.999E-4": 9.999e-4, "1.0E-4": 1e-4,
		"9999999.0": 9999999, "1.0E7": 1e7, "1.2345678E7": 12345678, "123456.789": 123456.789, "0.1": 0.1, "2.0E-5": 2e-5,
		"9999999.999999998": math.Nextafter(1e7, 0), "0.30000000000000004": 0.30000000000000004, "23.427": 23.427,
		"1.7976931348623157E308": math.MaxFloat64, "4.9E-324": 5e-324, "9.9E-324": 1e-323, "2.2250738585072014E-308": 2.2250738585072014e-308,
		"1.0E23": 1e23, "2.0E23": 2e23, `"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1), "-1.0E-300": -1e-300,
	} {
		if got := AppendDouble(nil, f, 64); string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for want, f := range map[string]float32{
		"0.1": 0.1, "3.4028235E38": math.MaxFloat32, "1.4E-45": math.SmallestNonzeroFloat32, "1.1754944E-38": 1.17549435e-38,
		"0.33333334": 1.0 / 3, "1.6777216E7": 1 << 24, "123456.79": 123456.789, "-2.5": -2.5,
	} {
		if got := AppendDouble(nil, float64(f), 32); string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestDoublesReadBack: what is written is the same number, in as few digits as
// strconv takes.
func TestDoublesReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50_000 {
		f := math.Float64frombits(r.Uint64())
		switch r.IntN(3) {
		case 0:
			f = math.Round(r.NormFloat64()*1e6) / math.Pow10(r.IntN(7))
		case 1:
			f = r.NormFloat64() * math.Pow10(r.IntN(12)-5)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		got := AppendDouble(nil, f, 64)
		back, err := strconv.ParseFloat(string(got), 64)
		if err != nil || back != f {
			t.Fatalf("%v: %s", f, got)
		}
		p := parser{b: got}
		p.back(0)
		if read, ok := p.float(64); !ok || read != f || p.i != len(got) {
			t.Fatalf("%s: read %v %v", got, read, ok)
		}
		mantissa, _, _ := strings.Cut(string(got), "E")
		shortest := strconv.FormatFloat(f, 'e', -1, 64)
		shortest, _, _ = strings.Cut(shortest, "e")
		if have, want := significant(mantissa), significant(shortest); have != want && len(have) > 2 {
			t.Fatalf("%v: digits %s, want %s", f, have, want)
		}
	}
}

func significant(s string) string {
	return strings.TrimRight(strings.TrimLeft(strings.NewReplacer(".", "", "-", "").Replace(s), "0"), "0")
}

func TestAppendInt(t *testing.T) {
	check := func(n int64) {
		if got, want := string(appendInt([]byte("x"), n)), "x"+strconv.FormatInt(n, 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if got, want := string(appendUint(nil, uint64(n))), strconv.FormatUint(uint64(n), 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		p := parser{b: strconv.AppendInt(nil, n, 10)}
		p.back(0)
		if back, ok := p.int(); !ok || back != n {
			t.Fatalf("%d: read back as %d %v", n, back, ok)
		}
	}
	r := rand.New(rand.NewPCG(7, 8))
	for n := int64(1); n > 0 && n < math.MaxInt64/10; n *= 10 {
		for _, d := range []int64{-1, 0, 1} {
			check(n + d)
			check(-n + d)
		}
	}
	for _, n := range []int64{0, math.MaxInt64, math.MinInt64, math.MinInt64 + 1} {
		check(n)
	}
	for range 50_000 {
		check(int64(r.Uint64()) >> r.IntN(64))
	}
	for n := range int64(20_000) {
		check(n)
	}
}

func TestAppendBase64Int(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	numbers := []int64{0, 1, -1, 127, 128, -128, -129, 32767, 32768, math.MaxInt64, math.MinInt64, 0xbf1a}
	for range 10_000 {
		numbers = append(numbers, int64(r.Uint64())>>r.IntN(64))
	}
	for _, n := range numbers {
		got := appendBase64Int(nil, n)
		raw, err := base64.StdEncoding.DecodeString(string(got[1 : len(got)-1]))
		if err != nil || bigInt(raw).Int64() != n || len(raw) > 1 && bytes.Equal(appendTwos(nil, n < 0, bigDigitsOf(n)), raw) == false {
			t.Fatalf("%d: %s %v", n, got, err)
		}
		if back, ok := base64Int(got[1 : len(got)-1]); !ok || back != n {
			t.Fatalf("%d: back %d %v", n, back, ok)
		}
	}
	for _, s := range []string{"", "=", "AA", "AAA", "AA=A", "A===", "====", "AAAAAAAAAAAA", "!AAA"} {
		if n, ok := base64Int([]byte(s)); ok {
			t.Errorf("%q: %d", s, n)
		}
	}
}

func bigDigitsOf(n int64) []byte { return []byte(new(big.Int).Abs(big.NewInt(n)).String()) }
