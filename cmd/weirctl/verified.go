package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/compare"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/lake"
	"github.com/weir-cdc/weir/redis"
)

// verified is a sink's target that is compared with the source.
type verified struct {
	name      string // elasticsearch, redis, lake
	connector string
	runtime   sinks.Runtime
	objects   bool // JSON columns are objects there
	// rows is what the target has of a route.
	rows  func(route string, table *compare.Table) (compare.Rows, error)
	close func()
}

// openTarget connects to the target of a sink.
func openTarget(ctx context.Context, kind string, v *config.Values) (*verified, error) {
	runtime, err := sinks.NewRuntime(v)
	if err = v.Complete(nil, err); err != nil {
		return nil, err
	}
	if err := checkTransforms(kind, v); err != nil {
		return nil, err
	}
	t := &verified{name: strings.TrimPrefix(kind, "weir-"), connector: v.Name(), runtime: runtime, close: func() {}}
	open := map[string]func(context.Context, *verified, *config.Values) error{
		"elasticsearch": openElasticsearch, "redis": openRedis, "lake": openLake,
	}[t.name]
	return t, v.Complete(nil, open(ctx, t, v))
}

// harmless are the transforms that leave a row's own fields as they are; fields
// that they add are not compared.
var harmless = []string{
	"RegexRouter", "ByTable", "ByDatabase", "ExtractNewRecordState", "InsertField$Value", "InsertHeader", "DropHeaders",
}

// takesKeyApart leaves rows as they are, too, but not the row that a lake makes of
// a delete's key.
const takesKeyApart = "ExtractField$Key"

// checkTransforms refuses transforms that make something else of rows.
func checkTransforms(kind string, v *config.Values) error {
	classes := v.Under("transforms.")
	for _, alias := range v.List("transforms") {
		class := config.ClassName(classes[alias+".type"])
		if slices.Contains(harmless, class) || class == takesKeyApart && (kind == "weir-elasticsearch" || kind == "weir-redis") {
			continue
		}
		return fmt.Errorf("%w: %s: the transform %s (%s) changes what is written, so it cannot be compared with the table", errUsage, v.Name(), alias, class)
	}
	return nil
}

// reads reports whether the sink reads a topic.
func (t *verified) reads(topic string) bool {
	if pattern := t.runtime.Config.TopicRegex; pattern != "" {
		matched, err := regexp.MatchString(`^(?:`+pattern+`)$`, topic)
		return err == nil && matched
	}
	return slices.Contains(t.runtime.Config.Topics, topic)
}

func openElasticsearch(ctx context.Context, t *verified, v *config.Values) error {
	settings, err := elasticsearchsink.NewSettings(v)
	if err != nil {
		return err
	}
	sink, err := settings.Connect(ctx, settings.Configured(), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return fmt.Errorf("%w from Elasticsearch: %w", admin.ErrNoAnswer, err)
	}
	t.objects = settings.Sink().JSONObjects
	t.rows = func(route string, table *compare.Table) (compare.Rows, error) {
		index, err := sink.IndexName(route)
		return &compare.Elasticsearch{Do: sink.Perform, Index: index, Table: table, AnyID: settings.Sink().KeyIgnore}, err
	}
	return nil
}

func openRedis(ctx context.Context, t *verified, v *config.Values) error {
	cfg, err := redis.NewConfig(v)
	if err != nil {
		return err
	}
	sink := redis.New(cfg, zap.NewNop(), prometheus.NewRegistry())
	if err := sink.Client().Ping(ctx).Err(); err != nil {
		return fmt.Errorf("%w from Redis: %w", admin.ErrNoAnswer, err)
	}
	t.objects = cfg.JSONObjects
	t.close = func() { _ = sink.Close() } // nothing was written
	t.rows = func(route string, table *compare.Table) (compare.Rows, error) {
		return &compare.Redis{Client: sink.Client(), Prefix: sink.Prefix(route), Table: table, AnyName: cfg.KeyField != ""}, nil
	}
	return nil
}

func openLake(ctx context.Context, t *verified, v *config.Values) error {
	cfg, err := lake.NewConfig(v)
	if err != nil {
		return err
	}
	var store compare.Store = compare.Directory(cfg.Directory)
	if cfg.Directory == "" {
		client, err := cfg.Client(ctx)
		if err != nil {
			return err
		}
		store = compare.Bucket{Client: client, Name: cfg.S3.Bucket}
	}
	sink, err := lake.New(ctx, cfg, prometheus.NewRegistry(), zap.NewNop(), time.Now)
	if err != nil {
		return err
	}
	if err := sink.Check(ctx); err != nil {
		return fmt.Errorf("%w from the lake's store: %w", admin.ErrNoAnswer, err)
	}
	names := cfg.ColumnNames()
	added := compare.AddedColumns{Deleted: names["deleted"], Version: names["version"], Topic: names["topic"], Partition: names["partition"], Offset: names["offset"]}
	t.rows = func(route string, table *compare.Table) (compare.Rows, error) {
		return &compare.Lake{Store: store, Dir: cfg.Dir, Topic: route, Table: table, Added: added}, nil
	}
	return nil
}
