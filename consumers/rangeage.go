package consumers

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/kafka"
)

// unknownKept is taken for what a topic keeps where nobody says.
const unknownKept = 24 * time.Hour

// kept is for how long the lease's topic has what was read of it, and for how long
// a committed offset may stay behind it; 0: for ever. A range that stays open for
// longer would be lost with the next restart.
func (h *horizon) kept(ctx context.Context, l *Lease) (time.Duration, error) {
	r, err := kafka.TopicRetention(ctx, l.Client(), l.Topic())
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed):
		r.Records = unknownKept
	case err != nil:
		return 0, err
	}
	deletes := h.configured
	if deletes < 0 && r.Compacted {
		deletes = r.Deletes
	}
	switch {
	case deletes <= 0:
		return r.Records, nil
	case r.Records <= 0:
		return deletes, nil
	}
	return min(deletes, r.Records), nil
}

// old reports whether the range at hand has been open for so long that it has to
// end, though it is not due: a quarter of what the topic keeps. Like an end by the
// clock this is decided before the intent, which states it.
func (f *rangeFlow) old(now time.Time) bool {
	return f.kept > 0 && f.current != nil && now.Sub(f.opened) >= f.kept/4
}

// waned is old where nothing comes any more: the records may have been old when
// they were read.
func (f *rangeFlow) waned(now time.Time) bool {
	return f.old(now) || f.kept > 0 && f.eldest > 0 && now.Sub(time.UnixMilli(f.eldest)) >= f.kept/2
}

// awaitsTombstone reports whether records end with a delete, whose tombstone
// belongs to its range.
func awaitsTombstone(records []*cdc.Record) bool {
	n := len(records)
	return n > 0 && records[n-1].Deleted && !records[n-1].Tombstone
}
