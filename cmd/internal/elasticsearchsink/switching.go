package elasticsearchsink

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/elasticsearch"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
)

const (
	lookEvery  = 5 * time.Second // at which generation is live
	firstPause = time.Second     // before asking an unreachable cluster again
	mostPause  = 30 * time.Second
)

// switching runs the sink of the generation that is live, and goes over to
// another one when a rebuild makes that live.
type switching struct {
	settings Settings
	log      *zap.Logger
	metrics  *latest
	started  time.Time

	mu      sync.Mutex
	runner  *consumers.Runner // nil while the cluster does not answer
	problem *admin.Problem
	paused  bool
}

func newSwitching(s Settings, log *zap.Logger, metrics prometheus.Registerer) *switching {
	m := &latest{}
	metrics.MustRegister(m)
	return &switching{settings: s, log: log, metrics: m, started: time.Now()}
}

// Run works until ctx ends, one generation after the other.
func (s *switching) Run(ctx context.Context) error {
	pause := firstPause
	for {
		err := s.generation(ctx)
		if ctx.Err() != nil {
			return err
		}
		if err == nil {
			pause = firstPause
			continue
		}
		s.fail(err)
		s.log.Warn("Elasticsearch does not say which indexes are live; asking again", zap.Duration("again_in", pause), zap.Error(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// Memory is that of one generation: the next one begins when the one before has
// ended.
func (s *switching) Memory() int64 {
	runtime := s.settings.Kafka()
	return runtime.Memory()
}

// generation runs the live generation until ctx ends or another one is live,
// which is no error.
func (s *switching) generation(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	sink, err := s.settings.Connect(ctx, s.settings.Configured(), s.log, registry)
	if err != nil {
		return err
	}
	live, err := sink.Live(ctx)
	if err != nil {
		return err
	}
	group := s.group(live)
	runner, err := s.settings.Runner(sink, group, s.log, registry)
	if err != nil {
		return err
	}
	s.log.Info("writing", zap.Int("generation", live.Generation), zap.String("group", group))
	s.begin(runner, registry)
	defer s.end()
	running, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer stop()
		s.watch(running, sink, live)
	})
	err = runner.Run(running)
	stop()
	watch.Wait()
	return err
}

// group is the consumer group of what is live: the configured one where the
// configuration names a generation of its own.
func (s *switching) group(live elasticsearch.Live) string {
	configured := s.settings.Kafka().Group
	if generation := s.settings.Configured(); generation != 0 {
		return elasticsearch.GroupOf(configured, generation)
	}
	return cmp.Or(live.Group, configured)
}

// watch returns when another generation than live is.
func (s *switching) watch(ctx context.Context, sink *elasticsearch.Sink, live elasticsearch.Live) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := sink.Live(ctx)
		if err == nil && now != live && s.settings.Configured() == 0 {
			s.log.Info("another generation is live", zap.Int("generation", now.Generation), zap.String("group", now.Group))
			return
		}
	}
}

func (s *switching) begin(runner *consumers.Runner, registry *prometheus.Registry) {
	s.metrics.set(registry)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runner, s.problem = runner, nil
	if s.paused {
		_ = runner.Pause(context.Background()) // sets a flag only
	}
}

func (s *switching) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runner = nil
}

func (s *switching) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = &admin.Problem{Text: err.Error(), Do: "check connection.url and the cluster; it is asked again until it answers", At: time.Now()}
}

// now is the runner, or nil.
func (s *switching) now() *consumers.Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runner
}

// Status is the runner's; before there is one, what is waited for.
func (s *switching) Status() admin.Status {
	if runner := s.now(); runner != nil {
		return runner.Status()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return admin.Status{
		Name: s.settings.Kafka().Name, Type: "sink", Component: Name, Version: service.Version(), Started: s.started,
		Connector: admin.Worker{State: admin.Unassigned}, Tasks: []admin.Task{}, Lag: admin.Lag{Records: -1}, Problem: s.problem,
	}
}

var errWaiting = errors.New("waiting for Elasticsearch to say which indexes are live")

// Ready is the runner's.
func (s *switching) Ready() error {
	if runner := s.now(); runner != nil {
		return runner.Ready()
	}
	return errWaiting
}

// Pause stops writing, also in generations to come.
func (s *switching) Pause(ctx context.Context) error { return s.pause(ctx, true) }

// Resume goes on after Pause.
func (s *switching) Resume(ctx context.Context) error { return s.pause(ctx, false) }

func (s *switching) pause(ctx context.Context, paused bool) error {
	s.mu.Lock()
	s.paused = paused
	runner := s.runner
	s.mu.Unlock()
	switch {
	case runner == nil:
		return nil
	case paused:
		return runner.Pause(ctx)
	}
	return runner.Resume(ctx)
}

// Skip is the runner's.
func (s *switching) Skip(ctx context.Context, at admin.Record) error {
	if runner := s.now(); runner != nil {
		return runner.Skip(ctx, at)
	}
	return errWaiting
}

// Check looks at Kafka and Elasticsearch.
func (s *switching) Check(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	sink, err := s.settings.Connect(ctx, s.settings.Configured(), s.log, registry)
	var errs []error
	group := s.settings.Kafka().Group
	if err == nil {
		errs = append(errs, sink.Check(ctx))
		if live, err := sink.Live(ctx); err == nil {
			group = s.group(live)
		}
	}
	errs = append(errs, err)
	runner, err := s.settings.Runner(sink, group, s.log, registry)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, runner.Check(ctx))...)
}

// latest collects the metrics of the generation that is running.
type latest struct {
	mu       sync.Mutex
	registry *prometheus.Registry
}

func (l *latest) set(registry *prometheus.Registry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registry = registry
}

// Describe describes nothing: what there is changes.
func (l *latest) Describe(chan<- *prometheus.Desc) {}

// Collect collects from the registry of the running generation.
func (l *latest) Collect(metrics chan<- prometheus.Metric) {
	l.mu.Lock()
	registry := l.registry
	l.mu.Unlock()
	if registry != nil {
		registry.Collect(metrics)
	}
}
