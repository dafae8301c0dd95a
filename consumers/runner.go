package consumers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// How long things may take while a sink runs.
const (
	commitTimeout = 4 * time.Second // of one commit's round trip
	revokeWithin  = 5 * time.Second // for a worker to end when its partition is revoked
	drainWithin   = 7 * time.Second // for batches at hand when the sink is to stop
	leaveWithin   = 2 * time.Second // for telling the group
	endWithin     = time.Second     // for workers whose context is over
	observeEvery  = 2 * time.Second // looking at the ends and ids of topics
	renewFirst    = 200 * time.Millisecond
	renewMost     = 10 * time.Second
)

// Chain transforms the records of a batch. It is used by one goroutine.
type Chain interface {
	// Apply runs records through the chain and returns those that are kept, in
	// order; a record may become several. The result is valid until the next
	// call. A *sink.Rejected error names the records, by their index, that can
	// never be transformed, and the result has the others. After any other error
	// Apply is called again with the records as they were.
	Apply(ctx context.Context, records []*cdc.Record) (kept []*cdc.Record, err error)
}

// Options is what a Runner is made of.
type Options struct {
	Config Config
	Limits Limits
	// Writer is the sink. It is used by as many goroutines as there are
	// partitions.
	Writer sink.Writer
	// Ranges is the sink, in place of Writer, and Rendering how it is run.
	Ranges    sink.RangeWriter
	Rendering RangeConfig
	// Chain makes the transforms of one partition; nil is none. One that is a
	// transform.Starter is started before the first batch, one that is an
	// io.Closer is closed when the partition is left.
	Chain func() (Chain, error)
	// Close ends what the transforms of all partitions share, when Run ends; nil
	// is nothing.
	Close func() error
	// Component and Version are for the status: the binary and its version.
	Component, Version string
	Log                *zap.Logger
	Metrics            prometheus.Registerer
	Now                func() time.Time // nil: time.Now
	Random             func() float64   // in [0,1); nil: math/rand
	// Client are further options of every Kafka client, such as a dialer.
	Client []kgo.Opt
}

// Runner runs a sink as a member of its consumer group. It implements
// admin.Component.
type Runner struct {
	config             Config
	limits             Limits
	writer             sink.Writer
	ranges             sink.RangeWriter
	rendering          RangeConfig
	chain              func() (Chain, error)
	closeShared        func() error
	registry           prometheus.Registerer // of this connector
	component, version string
	log                *zap.Logger
	metrics            *metrics
	now                func() time.Time
	backoff            backoff
	extra              []kgo.Opt
	schemas            *kafka.SchemaSource
	letters            *deadLetters
	domains            *domains
	horizon            *horizon
	started            time.Time
	wrap               func(flow) flow // tests: leaves a rule out

	abandoned sync.WaitGroup // workers, which may outlive their lease and client

	mu      sync.Mutex
	life    *life
	paused  bool
	apart   map[partition]bool // partitions that are paused on their own
	problem problem
}

// New makes a Runner. It connects to nothing.
func New(o Options) (*Runner, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Limits.Records <= 0 || o.Limits.Bytes <= 0 {
		return nil, fmt.Errorf("making the runtime: limits of %d records and %d bytes", o.Limits.Records, o.Limits.Bytes)
	}
	source, err := o.Config.Source.Options()
	if err != nil {
		return nil, fmt.Errorf("configuring Kafka: %w", err)
	}
	r := &Runner{
		config: o.Config, limits: o.Limits, writer: o.Writer, ranges: o.Ranges, rendering: o.Rendering, chain: o.Chain, closeShared: o.Close, component: o.Component, version: o.Version,
		log: o.Log, now: o.Now, backoff: backoff{o.Config.Backoff, o.Config.MaxBackoff, o.Random}, extra: o.Client,
		schemas: kafka.NewSchemaSource(o.Log, append(source, o.Client...)...), domains: newDomains(),
		horizon: newHorizon(o.Config.Horizon, o.Now, o.Log), started: o.Now(), apart: map[partition]bool{},
	}
	r.registry = prometheus.WrapRegistererWith(prometheus.Labels{"connector": o.Config.Name}, o.Metrics)
	r.metrics = newMetrics(r.registry, r)
	r.letters = &deadLetters{mu: make(lock, 1), config: &r.config, extra: o.Client, log: o.Log, count: func(topic string, n int) {
		r.metrics.letters.WithLabelValues(topic).Add(float64(n))
	}}
	opts, err := r.clientOptions(newGate(r.config.Group, commitTimeout, r.config.Reset.offset()))
	if err == nil {
		err = kgo.ValidateOpts(opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("configuring Kafka: %w", err)
	}
	return r, nil
}

// newChain makes and starts the transforms of one partition.
func (r *Runner) newChain(env transform.Env) (Chain, error) {
	if r.chain == nil {
		return nil, nil
	}
	chain, err := r.chain()
	if err != nil {
		return nil, fmt.Errorf("making the transforms: %w", err)
	}
	if f, ok := chain.(follower); ok && r.writer != nil {
		f.FollowMoves()
	}
	if s, ok := chain.(transform.Starter); ok {
		if err := s.Start(env); err != nil {
			return nil, errors.Join(err, closeChain(chain))
		}
	}
	return chain, nil
}

// follower is a chain that can take a record out of where it no longer belongs,
// which a sink that keeps the latest state of a key asks for.
type follower interface {
	FollowMoves()
	Moves() bool
}

// moves reports whether updates take rows from one place to another.
func moves(chain Chain) bool {
	f, ok := chain.(follower)
	return ok && f.Moves()
}

// forgetter is a chain that can let go of the records of the last batch.
type forgetter interface{ Forget() }

// closeChain ends the transforms of one partition.
func closeChain(chain Chain) error {
	if c, ok := chain.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// closeTransforms ends what the transforms of all partitions share.
func (r *Runner) closeTransforms() {
	if r.closeShared == nil {
		return
	}
	if err := r.closeShared(); err != nil {
		r.log.Warn("closing the transforms", zap.Error(err))
	}
}

// newFlow makes what runs the sink's shape.
func (r *Runner) newFlow(w *worker) flow {
	var f flow = newWriterFlow(w, r.writer)
	if r.ranges != nil {
		f = newRangeFlow(w, r.ranges, &r.rendering)
	}
	if r.wrap != nil {
		f = r.wrap(f)
	}
	return f
}

// Run works until ctx ends, one client after another, and then stops within
// drainWithin, leaveWithin and endWithin with everything durable committed.
func (r *Runner) Run(ctx context.Context) error {
	defer r.schemas.Close()
	defer r.letters.close()
	defer r.closeTransforms()
	renew := backoff{renewFirst, renewMost, r.backoff.random}
	if r.config.Tolerate {
		r.abandoned.Go(func() { r.letters.look(ctx, renew) })
	}
	for try := 0; ; try++ {
		began := r.now()
		err := r.live(ctx)
		if ctx.Err() != nil {
			return r.left()
		}
		r.metrics.clients.WithLabelValues(reasonOf(err)).Inc()
		r.log.Warn("the Kafka client is replaced", zap.Error(err))
		r.problem.set(err, "")
		if r.now().Sub(began) > time.Minute {
			try = 0
		}
		if sleep(ctx, renew.pause(try)) != nil {
			return r.left()
		}
	}
}

// reasonOf is why a client was given up, for a metric.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrUnknown):
		return "commit unknown"
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, errRestart):
		return "restart"
	case errors.Is(err, errRecreated):
		return "topic created again"
	}
	return "error"
}

