package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// latency measures the time from a commit that MySQL has acknowledged until a
// read-committed consumer has the event, and until the key is in Redis.
func (b *bench) latency(ctx context.Context) error {
	if err := b.local.Up(ctx, servers.KindMySQL, servers.KindRedis); err != nil {
		return err
	}
	mysql, err := b.local.MySQL(ctx)
	if err != nil {
		return err
	}
	address, err := b.local.Redis(ctx)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, mysql, b.id)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+b.id) // the server is there for tests only
		_ = db.Close()
	}()
	keys := cache{client: redis.NewClient(&redis.Options{Addr: address}), prefix: b.id}
	defer func() { _ = keys.client.Close() }()
	if err := b.startPair(ctx, mysql, address); err != nil {
		return err
	}
	l := &latencies{changes: int(b.lasting.Seconds() * float64(b.rate)), topic: b.id + "." + b.id + ".pulse"}
	b.say("making %d changes a second for %v", b.rate, b.lasting)
	if err := l.measure(ctx, b, db, keys); err != nil {
		return err
	}
	l.print()
	return keys.remove(ctx)
}

func openDatabase(ctx context.Context, server servers.SQL, name string) (*sql.DB, error) {
	db, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	for _, statement := range []string{"CREATE DATABASE " + name, "CREATE TABLE " + name + ".pulse (id BIGINT PRIMARY KEY, at BIGINT NOT NULL, text VARCHAR(100) NOT NULL)"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("making the table: %w", err), db.Close())
		}
	}
	return db, nil
}

// startPair starts a capture and a cache, and returns when both run.
func (b *bench) startPair(ctx context.Context, mysql servers.SQL, cacheAddress string) error {
	capture, err := b.group.StartComponent(ctx, filepath.Join(b.folder, "weir-capture"), processes.Connector{Name: b.id + "-capture", Config: map[string]string{
		"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": mysql.Host, "database.port": strconv.Itoa(mysql.Port),
		"database.user": mysql.User, "database.password": mysql.Password, "database.include.list": b.id, "topic.prefix": b.id,
		"bootstrap.servers": b.kafka, "offset.storage.topic": b.id + "-offsets", "topic.creation.default.partitions": "12",
		"topic.creation.default.replication.factor": "1",
	}})
	if err != nil {
		return err
	}
	_, err = b.group.StartComponent(ctx, filepath.Join(b.folder, "weir-redis"), processes.Connector{Name: b.id + "-cache", Config: map[string]string{
		"connector.class": "RedisSinkConnector", "topics": b.id + "." + b.id + ".pulse", "bootstrap.servers": b.kafka, "redis.hosts": cacheAddress,
		"cache.prefix": b.id + ":", "cache.ttl": "3600",
	}})
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return capture.Until(waiting, func(ctx context.Context) error {
		s, err := capture.Status(ctx)
		if err == nil && s.Position == "" {
			err = errors.New("it has no position yet")
		}
		return err
	})
}

// latencies are the times of changes, by their number.
type latencies struct {
	changes int
	topic   string

	mu        sync.Mutex
	committed []time.Time
	toKafka   []time.Duration
	toRedis   []time.Duration
}

// warm is how many of the first changes do not count: the sink joins its group
// and finds the topic meanwhile.
const warm = 1000

// measure makes the changes and waits until all were seen in both places.
func (l *latencies) measure(ctx context.Context, b *bench, db *sql.DB, keys cache) error {
	l.changes += warm
	l.committed = make([]time.Time, l.changes)
	ctx, cancel := context.WithTimeout(ctx, b.lasting+2*time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.write(ctx, db, b.id, b.rate) })
	g.Go(func() error { return l.consume(ctx, b.kafka) })
	g.Go(func() error { return l.poll(ctx, keys) })
	return g.Wait()
}

// write makes the changes at an even rate, from a few connections, so that a slow
// commit does not hold up the others.
func (l *latencies) write(ctx context.Context, db *sql.DB, database string, rate int) error {
	const writers = 8
	db.SetMaxIdleConns(writers)
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for w := range writers {
		g.Go(func() error {
			for i := w; i < l.changes; i += writers {
				due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return ctx.Err()
				}
				if _, err := db.ExecContext(ctx, "INSERT INTO "+database+".pulse VALUES (?, ?, 'a text of some length, as rows have it')", i, i); err != nil {
					return fmt.Errorf("making changes: %w", err)
				}
				l.commit(i)
			}
			return nil
		})
	}
	return g.Wait()
}

func (l *latencies) commit(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed[i] = time.Now()
}

// seen notes that a change is there now; one that is seen before its
// acknowledgement took no time.
func (l *latencies) seen(into *[]time.Duration, i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := time.Duration(0)
	if at := l.committed[i]; !at.IsZero() {
		took = time.Since(at)
	}
	if i >= warm {
		*into = append(*into, took)
	}
}

// consume reads the topic as a read-committed consumer does.
func (l *latencies) consume(ctx context.Context, brokers string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(l.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	for n := 0; n < l.changes; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for events: %d of %d: %w", n, l.changes, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var i int
			if _, failed := fmt.Sscanf(string(r.Key), `{"id":%d}`, &i); failed == nil {
				l.seen(&l.toKafka, i)
				n++
			}
		})
	}
	return nil
}

// poll asks Redis every millisecond for the keys that are not there yet.
func (l *latencies) poll(ctx context.Context, keys cache) error {
	const most = 500
	var open []int
	next, n := 0, 0
	for n < l.changes {
		for len(open) < most && next < l.changes {
			open = append(open, next)
			next++
		}
		names := make([]string, len(open))
		for i, k := range open {
			names[i] = keys.prefix + ":" + strconv.Itoa(k)
		}
		values, err := keys.client.MGet(ctx, names...).Result()
		if err != nil {
			return fmt.Errorf("waiting for keys: %d of %d: %w", n, l.changes, err)
		}
		left := open[:0]
		for i, k := range open {
			if values[i] == nil {
				left = append(left, k)
				continue
			}
			l.seen(&l.toRedis, k)
			n++
		}
		open = left
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (l *latencies) print() {
	fmt.Printf("\n%-40s %9s %9s %9s\n", "from the commit, ms", "p50", "p99", "most")
	for _, row := range []struct {
		name, benchmark string
		took            []time.Duration
	}{{"until a read-committed consumer has it", "Consumer", l.toKafka}, {"until it is in Redis", "Redis", l.toRedis}} {
		slices.Sort(row.took)
		at := func(percent int) float64 {
			return float64(row.took[(len(row.took)-1)*percent/100].Microseconds()) / 1000
		}
		fmt.Printf("%-40s %9.1f %9.1f %9.1f\n", row.name, at(50), at(99), at(100))
		defer fmt.Printf("BenchmarkCommitTo%s %d %.3f p50-ms %.3f p99-ms\n", row.benchmark, len(row.took), at(50), at(99))
	}
}
