package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const sevenDays = "604800000"

// ◆ Topics are created "compact for captured tables with a key,
// min.compaction.lag.ms and delete.retention.ms ≥ 7 days; everything else
// delete"; "new topics take topic.creation.default.*, else the broker's
// defaults", groups first.
func TestTopicsAreCreatedWithTheirPolicy(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("policy", "a", true), newFakeTable("policy", "k", false), newFakeTable("policy", "big", true))
	r := launch(t, newConfig(t, at, "policy", "provide.transaction.metadata", "true", "heartbeat.interval.ms", "1000",
		"topic.creation.default.partitions", "3", "topic.creation.default.compression.type", "lz4",
		"topic.creation.groups", "big", "topic.creation.big.include", `policy\.db\.b.*`, "topic.creation.big.partitions", "5",
		"topic.creation.big.segment.bytes", "1048576"), db.open)
	r.reached(t, db)
	r.end(t)
	for topic, want := range map[string]string{
		"policy.db.a":                 "3 compact " + sevenDays + " " + sevenDays + " lz4",
		"policy.db.k":                 "3 delete",
		"policy.db.big":               "5 compact " + sevenDays + " " + sevenDays + " producer",
		"policy":                      "1 delete",
		"policy.transaction":          "1 delete",
		"__debezium-heartbeat.policy": "1 delete",
		"policy.weir-schemas":         "1 compact",
		"weir-offsets-policy":         "1 compact",
	} {
		got := []string{itoa(int64(partitions(t, at, topic))), topicConfig(t, at, topic, "cleanup.policy")}
		if strings.Count(want, " ") > 1 {
			for _, setting := range []string{"min.compaction.lag.ms", "delete.retention.ms", "compression.type"} {
				got = append(got, topicConfig(t, at, topic, setting))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", topic, text, want)
		}
	}
	if got := topicConfig(t, at, "policy.db.big", "segment.bytes"); got != "1048576" {
		t.Errorf("segment.bytes=%s", got)
	}
}

// ◆ "everything else (keyless, outbox, routed, truncates) delete": the event of a
// TRUNCATE has no key, which a compacted topic refuses.
func TestTopicsWithTruncatesAreNotCompacted(t *testing.T) {
	_, at := broker(t)
	for skipped, want := range map[string]string{"none": "delete", "t": "compact"} {
		prefix := "truncates-" + skipped
		r := launch(t, newConfig(t, at, prefix, "skipped.operations", skipped), newFakeDB(newFakeTable(prefix, "a", true)).open)
		waitFor(t, "the start", func() bool { return r.Status().Position != nil })
		r.end(t)
		if got := topicConfig(t, at, prefix+".db.a", "cleanup.policy"); got != want {
			t.Errorf("skipped.operations=%s: cleanup.policy=%s, want %s", skipped, got, want)
		}
	}
}

func partitions(t *testing.T, bootstrap, topic string) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return len(topics[topic].Partitions)
}

func ptr(s string) *string { return &s }

// ◆ "existing topics are checked, never altered without a flag": a compacted
// topic for a table without a key would abort every transaction, so it stops;
// a keyed one that forgets keys is only warned of.
func TestExistingTopicsAreChecked(t *testing.T) {
	_, at := broker(t)
	newTopic(t, at, "exists.db.k", map[string]*string{"cleanup.policy": ptr("compact")})
	newTopic(t, at, "exists.db.a", map[string]*string{"cleanup.policy": ptr("delete")})
	db := newFakeDB(newFakeTable("exists", "a", true), newFakeTable("exists", "k", false))
	db.fill("k", 3)
	r := launch(t, newConfig(t, at, "exists"), db.open)
	err := r.failure(t)
	if err == nil || !strings.Contains(err.Error(), "exists.db.k") || !strings.Contains(err.Error(), "topic.policy.alter") || strings.Contains(err.Error(), "exists.db.a") {
		t.Fatal(err)
	}
	if got := topicConfig(t, at, "exists.db.k", "cleanup.policy"); got != "compact" {
		t.Errorf("it was altered to %s", got)
	}
	r = launch(t, newConfig(t, at, "exists", "topic.policy.alter", "true"), db.open)
	r.reached(t, db)
	r.end(t)
	if k, a := topicConfig(t, at, "exists.db.k", "cleanup.policy"), topicConfig(t, at, "exists.db.a", "cleanup.policy"); k != "delete" || a != "compact" {
		t.Errorf("with the flag: %s, %s", k, a)
	}
}

