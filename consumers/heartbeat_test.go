package consumers

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

const heartbeatKey = 12

// quietLease is a lease of a client that sends no heartbeats of its own while the
// test runs.
func quietLease(t *testing.T) (*kfake.Cluster, *gate, *Lease) {
	t.Helper()
	cluster, addr := fake(t, "t")
	g, l := oneLease(t, addr, kgo.SessionTimeout(5*time.Minute), kgo.HeartbeatInterval(time.Minute))
	g.session, g.timeout = 5*time.Minute, time.Minute
	return cluster, g, l
}

// TestALeaseLastsFromAGoodHeartbeat: nothing but a heartbeat that the broker took
// says that the lease lasts, whatever else it answers.
func TestALeaseLastsFromAGoodHeartbeat(t *testing.T) {
	t.Parallel()
	cluster, g, l := quietLease(t)
	if left := l.Left(); left > 0 {
		t.Errorf("%v are left before the first heartbeat", left)
	}
	good := func() {
		for !g.heartbeat(t.Context(), l.client) { // it looks for the coordinator anew
			time.Sleep(time.Millisecond)
		}
	}
	refuse := func(err *kerr.Error) {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true, Count: 1, Err: err})
		g.heartbeat(t.Context(), l.client)
	}
	for _, refusal := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		if refuse(refusal); l.Left() > 0 {
			t.Errorf("%v are left after %v", l.Left(), refusal)
		}
	}
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID} {
		good()
		before, most := l.Left(), g.session*7/8
		if before > most || before < most-time.Minute {
			t.Errorf("%v are left after a good one", before)
		}
		refuse(refusal)
		if left := l.Left(); left >= before || refusal == kerr.UnknownMemberID && left > 0 {
			t.Errorf("%v are left after a good one, %v are when %v follows", before, left, refusal)
		}
	}
	good()
	other := &Lease{gate: g, member: "another"}
	if left := other.Left(); left > 0 {
		t.Errorf("%v are left of another member's lease", left)
	}
	g.end(map[string][]int32{"t": {l.Partition()}}, false)
	if left := l.Left(); left > 0 {
		t.Errorf("%v are left of a lease that has ended", left)
	}
}

// TestALeaseLastsFromWhenItsHeartbeatWasSent: the process may stand still before
// it reads the answer.
func TestALeaseLastsFromWhenItsHeartbeatWasSent(t *testing.T) {
	t.Parallel()
	const late = 400 * time.Millisecond
	cluster, g, l := quietLease(t)
	cluster.ControlKey(heartbeatKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.SleepControl(func() { time.Sleep(late) })
		return nil, nil, false
	})
	if !g.heartbeat(t.Context(), l.client) {
		t.Fatal("no answer")
	}
	if left, most := l.Left(), g.session*7/8-late; left > most || left <= 0 {
		t.Errorf("%v are left, more than %v", left, most)
	}
}

// TestAPulseAges with the time since the heartbeat, and is the member's alone.
func TestAPulseAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pulse
		p.set("m", time.Now())
		time.Sleep(3 * time.Second)
		if age, known := p.age("m"); !known || age != 3*time.Second {
			t.Errorf("%v, %v", age, known)
		}
		if _, known := p.age("another"); known {
			t.Error("it is known of another member")
		}
	})
}

// TestWritersKnowTheirLease: a writer learns with each batch for how much longer
// the partition is certain to be its own, which is a time without end outside of
// the runtime only. It passes while no heartbeat is sent.
func TestWritersKnowTheirLease(t *testing.T) {
	if left := sink.LeaseLeft(context.Background()); left != math.MaxInt64 {
		t.Errorf("%v without a runtime", left)
	}
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	lefts := make(chan time.Duration, 9)
	s := newTarget()
	s.before = func(ctx context.Context, _ []*cdc.Record) error {
		lefts <- sink.LeaseLeft(ctx)
		return nil
	}
	start(t, setup{addr: addr, writer: s, properties: map[string]string{"topics": "t",
		"consumer.override.session.timeout.ms": "300000", "consumer.override.heartbeat.interval.ms": "100000", "consumer.override.max.poll.interval.ms": "240000"}}.build(t))
	produce(t, cl, flat("t", 0, 1, 1))
	<-lefts
	time.Sleep(time.Second) // the first heartbeats are answered
	produce(t, cl, flat("t", 0, 1, 2))
	before := <-lefts
	time.Sleep(200 * time.Millisecond)
	produce(t, cl, flat("t", 0, 1, 3))
	after := <-lefts
	if most := 240 * time.Second * 7 / 8; before > most-900*time.Millisecond || before < most-time.Minute || after > before-200*time.Millisecond {
		t.Errorf("%v, and 0.2 s later %v, of at most %v", before, after, most)
	}
}

// TestAWriteThatOutlivesItsMemberIsNotCommitted: a sink may let a request go on
// for a moment. A commit would come from a member that is none, and cost the
// client, which goes on as a new member.
func TestAWriteThatOutlivesItsMemberIsNotCommitted(t *testing.T) {
	cluster, addr := fake(t, "t")
	produce(t, connect(t, addr), flat("t", 0, 1, 1))
	began := make(chan bool)
	var writes atomic.Int32
	s := newTarget()
	s.before = func(ctx context.Context, _ []*cdc.Record) error {
		if writes.Add(1) == 1 {
			close(began)
			<-ctx.Done()
		}
		return nil
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	<-began
	r.mu.Lock()
	first := r.life
	r.mu.Unlock()
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "weir-test", TopLevel: true, Count: 3, Err: kerr.UnknownMemberID})
	caughtUp(t, r, 3)
	if writes.Load() < 2 {
		t.Error("the member was not lost, or committed what it wrote when it was")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life != first {
		t.Error("the client was replaced")
	}
}
