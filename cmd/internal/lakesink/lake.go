// Package lakesink wires weir-lake.
package lakesink

import (
	"context"
	"errors"
	"time"

	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
	"github.com/weir-cdc/weir/lake"
)

// Program is weir-lake.
func Program() service.Program {
	return service.Program{
		Name:  "weir-lake",
		Short: "writes the changes of Kafka topics to Parquet files in S3",
		Examples: `weir-lake --config lake.json
			weir-lake --config lake.json --validate
			weir-lake --set name=lake --set topics=shop.ecommerce.orders --set s3.bucket.name=shop-lake --set rotate.schedule.interval.ms=60000`,
		Tables:  sinks.Tables(admin.LakeListen, lake.Properties, consumers.RangeProperties),
		Classes: []string{"io.confluent.connect.s3.S3SinkConnector"},
		New:     newMain,
	}
}

// What is appended to a file at a time, at most: more at a time costs memory and
// saves nothing.
const (
	batchRecords = 1000
	batchBytes   = 8 << 20
)

// readAhead is fetch.buffer.bytes where it is not set. A row is encoded as soon as
// it is taken, so there is no answer of a target to read ahead of, and less memory
// is in the processor's caches more often.
const readAhead = 8 << 20

// main is the sink in its runtime.
type main struct {
	*consumers.Runner
	sink *lake.Lake
	open int // max.buffered.bytes
}

func newMain(env service.Environment) (service.Main, error) {
	runtime, errRuntime := sinks.NewRuntime(env.Values, enrich.LookupServers{Repeatable: true})
	cfg, errSink := lake.NewConfig(env.Values)
	topology.Say(env.Values, topology.UnsaidDeletes(env.Values, "write", "becomes a row with __deleted"))
	if err := errors.Join(errRuntime, errSink, checkRoutes(env.Values), checkClock(env.Values)); err != nil {
		return nil, err
	}
	sink, err := lake.New(context.Background(), cfg, env.Metrics, env.Log, time.Now)
	if err != nil {
		return nil, err
	}
	if !env.Values.Has("fetch.buffer.bytes") {
		runtime.Config.BufferBytes = readAhead
	}
	options := runtime.Options("weir-lake", env.Log, env.Metrics)
	options.Ranges, options.Rendering = sink, consumers.NewRangeConfig(env.Values)
	options.Limits.Records, options.Limits.Bytes = batchRecords, batchBytes
	runner, err := consumers.New(options)
	return &main{runner, sink, cfg.Memory}, err
}

// Check looks at Kafka and the bucket.
func (m *main) Check(ctx context.Context) error {
	return errors.Join(m.Runner.Check(ctx), m.sink.Check(ctx))
}

// Memory is what is read ahead and what open files hold, which is counted by
// estimate.
func (m *main) Memory() int64 { return m.Runner.Memory() + int64(m.open)*3/2 }

// Garbage is low: most of what is in use are buffers, which cost a collection next
// to nothing.
func (m *main) Garbage() int { return 35 }
