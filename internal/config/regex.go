package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/dlclark/regexp2"
)

// Regex is one expression of a list such as table.include.list: it matches a
// whole text, without regard to case, as Debezium's do.
type Regex struct {
	text string
	fast *regexp.Regexp
	slow *regexp2.Regexp // for what Go's engine lacks: look-around, back references
}

// CompileRegex compiles an expression in Java's syntax. What neither engine
// reads as Java does is an error: possessive quantifiers, intersections of
// character classes.
func CompileRegex(text string) (*Regex, error) {
	if intersects(text) {
		return nil, errors.New("an intersection of character classes (&&) is not supported")
	}
	r := &Regex{text: text}
	var err error
	if r.fast, err = regexp.Compile(`(?i)\A(?:` + text + `)\z`); err == nil {
		return r, nil
	}
	r.slow, err = regexp2.Compile(`\A(?:`+text+`)\z`, regexp2.IgnoreCase|regexp2.RE2)
	if err != nil {
		return nil, fmt.Errorf("reading the expression %q: %w", text, err)
	}
	return r, nil
}

// Match reports whether the whole of text matches.
func (r *Regex) Match(text string) bool {
	if r.fast != nil {
		return r.fast.MatchString(text)
	}
	matched, _ := r.slow.MatchString(text) // an error is a timeout only, and none is set
	return matched
}

// String is the expression as it was written.
func (r *Regex) String() string { return r.text }

// intersects reports whether a character class of text holds &&.
func intersects(text string) bool {
	inside := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '[':
			inside = true
		case text[i] == ']':
			inside = false
		case inside && strings.HasPrefix(text[i:], "&&"):
			return true
		}
	}
	return false
}

// RegexList is a list of expressions.
type RegexList []*Regex

// Match reports whether one of the expressions matches the whole of text. An
// empty list matches nothing.
func (r RegexList) Match(text string) bool {
	for _, regex := range r {
		if regex.Match(text) {
			return true
		}
	}
	return false
}

// compileRegexes splits text at commas that no backslash escapes, as Debezium
// does, and compiles the parts.
func compileRegexes(text string) (RegexList, error) {
	var out RegexList
	for _, part := range splitEscaped(text) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		r, err := CompileRegex(part)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func splitEscaped(text string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',':
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}
