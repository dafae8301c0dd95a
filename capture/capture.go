package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
)

// errFinished says that a capture has done what it was to do (initial_only).
var errFinished = errors.New("the capture is finished")

// settled is how long a run must have lasted for its failure not to be one in a
// row.
const settled = time.Minute

// policyDelay is for how long a record may be refused as invalid before it counts as
// such: a broker that has not heard yet of a topic's new policy, which it does
// some time behind the answer to whoever altered it, refuses records without a key.
const policyDelay = 30 * time.Second

// Options are what a Capture needs from its process.
type Options struct {
	Log        *zap.Logger
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Instance names this process among those of the capture, RunID this start
	// of it (Debezium's context headers).
	Instance, RunID string
}

// Capture publishes the changes of one database, as long as it leads: several
// instances of one name wait for each other.
type Capture struct {
	config   Config
	open     OpenSource
	log      *zap.Logger
	metrics  *metrics
	progress *progress
	now      func() time.Time
	options  Options
	clients  []kgo.Opt // more options for every client, for tests
	broken   error     // of the leader's last run: the log did not continue
}

// New makes a capture of config whose source open opens.
func New(config Config, open OpenSource, o Options) *Capture {
	c := &Capture{config: config, open: open, log: o.Log, now: o.Now, options: o}
	if c.now == nil {
		c.now = time.Now
	}
	c.progress = newProgress(o.Instance, c.now)
	c.metrics = newMetrics(o.Registerer, c.progress)
	return c
}

// Status is how the capture is doing; it may be called at any time.
func (c *Capture) Status() Status { return c.progress.get() }

// Validate checks the source as it is reached with config, and that Kafka is
// reached; it changes nothing.
func (c *Capture) Validate(ctx context.Context) error {
	opts, err := c.config.Kafka.Options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err = client.Ping(ctx); err != nil {
		err = fmt.Errorf("reaching Kafka: %w", err)
	}
	source, serr := c.open(ctx, c.scope())
	if serr != nil {
		return errors.Join(err, fmt.Errorf("opening the source: %w", serr))
	}
	checked := source.Check(ctx)
	if checked == nil { // else the definitions cannot be had, either
		checked = checkTables(ctx, source)
	}
	return errors.Join(err, checked, source.Close())
}

const noTables = "no table is captured: the include and exclude lists let none in of those that exist"

func checkTables(ctx context.Context, source Source) error {
	err := source.Restore(ctx, nil)
	if err == nil {
		err = source.Begin(ctx) // reads the definitions, without which there are no tables
	}
	if err != nil {
		return fmt.Errorf("reading the definitions of tables: %w", err)
	}
	tables, err := source.Tables(ctx)
	if err != nil {
		return fmt.Errorf("listing tables: %w", err)
	}
	if len(tables) == 0 {
		return errors.New(noTables)
	}
	return nil
}

// Run captures until ctx ends, which is no error, or until something fails that
// does not go away by itself.
func (c *Capture) Run(ctx context.Context) error {
	if chain := c.config.Transforms.Chain; chain != nil {
		defer func() {
			if err := chain.Close(); err != nil {
				c.log.Warn("closing the transforms", zap.Error(err))
			}
		}()
		if err := chain.Start(transform.Env{Log: c.log, Metrics: c.options.Registerer, Waits: c.progress.waits}); err != nil {
			c.progress.failed(err, StateFailed)
			return err
		}
	}
	for {
		err := c.member(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errFinished):
			return nil
		case errors.Is(err, errFenced):
			c.log.Warn("lost the lead: leaving the group to stand by", zap.Error(err))
			c.progress.failed(err, StateUnassigned)
			if sleep(ctx, c.config.RetryDelay) != nil {
				return nil
			}
		case err != nil:
			c.progress.failed(err, StateFailed)
			return err
		}
	}
}

// kafkaOptions are those of every client but the producer.
func (c *Capture) kafkaOptions() ([]kgo.Opt, error) {
	opts, err := c.config.Kafka.Options()
	return append(opts, c.clients...), err
}

