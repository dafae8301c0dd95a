package lake

import (
	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/internal/cdc"
)

// shredder spreads structs and arrays over the leaves of their column, with the
// levels by which Parquet puts them together again.
type shredder struct {
	values  [][]parquet.Value // of each leaf
	first   int               // the leaf of values[0]
	scratch *scratch
}

// writeNested writes column i, which has members or elements.
func (w *writer) writeNested(i int, entries []entry) error {
	s := &w.nested
	s.scratch, s.first = &w.scratch, w.first[i]
	n := w.columns.shapes[i].leaves()
	for len(s.values) < n {
		s.values = append(s.values, nil)
	}
	for j := range n {
		s.values[j] = s.values[j][:0]
	}
	for j := range entries {
		st := &w.plan(entries[j].kind)[i]
		if st.at < 0 {
			s.nulls(&w.columns.shapes[i], w.first[i], 0, 0)
			continue
		}
		s.put(&st.conversion, &entries[j].values[st.at], 0, 0, 0)
	}
	for j := range n {
		w.values = append(w.values[:0], s.values[j]...)
		if err := w.flushValues(s.first + j); err != nil {
			return err
		}
	}
	return nil
}

// put adds v with repetition level rep, inside depth lists; def is the
// definition level of what v is in.
func (s *shredder) put(c *conversion, v *cdc.Value, rep, def, depth int) {
	if v.IsNull() {
		s.nulls(&c.to, c.leaf, rep, def)
		return
	}
	switch c.to.kind {
	case group:
		for i := range c.inner {
			s.put(&c.inner[i], &v.List()[i], rep, def+1, depth)
		}
	case list:
		s.putList(c, v.List(), rep, def+1, depth+1)
	default:
		s.values[c.leaf-s.first] = append(s.values[c.leaf-s.first], c.value(v, s.scratch).Level(rep, def+1, c.leaf))
	}
}

// putList adds the elements of the depth-th list; def is that of an empty one.
func (s *shredder) putList(c *conversion, elements []cdc.Value, rep, def, depth int) {
	if len(elements) == 0 {
		s.nulls(&c.to, c.leaf, rep, def)
	}
	for i := range elements {
		s.put(&c.inner[0], &elements[i], rep, def+1, depth)
		rep = depth
	}
}

// nulls adds what stands for a missing value to every leaf of a column.
func (s *shredder) nulls(to *shape, leaf, rep, def int) {
	for i := range to.leaves() {
		at := leaf + i - s.first
		s.values[at] = append(s.values[at], parquet.NullValue().Level(rep, def, leaf+i))
	}
}
