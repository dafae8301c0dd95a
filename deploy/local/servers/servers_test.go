package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// variable reads one server variable.
func variable(t *testing.T, server SQL, name string) string {
	t.Helper()
	var value string
	if err := server.Open(t, "").QueryRowContext(t.Context(), "SELECT @@"+name).Scan(&value); err != nil {
		t.Fatalf("reading @@%s: %v", name, err)
	}
	return value
}

func TestMySQLAndMariaDBLogRowsInFull(t *testing.T) {
	for name, server := range map[string]SQL{"mysql": MySQL(t), "mariadb": MariaDB(t)} {
		want := map[string]string{
			"log_bin": "1", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL",
		}
		if name == "mysql" {
			want["gtid_mode"] = "ON"
		}
		for variableName, value := range want {
			if got := variable(t, server, variableName); got != value {
				t.Errorf("%s: %s is %s, want %s", name, variableName, got, value)
			}
		}
		if isMariaDB := strings.Contains(variable(t, server, "version"), "MariaDB"); isMariaDB != (name == "mariadb") {
			t.Errorf("%s: version is %s", name, variable(t, server, "version"))
		}
		db := server.Open(t, server.Database(t))
		if _, err := db.Exec("CREATE TABLE t (id BIGINT PRIMARY KEY, v JSON)"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrivateSQLServersKeepTheirRowsOverAKill(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) SQL{"mysql": NewMySQL, "mariadb": NewMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, "--server-id=77", "--binlog-row-metadata=MINIMAL")
			if got := variable(t, server, "server_id"); got != "77" {
				t.Errorf("server_id is %s, want 77", got)
			}
			if got := variable(t, server, "binlog_row_metadata"); got != "MINIMAL" {
				t.Errorf("binlog_row_metadata is %s, want MINIMAL", got)
			}
			database := server.Database(t)
			execute(t, server, database, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
			server.Kill()
			if err := server.Open(t, "").Ping(); err == nil {
				t.Error("a killed server answers")
			}
			server.Start()
			execute(t, server, database, "INSERT INTO t VALUES (2)")
			var count int
			if err := server.Open(t, database).QueryRow("SELECT COUNT(*) FROM t").Scan(&count); err != nil || count != 2 {
				t.Errorf("rows after the kill: %d, %v; want 2", count, err)
			}
			server.Stop()
			server.Start()
			execute(t, server, database, "INSERT INTO t VALUES (3)")
		})
	}
}

func TestTwoPrivateMySQLHaveUUIDsOfTheirOwn(t *testing.T) {
	first, second := NewMySQL(t), NewMySQL(t)
	if a, b := variable(t, first, "server_uuid"), variable(t, second, "server_uuid"); a == b {
		t.Errorf("both are %s", a)
	}
}

func execute(t *testing.T, server SQL, database string, statements ...string) {
	t.Helper()
	db := server.Open(t, database)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestKafkaCommitsTransactionsAndCompacts(t *testing.T) {
	bootstrap, topic := Kafka(t), Unique(t, "topic")
	client := kafkaClient(t, kgo.SeedBrokers(bootstrap), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchMaxBytes(16<<20))
	admin := kadm.NewClient(client)
	policy := map[string]*string{"cleanup.policy": aws.String("compact"), "segment.ms": aws.String("100"),
		"min.cleanable.dirty.ratio": aws.String("0.01")}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, policy, topic); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 2<<20)
	for i := range 4 {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		record := &kgo.Record{Key: []byte("k"), Value: append(large, byte('0'+i))}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond) // older than segment.ms: the next record rolls the segment
	}
	for deadline := time.Now().Add(60 * time.Second); ; {
		if keys := countRecords(t, bootstrap, topic); keys < 4 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the log cleaner has removed nothing in a minute")
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// countRecords reads a topic's single partition to its end.
func countRecords(t *testing.T, bootstrap, topic string) int {
	t.Helper()
	client := kafkaClient(t, kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(32<<20))
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	count := 0
	for {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, record := range fetches.Records() {
			if !record.Attrs.IsControl() {
				count++
			}
			if record.Offset == end.Offset-1 {
				return count
			}
		}
	}
}

func TestKafkaCreatesNoTopicByItself(t *testing.T) {
	topic := Unique(t, "unknown")
	client := kafkaClient(t, kgo.SeedBrokers(Kafka(t)), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic),
		kgo.UnknownTopicRetries(1), kgo.RecordRetries(1))
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err == nil {
		t.Error("producing to an unknown topic worked")
	}
}

