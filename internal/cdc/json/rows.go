package json

import (
	"bytes"
	"encoding/base64"
	"math"

	"github.com/weir-cdc/weir/internal/cdc"
)

// readPlan reads the rows of one schema.
type readPlan struct {
	schema *cdc.Schema
	fields []readField
	// open says that the schema was learnt from the rows themselves: a field it
	// lacks is no error, but noted in parser.strange.
	open bool
	// exact says that a field may not be missing, even if it may be null.
	exact bool
}

// readField reads one field, one member of a struct or the elements of an array.
type readField struct {
	lead     []byte // as JsonConverter writes it: `{"id":` or `,"name":`
	read     readOp
	required bool
	scale    int
	min, max int64
	name     string
	missing  *cdc.Value // stands for null and for a missing field, if required
	members  *readPlan
	element  *readField
}

// readOp is what the field's type asks for.
type readOp uint8

const (
	readInt readOp = iota
	readDouble
	readFloat
	readBool
	readText
	readTextDecimal
	readBytes
	readDecimal
	readStruct
	readArray
	readRaw
	readAny
)

func newReadPlan(s *cdc.Schema, open bool) *readPlan {
	p := &readPlan{schema: s, fields: make([]readField, len(s.Fields)), open: open}
	for i := range s.Fields {
		p.fields[i] = newReadField(&s.Fields[i])
		p.fields[i].lead = appendLead(nil, s.Fields[i].Name, i == 0)
	}
	return p
}

func newReadField(f *cdc.Field) readField {
	r := readField{name: f.Name, read: readOpOf(f), required: !f.Optional, scale: f.Scale}
	if r.required {
		r.missing = f.Default
	}
	size := map[cdc.Type]int{cdc.Int8: 8, cdc.Int16: 16, cdc.Int32: 32}[f.Type]
	r.min, r.max = math.MinInt64, math.MaxInt64
	if size > 0 {
		r.min, r.max = -1<<(size-1), 1<<(size-1)-1
	}
	switch f.Type {
	case cdc.Struct:
		r.members = newReadPlan(f.Struct, false)
	case cdc.Array:
		element := newReadField(f.Element)
		r.element = &element
	}
	return r
}

func readOpOf(f *cdc.Field) readOp {
	switch f.Type {
	case cdc.Boolean:
		return readBool
	case cdc.Double:
		return readDouble
	case cdc.Float:
		return readFloat
	case cdc.Text:
		if f.IsDecimal() {
			return readTextDecimal
		}
		return readText
	case cdc.Binary:
		if f.IsDecimal() {
			return readDecimal
		}
		return readBytes
	case cdc.Struct:
		return readStruct
	case cdc.Array:
		return readArray
	case cdc.Map:
		return readRaw
	case cdc.Any:
		return readAny
	}
	return readInt
}

// row reads a row of the plan's schema.
func (plan *readPlan) row(p *parser, row *cdc.Row) bool {
	row.Reset(plan.schema)
	return plan.object(p, row, row.Values)
}

// likely reads a row only if it is as JsonConverter writes one.
func (plan *readPlan) likely(p *parser, row *cdc.Row) bool {
	row.Reset(plan.schema)
	return plan.inOrder(p, row, row.Values)
}

// object reads an object into values, which are null.
func (plan *readPlan) object(p *parser, row *cdc.Row, values []cdc.Value) bool {
	start := p.i
	if plan.inOrder(p, row, values) {
		return true
	}
	p.back(start)
	clear(values)
	return plan.anyOrder(p, row, values)
}

// inOrder reads an object that JsonConverter wrote: every field, in the schema's
// order, without white space.
func (plan *readPlan) inOrder(p *parser, row *cdc.Row, values []cdc.Value) bool {
	values = values[:len(plan.fields)]
	for i := range plan.fields {
		f := &plan.fields[i]
		if !bytes.HasPrefix(p.b[p.i:], f.lead) {
			return false
		}
		p.i += len(f.lead)
		if !f.value(p, row, &values[i]) {
			return false
		}
	}
	if p.peek() != '}' || len(plan.fields) == 0 {
		return false
	}
	p.i++
	return true
}

// anyOrder reads an object that another writer wrote: other order, white space,
// fields missing. Of a name that comes twice the last one counts.
func (plan *readPlan) anyOrder(p *parser, row *cdc.Row, values []cdc.Value) bool {
	if !p.consume('{') {
		return false
	}
	base := len(p.seen)
	for range (len(plan.fields) + 63) / 64 {
		p.seen = append(p.seen, 0)
	}
	for more := !p.consume('}'); more; {
		key, ok := p.key()
		if !ok {
			return false
		}
		if i := plan.schema.Index(key); i >= 0 {
			p.seen[base+i/64] |= 1 << (i % 64)
			if ok = plan.fields[i].value(p, row, &values[i]); !ok {
				return p.in(plan.fields[i].name)
			}
		} else if !plan.stranger(p, key) {
			return false
		}
		if more, ok = p.next('}'); !ok {
			return false
		}
	}
	ok := plan.complete(p, p.seen[base:], values)
	p.seen = p.seen[:base]
	return ok
}

