package lake

import (
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// pace decides when a range ends. None of it has to be repeatable: the end is
// committed before it counts.
type pace struct {
	config  *Config
	opened  time.Time // the frozen instant: when the range began
	next    time.Time // wall clock: rotate.schedule.interval.ms; zero: never
	first   int64     // record time of the first record, ms
	started bool
	bucket  int64 // the latest bucket of a record, by record time
	memory  bucketed
	bytes   int64 // of the largest file

	counted int       // records when last asked
	since   time.Time // since when there were so many
}

func (p *pace) begin(c *Config, instant time.Time) {
	p.config, p.opened = c, instant
	if c.ScheduleInterval > 0 {
		p.next = nextMultiple(instant.In(c.Zone), c.ScheduleInterval)
	}
}

// nextMultiple is the next time that is a multiple of d since midnight, so that
// all partitions rotate together and files do not straddle an hour.
func nextMultiple(t time.Time, d time.Duration) time.Time {
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	next := midnight.Add((t.Sub(midnight)/d + 1) * d)
	tomorrow := time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
	if d < 24*time.Hour && next.After(tomorrow) {
		return tomorrow
	}
	return next
}

// took notes a record.
func (p *pace) took(r *cdc.Record) {
	if p.config.RotateInterval <= 0 {
		return
	}
	if !p.started {
		p.started, p.first = true, r.Timestamp
	}
	if p.config.partitioner.byRecordTime() {
		_, start := p.config.partitioner.bucket(r.Timestamp, &p.memory)
		p.bucket = max(p.bucket, start)
	}
}

// byRecordTime reports whether folders follow the records' own time.
func (p *partitioner) byRecordTime() bool { return p.kind == byTime && p.clock == fromRecord }

// due is the rotation by count, size and times. A clock that was set back to
// before the range began ends it, too: what it waits for may be days away.
func (p *pace) due(now time.Time, next *cdc.Record, records int) bool {
	switch {
	case records >= p.config.FlushSize, p.config.FlushBytes > 0 && p.bytes >= p.config.FlushBytes:
		return true
	case !p.next.IsZero() && (!now.Before(p.next) || p.opened.Sub(now) > p.config.ScheduleInterval):
		return true
	case p.config.partitioner.kind == byTime && p.config.partitioner.clock == fromClock && p.leftBucket(now):
		return true
	case p.config.RotateInterval <= 0:
		return false
	case next == nil: // no record comes to say that time has passed
		return now.Sub(p.opened).Abs() >= p.config.RotateInterval
	case p.started && next.Timestamp-p.first >= p.config.RotateInterval.Milliseconds():
		return true
	}
	return p.started && p.config.partitioner.byRecordTime() && p.later(next)
}

// later reports whether a record is of a later bucket than all before: so late
// data goes into its own folder without ending the range.
func (p *pace) later(r *cdc.Record) bool {
	_, start := p.config.partitioner.bucket(r.Timestamp, &p.memory)
	return start > p.bucket
}

// leftBucket reports whether the clock is in another bucket than the range.
func (p *pace) leftBucket(now time.Time) bool {
	q := &p.config.partitioner
	return q.bucketOf(now.UnixMilli()).start != q.bucketOf(p.opened.UnixMilli()).start
}

// tombstoneWait is how long a range whose last record is a delete waits for the
// tombstone that usually follows.
const tombstoneWait = time.Second

// fresh reports whether the last record came less than tombstoneWait ago.
func (p *pace) fresh(now time.Time, records int) bool {
	if p.counted != records {
		p.counted, p.since = records, now
	}
	return now.Sub(p.since) < tombstoneWait
}
