package enrich

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// Flatten unwraps the envelopes that no transform of a chain has unwrapped: the
// row after the change becomes the value; a delete keeps the row before it and
// is marked as one. A TRUNCATE has no row and is dropped. What transforms saw as
// a whole envelope (cdc.Record.Wrapped) is one again before, and what they put
// beside its members becomes part of the row.
type Flatten struct{}

// Apply unwraps r where it is an envelope and has not been unwrapped.
func (Flatten) Apply(r *cdc.Record) (keep bool, err error) {
	var whole *cdc.Row
	if r.Wrapped {
		whole = r.Value
		transform.Unwrapped(r)
	}
	e := r.Envelope
	if e == nil || r.Value != nil || r.Deleted {
		return true, nil
	}
	switch {
	case e.Op == cdc.OpDelete:
		r.Value, r.Deleted = e.Before, true
	case e.After == nil:
		return false, nil // truncate, message
	default:
		r.Value = e.After
	}
	if whole != nil && r.Value != nil {
		carry(r.Value, whole)
	}
	return true, nil
}

// beside is a row's schema and that of the envelope around it.
type beside struct{ row, whole *cdc.Schema }

// carried is the row's schema with what stood beside it, and which of the
// envelope's values goes where.
type carried struct {
	schema   *cdc.Schema
	from, to []int
}

var carries transform.Cache[beside, *carried]

// carry puts the members of an envelope that are no envelope's into its row.
func carry(row, whole *cdc.Row) {
	b := beside{row.Schema, whole.Schema}
	c := carries.Of(b, b.carried)
	if len(c.from) == 0 {
		return
	}
	grow(row, len(c.schema.Fields))
	row.Schema = c.schema
	for i, from := range c.from {
		row.Values[c.to[i]] = whole.Values[from]
	}
}

func (b beside) carried() *carried {
	c := &carried{schema: b.row}
	for i, f := range b.whole.Fields {
		if transform.IsMember(f.Name) {
			continue
		}
		c.schema = c.schema.With(f)
		c.from, c.to = append(c.from, i), append(c.to, c.schema.Index([]byte(f.Name)))
	}
	return c
}
