package routing

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// runeSet is a set of characters: ranges, both ends included, in ascending order
// and apart from each other.
type runeSet []runeRange

type runeRange struct{ low, high rune }

func setOf(ranges ...runeRange) runeSet { return runeSet(ranges).normal() }

// characters is the set of the characters of s.
func characters(s string) runeSet {
	var set runeSet
	for _, r := range s {
		set = append(set, runeRange{r, r})
	}
	return set.normal()
}

// tabled is the union of Unicode's tables.
func tabled(tables ...*unicode.RangeTable) runeSet {
	var set runeSet
	add := func(low, high, stride rune) {
		if stride == 1 {
			set = append(set, runeRange{low, high})
			return
		}
		for r := low; r <= high; r += stride {
			set = append(set, runeRange{r, r})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return set.normal()
}

// normal sorts the ranges and joins those that touch.
func (s runeSet) normal() runeSet {
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b runeRange) int { return int(a.low - b.low) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r.low <= out[n-1].high+1 {
			out[n-1].high = max(out[n-1].high, r.high)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s runeSet) union(t runeSet) runeSet { return slices.Concat(s, t).normal() }

func (s runeSet) negate() runeSet {
	var out runeSet
	next := rune(0)
	for _, r := range s {
		if r.low > next {
			out = append(out, runeRange{next, r.low - 1})
		}
		next = r.high + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

func (s runeSet) intersect(t runeSet) runeSet {
	return s.negate().union(t.negate()).negate()
}

// folded is the set with the other cases of its characters: of ASCII's letters,
// or of all there are.
func (s runeSet) folded(everywhere bool) runeSet {
	out := slices.Clone(s)
	add := func(from, to, by rune) {
		for _, r := range s {
			if low, high := max(r.low, from), min(r.high, to); low <= high {
				out = append(out, runeRange{low + by, high + by})
			}
		}
	}
	add('a', 'z', 'A'-'a')
	add('A', 'Z', 'a'-'A')
	if everywhere {
		for _, cases := range unicode.CaseRanges {
			for r := rune(cases.Lo); r <= rune(cases.Hi); r++ {
				if s.holds(r) {
					out = append(out, orbit(r)...)
				}
			}
		}
	}
	return out.normal()
}

// orbit are the characters that differ from r by case alone.
func orbit(r rune) (out runeSet) {
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		out = append(out, runeRange{other, other})
	}
	return out
}

func (s runeSet) holds(r rune) bool {
	_, found := slices.BinarySearchFunc(s, r, func(in runeRange, r rune) int {
		switch {
		case in.high < r:
			return -1
		case in.low > r:
			return 1
		}
		return 0
	})
	return found
}

// class is the set as a class that both of the engines read.
func (s runeSet) class() string {
	if len(s) == 0 {
		return `[^\x{0}-\x{10FFFF}]`
	}
	var b strings.Builder
	b.WriteByte('[')
	for _, r := range s {
		fmt.Fprintf(&b, `\x{%X}`, r.low)
		if r.high > r.low {
			fmt.Fprintf(&b, `-\x{%X}`, r.high)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// The classes that Java's escapes name, outside of UNICODE_CHARACTER_CLASS.
var (
	digitSet      = setOf(runeRange{'0', '9'})
	wordSet       = setOf(runeRange{'a', 'z'}, runeRange{'A', 'Z'}, runeRange{'_', '_'}, runeRange{'0', '9'})
	spaceSet      = characters(" \t\n\x0B\f\r")
	horizontalSet = setOf(runeRange{' ', ' '}, runeRange{'\t', '\t'}, runeRange{0xA0, 0xA0}, runeRange{0x1680, 0x1680},
		runeRange{0x180E, 0x180E}, runeRange{0x2000, 0x200A}, runeRange{0x202F, 0x202F}, runeRange{0x205F, 0x205F}, runeRange{0x3000, 0x3000})
	verticalSet = characters("\n\x0B\f\r\u0085\u2028\u2029")
	lineEnds    = characters("\n\r\u0085\u2028\u2029")
)

// The same within UNICODE_CHARACTER_CLASS.
func unicodeWords() runeSet {
	return tabled(unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}

// posix are the classes of java.util.regex.Pattern's list "POSIX character
// classes (US-ASCII only)".
var posix = map[string]runeSet{
	"Lower": setOf(runeRange{'a', 'z'}), "Upper": setOf(runeRange{'A', 'Z'}), "ASCII": setOf(runeRange{0, 0x7F}),
	"Alpha": setOf(runeRange{'a', 'z'}, runeRange{'A', 'Z'}), "Digit": digitSet,
	"Alnum":  setOf(runeRange{'a', 'z'}, runeRange{'A', 'Z'}, runeRange{'0', '9'}),
	"Punct":  setOf(runeRange{'!', '/'}, runeRange{':', '@'}, runeRange{'[', '`'}, runeRange{'{', '~'}),
	"Graph":  setOf(runeRange{'!', '~'}),
	"Print":  setOf(runeRange{' ', '~'}),
	"Blank":  characters(" \t"),
	"Cntrl":  setOf(runeRange{0, 0x1F}, runeRange{0x7F, 0x7F}),
	"XDigit": setOf(runeRange{'0', '9'}, runeRange{'a', 'f'}, runeRange{'A', 'F'}),
	"Space":  spaceSet,
}

// unicodeTables are what Java calls properties by other names than Go's tables:
// those of java.lang.Character, and binary properties.
var unicodeTables = map[string][]*unicode.RangeTable{
	"javaLowerCase": {unicode.Ll, unicode.Other_Lowercase}, "javaUpperCase": {unicode.Lu, unicode.Other_Uppercase},
	"javaTitleCase": {unicode.Lt}, "javaDigit": {unicode.Nd}, "javaLetter": {unicode.L}, "javaLetterOrDigit": {unicode.L, unicode.Nd},
	"javaSpaceChar": {unicode.Z}, "javaISOControl": {unicode.Cc}, "javaIdeographic": {unicode.Ideographic},
	"javaAlphabetic": {unicode.L, unicode.Nl, unicode.Other_Alphabetic},
	"ISALPHABETIC":   {unicode.L, unicode.Nl, unicode.Other_Alphabetic}, "ISIDEOGRAPHIC": {unicode.Ideographic},
	"ISLETTER": {unicode.L}, "ISLOWERCASE": {unicode.Ll, unicode.Other_Lowercase}, "ISUPPERCASE": {unicode.Lu, unicode.Other_Uppercase},
	"ISTITLECASE": {unicode.Lt}, "ISPUNCTUATION": {unicode.P}, "ISCONTROL": {unicode.Cc}, "ISWHITE_SPACE": {unicode.White_Space},
	"ISDIGIT": {unicode.Nd}, "ISHEX_DIGIT": {unicode.Nd, unicode.Hex_Digit}, "ISJOIN_CONTROL": {unicode.Join_Control},
	"ISNONCHARACTER_CODE_POINT": {unicode.Noncharacter_Code_Point},
}

// property is the set of \p{name}. What Java knows and Go has no table of (the
// blocks, \p{InGreek}) is an error.
func property(name string) (runeSet, error) {
	if set, ok := posix[name]; ok {
		return set, nil
	}
	for _, key := range []string{name, strings.ToUpper(name)} {
		if tables, ok := unicodeTables[key]; ok {
			return tabled(tables...), nil
		}
	}
	unsupported := fmt.Errorf("the class \\p{%s} is not supported", name)
	kind, value, qualified := strings.Cut(name, "=")
	switch kind = strings.ToLower(kind); {
	case qualified && (kind == "sc" || kind == "script"):
		return named(unicode.Scripts, value, unsupported)
	case qualified && (kind == "gc" || kind == "general_category"):
		return named(unicode.Categories, value, unsupported)
	case qualified || strings.HasPrefix(name, "In") || strings.HasPrefix(name, "java"):
		return nil, unsupported
	case name == "all":
		return setOf(runeRange{0, unicode.MaxRune}), nil
	case name == "L1":
		return setOf(runeRange{0, 0xFF}), nil
	case name == "LD":
		return tabled(unicode.L, unicode.Nd), nil
	}
	if rest, ok := strings.CutPrefix(name, "Is"); ok {
		if set, err := named(unicode.Scripts, rest, unsupported); err == nil {
			return set, nil
		}
		name = rest
	}
	return named(unicode.Categories, name, unsupported)
}

// named is the table of a name, without regard to its case.
func named(tables map[string]*unicode.RangeTable, name string, unsupported error) (runeSet, error) {
	if t, ok := tables[name]; ok {
		return tabled(t), nil
	}
	for key, t := range tables {
		if len(name) > 2 && strings.EqualFold(key, name) {
			return tabled(t), nil
		}
	}
	return nil, unsupported
}
