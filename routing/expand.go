package routing

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// expander turns JSON texts into typed values, with the schema that Debezium's
// JsonSchemaData infers from each.
type expander struct {
	nullBytes    bool // a null is a field of optional bytes; else it is left out
	emptyStrings bool // an empty array is one of strings; else it is left out
	adjustment
	// recent are schemas inferred before, the latest first: a text is tried on
	// them before one is inferred from it.
	recent []*cdc.Schema
}

// shapesTried is how many schemas a text is tried on.
const shapesTried = 8

// expand is the value of an object or array and its schema, of a field on its
// own. What has to be copied lives in row's memory, the rest in text.
func (x *expander) expand(name string, text []byte, row *cdc.Row) (*cdc.Schema, cdc.Value, error) {
	if len(text) == 0 || text[0] != '{' && text[0] != '[' || !stdjson.Valid(text) {
		return nil, cdc.Value{}, errors.New("it is no JSON object or array")
	}
	for i, s := range x.recent {
		if v, ok := x.fit(&s.Fields[0], text, row); ok {
			copy(x.recent[1:i+1], x.recent[:i])
			x.recent[0] = s
			return s, v, nil
		}
	}
	f, err := x.infer(name, text)
	if err != nil {
		return nil, cdc.Value{}, err
	}
	if f == nil {
		return nil, cdc.Value{}, errors.New("an empty array has no type")
	}
	v, err := x.convert(f, text, row)
	if err != nil {
		return nil, v, err
	}
	s := cdc.Bare(*f)
	x.recent = slices.Insert(x.recent, 0, s)
	x.recent = x.recent[:min(len(x.recent), shapesTried)]
	return s, v, nil
}

// infer is the field that a JSON value makes; nil for one that is left out. key
// names the structs in it: payload, payload.lines.
func (x *expander) infer(key string, b []byte) (*cdc.Field, error) {
	switch b[0] {
	case '{':
		return x.inferObject(key, b)
	case '[':
		return x.inferArray(key, b)
	case '"':
		return &cdc.Field{Type: cdc.Text, Optional: true}, nil
	case 't', 'f':
		return &cdc.Field{Type: cdc.Boolean, Optional: true}, nil
	case 'n':
		if x.nullBytes {
			return &cdc.Field{Type: cdc.Binary, Optional: true}, nil
		}
		return nil, nil
	}
	return inferNumber(b)
}

func inferNumber(b []byte) (*cdc.Field, error) {
	t, _, ok := typeOfNumber(b)
	if !ok {
		return nil, fmt.Errorf("the number %s has more than 64 bits", b)
	}
	return &cdc.Field{Type: t, Optional: true}, nil
}

