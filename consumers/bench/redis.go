package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// redis measures weir-redis: SET with TTL, guard and deletes. The bare loader
// sends the same bytes over as many connections, without waiting for answers.
func (b *bench) redis(ctx context.Context, t *topic) error {
	if err := b.local.Up(ctx, servers.KindRedis); err != nil {
		return err
	}
	address, err := b.local.Redis(ctx)
	if err != nil {
		return err
	}
	keys := cache{client: redis.NewClient(&redis.Options{Addr: address}), prefix: b.id}
	defer func() { _ = keys.client.Close() }()
	config := func(at string) map[string]string {
		return map[string]string{"connector.class": "RedisSinkConnector", "redis.hosts": at, "cache.prefix": "${topic}:", "cache.ttl": "3600"}
	}
	r := result{name: "redis", bareName: "the same bytes, pipelined"}
	if r.sink, err = b.runSink(ctx, t, sinkRun{"weir-redis", b.id + "-redis", config(address)}); err != nil {
		return err
	}
	if err := keys.remove(ctx); err != nil {
		return err
	}
	tape, err := newTape(address, filepath.Join(b.folder, "redis"))
	if err != nil {
		return err
	}
	b.say("recording what the sink sends")
	if _, err := b.runSink(ctx, t, sinkRun{"weir-redis", b.id + "-redis-tape", config(tape.address())}); err != nil {
		return errors.Join(err, tape.close())
	}
	if err := errors.Join(tape.close(), keys.remove(ctx)); err != nil {
		return err
	}
	b.say("sending it again")
	wall, err := tape.play(ctx)
	if err != nil {
		return err
	}
	r.bare = cost{records: t.records, wall: wall}
	b.results = append(b.results, r)
	return keys.remove(ctx)
}

// cache is what a run leaves in Redis.
type cache struct {
	client *redis.Client
	prefix string
}

// remove removes the keys of the run, so that the next one writes to none.
func (c cache) remove(ctx context.Context) error {
	var batch []string
	unlink := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := c.client.Unlink(ctx, batch...).Err()
		batch = batch[:0]
		return err
	}
	for found := c.client.Scan(ctx, 0, c.prefix+"*", 5000).Iterator(); found.Next(ctx); {
		if batch = append(batch, found.Val()); len(batch) == 5000 {
			if err := unlink(); err != nil {
				return fmt.Errorf("removing keys: %w", err)
			}
		}
	}
	if err := unlink(); err != nil {
		return fmt.Errorf("removing keys: %w", err)
	}
	return nil
}

// tape is a proxy that records what clients send, a file a connection, and
// sends it again.
type tape struct {
	target, folder string
	listener       net.Listener

	mu    sync.Mutex
	files []string
	group errgroup.Group
}

func newTape(target, folder string) (*tape, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening on an address never waits
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	t := &tape{target: target, folder: folder, listener: listener}
	t.group.Go(func() error {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			} else if err != nil {
				return fmt.Errorf("accepting: %w", err)
			}
			t.group.Go(func() error { return t.record(client) })
		}
	})
	return t, nil
}

func (t *tape) address() string { return t.listener.Addr().String() }

// record forwards a connection until it ends.
func (t *tape) record(client net.Conn) error {
	defer client.Close()
	server, err := net.Dial("tcp", t.target) //nolint:noctx // a server on this machine
	if err != nil {
		return fmt.Errorf("connecting to the target: %w", err)
	}
	defer server.Close()
	t.mu.Lock()
	path := filepath.Join(t.folder, fmt.Sprintf("%03d", len(t.files)))
	t.files = append(t.files, path)
	t.mu.Unlock()
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	defer file.Close()
	go func() { _, _ = io.Copy(client, server); _ = client.Close() }() // ends with the server's connection
	out := bufio.NewWriterSize(file, 1<<20)
	if _, err := io.Copy(io.MultiWriter(server, out), client); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("recording: %w", err)
	}
	return out.Flush()
}

// close ends recording.
func (t *tape) close() error {
	err := t.listener.Close()
	return errors.Join(err, t.group.Wait())
}

// play sends all connections' bytes at once, and returns when each is answered.
func (t *tape) play(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, path := range t.files {
		g.Go(func() error { return t.playOne(ctx, path) })
	}
	err := g.Wait()
	return time.Since(began), err
}

// playOne sends the bytes of one connection and then an ECHO, whose answer is
// the last.
func (t *tape) playOne(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.target)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	const last = "the-end-of-the-tape"
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, io.MultiReader(file, bytes.NewReader(fmt.Appendf(nil, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(last), last))))
		sent <- err
	}()
	answers := bufio.NewReaderSize(conn, 1<<20)
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("sending the tape again: %w", errors.Join(err, <-sent))
		}
		if bytes.Contains(line, []byte(last)) {
			return <-sent
		}
	}
}
