package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// restFor is how long nobody polls what could not be fetched.
const restFor = time.Second

// RestAfterErrors waits for a second, or until ctx ends, if anything of what was
// polled is an error. Where a topic may not be read, or a batch is broken, the
// client asks again as soon as the answer is polled, and gets the same one without
// a wait.
func RestAfterErrors(ctx context.Context, fetches kgo.Fetches) {
	failed := false
	fetches.EachError(func(_ string, _ int32, err error) {
		failed = failed || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	})
	if !failed {
		return
	}
	t := time.NewTimer(restFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
