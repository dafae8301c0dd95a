package redissink

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestRowsMoveWithTheirKeyField: change events of rows whose keys are named by a
// field of the value, with and without unwrapping by a transform, through the
// whole sink.
func TestRowsMoveWithTheirKeyField(t *testing.T) {
	s := servers.NewRedisServer(t, account...)
	c := client(t, s.Address)
	for name, properties := range map[string]map[string]string{
		"as they are": {},
		"unwrapped":   {"transforms": "u", "transforms.u.type": "io.debezium.transforms.ExtractNewRecordState", "transforms.u.delete.tombstone.handling.mode": "tombstone"},
		"moved":       {"transforms": "r", "transforms.r.type": "io.debezium.transforms.ContentBasedRouter", "transforms.r.topic.expression": "value.after == null ? 'shop' : value.after.role"},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := name + ":"
			properties["cache.prefix"], properties["cache.key.field"], properties["errors.tolerance"] = prefix, "city", "none"
			w := newTrial(t, 1, s.Address, c, properties)
			say := func(text string) {
				t.Helper()
				r := &kgo.Record{Topic: "shop", Key: []byte(`{"id":1}`)}
				if text != "" {
					r.Value = []byte(text)
				}
				if err := w.producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			there := func(want ...string) {
				t.Helper()
				w.until(fmt.Sprint(want), func() error {
					keys, err := c.Keys(t.Context(), prefix+"????").Result() // cities
					if len(keys) != len(want) || len(keys) > 0 && keys[0] != prefix+want[0] {
						return errors.Join(fmt.Errorf("there are %v", keys), err)
					}
					return err
				})
			}
			rome, oslo := `{"id":1,"city":"Rome","role":"vip"}`, `{"id":1,"city":"Oslo","role":"other"}`
			say(`{"before":null,"after":` + rome + `,"op":"c","source":{},"ts_ms":1}`)
			there("Rome")
			say(`{"before":` + rome + `,"after":` + oslo + `,"op":"u","source":{},"ts_ms":1}`)
			there("Oslo")
			say(`{"before":` + oslo + `,"after":null,"op":"d","source":{},"ts_ms":1}`)
			say("")
			there()
			say(`{"before":null,"after":` + rome + `,"op":"c","source":{},"ts_ms":1}`)
			there("Rome")
		})
	}
}
