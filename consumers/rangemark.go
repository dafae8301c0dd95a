package consumers

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rangeMarkVersion begins the metadata of every commit of a RangeWriter's group.
const rangeMarkVersion = "i1"

// rangeMark is the metadata of a RangeWriter's commit:
//
//	i1;<topic id>;<layout>;<instant>;<b>;<since>
//
// It is never empty: an offset without it was set by something else.
type rangeMark struct {
	topicID [16]byte
	layout  string
	// instant is the frozen clock of the pending range, to the millisecond.
	instant time.Time
	// pending is the end of the range that begins at the committed offset and
	// whose files may be becoming visible; 0: none.
	pending int64
	// since is when reading began, at the beginning of the log; see mark.since.
	since time.Time
}

// String is the metadata.
func (m rangeMark) String() string {
	instant, pending := "-", "-"
	if m.pending > 0 {
		instant, pending = markTime(m.instant), strconv.FormatInt(m.pending, 10)
	}
	return strings.Join([]string{rangeMarkVersion, hex.EncodeToString(m.topicID[:]), m.layout, instant, pending, markTime(m.since)}, ";")
}

func markTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

var (
	errForeignMark    = errors.New("the committed offset was not set by a lake: an operator, another program or a reset did")
	errNewerRangeMark = errors.New("the committed offset was written by a later version of this program")
)

// parseRangeMark reads the metadata of the commit of offset.
func parseRangeMark(metadata string, offset int64) (m rangeMark, err error) {
	parts := strings.Split(metadata, ";")
	if v := parts[0]; len(v) < 2 || v[0] != 'i' || !isNumber(v[1:]) {
		return m, errForeignMark
	}
	if parts[0] != rangeMarkVersion || len(parts) != 6 {
		return m, errNewerRangeMark
	}
	id, errID := hex.DecodeString(parts[1])
	copy(m.topicID[:], id)
	m.layout = parts[2]
	var errInstant, errSince, errPending error
	m.instant, errInstant = parseMarkTime(parts[3])
	m.since, errSince = parseMarkTime(parts[5])
	if parts[4] != "-" {
		m.pending, errPending = strconv.ParseInt(parts[4], 10, 64)
		if errPending == nil && (m.pending <= offset || m.instant.IsZero()) {
			errPending = fmt.Errorf("no range from %d to %d", offset, m.pending)
		}
	}
	if err = errors.Join(errID, errInstant, errSince, errPending); err != nil || len(id) != len(m.topicID) {
		return m, fmt.Errorf("reading the committed metadata %q: %w", metadata, errors.Join(errForeignMark, err))
	}
	return m, nil
}

func parseMarkTime(text string) (time.Time, error) {
	if text == "-" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms), err
}
