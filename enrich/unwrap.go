package enrich

import (
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// Flatten unwraps the envelopes that no transform of a chain has unwrapped: the
// row after the change becomes the value; a delete keeps the row before it and
// is marked as one. A TRUNCATE has no row and is dropped. What transforms saw as
// a whole envelope (cdc.Record.Wrapped) is one again before.
type Flatten struct{}

// Apply unwraps r where it is an envelope and has not been unwrapped.
func (Flatten) Apply(r *cdc.Record) (keep bool, err error) {
	transform.Unwrapped(r)
	e := r.Envelope
	if e == nil || r.Value != nil || r.Deleted {
		return true, nil
	}
	switch {
	case e.Op == cdc.OpDelete:
		r.Value, r.Deleted = e.Before, true
	case e.After == nil:
		return false, nil // truncate, message
	default:
		r.Value = e.After
	}
	return true, nil
}

// deletes says what becomes of a delete event, after Debezium's
// delete.tombstone.handling.mode.
type deletes uint8

const (
	deletesTombstone deletes = iota
	deletesDrop
	deletesRewrite
)

// unwrap is Debezium's ExtractNewRecordState.
type unwrap struct {
	deletes    deletes
	tombstones bool // incoming tombstones are kept
	fields     []addition
	headers    []addition
	routeBy    string
	extended   map[*cdc.Schema]*extension
}

// extension is a row schema with the added fields behind its own.
type extension struct {
	schema *cdc.Schema
	at     []int
}

// deletedField is what the rewrite modes add.
const deletedField = "__deleted"

func newUnwrap(o *transform.Options) transform.Transform {
	t := &unwrap{extended: map[*cdc.Schema]*extension{}, routeBy: o.Text("route.by.field", "")}
	t.readModes(o)
	t.fields = additions(o, "add.fields")
	t.headers = additions(o, "add.headers")
	if t.deletes == deletesRewrite {
		t.fields = append(t.fields, addition{
			field: cdc.Field{Name: deletedField, Type: cdc.Text, Optional: true}, value: deletedValue,
		})
	}
	return t
}

// readModes reads delete.tombstone.handling.mode, or the pair of properties
// that Debezium 2 had in its place, as documented for it.
func (t *unwrap) readModes(o *transform.Options) {
	old, keep := o.OneOf("delete.handling.mode", "", "drop", "rewrite", "none"), o.Text("drop.tombstones", "")
	mode := o.OneOf("delete.tombstone.handling.mode", "", "tombstone", "drop", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone")
	if mode != "" && (old != "" || keep != "") {
		o.Fail("delete.tombstone.handling.mode", "left out, or delete.handling.mode and drop.tombstones left out: they say the same")
	}
	switch mode {
	case "drop":
		t.deletes = deletesDrop
	case "rewrite", "rewrite-with-tombstone":
		t.deletes, t.tombstones = deletesRewrite, mode == "rewrite-with-tombstone"
	}
	if old == "" && keep == "" {
		return
	}
	t.tombstones = !o.Bool("drop.tombstones", true)
	switch old {
	case "rewrite":
		t.deletes = deletesRewrite
	case "", "drop":
		t.deletes = deletesDrop
	}
}

// Apply unwraps r. A record that is no envelope passes as it is.
func (t *unwrap) Apply(r *cdc.Record) (keep bool, err error) {
	transform.Unwrapped(r)
	if r.Tombstone {
		return t.tombstones, nil
	}
	e := r.Envelope
	if e == nil || r.Value != nil {
		return true, nil
	}
	row := e.After
	switch e.Op {
	case cdc.OpTruncate, cdc.OpMessage:
		return false, nil
	case cdc.OpDelete:
		if row = e.Before; t.deletes == deletesDrop {
			return false, nil
		}
	}
	if err := t.addHeaders(r); err != nil {
		return false, err
	}
	t.route(r, row)
	if e.Op == cdc.OpDelete && t.deletes == deletesTombstone {
		r.Tombstone, r.Deleted = true, true
		return true, nil
	}
	return row != nil, t.extend(r, row)
}

// route names the topic by a field of the row, where route.by.field is set.
func (t *unwrap) route(r *cdc.Record, row *cdc.Row) {
	if t.routeBy == "" || row == nil {
		return
	}
	if v := row.Value(t.routeBy); v != nil && !v.IsNull() {
		r.Route = string(v.Bytes())
	}
}

// extend makes row the value, with the added fields behind its own.
func (t *unwrap) extend(r *cdc.Record, row *cdc.Row) error {
	r.Value = row
	if row == nil || len(t.fields) == 0 {
		return nil
	}
	x := t.extended[row.Schema]
	if x == nil {
		x = t.extension(row.Schema)
		t.extended[row.Schema] = x
	}
	for len(row.Values) < len(x.schema.Fields) {
		row.Values = append(row.Values, cdc.Value{})
	}
	row.Schema = x.schema
	for i := range t.fields {
		v, err := t.fields[i].value(r.Envelope, row, t.fields[i].name)
		if err != nil {
			return err
		}
		row.Values[x.at[i]] = v
	}
	return nil
}

func (t *unwrap) extension(s *cdc.Schema) *extension {
	x := &extension{}
	fields := make([]cdc.Field, len(t.fields))
	for i := range t.fields {
		fields[i] = t.fields[i].field
	}
	x.schema = s.With(fields...)
	for i := range fields {
		x.at = append(x.at, x.schema.Index([]byte(fields[i].Name)))
	}
	return x
}

func (t *unwrap) addHeaders(r *cdc.Record) error {
	for i := range t.headers {
		h := &t.headers[i]
		text, err := h.text(r.Envelope)
		if err != nil {
			return err
		}
		r.Headers = append(r.Headers, cdc.Header{Key: h.field.Name, Value: text})
	}
	return nil
}

// additions reads a list such as op,source.ts_ms:changed_at.
func additions(o *transform.Options, property string) []addition {
	prefix := o.Text(property+".prefix", "__")
	var out []addition
	for _, item := range o.List(property) {
		name, as, renamed := strings.Cut(item, ":")
		if !renamed {
			as = strings.ReplaceAll(name, ".", "_")
		}
		a, ok := newAddition(name, prefix+as)
		if !ok {
			o.Fail(property, "names of op, ts_ms, ts_us, ts_ns, transaction.<field>, source.<field> or fields of the source block; "+name+" is none")
			continue
		}
		out = append(out, a)
	}
	return out
}
