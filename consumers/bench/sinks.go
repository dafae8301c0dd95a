package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/deploy/local/processes"
)

// sinkRun is a sink's binary over the whole topic.
type sinkRun struct {
	binary string
	name   string // of the connector
	config map[string]string
}

// runSink runs a sink from the topic's begin to its end and says what it took,
// its start and stop included; the rate is until all is committed.
func (b *bench) runSink(ctx context.Context, t *topic, s sinkRun) (cost, error) {
	config := map[string]string{
		"topics": t.name, "bootstrap.servers": b.kafka, "offset.flush.interval.ms": "500",
		"transforms": "route", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.route.regex": `.*\.([^.]+)`, "transforms.route.replacement": b.id + "-$1",
	}
	maps.Copy(config, s.config)
	b.say("%s reads %d records", s.binary, t.records)
	began := time.Now()
	c, err := b.group.StartComponent(ctx, filepath.Join(b.folder, s.binary), processes.Connector{Name: s.name, Config: config})
	if err != nil {
		return cost{}, err
	}
	wall, err := t.committed(ctx, c, "weir-"+s.name, began)
	if err != nil {
		return cost{}, err
	}
	rss, err := c.PeakRSS()
	if err != nil {
		return cost{}, err
	}
	err = c.Stop(stopPatience)
	return cost{records: t.records, cpu: c.CPU(), rss: rss, wall: wall}, err
}

// committed waits until a group has committed the end of every partition, and
// says how long that took since began.
func (t *topic) committed(ctx context.Context, c *processes.Component, group string, began time.Time) (time.Duration, error) {
	cluster := kadm.NewClient(t.client)
	for {
		offsets, err := cluster.FetchOffsets(ctx, group)
		if err == nil && t.complete(offsets) {
			return time.Since(began), nil
		}
		if err := c.Ended(); err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for %s to commit the end of the topic: %w", c.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (t *topic) complete(offsets kadm.OffsetResponses) bool {
	for p := range int32(partitions) {
		if o, ok := offsets.Lookup(t.name, p); !ok || o.At < int64(t.each) {
			return false
		}
	}
	return true
}
