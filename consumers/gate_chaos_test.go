package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The gate's own trial: writers that turn ranges of offsets into objects, which
// needs committed state that never goes back and one owner at a time, under
// everything that can happen to processes, connections and the group. Each seed
// plays minutes on a virtual clock. Every object must stay as it was first
// written, and every offset must be in exactly one.

const (
	chaosPartitions = 3
	chaosWriters    = 3
	chaosRecords    = 150 // per partition
	chaosSession    = 6 * time.Second
	chaosLasts      = 3 * time.Minute
	chaosSettles    = 6 * time.Minute
)

// broken is a rule that is left out, to see that the trial notices.
type broken struct {
	noIntent, ignorePending, uploadFirst, currentGeneration, noBlock, noBurn bool
}

// chaos is the world of one seed.
type chaos struct {
	seed    uint64
	broken  broken
	brokers []string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	store   *objects
	stop    chan struct{}
	wg      sync.WaitGroup

	mu    sync.Mutex
	rng   *rand.Rand
	calm  bool
	procs []*chaosProc
	stats map[string]int
}

func (w *chaos) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats[what]++
}

// chance is true with probability p while chaos lasts.
func (w *chaos) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.calm && w.rng.Float64() < p
}

func (w *chaos) between(lo, hi time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func (w *chaos) intn(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// objects is an object store: atomic writes by name. It checks at every write
// that no object changes and no offset is in two.
type objects struct {
	mu    sync.Mutex
	rng   *rand.Rand
	calm  bool
	all   map[string]string
	home  map[string]string // "partition/offset" → object
	bad   []string
	late  sync.WaitGroup
	again int
}

var errPut = errors.New("the write failed")

// put may fail, fail but be done, or be done much later.
func (s *objects) put(name, body string) error {
	s.mu.Lock()
	took := time.Duration(5+s.rng.IntN(800)) * time.Millisecond
	late := time.Duration(2000+s.rng.IntN(58000)) * time.Millisecond
	dice := s.rng.Float64()
	if s.rng.IntN(20) == 0 {
		took *= 10
	}
	if s.calm {
		took, dice = 10*time.Millisecond, 1
	}
	s.mu.Unlock()
	time.Sleep(took)
	switch {
	case dice < 0.10:
		return errPut
	case dice < 0.17:
		s.apply(name, body)
		return errPut
	case dice < 0.22:
		s.late.Add(1)
		time.AfterFunc(late, func() {
			defer s.late.Done()
			s.apply(name, body)
		})
		return errPut
	}
	s.apply(name, body)
	return nil
}

func (s *objects) apply(name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.all[name]; ok {
		s.again++
		if old != body {
			s.bad = append(s.bad, fmt.Sprintf("object %s changed: %q to %q", name, old, body))
		}
	}
	s.all[name] = body
	part, _, _ := strings.Cut(name, "/")
	for _, offset := range strings.Fields(body) {
		at := part + "/" + offset
		if home, ok := s.home[at]; ok && home != name {
			s.bad = append(s.bad, fmt.Sprintf("offset %s is in %s and in %s", at, home, name))
		}
		s.home[at] = name
	}
}

func (s *objects) fail(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = append(s.bad, fmt.Sprintf(format, a...))
}

func (s *objects) failures() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bad)
}

// missing lists offsets that are not in exactly one object, from the objects.
func (s *objects) missing(part int) (missing, twice []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := make([]int, chaosRecords)
	for name, body := range s.all {
		if !strings.HasPrefix(name, strconv.Itoa(part)+"/") {
			continue
		}
		for _, offset := range strings.Fields(body) {
			i, _ := strconv.Atoi(offset)
			count[i]++
		}
	}
	for i, n := range count {
		if n == 0 {
			missing = append(missing, i)
		} else if n > 1 {
			twice = append(twice, i)
		}
	}
	return missing, twice
}

// taken is a record as a writer keeps it.
type taken struct {
	offset int64
	hour   int
	epoch  int32
}

