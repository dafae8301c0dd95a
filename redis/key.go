package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

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

// naming is what a record's key is named by.
type naming uint8

const (
	byKey   naming = iota // the record's key: it is the same for all of a row's life
	byField               // a field of the value, which may change
)

// appendKey appends what a record's key ends with: the text of cache.key.field,
// or of the record's key.
func (s *Sink) appendKey(dst []byte, r *cdc.Record) ([]byte, naming, error) {
	if s.config.KeyField != "" {
		return s.appendField(dst, r)
	}
	if r.Key == nil || len(r.Key.Values) == 0 {
		return dst, byKey, errNoKey
	}
	return json.AppendKeyText(dst, r.Key), byKey, nil
}

// appendField appends the text of cache.key.field, which is looked for in the
// record's key, then in its value, then in the row that a delete without a value
// deletes.
func (s *Sink) appendField(dst []byte, r *cdc.Record) ([]byte, naming, error) {
	if dst, ok := s.appendFieldOf(dst, r.Key); ok {
		return dst, byKey, nil
	}
	row := r.Value
	if row == nil && r.Envelope != nil {
		row = r.Envelope.Before
	}
	if dst, ok := s.appendFieldOf(dst, row); ok {
		s.named.Do(func() {
			s.log.Warn(byFieldWarning, zap.String("field", s.config.KeyField), zap.String("topic", r.Topic))
		})
		return dst, byField, nil
	}
	return dst, byField, &unnamedError{s.config.KeyField}
}

// appendFieldOf appends the text of cache.key.field in a row, if that has one. A
// row that is one plain value is taken as the field, as after ExtractField$Key.
func (s *Sink) appendFieldOf(dst []byte, row *cdc.Row) ([]byte, bool) {
	if row == nil {
		return dst, false
	}
	if row.Schema.IsBare() && !row.Values[0].IsNull() {
		return json.AppendText(dst, &row.Schema.Fields[0], &row.Values[0]), true
	}
	f := row.Schema.Field(s.config.KeyField)
	if f == nil {
		return dst, false
	}
	v := row.Value(s.config.KeyField)
	if v.IsNull() {
		return dst, false
	}
	return json.AppendText(dst, f, v), true
}

// byFieldWarning says what naming keys by a field that may change rests on.
const byFieldWarning = "cache.key.field is a field of the value and not of the record's key, so a row changes its Redis key with it: the old key is deleted by the row before the change, as the envelope has it; where there is none, or a transform changes the field behind ExtractNewRecordState, the old key stays; a tombstone names no key, and is passed over behind its delete"

// unnamedError says that a record does not name its key.
type unnamedError struct{ field string }

// Error says what is missing.
func (e *unnamedError) Error() string {
	return fmt.Sprintf("neither the record's key nor its value has the field %s (cache.key.field)", e.field)
}

// isPassedOver reports whether a record that does not name its key is the
// tombstone behind a delete that does: in a topic of change events.
func (b *batch) isPassedOver(r *cdc.Record, err error) bool {
	var unnamed *unnamedError
	return b.changes && r.Tombstone && r.Envelope == nil && r.Key != nil && errors.As(err, &unnamed)
}

// hasChanges reports whether the topic of records has change events, as far as is
// known by now.
func (s *Sink) hasChanges(records []*cdc.Record) bool {
	if s.config.KeyField == "" || len(records) == 0 {
		return false
	}
	topic := records[0].Topic
	if _, ok := s.changes.Load(topic); ok {
		return true
	}
	if !slices.ContainsFunc(records, func(r *cdc.Record) bool { return r.Envelope != nil }) {
		return false
	}
	s.changes.Store(topic, true)
	return true
}
