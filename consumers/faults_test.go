package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// refuseCommits answers the next n commits with an error.
func refuseCommits(c *kfake.Cluster, n int, code int16) *atomic.Int32 {
	var seen atomic.Int32
	c.ControlKey(offsetCommitKey, func(req kmsg.Request) (kmsg.Response, error, bool) {
		if int(seen.Add(1)) > n {
			return nil, nil, false
		}
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return &seen
}

// TestCommitAnswers: what each answer means for the lease and the client.
func TestCommitAnswers(t *testing.T) {
	for _, c := range []struct {
		answer *kerr.Error
		times  int
		want   error // nil: the same commit is sent again
	}{
		{kerr.NotCoordinator, 2, nil},
		{kerr.CoordinatorNotAvailable, 1, nil},
		{kerr.CoordinatorLoadInProgress, 1, nil},
		{kerr.RebalanceInProgress, 2, nil},
		{kerr.IllegalGeneration, 1, nil},
		{kerr.UnknownMemberID, 1, ErrFenced},
		{kerr.FencedInstanceID, 1, ErrFenced},
		{kerr.FencedMemberEpoch, 1, ErrFenced},
		{kerr.GroupIDNotFound, 1, ErrFenced},
		{kerr.OffsetMetadataTooLarge, 1, kerr.OffsetMetadataTooLarge},
		{kerr.GroupAuthorizationFailed, 1, kerr.GroupAuthorizationFailed},
		{kerr.UnknownTopicID, 1, kerr.UnknownTopicID},
		{kerr.UnknownServerError, 1, kerr.UnknownServerError},
	} {
		t.Run(c.answer.Message, func(t *testing.T) {
			cluster, addr := fake(t, "t")
			g, l := oneLease(t, addr)
			seen := refuseCommits(cluster, c.times, c.answer.Code)
			err := l.Commit(context.Background(), 1, -1, "m")
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
			want := c.times
			if c.want == nil {
				want++
			}
			if int(seen.Load()) != want {
				t.Errorf("%d commits were sent, want %d", seen.Load(), want)
			}
			if burnt := g.err() != nil; burnt != (c.want != nil) {
				t.Errorf("burnt: %v", burnt)
			}
		})
	}
}

// oneLease joins a group and returns one of its leases.
func oneLease(t testing.TB, addr string, opts ...kgo.Opt) (*gate, *Lease) {
	t.Helper()
	g := newGate("g", time.Second, kgo.NewOffset().AtStart())
	leases := make(chan *Lease, 10)
	g.begun = func(l *Lease) { leases <- l }
	connect(t, addr, append(append(g.options(), kgo.ConsumeTopics("t"), kgo.Balancers(kgo.StickyBalancer())), opts...)...)
	return g, <-leases
}

// TestALostCommitAnswerBurnsTheClient: nothing is ever sent with its member id
// again, also by other partitions.
func TestALostCommitAnswerBurnsTheClient(t *testing.T) {
	cluster, addr := fake(t, "t")
	g, l := oneLease(t, addr)
	var sent atomic.Int32
	cluster.ControlKey(offsetCommitKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if sent.Add(1) == 1 {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	if err := l.Commit(context.Background(), 1, -1, "m"); !errors.Is(err, ErrUnknown) {
		t.Fatalf("got %v", err)
	}
	for part := range int32(3) {
		other := g.lease("t", part)
		if err := other.Commit(context.Background(), 1, -1, "m"); !errors.Is(err, ErrUnknown) {
			t.Errorf("partition %d: got %v", part, err)
		}
	}
	if sent.Load() != 1 {
		t.Errorf("%d commits were sent", sent.Load())
	}
}

// TestTheSinkGoesOnAfterALostCommitAnswer with a new client and member id.
func TestTheSinkGoesOnAfterALostCommitAnswer(t *testing.T) {
	cluster, addr := fake(t, "t")
	cl := connect(t, addr)
	var sent atomic.Int32
	members := make(chan string, 100)
	cluster.ControlKey(offsetCommitKey, func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		members <- req.(*kmsg.OffsetCommitRequest).MemberID
		if sent.Add(1) == 4 {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	produce(t, cl, flat("t", 0, 1, 1))
	eventually(t, func() error {
		if sent.Load() < 5 {
			return errors.New("no commit after the lost one")
		}
		return nil
	})
	caughtUp(t, r, 3)
	stop()
	close(members)
	seen := map[string]int{}
	for m := range members {
		seen[m]++
	}
	if len(seen) != 2 {
		t.Errorf("commits by member: %v", seen)
	}
	if o, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 0); o.At != 1 {
		t.Errorf("committed %d", o.At)
	}
}

// TestConnectionCuts: the sink reads on, nothing is lost.
func TestConnectionCuts(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	network := newChaosNet(dialTCP)
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}, client: []kgo.Opt{kgo.Dialer(network.Dial)}}.build(t)
	start(t, r)
	for i := range 60 {
		produce(t, cl, flat("t", int32(i%3), i, i))
		if i%10 == 5 {
			network.cut()
		}
		time.Sleep(5 * time.Millisecond)
	}
	caughtUp(t, r, 3)
	if s.size() != 60 {
		t.Errorf("%d rows", s.size())
	}
}

// TestRebalanceStorm: the group rebalances again and again.
func TestRebalanceStorm(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	for i := range 90 {
		produce(t, cl, flat("t", int32(i%3), i, i))
		if i%9 == 0 {
			r.mu.Lock()
			r.life.client.ForceRebalance()
			r.mu.Unlock()
		}
		time.Sleep(3 * time.Millisecond)
	}
	caughtUp(t, r, 3)
	if s.size() != 90 {
		t.Errorf("%d rows", s.size())
	}
}

// TestReadAheadIsBounded: a target that does not answer does not fill memory,
// and everything arrives when it does.
func TestReadAheadIsBounded(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(100_000))
	const each = 400
	filler := strings.Repeat("x", 20_000)
	for i := range 3 * each {
		cl.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: int32(i % 3), Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"x":"%s"}`, filler)}, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	var up atomic.Bool
	s := newTarget()
	s.before = func(context.Context, []*cdc.Record) error {
		if !up.Load() {
			return errTarget
		}
		return nil
	}
	const bound = 1 << 20
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "fetch.buffer.bytes": fmt.Sprint(bound),
		"consumer.override.fetch.max.bytes": "300000", "consumer.override.max.partition.fetch.bytes": "100000"}}.build(t)
	start(t, r)
	var most int64
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		var now int64
		for _, w := range r.workers() {
			now += w.inbox.size()
		}
		most = max(most, now)
	}
	if most == 0 || most > bound+3*300000 {
		t.Errorf("%d bytes were read ahead", most)
	}
	up.Store(true)
	caughtUp(t, r, 3)
	if s.size() != 3*each {
		t.Errorf("%d rows", s.size())
	}
}

// TestWhatCannotBeFetchedIsAskedForWithPauses: the broker refuses at once, for as
// long as the cause lasts, and neither it nor the sink has a core to spare.
func TestWhatCannotBeFetchedIsAskedForWithPauses(t *testing.T) {
	for _, c := range []struct {
		err   *kerr.Error
		state admin.State // of the partition
		later int         // rows once the cause is gone
	}{
		{kerr.OffsetOutOfRange, admin.Failed, 2},
		{kerr.TopicAuthorizationFailed, admin.Running, 3}, {kerr.CorruptMessage, admin.Running, 3},
		{kerr.NotLeaderForPartition, admin.Running, 3}, {kerr.KafkaStorageError, admin.Running, 3}, {kerr.UnknownLeaderEpoch, admin.Running, 3},
	} {
		t.Run(c.err.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := fake(t, "t")
			cl := connect(t, addr)
			refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Partitions: []int32{0}, Err: c.err, Count: -1})
			s := newTarget()
			r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
			start(t, r)
			for p := range int32(3) {
				produce(t, cl, flat("t", p, int(p), 1))
			}
			rows := func(n int) {
				t.Helper()
				eventually(t, func() error {
					if s.size() != n {
						return fmt.Errorf("%d rows of %d: %s", s.size(), n, describe(r))
					}
					return nil
				})
			}
			rows(2)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := refused.Wait(ctx, 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			if n := refused.Hits(); n > 20 {
				t.Errorf("asked %d times in 3 s", n)
			}
			if tasks := r.Status().Tasks; len(tasks) != 3 || tasks[0].State != c.state {
				t.Errorf("status %s", describe(r))
			}
			refused.Remove()
			rows(c.later)
		})
	}
}

// chain is a Chain of a function.
type chain func([]*cdc.Record) ([]*cdc.Record, error)

func (c chain) Apply(_ context.Context, records []*cdc.Record) ([]*cdc.Record, error) {
	return c(records)
}

// TestAChainThatFailsStartsFromTheKafkaRecords: what it changed before is gone.
func TestAChainThatFailsStartsFromTheKafkaRecords(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 0, 1, 1), flat("t", 0, 2, 1), flat("t", 0, 3, 1))
	var tries atomic.Int32
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}, chain: func() (Chain, error) {
		return chain(func(records []*cdc.Record) ([]*cdc.Record, error) {
			for _, r := range records {
				r.Route += "-x"
			}
			if tries.Add(1) < 4 {
				return nil, errors.New("the look-up does not answer")
			}
			return records[:len(records)-1], nil // drops one
		}), nil
	}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	if _, ok := s.get(`t-x/{"id":1}`); !ok || s.size() != 2 {
		t.Errorf("rows %v", s.rows)
	}
}

// TestAGroupThatCannotBeJoinedIsSaid at once.
func TestAGroupThatCannotBeJoinedIsSaid(t *testing.T) {
	t.Parallel()
	cluster, addr := fake(t, "t")
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, TopLevel: true, Count: -1})
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	eventually(t, func() error {
		if p := r.problem.get(); p == nil || !strings.Contains(p.Text, "as a member of group "+r.config.Group) {
			return fmt.Errorf("the problem is %v", p)
		}
		return nil
	})
	refused.Remove()
	caughtUp(t, r, 3)
}

// TestABatchThatIsTooLargeStopsItsPartition, for the client does not fetch it again.
func TestABatchThatIsTooLargeStopsItsPartition(t *testing.T) {
	t.Parallel()
	_, addr := fake(t, "t")
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	r.mu.Lock()
	l := r.life
	r.mu.Unlock()
	l.fetchError("t", 1, &kgo.ErrDecompressTooLarge{Topic: "t", Partition: 1, Offset: 7, NextOffset: 9})
	eventually(t, func() error {
		if p := r.Status().Tasks[1].Problem; p == nil || !strings.Contains(p.Text, "a batch at offset 7") {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
}

// aChainThatForgets counts how often it is told to.
type aChainThatForgets struct {
	chain
	forgot *atomic.Int32
}

func (c aChainThatForgets) Forget() { c.forgot.Add(1) }

// TestAChainIsToldToForget large rows, when they are done.
func TestAChainIsToldToForget(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	var forgot atomic.Int32
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t", "fetch.buffer.bytes": fmt.Sprint(1 << 20)}, chain: func() (Chain, error) {
		return aChainThatForgets{func(records []*cdc.Record) ([]*cdc.Record, error) { return records, nil }, &forgot}, nil
	}}.build(t)
	start(t, r)
	for i, size := range []int{10, 900_000, 10} {
		produce(t, cl, &kgo.Record{Topic: "t", Partition: 0, Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"x":"%s"}`, strings.Repeat("x", size))})
		caughtUp(t, r, 3)
	}
	if n := forgot.Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestAChainMayGiveUp: errors.retry.timeout bounds the attempts of a transform.