// render names the objects of a range by its committed start and the records.
func render(part int32, start int64, records []taken) map[string]string {
	by := map[int][]string{}
	for _, r := range records {
		by[r.hour] = append(by[r.hour], strconv.FormatInt(r.offset, 10))
	}
	out := map[string]string{}
	for hour, offsets := range by {
		out[fmt.Sprintf("%d/%012d/h%02d", part, start, hour)] = strings.Join(offsets, " ")
	}
	return out
}

// intents is the protocol of a range writer over a lease: the start a is
// committed with the end b as its metadata before anything of [a,b) is written,
// then b without one.
type intents struct {
	*Lease
	base, pending int64
	epoch         int32
}

func (i *intents) begin(ctx context.Context) error {
	had := i.Committed()
	i.base, i.epoch = i.Start(), -1
	if had.Offset < 0 {
		return i.Commit(ctx, i.base, -1, "idle")
	}
	i.epoch = had.LeaderEpoch
	if had.Metadata != "idle" {
		b, err := strconv.ParseInt(had.Metadata, 10, 64)
		if err != nil {
			return fmt.Errorf("metadata %q at %d", had.Metadata, had.Offset)
		}
		i.pending = b
	}
	return nil
}

func (i *intents) intend(ctx context.Context, b int64) error {
	if i.pending == b {
		return nil
	}
	err := i.Commit(ctx, i.base, i.epoch, strconv.FormatInt(b, 10))
	if err == nil {
		i.pending = b
	}
	return err
}

func (i *intents) complete(ctx context.Context, epoch int32) error {
	err := i.Commit(ctx, i.pending, epoch, "idle")
	if err == nil {
		i.base, i.pending, i.epoch = i.pending, 0, epoch
	}
	return err
}

// chaosProc is one incarnation of a writer process.
type chaosProc struct {
	w     *chaos
	name  string
	net   *chaosNet
	step  valve // of the workers; the network has its own
	gate  *gate
	cl    *kgo.Client
	ctx   context.Context
	kill  context.CancelFunc
	tasks sync.WaitGroup

	mu   sync.Mutex
	bufs map[*Lease]*chaosBuffer
}

type chaosBuffer struct {
	mu      sync.Mutex
	records []taken
	wake    chan struct{}
}

