package routing

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// outbox is the schema of golden case smt-outbox-ok.
var outbox = cdc.Schema{Name: "smt-outbox-ok.smt_outbox_ok.outbox.Value", Optional: true, Fields: []cdc.Field{
	{Name: "id", Type: cdc.Text}, {Name: "aggregatetype", Type: cdc.Text}, {Name: "aggregateid", Type: cdc.Text}, {Name: "type", Type: cdc.Text},
	{Name: "payload", Type: cdc.Text, Semantic: cdc.JSON, SchemaVersion: 1, Optional: true},
	{Name: "tenant", Type: cdc.Text, Optional: true},
	{Name: "created", Type: cdc.Int64, Semantic: cdc.Timestamp, SchemaVersion: 1},
	{Name: "version", Type: cdc.Int32, Optional: true},
}}.Intern()

// outboxRow is an event's row; an empty payload or tenant is null.
func outboxRow(by, key, payload, tenant string, created int64) *cdc.Row {
	r := &cdc.Row{}
	r.Reset(outbox)
	for i, s := range []string{"6ccd780c", by, key, "OrderCreated", payload, tenant} {
		if s != "" {
			r.Values[i] = cdc.String([]byte(s))
		}
	}
	r.Values[6], r.Values[7] = cdc.Int(created), cdc.Int(3)
	return r
}

const eventRouterClass = "io.debezium.transforms.outbox.EventRouter"

// TestEventRouterGolden has the events of golden case smt-outbox-ok.
func TestEventRouterGolden(t *testing.T) {
	c := one(t, map[string]string{"type": eventRouterClass,
		"table.expand.json.payload":         "true",
		"table.fields.additional.placement": "type:header:eventType,tenant:envelope:tenant",
		"table.field.event.timestamp":       "created",
		"route.topic.replacement":           "smt-outbox-ok.out.${routedByValue}",
	})
	for _, x := range []struct {
		by, key, payload, tenant string
		created                  int64
		want                     string
	}{
		{"customer", "c-9", "", "", 1704153600000, `{"schema":{"type":"struct","fields":[{"type":"string","optional":true,"name":"io.debezium.data.Json","version":1,"field":"payload"},{"type":"string","optional":true,"field":"tenant"}],"optional":false,"name":"smt-outbox-ok.smt_outbox_ok.outbox.customer.Value"},"payload":{"payload":null,"tenant":null}}`},
		{"order", "1", `{"id":1,"lines":[{"q":2,"sku":"a"}]}`, "t1", 1704067200000, `{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","optional":true,"field":"id"},{"type":"array","items":{"type":"struct","fields":[{"type":"int32","optional":true,"field":"q"},{"type":"string","optional":true,"field":"sku"}],"optional":true,"name":"payload.lines"},"optional":true,"field":"lines"}],"optional":true,"name":"payload","field":"payload"},{"type":"string","optional":true,"field":"tenant"}],"optional":false,"name":"smt-outbox-ok.smt_outbox_ok.outbox.order.Value"},"payload":{"payload":{"id":1,"lines":[{"q":2,"sku":"a"}]},"tenant":"t1"}}`},
		{"order", "2", `{"n": null, "o": {"a": {}}, "id": 2, "ok": true, "tags": ["x", "y"], "total": 1.5}`, "t1", 1704067200500, `{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"struct","fields":[{"type":"struct","fields":[],"optional":true,"name":"payload.o.a","field":"a"}],"optional":true,"name":"payload.o","field":"o"},{"type":"int32","optional":true,"field":"id"},{"type":"boolean","optional":true,"field":"ok"},{"type":"array","items":{"type":"string","optional":true},"optional":true,"field":"tags"},{"type":"double","optional":true,"field":"total"}],"optional":true,"name":"payload","field":"payload"},{"type":"string","optional":true,"field":"tenant"}],"optional":false,"name":"smt-outbox-ok.smt_outbox_ok.outbox.order.Value"},"payload":{"payload":{"o":{"a":{}},"id":2,"ok":true,"tags":["x","y"],"total":1.5},"tenant":"t1"}}`},
	} {
		r := change(cdc.OpCreate, nil, outboxRow(x.by, x.key, x.payload, x.tenant, x.created))
		if !apply(t, c, r) {
			t.Fatalf("event %s is dropped", x.key)
		}
		if got := whole(r.Value); got != x.want {
			t.Errorf("the value is\n%s, want\n%s", got, x.want)
		}
		if got, want := whole(r.Key), `{"schema":{"type":"string","optional":false},"payload":"`+x.key+`"}`; got != want {
			t.Errorf("the key is %s, want %s", got, want)
		}
		if r.Route != "smt-outbox-ok.out."+x.by || !r.Timed || r.Time != x.created {
			t.Errorf("event %s goes to %s at %d", x.key, r.Route, r.Time)
		}
		headers(t, r, `id="6ccd780c"`, `eventType="OrderCreated"`)
	}
}

