package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/consumers/sinktest"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestAcceptance holds the sink to every promise that the runtime relies on, on
// a single server and on a cluster.
func TestAcceptance(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		address := servers.Redis(t)
		sinktest.TestWriter(t, func(t *testing.T) sinktest.Fixture { return acceptance(t, address, raw(t, address)) })
	})
	t.Run("cluster", func(t *testing.T) {
		addresses := servers.RedisCluster(t)
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses})
		t.Cleanup(func() { c.Close() })
		sinktest.TestWriter(t, func(t *testing.T) sinktest.Fixture { return acceptance(t, strings.Join(addresses, ","), c) })
	})
}

func acceptance(t *testing.T, address string, c redis.UniversalClient) sinktest.Fixture {
	prefix := servers.Unique(t, "accept") + ":"
	properties := map[string]string{"cache.prefix": prefix}
	namer := &Sink{config: Config{}}
	return sinktest.Fixture{
		Topic: "shop.orders",
		New:   func() (sink.Writer, func(), error) { return open(t, address, properties), nil, nil },
		Read: func(_ string, key *cdc.Row) ([]byte, bool, error) {
			name, _, err := namer.appendKey([]byte(prefix), &cdc.Record{Key: key})
			if err != nil {
				return nil, false, err
			}
			text, err := c.Get(t.Context(), string(name)).Bytes()
			if errors.Is(err, redis.Nil) {
				return nil, false, nil
			}
			return text, err == nil, err
		},
		Bad: func(r *cdc.Record) { r.Value.Values[len(r.Value.Values)-1] = cdc.Absent() },
		Faults: []sinktest.Fault{{Name: "scripts forgotten", Begin: func() (func(), error) {
			flush := func() error { return c.ScriptFlush(t.Context()).Err() }
			return func() {}, flush()
		}}},
	}
}