func (w *chaos) start(name string) *chaosProc {
	p := &chaosProc{w: w, name: name, bufs: map[*Lease]*chaosBuffer{}, net: newChaosNet(w.dial)}
	p.gate = newGate("g", chaosSession*2/3, kgo.NewOffset().AtStart())
	if w.broken.noBurn {
		p.gate.judge = func(err error) verdict {
			if v := judgeAnswer(err); v != unknown {
				return v
			}
			return moved
		}
	}
	p.ctx, p.kill = context.WithCancel(context.Background())
	opts := append(p.gate.options(),
		kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics("t"), kgo.Dialer(p.net.Dial), kgo.ClientID(name),
		kgo.SessionTimeout(chaosSession), kgo.HeartbeatInterval(chaosSession/6), kgo.RebalanceTimeout(chaosSession),
		kgo.RequestTimeoutOverhead(chaosSession/2), kgo.FetchMaxWait(500*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RetryTimeout(chaosSession), kgo.MaxConcurrentFetches(3), kgo.FetchMaxPartitionBytes(2000), kgo.Balancers(kgo.StickyBalancer()))
	var err error
	if p.cl, err = kgo.NewClient(opts...); err != nil {
		panic(err)
	}
	p.net.setHook(p.wire)
	return p
}

func (p *chaosProc) live() bool { return p.ctx.Err() == nil }

// at is a step: the process may freeze there whole, or this goroutine alone, or
// it crashes.
func (p *chaosProc) at() {
	w := p.w
	switch {
	case w.chance(0.02):
		w.count("freezes")
		p.net.valve.shut()
		p.step.shut()
		time.AfterFunc(w.between(chaosSession/4, 4*chaosSession), func() { p.net.valve.open(); p.step.open() })
	case w.chance(0.04):
		w.count("stalls")
		time.Sleep(w.between(chaosSession/4, 5*chaosSession))
	case w.chance(0.02):
		w.count("crashes")
		p.kill()
		p.net.crash()
	}
	p.step.pass()
}

// wire makes the network bad for the connection that carries a request.
func (p *chaosProc) wire(c *chaosConn, key int16) {
	const joinGroup, syncGroup, offsetCommit = 11, 14, 8
	w := p.w
	switch {
	case key == joinGroup && w.chance(0.06): // held back until the member is out
		c.delayWrites(w.between(chaosSession/2, 4*chaosSession))
	case key == syncGroup && w.chance(0.08):
		c.holdReads(w.between(chaosSession/60, chaosSession/3))
	case key != offsetCommit:
	case w.chance(0.04):
		w.count("commit answers lost")
		c.loseAnswers(w.between(chaosSession/12, chaosSession/3))
	case w.chance(0.06):
		w.count("commits delayed")
		c.delayWrites(w.between(chaosSession/6, 7*chaosSession))
	case w.chance(0.04): // and the client rejoins on its own meanwhile
		c.delayWrites(w.between(chaosSession/60, chaosSession/3))
		go p.cl.ForceRebalance()
	case w.chance(0.02):
		p.net.cut()
	}
}

// run polls until the process is killed or its client is burnt.
func (p *chaosProc) run() {
	w := p.w
	for p.live() && p.gate.err() == nil {
		ctx, cancel := context.WithTimeout(p.ctx, 300*time.Millisecond)
		fetches := p.cl.PollRecords(ctx, 40)
		cancel()
		if w.broken.noBlock {
			p.cl.AllowRebalance()
			if w.chance(0.2) {
				time.Sleep(w.between(chaosSession/10, 2*chaosSession))
			}
		}
		p.step.pass()
		fetches.EachPartition(p.take)
		p.cl.AllowRebalance()
	}
}

// take hands records to the worker of their lease.
func (p *chaosProc) take(f kgo.FetchTopicPartition) {
	if len(f.Records) == 0 {
		return
	}
	l := p.gate.lease(f.Topic, f.Partition)
	if l == nil {
		return
	}
	p.mu.Lock()
	b := p.bufs[l]
	if b == nil {
		b = &chaosBuffer{wake: make(chan struct{}, 1)}
		p.bufs[l] = b
		p.tasks.Go(func() { p.work(&intents{Lease: l}, b) })
	}
	p.mu.Unlock()
	b.mu.Lock()
	for _, r := range f.Records {
		b.records = append(b.records, taken{r.Offset, r.Timestamp.UTC().Hour(), r.LeaderEpoch})
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// work writes range after range under one lease.
func (p *chaosProc) work(l *intents, b *chaosBuffer) {
	w := p.w
	if err := l.begin(p.ctx); err != nil {
		return
	}
	if w.broken.ignorePending {
		l.pending = 0
	}
	for p.live() {
		cut, ok := p.cut(l, b)
		if !ok {
			return
		}
		end, epoch := l.pending, int32(-1)
		if len(cut) > 0 {
			epoch = cut[len(cut)-1].epoch
			if end == 0 {
				end = cut[len(cut)-1].offset + 1
			}
		}
		files := render(l.Partition(), l.base, cut)
		p.at()
		if w.broken.uploadFirst {
			p.upload(files)
		}
		if w.broken.noIntent {
			l.pending = end
		} else if l.intend(p.ctx, end) != nil {
			return
		}
		p.at()
		if !p.upload(files) {
			return
		}
		p.at()
		if !p.live() {
			return
		}
		if err := l.complete(p.ctx, epoch); err != nil {
			p.sneak(l, end, epoch, err)
			return
		}
		w.count("ranges")
	}
}

// sneak is the rule left out that a lease which ended sends nothing: it commits
// with the member id and generation that the client has now.
func (p *chaosProc) sneak(l *intents, end int64, epoch int32, err error) {
	if !p.w.broken.currentGeneration || !errors.Is(err, ErrClosed) {
		return
	}
	if member, gen := p.cl.GroupMetadata(); member != "" {
		now := &Lease{gate: p.gate, client: p.cl, part: l.part, topicID: l.topicID, member: member, gen: gen}
		_ = p.gate.send(p.ctx, now, gen, Committed{end, epoch, "idle"})
	}
}

// cut takes the next range: exactly the pending one, or where chance says.
func (p *chaosProc) cut(l *intents, b *chaosBuffer) (cut []taken, ok bool) {
	want := 1 + p.w.intn(25)
	timer := time.NewTimer(p.w.between(50*time.Millisecond, 4*time.Second))
	defer timer.Stop()
	for p.live() {
		b.mu.Lock()
		n := 0
		if l.pending > 0 {
			for n < len(b.records) && b.records[n].offset < l.pending {
				n++
			}
			ok = n > 0 && b.records[n-1].offset >= l.pending-1 || n < len(b.records)
		} else if len(b.records) >= want {
			n, ok = want, true
		}
		if ok {
			cut = b.records[:n:n]
			b.records = b.records[n:]
		}
		b.mu.Unlock()
		if ok {
			return cut, true
		}
		select {
		case <-b.wake:
		case <-timer.C:
			want = 1
		case <-l.Done():
			return nil, false
		case <-p.ctx.Done():
		}
	}
	return nil, false
}

// upload goes on after the lease has ended, on purpose: every zombie here is a
// stubborn one.
func (p *chaosProc) upload(files map[string]string) bool {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for {
			p.at()
			if !p.live() {
				return false
			}
			if p.w.store.put(name, files[name]) == nil {
				break
			}
		}
	}
	return true
}

// slot runs one incarnation after another.
func (w *chaos) slot(i int) {
	defer w.wg.Done()
	time.Sleep(w.between(0, chaosSession))
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		p := w.start(fmt.Sprintf("w%d.%d", i, n))
		w.mu.Lock()
		w.procs = append(w.procs, p)
		w.mu.Unlock()
		w.wg.Add(1)
		go w.fate(p, w.between(chaosSession, chaosLasts))
		p.run()
		if err := p.gate.err(); err != nil {
			w.count("clients burnt")
			if !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrFenced) {
				w.store.fail("%s: %v", p.name, err)
			}
		}
		w.wg.Add(1)
		go func() { // the old workers live on while the client closes
			defer w.wg.Done()
			p.cl.CloseAllowingRebalance()
			p.tasks.Wait()
			p.kill()
		}()
		time.Sleep(w.between(10*time.Millisecond, chaosSession))
	}
}

