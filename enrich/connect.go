package enrich

import (
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// connectPackage is where Kafka Connect has its transforms.
const connectPackage = "org.apache.kafka.connect.transforms."

// connectTransforms are Kafka Connect's transforms that change what a record
// carries.
var connectTransforms = transform.Merge(
	sides("Cast", newCast),
	sides("ExtractField", newExtractField),
	sides("Flatten", newFlatten),
	sides("HeaderFrom", newHeaderFrom),
	sides("HoistField", newHoistField),
	sides("InsertField", newInsertField),
	sides("MaskField", newMaskField),
	sides("ReplaceField", newReplaceField),
	sides("SetSchemaMetadata", newSetSchemaMetadata),
	sides("TimestampConverter", newTimestampConverter),
	map[string]func(*transform.Options) transform.Transform{
		connectPackage + "DropHeaders":  newDropHeaders,
		connectPackage + "InsertHeader": newInsertHeader,
		connectPackage + "ValueToKey":   newValueToKey,
	},
)

// sides names both variants of a class, that of keys and that of values.
func sides(class string, construct func(side, *transform.Options) transform.Transform) map[string]func(*transform.Options) transform.Transform {
	variants := map[string]func(*transform.Options) transform.Transform{}
	for s, name := range sideNames {
		variants[connectPackage+class+"$"+name] = func(o *transform.Options) transform.Transform { return construct(side(s), o) }
	}
	return variants
}

// side is the half of a record that a transform works on.
type side uint8

const (
	keySide side = iota
	valueSide
)

var sideNames = [...]string{keySide: "Key", valueSide: "Value"}

// row is the key, or the value as Kafka Connect's transforms see it; nil for
// null.
func (s side) row(r *cdc.Record) *cdc.Row {
	if s == keySide {
		return r.Key
	}
	return transform.Whole(r)
}

// set makes row the key or the value. A value that becomes null is a tombstone.
func (s side) set(r *cdc.Record, row *cdc.Row) {
	if s == keySide {
		r.Key = row
		return
	}
	r.Value = row
	if row == nil {
		r.Wrapped, r.Envelope, r.Op = false, nil, cdc.OpNone
		r.Tombstone, r.Deleted = true, true
	}
}

// structOnly is the error of a row that is no struct, nor a map.
func structOnly(row *cdc.Row, purpose string) error {
	if row == nil {
		return fmt.Errorf("only structs and maps can be taken for %s, and it is null", purpose)
	}
	if row.Schema.IsBare() {
		return fmt.Errorf("only structs and maps can be taken for %s, and it is %s", purpose, row.Schema.Fields[0].Type)
	}
	return nil
}

// schemaless reports whether rows of s are what Connect holds as a map: they
// were read without a schema, and their fields have no types.
func schemaless(s *cdc.Schema) bool {
	if s.IsBare() {
		return s.Fields[0].Type == cdc.Any
	}
	if s.Name != "" && s.Name != ".Envelope" {
		return false
	}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.Type == cdc.Any || f.Type == cdc.Struct && schemaless(f.Struct) {
			return true
		}
	}
	return false
}

// untyped makes f a field of rows without a schema.
func untyped(f cdc.Field) cdc.Field { return cdc.Field{Name: f.Name, Type: cdc.Any, Optional: true} }

// planned keeps what a transform has decided for each schema.
type planned[P any] struct {
	plan func(*cdc.Schema) (P, error)
	last *cdc.Schema
	same P
	all  map[*cdc.Schema]P
}

func newPlanned[P any](plan func(*cdc.Schema) (P, error)) planned[P] {
	return planned[P]{plan: plan, all: map[*cdc.Schema]P{}}
}

// of is the plan for rows of s.
func (p *planned[P]) of(s *cdc.Schema) (P, error) {
	if s == p.last {
		return p.same, nil
	}
	plan, ok := p.all[s]
	if !ok {
		var err error
		if plan, err = p.plan(s); err != nil {
			return plan, err
		}
		p.all[s] = plan
	}
	p.last, p.same = s, plan
	return plan, nil
}

// defaults are the fields whose NULL replace.null.with.default replaces.
type defaults []int

func defaultsOf(s *cdc.Schema, replace bool) (d defaults) {
	for i := range s.Fields {
		if replace && s.Fields[i].Default != nil {
			d = append(d, i)
		}
	}
	return d
}

// fill replaces the NULLs.
func (d defaults) fill(row *cdc.Row) {
	for _, i := range d {
		if row.Values[i].Kind() == cdc.KindNull {
			row.Values[i] = *row.Schema.Fields[i].Default
		}
	}
}

// replaceNulls reads replace.null.with.default, which is true in Connect: here
// a NULL stays a NULL unless one says otherwise.
func replaceNulls(o *transform.Options) bool { return o.Bool("replace.null.with.default", false) }

// derived is the schema of what a transform of Connect makes of rows of s: the
// same names with other fields, and not optional.
func derived(s *cdc.Schema, fields []cdc.Field) *cdc.Schema {
	return cdc.Schema{Name: s.Name, Version: s.Version, Doc: s.Doc, Fields: fields}.Intern()
}

// grow gives row more null values, up to n.
func grow(row *cdc.Row, n int) {
	for len(row.Values) < n {
		row.Values = append(row.Values, cdc.Value{})
	}
}
