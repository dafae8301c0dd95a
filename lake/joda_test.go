package lake

import (
	"strings"
	"testing"
	"time"
)

// TestJoda has texts that Joda-Time 2.12 writes for the same patterns.
func TestJoda(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 5, 0, 7, 9, 123_456_789, time.UTC)
	for _, c := range []struct {
		pattern string
		at      time.Time
		want    string
	}{
		{"YYYY/MM/dd/HH", at, "2026/03/05/00"},
		{"'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", at, "year=2026/month=03/day=05/hour=00"},
		{"yyyy-M-d H:m:s", at, "2026-3-5 0:7:9"},
		{"yy/YY/yyy", at, "26/26/2026"},
		{"MMM MMMM", at, "Mar March"},
		{"E EEE EEEE e", at, "Thu Thu Thursday 4"},
		{"hh KK kk a", at, "12 00 24 AM"},
		{"hh KK kk a", at.Add(13 * time.Hour), "01 01 13 PM"},
		{"S SSS SSSSSS", at, "1 123 123456"},
		{"xxxx ww", at, "2026 10"},
		{"xxxx-ww", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), "2026-53"},
		{"DDD D", at, "064 64"},
		{"CC G", at, "20 AD"},
		{"'it''s' ''", at, "it's '"},
		{"Z ZZ ZZZ z", at.In(berlin), "+0100 +01:00 Europe/Berlin CET"},
		{"HH", time.Date(2026, 7, 1, 23, 0, 0, 0, time.UTC).In(berlin), "01"},
		{"'dt'=yyyy-MM-dd", at, "dt=2026-03-05"},
	} {
		f, err := parseJoda(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := string(f.append(nil, c.at)); got != c.want {
			t.Errorf("%s: %q, want %q", c.pattern, got, c.want)
		}
	}
	for pattern, want := range map[string]string{"YYYY/'x": "quotes are closed", "year=YYYY": "letter 'r'", "YYYY/t": "letter 't'"} {
		if _, err := parseJoda(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
}
