package mysql

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestDates: parts of zero are no date, two digits of a year are completed, and
// what no calendar has is an error that says so.
func TestDates(t *testing.T) {
	for _, c := range []struct {
		date date
		keep bool
		days int64
		ok   bool
		err  string
	}{
		{date: date{1970, 1, 1}, ok: true}, {date: date{1969, 12, 31}, days: -1, ok: true}, {date: date{2000, 2, 29}, days: 11016, ok: true},
		{date: date{9999, 12, 31}, days: 2932896, ok: true}, {date: date{1000, 1, 1}, days: -354285, ok: true},
		{date: date{}}, {date: date{0, 1, 1}}, {date: date{2020, 0, 1}}, {date: date{2020, 1, 0}},
		{date: date{69, 1, 1}, days: daysOf(2069, 1, 1), ok: true}, {date: date{70, 1, 1}, ok: true}, {date: date{99, 1, 1}, days: daysOf(1999, 1, 1), ok: true},
		{date: date{100, 1, 1}, days: daysOf(100, 1, 1), ok: true}, {date: date{1, 1, 1}, keep: true, days: -719162, ok: true},
		{date: date{2023, 2, 29}, err: "2023-02-29 is no date"}, {date: date{1900, 2, 29}, err: "1900-02-29 is no date"},
		{date: date{2023, 4, 31}, err: "2023-04-31 is no date"}, {date: date{2023, 13, 1}, err: "2023-13-01 is no date"},
	} {
		s := step{keepYears: c.keep}
		days, ok, err := s.days(c.date)
		if days != c.days || ok != c.ok || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%v: %d %v %v", c.date, days, ok, err)
		}
	}
}

// TestTimeText: a TIME is kept whole, which Debezium's text is not.
func TestTimeText(t *testing.T) {
	const hour = 3600 * 1_000_000
	for us, want := range map[int64]string{
		0: "00:00:00Z", 12*hour + 34*60e6 + 56e6 + 700_000: "12:34:56.7Z", 1: "00:00:00.000001Z", -1: "-00:00:00.000001Z",
		839*hour - 1e6: "838:59:59Z", -839*hour + 1e6: "-838:59:59Z", 24 * hour: "24:00:00Z", 100*hour + 120: "100:00:00.00012Z",
	} {
		if got := string(appendTime(nil, us)); got != want {
			t.Errorf("%d µs is %s, want %s", us, got, want)
		}
	}
}

// TestZeroDates: null where the column may be; else its default, or the epoch in
// the form that the field has.
func TestZeroDates(t *testing.T) {
	standard := cdc.Int(11356)
	for _, c := range []struct {
		column Column
		mode   TimeMode
		preset *cdc.Value
		want   cdc.Value
	}{
		{column: Column{Type: "DATE", Optional: true}, want: cdc.Value{}},
		{column: Column{Type: "DATE"}, want: cdc.Int(0)},
		{column: Column{Type: "DATE"}, preset: &standard, want: standard},
		{column: Column{Type: "DATE"}, mode: TimeISOString, want: cdc.String([]byte("1970-01-01Z"))},
		{column: Column{Type: "DATETIME", Length: 3}, mode: TimeISOString, want: cdc.String([]byte("1970-01-01T00:00:00Z"))},
		{column: Column{Type: "DATETIME"}, mode: TimeNanoseconds, want: cdc.Int(0)},
		{column: Column{Type: "TIMESTAMP"}, preset: &standard, want: cdc.Micros(0)},
		{column: Column{Type: "TIMESTAMP", Optional: true}, want: cdc.Value{}},
	} {
		o := &ValueOptions{Time: c.mode}
		f, err := o.Field(&c.column)
		if err != nil {
			t.Fatal(err)
		}
		f.Default = c.preset
		s, err := newStep(&c.column, &f, o)
		if err != nil {
			t.Fatal(err)
		}
		var r cdc.Row
		r.Reset(cdc.NewSchema("t", f))
		v := &r.Values[0]
		switch c.column.Type {
		case "DATE":
			err = s.setDate(&r, v, date{2024, 0, 0})
		case "DATETIME":
			err = s.setDatetime(&r, v, date{}, 0)
		default:
			s.setTimestamp(&r, v, 0, 0)
		}
		if err != nil || !v.Equal(&c.want) {
			t.Errorf("%+v: %v, want %v: %v", c.column, v, c.want, err)
		}
	}
}
