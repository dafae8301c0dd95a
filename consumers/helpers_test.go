package consumers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// target is a sink in memory that compares versions, as the real ones do.
type target struct {
	// before and after are called in Write, if set; an error ends it.
	before, after func(ctx context.Context, batch []*cdc.Record) error

	mu     sync.Mutex
	rows   map[string]row // by route and key
	order  map[string][]int64
	writes int
	calls  int
}

type row struct {
	text    string
	version uint64
	deleted bool
}

func newTarget() *target { return &target{rows: map[string]row{}, order: map[string][]int64{}} }

func (s *target) Write(ctx context.Context, batch []*cdc.Record) error {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(ctx, batch); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, r := range batch {
		s.writes++
		at := fmt.Sprintf("%s-%d", r.Topic, r.Partition)
		s.order[at] = append(s.order[at], r.Offset)
		key := r.Route + "/" + string(r.RawKey)
		if old, ok := s.rows[key]; ok && old.version > r.Version {
			continue
		}
		s.rows[key] = row{string(r.RawValue), r.Version, r.Deleted}
	}
	s.mu.Unlock()
	if s.after != nil {
		return s.after(ctx, batch)
	}
	return nil
}

// admitting refuses versions that cannot be compared with those of their topic
// before, as the real targets do; known outlives runners.
func admitting(known map[string]string) func(context.Context, []*cdc.Record) error {
	var mu sync.Mutex
	return func(_ context.Context, batch []*cdc.Record) error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range batch {
			has, ok := known[r.Topic]
			if ok && has != r.Domain && !sink.Continues(has, r.Domain) {
				return &sink.Stopped{Reason: fmt.Errorf("versions of %s and %s cannot be compared", has, r.Domain)}
			}
			known[r.Topic] = r.Domain
		}
		return nil
	}
}

func (s *target) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

func (s *target) get(key string) (row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[key]
	return r, ok
}

// fake starts a Kafka in memory with topics of 3 partitions.
func fake(t testing.TB, topics ...string) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

// connect is a client for the test's own questions.
func connect(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// produce writes records and returns when they are acknowledged.
func produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// flat is a flat JSON record of a partition.
func flat(topic string, partition int32, id, n int) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: fmt.Appendf(nil, `{"id":%d,"n":%d}`, id, n)}
}

// configure reads a runtime's configuration as a binary would.
func configure(t testing.TB, properties map[string]string) (Config, []config.Notice, error) {
	t.Helper()
	v, _, err := config.Parse(properties, config.Common, kafka.Properties, Properties, transform.Properties)
	if err != nil {
		return Config{}, nil, err
	}
	c, err := NewConfig(v)
	return c, v.Notices(), v.Complete(nil, err)
}

// setup is a runner that is to be made, with what tests change.
type setup struct {
	addr       string
	writer     sink.Writer
	properties map[string]string
	limits     Limits
	chain      func() (Chain, error)
	client     []kgo.Opt
	now        func() time.Time
}

// build makes the runner.
func (s setup) build(t testing.TB) *Runner {
	t.Helper()
	r, err := New(s.options(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// options are what the runner is made of.
func (s setup) options(t testing.TB) Options {
	t.Helper()
	properties := map[string]string{
		"name": "test", "bootstrap.servers": s.addr, "retry.backoff.ms": "10", "errors.retry.delay.max.ms": "100",
		"offset.flush.interval.ms": "20", "consumer.override.heartbeat.interval.ms": "200", "consumer.override.session.timeout.ms": "6000",
		"consumer.override.fetch.max.wait.ms": "100", "consumer.override.metadata.max.age.ms": "1000",
	}
	for name, text := range s.properties {
		properties[name] = text
	}
	c, _, err := configure(t, properties)
	if err != nil {
		t.Fatal(err)
	}
	if s.limits == (Limits{}) {
		s.limits = Limits{Records: 100, Bytes: 1 << 20, Linger: 5 * time.Millisecond}
	}
	return Options{
		Config: c, Limits: s.limits, Writer: s.writer, Chain: s.chain, Component: "weir-test", Version: "0",
		Log: logger(t), Metrics: prometheus.NewRegistry(), Now: s.now, Client: s.client,
	}
}

// logger logs to the test while it runs.
func logger(t testing.TB) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
}

// start runs r until stop is called or the test ends.
func start(t testing.TB, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// patience is how long something may take to come about, on a machine that has much
// else to do.
const patience = 4 * time.Minute

// eventually waits until check is nil.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// caughtUp waits until everything is written and committed.
func caughtUp(t testing.TB, r *Runner, partitions int) {
	t.Helper()
	eventually(t, func() error {
		r.mu.Lock()
		l := r.life
		r.mu.Unlock()
		if l == nil {
			return errors.New("no client")
		}
		if err := l.look(context.Background()); err != nil { // the ends as they are now
			return err
		}
		s := r.Status()
		if len(s.Tasks) != partitions {
			return fmt.Errorf("%d partitions assigned, want %d", len(s.Tasks), partitions)
		}
		if s.Lag.Records != 0 {
			return fmt.Errorf("lag %d: %s", s.Lag.Records, describe(r))
		}
		return nil
	})
}

// describe is the status as a line a partition.
func describe(r *Runner) string {
	var b strings.Builder
	for _, t := range r.Status().Tasks {
		fmt.Fprintf(&b, "\n%s-%d %s committed %d end %d", t.Topic, t.Partition.Partition, t.State, t.Committed, t.End)
		if t.Problem != nil {
			b.WriteString(" " + t.Problem.Text)
		}
	}
	return b.String()
}

// committedOffsets are the group's.
func committedOffsets(t testing.TB, cl *kgo.Client, group string) kadm.OffsetResponses {
	t.Helper()
	offsets, err := kadm.NewClient(cl).FetchOffsets(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

// consume reads n records of a topic from its beginning.
func consume(t testing.TB, addr, topic string, n int) []*kgo.Record {
	t.Helper()
	cl := connect(t, addr, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(100*time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records in %s", len(out), n, topic)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// dialTCP is the network as it is.
func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

var errTarget = errors.New("the target does not answer")
