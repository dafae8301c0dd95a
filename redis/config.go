package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// Config is what the sink has to know. NewConfig makes it from properties.
type Config struct {
	Name     string   // the connector's
	Hosts    []string // host:port, of one server or of some of a cluster
	User     string
	Password config.SecretText
	DB       int
	TLS      *tls.Config
	Cluster  bool // even if Hosts is one

	Prefix      string        // before each key; ${topic} is the record's route, ${table} the last part of it
	KeyField    string        // whose text the key ends with; "" is the record's key
	TTL         time.Duration // 0: for ever
	Hash        bool          // a hash of the fields, in place of a JSON document
	Retention   time.Duration // how long the version of a deleted or expired key is remembered
	BatchSize   int           // records of one pipeline, at most
	Retries     int           // quick attempts for a command before the batch is given back
	Backoff     time.Duration
	Timeout     time.Duration // of one pipeline
	Replicas    int           // how many have to acknowledge a write
	WaitTime    time.Duration // how long they may take
	Rewind      time.Duration // how much is written again when a server may have lost it; 0: nobody looks
	Pool        int           // connections
	JSONObjects bool          // JSON columns are objects in the document
}

// Properties are those of the reference Redis sink, and ours.
var Properties = config.Table{
	Name: "Redis sink",
	Doc:  "How records become keys.",
	Properties: []config.Property{
		{Name: "redis.hosts", Type: config.List, Required: true, Old: []string{"redis.uri", "redis.host"}, Doc: "host:port of the server, or of some servers of a cluster."},
		{Name: "redis.mode", Default: "auto", Values: []string{"auto", "single", "cluster"}, Doc: "auto is a cluster where more than one host is given; a cluster of which one host is given needs cluster."},
		{Name: "redis.username", Old: []string{"redis.user"}, Doc: "ACL user."},
		{Name: "redis.password", Type: config.Secret, Doc: "Password of the user, or of the server."},
		{Name: "redis.database", Type: config.Int, Default: "0", Old: []string{"redis.db"}, Min: 0, Max: 1 << 20, Doc: "Number of the database; a cluster has 0 only."},
		{Name: "redis.tls", Type: config.Bool, Default: "false", Old: []string{"redis.ssl", "redis.ssl.enabled"}, Doc: "Connect with TLS."},
		{Name: "redis.tls.ca", Doc: "PEM file with the certificate authorities; the system's where it is not set."},
		{Name: "redis.tls.cert", Doc: "PEM file with the client's certificate."},
		{Name: "redis.tls.key", Doc: "PEM file with the client's private key."},
		{Name: "redis.tls.insecure", Type: config.Bool, Default: "false", Doc: "Do not check the server's certificate."},
		{Name: "redis.type", Default: "string", Values: []string{"string", "hash"}, Doc: "string: the document as JSON; hash: a hash of its fields."},
		{Name: "redis.wait.replicas", Type: config.Int, Default: "0", Min: 0, Max: 100, Doc: "How many replicas have to acknowledge a batch before its offsets are committed."},
		{Name: "redis.wait.timeout.ms", Type: config.Millis, Default: "1000", Min: 1, Max: 1 << 40, Doc: "How long the replicas may take."},
		{Name: "redis.rewind.minutes", Type: config.Int, Default: "15", Min: 0, Max: 10_080,
			Doc: "What was written in these minutes is written again when a server was restarted or replaced by a replica, since it may have lost what it had acknowledged (its replication id is another one then). Longer than replicas are ever behind, and than changes wait to be saved to disk. 0: losses are not looked for, that of everything included."},
		{Name: "cache.strategy", Default: "write_through", Values: []string{"write_through"}, Doc: "Every change is written when it comes."},
		{Name: "cache.ttl", Type: config.Int, Default: "0", Min: 0, Max: 1 << 31, Doc: "Seconds after which a key expires if it does not change; 0 is never."},
		{Name: "cache.prefix", Doc: "What keys begin with; ${topic} stands for the routed topic, ${table} for the last part of it."},
		{Name: "cache.key.field", Doc: "Field whose text the key ends with, looked for in the record's key and then its value. A field of the value may change: the old key is deleted by the row before the change, if the envelope has it. Not set: the record's key, several fields joined by |."},
		{Name: "cache.version.retention.ms", Type: config.Millis, Default: "604800000", Min: 1000, Max: 1 << 50,
			Doc: "How long the version of a key that is deleted or has expired is remembered, so that an older record cannot bring it back. At least as long as a consumer may be behind."},
		{Name: "json.columns", Default: "text", Values: []string{"text", "object"}, Doc: "JSON columns as text, as Debezium has them, or as objects in the document."},
		{Name: "batch.size", Type: config.Int, Default: "500", Min: 1, Max: 100_000, Doc: "Records of one pipeline, at most."},
		{Name: "max.retries", Type: config.Int, Default: "5", Min: 0, Max: 1000, Doc: "Quick attempts for a refused command, before the batch waits longer."},
		{Name: "retry.backoff.ms", Type: config.Millis, Default: "100", Min: 1, Max: 1 << 40, Doc: "Pause before the first retry; it doubles, with jitter."},
		{Name: "flush.timeout.ms", Type: config.Millis, Default: "10000", Min: 1, Max: 1 << 40, Doc: "How long the answer to a pipeline may take."},
		{Name: "redis.connections", Type: config.Int, Default: "16", Min: 1, Max: 10_000, Doc: "Connections to each server, at most."},
	},
}

