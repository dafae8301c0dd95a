package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// The trial of the whole runtime, the same for every shape of sink: runners
// that come, go, crash, freeze, are made to rebalance and lose their
// connections, on brokers whose leaders and coordinators move, over a target
// that is slow, fails, and fails though it is done. The records come in
// transactions, of which some are aborted; every 17th can never be written and
// is a dead letter; a partition is added on the way.

const (
	trialPartitions = 3
	trialRunners    = 3
	trialRecords    = 150 // per partition, or a few more, transaction markers not counted
)

// unwritable says whether no target takes the record at offset.
func unwritable(offset int64) bool { return offset%17 == 5 }

// shape is what differs between sinks: what runs, and what must be true.
type shape interface {
	// options adds the sink of a process.
	options(p *trialRunner, o *Options)
	// durable says whether the target has the record.
	durable(part int32, offset int64) bool
	// finished says whether the metadata committed with offset leave nothing open.
	finished(offset int64, metadata string) bool
	// wait returns when nothing is on its way to the target any more.
	wait()
	// judge says what is wrong in the target.
	judge() []string
}

// fed is a record of a committed transaction.
type fed struct {
	part       int32
	offset     int64
	key, value string
}

// trial is the world of one seed.
type trial struct {
	*dice
	seed    uint64
	shape   shape
	topic   string
	group   string
	brokers string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	weather func()          // what goes wrong at the brokers, until it is calm
	until   <-chan struct{} // chaos and load go on at least until it is closed; nil: for lasts
	witness *witness
	session time.Duration
	lasts   time.Duration // how long things go wrong
	settles time.Duration // and how long it may take to get right then
	late    time.Duration // the longest that something arrives after its sender gave it up
	wrap    func(flow) flow
	stop    chan struct{}
	wg      sync.WaitGroup

	mu         sync.Mutex
	first      int32 // partitions to begin with
	partitions int32
	fed        []fed
	trace      []string
	began      time.Time
	alive      []*trialRunner
	bad        []string
}

func (w *trial) logf(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%8.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, a...))
}

func (w *trial) fail(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = append(w.bad, fmt.Sprintf(format, a...))
}

// trialRunner is one incarnation of a process.
type trialRunner struct {
	*process
	w      *trial
	runner *Runner
}

// begin makes a process.
func (w *trial) begin(t testing.TB, name string) *trialRunner {
	p := &trialRunner{w: w, process: newProcess(w.dice, name, w.session, newChaosNet(w.dial))}
	p.process.trace = w.logf
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	c, _, err := configure(t, map[string]string{
		"name": w.group, "group.id": w.group, "bootstrap.servers": w.brokers, "topics": w.topic,
		"retry.backoff.ms": "50", "errors.retry.delay.max.ms": "1000", "offset.flush.interval.ms": "100",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": w.group + "-dlq", "errors.deadletterqueue.context.headers.enable": "true",
		"producer.override.compression.type":   "none", // the witness reads along
		"consumer.override.session.timeout.ms": ms(w.session), "consumer.override.heartbeat.interval.ms": ms(w.session / 6),
		"consumer.override.max.poll.interval.ms": ms(w.session), "consumer.override.request.timeout.ms": ms(w.session / 2),
		"consumer.override.metadata.max.age.ms": "1000", "consumer.override.max.partition.fetch.bytes": "2000",
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	o := Options{
		Config: c, Limits: Limits{Records: 40, Bytes: 1 << 16, Linger: 10 * time.Millisecond},
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Random: func() float64 { return 0.5 },
		Client: []kgo.Opt{kgo.Dialer(p.net.Dial), kgo.ClientID(name), kgo.RetryTimeout(w.session)},
	}
	w.shape.options(p, &o)
	if p.runner, err = New(o); err != nil {
		t.Error(err)
		return nil
	}
	p.runner.wrap = w.wrap
	p.rejoin = p.joinAgain
	return p
}

// joinAgain makes the member join its group again.
func (p *trialRunner) joinAgain() {
	p.runner.mu.Lock()
	l := p.runner.life
	p.runner.mu.Unlock()
	if l != nil {
		l.client.ForceRebalance()
	}
}

// slot runs one process after the other.
func (w *trial) slot(t testing.TB, i int) {
	time.Sleep(w.between(0, w.session))
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		p := w.begin(t, fmt.Sprintf("r%d.%d", i, n))
		if p == nil {
			return
		}
		w.mu.Lock()
		w.alive = append(w.alive, p)
		w.mu.Unlock()
		w.wg.Go(func() { p.fate(w.between(w.session, w.lasts), nil, w.stop) })
		if err := p.runner.Run(p.ctx); err != nil {
			w.logf("%s: %v", p.name, err)
		}
		p.kill()
		time.Sleep(w.between(10*time.Millisecond, w.session))
	}
}

func (w *trial) members() (out []*process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.alive {
		out = append(out, p.process)
	}
	return out
}

// connect is a client that nothing happens to.
func (w *trial) connect(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(w.brokers, ",")...), kgo.Dialer(w.dial), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// feed produces over the first two thirds of the chaos, in transactions, of
// which some are aborted.
func (w *trial) feed(t testing.TB) {
	cl := w.connect(t, kgo.TransactionalID(w.group+"-feed"), kgo.MetadataMinAge(100*time.Millisecond))
	defer cl.Close()
	for i := 0; i < trialRecords || w.goesOn(); {
		n := 1 + w.intn(12)
		if i+n > trialRecords/2 && w.width() == w.first {
			w.widen(t, cl)
		}
		if w.transaction(t, cl, i, n, w.intn(5) > 0) {
			i += n
		}
		if t.Failed() {
			return
		}
		time.Sleep(w.between(w.lasts/60, w.lasts/15))
	}
}

// goesOn says that until is not over.
func (w *trial) goesOn() bool {
	select {
	case <-w.until:
		return false
	default:
		return w.until != nil
	}
}

// transaction produces n records into every partition, and says whether they
// count.
func (w *trial) transaction(t testing.TB, cl *kgo.Client, from, n int, keep bool) bool {
	base := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	if err := cl.BeginTransaction(); err != nil {
		t.Error(err)
		return false
	}
	var records []*kgo.Record
	for k := from; k < from+n; k++ {
		for part := range w.width() {
			r := flat(w.topic, part, 100*int(part)+w.intn(10), k)
			r.Timestamp = base.Add(time.Duration(w.intn(3))*time.Hour + time.Duration(k)*time.Second)
			records = append(records, r)
		}
	}
	results := cl.ProduceSync(context.Background(), records...)
	if err := errors.Join(results.FirstErr(), cl.EndTransaction(context.Background(), kgo.TransactionEndTry(keep))); err != nil {
		t.Error(err)
		return false
	}
	if !keep {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		w.fed = append(w.fed, fed{r.Partition, r.Offset, string(r.Key), string(r.Value)})
	}
	return true
}

func (w *trial) width() int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.partitions
}

