package sink

import (
	"context"
	"math"
	"time"
)

type leaseKey struct{}

// WithLease returns a context for Writer.Write that carries left: for how much
// longer no other process can have been given the partition whose records are
// written. It grows again whenever the group confirms that the process is a
// member, and is zero or less as long as that is not known.
func WithLease(ctx context.Context, left func() time.Duration) context.Context {
	return context.WithValue(ctx, leaseKey{}, left)
}

// LeaseLeft is what left of WithLease says now; without it, a time without end.
//
// A Writer whose target forgets versions asks before each request that it sends,
// its retries included, and gives no request longer than that. Else a process
// that stood still for longer than its session would write, when it goes on,
// what others have written since, and deleted.
func LeaseLeft(ctx context.Context) time.Duration {
	if left, ok := ctx.Value(leaseKey{}).(func() time.Duration); ok {
		return left()
	}
	return math.MaxInt64
}