// ◆ "On losing its key a table's policy is switched before publishing", also
// when the capture was down meanwhile.
func TestPolicyFollowsTheKey(t *testing.T) {
	_, at := broker(t)
	for _, down := range []bool{false, true} {
		prefix := "losing"
		if down {
			prefix = "losing-down"
		}
		db := newFakeDB(newFakeTable(prefix, "a", true))
		db.fill("a", 3)
		c := newConfig(t, at, prefix)
		r := launch(t, c, db.open)
		r.reached(t, db)
		if down {
			r.end(t)
		}
		db.redefine("ALTER TABLE a DROP PRIMARY KEY", map[string]*Table{"db.a": newFakeTable(prefix, "a", false)})
		db.write(func(tx *fakeTx) { tx.put("a", 9, "without a key") })
		if down {
			r = launch(t, c, db.open)
		}
		r.reached(t, db)
		r.end(t)
		if got := topicConfig(t, at, prefix+".db.a", "cleanup.policy"); got != "delete" {
			t.Errorf("down %v: cleanup.policy=%s", down, got)
		}
		keyless := 0
		for _, e := range readEvents(t, at, prefix+".db.a") {
			if e.keyless {
				keyless++
			}
		}
		if keyless != 1 {
			t.Errorf("down %v: %d records without a key", down, keyless)
		}
	}
}

// TestABrokerLearnsOfAPolicyLater: what it refuses for want of a key until then is
// published once.
func TestABrokerLearnsOfAPolicyLater(t *testing.T) {
	cluster, at := broker(t)
	db := newFakeDB(newFakeTable("learning", "a", true))
	db.fill("a", 3)
	r := launch(t, newConfig(t, at, "learning", "errors.retry.delay.max.ms", "30"), db.open)
	r.reached(t, db)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "learning.db.a", Err: kerr.InvalidRecord, Count: 3})
	db.redefine("ALTER TABLE a DROP PRIMARY KEY", map[string]*Table{"db.a": newFakeTable("learning", "a", false)})
	db.write(func(tx *fakeTx) { tx.put("a", 9, "without a key") })
	r.reached(t, db)
	r.end(t)
	keyless := 0
	for _, e := range readEvents(t, at, "learning.db.a") {
		if e.keyless {
			keyless++
		}
	}
	if keyless != 1 || db.sources < 4 {
		t.Errorf("%d records without a key, read from %d times", keyless, db.sources)
	}
}

// TestARecordThatStaysInvalidStops: brokers learn of a policy within some time.
func TestARecordThatStaysInvalidStops(t *testing.T) {
	_, at := broker(t)
	c := New(newConfig(t, at, "invalid", "errors.retry.delay.initial.ms", "1", "errors.retry.delay.max.ms", "1"), nil,
		Options{Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	now := time.Now()
	c.now = func() time.Time { return now }
	tries := 0
	err := c.persist(t.Context(), func() error {
		tries++
		now = now.Add(4 * time.Second)
		return fmt.Errorf("publishing: %w", kerr.InvalidRecord)
	})
	if !errors.Is(err, kerr.InvalidRecord) || tries != 9 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// A topic of offsets with several partitions would hide offsets: it is refused.
func TestOffsetTopicHasOnePartition(t *testing.T) {
	cluster, at := broker(t)
	if err := cluster.CreateTopic("weir-offsets-many", 3, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	r := launch(t, newConfig(t, at, "many"), newFakeDB().open)
	if err := r.failure(t); err == nil || !strings.Contains(err.Error(), "one partition") {
		t.Fatal(err)
	}
}

// Without topic.creation.enable a missing topic is an error that names it.
func TestTopicsAreNotCreatedWhenOff(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("off", "a", true))
	r := launch(t, newConfig(t, at, "off", "topic.creation.enable", "false"), db.open)
	if err := r.failure(t); err == nil || !strings.Contains(err.Error(), "off.db.a") {
		t.Fatal(err)
	}
}

// After compaction the topic still equals the table, and holds one record a key.
func TestCompactedTopicEqualsTable(t *testing.T) {
	cluster, at := broker(t)
	db := newFakeDB(newFakeTable("compact", "a", true))
	db.fill("a", 50)
	r := launch(t, newConfig(t, at, "compact", "topic.creation.default.partitions", "1", "topic.creation.default.min.compaction.lag.ms", "0"), db.open)
	r.reached(t, db)
	for i := range 20 {
		db.write(func(tx *fakeTx) {
			tx.put("a", int64(i), "x")
			tx.del("a", int64(30+i))
			tx.move("a", int64(i+20), int64(i+100))
		})
	}
	r.reached(t, db)
	r.end(t)
	before := len(readTopic(t, at, "compact.db.a"))
	cluster.Compact()
	events := readEvents(t, at, "compact.db.a")
	if len(events) >= before {
		t.Fatalf("%d records, %d before compaction", len(events), before)
	}
	sameRows(t, state(t, events), db.rows("a"))
}
