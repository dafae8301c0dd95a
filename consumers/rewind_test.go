package consumers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// forgetful is a target in memory that loses, now and then, what it has
// acknowledged within its reach.
type forgetful struct {
	reach time.Duration

	mu      sync.Mutex
	life    int // of the target: another one after each loss
	empty   bool
	broken  bool // answers nobody that asks which life it is
	refuses bool // takes nothing of its new life
	rows    map[string]row
	written []written
	low     map[string]int64 // the lowest offset that each life was given, by life and partition
}

type written struct {
	at  time.Time
	key string
	was row
	had bool
}

func newForgetful(reach time.Duration) *forgetful {
	return &forgetful{reach: reach, rows: map[string]row{}, low: map[string]int64{}}
}

func (s *forgetful) Reach() time.Duration { return s.reach }

func (s *forgetful) Write(context.Context, []*cdc.Record) error {
	return errors.New("written without a session")
}

// fail loses what was written within the reach.
func (s *forgetful) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life++
	for i, since := range slices.Backward(s.written) {
		if time.Since(since.at) >= s.reach {
			break
		}
		if delete(s.rows, since.key); since.had {
			s.rows[since.key] = since.was
		}
		s.written = s.written[:i]
	}
}

func (s *forgetful) breakDown(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *forgetful) get(key string) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[key]
}

// startForgetful runs a sink of topic t into a target that forgets.
func startForgetful(t *testing.T, reach time.Duration) (*kgo.Client, *forgetful, *Runner) {
	t.Helper()
	_, addr := fake(t, "t")
	s := newForgetful(reach)
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	return connect(t, addr), s, r
}

// awaitRows waits until the target has the keys below n, each from the write of the
// number first and on.
func awaitRows(t *testing.T, s *forgetful, r *Runner, n, first int) {
	t.Helper()
	eventually(t, func() error {
		for i := range n {
			if got, want := s.get(fmt.Sprintf(`{"id":%d}`, i)).text, fmt.Sprintf(`{"id":%d,"n":%d}`, i, first+i); got != want {
				return fmt.Errorf("id %d is %q, want %q: %s", i, got, want, describe(r))
			}
		}
		return nil
	})
}

var errEmptied = errors.New("all of it is gone")

func (s *forgetful) Resume(_ context.Context, memory string) (sink.Session, *sink.Lost, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return nil, nil, errTarget
	}
	if s.empty && memory != "" {
		return nil, nil, &sink.Stopped{Reason: errEmptied, Advice: "reset it"}
	}
	now := fmt.Sprint("life ", s.life)
	var lost *sink.Lost
	if memory != "" && memory != now {
		lost = &sink.Lost{Reason: memory + " is now " + now}
	}
	return &visit{s, now, time.Now()}, lost, nil
}

// visit is a session with the target.
type visit struct {
	target *forgetful
	life   string
	sound  time.Time
}

func (v *visit) Memory() (string, time.Time) { return v.life, v.sound }

func (v *visit) Write(ctx context.Context, batch []*cdc.Record) error {
	s := v.target
	s.mu.Lock()
	if s.refuses && v.life == fmt.Sprint("life ", s.life) {
		s.mu.Unlock()
		return errTarget
	}
	for _, r := range batch {
		at := fmt.Sprintf("%d %s-%d", s.life, r.Topic, r.Partition)
		if low, ok := s.low[at]; !ok || r.Offset < low {
			s.low[at] = r.Offset
		}
		was, had := s.rows[string(r.RawKey)]
		if had && was.version > r.Version {
			continue
		}
		s.rows[string(r.RawKey)] = row{string(r.RawValue), r.Version, r.Deleted}
		s.written = append(s.written, written{time.Now(), string(r.RawKey), was, had})
	}
	s.mu.Unlock()
	if err := v.Check(ctx); !errors.Is(err, errTarget) {
		return err
	}
	return nil
}

func (v *visit) Check(context.Context) error {
	s := v.target
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch life := fmt.Sprint("life ", s.life); {
	case s.broken:
		return errTarget
	case s.empty:
		return &sink.Stopped{Reason: errEmptied, Advice: "reset it"}
	case life != v.life:
		return &sink.Lost{Reason: v.life + " is now " + life}
	}
	v.sound = now
	return nil
}

