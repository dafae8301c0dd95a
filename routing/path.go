package routing

import (
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// path names a member of an envelope, as in source.table or after.address.city.
type path []string

func newPath(text string) path {
	parts := strings.Split(text, ".")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// eitherState is the part of a path that stands for after, or for before where the
// change is a delete.
const eitherState = "change"

// find is the member's value and its field, which is nil where the envelope has
// no such member or it is null. What has to be read from JSON lives in scratch.
func (p path) find(e *cdc.Envelope, scratch *cdc.Row) (cdc.Value, *cdc.Field) {
	name := p[0]
	if name == eitherState {
		if name = "after"; e.Op == cdc.OpDelete {
			name = "before"
		}
	}
	switch {
	case len(p) == 1:
		return single(e, name, scratch)
	case name == "before":
		return p[1:].within(e.Before, scratch)
	case name == "after":
		return p[1:].within(e.After, scratch)
	case name == "source" && e.Source != nil:
		return p[1:].within(e.Source, scratch)
	case name == "source":
		return p[1:].inJSON(e.SourceJSON, scratch)
	case name == "transaction" && len(p) == 2 && len(e.Transaction.ID) > 0:
		return ofTransaction(&e.Transaction, p[1])
	}
	return cdc.Value{}, nil
}

var (
	textField = &cdc.Field{Type: cdc.Text}
	longField = &cdc.Field{Type: cdc.Int64}
	anyField  = &cdc.Field{Type: cdc.Any}
)

// single is a member of the envelope itself.
func single(e *cdc.Envelope, name string, scratch *cdc.Row) (cdc.Value, *cdc.Field) {
	number := func(n int64) (cdc.Value, *cdc.Field) {
		if n == 0 {
			return cdc.Value{}, nil
		}
		return cdc.Int(n), longField
	}
	switch name {
	case "op":
		b := scratch.Alloc(1)
		b[0] = byte(e.Op)
		return cdc.String(b), textField
	case "ts_ms":
		return number(e.Millis)
	case "ts_us":
		return number(e.Micros)
	case "ts_ns":
		return number(e.Nanos)
	}
	return cdc.Value{}, nil
}

func ofTransaction(tx *cdc.Transaction, name string) (cdc.Value, *cdc.Field) {
	switch name {
	case "id":
		return cdc.String(tx.ID), textField
	case "total_order":
		return cdc.Int(tx.TotalOrder), longField
	case "data_collection_order":
		return cdc.Int(tx.CollectionOrder), longField
	}
	return cdc.Value{}, nil
}

// within is the member of a row, or of the structs in it.
func (p path) within(r *cdc.Row, scratch *cdc.Row) (cdc.Value, *cdc.Field) {
	if r == nil {
		return cdc.Value{}, nil
	}
	schema, values := r.Schema, r.Values
	for i, name := range p {
		at := schema.Index([]byte(name))
		if at < 0 || values[at].IsNull() {
			return cdc.Value{}, nil
		}
		f, v := &schema.Fields[at], &values[at]
		switch {
		case i == len(p)-1:
			return *v, f
		case v.Kind() == cdc.KindJSON:
			return p[i+1:].inJSON(v.Bytes(), scratch)
		case f.Struct == nil:
			return cdc.Value{}, nil
		}
		schema, values = f.Struct, v.List()
	}
	return cdc.Value{}, nil
}

func (p path) inJSON(object []byte, scratch *cdc.Row) (cdc.Value, *cdc.Field) {
	for _, name := range p {
		object = json.Member(object, name)
	}
	if object == nil {
		return cdc.Value{}, nil
	}
	v, err := json.ReadAny(scratch, object)
	if err != nil || v.IsNull() {
		return cdc.Value{}, nil
	}
	return v, anyField
}
