package enrich

import (
	"bytes"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

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
	replace    bool // replace.null.with.default
	fields     []addition
	headers    []addition
	routeBy    string
	routes     map[string]string // topics by the text of the field
	text       []byte
	drops      dropping

	extensions map[around]*extension
	last       around
	extension  *extension // of last
}

// extension is what is added to rows and records of envelopes that are alike.
type extension struct {
	schema  *cdc.Schema // the row's, with what is added behind
	deleted int         // where __deleted is, −1 for nowhere
	own     int         // fields before those of add.fields
	fields  []resolved
	at      []int // of fields
	headers []resolved
	bare    []*cdc.Schema // of headers
	nulls   defaults
}

// deletedField is what the rewrite modes add.
const deletedField = "__deleted"

func newUnwrap(o *transform.Options) transform.Transform {
	t := &unwrap{
		extensions: map[around]*extension{}, routes: map[string]string{},
		routeBy: o.Text("route.by.field", ""), replace: replaceNulls(o), drops: newDropping(o),
	}
	t.readModes(o)
	t.fields = additions(o, "add.fields")
	t.headers = additions(o, "add.headers")
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

// DependsOnRow is true where a field of the row names the topic.
func (t *unwrap) DependsOnRow() bool { return t.routeBy != "" }

// Apply unwraps r. A record that is no envelope passes as it is.
func (t *unwrap) Apply(r *cdc.Record) (keep bool, err error) {
	var whole *cdc.Row
	if r.Wrapped {
		whole = r.Value
		transform.Unwrapped(r)
	}
	if r.Tombstone {
		t.addTombstoneHeaders(r)
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
	x := t.extensionOf(e, row, whole)
	if err := t.addHeaders(r, x, row, whole); err != nil {
		return false, err
	}
	if err := t.route(r, row); err != nil {
		return false, err
	}
	if e.Op == cdc.OpDelete && t.deletes == deletesTombstone {
		r.Tombstone, r.Deleted = true, true
		return true, t.drops.fromKey(r)
	}
	if r.Value = row; row == nil {
		return false, nil
	}
	if err := x.extend(e, row, whole); err != nil {
		return false, err
	}
	return true, t.drops.apply(r, x)
}

// route names the topic by a field of the row, where route.by.field is set. A
// null or blank one leaves the topic as it is.
func (t *unwrap) route(r *cdc.Record, row *cdc.Row) error {
	if t.routeBy == "" || row == nil {
		return nil
	}
	at := row.Schema.Index([]byte(t.routeBy))
	if at < 0 {
		if schemaless(row.Schema) {
			return nil
		}
		return fmt.Errorf("field %s, by which records are routed, does not exist", t.routeBy)
	}
	t.text = json.AppendText(t.text[:0], &row.Schema.Fields[at], &row.Values[at])
	if len(bytes.TrimSpace(t.text)) == 0 {
		return nil
	}
	topic, ok := t.routes[string(t.text)]
	if !ok {
		if len(t.routes) >= routesKept {
			clear(t.routes)
		}
		topic = string(t.text)
		t.routes[topic] = topic
	}
	r.Route = topic
	return nil
}

// routesKept bounds how many topics are remembered.
const routesKept = 10_000

// extensionOf is what is added to the row of an envelope.
func (t *unwrap) extensionOf(e *cdc.Envelope, row, whole *cdc.Row) *extension {
	var in around
	if row != nil {
		in.row = row.Schema
	}
	if e.Source != nil {
		in.source = e.Source.Schema
	}
	if whole != nil {
		in.whole = whole.Schema
	}
	if t.extension != nil && in == t.last {
		return t.extension
	}
	x := t.extensions[in]
	if x == nil {
		x = t.newExtension(in)
		t.extensions[in] = x
	}
	t.last, t.extension = in, x
	return x
}

func (t *unwrap) newExtension(in around) *extension {
	x := &extension{deleted: -1}
	for _, a := range t.headers {
		if r, ok := a.resolve(in); ok {
			x.headers, x.bare = append(x.headers, r), append(x.bare, cdc.Bare(r.field))
		}
	}
	if in.row == nil {
		return x
	}
	x.nulls = defaultsOf(in.row, t.replace)
	x.schema = derived(in.row, in.row.Fields)
	if t.deletes == deletesRewrite {
		x.schema = x.schema.With(cdc.Field{Name: deletedField, Type: cdc.Text, Optional: true})
		x.deleted = x.schema.Index([]byte(deletedField))
	}
	x.own = len(x.schema.Fields)
	for _, a := range t.fields {
		if r, ok := a.resolve(in); ok {
			x.schema = x.schema.With(r.field)
			x.fields, x.at = append(x.fields, r), append(x.at, x.schema.Index([]byte(r.field.Name)))
		}
	}
	return x
}

var deletedTexts = map[bool][]byte{true: []byte("true"), false: []byte("false")}

// extend adds the fields to row.
func (x *extension) extend(e *cdc.Envelope, row, whole *cdc.Row) error {
	x.nulls.fill(row)
	grow(row, len(x.schema.Fields))
	row.Schema = x.schema
	if x.deleted >= 0 {
		row.Values[x.deleted] = cdc.String(deletedTexts[e.Op == cdc.OpDelete])
	}
	for i := range x.fields {
		v, err := x.fields[i].value(e, whole, row)
		if err != nil {
			return err
		}
		row.Values[x.at[i]] = v
	}
	return nil
}

// typedHeader is the memory of a header's row.
type typedHeader struct {
	row   cdc.Row
	value [1]cdc.Value
}

func newTypedHeader(s *cdc.Schema) *cdc.Row {
	h := &typedHeader{}
	h.row.Schema, h.row.Values = s, h.value[:]
	return &h.row
}

func (t *unwrap) addHeaders(r *cdc.Record, x *extension, row, whole *cdc.Row) error {
	for i := range x.headers {
		h := newTypedHeader(x.bare[i])
		into := row
		if into == nil {
			into = h
		}
		v, err := x.headers[i].value(r.Envelope, whole, into)
		if err != nil {
			return err
		}
		h.Values[0] = v
		r.Headers = append(r.Headers, cdc.Header{Key: x.headers[i].field.Name, Typed: h})
	}
	return nil
}

var textHeader = cdc.Bare(cdc.Field{Type: cdc.Text})

// addTombstoneHeaders says of a tombstone that it is a delete, where the
// operation is to be a header.
func (t *unwrap) addTombstoneHeaders(r *cdc.Record) {
	for _, a := range t.headers {
		if a.block == "" && a.name == "op" {
			h := newTypedHeader(textHeader)
			h.Values[0] = cdc.String(opTexts[cdc.OpDelete:][:1:1])
			r.Headers = append(r.Headers, cdc.Header{Key: a.as, Typed: h})
		}
	}
}