// member is one membership in the group: it waits to lead, leads, and leaves.
func (c *Capture) member(ctx context.Context) error {
	opts, err := c.kafkaOptions()
	if err != nil {
		return err
	}
	if err := c.persist(ctx, func() error { return c.prepare(ctx, opts) }); err != nil {
		return err
	}
	m, err := joinGroup(opts, groupID(c.config.Name), c.config.OffsetTopic, c.log)
	if err != nil {
		return err
	}
	defer m.leave()
	for {
		c.metrics.leading.Set(0)
		c.progress.set(func(s *Status) { s.Leader, s.State = false, StateUnassigned })
		t, err := m.lead(ctx)
		if err != nil {
			return err
		}
		failpoint.Pass(failpoint.LeaderJoined)
		c.log.Info("leading")
		c.metrics.leading.Set(1)
		c.progress.set(func(s *Status) { s.Leader = true })
		err = c.lead(ctx, t)
		t.end()
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// prepare makes the topic of offsets, by whose partition the leader is chosen.
func (c *Capture) prepare(ctx context.Context, opts []kgo.Opt) error {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer client.Close()
	keeper := newTopicKeeper(client, TopicConfig{Create: true, Alter: c.config.Topics.Alter}, c.log)
	return keeper.ensure(ctx, topicSpec{name: c.config.OffsetTopic, role: roleState, partitions: 1, replicas: max(0, c.config.OffsetReplication),
		// A leader reads all of it: it is compacted eagerly.
		settings: map[string]string{"segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1"}})
}

// lead captures as long as this instance leads. It returns nil when the lead or
// ctx ends.
func (c *Capture) lead(ctx context.Context, t *term) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	c.broken = nil
	return c.persist(ctx, func() error {
		err := c.run(ctx)
		if errors.Is(err, ErrNoContinuity) {
			c.broken = err
		}
		return err
	})
}

// persist tries again what fails by what goes away by itself.
func (c *Capture) persist(ctx context.Context, try func() error) error {
	var refused time.Time // the first refusal in a row
	for failures := 0; ; {
		started := c.now()
		err := try()
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if c.now().Sub(started) > settled {
			failures, refused = 0, time.Time{}
		}
		failures++
		invalid := errors.Is(err, kerr.InvalidRecord)
		if invalid && refused.IsZero() {
			refused = c.now()
		}
		learning := invalid && c.now().Sub(refused) < policyDelay
		// The next run reads the tables again: what the stream found need not be
		// what a resume from the same position can see.
		anew := c.config.SnapshotMode == SnapshotWhenNeeded && errors.Is(err, ErrNoContinuity)
		if !passing(err) && !anew && !learning || c.config.Retries >= 0 && failures > c.config.Retries {
			return err
		}
		wait := min(c.config.RetryDelayMax, c.config.RetryDelay<<min(failures-1, 16))
		c.log.Warn("failed: trying again from the stored offset", zap.Error(err), zap.Duration("in", wait))
		c.progress.failed(err, StateRunning)
		c.metrics.failures.Inc()
		if sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// lasting are errors of Kafka that do not go away by themselves.
var lasting = []error{
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.PolicyViolation, kerr.UnsupportedVersion,
	kerr.InvalidTopicException, kerr.InvalidReplicationFactor, kerr.InvalidPartitions, kerr.InvalidConfig, kerr.SaslAuthenticationFailed,
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	kerr.UnsupportedForMessageFormat, kerr.InvalidTransactionTimeout,
}

// passing reports whether an error goes away by itself.
func passing(err error) bool {
	if errors.Is(err, errFenced) || errors.Is(err, errFinished) || errors.Is(err, ErrTransform) {
		return false
	}
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDefinition) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var of *kerr.Error
	if errors.As(err, &of) {
		for _, l := range lasting {
			if errors.Is(err, l) {
				return false
			}
		}
		return true
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries) || errors.Is(err, kgo.ErrClientClosed)
}

func (c *Capture) scope() Scope {
	return Scope{Prefix: c.config.Prefix, Delimiter: c.config.Delimiter, Filter: c.config.Filter, EveryTransaction: c.config.Transactions, SourceDefaults: !c.config.SourceNulls}
}

// run is one run of the leader, from the stored offset on. Its order is the
// rule: the producer id first, which ends whatever another leader was writing,
// then the offset, then the stream.
func (c *Capture) run(ctx context.Context) error {
	opts, err := c.kafkaOptions()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer client.Close()
	producing, err := c.config.ProducerKafka.Options()
	if err != nil {
		return err
	}
	p, err := newPublisher(ctx, append(producing, c.clients...), &c.config, c.now, c.metrics)
	if err != nil {
		return err
	}
	defer p.close()
	failpoint.Pass(failpoint.LeaderProducer)
	last, err := p.announce(ctx, c.config.OffsetTopic, mustJSON(offsetKey{Prefix: c.config.Prefix, Leader: true}),
		mustJSON(leaderValue{Format: offsetFormat, Instance: c.options.Instance, Millis: c.now().UnixMilli()}))
	if err != nil {
		return err
	}
	failpoint.Pass(failpoint.LeaderAnnounced)
	st, err := readStored(ctx, client, c.config.OffsetTopic, c.config.Prefix, last)
	if err != nil {
		return err
	}
	failpoint.Pass(failpoint.LeaderOffsets)
	source, err := c.open(ctx, c.scope())
	if err != nil {
		return fmt.Errorf("opening the source: %w", err)
	}
	err = c.capture(ctx, &start{capture: c, source: source, client: client, publisher: p, stored: st})
	if cerr := source.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing the source: %w", cerr)
	}
	return err
}

// capture restores, then runs stream and snapshot side by side.
func (c *Capture) capture(ctx context.Context, from *start) error {
	if err := from.source.Check(ctx); err != nil {
		return fmt.Errorf("checking the source: %w", err)
	}
	g, running := errgroup.WithContext(ctx)
	s, err := from.restore(running)
	if err != nil {
		return err
	}
	failpoint.Pass(failpoint.LeaderRestored)
	c.progress.set(func(s *Status) { s.State = StateRunning })
	g.Go(func() error { return s.snapshot.run(running) })
	g.Go(func() error {
		err := from.source.Stream(running, s.snapshot.wake, s)
		switch {
		case running.Err() != nil:
			return nil
		case err == nil:
			return errors.New("reading the log: it ended")
		case errors.Is(err, errFinished), s.publisher.err() != nil:
			return err
		}
		return fmt.Errorf("reading the log: %w", err)
	})
	err = g.Wait()
	if err == nil && !s.inside && !s.resume.pending && s.publisher.err() == nil {
		return s.end() // a clean stop keeps what is complete
	}
	return err
}

// schemaTopicSettings make the topic of schemas a small one.
var schemaTopicSettings = map[string]string{"min.cleanable.dirty.ratio": "0.1"}

// topics are the topics that are not a table's.
func (c *Config) topics() []topicSpec {
	specs := []topicSpec{{name: kafka.SchemaTopic(c.Prefix), role: roleState, partitions: 1, settings: schemaTopicSettings}}
	add := func(wanted bool, name string) {
		if topic, ok := c.Transforms.Route(name); wanted && ok {
			specs = append(specs, topicSpec{name: topic, role: roleKeyless, partitions: 1})
		}
	}
	add(c.SchemaChanges, c.Prefix)
	add(c.Transactions, c.TransactionTopic)
	add(c.Heartbeat > 0, c.HeartbeatTopic)
	return specs
}
