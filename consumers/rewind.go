package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/sink"
)

// resume begins, or begins anew, the session with a target that may lose what it
// acknowledged.
func (f *writerFlow) resume(ctx context.Context) (*sink.Lost, error) {
	if f.volatile == nil {
		f.mark.memory, f.mark.trail = "", nil
		return nil, nil
	}
	if len(f.mark.trail) == 0 { // nobody has looked after what was written before
		f.mark.memory, f.mark.trail = "", beginTrail(f.w.runner.now(), f.durable)
	}
	session, lost, err := f.volatile.Resume(ctx, f.mark.memory)
	if err != nil {
		return nil, err
	}
	f.session = session
	return lost, nil
}

// ifLost reads again what the target may have lost, if that is what err says.
func (f *writerFlow) ifLost(ctx context.Context, err error) error {
	var lost *sink.Lost
	if !errors.As(err, &lost) {
		return err
	}
	// What was found is looked at anew: by now the target may be a third one.
	err = f.w.retry(ctx, "looking at what the target has lost", func(ctx context.Context) error {
		now, err := f.resume(ctx)
		if now != nil {
			lost = now
		}
		return err
	})
	if err == nil {
		err = f.w.retry(ctx, "going back", func(ctx context.Context) error { return f.goBack(ctx, lost) })
	}
	if err == nil {
		err = f.w.readFrom(ctx, f.durable)
	}
	if err != nil {
		return err
	}
	return errRewound
}

// goBack commits the offset from which everything is read that the target may
// have lost; from then on the loss is known to the group, whoever goes on.
func (f *writerFlow) goBack(ctx context.Context, lost *sink.Lost) error {
	l, reached := f.w.lease, f.durable
	adm := kadm.NewClient(l.Client())
	begins, err := offsetOf(l, func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, l.Topic()) })
	if err != nil {
		return err
	}
	to := min(f.mark.trail[0].offset, reached)
	if to < begins {
		f.w.log.Warn("records that the target may have lost are no longer in the topic", zap.Int64("from", to), zap.Int64("log_begins", begins))
		to = min(begins, reached)
	}
	f.durable, f.epoch = to, -1
	f.mark.trail = beginTrail(f.w.runner.now(), to)
	if err := f.commitAnew(ctx); err != nil {
		return err
	}
	f.w.log.Warn("the target may have lost what it acknowledged; it is written again", zap.String("reason", lost.Reason), zap.Int64("from", to), zap.Int64("to", reached))
	f.w.runner.metrics.rewinds.WithLabelValues(l.Topic()).Inc()
	f.w.rewound(lost, to, reached)
	return f.w.runner.horizon.check(ctx, l, f.mark.since, moves(f.w.chain))
}

// rewound shows that the partition is read again from an offset up to another.
func (w *worker) rewound(lost *sink.Lost, from, to int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.oldest = from, time.Time{}
	if to > w.replay.to {
		w.replay.to = to
	}
	w.replay.problem = &admin.Problem{Text: fmt.Sprintf("writing offsets %d to %d again: %s", from, w.replay.to, lost.Reason), At: time.Now()}
}

// replay is what is read again since the target may have lost it.
type replay struct {
	to      int64 // one past the last such offset
	problem *admin.Problem
}
