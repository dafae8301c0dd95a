package capture

import (
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// The records of Debezium's heartbeat topic.
var (
	heartbeatKeySchema = cdc.Schema{Name: "io.debezium.connector.common.ServerNameKey", Version: 1, Fields: []cdc.Field{
		{Name: "serverName", Type: cdc.Text},
	}}.Intern()
	heartbeatValueSchema = cdc.Schema{Name: "io.debezium.connector.common.Heartbeat", Version: 1, Fields: []cdc.Field{
		{Name: "ts_ms", Type: cdc.Int64},
	}}.Intern()
)

// heartbeat writes Debezium's heartbeats: at source boundaries only, so that
// one is never ahead of the changes before it.
type heartbeat struct {
	topic    string
	interval time.Duration
	key      []byte
	value    *json.Plan
	keyRow   cdc.Row
	row      cdc.Row
	last     time.Time
}

// newHeartbeat returns nil where heartbeats are off.
func newHeartbeat(c *Config) *heartbeat {
	if c.Heartbeat <= 0 {
		return nil
	}
	h := &heartbeat{topic: c.HeartbeatTopic, interval: c.Heartbeat, value: json.NewPlan(heartbeatValueSchema, c.Value)}
	h.keyRow.Reset(heartbeatKeySchema)
	h.keyRow.Values[0] = cdc.String([]byte(c.Prefix))
	h.key = json.NewPlan(heartbeatKeySchema, c.Key).Append(nil, &h.keyRow)
	return h
}

func (h *heartbeat) due(now time.Time) bool { return now.Sub(h.last) >= h.interval }

func (h *heartbeat) write(s *stream, now time.Time) error {
	h.last = now
	h.row.Reset(heartbeatValueSchema)
	h.row.Values[0] = cdc.Int(now.UnixMilli())
	if s.records != nil {
		return s.records.other(h.topic, &h.keyRow, &h.row, false)
	}
	a := s.publisher.arena
	return s.publisher.produce(h.topic, h.key, a.keep(h.value.Append(a.tail(256), &h.row)), nil)
}
