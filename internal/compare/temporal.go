package compare

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// The forms of temporal values that all sides have in common.
const (
	dateForm  = "2006-01-02"
	clockForm = "2006-01-02T15:04:05.000000"
)

// temporal reads DATE, DATETIME, TIMESTAMP and TIME. A DATE without month or
// day, and a zero DATETIME or TIMESTAMP, is NULL in an event, or the epoch where
// the column cannot be NULL.
func (c *Column) temporal(dst []byte, v cell) (value, error) {
	switch {
	case v.kind == cellText && c.kind != kindTime:
		return c.temporalText(dst, v.text)
	case v.kind == cellText:
		out, err := appendDuration(dst, v.text)
		return value{text: out}, err
	case v.kind == cellNumber:
		n, err := strconv.ParseInt(string(v.text), 10, 64)
		if err != nil || c.kind == kindTimestamp {
			return value{}, c.unexpected(v)
		}
		return c.temporalNumber(dst, n), nil
	case v.kind == cellMicros && c.kind != kindDate, v.kind == cellDays && c.kind == kindDate:
		return c.point(dst, v.n), nil
	}
	return value{}, c.unexpected(v)
}

// temporalNumber reads what travels as a number: days, ms of a DATETIME of up
// to three digits, else µs.
func (c *Column) temporalNumber(dst []byte, n int64) value {
	if c.kind == kindDatetime && c.Digits <= 3 {
		n *= 1000
	}
	return c.point(dst, n)
}

// point is a day, a point in time in µs, or a time of day in µs.
func (c *Column) point(dst []byte, n int64) value {
	switch c.kind {
	case kindDate:
		return value{text: time.Unix(n*86400, 0).UTC().AppendFormat(dst, dateForm)}
	case kindTime:
		return value{text: appendMicros(dst, n)}
	}
	return value{text: time.UnixMicro(n).UTC().AppendFormat(dst, clockForm)}
}

func (c *Column) temporalText(dst, text []byte) (value, error) {
	if isZeroDate(text) {
		if c.Nullable {
			return value{null: true}, nil
		}
		return c.point(dst, 0), nil
	}
	s := string(bytes.TrimSuffix(text, []byte("Z")))
	if c.kind == kindDate {
		t, err := time.Parse(dateForm, s)
		if err != nil {
			return value{}, fmt.Errorf("%q is no date", text)
		}
		return value{text: t.AppendFormat(dst, dateForm)}, nil
	}
	for _, form := range [...]string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			return value{text: t.UTC().AppendFormat(dst, clockForm)}, nil
		}
	}
	return value{}, fmt.Errorf("%q is no date with a time", text)
}

// isZeroDate reports whether a date has a year, month or day of zero.
func isZeroDate(text []byte) bool {
	return len(text) >= len(dateForm) && (string(text[:4]) == "0000" || string(text[5:7]) == "00" || string(text[8:10]) == "00")
}

// appendDuration appends a TIME, [-]hh:mm:ss[.f][Z], with six digits of fraction.
func appendDuration(dst, text []byte) ([]byte, error) {
	whole, fraction, _ := bytes.Cut(bytes.TrimSuffix(text, []byte("Z")), []byte("."))
	parts := bytes.Split(bytes.TrimPrefix(whole, []byte("-")), []byte(":"))
	var us int64
	for _, part := range parts {
		n, err := strconv.ParseUint(string(part), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no time", text)
		}
		us = us*60 + int64(n)
	}
	f, err := strconv.ParseUint(string(append(append([]byte{}, fraction...), "000000"...)[:6]), 10, 32)
	if err != nil || len(parts) != 3 || len(fraction) > 6 {
		return nil, fmt.Errorf("%q is no time", text)
	}
	us = us*1_000_000 + int64(f)
	if whole[0] == '-' {
		us = -us
	}
	return appendMicros(dst, us), nil
}

func appendMicros(dst []byte, us int64) []byte {
	if us < 0 {
		dst, us = append(dst, '-'), -us
	}
	s := us / 1_000_000
	return fmt.Appendf(dst, "%02d:%02d:%02d.%06d", s/3600, s/60%60, s%60, us%1_000_000)
}
