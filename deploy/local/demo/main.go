// Command demo shows Weir at work, and is what `task demo` runs: it starts the
// servers, creates the shop, runs the capture and the three sinks as processes
// under a live workload, and compares the source with the targets, key by key.
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

	"golang.org/x/term"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// options are the demo's flags.
type options struct {
	real     bool
	keep     bool
	duration time.Duration
	rate     float64
	data     string
}

const usage = `usage: task demo -- [flags]

  --real           Apache Kafka and the S3 server instead of those made of Go
  --keep           leave everything running until Ctrl-C; the default on a terminal
  --seconds <n>    how long the workload lasts (20)
  --rate <n>       transactions a second (150)
  --data <folder>  where everything is written (a folder in the cache)
`

func parse(args []string) (options, error) {
	interactive := term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.Usage = func() { _, _ = fmt.Fprint(flags.Output(), usage) }
	flags.BoolVar(&o.real, "real", false, "")
	flags.BoolVar(&o.keep, "keep", interactive, "")
	seconds := flags.Int("seconds", 20, "")
	flags.Float64Var(&o.rate, "rate", 150, "")
	flags.StringVar(&o.data, "data", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || *seconds < 1 || o.rate < 1 {
		flags.Usage()
		return o, fmt.Errorf("reading the command line: %q", args)
	}
	o.duration = time.Duration(*seconds) * time.Second
	return o, nil
}

// run runs the demo and returns the exit code: 0 if the targets equal the
// source.
func run(ctx context.Context, args []string) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := play(ctx, o); err != nil {
		if ctx.Err() != nil {
			err = errors.New("stopped; what was started is stopped, too")
		}
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		return 1
	}
	return 0
}

// play runs the demo in a folder that no other demo uses.
func play(ctx context.Context, o options) error {
	if o.data == "" {
		shared, err := servers.Open(servers.Options{})
		if err != nil {
			return err
		}
		o.data = filepath.Join(shared.Data(), "demo")
	}
	local, err := servers.Open(servers.Options{Data: o.data, Progress: os.Stdout})
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(o.data, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	d := &demo{options: o, local: local, screen: &screen{out: os.Stdout, began: time.Now()}}
	defer d.stop()
	return d.run(ctx)
}

// lock keeps a second demo out of the folder. The kernel unlocks it when this
// process ends, however that is.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the demo's folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another demo is running in %s", filepath.Dir(path)), file.Close())
	}
	return func() { _ = file.Close() }, nil
}
