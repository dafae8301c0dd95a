// Command kfake is a broker for the demo: franz-go's kfake, a broker written in
// Go that speaks Kafka's protocol, transactions and groups included, and keeps
// everything in memory. It is no place for data.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kfake:", err)
		os.Exit(1)
	}
}

// run is a broker until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("kfake", flag.ContinueOnError)
	port := flags.Int("port", 9092, "the port to listen on, of 127.0.0.1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(*port), kfake.DefaultNumPartitions(1))
	if err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	defer cluster.Close()
	fmt.Println("listening on", cluster.ListenAddrs()[0])
	<-ctx.Done()
	return nil
}
