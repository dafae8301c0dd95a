package routing

import (
	"errors"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// schemaChangeFilter is Debezium's SchemaChangeEventFilter: it drops events of
// the schema change topic by what they do. Everything else passes.
type schemaChangeFilter struct {
	excluded []string
	shapes   map[*cdc.Schema]schemaChangeShape
}

// schemaChangeTypes are what a schema change does.
var schemaChangeTypes = []string{"CREATE", "ALTER", "DROP", "TRUNCATE", "DATABASE"}

func newSchemaChangeFilter(o *transform.Options) transform.Transform {
	const name = "schema.change.event.exclude.list"
	want := "a list of " + strings.Join(schemaChangeTypes, ", ")
	o.Need(name, want)
	t := &schemaChangeFilter{excluded: o.List(name), shapes: map[*cdc.Schema]schemaChangeShape{}}
	for _, item := range t.excluded {
		if !slices.Contains(schemaChangeTypes, item) {
			o.Fail(name, want+"; "+item+" is none")
		}
	}
	return t
}

// schemaChangeShape is where a schema change has what decides: -1 for rows that
// are none.
type schemaChangeShape struct{ changes, kind int }

// Apply drops r if it is a schema change that is excluded, or one without the
// field tableChanges.
func (t *schemaChangeFilter) Apply(r *cdc.Record) (bool, error) {
	row := r.Value
	if row == nil || r.Wrapped {
		return true, nil
	}
	shape, ok := t.shapes[row.Schema]
	if !ok {
		shape = shapeOfSchemaChange(row.Schema)
		t.shapes[row.Schema] = shape
	}
	if shape.changes < 0 {
		return true, nil
	}
	changes := &row.Values[shape.changes]
	if changes.IsNull() {
		return false, nil
	}
	return !slices.Contains(t.excluded, shape.typeOf(changes)), nil
}

// shapeOfSchemaChange knows a schema change by its schema's name, or without a
// schema by the fields that it alone has.
func shapeOfSchemaChange(s *cdc.Schema) schemaChangeShape {
	at := s.Index([]byte("tableChanges"))
	if at < 0 || !strings.HasSuffix(s.Name, ".SchemaChangeValue") && (s.Name != "" || s.Field("ddl") == nil || s.Field("source") == nil) {
		return schemaChangeShape{changes: -1}
	}
	shape := schemaChangeShape{changes: at, kind: -1}
	if e := s.Fields[at].Element; e != nil && e.Struct != nil {
		shape.kind = e.Struct.Index([]byte("type"))
	}
	return shape
}

// typeOf is the type of the first table's change; that of an event that changes
// no table is DATABASE.
func (s schemaChangeShape) typeOf(changes *cdc.Value) string {
	if changes.Kind() == cdc.KindJSON {
		return typeInJSON(changes.Bytes())
	}
	list := changes.List()
	if len(list) == 0 {
		return "DATABASE"
	}
	if members := list[0].List(); s.kind >= 0 && s.kind < len(members) {
		return string(members[s.kind].Bytes())
	}
	return ""
}

// errFirst ends a walk at its first element.
var errFirst = errors.New("enough")

func typeInJSON(changes []byte) string {
	found := "DATABASE"
	err := json.EachElement(changes, func(element []byte) error {
		found = strings.Trim(string(json.Member(element, "type")), `"`)
		return errFirst
	})
	if err != nil && !errors.Is(err, errFirst) {
		return ""
	}
	return found
}
