package elasticsearch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// Config is what the sink has to know. NewConfig makes it from properties.
type Config struct {
	Name        string   // the connector's
	Addresses   []string // of the cluster's nodes
	Username    string
	Password    config.SecretText
	APIKey      config.SecretText
	TLS         *tls.Config
	OpenSearch  bool // speak to a server that does not call itself Elasticsearch
	Compression bool // gzip request bodies

	BatchSize                   int // operations of one bulk request, at most
	BulkBytes                   int // size of one bulk request, about
	MaxInFlight                 int // bulk requests at a time, over all partitions
	MaxRetries                  int // quick attempts for an operation before the batch is given back
	Backoff                     time.Duration
	ConnectTimeout, ReadTimeout time.Duration

	KeyIgnore        bool // the id is topic+partition+offset
	SchemaIgnore     bool // no mapping is put
	Nulls            nulls
	DropInvalid      bool
	Resources        map[string]string // topic → index, before routes' names are used
	Alias            bool              // write to <index>-g<generation>, read by the alias <index>
	Generation       int               // 0: what the cluster says is live
	JSONObjects      bool              // JSON columns are stored as objects
	ISO              bool              // temporal values are written as ISO 8601 text
	Shards, Replicas int               // of new indexes; 0 shards and -1 replicas are the server's defaults
}

// nulls is behavior.on.null.values.
type nulls uint8

const (
	nullsDelete nulls = iota
	nullsIgnore
	nullsFail
)

// Properties are those of Confluent's Elasticsearch sink, and ours.
var Properties = config.Table{
	Name: "Elasticsearch sink",
	Doc:  "How topics become indexes.",
	Properties: []config.Property{
		{Name: "connection.url", Type: config.List, Required: true, Doc: "URLs of the cluster's nodes."},
		{Name: "connection.username", Doc: "User for basic authentication."},
		{Name: "connection.password", Type: config.Secret, Doc: "Password for basic authentication."},
		{Name: "connection.api.key", Type: config.Secret, Doc: "API key, base64 of id:key, in place of a user."},
		{Name: "connection.compression", Type: config.Bool, Default: "false", Doc: "Compress request bodies with gzip."},
		{Name: "connection.timeout.ms", Type: config.Millis, Default: "1000", Min: 1, Max: 1 << 40, Doc: "How long one attempt to connect may take."},
		{Name: "read.timeout.ms", Type: config.Millis, Default: "30000", Min: 1, Max: 1 << 40,
			Doc: "How long the answer to a bulk request may take; never longer than what is left of the group's session. Confluent's default is 3000, which a busy cluster exceeds."},
		{Name: "connection.opensearch", Type: config.Bool, Default: "false", Doc: "Speak to OpenSearch, which the client refuses otherwise."},
		{Name: "elastic.security.protocol", Default: "PLAINTEXT", Values: []string{"plaintext", "ssl"}, Inert: "https in connection.url says the same"},
		{Name: "elastic.https.ssl.truststore.location", Old: []string{"ssl.ca.location"}, Doc: "PEM file with the certificate authorities; the system's where it is not set."},
		{Name: "elastic.https.ssl.keystore.location", Doc: "PEM file with the client's certificate and key."},
		{Name: "elastic.https.ssl.endpoint.identification.algorithm", Default: "https", Values: []string{"https", ""},
			Doc: "https checks that the certificate is the host's; empty does not check the host's name."},
		{Name: "batch.size", Type: config.Int, Default: "2000", Min: 1, Max: 1_000_000, Doc: "Operations of one bulk request, at most."},
		{Name: "bulk.size.bytes", Type: config.Bytes, Default: "5242880", Min: 1024, Max: 1 << 30, Doc: "Size of one bulk request, about; a larger document goes alone."},
		{Name: "max.in.flight.requests", Type: config.Int, Default: "5", Min: 1, Max: 1000, Doc: "Bulk requests at a time, over all partitions; never two with the same document."},
		{Name: "max.buffered.records", Type: config.Int, Default: "20000", Inert: "buffers are bounded in bytes (fetch.buffer.bytes)"},
		{Name: "flush.timeout.ms", Type: config.Millis, Default: "180000", Inert: "an unreachable cluster is retried for ever, and offsets wait for it"},
		{Name: "flush.synchronously", Type: config.Bool, Default: "false", Inert: "offsets are always committed after the documents are written"},
		{Name: "max.retries", Type: config.Int, Default: "5", Min: 0, Max: 1000, Doc: "Quick attempts for a refused operation, before the batch waits longer."},
		{Name: "retry.backoff.ms", Type: config.Millis, Default: "100", Min: 1, Max: 1 << 40, Doc: "Pause before the first retry; it doubles, with jitter."},
		{Name: "key.ignore", Type: config.Bool, Default: "false", Doc: "Use topic+partition+offset as the document's id, not the key."},
		{Name: "key.ignore.id.strategy", Default: "topic.partition.offset", Values: []string{"topic.partition.offset"}, Doc: "What the id is made of where key.ignore is true."},
		{Name: "schema.ignore", Type: config.Bool, Default: "false", Doc: "Put no mapping: the index, its template or dynamic mapping decides."},
		{Name: "type.name", Inert: "Elasticsearch has had no types since version 7"},
		{Name: "write.method", Default: "INSERT", Values: []string{"insert"}, Doc: "INSERT replaces the document. UPSERT, which merges, is refused: it cannot be had together with versions in one request."},
		{Name: "external.version.header", Default: "", Inert: "the header weir.version is used where a record has it, else the offset (version.source)"},
		{Name: "behavior.on.null.values", Default: "delete", Values: []string{"delete", "ignore", "fail"},
			Doc: "What a null value does. Confluent's default is fail, which stops at every delete."},
		{Name: "behavior.on.malformed.documents", Default: "fail", Inert: "errors.tolerance decides: none stops, all writes to the dead letter topic"},
		{Name: "drop.invalid.message", Type: config.Bool, Default: "false", Doc: "Drop a record that cannot be made into a document, with a count, in place of rejecting it. One that the cluster refuses is rejected all the same."},
		{Name: "topic.to.external.resource.mapping", Type: config.List, Old: []string{"topic.index.map"}, Doc: "topic:index pairs; other topics are written to the index of their (routed) name."},
		{Name: "external.resource.usage", Default: "INDEX", Values: []string{"index", "disabled"}, Doc: "What topic.to.external.resource.mapping names."},
		{Name: "compact.map.entries", Type: config.Bool, Default: "true", Inert: "MySQL has no columns that are maps"},
		{Name: "log.sensitive.data", Type: config.Bool, Default: "false", Inert: "documents are never logged, nor the values that the cluster refuses"},
		{Name: "index.alias", Type: config.Bool, Default: "true",
			Doc: "Write to <index>-g<n> and let the alias <index> point to it, so that weirctl rebuild can replace it; an index that already has the plain name is written to as it is."},
		{Name: "index.generation", Type: config.Int, Default: "0", Min: 0, Max: 1 << 30, Doc: "Which generation to write to; 0 is the live one. For weirctl rebuild."},
		{Name: "index.number_of_shards", Type: config.Int, Default: "0", Min: 0, Max: 1024, Doc: "Shards of new indexes; 0 is the server's default."},
		{Name: "index.number_of_replicas", Type: config.Int, Default: "-1", Min: -1, Max: 100, Doc: "Replicas of new indexes; -1 is the server's default."},
		{Name: "json.columns", Default: "text", Values: []string{"text", "object"}, Doc: "JSON columns as text, as Debezium has them, or as objects in the document, stored and not indexed."},
		{Name: "temporal.format", Default: "raw", Values: []string{"raw", "iso"}, Doc: "Dates and times as they travel (numbers since the epoch), or as ISO 8601 text with a date mapping."},
	},
}

