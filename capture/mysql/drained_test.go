package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestAStreamThatIsBehindIsNotDrained has a capture follow writers that are
// faster than a Kafka transaction for each of theirs would be. Over TLS, where
// every event is a record of its own and buffers are empty between any two, it
// must not take the log for drained after each of them.
func TestAStreamThatIsBehindIsNotDrained(t *testing.T) {
	const writers, each = 8, 300
	const transactions = writers * each
	f := newFixture(t, servers.MySQL(t), false, map[string]string{
		"database.ssl.mode": "required", "topic.creation.default.partitions": "1", "snapshot.mode": "no_data",
	})
	f.run(t, "CREATE TABLE small (id INT PRIMARY KEY)")
	f.start(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(f.kafka), kgo.ConsumeTopics(f.prefix+"."+f.database+".small"), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rows, commits := 0, 0
	read := func(until int) {
		for rows < until && ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				if r.Attrs.IsControl() {
					commits++
				} else {
					rows++
				}
			})
		}
	}
	f.run(t, "INSERT INTO small VALUES (-1)")
	read(1) // all is warm, and the stream tails the log

	var g errgroup.Group
	for w := range writers {
		g.Go(func() error {
			for i := range each {
				if _, err := f.db.Exec("INSERT INTO small VALUES (?)", w*each+i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	read(1 + transactions)
	if rows != 1+transactions || commits > transactions/5 {
		t.Errorf("%d rows in %d Kafka transactions", rows, commits)
	}
}
