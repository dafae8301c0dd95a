package consumers

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// trail says where a partition was at some moments, oldest first: what was
// written after a moment has the offset that stands with it, or a later one.
// It goes by the clock and not by the records' times, since a sink that is
// behind writes records of last week now.
type trail []waypoint

type waypoint struct {
	at     time.Time
	offset int64
}

const (
	trailSteps = 3  // waypoints within the reach, about
	trailMost  = 24 // so that a trail fits a commit's metadata
)

// beginTrail is the trail of a partition of which everything below offset was
// written before now.
func beginTrail(now time.Time, offset int64) trail {
	return trail{{now.Truncate(time.Millisecond).Add(time.Millisecond), offset}} // as precise as it is committed, and not earlier
}

// due reports whether it is time for the next waypoint.
func (t trail) due(now time.Time, reach time.Duration) bool {
	return len(t) == 0 || now.Sub(t[len(t)-1].at) >= reach/trailSteps
}

// pass adds a waypoint if one is due: everything below offset was written before
// now. It drops those that are older than the newest one that is out of reach of a
// loss after sound, the last moment at which nothing was lost. The first one is
// where to read from to have everything that was written within the reach.
func (t trail) pass(now time.Time, offset int64, sound time.Time, reach time.Duration) trail {
	if t.due(now, reach) {
		t = append(t, beginTrail(now, offset)...)
	}
	for len(t) > 1 && sound.Sub(t[1].at) >= reach {
		t = t[1:]
	}
	if len(t) > trailMost { // nobody could look for losses for long: those in between say no more
		t = append(trail{t[0]}, t[2:]...)
	}
	return t
}

// String is the trail as it is committed: ms:offset, joined by commas.
func (t trail) String() string {
	var b strings.Builder
	for i, p := range t {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(p.at.UnixMilli(), 10) + ":" + strconv.FormatInt(p.offset, 10))
	}
	return b.String()
}

var errTrail = errors.New("want times and offsets")

func parseTrail(text string) (t trail, _ error) {
	for part := range strings.SplitSeq(text, ",") {
		at, offset, _ := strings.Cut(part, ":")
		ms, errTime := strconv.ParseInt(at, 10, 64)
		o, errOffset := strconv.ParseInt(offset, 10, 64)
		if errTime != nil || errOffset != nil || o < 0 {
			return nil, errTrail
		}
		t = append(t, waypoint{time.UnixMilli(ms), o})
	}
	return t, nil
}
