package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Elasticsearch is an index, or what an alias points to, as one side of a
// comparison.
type Elasticsearch struct {
	// Do sends a request whose URL has a path only.
	Do    func(*http.Request) (*http.Response, error)
	Index string
	Table *Table // whose rows the documents are
}

// page is how many documents are read at once.
const page = 5000

type hits struct {
	Scroll string `json:"_scroll_id"`
	Hits   struct {
		Hits []struct {
			ID     string         `json:"_id"`
			Source map[string]any `json:"_source"`
		} `json:"hits"`
	} `json:"hits"`
}

// Each refreshes the index and reads all its documents.
func (e *Elasticsearch) Each(ctx context.Context, each func(key, row string) error) error {
	index := "/" + url.PathEscape(e.Index)
	if err := e.call(ctx, http.MethodPost, index+"/_refresh", nil, nil); err != nil {
		return err
	}
	var found hits
	err := e.call(ctx, http.MethodPost, index+"/_search?scroll=1m", map[string]any{"size": page, "sort": []string{"_doc"}}, &found)
	for ; err == nil && len(found.Hits.Hits) > 0; err = e.more(ctx, &found) {
		for _, h := range found.Hits.Hits {
			key, row, err := e.Table.Document(h.Source)
			if err != nil {
				return fmt.Errorf("document %s: %w", h.ID, err)
			}
			if err := each(key, row); err != nil {
				return err
			}
		}
	}
	return err
}

func (e *Elasticsearch) more(ctx context.Context, found *hits) error {
	scroll := found.Scroll
	*found = hits{}
	return e.call(ctx, http.MethodPost, "/_search/scroll", map[string]any{"scroll": "1m", "scroll_id": scroll}, found)
}

func (e *Elasticsearch) call(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		text = nil
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
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("there is no index %s", e.Index)
	}
	if response.StatusCode >= 300 {
		refusal, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("%s: %s", response.Status, refusal)
	}
	if out == nil {
		return nil
	}
	d := json.NewDecoder(response.Body)
	d.UseNumber()
	return d.Decode(out)
}
