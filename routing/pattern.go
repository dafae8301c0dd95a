package routing

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// matchLimit bounds one match of an expression that Go's engine, which is
// linear in time, cannot run.
const matchLimit = 100 * time.Millisecond

// Pattern is a Java regular expression. Where Go's dialect has all that the
// expression uses, Go's engine runs it; look-around, back-references and
// possessive quantifiers go to a backtracking engine with a time limit.
type Pattern struct {
	text string
	fast *regexp.Regexp
	slow *regexp2.Regexp
}

// Compile compiles a Java regular expression that has to match whole strings,
// as java.util.regex.Matcher.matches does.
func Compile(text string) (*Pattern, error) {
	if fast, err := regexp.Compile(`\A(?:` + text + `)\z`); err == nil {
		return &Pattern{text: text, fast: fast}, nil
	}
	slow, err := regexp2.Compile(`\A(?:`+text+`)\z`, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("compiling regular expression %q: %w", text, err)
	}
	slow.MatchTimeout = matchLimit
	return &Pattern{text: text, slow: slow}, nil
}

// String is the expression as it was given.
func (p *Pattern) String() string { return p.text }

// Match reports whether the whole of s matches. The error is a match that took
// longer than its limit.
func (p *Pattern) Match(s string) (bool, error) {
	if p.fast != nil {
		return p.fast.MatchString(s), nil
	}
	ok, err := p.slow.MatchString(s)
	if err != nil {
		return false, fmt.Errorf("matching %q: %w", p.text, err)
	}
	return ok, nil
}

// groups are the texts of the groups by number and name; nil without a match.
func (p *Pattern) groups(s string) (numbered []string, named map[string]string, err error) {
	named = map[string]string{}
	if p.fast != nil {
		numbered = p.fast.FindStringSubmatch(s)
		if numbered == nil {
			return nil, nil, nil
		}
		for i, name := range p.fast.SubexpNames() {
			if name != "" {
				named[name] = numbered[i]
			}
		}
		return numbered, named, nil
	}
	m, err := p.slow.FindStringMatch(s)
	if err != nil {
		return nil, nil, fmt.Errorf("matching %q: %w", p.text, err)
	}
	if m == nil {
		return nil, nil, nil
	}
	for _, g := range m.Groups() {
		numbered = append(numbered, g.String())
		named[g.Name] = g.String()
	}
	return numbered, named, nil
}

// Replace returns replacement with its references filled in, where the whole of
// s matches; else s and false. The references are Java's: $1 (as many digits as
// make a group there is), ${name}, and \ before a character taken as it is.
func (p *Pattern) Replace(s, replacement string) (string, bool, error) {
	numbered, named, err := p.groups(s)
	if err != nil || numbered == nil {
		return s, false, err
	}
	var out strings.Builder
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch {
		case c == '\\' && i+1 < len(replacement):
			i++
			out.WriteByte(replacement[i])
		case c == '$':
			text, size, err := reference(replacement[i:], numbered, named)
			if err != nil {
				return s, false, err
			}
			out.WriteString(text)
			i += size - 1
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), true, nil
}

// reference resolves the reference that s begins with and says how long it is.
func reference(s string, numbered []string, named map[string]string) (text string, size int, err error) {
	if strings.HasPrefix(s, "${") {
		name, _, ok := strings.Cut(s[2:], "}")
		text, known := named[name]
		if !ok || !known {
			return "", 0, fmt.Errorf("replacement refers to group ${%s}, which the expression does not have", name)
		}
		return text, len(name) + 3, nil
	}
	n, size := -1, 1
	for ; size < len(s) && s[size]-'0' <= 9; size++ {
		next := max(n, 0)*10 + int(s[size]-'0')
		if n >= 0 && next >= len(numbered) {
			break
		}
		n = next
	}
	if n < 0 || n >= len(numbered) {
		return "", 0, fmt.Errorf("replacement refers to group %s, which the expression does not have", s[:min(size, len(s))])
	}
	return numbered[n], size, nil
}

// CheckReplacement says what is wrong with a replacement for the expression,
// before anything is matched.
func (p *Pattern) CheckReplacement(replacement string) error {
	groups, names := 1, map[string]string{}
	if p.fast != nil {
		groups += p.fast.NumSubexp()
		for _, name := range p.fast.SubexpNames() {
			names[name] = ""
		}
	} else {
		groups = len(p.slow.GetGroupNumbers())
		for _, name := range p.slow.GetGroupNames() {
			names[name] = ""
		}
	}
	for i := 0; i < len(replacement); i++ {
		switch replacement[i] {
		case '\\':
			i++
		case '$':
			_, size, err := reference(replacement[i:], make([]string, groups), names)
			if err != nil {
				return err
			}
			i += size - 1
		}
	}
	return nil
}
