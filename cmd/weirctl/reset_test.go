package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// broker is a topic with two partitions on a real Kafka, and a group that reads it.
type broker struct {
	bootstrap, topic, name string
	client                 *kgo.Client
	cluster                *kadm.Client
}

func (b broker) group() string { return "weir-" + b.name }

func newBroker(t *testing.T) broker {
	t.Helper()
	b := broker{bootstrap: servers.Kafka(t), topic: servers.Unique(t, "reset.shop.orders"), name: servers.Unique(t, "reset")}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	b.client, b.cluster = client, kadm.NewClient(client)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = b.cluster.DeleteTopics(ctx, b.topic)
		_, _ = b.cluster.DeleteGroups(ctx, b.group())
		client.Close()
	})
	if _, err := b.cluster.CreateTopic(t.Context(), 2, 1, nil, b.topic); err != nil {
		t.Fatal(err)
	}
	return b
}

// produce writes a record every second from the time first on, to partition 0.
func (b broker) produce(t *testing.T, n int, first time.Time) {
	t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: b.topic, Value: []byte("v"), Timestamp: first.Add(time.Duration(i) * time.Second)}
		if err := b.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// committed are the offsets of the group and their metadata.
func (b broker) committed(t *testing.T) map[int32]kadm.Offset {
	t.Helper()
	all, err := b.cluster.FetchOffsets(t.Context(), b.group())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[int32]kadm.Offset)
	for partition, o := range all[b.topic] {
		out[partition] = o.Offset
	}
	return out
}

func (b broker) commit(t *testing.T, partition int32, at int64, metadata string) {
	t.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: b.topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := b.cluster.CommitAllOffsets(t.Context(), b.group(), offsets); err != nil {
		t.Fatal(err)
	}
}

