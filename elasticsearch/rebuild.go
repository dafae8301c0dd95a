package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// suffix ends the names of a generation's indexes.
func suffix(generation int) string { return "-g" + strconv.Itoa(generation) }

// Indexes lists the indexes of the sink's generation that the connector has
// made, in this process or another one.
func (s *Sink) Indexes(ctx context.Context) ([]string, error) {
	return s.indexesOf(ctx, s.generation)
}

// indexesOf lists the indexes of a generation that the connector has made, as
// their _meta says.
func (s *Sink) indexesOf(ctx context.Context, generation int) ([]string, error) {
	var found map[string]struct {
		Mappings struct {
			Meta struct {
				Weir *meta `json:"weir"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	path := "/" + url.PathEscape("*"+suffix(generation)) + "/_mapping?allow_no_indices=true&filter_path=*.mappings._meta"
	if err := s.call(ctx, http.MethodGet, path, nil, &found); err != nil && !errors.Is(err, errNotFound) {
		return nil, fmt.Errorf("listing the indexes of generation %d: %w", generation, err)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if m := found[name].Mappings.Meta.Weir; m != nil && m.Connector == s.config.Name && m.Generation == generation {
			names = append(names, name)
		}
	}
	return names, nil
}

// Hold keeps a generation's indexes from being written to, and returns when
// nothing is being written any more: what they hold is then of records that are
// in Kafka by now. Sinks that write to them try again until Release.
func (s *Sink) Hold(ctx context.Context, generation int) error {
	return s.eachIndex(ctx, generation, func(path string) error {
		return s.call(ctx, http.MethodPut, path+"/_block/write", nil, nil)
	})
}

// Release lets a generation's indexes be written to again after Hold.
func (s *Sink) Release(ctx context.Context, generation int) error {
	return s.eachIndex(ctx, generation, func(path string) error {
		return s.call(ctx, http.MethodPut, path+"/_settings", map[string]any{"index.blocks.write": nil}, nil)
	})
}

// Refresh makes all that was written to the sink's generation visible to
// searches.
func (s *Sink) Refresh(ctx context.Context) error {
	return s.eachIndex(ctx, s.generation, func(path string) error {
		return s.call(ctx, http.MethodPost, path+"/_refresh", nil, nil)
	})
}

// eachIndex calls do with the path of each index of a generation.
func (s *Sink) eachIndex(ctx context.Context, generation int, do func(path string) error) error {
	names, err := s.indexesOf(ctx, generation)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := do("/" + url.PathEscape(name)); err != nil && !errors.Is(err, errNotFound) {
			return fmt.Errorf("index %s: %w", name, err)
		}
	}
	return nil
}

// Discard removes the indexes of the sink's generation, which must not be the
// live one: what an unfinished rebuild left.
func (s *Sink) Discard(ctx context.Context) error {
	live, err := s.Live(ctx)
	if err != nil {
		return err
	}
	if live.Generation == s.generation {
		return fmt.Errorf("removing the indexes of generation %d: it is the live one", s.generation)
	}
	names, err := s.Indexes(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.call(ctx, http.MethodDelete, "/"+url.PathEscape(name), nil, nil); err != nil && !errors.Is(err, errNotFound) {
			return fmt.Errorf("removing index %s: %w", name, err)
		}
	}
	return nil
}

// succession is the generation's indexes by their aliases. An index of the live
// generation that has no successor yet, since none of its topic's records are
// left, gets an empty one: its readers must not go on reading the old one.
func (s *Sink) succession(ctx context.Context) (map[string]string, error) {
	mine, err := s.Indexes(ctx)
	if err != nil {
		return nil, err
	}
	next := make(map[string]string, len(mine))
	for _, name := range mine {
		next[strings.TrimSuffix(name, suffix(s.generation))] = name
	}
	live, err := s.Live(ctx)
	if err != nil || live.Generation == s.generation {
		return next, err
	}
	old, err := s.indexesOf(ctx, live.Generation)
	if err != nil {
		return nil, err
	}
	for _, name := range old {
		alias := strings.TrimSuffix(name, suffix(live.Generation))
		if next[alias] != "" {
			continue
		}
		next[alias] = alias + suffix(s.generation)
		if err := s.createIndex(ctx, next[alias], ""); err != nil {
			return nil, fmt.Errorf("creating index %s: %w", next[alias], err)
		}
	}
	return next, nil
}
