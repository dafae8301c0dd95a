package golden

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"go.uber.org/zap"
)

// Options are what Compare needs.
type Options struct {
	// Part is the only part to compare; "" is both.
	Part Part
	// Differences is how many of a case to show.
	Differences int
	// Parallel is how many cases to compare at the same time.
	Parallel int
	Log      *zap.Logger
	// MySQL and MariaDB start a server, if need be, for snapshots.
	MySQL, MariaDB func(context.Context) (Server, error)
}

// Compare compares the cases of folders and yields their reports in order.
func Compare(ctx context.Context, folders []string, o Options) iter.Seq[*Report] {
	return func(yield func(*Report) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		reports := make([]chan *Report, len(folders))
		slots := make(chan struct{}, max(1, o.Parallel))
		for i, folder := range folders {
			reports[i] = make(chan *Report, 1)
			running.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				reports[i] <- compare(ctx, folder, &o)
			})
		}
		for _, r := range reports {
			if !yield(<-r) {
				return
			}
		}
	}
}

// compare compares one case: the parts until one differs.
func compare(ctx context.Context, folder string, o *Options) *Report {
	c, err := Load(folder)
	if err != nil {
		return &Report{Case: folder, Err: err}
	}
	r := &Report{Case: c.Name, limit: o.Differences}
	log := o.Log.Named(c.Name)
	if o.Part != PartSnapshot {
		if err := c.CompareStream(ctx, log, r); err != nil {
			r.Err = fmt.Errorf("stream: %w", err)
		}
	}
	if !r.Passed() || o.Part == PartStream {
		return r
	}
	start := o.MySQL
	if c.MariaDB() {
		start = o.MariaDB
	}
	server, err := start(ctx)
	if err == nil {
		err = c.CompareSnapshot(ctx, server, log, r)
	}
	if err != nil {
		r.Err = fmt.Errorf("snapshot: %w", err)
	}
	return r
}
