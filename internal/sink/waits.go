package sink

import "context"

type waitsKey struct{}

// WithWaits returns a context that carries waits, which is told what a call waits
// for while nothing is wrong that it could return.
func WithWaits(ctx context.Context, waits func(reason string)) context.Context {
	return context.WithValue(ctx, waitsKey{}, waits)
}

// Waits says, in the status of the partition, what a call with ctx waits for. The
// runtime takes it back when the call returns.
func Waits(ctx context.Context, reason string) {
	if waits, ok := ctx.Value(waitsKey{}).(func(string)); ok {
		waits(reason)
	}
}
