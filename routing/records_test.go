package routing

import (
	"context"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// one makes the chain of one transform, t, of the properties without their
// prefix.
func one(t testing.TB, properties map[string]string) *transform.Chain {
	t.Helper()
	return chain(t, prefixed(properties))
}

func prefixed(properties map[string]string) map[string]string {
	all := map[string]string{"transforms": "t"}
	for name, text := range properties {
		all["transforms.t."+name] = text
	}
	return all
}

// apply sends r through the chain and reports whether it is kept.
func apply(t testing.TB, c *transform.Chain, r *cdc.Record) bool {
	t.Helper()
	kept, err := c.Apply(context.Background(), []*cdc.Record{r})
	if err != nil {
		t.Fatal(err)
	}
	return len(kept) == 1
}

// rejected sends r through the chain, which has to refuse it with text in the
// error.
func rejected(t testing.TB, c *transform.Chain, r *cdc.Record, text string) {
	t.Helper()
	if _, err := c.Apply(context.Background(), []*cdc.Record{r}); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, without a word of %q", err, text)
	}
}

// refused is a configuration that New has to refuse, naming the property.
func refused(t *testing.T, property string, properties map[string]string) {
	t.Helper()
	v, _, err := config.Parse(prefixed(properties), transform.Properties)
	if err == nil {
		_, err = transform.New(v, Classes)
	}
	if err == nil || !strings.Contains(err.Error(), "transforms.t."+property) {
		t.Errorf("%v: the error is %v, without a word of %s", properties, err, property)
	}
}

// read reads a Kafka record as a sink without a fingerprint does: key and value
// in JSON, with schemas in them or none. An empty value is a tombstone.
func read(t testing.TB, topic, key, value string) *cdc.Record {
	t.Helper()
	reader, message := json.NewReader(nil), &json.Message{}
	if key != "" {
		if err := reader.ReadKey(message, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	var raw []byte
	if value != "" {
		raw = []byte(value)
	}
	if err := reader.ReadValue(message, raw); err != nil {
		t.Fatal(err)
	}
	r := &cdc.Record{
		Origin: cdc.Origin{Topic: topic, Timestamp: 1_700_000_000_000}, Route: topic, Key: message.Key, Value: message.Value,
		Envelope: message.Envelope, Tombstone: message.Tombstone, Deleted: message.Tombstone,
	}
	if r.Envelope != nil {
		r.Op = r.Envelope.Op
	}
	return r
}

// customers is the schema of a table's rows.
var customers = cdc.Schema{Name: "shop.ecommerce.customers.Value", Optional: true, Fields: []cdc.Field{
	{Name: "id", Type: cdc.Int32},
	{Name: "name", Type: cdc.Text, Optional: true},
	{Name: "score", Type: cdc.Int32, Optional: true},
	{Name: "balance", Type: cdc.Binary, Semantic: cdc.Decimal, Optional: true, Precision: 10, Scale: 2, Params: []cdc.Param{{Name: "scale", Value: "2"}}},
}}.Intern()

var customerKey = cdc.NewSchema("shop.ecommerce.customers.Key", cdc.Field{Name: "id", Type: cdc.Int32})

// customer is a row; a score of 0 is a null.
func customer(id int64, name string, score int64) *cdc.Row {
	r := &cdc.Row{}
	r.Reset(customers)
	r.Values[0], r.Values[1], r.Values[3] = cdc.Int(id), cdc.String([]byte(name)), cdc.SmallDecimal(1234)
	if score != 0 {
		r.Values[2] = cdc.Int(score)
	}
	return r
}

// change is a typed change, as a capture has it.
func change(op cdc.Op, before, after *cdc.Row) *cdc.Record {
	r := &cdc.Record{
		Origin: cdc.Origin{Topic: "shop.ecommerce.customers"}, Route: "shop.ecommerce.customers", Op: op,
		Envelope: &cdc.Envelope{
			Op: op, Before: before, After: after, Millis: 1_700_000_000_001,
			SourceJSON: []byte(`{"connector":"mysql","db":"ecommerce","table":"customers","ts_ms":1700000000000}`),
		},
	}
	row := after
	if row == nil {
		row = before
	}
	if row != nil {
		r.Key = &cdc.Row{}
		r.Key.Reset(customerKey)
		r.Key.Values[0] = row.Values[0]
	}
	return r
}

// text is a row as JsonConverter writes it, without a schema.
func text(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	return string(json.NewPlan(r.Schema, json.Options{}).Append(nil, r))
}

// whole is a row as JsonConverter writes it, with its schema.
func whole(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	return string(json.NewPlan(r.Schema, json.Options{Schemas: true}).Append(nil, r))
}

// benchmark measures the chain on batches of records that set makes anew.
func benchmark(b *testing.B, c *transform.Chain, set func(*cdc.Record)) {
	records := make([]*cdc.Record, 500)
	for i := range records {
		records[i] = &cdc.Record{}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range records {
			set(r)
		}
		if _, err := c.Apply(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}
