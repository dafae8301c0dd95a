package capture

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// ◆ v = max(prev+1, commit_ms << 21), "commit_ms … never more than 60 s ahead of
// the capture's clock": versions follow the commit times, never go backwards
// with them, and a source's wrong clock does not use up years of them.
func TestClock(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	c := clock{now: func() time.Time { return now }}
	at := func(ms int64) int64 { return ms << clockShift }
	for i, step := range []struct{ commit, want int64 }{
		{now.UnixMilli(), at(now.UnixMilli())},
		{now.UnixMilli(), at(now.UnixMilli()) + 1},
		{now.UnixMilli() - 5000, at(now.UnixMilli()) + 2}, // the source's clock went back
		{now.UnixMilli() + 3, at(now.UnixMilli() + 3)},
		{now.UnixMilli() + 60_000, at(now.UnixMilli() + 60_000)},
		{now.AddDate(5, 0, 0).UnixMilli(), at(now.UnixMilli()+60_000) + 1},
		{math.MaxInt64, at(now.UnixMilli()+60_000) + 2},
		{-1, at(now.UnixMilli()+60_000) + 3},
	} {
		c.begin(step.commit)
		if got := c.next(); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		before := c.prev
		c.begin(now.UnixMilli() + rng.Int64N(200_000) - 100_000)
		if c.next() <= before {
			t.Fatal("a version went backwards")
		}
	}
}

// A version is 19 digits, so that versions compare as text.
func TestVersionText(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var last []byte
	for v := int64(0); v >= 0 && v < math.MaxInt64/3; v = v*2 + rng.Int64N(9) + 1 {
		text := appendVersion(nil, v)
		if len(text) != 19 || parseVersion(text) != v || bytes.Compare(text, last) <= 0 && last != nil {
			t.Fatalf("%d is %q after %q", v, text, last)
		}
		last = text
	}
	if got := string(appendVersion(nil, math.MaxInt64)); got != "9223372036854775807" {
		t.Error(got)
	}
	for _, bad := range []string{"", "1", "000000000000000000x", "-000000000000000001", "99999999999999999999"} {
		if parseVersion([]byte(bad)) != 0 {
			t.Errorf("%q is taken for a version", bad)
		}
	}
}
