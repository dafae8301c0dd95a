package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/elasticsearch"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// How a rebuild looks at itself.
const (
	lookEvery    = time.Second
	sayEvery     = 5 * time.Second
	handOverWait = 20 * time.Second
	// moment is how long the way to where the topics ended may have taken for the
	// rest of it to be short.
	moment      = 10 * time.Second
	releaseWait = time.Minute
)

func newRebuild(environ []string) *cobra.Command {
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Build a target anew while the old one is read",
		Args:  wantArgs(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRebuildElasticsearch(environ))
	return c
}

// rebuilding is one rebuild command.
type rebuilding struct {
	sources config.Sources
	restart bool
	out     io.Writer
	log     *zap.Logger
	now     func() time.Time
}

func newRebuildElasticsearch(environ []string) *cobra.Command {
	r := &rebuilding{sources: config.Sources{Environ: environ}, now: time.Now, log: zap.NewNop()}
	c := &cobra.Command{
		Use:   "elasticsearch",
		Short: "Build the indexes of an Elasticsearch sink anew",
		Long: `rebuild elasticsearch reads all topics of a sink from the beginning, in a consumer group of
its own, into new indexes. When it has caught up, the aliases move to the new indexes in one
step, and the running sinks go over to them within seconds. Readers see the old indexes until
then; those stay until you drop them.

It can be stopped and started again: it goes on where it was. It refuses topics that do not
hold every live key any more.`,
		Example: `  weirctl rebuild elasticsearch -c elasticsearch.json
  weirctl rebuild elasticsearch -c elasticsearch.json --restart   # drop what an earlier one left`,
		Args: wantArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			r.out = c.OutOrStdout()
			return r.run(c.Context())
		},
	}
	c.Flags().StringArrayVarP(&r.sources.Files, "config", "c", nil, "the sink's configuration; repeat to merge as the sink does")
	c.Flags().StringArrayVar(&r.sources.Set, "set", nil, "set a property, as for the sink")
	c.Flags().BoolVar(&r.restart, "restart", false, "begin again, removing the indexes and offsets of an unfinished rebuild")
	return c
}

