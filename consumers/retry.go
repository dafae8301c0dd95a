package consumers

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/sink"
)

// backoff makes the pauses between attempts: doubling, half of each left to
// chance so that many workers do not come back at once.
type backoff struct {
	first, most time.Duration
	random      func() float64 // in [0,1)
}

// pause is how long to wait after the try-th failed attempt, from 0.
func (b backoff) pause(try int) time.Duration {
	full := b.most
	if try < 32 {
		full = min(b.most, b.first<<try)
	}
	if full <= 0 {
		full = b.most
	}
	return full/2 + time.Duration(b.random()*float64(full/2))
}

// retry calls attempt until it succeeds, ctx ends, or it returns an error that
// no other attempt can mend: a *sink.Rejected, *sink.Stopped or *sink.Lost, or that the
// lease or its client are done with. Meanwhile the partition is running, with
// what it waits for as the reason.
func (w *worker) retry(ctx context.Context, doing string, attempt func(context.Context) error) error {
	return w.retryFor(ctx, -1, doing, attempt)
}

// retryFor is retry for at most a time, if that is not negative; then it
// returns the last error.
func (w *worker) retryFor(ctx context.Context, most time.Duration, doing string, attempt func(context.Context) error) error {
	defer w.waitsFor("")
	began := time.Now()
	for try := 0; ; try++ {
		err := attempt(ctx)
		if err == nil || final(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fatal := w.lease.gate.err(); fatal != nil {
			return fatal
		}
		pause := w.runner.backoff.pause(try)
		if most >= 0 && time.Since(began)+pause > most {
			return err
		}
		w.waitsFor(doing + ": " + err.Error())
		w.runner.metrics.retries.WithLabelValues(w.lease.Topic()).Inc()
		level := zap.DebugLevel
		if try&(try+1) == 0 { // the 1st, 2nd, 4th, 8th …
			level = zap.WarnLevel
		}
		w.log.Log(level, doing, zap.Int("attempt", try+1), zap.Duration("again_in", pause), zap.Error(err))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// final reports whether another attempt cannot help.
func final(err error) bool {
	var rejected *sink.Rejected
	var stopped *sink.Stopped
	var lost *sink.Lost
	var missing *missingSchema
	var foreign *foreignDomain
	return errors.As(err, &rejected) || errors.As(err, &stopped) || errors.As(err, &lost) ||
		errors.As(err, &missing) || errors.As(err, &foreign) || errors.Is(err, ErrClosed)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
