package redissink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

const (
	user     = "weir"
	password = "pw"
	parts    = 2
	rows     = 40
)

// trial is a whole sink between a broker in memory and real Redis servers, with
// what the keys have to be in the end.
type trial struct {
	t          *testing.T
	rng        *rand.Rand
	producer   *kgo.Client
	properties map[string]string
	reads      redis.UniversalClient // what readers of the cache see

	main service.Main
	stop func()

	n    int            // of the last change
	want map[string]int // by key; 0: deleted

	// around counts the beginnings and the ends of faults that lose data: only
	// between them a key's version must not go back.
	around atomic.Int64
}

// newTrial starts a sink that writes to hosts; reads is how its keys are read.
func newTrial(t *testing.T, seed uint64, hosts string, reads redis.UniversalClient, properties map[string]string) *trial {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(parts, "shop"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &trial{t: t, rng: rand.New(rand.NewPCG(seed, 5)), reads: reads, want: map[string]int{}}
	w.producer, err = kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.producer.Close)
	w.properties = map[string]string{
		"name": "cache", "bootstrap.servers": c.ListenAddrs()[0], "topics": "shop", "redis.hosts": hosts, "redis.username": user, "redis.password": password,
		"cache.prefix": "${table}:", "redis.rewind.minutes": "1", "batch.size": "7", "max.retries": "2", "retry.backoff.ms": "10",
		"errors.retry.delay.max.ms": "200", "flush.timeout.ms": "3000", "offset.flush.interval.ms": "20", "errors.tolerance": "all",
		"consumer.override.fetch.max.wait.ms": "50",
	}
	for name, text := range properties {
		w.properties[name] = text
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts the sink as its binary does.
func (w *trial) start() {
	w.t.Helper()
	v, _, err := config.Parse(w.properties, Program().AllTables()...)
	if err != nil {
		w.t.Fatal(err)
	}
	env := service.Environment{Values: v, Log: zaptest.NewLogger(w.t, zaptest.Level(zap.ErrorLevel)), Metrics: prometheus.NewRegistry()}
	if w.main, err = newMain(env); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.main.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done //nolint:errcheck // an error says that a write did not end in time, which is harmless
	})
}

// change produces changes of random rows.
func (w *trial) change(times int) {
	w.t.Helper()
	for range times {
		w.n++
		id := w.rng.IntN(rows)
		r := &kgo.Record{Topic: "shop", Partition: int32(id % parts), Key: fmt.Appendf(nil, `{"id":%d}`, id)}
		key := fmt.Sprint("shop:", id)
		w.want[key] = 0
		if w.rng.IntN(6) > 0 {
			w.want[key] = w.n
			r.Value = fmt.Appendf(nil, `{"id":%d,"n":%d}`, id, w.n)
		}
		if err := w.producer.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// touch changes a row of every partition.
func (w *trial) touch() {
	w.t.Helper()
	for id := range parts {
		w.n++
		key, value := fmt.Appendf(nil, `{"id":%d}`, id), fmt.Appendf(nil, `{"id":%d,"n":%d}`, id, w.n)
		w.want[fmt.Sprint("shop:", id)] = w.n
		if err := w.producer.ProduceSync(w.t.Context(), &kgo.Record{Topic: "shop", Partition: int32(id), Key: key, Value: value}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// until waits until check is nil: minutes, since the machine may be busy.
func (w *trial) until(what string, check func() error) {
	w.t.Helper()
	err := check()
	for deadline := time.Now().Add(3 * time.Minute); err != nil; err = check() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s does not come: %v\n%s", what, err, w.describe())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *trial) describe() string {
	var b strings.Builder
	for _, task := range w.main.Status().Tasks {
		fmt.Fprintf(&b, "%d %s committed %d", task.Partition.Partition, task.State, task.Committed)
		if task.Problem != nil {
			b.WriteString(" " + task.Problem.Text + "; " + task.Problem.Do)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// waits waits until a partition is RUNNING with a reason that contains one of
// the texts, and changes rows so that there is something to wait for.
func (w *trial) waits(texts ...string) {
	w.t.Helper()
	polls := 0
	w.until("the reason "+strings.Join(texts, " or "), func() error {
		if polls++; polls%25 == 1 {
			w.touch()
		}
		for _, task := range w.main.Status().Tasks {
			for _, text := range texts {
				if task.State == admin.Running && task.Problem != nil && strings.Contains(task.Problem.Text, text) {
					return nil
				}
			}
		}
		return errors.New("no partition waits for it")
	})
}

// isWhole waits until every key is its row's newest state and everything is
// committed, without a dead letter.
func (w *trial) isWhole() {
	w.t.Helper()
	w.until("the state of the rows", func() error {
		for key, n := range w.want {
			got, err := w.number(key)
			if err != nil {
				return err
			}
			if got != n {
				return fmt.Errorf("%s is %d, want %d", key, got, n)
			}
		}
		return nil
	})
	adm := kadm.NewClient(w.producer)
	w.until("the last commit", func() error {
		lags, err := adm.Lag(w.t.Context(), "weir-cache")
		if err != nil {
			return err
		}
		if n := lags["weir-cache"].Lag.Total(); n != 0 {
			return fmt.Errorf("lag %d", n)
		}
		return nil
	})
	topics, err := adm.ListTopics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if topics.Has("cache-dlq") {
		w.t.Error("a trouble of the server went to the dead letters")
	}
}

// number is the version of a key's row, 0 if there is none.
func (w *trial) number(key string) (n int, err error) {
	text, err := w.reads.Get(w.t.Context(), key).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, `"n":`)
	_, err = fmt.Sscanf(rest, "%d", &n)
	return n, err
}

// watch reads keys all the time, and fails the test where one goes back though
// nothing was lost meanwhile.
func (w *trial) watch() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		seen, of := map[string]int{}, int64(0)
		for id := 0; ctx.Err() == nil; id = (id + 1) % rows {
			time.Sleep(time.Millisecond)
			key, before := fmt.Sprint("shop:", id), w.around.Load()
			n, err := w.number(key)
			if err != nil || before%2 == 1 || w.around.Load() != before {
				continue
			}
			if of != before {
				clear(seen)
				of = before
			}
			if n > 0 && n < seen[key] { // 0: deleted
				w.t.Errorf("%s went back from %d to %d", key, seen[key], n)
			}
			seen[key] = max(seen[key], n)
		}
	})
	return func() { cancel(); done.Wait() }
}

// losing runs what may lose what was acknowledged.
func (w *trial) losing(what func()) {
	w.around.Add(1)
	defer w.around.Add(1)
	what()
}

// some is a pause of up to most.
func (w *trial) some(most time.Duration) { time.Sleep(time.Duration(w.rng.Int64N(int64(most)))) }
