package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/elasticsearch"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// component is a kind of component, as a configuration shows it.
type component struct {
	name   string // the binary
	listen string // of its HTTP port
	// group finds the consumer group that is live, given that which the runtime's
	// configuration says; nil for a capture.
	group func(ctx context.Context, sources config.Sources, configured string) (string, error)
	// property is one that only its configurations have.
	property string
}

var components = []component{
	{name: "weir-capture", listen: admin.CaptureListen, property: "database.hostname"},
	{name: "weir-elasticsearch", listen: admin.ElasticsearchListen, property: "connection.url", group: liveGroup},
	{name: "weir-redis", listen: admin.RedisListen, property: "redis.hosts", group: configuredGroup},
	{name: "weir-lake", listen: admin.LakeListen, property: "s3.bucket.name", group: configuredGroup},
}

// configuredGroup is the group of a sink that has one only.
func configuredGroup(_ context.Context, _ config.Sources, configured string) (string, error) {
	return configured, nil
}

// liveGroup is the group that keeps the live generation of the indexes up to
// date, which a rebuild changes.
func liveGroup(ctx context.Context, sources config.Sources, configured string) (string, error) {
	v, err := config.LoadPart(sources, config.Common, elasticsearch.Properties)
	if err != nil {
		return "", err
	}
	cfg, err := elasticsearch.NewConfig(v)
	if err = v.Complete(nil, err); err != nil {
		return "", err
	}
	cfg.Generation = 0
	sink, err := elasticsearch.New(ctx, cfg, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return "", fmt.Errorf("%w from Elasticsearch, which says what group is live (or name it with --group): %w", admin.ErrNoAnswer, err)
	}
	live, err := sink.Live(ctx)
	if err != nil {
		return "", fmt.Errorf("%w from Elasticsearch, which says what group is live (or name it with --group): %w", admin.ErrNoAnswer, err)
	}
	return cmp.Or(live.Group, configured), nil
}

// componentOf says which component a configuration is for.
func componentOf(sources config.Sources) (component, error) {
	table := config.Table{Properties: []config.Property{{Name: "connector.class", Type: config.Class}}}
	for _, c := range components {
		table.Properties = append(table.Properties, config.Property{Name: c.property})
	}
	v, err := config.LoadPart(sources, table)
	if err != nil {
		return component{}, err
	}
	class := v.String("connector.class")
	var known []string
	for _, c := range components {
		classes := programOf(c.name).Classes
		if _, ok := config.MatchClass(class, classes); ok || class == "" && v.Has(c.property) {
			return c, nil
		}
		known = append(known, classes...)
	}
	return component{}, v.Error("connector.class", "the class of a component in "+strings.Join(sources.Files, " ")+": one of "+strings.Join(known, ", "))
}
