package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// Connection is how the server is reached.
type Connection struct {
	Host, User string
	Port       int
	Password   config.SecretText
	// ServerID is the id under which the capture replicates: unique among the
	// server's replicas.
	ServerID uint32
	// TLS is nil for a connection without TLS; with Preferred, a server that
	// has none is spoken to in plain text.
	TLS       *tls.Config
	Preferred bool
	// ConnectTimeout bounds one attempt to connect, KeepAlive is how often the
	// server is asked to send a heartbeat on an idle log, and QueryTimeout
	// bounds one statement.
	ConnectTimeout, KeepAlive, QueryTimeout time.Duration
	// Initial are statements for every new connection, except the replication's.
	Initial []string
}

// Address is host:port.
func (c *Connection) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Properties are those of Debezium's MySQL and MariaDB connectors that are
// about the server and its log.
var Properties = config.Table{
	Name: "MySQL and MariaDB source",
	Doc:  "How the database is reached and its log is read.",
	Properties: []config.Property{
		{Name: "connector.class", Type: config.Class, Required: true,
			Doc: "io.debezium.connector.mysql.MySqlConnector or io.debezium.connector.mariadb.MariaDbConnector."},
		{Name: "database.hostname", Required: true, Doc: "Host name or address of the server."},
		{Name: "database.port", Type: config.Int, Default: "3306", Min: 1, Max: 65535, Doc: "Port of the server."},
		{Name: "database.user", Required: true, Doc: "User; needs SELECT, REPLICATION SLAVE, REPLICATION CLIENT and, for short locks at a snapshot, RELOAD or LOCK TABLES."},
		{Name: "database.password", Type: config.Secret, Doc: "Password of the user."},
		{Name: "database.server.id", Type: config.Int, Min: 1, Max: 1<<32 - 1,
			Doc: "Replication id, unique among the server's replicas. Made from topic.prefix where it is not set."},
		{Name: "database.ssl.mode", Default: "preferred", Values: []string{"disabled", "preferred", "required", "verify_ca", "verify_identity"},
			Doc: "TLS: disabled; preferred (if the server has it); required (encrypted, the server's certificate not checked); verify_ca; verify_identity (host name too)."},
		{Name: "database.ssl.ca", Doc: "PEM file with the certificate authorities for verify_ca and verify_identity; the system's where it is not set."},
		{Name: "database.ssl.cert", Doc: "PEM file with the client's certificate."},
		{Name: "database.ssl.key", Doc: "PEM file with the client's private key."},
		{Name: "connect.timeout.ms", Type: config.Millis, Default: "30000", Min: 1, Max: 1 << 40, Doc: "How long one attempt to connect may take."},
		{Name: "connect.keep.alive", Type: config.Bool, Default: "true", Inert: "a connection that died is always found, by the heartbeat deadline"},
		{Name: "connect.keep.alive.interval.ms", Type: config.Millis, Default: "60000", Min: 100, Max: 1 << 40,
			Doc: "How often the server sends a heartbeat while its log is idle (at most every 10 s is asked for); a connection silent for three of them is given up."},
		{Name: "database.query.timeout.ms", Type: config.Millis, Default: "600000", Doc: "How long one statement may take, and the server to send the next rows of a table that is read; 0 is no limit."},
		{Name: "database.initial.statements", Doc: "Statements for every new connection, separated by semicolons (;; for one in a statement)."},
		{Name: "gtid.source.includes", Inert: "resuming compares whole GTID sets"},
		{Name: "gtid.source.excludes", Inert: "resuming compares whole GTID sets"},
		{Name: "binlog.buffer.size", Inert: "transactions are not buffered: a rolled back one never reaches the binary log"},
		{Name: "binlog.read.buffered.bytes", Inert: "the read buffer has a fixed size of 1 MiB"},
		{Name: "database.connectionTimeZone", Old: []string{"connectionTimeZone"}, Inert: "the session's time zone is always UTC"},
		{Name: "database.protocol", Inert: "the binary protocol is spoken directly"},
		{Name: "database.jdbc.driver", Inert: "there is no JDBC driver"},
		{Name: "database.ssl.keystore", Inert: "use database.ssl.cert and database.ssl.key with PEM files"},
		{Name: "database.ssl.keystore.password", Type: config.Secret, Inert: "use database.ssl.cert and database.ssl.key with PEM files"},
		{Name: "database.ssl.truststore", Inert: "use database.ssl.ca with a PEM file"},
		{Name: "database.ssl.truststore.password", Type: config.Secret, Inert: "use database.ssl.ca with a PEM file"},
		{Name: "foreign.key.cascades", Default: "warn", Values: []string{"warn", "fail", "ignore"},
			Doc: "What the start check does about captured tables whose rows the server changes by CASCADE or SET NULL without writing them to the log."},
		{Name: "binlog.retention.min.ms", Type: config.Millis, Default: "86400000",
			Doc: "The start check warns where the server keeps its binary log for less."},
	},
}

