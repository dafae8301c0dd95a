package mysql

import (
	"encoding/binary"
	"errors"
)

// errMalformed says that bytes of the log or of a packet end early or
// contradict themselves.
var errMalformed = errors.New("malformed bytes")

// cursor reads the fields of a packet one after the other. Reading past the
// end gives zeros and makes it bad for good, so that a parser checks once.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, nil when there are not as many.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) skip(n int) { c.take(n) }

func (c *cursor) u8() uint8 {
	if len(c.b) < 1 {
		c.b, c.bad = nil, true
		return 0
	}
	out := c.b[0]
	c.b = c.b[1:]
	return out
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uint reads a little-endian number of n bytes, at most eight.
func (c *cursor) uint(n int) uint64 {
	if n > 8 {
		c.b, c.bad = nil, true
		return 0
	}
	return littleEndian(c.take(n))
}

// packed reads MySQL's length-encoded integer.
func (c *cursor) packed() uint64 {
	switch first := c.u8(); first {
	case 0xfc:
		return uint64(c.u16())
	case 0xfd:
		return c.uint(3)
	case 0xfe:
		return c.u64()
	case 0xfb, 0xff: // NULL and error markers, no numbers
		c.b, c.bad = nil, true
		return 0
	default:
		return uint64(first)
	}
}

// length reads a length-encoded integer that counts bytes or items still to
// come, of which each has at least one byte.
func (c *cursor) length() int {
	n := c.packed()
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return 0
	}
	return int(n)
}

// text reads a string with its length in front, length-encoded.
func (c *cursor) text() []byte { return c.take(c.length()) }

// err is errMalformed once the cursor is bad.
func (c *cursor) err() error {
	if c.bad {
		return errMalformed
	}
	return nil
}

func littleEndian(d []byte) (u uint64) {
	for i := len(d) - 1; i >= 0; i-- {
		u = u<<8 | uint64(d[i])
	}
	return u
}

func bigEndian(d []byte) (u uint64) {
	for _, b := range d {
		u = u<<8 | uint64(b)
	}
	return u
}

func uint24(d []byte) uint32 {
	_ = d[2]
	return uint32(d[0]) | uint32(d[1])<<8 | uint32(d[2])<<16
}
