package javadate

import (
	"testing"
	"time"
)

// at is a Tuesday afternoon.
var at = time.Date(2024, time.January, 2, 15, 4, 5, 678_000_000, time.UTC).UnixMilli()

// TestAppend has what java.text.SimpleDateFormat writes in Locale.US and UTC.
func TestAppend(t *testing.T) {
	before := time.Date(1969, time.December, 31, 23, 59, 59, 999_000_000, time.UTC).UnixMilli()
	ad, midnight := at, time.Date(2026, time.December, 31, 0, 0, 0, 0, time.UTC).UnixMilli()
	for _, c := range []struct {
		pattern string
		millis  int64
		want    string
	}{
		{"yyyy-MM-dd'T'HH:mm:ss.SSS", at, "2024-01-02T15:04:05.678"},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", at, "2024-01-02T15:04:05Z"},
		{"yyyy-MM-dd'T'HH:mm:ss.SSS", before, "1969-12-31T23:59:59.999"},
		{"yyyyMMdd", at, "20240102"}, {"yy/M/d", at, "24/1/2"}, {"y", at, "2024"}, {"yyyyy", at, "02024"},
		{"EEE, d MMM yyyy h:mm a z", at, "Tue, 2 Jan 2024 3:04 PM UTC"}, {"EEEE d MMMM", at, "Tuesday 2 January"}, {"LLL", at, "Jan"},
		{"S SS SSSSSS", at, "678 678 000678"}, {"D DDD F u", at, "2 002 1 2"}, {"G", ad, "AD"},
		{"w W Y", midnight, "1 5 2027"}, {"w W YYYY", at, "1 1 2024"}, {"k K h H", midnight, "24 0 12 0"}, {"a", midnight, "AM"},
		{"Z X XX", at, "+0000 Z Z"}, {"zzzz", at, "Coordinated Universal Time"}, {"'o''clock' ''", at, "o'clock '"}, {"", at, ""},
	} {
		f, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append(nil, c.millis)); got != c.want {
			t.Errorf("%s: %q, want %q", c.pattern, got, c.want)
		}
		if f.String() != c.pattern {
			t.Error(f)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, pattern := range []string{"b", "yyyy-T", "'open", "XXXX", "n"} {
		if _, err := Parse(pattern); err == nil {
			t.Errorf("%q is no pattern", pattern)
		}
	}
}

func TestRead(t *testing.T) {
	now := time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ pattern, text, want string }{
		{"yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-01-02T15:04:05.678", "2024-01-02T15:04:05.678Z"},
		{"yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-01-02T15:04:05.678901Z", "2024-01-02T15:04:05.678Z"},
		{"yyyy-MM-dd", "2024-01-02 and more", "2024-01-02T00:00:00.000Z"},
		{"yyyyMMddHHmmss", "20240102150405", "2024-01-02T15:04:05.000Z"},
		{"yyyy-M-d", "2024-13-32", "2025-02-01T00:00:00.000Z"}, // lenient
		{"yy-MM-dd", "24-01-02", "2024-01-02T00:00:00.000Z"}, {"yy-MM-dd", "60-01-02", "1960-01-02T00:00:00.000Z"}, {"yyyy", "24", "0024-01-01T00:00:00.000Z"},
		{"EEE, d MMM yyyy h:mm a z", "tue, 2 JANUARY 2024 3:04 pm UTC", "2024-01-02T15:04:00.000Z"},
		{"yyyy-MM-dd HH:mm:ss Z", "2024-01-02 15:04:05 +0200", "2024-01-02T13:04:05.000Z"},
		{"yyyy-MM-dd HH:mm:ssXX", "2024-01-02 15:04:05-02:30", "2024-01-02T17:34:05.000Z"}, {"HHX", "15Z", "1970-01-01T15:00:00.000Z"},
		{"HH z", "15 GMT+1:00", "1970-01-01T14:00:00.000Z"}, {"yyyy D", "2024 60", "2024-02-29T00:00:00.000Z"},
		{"h a", "12 AM", "1970-01-01T00:00:00.000Z"}, {"k", "24", "1970-01-01T00:00:00.000Z"}, {"yyyy G", "1 BC", "0000-01-01T00:00:00.000Z"},
		{"ss.S", "5.6", "1970-01-01T00:00:05.006Z"},
		{"yyyy-MM-dd", "02.01.2024", ""}, {"yyyy-MM-dd", "", ""}, {"MMM", "Foo", ""}, {"E", "x", ""}, {"X", "UTC", ""}, {"Z", "x", ""}, {"Z", "+x", ""}, {"YYYY", "2024", ""}, {"a", "x", ""},
	} {
		f, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		millis, err := f.Read(c.text, now)
		got := time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
		if err != nil {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s of %q: %q (%v), want %q", c.pattern, c.text, got, err, c.want)
		}
	}
}

// TestUnit: within a unit the text is the same.
func TestUnit(t *testing.T) {
	for pattern, want := range map[string]time.Duration{"yyyyMMdd": 24 * time.Hour, "HH": time.Hour, "HH:mm": time.Minute, "ss": time.Second, "ss.SSS": time.Millisecond, "a": time.Hour} {
		f, err := Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Unit(); got != want.Milliseconds() {
			t.Errorf("%s: %d", pattern, got)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	f, err := Parse("yyyy-MM-dd'T'HH:mm:ss.SSS")
	if err != nil {
		b.Fatal(err)
	}
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = f.Append(text[:0], at)
	}
}

// FuzzFormat: no pattern and no text breaks anything, and what is written is
// read back where the pattern has all of a point in time.
func FuzzFormat(f *testing.F) {
	for _, pattern := range []string{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "EEE, d MMM yyyy hh:mm a z", "GG yy DDD k''K Z", "'a", "Y w W F u E"} {
		f.Add(pattern, "2024-02-30T25:61:61.9999+99:99", int64(1_700_000_000_123))
	}
	f.Add("yyyyMMddHHmmssSSS", "20240229", int64(-62_135_596_800_000))
	full, err := Parse("yyyy-MM-dd'T'HH:mm:ss.SSS")
	if err != nil {
		f.Fatal(err)
	}
	now := time.UnixMilli(1_700_000_000_000)
	f.Fuzz(func(t *testing.T, pattern, text string, millis int64) {
		const year1, year10000 = -62_135_596_800_000, 253_402_300_800_000
		if millis >= year1 && millis < year10000 {
			if got, err := full.Read(string(full.Append(nil, millis)), now); err != nil || got != millis {
				t.Errorf("%d is %s, then %d: %v", millis, full.Append(nil, millis), got, err)
			}
		}
		if len(pattern) > 1000 {
			return
		}
		p, err := Parse(pattern)
		if err != nil {
			return
		}
		p.Append(nil, millis)
		p.Unit()
		_, _ = p.Read(text, now)
	})
}
