package servers

import "testing"

// Own is a server of a test's own that can be ended and started again, on its port and with its data.
type Own struct {
	Address string // host:port of its clients' port

	node *node
	tb   testing.TB
}

func own(tb testing.TB, name string, ports int, args []string, recipe func(*Local) recipe) Own {
	tb.Helper()
	n := runningPrivate(tb, name, ports, args, recipe)
	return Own{Address: address(n.ports[0]), node: n, tb: tb}
}

// OwnKafka starts a broker as NewKafka does.
func OwnKafka(tb testing.TB, properties ...string) Own {
	tb.Helper()
	return own(tb, "kafka", 2, properties, kafkaRecipe)
}

// OwnRedis starts a Redis as NewRedis does, but one whose answers mean that a write is in its file: a kill loses
// nothing, as long as the machine lives.
func OwnRedis(tb testing.TB, args ...string) Own {
	tb.Helper()
	// With everysec, the default, an answer may be ahead of the file.
	args = append([]string{"--appendonly", "yes", "--appendfsync", "no"}, args...)
	return own(tb, "redis", 1, args, func(l *Local) recipe { return redisRecipe(l) })
}

// OwnElasticsearch starts an Elasticsearch with further lines of elasticsearch.yml.
func OwnElasticsearch(tb testing.TB, settings ...string) Own {
	tb.Helper()
	return own(tb, "elasticsearch", 2, settings, elasticsearchRecipe)
}

// OwnS3 starts an S3 server, and returns how to reach it, too.
func OwnS3(tb testing.TB) (Own, ObjectStore) {
	tb.Helper()
	o := own(tb, "s3", 1, nil, s3Recipe)
	return o, objectStoreOf(o.node)
}

// Kill ends the server at once, as a crash does.
func (o Own) Kill() {
	o.tb.Helper()
	p, alive := readProcess(o.node.path("pid"))
	if !alive {
		o.tb.Fatalf("killing %s: it does not run", o.node.name)
	}
	p.kill()
}

// Start starts the server again after Kill.
func (o Own) Start() {
	o.tb.Helper()
	if err := o.node.start(o.tb.Context()); err != nil {
		o.tb.Fatalf("starting %s again: %v", o.node.name, err)
	}
	if now := address(o.node.ports[0]); now != o.Address {
		o.tb.Fatalf("starting %s again: another process has taken %s meanwhile", o.node.name, o.Address)
	}
}
