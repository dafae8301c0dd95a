package lake

import (
	"errors"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
)

// rowType is what the lake knows of one row schema.
type rowType struct {
	schema  *cdc.Schema
	columns []column
	partial bool // of a key: the other columns are not null, they are unknown
	untyped bool // has a field of type Any
	op      int  // where the row itself has its operation, -1: it has none
}

// opField is what a row is told its operation in that was unwrapped before it
// came: ExtractNewRecordState's name for it.
var opField = []byte("__op")

// operation is the row's own, of values that are those of its columns.
func (t *rowType) operation(values []cdc.Value) cdc.Op {
	if t.op < 0 {
		return cdc.OpNone
	}
	if v := values[t.op]; v.Kind() == cdc.KindString && len(v.Bytes()) == 1 {
		return cdc.Op(v.Bytes()[0])
	}
	return cdc.OpNone
}

// newRowType prepares s, without the fields whose columns the lake adds itself.
func newRowType(s *cdc.Schema, partial bool) (*rowType, error) {
	if s.IsBare() && !partial {
		return nil, errors.New("the value is no object, and a row has to be one")
	}
	t := &rowType{schema: s, partial: partial, columns: make([]column, len(s.Fields)), op: s.Index(opField)}
	for i := range s.Fields {
		if s.Index([]byte(s.Fields[i].Name)) != i {
			return nil, fmt.Errorf("column %s: the schema has it twice", s.Fields[i].Name)
		}
		var err error
		if t.columns[i], err = newColumn(&s.Fields[i]); err != nil {
			return nil, err
		}
		t.untyped = t.untyped || t.columns[i].shape.kind == unknown
	}
	return t, nil
}

// unusual is a value whose column needs another shape than its field's.
type unusual struct {
	at    int
	shape shape
}

// check tells whether every value can be written at all, and appends to out
// what shapes they need beyond the usual. A delete may lack what the row image
// left out.
func (t *rowType) check(values []cdc.Value, deleted bool, out []unusual) ([]unusual, error) {
	if len(values) != len(t.columns) {
		return out, fmt.Errorf("the row has %d values, its schema %d fields", len(values), len(t.columns))
	}
	for i := range t.columns {
		c, v := &t.columns[i], &values[i]
		if c.usual(v) || v.Kind() == cdc.KindNull || deleted && v.Kind() == cdc.KindAbsent {
			continue
		}
		s, err := c.observe(v)
		if err != nil {
			return out, err
		}
		if !s.equal(c.shape) {
			out = append(out, unusual{i, s})
		}
	}
	return out, nil
}

// rowTypes are the row types that a range has met.
type rowTypes struct {
	known map[rowTypeKey]*rowType
	last  rowTypeKey
	hit   *rowType
}

type rowTypeKey struct {
	schema  *cdc.Schema
	partial bool
}

// of returns the row type of a schema.
func (r *rowTypes) of(s *cdc.Schema, partial bool) (*rowType, error) {
	key := rowTypeKey{s, partial}
	if r.hit != nil && r.last == key {
		return r.hit, nil
	}
	t := r.known[key]
	if t == nil {
		var err error
		if t, err = newRowType(s, partial); err != nil {
			return nil, err
		}
		if r.known == nil {
			r.known = map[rowTypeKey]*rowType{}
		}
		r.known[key] = t
	}
	r.last, r.hit = key, t
	return t, nil
}

// superset is the columns of one file: at first it grows with the rows, and
// once the file has begun it is frozen.
type superset struct {
	names    []string
	shapes   []shape
	untyped  []bool
	index    map[string]int
	admitted map[*rowType]bool
	reserved map[string]bool // the columns that the lake adds
	single   bool            // one row schema a file (schema.compatibility=NONE)
	frozen   bool
}

func newSuperset(reserved map[string]bool, single bool) *superset {
	return &superset{index: map[string]int{}, admitted: map[*rowType]bool{}, reserved: reserved, single: single}
}

// admit makes room for a row of type t with the unusual values given, or
// reports that the file cannot take it. It changes nothing then.
func (u *superset) admit(t *rowType, odd []unusual) bool {
	ok, known := u.admitted[t]
	if !known {
		if ok = u.takesType(t); ok || u.frozen {
			u.admitted[t] = ok
		}
	}
	if !ok {
		return false
	}
	for _, o := range odd { // all or none
		if !u.takes(t, o.at, o.shape) {
			return false
		}
	}
	for _, o := range odd {
		u.put(t, o.at, o.shape)
	}
	return true
}

// takesType admits t's usual shapes.
func (u *superset) takesType(t *rowType) bool {
	if u.single && !t.partial && !t.untyped && !u.onlyPartial() {
		return false
	}
	for i := range t.columns {
		if !u.takes(t, i, t.columns[i].shape) {
			return false
		}
	}
	if !u.frozen {
		for i := range t.columns {
			u.put(t, i, t.columns[i].shape)
		}
	}
	return true
}

// onlyPartial reports whether no row with a schema of its own is in the file.
func (u *superset) onlyPartial() bool {
	for t, ok := range u.admitted {
		if ok && !t.partial {
			return false
		}
	}
	return true
}

// takes reports whether t's column at can have shape s in the file.
func (u *superset) takes(t *rowType, at int, s shape) bool {
	name := t.columns[at].field.Name
	if u.reserved[name] {
		return true
	}
	i, ok := u.index[name]
	if !ok {
		return !u.frozen || s.kind == unknown
	}
	w, ok := u.join(&t.columns[at], i, s)
	if u.frozen {
		w.wide = u.shapes[i].wide // that concerns what the column may become
	}
	return ok && (!u.frozen || w.equal(u.shapes[i]))
}

// join is the shape of column i when it also has to hold s of the field of c.
func (u *superset) join(c *column, i int, s shape) (shape, bool) {
	if u.untyped[i] || c.field.Type == cdc.Any {
		return widenAny(u.shapes[i], s)
	}
	return widen(u.shapes[i], s)
}

// put makes t's column at have shape s too, which takes allowed.
func (u *superset) put(t *rowType, at int, s shape) {
	f := t.columns[at].field
	if u.frozen || u.reserved[f.Name] {
		return
	}
	i, ok := u.index[f.Name]
	if !ok {
		i = len(u.names)
		u.index[f.Name] = i
		u.names, u.shapes, u.untyped = append(u.names, f.Name), append(u.shapes, s), append(u.untyped, f.Type == cdc.Any)
		return
	}
	u.shapes[i], _ = u.join(&t.columns[at], i, s)
	u.untyped[i] = u.untyped[i] || f.Type == cdc.Any
}

// freeze ends the growth and drops the columns of which nothing is known.
func (u *superset) freeze() {
	names, shapes, untyped := u.names[:0], u.shapes[:0], u.untyped[:0]
	clear(u.index)
	for i := range u.names {
		if u.shapes[i].kind != unknown {
			u.index[u.names[i]] = len(names)
			names, shapes, untyped = append(names, u.names[i]), append(shapes, u.shapes[i]), append(untyped, u.untyped[i])
		}
	}
	u.names, u.shapes, u.untyped, u.frozen = names, shapes, untyped, true
}
