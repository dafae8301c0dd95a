package consumers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// The trial of the whole runtime with a RangeWriter: runners that come, go,
// crash, freeze and lose their connections over one object store that is slow,
// fails, fails though it is done, or is done much later. Every object must stay
// as it was first written, and every committed record must be in exactly one.

const (
	trialPartitions = 3
	trialRunners    = 3
	trialRecords    = 150 // per partition, transaction markers not counted
)

// trial is the world of one seed.
type trial struct {
	seed    uint64
	topic   string
	group   string
	brokers string
	client  []kgo.Opt // how to connect
	session time.Duration
	lasts   time.Duration // how long things go wrong
	settles time.Duration // and how long it may take to get right then
	late    time.Duration // the longest that a write arrives after its sender gave it up
	wrap    func(*rangeFlow) flow
	sink    func(*trialSink) // leaves a rule out
	store   *objects
	stop    chan struct{}
	wg      sync.WaitGroup
	expect  map[string]bool // "partition/offset" of the committed records

	mu    sync.Mutex
	rng   *rand.Rand
	calm  bool
	stats map[string]int
	trace []string
	began time.Time
	alive []*trialRunner
}

func (w *trial) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats[what]++
}

func (w *trial) logf(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%8.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, a...))
}

// chance is true with probability p while chaos lasts.
func (w *trial) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.calm && w.rng.Float64() < p
}

