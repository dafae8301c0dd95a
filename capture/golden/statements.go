package golden

import "strings"

// statements splits a script as the mysql client does: at the delimiter, which
// the command DELIMITER sets, outside of quotes and comments.
func statements(script string) []string {
	s := splitter{delimiter: ";", rest: script}
	for s.next() {
	}
	return s.out
}

// splitter is how far a script is split.
type splitter struct {
	delimiter, rest string
	statement       strings.Builder
	out             []string
}

// next takes what comes next: a command, a comment, a quoted text, a delimiter,
// or one character.
func (s *splitter) next() bool {
	if s.rest == "" {
		s.end()
		return false
	}
	switch {
	case s.blank() && s.command():
	case strings.HasPrefix(s.rest, s.delimiter):
		s.rest = s.rest[len(s.delimiter):]
		s.end()
	case strings.ContainsRune("'\"`", rune(s.rest[0])):
		s.take(quoted(s.rest))
	case strings.HasPrefix(s.rest, "/*"):
		s.take(until(s.rest, "*/"))
	case s.rest[0] == '#', strings.HasPrefix(s.rest, "-- "), strings.HasPrefix(s.rest, "--\n"):
		s.take(until(s.rest, "\n"))
	default:
		s.take(1)
	}
	return true
}

// blank reports whether the statement has not begun yet.
func (s *splitter) blank() bool { return strings.TrimSpace(s.statement.String()) == "" }

// command executes DELIMITER, which takes the rest of its line.
func (s *splitter) command() bool {
	const name = "DELIMITER "
	if len(s.rest) < len(name) || !strings.EqualFold(s.rest[:len(name)], name) {
		return false
	}
	line := s.rest[:until(s.rest, "\n")]
	s.rest = s.rest[len(line):]
	s.delimiter = strings.TrimSpace(line[len(name):])
	s.statement.Reset()
	return true
}

func (s *splitter) take(n int) {
	s.statement.WriteString(s.rest[:n])
	s.rest = s.rest[n:]
}

// end ends the statement; comments alone are none.
func (s *splitter) end() {
	text := strings.TrimSpace(s.statement.String())
	s.statement.Reset()
	if withoutComments(text) != "" {
		s.out = append(s.out, text)
	}
}

// withoutComments is what a text has in front of and behind the comments that
// it begins with; a versioned comment is a statement.
func withoutComments(text string) string {
	for {
		switch {
		case strings.HasPrefix(text, "/*") && !strings.HasPrefix(text, "/*!") && !strings.HasPrefix(text, "/*M!"):
			text = strings.TrimSpace(text[until(text, "*/"):])
		case strings.HasPrefix(text, "#"), strings.HasPrefix(text, "-- "):
			text = strings.TrimSpace(text[until(text, "\n"):])
		default:
			return text
		}
	}
}

// until is the length of a text up to and including end, or of all of it.
func until(text, end string) int {
	if at := strings.Index(text, end); at >= 0 {
		return at + len(end)
	}
	return len(text)
}

// quoted is the length of a quoted text. A quote that is doubled begins another
// one right away, which is as well.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && text[0] != '`':
			i++
		case text[i] == text[0]:
			return i + 1
		}
	}
	return len(text)
}
