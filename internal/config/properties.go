package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pair is one property of a .properties file and the line it begins on.
type pair struct {
	name, text string
	line       int
}

// parseProperties reads a .properties file by the rules of java.util.Properties:
// # and ! comments; =, : or a blank between name and text; lines continued by a
// backslash; escapes \t \n \r \f \uXXXX, and a backslash before any other
// character is dropped. A file that is not UTF-8 is ISO 8859-1, as Java long
// took every such file for.
func parseProperties(data []byte) ([]pair, error) {
	var pairs []pair
	lines := strings.Split(newlines(asUTF8(data)), "\n")
	for i := 0; i < len(lines); i++ {
		line, first := blankless(lines[i]), i+1
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) {
			line = line[:len(line)-1]
			if i+1 < len(lines) {
				i++
				line += blankless(lines[i])
			}
		}
		p, err := parsePair(line)
		if err != nil {
			return nil, &syntaxError{line: first, err: fmt.Errorf("reading properties: %w", err)}
		}
		p.line = first
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func asUTF8(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}

func newlines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

func blankless(line string) string { return strings.TrimLeft(line, " \t\f") }

// continued reports whether line ends in a backslash that is not escaped.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// parsePair splits a whole line at the first separator that is not escaped.
func parsePair(line string) (pair, error) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	text := blankless(line[end:])
	if text != "" && (text[0] == '=' || text[0] == ':') {
		text = blankless(text[1:])
	}
	name, err := unescape(line[:end])
	if err != nil {
		return pair{}, err
	}
	text, err = unescape(text)
	return pair{name: name, text: text}, err
}

// unescape replaces the escapes of a .properties file.
func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if text[i] != 'u' {
			b.WriteByte(escaped(text[i]))
			continue
		}
		units, length, err := codeUnits(text[i-1:])
		if err != nil {
			return "", err
		}
		b.WriteString(string(utf16.Decode(units)))
		i += length - 2
	}
	return b.String(), nil
}

// codeUnits reads the run of \uXXXX that text begins with, together, since a
// pair of them may be one character; length is the run's in text.
func codeUnits(text string) (units []uint16, length int, err error) {
	for strings.HasPrefix(text[length:], `\u`) {
		digits := text[length+2:]
		if len(digits) < 4 {
			return nil, 0, fmt.Errorf(`malformed \u%s; want four hexadecimal digits`, digits)
		}
		unit, err := strconv.ParseUint(digits[:4], 16, 16)
		if err != nil {
			return nil, 0, fmt.Errorf(`malformed \u%s; want four hexadecimal digits`, digits[:4])
		}
		units = append(units, uint16(unit))
		length += 6
	}
	return units, length, nil
}

func escaped(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}
