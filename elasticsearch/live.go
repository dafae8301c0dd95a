package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Live says which generation of a connector's indexes readers see, and which
// consumer group keeps it up to date.
type Live struct {
	Format     int    `json:"format"`
	Generation int    `json:"generation"`
	Group      string `json:"group"` // "" is the connector's first group
}

// connectors is the index that remembers what is live, a document a connector.
const connectors = "weir-connectors"

// Live reads which generation of the connector's indexes is live: the first
// where nothing was rebuilt yet.
func (s *Sink) Live(ctx context.Context) (Live, error) {
	var found struct {
		Source Live `json:"_source"`
	}
	err := s.call(ctx, http.MethodGet, "/"+connectors+"/_doc/"+url.PathEscape(s.config.Name), nil, &found)
	if errors.Is(err, errNotFound) {
		return Live{Format: metaFormat, Generation: 1}, nil
	}
	if err != nil {
		return Live{}, fmt.Errorf("reading which indexes are live: %w", err)
	}
	if found.Source.Format > metaFormat {
		return Live{}, fmt.Errorf("reading which indexes are live: index %s has format %d, and this version of Weir knows %d", connectors, found.Source.Format, metaFormat)
	}
	return found.Source, nil
}

// Promote makes the sink's generation the live one: the aliases of all its
// indexes move from the generations before in one step, and what is live is
// written down. After a crash between the two it is called again. Indexes of
// earlier generations stay until they are dropped by hand.
func (s *Sink) Promote(ctx context.Context, group string) error {
	// Before anything moves: the cluster may make no index by itself.
	if err := s.createConnectors(ctx); err != nil {
		return err
	}
	names, err := s.succession(ctx)
	if err != nil {
		return err
	}
	var actions []map[string]any
	for alias, concrete := range names {
		actions = append(actions,
			map[string]any{"remove": map[string]any{"index": alias + "-g*", "alias": alias, "must_exist": false}},
			map[string]any{"add": map[string]any{"index": concrete, "alias": alias}})
	}
	if len(actions) > 0 {
		if err := s.call(ctx, http.MethodPost, "/_aliases", map[string]any{"actions": actions}, nil); err != nil {
			return fmt.Errorf("moving aliases to generation %d: %w", s.generation, err)
		}
	}
	live := Live{Format: metaFormat, Generation: s.generation, Group: group}
	if err := s.call(ctx, http.MethodPut, "/"+connectors+"/_doc/"+url.PathEscape(s.config.Name)+"?refresh=true", live, nil); err != nil {
		return fmt.Errorf("writing down that generation %d is live: %w", s.generation, err)
	}
	return nil
}

func (s *Sink) createConnectors(ctx context.Context) error {
	if err := s.call(ctx, http.MethodPut, "/"+connectors, nil, nil); err != nil && !exists(err) {
		return fmt.Errorf("creating index %s: %w", connectors, err)
	}
	return nil
}

// GroupOf is the consumer group of a generation: the connector's own for the
// first, with the generation behind it for the others.
func GroupOf(first string, generation int) string {
	if generation <= 1 {
		return first
	}
	return first + "-g" + strconv.Itoa(generation)
}
