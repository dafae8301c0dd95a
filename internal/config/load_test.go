package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a table with every type of property.
var shop = Table{Name: "Shop", Doc: "For tests.", Properties: []Property{
	{Name: "name", Required: true, Doc: "The name. And more."},
	{Name: "database.hostname", Required: true, Doc: "The server's host."},
	{Name: "database.port", Type: Int, Default: "3306", Min: 1, Max: 65535, Doc: "The server's port."},
	{Name: "database.password", Type: Secret, Doc: "The password."},
	{Name: "topic.transaction", Default: "transaction", Old: []string{"transaction.topic"}, Doc: "The topic of transactions."},
	{Name: "binlog.buffer.size", Inert: "events are read as they come"},
	{Name: "poll.interval.ms", Type: Millis, Default: "500", Min: 1, Max: 100000, Doc: "How long to wait."},
	{Name: "max.queue.size.in.bytes", Type: Bytes, Default: "0", Doc: "Bytes in the queue."},
	{Name: "rate", Type: Float, Default: "0.5", Min: 0, Max: 1, Doc: "A rate."},
	{Name: "tombstones.on.delete", Type: Bool, Default: "true", Doc: "Tombstones."},
	{Name: "snapshot.mode", Default: "initial", Values: []string{"initial", "no_data"}, Doc: "How to start."},
	{Name: "skipped.operations", Type: List, Default: "t", Values: []string{"c", "u", "d", "t", "none"}, Doc: "What to skip."},
	{Name: "table.include.list", Type: Regexes, Doc: "Tables."},
	{Name: "format.class", Type: Class, Values: []string{"io.confluent.connect.s3.format.parquet.ParquetFormat"}, Doc: "The format."},
	{Name: "transforms", Type: List, Doc: "The chain."},
	{Name: "transforms.*", Doc: "Its links."},
	{Name: "producer.*", Old: []string{"internal.producer.*"}, Doc: "The producer's."},
}}

// write puts a file into a folder of its own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines are errors or notices without the folders of files.
func lines[T any](t *testing.T, items []T, text func(T) string, paths ...string) []string {
	t.Helper()
	var out []string
	for _, item := range items {
		line := text(item)
		for _, path := range paths {
			line = strings.ReplaceAll(line, path, filepath.Base(path))
		}
		out = append(out, line)
	}
	return out
}

func errorLines(t *testing.T, err error, paths ...string) []string {
	return lines(t, Errors(err), error.Error, paths...)
}

func noticeLines(t *testing.T, notices []Notice, paths ...string) []string {
	return lines(t, notices, Notice.String, paths...)
}

func TestLoadConnectorFile(t *testing.T) {
	path := write(t, "orders.json", `{"name": "orders", "config": {
		"database.hostname": "db", "database.port": 3307, "database.password": "hunter2",
		"transaction.topic": "tx", "binlog.buffer.size": "32768", "poll.interval.ms": "100",
		"max.queue.size.in.bytes": "1000", "rate": 0.25, "tombstones.on.delete": false,
		"snapshot.mode": "NO_DATA", "skipped.operations": "c, D,", "table.include.list": "shop\\.orders, shop\\.(?!x).*s",
		"format.class": "com.company.ParquetFormat",
		"transforms": ["a"], "transforms.a": {"type": "T", "rules": [{"set": 1}, {"set": null}, 2], "list": ["x", "y"]},
		"internal.producer.acks": "all"}}`)
	v, notices, err := Load(Sources{Files: []string{path}}, shop)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"orders.json:3: transaction.topic: the old name of topic.transaction; used as that",
		"orders.json:8: internal.producer.acks: the old name of producer.acks; used as that",
		"orders.json:3: binlog.buffer.size: has no effect: events are read as they come",
	}
	if diff := cmp.Diff(want, noticeLines(t, notices, path)); diff != "" {
		t.Error(diff)
	}
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("name", v.Name(), "orders")
	check("hostname", v.String("database.hostname"), "db")
	check("port", v.Int("database.port"), 3307)
	check("password", v.Secret("database.password").Reveal(), "hunter2")
	check("topic", v.String("topic.transaction"), "tx")
	check("poll", v.Duration("poll.interval.ms"), 100*time.Millisecond)
	check("bytes", v.Int("max.queue.size.in.bytes"), 1000)
	check("rate", v.Float("rate"), 0.25)
	check("bool", v.Bool("tombstones.on.delete"), false)
	check("mode", v.String("snapshot.mode"), "no_data")
	check("list", v.List("skipped.operations"), []string{"c", "d"})
	check("class", v.String("format.class"), "io.confluent.connect.s3.format.parquet.ParquetFormat")
	check("match", v.Regexes("table.include.list").Match("SHOP.orders"), true)
	check("anchored", v.Regexes("table.include.list").Match("shop.orders2"), false)
	check("look-ahead", v.Regexes("table.include.list").Match("shop.items"), true)
	check("look-ahead refuses", v.Regexes("table.include.list").Match("shop.xs"), false)
	check("under", v.Under("transforms.a."), map[string]string{"type": "T", "rules.0.set": "1", "rules.2": "2", "list": "x,y"})
	check("order", v.NamesUnder("transforms.a."), []string{"type", "rules.0.set", "rules.2", "list"})
	check("old prefix", v.Under("producer."), map[string]string{"acks": "all"})
	check("has", v.Has("database.port"), true)
	check("has not", v.Has("binlog.buffer.size"), false)
}
