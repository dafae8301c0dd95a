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
