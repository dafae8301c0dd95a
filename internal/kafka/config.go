// Package kafka connects to Kafka the way Kafka's own clients are configured:
// addresses, TLS and SASL by Kafka's property names, topics with a policy, and
// the topic that holds the schemas of a capture. It hands out options for
// franz-go; who consumes or produces brings its own.
package kafka

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// The prefixes under which Kafka Connect takes client properties of a
// connector: what a sink reads with, what dead letters and captures write with.
const (
	ConsumerPrefix = "consumer.override."
	ProducerPrefix = "producer.override."
)

// connection are the properties of a connection, valid plainly and under the
// override prefixes.
var connection = []config.Property{
	{Name: "bootstrap.servers", Type: config.List, Default: "localhost:9092", Check: checkServers,
		Old: []string{"schema.history.internal.kafka.bootstrap.servers", "database.history.kafka.bootstrap.servers"},
		Doc: "The brokers to connect to first, as host:port. They name the others."},
	{Name: "client.id", Type: config.String, Default: "weir",
		Doc: "What the brokers call this client in their logs, metrics and quotas."},
	{Name: "security.protocol", Type: config.String, Default: "PLAINTEXT", Values: []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"},
		Doc: "How to talk to the brokers: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."},
	{Name: "sasl.mechanism", Type: config.String, Values: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"},
		Doc: "How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."},
	{Name: "sasl.jaas.config", Type: config.Secret,
		Doc: `User name and password as Kafka's Java clients take them: <login module> required username="…" password="…";`},
	{Name: "sasl.username", Type: config.String, Doc: "The user to log in as, instead of sasl.jaas.config."},
	{Name: "sasl.password", Type: config.Secret, Doc: "The password of sasl.username."},
	{Name: "sasl.oauthbearer.token.endpoint.url", Type: config.String,
		Doc: "Where OAUTHBEARER gets its tokens: an https address for the client credentials grant, or file:///path of a file that holds the token and is read at every login."},
	{Name: "sasl.oauthbearer.client.credentials.client.id", Type: config.String, Doc: "The client id of the client credentials grant; also clientId in sasl.jaas.config."},
	{Name: "sasl.oauthbearer.client.credentials.client.secret", Type: config.Secret, Doc: "The client secret of the client credentials grant; also clientSecret in sasl.jaas.config."},
	{Name: "sasl.oauthbearer.scope", Type: config.String, Doc: "The scope to ask for; also scope in sasl.jaas.config."},
	{Name: "sasl.login.callback.handler.class", Inert: "the way to log in follows from sasl.mechanism and sasl.oauthbearer.*"},
	{Name: "sasl.kerberos.service.name", Inert: "Kerberos (GSSAPI) is not spoken; use SCRAM, PLAIN or OAUTHBEARER"},
	{Name: "ssl.truststore.location", Type: config.String, Doc: "A PEM file of the certificates that the brokers' are signed by. Unset: those the system trusts."},
	{Name: "ssl.truststore.certificates", Type: config.String, Doc: "The same certificates as PEM text."},
	{Name: "ssl.truststore.type", Type: config.String, Check: checkStoreType, Doc: "PEM, the only type that is read."},
	{Name: "ssl.truststore.password", Type: config.Secret, Inert: "a PEM trust store has no password"},
	{Name: "ssl.keystore.location", Type: config.String, Doc: "A PEM file of the client's private key and certificate chain, for brokers that ask for one."},
	{Name: "ssl.keystore.certificate.chain", Type: config.String, Doc: "The client's certificate chain as PEM text."},
	{Name: "ssl.keystore.key", Type: config.Secret, Doc: "The client's private key as PEM text (PKCS#8 or PKCS#1, not encrypted)."},
	{Name: "ssl.keystore.type", Type: config.String, Check: checkStoreType, Doc: "PEM, the only type that is read."},
	{Name: "ssl.keystore.password", Type: config.Secret, Inert: "a PEM key store has no password"},
	{Name: "ssl.key.password", Type: config.Secret, Inert: "encrypted private keys are not read; decrypt the key with: openssl pkcs8 -in key.pem -out plain.pem"},
	{Name: "ssl.endpoint.identification.algorithm", Type: config.String, Default: "https", Check: checkIdentification,
		Doc: "https: the broker's certificate must name the host that was dialled. Empty (or none) leaves that out; the certificate must still be signed by a trusted one."},
	{Name: "ssl.protocol", Inert: "TLS 1.2 and 1.3 are negotiated"},
	{Name: "ssl.enabled.protocols", Inert: "TLS 1.2 and 1.3 are negotiated"},
	{Name: "ssl.cipher.suites", Inert: "the safe suites of Go's TLS are offered"},
}

// Properties is how a component connects to Kafka.
var Properties = config.Table{
	Name: "Kafka connection",
	Doc:  "The names are those of Kafka's own clients.",
	Properties: append(append([]config.Property{}, connection...),
		config.Property{Name: ConsumerPrefix + "*", Type: config.Secret, Doc: "A property of Kafka's consumer, for this connector's reading only: group.id, fetch.max.bytes, or any of the connection's."},
		config.Property{Name: ProducerPrefix + "*", Type: config.Secret, Doc: "A property of Kafka's producer, for what this connector writes only: compression.type, or any of the connection's."},
		config.Property{Name: "admin.override.*", Type: config.Secret, Inert: "topics are created over the same connection as records are written"},
	),
}

