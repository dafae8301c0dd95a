package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/weir-cdc/weir/internal/cdc"
)

var errShort = errors.New("the row image ends inside a value")

// op is how a step decodes.
type op uint8

const (
	opSkip op = iota
	opInt8
	opUint8
	opInt16
	opUint16
	opInt24
	opUint24
	opInt32
	opUint32
	opInt64 // BIGINT UNSIGNED too: bigint.unsigned.handling.mode=long wraps
	opUintDecimal
	opBool
	opFloat
	opFloatDouble // FLOAT(M,D), which is a double to Debezium
	opDouble
	opDecimal
	opDecimalText
	opDecimalDouble
	opYear
	opBitBool
	opBits
	opEnum
	opSet
	opText
	opBinary
	opCompressed
	opJSON
	opGeometry
	opPoint
	opVector
	opUUID
	opINET4
	opINET6
	opDate
	opTime
	opDatetime
	opTimestamp
	opTimeOld
	opDatetimeOld
	opTimestampOld
	opTimeHires
	opDatetimeHires
	opTimestampHires
)

// decode decodes one row image from the head of data into r and returns its
// length. present says which columns the image has; the others become absent.
// Text and bytes in r may point into data. current is false for a row of a
// system-versioned table that is history.
func (p *plan) decode(r *cdc.Row, present, data []byte) (n int, current bool, err error) {
	p.reset(r)
	count := len(p.steps)
	if !all(present, count) {
		return p.decodePartial(r, present, data)
	}
	pos := (count + 7) / 8
	if len(data) < pos {
		return 0, false, errShort
	}
	nulls := data[:pos]
	for i := range p.steps {
		if nulls[i>>3]&(1<<(i&7)) != 0 {
			continue
		}
		n, err := p.steps[i].decode(r, data[pos:])
		if err != nil {
			return 0, false, p.failed(i, err)
		}
		pos += n
	}
	return pos, !p.versioned || p.isCurrent(present, data), nil
}

// reset makes r a row of nulls.
func (p *plan) reset(r *cdc.Row) {
	r.Reset(p.table.Value)
	for range p.extra {
		r.Values = append(r.Values, cdc.Value{})
	}
}

func (p *plan) failed(i int, err error) error {
	if at := p.steps[i].at; at >= 0 {
		return fmt.Errorf("column %s: %w", p.table.Definition.Columns[p.table.Ordinals[at]].Name, err)
	}
	return fmt.Errorf("column %d: %w", i+1, err)
}

// decodePartial decodes an image that lacks columns: its null bits are those of
// the present columns only.
func (p *plan) decodePartial(r *cdc.Row, present, data []byte) (n int, current bool, err error) {
	pos := (p.count(present) + 7) / 8
	if len(data) < pos {
		return 0, false, errShort
	}
	nulls, bit := data[:pos], 0
	for i := range p.steps {
		s := &p.steps[i]
		if present[i>>3]&(1<<(i&7)) == 0 {
			if s.at >= 0 {
				r.Values[s.at] = cdc.Absent()
			}
			continue
		}
		null := nulls[bit>>3]&(1<<(bit&7)) != 0
		bit++
		if null {
			continue
		}
		n, err := s.decode(r, data[pos:])
		if err != nil {
			return 0, false, p.failed(i, err)
		}
		pos += n
	}
	return pos, !p.versioned || p.isCurrent(present, data), nil
}

// count is how many columns are present.
func (p *plan) count(present []byte) int {
	have := 0
	for i := range p.steps {
		if present[i>>3]&(1<<(i&7)) != 0 {
			have++
		}
	}
	return have
}

func all(bitmap []byte, n int) bool {
	for ; n >= 8; n -= 8 {
		if bitmap[0] != 0xff {
			return false
		}
		bitmap = bitmap[1:]
	}
	mask := byte(1)<<n - 1
	return n == 0 || bitmap[0]&mask == mask
}

// raw finds the bytes of one column in an image, its length in front included:
// nil where it is NULL or not there.
func (p *plan) raw(column int, present, image []byte) ([]byte, error) {
	pos := (p.count(present) + 7) / 8
	if len(image) < pos {
		return nil, errShort
	}
	nulls, bit := image[:pos], 0
	for i := 0; i <= column; i++ {
		if present[i>>3]&(1<<(i&7)) == 0 {
			continue
		}
		null := nulls[bit>>3]&(1<<(bit&7)) != 0
		bit++
		if null {
			continue
		}
		n, err := p.steps[i].size(image[pos:])
		if err != nil {
			return nil, err
		}
		if i == column {
			return image[pos : pos+n], nil
		}
		pos += n
	}
	return nil, nil
}

