package consumers

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// block is memory for keys and values.
type block [64 << 10]byte

var (
	blocks = sync.Pool{New: func() any { return new(block) }}
	chunks = sync.Pool{New: func() any { return new(chunk) }}
)

// chunk holds copies of records that were fetched together. As they come, each
// keeps the whole answer of the broker, or its whole batch uncompressed, from
// being freed.
type chunk struct {
	list    []*kgo.Record // what was not taken
	all     []*kgo.Record
	records []kgo.Record
	headers []kgo.RecordHeader
	blocks  []*block
	text    []byte // the used part of the last block
}

// newChunk copies records, whose own memory it gives back.
func newChunk(records []*kgo.Record) (c *chunk, size int64) {
	c = chunks.Get().(*chunk)
	headers := 0
	for _, r := range records {
		headers += len(r.Headers)
		size += sizeOf(r)
	}
	c.grow(len(records), headers)
	for i, r := range records {
		to := &c.records[i]
		*to = *r
		to.Context, to.Key, to.Value = nil, c.copy(r.Key), c.copy(r.Value)
		to.Headers = c.copyHeaders(r.Headers)
		c.all[i] = to
		r.Recycle()
	}
	c.list = c.all
	return c, size
}

// grow makes room for so many records and headers.
func (c *chunk) grow(records, headers int) {
	if cap(c.records) < records {
		c.records, c.all = make([]kgo.Record, records), make([]*kgo.Record, records)
	}
	c.records, c.all = c.records[:records], c.all[:records]
	if cap(c.headers) < headers {
		c.headers = make([]kgo.RecordHeader, 0, headers)
	}
}

func (c *chunk) copyHeaders(headers []kgo.RecordHeader) []kgo.RecordHeader {
	from := len(c.headers)
	for _, h := range headers {
		h.Value = c.copy(h.Value)
		c.headers = append(c.headers, h)
	}
	return c.headers[from:len(c.headers):len(c.headers)]
}

func (c *chunk) copy(b []byte) []byte {
	switch {
	case b == nil:
		return nil
	case len(b) > len(block{})/4:
		return append(make([]byte, 0, len(b)), b...)
	case len(b) > cap(c.text)-len(c.text):
		next := blocks.Get().(*block)
		c.blocks, c.text = append(c.blocks, next), next[:0]
	}
	from := len(c.text)
	c.text = append(c.text, b...)
	return c.text[from:len(c.text):len(c.text)]
}

// free gives the memory back; nothing may point into it any more.
func (c *chunk) free() {
	if c.records == nil { // of records that were put back
		return
	}
	for i, b := range c.blocks {
		blocks.Put(b)
		c.blocks[i] = nil
	}
	clear(c.records)
	clear(c.headers)
	c.list, c.text, c.blocks, c.headers = nil, nil, c.blocks[:0], c.headers[:0]
	chunks.Put(c)
}
