package lake

import (
	"math"

	"github.com/weir-cdc/weir/internal/cdc"
)

const (
	microsPerSecond = int64(1_000_000)
	secondsPerDay   = int64(86_400)
)

// dayIn is the length of a day in each unit of a time of day.
var dayIn = [...]int64{millis: secondsPerDay * 1e3, micros: secondsPerDay * 1e6, nanos: secondsPerDay * 1e9}

// parseInstant reads ISO 8601 with an offset, 2006-01-02T15:04:05[.f…](Z|±hh:mm),
// as µs since the epoch. It refuses a fraction finer than that.
func parseInstant(b []byte) (int64, bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	year, month, day := twoDigits(b[0:])*100+twoDigits(b[2:]), twoDigits(b[5:]), twoDigits(b[8:])
	hour, minute, second := twoDigits(b[11:]), twoDigits(b[14:]), twoDigits(b[17:])
	if year|month|day|hour|minute|second < 0 || month < 1 || month > 12 || day < 1 || day > int64(cdc.DaysIn(int(year), int(month))) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	fraction, rest, ok := parseFraction(b[19:])
	if !ok {
		return 0, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return 0, false
	}
	seconds := daysOf(year, month, day)*secondsPerDay + hour*3600 + minute*60 + second - offset
	return seconds*microsPerSecond + fraction, true
}

// twoDigits reads two digits; it is negative when they are none, and stays so
// when others are or-ed or added to it.
func twoDigits(b []byte) int64 {
	hi, lo := b[0]-'0', b[1]-'0'
	if hi > 9 || lo > 9 {
		return math.MinInt32
	}
	return int64(hi)*10 + int64(lo)
}

// parseFraction reads what may follow the seconds, in µs, and returns the rest.
func parseFraction(b []byte) (us int64, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, true
	}
	i, unit := 1, int64(100_000)
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if unit == 0 && b[i] != '0' {
			return 0, nil, false
		}
		us += int64(b[i]-'0') * unit
		unit /= 10
	}
	return us, b[i:], i > 1
}

// parseOffset reads Z or ±hh:mm as seconds east of Greenwich.
func parseOffset(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) != 6 || b[3] != ':' || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	hour, minute := twoDigits(b[1:]), twoDigits(b[4:])
	if hour < 0 || minute < 0 || hour > 18 || minute > 59 {
		return 0, false
	}
	if b[0] == '-' {
		return -(hour*3600 + minute*60), true
	}
	return hour*3600 + minute*60, true
}

// daysOf is the number of days from 1970-01-01 to a date of the proleptic
// Gregorian calendar.
func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + (153*(month-3)+2)/5 + day - 1 - 719468
}
