package capture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

func parseConfig(properties map[string]string) (Config, []config.Notice, error) {
	v, _, err := config.Parse(properties, config.Common, Properties, kafka.Properties)
	if err != nil {
		return Config{}, nil, err
	}
	c, err := NewConfig(v)
	return c, v.Notices(), err
}

// The defaults are Debezium's but for those that product.md lists.
func TestConfigDefaults(t *testing.T) {
	c, _, err := parseConfig(map[string]string{"name": "n", "topic.prefix": "p"})
	if err != nil {
		t.Fatal(err)
	}
	if c.SnapshotMode != SnapshotInitial || c.SnapshotThreads != 1 || !c.Tombstones || !c.SchemaChanges || c.Transactions || c.Heartbeat != 0 ||
		!c.Sweep || c.ContextHeaders || c.Retries != -1 || c.OffsetTopic != "weir-offsets" || c.OffsetInterval != 10*time.Second ||
		c.QueueBytes != 64<<20 || !c.Topics.Create || c.Topics.Alter || c.Producer.Compression != "lz4" || c.Producer.MaxRecordBytes != 1<<20 {
		t.Errorf("%+v", c)
	}
	if want := (json.Options{Placeholder: json.DefaultPlaceholder}); c.Key != want || c.Value != want {
		t.Errorf("converters %+v %+v", c.Key, c.Value)
	}
	if diff := cmp.Diff([]cdc.Op{cdc.OpTruncate}, c.Skipped); diff != "" {
		t.Error(diff)
	}
	if c.TransactionTopic != "p.transaction" || c.HeartbeatTopic != "__debezium-heartbeat.p" {
		t.Errorf("topics %s %s", c.TransactionTopic, c.HeartbeatTopic)
	}
}

// Old names are used, with a notice that names the new one.
func TestConfigOldNames(t *testing.T) {
	c, notices, err := parseConfig(map[string]string{
		"name": "n", "database.server.name": "p", "transaction.topic": "tx", "heartbeat.topics.prefix": "hb", "table.whitelist": "db.a",
		"schema.history.internal.kafka.bootstrap.servers": "kafka:9092", "schema.history.internal.kafka.topic": "history", "max.batch.size": "4096",
		"poll.interval.ms": "100", "snapshot.mode": "schema_only", "max.queue.size.in.bytes": "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Prefix != "p" || c.TransactionTopic != "p.tx" || c.HeartbeatTopic != "hb.p" || !c.Filter.Table("db", "a") || c.Filter.Table("db", "b") ||
		c.Kafka.Bootstrap[0] != "kafka:9092" || c.SnapshotMode != SnapshotNoData || c.QueueBytes != 64<<20 {
		t.Errorf("%+v", c)
	}
	var text []string
	for _, n := range notices {
		text = append(text, n.String())
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"topic.transaction", "topic.heartbeat.prefix", "table.include.list", "bootstrap.servers", "offset.storage.topic", "max.batch.size", "poll.interval.ms"} {
		if !strings.Contains(all, want) {
			t.Errorf("no notice of %s in\n%s", want, all)
		}
	}
}

// All that is wrong is said at once, each with the property and what is right.
func TestConfigErrors(t *testing.T) {
	_, _, err := parseConfig(map[string]string{
		"name": "n", "topic.prefix": "p ä", "database.include.list": "a", "database.exclude.list": "b", "snapshot.mode": "sometimes",
		"message.key.columns": "no colon", "skipped.operations": "x", "topic.creation.default.partitions": "many", "topic.creation.unknown.partitions": "1",
		"value.converter": "io.confluent.connect.avro.AvroConverter", "header.converter": "io.confluent.connect.avro.AvroConverter", "errors.tolerance": "some", "table.include.list": "(",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"topic.prefix", "snapshot.mode", "message.key.columns", "skipped.operations", "value.converter", "header.converter", "errors.tolerance", "table.include.list"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in\n%v", want, err)
		}
	}
	_, _, err = parseConfig(map[string]string{
		"name": "n", "topic.prefix": "p", "database.include.list": "a", "database.exclude.list": "b",
		"topic.creation.default.partitions": "many", "topic.creation.unknown.partitions": "1", "producer.override.compression.type": "rar",
		"transforms": "route,none", "transforms.route.type": "RegexRouter", "transforms.route.regex": "(", "transforms.none.type": "com.acme.Unknown",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"database.exclude.list", "topic.creation.default.partitions", "topic.creation.unknown.partitions", "compression.type", "transforms.route.regex", "transforms.none.type"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in\n%v", want, err)
		}
	}
}

// Real files of Debezium's MySQL connector are understood but for what their
// database's part understands.
func TestConfigOfRealFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/connectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Fatalf("%s is empty", file)
		}
		v, _, err := config.Load(config.Sources{Files: []string{file}}, config.Common, Properties, kafka.Properties, databaseProperties)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		c, err := NewConfig(v)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if c.Prefix != "shop" || !c.Transactions || !c.Filter.Table("ecommerce", "orders") || c.Filter.Table("ecommerce", "products") {
			t.Errorf("%s: %+v", file, c)
		}
	}
}

