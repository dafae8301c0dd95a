package enrich

import (
	stdjson "encoding/json"
	"fmt"
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// dropping removes the fields that a header names, as ExtractNewRecordState
// does with drop.fields.header.name.
type dropping struct {
	header string
	key    bool // drop.fields.from.key
	all    bool // also fields that are not optional
	plans  map[dropFrom]map[string]*columns
	text   []byte
}

// dropFrom is what fields are dropped from: those before below.
type dropFrom struct {
	schema *cdc.Schema
	below  int
}

// dropsKept bounds the combinations of fields that are remembered.
const dropsKept = 10_000

func newDropping(o *transform.Options) dropping {
	return dropping{
		header: o.Text("drop.fields.header.name", ""), key: o.Bool("drop.fields.from.key", false),
		all: !o.Bool("drop.fields.keep.schema.compatible", true), plans: map[dropFrom]map[string]*columns{},
	}
}

// apply drops fields of key and value. Those that add.fields has added to a
// deleted row stay.
func (d *dropping) apply(r *cdc.Record, x *extension) error {
	if d.header == "" {
		return nil
	}
	if err := d.fromKey(r); err != nil {
		return err
	}
	below := len(r.Value.Schema.Fields)
	if r.Op == cdc.OpDelete {
		below = x.own
	}
	return d.from(r, r.Value, below)
}

// fromKey drops fields of the key, where that is wanted.
func (d *dropping) fromKey(r *cdc.Record) error {
	if d.header == "" || !d.key || r.Key == nil || r.Key.Schema.IsBare() {
		return nil
	}
	return d.from(r, r.Key, len(r.Key.Schema.Fields))
}

func (d *dropping) from(r *cdc.Record, row *cdc.Row, below int) error {
	at := slices.IndexFunc(r.Headers, func(h cdc.Header) bool { return h.Key == d.header })
	if at < 0 {
		return nil
	}
	list := d.list(&r.Headers[at])
	if len(list) == 0 {
		return nil
	}
	from := dropFrom{row.Schema, below}
	c := d.plans[from][string(list)]
	if c == nil {
		var err error
		if c, err = d.plan(from, list); err != nil {
			return err
		}
	}
	c.take(row)
	return nil
}

// list is the names as a JSON array, or empty for none.
func (d *dropping) list(h *cdc.Header) []byte {
	if h.Typed == nil {
		return h.Value
	}
	v := &h.Typed.Values[0]
	if v.Kind() != cdc.KindList {
		return v.Bytes()
	}
	d.text = append(d.text[:0], '[')
	for i := range v.List() {
		if i > 0 {
			d.text = append(d.text, ',')
		}
		name, _ := stdjson.Marshal(string(v.List()[i].Bytes()))
		d.text = append(d.text, name...)
	}
	return append(d.text, ']')
}

func (d *dropping) plan(from dropFrom, list []byte) (*columns, error) {
	var names []string
	if err := stdjson.Unmarshal(list, &names); err != nil {
		return nil, fmt.Errorf("reading the names of fields to drop in header %s: %w", d.header, err)
	}
	c := &columns{}
	var fields []cdc.Field
	for i, f := range from.schema.Fields {
		if i < from.below && slices.Contains(names, f.Name) && (f.Optional || d.all) {
			continue
		}
		fields, c.from = append(fields, f), append(c.from, i)
	}
	c.schema = derived(from.schema, fields)
	plans := d.plans[from]
	if plans == nil || len(plans) >= dropsKept {
		plans = map[string]*columns{}
		d.plans[from] = plans
	}
	plans[string(list)] = c
	return c, nil
}