// NewConfig reads the sink's properties. The error joins all that is wrong.
func NewConfig(v *config.Values) (Config, error) {
	c := Config{
		Name: v.Name(), Addresses: v.List("connection.url"), Username: v.String("connection.username"),
		Password: v.Secret("connection.password"), APIKey: v.Secret("connection.api.key"),
		OpenSearch: v.Bool("connection.opensearch"), Compression: v.Bool("connection.compression"),
		BatchSize: v.Int("batch.size"), BulkBytes: v.Int("bulk.size.bytes"), MaxInFlight: v.Int("max.in.flight.requests"),
		MaxRetries: v.Int("max.retries"), Backoff: v.Duration("retry.backoff.ms"),
		ConnectTimeout: v.Duration("connection.timeout.ms"), ReadTimeout: v.Duration("read.timeout.ms"),
		KeyIgnore: v.Bool("key.ignore"), SchemaIgnore: v.Bool("schema.ignore"),
		DropInvalid: v.Bool("drop.invalid.message"), Alias: v.Bool("index.alias"), Generation: v.Int("index.generation"),
		JSONObjects: strings.EqualFold(v.String("json.columns"), "object"), ISO: strings.EqualFold(v.String("temporal.format"), "iso"),
		Shards: v.Int("index.number_of_shards"), Replicas: v.Int("index.number_of_replicas"),
	}
	switch strings.ToLower(v.String("behavior.on.null.values")) {
	case "ignore":
		c.Nulls = nullsIgnore
	case "fail":
		c.Nulls = nullsFail
	}
	var errs []error
	for _, address := range c.Addresses {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, config.NewError("connection.url", withoutUser(address), "a URL such as https://host:9200"))
		}
	}
	var err error
	if c.Resources, err = resources(v.List("topic.to.external.resource.mapping")); err != nil {
		errs = append(errs, err)
	}
	if c.TLS, err = tlsConfig(v); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// withoutUser leaves out what stands before the host, which may be a password.
func withoutUser(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	return "****" + address[at:]
}

// resources reads topic:index pairs.
func resources(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range pairs {
		topic, index, ok := strings.Cut(pair, ":")
		if !ok || topic == "" || index == "" {
			return nil, config.NewError("topic.to.external.resource.mapping", pair, "topic:index")
		}
		out[topic] = index
	}
	return out, nil
}

func tlsConfig(v *config.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	const authorities, keys = "elastic.https.ssl.truststore.location", "elastic.https.ssl.keystore.location"
	if file := v.String(authorities); file != "" {
		pem, err := os.ReadFile(file)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, config.NewError(authorities, file, "a readable PEM file with certificates"))
		}
	}
	if file := v.String(keys); file != "" {
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			errs = append(errs, config.NewError(keys, file, "a PEM file with a certificate and its key: "+err.Error()))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if v.Has("elastic.https.ssl.endpoint.identification.algorithm") && v.String("elastic.https.ssl.endpoint.identification.algorithm") == "" {
		roots := c.RootCAs
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	}
	return c, errors.Join(errs...)
}

// verifyChain checks the server's certificate without its host name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}
