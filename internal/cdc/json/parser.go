package json

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
)

// parser is a position in a JSON text. Its methods take what they are named
// after, from p.i on, and report false where it is not there; the first reason
// given to fail, and its place, make the error.
type parser struct {
	b []byte
	i int

	// absent and absentBytes are the texts that stand for a value that the
	// source did not send, in text and in bytes fields.
	absent, absentBytes []byte

	mishap
	cause error // instead of a reason

	scratch []byte      // an unescaped name
	seen    []uint64    // bits of the fields seen, of all open objects
	stack   []cdc.Value // elements of all open arrays
	element cdc.Value   // the one that is read; what is nested in it comes first
	strange []string    // names the shape lacks
}

// mishap is where and why a text could not be read.
type mishap struct {
	at            int // -1: it could
	field, reason string
}

// prefer takes m in place of what failed last, if it says in which field the same
// was found.
func (p *parser) prefer(m mishap) {
	if m.field != "" && m.at == p.at {
		p.mishap = m
	}
}

// letGo forgets the text: a reader that waits for its next record would keep it
// in memory.
func (p *parser) letGo() { p.b, p.element = nil, cdc.Value{} }

// start makes p begin at b.
func (p *parser) start(b []byte) {
	p.b, p.cause = b, nil
	p.seen, p.stack, p.strange = p.seen[:0], p.stack[:0], p.strange[:0]
	p.back(0)
}

// back makes p begin again at i, whatever failed since.
func (p *parser) back(i int) { p.i, p.mishap = i, mishap{at: -1} }

// jump goes on at i, all before it being known to be JSON.
func (p *parser) jump(i int) bool { p.i = i; return true }

// isAbsent reports whether s stands for a value that the source did not send.
func (p *parser) isAbsent(s []byte) bool {
	return len(s) == len(p.absent) && len(s) > 0 && text(s) == text(p.absent)
}

// fail notes why the text cannot be read; the first reason stays.
func (p *parser) fail(at int, reason string) bool {
	if p.at < 0 {
		p.at, p.reason = at, reason
	}
	return false
}

// in notes the field in which the text cannot be read, the innermost first.
func (p *parser) in(field string) bool {
	p.fail(p.i, "")
	if p.field == "" {
		p.field = field
	}
	return false
}

func (p *parser) failure() error {
	if p.cause != nil {
		return p.cause
	}
	at, reason := p.at, p.reason
	if at < 0 {
		at = p.i
	}
	if reason == "" {
		reason = "malformed JSON"
		if at >= len(p.b) {
			reason = "the JSON text ends too early"
		}
	}
	if p.field != "" {
		return fmt.Errorf("field %q: %s at byte %d", p.field, reason, at)
	}
	return fmt.Errorf("%s at byte %d", reason, at)
}

func (p *parser) space() {
	for p.i < len(p.b) && p.b[p.i] <= ' ' && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\t' || p.b[p.i] == '\r') {
		p.i++
	}
}

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

// consume skips white space and takes c if it is next.
func (p *parser) consume(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	if p.space(); p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// next takes what follows a member: a comma (more is true), or end.
func (p *parser) next(end byte) (more, ok bool) {
	if p.consume(',') {
		return true, true
	}
	return false, p.consume(end)
}

// end takes white space up to the end of the text.
func (p *parser) end() bool {
	if p.space(); p.i == len(p.b) {
		return true
	}
	return p.fail(p.i, "something follows the JSON value")
}

func (p *parser) literal(s string) bool {
	if len(p.b)-p.i >= len(s) && text(p.b[p.i:p.i+len(s)]) == s {
		p.i += len(s)
		return true
	}
	return false
}

// key takes a member's name, its colon and the white space around them. The
// name is valid until the next call.
func (p *parser) key() ([]byte, bool) {
	p.space()
	k, ok := p.str(nil)
	if !ok || !p.consume(':') {
		return nil, false
	}
	p.space()
	return k, true
}

// int takes an integer that fits 64 bits.
func (p *parser) int() (int64, bool) {
	b, i := p.b, p.i
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	start := i
	var u uint64
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		if !eightDigits(x) {
			break
		}
		u = u*100_000_000 + valueOf8(x)
		i += 8
	}
	for i < len(b) && b[i]-'0' <= 9 {
		u = u*10 + uint64(b[i]-'0')
		i++
	}
	n := i - start
	if n == 0 || n > 1 && b[start] == '0' {
		return 0, false
	}
	if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return 0, p.fail(p.i, "no integer")
	}
	if n > 19 || u > math.MaxInt64 && !(negative && u == 1<<63) {
		return 0, p.fail(p.i, "an integer of more than 64 bits")
	}
	p.i = i
	if negative {
		u = -u
	}
	return int64(u), true
}

