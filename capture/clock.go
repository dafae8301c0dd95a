package capture

import (
	"strconv"
	"time"
)

const (
	// clockShift leaves room for 2 million changes a millisecond below the
	// commit time in a version.
	clockShift = 21
	// clockAhead is how far a commit time may be ahead of our own clock: one
	// wrong clock at the source must not use up the versions of years.
	clockAhead = 60 * time.Second
)

// clock gives every change its version, a hybrid logical clock
// v = max(prev+1, commit_ms << 21): along the published stream versions only
// grow, whatever happens to the source's clock.
type clock struct {
	prev   int64
	commit int64 // of the current source transaction, shifted
	now    func() time.Time
}

// begin sets the commit time, ms since the epoch, of the changes that follow.
func (c *clock) begin(commitMillis int64) {
	latest := c.now().Add(clockAhead).UnixMilli()
	c.commit = max(0, min(commitMillis, latest)) << clockShift
}

// next is the next change's version.
func (c *clock) next() int64 {
	c.prev = max(c.prev+1, c.commit)
	return c.prev
}

// versionDigits is how long a version is in its header.
const versionDigits = 19

// appendVersion appends v as header weir.version has it: 19 digits, zero-padded,
// so that versions compare as text.
func appendVersion(dst []byte, v int64) []byte {
	at := len(dst)
	dst = append(dst, "0000000000000000000"...)
	for i := at + versionDigits - 1; v > 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// parseVersion is the inverse of appendVersion; 0 for what is no version.
func parseVersion(b []byte) int64 {
	if len(b) != versionDigits {
		return 0
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}
