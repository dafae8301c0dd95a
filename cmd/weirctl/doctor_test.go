package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/cmd/internal/doctor"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// examine runs weirctl doctor --json over the files of a shop.
func (s shop) examine(t *testing.T, more ...string) (int, doctor.Report) {
	t.Helper()
	args := []string{"doctor", "--json"}
	for _, name := range []string{"weir-capture", "weir-elasticsearch", "weir-redis", "weir-lake"} {
		args = append(args, s.files[name])
	}
	code, out, errs := weirctl(t, nil, append(args, more...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || errs != "" {
		t.Fatalf("%d %v %s\n%s", code, err, errs, out)
	}
	return code, report
}

// codes are the findings of a severity as code:property.
func codes(r doctor.Report, severity doctor.Severity) []string {
	var found []string
	for _, f := range r.Findings {
		if f.Severity == severity {
			found = append(found, f.Code+" "+f.Property)
		}
	}
	slices.Sort(found)
	return found
}

// finding is the finding of a code, which must be there once.
func finding(t *testing.T, r doctor.Report, code string) doctor.Finding {
	t.Helper()
	var found []doctor.Finding
	for _, f := range r.Findings {
		if f.Code == code {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings %s in %+v", len(found), code, r.Findings)
	}
	return found[0]
}

func TestDoctorOfAFleetThatIsWell(t *testing.T) {
	s := newShop(t)
	if code, r := s.examine(t); code != 0 || len(codes(r, doctor.Failure)) > 0 || len(r.Checked) != 4 {
		t.Errorf("%d %+v", code, r)
	}
}

func TestDoctorOfServersThatDoNotAnswer(t *testing.T) {
	s := newShop(t)
	code, r := s.examine(t, "--set", "database.hostname=127.0.0.1", "--set", "database.port=1", "--set", "bootstrap.servers=127.0.0.1:1",
		"--set", "connection.url=http://127.0.0.1:1", "--set", "redis.hosts=127.0.0.1:1", "--set", "store.url=http://127.0.0.1:1")
	want := []string{"unreachable bootstrap.servers", "unreachable connection.url", "unreachable database.hostname", "unreachable redis.hosts", "unreachable s3.bucket.name"}
	if got := codes(r, doctor.Failure); code != 1 || !slices.Equal(got, want) {
		t.Errorf("%d %v\n%+v", code, got, r.Findings)
	}
	if code, r := s.examine(t, "--offline", "--set", "bootstrap.servers=127.0.0.1:1"); code != 0 || len(r.Findings) > 0 {
		t.Errorf("offline: %d %+v", code, r.Findings)
	}
}

// TestDoctorOfADatabase: a grant that is missing, and a log that is not whole.
func TestDoctorOfADatabase(t *testing.T) {
	s := newShop(t)
	server := servers.NewMySQL(t, "--binlog-row-image=MINIMAL")
	db := server.Open(t, "")
	for _, statement := range []string{"CREATE DATABASE " + s.database, "CREATE TABLE " + s.database + ".orders (id INT PRIMARY KEY)",
		"CREATE USER poor@'%' IDENTIFIED BY 'hunter2'", "GRANT SELECT, REPLICATION CLIENT ON *.* TO poor@'%'"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	at := []string{"--set", "database.hostname=" + server.Host, "--set", "database.port=" + strconv.Itoa(server.Port)}
	code, r := s.examine(t, append(at, "--set", "database.user=poor", "--set", "database.password=hunter2")...)
	if code != 1 {
		t.Errorf("code %d", code)
	}
	if f := finding(t, r, "missing-grant"); f.Do != "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%'" || f.Severity != doctor.Failure || f.Property != "database.user" {
		t.Errorf("%+v", f)
	}
	if f := finding(t, r, "binlog-settings"); f.Do != "SET PERSIST binlog_row_image = FULL" || !strings.Contains(f.What, "binlog_row_image is MINIMAL") {
		t.Errorf("%+v", f)
	}
	_, r = s.examine(t, append(at, "--set", "database.user=poor", "--set", "database.password=wrong")...)
	if f := finding(t, r, "server-refuses"); !strings.Contains(f.What, "Access denied") || strings.Contains(f.What, "wrong") {
		t.Errorf("%+v", f)
	}
}

// TestDoctorOfTables: what the database has decides where the file has
// expressions only.
func TestDoctorOfTables(t *testing.T) {
	s := newShop(t)
	_, r := s.examine(t, "--set", "topics.regex=", "--set", "topics="+s.prefix+"."+s.database+".orders,"+s.prefix+"."+s.database+".nothing")
	if f := finding(t, r, "table-not-read"); !strings.HasPrefix(f.What, s.database+".items is captured") || f.Severity != doctor.Warning {
		t.Errorf("%+v", f)
	}
	for _, f := range r.Findings {
		if f.Code == "topic-not-written" && (len(f.Write) > 0 || !strings.Contains(f.What, ".nothing is written by no capture")) {
			t.Errorf("%+v", f)
		}
	}
	if got := codes(r, doctor.Failure); len(got) != 3 {
		t.Errorf("want one finding for each sink: %v", got)
	}
	_, r = s.examine(t, "--set", "table.include.list="+s.database+".orders,"+s.database+".gone")
	if f := finding(t, r, "table-missing"); f.What != "the database has no table "+s.database+".gone" || f.Severity != doctor.Warning {
		t.Errorf("%+v", f)
	}
}

func TestDoctorOfGroupsInUse(t *testing.T) {
	s := newShop(t)
	name := s.prefix + "-weir-redis"
	topic := s.prefix + "." + s.database + ".orders"
	newTopic(t, topic, nil)
	join := func(group, id string) {
		client, err := kgo.NewClient(kgo.SeedBrokers(servers.Kafka(t)), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID(id))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		cluster := kadm.NewClient(client)
		waitFor(t, "group "+group, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			client.PollFetches(ctx)
			groups, err := cluster.DescribeGroups(t.Context(), group)
			return err == nil && groups[group].State == "Stable"
		})
	}
	join("weir-"+name, "weir-"+name)
	if _, r := s.examine(t); len(codes(r, doctor.Failure)) > 0 {
		t.Errorf("an instance of the sink itself: %+v", r.Findings)
	}
	join("connect-"+name, "connector-consumer-0")
	if _, r := s.examine(t); !strings.Contains(finding(t, r, "group-in-use").What, "Kafka Connect still runs the connector "+name) {
		t.Errorf("%+v", r.Findings)
	}
	join("mine-"+name, "another")
	_, r := s.examine(t, "--set", "group.id=mine-"+name)
	if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool {
		return f.Code == "group-in-use" && f.Property == "group.id" && strings.Contains(f.What, "is in use by another on ")
	}) {
		t.Errorf("%+v", r.Findings)
	}
}

// newTopic makes a topic of one partition.
func newTopic(t *testing.T, topic string, settings map[string]*string) (*kgo.Client, *kadm.Client) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers.Kafka(t)))
	if err != nil {
		t.Fatal(err)
	}
	cluster := kadm.NewClient(client)
	if _, err := cluster.CreateTopic(t.Context(), 1, 1, settings, topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = cluster.DeleteTopics(ctx, topic)
		client.Close()
	})
	return client, cluster
}

