package transform

import (
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
)

// RowDependent is a Transform that decides by the content of a row where a
// record goes, under which key, or whether it goes anywhere. An update can take
// such a record from one place to another.
type RowDependent interface {
	DependsOnRow() bool
}

// Lookup is a Transform that adds to a row what it finds elsewhere: the next time
// it may be something else, and a delete has none of it.
type Lookup interface{ LooksUp() }

// MovesByLookup names a RowDependent transform that has a Lookup in front of it,
// and that one; "" where there is none. Nobody knows later where such a transform
// took a row to. A Lookup itself goes by the row's own fields.
func (c *Chain) MovesByLookup() (mover, lookup string) {
	for i := range c.links {
		l := &c.links[i]
		if _, ok := l.transform.(Lookup); ok {
			lookup = l.name
		} else if d, ok := l.transform.(RowDependent); ok && lookup != "" && d.DependsOnRow() {
			return l.name, lookup
		}
	}
	return "", ""
}

// FollowMoves makes Apply return, in front of an update that a RowDependent
// transform takes elsewhere than it took the row before the update, a delete at
// the old place: else that row would stay there for ever. It is for sinks that
// keep the latest state of a key. It does nothing for a chain without such a
// transform.
func (c *Chain) FollowMoves() {
	c.moves = slices.ContainsFunc(c.links, func(l link) bool {
		d, ok := l.transform.(RowDependent)
		return ok && d.DependsOnRow()
	})
}

// Moves reports whether the chain follows moves, and has something to follow.
func (c *Chain) Moves() bool { return c.moves }

// shadow is an update's row as it was, sent through the chain to see where it
// went.
type shadow struct {
	record        cdc.Record
	envelope      cdc.Envelope
	key           cdc.Row
	before, after cdc.Row // the same row twice: transforms may change both
	of            int     // which of the records it is the shadow of
}

// follow makes the shadows of records and returns both, the records first.
func (c *Chain) follow(records []*cdc.Record) []*cdc.Record {
	c.all, c.shadows = append(c.all[:0], records...), c.shadows[:0]
	for i, r := range records {
		e := r.Envelope
		if e == nil || e.Op != cdc.OpUpdate || e.Before == nil || r.Value != nil || r.Deleted {
			continue
		}
		n := len(c.shadows)
		if n == len(c.spare) {
			c.spare = append(c.spare, &shadow{})
		}
		c.shadows = c.spare[:n+1]
		c.spare[n].set(r, i)
		c.all = append(c.all, &c.spare[n].record)
	}
	return c.all
}

// set makes s the shadow of r, with memory of its own: the chain changes rows in
// place.
func (s *shadow) set(r *cdc.Record, of int) {
	whole, headers := s.record.Whole, s.record.Headers
	s.record, s.envelope, s.of = *r, *r.Envelope, of
	s.record.Whole, s.record.Headers = whole, append(headers[:0], r.Headers...)
	s.before.CopyFrom(r.Envelope.Before)
	s.after.CopyFrom(r.Envelope.Before)
	s.envelope.Before, s.envelope.After = &s.before, &s.after
	s.record.Envelope = &s.envelope
	if r.Key != nil {
		s.key.CopyFrom(r.Key)
		s.record.Key = &s.key
	}
}

// left reports whether the row was somewhere that the update, which is kept or
// not, does not go to.
func (s *shadow) left(update *cdc.Record, kept bool) bool {
	return !kept || s.record.Route != update.Route || !sameKey(s.record.Key, update.Key)
}

func sameKey(a, b *cdc.Row) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Schema == b.Schema && slices.EqualFunc(a.Values, b.Values, func(v, w cdc.Value) bool { return v.Equal(&w) })
}

// gone is the shadow as a delete of what it shows.
func (s *shadow) gone() *cdc.Record {
	s.record.Deleted, s.record.Tombstone, s.record.Value, s.record.Wrapped = true, true, nil, false
	s.record.Left = true
	return &s.record
}
