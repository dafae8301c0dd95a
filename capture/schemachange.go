package capture

import (
	"slices"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// schemaChanges writes Debezium's schema change topic, <topic.prefix>.
type schemaChanges struct {
	topic      string
	config     *Config
	key, value *json.Plan
}

// newSchemaChanges returns nil where the topic is off.
func newSchemaChanges(c *Config) *schemaChanges {
	if !c.SchemaChanges {
		return nil
	}
	return &schemaChanges{topic: c.Prefix, config: c}
}

// mark sets source.snapshot.
func (c *SchemaChange) mark(m marker) {
	source := c.Value.Value("source")
	at := slices.IndexFunc(c.Value.Schema.Fields, func(f cdc.Field) bool { return f.Name == "source" })
	if source == nil || at < 0 || c.Value.Schema.Fields[at].Struct == nil {
		return
	}
	fields := c.Value.Schema.Fields[at].Struct.Fields
	if i := slices.IndexFunc(fields, func(f cdc.Field) bool { return f.Name == "snapshot" }); i >= 0 {
		source.List()[i] = cdc.String([]byte(markerNames[m]))
	}
}

// write writes one event.
func (d *schemaChanges) write(s *stream, c *SchemaChange) error {
	if at := c.Value.Value("ts_ms"); at != nil {
		*at = cdc.Int(s.now().UnixMilli())
	}
	if s.records != nil {
		return s.records.other(d.topic, c.Key, c.Value, true)
	}
	if d.key == nil || d.key.Schema() != c.Key.Schema || d.value.Schema() != c.Value.Schema {
		d.key, d.value = json.NewPlan(c.Key.Schema, d.config.Key), json.NewPlan(c.Value.Schema, d.config.Value)
	}
	a := s.publisher.arena
	h := a.headerSlots(len(s.context))
	copy(h, s.context)
	return s.publisher.produce(d.topic, a.keep(d.key.Append(a.tail(512), c.Key)), a.keep(d.value.Append(a.tail(4096), c.Value)), h)
}
