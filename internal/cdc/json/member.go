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
