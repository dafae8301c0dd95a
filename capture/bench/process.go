package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

// run runs a command and shows what it prints.
func run(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("running %s: %w", name, err)
	}
	return nil
}

// openDatabase makes a database with the table.
func (b *bench) openDatabase(ctx context.Context, name string) (*sql.DB, error) {
	db, err := sql.Open("mysql", b.mysql.DSN(""))
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, errors.Join(fmt.Errorf("making database %s: %w", name, err), db.Close())
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	if db, err = sql.Open("mysql", b.mysql.DSN(name)); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return nil, errors.Join(fmt.Errorf("making the table: %w", err), db.Close())
	}
	return db, nil
}

// drop drops the benchmark's database; what is left of it is said.
func (b *bench) drop(db *sql.DB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := db.ExecContext(ctx, "DROP DATABASE "+name); err != nil {
		b.say("dropping database %s: %v", name, err)
	}
}

// capture is one run of weir-capture.
type capture struct {
	command *exec.Cmd
	address string
	log     string
}

// capture prepares a run over a database; prefix names its topics and offsets.
func (b *bench) capture(ctx context.Context, database, prefix, mode string) *capture {
	address := "127.0.0.1:0"
	if listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address); err == nil {
		address = listener.Addr().String()
		listener.Close()
	}
	properties := map[string]string{
		"name": prefix, "connector.class": "io.debezium.connector.mysql.MySqlConnector",
		"database.hostname": b.mysql.Host, "database.port": fmt.Sprint(b.mysql.Port), "database.user": b.mysql.User, "database.password": b.mysql.Password,
		"topic.prefix": prefix, "database.include.list": database, "bootstrap.servers": b.kafka, "snapshot.mode": mode,
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": fmt.Sprint(b.schemas),
		"producer.override.compression.type": b.compression, "offset.storage.topic": prefix + "-offsets", "admin.listen": address,
		"topic.creation.default.partitions": "1",
	}
	var args []string
	for name, text := range properties {
		args = append(args, "--set", name+"="+text)
	}
	c := &capture{address: address, log: filepath.Join(b.dir, prefix+"-"+mode+".log")}
	c.command = exec.CommandContext(ctx, filepath.Join(b.dir, "weir-capture"), args...)
	return c
}

// status is what is looked at of a capture that runs.
type status struct {
	position string
	records  int64 // committed to Kafka, offsets and schemas included
}

// cost is what a run took.
type cost struct {
	cpu, wall time.Duration
	rss       int64 // peak, bytes
}

func (c cost) print(name string, events int) {
	fmt.Printf("%-10s %12d %12.0f %14.2f %7d MB %10.1f\n", name, events, float64(events)/c.wall.Seconds(),
		float64(c.cpu.Microseconds())/float64(events), c.rss>>20, c.wall.Seconds())
}

// until runs the capture until its status is as wanted, or, without a wish, until
// it ends by itself, and says what it took, start and stop included.
func (c *capture) until(ctx context.Context, wanted func(status) bool) (cost, error) {
	out, err := os.Create(c.log)
	if err != nil {
		return cost{}, fmt.Errorf("making a log: %w", err)
	}
	defer out.Close()
	c.command.Stdout, c.command.Stderr = out, out
	start := time.Now()
	if err := c.command.Start(); err != nil {
		return cost{}, fmt.Errorf("starting weir-capture: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.command.Wait() }()
	wall := time.Duration(0)
	for wall == 0 {
		select {
		case err := <-ended:
			if wanted != nil || err != nil {
				return cost{}, errors.Join(fmt.Errorf("weir-capture ended: %s", c.tail()), err)
			}
			return c.cost(time.Since(start)), nil
		case <-ctx.Done():
			return cost{}, errors.Join(ctx.Err(), c.command.Process.Kill(), <-ended)
		case <-time.After(50 * time.Millisecond):
			if wanted != nil && wanted(c.status(ctx)) {
				wall = time.Since(start)
			}
		}
	}
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		return cost{}, fmt.Errorf("stopping weir-capture: %w", err)
	}
	if err := <-ended; err != nil {
		return cost{}, fmt.Errorf("weir-capture ended (%w): %s", err, c.tail())
	}
	return c.cost(wall), nil
}

func (c *capture) cost(wall time.Duration) cost {
	usage := c.command.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{cpu: c.command.ProcessState.UserTime() + c.command.ProcessState.SystemTime(), wall: wall, rss: usage.Maxrss << 10}
}

// status asks the capture; one that does not answer yet has none.
func (c *capture) status(ctx context.Context) (s status) {
	var shown struct {
		Position string `json:"position"`
	}
	if text := c.get(ctx, "/status"); json.Unmarshal(text, &shown) == nil {
		s.position = shown.Position
	}
	for line := range strings.Lines(string(c.get(ctx, "/metrics"))) {
		if rest, ok := strings.CutPrefix(line, "weir_capture_records_total "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			s.records = int64(n)
		}
	}
	return s
}

func (c *capture) get(ctx context.Context, path string) []byte {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+path, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return text
}

// tail is the end of the log.
func (c *capture) tail() string {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
