package javadate

import (
	"fmt"
	"strings"
	"time"
)

// moment is what has been read so far.
type moment struct {
	year, month, day, hour, minute, second, milli int
	yearDay                                       int // 0: month and day count
	half                                          int // 0 none, 1 AM, 2 PM
	before                                        bool
	offset                                        time.Duration
}

// Read is the inverse of Append, as lenient as Java: numbers may have fewer or
// more digits than letters and go over into the next unit, names are of any
// case, and what follows the pattern is left alone. now places years of two
// digits, from 80 years before it to 20 years after it. Unlike in Java, digits
// of a fraction of a second beyond the third are cut off, not taken for further
// milliseconds, and letters of weeks (Y, w, W, F, u) cannot be read.
func (f *Format) Read(text string, now time.Time) (millis int64, err error) {
	m := moment{year: 1970, month: 1, day: 1}
	rest := text
	for i := range f.pieces {
		p := &f.pieces[i]
		var ok bool
		if p.letter == 0 {
			rest, ok = strings.CutPrefix(rest, p.literal)
		} else {
			rest, ok = m.read(p, strings.TrimLeft(rest, " \t"), f.abuts(i), now)
		}
		if !ok {
			return 0, fmt.Errorf("reading time %q: it does not match pattern %s", text, f.pattern)
		}
	}
	return m.millis(), nil
}

// abuts reports whether a number follows the i-th piece without anything
// between, so that it has as many digits as letters.
func (f *Format) abuts(i int) bool {
	if i+1 == len(f.pieces) {
		return false
	}
	next := f.pieces[i+1]
	return next.letter != 0 && strings.IndexByte("GEazZX", next.letter) < 0 && (next.letter != 'M' && next.letter != 'L' || next.count < 3)
}

// read takes the field of p off s.
func (m *moment) read(p *piece, s string, abuts bool, now time.Time) (rest string, ok bool) {
	var n int
	switch p.letter {
	case 'G':
		n, rest, ok = name(s, "BC", "AD")
		m.before = n == 1
		return rest, ok
	case 'E':
		_, rest, ok = weekday(s)
		return rest, ok
	case 'a':
		m.half, rest, ok = name(s, "AM", "PM")
		return rest, ok
	case 'z', 'Z', 'X':
		m.offset, rest, ok = zone(s, p.letter)
		return rest, ok
	case 'Y', 'w', 'W', 'F', 'u':
		return s, false
	case 'M', 'L':
		if p.count >= 3 {
			m.month, rest, ok = month(s)
			return rest, ok
		}
	}
	most := len(s)
	if abuts {
		most = p.count
	}
	n, rest, ok = number(s, most)
	if ok {
		m.set(p, n, s[:len(s)-len(rest)], now)
	}
	return rest, ok
}

// set sets the field of p, whose digits are given, too.
func (m *moment) set(p *piece, n int, digits string, now time.Time) {
	switch p.letter {
	case 'y':
		m.year = n
		if p.count <= 2 && len(digits) == 2 && digits[0] != '-' {
			m.year = century(n, now)
		}
	case 'M', 'L':
		m.month = n
	case 'd':
		m.day, m.yearDay = n, 0
	case 'D':
		m.yearDay = n
	case 'H', 'K':
		m.hour = n
	case 'k':
		m.hour = n % 24
	case 'h':
		m.hour = n % 12
	case 'm':
		m.minute = n
	case 's':
		m.second = n
	case 'S':
		for ; len(digits) > 3; digits = digits[:len(digits)-1] {
			n /= 10
		}
		m.milli = n
	}
}

// century places a year of two digits.
func century(n int, now time.Time) int {
	start := now.UTC().Year() - 80
	year := start - start%100 + n
	if year < start {
		year += 100
	}
	return year
}

func (m *moment) millis() int64 {
	year, month, day := m.year, m.month, m.day
	if m.before {
		year = 1 - year
	}
	if m.yearDay != 0 {
		month, day = 1, m.yearDay
	}
	hour := m.hour
	if m.half == 2 {
		hour += 12
	}
	t := time.Date(year, time.Month(month), day, hour, m.minute, m.second, 0, time.UTC)
	return t.Add(-m.offset).UnixMilli() + int64(m.milli)
}

// number takes an integer of at most so many characters.
func number(s string, most int) (n int, rest string, ok bool) {
	i, negative := 0, strings.HasPrefix(s, "-")
	if negative {
		i = 1
	}
	from := i
	for ; i < len(s) && i < most && s[i]-'0' <= 9; i++ {
		if n < 1e9 {
			n = n*10 + int(s[i]-'0')
		}
	}
	if negative {
		n = -n
	}
	return n, s[i:], i > from
}

// name takes one of names, in any case, and says which, from 1.
func name(s string, names ...string) (at int, rest string, ok bool) {
	for i, n := range names {
		if len(s) >= len(n) && strings.EqualFold(s[:len(n)], n) {
			return i + 1, s[len(n):], true
		}
	}
	return 0, s, false
}

func month(s string) (at int, rest string, ok bool) {
	for m := time.January; m <= time.December; m++ {
		if _, rest, ok = name(s, m.String(), m.String()[:3]); ok {
			return int(m), rest, true
		}
	}
	return 0, s, false
}

func weekday(s string) (at int, rest string, ok bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if _, rest, ok = name(s, d.String(), d.String()[:3]); ok {
			return int(d), rest, true
		}
	}
	return 0, s, false
}

// zone takes a time zone: Z in ISO 8601, names of UTC, or an offset.
func zone(s string, letter byte) (offset time.Duration, rest string, ok bool) {
	if letter == 'X' && strings.HasPrefix(s, "Z") {
		return 0, s[1:], true
	}
	if _, after, named := name(s, "Coordinated Universal Time", "UTC", "GMT"); named && letter != 'X' {
		if after == "" || after[0] != '+' && after[0] != '-' {
			return 0, after, true
		}
		s = after
	}
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0, s, false
	}
	hours, rest, ok := number(s[1:], 2)
	if !ok {
		return 0, s, false
	}
	minutes, after, ok := number(strings.TrimPrefix(rest, ":"), 2)
	if ok {
		rest = after
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, rest, true
}