func TestAChainMayGiveUp(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 0, 1, 1), flat("t", 0, 2, 1))
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "errors.tolerance": "all", "errors.retry.timeout": "50"}, chain: func() (Chain, error) {
		return chain(func(records []*cdc.Record) ([]*cdc.Record, error) {
			return nil, errors.New("the look-up does not answer")
		}), nil
	}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	if letters := consume(t, addr, "test-dlq", 2); s.size() != 0 || string(letters[1].Key) != `{"id":2}` {
		t.Errorf("%d rows, letters %v", s.size(), letters)
	}
}

// TestAChainRejects: the record before it is written, the one behind it waits.
func TestAChainRejects(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	for i := range 5 {
		produce(t, cl, flat("t", 0, i, 1))
	}
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}, chain: func() (Chain, error) {
		return chain(func(records []*cdc.Record) (kept []*cdc.Record, err error) {
			var rejected sink.Rejected
			for i, r := range records {
				if string(r.RawKey) == `{"id":2}` {
					rejected.Items = append(rejected.Items, sink.Rejection{Index: i, Reason: errors.New("no such field")})
					err = &rejected
				} else {
					kept = append(kept, r)
				}
			}
			return kept, err
		}), nil
	}}.build(t)
	start(t, r)
	eventually(t, func() error {
		if st := r.Status(); len(st.Tasks) == 3 && st.Tasks[0].Committed == 2 && st.Tasks[0].Problem != nil && strings.Contains(st.Tasks[0].Problem.Text, "no such field") {
			return nil
		}
		return fmt.Errorf("%s", describe(r))
	})
	if s.size() != 2 {
		t.Errorf("%d rows", s.size())
	}
	r.Restart() // nothing was mended: it is stuck again
	time.Sleep(300 * time.Millisecond)
	eventually(t, func() error {
		if st := r.Status(); len(st.Tasks) == 3 && st.Tasks[0].Problem != nil && st.Tasks[0].Problem.Record != nil {
			return nil
		}
		return fmt.Errorf("%s", describe(r))
	})
	if err := r.Skip(context.Background(), *r.Status().Tasks[0].Problem.Record); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	if s.size() != 4 {
		t.Errorf("%d rows", s.size())
	}
}

