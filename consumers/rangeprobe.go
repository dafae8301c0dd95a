package consumers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/internal/kafka"
)

// logStart is the first offset of the lease's partition that still exists.
func logStart(ctx context.Context, l *Lease) (int64, error) {
	adm := kadm.NewClient(l.Client())
	return offsetOf(l, func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, l.Topic()) })
}

// rangeEnded reports whether the log has no record from next to below end that
// a consumer would be given.
func rangeEnded(ctx context.Context, l *Lease, next, end int64) (bool, error) {
	return kafka.Ended(ctx, l.Client(), kafka.Partition{Topic: l.Topic(), ID: l.TopicID(), Number: l.Partition()}, next, end)
}
