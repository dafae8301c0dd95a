package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
// deleted for ever. The same is true of an update that took a row elsewhere, where
// a chain follows moves: only it says where the row was, and a later one of the key
// may replace it after min.compaction.lag.ms.
type horizon struct {
	configured time.Duration // negative: the topic's own, 0: never refuse
	now        func() time.Time
	log        *zap.Logger

	mu    sync.Mutex
	asked map[string]bool // topics whose brokers have answered warn
}

func newHorizon(configured time.Duration, now func() time.Time, log *zap.Logger) *horizon {
	return &horizon{configured: configured, now: now, log: log, asked: map[string]bool{}}
}

// warn says once of a topic that keeps no update for any time that rows may stay
// where an update took them from: to refuse whatever waits after a restart would be
// no help. Where the brokers do not say, nobody knows.
func (h *horizon) warn(ctx context.Context, l *Lease) {
	if h.configured >= 0 {
		return
	}
	h.mu.Lock()
	asked := h.asked[l.Topic()]
	h.mu.Unlock()
	if asked {
		return
	}
	r, err := kafka.TopicRetention(ctx, l.Client(), l.Topic())
	if err != nil {
		return // the next lease asks again
	}
	h.mu.Lock()
	asked, h.asked[l.Topic()] = h.asked[l.Topic()], true
	h.mu.Unlock()
	if !asked && r.Compacted && r.Updates == 0 {
		h.log.Warn("the topic may compact an update away before it is read, and a row that it moves then stays where it was, too: raise min.compaction.lag.ms to as long as the sink may be down",
			zap.String("topic", l.Topic()), zap.String("min.compaction.lag.ms", "0"))
	}
}

// check judges the committed offset of a lease. since is when reading began
// afresh, which excuses old records until the horizon has passed from then on; moves
// says that updates take rows from one place to another.
func (h *horizon) check(ctx context.Context, l *Lease, since time.Time, moves bool) error {
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
	age, gone, err := h.age(ctx, l, moves)
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
		Reason: fmt.Errorf("the committed offset %d is behind the topic's tombstone horizon: unread records are older than %v, so %s may be gone", committed, age, gone),
		Advice: "rebuild the target (weirctl rebuild), or accept that deleted records may stay (weirctl reset --to current)",
	}
}

// age is how old an unread record of the topic may be, and what may be gone of
// older ones; 0 is any age.
func (h *horizon) age(ctx context.Context, l *Lease, moves bool) (age time.Duration, gone string, _ error) {
	gone = "deletes"
	if h.configured >= 0 {
		return h.configured, gone, nil
	}
	retention, err := kafka.TopicRetention(ctx, l.Client(), l.Topic())
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed):
		h.log.Warn("cannot tell how long the topic keeps deletes; set tombstone.horizon.ms, or allow DescribeConfigs on the topic", zap.String("topic", l.Topic()))
		return 0, gone, nil
	case err != nil:
		return 0, gone, err
	case !retention.Compacted:
		return 0, gone, nil
	case moves && retention.Updates > 0 && retention.Updates < retention.Deletes:
		return retention.Updates, "updates that move rows", nil
	}
	return retention.Deletes, gone, nil
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
