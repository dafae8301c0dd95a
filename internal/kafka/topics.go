package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KeepDeletes is how long a compacted topic of ours keeps every version of a
// key, and then a delete: as long as a sink may be down without missing one.
const KeepDeletes = 7 * 24 * time.Hour

// The topic configurations that a policy consists of.
const (
	cleanupPolicy   = "cleanup.policy"
	compactionLag   = "min.compaction.lag.ms"
	deleteRetention = "delete.retention.ms"
	recordRetention = "retention.ms"
)

// Topic is a topic as it should be.
type Topic struct {
	Name string
	// Partitions and Replicas are for a topic that does not exist yet; 0 leaves
	// them to the broker.
	Partitions, Replicas int
	// Configs are topic configurations: those a new topic gets, and those an
	// existing one is checked for.
	Configs map[string]string
}

// Compacted returns a topic that keeps the newest record of every key for ever,
// and deletes for KeepDeletes. A record without a key cannot be written to it.
func Compacted(name string) Topic {
	keep := strconv.FormatInt(KeepDeletes.Milliseconds(), 10)
	return Topic{Name: name, Configs: map[string]string{cleanupPolicy: "compact", compactionLag: keep, deleteRetention: keep}}
}

// Deleting returns a topic that drops records by age or size, as the broker has
// it: for records without a key, or where keys of several tables meet.
func Deleting(name string) Topic {
	return Topic{Name: name, Configs: map[string]string{cleanupPolicy: "delete"}}
}

// CreateTopics creates the topics that do not exist and returns their names.
// Existing topics stay as they are; CheckTopics says whether they fit.
func CreateTopics(ctx context.Context, cl *kgo.Client, topics ...Topic) (created []string, err error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, t := range topics {
		req.Topics = append(req.Topics, createRequest(t))
	}
	if len(req.Topics) == 0 {
		return nil, nil
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("creating topics: %w", err)
	}
	var errs []error
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil:
			created = append(created, t.Topic)
		case errors.Is(err, kerr.TopicAlreadyExists):
		case t.ErrorMessage != nil:
			errs = append(errs, fmt.Errorf("creating topic %s: %w (%s)", t.Topic, err, *t.ErrorMessage))
		default:
			errs = append(errs, fmt.Errorf("creating topic %s: %w", t.Topic, err))
		}
	}
	return created, errors.Join(errs...)
}

func createRequest(t Topic) kmsg.CreateTopicsRequestTopic {
	out := kmsg.NewCreateTopicsRequestTopic()
	out.Topic, out.NumPartitions, out.ReplicationFactor = t.Name, -1, -1
	if t.Partitions > 0 {
		out.NumPartitions = int32(t.Partitions)
	}
	if t.Replicas > 0 {
		out.ReplicationFactor = int16(t.Replicas)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(t.Configs[name])
		out.Configs = append(out.Configs, c)
	}
	return out
}

// Mismatch is a configuration of an existing topic that is not as it should be.
type Mismatch struct {
	Topic, Config, Has, Want string
}

// Command is what mends the mismatch, for a message to a person.
func (m Mismatch) Command() string {
	return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=[%s]", m.Topic, m.Config, m.Want)
}

// CheckTopics returns where existing topics differ from what they should be:
// times may be longer. Topics that do not exist are passed over.
func CheckTopics(ctx context.Context, cl *kgo.Client, topics ...Topic) ([]Mismatch, error) {
	names := make([]string, len(topics))
	for i := range topics {
		names[i] = topics[i].Name
	}
	if len(names) == 0 {
		return nil, nil
	}
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	has := map[string]map[string]string{}
	for _, d := range described {
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if d.Err != nil {
			return nil, fmt.Errorf("describing topic %s: %w", d.Name, d.Err)
		}
		has[d.Name] = configsOf(d)
	}
	var out []Mismatch
	for _, t := range topics {
		if got := has[t.Name]; got != nil {
			out = append(out, mismatches(t, got)...)
		}
	}
	return out, nil
}

func configsOf(d kadm.ResourceConfig) map[string]string {
	out := make(map[string]string, len(d.Configs))
	for _, c := range d.Configs {
		out[c.Key] = c.MaybeValue()
	}
	return out
}

func mismatches(t Topic, has map[string]string) []Mismatch {
	var out []Mismatch
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		if !fits(name, has[name], t.Configs[name]) {
			out = append(out, Mismatch{Topic: t.Name, Config: name, Has: has[name], Want: t.Configs[name]})
		}
	}
	return out
}

// fits compares a configuration; a time may be longer than asked for.
func fits(name, has, want string) bool {
	if name == compactionLag || name == deleteRetention {
		h, errHas := strconv.ParseInt(has, 10, 64)
		w, errWant := strconv.ParseInt(want, 10, 64)
		return errHas == nil && errWant == nil && h >= w
	}
	return has == want
}

// AlterTopic sets configurations of an existing topic and leaves the others.
func AlterTopic(ctx context.Context, cl *kgo.Client, topic string, configs map[string]string) error {
	var changes []kadm.AlterConfig
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: kmsg.StringPtr(configs[name])})
	}
	responses, err := kadm.NewClient(cl).AlterTopicConfigs(ctx, changes, topic)
	if err == nil {
		_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		return fmt.Errorf("altering topic %s: %w", topic, err)
	}
	return nil
}

// Retention is how long a topic keeps deletes, updates that are not the last, and
// records at all.
type Retention struct {
	Compacted bool
	Deletes   time.Duration // delete.retention.ms, where Compacted
	Updates   time.Duration // min.compaction.lag.ms, where Compacted
	Records   time.Duration // retention.ms, where old records are removed; 0: for ever
}

// TopicRetention reads a topic's cleanup policy.
func TopicRetention(ctx context.Context, cl *kgo.Client, topic string) (Retention, error) {
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	if err == nil {
		_, err = described.On(topic, func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if err != nil {
		return Retention{}, fmt.Errorf("describing topic %s: %w", topic, err)
	}
	has := configsOf(described[0])
	ms, err := strconv.ParseInt(has[deleteRetention], 10, 64)
	if err != nil {
		return Retention{}, fmt.Errorf("reading %s of topic %s: %w", deleteRetention, topic, err)
	}
	lag, err := strconv.ParseInt(cmp.Or(has[compactionLag], "0"), 10, 64)
	if err != nil {
		return Retention{}, fmt.Errorf("reading %s of topic %s: %w", compactionLag, topic, err)
	}
	policies := strings.Split(has[cleanupPolicy], ",")
	r := Retention{Compacted: slices.Contains(policies, "compact"), Deletes: milliseconds(ms), Updates: milliseconds(lag)}
	if records, err := strconv.ParseInt(has[recordRetention], 10, 64); err == nil && records > 0 && slices.Contains(policies, "delete") {
		r.Records = milliseconds(records)
	}
	return r, nil
}

// milliseconds is a duration, the longest one for what is longer.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
