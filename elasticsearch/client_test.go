package elasticsearch

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// TestOnlyElasticsearchIsWrittenTo unless OpenSearch is asked for.
func TestOnlyElasticsearchIsWrittenTo(t *testing.T) {
	var user string
	var key string
	name := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ = r.BasicAuth()
		key = r.Header.Get("Authorization")
		if name != "" {
			w.Header().Set("X-Elastic-Product", name)
		}
		if r.URL.Path == "/base/refused" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	ask := func(c Config, path string) error {
		c.Addresses, c.ConnectTimeout = []string{server.URL + "/base/"}, time.Second
		client, err := newClient(&c)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Perform(request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	if err := ask(Config{}, "/"); !errors.Is(err, errProduct) {
		t.Errorf("a nameless server: %v", err)
	}
	if err := ask(Config{OpenSearch: true}, "/"); err != nil {
		t.Errorf("OpenSearch: %v", err)
	}
	if err := ask(Config{}, "/refused"); err != nil {
		t.Errorf("a refusal says nothing of the product: %v", err)
	}
	name = "Elasticsearch"
	if err := ask(Config{Username: "shop", Password: config.NewSecret("x")}, "/"); err != nil || user != "shop" {
		t.Errorf("user %q, %v", user, err)
	}
	if err := ask(Config{APIKey: config.NewSecret("aWQ6a2V5")}, "/"); err != nil || !strings.EqualFold(key, "ApiKey aWQ6a2V5") {
		t.Errorf("authorization %q, %v", key, err)
	}
}
