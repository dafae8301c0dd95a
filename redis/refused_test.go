package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestHostsAsURLs: what stands before a host is not shown, and an encrypted
// connection that is asked for is not opened in plain text.
func TestHostsAsURLs(t *testing.T) {
	for _, c := range []struct{ host, tls, want string }{
		{"redis://:hunter2@cache:6379", "false", "redis.password"}, {"rediss://cache:6379", "false", "redis.tls"},
		{"rediss://cache:6379", "true", ""}, {"redis://cache:6379", "false", ""}, {"cache", "false", "host:port"},
	} {
		v, _, err := config.Parse(map[string]string{"name": "cache", "redis.hosts": c.host, "redis.tls": c.tls}, Properties, config.Common)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewConfig(v)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s with redis.tls=%s: %v", c.host, c.tls, err)
		}
	}
}

// count is what a counter counted.
func count(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestBatchSize: a batch is written by pipelines of batch.size records.
func TestBatchSize(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "sizes") + ":"
	s := open(t, address, map[string]string{"cache.prefix": prefix, "batch.size": "10"})
	mustWrite(t, s, row(0, 1, "Rome", 1)) // the script is known from here on
	before := count(t, s.metrics.pipelines)
	var batch []*cdc.Record
	for i := range 25 {
		batch = append(batch, row(int64(i), uint64(10+i), "Oslo", 1))
	}
	mustWrite(t, s, batch...)
	if got := count(t, s.metrics.pipelines) - before; got != 3 {
		t.Errorf("25 records in %v pipelines", got)
	}
	for i := range 25 {
		if got := city(t, raw(t, address), "string", fmt.Sprint(prefix, i)); got != "Oslo" {
			t.Errorf("record %d is %q", i, got)
		}
	}
}

// TestDomainStops: a topic whose versions cannot be compared stops its partition
// in place of being tried for ever.
func TestDomainStops(t *testing.T) {
	s := open(t, servers.Redis(t), map[string]string{"cache.prefix": servers.Unique(t, "domain") + ":"})
	mustWrite(t, s, row(1, 1, "Rome", 1))
	r := row(1, 100, "Oslo", 1)
	r.Domain = "offset"
	var stopped *sink.Stopped
	if err := write(t, s, r); !errors.As(err, &stopped) {
		t.Errorf("a record of another domain: %v", err)
	}
}