// headers compares the typed headers of r.
func headers(t *testing.T, r *cdc.Record, want ...string) {
	t.Helper()
	if len(r.Headers) != len(want) {
		t.Errorf("there are %d headers, want %q", len(r.Headers), want)
		return
	}
	for i, h := range r.Headers {
		if got := h.Key + "=" + text(h.Typed); got != want[i] {
			t.Errorf("header %d is %s, want %s", i, got, want[i])
		}
	}
}

// TestEventRouterDefaults has golden cases smt-outbox-plain and -update, and the
// kinds of records there are.
func TestEventRouterDefaults(t *testing.T) {
	c := one(t, map[string]string{"type": eventRouterClass})
	r := change(cdc.OpRead, nil, outboxRow("order", "2", `{"id":2}`, "", 5))
	if !apply(t, c, r) || r.Route != "outbox.event.order" || text(r.Key) != `"2"` || text(r.Value) != `"{\"id\":2}"` || r.Time != 1_700_000_000_001 {
		t.Errorf("an event became %s: %s, %s at %d", r.Route, text(r.Key), text(r.Value), r.Time)
	}
	empty := change(cdc.OpCreate, nil, outboxRow("order", "2", "", "", 5))
	if !apply(t, c, empty) || empty.Tombstone || text(empty.Value) != "null" {
		t.Errorf("an event without a payload became %s, a tombstone: %v", text(empty.Value), empty.Tombstone)
	}
	row := outboxRow("order", "2", "x", "", 5)
	for name, dropped := range map[string]*cdc.Record{
		"tombstone": read(t, "t", `{"id":"a"}`, ""), "delete": change(cdc.OpDelete, row, nil), "update": change(cdc.OpUpdate, row, row),
		"truncate": change(cdc.OpTruncate, nil, nil),
	} {
		if apply(t, c, dropped) {
			t.Errorf("%s is kept", name)
		}
	}
	other := read(t, "heartbeat", `{"serverName":"x"}`, `{"ts_ms":1}`)
	if !apply(t, c, other) || other.Route != "heartbeat" || text(other.Value) != `{"ts_ms":1}` {
		t.Errorf("what is no change became %s to %s", text(other.Value), other.Route)
	}
	schemaless := read(t, "t", `{"id":"a"}`, `{"before":null,"after":{"id":"a","aggregatetype":"order","aggregateid":7,"payload":{"x":[1]}},"source":{},"op":"c","ts_ms":9}`)
	if !apply(t, c, schemaless) || schemaless.Route != "outbox.event.order" || text(schemaless.Key) != "7" || text(schemaless.Value) != `{"x":[1]}` || schemaless.Time != 9 {
		t.Errorf("a schemaless event became %s: %s, %s", schemaless.Route, text(schemaless.Key), text(schemaless.Value))
	}
}

