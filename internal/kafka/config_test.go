package kafka

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/config"
)

// parse reads properties as a component would.
func parse(t *testing.T, properties map[string]string) (*config.Values, Config, error) {
	t.Helper()
	properties["name"] = "test"
	v, _, err := config.Parse(properties, config.Common, Properties)
	if err != nil {
		return v, Config{}, err
	}
	c, err := NewConfig(v)
	return v, c, v.Complete(nil, err)
}

func TestConfigErrorsAreAllNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]string
		want []string
	}{
		{"no port", map[string]string{"bootstrap.servers": "kafka"}, []string{"bootstrap.servers", "host:port"}},
		{"protocol", map[string]string{"security.protocol": "TLS"}, []string{"security.protocol", "SASL_SSL"}},
		{"no mechanism", map[string]string{"security.protocol": "SASL_SSL"}, []string{"sasl.mechanism", "OAUTHBEARER"}},
		{"kerberos", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, []string{"sasl.mechanism", "SCRAM-SHA-512"}},
		{"no password", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "alice"}, []string{"sasl.jaas.config", "sasl.password"}},
		{"login without SASL", map[string]string{"sasl.mechanism": "PLAIN"}, []string{"security.protocol", "SASL_SSL"}},
		{"wrong module", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": `x.ScramLoginModule required username="a" password="b";`},
			[]string{"sasl.jaas.config", "PlainLoginModule"}},
		{"broken jaas and two trust stores", map[string]string{
			"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "nonsense hunter2",
			"ssl.truststore.location": "a.pem", "ssl.truststore.certificates": "x"}, []string{"sasl.jaas.config", "ssl.truststore.certificates"}},
		{"jks", map[string]string{"ssl.truststore.type": "JKS"}, []string{"ssl.truststore.type", "keytool"}},
		{"no token endpoint", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, []string{"sasl.oauthbearer.token.endpoint.url"}},
		{"no client", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": "https://idp/token"},
			[]string{"client.credentials.client.id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parse(t, c.set)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %q", err)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	v, base, err := parse(t, map[string]string{
		"bootstrap.servers": "a:1, b:2", "consumer.override.client.id": "reader", "consumer.override.request.timeout.ms": "1234",
		"producer.override.security.protocol": "SASL_PLAINTEXT", "producer.override.sasl.mechanism": "SCRAM-SHA-512",
		"producer.override.sasl.jaas.config": `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";`,
	})
	if err != nil {
		t.Fatal(err)
	}
	reader, _, err := base.Override(v, ConsumerPrefix, config.Table{})
	if err != nil || reader.ClientID != "reader" || reader.RequestTimeout.Milliseconds() != 1234 || len(reader.Bootstrap) != 2 || reader.SASL != nil {
		t.Errorf("consumer: %+v, %v", reader, err)
	}
	writer, _, err := base.Override(v, ProducerPrefix, config.Table{})
	if err != nil || writer.SASL == nil || writer.SASL.user != "u" || writer.ClientID != "weir" {
		t.Errorf("producer: %+v, %v", writer, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", writer.SASL, *writer.SASL, writer); strings.Contains(text, `"p"`) || strings.Contains(text, " p ") {
		t.Errorf("the password prints: %s", text)
	}
}

func TestOverrideNamesTheWholeProperty(t *testing.T) {
	v, base, err := parse(t, map[string]string{"consumer.override.sasl.mechanism": "PLAIN", "producer.override.bootstrap.server": "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := base.Override(v, ConsumerPrefix, config.Table{}); err == nil || !strings.Contains(err.Error(), "consumer.override.security.protocol") {
		t.Errorf("got %v", err)
	}
	if _, _, err := base.Override(v, ProducerPrefix, config.Table{}); err == nil || !strings.Contains(err.Error(), "producer.override.bootstrap.servers") {
		t.Errorf("got %v", err)
	}
}

func TestTokens(t *testing.T) {
	var asked int
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		id, secret, _ := r.BasicAuth()
		if id != "shop" || secret != "s3cret" || r.FormValue("scope") != "kafka read" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error":"invalid_client","error_description":"no s3cret for you"}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, asked)
	}))
	defer idp.Close()
	set := map[string]string{
		"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": idp.URL,
		"sasl.jaas.config": `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="shop" clientSecret="s3cret" scope="kafka read" extension_tenant="a";`,
	}
	_, c, err := parse(t, set)
	if err != nil {
		t.Fatal(err)
	}
	tokens := c.SASL.tokens()
	for range 2 { // the second login uses the token of the first
		if got, err := tokens(context.Background()); err != nil || got != "token-1" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if c.SASL.extensions["tenant"] != "a" {
		t.Errorf("extensions %v", c.SASL.extensions)
	}
	c.SASL.clientSecret = config.NewSecret("wrong")
	if _, err := c.SASL.tokens()(context.Background()); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}

	file := filepath.Join(t.TempDir(), "token")
	set["sasl.oauthbearer.token.endpoint.url"] = "file://" + file
	if _, c, err = parse(t, set); err != nil {
		t.Fatal(err)
	}
	tokens = c.SASL.tokens()
	for _, want := range []string{"one", "two"} { // read at every login
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := tokens(context.Background()); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestTLSNeedsPEM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.jks")
	if err := os.WriteFile(file, []byte("\xfe\xed\xfe\xed binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, c, err := parse(t, map[string]string{"security.protocol": "SSL", "ssl.truststore.location": file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Options(); err == nil || !strings.Contains(err.Error(), "keytool") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsMakeAClient(t *testing.T) {
	_, c, err := parse(t, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "a", "sasl.password": "b"})
	if err != nil {
		t.Fatal(err)
	}
	opts, err := c.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	cl.Close()
}
