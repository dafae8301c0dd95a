package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// resetting is one reset command.
type resetting struct {
	sources    config.Sources
	group      string
	to         string
	topics     []string
	partitions []int32
	yes        bool
	out        io.Writer
	now        func() time.Time
}

func newReset(environ []string) *cobra.Command {
	r := &resetting{sources: config.Sources{Environ: environ}, now: time.Now}
	c := &cobra.Command{
		Use:   "reset",
		Short: "Move the offsets of a stopped sink",
		Long: `reset moves the offsets of a stopped Elasticsearch or Redis sink, to read records again or
to leave some out. It shows what would move; --yes moves it.

Reading records again is safe in the end: older changes never overwrite newer ones. But a
deleted document or key may reappear until its delete is read again; weirctl rebuild
elasticsearch makes a new index without that. A lake's offsets cannot be moved.`,
		Example: `  weirctl reset -c redis.json --to earliest
  weirctl reset -c redis.json --to 2026-11-22T10:00:00Z --yes
  weirctl reset -c elasticsearch.json --to 1042 --topic shop.ecommerce.orders --partition 3
  weirctl reset -c elasticsearch.json --to current --yes   # go on although deletes may be gone`,
		Args: wantArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			r.out = c.OutOrStdout()
			return r.run(c.Context())
		},
	}
	c.Flags().StringArrayVarP(&r.sources.Files, "config", "c", nil, "the sink's configuration; repeat to merge as the sink does")
	c.Flags().StringArrayVar(&r.sources.Set, "set", nil, "set a property, as for the sink")
	c.Flags().StringVar(&r.to, "to", "", "earliest, latest, current, a time (2026-11-22T10:00:00Z), or an offset")
	c.Flags().StringVar(&r.group, "group", "", "the consumer group, where the configuration does not say it")
	c.Flags().StringArrayVar(&r.topics, "topic", nil, "only this topic; repeat for more")
	c.Flags().Int32SliceVar(&r.partitions, "partition", nil, "only these partitions")
	c.Flags().BoolVar(&r.yes, "yes", false, "move the offsets; without it nothing is changed")
	return c
}

// errLake says what to do instead of a reset.
var errLake = errors.New(`the offsets of a lake cannot be moved: its files are named by them, and rows would be missing or double.
To write everything again, give the sink a new name and a new folder (name, topics.dir) and remove the old folder when it has caught up`)

func (r *resetting) run(ctx context.Context) error {
	to, err := parseGoal(r.to)
	if err != nil {
		return err
	}
	if len(r.sources.Files) == 0 {
		return fmt.Errorf("%w: want --config with the sink's configuration", errUsage)
	}
	s, err := sinkOf(ctx, r.sources, r.group)
	if err != nil {
		return err
	}
	if s.kind.name == "weir-lake" {
		return errLake
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return r.reset(ctx, kadm.NewClient(client), s, to)
}

// reset shows what moves, and moves it if that was asked for.
func (r *resetting) reset(ctx context.Context, cluster *kadm.Client, s sinkConfig, to goal) error {
	known, err := s.topics(ctx, cluster, r.topics)
	if err != nil {
		return err
	}
	if err := empty(ctx, cluster, s.group); err != nil {
		return err
	}
	moves, err := plan(ctx, cluster, s.group, chosen{slices.Sorted(maps.Keys(known)), r.partitions}, to)
	if err != nil {
		return err
	}
	if len(moves) == 0 {
		return fmt.Errorf("%w: no partition of group %s is chosen", errUsage, s.group)
	}
	printf(r.out, "group %s\n", s.group)
	printPlan(r.out, moves)
	if s.kind.name == "weir-elasticsearch" && slices.ContainsFunc(moves, func(m move) bool { return m.to < m.committed }) {
		printLine(r.out, "Deleted documents may reappear until their deletes are read again; weirctl rebuild elasticsearch avoids that.")
	}
	if !r.yes {
		printLine(r.out, "Nothing is changed. Add --yes to move the offsets.")
		return nil
	}
	now := r.now()
	mark := func(m move) string { return consumers.ResetMetadata(known[m.topic], now) }
	if err := commit(ctx, cluster, s.group, moves, mark); err != nil {
		return err
	}
	printLine(r.out, "The offsets are moved. Start the sink again.")
	return nil
}

// sinkConfig is what a tool needs of a sink's configuration.
type sinkConfig struct {
	kind  component
	group string
	consumers.Config
}

// sinkOf reads a sink's configuration as far as its runtime goes, and finds its
// group, if that is not given.
func sinkOf(ctx context.Context, sources config.Sources, group string) (sinkConfig, error) {
	kind, err := componentOf(sources)
	if err != nil {
		return sinkConfig{}, err
	}
	if kind.group == nil {
		return sinkConfig{}, fmt.Errorf("%w: %s is the configuration of a capture, which has no consumer group", errUsage, strings.Join(sources.Files, " "))
	}
	v, err := config.LoadPart(sources, config.Common, kafka.Properties, consumers.Properties)
	if err != nil {
		return sinkConfig{}, err
	}
	cfg, err := consumers.NewConfig(v)
	if err = v.Complete(nil, err); err != nil {
		return sinkConfig{}, err
	}
	if group == "" {
		group, err = kind.group(ctx, sources, cfg.Group)
	}
	return sinkConfig{kind, group, cfg}, err
}

// connect connects to the sink's brokers.
func (s sinkConfig) connect(ctx context.Context) (*kgo.Client, error) {
	options, err := s.Source.Options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("%w from Kafka at %s: %w", admin.ErrNoAnswer, strings.Join(s.Source.Bootstrap, ","), err)
	}
	return client, nil
}

// topics are the topics that the sink reads and that are there, with their ids;
// all of only, if that is not empty.
func (s sinkConfig) topics(ctx context.Context, cluster *kadm.Client, only []string) (map[string]kadm.TopicID, error) {
	details, err := cluster.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var pattern *regexp.Regexp
	if s.TopicRegex != "" {
		if pattern, err = regexp.Compile(`^(?:` + s.TopicRegex + `)$`); err != nil {
			return nil, fmt.Errorf("%w: topics.regex: %w", errUsage, err)
		}
	}
	reads := func(topic string) bool {
		if pattern == nil {
			return slices.Contains(s.Topics, topic)
		}
		return pattern.MatchString(topic)
	}
	out := make(map[string]kadm.TopicID)
	for name, detail := range details {
		if reads(name) && (len(only) == 0 || slices.Contains(only, name)) {
			out[name] = detail.ID
		}
	}
	for _, name := range only {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("%w: --topic %s is not there, or is not one that the sink reads", errUsage, name)
		}
	}
	return out, nil
}
