package kafka

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// jaas is one login module of sasl.jaas.config.
type jaas struct {
	module  string
	options map[string]string
}

// parseJAAS reads a JAAS entry as Kafka's JaasConfig does: a module, a control
// flag, key=value options, a semicolon; exactly one entry. Errors never repeat
// the text, which has a password.
func parseJAAS(text string) (jaas, error) {
	l := &jaasLexer{in: []rune(text)}
	out := jaas{options: map[string]string{}}
	var err error
	if out.module, err = l.word("the login module's class"); err != nil {
		return out, err
	}
	flag, err := l.word("the control flag")
	if err != nil {
		return out, err
	}
	switch strings.ToUpper(flag) {
	case "REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL":
	default:
		return out, errors.New("the control flag after the login module must be required")
	}
	if err := l.options(out.options); err != nil {
		return out, err
	}
	if t := l.next(); t.kind != jaasEnd {
		return out, errors.New("there must be exactly one login module")
	}
	return out, nil
}

type jaasKind byte

const (
	jaasEnd jaasKind = iota
	jaasWord
	jaasSign // = or ; or anything else that stands alone
)

type jaasToken struct {
	kind jaasKind
	text string
}

// jaasLexer splits as Java's StreamTokenizer does with JaasConfig's settings.
type jaasLexer struct {
	in []rune
	at int
}

func (l *jaasLexer) word(what string) (string, error) {
	t := l.next()
	if t.kind != jaasWord {
		return "", fmt.Errorf("%s is missing", what)
	}
	return t.text, nil
}

// options reads up to the semicolon.
func (l *jaasLexer) options(into map[string]string) error {
	for {
		key := l.next()
		switch {
		case key.kind == jaasEnd:
			return errors.New("the entry must end with a semicolon")
		case key.kind == jaasSign && key.text == ";":
			return nil
		case key.kind != jaasWord:
			return fmt.Errorf("unexpected %q where an option's name should be", key.text)
		}
		if t := l.next(); t.kind != jaasSign || t.text != "=" {
			return fmt.Errorf("no value for option %s", key.text)
		}
		value := l.next()
		if value.kind != jaasWord {
			return fmt.Errorf("no value for option %s (quote values that hold more than letters)", key.text)
		}
		into[key.text] = value.text
	}
}

func (l *jaasLexer) next() jaasToken {
	l.skip()
	if l.at >= len(l.in) {
		return jaasToken{}
	}
	switch c := l.in[l.at]; {
	case c == '"' || c == '\'':
		return jaasToken{jaasWord, l.quoted(c)}
	case wordRune(c) && !unicode.IsDigit(c):
		start := l.at
		for l.at < len(l.in) && wordRune(l.in[l.at]) {
			l.at++
		}
		return jaasToken{jaasWord, string(l.in[start:l.at])}
	default:
		l.at++
		return jaasToken{jaasSign, string(c)}
	}
}

// skip passes blanks and comments.
func (l *jaasLexer) skip() {
	for l.at < len(l.in) {
		rest := l.in[l.at:]
		switch {
		case rest[0] <= ' ':
			l.at++
		case rest[0] == '/' && len(rest) > 1 && rest[1] == '*':
			if end := strings.Index(string(rest[2:]), "*/"); end >= 0 {
				l.at += 4 + len([]rune(string(rest[2:])[:end]))
			} else {
				l.at = len(l.in)
			}
		case rest[0] == '/':
			for l.at < len(l.in) && l.in[l.at] != '\n' {
				l.at++
			}
		default:
			return
		}
	}
}

// quoted reads a quoted word with Java's escapes; a line's end closes it too.
func (l *jaasLexer) quoted(quote rune) string {
	var b strings.Builder
	for l.at++; l.at < len(l.in); l.at++ {
		c := l.in[l.at]
		switch {
		case c == quote:
			l.at++
			return b.String()
		case c == '\n' || c == '\r':
			return b.String()
		case c == '\\' && l.at+1 < len(l.in):
			l.at++
			b.WriteRune(l.escape())
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// escape reads what follows a backslash.
func (l *jaasLexer) escape() rune {
	c := l.in[l.at]
	if c >= '0' && c <= '7' {
		return l.octal(c)
	}
	if i := strings.IndexRune("abfnrtv", c); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i])
	}
	return c
}

// octal reads up to three digits, no more than \377.
func (l *jaasLexer) octal(first rune) rune {
	n, most := first-'0', 2
	if first > '3' {
		most = 1
	}
	for ; most > 0 && l.at+1 < len(l.in) && l.in[l.at+1] >= '0' && l.in[l.at+1] <= '7'; most-- {
		l.at++
		n = n*8 + l.in[l.at] - '0'
	}
	return n
}

func wordRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 160 || c == '.' || c == '-' || c == '_' || c == '$'
}
