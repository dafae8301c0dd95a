package enrich

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// wasmPlan is what is known of a schema whose rows go to a module.
type wasmPlan struct {
	document *json.Document
	sent     [][]byte // the text of each field in the document that was sent
	got      [][]byte // in the one that was returned; nil: missing
	added    []wasmAdded
	schemas  map[string]*cdc.Schema // that came back, by their signatures
}

// wasmAdded is a field that the module has added.
type wasmAdded struct {
	name  string
	value []byte
}

func (t *wasm) plan(s *cdc.Schema) *wasmPlan {
	p := t.plans[s]
	if p == nil {
		p = &wasmPlan{
			document: json.NewDocument(s, json.DocumentOptions{}), schemas: map[string]*cdc.Schema{},
			sent: make([][]byte, len(s.Fields)), got: make([][]byte, len(s.Fields)),
		}
		t.plans[s] = p
	}
	return p
}

// appendRecord appends the document that a module gets.
func (t *wasm) appendRecord(dst []byte, r *cdc.Record, row *cdc.Row) []byte {
	dst = json.AppendString(append(dst, `{"topic":`...), []byte(r.Route))
	dst = strconv.AppendInt(append(dst, `,"partition":`...), int64(r.Partition), 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), r.Offset, 10)
	dst = strconv.AppendInt(append(dst, `,"timestamp":`...), r.Millis(), 10)
	dst = append(dst, `,"op":`...)
	if r.Op == cdc.OpNone {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"', byte(r.Op), '"')
	}
	dst = strconv.AppendBool(append(dst, `,"deleted":`...), r.Deleted || r.Op == cdc.OpDelete)
	dst = append(dst, `,"headers":{`...)
	separator := ""
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Typed == nil && utf8.Valid(h.Value) {
			dst = json.AppendString(append(dst, separator...), []byte(h.Key))
			dst = json.AppendString(append(dst, ':'), h.Value)
			separator = ","
		}
	}
	dst = t.appendRow(append(dst, `},"key":`...), r.Key)
	dst = append(dst, `,"value":`...)
	t.valueAt = len(dst)
	return append(t.appendRow(dst, row), '}')
}

func (t *wasm) appendRow(dst []byte, row *cdc.Row) []byte {
	if row == nil {
		return append(dst, "null"...)
	}
	return t.plan(row.Schema).document.Append(dst, row)
}

// take does to r what the module returned.
func (t *wasm) take(r *cdc.Record, row *cdc.Row, answer []byte) error {
	var scratch cdc.Row
	return json.EachMember(answer, func(name, value []byte) error {
		switch string(name) {
		case "error":
			reason, err := textOf(&scratch, value)
			if err != nil {
				return fmt.Errorf("reading error: %w", err)
			}
			return errors.New(reason)
		case "topic":
			topic, err := textOf(&scratch, value)
			if err != nil || topic == "" {
				return fmt.Errorf("topic is %s, want text", value)
			}
			r.Route = topic
		case "headers":
			return takeHeaders(r, value)
		case "value":
			return t.takeValue(row, value)
		}
		return nil
	})
}

func textOf(row *cdc.Row, value []byte) (string, error) {
	v, err := json.ReadAny(row, value)
	if err != nil || v.Kind() != cdc.KindString {
		return "", fmt.Errorf("%s is no text", value)
	}
	return string(v.Bytes()), nil
}

// takeHeaders sets the headers that are named, or takes those out that are null.
func takeHeaders(r *cdc.Record, headers []byte) error {
	var scratch cdc.Row
	return json.EachMember(headers, func(name, value []byte) error {
		key := string(name)
		if isJSONNull(value) {
			r.Headers = slices.DeleteFunc(r.Headers, func(h cdc.Header) bool { return h.Key == key })
			return nil
		}
		text, err := textOf(&scratch, value)
		if err != nil {
			return fmt.Errorf("header %s: %w", key, err)
		}
		if at := slices.IndexFunc(r.Headers, func(h cdc.Header) bool { return h.Key == key }); at >= 0 {
			r.Headers[at] = cdc.Header{Key: key, Value: []byte(text)}
		} else {
			r.Headers = append(r.Headers, cdc.Header{Key: key, Value: []byte(text)})
		}
		return nil
	})
}