// eightDigits reports whether all eight bytes are digits.
func eightDigits(x uint64) bool {
	const zeros = ones * '0'
	return x&(ones*0xf0) == zeros && (x+ones*6)&(ones*0xf0) == zeros
}

// valueOf8 is the number that eight digits are, the first in the lowest byte:
// neighbours are added up as pairs, then fours, then eights.
func valueOf8(x uint64) uint64 {
	x = x & 0x0f0f0f0f0f0f0f0f * (10<<8 + 1) >> 8
	x = x & 0x00ff00ff00ff00ff * (100<<16 + 1) >> 16
	return x & 0x0000ffff0000ffff * (10_000<<32 + 1) >> 32
}

func (p *parser) nullableInt() (int64, bool) {
	if p.literal("null") {
		return 0, true
	}
	return p.int()
}

// float takes a number, or one of the strings that Jackson writes for what is
// none.
func (p *parser) float(bitSize int) (float64, bool) {
	start := p.i
	if bitSize == 64 {
		if f, ok := p.shortFloat(); ok {
			return f, true
		}
	}
	if p.peek() == '"' {
		s, ok := p.str(nil)
		if t := text(s); !ok || t != "NaN" && t != "Infinity" && t != "-Infinity" {
			return 0, p.fail(start, "no number")
		}
		f, err := strconv.ParseFloat(text(s), bitSize)
		return f, err == nil
	}
	if !p.number() {
		return 0, p.fail(start, "no number")
	}
	f, err := strconv.ParseFloat(text(p.b[start:p.i]), bitSize)
	if err != nil {
		return 0, p.fail(start, "a number beyond the range of its type")
	}
	return f, true
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// shortFloat takes a number of at most 15 digits without an exponent: digits and
// power of ten are exact, so one division rounds correctly. It takes nothing
// where the number is another.
func (p *parser) shortFloat() (float64, bool) {
	b, i := p.b, p.i
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	start, n := i, uint64(0)
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	if i == start || i-start > 1 && b[start] == '0' || i >= len(b) || b[i] != '.' {
		return 0, false
	}
	point := i
	for i++; i < len(b) && b[i]-'0' <= 9; i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	decimals := i - point - 1
	if decimals == 0 || i-start > 16 || i < len(b) && b[i]|0x20 == 'e' {
		return 0, false
	}
	p.i = i
	f := float64(n) / powersOfTen[decimals]
	if negative {
		f = -f
	}
	return f, true
}

// number takes a number of JSON's grammar.
func (p *parser) number() bool {
	b, i := p.b, p.i
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i == first || i-first > 1 && b[first] == '0' {
		return false
	}
	if i < len(b) && b[i] == '.' {
		start := i + 1
		if i = digits(b, start); i == start {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		start := i
		if i = digits(b, start); i == start {
			return false
		}
	}
	p.i = i
	return true
}

// digits moves from i to behind the digits there.
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// stop marks (in each byte's high bit) quote, backslash and control characters;
// the lowest mark is exact.
func stop(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// scan moves from i to the next quote, backslash or control character, and
// reports whether what it passed is UTF-8.
func scan(b []byte, i int) (end int, valid bool) {
	start, seen := i, uint64(0)
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := stop(x); m != 0 {
			n := bits.TrailingZeros64(m)
			seen |= x << (71 - n) // the bytes before the mark
			i += n / 8
			return i, seen&highs == 0 || utf8.Valid(b[start:i])
		}
		seen |= x
	}
	for ; i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\'; i++ {
		seen |= uint64(b[i])
	}
	return i, seen&highs == 0 || utf8.Valid(b[start:i])
}

// str takes a string: a slice of the text where it has no escapes, else a copy
// in row's arena, or in p.scratch for a nil row.
func (p *parser) str(row *cdc.Row) ([]byte, bool) {
	if p.i >= len(p.b) || p.b[p.i] != '"' {
		return nil, false
	}
	start := p.i + 1
	i, valid := scan(p.b, start)
	if !valid {
		return nil, p.fail(start, "text that is not UTF-8")
	}
	if i >= len(p.b) {
		return nil, p.fail(i, "")
	}
	if p.b[i] == '"' {
		p.i = i + 1
		return p.b[start:i:i], true
	}
	if row == nil {
		out, ok := p.unescape(p.scratch[:0], start, i)
		p.scratch = out
		return out, ok
	}
	out, ok := p.unescape(row.Tail(i-start+128), start, i)
	if ok {
		out = row.Keep(out)
	}
	return out, ok
}

// unescape appends the string that began at start and has its first escape, or
// what a string cannot hold, at i.
func (p *parser) unescape(out []byte, start, i int) ([]byte, bool) {
	const room = 16 // for a word or a character
	b := p.b
	out = append(out, b[start:i]...)
	buf, n, seen := out[:cap(out)], len(out), uint64(0)
	for {
		if n+room > len(buf) {
			buf = slices.Grow(buf[:n], len(buf)+room)
			buf = buf[:cap(buf)]
		}
		if i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			binary.LittleEndian.PutUint64(buf[n:], x)
			mark := stop(x)
			if mark == 0 {
				seen |= x
				i, n = i+8, n+8
				continue
			}
			k := bits.TrailingZeros64(mark) / 8
			seen |= x << (64 - 8*k) // the bytes before the mark
			i, n = i+k, n+k
		}
		switch {
		case i >= len(b):
			return buf[:n], p.fail(i, "")
		case b[i] == '\\' && i+1 < len(b) && escapes[b[i+1]] != 0:
			buf[n] = escapes[b[i+1]]
			i, n = i+2, n+1
		case b[i] == '\\':
			r, k := codePoint(b[i:])
			if k == 0 {
				return buf[:n], p.fail(i, "")
			}
			n = len(utf8.AppendRune(buf[:n], r))
			i += k
		case b[i] == '"':
			if seen&highs != 0 && !utf8.Valid(buf[:n]) {
				return buf[:n], p.fail(start, "text that is not UTF-8")
			}
			p.i = i + 1
			return buf[:n], true
		case b[i] < ' ':
			return buf[:n], p.fail(i, "")
		default: // in the last word of the text
			buf[n] = b[i]
			seen |= uint64(b[i])
			i, n = i+1, n+1
		}
	}
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// codePoint reads \uXXXX, or two of them that are a surrogate pair, and says how
// long that was, 0 if it is neither. Half a pair, which Debezium makes where it
// truncates text, becomes U+FFFD as in encoding/json.
func codePoint(b []byte) (rune, int) {
	r := hex4(b)
	if r < 0 {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if full := utf16.DecodeRune(r, hex4(b[6:])); full != utf8.RuneError {
			return full, 12
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case (c|0x20)-'a' <= 5:
			r = r<<4 | rune((c|0x20)-'a'+10)
		default:
			return -1
		}
	}
	return r
}
