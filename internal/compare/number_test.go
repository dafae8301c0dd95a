package compare

import (
	"math/big"
	"strings"
	"testing"
)

func TestNumbersHaveOneForm(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "00012": "12", "1.50": "1.5", "-1.5e0": "-1.5", "15e-1": "1.5", "0.15E+1": "1.5", "100": "100", "1e2": "100",
		"0.001": "0.001", "1e-3": "0.001", ".5": "0.5", "5.": "5", "+7": "7", "1e400": "0.1e401", "-12e-400": "-0.12e-398", "0e999": "0",
		"123456789012345678901234567890.10": "123456789012345678901234567890.1",
	} {
		if got, err := appendNumber([]byte("x"), []byte(text)); err != nil || string(got) != "x"+want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", ".", "e1", "1e", "1.2.3", "1,5", "NaN", "0x10", "1 ", "--1", "1e1.5"} {
		if got, err := appendNumber(nil, []byte(text)); err == nil {
			t.Errorf("%q is the number %s", text, got)
		}
	}
}

// FuzzNumbersAreEqualAsTheirValues checks the form against math/big: two texts
// have one form exactly if they are one number.
func FuzzNumbersAreEqualAsTheirValues(f *testing.F) {
	f.Add("1.50", "15e-1")
	f.Add("-0", "0.0")
	f.Add("1e41", "100000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, okX := rational(a)
		y, okY := rational(b)
		if !okX || !okY {
			return
		}
		formA, errA := appendNumber(nil, []byte(a))
		formB, errB := appendNumber(nil, []byte(b))
		if errA != nil || errB != nil {
			t.Fatalf("%q, %q: %v, %v", a, b, errA, errB)
		}
		if (x.Cmp(y) == 0) != (string(formA) == string(formB)) {
			t.Errorf("%q and %q are %s and %s", a, b, formA, formB)
		}
		if z, ok := rational(string(formA)); !ok || z.Cmp(x) != 0 {
			t.Errorf("%q became %s", a, formA)
		}
	})
}

// rational reads a decimal number of a length that math/big can bear.
func rational(text string) (*big.Rat, bool) {
	if len(text) > 30 || strings.ContainsAny(text, "_/xXpPbBoOnNiI") {
		return nil, false
	}
	if at := strings.IndexAny(text, "eE"); at >= 0 && len(text)-at > 5 {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

func TestTemporalForms(t *testing.T) {
	for _, c := range []struct {
		kind       kind
		text, want string
	}{
		{kindTime, "-838:59:59.5", "-838:59:59.500000"}, {kindTime, "00:00:00Z", "00:00:00.000000"}, {kindTime, "-00:00:00.000001", "-00:00:00.000001"},
		{kindDate, "2026-11-22Z", "2026-11-22"}, {kindDatetime, "2026-11-22 01:02:03", "2026-11-22T01:02:03.000000"},
		{kindTimestamp, "2026-11-22T01:02:03.4+01:00", "2026-11-22T00:02:03.400000"},
	} {
		column := Column{kind: c.kind}
		if got, err := column.canonical(nil, cell{kind: cellText, text: []byte(c.text)}); err != nil || string(got.text) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.text, got.text, err, c.want)
		}
	}
	for k, texts := range map[kind][]string{
		kindTime: {"", "1:2", "a:b:c", "01:02:03.1234567", "01:02:03.x", "Z"}, kindDate: {"", "2026-13-01", "2026-11-22T00:00:00"},
		kindDatetime: {"", "2026-11-22", "now"}, kindTimestamp: {"5"},
	} {
		for _, text := range texts {
			column := Column{kind: k}
			if got, err := column.canonical(nil, cell{kind: cellText, text: []byte(text)}); err == nil {
				t.Errorf("%q became %s", text, got.text)
			}
		}
	}
	if got := microsOf(1_500, 1); got != 1 {
		t.Errorf("1,500 ns are %d µs", got)
	}
	if got := microsOf(2, 1_000_000); got != 2_000 {
		t.Errorf("2 ms are %d µs", got)
	}
}