// takeValue makes the row what the module returned as value. A field whose text
// is the one that was sent keeps its value and type.
func (t *wasm) takeValue(row *cdc.Row, value []byte) error {
	switch {
	case row == nil && isJSONNull(value):
		return nil
	case row == nil:
		return errors.New("value is not null, but the record has none")
	case isJSONNull(value):
		return errors.New("value is null: to drop a record, return null as a whole")
	}
	p := t.plan(row.Schema)
	if row.Schema.IsBare() {
		return takeBare(row, p, value)
	}
	own := row.Alloc(len(value)) // the module's memory is its own
	copy(own, value)
	if err := p.compare(row.Schema, own, t.sent[t.valueAt:len(t.sent)-1]); err != nil {
		return fmt.Errorf("reading value: %w", err)
	}
	return t.rebuild(p, row)
}

// takeBare takes a value that is no row.
func takeBare(row *cdc.Row, p *wasmPlan, value []byte) error {
	if bytes.Equal(value, p.document.Append(nil, row)) {
		return nil
	}
	own := row.Alloc(len(value))
	copy(own, value)
	v, err := wasmValue(row, &row.Schema.Fields[0], own)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	row.Values[0] = v
	return nil
}

// compare finds the fields' texts in what was returned and what was sent.
func (p *wasmPlan) compare(s *cdc.Schema, returned, sent []byte) error {
	clear(p.got)
	p.added = p.added[:0]
	if err := json.EachMember(sent, func(name, value []byte) error {
		p.sent[s.Index(name)] = value
		return nil
	}); err != nil {
		return err
	}
	return json.EachMember(returned, func(name, value []byte) error {
		if at := s.Index(name); at >= 0 {
			p.got[at] = value
		} else {
			p.added = append(p.added, wasmAdded{string(name), value})
		}
		return nil
	})
}

// rebuild gives the row the fields that were returned, in the order they had,
// the added ones behind them.
func (t *wasm) rebuild(p *wasmPlan, row *cdc.Row) error {
	t.signed = t.signed[:0]
	fields, kept := row.Schema.Fields, 0
	for i, got := range p.got {
		if got == nil {
			t.signed = append(t.signed, '-')
			continue
		}
		v, mark, err := p.value(row, i)
		if err != nil {
			return fmt.Errorf("field %s: %w", fields[i].Name, err)
		}
		t.signed = append(t.signed, mark)
		row.Values[kept] = v // never ahead of i
		kept++
	}
	row.Values = row.Values[:kept]
	for i := range p.added {
		v, err := json.ReadAny(row, p.added[i].value)
		if err != nil {
			return fmt.Errorf("field %s: %w", p.added[i].name, err)
		}
		row.Values = append(row.Values, v)
		t.signed = strconv.AppendQuote(t.signed, p.added[i].name)
	}
	s := p.schemas[string(t.signed)]
	if s == nil {
		s = p.schema(row.Schema, string(t.signed))
	}
	row.Schema = s
	return nil
}

// value is the i-th field's value, and '=' where its type remains, '*' where it
// has no stated type any more: a struct, an array or a map that was changed.
func (p *wasmPlan) value(row *cdc.Row, i int) (v cdc.Value, mark byte, err error) {
	f := &row.Schema.Fields[i]
	nested := f.Type == cdc.Struct || f.Type == cdc.Array || f.Type == cdc.Map
	switch {
	case bytes.Equal(p.got[i], p.sent[i]), nested && sameJSON(p.got[i], p.sent[i]):
		return row.Values[i], '=', nil
	case nested:
		v, err = json.ReadAny(row, p.got[i])
		return v, '*', err
	}
	v, err = wasmValue(row, f, p.got[i])
	return v, '=', err
}

// schema makes the schema of a signature: a character for each field of s, '-'
// for one that is gone, else that of value, then the names that were added.
func (p *wasmPlan) schema(s *cdc.Schema, signature string) *cdc.Schema {
	out := *s
	out.Fields = nil
	for i, f := range s.Fields {
		switch signature[i] {
		case '*':
			out.Fields = append(out.Fields, cdc.Field{Name: f.Name, Type: cdc.Any, Optional: true})
		case '=':
			out.Fields = append(out.Fields, f)
		}
	}
	for i := range p.added {
		out.Fields = append(out.Fields, cdc.Field{Name: p.added[i].name, Type: cdc.Any, Optional: true})
	}
	p.schemas[signature] = out.Intern()
	return p.schemas[signature]
}