func TestResets(t *testing.T) {
	for _, c := range []struct {
		reset string
		rows  int
		fails bool
	}{{"earliest", 2, false}, {"latest", 1, false}, {"none", 0, true}} {
		t.Run(c.reset, func(t *testing.T) {
			_, addr := fake(t, "t")
			cl := connect(t, addr)
			produce(t, cl, flat("t", 0, 1, 1))
			s := newTarget()
			r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "auto.offset.reset": c.reset}}.build(t)
			stop := start(t, r)
			if c.fails {
				eventually(t, func() error {
					if st := r.Status(); len(st.Tasks) == 3 && st.Tasks[0].Problem != nil && strings.Contains(st.Tasks[0].Problem.Text, "auto.offset.reset is none") {
						return nil
					}
					return fmt.Errorf("%s", describe(r))
				})
				return
			}
			caughtUp(t, r, 3)
			stop() // before the second record: latest must not jump over it
			produce(t, cl, flat("t", 0, 2, 1))
			r = setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "auto.offset.reset": c.reset}}.build(t)
			start(t, r)
			caughtUp(t, r, 3)
			if s.size() != c.rows {
				t.Errorf("%d rows", s.size())
			}
		})
	}
}

func TestTopicsByRegex(t *testing.T) {
	_, addr := fake(t, "shop.db.orders", "shop.db.items", "shop.other", "shop.weir-schemas")
	cl := connect(t, addr)
	for _, topic := range []string{"shop.db.orders", "shop.db.items", "shop.other", "shop.weir-schemas"} {
		produce(t, cl, flat(topic, 0, 1, 1))
	}
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics.regex": `shop\.(db\..*|weir-schemas|db\.later)`}}.build(t)
	start(t, r)
	caughtUp(t, r, 6)
	if s.size() != 2 {
		t.Errorf("rows %v", s.rows)
	}
	if _, err := kadm.NewClient(cl).CreateTopic(context.Background(), 1, 1, nil, "shop.db.later"); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, flat("shop.db.later", 0, 1, 1))
	caughtUp(t, r, 7)
	if s.size() != 3 {
		t.Errorf("rows %v", s.rows)
	}
}

