package routing

import (
	"context"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

const timestampClass = "org.apache.kafka.connect.transforms.TimestampRouter"

// TestTimestampRouter: topic and time of the record, whatever its value is.
func TestTimestampRouter(t *testing.T) {
	const at = 1704164645678 // 2024-01-02T03:04:05.678Z
	for _, c := range []struct {
		format, pattern string
		at              int64
		want            string
	}{
		{"", "", at, "orders-20240102"},
		{"${topic}.${timestamp}", "yyyy", at, "orders.2024"},
		{"${timestamp}", "HH:mm:ss.SSS", at, "03:04:05.678"},
		{"archive", "", at, "archive"},
		{"", "", 0, ""}, {"", "", -1, ""},
	} {
		properties := map[string]string{"transforms": "r", "transforms.r.type": timestampClass}
		if c.format != "" {
			properties["transforms.r.topic.format"] = c.format
		}
		if c.pattern != "" {
			properties["transforms.r.timestamp.format"] = c.pattern
		}
		router := chain(t, properties)
		for range 2 { // the second is remembered
			r := &cdc.Record{Origin: cdc.Origin{Timestamp: c.at}, Route: "orders", Tombstone: true}
			kept, err := router.Apply(context.Background(), []*cdc.Record{r})
			if c.want == "" {
				if err == nil {
					t.Error("routed by no timestamp")
				}
				continue
			}
			if err != nil || len(kept) != 1 || r.Route != c.want {
				t.Errorf("%s %s: %s, %v; want %s", c.format, c.pattern, r.Route, err, c.want)
			}
		}
	}
	r := &cdc.Record{Origin: cdc.Origin{Timestamp: at}, Route: "orders", Timed: true, Time: at - 86_400_000}
	if _, err := chain(t, map[string]string{"transforms": "r", "transforms.r.type": timestampClass}).Apply(context.Background(), []*cdc.Record{r}); err != nil || r.Route != "orders-20240101" {
		t.Errorf("a time that a transform chose: %s, %v", r.Route, err)
	}
	if _, err := build(t, map[string]string{"transforms": "r", "transforms.r.type": timestampClass, "transforms.r.timestamp.format": "b"}); err == nil {
		t.Error("b is no pattern")
	}
}

func BenchmarkTimestampRouter(b *testing.B) {
	router := chain(b, map[string]string{"transforms": "r", "transforms.r.type": timestampClass})
	r := &cdc.Record{Origin: cdc.Origin{Timestamp: 1704164645678}}
	records, ctx := []*cdc.Record{r}, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		r.Route = "orders"
		if _, err := router.Apply(ctx, records); err != nil {
			b.Fatal(err)
		}
	}
}
