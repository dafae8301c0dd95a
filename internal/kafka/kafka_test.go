package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

func client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestTopicsAreCreatedCheckedAndAltered.
func TestTopicsAreCreatedCheckedAndAltered(t *testing.T) {
	ctx := context.Background()
	cl := client(t, kgo.SeedBrokers(servers.Kafka(t)))
	compacted, deleting := Compacted(servers.Unique(t, "compacted")), Deleting(servers.Unique(t, "deleting"))
	deleting.Partitions = 3
	created, err := CreateTopics(ctx, cl, compacted, deleting)
	if err != nil || len(created) != 2 {
		t.Fatal(created, err)
	}
	if created, err = CreateTopics(ctx, cl, compacted, deleting); err != nil || len(created) != 0 {
		t.Errorf("again: %v, %v", created, err)
	}
	awaitTopics(t, cl, compacted.Name, deleting.Name)
	details, err := kadm.NewClient(cl).ListTopics(ctx, deleting.Name)
	if err != nil || len(details[deleting.Name].Partitions) != 3 {
		t.Errorf("%v, %v", details, err)
	}
	missing := Compacted(servers.Unique(t, "missing"))
	if found, err := CheckTopics(ctx, cl, compacted, deleting, missing); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	retention, err := TopicRetention(ctx, cl, compacted.Name)
	if err != nil || !retention.Compacted || retention.Deletes != KeepDeletes || retention.Updates != KeepDeletes {
		t.Errorf("%+v, %v", retention, err)
	}

	// A table that loses its key: the policy is switched.
	other := deleting
	other.Configs = compacted.Configs
	found, err := CheckTopics(ctx, cl, other)
	if err != nil || len(found) == 0 || found[0].Config != "cleanup.policy" || found[0].Has != "delete" || !strings.Contains(found[0].Command(), "cleanup.policy=[compact]") {
		t.Fatalf("%v, %v", found, err)
	}
	if err := AlterTopic(ctx, cl, deleting.Name, compacted.Configs); err != nil {
		t.Fatal(err)
	}
	if found, err := checkUntil(ctx, cl, other, 0); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	// Keeping deletes for longer is no mismatch, for less time is one.
	for ms, want := range map[string]int{"999999999999": 0, "1000": 1} {
		if err := AlterTopic(ctx, cl, compacted.Name, map[string]string{"delete.retention.ms": ms}); err != nil {
			t.Fatal(err)
		}
		if found, err := checkUntil(ctx, cl, compacted, want); err != nil || len(found) != want {
			t.Errorf("%s: %v, %v", ms, found, err)
		}
	}
	if _, err := CreateTopics(ctx, cl, Topic{Name: "no/such name"}); err == nil {
		t.Error("created a topic with a slash")
	}
}

// awaitTopics waits until the broker knows what its controller has made.
func awaitTopics(t *testing.T, cl *kgo.Client, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := TopicRetention(t.Context(), cl, name)
		for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			_, err = TopicRetention(t.Context(), cl, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkUntil checks a topic until it has as many mismatches as wanted: what was
// altered comes to the broker by the metadata log, a moment later.
func checkUntil(ctx context.Context, cl *kgo.Client, topic Topic, want int) (found []Mismatch, err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found, err = CheckTopics(ctx, cl, topic); err != nil || len(found) == want {
			return found, err
		}
	}
	return found, err
}

func TestSchemasAreFoundByFingerprint(t *testing.T) {
	addr := servers.Kafka(t)
	cl := client(t, kgo.SeedBrokers(addr))
	prefix := servers.Unique(t, "schemas")
	entry := func(column string) *json.SchemaEntry {
		return json.NewSchemaEntry("weir:"+prefix, prefix+".db.t", nil, cdc.NewSchema("v", cdc.Field{Name: column, Type: cdc.Int64}))
	}
	source := NewSchemaSource(zaptest.NewLogger(t), kgo.SeedBrokers(addr))
	defer source.Close()
	a, b := entry("a"), entry("b")
	if source.Known([]byte(a.Fingerprint)) != nil {
		t.Error("knows what was never written")
	}
	got := make(chan error, 1)
	go func() { // asked for before its topic exists
		e, err := source.Entry(context.Background(), []byte(a.Fingerprint))
		if err == nil && (e.Domain != "weir:"+prefix || e.Value != a.Value) {
			err = fmt.Errorf("got %+v", e)
		}
		got <- err
	}()
	if _, err := CreateTopics(context.Background(), cl, Compacted(SchemaTopic(prefix))); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, &kgo.Record{Topic: SchemaTopic(prefix), Key: []byte(a.Fingerprint), Value: a.Marshal()})
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := source.Entry(ctx, []byte(b.Fingerprint)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// One in an open transaction is not there yet, like the records that name it.
	tx := client(t, kgo.SeedBrokers(addr), kgo.TransactionalID(prefix))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, tx, &kgo.Record{Topic: SchemaTopic(prefix), Key: []byte(b.Fingerprint), Value: b.Marshal()})
	time.Sleep(300 * time.Millisecond)
	if source.Known([]byte(b.Fingerprint)) != nil {
		t.Error("an entry of an open transaction was read")
	}
	if err := tx.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if e, err := source.Entry(context.Background(), []byte(b.Fingerprint)); err != nil || e.Value != b.Value {
		t.Errorf("got %v, %v", e, err)
	}
	source.Close()
	if _, err := source.Entry(context.Background(), []byte("unknown")); err == nil {
		t.Error("a closed source waits")
	}
}

