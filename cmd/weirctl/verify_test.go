package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// shop is a database with two tables, captured into a real Kafka and from there
// into all three targets.
type shop struct {
	database, prefix string
	// files are the configurations by component, in the order of weirctl -c.
	files map[string]string
	redis *goredis.Client
	url   string
}

func newShop(t *testing.T) shop {
	t.Helper()
	server, store, kafka := servers.MySQL(t), servers.S3(t), servers.Kafka(t)
	s := shop{database: server.Database(t), prefix: servers.Unique(t, "verify"), files: make(map[string]string), url: servers.Elasticsearch(t)}
	db := server.Open(t, s.database)
	for _, statement := range []string{
		"CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2) NOT NULL, note TEXT, attrs JSON, at TIMESTAMP(3) NULL)",
		"CREATE TABLE items (order_id INT, line INT, name VARCHAR(20), PRIMARY KEY (order_id, line))",
		`INSERT INTO orders VALUES (1, 12.50, 'a "note"', '{"b": [1, 2]}', '2026-11-22 10:00:00.123'), (2, 0.10, NULL, NULL, NULL), (3, -1, '', '[]', NULL)`,
		"INSERT INTO items VALUES (1, 1, 'lamp'), (1, 2, 'chair'), (2, 1, 'rug')",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	host := servers.Redis(t)
	s.redis = goredis.NewClient(&goredis.Options{Addr: host})
	t.Cleanup(func() { s.redis.Close() })
	bucket := store.Bucket(t)
	route := map[string]any{"topics.regex": strings.ReplaceAll(s.prefix, ".", `\.`) + `\.` + s.database + `\.[a-z]+`, "transforms": "route",
		"transforms.route.type":        "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.route.regex":       `(.*)\.[^.]+\.([^.]+)`,
		"transforms.route.replacement": "$1.$2"}
	for name, own := range map[string]map[string]any{
		"weir-capture": {"connector.class": "io.debezium.connector.mysql.MySqlConnector", "topic.prefix": s.prefix, "database.hostname": server.Host, "database.port": server.Port,
			"database.user": server.User, "database.password": server.Password, "database.include.list": s.database},
		"weir-elasticsearch": {"connection.url": s.url, "index.number_of_replicas": 0},
		"weir-redis":         {"redis.hosts": host, "cache.prefix": "${topic}:"},
		"weir-lake": {"store.url": store.Endpoint, "s3.bucket.name": bucket, "s3.region": store.Region, "aws.access.key.id": store.AccessKey,
			"aws.secret.access.key": store.SecretKey, "rotate.schedule.interval.ms": 500},
	} {
		if name != "weir-capture" {
			maps.Copy(own, route)
			own["consumer.override.metadata.max.age.ms"] = 500 // topics that come later are to be found soon
		}
		maps.Copy(own, map[string]any{"bootstrap.servers": kafka, "admin.listen": "127.0.0.1:0"})
		text, err := json.Marshal(map[string]any{"name": s.prefix + "-" + name, "config": own})
		if err != nil {
			t.Fatal(err)
		}
		s.files[name] = filepath.Join(t.TempDir(), name+".json")
		if err := os.WriteFile(s.files[name], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// verify runs weirctl verify over all sides.
func (s shop) verify(t *testing.T, more ...string) (int, string, string) {
	t.Helper()
	args := []string{"verify", "--wait", "100ms"}
	for _, name := range []string{"weir-capture", "weir-elasticsearch", "weir-redis", "weir-lake"} {
		args = append(args, "-c", s.files[name])
	}
	return weirctl(t, nil, append(args, more...)...)
}

func TestVerifyFindsNoDifferenceThenSome(t *testing.T) {
	s := newShop(t)
	var sinks []*running
	for name, file := range s.files {
		r := startProgram(t, programOf(name), file)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s: %s", name, r.logs)
			}
		})
		if name != "weir-capture" {
			sinks = append(sinks, r)
		}
	}
	for _, r := range sinks {
		waitFor(t, "the sinks", func() bool {
			status, err := (&admin.Client{URL: r.address}).Status(t.Context())
			var done int64
			for _, task := range status.Tasks {
				done += task.Committed
			}
			return err == nil && status.Lag.Records == 0 && done >= 6
		})
	}
	code, out, errs := s.verify(t, "--events")
	if code != 0 || !strings.Contains(out, s.database+".orders") || !strings.Contains(out, s.database+".items") || !strings.Contains(out, "lake") {
		t.Fatalf("%d %s\n%s", code, errs, out)
	}

	key := s.prefix + ".orders:2"
	if n, err := s.redis.Del(t.Context(), key).Result(); err != nil || n != 1 {
		t.Fatalf("removing %s: %d %v", key, n, err)
	}
	index := fmt.Sprintf("%s/%s.orders-g1", s.url, strings.ToLower(s.prefix))
	if status := call(t.Context(), t, http.MethodPost, index+"/_update/1", `{"doc": {"note": "another"}}`, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	code, out, errs = s.verify(t, "--rounds", "1")
	for _, want := range []string{s.database + ".orders in elasticsearch: 1 different", s.database + ".orders in redis: 1 different", "note"} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("%d %s: no %q in\n%s", code, errs, want, out)
		}
	}
	if code, out, errs = s.verify(t, "--table", s.database+".items"); code != 0 || strings.Contains(out, "orders") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

// TestVerifyRefusesTransforms that make something else of rows. That it follows the
// others to where rows are is tested with the reference shop.
func TestVerifyRefusesTransforms(t *testing.T) {
	for _, c := range []struct {
		kind, class string
		compared    bool
	}{
		{"weir-capture", "io.debezium.transforms.ExtractNewRecordState", true},
		{"weir-capture", "org.apache.kafka.connect.transforms.InsertField$Value", true},
		{"weir-capture", "org.apache.kafka.connect.transforms.ExtractField$Key", false},
		{"weir-lake", "org.apache.kafka.connect.transforms.ExtractField$Key", false},
		{"weir-redis", "org.apache.kafka.connect.transforms.ExtractField$Key", true},
		{"weir-elasticsearch", "org.apache.kafka.connect.transforms.InsertField$Key", false},
		{"weir-elasticsearch", "org.apache.kafka.connect.transforms.MaskField$Value", false},
	} {
		v, _, err := config.Parse(map[string]string{"name": "n", "transforms": "t", "transforms.t.type": c.class}, config.Common, transform.Properties)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTransforms(c.kind, v); (err == nil) != c.compared {
			t.Errorf("%s with %s: %v", c.kind, c.class, err)
		}
	}
}

func TestVerifyUsage(t *testing.T) {
	s := newShop(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-c", s.files["weir-capture"]}, 2, "and with one sink's at least"},
		{[]string{"-c", s.files["weir-redis"]}, 2, "want --config with the capture's"},
		{[]string{"-c", s.files["weir-capture"], "-c", s.files["weir-capture"], "-c", s.files["weir-redis"]}, 2, "two captures"},
		{[]string{"-c", s.files["weir-capture"], "-c", s.files["weir-redis"], "--table", "no.such"}, 2, "--table no.such is not a captured table"},
		{[]string{"-c", "/nowhere.json"}, 2, "no such file"},
	} {
		code, _, errs := weirctl(t, nil, append([]string{"verify"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
}