// left waits for the last workers.
func (r *Runner) left() error {
	done := make(chan struct{})
	go func() { r.abandoned.Wait(); close(done) }()
	t := time.NewTimer(endWithin)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return errors.New("stopping: a write to the target did not end in time; what it wrote is not committed and will be written again")
	}
}

// live is the life of one client: until ctx ends, or the gate gives it up and
// says why.
func (r *Runner) live(ctx context.Context) error {
	g := newGate(r.config.Group, commitTimeout, r.config.Reset.offset())
	l := newLife(r, g)
	g.begun, g.ending = l.begun, l.ending
	g.session = min(r.config.Fetch.Session, r.config.Fetch.Rebalance) // who does not rejoin in time is out, too
	if r.ranges != nil {
		g.from = r.rendering.start
	}
	opts, err := r.clientOptions(g)
	if err != nil {
		return err
	}
	if l.client, err = kgo.NewClient(append(opts, kgo.WithContext(l.alive))...); err != nil {
		l.kill()
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	r.setLife(l)
	defer r.setLife(nil)
	if r.writer != nil { // to the end: writers go on while the sink stops
		defer r.beat(g, l.client)()
	}
	polling, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		select {
		case <-g.dead:
			stop()
		case <-polling.Done():
		}
	})
	beside.Go(func() { l.observe(polling) })
	if r.config.TopicRegex != "" {
		beside.Go(func() { l.lookForTopics(polling) })
	}
	l.poll(polling)
	stop()
	beside.Wait()
	if g.err() == nil {
		l.drain()
	}
	l.close()
	return g.err()
}

// beat sends the heartbeats by which writers know that they still may write,
// until end is called.
func (r *Runner) beat(g *gate, client *kgo.Client) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() { g.beat(ctx, client, r.config.Fetch.Heartbeat) })
	return func() { cancel(); beating.Wait() }
}

func (r *Runner) clientOptions(g *gate) ([]kgo.Opt, error) {
	opts, err := r.config.Source.Options()
	if err != nil {
		return nil, err
	}
	f, pools := r.config.Fetch, new(kafka.Pools)
	opts = append(opts, kgo.WithLogger(kafka.Logger(r.log)))
	opts = append(opts, g.options()...)
	opts = append(opts,
		kgo.Balancers(kgo.StickyBalancer()), // eager
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepRetryableFetchErrors(), // see life.refused
		kgo.KeepControlRecords(),       // commits go past transaction markers, so that lag reaches 0
		kgo.SessionTimeout(f.Session), kgo.HeartbeatInterval(f.Heartbeat), kgo.RebalanceTimeout(f.Rebalance),
		kgo.FetchMaxWait(f.MaxWait), kgo.FetchMinBytes(f.MinBytes), kgo.FetchMaxBytes(f.MaxBytes), kgo.FetchMaxPartitionBytes(f.PartitionBytes),
		kgo.BrokerMaxReadBytes(1<<30), kgo.WithPools(pools), kgo.WithDecompressor(kafka.NewDecompressor(pools)), kgo.Rack(f.Rack),
	)
	if r.config.TopicRegex != "" {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+r.config.TopicRegex+")$"),
			kgo.ConsumeExcludeTopics(`^.+\.weir-schemas$`, `^weir-offsets$`, "^"+regexp.QuoteMeta(r.config.DeadLetter.Topic)+"$"))
	} else {
		opts = append(opts, kgo.ConsumeTopics(r.config.Topics...))
	}
	return append(opts, r.extra...), nil
}

func (r *Runner) setLife(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = l
}

// workers are those of the partitions that are assigned now.
func (r *Runner) workers() []*worker {
	r.mu.Lock()
	l := r.life
	r.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.all()
}
