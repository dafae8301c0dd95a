package mysql

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// unit is what a temporal value counts.
type unit uint8

const (
	unitText unit = iota // ISO 8601 text
	unitDays
	unitMillis
	unitMicros
	unitNanos
	unitZoned // µs, of a field that travels as text
)

// unitOf is what a field's values count.
func unitOf(f *cdc.Field) (unit, error) {
	switch f.Semantic {
	case cdc.Date, cdc.ConnectDate:
		return unitDays, nil
	case cdc.Time, cdc.ConnectTime, cdc.Timestamp, cdc.ConnectTimestamp:
		return unitMillis, nil
	case cdc.MicroTime, cdc.MicroTimestamp:
		return unitMicros, nil
	case cdc.NanoTime, cdc.NanoTimestamp:
		return unitNanos, nil
	case cdc.ZonedTimestamp:
		return unitZoned, nil
	case cdc.IsoDate, cdc.IsoTime, cdc.IsoTimestamp:
		return unitText, nil
	}
	return 0, fmt.Errorf("a temporal column cannot become %s", f.ConnectName())
}

// date is a day of the server's calendar; any part may be zero.
type date struct{ year, month, day int }

const secondsOfDay = 86400

// daysOf turns a date into days since 1970-01-01 (Howard Hinnant's algorithm).
func daysOf(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return int64(era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468)
}

// days are those since 1970-01-01. ok is false for a date with a part of zero;
// a day that its month does not have (ALLOW_INVALID_DATES) is an error.
func (s *step) days(d date) (days int64, ok bool, err error) {
	if d.year == 0 || d.month == 0 || d.day == 0 {
		return 0, false, nil
	}
	if d.month > 12 || d.day > 28 && d.day > cdc.DaysIn(d.year, d.month) {
		return 0, false, fmt.Errorf("%04d-%02d-%02d is no date", d.year, d.month, d.day)
	}
	return daysOf(s.year(d.year), d.month, d.day), true, nil
}

// year makes years of two digits those of 1970 to 2069, unless
// enable.time.adjuster is off.
func (s *step) year(y int) int {
	switch {
	case s.keepYears || y >= 100:
		return y
	case y < 70:
		return y + 2000
	}
	return y + 1900
}

// setDate stores a DATE.
func (s *step) setDate(r *cdc.Row, v *cdc.Value, d date) error {
	days, ok, err := s.days(d)
	switch {
	case err != nil:
		return err
	case !ok:
		*v = s.zero
	case s.unit == unitText:
		d.year = s.year(d.year)
		*v = cdc.String(r.Keep(append(appendDate(r.Tail(16), d), 'Z')))
	default:
		*v = cdc.Int(days)
	}
	return nil
}

// setDatetime stores a DATETIME; us is the time of the day in µs.
func (s *step) setDatetime(r *cdc.Row, v *cdc.Value, d date, us int64) error {
	days, ok, err := s.days(d)
	switch {
	case err != nil:
		return err
	case !ok:
		*v = s.zero
	case s.unit == unitText:
		d.year = s.year(d.year)
		b := append(appendDate(r.Tail(32), d), 'T')
		*v = cdc.String(r.Keep(appendTime(b, us)))
	default:
		*v = s.count(days*(secondsOfDay*1e6) + us)
	}
	return nil
}

// count expresses µs in the step's unit. Nanoseconds wrap before 1677 and after
// 2262, as they do in Debezium.
func (s *step) count(us int64) cdc.Value {
	switch s.unit {
	case unitMillis:
		return cdc.Int(floorMillis(us))
	case unitNanos:
		return cdc.Int(us * 1000)
	case unitZoned:
		return cdc.Micros(us)
	}
	return cdc.Int(us)
}

func floorMillis(us int64) int64 {
	ms := us / 1000
	if us%1000 < 0 {
		ms--
	}
	return ms
}

// setTime stores a TIME of so many µs, which may be negative and more than a
// day. As text such times keep their sign and all their hours; as Connect's
// Time they are ms beyond its range, beyond 596 h beyond an int32's too.
func (s *step) setTime(r *cdc.Row, v *cdc.Value, us int64) {
	if s.unit == unitText {
		*v = cdc.String(r.Keep(appendTime(r.Tail(24), us)))
		return
	}
	*v = s.count(us)
}

// setTimestamp stores a TIMESTAMP; second 0 is the server's zero date.
func (s *step) setTimestamp(r *cdc.Row, v *cdc.Value, seconds, us int64) {
	switch {
	case seconds == 0 && us == 0:
		*v = s.zero
	default:
		*v = s.count(seconds*1e6 + us)
	}
}

// appendDate appends 2006-01-02.
func appendDate(dst []byte, d date) []byte {
	dst = append(appendDigits(dst, uint64(d.year), 4), '-')
	dst = append(appendDigits(dst, uint64(d.month), 2), '-')
	return appendDigits(dst, uint64(d.day), 2)
}

