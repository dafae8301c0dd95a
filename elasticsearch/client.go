package elasticsearch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	elastic "github.com/elastic/go-elasticsearch/v8"
)

// newClient makes the client whose transport all requests go through. It does
// not retry: the sink does, knowing what a request was.
func newClient(c *Config) (*elastic.Client, error) {
	transport := &http.Transport{
		DialContext:         abrupt((&net.Dialer{Timeout: c.ConnectTimeout}).DialContext),
		TLSClientConfig:     c.TLS,
		TLSHandshakeTimeout: 10 * c.ConnectTimeout,
		MaxIdleConnsPerHost: c.MaxInFlight + 1,
		ForceAttemptHTTP2:   false,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	var through http.RoundTripper = transport
	if c.OpenSearch {
		through = product{transport}
	}
	client, err := elastic.NewClient(elastic.Config{
		Addresses: c.Addresses, Username: c.Username, Password: c.Password.Reveal(), APIKey: c.APIKey.Reveal(),
		Transport: through, DisableRetry: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making the Elasticsearch client: %w", err)
	}
	return client, nil
}

// dialer makes connections.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// abrupt makes connections of which the kernel sends nothing more once they are
// closed. Else it would go on delivering a request that was given up.
func abrupt(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			err = tcp.SetLinger(0)
		}
		return conn, err
	}
}

// product makes the answers of OpenSearch look like Elasticsearch's, which is
// what the client insists on.
type product struct{ http.RoundTripper }

// RoundTrip marks the answer.
func (p product) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := p.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Header.Set("X-Elastic-Product", "Elasticsearch")
	}
	return response, err
}

// Check asks the cluster whether it can be written to, changing nothing: that
// it answers, and that the user may.
func (s *Sink) Check(ctx context.Context) error {
	var health struct {
		Status string `json:"status"`
	}
	if err := s.call(ctx, http.MethodGet, "/_cluster/health?timeout=5s", nil, &health); err != nil {
		return fmt.Errorf("checking Elasticsearch: %w", err)
	}
	if health.Status == "red" {
		return errors.New("checking Elasticsearch: the cluster's status is red, so that some indexes cannot be written to")
	}
	return nil
}
