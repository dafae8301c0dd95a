package enrich

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// changedState is Debezium's ExtractChangedRecordState: headers with the names
// of the columns that an update changed, and of those it left.
type changedState struct {
	changed, unchanged *cdc.Schema // of the headers; nil for one that is not wanted
	names              map[*cdc.Schema][]cdc.Value
}

func newChangedState(o *transform.Options) transform.Transform {
	return &changedState{
		changed: namesSchema(o.Text("header.changed.name", "")), unchanged: namesSchema(o.Text("header.unchanged.name", "")),
		names: map[*cdc.Schema][]cdc.Value{},
	}
}

// namesSchema is the schema of a header, which is named after it.
func namesSchema(header string) *cdc.Schema {
	if header == "" {
		return nil
	}
	return cdc.Bare(cdc.Field{
		Type: cdc.Array, Element: &cdc.Field{Type: cdc.Text, Optional: true},
		Semantic: cdc.Other, SchemaName: header, Optional: true,
	})
}

// Apply adds the headers to r, if it is a change; they are empty where it has no
// row before or after.
func (t *changedState) Apply(r *cdc.Record) (bool, error) {
	e := transform.Envelope(r)
	if e == nil {
		return true, nil
	}
	var changed, unchanged []cdc.Value
	if e.Before != nil && e.After != nil {
		changed, unchanged = t.compare(e.Before, e.After)
	}
	if t.changed != nil {
		r.Headers = append(r.Headers, namesHeader(t.changed, changed))
	}
	if t.unchanged != nil {
		r.Headers = append(r.Headers, namesHeader(t.unchanged, unchanged))
	}
	return true, nil
}

func namesHeader(s *cdc.Schema, names []cdc.Value) cdc.Header {
	return cdc.Header{Key: s.Fields[0].SchemaName, Typed: transform.BareRow(s, cdc.List(names))}
}

// compare parts the columns' names by whether their values differ. A column that
// the source did not send has not changed.
func (t *changedState) compare(before, after *cdc.Row) (changed, unchanged []cdc.Value) {
	names := t.namesOf(after.Schema)
	list := after.AllocList(2 * len(names))
	changed, unchanged = list[:0:len(names)], list[len(names):len(names)]
	for i := range names {
		now := &after.Values[i]
		var was *cdc.Value
		if before.Schema == after.Schema {
			was = &before.Values[i]
		} else if was = before.Value(after.Schema.Fields[i].Name); was == nil {
			was = &cdc.Value{}
		}
		if now.Kind() == cdc.KindAbsent || was.Equal(now) {
			unchanged = append(unchanged, names[i])
		} else {
			changed = append(changed, names[i])
		}
	}
	return changed, unchanged
}

// namesOf are the names of a schema's fields, as values.
func (t *changedState) namesOf(s *cdc.Schema) []cdc.Value {
	names, ok := t.names[s]
	if !ok {
		for i := range s.Fields {
			names = append(names, cdc.String([]byte(s.Fields[i].Name)))
		}
		t.names[s] = names
	}
	return names
}
