package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// fake is a component with a status.
type fake struct {
	status  admin.Status
	skipped []admin.Record
	asked   []string
}

func (f *fake) Status() admin.Status { return f.status }
func (f *fake) Ready() error         { return nil }
func (f *fake) Pause(context.Context) error {
	f.asked = append(f.asked, "pause")
	return nil
}
func (f *fake) Resume(context.Context) error {
	f.asked = append(f.asked, "resume")
	return fmt.Errorf("a capture cannot be paused (%w)", errors.ErrUnsupported)
}
func (f *fake) Skip(_ context.Context, at admin.Record) error {
	if at.Offset == 8 {
		return errors.New("the dead letter topic does not answer")
	}
	f.skipped = append(f.skipped, at)
	return nil
}

// serve starts a component's HTTP port and returns its address.
func serve(t *testing.T, f *fake, cfg admin.Config) string {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	server, err := admin.Listen(t.Context(), cfg, f, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.Address()
}

// weirctl runs a command line and returns its exit code and what it printed.
func weirctl(t *testing.T, environ []string, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, environ, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

var at = time.Date(2026, 11, 22, 10, 0, 0, 0, time.Local)

func captureAndSink() (capture, sink *fake) {
	capture = &fake{status: admin.Status{Name: "orders", Type: "source", Component: "weir-capture", Connector: admin.Worker{State: admin.Running},
		Tasks: []admin.Task{{State: admin.Running}}, Position: "mysql-bin.000003:1234", Lag: admin.Lag{Records: -1, Seconds: 0.2}, Rates: admin.Rates{Records: 1203.7},
		Snapshot: &admin.Snapshot{State: "RUNNING", Rows: 1_200_000, Estimated: 3_000_000, Tables: []admin.TableSnapshot{{Done: true}, {}}}}}
	stuck := &admin.Problem{Text: "rejected: field total: not a number", Do: "weirctl skip", At: at, Record: &admin.Record{Topic: "orders.orders", Partition: 3, Offset: 7}}
	sink = &fake{status: admin.Status{Name: "redis-cache", Type: "sink", Component: "weir-redis", Connector: admin.Worker{State: admin.Running}, Group: "weir-redis-cache",
		Lag: admin.Lag{Records: 1234567, Seconds: 192}, Tasks: []admin.Task{
			{State: admin.Running, Partition: &admin.Partition{Topic: "orders.orders", Partition: 2}},
			{State: admin.Failed, Partition: &admin.Partition{Topic: "orders.orders", Partition: 3}, Problem: stuck}}}}
	return capture, sink
}

func TestStatusTable(t *testing.T) {
	capture, sink := captureAndSink()
	first, second := serve(t, capture, admin.Config{}), serve(t, sink, admin.Config{})
	code, out, errs := weirctl(t, nil, "status", first, "http://"+second, "127.0.0.1:1")
	want := `CONNECTOR    COMPONENT     STATE      TASKS        LAG  BEHIND  RECORDS/S  READS
orders       weir-capture  RUNNING      1/1          ?    0.2s      1,204  mysql-bin.000003:1234
redis-cache  weir-redis    FAILED       1/2  1,234,567   3m12s          0  group weir-redis-cache
-            -             NO ANSWER      -          -       -          -  http://127.0.0.1:1

orders: snapshot running, 1 of 2 tables, 1,200,000 rows of about 3,000,000 (40 %)

redis-cache, orders.orders-3 at offset 7, 2026-11-22 10:00:00:
  rejected: field total: not a number
  weirctl skip

http://127.0.0.1:1: no answer: dial tcp 127.0.0.1:1: connect: connection refused
`
	if diff := cmp.Diff(want, out); diff != "" || code != 1 || errs != "" {
		t.Errorf("%d %s\n%s", code, errs, diff)
	}
	if code, _, _ = weirctl(t, nil, "status", first); code != 0 {
		t.Errorf("a running capture: %d", code)
	}
}

// TestStatusOfASinkWithoutPartitions: it has no lag of its own, which says nothing
// of the group's.
func TestStatusOfASinkWithoutPartitions(t *testing.T) {
	_, sink := captureAndSink()
	sink.status.Tasks, sink.status.Lag = nil, admin.Lag{}
	want := "CONNECTOR    COMPONENT   STATE    TASKS  LAG  BEHIND  RECORDS/S  READS\n" +
		"redis-cache  weir-redis  RUNNING    0/0    -       -          0  group weir-redis-cache\n"
	if _, out, _ := weirctl(t, nil, "status", serve(t, sink, admin.Config{})); out != want {
		t.Error(cmp.Diff(want, out))
	}
}

func TestStatusJSON(t *testing.T) {
	capture, _ := captureAndSink()
	code, out, _ := weirctl(t, nil, "status", "--json", serve(t, capture, admin.Config{}), "127.0.0.1:1")
	var got []struct{ Name, Error, URL string }
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || len(got) != 2 || got[0].Name != "orders" || got[1].Error == "" {
		t.Errorf("%d %v %s", code, err, out)
	}
}

func TestStatusByConfiguration(t *testing.T) {
	_, sink := captureAndSink()
	address := serve(t, sink, admin.Config{User: "ops", Password: config.NewSecret("hunter2")})
	_, port, _ := strings.Cut(address, ":")
	file := filepath.Join(t.TempDir(), "redis.json")
	text := fmt.Sprintf(`{"name": "redis-cache", "config": {"connector.class": "com.company.connect.redis.RedisSinkConnector", "redis.hosts": "r:6379",
		"admin.listen": "0.0.0.0:%s", "admin.user": "ops", "admin.password": "${env:PASS}", "cache.prefix": "x"}}`, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := weirctl(t, []string{"PASS=hunter2"}, "status", "-c", file); code != 1 || !strings.Contains(out, "redis-cache  weir-redis  FAILED") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, out, _ := weirctl(t, []string{"PASS=x"}, "status", "-c", file); code != 1 || !strings.Contains(out, "want the user and password") {
		t.Errorf("%d %s", code, out)
	}
	if code, out, errs := weirctl(t, []string{"WEIRCTL_PASSWORD=hunter2", "PASS=x"}, "status", "-c", file, "--user", "ops"); !strings.Contains(out, "FAILED") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, _, errs := weirctl(t, nil, "status", "-c", file); code != 2 || !strings.Contains(errs, "the variable PASS is not set") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestSkip(t *testing.T) {
	capture, sink := captureAndSink()
	first, second := serve(t, capture, admin.Config{}), serve(t, sink, admin.Config{})
	places := []string{"--at", first, "--at", second}
	code, out, errs := weirctl(t, nil, append([]string{"skip"}, places...)...)
	want := "CONNECTOR    TOPIC          PARTITION  OFFSET  BECAUSE\nredis-cache  orders.orders          3       7  rejected: field total: not a number\n"
	if diff := cmp.Diff(want, out); code != 0 || diff != "" {
		t.Errorf("%d %s %s", code, errs, diff)
	}
	code, out, errs = weirctl(t, nil, append([]string{"skip", "orders.orders", "3", "7"}, places...)...)
	if code != 0 || out != "redis-cache: orders.orders-3 goes on after offset 7; the record is in the dead letters\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if diff := cmp.Diff([]admin.Record{{Topic: "orders.orders", Partition: 3, Offset: 7}}, sink.skipped); diff != "" || capture.skipped != nil {
		t.Error(diff)
	}
	if code, _, errs = weirctl(t, nil, append([]string{"skip", "orders.orders", "3", "6"}, places...)...); code != 1 || !strings.Contains(errs, "is not stuck at offset 6") {
		t.Errorf("%d %s", code, errs)
	}
	sink.status.Tasks[1].Problem.Record.Offset = 8
	if code, _, errs = weirctl(t, nil, append([]string{"skip", "orders.orders", "3", "8"}, places...)...); code != 1 || !strings.Contains(errs, "does not answer") {
		t.Errorf("%d %s", code, errs)
	}
	sink.status.Tasks = nil
	if _, out, _ = weirctl(t, nil, append([]string{"skip"}, places...)...); out != "nothing is stuck\n" {
		t.Error(out)
	}
	if code, _, _ = weirctl(t, nil, "skip", "--at", "127.0.0.1:1"); code != 3 {
		t.Error(code)
	}
}

func TestPauseAndResume(t *testing.T) {
	_, sink := captureAndSink()
	address := serve(t, sink, admin.Config{})
	if code, out, errs := weirctl(t, nil, "pause", address); code != 0 || out != "http://"+address+" paused\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, _, errs := weirctl(t, nil, "resume", address, "127.0.0.1:1"); code != 3 || !strings.Contains(errs, "cannot be paused") {
		t.Errorf("%d %s", code, errs)
	}
	if diff := cmp.Diff([]string{"pause", "resume"}, sink.asked); diff != "" {
		t.Error(diff)
	}
	if code, _, errs := weirctl(t, nil, "pause"); code != 2 || !strings.Contains(errs, "want weirctl pause [address…]") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"skip", "t"}, 2, "want weirctl skip [topic partition offset]"},
		{[]string{"skip", "t", "x", "1"}, 2, "numbers of a partition and an offset"},
		{[]string{"status", "--no-such"}, 2, "unknown flag: --no-such"},
		{[]string{"status", "-c", "/nowhere.json"}, 2, "no such file"},
		{[]string{"status", "--ca", "/nowhere.pem"}, 2, "--ca"},
		{[]string{"no-such"}, 2, "unknown command"},
	} {
		code, _, errs := weirctl(t, nil, c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
	for _, args := range [][]string{{"--help"}, {}, {"status", "--help"}, {"skip", "--help"}} {
		code, out, _ := weirctl(t, nil, args...)
		if code != 0 || !strings.Contains(out, "Usage:") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	if code, out, _ := weirctl(t, nil, "--version"); code != 0 || !strings.HasPrefix(out, "weirctl version ") {
		t.Errorf("%d %s", code, out)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -1000: "-1,000", -999: "-999"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for seconds, want := range map[float64]string{0: "0.0s", 0.26: "0.3s", 34.9: "34s", 192: "3m12s", 7500: "2h5m", 86400 * 4.5: "4d"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v: %s", seconds, got)
		}
	}
	if got := reachable(":9400") + " " + reachable("[::]:1") + " " + reachable("10.0.0.1:2"); got != "127.0.0.1:9400 127.0.0.1:1 10.0.0.1:2" {
		t.Error(got)
	}
}