// appendTime appends 15:04:05[.999999]Z, without trailing zeros of the fraction.
func appendTime(dst []byte, us int64) []byte {
	if us < 0 {
		dst, us = append(dst, '-'), -us
	}
	seconds, us := us/1e6, us%1e6
	if hours := seconds / 3600; hours < 100 {
		dst = appendDigits(dst, uint64(hours), 2)
	} else {
		dst = strconv.AppendInt(dst, hours, 10)
	}
	dst = appendDigits(append(dst, ':'), uint64(seconds/60%60), 2)
	dst = appendDigits(append(dst, ':'), uint64(seconds%60), 2)
	if us > 0 {
		dst = appendDigits(append(dst, '.'), uint64(us), 6)
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	return append(dst, 'Z')
}

// fraction reads a fraction of a second in µs, stored in n big-endian bytes.
func fraction(d []byte, n int) int64 {
	switch n {
	case 1:
		return int64(d[0]) * 10_000
	case 2:
		return int64(binary.BigEndian.Uint16(d)) * 100
	case 3:
		return int64(bigEndian(d[:3]))
	}
	return 0
}

// date3 reads DATE: 15 bits of year, 4 of month, 5 of day.
func date3(d []byte) date {
	u := uint24(d)
	return date{int(u >> 9), int(u >> 5 & 15), int(u & 31)}
}

// datetime5 reads DATETIME since MySQL 5.6: 17 bits of year and month, 5 of
// day, 17 of time, biased, then n bytes of fraction.
func datetime5(d []byte, n int) (date, int64) {
	u := bigEndian(d[:5]) - 1<<39
	month := int(u >> 22 & 0x1ffff)
	day := date{month / 13, month % 13, int(u >> 17 & 31)}
	seconds := int64(u>>12&31)*3600 + int64(u>>6&63)*60 + int64(u&63)
	return day, seconds*1e6 + fraction(d[5:], n)
}

// time3 reads TIME since MySQL 5.6 in µs: sign and fields biased together with
// the n bytes of fraction, so that it sorts as bytes.
func time3(d []byte, n int) int64 {
	u := int64(bigEndian(d[:3+n])) - 0x800000<<(8*n)
	sign := int64(1)
	if u < 0 {
		sign, u = -1, -u
	}
	us := u & (1<<(8*n) - 1)
	switch n {
	case 1:
		us *= 10_000
	case 2:
		us *= 100
	}
	hms := u >> (8 * n)
	return sign * (((hms>>12&0x3ff)*3600+(hms>>6&63)*60+hms&63)*1e6 + us)
}

// datetimeDecimal reads DATETIME of before MySQL 5.6: YYYYMMDDhhmmss.
func datetimeDecimal(d []byte) (date, int64) {
	u := int64(binary.LittleEndian.Uint64(d))
	day, clock := u/1e6, u%1e6
	return date{int(day / 1e4), int(day / 100 % 100), int(day % 100)}, clockDecimal(clock) * 1e6
}

// timeDecimal reads TIME of before MySQL 5.6 in µs: hhmmss, signed.
func timeDecimal(d []byte) int64 {
	clock := int64(int32(uint24(d)<<8) >> 8)
	if clock < 0 {
		return -clockDecimal(-clock) * 1e6
	}
	return clockDecimal(clock) * 1e6
}

// clockDecimal makes seconds of hhmmss.
func clockDecimal(c int64) int64 { return c/1e4*3600 + c/100%100*60 + c%100 }

// The sizes of MariaDB's temporal types with a fraction of n digits, from the
// time before it had MySQL's (mysql56_temporal_format=OFF).
var (
	hiresTimestampBytes = [...]int{4, 5, 5, 6, 6, 7, 7}
	hiresDatetimeBytes  = [...]int{5, 6, 6, 7, 7, 7, 8}
	hiresTimeBytes      = [...]int{3, 4, 4, 5, 5, 5, 6}
)

// hiresDatetime reads a big-endian number of packed fields.
func hiresDatetime(d []byte, digits int) (date, int64) {
	u := int64(bigEndian(d))
	scale := int64(tens[digits])
	us := u % scale * int64(tens[6-digits])
	u /= scale
	second := u % 60
	minute := u / 60 % 60
	hour := u / 3600 % 24
	day := u / secondsOfDay
	return date{int(day / 32 / 13), int(day / 32 % 13), int(day % 32)}, (hour*3600+minute*60+second)*1e6 + us
}

// hiresTime reads a big-endian number of units of the fraction, biased by the
// largest TIME.
func hiresTime(d []byte, digits int) int64 {
	const largest = 838*3600 + 59*60 + 59
	scale := int64(tens[digits])
	u := int64(bigEndian(d)) - (largest+1)*scale
	return u * int64(tens[6-digits])
}
