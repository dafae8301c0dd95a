package json

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// ParseSchema reads a schema as JsonConverter writes it, or AppendSchema. One
// that is no struct becomes a bare schema (cdc.Bare).
func ParseSchema(b []byte) (*cdc.Schema, error) {
	f, err := parseSchemaNode(b)
	if err != nil {
		return nil, err
	}
	if f.Type != cdc.Struct {
		return cdc.Bare(*f), nil
	}
	s := *f.Struct
	s.Optional = f.Optional
	return s.Intern(), nil
}

// parseSchemaNode reads a schema's text as a field without a name.
func parseSchemaNode(b []byte) (*cdc.Field, error) {
	p := parser{b: b}
	p.back(0)
	if !p.skip() || !p.end() {
		return nil, fmt.Errorf("reading schema: %w", p.failure())
	}
	f, err := parseNode(b)
	if err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	return f, nil
}

// schemaNode is what the members of a schema's node say, nested ones as text.
type schemaNode struct {
	typ, name, doc, field       string
	version                     int
	optional                    bool
	fields, items, keys, values []byte
	params                      []cdc.Param
	deflt                       []byte
	digits, precision, scale    int
}

// parseNode reads text that is known to be JSON.
func parseNode(b []byte) (*cdc.Field, error) {
	n := schemaNode{}
	if err := eachMember(b, n.member); err != nil {
		return nil, err
	}
	t, err := cdc.ParseType(n.typ)
	if err != nil {
		return nil, err
	}
	f := &cdc.Field{Name: n.field, Type: t, Optional: n.optional, Params: n.params}
	if err := n.nested(f); err != nil {
		return nil, err
	}
	n.names(f)
	if err := n.numbers(f); err != nil {
		return nil, err
	}
	return f, n.setDefault(f)
}

