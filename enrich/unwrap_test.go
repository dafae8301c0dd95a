package enrich

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

const (
	source      = `"source":{"version":"3.5.0.Final","connector":"mysql","name":"shop","ts_ms":1795392841000,"db":"shop","table":"orders","server_id":1,"gtid":null,"query":"say \"ts_ms\":5"}`
	transaction = `"transaction":{"id":"gtid:7","total_order":3,"data_collection_order":1}`
	tail        = `,"ts_ms":1795392841168}`
)

// events are one of each kind as Kafka has them.
var events = map[string]string{
	"create":    `{"before":null,"after":{"id":1,"city":"Rome"},` + source + `,` + transaction + `,"op":"c"` + tail,
	"update":    `{"before":{"id":1,"city":"Rome"},"after":{"id":1,"city":"Oslo"},` + source + `,` + transaction + `,"op":"u"` + tail,
	"delete":    `{"before":{"id":1,"city":"Oslo"},"after":null,` + source + `,"transaction":null,"op":"d"` + tail,
	"truncate":  `{"before":null,"after":null,` + source + `,"transaction":null,"op":"t"` + tail,
	"tombstone": "",
	"flat":      `{"id":1,"city":"Bern"}`,
}

// record reads an event as a consumer does.
func record(t testing.TB, event string) *cdc.Record {
	t.Helper()
	var value []byte
	if event != "" {
		value = []byte(event)
	}
	m := new(json.Message)
	if err := json.NewReader(nil).ReadValue(m, value); err != nil {
		t.Fatal(err)
	}
	r := &cdc.Record{Route: "orders", Value: m.Value, Envelope: m.Envelope, Tombstone: m.Tombstone, Deleted: m.Tombstone}
	if m.Envelope != nil {
		r.Op = m.Envelope.Op
	}
	return r
}

// show is what a record is after a transform, for comparing.
func show(r *cdc.Record, kept bool) string {
	switch {
	case !kept:
		return "dropped"
	case r.Tombstone:
		return "tombstone"
	case r.Value == nil:
		return "envelope"
	}
	return string(json.NewPlan(r.Value.Schema, json.Options{}).Append(nil, r.Value))
}

