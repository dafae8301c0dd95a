package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batches are texts as batches have them: empty, small, of several blocks, and
// such that do not get smaller.
func batches() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return map[string][]byte{
		"empty": {}, "one": []byte("x"), "envelopes": envelopes(2000), "zeros": make([]byte, 9<<20), "noise": noise,
		"mixed": append(append(envelopes(500), noise...), envelopes(500)...),
	}
}

func envelopes(n int) (out []byte) {
	for i := range n {
		out = fmt.Appendf(out, `{"before":null,"after":{"id":%d,"customer_id":%d,"status":"PAID","note":"%x"},"op":"c","ts_ms":%d}`, i, i%1000, i*2654435761, 1_800_000_000_000+i)
	}
	return out
}

// TestBatchesAreDecompressed of every codec, and of every form of lz4, into
// buffers that go back into their pool.
func TestBatchesAreDecompressed(t *testing.T) {
	pools := new(Pools)
	d := NewDecompressor(pools)
	for name, want := range batches() {
		for form, src := range compressed(t, want) {
			got, err := d.Decompress(src.text, src.codec)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes of %d, %v", name, form, len(got), len(want), err)
			}
			if size, _ := sizeFor(len(want)); src.codec != kgo.CodecNone && cap(got) > size+size/2 {
				t.Errorf("%s, %s: %d bytes wait in a buffer of %d", name, form, len(got), cap(got))
			}
			pools.PutDecompressBytes(got[:cap(got)])
		}
	}
}

type compression struct {
	text  []byte
	codec kgo.CompressionCodecType
}

// compressed is a text in all forms.
func compressed(t testing.TB, text []byte) map[string]compression {
	out := map[string]compression{"none": {text, kgo.CodecNone}}
	for name, c := range map[string]struct {
		codec kgo.CompressionCodec
		kind  kgo.CompressionCodecType
	}{"gzip": {kgo.GzipCompression(), kgo.CodecGzip}, "snappy": {kgo.SnappyCompression(), kgo.CodecSnappy}, "lz4": {kgo.Lz4Compression(), kgo.CodecLz4}, "zstd": {kgo.ZstdCompression(), kgo.CodecZstd}} {
		compressor, err := kgo.DefaultCompressor(c.codec)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		packed, _ := compressor.Compress(&b, text)
		out[name] = compression{bytes.Clone(packed), c.kind}
	}
	for name, options := range map[string][]lz4.Option{
		"blocks of 64 KiB":       {lz4.BlockSizeOption(lz4.Block64Kb)},
		"checksums of blocks":    {lz4.BlockChecksumOption(true), lz4.BlockSizeOption(lz4.Block256Kb)},
		"no checksum, its size":  {lz4.ChecksumOption(false), lz4.SizeOption(uint64(len(text)))},
		"another level of lz4":   {lz4.CompressionLevelOption(lz4.Level5), lz4.BlockSizeOption(lz4.Block1Mb)},
		"the old form of frames": {lz4.LegacyOption(true)},
	} {
		out[name] = compression{framed(t, text, options...), kgo.CodecLz4}
	}
	out["two frames"] = compression{append(framed(t, text[:len(text)/2]), framed(t, text[len(text)/2:])...), kgo.CodecLz4}
	if len(text) == 0 {
		delete(out, "two frames")
		delete(out, "the old form of frames")
	}
	return out
}

func framed(t testing.TB, text []byte, options ...lz4.Option) []byte {
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBrokenBatchesAreErrors and never a panic, or other bytes: whatever one bit
// of a frame becomes, the text is right or there is an error. Of lz4's own
// checksums there are none here: the batch has its own.
func TestBrokenBatchesAreErrors(t *testing.T) {
	d := NewDecompressor(new(Pools))
	want := envelopes(300)
	text := framed(t, want, lz4.BlockSizeOption(lz4.Block64Kb))
	for n := range 64 {
		if got, err := d.Decompress(text[:len(text)*n/64], kgo.CodecLz4); err == nil && !bytes.Equal(got, want) && len(got) > 0 {
			t.Errorf("%d of 64 parts of a frame gave %d bytes", n, len(got))
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		broken := bytes.Clone(text)
		broken[r.IntN(len(broken))] ^= 1 << r.IntN(8)
		if got, err := d.Decompress(broken, kgo.CodecLz4); err == nil && len(got) > 2*len(want) {
			t.Errorf("a broken frame gave %d bytes", len(got))
		}
	}
}

// TestSizesOfBuffers: each holds what it is for, and wastes at most a quarter.
func TestSizesOfBuffers(t *testing.T) {
	last := -1
	for n := 1; n <= 4<<20; n += 997 {
		size, index := sizeFor(n)
		if size < n || n > 1<<leastBits && size > n+n/4+1 || index < last || index >= bufferSizes {
			t.Fatalf("%d bytes are given %d, of pool %d after %d", n, size, index, last)
		}
		if again, same := sizeFor(size); again != size || same != index {
			t.Fatalf("a buffer of %d goes back as one of %d", size, again)
		}
		last = index
	}
	if size, index := sizeFor(4<<20 + 1); size != 4<<20+1 || index != -1 {
		t.Errorf("a buffer larger than all is of %d, pool %d", size, index)
	}
}

// BenchmarkDecompress is a batch of lz4 as kgo writes it, beside kgo's own way.
func BenchmarkDecompress(b *testing.B) {
	text := envelopes(4000)
	src := compressed(b, text)["lz4"]
	pools := new(Pools)
	for name, d := range map[string]kgo.Decompressor{"weir": NewDecompressor(pools), "kgo": kgo.DefaultDecompressor(pools)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				out, err := d.Decompress(src.text, src.codec)
				if err != nil {
					b.Fatal(err)
				}
				pools.PutDecompressBytes(out[:cap(out)])
			}
		})
	}
}
