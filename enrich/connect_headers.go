package enrich

import (
	"fmt"
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// headerFrom copies or moves fields into headers.
type headerFrom struct {
	side            side
	fields, headers []string
	move, replace   bool
	plans           planned[*headerPlan]
}

type headerPlan struct {
	columns  // what a move leaves
	defaults // of what a move leaves
	headers  []headerField
}

// headerField is the field of a header and its schema; at is −1 for one that a
// row without a schema lacks.
type headerField struct {
	at     int
	schema *cdc.Schema
}

func newHeaderFrom(s side, o *transform.Options) transform.Transform {
	t := &headerFrom{side: s, fields: o.List("fields"), headers: o.List("headers"), replace: replaceNulls(o)}
	if len(t.fields) == 0 {
		o.Fail("fields", "names of fields, with commas between")
	}
	if len(t.headers) != len(t.fields) {
		o.Fail("headers", fmt.Sprintf("%d names of headers, one for each of fields", len(t.fields)))
	}
	switch o.Need("operation", "move or copy") {
	case "move":
		t.move = true
	case "copy", "":
	default:
		o.Fail("operation", "move or copy")
	}
	t.plans = newPlanned(t.plan)
	return t
}

// Apply adds the headers to r. There is nothing to take from null.
func (t *headerFrom) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "headers")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	if t.move {
		p.fill(row)
	}
	for i, f := range p.headers {
		h := newTypedHeader(f.schema)
		if f.at >= 0 {
			h.Values[0] = row.Values[f.at]
		}
		if t.replace && h.Values[0].Kind() == cdc.KindNull && f.schema.Fields[0].Default != nil {
			h.Values[0] = *f.schema.Fields[0].Default
		}
		r.Headers = append(r.Headers, cdc.Header{Key: t.headers[i], Typed: h})
	}
	if t.move {
		p.take(row)
	}
	return true, nil
}

func (t *headerFrom) plan(s *cdc.Schema) (*headerPlan, error) {
	p := &headerPlan{defaults: defaultsOf(s, t.replace)}
	for _, name := range t.fields {
		at := s.Index([]byte(name))
		f := untyped(cdc.Field{})
		if at >= 0 {
			f = s.Fields[at]
		} else if !schemaless(s) {
			return nil, fmt.Errorf("unknown field %s", name)
		}
		p.headers = append(p.headers, headerField{at: at, schema: cdc.Bare(f)})
	}
	var rest []cdc.Field
	for i, f := range s.Fields {
		if !slices.Contains(t.fields, f.Name) {
			rest = append(rest, f)
			p.from = append(p.from, i)
		}
	}
	p.columns.schema = derived(s, rest)
	return p, nil
}

// insertHeader adds the same header to every record.
type insertHeader struct{ header cdc.Header }

func newInsertHeader(o *transform.Options) transform.Transform {
	name := o.Need("header", "the name of the header")
	literal := o.Need("value.literal", "the value of the header")
	return &insertHeader{header: cdc.Header{Key: name, Typed: parseLiteral(literal)}}
}

// Apply adds the header to r.
func (t *insertHeader) Apply(r *cdc.Record) (keep bool, err error) {
	r.Headers = append(r.Headers, t.header)
	return true, nil
}

// dropHeaders removes headers by name.
type dropHeaders struct{ names []string }

func newDropHeaders(o *transform.Options) transform.Transform {
	t := &dropHeaders{names: o.List("headers")}
	if len(t.names) == 0 {
		o.Fail("headers", "names of headers, with commas between")
	}
	return t
}

// Apply removes the headers from r.
func (t *dropHeaders) Apply(r *cdc.Record) (keep bool, err error) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h cdc.Header) bool { return slices.Contains(t.names, h.Key) })
	return true, nil
}