func kafkaClient(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestKafkaSecureLetsInByEveryMechanism(t *testing.T) {
	security := KafkaSecure(t)
	mechanisms := map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: security.User, Pass: security.Password}.AsMechanism(),
		"SCRAM-SHA-256": scram.Auth{User: security.User, Pass: security.Password}.AsSha256Mechanism(),
		"SCRAM-SHA-512": scram.Auth{User: security.User, Pass: security.Password}.AsSha512Mechanism(),
		"OAUTHBEARER":   oauth.Auth{Token: unsignedToken("weir")}.AsMechanism(),
	}
	for name, mechanism := range mechanisms {
		for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
			options := []kgo.Opt{kgo.SeedBrokers(security.Bootstrap[protocol]), kgo.SASL(mechanism)}
			if protocol == "SASL_SSL" {
				options = append(options, kgo.DialTLSConfig(trust(t, security.CAFile)))
			}
			if err := kafkaClient(t, options...).Ping(t.Context()); err != nil {
				t.Errorf("%s over %s: %v", name, protocol, err)
			}
		}
	}
}

func TestKafkaSecureKeepsOthersOut(t *testing.T) {
	security := KafkaSecure(t)
	wrong := plain.Auth{User: security.User, Pass: "wrong"}.AsMechanism()
	for name, options := range map[string][]kgo.Opt{
		"a wrong password":     {kgo.SeedBrokers(security.Bootstrap["SASL_PLAINTEXT"]), kgo.SASL(wrong)},
		"no password":          {kgo.SeedBrokers(security.Bootstrap["SASL_PLAINTEXT"])},
		"an unknown authority": {kgo.SeedBrokers(security.Bootstrap["SSL"]), kgo.DialTLSConfig(&tls.Config{})},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if err := kafkaClient(t, options...).Ping(ctx); err == nil {
			t.Errorf("%s: the broker answers", name)
		}
		cancel()
	}
	certificate, err := tls.LoadX509KeyPair(security.CertFile, security.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	config := trust(t, security.CAFile)
	config.Certificates = []tls.Certificate{certificate}
	client := kafkaClient(t, kgo.SeedBrokers(security.Bootstrap["SSL"]), kgo.DialTLSConfig(config))
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("with a client certificate: %v", err)
	}
}

// unsignedToken is an unsecured JSON Web Token for one hour (RFC 7519, section 6).
func unsignedToken(subject string) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	now := time.Now().Unix()
	return encode(`{"alg":"none"}`) + "." + encode(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, now, now+3600)) + "."
}

func trust(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s", file)
	}
	return &tls.Config{RootCAs: roots}
}

func TestElasticsearchAnswersItsBannerAndVersionedWrites(t *testing.T) {
	url, index := Elasticsearch(t), Unique(t, "index")
	if status, body := httpDo(t, http.MethodGet, url+"/", ""); status != 200 || !strings.Contains(body, elasticsearchVersion) {
		t.Errorf("GET /: %d %s", status, body)
	}
	defer func() { _, _ = httpDo(t, http.MethodDelete, url+"/"+index, "") }()
	document := url + "/" + index + "/_doc/1?version_type=external_gte&version="
	for _, write := range []struct {
		version string
		want    int
	}{{"7", 201}, {"5", 409}, {"7", 200}} {
		if status, body := httpDo(t, http.MethodPut, document+write.version, `{"a":1}`); status != write.want {
			t.Errorf("writing version %s: %d %s, want %d", write.version, status, body, write.want)
		}
	}
}

