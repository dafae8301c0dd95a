package consumers

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokers are three brokers in memory on a network of the test's own, with a
// witness at their doors.
type brokers struct {
	*kfake.Cluster
	network *kfake.VirtualNetwork
	witness *witness
	pace    pace
}

func newBrokers(t testing.TB, d *dice, partitions int32, topic string) *brokers {
	b := &brokers{network: new(kfake.VirtualNetwork), witness: newWitness(d)}
	var err error
	b.Cluster, err = kfake.NewCluster(kfake.ListenFn(b.listen), kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.SeedTopics(partitions, topic),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
		kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.GroupMaxSessionTimeout(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *brokers) listen(network, address string) (net.Listener, error) {
	in, err := b.network.Listen(network, address)
	return watched{in, b.witness, &b.pace}, err
}

// watched is a listener whose connections the witness sees.
type watched struct {
	net.Listener
	witness *witness
	pace    *pace
}

func (l watched) Accept() (net.Conn, error) {
	in, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.witness.watch(pacedConn{in, l.pace}, true), nil
}

// pace lets time pass where a client asks over and over without a pause, as one
// does whose partition has moved until it has new metadata: on a virtual clock,
// which stands still meanwhile, that would never come.
type pace struct {
	mu   sync.Mutex
	last time.Time
	n    int
}

// mostAtOnce is how much may arrive at brokers at one instant of the clock.
const mostAtOnce = 200

func (p *pace) step() {
	p.mu.Lock()
	now := time.Now()
	if !now.Equal(p.last) {
		p.last, p.n = now, 0
	}
	p.n++
	late := p.n > mostAtOnce
	p.mu.Unlock()
	if late {
		time.Sleep(time.Millisecond)
	}
}

// pacedConn is a broker's end of a connection.
type pacedConn struct {
	net.Conn
	pace *pace
}

func (c pacedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.pace.step()
	return n, err
}

// dial is the network of a client that nothing happens to.
func (b *brokers) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return b.network.DialContext(ctx, network, addr)
}

// end closes the brokers, and lets every sleeper of a virtual clock end.
func (b *brokers) end() {
	b.Close()
	time.Sleep(10 * time.Minute)
}

// groupKeys are the requests that a coordinator answers.
var groupKeys = []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat}

// weather is what goes wrong at brokers, one thing after the other, until the
// dice are calm: leaders and coordinators move, coordinators load, and requests
// are refused for reasons that pass.
func (b *brokers) weather(d *dice, group, topic string, session time.Duration) {
	for !d.isCalm() {
		time.Sleep(d.between(session/6, 2*session))
		b.storm(d, group, topic)
	}
}

// storm is one thing that goes wrong. It may last for a few requests.
func (b *brokers) storm(d *dice, group, topic string) {
	some := func(of ...*kerr.Error) *kerr.Error { return of[d.intn(len(of))] }
	once := func(what string, f kfake.Fault) {
		d.count(what)
		f.Count, f.When = 1+d.intn(6), func(kmsg.Request) bool { return !d.isCalm() }
		b.Fault(f)
	}
	switch d.intn(8) {
	case 0:
		d.count("leaders moved")
		_ = b.MoveTopicPartition(topic, int32(d.intn(trialPartitions)), int32(d.intn(3)))
	case 1:
		d.count("elections of all leaders")
		b.ShufflePartitionLeaders()
	case 2:
		d.count("coordinators moved")
		b.RehashCoordinators()
	case 3:
		once("coordinators that load", kfake.Fault{Keys: groupKeys, Group: group, Err: kerr.CoordinatorLoadInProgress})
	case 4:
		once("coordinators not found", kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Group: group, Err: kerr.CoordinatorNotAvailable})
	case 5:
		once("fetches refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{int32(d.intn(trialPartitions))},
			Err: some(kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.KafkaStorageError, kerr.ReplicaNotAvailable, kerr.UnknownTopicOrPartition)})
	case 6:
		once("offsets not stable", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Err: kerr.UnstableOffsetCommit})
	case 7:
		once("letters refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: group + "-dlq",
			Err: some(kerr.InvalidProducerEpoch, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend)})
	}
}

// rebalances makes members join again, in bursts, until the dice are calm.
func rebalances(d *dice, session time.Duration, members func() []*process) {
	for !d.isCalm() {
		time.Sleep(d.between(session, 8*session))
		d.count("rebalance storms")
		for n := 2 + d.intn(6); n > 0 && !d.isCalm(); n-- {
			live := slices.DeleteFunc(members(), func(p *process) bool { return !p.live() })
			if len(live) > 0 {
				go live[d.intn(len(live))].rejoin()
			}
			time.Sleep(d.between(session/60, session/6))
		}
	}
}