// size is how many bytes the value at the head of d takes, its length included.
func (s *step) size(d []byte) (int, error) {
	if len(d) < s.width {
		return 0, errShort
	}
	if !s.variable {
		return s.width, nil
	}
	n := littleEndian(d[:s.width])
	if n > uint64(len(d)-s.width) {
		return 0, errShort
	}
	return s.width + int(n), nil
}

// isCurrent reports whether an image's row_end is the end of time: the last
// second that its type has.
func (p *plan) isCurrent(present, image []byte) bool {
	b, err := p.raw(p.rowEnd, present, image)
	if err != nil || b == nil {
		return true
	}
	if len(b) == 8 { // by transaction id: all ones
		return binary.LittleEndian.Uint64(b) == math.MaxUint64
	}
	seconds := binary.BigEndian.Uint32(b)
	return seconds == math.MaxInt32 || seconds == math.MaxUint32
}

// decode decodes one value from the head of d and returns its length.
func (s *step) decode(r *cdc.Row, d []byte) (int, error) {
	if s.variable {
		return s.decodeVariable(r, d)
	}
	if len(d) < s.width {
		return 0, errShort
	}
	if s.op == opSkip {
		return s.width, nil
	}
	v := &r.Values[s.at]
	switch s.op {
	case opInt8:
		*v = cdc.Int(int64(int8(d[0])))
	case opUint8:
		*v = cdc.Int(int64(d[0]))
	case opInt16:
		*v = cdc.Int(int64(int16(binary.LittleEndian.Uint16(d))))
	case opUint16:
		*v = cdc.Int(int64(binary.LittleEndian.Uint16(d)))
	case opInt32:
		*v = cdc.Int(int64(int32(binary.LittleEndian.Uint32(d))))
	case opUint32:
		*v = cdc.Int(int64(binary.LittleEndian.Uint32(d)))
	case opInt64:
		*v = cdc.Int(int64(binary.LittleEndian.Uint64(d)))
	case opFloat:
		*v = cdc.Float32(math.Float32frombits(binary.LittleEndian.Uint32(d)))
	case opDouble:
		*v = cdc.Float64(math.Float64frombits(binary.LittleEndian.Uint64(d)))
	case opDecimal:
		*v = s.decimal.decode(r, d)
	case opEnum:
		return s.width, s.setEnum(v, littleEndian(d[:s.width]))
	case opDate:
		return s.width, s.setDate(r, v, date3(d))
	case opDatetime:
		day, us := datetime5(d, s.n)
		return s.width, s.setDatetime(r, v, day, us)
	case opTimestamp:
		s.setTimestamp(r, v, int64(binary.BigEndian.Uint32(d)), fraction(d[4:], s.n))
	default:
		return s.width, s.decodeRare(r, v, d)
	}
	return s.width, nil
}

// decodeRare decodes the types of fixed size that are seen less often.
func (s *step) decodeRare(r *cdc.Row, v *cdc.Value, d []byte) error {
	switch s.op {
	case opInt24:
		*v = cdc.Int(int64(int32(uint24(d)<<8) >> 8))
	case opUint24:
		*v = cdc.Int(int64(uint24(d)))
	case opUintDecimal:
		*v = uintDecimal(r, binary.LittleEndian.Uint64(d))
	case opBool:
		*v = cdc.Bool(int8(d[0]) > 0) // as Debezium's converter has it
	case opFloatDouble:
		*v = cdc.Float64(float64(math.Float32frombits(binary.LittleEndian.Uint32(d))))
	case opDecimalText:
		*v = cdc.String(r.Keep(s.decimal.appendText(r.Tail(80), d)))
	case opDecimalDouble:
		*v = cdc.Float64(s.decimal.double(d))
	case opYear:
		s.setYear(v, int64(d[0]))
	case opBitBool:
		*v = cdc.Bool(d[s.width-1]&1 != 0)
	case opBits:
		s.setBits(r, v, d[:s.width])
	case opSet:
		return s.setSet(r, v, littleEndian(d[:s.width]))
	case opTime:
		s.setTime(r, v, time3(d, s.n))
	case opTimeOld:
		s.setTime(r, v, timeDecimal(d))
	case opDatetimeOld:
		day, us := datetimeDecimal(d)
		return s.setDatetime(r, v, day, us)
	case opTimestampOld:
		s.setTimestamp(r, v, int64(binary.LittleEndian.Uint32(d)), 0)
	case opTimeHires:
		s.setTime(r, v, hiresTime(d[:s.width], s.n))
	case opDatetimeHires:
		day, us := hiresDatetime(d[:s.width], s.n)
		return s.setDatetime(r, v, day, us)
	case opTimestampHires:
		us := int64(bigEndian(d[4:s.width]) * tens[6-s.n])
		s.setTimestamp(r, v, int64(binary.BigEndian.Uint32(d)), us)
	}
	return nil
}

