package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
)

// horizon refuses to go on where deletes may be gone. A compacted topic keeps a
// tombstone for delete.retention.ms; a sink that comes back later may find
// neither the tombstone nor anything else of the key, and would keep what was
// deleted for ever.
type horizon struct {
	configured time.Duration // negative: the topic's own, 0: never refuse
	now        func() time.Time
	log        *zap.Logger
}

// check judges the committed offset of a lease. since is when reading began
// afresh, which excuses old records until the horizon has passed from then on.
func (h *horizon) check(ctx context.Context, l *Lease, since time.Time) error {
	committed := l.Committed().Offset
	adm := kadm.NewClient(l.Client())
	start, err := offsetOf(l, func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, l.Topic()) })
	if err != nil {
		return err
	}
	if committed < start {
		return &sink.Stopped{
			Reason: fmt.Errorf("the committed offset is %d, but the log begins at %d: %d records were removed before they were read", committed, start, start-committed),
			Advice: "rebuild the target from a new snapshot, or accept the loss with weirctl reset --to earliest",
		}
	}
	end, err := offsetOf(l, func() (kadm.ListedOffsets, error) { return adm.ListCommittedOffsets(ctx, l.Topic()) })
	if err != nil || committed >= end {
		return err
	}
	age, err := h.age(ctx, l)
	if err != nil || age <= 0 {
		return err
	}
	oldest := h.now().Add(-age)
	if since.After(oldest) {
		return nil
	}
	young, err := offsetOf(l, func() (kadm.ListedOffsets, error) {
		return adm.ListOffsetsAfterMilli(ctx, oldest.UnixMilli(), l.Topic())
	})
	if err != nil || committed >= young {
		return err
	}
	return &sink.Stopped{
		Reason: fmt.Errorf("the committed offset %d is behind the topic's tombstone horizon: unread records are older than %v, so deletes may be gone", committed, age),
		Advice: "rebuild the target (weirctl rebuild), or accept that deleted records may stay (weirctl reset --to current)",
	}
}

// age is how old an unread record of the topic may be; 0 is any age.
func (h *horizon) age(ctx context.Context, l *Lease) (time.Duration, error) {
	if h.configured >= 0 {
		return h.configured, nil
	}
	retention, err := kafka.TopicRetention(ctx, l.Client(), l.Topic())
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed):
		h.log.Warn("cannot tell how long the topic keeps deletes; set tombstone.horizon.ms, or allow DescribeConfigs on the topic", zap.String("topic", l.Topic()))
		return 0, nil
	case err != nil:
		return 0, err
	case !retention.Compacted:
		return 0, nil
	}
	return retention.Deletes, nil
}

// offsetOf picks the lease's partition from a listing.
func offsetOf(l *Lease, list func() (kadm.ListedOffsets, error)) (int64, error) {
	offsets, err := list()
	if err != nil {
		return 0, fmt.Errorf("listing offsets of %s: %w", l.Topic(), err)
	}
	at, ok := offsets.Lookup(l.Topic(), l.Partition())
	if !ok {
		return 0, fmt.Errorf("listing offsets of %s: no answer for partition %d", l.Topic(), l.Partition())
	}
	if at.Err != nil {
		return 0, fmt.Errorf("listing offsets of %s-%d: %w", l.Topic(), l.Partition(), at.Err)
	}
	return at.Offset, nil
}
