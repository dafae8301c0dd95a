// Package lake writes rows as Parquet files into a bucket or a directory,
// exactly once: a range of offsets becomes files whose names and rows depend on
// the range and its records alone, so that rendering it again changes nothing.
// The runtime (package consumers) decides when, by its intent protocol.
package lake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parquet-go/parquet-go/compress"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/weir-cdc/weir/internal/sink"
)

// Lake is the sink.RangeWriter of Parquet files.
type Lake struct {
	config   Config
	store    store
	names    names
	codec    compress.Codec
	reserved map[string]bool // columns that the lake adds
	budget   *budget
	metrics  *metrics
	log      *zap.Logger
	now      func() time.Time

	ending      *semaphore.Weighted // of the files that are encoded to their end and sent
	endingBytes int64               // that may be at once

	mu    sync.Mutex
	clean map[sink.Partition]bool // swept

	listing *semaphore.Weighted // of one: whoever lists; what follows is theirs
	owners  map[owner]bool      // of files, as listed at
	listed  time.Time
}

// endingShare is the part of max.buffered.bytes that may be encoded to its end at once.
const endingShare = 8

// New returns the sink of a configuration. It opens no connection; now is the
// clock, which decides nothing but when lists and measurements were made.
func New(ctx context.Context, c Config, registerer prometheus.Registerer, log *zap.Logger, now func() time.Time) (*Lake, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	l := &Lake{
		config: c, store: s, codec: codecs[c.Codec].codec, log: log, now: now,
		names:    names{dir: c.Dir, pad: c.Pad, extension: codecs[c.Codec].extension + ".parquet"},
		reserved: map[string]bool{}, budget: newBudget(c.Memory), ending: semaphore.NewWeighted(int64(c.Memory / endingShare)), endingBytes: int64(c.Memory / endingShare), clean: map[sink.Partition]bool{},
		listing: semaphore.NewWeighted(1),
	}
	l.names.bound(&c)
	for _, a := range c.Columns {
		l.reserved[a.Name] = true
	}
	l.metrics, err = newMetrics(registerer, l.budget)
	return l, err
}

// Check asks the target whether the bucket or directory is there and may be
// used. It changes nothing.
func (l *Lake) Check(ctx context.Context) error {
	if err := l.store.probe(ctx); err != nil {
		return fmt.Errorf("checking %s: %w", l.config.target(), err)
	}
	return nil
}

// Layout is the fingerprint of all that decides which files a range becomes;
// see sink.RangeWriter.
func (l *Lake) Layout() string { return l.config.layout() }

// Open begins a range; see sink.RangeWriter.
func (l *Lake) Open(p sink.Partition, start int64, instant time.Time, redo bool) (sink.Range, error) {
	return newRendering(l, p, start, instant, redo), nil
}

// listFor is how long, from its end, a list of the target's files may answer Empty:
// at a start many partitions ask at once.
const listFor = time.Minute

// Empty reports whether the target has no file of p; see sink.RangeWriter. It
// reads the names of all files, since a route may have put them anywhere; that may
// take long, and those who ask meanwhile wait for the same list.
func (l *Lake) Empty(ctx context.Context, p sink.Partition) (bool, error) {
	if err := l.listing.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer l.listing.Release(1)
	if l.owners == nil || l.now().Sub(l.listed) > listFor {
		owners := map[owner]bool{}
		err := l.store.list(ctx, l.names.prefix(), func(name string) {
			if o, ok := ownerOfName(name); ok {
				owners[o] = true
			}
		})
		if err != nil {
			return false, fmt.Errorf("listing the files of %s: %w", l.config.target(), err)
		}
		l.owners, l.listed = owners, l.now()
	}
	return !l.owners[ownerOf(p)], nil
}

// swept removes, the first time p is worked on, what uploads of a crashed
// process left behind. Visible files are not touched.
func (l *Lake) swept(ctx context.Context, p sink.Partition) error {
	l.mu.Lock()
	done := l.clean[p]
	l.clean[p] = true
	l.mu.Unlock()
	if done {
		return nil
	}
	mine := ownerOf(p)
	err := l.store.sweep(ctx, l.names.prefix(), func(name string) bool {
		o, ok := ownerOfName(name)
		return ok && o == mine
	})
	if err != nil && ctx.Err() == nil { // they cost room, nothing else
		l.log.Warn("uploads that never ended could not be removed; a lifecycle rule for incomplete uploads will",
			zap.String("topic", p.Topic), zap.Int32("partition", p.Number), zap.Error(err))
	}
	return ctx.Err()
}