// stranger deals with a member that the schema lacks.
func (plan *readPlan) stranger(p *parser, key []byte) bool {
	if !plan.open {
		p.fail(p.i, "not a field of the schema")
		return p.in(string(key))
	}
	p.strange = append(p.strange, string(key))
	return p.skip()
}

// complete fills in the fields that the object lacked.
func (plan *readPlan) complete(p *parser, seen []uint64, values []cdc.Value) bool {
	for i := range plan.fields {
		f := &plan.fields[i]
		if seen[i/64]>>(i%64)&1 == 1 || !f.required && !plan.exact {
			continue
		}
		if f.missing == nil {
			p.fail(p.i, "missing in the object that ends")
			return p.in(f.name)
		}
		values[i] = *f.missing
	}
	return true
}

// null takes null.
func (f *readField) null(p *parser, v *cdc.Value) bool {
	*v = cdc.Value{}
	if f.required && f.missing == nil {
		return p.fail(p.i, "null although the field is required")
	}
	if f.required {
		*v = *f.missing
	}
	return p.literal("null")
}

// value reads one value of the field's type at p.
func (f *readField) value(p *parser, row *cdc.Row, v *cdc.Value) (ok bool) {
	if p.i < len(p.b) && p.b[p.i] == 'n' {
		return f.null(p, v)
	}
	switch f.read {
	case readInt:
		at := p.i
		i, ok := p.int()
		if !ok {
			return p.fail(at, "no integer")
		}
		if i < f.min || i > f.max {
			return p.fail(at, "an integer beyond the range of its type")
		}
		*v = cdc.Int(i)
		return true
	case readText:
		s, ok := p.str(row)
		if !ok {
			return p.fail(p.i, "no text")
		}
		if *v = cdc.String(s); p.isAbsent(s) {
			*v = cdc.Absent()
		}
		return true
	case readDecimal:
		return f.decimal(p, row, v)
	case readDouble, readFloat:
		return f.float(p, v)
	}
	return f.rare(p, row, v)
}

func (f *readField) float(p *parser, v *cdc.Value) bool {
	if f.read == readFloat {
		n, ok := p.float(32)
		*v = cdc.Float32(float32(n))
		return ok
	}
	n, ok := p.float(64)
	*v = cdc.Float64(n)
	return ok
}

// rare reads what few columns are.
func (f *readField) rare(p *parser, row *cdc.Row, v *cdc.Value) bool {
	switch f.read {
	case readBool:
		if *v = cdc.Bool(p.peek() == 't'); v.Bool() {
			return p.literal("true")
		}
		return p.literal("false")
	case readBytes:
		return f.bytes(p, row, v)
	case readTextDecimal:
		return f.textDecimal(p, row, v)
	case readStruct:
		if p.peek() != '{' {
			return p.fail(p.i, "no object")
		}
		list := row.AllocList(len(f.members.fields))
		ok := f.members.object(p, row, list)
		*v = cdc.List(list)
		return ok
	case readArray:
		return f.array(p, row, v)
	case readRaw:
		at := p.i
		if !p.skip() {
			return false
		}
		*v = cdc.RawJSON(p.b[at:p.i:p.i])
		return true
	}
	return anyValue(p, row, v)
}

// array reads the elements onto the parser's stack, since their number is not
// known before.
func (f *readField) array(p *parser, row *cdc.Row, v *cdc.Value) bool {
	if !p.consume('[') {
		return p.fail(p.i, "no array")
	}
	base := len(p.stack)
	for more := !p.consume(']'); more; {
		p.space()
		ok := f.element.value(p, row, &p.element)
		if !ok {
			return false
		}
		p.stack = append(p.stack, p.element)
		if more, ok = p.next(']'); !ok {
			return false
		}
	}
	list := row.AllocList(len(p.stack) - base)
	copy(list, p.stack[base:])
	clear(p.stack[base:])
	p.stack = p.stack[:base]
	*v = cdc.List(list)
	return true
}