func (w *trial) between(lo, hi time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func (w *trial) intn(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// trialSink is a RangeWriter of one object per hour of record time, and for odd
// partitions per minute of the frozen instant too.
type trialSink struct {
	w *trial
	p *trialRunner

	clockNames, early, late bool // rules left out
}

func (s *trialSink) Layout() string { return "trial" }

func (s *trialSink) Empty(_ context.Context, p sink.Partition) (bool, error) {
	s.w.store.mu.Lock()
	defer s.w.store.mu.Unlock()
	for name := range s.w.store.all {
		if strings.HasPrefix(name, fmt.Sprintf("%d/", p.Number)) {
			return false, nil
		}
	}
	return true, nil
}

func (s *trialSink) Open(p sink.Partition, start int64, instant time.Time, redo bool) (sink.Range, error) {
	if redo {
		s.w.count("ranges rendered again")
	}
	s.w.logf("%s/%d opens %d at %v, again %v", s.p.name, p.Number, start, instant.Unix(), redo)
	return &trialRange{
		s: s, part: p.Number, start: start, instant: instant, want: 1 + s.w.intn(25),
		until: time.Now().Add(s.w.between(50*time.Millisecond, 4*time.Second)),
	}, nil
}

type trialRange struct {
	s       *trialSink
	part    int32
	start   int64
	instant time.Time
	want    int
	until   time.Time
	records []taken
}

func (r *trialRange) Append(batch []*cdc.Record) error {
	for _, b := range batch {
		r.records = append(r.records, taken{offset: b.Offset, hour: time.UnixMilli(b.Timestamp).UTC().Hour()})
	}
	return nil
}

func (r *trialRange) Advance(ctx context.Context) error {
	if r.s.early {
		_ = r.publish(ctx)
	}
	return nil
}

func (r *trialRange) Fit(_ time.Time, next []*cdc.Record) int {
	return min(len(next), max(0, r.want-len(r.records)))
}

func (r *trialRange) Due(now time.Time) bool {
	return len(r.records) > 0 && (len(r.records) >= r.want || now.After(r.until))
}

func (r *trialRange) Records() int { return len(r.records) }
func (r *trialRange) Files() bool  { return len(r.records) > 0 }
func (r *trialRange) Discard()     {}

func (r *trialRange) Complete(ctx context.Context, end int64) error {
	r.s.w.logf("%s/%d completes [%d,%d)", r.s.p.name, r.part, r.start, end)
	r.s.p.at("before the files")
	if r.s.late {
		go func() { _ = r.publish(ctx) }()
		return nil
	}
	if err := r.publish(ctx); err != nil {
		return err
	}
	r.s.p.at("after the files")
	r.s.w.count("ranges")
	return nil
}

// publish writes the objects. It does not look at its context: every zombie
// here is a stubborn one.
func (r *trialRange) publish(context.Context) error {
	files := render(r.part, r.start, r.records)
	for _, name := range slices.Sorted(mapKeys(files)) {
		clock := r.instant
		if r.s.clockNames {
			clock = time.Now()
		}
		full := name
		if r.part%2 == 1 {
			full = fmt.Sprintf("%s-%02d", name, clock.Minute())
		}
		r.s.p.at("before a file")
		if !r.s.p.live() {
			return errors.New("crashed")
		}
		if err := r.s.w.put(full, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// put writes an object: slowly, or it fails, fails though it is done, or is done
// much later.
func (w *trial) put(name, body string) error {
	took := w.between(5*time.Millisecond, 800*time.Millisecond)
	if w.chance(0.05) {
		took *= 10
	}
	if !w.chance(1) { // calm
		took = 10 * time.Millisecond
	}
	time.Sleep(took)
	switch {
	case w.chance(0.10):
		return errPut
	case w.chance(0.08):
		w.store.apply(name, body)
		return errPut
	case w.chance(0.06):
		w.store.late.Add(1)
		time.AfterFunc(w.between(w.late/30, w.late), func() {
			defer w.store.late.Done()
			w.store.apply(name, body)
		})
		return errPut
	}
	w.store.apply(name, body)
	return nil
}

func mapKeys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// trialRunner is one incarnation of a process.
type trialRunner struct {
	w      *trial
	name   string
	net    *chaosNet
	step   valve // of the workers; the network has its own
	runner *Runner
	ctx    context.Context
	kill   context.CancelFunc
}

func (p *trialRunner) live() bool { return p.ctx.Err() == nil }

// at is a step: the process may freeze there whole, or this goroutine alone, or
// it crashes.
func (p *trialRunner) at(step string) {
	w := p.w
	switch {
	case w.chance(0.02):
		w.count("freezes")
		d := w.between(w.session/4, 4*w.session)
		w.logf("%s freezes for %v %s", p.name, d, step)
		p.net.valve.shut()
		p.step.shut()
		time.AfterFunc(d, func() { p.net.valve.open(); p.step.open() })
	case w.chance(0.04):
		w.count("stalls")
		time.Sleep(w.between(w.session/4, 5*w.session))
	case w.chance(0.02):
		w.count("crashes")
		w.logf("%s crashes %s", p.name, step)
		p.kill()
		p.net.crash()
	}
	p.step.pass()
}

// wire makes the network bad for the connection that carries a request.
func (p *trialRunner) wire(c *chaosConn, key int16) {
	const joinGroup, syncGroup, offsetCommit = 11, 14, 8
	w := p.w
	switch {
	case key == joinGroup && w.chance(0.06):
		c.delayWrites(w.between(w.session/2, 4*w.session))
	case key == syncGroup && w.chance(0.08):
		c.holdReads(w.between(w.session/60, w.session/3))
	case key != offsetCommit:
	case w.chance(0.04):
		w.count("commit answers lost")
		c.loseAnswers(w.between(w.session/12, w.session/3))
	case w.chance(0.06):
		w.count("commits delayed")
		c.delayWrites(w.between(w.session/6, 7*w.session))
	case w.chance(0.02):
		w.count("connections cut")
		p.net.cut()
	}
}

// begin makes a process.
func (w *trial) begin(t testing.TB, name string, dial func(*chaosNet) kgo.Opt) *trialRunner {
	p := &trialRunner{w: w, name: name}
	p.ctx, p.kill = context.WithCancel(context.Background())
	s := &trialSink{w: w, p: p}
	if w.sink != nil {
		w.sink(s)
	}
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	c, _, err := configure(t, map[string]string{
		"name": w.group, "group.id": w.group, "bootstrap.servers": w.brokers, "topics": w.topic,
		"retry.backoff.ms": "50", "errors.retry.delay.max.ms": "1000", "offset.flush.interval.ms": "100",
		"consumer.override.session.timeout.ms": ms(w.session), "consumer.override.heartbeat.interval.ms": ms(w.session / 6),
		"consumer.override.max.poll.interval.ms": ms(w.session), "consumer.override.request.timeout.ms": ms(w.session / 2),
		"consumer.override.metadata.max.age.ms": "1000", "consumer.override.max.partition.fetch.bytes": "2000",
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	p.net = newChaosNet(nil)
	p.runner, err = New(Options{
		Config: c, Limits: Limits{Records: 40, Bytes: 1 << 16, Linger: 10 * time.Millisecond}, Ranges: s, Rendering: RangeConfig{wrap: w.wrap},
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Random: func() float64 { return 0.5 },
		Client: []kgo.Opt{dial(p.net), kgo.ClientID(name), kgo.RetryTimeout(w.session)},
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	p.net.setHook(p.wire)
	return p
}

// slot runs one process after the other.
func (w *trial) slot(t testing.TB, i int, dial func(*chaosNet) kgo.Opt) {
	defer w.wg.Done()
	time.Sleep(w.between(0, w.session))
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		p := w.begin(t, fmt.Sprintf("r%d.%d", i, n), dial)
		if p == nil {
			return
		}
		w.mu.Lock()
		w.alive = append(w.alive, p)
		w.mu.Unlock()
		w.wg.Add(1)
		go w.fate(p, w.between(w.session, w.lasts))
		if err := p.runner.Run(p.ctx); err != nil {
			w.logf("%s: %v", p.name, err)
		}
		for _, task := range p.runner.Status().Tasks {
			if task.Problem != nil {
				w.logf("%s: %s", p.name, task.Problem.Text)
			}
		}
		p.kill()
		time.Sleep(w.between(10*time.Millisecond, w.session))
	}
}

// fate decides how a process ends.
func (w *trial) fate(p *trialRunner, life time.Duration) {
	defer w.wg.Done()
	t := time.NewTimer(life)
	defer t.Stop()
	select {
	case <-t.C:
		if w.chance(0.6) {
			w.count("crashes")
			w.logf("%s crashes", p.name)
			p.kill()
			p.net.crash()
		} else if w.chance(0.8) {
			w.count("stops")
			p.kill()
		}
	case <-p.ctx.Done():
	}
	select {
	case <-p.ctx.Done():
	case <-w.stop:
		p.kill()
	}
}

// feed produces over the first two thirds of the chaos, in transactions, of
// which some are aborted.
func (w *trial) feed(t testing.TB) {
	cl, err := kgo.NewClient(append(slices.Clone(w.client), kgo.SeedBrokers(w.brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(w.group+"-feed"))...)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	base := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for i := 0; i < trialRecords; {
		n := min(1+w.intn(12), trialRecords-i)
		keep := w.intn(5) > 0
		if err := cl.BeginTransaction(); err != nil {
			t.Error(err)
			return
		}
		var records []*kgo.Record
		for k := range n {
			for part := range int32(trialPartitions) {
				at := base.Add(time.Duration(w.intn(3))*time.Hour + time.Duration(i+k)*time.Second)
				records = append(records, &kgo.Record{Topic: w.topic, Partition: part, Key: []byte(`{"id":1}`), Value: []byte(`{"id":1}`), Timestamp: at})
			}
		}
		results := cl.ProduceSync(context.Background(), records...)
		if err := errors.Join(results.FirstErr(), cl.EndTransaction(context.Background(), kgo.TransactionEndTry(keep))); err != nil {
			t.Error(err)
			return
		}
		if keep {
			i += n
			w.mu.Lock()
			for _, r := range results {
				w.expect[fmt.Sprintf("%d/%d", r.Record.Partition, r.Record.Offset)] = true
			}
			w.mu.Unlock()
		}
		time.Sleep(w.between(w.lasts/60, w.lasts/15))
	}
}

// play runs the seed and returns what went wrong.
func (w *trial) play(t testing.TB, dial func(*chaosNet) kgo.Opt) []string {
	w.rng, w.stats, w.began = rand.New(rand.NewPCG(w.seed, 1)), map[string]int{}, time.Now()
	w.stop, w.expect = make(chan struct{}), map[string]bool{}
	w.store = &objects{all: map[string]string{}, home: map[string]string{}}
	cl, err := kgo.NewClient(append(slices.Clone(w.client), kgo.SeedBrokers(w.brokers))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	w.wg.Add(trialRunners)
	fed := make(chan struct{})
	go func() { defer close(fed); w.feed(t) }()
	for i := range trialRunners {
		go w.slot(t, i, dial)
	}
	time.Sleep(w.lasts)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.logf("calm")
	<-fed
	w.settle(t, cl)
	w.store.late.Wait() // whatever is on its way may arrive
	time.Sleep(w.late / 8)
	close(w.stop)
	w.wg.Wait()
	w.store.late.Wait()
	time.Sleep(w.late / 8)
	w.judge()
	if at := w.behind(t, cl); at != "" && len(w.store.failures()) == 0 {
		w.store.fail("what was committed went back: %s", at)
	}
	return w.store.failures()
}

// judge counts every record in the objects themselves.
func (w *trial) judge() {
	found := map[string]int{}
	w.store.mu.Lock()
	for name, body := range w.store.all {
		part, _, _ := strings.Cut(name, "/")
		for _, offset := range strings.Fields(body) {
			found[part+"/"+offset]++
		}
	}
	w.store.mu.Unlock()
	for at := range w.expect {
		if found[at] != 1 {
			w.store.fail("record %s is in %d objects", at, found[at])
		}
		delete(found, at)
	}
	for at := range found {
		w.store.fail("record %s was never committed", at)
	}
}

// behind names a partition that is not committed to its end, idle.
func (w *trial) behind(t testing.TB, cl *kgo.Client) string {
	ends := stableEnds(t, cl, w.topic)
	offsets := committedOffsets(t, cl, w.group)
	for part := range int32(trialPartitions) {
		o, ok := offsets.Lookup(w.topic, part)
		m, err := parseRangeMark(o.Metadata, o.At)
		if !ok || err != nil || m.pending != 0 || o.At != ends[part] {
			return fmt.Sprintf("partition %d is at %d of %d, %q", part, o.At, ends[part], o.Metadata)
		}
	}
	return ""
}

// settle waits until all is done. A member that kfake (not Kafka) keeps though
// its join met a dead connection is removed by a rebalance.
func (w *trial) settle(t testing.TB, cl *kgo.Client) {
	end := time.Now().Add(w.settles)
	nudge := time.Now().Add(w.settles / 4)
	for len(w.store.failures()) == 0 {
		at := w.behind(t, cl)
		if at == "" {
			return
		}
		time.Sleep(w.session / 6)
		if time.Now().After(end) {
			w.store.fail("not finished: %s", at)
			return
		}
		if time.Now().After(nudge) {
			nudge = time.Now().Add(w.settles / 4)
			w.nudge()
		}
	}
}

func (w *trial) nudge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.alive {
		if p.live() {
			w.stats["nudges"]++
			p.kill()
			return
		}
	}
}

// trialSeed plays one seed against kfake on a virtual clock.
func trialSeed(t *testing.T, w *trial) (bad []string) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		c, err := kfake.NewCluster(kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(trialPartitions, "t"),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
			kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.GroupMaxSessionTimeout(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.topic, w.group, w.brokers = "t", "g", c.ListenAddrs()[0]
		w.client = []kgo.Opt{kgo.Dialer(network.DialContext)}
		w.session, w.lasts, w.settles, w.late = 6*time.Second, 3*time.Minute, 6*time.Minute, time.Minute
		bad = w.play(t, func(n *chaosNet) kgo.Opt { n.dial = network.DialContext; return kgo.Dialer(n.Dial) })
		c.Close()
		time.Sleep(10 * time.Minute) // every sleeper ends; it costs nothing here
	})
	if dir := os.Getenv("TRACE"); dir != "" && len(bad) > 0 {
		_ = os.WriteFile(fmt.Sprintf("%s/trial-%d.txt", dir, w.seed), []byte(strings.Join(append(w.trace, bad...), "\n")), 0o644)
	}
	return bad
}

func trialSeeds(otherwise int) (from, n uint64) {
	from, n = 1, uint64(otherwise)
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		from = v
	}
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		n = v
	}
	return from, n
}

// TestRangesExactlyOnce plays the trial with all rules. SEEDS=n plays more,
// SEED=n begins elsewhere, TRACE=folder writes down what a failed seed did.
func TestRangesExactlyOnce(t *testing.T) {
	stats := map[string]int{}
	from, n := trialSeeds(40)
	for seed := from; seed < from+n; seed++ {
		w := &trial{seed: seed}
		for _, bad := range trialSeed(t, w) {
			t.Errorf("seed %d: %s", seed, bad)
		}
		for what, n := range w.stats {
			stats[what] += n
		}
		stats["objects written again"] += w.store.again
	}
	t.Log(stats)
	for _, what := range []string{"ranges", "ranges rendered again", "objects written again", "crashes", "freezes", "commits delayed", "commit answers lost"} {
		if stats[what] == 0 {
			t.Errorf("no %s: the trial tries nothing", what)
		}
	}
}

// halfOpen ignores what is pending.
type halfOpen struct{ *rangeFlow }

func (f halfOpen) open(ctx context.Context) error {
	err := f.rangeFlow.open(ctx)
	f.mark.pending = 0
	f.discard()
	return err
}

// thawed renders a pending range again by another clock.
type thawed struct{ *rangeFlow }

func (f thawed) open(ctx context.Context) error {
	if err := f.rangeFlow.open(ctx); err != nil || f.mark.pending == 0 {
		return err
	}
	return f.begin(time.Now(), true)
}

// ajar renders a pending range again, and what follows with it.
type ajar struct{ *rangeFlow }

func (f ajar) open(ctx context.Context) error {
	err := f.rangeFlow.open(ctx)
	if f.mark.pending > 0 {
		f.mark.pending += 7
	}
	return err
}

// TestRangesTrialNoticesBrokenRules leaves one rule out at a time.
func TestRangesTrialNoticesBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name string
		wrap func(*rangeFlow) flow
		sink func(*trialSink)
	}{
		{name: "no intent", wrap: func(f *rangeFlow) flow {
			f.intend = func(_ context.Context, end int64) error { f.mark.pending = end; return nil }
			return f
		}},
		{name: "a pending intent is ignored", wrap: func(f *rangeFlow) flow { return halfOpen{f} }},
		{name: "a pending range is rendered with another end", wrap: func(f *rangeFlow) flow { return ajar{f} }},
		{name: "a pending range is rendered with another instant", wrap: func(f *rangeFlow) flow { return thawed{f} }},
		{name: "files before the intent is committed", sink: func(s *trialSink) { s.early = true }},
		{name: "completion before the files are there", sink: func(s *trialSink) { s.late = true }},
		{name: "names from the clock", sink: func(s *trialSink) { s.clockNames = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, n := trialSeeds(60)
			for seed := uint64(1); seed <= n; seed++ {
				if bad := trialSeed(t, &trial{seed: seed, wrap: c.wrap, sink: c.sink}); len(bad) > 0 {
					t.Logf("noticed at seed %d: %s", seed, bad[0])
					return
				}
			}
			t.Error("not noticed")
		})
	}
}

// TestRangesExactlyOnceOnKafka plays seeds against Apache Kafka, in real time
// and all at once. KAFKA_SEEDS=n plays more.
func TestRangesExactlyOnceOnKafka(t *testing.T) {
	t.Parallel()
	seeds := 2
	if v, err := strconv.Atoi(os.Getenv("KAFKA_SEEDS")); err == nil {
		seeds = v
	}
	brokers := servers.Kafka(t)
	var wg sync.WaitGroup
	for seed := range seeds {
		w := &trial{
			seed: uint64(seed + 1), topic: servers.Unique(t, "ranges"), group: servers.Unique(t, "ranges"), brokers: brokers,
			session: 6 * time.Second, lasts: 15 * time.Second, settles: 90 * time.Second, late: 10 * time.Second,
		}
		createTopic(t, brokers, w.topic, trialPartitions)
		wg.Go(func() {
			for _, bad := range w.play(t, func(n *chaosNet) kgo.Opt { n.dial = netDial; return kgo.Dialer(n.Dial) }) {
				t.Errorf("seed %d: %s", w.seed, bad)
			}
			t.Logf("seed %d: %v", w.seed, w.stats)
		})
	}
	wg.Wait()
}