// configuration writes a Redis sink's configuration file.
func (b broker) configuration(t *testing.T, more string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "redis.json")
	text := fmt.Sprintf(`{"name": %q, "config": {"connector.class": "RedisSinkConnector", "redis.hosts": "r:6379", "bootstrap.servers": %q%s}}`, b.name, b.bootstrap, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var hour = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestResetMovesOffsets(t *testing.T) {
	b := newBroker(t)
	b.produce(t, 10, hour)
	b.commit(t, 0, 8, "")
	file := b.configuration(t, fmt.Sprintf(`, "topics": %q`, b.topic))

	code, out, errs := weirctl(t, nil, "reset", "-c", file, "--to", "2026-11-22T10:00:04Z")
	want := strings.ReplaceAll(`group GROUP
TOPIC PARTITION COMMITTED TO MOVES BY LEFT TO READ
TOPICNAME 0 8 4 -4 6
TOPICNAME 1 - 0 - 0
2 partitions, 6 records to read
Nothing is changed. Add --yes to move the offsets.
`, "GROUP", b.group())
	if diff := cmp.Diff(strings.ReplaceAll(want, "TOPICNAME", b.topic), squeeze(out)); diff != "" || code != 0 {
		t.Errorf("%d %s %s", code, errs, diff)
	}
	if got := b.committed(t); len(got) != 1 || got[0].At != 8 {
		t.Errorf("a dry run moved offsets: %v", got)
	}

	for _, c := range []struct {
		to   string
		args []string
		want map[int32]int64
	}{
		{"2026-11-22T10:00:04Z", nil, map[int32]int64{0: 4, 1: 0}},
		{"2026-11-23", nil, map[int32]int64{0: 10, 1: 0}},
		{"earliest", nil, map[int32]int64{0: 0, 1: 0}},
		{"7", []string{"--partition", "0"}, map[int32]int64{0: 7, 1: 0}},
		{"99", nil, map[int32]int64{0: 10, 1: 0}},
		{"3", []string{"--topic", b.topic}, map[int32]int64{0: 3, 1: 0}},
		{"current", nil, map[int32]int64{0: 3, 1: 0}},
		{"latest", nil, map[int32]int64{0: 10, 1: 0}},
	} {
		before := time.Now().Add(-time.Second)
		code, out, errs := weirctl(t, nil, append([]string{"reset", "-c", file, "--to", c.to, "--yes"}, c.args...)...)
		if code != 0 || !strings.Contains(out, "The offsets are moved.") {
			t.Fatalf("%s: %d %s %s", c.to, code, out, errs)
		}
		got := make(map[int32]int64)
		for partition, o := range b.committed(t) {
			got[partition] = o.At
			if o.Metadata == consumers.ResetMetadata([16]byte{}, before) || !strings.HasPrefix(o.Metadata, "w1;") {
				t.Errorf("%s: metadata %q", c.to, o.Metadata)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.to, diff)
		}
	}
}

// squeeze makes one blank of several.
func squeeze(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func TestResetMarksTheTopic(t *testing.T) {
	b := newBroker(t)
	b.produce(t, 1, hour)
	details, err := b.cluster.ListTopics(t.Context(), b.topic)
	if err != nil {
		t.Fatal(err)
	}
	file := b.configuration(t, fmt.Sprintf(`, "topics.regex": "%s.*"`, strings.ReplaceAll(b.topic, ".", `\\.`)))
	if code, _, errs := weirctl(t, nil, "reset", "-c", file, "--to", "earliest", "--yes"); code != 0 {
		t.Fatal(errs)
	}
	id := strings.Split(b.committed(t)[0].Metadata, ";")[1]
	if want := fmt.Sprintf("%x", [16]byte(details[b.topic].ID)); id != want {
		t.Errorf("topic id %s, want %s", id, want)
	}
}

func TestResetRefusesARunningGroup(t *testing.T) {
	b := newBroker(t)
	b.produce(t, 1, hour)
	member, err := kgo.NewClient(kgo.SeedBrokers(b.bootstrap), kgo.ConsumerGroup(b.group()), kgo.ConsumeTopics(b.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	if err := member.PollFetches(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	file := b.configuration(t, fmt.Sprintf(`, "topics": %q`, b.topic))
	code, out, errs := weirctl(t, nil, "reset", "-c", file, "--to", "earliest", "--yes")
	if code != 1 || !strings.Contains(errs, "the group has members (1, on ") || !strings.Contains(errs, "stop the sink first") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if got := b.committed(t); len(got) != 0 {
		t.Error(got)
	}
	member.Close()
	if code, _, errs = weirctl(t, nil, "reset", "-c", file, "--to", "earliest", "--yes"); code != 0 {
		t.Errorf("%d %s", code, errs)
	}
}

func TestResetRefusesALake(t *testing.T) {
	b := newBroker(t)
	b.produce(t, 1, hour)
	lake := filepath.Join(t.TempDir(), "lake.json")
	text := fmt.Sprintf(`{"name": %q, "connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": %q, "bootstrap.servers": %q}`, b.name, b.topic, b.bootstrap)
	if err := os.WriteFile(lake, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := weirctl(t, nil, "reset", "-c", lake, "--to", "earliest", "--yes"); code != 1 || !strings.Contains(errs, "a new name and a new folder") {
		t.Errorf("%d %s", code, errs)
	}
	// Another sink's file with the lake's group does not get around it.
	b.commit(t, 0, 1, "i1;00000000000000000000000000000000;x;1;-")
	file := b.configuration(t, fmt.Sprintf(`, "topics": %q`, b.topic))
	if code, _, errs := weirctl(t, nil, "reset", "-c", file, "--to", "earliest", "--yes"); code != 1 || !strings.Contains(errs, "those of a lake") {
		t.Errorf("%d %s", code, errs)
	}
	if got := b.committed(t); got[0].At != 1 {
		t.Error(got)
	}
}

func TestResetUsage(t *testing.T) {
	b := newBroker(t)
	file := b.configuration(t, fmt.Sprintf(`, "topics": %q`, b.topic))
	capture := filepath.Join(t.TempDir(), "mysql.json")
	if err := os.WriteFile(capture, []byte(`{"name": "x", "connector.class": "io.debezium.connector.mysql.MySqlConnector"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-c", file}, 2, "want earliest, latest, current, a time"},
		{[]string{"-c", file, "--to", "yesterday"}, 2, `--to "yesterday"`},
		{[]string{"--to", "earliest"}, 2, "want --config"},
		{[]string{"-c", capture, "--to", "earliest"}, 2, "which has no consumer group"},
		{[]string{"-c", file, "--to", "earliest", "--topic", "other"}, 2, "--topic other is not there"},
		{[]string{"-c", file, "--to", "earliest", "--partition", "9"}, 2, "no partition"},
		{[]string{"-c", file, "--to", "earliest", "--set", "topics="}, 2, "the topics to read"},
		{[]string{"-c", file, "--to", "earliest", "--set", "bootstrap.servers=127.0.0.1:1"}, 3, "no answer from Kafka at 127.0.0.1:1"},
	} {
		code, _, errs := weirctl(t, nil, append([]string{"reset"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
}
