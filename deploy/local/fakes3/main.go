// Command fakes3 is an S3 server for the demo: gofakes3 with one bucket, whose
// objects are plain files in a folder. It lets everybody in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3afero"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fakes3:", err)
		os.Exit(1)
	}
}

// run is a server until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fakes3", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:9000", "the address to listen at")
	folder := flags.String("folder", "", "the folder of the bucket's objects")
	bucket := flags.String("bucket", "", "the bucket's name")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler, err := newHandler(*folder, *bucket)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve returns then
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// newHandler is S3 with one bucket.
func newHandler(folder, bucket string) (http.Handler, error) {
	files, err := s3afero.FsPath(folder, s3afero.FsPathCreateAll)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of the bucket: %w", err)
	}
	backend, err := s3afero.SingleBucket(bucket, files, nil)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %q: %w", bucket, err)
	}
	return gofakes3.New(backend).Server(), nil
}
