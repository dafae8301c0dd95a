package enrich

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
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
		got = append(got, fmt.Sprintf("%s=%s", h.Key, h.Value))
	}
	if d := cmp.Diff([]string{"x.op=d", "x.ts_ms=1795392841168", "x.source_gtid=null", "x.base=shop"}, got); d != "" {
		t.Error(d)
	}
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
