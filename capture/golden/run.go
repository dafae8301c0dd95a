package golden

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// run is one run of the real capture into a broker of its own.
type run struct {
	config     capture.Config
	connection mysql.Connection
	settings   mysql.Settings
	log        *zap.Logger
	bootstrap  string
	cluster    *kfake.Cluster
	fails      bool // the recorded connector did
	failed     bool // so did this run
}

// newRun starts a broker and reads the case's configuration as weir-capture
// does; more are properties over the case's.
func newRun(c *Case, more map[string]string, log *zap.Logger) (*run, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0", "message.max.bytes": largest}))
	if err != nil {
		return nil, fmt.Errorf("starting a broker: %w", err)
	}
	r := &run{log: log, cluster: cluster, bootstrap: cluster.ListenAddrs()[0], fails: c.Meta.Failure != ""}
	properties := settings(c)
	properties["bootstrap.servers"] = r.bootstrap
	maps.Copy(properties, more)
	if err := r.configure(properties); err != nil {
		cluster.Close()
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return r, nil
}

func (r *run) close() { r.cluster.Close() }

// settings are the case's properties and what the run of Debezium had besides:
// Connect's defaults, which are not all ours, and its headers.
func settings(c *Case) map[string]string {
	out := map[string]string{
		"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true",
		"key.converter.replace.null.with.default": "true", "value.converter.replace.null.with.default": "true",
	}
	for name, text := range c.Properties {
		if !strings.HasPrefix(name, "schema.history.internal.kafka.") { // where Debezium kept its history
			out[name] = text
		}
	}
	maps.Copy(out, map[string]string{
		"name": c.Name, "producer.override.max.request.size": largest, "debezium.context.headers.enable": "true", "truncate.handling": "debezium",
		// What goes wrong is to be seen, not to be tried again.
		"errors.max.retries": "0",
		// Beside other captures of the same server.
		"database.server.id": fmt.Sprint(1<<20 + rand.Uint32N(1<<30)),
	})
	return out
}

// configure goes through the tables of weir-capture.
func (r *run) configure(properties map[string]string) error {
	v, _, err := config.Parse(properties, config.Common, mysql.Properties, mysql.ValueProperties, capture.Properties, kafka.Properties)
	if err != nil {
		return err
	}
	var errCapture, errConnection, errSettings error
	r.config, errCapture = capture.NewConfig(v)
	r.connection, errConnection = mysql.NewConnection(v, r.config.Prefix)
	r.settings, errSettings = mysql.NewSettings(v)
	return errors.Join(errCapture, errConnection, errSettings)
}

func (r *run) topics() topics {
	return topics{schemaChanges: r.config.Prefix, transactions: r.config.TransactionTopic, heartbeats: r.config.HeartbeatTopic}
}

// publish runs the capture until it has published everything that open's Source
// has, its snapshot included, and returns the records of all topics but those
// that Debezium does not have.
func (r *run) publish(ctx context.Context, open capture.OpenSource) ([]Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &observed{drained: make(chan struct{})}
	k := capture.New(r.config, o.open(open), capture.Options{
		Log: r.log, Registerer: prometheus.NewRegistry(), Instance: "golden", RunID: "golden",
	})
	o.status = k.Status
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	var err error
	select {
	case err = <-ended: // by itself: initial_only, or an error
	case <-o.drained:
		cancel()
		err = <-ended
	}
	if err == nil && ctx.Err() != nil && !o.isDrained() {
		err = context.Cause(ctx)
	}
	if errors.Is(err, capture.ErrTransform) && r.fails {
		r.failed, err = true, nil // as the recorded connector: what was published before counts
	}
	if err != nil {
		return nil, fmt.Errorf("running the capture: %w", err)
	}
	return r.read(context.WithoutCancel(ctx))
}

// observed watches a Source for having reported everything.
type observed struct {
	status  func() capture.Status
	once    sync.Once
	drained chan struct{}
}

func (o *observed) isDrained() bool {
	select {
	case <-o.drained:
		return true
	default:
		return false
	}
}

func (o *observed) open(open capture.OpenSource) capture.OpenSource {
	return func(ctx context.Context, scope capture.Scope) (capture.Source, error) {
		s, err := open(ctx, scope)
		if err != nil {
			return nil, err
		}
		return &observedSource{Source: s, o: o}, nil
	}
}

type observedSource struct {
	capture.Source
	o *observed
}

// Stream is the Source's, watched.
func (s *observedSource) Stream(ctx context.Context, wake <-chan struct{}, out capture.Stream) error {
	return s.Source.Stream(ctx, wake, &observedStream{Stream: out, o: s.o})
}

type observedStream struct {
	capture.Stream
	o *observed
}

// Idle is over, where the log is drained, when everything reported is committed.
func (s *observedStream) Idle(drained bool) error {
	if err := s.Stream.Idle(drained); err != nil || !drained {
		return err
	}
	if snapshot := s.o.status().Snapshot; snapshot == nil || !snapshot.Running {
		s.o.once.Do(func() { close(s.o.drained) })
	}
	return nil
}

// largest bounds records: some cases have texts of 1 MiB.
const largest = "16777216"

// patience bounds a part of a case.
const patience = 2 * time.Minute
