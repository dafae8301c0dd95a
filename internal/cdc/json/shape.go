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
		if name == "" {
			return p.fail(p.i, "a field without a name in the object that ends")
		}
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

// keptKeys is how many forms of keys are kept.
const keptKeys = 4

// keyShapes are the schemas of keys that come without one. A key has exactly the
// fields that it has: its text must not depend on those that came before it.
type keyShapes struct {
	kept    []*readPlan // the latest first
	learned int
}

// likely is the schema of the last key; nil if there was none.
func (k *keyShapes) likely() *readPlan {
	if len(k.kept) == 0 {
		return nil
	}
	return k.kept[0]
}

// row reads an object.
func (k *keyShapes) row(p *parser, row *cdc.Row) bool {
	start := p.i
	for i, plan := range k.kept {
		if plan.row(p, row) {
			copy(k.kept[1:i+1], k.kept[:i])
			k.kept[0] = plan
			return true
		}
		p.back(start)
	}
	learned := newShape()
	if !learned.row(p, row) {
		return false
	}
	if k.learned++; k.learned > maxWidenings {
		return p.fail(start, "too many different fields in keys without a schema; write them with header weir.schema or inline schemas")
	}
	plan := newReadPlan(learned.plan.schema, false)
	plan.exact = true
	if len(k.kept) < keptKeys {
		k.kept = append(k.kept, nil)
	}
	copy(k.kept[1:], k.kept)
	k.kept[0] = plan
	return true
}
