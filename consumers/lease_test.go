package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
)

// TestTheEndOfALeaseWaitsForItsCommit: one that still travels would land after
// the next lease has read its offset, if the member gets the partition back in
// the same generation.
func TestTheEndOfALeaseWaitsForItsCommit(t *testing.T) {
	cluster, addr := fake(t, "t")
	g, l := oneLease(t, addr)
	sent, answer := make(chan bool, 9), make(chan bool)
	cluster.ControlKey(offsetCommitKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		sent <- true
		cluster.SleepControl(func() { <-answer })
		return nil, nil, false
	})
	g.timeout = time.Minute
	committed, ended := make(chan error, 1), make(chan bool)
	go func() { committed <- l.Commit(context.Background(), 1, -1, "m") }()
	<-sent
	go func() {
		g.end(map[string][]int32{"t": {l.Partition()}}, false)
		close(ended)
	}()
	<-l.Done()
	select {
	case <-ended:
		t.Error("the lease ended with a commit on the wire")
	case <-time.After(300 * time.Millisecond):
	}
	close(answer)
	if err := <-committed; err != nil {
		t.Errorf("got %v", err)
	}
	<-ended
	if err := l.Commit(context.Background(), 2, -1, "m"); !errors.Is(err, ErrClosed) {
		t.Errorf("then got %v", err)
	}
}

// TestALeasePinsItsMember: the client takes a new member id without a word when
// the group has forgotten its own, and keeps what it was assigned. The broker
// would take a commit of the new one, though another member may have the
// partition.
func TestALeasePinsItsMember(t *testing.T) {
	t.Parallel() // it waits until the group gives up the member that was
	cluster, addr := fake(t, "t")
	g, l := oneLease(t, addr, kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(100*time.Millisecond), kgo.SessionTimeout(6*time.Second))
	var commits atomic.Int32
	cluster.ControlKey(offsetCommitKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		commits.Add(1)
		return nil, nil, false
	})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "g", TopLevel: true, Err: kerr.UnknownMemberID})
	l.client.ForceRebalance()
	eventually(t, func() error {
		if member, gen := l.client.GroupMetadata(); member == l.member || member == "" || gen < l.gen {
			return fmt.Errorf("the member is still %s", member)
		}
		return nil
	})
	if err := l.Commit(context.Background(), 1, -1, "m"); err == nil {
		t.Error("another member's commit was sent")
	}
	if commits.Load() != 0 {
		t.Errorf("%d commits were sent", commits.Load())
	}
	if err := g.err(); !errors.Is(err, ErrFenced) {
		t.Errorf("the client lives on: %v", err)
	}
}

// TestACommitNeedsAMemberAndAGeneration: while a group is empty the broker takes
// a commit without them from anybody.
func TestACommitNeedsAMemberAndAGeneration(t *testing.T) {
	cluster, addr := fake(t, "t")
	var commits atomic.Int32
	cluster.ControlKey(offsetCommitKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		commits.Add(1)
		return nil, nil, false
	})
	cl := connect(t, addr)
	l := &Lease{gate: newGate("g", time.Second, kgo.NewOffset().AtStart()), client: cl, part: partition{"t", 0}, topicID: topicIDOf(t, cl, "t"),
		gen: -1, mu: make(lock, 1)}
	if err := l.Commit(context.Background(), 1, -1, "m"); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v", err)
	}
	if commits.Load() != 0 {
		t.Error("it was sent")
	}
}

// TestCommitsCarryTheEpochOfTheirLastRecord: an older one would look like a
// truncated log to the next consumer.
func TestCommitsCarryTheEpochOfTheirLastRecord(t *testing.T) {
	for _, shape := range []string{"writer", "ranges"} {
		t.Run(shape, func(t *testing.T) {
			cluster, addr := fake(t, "t")
			cl := connect(t, addr)
			r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t"}}.build(t)
			if shape == "ranges" {
				r = ranges(t, addr, newShelf(100), RangeConfig{})
			}
			start(t, r)
			for i := range 4 {
				produce(t, cl, flat("t", 0, i, i))
				caughtUp(t, r, 3)
				want := cluster.PartitionInfo("t", 0).Epoch
				if got := cluster.GroupInfo("weir-test").Commits["t"][0]; got.LeaderEpoch != want || got.Offset != int64(i+1) {
					t.Errorf("%d was committed with epoch %d, want %d with %d", got.Offset, got.LeaderEpoch, i+1, want)
				}
				if err := cluster.MoveTopicPartition("t", 0, 0); err != nil { // an election
					t.Fatal(err)
				}
			}
		})
	}
}

// TestATruncatedLogStopsItsPartition: the new leader does not have what was read.
func TestATruncatedLogStopsItsPartition(t *testing.T) {
	for _, shape := range []string{"writer", "ranges"} {
		t.Run(shape, func(t *testing.T) {
			cluster, addr := fake(t, "t")
			cl := connect(t, addr)
			fill(t, cl, 5)
			s, shelf := newTarget(), newShelf(100)
			build := func() *Runner {
				if shape == "ranges" {
					return ranges(t, addr, shelf, RangeConfig{})
				}
				return setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
			}
			r := build()
			stop := start(t, r)
			caughtUp(t, r, 3)
			stop()
			if err := cluster.MoveTopicPartition("t", 0, 0); err != nil {
				t.Fatal(err)
			}
			fill(t, cl, 2)
			truncated(cluster, 3)
			r = build()
			start(t, r)
			eventually(t, func() error {
				st := r.Status()
				if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[0].Problem.Do == "" {
					return errors.New("partition 0 should have failed: " + describe(r))
				}
				return nil
			})
			if got := cluster.GroupInfo("weir-test").Commits["t"][0]; got.Offset != 5 {
				t.Errorf("committed %d", got.Offset)
			}
			if s.size() > 5 || len(shelf.offsets(0)) > 5 {
				t.Errorf("%d rows and %v were written", s.size(), shelf.offsets(0))
			}
		})
	}
}

