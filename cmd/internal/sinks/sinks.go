// Package sinks is what the wiring of all sinks shares: their tables, and the
// runtime made of a configuration.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/service"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// batching is how long a batch is filled; how large it gets is the sink's own.
var batching = config.Table{
	Name: "Batches",
	Doc:  "How records are gathered before they are written.",
	Properties: []config.Property{
		{Name: "linger.ms", Type: config.Millis, Default: "5", Min: 0, Max: 600_000,
			Doc: "How long the first record of a batch may wait for others while the target is idle. Confluent's default is 1."},
	},
}

// Tables are the sink's own tables and those of everything around it. The HTTP
// port is at listen by default.
func Tables(listen string, own ...config.Table) []config.Table {
	return append(own, batching, consumers.Properties, transform.Properties, kafka.Properties, admin.Properties(listen))
}

// Runtime is what a sink runs in, configured.
type Runtime struct {
	Config consumers.Config
	Linger time.Duration
	chain  *transform.Chain
}

// NewRuntime reads the configuration of the runtime and the transforms. Look-ups
// that name no server ask the sink's Kafka, or what else it lends. The error
// joins all that is wrong.
func NewRuntime(v *config.Values, lent ...enrich.LookupServers) (Runtime, error) {
	cfg, errConfig := consumers.NewConfig(v)
	meant(v, &cfg)
	var servers enrich.LookupServers
	if len(lent) > 0 {
		servers = lent[0]
	}
	servers.Kafka = &cfg.Source
	chain, errChain := transform.New(v, enrich.Lookups(servers), routing.Classes, enrich.Classes)
	return Runtime{Config: cfg, Linger: v.Duration("linger.ms"), chain: chain}, errors.Join(errConfig, errChain)
}

// CheckMoves refuses chains where a look-up decides where a row goes, for a sink
// that keeps the latest state of a key: what is found may have changed when the
// row changes, and a delete finds nothing, so neither comes to where the row is.
func (r Runtime) CheckMoves(v *config.Values) error {
	mover, lookup := r.chain.MovesByLookup()
	if mover == "" {
		return nil
	}
	return v.Error("transforms", mover+" before "+lookup+": where a row goes must not depend on a look-up, or its delete does not find it")
}

// plain is a record that no transform of the routing kind stumbles over.
var plain = cdc.NewSchema("")

// Route is where the transforms send a record of topic that is neither a delete
// nor anything else in particular.
func (r Runtime) Route(ctx context.Context, topic string) (string, error) {
	record := &cdc.Record{Origin: cdc.Origin{Topic: topic}, Route: topic, Value: &cdc.Row{Schema: plain}}
	kept, err := r.chain.Apply(ctx, []*cdc.Record{record})
	switch {
	case err != nil:
		return "", fmt.Errorf("finding where records of %s go: %w", topic, err)
	case len(kept) != 1:
		return "", fmt.Errorf("finding where records of %s go: the transforms drop them, or make several of one", topic)
	}
	return kept[0].Route, nil
}

// Options are the runtime's options for a component: what is left to add is the
// sink, and how large its batches are.
func (r Runtime) Options(component string, log *zap.Logger, metrics prometheus.Registerer) consumers.Options {
	o := consumers.Options{
		Config: r.Config, Component: component, Version: service.Version(), Log: log, Metrics: metrics,
		Limits: consumers.Limits{Linger: r.Linger},
	}
	if r.chain.Len() > 0 {
		o.Chain = func() (consumers.Chain, error) { return r.chain.Clone() }
		o.Close = r.chain.Close
	}
	return o
}
