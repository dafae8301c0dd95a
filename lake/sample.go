package lake

import (
	"sync"

	"github.com/weir-cdc/weir/internal/cdc"
)

// sample holds copies of rows in blocks of memory that are used again.
type sample struct {
	entries []entry
	bytes   int // of the rows: 24 a value, and what it points to
	records int // of the rows in Kafka, by which the sample is large enough

	values []cdc.Value // the free end of the last block
	text   []byte
	blocks []*valueBlock
	texts  []*textBlock
	large  int // bytes of texts that are larger than a block
}

type (
	valueBlock [1024]cdc.Value
	textBlock  [16 << 10]byte
)

var (
	valueBlocks = sync.Pool{New: func() any { return new(valueBlock) }}
	textBlocks  = sync.Pool{New: func() any { return new(textBlock) }}
)

// sampleRow is what a row counts beside the bytes of its record in Kafka: a row
// of no bytes takes memory, too.
const sampleRow = 128

// keep copies e.
func (s *sample) keep(e *entry) {
	copied := *e
	copied.values = s.list(len(e.values))
	for i := range e.values {
		copied.values[i] = s.copy(&e.values[i])
	}
	s.entries = append(s.entries, copied)
	s.records += sampleRow + int(e.size)
}

// copy copies v and what it points to.
func (s *sample) copy(v *cdc.Value) cdc.Value {
	s.bytes += 24
	switch v.Kind() {
	case cdc.KindString:
		return cdc.Choice(s.bytesOf(v), v.Uint())
	case cdc.KindBytes:
		return cdc.Bytes(s.bytesOf(v))
	case cdc.KindBigDecimal:
		return cdc.BigDecimal(s.bytesOf(v))
	case cdc.KindNumber:
		return cdc.Number(s.bytesOf(v))
	case cdc.KindJSON:
		return cdc.RawJSON(s.bytesOf(v))
	case cdc.KindList:
		from := v.List()
		to := s.list(len(from))
		for i := range from {
			to[i] = s.copy(&from[i])
		}
		return cdc.List(to)
	}
	return *v
}

// list is memory for n values.
func (s *sample) list(n int) []cdc.Value {
	if n > len(valueBlock{}) {
		s.large += 24 * n
		return make([]cdc.Value, n)
	}
	if n > len(s.values) {
		b := valueBlocks.Get().(*valueBlock)
		s.blocks, s.values = append(s.blocks, b), b[:]
	}
	out := s.values[:n:n]
	s.values = s.values[n:]
	return out
}

// bytesOf copies v's bytes.
func (s *sample) bytesOf(v *cdc.Value) []byte {
	from := v.Bytes()
	n := len(from)
	s.bytes += n
	if n > len(textBlock{})/4 {
		s.large += n
		return append(make([]byte, 0, n), from...)
	}
	if n > len(s.text) {
		b := textBlocks.Get().(*textBlock)
		s.texts, s.text = append(s.texts, b), b[:]
	}
	out := s.text[:n:n]
	s.text = s.text[n:]
	copy(out, from)
	return out
}

// memory is how many bytes the sample takes.
func (s *sample) memory() int {
	return cap(s.entries)*64 + len(s.blocks)*24*len(valueBlock{}) + len(s.texts)*len(textBlock{}) + s.large
}

// free gives the blocks back; the entries are gone then.
func (s *sample) free() {
	for _, b := range s.blocks {
		clear(b[:])
		valueBlocks.Put(b)
	}
	for _, b := range s.texts {
		textBlocks.Put(b)
	}
	*s = sample{}
}
