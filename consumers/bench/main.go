// Command bench measures the sinks as whole processes, from Apache Kafka into
// real servers, beside a bare loader that sends the same bytes and promises
// nothing, and the time from a commit in MySQL to the change in Redis.
//
// The last lines are in the form of Go's benchmarks, for benchstat.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

const usage = `Usage: bench [flags] [redis] [lake] [elasticsearch] [latency]

Measures the sinks named, or all of them and the latency.

Examples:
  go run ./consumers/bench                       # everything, about 5 minutes
  go run ./consumers/bench redis                 # one sink
  go run ./consumers/bench -records 200000 lake  # a quick look

Flags:
`

func main() {
	var b bench
	flag.IntVar(&b.records, "records", 1_000_000, "records in the topic that the sinks read")
	flag.DurationVar(&b.lasting, "lasting", 30*time.Second, "how long changes are made to measure the latency")
	flag.IntVar(&b.rate, "rate", 500, "changes per second while the latency is measured")
	flag.StringVar(&b.folder, "folder", "", "folder for binaries, logs and what is recorded, kept; empty: a temporary one")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	b.only = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the benchmark.
type bench struct {
	records int
	lasting time.Duration
	rate    int
	folder  string
	only    []string

	began   time.Time
	id      string // what names of topics, groups, keys and indexes begin with
	local   *servers.Local
	kafka   string
	group   *processes.Group
	results []result
}

// stopPatience is how long a process may take to end.
const stopPatience = 30 * time.Second

// say prints a line of progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) wants(name string) bool { return len(b.only) == 0 || slices.Contains(b.only, name) }

func (b *bench) run(ctx context.Context) (err error) {
	for _, name := range b.only {
		if !slices.Contains([]string{"redis", "lake", "elasticsearch", "latency"}, name) {
			return fmt.Errorf("%q is not to be measured: redis, lake, elasticsearch and latency are", name)
		}
	}
	b.began, b.id = time.Now(), fmt.Sprintf("bench%d", time.Now().Unix())
	if b.folder == "" {
		if b.folder, err = os.MkdirTemp("", "weir-bench-"); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		defer os.RemoveAll(b.folder)
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.group.Stop(stopPatience)) }()
	if err := b.sinks(ctx); err != nil {
		return err
	}
	if b.wants("latency") {
		if err := b.latency(ctx); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

// prepare starts the servers that all need, and builds the binaries.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.local, err = servers.Open(servers.Options{}); err != nil {
		return err
	}
	if err := b.local.Up(ctx, servers.KindKafka); err != nil {
		return err
	}
	if b.kafka, err = b.local.Kafka(ctx); err != nil {
		return err
	}
	if b.group, err = processes.NewGroup(filepath.Join(b.folder, "logs")); err != nil {
		return err
	}
	root, err := processes.Root(ctx)
	if err != nil {
		return err
	}
	b.say("building the binaries")
	return processes.Build(ctx, root, b.folder, "./cmd/weir-capture", "./cmd/weir-elasticsearch", "./cmd/weir-redis", "./cmd/weir-lake")
}

// sinks measures the sinks that are wanted, over one topic.
func (b *bench) sinks(ctx context.Context) error {
	measures := []struct {
		name    string
		measure func(context.Context, *topic) error
	}{{"redis", b.redis}, {"lake", b.lake}, {"elasticsearch", b.elasticsearch}}
	var t *topic
	for _, m := range measures {
		if !b.wants(m.name) {
			continue
		}
		if t == nil {
			var err error
			if t, err = b.fill(ctx); err != nil {
				return err
			}
			defer t.remove()
		}
		if err := m.measure(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
