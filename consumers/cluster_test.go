package consumers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestABrokerIsKilledUnderLoad plays the trial of both shapes of sink at once on
// three brokers of Apache Kafka, while the coordinator of a group is killed with
// -9 and comes back. BROKER_KILLS=n kills more: in turn the coordinator of one
// group, and the broker that leads most partitions of the other's topic, each
// when all replicas are in sync again.
func TestABrokerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	kills := 1
	if v, err := strconv.Atoi(os.Getenv("BROKER_KILLS")); err == nil {
		kills = v
	}
	cluster := servers.NewKafkaCluster(t)
	addr, killed := strings.Join(cluster.Bootstrap, ","), make(chan struct{})
	writers, ranges := onRealBrokers(t, 1, addr), onRealBrokers(t, 2, addr)
	writers.shape, ranges.shape = newWriterShape(writers), newRangeShape(nil)(ranges)
	var wg sync.WaitGroup
	for _, w := range []*trial{writers, ranges} {
		w.first, w.until = 12, killed
		createTopic(t, addr, w.topic, w.first)
		wg.Go(func() {
			for _, bad := range w.play(t) {
				t.Errorf("%s: %s", w.topic, bad)
			}
			t.Logf("%d records, %v", len(w.fed), w.stats)
		})
	}
	for n := range kills {
		if err := killOne(t, cluster, n, writers, ranges); err != nil {
			t.Error(err)
			break
		}
	}
	close(killed)
	wg.Wait()
}

// killOne kills a broker under load, sees both trials go on without it, and
// starts it again.
func killOne(t *testing.T, cluster servers.KafkaCluster, n int, one, other *trial) error {
	cl := connect(t, one.brokers)
	move := func() error { return errors.Join(movesOn(one), movesOn(other)) }
	if err := errors.Join(inSync(cl), move()); err != nil {
		return err
	}
	id, err := coordinatorOf(one)
	if n%2 == 1 {
		id, err = leaderOfMost(cl, other.topic)
	}
	if err != nil {
		return err
	}
	cluster.Kill(id)
	one.count("brokers killed")
	if err := move(); err != nil {
		return err
	}
	return cluster.Start(id)
}

// until waits for check to be true; its errors count as no.
func until(what string, check func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		done, err := check()
		if done && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// ask asks with a client of its own: one that has asked a coordinator that was
// then killed may ask the dead broker for ever.
func ask(w *trial, question func(context.Context, *kadm.Client) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.brokers, ",")...))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return question(ctx, kadm.NewClient(cl))
}

// movesOn waits until the trial's group has committed more than now.
func movesOn(w *trial) error {
	before := int64(-1)
	return until(w.group+" moves on", func() (bool, error) {
		now := int64(0)
		err := ask(w, func(ctx context.Context, adm *kadm.Client) error {
			offsets, err := adm.FetchOffsets(ctx, w.group)
			offsets.Each(func(o kadm.OffsetResponse) { now += o.At })
			return errors.Join(err, offsets.Error())
		})
		if err == nil && before < 0 {
			before = now
		}
		return now > before && before >= 0, err
	})
}

// inSync waits until every replica of every topic is in sync, those of the
// brokers' own topics too.
func inSync(cl *kgo.Client) error {
	return until("all replicas are in sync", func() (bool, error) {
		topics, err := kadm.NewClient(cl).ListTopicsWithInternal(context.Background())
		for _, t := range topics {
			for _, p := range t.Partitions {
				if p.Err != nil || len(p.ISR) < len(p.Replicas) {
					return false, p.Err
				}
			}
		}
		return true, err
	})
}

// coordinatorOf is the node of a trial's group's coordinator.
func coordinatorOf(w *trial) (id int32, err error) {
	err = until("a coordinator is found", func() (bool, error) {
		err := ask(w, func(ctx context.Context, adm *kadm.Client) error {
			found := adm.FindGroupCoordinators(ctx, w.group)[w.group]
			id = found.NodeID
			return found.Err
		})
		return err == nil, err
	})
	return id, err
}

// leaderOfMost is the node that leads the most partitions of a topic.
func leaderOfMost(cl *kgo.Client, topic string) (most int32, err error) {
	topics, err := kadm.NewClient(cl).ListTopics(context.Background(), topic)
	led := map[int32]int{}
	for _, p := range topics[topic].Partitions {
		if led[p.Leader]++; led[p.Leader] > led[most] {
			most = p.Leader
		}
	}
	return most, err
}

// onRealBrokers is a trial in real time, whose witness reads along at the
// clients.
func onRealBrokers(t testing.TB, seed uint64, addr string) *trial {
	d := newDice(seed)
	w := &trial{
		dice: d, seed: seed, topic: servers.Unique(t, "trial"), group: servers.Unique(t, "trial"), brokers: addr, witness: newWitness(d), first: trialPartitions,
		session: 6 * time.Second, lasts: 15 * time.Second, settles: 3 * time.Minute, late: 10 * time.Second, weather: func() {},
	}
	w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		in, err := netDial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return w.witness.watch(in, false), nil
	}
	return w
}