func httpDo(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestRedisSharedPrivateAndByTLS(t *testing.T) {
	files := TLS(t)
	shared := &redis.Options{Addr: Redis(t)}
	withPassword := &redis.Options{Addr: NewRedis(t, "--requirepass", "pw"), Password: "pw"}
	secure := &redis.Options{TLSConfig: trust(t, files.CAFile)}
	secure.Addr = NewRedis(t, "--port", "0", "--tls-port", "{port}", "--tls-cert-file", files.CertFile,
		"--tls-key-file", files.KeyFile, "--tls-ca-cert-file", files.CAFile, "--tls-auth-clients", "no")
	for name, options := range map[string]*redis.Options{"shared": shared, "password": withPassword, "TLS": secure} {
		client := redis.NewClient(options)
		key := Unique(t, "key")
		if err := client.Set(t.Context(), key, "v", time.Minute).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if value, err := client.Get(t.Context(), key).Result(); err != nil || value != "v" {
			t.Errorf("%s: read %q, %v", name, value, err)
		}
		_ = client.Close()
	}
	if err := redis.NewClient(&redis.Options{Addr: withPassword.Addr, MaxRetries: -1}).Ping(t.Context()).Err(); err == nil {
		t.Error("the server with a password answers without one")
	}
}

func TestPrivateServersKeepWhatTheyAnsweredOverAKill(t *testing.T) {
	cache := NewRedisServer(t, "--appendonly", "yes", "--appendfsync", "no")
	client := redis.NewClient(&redis.Options{Addr: cache.Address, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	files, store := NewS3(t)
	bucket := store.Bucket(t)
	for i := range 3 {
		if err := client.Set(t.Context(), "key", i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		cache.Kill()
		if err := client.Ping(t.Context()).Err(); err == nil {
			t.Error("a killed Redis answers")
		}
		cache.Start()
		if n, err := client.Get(t.Context(), "key").Int(); err != nil || n != i {
			t.Errorf("Redis has %d (%v), want %d", n, err, i)
		}
	}
	if _, err := store.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("a/b"), Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	files.Kill()
	files.Start()
	if _, err := store.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("a/b")}); err != nil {
		t.Error(err)
	}
}

func TestRedisClusterSpreadsItsSlots(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: RedisCluster(t)})
	defer func() { _ = client.Close() }()
	prefix := Unique(t, "key")
	for i := range 50 {
		if err := client.Set(t.Context(), fmt.Sprintf("%s%d", prefix, i), i, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	shards, err := client.ClusterShards(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	withSlots := 0
	for _, shard := range shards {
		if len(shard.Slots) > 0 {
			withSlots++
		}
	}
	if withSlots != 3 {
		t.Errorf("%d masters with slots, want three: %+v", withSlots, shards)
	}
}

func TestS3HonoursConditionalWrites(t *testing.T) {
	store := S3(t)
	bucket, client := store.Bucket(t), store.Client()
	put := func(body string) error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String("a/b.txt"), Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
			Metadata: map[string]string{"weir": "1"},
		})
		return err
	}
	if err := put("one"); err != nil {
		t.Fatal(err)
	}
	if err := put("two"); err == nil || !strings.Contains(err.Error(), "PreconditionFailed") {
		t.Errorf("the second write with If-None-Match: %v, want PreconditionFailed", err)
	}
	object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("a/b.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = object.Body.Close() }()
	if text, err := io.ReadAll(object.Body); err != nil || string(text) != "one" || object.Metadata["weir"] != "1" {
		t.Errorf("read %q with %v, %v", text, object.Metadata, err)
	}
}

func TestUniqueNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		seen[Unique(t, "x")] = true
	}
	if len(seen) < 999 { // 2 billion suffixes within one millisecond
		t.Errorf("%d different names of 1000", len(seen))
	}
}

func TestUnknownKindIsRefused(t *testing.T) {
	local, err := Open(Options{Cache: t.TempDir(), Progress: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Up(t.Context(), "oracle"); err == nil || !strings.Contains(err.Error(), `"oracle"`) {
		t.Errorf("starting oracle: %v", err)
	}
	if errors.Is(local.Down(t.Context()), os.ErrNotExist) {
		t.Error("stopping nothing is an error")
	}
}