// decodeVariable decodes what has its length in front.
func (s *step) decodeVariable(r *cdc.Row, d []byte) (int, error) {
	if len(d) < s.width {
		return 0, errShort
	}
	n := int(d[0])
	if s.width > 1 {
		n = int(littleEndian(d[:s.width]))
	}
	if n > len(d)-s.width {
		return 0, errShort
	}
	end := s.width + n
	b := d[s.width:end:end]
	if s.op == opSkip {
		return end, nil
	}
	v := &r.Values[s.at]
	switch s.op {
	case opText:
		s.setText(r, v, b)
	case opBinary:
		s.setBinary(r, v, b)
	case opJSON:
		return end, s.decodeJSON(r, v, b)
	default:
		return end, s.decodeRareVariable(r, v, b)
	}
	return end, nil
}

// decodeJSON makes the text of a document, unless it is that of the before image.
func (s *step) decodeJSON(r *cdc.Row, v *cdc.Value, b []byte) error {
	s.last = b
	if s.old != nil && bytes.Equal(b, s.old) {
		*v = s.oldText
		return nil
	}
	text, err := appendJSON(r.Tail(2*len(b)+64), b)
	*v = cdc.String(r.Keep(text))
	return err
}

// decodeAfter decodes the after image of an update whose before image was
// decoded last, into before. The row may share memory with before.
func (p *plan) decodeAfter(r, before *cdc.Row, present, data []byte) (n int, current bool, err error) {
	for _, i := range p.json {
		s := &p.steps[i]
		if s.old, s.oldText = nil, before.Values[s.at]; s.oldText.Kind() == cdc.KindString {
			s.old = s.last
		}
	}
	n, current, err = p.decode(r, present, data)
	for _, i := range p.json {
		p.steps[i].old = nil
	}
	return n, current, err
}

func (s *step) decodeRareVariable(r *cdc.Row, v *cdc.Value, b []byte) error {
	switch s.op {
	case opGeometry, opPoint:
		return setGeometry(r, v, b, s.op == opPoint)
	case opVector:
		return setVector(r, v, b)
	case opUUID, opINET4, opINET6:
		return s.setAddress(r, v, b)
	case opCompressed:
		return s.setCompressed(r, v, b)
	}
	return nil
}

// setText stores text in UTF-8.
func (s *step) setText(r *cdc.Row, v *cdc.Value, b []byte) {
	if s.charset.asIs(b) {
		*v = cdc.String(b)
		return
	}
	*v = cdc.String(r.Keep(s.charset.append(r.Tail(3*len(b)), b)))
}

// setBinary stores bytes, or their text. BINARY lies without its trailing zeros.
func (s *step) setBinary(r *cdc.Row, v *cdc.Value, b []byte) {
	if len(b) < s.n {
		padded := r.Alloc(s.n)
		clear(padded[copy(padded, b):])
		b = padded
	}
	if s.encode == nil {
		*v = cdc.Bytes(b)
		return
	}
	*v = cdc.String(r.Keep(s.encode(r.Tail(2*len(b)+4), b)))
}

// setCompressed stores a value of MariaDB's COMPRESSED columns: a byte that says
// how, the length in as few bytes as it needs, and zlib's data, with or without
// its wrapping; 0 is no compression.
func (s *step) setCompressed(r *cdc.Row, v *cdc.Value, b []byte) error {
	if len(b) > 0 {
		var err error
		if b, err = s.inflate.column(r, b); err != nil {
			return err
		}
	}
	if s.kind == kindText {
		s.setText(r, v, b)
	} else {
		s.setBinary(r, v, b)
	}
	return nil
}

// setEnum stores the index-th choice; 0 is the empty text of a value that was
// none of the choices.
func (s *step) setEnum(v *cdc.Value, index uint64) error {
	if index >= uint64(len(s.texts)) {
		return fmt.Errorf("%w: choice %d of an ENUM of %d", errDefinition, index, len(s.texts)-1)
	}
	*v = cdc.Choice(s.texts[index], index)
	return nil
}

