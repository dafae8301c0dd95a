package elasticsearch

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	elastic "github.com/elastic/go-elasticsearch/v8"

	"github.com/weir-cdc/weir/consumers/sinktest"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestAcceptance holds the sink to every promise that the runtime relies on.
func TestAcceptance(t *testing.T) {
	sinktest.TestWriter(t, func(t *testing.T) sinktest.Fixture {
		name := indexName(t)
		var busy atomic.Bool
		return sinktest.Fixture{
			Topic: name,
			New: func() (sink.Writer, func(), error) {
				s := open(t, map[string]string{"name": name})
				s.client = &refusing{performer: s.client, fail: func(int64, *http.Request) *http.Response {
					if busy.Load() {
						return answerOf(http.StatusTooManyRequests, `{"error":{"type":"es_rejected_execution_exception","reason":"full"}}`)
					}
					return nil
				}}
				return s, nil, nil
			},
			Read: func(topic string, key *cdc.Row) ([]byte, bool, error) { return readDocument(t, topic, key) },
			Bad:  func(r *cdc.Record) { r.Value.Values[len(r.Value.Values)-1] = cdc.Absent() },
			Faults: []sinktest.Fault{{Name: "the cluster is busy", Begin: func() (func(), error) {
				busy.Store(true)
				return func() { busy.Store(false) }, nil
			}}},
		}
	})
}

// readDocument reads a document by the alias, as a reader does.
func readDocument(t *testing.T, topic string, key *cdc.Row) ([]byte, bool, error) {
	id, _, err := appendID(nil, key)
	if err != nil {
		return nil, false, err
	}
	client, err := elastic.NewClient(elastic.Config{Addresses: []string{servers.Elasticsearch(t)}})
	if err != nil {
		return nil, false, err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/"+url.PathEscape(strings.ToLower(topic))+"/_doc/"+url.PathEscape(string(id)), nil)
	if err != nil {
		return nil, false, err
	}
	response, err := client.Perform(request)
	if err != nil {
		return nil, false, err
	}
	defer response.Body.Close()
	var found struct {
		Found  bool            `json:"found"`
		Source json.RawMessage `json:"_source"`
	}
	err = json.NewDecoder(response.Body).Decode(&found)
	return found.Source, found.Found, err
}
