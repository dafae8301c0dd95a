package lake

import (
	"sync"

	"github.com/parquet-go/parquet-go/compress"

	"github.com/weir-cdc/weir/internal/cdc"
)

// sampleBytes is how much of a file is held as rows before its columns are
// decided: until then a new column, or one that gets wider, needs no further
// file. It shapes which files a range becomes, so it is part of the format.
const sampleBytes = 1 << 20

// file is one Parquet file of a range: first rows at hand, then a writer.
type file struct {
	name    string
	columns *superset
	held    *sample // nil once the columns are decided
	writer  *writer
	out     *output
	pending []entry // of the batch at hand; they point into it
	rows    int
	done    bool // visible
}

// sample holds copies of rows.
type sample struct {
	entries []entry
	memory  cdc.Row // only its arena
	bytes   int
}

// samples are reused: a range needs one for every file.
var samples = sync.Pool{New: func() any { return new(sample) }}

// noFields is the schema of a row of which only the memory is used.
var noFields = cdc.NewSchema("")

func newFile(name string, columns *superset, out *output) *file {
	f := &file{name: name, columns: columns, out: out, held: samples.Get().(*sample)}
	f.held.entries, f.held.bytes = f.held.entries[:0], 0
	f.held.memory.Reset(noFields)
	return f
}

// add takes e, which was checked and admitted.
func (f *file) add(e *entry) {
	f.rows++
	if f.held == nil {
		f.pending = append(f.pending, *e)
		return
	}
	f.held.keep(e)
}

// keep copies e.
func (s *sample) keep(e *entry) {
	copied := *e
	copied.values = s.memory.AllocList(len(e.values))
	for i := range e.values {
		copied.values[i] = s.memory.Copy(e.values[i])
		s.bytes += 24 + len(e.values[i].Bytes())
	}
	s.entries = append(s.entries, copied)
}

// full reports whether enough rows are held to decide the columns.
func (f *file) full() bool { return f.held != nil && f.held.bytes >= sampleBytes }

// begin decides the columns and writes what was held.
func (f *file) begin(added []addition, codec compress.Codec, metadata map[string]string) error {
	f.columns.freeze()
	if len(f.columns.names)+len(added) == 0 { // a Parquet file has columns
		added = []addition{{name: "__offset", what: addOffset, shape: additionShapes[addOffset]}}
	}
	f.writer = newWriter(f.out, f.columns, added, codec, metadata)
	held := f.held
	f.held = nil
	err := f.writer.write(held.entries)
	clear(held.entries)
	samples.Put(held)
	return err
}

// drain writes what still points into the batch.
func (f *file) drain() error {
	if len(f.pending) == 0 {
		return nil
	}
	err := f.writer.write(f.pending)
	clear(f.pending)
	f.pending = f.pending[:0]
	return err
}

// memory is about how many bytes the file holds.
func (f *file) memory() int {
	n := f.out.buffered()
	if f.held != nil {
		n += f.held.bytes + 64*len(f.held.entries)
	}
	if f.writer != nil {
		n += f.writer.memory(f.out.written)
	}
	return n
}

// size is about how large the file is so far.
func (f *file) size() int64 {
	if f.writer == nil {
		return int64(f.held.bytes)
	}
	return f.writer.out.Size()
}

// output collects a file's bytes, and cuts off parts to be sent ahead.
type output struct {
	upload  upload
	limit   int // size of a part
	rest    []byte
	parts   [][]byte
	written int64
}

// Write takes b into memory.
func (o *output) Write(b []byte) (int, error) {
	o.written += int64(len(b))
	o.rest = append(o.rest, b...)
	for len(o.rest) >= o.limit {
		part := o.rest[:o.limit:o.limit]
		o.rest = append(make([]byte, 0, o.limit), o.rest[o.limit:]...)
		o.parts = append(o.parts, part)
	}
	return len(b), nil
}

func (o *output) buffered() int { return len(o.parts)*o.limit + len(o.rest) }
