package consumers

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What the metadata of every commit of a Writer's group begins with: plainMark,
// or trailMark where the target may lose what it acknowledged.
const (
	plainMark = "w1"
	trailMark = "w2"
)

// mark is the metadata of a Writer's commit: w1;<topic id>;<since>, or
// w2;<topic id>;<since>;<memory>;<trail>.
type mark struct {
	topicID [16]byte
	// since is when reading began at a place that leaves out nothing of what the
	// target needs: a first start, a rebuild, a reset. Until a topic's tombstone
	// horizon has passed from then on, old records are no reason to refuse.
	// Zero: long ago.
	since time.Time
	// memory is the sink.Session's, and trail where reading was lately. A mark
	// without a trail is one of a target that loses nothing.
	memory string
	trail  trail
}

// String is the metadata.
func (m mark) String() string {
	since := "-"
	if !m.since.IsZero() {
		since = strconv.FormatInt(m.since.UnixMilli(), 10)
	}
	rest := ";" + hex.EncodeToString(m.topicID[:]) + ";" + since
	if len(m.trail) == 0 {
		return plainMark + rest
	}
	return trailMark + rest + ";" + m.memory + ";" + m.trail.String()
}

var (
	errNewerMark = errors.New("the committed offset was written by a later version of this program")
	errRangeMark = errors.New("the group's offsets are those of a lake")
)

// parseMark reads the metadata of a commit. ours is false for what another
// program wrote: Kafka Connect, or kafka-consumer-groups.sh --reset-offsets.
func parseMark(metadata string) (m mark, ours bool, err error) {
	parts := strings.Split(metadata, ";")
	if len(parts) < 2 || len(parts[0]) < 2 {
		return m, false, nil
	}
	switch version := parts[0]; {
	case version == plainMark && len(parts) == 3:
	case version == trailMark && len(parts) == 5:
		m.memory = parts[3]
		if m.trail, err = parseTrail(parts[4]); err != nil {
			return m, true, fmt.Errorf("reading the committed metadata %q: %w", metadata, err)
		}
	case version[0] == 'w' && isNumber(version[1:]):
		return m, true, errNewerMark
	case version[0] == 'i' && isNumber(version[1:]):
		return m, true, errRangeMark
	default:
		return m, false, nil
	}
	id, err := hex.DecodeString(parts[1])
	if err != nil || len(id) != len(m.topicID) {
		return m, true, fmt.Errorf("reading the committed metadata %q: want a topic id", metadata)
	}
	copy(m.topicID[:], id)
	if parts[2] == "-" {
		return m, true, nil
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return m, true, fmt.Errorf("reading the committed metadata %q: want a time", metadata)
	}
	m.since = time.UnixMilli(ms)
	return m, true, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}