// TestUnwrap has a row for each mode of ExtractNewRecordState and kind of event,
// as the table in Debezium's documentation has.
func TestUnwrap(t *testing.T) {
	created, updated, flat := `{"id":1,"city":"Rome"}`, `{"id":1,"city":"Oslo"}`, `{"id":1,"city":"Bern"}`
	deleted := func(row, mark string) string { return row[:len(row)-1] + `,"__deleted":"` + mark + `"}` }
	rewritten := map[string]string{"create": deleted(created, "false"), "update": deleted(updated, "false"), "delete": deleted(updated, "true")}
	for name, c := range map[string]struct {
		properties map[string]string
		want       map[string]string
	}{
		"default":                {nil, map[string]string{"delete": "tombstone", "tombstone": "dropped"}},
		"tombstone":              {map[string]string{"delete.tombstone.handling.mode": "tombstone"}, map[string]string{"delete": "tombstone", "tombstone": "dropped"}},
		"drop":                   {map[string]string{"delete.tombstone.handling.mode": "drop"}, map[string]string{"delete": "dropped", "tombstone": "dropped"}},
		"delete-to-tombstone":    {map[string]string{"delete.tombstone.handling.mode": "delete-to-tombstone"}, map[string]string{"delete": "tombstone", "tombstone": "dropped"}},
		"rewrite":                {map[string]string{"delete.tombstone.handling.mode": "rewrite"}, merge(rewritten, "tombstone", "dropped")},
		"rewrite-with-tombstone": {map[string]string{"delete.tombstone.handling.mode": "rewrite-with-tombstone"}, merge(rewritten, "tombstone", "tombstone")},
		"old drop":               {map[string]string{"drop.tombstones": "false", "delete.handling.mode": "drop"}, map[string]string{"delete": "dropped", "tombstone": "tombstone"}},
		"old rewrite":            {map[string]string{"drop.tombstones": "true", "delete.handling.mode": "rewrite"}, merge(rewritten, "tombstone", "dropped")},
		"old none":               {map[string]string{"drop.tombstones": "false", "delete.handling.mode": "none"}, map[string]string{"delete": "tombstone", "tombstone": "tombstone"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{"create": created, "update": updated, "truncate": "dropped", "flat": flat}
			for k, v := range c.want {
				want[k] = v
			}
			got := map[string]string{}
			for kind, event := range events {
				r := record(t, event)
				keep := apply(t, c.properties, r)
				got[kind] = show(r, keep)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func merge(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func apply(t testing.TB, properties map[string]string, r *cdc.Record) bool {
	t.Helper()
	kept, err := unwrapping(t, properties).Apply(context.Background(), []*cdc.Record{r})
	if err != nil {
		t.Fatal(err)
	}
	return len(kept) == 1
}

func unwrapping(t testing.TB, properties map[string]string) *transform.Chain {
	t.Helper()
	all := map[string]string{"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
	for k, v := range properties {
		all["transforms.unwrap."+k] = v
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAddFields: names resolve to the envelope, the transaction or the source
// block; a field that the event lacks is null.
func TestAddFields(t *testing.T) {
	r := record(t, events["update"])
	apply(t, map[string]string{"add.fields": "op,ts_ms,source.ts_ms,db,table:relation,gtid,query,transaction.id,total_order,lsn,server_id"}, r)
	want := `{"id":1,"city":"Oslo","__op":"u","__ts_ms":1795392841168,"__source_ts_ms":1795392841000,"__db":"shop","__relation":"orders",` +
		`"__gtid":null,"__query":"say \"ts_ms\":5","__transaction_id":"gtid:7","__total_order":3,"__lsn":null,"__server_id":1}`
	if got := show(r, true); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAddHeaders(t *testing.T) {
	r := record(t, events["delete"])
	apply(t, map[string]string{"add.headers": "op,ts_ms,source.gtid,db:base", "add.headers.prefix": "x."}, r)
	var got []string
	for _, h := range r.Headers {
		got = append(got, h.Key+"="+rowText(h.Typed))
	}
	if d := cmp.Diff([]string{`x.op="d" string?`, "x.ts_ms=1795392841168 int64?", "x.source_gtid=null string?", `x.base="shop" string?`}, got); d != "" {
		t.Error(d)
	}
	r = record(t, "")
	apply(t, map[string]string{"add.headers": "op,db", "drop.tombstones": "false"}, r)
	if len(r.Headers) != 1 || r.Headers[0].Key != "__op" || rowText(r.Headers[0].Typed) != `"d" string` {
		t.Errorf("a tombstone is a delete: %v", r.Headers)
	}
}

// TestAddedBehindDeleted: __deleted comes first, as in Debezium; a member of
// before and after can be added, and one that a typed source block lacks is not.
func TestAddedBehindDeleted(t *testing.T) {
	r := typed(t, cdc.OpUpdate)
	apply(t, map[string]string{"add.fields": "op,lsn,db,before.city:was,seen", "delete.tombstone.handling.mode": "rewrite"}, r)
	want := `{"id":1,"city":"Oslo","__deleted":"false","__op":"u","__db":"shop","__was":"Rome"} shop.Value{id:int32 city:string? __deleted:string? __op:string? __db:string? __was:string?}`
	if got := rowText(r.Value); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestAddedBesideTheEnvelope: what a transform has put into the envelope can be
// added, and what it has done to the rows stays.
func TestAddedBesideTheEnvelope(t *testing.T) {
	r := typed(t, cdc.OpUpdate)
	if got := applied(t, "InsertField$Value static.field=seen static.value=yes", r); !strings.Contains(got, `"seen":"yes"`) || !r.Wrapped {
		t.Fatal(got)
	}
	apply(t, map[string]string{"add.fields": "seen"}, r)
	if got := show(r, true); got != `{"id":1,"city":"Oslo","__seen":"yes"}` || r.Wrapped {
		t.Error(got)
	}
}

// TestWholeEnvelopes: transforms of Connect see the envelope as a row, and a
// sink gets the row after it.
func TestWholeEnvelopes(t *testing.T) {
	for properties, want := range map[string]string{
		"ReplaceField$Value exclude=source":                    `{"before":{"id":1,"city":"Rome"},"after":{"id":1,"city":"Oslo"},"transaction":null,"op":"u","ts_ms":7,"ts_us":null,"ts_ns":null}`,
		"InsertField$Value static.field=seen static.value=yes": `{"id":1,"city":"Oslo","seen":"yes"}`,
		"InsertField$Value static.field=city static.value=yes": `{"id":1,"city":"yes"}`,
		"ReplaceField$Value exclude=ts_us":                     `{"id":1,"city":"Oslo"}`,
		"ExtractField$Value field=after":                       `{"id":1,"city":"Oslo"}`,
		"ExtractField$Value field=op":                          `"u"`,
		"SetSchemaMetadata$Value schema.name=x":                `{"id":1,"city":"Oslo"}`,
		"Flatten$Value delimiter=_": `{"before_id":1,"before_city":"Rome","after_id":1,"after_city":"Oslo","source_db":"shop","transaction_id":null,"transaction_total_order":null,` +
			`"transaction_data_collection_order":null,"op":"u","ts_ms":7,"ts_us":null,"ts_ns":null}`,
	} {
		r := typed(t, cdc.OpUpdate)
		applied(t, properties, r)
		keep, err := Flatten{}.Apply(r)
		if got := show(r, keep); err != nil || got != want {
			t.Errorf("%s: %s, %v\nwant %s", properties, got, err, want)
		}
	}
	r := typed(t, cdc.OpDelete)
	applied(t, "ExtractField$Value field=after", r)
	if keep, err := (Flatten{}).Apply(r); show(r, keep) != "tombstone" || err != nil || !r.Deleted {
		t.Error("the row after a delete is null, and so a tombstone")
	}
}

// TestDropFields: fields that a header names are dropped, if they are optional.
func TestDropFields(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		header     cdc.Header
		op         cdc.Op
		key, value string
	}{
		"optional only": {nil, cdc.Header{Value: []byte(`["id","city"]`)}, cdc.OpUpdate, `{"id":1}`, `{"id":1}`},
		"all":           {map[string]string{"drop.fields.keep.schema.compatible": "false"}, cdc.Header{Value: []byte(`["id"]`)}, cdc.OpUpdate, `{"id":1}`, `{"city":"Oslo"}`},
		"key":           {map[string]string{"drop.fields.keep.schema.compatible": "false", "drop.fields.from.key": "true"}, cdc.Header{Value: []byte(`["id"]`)}, cdc.OpUpdate, `{}`, `{"city":"Oslo"}`},
		"typed":         {nil, cdc.Header{Typed: listHeader("city", "none")}, cdc.OpUpdate, `{"id":1}`, `{"id":1}`},
		"added too":     {map[string]string{"add.fields": "op"}, cdc.Header{Value: []byte(`["__op"]`)}, cdc.OpUpdate, `{"id":1}`, `{"id":1,"city":"Oslo"}`},
		"not added to deletes": {map[string]string{"add.fields": "op", "delete.tombstone.handling.mode": "rewrite"}, cdc.Header{Value: []byte(`["__op","city"]`)}, cdc.OpDelete,
			`{"id":1}`, `{"id":1,"__deleted":"true","__op":"d"}`},
		"none": {nil, cdc.Header{Value: []byte(`[]`)}, cdc.OpUpdate, `{"id":1}`, `{"id":1,"city":"Oslo"}`},
	} {
		properties := map[string]string{"drop.fields.header.name": "drop"}
		maps.Copy(properties, c.properties)
		r := typed(t, c.op)
		c.header.Key = "drop"
		r.Headers = []cdc.Header{{Key: "other"}, c.header}
		apply(t, properties, r)
		if key, value := show(&cdc.Record{Value: r.Key}, true), show(r, true); key != c.key || value != c.value {
			t.Errorf("%s: %s %s", name, key, value)
		}
	}
}

func listHeader(names ...string) *cdc.Row {
	var list []cdc.Value
	for _, name := range names {
		list = append(list, cdc.String([]byte(name)))
	}
	return &cdc.Row{Schema: cdc.Bare(cdc.Field{Type: cdc.Array, Element: &cdc.Field{Type: cdc.Text}}), Values: []cdc.Value{cdc.List(list)}}
}

// typed is an event as a capture has it, with a typed source block.
func typed(tb testing.TB, op cdc.Op) *cdc.Record {
	tb.Helper()
	s := cdc.Schema{Name: "shop.Value", Optional: true, Fields: []cdc.Field{{Name: "id", Type: cdc.Int32}, {Name: "city", Type: cdc.Text, Optional: true}}}.Intern()
	row := func(s *cdc.Schema, values ...cdc.Value) *cdc.Row {
		r := new(cdc.Row)
		r.Reset(s)
		copy(r.Values, values)
		return r
	}
	e := &cdc.Envelope{Op: op, Millis: 7, Before: row(s, cdc.Int(1), cdc.String([]byte("Rome"))), After: row(s, cdc.Int(1), cdc.String([]byte("Oslo")))}
	if op == cdc.OpDelete {
		e.After = nil
	}
	e.Source = row(cdc.NewSchema("Source", cdc.Field{Name: "db", Type: cdc.Text}), cdc.String([]byte("shop")))
	key := row(cdc.NewSchema("shop.Key", cdc.Field{Name: "id", Type: cdc.Int32}), cdc.Int(1))
	return &cdc.Record{Route: "orders", Key: key, Envelope: e, Op: op}
}

// TestRouteByField: the field of the row after, or of the one before a delete.
func TestRouteByField(t *testing.T) {
	for kind, want := range map[string]string{"update": "Oslo", "create": "Rome", "delete": "Oslo", "flat": "orders"} {
		r := record(t, events[kind])
		apply(t, map[string]string{"route.by.field": "city"}, r)
		if r.Route != want {
			t.Errorf("%s: routed to %s, want %s", kind, r.Route, want)
		}
	}
}

// TestFlatten: what no transform has unwrapped keeps its last state and is
// marked where it is a delete.
func TestFlatten(t *testing.T) {
	for kind, want := range map[string]string{"create": `{"id":1,"city":"Rome"}`, "update": `{"id":1,"city":"Oslo"}`,
		"delete": `{"id":1,"city":"Oslo"}`, "truncate": "dropped", "tombstone": "tombstone", "flat": `{"id":1,"city":"Bern"}`} {
		r := record(t, events[kind])
		keep, err := Flatten{}.Apply(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(r, keep); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
		if deleted := kind == "delete" || kind == "tombstone"; r.Deleted != deleted {
			t.Errorf("%s: deleted is %v", kind, r.Deleted)
		}
	}
}

// BenchmarkUnwrap is what unwrapping adds to a record, alone, with fields, and
// with a router and an inserted field behind it, which may take 150 ns.
func BenchmarkUnwrap(b *testing.B) {
	for _, c := range []struct {
		name       string
		properties map[string]string
	}{
		{"alone", nil},
		{"fields", map[string]string{"transforms.unwrap.add.fields": "op,ts_ms,db"}},
		{"router and InsertField", map[string]string{"transforms": "unwrap,route,at",
			"transforms.route.type": connectPackage + "RegexRouter", "transforms.route.regex": `orders\.ecommerce\.([^.]+)`, "transforms.route.replacement": "orders.$1",
			"transforms.at.type": connectPackage + "InsertField$Value", "transforms.at.static.field": "processed_at", "transforms.at.static.value": "$(date:yyyy-MM-dd'T'HH:mm:ss'Z')"}},
	} {
		all := map[string]string{"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
		maps.Copy(all, c.properties)
		v, _, err := config.Parse(all, transform.Properties)
		if err != nil {
			b.Fatal(err)
		}
		chain, err := transform.New(v, Classes, routing.Classes)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) { benchmarkUnwrap(b, chain) })
	}
}

func benchmarkUnwrap(b *testing.B, chain *transform.Chain) {
	r := typed(b, cdc.OpUpdate)
	after, ctx := r.Envelope.After, context.Background()
	s, values, records := after.Schema, append([]cdc.Value(nil), after.Values...), []*cdc.Record{r}
	b.ReportAllocs()
	for b.Loop() {
		after.Reset(s)
		copy(after.Values, values)
		r.Value, r.Route = nil, "orders.ecommerce.orders"
		if kept, err := chain.Apply(ctx, records); err != nil || len(kept) != 1 {
			b.Fatal(err)
		}
	}
}