// databaseProperties stands for what a database's own table has.
var databaseProperties = config.Table{Name: "database", Properties: []config.Property{
	{Name: "database.hostname"}, {Name: "database.port"}, {Name: "database.user"}, {Name: "database.password"}, {Name: "database.server.id"},
	{Name: "binlog.buffer.size"}, {Name: "database.connectionTimeZone"}, {Name: "binlog.read.buffered.bytes"},
	{Name: "inconsistent.schema.handling.mode"}, {Name: "schema.name.adjustment.mode"}, {Name: "snapshot.locking.mode"},
	{Name: "snapshot.fetch.size"}, {Name: "snapshot.lock.timeout.ms"},
}}

// Lists are anchored expressions without regard to case; a table must be of a
// database that is selected.
func TestFilter(t *testing.T) {
	c, _, err := parseConfig(map[string]string{
		"name": "n", "topic.prefix": "p", "database.include.list": "shop.*, CRM", "table.exclude.list": `shop_a\.(tmp|old)_.*`,
		"column.exclude.list": `.*\.secret,shop\.orders\.a\,b`, "message.key.columns": `shop\.orders:region, id; (.*).items:order_id`,
		"snapshot.include.collection.list": `shop\.orders`,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := c.Filter
	for name, want := range map[string]bool{"shop": true, "SHOP_a": true, "crm": true, "my_shop": false, "crm2": false} {
		if f.Database(name) != want {
			t.Errorf("database %s: %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"shop_a.orders": true, "shop_a.tmp_1": false, "shop_a.tmp": true, "other.orders": false} {
		database, table, _ := strings.Cut(name, ".")
		if f.Table(database, table) != want {
			t.Errorf("table %s: %v", name, !want)
		}
	}
	if f.Column("shop", "users", "Secret") || !f.Column("shop", "users", "secret2") || !f.Column("shop", "orders", "a") {
		t.Error("columns")
	}
	if !f.Snapshot(&Table{Database: "shop", Name: "orders"}) || f.Snapshot(&Table{Database: "shop", Name: "items"}) {
		t.Error("snapshot")
	}
	for table, want := range map[string][]string{"orders": {"region", "id"}, "items": {"order_id"}, "users": nil} {
		got, ok := f.KeyColumns("shop", table)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
			t.Errorf("%s: %s", table, diff)
		}
	}
	var all Filter
	if !all.Table("any", "thing") || !all.Column("a", "b", "c") || !all.Snapshot(&Table{}) {
		t.Error("the zero Filter leaves something out")
	}
}

// TestValidateWithoutTables: include lists that let nothing in are a mistake as
// a rule, and one that nothing else shows.
func TestValidateWithoutTables(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB()
	c := New(newConfig(t, at, "nothing"), db.open, Options{Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry()})
	if err := c.Validate(t.Context()); err == nil || !strings.Contains(err.Error(), "no table is captured") {
		t.Errorf("validating: %v", err)
	}
	db = newFakeDB(newFakeTable("nothing", "a", true))
	c = New(newConfig(t, at, "nothing"), db.open, Options{Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry()})
	if err := c.Validate(t.Context()); err != nil {
		t.Errorf("validating with a table: %v", err)
	}
}
