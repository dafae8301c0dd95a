package golden

import (
	"math/big"
	"strconv"
	"strings"
)

// visit is called for every place at which two JSON texts differ, by its path,
// with the two texts there; a missing one is "". It returns whether to go on.
type visit func(path, want, got string) bool

// differences walks two JSON texts side by side. What is written alike, the
// order of members included, is not looked into.
func differences(path, want, got string, each visit) bool {
	if want == got {
		return true
	}
	if want == "" || got == "" || want[0] != got[0] {
		return each(path, want, got)
	}
	switch want[0] {
	case '{':
		w, ok1 := members(want)
		g, ok2 := members(got)
		if ok1 && ok2 && sameNames(w, g) {
			for i := range w {
				if !differences(join(path, w[i].name), w[i].text, g[i].text, each) {
					return false
				}
			}
			return true
		}
		if ok1 && ok2 {
			return otherNames(path, w, g, each)
		}
	case '[':
		w, ok1 := items(want)
		g, ok2 := items(got)
		if ok1 && ok2 {
			return differentItems(path, w, g, each)
		}
	}
	return each(path, want, got)
}

// differentItems compares arrays; what only one has is "" in the other.
func differentItems(path string, want, got []string, each visit) bool {
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if !differences(path+"["+strconv.Itoa(i)+"]", w, g, each) {
			return false
		}
	}
	return true
}

// otherNames compares objects of other members, or of another order: by name,
// then the order.
func otherNames(path string, want, got []jsonMember, each visit) bool {
	found := map[string]string{}
	for _, g := range got {
		found[g.name] = g.text
	}
	same := len(want) == len(got)
	for _, w := range want {
		g, ok := found[w.name]
		same = same && ok
		if delete(found, w.name); !differences(join(path, w.name), w.text, g, each) {
			return false
		}
	}
	for _, g := range got {
		if text, ok := found[g.name]; ok && !each(join(path, g.name), "", text) {
			return false
		}
	}
	if !same {
		return true // said by name already
	}
	return each(path, "members in the order "+names(want), "members in the order "+names(got))
}

func names(list []jsonMember) string {
	var out []string
	for _, m := range list {
		out = append(out, m.name)
	}
	return strings.Join(out, ", ")
}

func sameNames(a, b []jsonMember) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name {
			return false
		}
	}
	return true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

type jsonMember struct{ name, text string }

// members are those of an object, in order; names as they are written, without
// the quotes.
func members(text string) (out []jsonMember, ok bool) {
	rest := blankless(text[1:])
	for rest != "" && rest[0] != '}' {
		end := valueEnd(rest)
		if end < 2 || rest[0] != '"' {
			return nil, false
		}
		name := rest[1 : end-1]
		if rest = blankless(rest[end:]); rest == "" || rest[0] != ':' {
			return nil, false
		}
		rest = blankless(rest[1:])
		if end = valueEnd(rest); end == 0 {
			return nil, false
		}
		out = append(out, jsonMember{name, rest[:end]})
		rest = next(rest[end:])
	}
	return out, rest == "}"
}

// items are those of an array.
func items(text string) (out []string, ok bool) {
	rest := blankless(text[1:])
	for rest != "" && rest[0] != ']' {
		end := valueEnd(rest)
		if end == 0 {
			return nil, false
		}
		out = append(out, rest[:end])
		rest = next(rest[end:])
	}
	return out, rest == "]"
}

// next is what follows a value and its comma.
func next(rest string) string {
	rest = blankless(rest)
	if rest != "" && rest[0] == ',' {
		return blankless(rest[1:])
	}
	return rest
}

func blankless(text string) string { return strings.TrimLeft(text, " \t\r\n") }

// valueEnd is the length of the JSON value that a text begins with, 0 if there
// is none.
func valueEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end := stringEnd(text[i:])
			if end == 0 {
				return 0
			}
			i += end - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return 0
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			continue
		default:
			if depth > 0 {
				continue
			}
			if end := strings.IndexAny(text[i:], ",:]} \t\r\n"); end >= 0 {
				return i + end
			}
			return len(text)
		}
		if depth == 0 {
			return i + 1
		}
	}
	return 0
}

// stringEnd is the length of the string that a text begins with, 0 if it does
// not end.
func stringEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// member is the text of a nested member, "" if there is none.
func member(text string, path ...string) string {
	for _, name := range path {
		if text == "" || text[0] != '{' {
			return ""
		}
		list, _ := members(text)
		text = ""
		for _, m := range list {
			if m.name == name {
				text = m.text
			}
		}
	}
	return text
}

// payload takes the inline schema off.
func payload(text string) string {
	if strings.HasPrefix(text, `{"schema":`) {
		if p := member(text, "payload"); p != "" {
			return p
		}
	}
	return text
}

// sameNumber reports whether two JSON numbers are the same: exactly, or as the
// doubles that both are written from.
func sameNumber(a, b string) bool {
	if !isNumber(a) || !isNumber(b) {
		return false
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	if okX && okY && x.Cmp(y) == 0 {
		return true
	}
	f, errF := strconv.ParseFloat(a, 64)
	g, errG := strconv.ParseFloat(b, 64)
	return errF == nil && errG == nil && f == g && strings.ContainsAny(a+b, ".eE")
}

func isNumber(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && !strings.ContainsAny(text, "xXpP_/")
}
