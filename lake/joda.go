package lake

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// jodaFormat is a compiled path.format: a pattern of Joda-Time's
// DateTimeFormat, which is what Confluent's partitioners take. Texts are
// English.
type jodaFormat struct {
	pieces []jodaPiece
}

// jodaPiece is a literal, or count times a pattern letter.
type jodaPiece struct {
	literal string
	letter  byte
	count   int
}

// parseJoda compiles pattern. The error says which letter it does not know.
func parseJoda(pattern string) (*jodaFormat, error) {
	f := &jodaFormat{}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, next, err := quoted(pattern, i)
			if err != nil {
				return nil, err
			}
			f.pieces = append(f.pieces, jodaPiece{literal: text})
			i = next
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			if !knownLetter(c) {
				return nil, fmt.Errorf("a pattern without the letter %q, which has no meaning: put literal text in single quotes", c)
			}
			f.pieces = append(f.pieces, jodaPiece{letter: c, count: n})
			i += n
		default:
			f.pieces = append(f.pieces, jodaPiece{literal: string(c)})
			i++
		}
	}
	return f, nil
}

// quoted reads the literal that begins at the quote at i; ” is a quote itself,
// inside of one and outside.
func quoted(pattern string, i int) (text string, next int, err error) {
	if i+1 < len(pattern) && pattern[i+1] == '\'' {
		return "'", i + 2, nil
	}
	var out []byte
	for i++; i < len(pattern); i++ {
		if pattern[i] != '\'' {
			out = append(out, pattern[i])
			continue
		}
		if i+1 == len(pattern) || pattern[i+1] != '\'' {
			return string(out), i + 1, nil
		}
		out = append(out, '\'')
		i++
	}
	return "", 0, errors.New("a pattern whose single quotes are closed")
}

func knownLetter(c byte) bool {
	switch c {
	case 'G', 'C', 'Y', 'y', 'x', 'w', 'e', 'E', 'D', 'M', 'd', 'a', 'K', 'h', 'H', 'k', 'm', 's', 'S', 'z', 'Z':
		return true
	}
	return false
}

// localized reports whether the pattern writes words of a language.
func (f *jodaFormat) localized() bool {
	for _, p := range f.pieces {
		switch {
		case p.letter == 'E', p.letter == 'a', p.letter == 'G', p.letter == 'M' && p.count > 2:
			return true
		}
	}
	return false
}

// append writes t, in t's zone.
func (f *jodaFormat) append(dst []byte, t time.Time) []byte {
	for _, p := range f.pieces {
		if p.letter == 0 {
			dst = append(dst, p.literal...)
			continue
		}
		dst = p.append(dst, t)
	}
	return dst
}

func (p jodaPiece) append(dst []byte, t time.Time) []byte {
	year, week := t.ISOWeek()
	switch p.letter {
	case 'Y':
		return appendYear(dst, yearOfEra(t), p.count)
	case 'y':
		return appendYear(dst, t.Year(), p.count)
	case 'x':
		return appendYear(dst, year, p.count)
	case 'C':
		return appendPadded(dst, yearOfEra(t)/100, p.count)
	case 'w':
		return appendPadded(dst, week, p.count)
	case 'e':
		return appendPadded(dst, (int(t.Weekday())+6)%7+1, p.count)
	case 'D':
		return appendPadded(dst, t.YearDay(), p.count)
	case 'd':
		return appendPadded(dst, t.Day(), p.count)
	case 'M':
		return p.appendMonth(dst, t)
	}
	return p.appendTime(dst, t)
}

func (p jodaPiece) appendMonth(dst []byte, t time.Time) []byte {
	switch {
	case p.count <= 2:
		return appendPadded(dst, int(t.Month()), p.count)
	case p.count == 3:
		return append(dst, t.Month().String()[:3]...)
	}
	return append(dst, t.Month().String()...)
}

func (p jodaPiece) appendTime(dst []byte, t time.Time) []byte {
	switch p.letter {
	case 'H':
		return appendPadded(dst, t.Hour(), p.count)
	case 'k':
		return appendPadded(dst, (t.Hour()+23)%24+1, p.count)
	case 'K':
		return appendPadded(dst, t.Hour()%12, p.count)
	case 'h':
		return appendPadded(dst, (t.Hour()+11)%12+1, p.count)
	case 'm':
		return appendPadded(dst, t.Minute(), p.count)
	case 's':
		return appendPadded(dst, t.Second(), p.count)
	case 'S':
		digits := fmt.Sprintf("%09d", t.Nanosecond())
		for range p.count - len(digits) {
			digits += "0"
		}
		return append(dst, digits[:p.count]...)
	}
	return p.appendText(dst, t)
}

func (p jodaPiece) appendText(dst []byte, t time.Time) []byte {
	switch p.letter {
	case 'E':
		if p.count <= 3 {
			return append(dst, t.Weekday().String()[:3]...)
		}
		return append(dst, t.Weekday().String()...)
	case 'a':
		return t.AppendFormat(dst, "PM")
	case 'G':
		if t.Year() <= 0 {
			return append(dst, "BC"...)
		}
		return append(dst, "AD"...)
	case 'z':
		return t.AppendFormat(dst, "MST")
	}
	switch p.count { // Z
	case 1:
		return t.AppendFormat(dst, "-0700")
	case 2:
		return t.AppendFormat(dst, "-07:00")
	}
	return append(dst, t.Location().String()...)
}

// yearOfEra counts 1 BC as 1 and 2 BC as 2.
func yearOfEra(t time.Time) int {
	if y := t.Year(); y > 0 {
		return y
	}
	return 1 - t.Year()
}

// appendYear writes two digits where the pattern has exactly two letters.
func appendYear(dst []byte, year, count int) []byte {
	if count == 2 {
		return appendPadded(dst, ((year%100)+100)%100, 2)
	}
	return appendPadded(dst, year, count)
}

func appendPadded(dst []byte, n, width int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	text := strconv.Itoa(n)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
