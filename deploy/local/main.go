// Command local starts, lists and stops the real servers that tests and the demo use, without containers: what is
// behind `task up` and `task down`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const usage = `usage: local [-data folder] up [server…]              start servers, fetching what is missing
       local [-data folder] down [-purge] [server…]   stop servers; with -purge remove their data
       local [-data folder] status                    list them

servers: `

// run does what the arguments say; tables go to out, progress to standard error.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.Usage = func() { _, _ = fmt.Fprintf(flags.Output(), "%s%s\n", usage, names()) }
	data := flags.String("data", "", "folder of what the servers write")
	if err := flags.Parse(args); err != nil {
		return ignoreHelp(err)
	}
	local, err := servers.Open(servers.Options{Data: *data})
	if err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "up":
		return up(ctx, local, kinds(flags.Args()[1:]), out)
	case "down":
		return down(ctx, local, flags.Args()[1:])
	case "status":
		return status(local, out)
	}
	flags.Usage()
	return fmt.Errorf("reading the command line: %q is none of up, down, status", flags.Arg(0))
}

// up starts the servers and lists them.
func up(ctx context.Context, local *servers.Local, kinds []servers.Kind, out io.Writer) error {
	begin := time.Now()
	if err := local.Up(ctx, kinds...); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "all up after %.1f s\n", time.Since(begin).Seconds())
	return status(local, out)
}

// down stops the servers and removes their data if asked to.
func down(ctx context.Context, local *servers.Local, args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	purge := flags.Bool("purge", false, "remove the servers' data, too")
	if err := flags.Parse(args); err != nil {
		return ignoreHelp(err)
	}
	if err := local.Down(ctx, kinds(flags.Args())...); err != nil {
		return err
	}
	if *purge {
		return local.Purge(kinds(flags.Args())...)
	}
	return nil
}

// status prints a table of the servers.
func status(local *servers.Local, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SERVER\tPID\tPORTS\tFOLDER")
	for _, server := range local.Status() {
		pid, ports := "-", "-"
		if server.Running {
			pid, ports = fmt.Sprint(server.PID), strings.Trim(fmt.Sprint(server.Ports), "[]")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", server.Name, pid, ports, server.Folder)
	}
	return table.Flush()
}

// kinds reads server names; servers.Up refuses unknown ones.
func kinds(args []string) []servers.Kind {
	var kinds []servers.Kind
	for _, arg := range args {
		kinds = append(kinds, servers.Kind(arg))
	}
	return kinds
}

// names lists all servers.
func names() string {
	var names []string
	for _, kind := range servers.Kinds() {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

// ignoreHelp turns a wish for help, which has been granted, into success.
func ignoreHelp(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}