// TestAStopDoesNotWaitForADeadTarget is over in 10 s, with nothing committed,
// also if the target is deaf to its context.
func TestAStopDoesNotWaitForADeadTarget(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stopDeadTarget(t, deaf) })
		})
	}
}

func stopDeadTarget(t *testing.T, deaf bool) {
	network := new(kfake.VirtualNetwork)
	cluster, err := kfake.NewCluster(kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(3, "t"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	addr := cluster.ListenAddrs()[0]
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.Dialer(network.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	produce(t, cl, flat("t", 0, 1, 1))
	inside := make(chan bool, 100)
	s := newTarget()
	s.before = func(ctx context.Context, _ []*cdc.Record) error {
		inside <- true
		if deaf {
			time.Sleep(time.Minute)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	c, _, err := configure(t, map[string]string{"name": "test", "bootstrap.servers": addr, "topics": "t"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Config: c, Limits: Limits{Records: 10, Bytes: 1 << 20}, Writer: s, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
		Client: []kgo.Opt{kgo.Dialer(network.DialContext)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	<-inside
	began := time.Now()
	cancel()
	if err := <-done; (err != nil) != deaf {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if o, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 0); o.At != 0 {
		t.Errorf("committed %d", o.At)
	}
	cl.Close()
	cluster.Close()
	time.Sleep(10 * time.Minute)
}
