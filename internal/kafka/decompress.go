package kafka

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Decompressor decompresses fetched batches (kgo.WithDecompressor) into buffers of
// Pools that are about as large as what they hold. Batches of lz4 are decoded block
// by block, without the checksum of the frame: the client has checked that of the
// batch, which covers the same bytes.
type Decompressor struct {
	pools *Pools
	other kgo.Decompressor
	// ratio is about how many times larger batches become, in parts of ratioUnit.
	ratio atomic.Int64
}

// ratioUnit is a ratio of 1.
const ratioUnit = 1 << 10

// largestBatch is what a batch may decompress to.
const largestBatch = 1 << 30

// NewDecompressor makes a Decompressor. The client must have the pools, too, which
// it gives the buffers back to.
func NewDecompressor(p *Pools) *Decompressor {
	d := &Decompressor{pools: p}
	d.ratio.Store(4 * ratioUnit)
	d.other = kgo.DefaultDecompressor(guess{p, d})
	return d
}

// Decompress implements kgo.Decompressor.
func (d *Decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	if codec == kgo.CodecLz4 {
		if frame, ok := parseFrame(src); ok {
			if out, ok := d.unlz4(frame, d.pools.Buffer(d.likely(len(src)))); ok {
				return d.fitted(src, out), nil
			}
		}
	}
	out, err := d.other.Decompress(src, codec)
	if err == nil && len(out) > largestBatch {
		return nil, kgo.ErrMaxDecompress
	}
	if err != nil {
		return nil, err
	}
	return d.fitted(src, out), nil
}

// likely is about what n bytes become.
func (d *Decompressor) likely(n int) int {
	return int(int64(n)*d.ratio.Load()/ratioUnit) + n/8
}

// fitted is out in a buffer that is about as large, and remembers how large it is
// beside src.
func (d *Decompressor) fitted(src, out []byte) []byte {
	now, was := int64(len(out))*ratioUnit/int64(max(len(src), 1)), d.ratio.Load()
	if now < was { // a guess that is too small costs more than one that is too large
		now = was - (was-now)/8
	}
	d.ratio.Store(now)
	if size, _ := sizeFor(len(out)); cap(out) <= size+size/2 {
		return out
	}
	fitting := append(d.pools.Buffer(len(out)), out...)
	d.pools.PutDecompressBytes(out)
	return fitting
}

// guess hands out buffers of a likely size.
type guess struct {
	*Pools
	d *Decompressor
}

// GetDecompressBytes implements kgo.PoolDecompressBytes.
func (g guess) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return g.Buffer(g.d.likely(len(compressed)))
}

// A frame of lz4: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md.
const (
	frameMagic       = 0x184D2204
	frameDictionary  = 1 << 0
	frameChecksum    = 1 << 2
	frameSize        = 1 << 3
	frameBlockSum    = 1 << 4
	frameIndependent = 1 << 5
	frameVersion     = 1 << 6
	frameVersions    = 3 << 6

	blockPlain = 1 << 31 // in the size of a block that is not compressed
)

// frame is what lies behind the header of one.
type frame struct {
	blocks []byte
	most   int // bytes that a block becomes, at most
	sum    int // bytes behind each block
	end    int // bytes behind the mark of the end
}

// parseFrame reads the header of a frame whose blocks can be decoded one by one;
// false: it is something else.
func parseFrame(src []byte) (f frame, ok bool) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != frameMagic {
		return f, false
	}
	flags, size := src[4], src[5]>>4
	if flags&frameVersions != frameVersion || flags&frameIndependent == 0 || flags&frameDictionary != 0 || size < 4 || size > 7 {
		return f, false
	}
	f.most = 1 << (8 + 2*size) // 64 KiB, 256 KiB, 1 MiB, 4 MiB
	if flags&frameBlockSum != 0 {
		f.sum = 4
	}
	if flags&frameChecksum != 0 {
		f.end = 4
	}
	header := 7
	if flags&frameSize != 0 {
		header += 8
	}
	if len(src) < header {
		return f, false
	}
	f.blocks = src[header:]
	return f, true
}

// unlz4 decodes a frame into dst or a larger buffer; false: it is broken, or
// unusual. dst is given back then.
func (d *Decompressor) unlz4(f frame, dst []byte) (_ []byte, ok bool) {
	in := f.blocks
	for len(in) >= 4 {
		size := binary.LittleEndian.Uint32(in)
		in = in[4:]
		if size == 0 {
			if len(in) != f.end {
				break
			}
			return dst, true
		}
		n := int(size &^ blockPlain)
		if n+f.sum > len(in) || len(dst) > largestBatch-f.most {
			break
		}
		if dst, ok = d.block(dst, in[:n], size&blockPlain != 0, f.most); !ok {
			break
		}
		in = in[n+f.sum:]
	}
	d.pools.PutDecompressBytes(dst)
	return nil, false
}

// block appends a block of most bytes at most.
func (d *Decompressor) block(dst, block []byte, plain bool, most int) (_ []byte, ok bool) {
	if plain {
		return append(d.room(dst, len(block)), block...), len(block) <= most
	}
	for {
		room := min(most, cap(dst)-len(dst))
		if room == 0 {
			dst = d.room(dst, min(most, 2*len(block)))
			continue
		}
		n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+room])
		if err == nil {
			return dst[:len(dst)+n], true
		}
		if room == most {
			return dst, false
		}
		dst = d.room(dst, min(most, max(2*room, 2*len(block))))
	}
}

// room is dst with room for n bytes.
func (d *Decompressor) room(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	larger := append(d.pools.Buffer(len(dst)+n), dst...)
	d.pools.PutDecompressBytes(dst)
	return larger
}
