package redis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

var errNoKey = errors.New("the record has no key to name a Redis key by: set cache.key.field, or give the table a key")

// ownNames is what the names of the sink's own keys have behind the prefix, and
// no other key may have: it would take their place.
const ownNames = "weir:"

func ownName(key []byte) error {
	return fmt.Errorf("the key %q has the name of one of this sink's own, which begin with %s behind cache.prefix: no row can be under it; name keys by another field (cache.key.field), or change it by a transform", key, ownNames)
}

// routesKept is how many routes are remembered, and how many domains. Routes by
// what a row has may be any number.
const routesKept = 10_000

// prefixOf is cache.prefix for a route.
func (s *Sink) prefixOf(route string) string {
	if prefix, ok := s.prefixes.Load(route); ok {
		return prefix.(string)
	}
	prefix := strings.NewReplacer("${topic}", route, "${table}", route[strings.LastIndexByte(route, '.')+1:]).Replace(s.config.Prefix)
	if s.routes.Add(1) > routesKept {
		s.prefixes.Clear()
		s.routes.Store(1)
	}
	s.prefixes.Store(route, prefix)
	return prefix
}

// appendKey appends what a record's key ends with: the text of cache.key.field,
// or of the record's key.
func (s *Sink) appendKey(dst []byte, r *cdc.Record) ([]byte, error) {
	if s.config.KeyField != "" {
		return s.appendField(dst, r)
	}
	if r.Key == nil || len(r.Key.Values) == 0 {
		return dst, errNoKey
	}
	return json.AppendKeyText(dst, r.Key), nil
}

// appendField appends the text of cache.key.field, which is looked for in the
// record's key, then in its value. A key that is one plain value is taken as
// the field, as after ExtractField$Key.
func (s *Sink) appendField(dst []byte, r *cdc.Record) ([]byte, error) {
	for _, row := range [...]*cdc.Row{r.Key, r.Value} {
		if row == nil {
			continue
		}
		if row.Schema.IsBare() && !row.Values[0].IsNull() {
			return json.AppendText(dst, &row.Schema.Fields[0], &row.Values[0]), nil
		}
		if f := row.Schema.Field(s.config.KeyField); f != nil {
			if v := row.Value(s.config.KeyField); !v.IsNull() {
				return json.AppendText(dst, f, v), nil
			}
		}
	}
	return dst, fmt.Errorf("neither the record's key nor its value has the field %s (cache.key.field)", s.config.KeyField)
}
