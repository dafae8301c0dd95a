package json

import (
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Member finds the member of a JSON object, such as Envelope.SourceJSON, and
// returns its value's text; nil if the object has none of that name, or is no
// object.
func Member(object []byte, name string) []byte {
	p := parser{b: object}
	p.back(0)
	if !p.consume('{') || p.consume('}') {
		return nil
	}
	for more := true; more; {
		key, ok := p.key()
		if !ok {
			return nil
		}
		at, found := p.i, text(key) == name
		if !p.skip() {
			return nil
		}
		if found {
			return object[at:p.i:p.i]
		}
		if more, ok = p.next('}'); !ok {
			return nil
		}
	}
	return nil
}

// ReadAny reads a single JSON value of no known type: text, a boolean, an
// integer, any other number as it stands, an object or array as it stands. What
// has to be copied lives in row's memory, the rest in b.
func ReadAny(row *cdc.Row, b []byte) (cdc.Value, error) {
	var p parser
	var v cdc.Value
	p.start(b)
	p.space()
	if !anyValue(&p, row, &v) || !p.end() {
		return cdc.Value{}, p.failure()
	}
	return v, nil
}

// numberValue is the value of a number literal: an integer if it can be held
// as one exactly, else the literal itself.
func numberValue(literal []byte) cdc.Value {
	negative := literal[0] == '-'
	for i, c := range literal {
		if c-'0' > 9 && (i > 0 || !negative) {
			return cdc.Number(literal)
		}
	}
	switch {
	case negative && len(literal) == 2 && literal[1] == '0':
		return cdc.Number(literal) // −0 is no integer
	case negative || len(literal) < 19:
		if n, err := strconv.ParseInt(text(literal), 10, 64); err == nil {
			return cdc.Int(n)
		}
	default:
		if n, err := strconv.ParseUint(text(literal), 10, 64); err == nil {
			if n > 1<<63-1 {
				return cdc.Uint(n)
			}
			return cdc.Int(int64(n))
		}
	}
	return cdc.Number(literal)
}

// EachMember calls f for the members of a JSON object, in order, each with its
// name, which is valid until the next one, and its value's text. The error is
// f's, or says that there is no object.
func EachMember(object []byte, f func(name, value []byte) error) error {
	p := parser{b: object}
	p.back(0)
	if !p.consume('{') {
		return p.failure()
	}
	for more := !p.consume('}'); more; {
		key, ok := p.key()
		if !ok {
			return p.failure()
		}
		at := p.i
		if !p.skip() {
			return p.failure()
		}
		if err := f(key, object[at:p.i:p.i]); err != nil {
			return err
		}
		if more, ok = p.next('}'); !ok {
			return p.failure()
		}
	}
	return nil
}

// ParseDecimal reads a number literal as a decimal of scale, exactly, in row's
// memory. It reports false for what is no number, and for one that has more
// digits after the point.
func ParseDecimal(row *cdc.Row, literal []byte, scale int) (v cdc.Value, ok bool) {
	if !isNumber(literal) {
		return v, false
	}
	f := readField{scale: scale}
	ok = f.literal(row, &v, literal)
	return v, ok
}
