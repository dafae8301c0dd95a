package elasticsearch

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Conflict is a field of a schema whose values an existing index would refuse.
type Conflict struct {
	Index string // the concrete one
	Field string
	Has   string // the type that the index maps it as, "" for none
	Why   string // the index refuses the values, a clause
}

// mapped is what a mapping says of a field.
type mapped struct {
	Type       string                        `json:"type"`
	Properties map[string]stdjson.RawMessage `json:"properties"`
	Enabled    *bool                         `json:"enabled"`
}

// Conflicts compares the fields of a schema with the mappings of the indexes
// that records of route are written to: what would be refused, with status 400,
// when it is written. It changes nothing; where there is no index yet, nothing
// conflicts.
func (s *Sink) Conflicts(ctx context.Context, route string, schema *cdc.Schema) ([]Conflict, error) {
	name, err := s.indexName(route)
	if err != nil {
		return nil, err
	}
	var found map[string]struct {
		Mappings struct {
			Dynamic    stdjson.RawMessage `json:"dynamic"`
			Properties map[string]mapped  `json:"properties"`
		} `json:"mappings"`
	}
	err = s.call(ctx, http.MethodGet, "/"+url.PathEscape(name)+"/_mapping", nil, &found)
	if errors.Is(err, errNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mapping of %s: %w", name, err)
	}
	var conflicts []Conflict
	for index, f := range found {
		strict := string(f.Mappings.Dynamic) == `"strict"` && s.config.SchemaIgnore
		for i := range schema.Fields {
			field := &schema.Fields[i]
			has, ok := f.Mappings.Properties[field.Name]
			why := ""
			switch {
			case ok:
				why = s.refuses(has, field)
			case strict:
				why = "the mapping is strict and has no such field, and schema.ignore is true, so that none is put"
			}
			if why != "" {
				conflicts = append(conflicts, Conflict{index, field.Name, has.Type, why})
			}
		}
	}
	return conflicts, nil
}

// form is what a value looks like in a document.
type form string

const (
	formWhole   form = "whole numbers"
	formDecimal form = "numbers with a fraction"
	formBoolean form = "true and false"
	formText    form = "texts"
	formTime    form = "times as texts"
	formObject  form = "objects"
	formAny     form = ""
)

// takes are the forms that a type of Elasticsearch's takes for every value; a
// type that is not here takes what it likes.
var takes = map[string][]form{
	"boolean": {formBoolean}, "date": {formWhole, formTime}, "date_nanos": {formWhole, formTime},
	"long": numbers, "integer": numbers, "short": numbers, "byte": numbers, "unsigned_long": numbers,
	"double": numbers, "float": numbers, "half_float": numbers, "scaled_float": numbers,
	"text": scalars, "keyword": scalars, "wildcard": scalars, "match_only_text": scalars,
	"ip": {formText}, "binary": {formText}, "geo_point": {formText, formObject},
}

var (
	numbers = []form{formWhole, formDecimal}
	scalars = []form{formWhole, formDecimal, formBoolean, formText, formTime}
)

// bits are the sizes of the whole numbers.
var bits = map[string]int{"byte": 8, "short": 16, "integer": 32, "long": 64}

// refuses says why an index would refuse values of a field; "" if it would not.
func (s *Sink) refuses(has mapped, f *cdc.Field) string {
	comes := s.form(f)
	if comes == formAny {
		return ""
	}
	if has.Properties != nil || has.Type == "object" || has.Type == "nested" {
		if comes == formObject || has.Enabled != nil && !*has.Enabled {
			return ""
		}
		return fmt.Sprintf("it is mapped as an object, and its values are %s", comes)
	}
	if known, ok := takes[has.Type]; ok && !slices.Contains(known, comes) {
		return fmt.Sprintf("it is mapped as %s, and its values are %s", has.Type, comes)
	}
	if size, ok := bits[has.Type]; ok && comes == formWhole && size < width(f) {
		return fmt.Sprintf("it is mapped as %s, and its values have up to %d bits", has.Type, width(f))
	}
	return ""
}

// width is how many bits the whole numbers of a field may take.
func width(f *cdc.Field) int {
	switch f.Type {
	case cdc.Int8:
		return 8
	case cdc.Int16:
		return 16
	case cdc.Int32:
		return 32
	}
	return 64
}

// form is what a field's values look like in a document.
func (s *Sink) form(f *cdc.Field) form {
	switch f.Semantic {
	case cdc.ZonedTimestamp, cdc.IsoDate, cdc.IsoTimestamp:
		return formTime
	case cdc.Timestamp, cdc.ConnectTimestamp, cdc.Date, cdc.ConnectDate, cdc.MicroTimestamp, cdc.NanoTimestamp:
		if s.config.ISO {
			return formTime
		}
		return formWhole
	case cdc.Time, cdc.ConnectTime, cdc.MicroTime, cdc.NanoTime:
		if s.config.ISO {
			return formText
		}
		return formWhole
	case cdc.Decimal, cdc.VariableDecimal:
		return formDecimal
	case cdc.JSON:
		if s.config.JSONObjects {
			return formAny // any JSON value
		}
		return formText
	}
	switch f.Type {
	case cdc.Boolean:
		return formBoolean
	case cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64:
		return formWhole
	case cdc.Float, cdc.Double:
		return formDecimal
	case cdc.Text, cdc.Binary:
		return formText
	case cdc.Struct:
		return formObject
	}
	return formAny
}
