package routing

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math"
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
}

// expand is the value of an object or array and its field, of the given name.
// What has to be copied lives in row's memory, the rest in text.
func (x *expander) expand(name string, text []byte, row *cdc.Row) (*cdc.Field, cdc.Value, error) {
	if len(text) == 0 || text[0] != '{' && text[0] != '[' || !stdjson.Valid(text) {
		return nil, cdc.Value{}, errors.New("it is no JSON object or array")
	}
	f, err := x.infer(name, text)
	if err != nil {
		return nil, cdc.Value{}, err
	}
	if f == nil {
		return nil, cdc.Value{}, errors.New("an empty array has no type")
	}
	v, err := x.convert(f, text, row)
	return f, v, err
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
	f := &cdc.Field{Type: cdc.Double, Optional: true}
	if slices.ContainsFunc(b, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' }) {
		return f, nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %s has more than 64 bits", b)
	}
	if f.Type = cdc.Int64; n == int64(int32(n)) {
		f.Type = cdc.Int32
	}
	return f, nil
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
		n, err := strconv.ParseFloat(string(b), 64)
		if err != nil || math.IsInf(n, 0) {
			return cdc.Value{}, fmt.Errorf("the number %s is too large", b)
		}
		return cdc.Float64(n), nil
	case isNumeric(f.Type):
		n, err := strconv.ParseInt(string(b), 10, 64)
		return cdc.Int(n), err
	}
	return json.ReadAny(row, b)
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
