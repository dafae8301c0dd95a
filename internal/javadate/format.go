// Package javadate writes and reads points in time by the patterns of
// java.text.SimpleDateFormat, in UTC and with English texts, which is what Kafka
// Connect's transforms take.
package javadate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Format is a compiled pattern. It is immutable.
type Format struct {
	pattern string
	pieces  []piece
}

// piece is a literal, or count times a pattern letter.
type piece struct {
	literal string
	letter  byte
	count   int
}

// letters are those that have a meaning.
const letters = "GyYMLwWDdFEuaHkKhmsSzZX"

// Parse compiles a pattern of SimpleDateFormat. The error says what is wrong
// with it.
func Parse(pattern string) (*Format, error) {
	f := &Format{pattern: pattern}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, next, err := quoted(pattern, i)
			if err != nil {
				return nil, err
			}
			f.literal(text)
			i = next
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := len(pattern[i:]) - len(strings.TrimLeft(pattern[i:], string(c)))
			if strings.IndexByte(letters, c) < 0 || c == 'X' && n > 3 {
				return nil, fmt.Errorf("%q has no meaning in a date pattern: put literal text in single quotes", pattern[i:i+n])
			}
			f.pieces = append(f.pieces, piece{letter: c, count: n})
			i += n
		default:
			f.literal(string(c))
			i++
		}
	}
	return f, nil
}

// quoted reads the literal that begins with the quote at i. Two quotes are a
// quote itself, inside of a literal and outside.
func quoted(pattern string, i int) (text string, next int, err error) {
	if strings.HasPrefix(pattern[i:], "''") {
		return "'", i + 2, nil
	}
	var out []byte
	for i++; i < len(pattern); i++ {
		if pattern[i] != '\'' {
			out = append(out, pattern[i])
		} else if strings.HasPrefix(pattern[i:], "''") {
			out = append(out, '\'')
			i++
		} else {
			return string(out), i + 1, nil
		}
	}
	return "", 0, errors.New("a quote of the date pattern is not closed")
}

// literal adds text, to the literal before it if there is one.
func (f *Format) literal(text string) {
	if n := len(f.pieces); n > 0 && f.pieces[n-1].letter == 0 {
		f.pieces[n-1].literal += text
		return
	}
	f.pieces = append(f.pieces, piece{literal: text})
}

// String is the pattern.
func (f *Format) String() string { return f.pattern }

// Unit is for how many milliseconds, from a multiple of it on, the text stays
// the same.
func (f *Format) Unit() int64 {
	unit := 24 * time.Hour
	for _, p := range f.pieces {
		switch p.letter {
		case 'a', 'H', 'k', 'K', 'h':
			unit = min(unit, time.Hour)
		case 'm':
			unit = min(unit, time.Minute)
		case 's':
			unit = min(unit, time.Second)
		case 'S':
			unit = min(unit, time.Millisecond)
		}
	}
	return unit.Milliseconds()
}

// Append appends the text of a point in time, ms since the epoch.
func (f *Format) Append(dst []byte, millis int64) []byte {
	t := time.UnixMilli(millis).UTC()
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.letter == 0 {
			dst = append(dst, p.literal...)
			continue
		}
		dst = p.append(dst, t)
	}
	return dst
}

// append appends one field of t.
func (p *piece) append(dst []byte, t time.Time) []byte {
	switch p.letter {
	case 'G':
		if t.Year() < 1 {
			return append(dst, "BC"...)
		}
		return append(dst, "AD"...)
	case 'y':
		return p.year(dst, t.Year())
	case 'Y':
		year, _ := weekOf(t)
		return p.year(dst, year)
	case 'M', 'L':
		return p.month(dst, t.Month())
	case 'E':
		return p.text(dst, t.Weekday().String())
	case 'a':
		if t.Hour() < 12 {
			return append(dst, "AM"...)
		}
		return append(dst, "PM"...)
	case 'z':
		return p.zone(dst)
	case 'Z':
		return append(dst, "+0000"...)
	case 'X':
		return append(dst, 'Z')
	}
	return pad(dst, p.number(t), p.count)
}

// number is a field that is always written in digits.
func (p *piece) number(t time.Time) int {
	switch p.letter {
	case 'w':
		_, week := weekOf(t)
		return week
	case 'W':
		first := t.AddDate(0, 0, 1-t.Day())
		return (t.Day()+int(first.Weekday())-1)/7 + 1
	case 'D':
		return t.YearDay()
	case 'd':
		return t.Day()
	case 'F':
		return (t.Day()-1)/7 + 1
	case 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	}
	return t.Nanosecond() / int(time.Millisecond)
}

// weekOf is the week of the year as the United States count it, which is Java's
// default: weeks begin on Sunday, and the first has the first of January.
func weekOf(t time.Time) (year, week int) {
	sunday := t.AddDate(0, 0, -int(t.Weekday()))
	if next := sunday.AddDate(0, 0, 6).Year(); next > t.Year() {
		return next, 1
	}
	first := time.Date(t.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)
	return t.Year(), (t.YearDay()+int(first.Weekday())-1)/7 + 1
}

// year appends the year of the era; two letters are its last two digits.
func (p *piece) year(dst []byte, year int) []byte {
	if year < 1 {
		year = 1 - year
	}
	if p.count == 2 {
		return pad(dst, year%100, 2)
	}
	return pad(dst, year, p.count)
}

func (p *piece) month(dst []byte, month time.Month) []byte {
	if p.count < 3 {
		return pad(dst, int(month), p.count)
	}
	return p.text(dst, month.String())
}

// text appends a name, or up to three letters of it where the pattern has fewer
// than four.
func (p *piece) text(dst []byte, name string) []byte {
	if p.count < 4 {
		name = name[:3]
	}
	return append(dst, name...)
}

func (p *piece) zone(dst []byte) []byte {
	if p.count < 4 {
		return append(dst, "UTC"...)
	}
	return append(dst, "Coordinated Universal Time"...)
}

// pad appends n with at least as many digits.
func pad(dst []byte, n, digits int) []byte {
	for limit := 1; digits > 1; digits-- {
		if limit *= 10; n < limit {
			for range digits - 1 {
				dst = append(dst, '0')
			}
			break
		}
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
