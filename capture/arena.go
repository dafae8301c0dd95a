package capture

import "github.com/twmb/franz-go/pkg/kgo"

const (
	arenaBlock  = 1 << 20 // bytes of a block of content
	recordBlock = 1024    // records of a block
	headerBlock = 4096    // headers of a block
	keptBlocks  = 16      // content blocks that an arena keeps when reset
)

// arena is memory for the content of records that all end at the same time:
// bytes, records and headers, in blocks that are used again.
type arena struct {
	blocks  [][]byte
	block   int // the one that is being filled
	records []*[recordBlock]kgo.Record
	nrecord int
	heads   []*[headerBlock]kgo.RecordHeader
	nheader int
	used    int // bytes handed out since reset
}

func newArena() *arena { return &arena{} }

// tail is room to append to, of at least n bytes; keep then takes what was
// appended.
func (a *arena) tail(n int) []byte {
	for a.block < len(a.blocks) {
		b := a.blocks[a.block]
		if cap(b)-len(b) >= n {
			return b[len(b):len(b):cap(b)]
		}
		a.block++
	}
	a.blocks = append(a.blocks, make([]byte, 0, max(arenaBlock, n)))
	return a.blocks[a.block][:0:cap(a.blocks[a.block])]
}

// keep makes b, which was appended to tail's result, part of the arena, unless
// appending moved it to memory of its own.
func (a *arena) keep(b []byte) []byte {
	a.used += len(b)
	block := a.blocks[a.block]
	if cap(b) == cap(block)-len(block) {
		a.blocks[a.block] = block[:len(block)+len(b)]
	}
	return b[:len(b):len(b)]
}

// copy keeps a copy of b.
func (a *arena) copy(b []byte) []byte { return a.keep(append(a.tail(len(b)), b...)) }

// version keeps v as its header has it.
func (a *arena) version(v int64) []byte { return a.keep(appendVersion(a.tail(versionDigits), v)) }

func (a *arena) record() *kgo.Record {
	if a.nrecord == len(a.records)*recordBlock {
		a.records = append(a.records, new([recordBlock]kgo.Record))
	}
	r := &a.records[a.nrecord/recordBlock][a.nrecord%recordBlock]
	a.nrecord++
	return r
}

// headerSlots returns n adjacent headers.
func (a *arena) headerSlots(n int) []kgo.RecordHeader {
	at := a.nheader % headerBlock
	if at+n > headerBlock {
		a.nheader += headerBlock - at
		at = 0
	}
	if a.nheader/headerBlock == len(a.heads) {
		a.heads = append(a.heads, new([headerBlock]kgo.RecordHeader))
	}
	h := a.heads[a.nheader/headerBlock][at : at+n : at+n]
	a.nheader += n
	return h
}

// reset makes all memory free again.
func (a *arena) reset() {
	for i := range a.blocks {
		a.blocks[i] = a.blocks[i][:0]
	}
	if len(a.blocks) > keptBlocks {
		clear(a.blocks[keptBlocks:])
		a.blocks = a.blocks[:keptBlocks]
	}
	a.block, a.nrecord, a.nheader, a.used = 0, 0, 0, 0
}