// tuning are connection properties that are only taken under a prefix, for
// plainly they would be taken for the sink's own.
var tuning = []config.Property{
	{Name: "request.timeout.ms", Type: config.Millis, Default: "30000", Doc: "How long to wait for a broker's answer."},
	{Name: "socket.connection.setup.timeout.ms", Type: config.Millis, Default: "10000", Doc: "How long to wait for a connection."},
	{Name: "metadata.max.age.ms", Type: config.Millis, Default: "300000", Doc: "How old what is known of topics and brokers may get."},
	{Name: "connections.max.idle.ms", Type: config.Millis, Default: "540000", Doc: "How long an idle connection is kept."},
	{Name: "reconnect.backoff.ms", Inert: "connecting again backs off by itself"},
	{Name: "reconnect.backoff.max.ms", Inert: "connecting again backs off by itself"},
	{Name: "retry.backoff.ms", Inert: "requests back off by themselves"},
	{Name: "retry.backoff.max.ms", Inert: "requests back off by themselves"},
	{Name: "send.buffer.bytes", Inert: "the system's socket buffers are used"},
	{Name: "receive.buffer.bytes", Inert: "the system's socket buffers are used"},
	{Name: "metric.reporters", Inert: "metrics are served for Prometheus"},
	{Name: "metrics.num.samples", Inert: "metrics are served for Prometheus"},
	{Name: "metrics.sample.window.ms", Inert: "metrics are served for Prometheus"},
	{Name: "metrics.recording.level", Inert: "metrics are served for Prometheus"},
}

// Config is a connection to Kafka.
type Config struct {
	Bootstrap []string // host:port
	ClientID  string
	TLS       *TLS  // nil: plain text
	SASL      *SASL // nil: no login
	// The timeouts; zero is the client's own default.
	RequestTimeout, DialTimeout, MetadataMaxAge, IdleTimeout time.Duration
}

// NewConfig reads the connection from v, which must have been parsed with
// Properties. Errors are all at once.
func NewConfig(v *config.Values) (Config, error) {
	return Config{}.with(v, func(string) bool { return true })
}

// Override returns c with what v holds under prefix put over it, and that part
// checked: by the connection's own properties and those of more.
func (c Config) Override(v *config.Values, prefix string, more config.Table) (Config, *config.Values, error) {
	part, err := v.Sub(prefix, config.Table{Properties: connection}, config.Table{Properties: tuning}, more)
	if err != nil {
		return c, part, err
	}
	out, err := c.with(part, part.Has)
	if anyUsed(part.Has) && !part.Has("security.protocol") {
		err = part.Error("security.protocol", "the protocol beside the other security properties under "+prefix)
	}
	for name, to := range map[string]*time.Duration{
		"request.timeout.ms": &out.RequestTimeout, "socket.connection.setup.timeout.ms": &out.DialTimeout,
		"metadata.max.age.ms": &out.MetadataMaxAge, "connections.max.idle.ms": &out.IdleTimeout,
	} {
		if part.Has(name) {
			*to = part.Duration(name)
		}
	}
	return out, part, err
}

// with returns c with the properties of v for which use is true put over it.
func (c Config) with(v *config.Values, use func(string) bool) (Config, error) {
	if use("bootstrap.servers") {
		c.Bootstrap = v.List("bootstrap.servers")
	}
	if use("client.id") {
		c.ClientID = v.String("client.id")
	}
	if !anyUsed(use) {
		return c, nil
	}
	c.TLS, c.SASL = nil, nil
	var errs []error
	protocol := v.String("security.protocol")
	if protocol == "SSL" || protocol == "SASL_SSL" {
		var err error
		c.TLS, err = newTLS(v)
		errs = append(errs, err)
	}
	if strings.HasPrefix(protocol, "SASL_") {
		var err error
		c.SASL, err = newSASL(v)
		errs = append(errs, err)
	} else if v.Has("sasl.mechanism") {
		errs = append(errs, v.Error("security.protocol", "SASL_SSL or SASL_PLAINTEXT, since sasl.mechanism is set"))
	}
	return c, errors.Join(errs...)
}

// anyUsed reports whether a security property is to be read.
func anyUsed(use func(string) bool) bool {
	for i := range connection {
		name := connection[i].Name
		if connection[i].Inert == "" && (strings.HasPrefix(name, "s")) && use(name) {
			return true
		}
	}
	return false
}

func checkServers(text string) error {
	for _, s := range strings.Split(text, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(s))
		if err != nil || host == "" || port == "" {
			return errors.New("want host:port, several separated by commas")
		}
	}
	return nil
}

func checkStoreType(text string) error {
	if !strings.EqualFold(text, "PEM") {
		return errors.New("want PEM; convert a Java store with: keytool -importkeystore … -deststoretype PKCS12, then openssl pkcs12 -nodes -in store.p12 -out store.pem")
	}
	return nil
}

func checkIdentification(text string) error {
	switch strings.ToLower(text) {
	case "", "none", "https":
		return nil
	}
	return errors.New("want https, or none to accept certificates of other hosts")
}
