package redis

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/internal/cdc"
)

// orders is a batch of updates of many keys, with a delete here and there.
func orders(n int) []*cdc.Record {
	batch := make([]*cdc.Record, n)
	for i := range batch {
		if batch[i] = row(int64(i), uint64(1_000_000+i), "a city with a name of some length", int64(100*i)); i%20 == 19 {
			batch[i] = gone(int64(i), uint64(1_000_000+i))
		}
	}
	return batch
}

// accepting answers every pipeline of the script with as many answers as it wants,
// without a server: what is measured is the sink and its client.
type accepting struct{}

func (accepting) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (accepting) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (accepting) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, commands []redis.Cmder) error {
		for _, command := range commands {
			answers := command.(*redis.IntSliceCmd)
			keys := command.Args()[firstKey-1].(int)
			answers.SetVal(written[:keys/2])
		}
		return nil
	}
}

var written = func() (all [callSize]int64) {
	for i := range all {
		all[i] = answerWritten
	}
	return
}()

// offline is a sink whose topics are admitted, and whose server takes everything.
func offline(tb testing.TB, properties map[string]string) *Sink {
	s := open(tb, "127.0.0.1:1", properties)
	s.domains[claim{s.prefixOf("orders"), "shop.orders"}] = "weir:shop"
	s.client.AddHook(accepting{})
	return s
}

// TestNoAllocationsPerRecord: what a batch of records takes is memory that the
// one before had, but for a few things of each call of the script. Under the race
// detector, which has pools forget at random, there is nothing to count.
func TestNoAllocationsPerRecord(t *testing.T) {
	for _, kind := range []string{"string", "hash"} {
		t.Run(kind, func(t *testing.T) {
			s := offline(t, map[string]string{"cache.prefix": "bench:", "redis.type": kind, "cache.ttl": "3600"})
			const size = 500
			batch := orders(size)
			pass := func() {
				if err := s.Write(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			pass()
			if got := testing.AllocsPerRun(20, pass); got > size/5 && !racing {
				t.Errorf("a batch of %d records takes %.0f allocations", size, got)
			}
		})
	}
}

// BenchmarkWrite is a batch of the usual size, without what the client sends.
func BenchmarkWrite(b *testing.B) {
	const size = 500
	for _, kind := range []string{"string", "hash"} {
		b.Run(kind, func(b *testing.B) {
			s := offline(b, map[string]string{"cache.prefix": "bench:", "redis.type": kind, "cache.ttl": "3600"})
			batch := orders(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Write(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/record")
		})
	}
}