func (r *rebuilding) run(ctx context.Context) error {
	if len(r.sources.Files) == 0 && len(r.sources.Set) == 0 {
		return fmt.Errorf("%w: want --config with the sink's configuration", errUsage)
	}
	v, errLoad := elasticsearchsink.Program().Load(r.sources)
	settings, errSettings := elasticsearchsink.NewSettings(v)
	if err := v.Complete(errLoad, errSettings); err != nil {
		return err
	}
	if err := settings.Rebuildable(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	b, err := r.prepare(ctx, settings)
	if err != nil {
		return err
	}
	defer b.kafka.Close()
	if err := b.begin(ctx); err != nil {
		return err
	}
	return b.build(ctx)
}

// build is a rebuild that is prepared.
type build struct {
	*rebuilding
	settings elasticsearchsink.Settings
	sink     *elasticsearch.Sink // of the next generation
	registry *prometheus.Registry
	live     elasticsearch.Live
	group    string // of the next generation
	kafka    *kadm.Client
	topics   []string
}

// prepare connects to both sides and finds out what is live.
func (r *rebuilding) prepare(ctx context.Context, settings elasticsearchsink.Settings) (*build, error) {
	unreachable := func(err error) error { return fmt.Errorf("%w from Elasticsearch: %w", admin.ErrNoAnswer, err) }
	now, err := settings.Connect(ctx, 0, r.log, prometheus.NewRegistry())
	if err != nil {
		return nil, unreachable(err)
	}
	b := &build{rebuilding: r, settings: settings, registry: prometheus.NewRegistry()}
	if b.live, err = now.Live(ctx); err != nil {
		return nil, unreachable(err)
	}
	if b.sink, err = settings.Connect(ctx, b.live.Generation+1, r.log, b.registry); err != nil {
		return nil, unreachable(err)
	}
	cfg := settings.Kafka()
	b.group = elasticsearch.GroupOf(cfg.Group, b.live.Generation+1)
	s := sinkConfig{group: b.group, Config: cfg}
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	b.kafka = kadm.NewClient(client)
	found, err := s.topics(ctx, b.kafka, nil)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: none of the sink's topics is there", errUsage)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	b.topics = slices.Sorted(maps.Keys(found))
	return b, nil
}

// begin checks that a rebuild can be whole, and that what an earlier one left
// can be gone on with.
func (b *build) begin(ctx context.Context) error {
	if err := wholeTopics(ctx, b.kafka, b.topics); err != nil {
		return err
	}
	if err := b.release(ctx); err != nil { // an earlier one may have been killed while it held them
		return err
	}
	if b.restart {
		if err := b.forget(ctx); err != nil {
			return err
		}
	}
	moves, err := plan(ctx, b.kafka, b.group, chosen{topics: b.topics}, latest)
	if err != nil {
		return err
	}
	left, err := b.sink.Indexes(ctx)
	if err != nil {
		return err
	}
	started := slices.ContainsFunc(moves, func(m move) bool { return m.committed >= 0 })
	switch {
	case len(left) > 0 && !started:
		return fmt.Errorf("%s are left of an earlier rebuild whose offsets are gone: documents that were deleted since could stay in them; add --restart to begin again", strings.Join(left, ", "))
	case started:
		printf(b.out, "going on with generation %d, group %s\n", b.live.Generation+1, b.group)
	default:
		printf(b.out, "building generation %d, group %s\n", b.live.Generation+1, b.group)
	}
	return nil
}

// forget removes the indexes and offsets of an unfinished rebuild.
func (b *build) forget(ctx context.Context) error {
	if err := empty(ctx, b.kafka, b.group); err != nil {
		return err
	}
	if err := b.sink.Discard(ctx); err != nil {
		return err
	}
	answers, err := b.kafka.DeleteGroups(ctx, b.group)
	if err == nil {
		err = answers.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("removing the offsets of group %s: %w", b.group, err)
	}
	return nil
}

// wholeTopics refuses topics whose first records were removed by time or size:
// rows that did not change since would be missing. Compaction removes records
// too, but never the last of a key, and leaves the beginning where it is.
func wholeTopics(ctx context.Context, cluster *kadm.Client, topics []string) error {
	starts, err := cluster.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return fmt.Errorf("listing offsets: %w", err)
	}
	var cut []string
	starts.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			cut = append(cut, fmt.Sprintf("%s-%d begins at offset %d", o.Topic, o.Partition, o.Offset))
		}
	})
	if len(cut) == 0 {
		return nil
	}
	slices.Sort(cut)
	return fmt.Errorf("the topics do not hold every live key any more, and the new indexes would lack rows: %s; let the capture snapshot these tables again into new topics, and set cleanup.policy=compact", strings.Join(cut, ", "))
}

// build reads everything, moves the aliases and hands over.
func (b *build) build(ctx context.Context) error {
	runner, err := b.settings.FromTheBeginning().Runner(b.sink, b.group, b.log, b.registry)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var ended error
	beside.Go(func() {
		ended = runner.Run(running)
		stop()
	})
	err = b.follow(running, runner, nearly)
	if err == nil {
		err = b.change(running, runner)
	}
	stop()
	beside.Wait()
	if ctx.Err() != nil {
		printLine(b.out, "stopped; the same command goes on from here")
		return fmt.Errorf("rebuilding: %w", ctx.Err())
	}
	if err = errors.Join(err, ended); err != nil {
		return err
	}
	return b.done(ctx)
}

// change moves the readers to the new indexes, when these are nowhere behind the
// old ones: a reader never sees a row in an older version than before. For that
// the old indexes are not written to while the new ones come to where the topics
// end; that takes seconds, in which readers see the state of before.
func (b *build) change(ctx context.Context, runner *consumers.Runner) error {
	if err := b.sink.Hold(ctx, b.live.Generation); err != nil {
		return errors.Join(fmt.Errorf("holding the old indexes: %w", err), b.release(ctx))
	}
	err := b.follow(ctx, runner, wholly)
	if err == nil {
		err = b.sink.Refresh(ctx)
	}
	if err == nil {
		err = b.goLive(ctx)
	}
	return errors.Join(err, b.release(ctx))
}

// release lets the old indexes be written to again, also when ctx has ended.
func (b *build) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
	defer cancel()
	if err := b.sink.Release(ctx, b.live.Generation); err != nil {
		return fmt.Errorf("the sinks cannot write to the old indexes until the rebuild is started again, or index.blocks.write is removed from them: %w", err)
	}
	return nil
}

