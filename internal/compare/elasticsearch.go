package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Elasticsearch is an index, or what an alias points to, as one side of a
// comparison.
type Elasticsearch struct {
	// Do sends a request whose URL has a path only, as the clients of
	// Elasticsearch do.
	Do    func(*http.Request) (*http.Response, error)
	Index string
	Table *Table // whose rows the documents are
	// AnyID says that ids are not made of keys (key.ignore=true).
	AnyID bool
	// Look, if not nil, is shown every document before it is compared, for what
	// it has beside the columns. Its error ends the reading.
	Look func(id string, document []byte) error
}

// Node is a server of Elasticsearch, whose method Do suits Elasticsearch.Do.
type Node struct {
	client *http.Client
	base   *url.URL
}

// NewNode returns the server at an address, such as http://localhost:9200.
func NewNode(client *http.Client, address string) (*Node, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of Elasticsearch: %w", err)
	}
	return &Node{client, base}, nil
}

// Do sends a request whose URL has a path only.
func (n *Node) Do(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = n.base.Scheme, n.base.Host
	r.URL.Path = strings.TrimSuffix(n.base.Path, "/") + r.URL.Path
	return n.client.Do(r)
}

// page is how many documents are read at once.
const page = 1000

type hits struct {
	Scroll string `json:"_scroll_id"`
	Hits   struct {
		Hits []struct {
			ID     string          `json:"_id"`
			Source json.RawMessage `json:"_source"`
		} `json:"hits"`
	} `json:"hits"`
}

// hashedID begins ids of keys that are too long to be ids.
const hashedID = "sha256:"

// Each refreshes the index and reads all its documents.
func (e *Elasticsearch) Each(ctx context.Context, each func(*Row) error) (err error) {
	index := "/" + url.PathEscape(e.Index)
	if err := e.call(ctx, http.MethodPost, index+"/_refresh", nil, nil); err != nil {
		return err
	}
	var found hits
	err = e.call(ctx, http.MethodPost, index+"/_search?scroll=5m", map[string]any{"size": page, "sort": []string{"_doc"}}, &found)
	if err != nil {
		return err
	}
	defer func() {
		done := map[string]any{"scroll_id": found.Scroll}
		err = errors.Join(err, e.call(context.WithoutCancel(ctx), http.MethodDelete, "/_search/scroll", done, nil))
	}()
	b := e.Table.builder()
	for len(found.Hits.Hits) > 0 {
		if err := e.page(b, &found, each); err != nil {
			return err
		}
		again := map[string]any{"scroll": "5m", "scroll_id": found.Scroll}
		found.Hits.Hits = nil
		if err := e.call(ctx, http.MethodPost, "/_search/scroll", again, &found); err != nil {
			return err
		}
	}
	return nil
}

func (e *Elasticsearch) page(b *builder, found *hits, each func(*Row) error) error {
	for _, h := range found.Hits.Hits {
		if err := look(e.Look, h.ID, h.Source); err != nil {
			return err
		}
		row := b.document(h.ID, h.Source)
		if !e.AnyID && !strings.HasPrefix(h.ID, hashedID) {
			b.place(h.ID, "")
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

// call sends a request and reads the JSON of its answer into out, if not nil.
func (e *Elasticsearch) call(ctx context.Context, method, path string, body, out any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: index %s", ErrNoTarget, e.Index)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %.500s", response.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
