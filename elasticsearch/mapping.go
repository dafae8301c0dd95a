package elasticsearch

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weir-cdc/weir/internal/cdc"
)

// property is one field of a mapping.
type property map[string]any

// mapSchema puts the mapping of a schema's fields that the index does not have
// yet, once a schema. Fields that it has stay as they are: a mapping cannot
// change, and what a user put there is meant.
func (s *Sink) mapSchema(ctx context.Context, x *index, schema *cdc.Schema) error {
	if s.config.SchemaIgnore {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mapped[schema] {
		return nil
	}
	for missing := s.missing(x, schema); len(missing) > 0; {
		var refused *unusable
		err := s.putFields(ctx, x, schema, missing)
		if err == nil {
			break
		}
		if errors.Is(err, errNotFound) {
			x.losses.Add(1)
		}
		if !errors.As(err, &refused) {
			return fmt.Errorf("putting the mapping of %s: %w", schema.Name, err)
		}
		if err := s.reload(ctx, x); err != nil {
			return err
		}
		before := len(missing)
		if missing = s.missing(x, schema); len(missing) == before {
			return refused
		} // else another process has put some of them, as another type
	}
	x.mapped[schema] = true
	return nil
}

// missing are the fields of a schema that the index does not map yet.
func (s *Sink) missing(x *index, schema *cdc.Schema) map[string]property {
	missing := map[string]property{}
	for i := range schema.Fields {
		f := &schema.Fields[i]
		if p := s.property(f); p != nil && x.fields[f.Name] == nil {
			missing[f.Name] = p
		}
	}
	return missing
}

// putFields puts the mapping of fields of a schema; an *unusable error says that
// the index does not take them.
func (s *Sink) putFields(ctx context.Context, x *index, schema *cdc.Schema, fields map[string]property) error {
	body := map[string]any{"properties": fields}
	err := s.call(ctx, http.MethodPut, "/"+url.PathEscape(x.name)+"/_mapping", body, nil)
	var refused *statusError
	if errors.As(err, &refused) && refused.status == http.StatusBadRequest && ofIndex(refused.kind, refused.reason) == "" {
		return &unusable{fmt.Errorf("the index %s does not take the fields of schema %s: %s", x.name, schema.Name, refused.reason)}
	}
	if err != nil {
		return err
	}
	for name := range fields {
		x.fields[name] = stdjson.RawMessage("{}")
	}
	return nil
}

// longestKeyword keeps a keyword below Lucene's limit for a term.
const longestKeyword = 8191

// text is a plain string: searchable by words, and as a whole under .keyword, as
// Elasticsearch itself maps strings.
var text = property{"type": "text", "fields": property{"keyword": property{"type": "keyword", "ignore_above": 256}}}

// property is how a field is mapped; nil leaves it to the index. What a field
// looks like in a document is json.Document's to say; both are listed in
// docs/elasticsearch.md.
func (s *Sink) property(f *cdc.Field) property {
	if p := s.temporal(f); p != nil {
		return p
	}
	switch f.Semantic {
	case cdc.Enum, cdc.EnumSet, cdc.UUID:
		return property{"type": "keyword", "ignore_above": longestKeyword}
	case cdc.Decimal:
		return property{"type": "double"} // _source keeps every digit
	case cdc.VariableDecimal:
		return property{"type": "double"}
	case cdc.JSON:
		if s.config.JSONObjects {
			return property{"type": "object", "enabled": false}
		}
		return property{"type": "text"}
	case cdc.XML:
		return property{"type": "text"}
	}
	switch f.Type {
	case cdc.Boolean:
		return property{"type": "boolean"}
	case cdc.Int8, cdc.Int16:
		return property{"type": "short"}
	case cdc.Int32:
		return property{"type": "integer"}
	case cdc.Int64:
		return property{"type": "long"}
	case cdc.Float:
		return property{"type": "float"}
	case cdc.Double:
		return property{"type": "double"}
	case cdc.Text:
		return text
	case cdc.Binary:
		return property{"type": "binary"}
	case cdc.Struct:
		return property{"type": "object", "enabled": false}
	case cdc.Array:
		if f.Element != nil {
			return s.property(f.Element)
		}
	}
	return nil
}

// temporal maps dates and times: as a date where the document's form is one
// that Elasticsearch reads.
func (s *Sink) temporal(f *cdc.Field) property {
	switch f.Semantic {
	case cdc.ZonedTimestamp, cdc.IsoDate, cdc.IsoTimestamp:
		return property{"type": "date", "format": "strict_date_optional_time_nanos"}
	case cdc.ZonedTime, cdc.IsoTime:
		return property{"type": "keyword"}
	case cdc.Timestamp, cdc.ConnectTimestamp:
		if !s.config.ISO {
			return property{"type": "date", "format": "strict_date_optional_time||epoch_millis"}
		}
	case cdc.Date, cdc.ConnectDate, cdc.MicroTimestamp, cdc.NanoTimestamp:
	case cdc.Time, cdc.ConnectTime, cdc.MicroTime, cdc.NanoTime:
		if s.config.ISO {
			return property{"type": "keyword"}
		}
		return nil // by its type
	default:
		return nil
	}
	if s.config.ISO {
		return property{"type": "date", "format": "strict_date_optional_time_nanos"}
	}
	return nil // days, µs and ns since the epoch: by their type
}