// member notes one member of the node.
func (n *schemaNode) member(name string, value []byte) (err error) {
	switch name {
	case "type":
		n.typ, err = stringOf(value)
	case "optional":
		n.optional = text(value) == "true"
	case "name":
		n.name, err = stringOf(value)
	case "doc":
		n.doc, err = stringOf(value)
	case "field":
		n.field, err = stringOf(value)
	case "version":
		n.version, err = intOf(value)
	case memberDigits:
		n.digits, err = digitsOf(value)
	case memberPrecision:
		n.precision, err = digitsOf(value)
	case memberScale:
		n.scale, err = digitsOf(value)
	case "fields":
		n.fields = value
	case "items":
		n.items = value
	case "keys":
		n.keys = value
	case "values":
		n.values = value
	case "default":
		n.deflt = value
	case "parameters":
		err = n.parameters(value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (n *schemaNode) parameters(value []byte) error {
	if text(value) == "null" {
		return nil
	}
	return eachMember(value, func(name string, value []byte) error {
		s, err := stringOf(value)
		n.params = append(n.params, cdc.Param{Name: name, Value: s})
		return err
	})
}

// nested reads what the type is made of.
func (n *schemaNode) nested(f *cdc.Field) (err error) {
	switch f.Type {
	case cdc.Struct:
		var fields []cdc.Field
		err = eachElement(n.fields, func(b []byte) error {
			member, err := parseNode(b)
			if err == nil {
				fields = append(fields, *member)
			}
			return err
		})
		f.Struct = cdc.Schema{Name: n.name, Version: n.version, Doc: n.doc, Fields: fields}.Intern()
		return wrapField(err, n.field)
	case cdc.Array:
		f.Element, err = parseNode(n.items)
	case cdc.Map:
		if f.Key, err = parseNode(n.keys); err == nil {
			f.Element, err = parseNode(n.values)
		}
	}
	return wrapField(err, n.field)
}

func wrapField(err error, field string) error {
	if err == nil || field == "" {
		return err
	}
	return fmt.Errorf("field %q: %w", field, err)
}

// names sets what the type means. A struct of no semantic type that Weir knows
// keeps its name in the nested schema only.
func (n *schemaNode) names(f *cdc.Field) {
	f.Semantic = cdc.ParseSemantic(n.name)
	if f.Type == cdc.Struct && f.Semantic == cdc.Other {
		f.Semantic = cdc.Plain
	}
	if f.Type == cdc.Struct && f.Semantic == cdc.Plain {
		return
	}
	if f.Semantic == cdc.Other {
		f.SchemaName = n.name
	}
	f.SchemaVersion, f.Doc = n.version, n.doc
}

// Debezium's parameters of column.propagate.source.type.
const (
	paramSourceType   = "__debezium.source.column.type"
	paramSourceLength = "__debezium.source.column.length"
	paramSourceScale  = "__debezium.source.column.scale"
)

// numbers sets precision, scale and digits: as the schema says, else as its
// parameters do.
func (n *schemaNode) numbers(f *cdc.Field) (err error) {
	f.Digits, f.Precision, f.Scale = n.digits, n.precision, n.scale
	precision, scale := "connect.decimal.precision", "scale"
	switch source := f.Param(paramSourceType); {
	case f.Semantic == cdc.Decimal:
	case f.Type == cdc.Text && (strings.HasPrefix(source, "DECIMAL") || strings.HasPrefix(source, "NUMERIC")):
		precision, scale = paramSourceLength, paramSourceScale
	default:
		return nil
	}
	if f.Scale == 0 {
		f.Scale, err = intParam(f, scale)
	}
	if f.Precision == 0 && err == nil {
		f.Precision, err = intParam(f, precision)
	}
	return err
}

// maxScale bounds what a schema can make of memory; databases have far less.
const maxScale = 1 << 14

func intParam(f *cdc.Field, name string) (int, error) {
	s := f.Param(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxScale || n < -maxScale {
		return 0, fmt.Errorf("field %q: parameter %s is %q, not a number of digits", f.Name, name, s)
	}
	return n, nil
}

// setDefault reads the default as a value of the field.
func (n *schemaNode) setDefault(f *cdc.Field) error {
	if n.deflt == nil || text(n.deflt) == "null" {
		return nil
	}
	row, v := new(cdc.Row), new(cdc.Value)
	var p parser
	p.start([]byte(string(n.deflt))) // what points into it stays
	field := newReadField(f)
	if !field.value(&p, row, v) || !p.end() {
		return wrapField(fmt.Errorf("default: %w", p.failure()), f.Name)
	}
	f.Default = v
	return nil
}

// eachMember calls f for the members of an object whose text is known to be
// JSON.
func eachMember(b []byte, f func(name string, value []byte) error) error {
	p := parser{b: b}
	p.back(0)
	if !p.consume('{') {
		return errors.New("not an object")
	}
	for more := !p.consume('}'); more; {
		key, _ := p.key()
		name, at := string(key), p.i
		p.skip()
		if err := f(name, b[at:p.i]); err != nil {
			return err
		}
		more, _ = p.next('}')
	}
	return nil
}

// eachElement does so for an array.
func eachElement(b []byte, f func(value []byte) error) error {
	p := parser{b: b}
	p.back(0)
	if !p.consume('[') {
		return errors.New("no list of fields")
	}
	for more := !p.consume(']'); more; {
		p.space()
		at := p.i
		p.skip()
		if err := f(b[at:p.i]); err != nil {
			return err
		}
		more, _ = p.next(']')
	}
	return nil
}

// stringOf is the text of a string, empty for null.
func stringOf(b []byte) (string, error) {
	if text(b) == "null" {
		return "", nil
	}
	p := parser{b: b}
	p.back(0)
	s, ok := p.str(nil)
	if !ok {
		return "", fmt.Errorf("%s is no text", b)
	}
	return string(s), nil
}

// intOf is a small integer, 0 for null.
func intOf(b []byte) (int, error) {
	p := parser{b: b}
	p.back(0)
	n, ok := p.nullableInt()
	if !ok || p.i != len(b) || n != int64(int32(n)) {
		return 0, fmt.Errorf("%s is no small integer", b)
	}
	return int(n), nil
}

// digitsOf is a number of digits.
func digitsOf(b []byte) (int, error) {
	n, err := intOf(b)
	if err == nil && (n > maxScale || n < -maxScale) {
		err = fmt.Errorf("%s is no number of digits", b)
	}
	return n, err
}
