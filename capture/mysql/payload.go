package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/weir-cdc/weir/internal/cdc"
)

// growStep bounds how much memory is taken on the word of a length that was
// read: more is taken as the bytes come.
const growStep = 1 << 20

// readExactly reads n bytes behind those in dst.
func readExactly(dst []byte, r io.Reader, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, growStep)
		at := len(dst)
		if cap(dst)-at < step {
			dst = append(dst, make([]byte, step)...)
		} else {
			dst = dst[:at+step]
		}
		if _, err := io.ReadFull(r, dst[at:]); err != nil {
			return dst[:at], err
		}
		n -= step
	}
	return dst, nil
}

// inflater reads MariaDB's compressed events and columns; its memory is reused.
type inflater struct {
	src   bytes.Reader
	zlib  io.ReadCloser
	flate io.ReadCloser
	out   []byte
}

// record uncompresses what log_bin_compress wrote: a byte with the algorithm
// and the size of the length, the length, big-endian, and zlib's data. The
// result is valid until the next call.
func (f *inflater) record(b []byte) ([]byte, error) {
	c := cursor{b: b}
	head := c.u8()
	size := bigEndian(c.take(int(head & 7)))
	if c.bad || head&0x80 == 0 || size > 1<<32 {
		return nil, errMalformed
	}
	if algorithm := head >> 4 & 7; algorithm != 0 {
		return nil, fmt.Errorf("compression algorithm %d is not known", algorithm)
	}
	var err error
	f.out, err = f.inflate(f.out[:0], c.b, int(size))
	return f.out, err
}

// inflate appends size bytes that b has compressed.
func (f *inflater) inflate(dst, b []byte, size int) ([]byte, error) {
	f.src.Reset(b)
	var err error
	if f.zlib == nil {
		f.zlib, err = zlib.NewReader(&f.src)
	} else {
		err = f.zlib.(zlib.Resetter).Reset(&f.src, nil)
	}
	if err == nil {
		dst, err = readExactly(dst, f.zlib, size)
	}
	if err != nil {
		return dst, fmt.Errorf("uncompressing %d bytes to %d: %w", len(b), size, err)
	}
	return dst, nil
}

// parseCompressedQuery reads a query event whose statement is compressed.
func (p *parser) parseCompressedQuery(e *event, b []byte) error {
	e.kind = eventQuery
	if err := e.query.parse(b); err != nil {
		return err
	}
	sql, err := p.inflate.record(e.query.sql)
	e.query.sql = sql
	return err
}

// The fields in front of a compressed transaction.
const (
	payloadEnd = iota
	payloadSize
	payloadCompression
	payloadUncompressedSize
)

// The algorithms of a compressed transaction.
const (
	payloadZstd = 0
	payloadNone = 255
)

// wholePayload is up to which size a transaction is uncompressed at once; above
// it, or where it does not say its size, it is streamed, one event in memory at
// a time.
const wholePayload = 1 << 20

// widestWindow is what zstd needs at its highest level; a frame that asks for
// more memory was not written by a server.
const widestWindow = 128 << 20

// payloadReader uncompresses transactions; its memory is reused.
type payloadReader struct {
	algorithm uint64
	size      uint64 // uncompressed
	data      []byte

	decoder *zstd.Decoder
	src     bytes.Reader
	whole   []byte // the transaction
	one     []byte // the event
}

// parse reads the fields of a payload event.
func (p *payloadReader) parse(b []byte) error {
	p.algorithm, p.size = payloadNone, 0
	c := cursor{b: b}
	for !c.bad {
		kind := c.packed()
		if kind == payloadEnd {
			break
		}
		field := cursor{b: c.text()}
		switch kind {
		case payloadCompression:
			p.algorithm = field.packed()
		case payloadUncompressedSize:
			p.size = field.packed()
		}
		c.bad = c.bad || field.bad
	}
	p.data = c.b
	if p.algorithm != payloadZstd && p.algorithm != payloadNone {
		return fmt.Errorf("compression algorithm %d is not known", p.algorithm)
	}
	return c.err()
}

