// Command bench runs the whole of weir-capture from a real MySQL into a real
// broker and prints what an event costs: first a stream that waits in the binary
// log, then a snapshot of the same table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

func main() {
	var b bench
	flag.IntVar(&b.rows, "rows", 1_000_000, "rows to insert, and then to read in the snapshot")
	flag.IntVar(&b.updates, "updates", 300_000, "single-row updates")
	flag.BoolVar(&b.schemas, "schemas", false, "events with inline schemas (schemas.enable=true)")
	flag.StringVar(&b.compression, "compression", "lz4", "compression.type of the producer")
	flag.StringVar(&b.profile, "profile", "", "folder for logs of the captures; empty: a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the benchmark.
type bench struct {
	rows, updates int
	schemas       bool
	compression   string
	profile       string

	dir     string
	mysql   servers.SQL
	kafka   string
	group   *processes.Group
	started time.Time
}

// say prints a line of progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) run(ctx context.Context) (err error) {
	b.started = time.Now()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if b.profile == "" {
		defer os.RemoveAll(b.dir)
	}
	defer func() { err = errors.Join(err, b.group.Stop(stopPatience)) }()
	id := fmt.Sprintf("bench%d", time.Now().Unix())
	db, err := b.openDatabase(ctx, id)
	if err != nil {
		return err
	}
	defer db.Close()
	defer b.drop(db, id)

	b.say("starting the capture once, so that the log waits for it")
	if _, err := b.measure(ctx, id, id, "no_data", hasPosition); err != nil {
		return err
	}
	b.say("writing %d rows and %d updates", b.rows, b.updates)
	l := &load{db: db, rows: b.rows, updates: b.updates, report: b.say}
	if err := l.insert(ctx); err != nil {
		return err
	}
	if err := l.update(ctx); err != nil {
		return err
	}
	b.say("streaming")
	streamed, err := b.measure(ctx, id, id, "no_data", hasWritten(b.rows+b.updates))
	if err != nil {
		return err
	}
	b.say("reading the snapshot")
	read, err := b.measure(ctx, id, id+"s", "initial", hasRead)
	if err != nil {
		return err
	}
	fmt.Printf("%-10s %12s %12s %14s %10s %10s\n", "", "events", "events/s", "CPU-µs/event", "peak RSS", "seconds")
	streamed.print("stream", b.rows+b.updates)
	read.print("snapshot", b.rows)
	return nil
}

// prepare starts the servers and builds the binary.
func (b *bench) prepare(ctx context.Context) error {
	local, err := servers.Open(servers.Options{})
	if err != nil {
		return err
	}
	if err := local.Up(ctx, servers.KindMySQL, servers.KindKafka); err != nil {
		return err
	}
	if b.mysql, err = local.MySQL(ctx); err != nil {
		return err
	}
	if b.kafka, err = local.Kafka(ctx); err != nil {
		return err
	}
	if b.dir = b.profile; b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "weir-bench-"); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
	}
	if b.group, err = processes.NewGroup(filepath.Join(b.dir, "logs")); err != nil {
		return err
	}
	root, err := processes.Root(ctx)
	if err != nil {
		return err
	}
	b.say("building weir-capture")
	return processes.Build(ctx, root, b.dir, "./cmd/weir-capture")
}