func TestDoctorOfRetention(t *testing.T) {
	s := newShop(t)
	topic := s.prefix + "." + s.database + ".orders"
	hour := "3600000"
	client, cluster := newTopic(t, topic, map[string]*string{"retention.ms": &hour})
	produce := func(age time.Duration) {
		r := &kgo.Record{Topic: topic, Key: []byte(`{"id":1}`), Value: []byte(`{"id":1}`), Timestamp: time.Now().Add(-age)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	group := "weir-" + s.prefix + "-weir-redis"
	commit := func(at int64) {
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: at, LeaderEpoch: -1})
		if err := cluster.CommitAllOffsets(t.Context(), group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	produce(50 * time.Minute)
	produce(time.Minute)
	commit(1)
	if _, r := s.examine(t); len(codes(r, doctor.Failure)) > 0 || slices.Contains(codes(r, doctor.Warning), "retention-shorter-than-lag topics") {
		t.Errorf("little lag: %+v", r.Findings)
	}
	commit(0)
	_, r := s.examine(t)
	if f := finding(t, r, "retention-shorter-than-lag"); f.Severity != doctor.Warning || f.What != topic+" keeps records for 60 minutes, and the oldest unread one is 50 minutes old" ||
		!strings.Contains(f.Do, "retention.ms=7200000") {
		t.Errorf("%+v", f)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 2})
	if _, err := cluster.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	_, r = s.examine(t)
	if f := finding(t, r, "retention-shorter-than-lag"); f.Severity != doctor.Failure || f.What != topic+" dropped 2 records that were not read" {
		t.Errorf("%+v", f)
	}
}

// TestDoctorOfMoves: a sink that filters rows needs every update, of which a topic
// may keep the last of a key alone.
func TestDoctorOfMoves(t *testing.T) {
	s := newShop(t)
	text, err := os.ReadFile(s.files["weir-redis"])
	if err != nil {
		t.Fatal(err)
	}
	filter := strings.Replace(string(text), `"transforms":"route"`,
		`"transforms":"route,open","transforms.open.type":"io.debezium.transforms.Filter","transforms.open.condition":"total > 0"`, 1)
	if err := os.WriteFile(s.files["weir-redis"], []byte(filter), 0o600); err != nil {
		t.Fatal(err)
	}
	compact, lag := "compact", "604800000"
	newTopic(t, s.prefix+"."+s.database+".items", map[string]*string{"cleanup.policy": &compact, "min.compaction.lag.ms": &lag})
	newTopic(t, s.prefix+"."+s.database+".orders", map[string]*string{"cleanup.policy": &compact})
	_, r := s.examine(t)
	if f := finding(t, r, "moves-compacted"); f.Severity != doctor.Warning || f.File != s.files["weir-redis"] || !strings.HasPrefix(f.What, s.prefix+"."+s.database+".orders may compact") ||
		!strings.Contains(f.Do, "min.compaction.lag.ms=604800000") {
		t.Errorf("%+v", f)
	}
}

func TestDoctorOfMappings(t *testing.T) {
	s := newShop(t)
	index := strings.ToLower(s.prefix) + ".orders"
	body := `{"mappings": {"properties": {"total": {"type": "boolean"}, "id": {"type": "keyword"}, "note": {"type": "text"}}}}`
	if status := call(t.Context(), t, http.MethodPut, s.url+"/"+index, body, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	t.Cleanup(func() { call(context.Background(), t, http.MethodDelete, s.url+"/"+index, "", nil) })
	code, r := s.examine(t)
	want := "the index " + index + " refuses " + s.database + ".orders.total: it is mapped as boolean, and its values are numbers with a fraction"
	if f := finding(t, r, "mapping-conflict"); code != 1 || f.What != want {
		t.Errorf("%d %+v", code, f)
	}
}

func TestDoctorUsage(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := write("other.json", `{"name": "n", "config": {"connector.class": "io.debezium.connector.db2.Db2Connector"}}`)
	wrong := write("wrong.json", `{"name": "n", "config": {"connector.class": "RedisSinkConnector", "topcs": "a", "redis.hosts": "h:1", "bootstrap.servers": "b:1"}}`)
	block := write("block.json", `{"a": {"transforms.a.type": "ByTable"}}`)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "want weirctl doctor"},
		{[]string{"--set", "no.such=1", wrong}, 2, "no component has that property"},
		{[]string{"--offline", other}, 1, "write the class of a component: one of io.debezium.connector.mysql.MySqlConnector"},
		{[]string{"--offline", wrong}, 1, "unknown property; did you mean topics?"},
		{[]string{"--offline", folder + "/none.json"}, 1, "no such file"},
		{[]string{"--offline", block}, 0, "holds no connector by itself"},
	} {
		code, out, errs := weirctl(t, nil, append([]string{"doctor"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%v: %d %s %s", c.args, code, out, errs)
		}
	}
}
