package consumers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
)

// ledger is a target that knows which offsets are durable.
type ledger struct {
	*target
	durable map[string]map[int64]bool
}

func (l *ledger) Write(ctx context.Context, batch []*cdc.Record) error {
	if err := l.target.Write(ctx, batch); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range batch {
		at := fmt.Sprintf("%s-%d", r.Topic, r.Partition)
		if l.durable[at] == nil {
			l.durable[at] = map[int64]bool{}
		}
		l.durable[at][r.Offset] = true
	}
	return nil
}

// upTo is the first offset of a partition that is not durable.
func (l *ledger) upTo(at string) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.durable[at][n] {
		n++
	}
	return n
}

// members is one seed: runners come and go over one target.
type members struct {
	t      *testing.T
	rng    *rand.Rand
	mu     sync.Mutex
	calm   bool
	addr   string
	dial   *kfake.VirtualNetwork
	target *ledger
	counts map[string]int
	stop   func()
}

func (m *members) chance(p float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.calm && m.rng.Float64() < p
}

func (m *members) between(lo, hi time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return lo + time.Duration(m.rng.Int64N(int64(hi-lo)))
}

func (m *members) count(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[what]++
}

// write is what the target does: slow, failing, failing but done, or stuck.
func (m *members) write(ctx context.Context, _ []*cdc.Record) error {
	d := m.between(time.Millisecond, 200*time.Millisecond)
	switch {
	case m.chance(0.05):
		m.count("writes that hang")
		time.Sleep(m.between(5*time.Second, 40*time.Second)) // deaf to its context, for longer than a revoke waits
	case m.chance(0.1):
		m.count("writes that fail")
		return errTarget
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	return nil
}

// incarnation runs one process until it is killed, stopped, or stop is closed.
func (m *members) incarnation(name string, stop <-chan struct{}) {
	network := newChaosNet(m.dial.DialContext)
	network.setHook(func(c *chaosConn, key int16) {
		switch {
		case key == 8 && m.chance(0.05):
			m.count("commit answers lost")
			c.loseAnswers(m.between(500*time.Millisecond, 2*time.Second))
		case key == 8 && m.chance(0.05):
			m.count("commits delayed")
			c.delayWrites(m.between(time.Second, 30*time.Second))
		case key == 11 && m.chance(0.05):
			c.delayWrites(m.between(3*time.Second, 20*time.Second))
		case m.chance(0.002):
			m.count("connections cut")
			network.cut()
		}
	})
	c, _, err := configure(m.t, map[string]string{
		"name": "test", "bootstrap.servers": m.addr, "topics": "t", "retry.backoff.ms": "50", "errors.retry.delay.max.ms": "1000",
		"consumer.override.session.timeout.ms": "6000", "consumer.override.heartbeat.interval.ms": "1000", "consumer.override.max.poll.interval.ms": "6000",
		"consumer.override.request.timeout.ms": "3000",
	})
	if err != nil {
		m.t.Error(err)
		return
	}
	r, err := New(Options{
		Config: c, Limits: Limits{Records: 20, Bytes: 1 << 16, Linger: 20 * time.Millisecond}, Writer: m.target,
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Random: func() float64 { return 0.5 },
		Client: []kgo.Opt{kgo.Dialer(network.Dial), kgo.ClientID(name), kgo.RetryTimeout(6 * time.Second)},
	})
	if err != nil {
		m.t.Error(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.setStop(cancel)
	go func() {
		life := time.NewTimer(m.between(5*time.Second, 90*time.Second))
		defer life.Stop()
		select {
		case <-life.C:
			if m.chance(0.5) {
				m.count("crashes")
				network.crash()
			} else if !m.chance(0.5) && !m.isCalm() {
				m.count("stops")
			} else {
				<-stop
			}
		case <-stop:
		}
		cancel()
	}()
	_ = r.Run(ctx) // a write that hangs may outlive it
}

// setStop keeps what stops the newest incarnation, and nudge does it: the
// group rebalances.
func (m *members) setStop(stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop = stop
}

func (m *members) nudge() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop()
}

func (m *members) isCalm() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calm
}

// membersSeed plays one seed on a virtual clock.
func membersSeed(t *testing.T, seed uint64, counts map[string]int) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		cluster, err := kfake.NewCluster(kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(3, "t"),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}), kfake.GroupMinSessionTimeout(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		m := &members{t: t, rng: rand.New(rand.NewPCG(seed, 3)), addr: cluster.ListenAddrs()[0], dial: network, counts: counts,
			target: &ledger{newTarget(), map[string]map[int64]bool{}}}
		m.target.before = m.write
		cl, err := kgo.NewClient(kgo.SeedBrokers(m.addr), kgo.Dialer(network.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						m.incarnation(fmt.Sprintf("m%d.%d", i, n), stop)
						time.Sleep(m.between(10*time.Millisecond, 3*time.Second))
					}
				}
			})
		}
		const records = 600
		for i := range records {
			produce(t, cl, flat("t", int32(i%3), i%60, i))
			time.Sleep(m.between(10*time.Millisecond, 400*time.Millisecond))
			if i%50 == 0 {
				m.neverAhead(t, cl)
			}
		}
		m.mu.Lock()
		m.calm = true
		m.mu.Unlock()
		deadline, nudge := time.Now().Add(10*time.Minute), time.Now().Add(2*time.Minute)
		for !m.finished(t, cl, records/3) {
			if time.Now().After(nudge) { // kfake (not Kafka) keeps a member whose join met a dead connection
				nudge = nudge.Add(2 * time.Minute)
				m.nudge()
			}
			if time.Now().After(deadline) {
				t.Errorf("seed %d: not finished: %v", seed, committedOffsets(t, cl, "weir-test").Sorted())
				break
			}
			time.Sleep(time.Second)
		}
		close(stop)
		wg.Wait()
		time.Sleep(time.Minute)
		m.neverAhead(t, cl)
		for id := range 60 {
			want := fmt.Sprintf(`{"id":%d,"n":%d}`, id, records-60+id)
			if got, _ := m.target.get(fmt.Sprintf(`t/{"id":%d}`, id)); got.text != want {
				t.Errorf("seed %d: id %d is %s, want %s", seed, id, got.text, want)
			}
		}
		cl.Close()
		cluster.Close()
		time.Sleep(10 * time.Minute)
	})
}

// neverAhead checks that nothing is committed that is not durable.
func (m *members) neverAhead(t *testing.T, cl *kgo.Client) {
	for _, o := range committedOffsets(t, cl, "weir-test").Sorted() {
		if at := fmt.Sprintf("t-%d", o.Partition); o.At > m.target.upTo(at) {
			t.Errorf("%s: %d is committed, durable is %d", at, o.At, m.target.upTo(at))
		}
	}
}

func (m *members) finished(t *testing.T, cl *kgo.Client, each int64) bool {
	offsets := committedOffsets(t, cl, "weir-test")
	for p := range int32(3) {
		if o, ok := offsets.Lookup("t", p); !ok || o.At != each {
			return false
		}
	}
	return true
}

// TestRunnersUnderChaos: members come, go and crash, commits are lost, writes
// hang; nothing is committed before it is durable, and all of it arrives.
func TestRunnersUnderChaos(t *testing.T) {
	counts := map[string]int{}
	for seed := uint64(1); seed <= 15; seed++ {
		membersSeed(t, seed, counts)
	}
	t.Log(counts)
	for _, what := range []string{"crashes", "stops", "writes that hang", "writes that fail", "commits delayed", "commit answers lost", "connections cut"} {
		if counts[what] == 0 {
			t.Errorf("no %s: the trial tries nothing", what)
		}
	}
}
