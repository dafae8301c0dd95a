package lake

import (
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/weir-cdc/weir/internal/cdc"
)

// formatVersion is part of the layout: it changes when a new Weir would spread
// the same records over other files or columns.
const formatVersion = 2

const (
	// atOnce keeps one column's values, 24 bytes each, in the first-level cache.
	// It also is the grid on which pages and row groups end, so that the bytes
	// of a file do not depend on how its rows came in.
	atOnce = 512
	// pageBytes and groupBytes are the sizes, before compression, at which a
	// page and a row group end. pageRows, a multiple of the grid, ends the pages of
	// all columns, too: rows of small values would else wait long to be compressed,
	// in a form that takes several times their size.
	pageRows   = 8 * atOnce
	pageBytes  = 256 << 10
	groupBytes = 32 << 20
)

// entry is one row on its way into a file.
type entry struct {
	kind    *rowType    // nil: only what the lake adds
	values  []cdc.Value // of the row type's columns
	op      cdc.Op
	deleted bool
	size    uint32 // of the record in Kafka
	version uint64
	millis  int64 // of the change, since the epoch
	offset  int64
}

// writer writes entries to one Parquet file of fixed columns. It turns a chunk
// of rows into one column after the other and hands each whole to parquet-go,
// which copies it. The same entries give the same bytes.
type writer struct {
	columns *superset
	added   []addition
	out     *parquet.GenericWriter[any]
	leaves  []*parquet.ColumnWriter
	page    []int // bytes of each leaf's page so far, before compression
	first   []int // the first leaf of each column
	rows    int
	group   int // bytes of the row group so far, before compression
	plans   map[*rowType][]step
	scratch scratch
	values  []parquet.Value
	nested  shredder
}

// step fills one column from a row type: at is the value's index, or -1.
type step struct {
	at int
	conversion
}

// newWriter starts a file of the frozen columns and those that the lake adds.
func newWriter(out io.Writer, columns *superset, added []addition, codec compress.Codec, metadata map[string]string) *writer {
	names, shapes := slices.Clone(columns.names), slices.Clone(columns.shapes)
	for i := range added {
		names, shapes = append(names, added[i].name), append(shapes, added[i].shape)
	}
	options := []parquet.WriterOption{
		parquet.NewSchema("weir", newOrderedGroup(names, shapes)),
		parquet.Compression(codec), parquet.DataPageVersion(1), parquet.CreatedBy("weir", fmt.Sprint(formatVersion), "lake"),
		parquet.PageBufferSize(1 << 30), // pages end where this writer says
		parquet.ColumnPageBuffers(pageMemory), parquet.WriteBufferSize(0),
	}
	for _, key := range sortedKeys(metadata) {
		options = append(options, parquet.KeyValueMetadata(key, metadata[key]))
	}
	w := &writer{
		columns: columns, added: added, out: parquet.NewGenericWriter[any](out, options...),
		plans: map[*rowType][]step{}, values: make([]parquet.Value, 0, atOnce),
	}
	w.leaves = w.out.ColumnWriters()
	w.page = make([]int, len(w.leaves))
	leaf := 0
	for i := range shapes {
		w.first = append(w.first, leaf)
		leaf += shapes[i].leaves()
	}
	return w
}

// pageMemory has small blocks: most files have many columns and few rows.
var pageMemory = parquet.NewChunkBufferPool(16 << 10)

// plan is how rows of type t fill the columns.
func (w *writer) plan(t *rowType) []step {
	if p, ok := w.plans[t]; ok {
		return p
	}
	p := make([]step, len(w.columns.names))
	for i := range p {
		p[i].at = -1
	}
	if t != nil {
		for at := range t.columns {
			c := &t.columns[at]
			if i, ok := w.columns.index[c.field.Name]; ok && !w.columns.reserved[c.field.Name] && c.fills(w.columns.shapes[i]) {
				p[i] = step{at, newConversion(c, w.columns.shapes[i], w.first[i])}
			}
		}
	}
	w.plans[t] = p
	return p
}

// write writes entries that were admitted; it keeps nothing of them. After an
// error the file is broken.
func (w *writer) write(entries []entry) error {
	for len(entries) > 0 {
		n := min(len(entries), atOnce-w.rows%atOnce)
		if err := w.chunk(entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
		if w.rows += n; w.rows%atOnce == 0 {
			if err := w.divide(); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunk writes entries that end before the next line of the grid.
func (w *writer) chunk(entries []entry) error {
	for i := range w.columns.names {
		w.values, w.scratch = w.values[:0], w.scratch[:0]
		if k := w.columns.shapes[i].kind; k == group || k == list {
			if err := w.writeNested(i, entries); err != nil {
				return fmt.Errorf("writing column %s: %w", w.columns.names[i], err)
			}
			continue
		}
		w.fill(i, entries)
		if err := w.flushValues(w.first[i]); err != nil {
			return fmt.Errorf("writing column %s: %w", w.columns.names[i], err)
		}
	}
	for i := range w.added {
		leaf := w.first[len(w.columns.names)+i]
		w.values = w.added[i].append(w.values[:0], entries, leaf)
		if err := w.flushValues(leaf); err != nil {
			return fmt.Errorf("writing column %s: %w", w.added[i].name, err)
		}
	}
	return nil
}

// fill makes the values of column i.
func (w *writer) fill(i int, entries []entry) {
	null := parquet.NullValue().Level(0, 0, w.first[i])
	for from := 0; from < len(entries); {
		t := entries[from].kind
		to := from + 1
		for to < len(entries) && entries[to].kind == t {
			to++
		}
		s := &w.plan(t)[i]
		for ; from < to; from++ {
			if s.at < 0 || entries[from].values[s.at].IsNull() {
				w.values = append(w.values, null)
				continue
			}
			w.values = append(w.values, s.value(&entries[from].values[s.at], &w.scratch).Level(0, 1, s.leaf))
		}
	}
}

// flushValues hands the values to a leaf.
func (w *writer) flushValues(leaf int) error {
	size := len(w.values)
	for i := range w.values {
		size += sizeOf(&w.values[i])
	}
	w.page[leaf] += size
	w.group += size
	_, err := w.leaves[leaf].WriteRowValues(w.values)
	return err
}

// sizeOf is about how many bytes a value takes before compression.
func sizeOf(v *parquet.Value) int {
	switch v.Kind() {
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return 4 + len(v.ByteArray())
	case parquet.Int64, parquet.Double:
		return 8
	case parquet.Boolean:
		return 1
	}
	return 4
}

// divide ends pages and the row group where they are large enough.
func (w *writer) divide() error {
	if w.group >= groupBytes {
		w.group = 0
		clear(w.page)
		return w.out.Flush()
	}
	for i := range w.page {
		if w.page[i] >= pageBytes || w.rows%pageRows == 0 {
			w.page[i] = 0
			if err := w.leaves[i].Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// columnOverhead is about what a column takes beside its values: buffers and
// encoders of its own.
const columnOverhead = 6 << 10

// columnEnd is about what it takes while the end of a file is encoded.
const columnEnd = 32 << 10

// memory is about how many bytes the writer holds. Buffers grow by doubling, so
// that half as much again is there on average.
func (w *writer) memory(written int64) int {
	return int(w.out.Size()-written)*3/2 + len(w.leaves)*columnOverhead
}

// close writes the rest and the footer.
func (w *writer) close() error { return w.out.Close() }
