package golden

import (
	"slices"
	"testing"
)

func TestDifferencesNameEveryPlace(t *testing.T) {
	for _, c := range []struct {
		want, got string
		places    []string
	}{
		{`{"a":1}`, `{"a":1}`, nil},
		{`{"a":{"b":[1,2]}}`, `{"a":{"b":[1,3]}}`, []string{"a.b[1]: 2 ≠ 3"}},
		{`{"a":[1,2]}`, `{"a":[1]}`, []string{"a[1]: 2 ≠ "}},
		{`{"a":[]}`, `{"a":[{"x":1}]}`, []string{`a[0]:  ≠ {"x":1}`}},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, []string{": members in the order a, b ≠ members in the order b, a"}},
		{`{"a":1,"b":2}`, `{"a":1}`, []string{"b: 2 ≠ "}},
		{`{"a":1}`, `{"a":1,"c":null}`, []string{"c:  ≠ null"}},
		{`{"a":"x, \"}y"}`, `{"a":"x, \"}z"}`, []string{`a: "x, \"}y" ≠ "x, \"}z"`}},
		{`{"a":"\u00e9"}`, `{"a":"é"}`, []string{`a: "\u00e9" ≠ "é"`}},
		{`{"a": 1}`, `{"a":1}`, nil},
		{`{"a":null}`, `{"a":{}}`, []string{"a: null ≠ {}"}},
		{`text`, `other`, []string{": text ≠ other"}},
		{`{"a":1`, `{"a":2`, []string{`: {"a":1 ≠ {"a":2`}},
		{`{"a":1,"b":true,"c":[{"d":-1.5e3}]}`, `{"a":2,"b":false,"c":[{"d":-1.5e4}]}`, []string{"a: 1 ≠ 2", "b: true ≠ false", "c[0].d: -1.5e3 ≠ -1.5e4"}},
	} {
		var places []string
		differences("", c.want, c.got, func(path, want, got string) bool {
			places = append(places, path+": "+want+" ≠ "+got)
			return true
		})
		if !slices.Equal(places, c.places) {
			t.Errorf("%s and %s differ at %q, want %q", c.want, c.got, places, c.places)
		}
	}
}

func TestDifferencesEndWhenTold(t *testing.T) {
	n := 0
	differences("", `{"a":1,"b":[1,2]}`, `{"a":2,"b":[3,4]}`, func(string, string, string) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("called %d times, want 2", n)
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1", "1.0", true}, {"1.0E10", "1e10", true}, {"0.1", "0.10000000000000001", true}, {"1", "2", false},
		{"9007199254740993", "9007199254740992", false}, {"9007199254740993", "9.007199254740992e15", true},
		{`"1"`, "1", false}, {"true", "1", false}, {"null", "0", false}, {"-0.0", "0", true},
	} {
		if got := sameNumber(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: same %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

func TestMember(t *testing.T) {
	const text = `{"schema":{"x":1},"payload":{"source":{"snapshot":"last","n":[1,{"y":2}]}}}`
	if got := member(payload(text), "source", "snapshot"); got != `"last"` {
		t.Errorf("got %s", got)
	}
	if got := member(text, "payload", "none", "deeper"); got != "" {
		t.Errorf("got %s of what is not there", got)
	}
}
