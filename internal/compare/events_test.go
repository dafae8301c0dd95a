package compare

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// eventsTopic makes a topic of two partitions. Partition 0 holds: 0 a create, 1
// a delete and 2 its tombstone, 3 a commit marker, 4 an aborted record, 5 an
// abort marker, 6 a lone tombstone, 7 a marker; partition 1 holds one record
// without transaction and nothing else.
func eventsTopic(t *testing.T) (topic string, options []kgo.Opt) {
	t.Helper()
	topic, options = servers.Unique(t, "events"), []kgo.Opt{kgo.SeedBrokers(servers.Kafka(t))}
	client, err := kgo.NewClient(append(slices.Clone(options), kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	transaction(t, client, kgo.TryCommit, record(topic, "k", `{"op":"c","before":null}`), record(topic, "k", `{"before":{"x":1},"op":"d"}`), record(topic, "k", ""))
	transaction(t, client, kgo.TryAbort, record(topic, "k", `{"op":"c"}`))
	transaction(t, client, kgo.TryCommit, record(topic, "k", ""))
	plain, err := kgo.NewClient(append(slices.Clone(options), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	other := record(topic, "z", `{"op":"r"}`)
	other.Partition = 1
	if err := plain.ProduceSync(t.Context(), other).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return topic, options
}

func record(topic, key, value string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

func transaction(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	err := errors.Join(client.BeginTransaction(), client.ProduceSync(t.Context(), records...).FirstErr(), client.EndTransaction(t.Context(), end))
	if err != nil {
		t.Fatal(err)
	}
}

// eventsOf are the rows of a lake, as "partition-offset".
func eventsOf(topic string, rows ...string) *Events {
	e := &Events{}
	e.begin()
	for _, row := range rows {
		var partition int32
		var offset int64
		_, _ = fmt.Sscanf(row, "%d-%d", &partition, &offset)
		e.add(topic, partition, offset)
	}
	return e
}

func TestEventsOfALakeAreThoseOfItsTopic(t *testing.T) {
	topic, options := eventsTopic(t)
	for _, c := range []struct {
		name string
		rows []string
		want EventsResult
		like string
	}{
		{"all", []string{"0-0", "0-1", "0-6", "1-0"}, EventsResult{Kafka: 4, Rows: 4, Echoes: 1}, ""},
		{"echo too", []string{"0-0", "0-1", "0-2", "0-6", "1-0"}, EventsResult{Kafka: 5, Rows: 5}, ""},
		{"gap", []string{"0-0", "0-1", "1-0"}, EventsResult{Kafka: 4, Rows: 3, Echoes: 1, Gaps: 1}, "offset 6 of " + topic + "-0 is not in the lake"},
		{"gap of a partition", []string{"0-0", "0-1", "0-6"}, EventsResult{Kafka: 4, Rows: 3, Echoes: 1, Gaps: 1}, "offset 0 of " + topic + "-1 is not"},
		{"twice", []string{"0-0", "0-1", "0-6", "1-0", "0-0"}, EventsResult{Kafka: 4, Rows: 5, Echoes: 1, Twice: 1}, "offset 0 of " + topic + "-0 is in the lake more than once"},
		{"aborted", []string{"0-0", "0-1", "0-4", "0-6", "1-0"}, EventsResult{Kafka: 4, Rows: 5, Echoes: 1, Alien: 1}, "offset 4 of " + topic + "-0 is in the lake and was never committed"},
		{"marker", []string{"0-0", "0-1", "0-3", "0-6", "1-0"}, EventsResult{Kafka: 4, Rows: 5, Echoes: 1, Alien: 1}, "offset 3 of " + topic + "-0 is in the lake and was never committed"},
		{"beyond", []string{"0-0", "0-1", "0-6", "0-90", "1-0"}, EventsResult{Kafka: 4, Rows: 5, Echoes: 1, Alien: 1}, "offset 90 of " + topic + "-0 is in the lake and does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := eventsOf(topic, c.rows...).Compare(t.Context(), []string{topic}, options...)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Examples) != c.want.Differences() || c.like != "" && !strings.HasPrefix(got.Examples[0], c.like) {
				t.Errorf("examples %q, want %q", got.Examples, c.like)
			}
			got.Examples = nil
			if fmt.Sprint(*got) != fmt.Sprint(c.want) {
				t.Errorf("got %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

func TestEventsThatKafkaNoLongerHas(t *testing.T) {
	topic, options := eventsTopic(t)
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var upTo kadm.Offsets
	upTo.AddOffset(topic, 0, 2, -1)
	if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	got, err := eventsOf(topic, "0-0", "0-1", "0-6", "1-0").Compare(t.Context(), []string{topic}, options...)
	if err != nil || got.Compacted != 2 || got.Echoes != 1 || got.Differences() != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEventsOfATopicThatIsNotThere(t *testing.T) {
	_, err := eventsOf("x").Compare(t.Context(), []string{servers.Unique(t, "absent")}, kgo.SeedBrokers(servers.Kafka(t)))
	if err == nil {
		t.Error("no error")
	}
}

func TestVerifyComparesTablesTargetsAndEvents(t *testing.T) {
	table, good := pairs(t)
	topic, options := eventsTopic(t)
	directory := t.TempDir()
	first, second, third := changeOf(1, "a|b", 10, 1, 0), changeOf(2, `c\d`, 20, 2, 1), changeOf(2, `c\d`, 20, 3, 6)
	first.Topic, second.Topic, third.Topic = topic, topic, topic
	write(t, directory, "pairs/0.parquet", fileOf(t, first, second, third))
	names := []string{`1|a\|b`, `2|c\\d`}
	documents := &listed{table: table, names: names, texts: []string{good[names[0]], good[names[1]]}}
	jobs := []Job{{
		Table: table, Topics: []string{topic}, Kafka: options,
		Targets: []Target{{"documents", documents}, {"lake", &Lake{Store: Directory(directory), Topic: "pairs", Table: table}}},
	}}
	report, err := Verify(t.Context(), jobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 2 || report.Results[0].Target != "documents" || len(report.Events) != 1 || report.Events[0].Gaps != 1 || report.Differences() != 1 {
		t.Errorf("%+v %+v %+v", *report.Results[0], *report.Results[1], *report.Events[0])
	}
}

func TestTombstonesFollowDeletes(t *testing.T) {
	for value, want := range map[string]bool{
		`{"op":"d"}`: true, `{"schema":{},"payload":{"op":"d"}}`: true, `{"id":1,"__deleted":"true"}`: true, `{"id":1,"__deleted":true}`: true,
		`{"op":"u","before":{"op":"d"}}`: false, `{"id":1}`: false, `no JSON`: false,
	} {
		if got := isDelete(&kgo.Record{Value: []byte(value)}); got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
	if isDelete(nil) || isDelete(&kgo.Record{}) {
		t.Error("nothing is no delete")
	}
}
