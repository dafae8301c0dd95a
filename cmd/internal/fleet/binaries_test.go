package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
)

var (
	buildOnce sync.Once
	folder    string
	errBuild  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// binary builds the components, once, and returns the path of one.
func binary(t *testing.T, name string) string {
	t.Helper()
	buildOnce.Do(func() {
		if folder, errBuild = os.MkdirTemp("", "weir-binaries"); errBuild != nil {
			return
		}
		args := []string{"build", "-o", folder}
		for _, p := range Programs() {
			args = append(args, "../../"+p.Name)
		}
		output, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			errBuild = fmt.Errorf("%w\n%s", err, output)
		}
	})
	if errBuild != nil {
		t.Fatalf("building the commands: %v", errBuild)
	}
	return filepath.Join(folder, name)
}

// runBinary runs a binary to its end.
func runBinary(t *testing.T, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary(t, name), args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestBinariesHelp(t *testing.T) {
	for _, p := range Programs() {
		code, out, _ := runBinary(t, p.Name, "--help")
		if code != service.ExitOK || !strings.HasPrefix(out, p.Name+": "+p.Short) || !strings.Contains(out, "Examples\n  "+p.Name+" --config ") {
			t.Errorf("%s --help: %d\n%s", p.Name, code, out)
		}
		if code, out, _ := runBinary(t, p.Name, "--version"); code != service.ExitOK || !strings.HasPrefix(out, p.Name+" ") {
			t.Errorf("%s --version: %d %s", p.Name, code, out)
		}
	}
}

func TestBinariesListAllMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(file, []byte("{\"config\": {\n\"admin.listen\": \"nowhere\",\n\"bootstrap.servers\": \"kafka\",\n\"log.levle\": \"debug\"}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range Programs() {
		code, out, errs := runBinary(t, p.Name, "--config", file, "--set", "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector")
		for _, want := range []string{
			file + `:2: admin.listen = "nowhere": want host:port`, file + `:3: bootstrap.servers = "kafka": want host:port`,
			file + `:4: log.levle = "debug": unknown property; did you mean log.level?`, "name is not set: want ", "--set: connector.class = ",
		} {
			if code != service.ExitConfiguration || out != "" || !strings.Contains(errs, want) {
				t.Errorf("%s: %d %s\n%s\nwant %s", p.Name, code, out, errs, want)
			}
		}
	}
}

// shared are the properties of a sink of one topic on the real Kafka, as --set
// arguments.
func shared(t *testing.T, topic string, more ...string) []string {
	t.Helper()
	var args []string
	for _, set := range append([]string{"name=" + topic, "topics=" + topic, "bootstrap.servers=" + servers.Kafka(t), "admin.listen=127.0.0.1:0", "log.format=json"}, more...) {
		args = append(args, "--set", set)
	}
	return args
}

// newTopic makes a topic with a record {"id":7,"name":"Ada"} under the key {"id":7}.
func newTopic(t *testing.T) string {
	t.Helper()
	topic := servers.Unique(t, "fleet.shop.customers")
	client, err := kgo.NewClient(kgo.SeedBrokers(servers.Kafka(t)))
	if err != nil {
		t.Fatal(err)
	}
	cluster := kadm.NewClient(client)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = cluster.DeleteTopics(ctx, topic)
		_, _ = cluster.DeleteGroups(ctx, "weir-"+topic)
		client.Close()
	})
	if _, err := cluster.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Topic: topic, Key: []byte(`{"id":7}`), Value: []byte(`{"id":7,"name":"Ada"}`)}
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return topic
}

// process is a running component.
type process struct {
	command *exec.Cmd
	logs    *lines
	address string
}

// lines collects what a process logs.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts a component and waits until its HTTP port is there.
func start(t *testing.T, name string, args []string) *process {
	t.Helper()
	p := &process{command: exec.Command(binary(t, name), args...), logs: &lines{}}
	p.command.Stderr = p.logs
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	eventually(t, p, "the HTTP port", func() bool {
		for line := range strings.Lines(p.logs.String()) {
			var entry struct{ Message, Admin string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "started" {
				p.address = "http://" + entry.Admin
				return true
			}
		}
		return false
	})
	return p
}

func eventually(t *testing.T, p *process, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no sign of %s\n%s", what, p.logs)
		}
	}
}

