package kafka

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Pools recycles the memory of fetched records (kgo.WithPools). Whoever uses it
// calls Recycle on every record once nothing points into it any more.
//
// Buffers are of fixed sizes, four to each power of two, and are never handed out
// for much less than they hold: what waits with its batch's buffer takes about
// what the batch is long.
type Pools struct {
	buffers [bufferSizes]sync.Pool // of *[]byte
	records sync.Pool
}

var (
	_ kgo.PoolDecompressBytes = (*Pools)(nil)
	_ kgo.PoolRecords         = (*Pools)(nil)
)

// Buffers below the least size share one: a batch may be a single small record, and
// thousands of them wait. Those above the largest are left to the garbage collector.
const (
	leastBits   = 9  // 512 B
	mostBits    = 22 // 4 MiB
	bufferSizes = 4 * (mostBits - leastBits + 1)
)

// sizeFor is the least size of a buffer that holds n bytes, and the index of its
// pool; -1: it has none.
func sizeFor(n int) (size, index int) {
	n = max(n, 1<<leastBits)
	length := bits.Len(uint(n - 1))
	if length > mostBits {
		return n, -1
	}
	shift := length - 3
	quarter := (n - 1) >> shift // 4 to 7
	return (quarter + 1) << shift, 4*(length-leastBits) + quarter - 4
}

// Buffer is an empty buffer that holds n bytes. It goes back by PutDecompressBytes.
func (p *Pools) Buffer(n int) []byte {
	size, index := sizeFor(n)
	if index >= 0 {
		if b, ok := p.buffers[index].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}

// GetDecompressBytes implements kgo.PoolDecompressBytes. A Decompressor knows
// better.
func (p *Pools) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return p.Buffer(4 * len(compressed))
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (p *Pools) PutDecompressBytes(b []byte) {
	if size, index := sizeFor(cap(b)); index >= 0 && size == cap(b) {
		p.buffers[index].Put(&b)
	}
}

// GetRecords implements kgo.PoolRecords.
func (p *Pools) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n && cap(*r) <= 2*n {
		return (*r)[:0]
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords implements kgo.PoolRecords.
func (p *Pools) PutRecords(r []kgo.Record) { p.records.Put(&r) }
