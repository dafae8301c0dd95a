package cdc

import (
	"testing"
	"time"
)

func TestDaysIn(t *testing.T) {
	for year := 1; year <= 2401; year++ {
		for month := 1; month <= 12; month++ {
			want := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
			if got := DaysIn(year, month); got != want {
				t.Errorf("%d-%02d has %d days, want %d", year, month, got, want)
			}
		}
	}
}
