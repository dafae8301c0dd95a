package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Pools recycles the memory of fetched records (kgo.WithPools). Whoever uses it
// calls Recycle on every record once nothing points into it any more.
type Pools struct{ bytes, records sync.Pool }

var (
	_ kgo.PoolDecompressBytes = (*Pools)(nil)
	_ kgo.PoolRecords         = (*Pools)(nil)
)

// GetDecompressBytes implements kgo.PoolDecompressBytes.
func (p *Pools) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 4*len(compressed))
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (p *Pools) PutDecompressBytes(b []byte) { p.bytes.Put(&b) }

// GetRecords implements kgo.PoolRecords.
func (p *Pools) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return (*r)[:0]
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords implements kgo.PoolRecords.
func (p *Pools) PutRecords(r []kgo.Record) { p.records.Put(&r) }
