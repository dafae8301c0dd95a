package elasticsearch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// newClient makes the client that all requests go through: the transport of
// Elasticsearch's own client, without the rest of it, which is a thousand
// requests that nobody here makes. It does not retry: the sink does, knowing
// what a request was.
func newClient(c *Config) (*elastictransport.Client, error) {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.ConnectTimeout}).DialContext,
		TLSClientConfig:     c.TLS,
		TLSHandshakeTimeout: 10 * c.ConnectTimeout,
		MaxIdleConnsPerHost: c.MaxInFlight + 1,
		ForceAttemptHTTP2:   false,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	options := []elastictransport.Option{elastictransport.WithDisableRetry(), elastictransport.WithTransport(transport)}
	if !c.OpenSearch {
		options[1] = elastictransport.WithTransport(&product{RoundTripper: transport})
	}
	var urls []*url.URL
	for _, address := range c.Addresses {
		u, err := url.Parse(strings.TrimRight(address, "/"))
		if err != nil {
			return nil, fmt.Errorf("making the Elasticsearch client: %w", err)
		}
		urls = append(urls, u)
	}
	options = append(options, elastictransport.WithURLs(urls...))
	switch {
	case c.APIKey.IsSet():
		options = append(options, elastictransport.WithAPIKey(c.APIKey.Reveal()))
	case c.Username != "":
		options = append(options, elastictransport.WithBasicAuth(c.Username, c.Password.Reveal()))
	}
	client, err := elastictransport.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("making the Elasticsearch client: %w", err)
	}
	return client, nil
}

// product insists, as Elasticsearch's clients do, on a server that calls itself
// Elasticsearch: what an other one makes of our requests nobody knows.
type product struct {
	http.RoundTripper
	known atomic.Bool
}

var errProduct = errors.New("the server does not call itself Elasticsearch; set connection.opensearch=true if it is OpenSearch")

// RoundTrip looks at the first answer that is no refusal.
func (p *product) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := p.RoundTripper.RoundTrip(r)
	if err != nil || p.known.Load() || response.StatusCode >= http.StatusMultipleChoices {
		return response, err
	}
	if response.Header.Get("X-Elastic-Product") != "Elasticsearch" {
		_ = response.Body.Close() // nobody is going to read it
		return nil, errProduct
	}
	p.known.Store(true)
	return response, nil
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
