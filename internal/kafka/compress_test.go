package kafka

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLz4Compressor: lz4's own reader, which checks the header, and the one that
// sinks use get back what went in, whatever its length and however dense it is.
func TestLz4Compressor(t *testing.T) {
	random := make([]byte, 3*blockSize)
	rng := rand.NewChaCha8([32]byte{1})
	if _, err := rng.Read(random); err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte(`{"id":1,"name":"a shop","note":"nothing of interest"},`), 20_000)
	mixed := append(append([]byte(nil), text[:blockSize+77]...), random[:blockSize]...)
	var c Lz4Compressor
	d := NewDecompressor(&Pools{})
	var dst bytes.Buffer
	for name, src := range map[string][]byte{
		"nothing": {}, "a byte": {7}, "text": text, "one block": text[:blockSize], "a block and a byte": text[:blockSize+1],
		"random": random, "some of both": mixed,
	} {
		dst.Reset()
		out, codec := c.Compress(&dst, src)
		if codec != kgo.CodecLz4 || len(out) > len(src)+4*(len(src)/blockSize+2)+len(frameHeader) {
			t.Errorf("%s: codec %v, %d bytes of %d", name, codec, len(out), len(src))
		}
		back, err := io.ReadAll(lz4.NewReader(bytes.NewReader(out)))
		if err != nil || !bytes.Equal(back, src) {
			t.Errorf("%s: lz4 reads %d bytes of %d, %v", name, len(back), len(src), err)
		}
		if back, err = d.Decompress(out, codec); err != nil || !bytes.Equal(back, src) {
			t.Errorf("%s: sinks read %d bytes of %d, %v", name, len(back), len(src), err)
		}
	}
	dst.Reset()
	if out, _ := c.Compress(&dst, text); len(out) > len(text)/10 {
		t.Errorf("text of %d bytes takes %d", len(text), len(out))
	}
}

// BenchmarkCompress compares with the client's own compressor.
func BenchmarkCompress(b *testing.B) {
	src := envelopes(7000)
	own, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		kgo.Compressor
	}{{"weir", &Lz4Compressor{}}, {"client", own}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			var dst bytes.Buffer
			for b.Loop() {
				dst.Reset()
				out, _ := c.Compress(&dst, src)
				b.ReportMetric(float64(len(src))/float64(len(out)), "ratio")
			}
		})
	}
}
