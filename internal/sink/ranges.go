package sink

import (
	"context"
	"errors"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// ErrRenderAgain is returned by Range.Complete when the range cannot be
// completed any more though nothing is wrong with it: what was sent ahead is
// gone. The runtime reads its records again and renders it anew.
var ErrRenderAgain = errors.New("the range has to be rendered again")

// RangeWriter is a sink whose target cannot compare versions: it turns a range
// of offsets into files whose names and content depend on the range and its
// records alone. The runtime runs the intent protocol (docs/design.md, "Lake")
// around it: a range's end is committed as an intent before any of its files
// becomes visible, and whoever finds an intent renders exactly that range again.
// Its methods are safe for concurrent use.
type RangeWriter interface {
	// Layout is a fingerprint, without spaces or semicolons, of everything that
	// decides which files a range becomes: path format, time zone, schema rules,
	// codec. A range that is pending under another layout is refused by the
	// runtime, which adds the transform chain's own.
	Layout() string
	// Empty reports whether the target holds no file of the partition of this
	// incarnation of the topic: only then may a partition without a committed
	// offset be started at the beginning.
	Empty(ctx context.Context, p Partition) (bool, error)
	// Open begins the range [start, …) of p; it does no I/O. instant is the
	// frozen clock for what depends on wall-clock time, the same when a range is
	// rendered again. redo says that it is: its end is fixed, so neither Fit nor
	// Due is asked, and files of it that exist already are complete and are kept, since
	// the log may no longer have all the records that they were made of.
	Open(p Partition, start int64, instant time.Time, redo bool) (Range, error)
}

// Partition is one partition of one incarnation of a topic.
type Partition struct {
	Topic   string
	TopicID [16]byte
	Number  int32
}

// Range is one range of offsets being rendered. Its methods are called by one
// goroutine. Whatever the sizes of the batches, the same records give the same
// files.
type Range interface {
	// Append takes the next records, in offset order; nothing of them is kept
	// by reference. It does no I/O. A *Rejected error names one record that can
	// never be rendered: those before it were taken, it and those behind it were
	// not. After any other error the range is of no use.
	Append(batch []*cdc.Record) error
	// Advance sends ahead what is ready, of which nothing becomes visible, and
	// waits while the target's memory budget is spent, which it says by Waits. It
	// is called after every Append, and again after a back-off when it returns an
	// error.
	Advance(ctx context.Context) error
	// Fit says how many of the next records still belong to the range, by count,
	// bytes, record time, wall clock and memory: all of them, or fewer when it
	// should end before the next one. It is at least one for an empty range.
	Fit(now time.Time, next []*cdc.Record) int
	// Due reports whether the range should end though no further record is at
	// hand; it is asked several times a second. Never for an empty range.
	Due(now time.Time) bool
	// Records is how many records were appended, those included of which no file
	// has a row.
	Records() int
	// Complete makes every file of [start, end) visible, end being one past the
	// last offset the range covers. It is called only after the intent for end
	// is committed, is called again after an error, and returns nil when all
	// files are durable. ErrRenderAgain in its error means that calling it again
	// is of no use.
	Complete(ctx context.Context, end int64) error
	// Files reports whether there is anything to complete: a range of which no
	// record became a row needs no intent.
	Files() bool
	// Discard drops what is buffered and cleans up what was sent ahead. It
	// touches no visible file, and is called exactly once, also after Complete.
	Discard()
}