// widen adds a partition.
func (w *trial) widen(t testing.TB, cl *kgo.Client) {
	answers, err := kadm.NewClient(cl).CreatePartitions(context.Background(), 1, w.topic)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Error(err)
		return
	}
	for {
		if leader, _, err := cl.PartitionLeader(w.topic, w.first); err == nil && leader >= 0 {
			break
		}
		cl.ForceMetadataRefresh()
		time.Sleep(200 * time.Millisecond)
	}
	w.mu.Lock()
	w.partitions++
	w.mu.Unlock()
	w.count("partitions added")
	w.logf("a partition is added")
}

// play runs the seed and returns what went wrong.
func (w *trial) play(t testing.TB) []string {
	w.began, w.stop, w.partitions = time.Now(), make(chan struct{}), w.first
	w.witness.durable = w.shape.durable
	cl := w.connect(t)
	defer cl.Close()
	fed := make(chan struct{})
	go func() { defer close(fed); w.feed(t) }()
	for i := range trialRunners {
		w.wg.Go(func() { w.slot(t, i) })
	}
	w.wg.Go(w.weather)
	w.wg.Go(func() { rebalances(w.dice, w.session, w.members) })
	time.Sleep(w.lasts)
	if w.until != nil {
		<-w.until
	}
	w.settleDown()
	w.logf("calm")
	<-fed
	w.settle(t, cl)
	w.shape.wait() // whatever is on its way may arrive
	time.Sleep(w.late / 8)
	close(w.stop)
	w.wg.Wait()
	w.shape.wait()
	time.Sleep(w.late / 8)
	return w.judge(t, cl)
}

// judge looks at the target, the group, the dead letters and the witness.
func (w *trial) judge(t testing.TB, cl *kgo.Client) []string {
	bad := append(w.bad, w.shape.judge()...)
	expect := map[string]bool{}
	for _, f := range w.fed {
		expect[at(f.part, f.offset)] = true
		if unwritable(f.offset) && !w.witness.letters[at(f.part, f.offset)] {
			bad = append(bad, fmt.Sprintf("record %s is no dead letter", at(f.part, f.offset)))
		}
	}
	bad = append(bad, w.witness.judge(expect)...)
	bad = append(bad, w.wrongEpochs(t)...)
	if at := w.behind(t, cl); at != "" && len(bad) == 0 {
		bad = append(bad, "what was committed went back: "+at)
	}
	return bad
}

// wrongEpochs are commits whose leader epoch is not that of the record before
// their offset: an older one looks like a truncated log to the next consumer.
func (w *trial) wrongEpochs(t testing.TB) (bad []string) {
	epochs := w.epochs(t)
	for _, c := range w.witness.accepted {
		if epoch, ok := epochs[at(c.part, c.Offset-1)]; ok && c.LeaderEpoch >= 0 && c.LeaderEpoch != epoch {
			bad = append(bad, fmt.Sprintf("offset %d of partition %d was committed with leader epoch %d, the record before it has %d", c.Offset, c.part, c.LeaderEpoch, epoch))
		}
	}
	return bad
}