// How far follow goes.
type near bool

const (
	// nearly is until the group came to where the topics ended a moment before.
	nearly near = false
	// wholly is until it came to where the topics end at the beginning of it.
	wholly near = true
)

// follow shows progress until the group has caught up, or a partition fails.
func (b *build) follow(ctx context.Context, runner *consumers.Runner, how near) error {
	var aim map[string]map[int32]int64
	var set, said time.Time
	var problem string
	p := pace{}
	for ticker := time.NewTicker(lookEvery); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return ctx.Err()
		case <-ticker.C:
		}
		status := runner.Status()
		if err := failure(status); err != nil {
			return err
		}
		if status.Problem != nil && status.Problem.Text != problem {
			problem = status.Problem.Text
			printLine(b.out, "waiting: "+problem)
		}
		moves, err := plan(ctx, b.kafka, b.group, chosen{topics: b.topics}, latest)
		if err != nil {
			return err
		}
		now := b.now()
		p.add(now, moves)
		came := reached(moves, aim)
		caughtUp := came && (how == wholly || now.Sub(set) <= moment)
		if caughtUp || now.Sub(said) >= sayEvery {
			printLine(b.out, p.line())
			said = now
		}
		if caughtUp {
			return nil
		}
		// The next aim is set when this one is reached: partitions come there one
		// after the other, and never all of them to an end that moves on.
		if aim == nil || came {
			aim, set = ends(moves), now
		}
	}
}

// failure is the problem of a partition that cannot go on by itself.
func failure(s admin.Status) error {
	for _, task := range s.Tasks {
		if task.State == admin.Failed && task.Problem != nil {
			return fmt.Errorf("%s-%d stops: %s; mend that, or set errors.tolerance=all to write such records to the dead letter topic, and start the rebuild again",
				task.Topic, task.Partition.Partition, task.Problem.Text)
		}
	}
	return nil
}

// ends are the ends of all partitions.
func ends(moves []move) map[string]map[int32]int64 {
	out := make(map[string]map[int32]int64)
	for _, m := range moves {
		if out[m.topic] == nil {
			out[m.topic] = make(map[int32]int64)
		}
		out[m.topic][m.partition] = m.end
	}
	return out
}

// latest is a goal for plan, where only offsets are asked for.
var latest = goal{kind: "latest"}

// reached reports whether everything is committed that was there before.
func reached(moves []move, before map[string]map[int32]int64) bool {
	if before == nil {
		return false
	}
	for _, m := range moves {
		end, ok := before[m.topic][m.partition]
		if ok && end > 0 && m.committed < end { // one that is not in it was made since
			return false
		}
	}
	return true
}

// goLive moves the aliases, and waits for the sinks that run to follow.
func (b *build) goLive(ctx context.Context) error {
	old := cmp.Or(b.live.Group, b.settings.Kafka().Group)
	groups, err := b.kafka.DescribeGroups(ctx, old)
	if err != nil {
		return fmt.Errorf("asking for group %s: %w", old, err)
	}
	if err := b.sink.Promote(ctx, b.group); err != nil {
		return err
	}
	printf(b.out, "caught up: the aliases point to generation %d\n", b.live.Generation+1)
	if len(groups[old].Members) == 0 {
		printLine(b.out, "no sink is running; one that is started goes on from here")
		return nil
	}
	b.handOver(ctx)
	return nil
}

// handOver keeps the new indexes up to date until another member of the group
// does: a sink that has seen which indexes are live.
func (b *build) handOver(ctx context.Context) {
	deadline := b.now().Add(handOverWait)
	for ticker := time.NewTicker(lookEvery); b.now().Before(deadline); {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
		groups, err := b.kafka.DescribeGroups(ctx, b.group)
		if err == nil && len(groups[b.group].Members) > 1 {
			printLine(b.out, "the running sinks have taken over")
			return
		}
	}
	printf(b.out, "no running sink has taken over within %v; one that is started again goes on from here\n", handOverWait)
}

// done says what is left.
func (b *build) done(ctx context.Context) error {
	old, err := b.settings.Connect(ctx, b.live.Generation, b.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	names, err := old.Indexes(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		printf(b.out, "kept, to be dropped when you like: %s\n", strings.Join(names, ", "))
	}
	return nil
}