// TestSchemasThatMayNotBeRead are asked for with pauses, and read once they may be.
func TestSchemasThatMayNotBeRead(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "shop.weir-schemas"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	addr := kgo.SeedBrokers(cluster.ListenAddrs()...)
	entry := json.NewSchemaEntry("weir:shop", "shop.db.t", nil, cdc.NewSchema("v", cdc.Field{Name: "a", Type: cdc.Int64}))
	produce(t, client(t, addr), &kgo.Record{Topic: "shop.weir-schemas", Key: []byte(entry.Fingerprint), Value: entry.Marshal()})
	source := NewSchemaSource(zaptest.NewLogger(t), addr)
	defer source.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := source.Entry(ctx, []byte(entry.Fingerprint)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if n := refused.Hits(); n == 0 || n > 20 {
		t.Errorf("asked %d times in 3 s", n)
	}
	refused.Remove()
	if _, err := source.Entry(t.Context(), []byte(entry.Fingerprint)); err != nil {
		t.Error(err)
	}
}

// TestSecurity connects by every protocol and mechanism, with the properties
// that Kafka's own clients take.
func TestSecurity(t *testing.T) {
	k := servers.KafkaSecure(t)
	both, err := os.ReadFile(k.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(k.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	keystore := t.TempDir() + "/keystore.pem"
	if err := os.WriteFile(keystore, append(both, cert...), 0o600); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(k.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	token := encode([]byte(`{"alg":"none"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, k.User, time.Now().Unix(), time.Now().Add(time.Hour).Unix())) + "."
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
	}))
	defer idp.Close()
	tokenFile := t.TempDir() + "/token"
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jaas := func(module string) string {
		return fmt.Sprintf(`org.apache.kafka.common.security.%s required username="%s" password="%s";`, module, k.User, k.Password)
	}
	for _, c := range []struct {
		name, protocol string
		set            map[string]string
		fails          string
	}{
		{"TLS", "SSL", map[string]string{"ssl.truststore.location": k.CAFile}, ""},
		{"TLS, certificates as text", "SSL", map[string]string{"ssl.truststore.certificates": string(ca), "ssl.truststore.type": "PEM"}, ""},
		{"TLS, client certificate in a file", "SSL", map[string]string{"ssl.truststore.location": k.CAFile, "ssl.keystore.location": keystore}, ""},
		{"TLS, client certificate as text", "SSL", map[string]string{"ssl.truststore.location": k.CAFile, "ssl.keystore.key": string(both), "ssl.keystore.certificate.chain": string(cert)}, ""},
		{"TLS, any host", "SSL", map[string]string{"ssl.truststore.location": k.CAFile, "ssl.endpoint.identification.algorithm": ""}, ""},
		{"PLAIN", "SASL_SSL", map[string]string{"sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas("plain.PlainLoginModule"), "ssl.truststore.location": k.CAFile}, ""},
		{"SCRAM-SHA-256", "SASL_SSL", map[string]string{"sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": jaas("scram.ScramLoginModule"), "ssl.truststore.location": k.CAFile}, ""},
		{"SCRAM-SHA-512", "SASL_PLAINTEXT", map[string]string{"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": k.User, "sasl.password": k.Password}, ""},
		{"OAUTHBEARER from an endpoint", "SASL_PLAINTEXT", map[string]string{"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": idp.URL,
			"sasl.oauthbearer.client.credentials.client.id": "a", "sasl.oauthbearer.client.credentials.client.secret": "b"}, ""},
		{"OAUTHBEARER from a file", "SASL_SSL", map[string]string{"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": "file://" + tokenFile, "ssl.truststore.location": k.CAFile}, ""},
		{"unknown authority", "SSL", nil, "unknown authority"},
		{"unknown authority, any host", "SSL", map[string]string{"ssl.endpoint.identification.algorithm": ""}, "unknown authority"},
		{"wrong password", "SASL_PLAINTEXT", map[string]string{"sasl.mechanism": "PLAIN", "sasl.username": k.User, "sasl.password": "hunter2"}, "SASL_AUTHENTICATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := map[string]string{"bootstrap.servers": k.Bootstrap[c.protocol], "security.protocol": c.protocol}
			for name, text := range c.set {
				set[name] = text
			}
			_, config, err := parse(t, set)
			if err != nil {
				t.Fatal(err)
			}
			opts, err := config.Options()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err = client(t, append(opts, kgo.RetryTimeout(time.Second))...).Ping(ctx)
			switch {
			case c.fails == "" && err != nil:
				t.Error(err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v, want an error about %q", err, c.fails)
			}
		})
	}
}

// TestACertificateOfAnotherHost is refused unless that is switched off by name.
func TestACertificateOfAnotherHost(t *testing.T) {
	k := servers.KafkaSecure(t)
	tcp := k.Bootstrap["SSL"]
	for algorithm, ok := range map[string]bool{"https": false, "none": true} {
		_, config, err := parse(t, map[string]string{"bootstrap.servers": tcp, "security.protocol": "SSL", "ssl.truststore.location": k.CAFile, "ssl.endpoint.identification.algorithm": algorithm})
		if err != nil {
			t.Fatal(err)
		}
		made, err := config.TLS.config()
		if err != nil {
			t.Fatal(err)
		}
		made.ServerName = "another.example"
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err = client(t, kgo.SeedBrokers(tcp), kgo.DialTLSConfig(made), kgo.RetryTimeout(time.Second)).Ping(ctx)
		cancel()
		if (err == nil) != ok {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}