// decimal reads a Decimal in either of Connect's formats.
func (f *readField) decimal(p *parser, row *cdc.Row, v *cdc.Value) bool {
	at := p.i
	if p.peek() != '"' {
		if !p.number() {
			return p.fail(at, "no decimal")
		}
		if p.i-at > mostDigits {
			return p.fail(at, "a decimal of too many digits")
		}
		if !f.literal(row, v, p.b[at:p.i]) {
			return p.fail(at, "a number with more digits after the point than the field's scale")
		}
		return true
	}
	s, ok := p.str(row)
	if !ok {
		return false
	}
	if len(s) <= 12 {
		if n, ok := base64Int(s); ok {
			*v = cdc.SmallDecimal(n)
			return true
		}
	}
	b, ok := p.base64(row, s)
	if !ok || len(b) == 0 {
		return p.fail(at, "no decimal in base64")
	}
	if len(b) > mostDecimalBytes {
		return p.fail(at, "a decimal of too many digits")
	}
	*v = decimalValue(b)
	return true
}

// decimalValue is the value of a two's complement, in the one form there is for
// each number: without bytes that only repeat the sign, and small if it can be.
func decimalValue(b []byte) cdc.Value {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	if len(b) > 8 {
		return cdc.BigDecimal(b)
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return cdc.SmallDecimal(n)
}

// literal makes v of a number literal, exactly, or reports false.
func (f *readField) literal(row *cdc.Row, v *cdc.Value, number []byte) bool {
	var buffer [96]byte
	digits, scale, negative, ok := parseDecimal(buffer[:], number)
	if !ok {
		return false
	}
	if digits, ok = rescale(digits, scale, f.scale); !ok {
		return false
	}
	*v = decimalValue(row.Keep(appendTwos(row.Tail(len(digits)/2+9), negative, digits)))
	return true
}

// textDecimal reads a decimal that travels as text; text that is no number, or
// has another scale, stays text.
func (f *readField) textDecimal(p *parser, row *cdc.Row, v *cdc.Value) bool {
	s, ok := p.str(row)
	if !ok {
		return p.fail(p.i, "no text")
	}
	if len(s) > mostDigits || !isNumber(s) || !f.literal(row, v, s) {
		if *v = cdc.String(s); p.isAbsent(s) {
			*v = cdc.Absent()
		}
	}
	return true
}

// isNumber reports whether s is a JSON number literal.
func isNumber(s []byte) bool {
	p := parser{b: s}
	return p.number() && p.i == len(s)
}

func (f *readField) bytes(p *parser, row *cdc.Row, v *cdc.Value) bool {
	at := p.i
	s, ok := p.str(row)
	if !ok {
		return p.fail(at, "no bytes in base64")
	}
	if len(s) > 0 && len(s) == len(p.absentBytes) && text(s) == text(p.absentBytes) {
		*v = cdc.Absent()
		return true
	}
	b, ok := p.base64(row, s)
	if *v = cdc.Bytes(b); !ok {
		return p.fail(at, "no bytes in base64")
	}
	return true
}

// base64 decodes s into row's arena.
func (p *parser) base64(row *cdc.Row, s []byte) ([]byte, bool) {
	b := row.Alloc(base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, s)
	return b[:n:n], err == nil
}

var unbase64 = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range len(base64Digits) {
		t[base64Digits[i]] = int8(i)
	}
	return
}()

// base64Int is the inverse of appendBase64Int, for up to eight bytes.
func base64Int(s []byte) (int64, bool) {
	size := len(s) / 4 * 3
	if len(s)%4 != 0 {
		return 0, false
	}
	for range 2 {
		if len(s) > 0 && s[len(s)-1] == '=' {
			s = s[:len(s)-1]
			size--
		}
	}
	if size < 1 || size > 8 {
		return 0, false
	}
	// The first ten sextets fill 60 bits; the eleventh gives the last four of
	// them and two bits of padding.
	var u uint64
	var have int
	for i, c := range s {
		x := unbase64[c]
		if x < 0 {
			return 0, false
		}
		if i == 10 {
			u, have = u<<4|uint64(x)>>2, have+4
			break
		}
		u, have = u<<6|uint64(x), have+6
	}
	u >>= have - 8*size
	shift := 64 - 8*size
	return int64(u<<shift) >> shift, true
}

// anyValue reads a value whose type no schema states.
func anyValue(p *parser, row *cdc.Row, v *cdc.Value) bool {
	at := p.i
	switch p.peek() {
	case '"':
		s, ok := p.str(row)
		if *v = cdc.String(s); p.isAbsent(s) {
			*v = cdc.Absent()
		}
		return ok
	case '{', '[':
		ok := p.skip()
		*v = cdc.RawJSON(p.b[at:p.i:p.i])
		return ok
	case 't':
		*v = cdc.Bool(true)
		return p.literal("true")
	case 'f':
		*v = cdc.Bool(false)
		return p.literal("false")
	case 'n':
		*v = cdc.Value{}
		return p.literal("null")
	}
	if !p.number() {
		return false
	}
	*v = numberValue(p.b[at:p.i:p.i])
	return true
}
