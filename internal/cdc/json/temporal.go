package json

import (
	"github.com/weir-cdc/weir/internal/cdc"
)

const digits2 = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" + "40414243444546474849" +
	"50515253545556575859" + "60616263646566676869" + "70717273747576777879" + "80818283848586878889" + "90919293949596979899"

const (
	microsPerSecond = 1_000_000
	secondsPerDay   = 86400
)

// AppendZoned appends µs since the epoch as Debezium's ZonedTimestamp,
// 2006-01-02T15:04:05[.ffffff]Z, with exactly digits (0 to 6) digits of fraction.
func AppendZoned(dst []byte, micros int64, digits int) []byte {
	seconds, fraction := floorDiv(micros, microsPerSecond)
	return append(appendLocal(dst, seconds, fraction*1000, digits), 'Z')
}

// appendLocal appends a date and time without a zone.
func appendLocal(dst []byte, seconds, nanos int64, digits int) []byte {
	days, second := floorDiv(seconds, secondsPerDay)
	dst = append(appendDate(dst, days), 'T')
	dst = append(append2(dst, second/3600), ':')
	dst = append(append2(dst, second/60%60), ':')
	return appendFraction(append2(dst, second%60), nanos, digits)
}

// appendDate appends days since the epoch as ISO 8601 does: years outside of 0
// to 9999 have a sign.
func appendDate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	switch {
	case year > 9999:
		dst = appendInt(append(dst, '+'), year)
	case year < 0:
		dst = append(dst, '-')
		year = -year
		fallthrough
	default:
		if year > 9999 {
			dst = appendInt(dst, year)
		} else {
			dst = append2(append2(dst, year/100), year%100)
		}
	}
	dst = append2(append(dst, '-'), month)
	return append2(append(dst, '-'), day)
}

// appendDuration appends a time of day, which MySQL lets run from -838:59:59 to
// 838:59:59.
func appendDuration(dst []byte, seconds, nanos int64, digits int) []byte {
	if seconds < 0 || nanos < 0 {
		dst = append(dst, '-')
		seconds, nanos = -seconds, -nanos
	}
	if hours := seconds / 3600; hours >= 100 {
		dst = appendInt(dst, hours)
	} else {
		dst = append2(dst, hours)
	}
	dst = append2(append(dst, ':'), seconds/60%60)
	return appendFraction(append2(append(dst, ':'), seconds%60), nanos, digits)
}

func append2(dst []byte, n int64) []byte { return append(dst, digits2[2*n], digits2[2*n+1]) }

func appendFraction(dst []byte, nanos int64, digits int) []byte {
	if digits == 0 {
		return dst
	}
	dst = append(dst, '.')
	at := len(dst)
	dst = append2(dst, nanos/10_000_000)
	dst = append2(dst, nanos/100_000%100)
	dst = append2(dst, nanos/1000%100)
	dst = append2(dst, nanos/10%100)
	return append(dst, byte('0'+nanos%10))[:at+min(digits, 9)]
}

// appendISO appends the number n of a temporal field as ISO 8601, always with
// as many digits of fraction as the semantic type has, and reports false if the
// field is not temporal.
func appendISO(dst []byte, s cdc.Semantic, n int64) ([]byte, bool) {
	switch s {
	case cdc.Date, cdc.ConnectDate:
		return appendDate(dst, n), true
	case cdc.Time, cdc.ConnectTime:
		return appendDuration(dst, n/1e3, n%1e3*1e6, 3), true
	case cdc.MicroTime:
		return appendDuration(dst, n/1e6, n%1e6*1e3, 6), true
	case cdc.NanoTime:
		return appendDuration(dst, n/1e9, n%1e9, 9), true
	case cdc.Timestamp, cdc.ConnectTimestamp:
		seconds, rest := floorDiv(n, 1e3)
		return appendLocal(dst, seconds, rest*1e6, 3), true
	case cdc.MicroTimestamp:
		seconds, rest := floorDiv(n, 1e6)
		return appendLocal(dst, seconds, rest*1e3, 6), true
	case cdc.NanoTimestamp:
		seconds, rest := floorDiv(n, 1e9)
		return appendLocal(dst, seconds, rest, 9), true
	}
	return dst, false
}

// ParseZoned reads a ZonedTimestamp, 2006-01-02T15:04:05[.fffffffff] followed by
// Z or an offset (+02:00), as µs since the epoch; what is finer is cut off.
func ParseZoned(s []byte) (micros int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year, ok1 := number(s[0:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	hour, ok4 := number(s[11:13])
	minute, ok5 := number(s[14:16])
	second, ok6 := number(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	days := daysOf(year, month, day)
	if _, m, d := civil(days); m != month || d != day {
		return 0, false
	}
	fraction, s, ok := parseFraction(s[19:])
	if !ok {
		return 0, false
	}
	offset, ok := parseOffset(s)
	return (days*secondsPerDay+hour*3600+minute*60+second-offset)*microsPerSecond + fraction, ok
}

// parseFraction reads .ffffff, if it is there, as µs.
func parseFraction(s []byte) (micros int64, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	n, unit := 1, int64(100_000)
	for ; n < len(s) && s[n]-'0' <= 9; n++ {
		micros += int64(s[n]-'0') * unit
		unit /= 10
	}
	return micros, s[n:], n > 1
}

// parseOffset reads Z or ±hh:mm as seconds.
func parseOffset(s []byte) (seconds int64, ok bool) {
	if len(s) == 1 && s[0] == 'Z' {
		return 0, true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hour, ok1 := number(s[1:3])
	minute, ok2 := number(s[4:6])
	if seconds = hour*3600 + minute*60; s[0] == '-' {
		seconds = -seconds
	}
	return seconds, ok1 && ok2
}

// number reads a few digits.
func number(s []byte) (n int64, ok bool) {
	for _, c := range s {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return
}

// civil turns days since 1970-01-01 into a proleptic Gregorian date
// (Howard Hinnant, chrono-compatible low-level date algorithms).
func civil(days int64) (y, m, d int64) {
	days += 719468
	era, doe := floorDiv(days, 146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	if m = mp + 3; m > 12 {
		m -= 12
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return
}

// daysOf is the inverse of civil.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era, yoe := floorDiv(y, 400)
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}
