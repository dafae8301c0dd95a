package json

import (
	"bytes"

	"github.com/weir-cdc/weir/internal/cdc"
)

// keptInline is how many inline schemas are kept by their bytes.
const keptInline = 4

// valuePlan is how the payload of a value is read.
type valuePlan struct {
	// flat reads a row; bare a value that is no object. Both nil: an envelope,
	// whose rows before and after read.
	flat          *readPlan
	bare          *readPlan
	before, after *readPlan
}

// row is the plan of a value that is no envelope; nil for one that is, and for no
// plan.
func (v *valuePlan) row() *readPlan {
	switch {
	case v == nil:
		return nil
	case v.bare != nil:
		return v.bare
	}
	return v.flat
}

// inlineSchema is an inline schema that was read before.
type inlineSchema struct {
	prefix []byte // `{"schema":…,"payload":`
	schema []byte // the schema's text within prefix
	plan   valuePlan
}

const (
	schemaLead  = `{"schema":`
	payloadLead = `,"payload":`
)

// inlineCache keeps the last inline schemas, the latest first.
type inlineCache struct{ kept []*inlineSchema }

// match takes the beginning of a value that repeats one of the last schemas.
func (c *inlineCache) match(p *parser) *valuePlan {
	for i, s := range c.kept {
		if bytes.HasPrefix(p.b[p.i:], s.prefix) {
			p.i += len(s.prefix)
			c.first(i)
			return &s.plan
		}
	}
	return nil
}

// begin takes the beginning of a value that JsonConverter wrote with a schema,
// up to the payload. inline is false, and nothing taken, if it is none after all;
// the plan is nil for a null schema.
func (c *inlineCache) begin(p *parser) (plan *valuePlan, inline, ok bool) {
	if plan = c.match(p); plan != nil {
		return plan, true, true
	}
	start := p.i
	p.i += len(schemaLead)
	at, first := p.i, p.peek()
	if !p.skip() {
		return nil, false, false
	}
	end := p.i
	if !p.literal(payloadLead) || first != '{' && first != 'n' {
		p.back(start)
		return nil, false, true
	}
	plan, p.cause = c.plan(p.b[at:end])
	return plan, true, p.cause == nil
}

// at takes the beginning of a value of the form f, up to the payload, wherever in
// the object that is.
func (c *inlineCache) at(p *parser, f *form) (plan *valuePlan, ok bool) {
	plan, p.cause = c.plan(p.b[f.schema.at:f.schema.end])
	p.i = f.payload.at
	return plan, p.cause == nil
}

// plan returns the plan of a schema's text, nil for null.
func (c *inlineCache) plan(schema []byte) (*valuePlan, error) {
	if text(schema) == "null" {
		return nil, nil
	}
	for i, s := range c.kept {
		if bytes.Equal(s.schema, schema) {
			c.first(i)
			return &s.plan, nil
		}
	}
	f, err := parseSchemaNode(schema)
	if err != nil {
		return nil, err
	}
	s := &inlineSchema{plan: newValuePlan(f)}
	s.prefix = append(append(append(s.prefix, schemaLead...), schema...), payloadLead...)
	s.schema = s.prefix[len(schemaLead) : len(schemaLead)+len(schema)]
	if len(c.kept) < keptInline {
		c.kept = append(c.kept, nil)
	}
	copy(c.kept[1:], c.kept)
	c.kept[0] = s
	return &s.plan, nil
}

// first moves the i-th schema to the front.
func (c *inlineCache) first(i int) {
	if i > 0 {
		s := c.kept[i]
		copy(c.kept[1:i+1], c.kept[:i])
		c.kept[0] = s
	}
}

// newValuePlan is the plan of values of f.
func newValuePlan(f *cdc.Field) valuePlan {
	if f.Type != cdc.Struct {
		return valuePlan{bare: newReadPlan(cdc.Bare(*f), false)}
	}
	before, after, ok := envelopeStates(f.Struct)
	if !ok {
		return valuePlan{flat: newReadPlan(f.Struct, false)}
	}
	v := valuePlan{before: newReadPlan(before, false)}
	if v.after = v.before; after != before {
		v.after = newReadPlan(after, false)
	}
	return v
}

// envelopeStates finds the schemas of before and after in s, if it is an
// envelope's: it has op, source, and before or after.
func envelopeStates(s *cdc.Schema) (before, after *cdc.Schema, ok bool) {
	op, source := s.Field("op"), s.Field("source")
	if op == nil || op.Type != cdc.Text || source == nil || source.Type != cdc.Struct {
		return nil, nil, false
	}
	if f := s.Field("before"); f != nil && f.Type == cdc.Struct {
		before = f.Struct
	}
	if f := s.Field("after"); f != nil && f.Type == cdc.Struct {
		after = f.Struct
	}
	if before == nil {
		before = after
	}
	if after == nil {
		after = before
	}
	return before, after, before != nil
}
