package json

import (
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
)

// The bounds of what rows without a schema can make of memory: a schema is kept
// for ever.
const (
	maxShapeFields = 4096 // MySQL's limit of columns
	maxWidenings   = 256
)

// shape is the schema of rows that come without one: it widens as fields appear.
type shape struct {
	plan      *readPlan
	widened   int
	ambiguous bool // it has the fields that tell an envelope
}

func newShape() *shape { return &shape{plan: newReadPlan(cdc.NewSchema(""), true)} }

// row reads an object.
func (s *shape) row(p *parser, row *cdc.Row) bool {
	start := p.i
	p.strange = p.strange[:0]
	for {
		if !s.plan.row(p, row) {
			return false
		}
		if len(p.strange) == 0 {
			return true
		}
		if !s.widen(p) {
			return false
		}
		p.back(start)
	}
}

// widen adds the fields that the last object had and the schema lacks.
func (s *shape) widen(p *parser) bool {
	var fields []cdc.Field
	for _, name := range p.strange {
		if !slices.ContainsFunc(fields, func(f cdc.Field) bool { return f.Name == name }) {
			fields = append(fields, cdc.Field{Name: name, Type: cdc.Any, Optional: true})
		}
	}
	p.strange = p.strange[:0]
	if len(s.plan.fields)+len(fields) > maxShapeFields || s.widened >= maxWidenings {
		return p.fail(p.i, "too many different fields in records without a schema; write them with header weir.schema or inline schemas")
	}
	s.widened++
	s.plan = newReadPlan(s.plan.schema.With(fields...), true)
	has := func(name string) bool { return s.plan.schema.Field(name) != nil }
	s.ambiguous = has("op") && has("source") && (has("before") || has("after"))
	return true
}
