package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/kafka"
)

// retention finds topics that drop records, or forget deletes, before a sink has
// read them.
func (s *servers) retention(ctx context.Context, m *member, client *kgo.Client) {
	lags, err := lagsOf(ctx, client, m)
	if err != nil {
		s.unreachable(m, "bootstrap.servers", "the group "+m.runtime.Group, err)
		return
	}
	for _, topic := range slices.Sorted(maps.Keys(lags)) {
		s.lagging(m, topic, lags[topic])
	}
}

// movesLost finds topics that may compact an update away while the sink is down,
// where only that update says which row is to be deleted elsewhere.
func (s *servers) movesLost(ctx context.Context, m *member, client *kgo.Client) {
	if !m.moves || m.runtime.Horizon >= 0 {
		return
	}
	topics, err := kadm.NewClient(client).ListTopics(ctx, m.runtime.Topics...)
	if err != nil {
		s.unreachable(m, "bootstrap.servers", "the topics", err)
		return
	}
	for _, topic := range topics.Names() {
		if !m.reads(topic) {
			continue
		}
		kept, err := kafka.TopicRetention(ctx, client, topic)
		if err != nil || !kept.Compacted || kept.Updates > 0 {
			continue
		}
		s.find(m, Warning, Finding{Code: "moves-compacted", Property: "transforms",
			What: topic + " may compact an update away at once (min.compaction.lag.ms=0)",
			Why:  "a row that it routes elsewhere, or out of sight, while the sink is down also stays where it was, for ever",
			Do:   fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config min.compaction.lag.ms=%d", topic, kafka.KeepDeletes.Milliseconds())})
	}
}

// lagging is what a sink has not read of a topic.
type lagging struct {
	lost    int64     // records that were removed unread
	oldest  time.Time // of those that are unread; zero for none
	kept    time.Duration
	compact bool // kept is for deletes only
}

func (s *servers) lagging(m *member, topic string, l lagging) {
	if l.lost > 0 {
		s.find(m, Failure, Finding{Code: "retention-shorter-than-lag", Property: "topics", What: fmt.Sprintf("%s dropped %d records that were not read", topic, l.lost),
			Why: "they never come to " + m.target(), Do: "make the topic keep records longer (retention.ms), and read the tables again (a snapshot)"})
		return
	}
	if l.oldest.IsZero() || l.kept <= 0 {
		return
	}
	age := s.d.Now().Sub(l.oldest)
	if age < l.kept/2 {
		return
	}
	what, setting, severity := "keeps records", "retention.ms", Warning
	if l.compact {
		what, setting = "keeps deletes", "delete.retention.ms"
	}
	if age >= l.kept {
		severity = Failure
	}
	s.find(m, severity, Finding{Code: "retention-shorter-than-lag", Property: "topics",
		What: fmt.Sprintf("%s %s for %s, and the oldest unread one is %s old", topic, what, period(l.kept), period(age)),
		Why:  "what is dropped unread never comes to " + m.target(),
		Do:   fmt.Sprintf("start the sink, or: kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%d", topic, setting, (2 * max(age, l.kept)).Milliseconds())})
}

// period is a duration for people.
func period(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}

// lagsOf is what a sink's group has not read, by topic; topics of which it has
// no offset are left out.
func lagsOf(ctx context.Context, client *kgo.Client, m *member) (map[string]lagging, error) {
	cluster := kadm.NewClient(client)
	committed, err := cluster.FetchOffsets(ctx, m.runtime.Group)
	if err != nil {
		return nil, fmt.Errorf("fetching the offsets of group %s: %w", m.runtime.Group, err)
	}
	var topics []string
	for topic := range committed {
		if m.reads(topic) {
			topics = append(topics, topic)
		}
	}
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := cluster.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	ends, err := cluster.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	lags, unread := make(map[string]lagging), make(map[string]map[int32]kgo.Offset)
	for _, topic := range topics {
		l := lagging{}
		if l.kept, l.compact, err = keeps(ctx, cluster, topic); err != nil {
			return nil, err
		}
		unread[topic] = l.unread(committed[topic], starts[topic], ends[topic])
		lags[topic] = l
	}
	oldest, err := oldestOf(ctx, m, unread)
	for topic, at := range oldest {
		l := lags[topic]
		l.oldest = at
		lags[topic] = l
	}
	return lags, err
}

// unread is where each partition of a topic is to be read on, for those that
// have something to read; what was lost is counted.
func (l *lagging) unread(committed map[int32]kadm.OffsetResponse, starts, ends map[int32]kadm.ListedOffset) map[int32]kgo.Offset {
	next := make(map[int32]kgo.Offset)
	for partition, offset := range committed {
		start, started := starts[partition]
		end, ended := ends[partition]
		if !started || !ended || start.Err != nil || end.Err != nil || offset.Err != nil || offset.At < 0 {
			continue
		}
		if !l.compact && start.Offset > offset.At {
			l.lost += start.Offset - offset.At
		}
		if at := max(offset.At, start.Offset); at < end.Offset {
			next[partition] = kgo.NewOffset().At(at)
		}
	}
	return next
}

// keeps is how long a topic keeps records, or deletes if it is compacted; 0 is
// for ever.
func keeps(ctx context.Context, cluster *kadm.Client, topic string) (kept time.Duration, compact bool, err error) {
	described, err := cluster.DescribeTopicConfigs(ctx, topic)
	if err == nil {
		_, err = described.On(topic, func(r *kadm.ResourceConfig) error { return r.Err })
	}
	if err != nil {
		return 0, false, fmt.Errorf("describing topic %s: %w", topic, err)
	}
	settings := make(map[string]string)
	for _, c := range described[0].Configs {
		settings[c.Key] = c.MaybeValue()
	}
	name := "retention.ms"
	if compact = !strings.Contains(settings["cleanup.policy"], "delete"); compact {
		name = "delete.retention.ms"
	}
	ms, err := strconv.ParseInt(settings[name], 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("reading %s of topic %s: %w", name, topic, err)
	}
	return time.Duration(max(ms, 0)) * time.Millisecond, compact, nil
}

// readTimeout is how long the first unread records may take to come.
const readTimeout = 5 * time.Second

// oldestOf reads the first unread record of each partition and returns the
// oldest time by topic.
func oldestOf(ctx context.Context, m *member, unread map[string]map[int32]kgo.Offset) (map[string]time.Time, error) {
	left := 0
	for _, partitions := range unread {
		left += len(partitions)
	}
	if left == 0 {
		return nil, nil
	}
	options, err := m.brokers().Options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, kgo.ConsumePartitions(unread), kgo.FetchMaxBytes(1<<20), kgo.FetchMaxPartitionBytes(64<<10), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	oldest, seen := make(map[string]time.Time), make(map[string]bool)
	for len(seen) < left && ctx.Err() == nil {
		client.PollFetches(ctx).EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 {
				return
			}
			id := fmt.Sprintf("%s-%d", p.Topic, p.Partition)
			at := p.Records[0].Timestamp
			if has, ok := oldest[p.Topic]; !seen[id] && (!ok || at.Before(has)) {
				oldest[p.Topic] = at
			}
			seen[id] = true
		})
	}
	return oldest, nil
}
