package kafka

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Compression is how a producer compresses, by the name that compression.type has
// for it: none, gzip, snappy, lz4 or zstd. Others are none.
func Compression(name string) kgo.ProducerOpt {
	if name == "lz4" {
		return kgo.WithCompressor(new(Lz4Compressor))
	}
	codecs := map[string]kgo.CompressionCodec{"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "zstd": kgo.ZstdCompression()}
	return kgo.ProducerBatchCompression(codecs[name])
}

// Lz4Compressor compresses batches with lz4 (kgo.WithCompressor). It hands a batch
// to the codec block by block where it lies, and leaves out the checksum of the
// frame: the batch has one of its own, over the same bytes.
type Lz4Compressor struct {
	codecs sync.Pool // of *lz4.Compressor
}

// blockSize is how much is compressed at a time: as densely as in larger blocks
// (matches reach back 64 KiB), while it stays in the cache.
const blockSize = 256 << 10

// frameHeader begins a frame of independent blocks of blockSize at most, without
// checksums. The last byte is the header's own checksum.
var frameHeader = [...]byte{0x04, 0x22, 0x4D, 0x18, frameVersion | frameIndependent, 5 << 4, 0xFB}

// Compress implements kgo.Compressor.
func (c *Lz4Compressor) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	codec, ok := c.codecs.Get().(*lz4.Compressor)
	if !ok {
		codec = new(lz4.Compressor)
	}
	defer c.codecs.Put(codec)
	// A block that becomes no shorter is kept as it is.
	dst.Grow(len(frameHeader) + len(src) + 4*(len(src)/blockSize+2))
	out := append(dst.AvailableBuffer(), frameHeader[:]...)
	for len(src) > 0 {
		n := min(len(src), blockSize)
		out = appendBlock(out, codec, src[:n])
		src = src[n:]
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}

// appendBlock appends a block and its size to dst, which has room for it as it is.
func appendBlock(dst []byte, codec *lz4.Compressor, block []byte) []byte {
	at := len(dst)
	body := dst[at+4 : at+4+len(block)]
	n, err := codec.CompressBlock(block, body)
	size := uint32(n)
	if err != nil || n == 0 || n >= len(block) {
		n = copy(body, block)
		size = uint32(n) | blockPlain
	}
	binary.LittleEndian.PutUint32(dst[at:at+4], size)
	return dst[:at+4+n]
}
