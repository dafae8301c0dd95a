// Package redissink wires weir-redis.
package redissink

import (
	"context"
	"errors"

	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
	"github.com/weir-cdc/weir/redis"
)

// Program is weir-redis.
func Program() service.Program {
	return service.Program{
		Name:  "weir-redis",
		Short: "writes the changes of Kafka topics to Redis keys",
		Examples: `weir-redis --config redis.json
			weir-redis --config redis.json --validate
			weir-redis --set name=cache --set topics=shop.ecommerce.orders --set redis.hosts=localhost:6379 --set cache.prefix='${table}:'`,
		Tables:  sinks.Tables(admin.RedisListen, redis.Properties),
		Classes: []string{"com.company.connect.redis.RedisSinkConnector", "com.redis.kafka.connect.RedisSinkConnector"},
		New:     newMain,
	}
}

// batchBytes is about how much of Kafka one pipeline takes at most.
const batchBytes = 8 << 20

// main is the sink in its runtime.
type main struct {
	*consumers.Runner
	sink *redis.Sink
}

func newMain(env service.Environment) (service.Main, error) {
	cfg, errSink := redis.NewConfig(env.Values)
	runtime, errRuntime := sinks.NewRuntime(env.Values, enrich.LookupServers{Redis: server(cfg)})
	topology.Say(env.Values, topology.SharedKeys(env.Values))
	if err := errors.Join(errRuntime, errSink, runtime.CheckMoves(env.Values)); err != nil {
		return nil, err
	}
	sink := redis.New(cfg, env.Log, env.Metrics)
	options := runtime.Options("weir-redis", env.Log, env.Metrics)
	options.Writer, options.Limits.Records, options.Limits.Bytes = sink, cfg.BatchSize, batchBytes
	runner, err := consumers.New(options)
	return &main{runner, sink}, err
}

// server is the sink's own, for look-ups that name no other.
func server(c redis.Config) *enrich.RedisServer {
	return &enrich.RedisServer{
		Hosts: c.Hosts, User: c.User, Password: c.Password, DB: c.DB, TLS: c.TLS, Cluster: c.Cluster, Connections: c.Pool,
	}
}

// Check looks at Kafka and Redis.
func (m *main) Check(ctx context.Context) error {
	return errors.Join(m.Runner.Check(ctx), m.sink.Check(ctx))
}

// Run writes until ctx ends.
func (m *main) Run(ctx context.Context) error {
	return errors.Join(m.Runner.Run(ctx), m.sink.Close())
}
