package servers

import "testing"

// Private is a server of one test's own, which can be ended and started again on its port and with its data.
type Private struct {
	Address string // host:port of its clients' port

	node *node
	tb   testing.TB
}

func private(tb testing.TB, name string, ports int, args []string, recipe func(*Local) recipe, preferred ...int) *Private {
	tb.Helper()
	n := runningPrivate(tb, name, ports, args, recipe, preferred...)
	return &Private{Address: address(n.ports[0]), node: n, tb: tb}
}

// NewBroker starts a broker as NewKafka does. Where clients are to reach it by another address, such as a proxy's,
// advertise returns that for the one that the broker is about to listen on; nil: it is reached directly.
func NewBroker(tb testing.TB, advertise func(address string) string, properties ...string) *Private {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	if advertise != nil {
		properties = append(properties, "advertised.listeners=PLAINTEXT://"+advertise(address(port)))
	}
	return private(tb, "kafka", 2, properties, kafkaRecipe, port)
}

// NewRedisServer starts a Redis as NewRedis does.
func NewRedisServer(tb testing.TB, args ...string) *Private {
	tb.Helper()
	return private(tb, "redis", 1, args, func(l *Local) recipe { return redisRecipe(l) })
}

// NewRedisCluster starts masters of a cluster of the test's own (Redis 7), among which the slots are divided; those
// that are more than have slots come without.
func NewRedisCluster(tb testing.TB, masters, more int, args ...string) []*Private {
	tb.Helper()
	out := make([]*Private, masters+more)
	nodes := make([]*node, len(out))
	for i := range out {
		out[i] = private(tb, "redis", 2, args, func(l *Local) recipe { return redisRecipe(l, clusterArguments("--cluster-port", "{bus}")...) })
		nodes[i] = out[i].node
	}
	if err := joinCluster(tb.Context(), nodes, masters); err != nil {
		tb.Fatal(err)
	}
	return out
}

// NewElasticsearch starts a node configured as the shared one but for further lines of elasticsearch.yml.
func NewElasticsearch(tb testing.TB, lines ...string) *Private {
	tb.Helper()
	return private(tb, "elasticsearch", 2, lines, elasticsearchRecipe)
}

// NewS3 starts an S3 server, and returns how to reach it, too.
func NewS3(tb testing.TB) (*Private, ObjectStore) {
	tb.Helper()
	p := private(tb, "s3", 1, nil, s3Recipe)
	return p, objectStoreOf(p.node)
}

// Kill ends the server at once, as a crash does.
func (p *Private) Kill() { p.tb.Helper(); p.node.killed(p.tb) }

// Stop ends the server cleanly, so that it saves what it is configured to.
func (p *Private) Stop() { p.node.stopped() }

// Running tells whether the server's process runs.
func (p *Private) Running() bool {
	_, alive := readProcess(p.node.path("pid"))
	return alive
}

// Start starts the server again after its end. Its configuration is that of its arguments.
func (p *Private) Start() {
	p.tb.Helper()
	p.node.startedAgain(p.tb)
	if now := address(p.node.ports[0]); now != p.Address {
		p.tb.Fatalf("starting %s again: another process has taken %s meanwhile", p.node.name, p.Address)
	}
}
