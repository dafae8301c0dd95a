package consumers

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/kafka"
)

var (
	texts  kafka.Pools
	chunks = sync.Pool{New: func() any { return new(chunk) }}
)

// chunk holds records that were fetched together. Those of a compressed batch are
// kept as they came: they share the memory of their batch, and nothing else is in
// it. All others are copied, for each keeps the whole answer of the broker from
// being freed.
type chunk struct {
	list    []*kgo.Record // what was not taken
	all     []*kgo.Record
	records []kgo.Record // those that are copied
	headers []kgo.RecordHeader
	text    []byte // their keys and values
	size    int64
}

// newChunk takes records over, and gives the memory of those that it copies back.
func newChunk(records []*kgo.Record) *chunk {
	c := chunks.Get().(*chunk)
	c.grow(records)
	for _, r := range records {
		c.size += sizeOf(r)
		if ownsMemory(r) {
			c.all = append(c.all, r)
			continue
		}
		c.all = append(c.all, c.copied(r))
		r.Recycle()
	}
	c.list = c.all
	return c
}

// ownsMemory reports whether what r points to is memory of its batch alone, which
// recycling gives back. Batches of a form that Kafka 4 no longer has are not known
// to be so.
func ownsMemory(r *kgo.Record) bool {
	return r.Attrs.CompressionType() != 0 && r.Context != nil
}

// grow makes room for records, and for those among them that are copied.
func (c *chunk) grow(records []*kgo.Record) {
	copies, headers, text := 0, 0, 0
	for _, r := range records {
		if ownsMemory(r) {
			continue
		}
		copies++
		headers += len(r.Headers)
		text += len(r.Key) + len(r.Value)
		for i := range r.Headers {
			text += len(r.Headers[i].Value)
		}
	}
	if copies > 0 {
		c.text = texts.Buffer(text)
	}
	if cap(c.all) < len(records) {
		c.all = make([]*kgo.Record, 0, len(records))
	}
	if cap(c.records) < copies {
		c.records = make([]kgo.Record, 0, copies)
	}
	if cap(c.headers) < headers {
		c.headers = make([]kgo.RecordHeader, 0, headers)
	}
}

// copied is a copy of r in the chunk's memory.
func (c *chunk) copied(r *kgo.Record) *kgo.Record {
	c.records = append(c.records, *r) // there is room
	to := &c.records[len(c.records)-1]
	to.Context, to.Key, to.Value = nil, c.copy(r.Key), c.copy(r.Value)
	to.Headers = c.copyHeaders(r.Headers)
	return to
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
	if b == nil {
		return nil
	}
	from := len(c.text)
	c.text = append(c.text, b...)
	return c.text[from:len(c.text):len(c.text)]
}

// free gives the memory back; nothing may point into it any more.
func (c *chunk) free() {
	if c.all == nil { // of records that were put back
		return
	}
	for i, r := range c.all {
		r.Recycle() // does nothing with a copy
		c.all[i] = nil
	}
	if c.text != nil {
		texts.PutDecompressBytes(c.text)
	}
	clear(c.records)
	clear(c.headers)
	c.size, c.list, c.text, c.all, c.records, c.headers = 0, nil, nil, c.all[:0], c.records[:0], c.headers[:0]
	chunks.Put(c)
}