// NewConfig reads the sink's properties. The error joins all that is wrong.
func NewConfig(v *config.Values) (Config, error) {
	c := Config{
		Name: v.Name(), Hosts: v.List("redis.hosts"), User: v.String("redis.username"), Password: v.Secret("redis.password"),
		DB: v.Int("redis.database"), Cluster: strings.EqualFold(v.String("redis.mode"), "cluster"),
		Prefix: v.String("cache.prefix"), KeyField: v.String("cache.key.field"),
		TTL: time.Duration(v.Int("cache.ttl")) * time.Second, Hash: strings.EqualFold(v.String("redis.type"), "hash"),
		Retention: v.Duration("cache.version.retention.ms"), BatchSize: v.Int("batch.size"), Retries: v.Int("max.retries"),
		Backoff: v.Duration("retry.backoff.ms"), Timeout: v.Duration("flush.timeout.ms"),
		Rewind:   time.Duration(v.Int("redis.rewind.minutes")) * time.Minute,
		Replicas: v.Int("redis.wait.replicas"), WaitTime: v.Duration("redis.wait.timeout.ms"), Pool: v.Int("redis.connections"),
		JSONObjects: strings.EqualFold(v.String("json.columns"), "object"),
	}
	var errs []error
	for i, text := range c.Hosts {
		host, err := hostOf(text, v.Bool("redis.tls"))
		if err != nil {
			errs = append(errs, err)
		}
		c.Hosts[i] = host
	}
	if len(c.Hosts) > 1 && strings.EqualFold(v.String("redis.mode"), "auto") {
		c.Cluster = true
	}
	if err := checkPrefix(c.Prefix); err != nil {
		errs = append(errs, err)
	}
	if v.Bool("redis.tls") {
		var err error
		if c.TLS, err = tlsConfig(v); err != nil {
			errs = append(errs, err)
		}
	}
	return c, errors.Join(errs...)
}

// hostOf is host:port of a text that may be a URL. User, password and database
// have properties of their own; what an error shows of it holds no password.
func hostOf(text string, encrypted bool) (string, error) {
	plain, ok := strings.CutPrefix(text, "rediss://")
	if ok && !encrypted {
		return plain, config.NewError("redis.tls", "false", "true for a host that is named by rediss://")
	}
	plain = strings.TrimPrefix(plain, "redis://")
	if at := strings.LastIndexByte(plain, '@'); at >= 0 {
		return plain, config.NewError("redis.hosts", "****"+plain[at:], "host:port, with user and password in redis.username and redis.password")
	}
	if _, _, err := net.SplitHostPort(plain); err != nil {
		return plain, config.NewError("redis.hosts", plain, "host:port")
	}
	return plain, nil
}

// checkPrefix refuses a prefix with half a hash tag: the tag of the version's
// key, which makes it live beside its value, would not be the first in it.
func checkPrefix(prefix string) error {
	plain := strings.NewReplacer("${topic}", "", "${table}", "").Replace(prefix)
	if strings.Contains(plain, "${") {
		return config.NewError("cache.prefix", prefix, "text with ${topic} and ${table}, which are all the placeholders there are")
	}
	if open := strings.IndexByte(plain, '{'); open >= 0 && strings.IndexByte(plain[open:], '}') < 2 {
		return config.NewError("cache.prefix", prefix, "a prefix without {, or with a whole hash tag such as {shop}")
	}
	return nil
}

func tlsConfig(v *config.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: v.Bool("redis.tls.insecure")}
	var errs []error
	if file := v.String("redis.tls.ca"); file != "" {
		pem, err := os.ReadFile(file)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, config.NewError("redis.tls.ca", file, "a readable PEM file with certificates"))
		}
	}
	if cert := v.String("redis.tls.cert"); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, v.String("redis.tls.key"))
		if err != nil {
			errs = append(errs, config.NewError("redis.tls.cert", cert, "a PEM certificate, with its key in redis.tls.key: "+err.Error()))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, errors.Join(errs...)
}