// fate is how an incarnation ends: killed, left, or at the end of the test.
func (w *chaos) fate(p *chaosProc, life time.Duration) {
	defer w.wg.Done()
	t := time.NewTimer(life)
	defer t.Stop()
	select {
	case <-t.C:
		if w.chance(0.6) {
			w.count("crashes")
			p.kill()
			p.net.crash()
		} else if w.chance(0.8) {
			w.count("leaves")
			p.kill()
		}
	case <-p.gate.dead:
	case <-p.ctx.Done():
	}
	select {
	case <-p.gate.dead:
	case <-p.ctx.Done():
	case <-w.stop:
		p.kill()
	}
}

// feed produces over the first two thirds of the chaos.
func (w *chaos) feed(cl *kgo.Client) {
	defer w.wg.Done()
	base := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for i := 0; i < chaosRecords; {
		for n := min(1+w.intn(12), chaosRecords-i); n > 0; n-- {
			for part := range int32(chaosPartitions) {
				at := base.Add(time.Duration(w.intn(3))*time.Hour + time.Duration(i)*time.Second)
				cl.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: part, Value: []byte("v"), Timestamp: at}, nil)
			}
			i++
		}
		time.Sleep(w.between(chaosLasts/60, chaosLasts/15))
	}
	_ = cl.Flush(context.Background())
}

