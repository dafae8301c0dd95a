package admin

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/weir-cdc/weir/internal/config"
)

// The ports of the components where admin.listen is not set.
const (
	CaptureListen       = "127.0.0.1:9400"
	ElasticsearchListen = "127.0.0.1:9401"
	RedisListen         = "127.0.0.1:9402"
	LakeListen          = "127.0.0.1:9403"
)

// Properties is the table of the HTTP port, for a component that listens at
// listen by default.
func Properties(listen string) config.Table {
	return config.Table{
		Name: "HTTP port",
		Doc: "Metrics, health, status and steering: /metrics, /healthz, /readyz, /status, POST /pause, /resume, /skip. " +
			"Without admin.listen it is " + CaptureListen + " for the capture, :9401 for Elasticsearch, :9402 for Redis and :9403 for the lake.",
		Properties: []config.Property{
			{Name: "admin.listen", Default: listen, Check: checkListen,
				Doc: "The address to listen at, host:port; :port is every interface."},
			{Name: "admin.ssl.certificate", Doc: "A PEM file of the server's certificate chain. With admin.ssl.key, the port speaks TLS only."},
			{Name: "admin.ssl.key", Doc: "A PEM file of the certificate's private key."},
			{Name: "admin.user", Doc: "The user that may read and steer. Unset: everybody who reaches the port. /healthz and /readyz are open to all."},
			{Name: "admin.password", Type: config.Secret, Doc: "The password of admin.user."},
		},
	}
}

func checkListen(text string) error {
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		return fmt.Errorf("want host:port, such as %s", CaptureListen)
	}
	return nil
}

// Config is the configuration of the HTTP port.
type Config struct {
	Listen   string
	User     string // "": no authentication
	Password config.SecretText
	// Certificate and Key are PEM files; empty: no TLS.
	Certificate, Key string
}

// NewConfig reads the port's configuration.
func NewConfig(v *config.Values) (Config, error) {
	c := Config{
		Listen: v.String("admin.listen"), User: v.String("admin.user"), Password: v.Secret("admin.password"),
		Certificate: v.String("admin.ssl.certificate"), Key: v.String("admin.ssl.key"),
	}
	switch {
	case c.Certificate != "" && c.Key == "":
		return c, v.Error("admin.ssl.key", "the key of admin.ssl.certificate")
	case c.Certificate == "" && c.Key != "":
		return c, v.Error("admin.ssl.certificate", "the certificate of admin.ssl.key")
	case c.User != "" && !c.Password.IsSet():
		return c, v.Error("admin.password", "the password of admin.user")
	case c.User == "" && c.Password.IsSet():
		return c, v.Error("admin.user", "the user of admin.password")
	}
	return c, nil
}

// tls loads the certificate; nil without one.
func (c Config) tls() (*tls.Config, error) {
	if c.Certificate == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("reading admin.ssl.certificate and admin.ssl.key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
