package mysql

import (
	"strconv"
	"strings"
)

// ddlDialect is what the meaning of a statement's text depends on.
type ddlDialect struct {
	mariadb bool
	// version is the server's, 90704 for 9.7.4, by which it executes versioned
	// comments; 0 executes them all.
	version int
	// The modes of sql_mode that the text's meaning depends on.
	ansiQuotes, noBackslashEscapes, realAsFloat bool
	// otherTypes is a mode of MariaDB in which types are those of another database:
	// ORACLE, MSSQL, MAXDB.
	otherTypes bool
	// utf8IsMB4 is MariaDB's old_mode without UTF8_IS_UTF8MB3. The log does not tell
	// it: it is the server's.
	utf8IsMB4 bool
}

// The bits of sql_mode in the log's query events.
const (
	modeRealAsFloat        = 1 << 0
	modeANSIQuotes         = 1 << 2
	modeNoBackslashEscapes = 1 << 20
	modesOfOtherTypes      = 1<<9 | 1<<10 | 1<<12 // of MariaDB
)

// withMode returns d with the sql_mode of a query event.
func (d ddlDialect) withMode(mode uint64) ddlDialect {
	d.realAsFloat = mode&modeRealAsFloat != 0
	d.ansiQuotes = mode&modeANSIQuotes != 0
	d.noBackslashEscapes = mode&modeNoBackslashEscapes != 0
	d.otherTypes = d.mariadb && mode&modesOfOtherTypes != 0
	return d
}

type ddlTokenKind uint8

const (
	ddlEnd      ddlTokenKind = iota
	ddlWord                  // a keyword, or a name without quotes
	ddlQuoted                // a name in quotes
	ddlString                // 'text', or "text"
	ddlNumber                // digits, with a fraction or an exponent
	ddlHex                   // 0x1F, x'1F'
	ddlBit                   // 0b101, b'101'
	ddlVariable              // @name, @@name
	ddlPunct                 // anything else, one character
)

// ddlToken is one token of a statement.
type ddlToken struct {
	kind ddlTokenKind
	// text is the name without its quotes; what is between a literal's quotes,
	// its escapes not undone; all of the token else.
	text       string
	quote      byte // of a quoted name or text
	start, end int  // in the statement
	// versioned says that the token is in a comment that the server executes.
	versioned bool
}

// ddlLexer splits a statement into tokens, as the server does.
type ddlLexer struct {
	ddlDialect
	in    string
	pos   int
	depth int // of executed comments that are open
}

// ddlTokens are a statement's tokens, an end token the last. Text that is cut
// off, by a quote or a comment that is never closed, ends the last token.
func ddlTokens(statement string, d ddlDialect) []ddlToken {
	l := ddlLexer{ddlDialect: d, in: statement}
	var out []ddlToken
	for {
		t := l.next()
		out = append(out, t)
		if t.kind == ddlEnd {
			return out
		}
	}
}

func (l *ddlLexer) next() ddlToken {
	l.skipSpace()
	t := ddlToken{start: l.pos, versioned: l.depth > 0}
	if l.pos >= len(l.in) {
		t.end = l.pos
		return t
	}
	l.scan(&t)
	t.end = l.pos
	return t
}

// at is the byte n behind the current one, 0 behind the end.
func (l *ddlLexer) at(n int) byte {
	if l.pos+n < len(l.in) {
		return l.in[l.pos+n]
	}
	return 0
}

func (l *ddlLexer) scan(t *ddlToken) {
	switch c := l.at(0); {
	case c == '`', c == '"' && l.ansiQuotes:
		t.kind, t.quote = ddlQuoted, c
		t.text = strings.ReplaceAll(l.quoted(false), string([]byte{c, c}), string(c))
	case c == '\'', c == '"':
		t.kind, t.quote, t.text = ddlString, c, l.quoted(!l.noBackslashEscapes)
	case l.at(1) == '\'' && strings.IndexByte("xXbB", c) >= 0:
		l.pos++
		t.kind = ddlHex
		if c|0x20 == 'b' {
			t.kind = ddlBit
		}
		t.text = l.quoted(false)
	case l.at(1) == '\'' && (c == 'n' || c == 'N'): // the national character set
		l.pos++
		t.kind, t.quote, t.text = ddlString, '\'', l.quoted(!l.noBackslashEscapes)
	case c == '@':
		l.variable()
		t.kind, t.text = ddlVariable, l.in[t.start:l.pos]
	case isNameByte(c), c == '.' && isDigitByte(l.at(1)) && !l.afterName():
		l.wordOrNumber(t)
	default:
		l.pos++
		t.kind, t.text = ddlPunct, l.in[t.start:l.pos]
	}
}

// quoted takes what is in the quotes at the current position; a doubled quote
// does not end it, nor does an escaped one.
func (l *ddlLexer) quoted(escapes bool) string {
	quote := l.in[l.pos]
	l.pos++
	start := l.pos
	for l.pos < len(l.in) {
		switch c := l.in[l.pos]; {
		case c == '\\' && escapes:
			l.pos++
		case c == quote && l.at(1) == quote:
			l.pos++
		case c == quote:
			l.pos++
			return l.in[start : l.pos-1]
		}
		l.pos++
	}
	l.pos = len(l.in)
	return l.in[start:]
}

func (l *ddlLexer) variable() {
	for l.at(0) == '@' {
		l.pos++
	}
	if c := l.at(0); c == '`' || c == '\'' || c == '"' {
		l.quoted(false)
		return
	}
	for isNameByte(l.at(0)) || l.at(0) == '.' {
		l.pos++
	}
}

