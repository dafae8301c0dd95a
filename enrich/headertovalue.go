package enrich

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// headerToValue is Debezium's HeaderToValue: it copies or moves headers into
// fields of the value.
type headerToValue struct {
	headers []string
	paths   [][]string
	move    bool
	grown   map[growth]*cdc.Schema
}

// growth is a schema and a field that it gets.
type growth struct {
	schema *cdc.Schema
	path   int         // of paths
	field  *cdc.Schema // the field on its own
}

func newHeaderToValue(o *transform.Options) transform.Transform {
	t := &headerToValue{headers: o.List("headers"), grown: map[growth]*cdc.Schema{}}
	o.Need("headers", "names of headers, with commas between")
	o.Need("fields", "names of fields, one for each of headers; a field of a struct with a dot between")
	fields := o.List("fields")
	if len(fields) != len(t.headers) {
		o.Fail("fields", fmt.Sprintf("%d names of fields, one for each of headers", len(t.headers)))
	}
	for _, field := range fields {
		path := strings.Split(field, ".")
		if slices.Contains(path, "") {
			o.Fail("fields", "names of fields; "+field+" is none")
		}
		t.paths = append(t.paths, path)
	}
	switch o.Need("operation", "move or copy") {
	case "move":
		t.move = true
	case "copy", "":
	default:
		o.Fail("operation", "move or copy")
	}
	return t
}

// Apply puts the headers of r that are named into its value. Null, and a value
// that has none of the headers, stays as it is.
func (t *headerToValue) Apply(r *cdc.Record) (bool, error) {
	if transform.IsNull(r) || !slices.ContainsFunc(r.Headers, func(h cdc.Header) bool { return slices.Contains(t.headers, h.Key) }) {
		return true, nil
	}
	row := transform.Whole(r)
	if row == nil || row.Schema.IsBare() {
		return false, structOnly(row, "header field insertion")
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		at := slices.Index(t.headers, h.Key)
		if at < 0 {
			continue
		}
		if h.Typed == nil {
			h = &cdc.Header{Key: h.Key, Typed: parsedHeader(row, h.Value)}
		}
		if err := t.put(row, at, h.Typed); err != nil {
			return false, fmt.Errorf("putting header %s into field %s: %w", h.Key, strings.Join(t.paths[at], "."), err)
		}
	}
	if t.move {
		r.Headers = slices.DeleteFunc(r.Headers, func(h cdc.Header) bool { return slices.Contains(t.headers, h.Key) })
	}
	return true, nil
}

// parsedHeader is the content of a header that came as bytes, which Connect's
// SimpleHeaderConverter takes for JSON where it is, and else for text.
func parsedHeader(row *cdc.Row, content []byte) *cdc.Row {
	f := cdc.Field{Type: cdc.Text, Optional: true}
	if content == nil {
		return transform.BareRow(cdc.Bare(f), cdc.Value{})
	}
	v, err := json.ReadAny(row, content)
	switch {
	case err != nil:
		v = cdc.String(content)
	case v.Kind() == cdc.KindInt:
		f.Type = cdc.Int64
	case v.Kind() == cdc.KindBool:
		f.Type = cdc.Boolean
	case v.Kind() != cdc.KindString && !v.IsNull():
		f.Type = cdc.Any
	}
	return transform.BareRow(cdc.Bare(f), v)
}

// put puts a header's content into the field of paths[at].
func (t *headerToValue) put(row *cdc.Row, at int, header *cdc.Row) error {
	key := growth{row.Schema, at, header.Schema}
	s, ok := t.grown[key]
	if !ok {
		var err error
		if s, err = withField(row.Schema, t.paths[at], fieldOfHeader(header.Schema)); err != nil {
			return err
		}
		t.grown[key] = s
	}
	old := row.Schema
	for len(row.Values) < len(s.Fields) {
		row.Values = append(row.Values, cdc.Value{})
	}
	row.Schema = s
	return place(row, old, s, row.Values, t.paths[at], header)
}

// fieldOfHeader is the field that a header of a schema becomes.
func fieldOfHeader(s *cdc.Schema) cdc.Field {
	if s.IsBare() {
		return s.Fields[0]
	}
	return cdc.Field{Type: cdc.Struct, Struct: s}
}

// withField is s with a field at a path. A struct on the way that s lacks is added; a
// field that is there keeps its type.
func withField(s *cdc.Schema, path []string, f cdc.Field) (*cdc.Schema, error) {
	out := *s
	out.Fields = slices.Clone(s.Fields)
	at := s.Index([]byte(path[0]))
	if len(path) == 1 {
		if f.Name = path[0]; at < 0 {
			out.Fields = append(out.Fields, f)
		}
		return out.Intern(), nil
	}
	inner := &cdc.Schema{}
	switch {
	case at < 0:
		at = len(out.Fields)
		out.Fields = append(out.Fields, cdc.Field{Name: path[0], Type: cdc.Struct, Optional: true})
	case s.Fields[at].Type == cdc.Any:
		return s, nil // its content is JSON
	case s.Fields[at].Struct == nil:
		return nil, fmt.Errorf("field %s is %s, and no struct", path[0], s.Fields[at].Type)
	default:
		inner = s.Fields[at].Struct
	}
	grown, err := withField(inner, path[1:], f)
	if err != nil {
		return nil, err
	}
	out.Fields[at].Struct = grown
	return out.Intern(), nil
}

// place puts a header into values, which are of schema s and have room for it;
// old is their schema before it grew, nil for none. A struct that is null stays
// so.
func place(row *cdc.Row, old, s *cdc.Schema, values []cdc.Value, path []string, header *cdc.Row) error {
	at := s.Index([]byte(path[0]))
	if len(path) == 1 {
		if values[at] = header.Values[0]; !header.Schema.IsBare() {
			values[at] = cdc.List(header.Values)
		}
		return nil
	}
	f, was := &s.Fields[at], &values[at]
	if was.Kind() == cdc.KindJSON {
		text, err := placeInJSON(was.Bytes(), path[1:], header)
		*was = cdc.RawJSON(text)
		return err
	}
	if f.Struct == nil {
		return nil // a null of no type
	}
	var oldInner *cdc.Schema
	if old != nil && old.Field(path[0]) != nil {
		if was.IsNull() {
			return nil
		}
		oldInner = old.Field(path[0]).Struct
	}
	list := row.AllocList(len(f.Struct.Fields))
	copy(list, was.List())
	*was = cdc.List(list)
	return place(row, oldInner, f.Struct, list, path[1:], header)
}

// placeInJSON is a JSON object with a member at a path.
func placeInJSON(object []byte, path []string, header *cdc.Row) ([]byte, error) {
	out := []byte{'{'}
	found := false
	member := func(name, value []byte) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(json.AppendString(out, name), ':')
		if string(name) != path[0] {
			out = append(out, value...)
			return nil
		}
		found = true
		if len(path) > 1 {
			inner, err := placeInJSON(value, path[1:], header)
			out = append(out, inner...)
			return err
		}
		out = json.NewPlan(header.Schema, json.Options{}).Append(out, header)
		return nil
	}
	if err := json.EachMember(object, member); err != nil {
		return object, fmt.Errorf("it is within %s, which is no object", object)
	}
	if !found {
		empty := []byte("null")
		if len(path) > 1 {
			empty = []byte("{}")
		}
		if err := member([]byte(path[0]), empty); err != nil {
			return object, err
		}
	}
	return append(out, '}'), nil
}
