package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// passwordVariable has the password of --user.
const passwordVariable = "WEIRCTL_PASSWORD"

// targets are the components that a command asks, by flags: one for each
// configuration file, one for each address, or else those of this machine.
type targets struct {
	environ  []string
	config   []string
	user     string
	ca       string
	insecure bool
}

// target is one component's HTTP port.
type target struct {
	name   string // the connector's, where a configuration says it
	client *admin.Client
}

// flags adds the flags of targets to a command.
func (t *targets) flags(c *cobra.Command) {
	c.Flags().StringArrayVarP(&t.config, "config", "c", nil, "a component's configuration, to find its HTTP port by; repeat for more")
	c.Flags().StringVar(&t.user, "user", "", "user of the HTTP port (admin.user), with the password in "+passwordVariable)
	c.Flags().StringVar(&t.ca, "ca", "", "PEM file of the certificates that the HTTP port's is signed by")
	c.Flags().BoolVar(&t.insecure, "insecure", false, "do not check the HTTP port's certificate")
}

// find lists the components: those of addresses, host:port or a URL, and of the
// configuration files.
func (t *targets) find(addresses []string) ([]target, error) {
	transport, err := t.transport()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var found []target
	var errs []error
	for _, file := range t.config {
		one, err := t.configured(file)
		errs = append(errs, err)
		found = append(found, one)
	}
	if len(t.config) == 0 && len(addresses) == 0 {
		addresses = []string{admin.CaptureListen, admin.ElasticsearchListen, admin.RedisListen, admin.LakeListen}
	}
	for _, address := range addresses {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		found = append(found, target{client: &admin.Client{URL: address, User: t.user, Password: t.password()}})
	}
	for i := range found {
		if found[i].client != nil {
			found[i].client.HTTP = client
		}
	}
	return found, errors.Join(errs...)
}

func (t *targets) password() config.SecretText {
	for _, variable := range t.environ {
		if password, ok := strings.CutPrefix(variable, passwordVariable+"="); ok {
			return config.NewSecret(password)
		}
	}
	return config.SecretText{}
}

func (t *targets) transport() (*http.Transport, error) {
	secure := &tls.Config{InsecureSkipVerify: t.insecure, MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		certificates, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("%w: reading --ca: %w", errUsage, err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(certificates) {
			return nil, fmt.Errorf("%w: --ca %s has no certificate; want a PEM file", errUsage, t.ca)
		}
	}
	return &http.Transport{TLSClientConfig: secure, Proxy: nil}, nil
}

// configured finds a component by its configuration.
func (t *targets) configured(file string) (target, error) {
	sources := config.Sources{Files: []string{file}, Environ: t.environ}
	kind, err := componentOf(sources)
	if err != nil {
		return target{}, err
	}
	v, err := config.LoadPart(sources, config.Common, admin.Properties(kind.listen))
	if err != nil {
		return target{}, err
	}
	cfg, err := admin.NewConfig(v)
	if err != nil {
		return target{}, err
	}
	client := &admin.Client{URL: "http://" + reachable(cfg.Listen), User: cfg.User, Password: cfg.Password}
	if cfg.Certificate != "" {
		client.URL = "https://" + reachable(cfg.Listen)
	}
	if t.user != "" {
		client.User, client.Password = t.user, t.password()
	}
	return target{name: v.Name(), client: client}, nil
}

// reachable is the address to dial of one that is listened at.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
