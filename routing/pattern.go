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

// Pattern is a Java regular expression. Where Go's engine can do all that the
// expression uses, it runs it; look-around, back-references and possessive
// quantifiers go to a backtracking engine with a time limit. What neither does
// as Java does is refused by Compile.
type Pattern struct {
	text   string
	groups int
	names  map[string]int
	whole  engine // matches whole texts
	first  engine // finds the first match in a text
}

// engine runs one expression, by the one or the other.
type engine struct {
	fast *regexp.Regexp
	slow *regexp2.Regexp
}

// Compile compiles a Java regular expression that has to match whole strings,
// as java.util.regex.Matcher.matches does.
func Compile(text string) (*Pattern, error) {
	d, out, err := translate(text)
	if err != nil {
		return nil, fmt.Errorf("compiling regular expression %q: %w", text, err)
	}
	p := &Pattern{text: text, groups: d.groups, names: d.names}
	if p.whole, err = newEngine(`\A(?:`+out+`)\z`, d.slow); err == nil {
		p.first, err = newEngine(out, d.slow)
	}
	if err != nil {
		return nil, fmt.Errorf("compiling regular expression %q: %w", text, err)
	}
	return p, nil
}

// newEngine compiles what translate wrote. What Go's engine refuses though it
// reads it, such as a thousand repetitions, goes to the other one.
func newEngine(text string, slow bool) (engine, error) {
	if !slow {
		if fast, err := regexp.Compile(text); err == nil {
			return engine{fast: fast}, nil
		}
	}
	compiled, err := regexp2.Compile(text, regexp2.None)
	if err != nil {
		return engine{}, err
	}
	compiled.MatchTimeout = matchLimit
	return engine{slow: compiled}, nil
}

// String is the expression as it was given.
func (p *Pattern) String() string { return p.text }

// Match reports whether the whole of s matches. The error is a match that took
// longer than its limit.
func (p *Pattern) Match(s string) (bool, error) {
	if p.whole.fast != nil {
		return p.whole.fast.MatchString(s), nil
	}
	ok, err := p.whole.slow.MatchString(s)
	if err != nil {
		return false, fmt.Errorf("matching %q: %w", p.text, err)
	}
	return ok, nil
}

// found is one match: what is before and behind it, and the groups' texts, the
// whole first.
type found struct {
	before, after string
	groups        []string
}

// find is the first match in s; nil if there is none.
func (p *Pattern) find(s string) (*found, error) {
	if p.first.fast != nil {
		at := p.first.fast.FindStringSubmatchIndex(s)
		if at == nil {
			return nil, nil
		}
		f := &found{before: s[:at[0]], after: s[at[1]:]}
		for i := 0; i < len(at); i += 2 {
			text := ""
			if at[i] >= 0 {
				text = s[at[i]:at[i+1]]
			}
			f.groups = append(f.groups, text)
		}
		return f, nil
	}
	m, err := p.first.slow.FindStringMatch(s)
	if err != nil || m == nil {
		return nil, err
	}
	runes := []rune(s)
	f := &found{before: string(runes[:m.Index]), after: string(runes[m.Index+m.Length:])}
	for _, g := range m.Groups() {
		f.groups = append(f.groups, g.String())
	}
	return f, nil
}

// Replace returns s with its first match replaced, where the whole of s matches;
// else s and false. It is what Kafka Connect and Debezium do to a topic's name:
// Matcher.matches, then replaceFirst. The references in replacement are Java's:
// $1 (as many digits as make a group there is), ${name}, and \ before a
// character taken as it is.
func (p *Pattern) Replace(s, replacement string) (string, bool, error) {
	matches, err := p.Match(s)
	if err != nil || !matches {
		return s, false, err
	}
	f, err := p.find(s)
	switch {
	case err != nil:
		return s, false, fmt.Errorf("matching %q: %w", p.text, err)
	case f == nil:
		return s, false, nil
	}
	var out strings.Builder
	out.WriteString(f.before)
	if err := p.expand(&out, replacement, f.groups); err != nil {
		return s, false, err
	}
	out.WriteString(f.after)
	return out.String(), true, nil
}

// expand writes replacement with its references filled in.
func (p *Pattern) expand(out *strings.Builder, replacement string, groups []string) error {
	for i := 0; i < len(replacement); i++ {
		switch c := replacement[i]; c {
		case '\\':
			if i++; i == len(replacement) {
				return fmt.Errorf("the replacement %q ends in a backslash, which needs a character behind it", replacement)
			}
			out.WriteByte(replacement[i])
		case '$':
			group, size, err := p.reference(replacement[i:])
			if err != nil {
				return err
			}
			out.WriteString(groups[group])
			i += size - 1
		default:
			out.WriteByte(c)
		}
	}
	return nil
}

// reference resolves the reference that s begins with and says how long it is.
func (p *Pattern) reference(s string) (group, size int, err error) {
	if strings.HasPrefix(s, "${") {
		name, _, ok := strings.Cut(s[2:], "}")
		group, known := p.names[name]
		if !ok || !known {
			return 0, 0, fmt.Errorf("replacement refers to group ${%s}, which the expression does not have", name)
		}
		return group, len(name) + 3, nil
	}
	n, size := -1, 1
	for ; size < len(s) && s[size]-'0' <= 9; size++ {
		next := max(n, 0)*10 + int(s[size]-'0')
		if n >= 0 && next > p.groups {
			break
		}
		n = next
	}
	if n < 0 || n > p.groups {
		return 0, 0, fmt.Errorf("replacement refers to group %s, which the expression does not have", s[:min(size, len(s))])
	}
	return n, size, nil
}

// CheckReplacement says what is wrong with a replacement for the expression,
// before anything is matched.
func (p *Pattern) CheckReplacement(replacement string) error {
	return p.expand(new(strings.Builder), replacement, make([]string, p.groups+1))
}