// TestWhatATargetLostIsWrittenAgain, from the offset that was reached before the
// target's reach: while records come, while none come, and after a restart of the
// sink that did not see it happen. Records of last week do not matter: the sink
// writes them now.
func TestWhatATargetLostIsWrittenAgain(t *testing.T) {
	for _, c := range []struct{ name, when string }{{"at a write", "write"}, {"while idle", "idle"}, {"while stopped", "stopped"}} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := fake(t, "t")
			cl := connect(t, addr)
			s := newForgetful(time.Hour)
			start1 := func() (*Runner, func()) {
				r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
				return r, start(t, r)
			}
			r, stop := start1()
			old := func(id, n int) *kgo.Record {
				out := flat("t", 1, id, n)
				out.Timestamp = time.Now().Add(-7 * 24 * time.Hour)
				return out
			}
			for i := range 40 {
				produce(t, cl, old(i%20, i))
			}
			caughtUp(t, r, 3)
			if c.when == "stopped" {
				stop()
			}
			s.fail()
			if s.get(`{"id":7}`).text != "" {
				t.Fatal("the target has lost nothing")
			}
			if c.when == "stopped" {
				r, _ = start1() // it is stopped with the test
			}
			if c.when == "write" {
				produce(t, cl, old(100, 1))
			}
			awaitRows(t, s, r, 20, 20)
			caughtUp(t, r, 3)
			if p := r.Status().Problem; p != nil {
				t.Errorf("the problem stays: %v", p.Text)
			}
		})
	}
}

// TestOnlyTheReachIsWrittenAgain: a partition goes back to where it stood before
// the reach of a loss, not to its beginning, also where nothing was written since.
func TestOnlyTheReachIsWrittenAgain(t *testing.T) {
	cl, s, r := startForgetful(t, 300*time.Millisecond)
	for i := range 30 {
		produce(t, cl, flat("t", 1, i, i))
	}
	caughtUp(t, r, 3)
	eventually(t, func() error { // the trail of an idle partition comes to its end
		o, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 1)
		if m, _, err := parseMark(o.Metadata); err != nil || len(m.trail) == 0 || m.trail[0].offset != 30 {
			return fmt.Errorf("committed with %q (%w)", o.Metadata, err)
		}
		return nil
	})
	s.fail()
	produce(t, cl, flat("t", 1, 100, 1))
	caughtUp(t, r, 3)
	s.mu.Lock()
	defer s.mu.Unlock()
	if low, ok := s.low["1 t-1"]; !ok || low != 30 {
		t.Errorf("the target was written from offset %d (%v), want 30", low, ok)
	}
}

// TestALossIsKnownToTheGroupBeforeItIsMended: the process dies between going back
// and writing again, and the next one goes on with the earlier offset.
func TestALossIsKnownToTheGroupBeforeItIsMended(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newForgetful(time.Hour)
	build := func() *Runner {
		return setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	}
	r := build()
	stop := start(t, r)
	for i := range 20 {
		produce(t, cl, flat("t", 1, i, i))
	}
	caughtUp(t, r, 3)
	stop()
	s.fail()
	// What goBack commits, and then the process dies.
	offsets := committedOffsets(t, cl, "weir-test")
	at, _ := offsets.Lookup("t", 1)
	m, _, err := parseMark(at.Metadata)
	if err != nil || m.memory != "life 0" || len(m.trail) == 0 || m.trail[0].offset != 0 {
		t.Fatalf("committed with %q: %v", at.Metadata, err)
	}
	m.memory = "life 1"
	lowered := kadm.Offsets{}
	lowered.Add(kadm.Offset{Topic: "t", Partition: 1, At: 0, LeaderEpoch: -1, Metadata: m.String()})
	if err := kadm.NewClient(cl).CommitAllOffsets(context.Background(), "weir-test", lowered); err != nil {
		t.Fatal(err)
	}
	r = build()
	start(t, r)
	caughtUp(t, r, 3)
	if got := s.get(`{"id":7}`).text; got == "" {
		t.Error("what was lost was not written again")
	}
}

// TestGoingBackIsCommitted before anything is written again: the lower offset,
// what the target is now, and a trail that begins there.
func TestGoingBackIsCommitted(t *testing.T) {
	cl, s, r := startForgetful(t, time.Hour)
	for i := range 20 {
		produce(t, cl, flat("t", 1, i, i))
	}
	caughtUp(t, r, 3)
	s.mu.Lock()
	s.refuses = true
	s.mu.Unlock()
	failed := time.Now()
	s.fail()
	eventually(t, func() error {
		at, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 1)
		m, _, err := parseMark(at.Metadata)
		if err != nil || at.At != 0 || m.memory != "life 1" || len(m.trail) != 1 || m.trail[0].offset != 0 || m.trail[0].at.Before(failed) {
			return fmt.Errorf("committed %d with %q: %s", at.At, at.Metadata, fmt.Sprint(err))
		}
		return nil
	})
}

// TestEverythingWithinTheReachIsWrittenAgain, also where the trail has moments in
// between.
func TestEverythingWithinTheReachIsWrittenAgain(t *testing.T) {
	cl, s, r := startForgetful(t, 10*time.Second)
	for i := range 10 {
		produce(t, cl, flat("t", 1, i, i))
	}
	caughtUp(t, r, 3)
	eventually(t, func() error { // one that comes later, and another place for it
		produce(t, cl, flat("t", 1, 10, 1))
		at, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 1)
		m, _, err := parseMark(at.Metadata)
		if err == nil && len(m.trail) < 2 {
			err = fmt.Errorf("the trail is %v", m.trail)
		}
		return err
	})
	caughtUp(t, r, 3)
	s.fail()
	awaitRows(t, s, r, 10, 0)
}