// setSet stores the choices whose bits are set, with commas.
func (s *step) setSet(r *cdc.Row, v *cdc.Value, set uint64) error {
	if rest := set >> (len(s.texts) - 1); len(s.texts) <= 64 && rest != 0 {
		return fmt.Errorf("%w: choices %b of a SET of %d", errDefinition, set, len(s.texts)-1)
	}
	b := r.Tail(64)
	for i := 1; set != 0; i, set = i+1, set>>1 {
		if set&1 == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, s.texts[i]...)
	}
	*v = cdc.String(r.Keep(b))
	return nil
}

// setBits turns the big-endian BIT into Debezium's little-endian bytes.
func (s *step) setBits(r *cdc.Row, v *cdc.Value, d []byte) {
	b := r.Alloc(len(d))
	for i := range b {
		b[i] = d[len(d)-1-i]
	}
	*v = cdc.Bytes(b)
}

// setYear stores a YEAR, which counts from 1900; 0 is the year 0000.
func (s *step) setYear(v *cdc.Value, year int64) {
	if year > 0 && year < 256 {
		year += 1900
	}
	*v = cdc.Int(year)
}

// uintDecimal is a BIGINT UNSIGNED as a decimal.
func uintDecimal(r *cdc.Row, u uint64) cdc.Value {
	w := wide{u}
	return w.value(r, false)
}

// diffBase is the image that the JSON changes of a partial update apply to.
type diffBase struct {
	image, present []byte
}

// The options of a partial update's after image.
const partialJSON = 1

// decodeAfterDiffs decodes the after image of a partial update, in which JSON
// columns may be changes of what they were in base, whose row is before.
func (p *plan) decodeAfterDiffs(r, before *cdc.Row, present, data []byte, base diffBase) (int, error) {
	c := cursor{b: data}
	options := c.packed()
	var partial []byte
	if options&partialJSON != 0 {
		partial = c.take((p.jsonColumns() + 7) / 8)
	}
	if c.bad {
		return 0, errShort
	}
	head := len(data) - len(c.b)
	if partial == nil {
		n, _, err := p.decode(r, present, c.b)
		return head + n, err
	}
	n, err := p.decodePatched(r, present, c.b, partial, base)
	return head + n, err
}

func (p *plan) jsonColumns() int {
	n := 0
	for i := range p.steps {
		if p.steps[i].json() {
			n++
		}
	}
	return n
}

// json reports whether the column has MySQL's binary JSON.
func (s *step) json() bool { return s.kind == kindJSON && s.op != opText }

// decodePatched decodes an image in which the JSON columns whose bits of partial
// are set are changes.
func (p *plan) decodePatched(r *cdc.Row, present, data, partial []byte, base diffBase) (int, error) {
	p.reset(r)
	pos := (p.count(present) + 7) / 8
	if len(data) < pos {
		return 0, errShort
	}
	nulls, bit, json := data[:pos], 0, 0
	for i := range p.steps {
		s := &p.steps[i]
		patched := false
		if s.json() {
			patched = partial[json>>3]&(1<<(json&7)) != 0
			json++
		}
		if present[i>>3]&(1<<(i&7)) == 0 {
			if s.at >= 0 {
				r.Values[s.at] = cdc.Absent()
			}
			continue
		}
		null := nulls[bit>>3]&(1<<(bit&7)) != 0
		bit++
		if null {
			continue
		}
		var n int
		var err error
		if patched && s.at >= 0 {
			n, err = p.patch(r, i, data[pos:], base)
		} else {
			n, err = s.decode(r, data[pos:])
		}
		if err != nil {
			return 0, p.failed(i, err)
		}
		pos += n
	}
	return pos, nil
}

// patch applies the changes at the head of d to column i of the base image.
func (p *plan) patch(r *cdc.Row, i int, d []byte, base diffBase) (int, error) {
	s := &p.steps[i]
	n, err := s.size(d)
	if err != nil {
		return 0, err
	}
	old, err := p.raw(i, base.present, base.image)
	if err != nil {
		return 0, err
	}
	if old == nil {
		return 0, fmt.Errorf("%w: changes of a document that the row did not have", errJSON)
	}
	text, err := appendPatchedJSON(r.Tail(2*len(old)+2*n), old[s.width:], d[s.width:n])
	if err != nil {
		return 0, err
	}
	r.Values[s.at] = cdc.String(r.Keep(text))
	return n, nil
}
