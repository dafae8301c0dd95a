// Command compare compares what a capture publishes with what the real Debezium
// published, over any folder of recorded cases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture/golden"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

const usage = `usage: task golden -- [flags] <folder> [case…]

Replays the log of each case of the folder (all of them without names) and
compares every record of every topic with Debezium's; runs its setup.sql on a
real server and compares the snapshot. Prints for each case "pass", or the first
difference in full. The exit code is 1 if any differs.

`

func main() {
	part := flag.String("part", "", "only the stream (which needs no server) or only the snapshot")
	parallel := flag.Int("parallel", 4, "how many cases to compare at the same time")
	differences := flag.Int("differences", 1, "how many differences of a case to print")
	verbose := flag.Bool("v", false, "the captures' logs, on standard error")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *part != "" && *part != string(golden.PartStream) && *part != string(golden.PartSnapshot) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := golden.Options{Part: golden.Part(*part), Parallel: *parallel, Differences: *differences, Log: logger(*verbose)}
	switch differ, err := run(ctx, o, flag.Arg(0), flag.Args()[1:]); {
	case err != nil:
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(2)
	case differ > 0:
		os.Exit(1)
	}
}

func logger(verbose bool) *zap.Logger {
	if !verbose {
		return zap.NewNop()
	}
	return zap.Must(zap.NewDevelopment())
}

// run compares and prints; it returns how many cases differ.
func run(ctx context.Context, o golden.Options, folder string, names []string) (int, error) {
	folders, err := golden.Folders(folder, names...)
	if err != nil {
		return 0, err
	}
	local, err := servers.Open(servers.Options{})
	if err != nil {
		return 0, err
	}
	o.MySQL = func(ctx context.Context) (golden.Server, error) { return server(local.MySQL(ctx)) }
	o.MariaDB = func(ctx context.Context) (golden.Server, error) { return server(local.MariaDB(ctx)) }
	passed, differ := 0, 0
	for r := range golden.Compare(ctx, folders, o) {
		fmt.Print(r)
		if r.Passed() {
			passed++
		} else {
			differ++
		}
	}
	fmt.Printf("%d pass, %d differ\n", passed, differ)
	if ctx.Err() != nil {
		return differ, errors.New("interrupted")
	}
	return differ, nil
}

func server(s servers.SQL, err error) (golden.Server, error) {
	return golden.Server{Host: s.Host, Port: s.Port, User: s.User, Password: s.Password}, err
}