// epochs are the leader epochs of all records, aborted ones and markers too.
func (w *trial) epochs(t testing.TB) map[string]int32 {
	cl := w.connect(t, kgo.ConsumeTopics(w.topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.MetadataMinAge(100*time.Millisecond))
	defer cl.Close()
	ends := stableEnds(t, cl, w.topic)
	out := map[string]int32{}
	for len(ends) > 0 {
		cl.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			out[at(r.Partition, r.Offset)] = r.LeaderEpoch
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
		maps.DeleteFunc(ends, func(_ int32, end int64) bool { return end == 0 })
	}
	return out
}

// behind names a partition that is not committed to its end.
func (w *trial) behind(t testing.TB, cl *kgo.Client) string {
	ends := stableEnds(t, cl, w.topic)
	offsets := committedOffsets(t, cl, w.group)
	for part := range w.width() {
		o, ok := offsets.Lookup(w.topic, part)
		if !ok || o.At != ends[part] || !w.shape.finished(o.At, o.Metadata) {
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
	for {
		behind := w.behind(t, cl)
		if behind == "" {
			return
		}
		time.Sleep(w.session / 6)
		if time.Now().After(end) {
			w.fail("not finished: %s", behind)
			w.logf("%s", w.statuses())
			return
		}
		if time.Now().After(nudge) {
			nudge = time.Now().Add(w.settles / 4)
			w.nudge()
		}
	}
}

// statuses are what the processes say of themselves.
func (w *trial) statuses() string {
	w.mu.Lock()
	alive := slices.Clone(w.alive)
	w.mu.Unlock()
	var b strings.Builder
	for _, p := range alive {
		if p.live() {
			fmt.Fprintf(&b, "\n%s:%s", p.name, describe(p.runner))
		}
	}
	return b.String()
}

func (w *trial) nudge() {
	for _, p := range w.members() {
		if p.live() {
			w.count("nudges")
			p.kill()
			return
		}
	}
}

// trialSeed plays one seed on a virtual clock.
func trialSeed(t *testing.T, w *trial, shapeOf func(*trial) shape) (bad []string) {
	w.dice = newDice(w.seed)
	bubble(t, w.seed, func(t *testing.T) {
		b := newBrokers(t, w.dice, trialPartitions, "t")
		w.topic, w.group, w.brokers, w.dial, w.witness = "t", "g", b.ListenAddrs()[0], b.dial, b.witness
		w.first, w.session, w.lasts, w.settles, w.late = trialPartitions, 6*time.Second, 3*time.Minute, 6*time.Minute, time.Minute
		w.weather = func() { b.weather(w.dice, w.group, w.topic, w.session) }
		w.shape = shapeOf(w)
		bad = w.play(t)
		b.end()
	})
	if dir := os.Getenv("TRACE"); dir != "" && len(bad) > 0 {
		_ = os.WriteFile(fmt.Sprintf("%s/%s-%d.txt", dir, strings.ReplaceAll(t.Name(), "/", "-"), w.seed), []byte(strings.Join(append(w.trace, bad...), "\n")), 0o644)
	}
	return bad
}

// trialSeeds are the seeds to play, from the environment or as many as otherwise.
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

// netOfFaults is what must have gone wrong in a run of seeds, or it tries
// nothing.
var netOfFaults = []string{
	"crashes", "freezes", "stalls", "rebalance storms", "commit answers lost", "commits delayed", "commits delayed over a rejoin",
	"commits accepted and denied", "joins delayed", "assignments delayed", "offset fetches delayed", "connections cut",
	"leaders moved", "elections of all leaders", "coordinators moved", "coordinators that load", "coordinators not found", "fetches refused", "offsets not stable",
}

// playSeeds plays seeds and wants everything to have gone wrong at least once.
// SEEDS=n plays more, SEED=n begins elsewhere.
func playSeeds(t *testing.T, otherwise int, play func(seed uint64) (stats map[string]int, bad []string), more ...string) {
	t.Helper()
	sum := map[string]int{}
	from, n := trialSeeds(otherwise)
	for seed := from; seed < from+n; seed++ {
		stats, bad := play(seed)
		for _, b := range bad {
			t.Errorf("seed %d: %s", seed, b)
		}
		for what, n := range stats {
			sum[what] += n
		}
	}
	t.Log(sum)
	if n < 10 {
		return
	}
	for _, what := range append(slices.Clone(netOfFaults), more...) {
		if sum[what] == 0 {
			t.Errorf("no %s: the trial tries nothing", what)
		}
	}
}

// noticed plays seeds until something is wrong, which it has to be.
func noticed(t *testing.T, play func(seed uint64) []string) {
	t.Helper()
	_, n := trialSeeds(60)
	for seed := uint64(1); seed <= n; seed++ {
		if bad := play(seed); len(bad) > 0 {
			t.Logf("noticed at seed %d: %s", seed, bad[0])
			return
		}
	}
	t.Error("not noticed")
}
