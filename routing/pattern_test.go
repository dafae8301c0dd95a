package routing

import (
	"strings"
	"testing"
)

// TestDialect has what java.util.regex (JDK 21) says of each expression: what
// it matches as a whole, what it does not, and what Compile refuses.
func TestDialect(t *testing.T) {
	for _, c := range []struct {
		regex      string
		match, not []string
	}{
		{`shop\.(?!internal)\w+`, []string{"shop.orders"}, []string{"shop.internal_x"}},
		{`(?<=a)b`, nil, []string{"ab"}},
		{`a++b`, []string{"aab"}, []string{"b"}},
		{`a++ab`, nil, []string{"aab"}},
		{`(?:ab)?+c`, []string{"abc", "c"}, []string{"ab"}},
		{`[a-z]{2,}+z`, nil, []string{"abz"}},
		{`(?>a|ab)c`, []string{"ac"}, []string{"abc"}},
		{`(\w+)-\1`, []string{"a-a"}, []string{"a-b"}},
		{`(?<x>a|b)(c)\k<x>\2`, []string{"acac", "bcbc"}, []string{"acbc"}},
		{`(a)\10`, []string{"aa0"}, nil}, // there is no group 10: group 1, then a 0
		{`[a-z&&[^aeiou]]+`, []string{"xyz"}, []string{"xay"}},
		{`[^a-z&&[aeiou]]`, []string{"b", "1"}, []string{"a"}}, // the negation is of the whole
		{`[a[b-d]]+`, []string{"abcd"}, []string{"e"}},
		{`[]a]+`, []string{"]a"}, nil},
		{`[a-]+`, []string{"a-"}, nil},
		{`[\w&&\D]+`, []string{"ab_"}, []string{"a1"}},
		{`\h+`, []string{" \t\u00A0"}, []string{"\n"}},
		{`\H\V`, []string{"ab"}, []string{" b", "a\n"}},
		{`\v`, []string{"\n", "\x0B", "\u2028"}, []string{"v", " "}},
		{`\R`, []string{"\r\n", "\n"}, []string{"x"}},
		{`\s`, []string{"\x0B"}, []string{"\u00A0"}},
		{`(?U)\s`, []string{"\u00A0"}, nil},
		{`\w+`, []string{"abc_1"}, []string{"é"}},
		{`(?=\w)\w`, []string{"a"}, []string{"é"}}, // ASCII in the backtracking engine, too
		{`(?=x)x\d`, []string{"x1"}, []string{"x\u0661"}},
		{`\bshop\b.*`, []string{"shop.x", "shopé"}, []string{"shops"}},
		{`(?i)shop`, []string{"SHOP"}, []string{"\u017Fhop"}}, // ſ folds with (?iu) only
		{`(?iu)shop`, []string{"\u017Fhop"}, nil},
		{`(?i:a)b`, []string{"Ab"}, []string{"AB"}},
		{`a(?i)b|c`, []string{"aB", "C"}, []string{"AB"}},
		{`(?i)[a-c&&[^b]]+`, []string{"AC"}, []string{"B", "b"}},
		{`(?x) a b # c`, []string{"ab"}, []string{"a b"}},
		{`(?s).`, []string{"\n"}, nil},
		{`.`, []string{"x", "😀"}, []string{"\n", "\r", "\u0085", "\u2028"}},
		{`(?d).`, []string{"\r"}, []string{"\n"}},
		{`\Qa.b\E+`, []string{"a.bb"}, []string{"axb"}},
		{`[\Q^]\E]+`, []string{"]^"}, nil},
		{`\p{Lower}+`, []string{"abc"}, []string{"é", "A"}},
		{`\p{javaLowerCase}+`, []string{"abcé"}, []string{"A"}},
		{`\p{IsAlphabetic}+`, []string{"aé"}, []string{"1"}},
		{`\p{L}\P{L}\pL`, []string{"a1é"}, []string{"aaa"}},
		{`\p{IsGreek}`, []string{"λ"}, []string{"a"}},
		{`\p{script=Greek}\p{gc=Lu}`, []string{"λA"}, nil},
		{`\x41\u0042\x{43}\0104\cA`, []string{"ABCD\x01"}, nil},
		{`a$`, []string{"a"}, []string{"a\n"}},
		{`a$\n`, []string{"a\n"}, nil},
		{`(?m)a$\n^b`, []string{"a\nb"}, []string{"ab"}},
		{`a{1500}`, []string{strings.Repeat("a", 1500)}, []string{"a"}}, // more than Go's engine takes
		{`()(?:)x`, []string{"x"}, nil},
	} {
		p, err := Compile(c.regex)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, s := range c.match {
			if ok, err := p.Match(s); !ok || err != nil {
				t.Errorf("%s does not match %q: %v", c.regex, s, err)
			}
		}
		for _, s := range c.not {
			if ok, err := p.Match(s); ok || err != nil {
				t.Errorf("%s matches %q: %v", c.regex, s, err)
			}
		}
	}
}

// TestDialectRefuses has what Java refuses, and what it has and the engines
// cannot do as it does.
func TestDialectRefuses(t *testing.T) {
	for _, regex := range []string{
		`(`, `)`, `a)`, `[`, `[a`, `[b-a]`, `*a`, `a**`, `a{`, `{1}`, `a{x}`, `\`, `\i`, `\E`, `\1`, `(a)\2`, `\k<x>`,
		`(?<1a>x)`, `(?<a>x)(?<a>y)`, `(?P<a>x)`, `(?z)`, `\p{Nothing}`, `\p{InGreek}`, `\p{javaJavaIdentifierStart}`, `\X`, `\b{g}`,
		`\N{WHITE SMILING FACE}`, `\xZZ`, `\x{110000}`, `\u00`, `\0`, `(?i`, `[a&&`,
	} {
		if _, err := Compile(regex); err == nil {
			t.Errorf("%s is accepted", regex)
		}
	}
}

// TestReplaceFirst: the whole has to match, and the first match is replaced,
// which a reluctant quantifier makes shorter.
func TestReplaceFirst(t *testing.T) {
	for _, c := range []struct{ regex, replacement, in, want string }{
		{`shop\.(.*?)`, "$1x", "shop.orders", "xorders"},
		{`(?<a>x)(y)`, "$1-$2-${a}", "xy", "x-y-x"},
		{`(?=x)(?<a>x)(y)`, "$1-$2-${a}", "xy", "x-y-x"}, // numbered alike in the backtracking engine
		{`(?=é)é(.)(z)?`, "$1$2", "éü", "ü"},
	} {
		p, err := Compile(c.regex)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok, err := p.Replace(c.in, c.replacement); err != nil || !ok || got != c.want {
			t.Errorf("%s → %s of %s = %q, %v; want %q", c.regex, c.replacement, c.in, got, err, c.want)
		}
	}
	p, _ := Compile("(a)")
	for _, replacement := range []string{"$2", "${a}", "$", `x\`, "$x"} {
		if p.CheckReplacement(replacement) == nil {
			t.Errorf("the replacement %s is accepted", replacement)
		}
	}
}

// FuzzDialect: translating never panics, and what it accepts compiles.
func FuzzDialect(f *testing.F) {
	for _, s := range []string{`[a-z&&[^b]]`, `(?<a>x)\k<a>`, `a{1,2}+`, `(?x)[ a#b]`, `\p{L}\Qa\E`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, regex string) {
		if p, err := Compile(regex); err == nil && p.String() != regex {
			t.Errorf("%q became %q", regex, p.String())
		}
	})
}