// payload parses the events in the payload event that was parsed last and calls
// each for every one, in order. They have the payload's position. An event is
// valid during the call only.
func (p *parser) payload(each func(*event) error) error {
	if p.inside {
		return fmt.Errorf("%w: a payload within a payload", errMalformed)
	}
	start, end := p.ev.start, p.ev.end
	p.inside = true
	defer func() { p.inside = false }()
	err := p.unpack.events(func(raw []byte) error {
		p.ev.start, p.ev.end = start, end
		e, err := p.parse(raw)
		if err != nil {
			return err
		}
		return each(e)
	})
	p.ev.start, p.ev.end = start, end
	if err != nil {
		return fmt.Errorf("reading compressed transaction at position %d: %w", start, err)
	}
	return nil
}

// events calls each for every event of the payload.
func (p *payloadReader) events(each func(raw []byte) error) error {
	switch {
	case p.algorithm == payloadNone:
		return splitEvents(p.data, each)
	case p.decoder == nil:
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(widestWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("making a zstd decoder: %w", err)
		}
		p.decoder = d
	}
	if p.size == 0 || p.size > wholePayload {
		return p.stream(each)
	}
	p.whole = slices.Grow(p.whole[:0], int(p.size))
	whole, err := p.decoder.DecodeAll(p.data, p.whole[:0:p.size])
	if err != nil {
		return fmt.Errorf("uncompressing: %w", err)
	}
	return splitEvents(whole, each)
}

// splitEvents calls each for every event that lies in b.
func splitEvents(b []byte, each func(raw []byte) error) error {
	for len(b) > 0 {
		size, err := eventSize(b)
		if err != nil || size > len(b) {
			return errMalformed
		}
		if err := each(b[:size:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// eventSize reads an event's size from its header.
func eventSize(head []byte) (int, error) {
	if len(head) < eventHeaderSize {
		return 0, errMalformed
	}
	size := int(binary.LittleEndian.Uint32(head[9:]))
	if size < eventHeaderSize {
		return 0, errMalformed
	}
	return size, nil
}

// stream uncompresses one event after the other.
func (p *payloadReader) stream(each func(raw []byte) error) error {
	p.src.Reset(p.data)
	if err := p.decoder.Reset(&p.src); err != nil {
		return fmt.Errorf("uncompressing: %w", err)
	}
	for {
		head, err := readExactly(p.one[:0], p.decoder, eventHeaderSize)
		p.one = head
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("uncompressing: %w", err)
		}
		size, err := eventSize(head)
		if err != nil {
			return err
		}
		if p.one, err = readExactly(head, p.decoder, size-eventHeaderSize); err != nil {
			return fmt.Errorf("uncompressing: %w", err)
		}
		if err := each(p.one); err != nil {
			return err
		}
	}
}

// column uncompresses a value of a COMPRESSED column into r's memory.
func (f *inflater) column(r *cdc.Row, b []byte) ([]byte, error) {
	const raw = 8 // without zlib's wrapping
	c := cursor{b: b}
	head := c.u8()
	if head == 0 {
		return c.b, nil
	}
	size := bigEndian(c.take(int(head & 7)))
	if c.bad || head&0x80 == 0 || size > 1<<32 {
		return nil, errMalformed
	}
	var err error
	if head&raw != 0 {
		f.out, err = f.inflateRaw(f.out[:0], c.b, int(size))
	} else {
		f.out, err = f.inflate(f.out[:0], c.b, int(size))
	}
	if err != nil {
		return nil, err
	}
	out := r.Alloc(len(f.out))
	copy(out, f.out)
	return out, nil
}

// inflateRaw appends size bytes that b has compressed without zlib's wrapping.
func (f *inflater) inflateRaw(dst, b []byte, size int) ([]byte, error) {
	f.src.Reset(b)
	if f.flate == nil {
		f.flate = flate.NewReader(&f.src)
	} else if err := f.flate.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return dst, fmt.Errorf("uncompressing: %w", err)
	}
	dst, err := readExactly(dst, f.flate, size)
	if err != nil {
		return dst, fmt.Errorf("uncompressing %d bytes to %d: %w", len(b), size, err)
	}
	return dst, nil
}