// afterName reports whether a name ends directly before the current position,
// so that a dot here is between two names.
func (l *ddlLexer) afterName() bool {
	return l.pos > 0 && (isNameByte(l.in[l.pos-1]) || l.in[l.pos-1] == '`' || l.in[l.pos-1] == '"')
}

// wordOrNumber: a name may begin with digits, but not consist of them; behind a
// dot that follows a name it is a name in any case.
func (l *ddlLexer) wordOrNumber(t *ddlToken) {
	afterDot := l.pos > 0 && l.in[l.pos-1] == '.'
	for isNameByte(l.at(0)) {
		l.pos++
	}
	word := l.in[t.start:l.pos]
	switch {
	case afterDot || word != "" && !isDigitByte(word[0]):
		t.kind = ddlWord
	case isRadix(word, 'x', "0123456789abcdefABCDEF"):
		t.kind, word = ddlHex, word[2:]
	case isRadix(word, 'b', "01"):
		t.kind, word = ddlBit, word[2:]
	case l.number(word):
		t.kind, word = ddlNumber, l.in[t.start:l.pos]
	default:
		t.kind = ddlWord
	}
	t.text = word
}

func isRadix(word string, radix byte, digits string) bool {
	return len(word) > 2 && word[0] == '0' && word[1] == radix && strings.Trim(word[2:], digits) == ""
}

// number takes the rest of a number that begins with word, if it is one.
func (l *ddlLexer) number(word string) bool {
	digits := strings.TrimLeft(word, "0123456789")
	if digits != "" {
		return l.exponent(digits)
	}
	if l.at(0) != '.' {
		return true
	}
	l.pos++
	start := l.pos
	for isNameByte(l.at(0)) {
		l.pos++
	}
	fraction := strings.TrimLeft(l.in[start:l.pos], "0123456789")
	if fraction == "" {
		return true
	}
	if l.exponent(fraction) {
		return true
	}
	l.pos -= len(fraction)
	return true
}

// exponent takes e5, or the rest of e-5 of which only the e was taken yet.
func (l *ddlLexer) exponent(rest string) bool {
	if rest[0]|0x20 != 'e' {
		return false
	}
	if len(rest) > 1 {
		return strings.Trim(rest[1:], "0123456789") == ""
	}
	if c := l.at(0); (c == '-' || c == '+') && isDigitByte(l.at(1)) {
		l.pos++
		for isDigitByte(l.at(0)) {
			l.pos++
		}
		return true
	}
	return false
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigitByte(c) || c == '_' || c == '$' || c >= 0x80
}

func isDigitByte(c byte) bool { return c >= '0' && c <= '9' }

func isSpaceByte(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skipSpace passes over white space, comments, and the borders of comments that
// are executed.
func (l *ddlLexer) skipSpace() {
	for l.pos < len(l.in) {
		switch c := l.in[l.pos]; {
		case isSpaceByte(c), c == 0:
			l.pos++
		case c == '#', c == '-' && l.at(1) == '-' && (l.pos+2 >= len(l.in) || l.at(2) <= ' '):
			l.skipLine()
		case c == '/' && l.at(1) == '*':
			l.comment()
		case c == '*' && l.at(1) == '/' && l.depth > 0:
			l.pos += 2
			l.depth--
		default:
			return
		}
	}
}

func (l *ddlLexer) skipLine() {
	if n := strings.IndexByte(l.in[l.pos:], '\n'); n >= 0 {
		l.pos += n + 1
		return
	}
	l.pos = len(l.in)
}

// comment passes over a comment, or enters one that the server executes.
func (l *ddlLexer) comment() {
	switch {
	case l.at(2) == '!':
		l.pos += 3
		l.executable(false)
	case l.at(2) == 'M' && l.at(3) == '!' && l.mariadb:
		l.pos += 4
		l.executable(true)
	default:
		l.pos += 2
		if n := strings.Index(l.in[l.pos:], "*/"); n >= 0 {
			l.pos += n + 2
		} else {
			l.pos = len(l.in)
		}
	}
}

// executable decides by the version in front of an executable comment.
func (l *ddlLexer) executable(own bool) {
	digits := 0
	for digits < 6 && isDigitByte(l.at(digits)) {
		digits++
	}
	if digits < 5 {
		digits = 0
	}
	version, _ := strconv.Atoi(l.in[l.pos : l.pos+digits])
	l.pos += digits
	// MariaDB leaves out what is meant for MySQL 5.7 and later.
	foreign := l.mariadb && !own && version >= 50700 && version <= 99999
	if foreign || l.version > 0 && version > l.version {
		l.skipComment()
		return
	}
	l.depth++
}

// skipComment passes over the rest of a comment that is not executed; other than
// in a plain one, comments nest in it.
func (l *ddlLexer) skipComment() {
	for depth := 1; depth > 0 && l.pos < len(l.in); l.pos++ {
		switch {
		case l.at(0) == '*' && l.at(1) == '/':
			l.pos++
			depth--
		case l.at(0) == '/' && l.at(1) == '*':
			l.pos++
			depth++
		}
	}
}

// ddlText undoes the escapes of a text's source.
func ddlText(raw string, quote byte, noBackslashEscapes bool) string {
	if strings.IndexByte(raw, quote) < 0 && (noBackslashEscapes || strings.IndexByte(raw, '\\') < 0) {
		return raw
	}
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && !noBackslashEscapes && i+1 < len(raw):
			i++
			out.WriteString(unescaped(raw[i]))
		case c == quote && i+1 < len(raw) && raw[i+1] == quote:
			i++
			out.WriteByte(quote)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// unescaped is what a backslash and c stand for.
func unescaped(c byte) string {
	switch c {
	case '0':
		return "\x00"
	case 'b':
		return "\b"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'Z':
		return "\x1a"
	case '%', '_':
		return `\` + string(c)
	}
	return string(c)
}
