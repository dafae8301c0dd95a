package sink

import (
	"context"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// RangeWriter is a sink whose target cannot compare versions: it turns a range
// of offsets into files whose names and content depend on the range and its
// records alone. The runtime runs the intent protocol (docs/design.md, "Lake")
// around it: a range's end is committed as an intent before any of its files
// becomes visible, and whoever finds an intent renders exactly that range again.
type RangeWriter interface {
	// Layout is a fingerprint of everything that shapes names and bytes of
	// files: path format, time zone, routes, schema rules, codec. A range that
	// is pending under another layout is refused by the runtime.
	Layout() string
	// Empty reports whether the target holds no file of the partition of this
	// incarnation of the topic: only then may a partition without a committed
	// offset be started at the beginning.
	Empty(ctx context.Context, p Partition) (bool, error)
	// Open begins the range [start, …) of p. instant is the frozen clock for
	// what depends on wall-clock time, the same when a range is rendered again.
	// redo says that the range may have files already: those that exist are
	// kept where the log no longer has all its records.
	Open(p Partition, start int64, instant time.Time, redo bool) (Range, error)
}

// Partition is one partition of one incarnation of a topic.
type Partition struct {
	Topic   string
	TopicID [16]byte
	Number  int32
}

// Range is one range of offsets being rendered. Its methods are called by one
// goroutine.
type Range interface {
	// Append takes the next records, in offset order; nothing of them is kept
	// by reference. It may upload parts ahead, but nothing becomes visible. A
	// *Rejected error names the records that can never be rendered; the others
	// were taken.
	Append(ctx context.Context, batch []*cdc.Record) error
	// Due reports whether the range should end before the record next would be
	// appended (nil: no further record is at hand), by count, bytes, record
	// time or wall clock.
	Due(now time.Time, next *cdc.Record) bool
	// Records is how many records were appended.
	Records() int
	// Complete makes every file of [start, end) visible, end being one past the
	// last offset the range covers. It is called only after the intent for end
	// is committed, may be called again after an error, and returns nil when
	// all files are durable.
	Complete(ctx context.Context, end int64) error
	// Discard drops what is buffered and cleans up what was uploaded and not
	// made visible. It must not touch visible files.
	Discard()
}