// truncated answers that the epoch asked for ends at an offset.
func truncated(c *kfake.Cluster, end int64) {
	c.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range req.(*kmsg.OffsetForLeaderEpochRequest).Topics {
			at := kmsg.NewOffsetForLeaderEpochResponseTopic()
			at.Topic = t.Topic
			for _, p := range t.Partitions {
				ap := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				ap.Partition, ap.LeaderEpoch, ap.EndOffset = p.Partition, p.LeaderEpoch, end
				at.Partitions = append(at.Partitions, ap)
			}
			answer.Topics = append(answer.Topics, at)
		}
		return answer, nil, true
	})
}

// TestLettersOutliveARefusedProducer: whatever the brokers refuse a producer
// for, the letter is written once they no longer do.
func TestLettersOutliveARefusedProducer(t *testing.T) {
	t.Parallel() // it waits for the client's back-off
	for _, c := range []struct {
		key kmsg.Key
		err *kerr.Error
	}{
		{kmsg.Produce, kerr.InvalidProducerEpoch}, {kmsg.Produce, kerr.ProducerFenced}, {kmsg.Produce, kerr.OutOfOrderSequenceNumber},
		{kmsg.Produce, kerr.TopicAuthorizationFailed}, {kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
		{kmsg.InitProducerID, kerr.ClusterAuthorizationFailed}, {kmsg.InitProducerID, kerr.CoordinatorLoadInProgress},
	} {
		t.Run(c.key.Name()+" "+c.err.Message, func(t *testing.T) {
			t.Parallel()
			cluster, addr := fake(t, "t", "test-dlq")
			cl := connect(t, addr)
			produce(t, cl, flat("t", 0, 1, 1), &kgo.Record{Topic: "t", Value: []byte("{")}, flat("t", 0, 2, 1))
			refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: 2, TopLevel: c.key == kmsg.InitProducerID})
			s := newTarget()
			r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "errors.tolerance": "all"}}.build(t)
			start(t, r)
			caughtUp(t, r, 3)
			consume(t, addr, "test-dlq", 1)
			if s.size() != 2 || refused.Hits() == 0 {
				t.Errorf("%d rows after %d refusals", s.size(), refused.Hits())
			}
		})
	}
}

// TestAProducerIDIsAskedForWithPauses: what keeps brokers from giving one may
// last, and must not cost a core meanwhile.
func TestAProducerIDIsAskedForWithPauses(t *testing.T) {
	t.Parallel()
	cluster, addr := fake(t, "t", "test-dlq")
	produce(t, connect(t, addr), &kgo.Record{Topic: "t", Value: []byte("{")})
	began := time.Now()
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.NotEnoughReplicas, TopLevel: true, Count: 1 << 30,
		When: func(kmsg.Request) bool { return time.Since(began) < 2*time.Second }})
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{
		"topics": "t", "errors.tolerance": "all", "retry.backoff.ms": "100", "errors.retry.delay.max.ms": "100"}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	if n := refused.Hits(); n == 0 || n > 60 {
		t.Errorf("asked %d times in 2 s", n)
	}
}

// TestACommitIsNotCutShort by the end of its caller's context: that would make
// its outcome unknown, and cost the client.
func TestACommitIsNotCutShort(t *testing.T) {
	cluster, addr := fake(t, "t")
	g, l := oneLease(t, addr)
	g.timeout = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	cluster.ControlKey(offsetCommitKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cancel()
		cluster.SleepControl(func() { time.Sleep(200 * time.Millisecond) })
		return nil, nil, false
	})
	if err := l.Commit(ctx, 1, -1, "m"); err != nil || g.err() != nil {
		t.Errorf("got %v, burnt: %v", err, g.err())
	}
}

// TestRevokeCancelsAWrite, which then leaves the partition to its next owner.
func TestRevokeCancelsAWrite(t *testing.T) {
	_, addr := fake(t, "t")
	produce(t, connect(t, addr), flat("t", 0, 1, 1))
	var stuck atomic.Bool
	stuck.Store(true)
	inside, cancelled := make(chan bool, 10), make(chan error, 10)
	s := newTarget()
	s.before = func(ctx context.Context, _ []*cdc.Record) error {
		if !stuck.Load() {
			return nil
		}
		inside <- true
		<-ctx.Done()
		cancelled <- context.Cause(ctx)
		return ctx.Err()
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	<-inside
	stuck.Store(false)
	r.mu.Lock()
	r.life.client.ForceRebalance()
	r.mu.Unlock()
	select {
	case why := <-cancelled:
		if !errors.Is(why, errRevoked) {
			t.Errorf("cancelled since %v", why)
		}
	case <-time.After(time.Minute):
		t.Fatal("the write goes on")
	}
	caughtUp(t, r, 3)
}
