package routing

import (
	"bytes"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// eventRouter is Debezium's outbox EventRouter: the rows inserted into an outbox
// table become the events that they describe.
type eventRouter struct {
	id, key, payload, timestamp, version, routeBy string // names of columns

	additional    []placement
	ignoreMissing bool // columns of additional that the table does not have
	enveloped     bool // the value is a struct, with the payload in it
	tombstones    bool // for an empty payload
	invalid       string
	expander      *expander // nil: the payload stays as it is
	routes        *router
	tables        map[*cdc.Schema]*outboxTable
	values        map[outboxValue]*cdc.Schema
	log           *zap.Logger
}

// placement is one item of table.fields.additional.placement.
type placement struct{ column, where, as string }

// The places of a column.
const (
	inHeader    = "header"
	inEnvelope  = "envelope"
	inPartition = "partition"
)

// outboxTable is where the columns of an outbox table are, -1 for those it lacks.
type outboxTable struct {
	schema                                        *cdc.Schema
	id, key, payload, timestamp, version, routeBy int
	idHeader, keySchema, payloadSchema            *cdc.Schema // of the columns on their own
	additional                                    []int
	headers                                       []*cdc.Schema
}

// outboxValue is what a value's schema follows from, where it is a struct.
type outboxValue struct {
	table, payload *cdc.Schema // payload: on its own
	version        int
	route          string
}

func newEventRouter(o *transform.Options) transform.Transform {
	t := &eventRouter{
		id: o.Text("table.field.event.id", "id"), key: o.Text("table.field.event.key", "aggregateid"),
		payload: o.Text("table.field.event.payload", "payload"), timestamp: o.Text("table.field.event.timestamp", ""),
		version: o.Text("table.field.event.schema.version", ""), routeBy: o.Text("route.by.field", "aggregatetype"),
		ignoreMissing: o.OneOf("table.field.additional.missing", "error", "ignore") == "ignore",
		tombstones:    o.Bool("route.tombstone.on.empty.payload", false),
		invalid:       o.OneOf("table.op.invalid.behavior", "warn", "error", "fatal"),
		tables:        map[*cdc.Schema]*outboxTable{}, values: map[outboxValue]*cdc.Schema{}, log: zap.NewNop(),
	}
	route := replacement{with: o.Text("route.topic.replacement", "outbox.event.${routedByValue}")}
	route.read(o, "route.topic.regex", o.Text("route.topic.regex", "(?<routedByValue>.*)"), "route.topic.replacement")
	t.routes = newRouter(route.route)
	t.place(o)
	t.expand(o)
	for _, inert := range []string{"table.field.event.type", "tracing.span.context.field", "tracing.operation.name", "tracing.with.context.field.only"} {
		o.Text(inert, "")
	}
	return t
}

// place reads the columns that go elsewhere than into the payload.
func (t *eventRouter) place(o *transform.Options) {
	const name = "table.fields.additional.placement"
	for _, item := range o.List(name) {
		parts := strings.Split(item, ":")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		p := placement{column: parts[0], as: parts[0]}
		if len(parts) == 3 {
			p.as = parts[2]
		}
		if len(parts) == 2 || len(parts) == 3 {
			p.where = strings.ToLower(parts[1])
		}
		if p.where != inHeader && p.where != inEnvelope && p.where != inPartition {
			o.Fail(name, "a list of column:place or column:place:name, a place being header, envelope or partition; "+item+" is none")
		}
		t.additional = append(t.additional, p)
		t.enveloped = t.enveloped || p.where == inEnvelope
	}
}

func (t *eventRouter) expand(o *transform.Options) {
	x := &expander{
		nullBytes:    o.OneOf("table.json.payload.null.behavior", "ignore", "optional_bytes") == "optional_bytes",
		emptyStrings: o.OneOf("table.json.payload.empty.array.behavior", "ignore", "optional_string") == "optional_string",
		adjustment:   adjustmentOf(o, "field.name.adjustment.mode", false),
	}
	if o.Bool("table.expand.json.payload", false) {
		t.expander = x
	}
}

// Start takes the log for what is dropped and not expanded.
func (t *eventRouter) Start(env transform.Env) error {
	if env.Log != nil {
		t.log = env.Log
	}
	return nil
}

// Apply makes an event of a row inserted into the outbox table. Deletes and
// tombstones are dropped, for a row is removed once it is written; what is no
// change passes.
func (t *eventRouter) Apply(r *cdc.Record) (bool, error) {
	if transform.IsNull(r) {
		return false, nil
	}
	e := transform.Envelope(r)
	if e == nil {
		return true, nil
	}
	switch {
	case e.Op == cdc.OpDelete:
		return false, nil
	case e.Op != cdc.OpCreate && e.Op != cdc.OpRead || e.After == nil:
		return false, t.unexpected(e.Op)
	}
	return t.event(r, e)
}

// unexpected is what becomes of an operation that an outbox table should not
// see.
func (t *eventRouter) unexpected(op cdc.Op) error {
	switch t.invalid {
	case "fatal":
		return fmt.Errorf("the outbox table has an operation %c, and only inserts and deletes are expected", op)
	case "error":
		t.log.Error("ignoring an unexpected operation on the outbox table", zap.String("op", string(rune(op))))
	default:
		t.log.Warn("ignoring an unexpected operation on the outbox table", zap.String("op", string(rune(op))))
	}
	return nil
}

// event makes the event of row e.After of r.
func (t *eventRouter) event(r *cdc.Record, e *cdc.Envelope) (bool, error) {
	row := e.After
	table := t.table(row.Schema)
	if err := t.check(table); err != nil {
		return false, err
	}
	if err := t.stamp(r, e, table); err != nil {
		return false, err
	}
	by := &row.Values[table.routeBy]
	if by.Kind() != cdc.KindString {
		return false, fmt.Errorf("column %s, which routes the event, is null or no text", t.routeBy)
	}
	route, err := t.route(by.Bytes())
	if err != nil {
		return false, err
	}
	r.Headers = append(r.Headers, cdc.Header{Key: "id", Typed: transform.BareRow(table.idHeader, row.Values[table.id])})
	payload, schema := row.Values[table.payload], table.payloadSchema
	empty := payload.IsNull() || payload.Kind() == cdc.KindString && len(bytes.TrimSpace(payload.Bytes())) == 0
	if t.expander != nil && payload.Kind() == cdc.KindString {
		if s, v, err := t.expander.expand(t.payload, payload.Bytes(), row); err != nil {
			t.log.Warn("leaving a payload as it is, which cannot be expanded", zap.Error(err))
		} else {
			payload, schema = v, s
		}
	}
	value, err := t.value(r, table, payload, schema, string(by.Bytes()))
	if err != nil {
		return false, err
	}
	t.finish(r, row, table, value, empty && t.tombstones)
	r.Route = route
	return true, nil
}

// finish gives r its key and value.
func (t *eventRouter) finish(r *cdc.Record, row *cdc.Row, table *outboxTable, value *cdc.Row, tombstone bool) {
	r.Key = nil
	if key := row.Values[table.key]; !key.IsNull() {
		r.Key = transform.BareRow(table.keySchema, key)
	}
	if r.Value = value; tombstone {
		r.Value, r.Tombstone, r.Deleted = nil, true, true
	}
}

// route is the topic of the events that are routed by a text.
func (t *eventRouter) route(by []byte) (string, error) {
	if to, ok := t.routes.known[string(by)]; ok {
		return to, nil
	}
	return t.routes.find(string(by))
}

// table is where the columns of schema s are.
func (t *eventRouter) table(s *cdc.Schema) *outboxTable {
	if known := t.tables[s]; known != nil {
		return known
	}
	at := func(column string) int { return s.Index([]byte(column)) }
	o := &outboxTable{
		schema: s, id: at(t.id), key: at(t.key), payload: at(t.payload),
		timestamp: at(t.timestamp), version: at(t.version), routeBy: at(t.routeBy),
	}
	o.idHeader, o.keySchema, o.payloadSchema = alone(s, o.id), alone(s, o.key), alone(s, o.payload)
	for _, p := range t.additional {
		o.additional = append(o.additional, at(p.column))
		o.headers = append(o.headers, alone(s, at(p.column)))
	}
	t.tables[s] = o
	return o
}

// alone is the schema of a column's values on their own.
func alone(s *cdc.Schema, at int) *cdc.Schema {
	if at < 0 {
		return nil
	}
	return cdc.Bare(s.Fields[at])
}

// check reports the first column that the table lacks.
func (t *eventRouter) check(o *outboxTable) error {
	for _, c := range []struct {
		at             int
		property, name string
	}{
		{o.payload, "table.field.event.payload", t.payload}, {o.id, "table.field.event.id", t.id},
		{o.key, "table.field.event.key", t.key}, {o.routeBy, "route.by.field", t.routeBy},
		{o.timestamp, "table.field.event.timestamp", t.timestamp}, {o.version, "table.field.event.schema.version", t.version},
	} {
		if c.at < 0 && c.name != "" {
			return fmt.Errorf("the outbox table has no column %s, which %s names", c.name, c.property)
		}
	}
	for i, at := range o.additional {
		if at < 0 && !t.ignoreMissing {
			return fmt.Errorf("the outbox table has no column %s, which table.fields.additional.placement names", t.additional[i].column)
		}
	}
	return nil
}

// stamp gives r the time of its event: that of the column, or else when the
// change was processed.
func (t *eventRouter) stamp(r *cdc.Record, e *cdc.Envelope, o *outboxTable) error {
	if r.Time, r.Timed = e.Millis, e.Millis != 0; o.timestamp < 0 {
		return nil
	}
	f, v := &o.schema.Fields[o.timestamp], &e.After.Values[o.timestamp]
	if v.IsNull() {
		return nil
	}
	millis, err := millisOf(f, v)
	if err != nil {
		return fmt.Errorf("reading column %s as the event's time: %w", f.Name, err)
	}
	r.Time, r.Timed = millis, true
	return nil
}

// millisOf is a point in time in ms. Debezium takes the three types of
// timestamps without a zone only.
func millisOf(f *cdc.Field, v *cdc.Value) (int64, error) {
	switch {
	case v.Kind() == cdc.KindInt && (f.Semantic == cdc.Timestamp || f.Semantic == cdc.ConnectTimestamp || f.Type == cdc.Any):
		return v.Int(), nil
	case v.Kind() == cdc.KindInt && f.Semantic == cdc.MicroTimestamp:
		return v.Int() / 1000, nil
	case v.Kind() == cdc.KindInt && f.Semantic == cdc.NanoTimestamp:
		return v.Int() / 1_000_000, nil
	case v.Kind() == cdc.KindMicros:
		return v.Int() / 1000, nil
	case v.Kind() == cdc.KindString && (f.Semantic == cdc.ZonedTimestamp || f.Type == cdc.Any):
		if micros, ok := json.ParseZoned(v.Bytes()); ok {
			return micros / 1000, nil
		}
	}
	if f.ConnectName() == "" {
		return 0, fmt.Errorf("unsupported field type %s (without logical schema name) for event timestamp", f.Type)
	}
	return 0, fmt.Errorf("unsupported field type %s for event timestamp", f.ConnectName())
}

// value is the event's value: the payload, or a struct of it and the columns
// that are placed beside it. Headers and partition are set on the way.
func (t *eventRouter) value(r *cdc.Record, o *outboxTable, payload cdc.Value, schema *cdc.Schema, by string) (*cdc.Row, error) {
	row := r.Envelope.After
	var beside []cdc.Value
	for i, p := range t.additional {
		at := o.additional[i]
		switch {
		case at < 0:
		case p.where == inHeader:
			r.Headers = append(r.Headers, cdc.Header{Key: p.as, Typed: transform.BareRow(o.headers[i], row.Values[at])})
		case p.where == inEnvelope:
			beside = append(beside, row.Values[at])
		default:
			if err := t.partition(r, p, &o.schema.Fields[at], &row.Values[at]); err != nil {
				return nil, err
			}
		}
	}
	if !t.enveloped {
		if s := schema.Fields[0].Struct; s != nil && payload.Kind() == cdc.KindList {
			return &cdc.Row{Schema: s, Values: payload.List()}, nil
		}
		return transform.BareRow(schema, payload), nil
	}
	version, err := t.versionOf(row, o)
	if err != nil {
		return nil, err
	}
	return &cdc.Row{
		Schema: t.valueSchema(o, outboxValue{table: o.schema, payload: schema, version: version, route: by}),
		Values: append([]cdc.Value{payload}, beside...),
	}, nil
}

func (t *eventRouter) partition(r *cdc.Record, p placement, f *cdc.Field, v *cdc.Value) error {
	switch {
	case v.IsNull():
		r.Placed = false
	case f.Type != cdc.Int32 && f.Type != cdc.Any || v.Kind() != cdc.KindInt || v.Int() != int64(int32(v.Int())) || v.Int() < 0:
		return fmt.Errorf("column %s, which is placed as the partition, is no INT of 0 or more", p.column)
	default:
		r.Placed, r.Place = true, int32(v.Int())
	}
	return nil
}

// versionOf is the version of the value's schema, 0 for none.
func (t *eventRouter) versionOf(row *cdc.Row, o *outboxTable) (int, error) {
	if o.version < 0 {
		return 0, nil
	}
	v := &row.Values[o.version]
	if v.Kind() != cdc.KindInt || v.Int() < 1 || v.Int() != int64(int32(v.Int())) {
		return 0, fmt.Errorf("column %s, which is the schema's version, is no INT of 1 or more", t.version)
	}
	return int(v.Int()), nil
}

// valueSchema is named after the table's, with the text that the event is routed
// by before the last part of the name.
func (t *eventRouter) valueSchema(o *outboxTable, v outboxValue) *cdc.Schema {
	if known := t.values[v]; known != nil {
		return known
	}
	name := v.route
	if at := strings.LastIndexByte(o.schema.Name, '.'); at >= 0 {
		name = o.schema.Name[:at+1] + v.route + o.schema.Name[at:]
	} else if o.schema.Name != "" {
		name = v.route + "." + o.schema.Name
	}
	payload := v.payload.Fields[0]
	payload.Name = "payload"
	s := cdc.Schema{Name: name, Version: v.version, Fields: []cdc.Field{payload}}
	for i, p := range t.additional {
		if at := o.additional[i]; p.where == inEnvelope && at >= 0 {
			f := o.schema.Fields[at]
			f.Name = p.as
			s.Fields = append(s.Fields, f)
		}
	}
	if len(t.values) >= routesKept {
		clear(t.values)
	}
	t.values[v] = s.Intern()
	return t.values[v]
}
