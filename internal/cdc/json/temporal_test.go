package json

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestZoned compares with package time over all years of four digits.
func TestZoned(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	from, to := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for i := range 50_000 {
		micros := from + r.Int64N(to-from)
		if i == 0 {
			micros = to - 1
		}
		at := time.UnixMicro(micros).UTC()
		for digits, layout := range []string{"2006-01-02T15:04:05Z", "2006-01-02T15:04:05.0Z", "2006-01-02T15:04:05.00Z", "2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05.0000Z", "2006-01-02T15:04:05.00000Z", "2006-01-02T15:04:05.000000Z"} {
			got := AppendZoned(nil, micros, digits)
			if want := at.Format(layout); string(got) != want {
				t.Fatalf("%d: %s, want %s", micros, got, want)
			}
			back, ok := ParseZoned(got)
			want, _ := time.Parse(time.RFC3339Nano, string(got))
			if !ok || back != want.UnixMicro() {
				t.Fatalf("%s: %d, want %d", got, back, want.UnixMicro())
			}
		}
	}
}

func TestParseZoned(t *testing.T) {
	for s, want := range map[string]string{
		"2026-11-22T10:00:00+02:00": "2026-11-22T08:00:00Z", "2026-11-22T10:00:00.5-00:30": "2026-11-22T10:30:00.5Z",
		"2024-02-29T23:59:59.123456789Z": "2024-02-29T23:59:59.123456Z",
	} {
		at, _ := time.Parse(time.RFC3339Nano, want)
		if got, ok := ParseZoned([]byte(s)); !ok || got != at.UnixMicro() {
			t.Errorf("%s: %d %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22 10:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00+0200", "x026-01-01T00:00:00Z"} {
		if _, ok := ParseZoned([]byte(s)); ok {
			t.Errorf("%s is none", s)
		}
	}
}

func TestISO(t *testing.T) {
	for _, c := range []struct {
		s    cdc.Semantic
		n    int64
		want string
	}{
		{cdc.Date, 20779, "2026-11-22"}, {cdc.Date, -1, "1969-12-31"}, {cdc.Date, -719529, "-0001-12-31"}, {cdc.ConnectDate, 2932897, "+10000-01-01"},
		{cdc.Time, 37230123, "10:20:30.123"}, {cdc.MicroTime, -3020399000000, "-838:59:59.000000"}, {cdc.MicroTime, -1, "-00:00:00.000001"}, {cdc.NanoTime, 1, "00:00:00.000000001"},
		{cdc.Timestamp, -1, "1969-12-31T23:59:59.999"}, {cdc.ConnectTimestamp, 0, "1970-01-01T00:00:00.000"},
		{cdc.MicroTimestamp, 1795390000123456, "2026-11-22T23:26:40.123456"}, {cdc.NanoTimestamp, 1, "1970-01-01T00:00:00.000000001"},
	} {
		if got, ok := appendISO(nil, c.s, c.n); !ok || string(got) != c.want {
			t.Errorf("%s %d: %s, want %s", c.s.Name(), c.n, got, c.want)
		}
	}
	if _, ok := appendISO(nil, cdc.Year, 2026); ok {
		t.Error("a year is a number")
	}
}