// NewConnection reads the connection's properties; prefix is topic.prefix.
func NewConnection(v *config.Values, prefix string) (Connection, error) {
	c := Connection{
		Host: v.String("database.hostname"), Port: v.Int("database.port"), User: v.String("database.user"),
		Password: v.Secret("database.password"), ServerID: uint32(v.Int("database.server.id")),
		ConnectTimeout: v.Duration("connect.timeout.ms"), KeepAlive: min(10*time.Second, v.Duration("connect.keep.alive.interval.ms")),
		QueryTimeout: v.Duration("database.query.timeout.ms"), Initial: statements(v.String("database.initial.statements")),
	}
	if c.ServerID == 0 {
		c.ServerID = 5400 + crc32.ChecksumIEEE([]byte(prefix))%1_000_000_000
	}
	var err error
	c.TLS, err = tlsConfig(v, c.Host)
	c.Preferred = v.String("database.ssl.mode") == "preferred"
	return c, err
}

// statements splits at semicolons; two of them stand for one.
func statements(text string) []string {
	var out []string
	var one []byte
	for i := 0; i <= len(text); i++ {
		switch {
		case i+1 < len(text) && text[i] == ';' && text[i+1] == ';':
			one = append(one, ';')
			i++
		case i == len(text) || text[i] == ';':
			if len(one) > 0 {
				out = append(out, string(one))
			}
			one = one[:0]
		default:
			one = append(one, text[i])
		}
	}
	return out
}

// tlsConfig is what database.ssl.mode asks for, nil for disabled. As with
// MySQL's own clients, preferred and required encrypt without checking the
// server's certificate: they are the modes that say so.
func tlsConfig(v *config.Values, host string) (*tls.Config, error) {
	mode := v.String("database.ssl.mode")
	if mode == "disabled" {
		return nil, nil
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	var errs []error
	if file := v.String("database.ssl.ca"); file != "" {
		pem, err := os.ReadFile(file)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, config.NewError("database.ssl.ca", file, "a readable PEM file with certificates"))
		}
	}
	cert, key := v.String("database.ssl.cert"), v.String("database.ssl.key")
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			errs = append(errs, config.NewError("database.ssl.cert", cert, "a PEM certificate, with its key in database.ssl.key: "+err.Error()))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch mode {
	case "preferred", "required":
		c.InsecureSkipVerify = true
	case "verify_ca":
		c.InsecureSkipVerify = true
		c.VerifyPeerCertificate = verifyChain(c.RootCAs)
	}
	return c, errors.Join(errs...)
}

// verifyChain checks a certificate against roots without its host name, which
// crypto/tls cannot do by itself.
func verifyChain(roots *x509.CertPool) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		var leaf *x509.Certificate
		for i, der := range raw {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return fmt.Errorf("parsing the server's certificate: %w", err)
			}
			if i == 0 {
				leaf = cert
			} else {
				options.Intermediates.AddCert(cert)
			}
		}
		if leaf == nil {
			return errors.New("verifying the server's certificate: it sent none")
		}
		_, err := leaf.Verify(options)
		return err
	}
}
