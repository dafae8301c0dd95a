package servers

import "testing"

// PrivateElasticsearch is a node of one test's own.
type PrivateElasticsearch struct {
	URL string

	node *node
	tb   testing.TB
}

// NewElasticsearch starts a node of the test's own, configured as the shared one
// but for further lines of elasticsearch.yml.
func NewElasticsearch(tb testing.TB, lines ...string) PrivateElasticsearch {
	tb.Helper()
	n := runningPrivate(tb, "elasticsearch", 2, lines, elasticsearchRecipe)
	return PrivateElasticsearch{URL: "http://" + address(n.ports[0]), node: n, tb: tb}
}

// Kill ends the node at once, as a crash does.
func (e PrivateElasticsearch) Kill() {
	e.tb.Helper()
	p, alive := readProcess(e.node.path("pid"))
	if !alive {
		e.tb.Fatalf("killing %s: it does not run", e.node.name)
	}
	p.kill()
}

// Start starts the node again after Kill, on the same port and data.
func (e PrivateElasticsearch) Start() {
	e.tb.Helper()
	if err := e.node.start(e.tb.Context()); err != nil {
		e.tb.Fatalf("starting %s again: %v", e.node.name, err)
	}
}