// TestEventRouterProperties goes through the others.
func TestEventRouterProperties(t *testing.T) {
	const at = "created"
	with := func(more ...string) map[string]string {
		p := map[string]string{"type": eventRouterClass}
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
		return p
	}
	route := func(properties map[string]string, row *cdc.Row) *cdc.Record {
		t.Helper()
		r := change(cdc.OpCreate, nil, row)
		if !apply(t, one(t, properties), r) {
			t.Errorf("%v: dropped", properties)
		}
		return r
	}
	blank := route(with("route.tombstone.on.empty.payload", "true"), outboxRow("order", "2", " ", "", 5))
	if !blank.Tombstone || blank.Value != nil || text(blank.Key) != `"2"` || !transform.IsNull(blank) {
		t.Errorf("a blank payload became %s", text(blank.Value))
	}
	columns := route(with("table.field.event.id", "tenant", "table.field.event.key", "type", "table.field.event.payload", "aggregateid", "table.field.event.type", "type",
		"route.by.field", "payload", "route.topic.regex", "(..).*", "route.topic.replacement", "ev-$1", "tracing.operation.name", "x"), outboxRow("a", "key", "pq-r", "t1", 5))
	if columns.Route != "ev-pq" || text(columns.Key) != `"OrderCreated"` || text(columns.Value) != `"key"` {
		t.Errorf("other columns became %s: %s, %s", columns.Route, text(columns.Key), text(columns.Value))
	}
	headers(t, columns, `id="t1"`)
	placed := route(with("table.fields.additional.placement", "version:partition, none:header", "table.field.additional.missing", "ignore"), outboxRow("a", "b", "c", "", 5))
	if !placed.Placed || placed.Place != 3 {
		t.Errorf("the event is placed in %d, %v", placed.Place, placed.Placed)
	}
	versioned := route(with("table.fields.additional.placement", "tenant:envelope", "table.field.event.schema.version", "version"), outboxRow("a", "b", "c", "", 5))
	if versioned.Value.Schema.Version != 3 || text(versioned.Value) != `{"payload":"c","tenant":null}` {
		t.Errorf("the value is %s in version %d", text(versioned.Value), versioned.Value.Schema.Version)
	}
	for _, x := range []struct {
		properties map[string]string
		op         cdc.Op
		row        *cdc.Row
		want       string
	}{
		{with("table.op.invalid.behavior", "fatal"), cdc.OpUpdate, outboxRow("a", "b", "c", "", 5), "operation u"},
		{with("table.field.event.timestamp", "version"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "unsupported field type int32 (without logical schema name)"},
		{with("table.field.event.timestamp", "none"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "no column none"},
		{with("table.field.event.payload", "none"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "no column none"},
		{with("table.fields.additional.placement", "none:header"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "no column none"},
		{with("table.fields.additional.placement", "type:partition"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "column type"},
		{with("route.by.field", "tenant"), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "column tenant"},
		{with("route.by.field", at), cdc.OpCreate, outboxRow("a", "b", "c", "", 5), "column created"},
		{with("table.field.event.schema.version", at, "table.fields.additional.placement", "tenant:envelope"), cdc.OpCreate, outboxRow("a", "b", "c", "", -1), "column created"},
	} {
		rejected(t, one(t, x.properties), change(x.op, nil, x.row), x.want)
	}
	for property, value := range map[string]string{
		"route.topic.regex": "(", "route.topic.replacement": "$9", "table.fields.additional.placement": "a:nowhere", "table.op.invalid.behavior": "panic",
		"table.expand.json.payload": "perhaps", "table.json.payload.null.behavior": "x", "table.field.additional.missing": "x", "colour": "blue",
	} {
		refused(t, property, with(property, value))
	}
}

// TestEventTime has the types of columns that a time can be in.
func TestEventTime(t *testing.T) {
	for _, x := range []struct {
		field cdc.Field
		value cdc.Value
		want  int64
	}{
		{cdc.Field{Type: cdc.Int64, Semantic: cdc.Timestamp}, cdc.Int(-1), -1},
		{cdc.Field{Type: cdc.Int64, Semantic: cdc.MicroTimestamp}, cdc.Int(1_700_000_000_123_456), 1_700_000_000_123},
		{cdc.Field{Type: cdc.Int64, Semantic: cdc.NanoTimestamp}, cdc.Int(1_700_000_000_123_456_789), 1_700_000_000_123},
		{cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp}, cdc.Int(5), 5},
		{cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, cdc.Micros(1_700_000_000_123_456), 1_700_000_000_123},
		{cdc.Field{Type: cdc.Text, Semantic: cdc.ZonedTimestamp}, cdc.String([]byte("2023-11-14T22:13:20.123Z")), 1_700_000_000_123},
		{cdc.Field{Type: cdc.Any}, cdc.Int(7), 7},
	} {
		if got, err := millisOf(&x.field, &x.value); err != nil || got != x.want {
			t.Errorf("%s is %d, %v; want %d", x.value, got, err, x.want)
		}
	}
	for _, f := range []cdc.Field{{Type: cdc.Int64}, {Type: cdc.Int32, Semantic: cdc.Date}, {Type: cdc.Text}} {
		if _, err := millisOf(&f, new(cdc.Int(1))); err == nil {
			t.Errorf("%s %s is taken as a time", f.Type, f.ConnectName())
		}
	}
}

func BenchmarkEventRouter(b *testing.B) {
	for name, properties := range map[string]map[string]string{
		"plain":    {"type": eventRouterClass},
		"expanded": {"type": eventRouterClass, "table.expand.json.payload": "true", "table.fields.additional.placement": "tenant:envelope"},
	} {
		b.Run(name, func(b *testing.B) {
			row, key := outboxRow("order", "1", `{"id":1,"lines":[{"q":2,"sku":"a"}],"total":1.5}`, "t1", 5), &cdc.Row{}
			benchmark(b, one(b, properties), func(r *cdc.Record) {
				e := r.Envelope
				if e == nil {
					e = &cdc.Envelope{}
				}
				*e = cdc.Envelope{Op: cdc.OpCreate, After: row, Millis: 1}
				*r = cdc.Record{Envelope: e, Op: cdc.OpCreate, Key: key, Headers: r.Headers[:0]}
			})
		})
	}
}