// play runs the seed and returns what went wrong.
func (w *chaos) play(t testing.TB) []string {
	w.rng = rand.New(rand.NewPCG(w.seed, 1))
	w.stats = map[string]int{}
	w.stop = make(chan struct{})
	w.store = &objects{all: map[string]string{}, home: map[string]string{}, rng: rand.New(rand.NewPCG(w.seed, 2))}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.Dialer(w.dial), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100000))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	w.wg.Add(1 + chaosWriters)
	go w.feed(cl)
	for i := range chaosWriters {
		go w.slot(i)
	}
	time.Sleep(chaosLasts)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.store.mu.Lock()
	w.store.calm = true
	w.store.mu.Unlock()
	w.settle(t, cl)
	time.Sleep(10*time.Second + 7*chaosSession) // whatever is on its way may arrive
	close(w.stop)
	w.wg.Wait()
	w.store.late.Wait()
	time.Sleep(8 * chaosSession)
	if bad := w.store.failures(); len(bad) > 0 {
		return bad
	}
	for part := range chaosPartitions {
		if missing, twice := w.store.missing(part); len(missing)+len(twice) > 0 {
			w.store.fail("partition %d: missing %v, twice %v", part, missing, twice)
		}
	}
	if !w.done(t, cl) {
		w.store.fail("what was committed went back")
	}
	return w.store.failures()
}

// done reports whether every partition is committed to its end.
func (w *chaos) done(t testing.TB, cl *kgo.Client) bool {
	offsets := committedOffsets(t, cl, "g")
	for part := range int32(chaosPartitions) {
		if o, ok := offsets.Lookup("t", part); !ok || o.At != chaosRecords || o.Metadata != "idle" {
			return false
		}
	}
	return true
}

// settle waits until all is done. A member that kfake (not Kafka) keeps though
// its join met a dead connection is removed by a rebalance.
func (w *chaos) settle(t testing.TB, cl *kgo.Client) {
	end := time.Now().Add(chaosSettles)
	nudge := time.Now().Add(chaosSettles / 4)
	for len(w.store.failures()) == 0 && !w.done(t, cl) {
		time.Sleep(chaosSession / 6)
		if time.Now().After(end) {
			w.store.fail("not finished: %v", committedOffsets(t, cl, "g").Sorted())
			return
		}
		if time.Now().After(nudge) {
			nudge = time.Now().Add(chaosSettles / 4)
			w.nudge()
		}
	}
}

func (w *chaos) nudge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.procs {
		if p.live() && p.gate.err() == nil {
			w.stats["nudges"]++
			p.kill()
			return
		}
	}
}

// chaosSeed plays one seed against kfake on a virtual clock.
func chaosSeed(t *testing.T, w *chaos) (bad []string) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		c, err := kfake.NewCluster(kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(chaosPartitions, "t"),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
			kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.GroupMaxSessionTimeout(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.brokers, w.dial = c.ListenAddrs(), network.DialContext
		bad = w.play(t)
		c.Close()
		time.Sleep(10 * time.Minute) // every sleeper ends; it costs nothing here
	})
	return bad
}

// TestGateKeepsRangesApart plays the trial with all rules.
func TestGateKeepsRangesApart(t *testing.T) {
	stats := map[string]int{}
	for seed := uint64(1); seed <= 20; seed++ {
		w := &chaos{seed: seed}
		for _, bad := range chaosSeed(t, w) {
			t.Errorf("seed %d: %s", seed, bad)
		}
		for what, n := range w.stats {
			stats[what] += n
		}
	}
	t.Log(stats)
	for _, what := range []string{"ranges", "crashes", "freezes", "commits delayed", "commit answers lost", "clients burnt"} {
		if stats[what] == 0 {
			t.Errorf("no %s: the trial tries nothing", what)
		}
	}
}

// TestGateTrialNoticesBrokenRules leaves one rule out at a time.
func TestGateTrialNoticesBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken broken
	}{
		{"no intent", broken{noIntent: true}},
		{"a pending intent is ignored", broken{ignorePending: true}},
		{"writing before the intent is committed", broken{uploadFirst: true}},
		{"a commit after the lease ended, with the current generation", broken{currentGeneration: true}},
		{"no BlockRebalanceOnPoll", broken{noBlock: true}},
		{"an unknown outcome is sent again", broken{noBurn: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				if bad := chaosSeed(t, &chaos{seed: seed, broken: c.broken}); len(bad) > 0 {
					t.Logf("noticed at seed %d: %s", seed, bad[0])
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