// TestAnEmptiedTargetStops its partitions with what to do.
func TestAnEmptiedTargetStops(t *testing.T) {
	cl, s, r := startForgetful(t, time.Hour)
	produce(t, cl, flat("t", 1, 1, 1))
	caughtUp(t, r, 3)
	s.mu.Lock()
	s.empty = true
	s.mu.Unlock()
	eventually(t, func() error {
		st := r.Status()
		if st.Connector.State != admin.Failed || st.Problem == nil || !strings.Contains(st.Problem.Text, errEmptied.Error()) || st.Problem.Do != "reset it" {
			return fmt.Errorf("status %+v, problem %+v", st.Connector, st.Problem)
		}
		return nil
	})
}

// TestATargetThatNobodyCanLookAt goes on being written to, and nothing of the
// trail is forgotten meanwhile.
func TestATargetThatNobodyCanLookAt(t *testing.T) {
	cl, s, r := startForgetful(t, 200*time.Millisecond)
	produce(t, cl, flat("t", 1, 0, 0))
	caughtUp(t, r, 3)
	s.breakDown(true)
	for i := range 12 {
		produce(t, cl, flat("t", 1, 1+i, i))
		caughtUp(t, r, 3)
		time.Sleep(s.reach / 4) // the reach passes three times, and no loss is found in it
	}
	s.fail()
	s.breakDown(false)
	s.mu.Lock()
	clear(s.rows) // what was lost at the beginning of the trouble, long ago by now
	s.mu.Unlock()
	eventually(t, func() error {
		if s.get(`{"id":1}`).text == "" {
			return errors.New("what was written when nobody could look is not there")
		}
		return nil
	})
}

// TestALossIsMendedBeforeTheClientReads: the target has lost something while the
// sink was stopped, and when it starts the client cannot find out for a while
// where the committed offset is after an election. A move of what it reads is
// passed over then: kgo keeps what it still loads.
func TestALossIsMendedBeforeTheClientReads(t *testing.T) {
	cluster, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newForgetful(time.Hour)
	build := func() *Runner {
		return setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	}
	r := build()
	stop := start(t, r)
	for i := range 40 {
		produce(t, cl, flat("t", 1, i%20, i))
	}
	caughtUp(t, r, 3)
	stop()
	s.fail()
	began := time.Now()
	asked := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Err: kerr.NotLeaderForPartition, Count: 1 << 30,
		When: func(kmsg.Request) bool { return time.Since(began) < time.Second }})
	r = build()
	start(t, r)
	awaitRows(t, s, r, 20, 20)
	caughtUp(t, r, 3)
	if asked.Hits() == 0 {
		t.Error("nobody asked where the committed offset is")
	}
}

// TestLossesUnderChaos: losses, restarts of the client and of the process, at
// random moments, while records come. At the end the target has the newest of
// every key.
func TestLossesUnderChaos(t *testing.T) {
	from, n := trialSeeds(3)
	for seed := from; seed < from+n; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			losses(t, rand.New(rand.NewPCG(seed, 11)))
		})
	}
}

func losses(t *testing.T, rng *rand.Rand) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newForgetful(time.Duration(100+rng.IntN(400)) * time.Millisecond)
	build := func() *Runner {
		return setup{addr: addr, writer: s, limits: Limits{Records: 1 + rng.IntN(20), Bytes: 1 << 20, Linger: time.Millisecond},
			properties: map[string]string{"topics": "t", "offset.flush.interval.ms": fmt.Sprint(rng.IntN(60))}}.build(t)
	}
	r := build()
	stop := start(t, r)
	want := map[string]string{}
	for n := range 400 {
		p := rng.IntN(3)
		record := flat("t", int32(p), 3*rng.IntN(20)+p, n)
		want[string(record.Key)] = string(record.Value)
		produce(t, cl, record)
		switch rng.IntN(60) {
		case 0, 1:
			s.fail()
		case 2:
			r.Restart()
		case 3:
			stop()
			if rng.IntN(2) == 0 {
				s.fail()
			}
			r = build()
			stop = start(t, r)
		case 4:
			time.Sleep(s.reach / 2)
		}
	}
	s.fail()
	eventually(t, func() error {
		for key, text := range want {
			if got := s.get(key).text; got != text {
				return fmt.Errorf("%s is %s, want %s: %s", key, got, text, describe(r))
			}
		}
		return nil
	})
	caughtUp(t, r, 3)
}
