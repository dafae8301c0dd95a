package lake

import (
	"github.com/parquet-go/parquet-go/compress"
)

// sampleBytes is how much of a file is held as rows before its columns are
// decided: until then a new column, or one that gets wider, needs no further
// file. It shapes which files a range becomes, so it is part of the format; for
// the same reason it counts what the records take in Kafka. How wide a row is
// depends on what the decoder has seen and on what a look-up finds.
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
	failed  error // since which it lacks rows
	closed  bool  // out has all of it
	done    bool  // visible
}

func newFile(name string, columns *superset, out *output) *file {
	return &file{name: name, columns: columns, out: out, held: &sample{}}
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

// full reports whether enough rows are held to decide the columns.
func (f *file) full() bool { return f.held != nil && f.held.records >= sampleBytes }

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
	held.free()
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
		n += f.held.memory()
	}
	if f.writer != nil {
		n += f.writer.memory(f.out.written)
	}
	return n
}

// size is about how large the file is so far.
func (f *file) size() int64 {
	switch {
	case f.closed:
		return f.out.written
	case f.writer == nil:
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
		part := o.rest[:o.limit]
		o.rest = append([]byte(nil), o.rest[o.limit:]...) // most files end before another part is full
		o.parts = append(o.parts, part)
	}
	return len(b), nil
}

// buffered is the memory that is taken, of which append keeps some ahead.
func (o *output) buffered() int {
	n := cap(o.rest)
	for _, part := range o.parts {
		n += cap(part)
	}
	return n
}
