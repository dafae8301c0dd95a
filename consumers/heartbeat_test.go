package consumers

import (
	"context"
	"errors"
	"fmt"
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
	for _, refusal := range []error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true, Count: 1, Err: refusal.(*kerr.Error)})
		g.heartbeat(t.Context(), l.client)
		if left := l.Left(); left > 0 {
			t.Errorf("%v are left after %v", left, refusal)
		}
	}
	if !g.heartbeat(t.Context(), l.client) {
		t.Error("no answer")
	}
	if left, most := l.Left(), g.session*7/8; left > most || left < most-time.Minute {
		t.Errorf("%v are left after a good one", left)
	}
	other := &Lease{gate: g, member: "another"}
	if left := other.Left(); left > 0 {
		t.Errorf("%v are left of another member's lease", left)
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
// the runtime only; and when heartbeats are not answered, that it is over.
func TestWritersKnowTheirLease(t *testing.T) {
	if left := sink.LeaseLeft(context.Background()); left != math.MaxInt64 {
		t.Errorf("%v without a runtime", left)
	}
	cluster, addr := fake(t, "t")
	cl := connect(t, addr)
	var deaf atomic.Bool
	for range 2 { // the client's and the gate's may be asked for at the same time
		cluster.ControlKey(heartbeatKey, func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if deaf.Load() {
				return nil, errors.New("the connection breaks"), true
			}
			return nil, nil, false
		})
	}
	var least, most atomic.Int64
	least.Store(math.MaxInt64)
	s := newTarget()
	s.before = func(ctx context.Context, _ []*cdc.Record) error {
		left := int64(sink.LeaseLeft(ctx))
		least.Store(min(least.Load(), left))
		if most.Store(max(most.Load(), left)); left <= 0 {
			return errTarget
		}
		return nil
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "consumer.override.session.timeout.ms": "3000"}}.build(t)
	start(t, r)
	produce(t, cl, flat("t", 0, 1, 1))
	caughtUp(t, r, 3)
	if got := time.Duration(most.Load()); got <= 0 || got > 3*time.Second*7/8 {
		t.Errorf("%v were left of a session of 3 s", got)
	}
	deaf.Store(true)
	eventually(t, func() error {
		produce(t, cl, flat("t", 0, 1, 2))
		if left := time.Duration(least.Load()); left > 0 {
			return fmt.Errorf("%v are left without heartbeats", left)
		}
		return nil
	})
	deaf.Store(false)
	caughtUp(t, r, 3)
}
