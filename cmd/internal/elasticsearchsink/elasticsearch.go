// Package elasticsearchsink wires weir-elasticsearch.
package elasticsearchsink

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/elasticsearch"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// Name is the binary's.
const Name = "weir-elasticsearch"

// Program is weir-elasticsearch.
func Program() service.Program {
	return service.Program{
		Name:  Name,
		Short: "writes the changes of Kafka topics to Elasticsearch indexes",
		Examples: `weir-elasticsearch --config elasticsearch.json
			weir-elasticsearch --config elasticsearch.json --validate
			weir-elasticsearch --set name=search --set topics=shop.ecommerce.orders --set connection.url=http://localhost:9200`,
		Tables:  sinks.Tables(admin.ElasticsearchListen, elasticsearch.Properties),
		Classes: []string{"io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "io.aiven.connect.elasticsearch.ElasticsearchSinkConnector"},
		New: func(env service.Environment) (service.Main, error) {
			s, err := NewSettings(env.Values)
			if err != nil {
				return nil, err
			}
			return newSwitching(s, env.Log, env.Metrics), nil
		},
	}
}

// Settings are the configuration of the sink and its runtime.
type Settings struct {
	sink    elasticsearch.Config
	runtime sinks.Runtime
}

// NewSettings reads the configuration. The error joins all that is wrong.
func NewSettings(v *config.Values) (Settings, error) {
	runtime, errRuntime := sinks.NewRuntime(v)
	sink, errSink := elasticsearch.NewConfig(v)
	topology.Say(v, topology.UnsaidDeletes(v, "delete", "deletes its document"))
	return Settings{sink, runtime}, errors.Join(errRuntime, errSink, runtime.CheckMoves(v))
}

// Connect connects to the cluster, to write to a generation of the indexes; 0 is
// the live one.
func (s Settings) Connect(ctx context.Context, generation int, log *zap.Logger, metrics prometheus.Registerer) (*elasticsearch.Sink, error) {
	s.sink.Generation = generation
	return elasticsearch.New(ctx, s.sink, log, metrics)
}

// Sink is the configuration of the sink itself.
func (s Settings) Sink() elasticsearch.Config { return s.sink }

// Configured is the generation that the configuration names; 0 is the live one.
func (s Settings) Configured() int { return s.sink.Generation }

// Rebuildable says why the indexes cannot be rebuilt with this configuration, or
// nil.
func (s Settings) Rebuildable() error {
	switch {
	case s.sink.Generation != 0:
		return errors.New("index.generation is set; a rebuild chooses the generation itself")
	case !s.sink.Alias:
		return errors.New("index.alias is false, so readers have no alias that could move to new indexes")
	}
	return nil
}

// FromTheBeginning are the settings of a rebuild's group, which reads everything
// there is.
func (s Settings) FromTheBeginning() Settings {
	s.runtime.Config.Reset = consumers.Earliest
	return s
}

// Kafka is the configuration of the runtime.
func (s Settings) Kafka() consumers.Config { return s.runtime.Config }

// Runner makes the runtime of a sink as a member of group.
func (s Settings) Runner(sink *elasticsearch.Sink, group string, log *zap.Logger, metrics prometheus.Registerer) (*consumers.Runner, error) {
	options := s.runtime.Options(Name, log, metrics)
	options.Config.Group = group
	options.Writer = sink
	// A write goes out as several bulk requests at a time.
	options.Limits.Records = s.sink.BatchSize * s.sink.MaxInFlight
	options.Limits.Bytes = s.sink.BulkBytes * s.sink.MaxInFlight
	runner, err := consumers.New(options)
	if err != nil {
		return nil, fmt.Errorf("making the runtime of group %s: %w", group, err)
	}
	return runner, nil
}
