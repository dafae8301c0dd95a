package capture

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// pause is a network that a test can stop: as when a process is paused or cut
// off, nothing arrives and nothing is refused.
type pause struct {
	mu      sync.Mutex
	stopped chan struct{} // nil: not paused; closed to go on
}

func (p *pause) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = make(chan struct{})
}

func (p *pause) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stopped)
	p.stopped = nil
}

func (p *pause) wait() {
	p.mu.Lock()
	stopped := p.stopped
	p.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
}

func (p *pause) dial(ctx context.Context, network, host string) (net.Conn, error) {
	p.wait()
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &pausedConn{c, p}, nil
}

type pausedConn struct {
	net.Conn
	pause *pause
}

func (c *pausedConn) Write(b []byte) (int, error) {
	c.pause.wait()
	return c.Conn.Write(b)
}

func (c *pausedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.pause.wait()
	return n, err
}

// ◆ Take-over: "initialise the producer id (which fences and ends the old
// transaction), then read offsets read-committed up to the high watermark, then
// stream; fenced means leave the group". A leader is paused in the middle of a
// Kafka transaction, a standby takes over, the leader wakes up and writes on:
// every change is there once, and the old leader stands by.
func TestTakeOverFromPausedLeader(t *testing.T) {
	at := servers.Kafka(t)
	prefix := servers.Unique(t, "takeover")
	db := newFakeDB(newFakeTable(prefix, "a", true))
	db.fill("a", 20)
	c := newConfig(t, at, prefix)
	network := &pause{}
	var held atomic.Bool
	hold := make(chan struct{})
	first := launch(t, c, openWith(db, func(s *fakeSource) Source { return &heldSource{s, &held, hold} }), kgo.Dialer(network.dial))
	first.reached(t, db)
	second := launch(t, c, db.open)

	// The first leader stops with a transaction open in Kafka, and half of the
	// source's transaction in it.
	held.Store(true)
	db.write(func(tx *fakeTx) {
		for id := int64(1); id <= 10; id++ {
			tx.put("a", id, "half written")
		}
	})
	waitFor(t, "the leader to be in the middle", func() bool { return !held.Load() })
	time.Sleep(100 * time.Millisecond) // its records are on their way
	network.stop()
	for range 5 {
		db.write(func(tx *fakeTx) { tx.put("a", 3, "after"); tx.del("a", 4); tx.put("a", 4, "again") })
	}
	second.reached(t, db)
	if !second.Status().Leader {
		t.Fatal("the standby did not take over")
	}
	// The old leader wakes up and tries to go on.
	network.resume()
	close(hold)
	waitFor(t, "the old leader to stand by", func() bool { return !first.Status().Leader })
	for range 5 {
		db.write(func(tx *fakeTx) { tx.put("a", 5, "later") })
	}
	second.reached(t, db)
	events := readEvents(t, at, prefix+".db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))

	// And the lead comes back in a moment when the new leader leaves.
	second.end(t)
	db.write(func(tx *fakeTx) { tx.put("a", 6, "last") })
	first.reached(t, db)
	sameChanges(t, streamed(readEvents(t, at, prefix+".db.a")), db.logged("a", 0))
}

// ◆ "initialise the producer id, then read offsets": a leader that still publishes
// while another one begins, as one that was paused and woke up does, must have
// everything known to that. Here it commits in the last moment in which it can,
// while the other's request for a producer id is on its way.
func TestOffsetsAreReadBehindTheProducerID(t *testing.T) {
	cluster, at := broker(t)
	db := newFakeDB(newFakeTable("behind", "a", true))
	db.fill("a", 20)
	first := launch(t, newConfig(t, at, "behind"), db.open)
	first.reached(t, db)
	var armed atomic.Bool
	armed.Store(true)
	cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if armed.Swap(false) {
			cluster.SleepControl(func() {
				db.write(func(tx *fakeTx) { tx.put("a", 1, "in the last moment"); tx.put("a", 2, "likewise") })
				first.reached(t, db)
			})
		}
		return nil, nil, false
	})
	// Of another group, it does not wait for the first to leave.
	second := launch(t, newConfig(t, at, "behind", "name", "beside"), db.open)
	waitFor(t, "the second to lead", func() bool { return second.Status().Leader && second.Status().Position != nil })
	first.end(t)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "later") })
	second.reached(t, db)
	events := readEvents(t, at, "behind.db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))
}

// heldSource stops in the middle of a transaction when held says so.
type heldSource struct {
	*fakeSource
	held *atomic.Bool
	hold chan struct{}
}

func (s *heldSource) Stream(ctx context.Context, wake <-chan struct{}, to Stream) error {
	return s.fakeSource.Stream(ctx, wake, &heldStream{Stream: to, source: s})
}

type heldStream struct {
	Stream
	source *heldSource
	n      int
}

func (s *heldStream) Begin(tx TransactionStart) error {
	s.n = 0
	return s.Stream.Begin(tx)
}

func (s *heldStream) Change(c *Change) error {
	if s.n++; s.n == 6 && s.source.held.Swap(false) {
		<-s.source.hold
	}
	return s.Stream.Change(c)
}

// Two instances of one capture: one leads, the other waits, and takes over at
// once when the first leaves.
func TestStandbyTakesOverWhenTheLeaderLeaves(t *testing.T) {
	at := servers.Kafka(t)
	prefix := servers.Unique(t, "standby")
	db := newFakeDB(newFakeTable(prefix, "a", true))
	db.fill("a", 20)
	c := newConfig(t, at, prefix)
	first := launch(t, c, db.open)
	first.reached(t, db)
	second := launch(t, c, db.open)
	for i := range 6 {
		db.write(func(tx *fakeTx) { tx.put("a", int64(i), "x") })
		time.Sleep(50 * time.Millisecond)
	}
	first.reached(t, db)
	if db.sources != 1 || second.Status().Leader {
		t.Fatalf("%d sources were opened while one leads", db.sources)
	}
	first.end(t)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "y") })
	second.reached(t, db)
	events := readEvents(t, at, prefix+".db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))
}

// ◆ "Fenced means leave the group": a leader that another producer has fenced
// gives its membership up before it goes on, so that who fenced it may lead.
func TestFencedLeaderLeavesTheGroup(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("leaves", "a", true))
	c := newConfig(t, at, "leaves")
	r := launch(t, c, db.open)
	r.reached(t, db)
	client, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.TransactionalID(transactionalID("leaves")))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	member := func() (id string) {
		groups, err := kadm.NewClient(client).DescribeGroups(t.Context(), groupID("leaves"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range groups[groupID("leaves")].Members {
			id = m.MemberID
		}
		return id
	}
	before := member()
	if _, _, err := client.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.write(func(tx *fakeTx) { tx.put("a", 1, "fenced") })
	r.reached(t, db)
	if after := member(); after == before || before == "" {
		t.Errorf("it is member %q still", after)
	}
	sameChanges(t, streamed(readEvents(t, at, "leaves.db.a")), db.logged("a", 0))
}