// typeOfNumber is the type that a number is inferred to be, and the number if
// that is an integer.
func typeOfNumber(b []byte) (t cdc.Type, n int64, ok bool) {
	if slices.ContainsFunc(b, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' }) {
		return cdc.Double, 0, true
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if n == int64(int32(n)) {
		return cdc.Int32, n, err == nil
	}
	return cdc.Int64, n, err == nil
}

func (x *expander) inferObject(key string, b []byte) (*cdc.Field, error) {
	s := cdc.Schema{Name: key, Optional: true}
	err := json.EachMember(b, func(member, value []byte) error {
		name := x.adjust(string(member))
		f, err := x.infer(below(key, name), value)
		if err != nil || f == nil || slices.ContainsFunc(s.Fields, func(g cdc.Field) bool { return g.Name == name }) {
			return err
		}
		f.Name = name
		s.Fields = append(s.Fields, *f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &cdc.Field{Type: cdc.Struct, Struct: s.Intern(), Optional: true}, nil
}

func below(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// inferArray takes the type of the elements, which have to be of one type;
// objects may have different members.
func (x *expander) inferArray(key string, b []byte) (*cdc.Field, error) {
	var element *cdc.Field
	empty := true
	err := json.EachElement(b, func(value []byte) error {
		if empty = false; value[0] == 'n' {
			return nil
		}
		below := ""
		if value[0] == '{' {
			below = key
		}
		f, err := x.infer(below, value)
		switch {
		case err != nil:
			return err
		case f == nil:
			return nil
		case element == nil:
			element = f
			return nil
		case f.Type != element.Type:
			return errors.New("an array has elements of several types")
		}
		element, err = merge(element, f)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case element == nil && empty && x.emptyStrings:
		element = &cdc.Field{Type: cdc.Text, Optional: true}
	case element == nil && empty:
		return nil, nil
	case element == nil && x.nullBytes:
		element = &cdc.Field{Type: cdc.Binary, Optional: true}
	case element == nil:
		return nil, errors.New("an array has elements of no type")
	}
	return &cdc.Field{Type: cdc.Array, Element: element, Optional: true}, nil
}

// merge is the type that has room for both. Debezium merges the members of
// objects in one array, but not what is below those, and then fails.
func merge(a, b *cdc.Field) (*cdc.Field, error) {
	switch {
	case a.Type == cdc.Binary:
		return b, nil
	case b.Type == cdc.Binary:
		return a, nil
	case isNumeric(a.Type) && isNumeric(b.Type):
		if b.Type > a.Type {
			return b, nil
		}
		return a, nil
	case a.Type != b.Type:
		return nil, errors.New("a member of the objects in an array has several types")
	case a.Type == cdc.Struct:
		return mergeStructs(a, b)
	case a.Type == cdc.Array:
		element, err := merge(a.Element, b.Element)
		return &cdc.Field{Type: cdc.Array, Element: element, Optional: true}, err
	}
	return a, nil
}

// isNumeric: the constants are in the order in which one has room for another.
func isNumeric(t cdc.Type) bool { return t == cdc.Int32 || t == cdc.Int64 || t == cdc.Double }

func mergeStructs(a, b *cdc.Field) (*cdc.Field, error) {
	if a.Struct == b.Struct {
		return a, nil
	}
	s := cdc.Schema{Name: a.Struct.Name, Optional: true, Fields: slices.Clone(a.Struct.Fields)}
	for _, f := range b.Struct.Fields {
		at := slices.IndexFunc(s.Fields, func(g cdc.Field) bool { return g.Name == f.Name })
		if at < 0 {
			s.Fields = append(s.Fields, f)
			continue
		}
		merged, err := merge(&s.Fields[at], &f)
		if err != nil {
			return nil, err
		}
		s.Fields[at] = *merged
		s.Fields[at].Name = f.Name
	}
	return &cdc.Field{Type: cdc.Struct, Struct: s.Intern(), Optional: true}, nil
}

// convert is the value of a JSON text for a field that was inferred from it.
func (x *expander) convert(f *cdc.Field, b []byte, row *cdc.Row) (cdc.Value, error) {
	switch {
	case b[0] == 'n':
		return cdc.Value{}, nil
	case f.Type == cdc.Struct:
		return x.convertObject(f.Struct, b, row)
	case f.Type == cdc.Array:
		return x.convertArray(f.Element, b, row)
	case f.Type == cdc.Double:
		return double(b)
	case isNumeric(f.Type):
		n, err := strconv.ParseInt(string(b), 10, 64)
		return cdc.Int(n), err
	}
	return json.ReadAny(row, b)
}

// double is a number as a double. One without a point, which is among others
// that have one, has to be exact.
func double(b []byte) (cdc.Value, error) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return cdc.Value{}, fmt.Errorf("the number %s is too large", b)
	}
	if t, n, _ := typeOfNumber(b); t != cdc.Double && int64(f) != n {
		return cdc.Value{}, fmt.Errorf("the number %s has more digits than a double has", b)
	}
	return cdc.Float64(f), nil
}

func (x *expander) convertObject(s *cdc.Schema, b []byte, row *cdc.Row) (cdc.Value, error) {
	list := row.AllocList(len(s.Fields))
	err := json.EachMember(b, func(member, value []byte) (err error) {
		if at := s.Index([]byte(x.adjust(string(member)))); at >= 0 {
			list[at], err = x.convert(&s.Fields[at], value, row)
		}
		return err
	})
	return cdc.List(list), err
}

func (x *expander) convertArray(element *cdc.Field, b []byte, row *cdc.Row) (cdc.Value, error) {
	n := 0
	if err := json.EachElement(b, func([]byte) error { n++; return nil }); err != nil {
		return cdc.Value{}, err
	}
	list := row.AllocList(n)
	at := 0
	err := json.EachElement(b, func(value []byte) (err error) {
		list[at], err = x.convert(element, value, row)
		at++
		return err
	})
	return cdc.List(list), err
}

// fit is the value of a JSON text for a field, if exactly this field would be
// inferred from it.
func (x *expander) fit(f *cdc.Field, b []byte, row *cdc.Row) (v cdc.Value, ok bool) {
	switch b[0] {
	case '{':
		if f.Type != cdc.Struct {
			return v, false
		}
		return x.fitObject(f.Struct, b, row)
	case '[':
		if f.Type != cdc.Array {
			return v, false
		}
		return x.fitArray(f.Element, b, row)
	case 'n':
		return v, f.Type == cdc.Binary
	case '"':
		if f.Type != cdc.Text {
			return v, false
		}
	case 't', 'f':
		return cdc.Bool(b[0] == 't'), f.Type == cdc.Boolean
	default:
		t, n, ok := typeOfNumber(b)
		if !ok || t != f.Type {
			return v, false
		}
		if t != cdc.Double {
			return cdc.Int(n), true
		}
	}
	v, err := x.convert(f, b, row)
	return v, err == nil
}

// errUnfit ends a walk through what does not fit.
var errUnfit = errors.New("another shape")

func (x *expander) fitObject(s *cdc.Schema, b []byte, row *cdc.Row) (cdc.Value, bool) {
	list := row.AllocList(len(s.Fields))
	at := 0
	err := json.EachMember(b, func(name, value []byte) error {
		if x.omits(value) {
			return nil
		}
		if at == len(s.Fields) || x.on || string(name) != s.Fields[at].Name {
			return errUnfit
		}
		v, ok := x.fit(&s.Fields[at], value, row)
		if !ok {
			return errUnfit
		}
		list[at] = v
		at++
		return nil
	})
	return cdc.List(list), err == nil && at == len(s.Fields)
}

// omits reports whether a member of this value is left out.
func (x *expander) omits(value []byte) bool {
	switch value[0] {
	case 'n':
		return !x.nullBytes
	case '[':
		return !x.emptyStrings && len(bytes.TrimSpace(value[1:len(value)-1])) == 0
	}
	return false
}

// fitArray fits each element that is not null, of which there has to be one.
func (x *expander) fitArray(element *cdc.Field, b []byte, row *cdc.Row) (cdc.Value, bool) {
	n, some := 0, false
	err := json.EachElement(b, func(value []byte) error { n++; return nil })
	list := row.AllocList(n)
	at := 0
	if err == nil {
		err = json.EachElement(b, func(value []byte) error {
			if at++; value[0] == 'n' {
				return nil
			}
			v, ok := x.fit(element, value, row)
			if !ok {
				return errUnfit
			}
			list[at-1], some = v, true
			return nil
		})
	}
	return cdc.List(list), err == nil && some
}