// caughtUp waits until a sink is ready and has nothing left to read.
func (p *process) caughtUp(t *testing.T) {
	t.Helper()
	eventually(t, p, "readiness", func() bool {
		response, err := http.Get(p.address + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	eventually(t, p, "lag 0", func() bool {
		s, err := (&admin.Client{URL: p.address}).Status(t.Context())
		return err == nil && len(s.Tasks) == 1 && s.Lag.Records == 0 && s.Tasks[0].Partition != nil && s.Tasks[0].Committed > 0
	})
}

// stop ends a component by SIGTERM, within ten seconds.
func (p *process) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("stopped after %v: %v\n%s", time.Since(began), err, p.logs)
	}
}

func TestRedisSinkRuns(t *testing.T) {
	topic, host := newTopic(t), servers.Redis(t)
	args := shared(t, topic, "redis.hosts="+host, "cache.prefix=${topic}:", "cache.key.field=id")
	if code, out, errs := runBinary(t, "weir-redis", append(args, "--validate")...); code != service.ExitOK {
		t.Errorf("--validate: %d %s %s", code, out, errs)
	}
	if code, out, _ := runBinary(t, "weir-redis", append(args, "--validate", "--set", "redis.hosts=127.0.0.1:1")...); code != service.ExitServers || !strings.Contains(out, "finding") {
		t.Errorf("--validate without Redis: %d %s", code, out)
	}
	p := start(t, "weir-redis", args)
	p.caughtUp(t)
	client := goredis.NewClient(&goredis.Options{Addr: host})
	defer client.Close()
	t.Cleanup(func() { client.Del(context.Background(), topic+":7") })
	if got, err := client.Get(t.Context(), topic+":7").Result(); err != nil || got != `{"id":7,"name":"Ada"}` {
		t.Errorf("%s: %v", got, err)
	}
	p.stop(t)
}

func TestElasticsearchSinkRuns(t *testing.T) {
	topic, url := newTopic(t), servers.Elasticsearch(t)
	args := shared(t, topic, "connection.url="+url, "index.number_of_replicas=0")
	if code, out, errs := runBinary(t, "weir-elasticsearch", append(args, "--validate")...); code != service.ExitOK {
		t.Errorf("--validate: %d %s %s", code, out, errs)
	}
	if code, out, _ := runBinary(t, "weir-elasticsearch", append(args, "--validate", "--set", "connection.url=http://127.0.0.1:1")...); code != service.ExitServers {
		t.Errorf("--validate without Elasticsearch: %d %s", code, out)
	}
	p := start(t, "weir-elasticsearch", args)
	p.caughtUp(t)
	t.Cleanup(func() {
		request, err := http.NewRequest(http.MethodDelete, url+"/"+topic+"-g1", nil)
		if err == nil {
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
			}
		}
	})
	response, err := http.Get(url + "/" + topic + "/_doc/7")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var found struct {
		Source struct{ Name string } `json:"_source"`
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil || found.Source.Name != "Ada" {
		t.Errorf("%v %v", found, err)
	}
	p.stop(t)
}

func TestLakeSinkRuns(t *testing.T) {
	topic, store := newTopic(t), servers.S3(t)
	bucket := store.Bucket(t)
	args := shared(t, topic, "store.url="+store.Endpoint, "s3.bucket.name="+bucket, "s3.region="+store.Region,
		"aws.access.key.id="+store.AccessKey, "aws.secret.access.key="+store.SecretKey, "rotate.schedule.interval.ms=500")
	if code, out, errs := runBinary(t, "weir-lake", append(args, "--validate")...); code != service.ExitOK {
		t.Errorf("--validate: %d %s %s", code, out, errs)
	}
	if code, out, _ := runBinary(t, "weir-lake", append(args, "--validate", "--set", "s3.bucket.name=no-such-bucket")...); code != service.ExitServers {
		t.Errorf("--validate without the bucket: %d %s", code, out)
	}
	p := start(t, "weir-lake", args)
	p.caughtUp(t)
	p.stop(t)
	client := s3.New(s3.Options{BaseEndpoint: &store.Endpoint, Region: store.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(store.AccessKey, store.SecretKey, "")})
	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	if len(listed.Contents) != 1 || !strings.HasPrefix(*listed.Contents[0].Key, "topics/"+topic+"/") || !strings.HasSuffix(*listed.Contents[0].Key, ".snappy.parquet") {
		t.Errorf("%d files: %+v", len(listed.Contents), listed.Contents)
	}
}

func TestCaptureRuns(t *testing.T) {
	server := servers.MySQL(t)
	database, prefix := server.Database(t), servers.Unique(t, "fleet")
	db := server.Open(t, database)
	for _, statement := range []string{"CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20))", "INSERT INTO customers VALUES (7, 'Ada')"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(servers.Kafka(t)), kgo.ConsumeTopics(prefix+"."+database+".customers"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var args []string
	for _, set := range []string{"name=" + prefix, "topic.prefix=" + prefix, "connector.class=io.debezium.connector.mysql.MySqlConnector", "bootstrap.servers=" + servers.Kafka(t),
		"database.hostname=" + server.Host, fmt.Sprintf("database.port=%d", server.Port), "database.user=" + server.User, "database.password=" + server.Password,
		"database.include.list=" + database, "admin.listen=127.0.0.1:0", "log.format=json"} {
		args = append(args, "--set", set)
	}
	if code, out, errs := runBinary(t, "weir-capture", append(args, "--validate")...); code != service.ExitOK {
		t.Errorf("--validate: %d %s %s", code, out, errs)
	}
	if code, out, _ := runBinary(t, "weir-capture", append(args, "--validate", "--set", "database.password=hunter2")...); code != service.ExitServers || strings.Contains(out, "hunter2") {
		t.Errorf("--validate with a wrong password: %d %s", code, out)
	}
	p := start(t, "weir-capture", args)
	for ids := map[string]bool{}; len(ids) < 2; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v\n%s", err, p.logs)
		}
		fetches.EachRecord(func(r *kgo.Record) { ids[string(r.Key)] = true })
		if _, err := db.ExecContext(t.Context(), "REPLACE INTO customers VALUES (8, 'Grace')"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := (&admin.Client{URL: p.address}).Status(t.Context())
	if err != nil || s.Connector.State != admin.Running || s.Type != "source" || len(s.Tasks) != 1 || s.Position == "" || s.Snapshot == nil || s.Snapshot.State != "COMPLETED" {
		t.Errorf("%v %+v", err, s)
	}
	if err := (&admin.Client{URL: p.address}).Pause(t.Context()); err == nil {
		t.Error("a capture is paused")
	}
	p.stop(t)
}

func TestElasticsearchSinkWaitsForItsCluster(t *testing.T) {
	topic := newTopic(t)
	p := start(t, "weir-elasticsearch", shared(t, topic, "connection.url=http://127.0.0.1:1"))
	eventually(t, p, "a problem in the status", func() bool {
		s, err := (&admin.Client{URL: p.address}).Status(t.Context())
		return err == nil && s.Name == topic && s.Problem != nil && s.Problem.Do != ""
	})
	p.stop(t)
}
