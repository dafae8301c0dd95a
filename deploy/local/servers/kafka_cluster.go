package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// kafkaClusterProperties make a broker one of three, each a controller too: %[1]d is the node's id, %[2]s the voters.
// They state what exactly-once by intent asks of brokers: an acknowledged commit is on two of them. What follows after
// that keeps a small machine responsive, and a broker that died soon noticed.
const kafkaClusterProperties = `node.id=%[1]d
controller.quorum.voters=%[2]s
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304`

const kafkaClusterSize = 3

// KafkaCluster is three brokers of a test's own; their node ids are 1 to 3. Topics have three replicas, of which two
// have to be in sync for a write.
type KafkaCluster struct {
	// Bootstrap are the addresses of the brokers.
	Bootstrap []string

	nodes []*node
	tb    testing.TB
}

// NewKafkaCluster starts three brokers that end with the test; further lines of server.properties win.
func NewKafkaCluster(tb testing.TB, properties ...string) KafkaCluster {
	tb.Helper()
	local, err := tests()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), fetchPatience)
	defer cancel()
	for try := 0; ; try++ {
		nodes, release, err := local.kafkaCluster(ctx, properties)
		if err == nil {
			tb.Cleanup(release)
			return kafkaClusterOf(tb, nodes)
		}
		release()
		if !errors.Is(err, errPortTaken) || try == 5 {
			tb.Fatalf("starting three brokers: %v", err)
		}
	}
}

func kafkaClusterOf(tb testing.TB, nodes []*node) KafkaCluster {
	c := KafkaCluster{nodes: nodes, tb: tb}
	for _, n := range nodes {
		c.Bootstrap = append(c.Bootstrap, address(n.ports[0]))
	}
	return c
}

// errPortTaken says that somebody took a port between its choice and the server's start. The brokers know each other by
// port, so that all have to choose anew.
var errPortTaken = errors.New("a chosen port was taken")

// kafkaCluster starts three brokers. The caller calls release, also after an error.
func (l *Local) kafkaCluster(ctx context.Context, properties []string) (nodes []*node, release func(), err error) {
	var ends []func()
	release = func() {
		for _, end := range ends {
			end()
		}
	}
	var voters []string
	ports, err := freePorts(2 * kafkaClusterSize)
	if err != nil {
		return nil, release, err
	}
	for id := range kafkaClusterSize {
		n, end, err := l.private("kafka-cluster", kafkaMemberRecipe(l), 2, nil)
		if err != nil {
			return nil, release, err
		}
		ends = append(ends, end)
		n.preferred = ports[2*id : 2*id+2]
		nodes = append(nodes, n)
		voters = append(voters, fmt.Sprintf("%d@%s", id+1, address(n.preferred[1])))
	}
	var group errgroup.Group // none of them answers alone
	for id, n := range nodes {
		n.args = append([]string{fmt.Sprintf(kafkaClusterProperties, id+1, strings.Join(voters, ","))}, properties...)
		group.Go(func() error { return n.start(ctx) })
	}
	return nodes, release, group.Wait()
}

// kafkaMemberRecipe is kafkaRecipe with a small heap, on no other ports than those that were chosen for it.
func kafkaMemberRecipe(l *Local) recipe {
	r := kafkaRecipeOf(l, "256m")
	command := r.command
	r.command = func(ctx context.Context, n *node) (*exec.Cmd, error) {
		if !slices.Equal(n.ports, n.preferred) {
			return nil, errPortTaken
		}
		return command(ctx, n)
	}
	return r
}

// freePorts draws n ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// Kill ends the broker of a node id at once, as a crash does.
func (c KafkaCluster) Kill(id int32) {
	c.tb.Helper()
	n := c.nodes[id-1]
	p, alive := readProcess(n.path("pid"))
	if !alive {
		c.tb.Errorf("killing %s: it does not run", n.name)
		return
	}
	p.kill()
}

// Start starts a broker again after Kill, on the same port and data, and returns when it answers.
func (c KafkaCluster) Start(id int32) error {
	return c.nodes[id-1].start(c.tb.Context())
}
