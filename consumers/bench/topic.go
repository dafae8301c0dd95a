package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

// What the topic holds.
const (
	partitions = 12
	keys       = 100_000
	hours      = 3 // over which the records' times are spread
)

// topic is the one that the sinks read: Debezium's envelopes without schemas, as
// the capture writes them, of 70 % creates, 25 % updates and 5 % deletes.
type topic struct {
	name    string
	each    int // records of a partition, the same in all
	records int
	bytes   int64 // of all values
	client  *kgo.Client
}

// remove removes the topic and its schemas.
func (t *topic) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = kadm.NewClient(t.client).DeleteTopics(ctx, t.name, kafka.SchemaTopic(t.name)) // the broker is there for tests only
	t.client.Close()
}

// schemaOf is the schema of the rows.
func schemaOf(topic string) *json.SchemaEntry {
	decimal := []cdc.Param{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "12"}}
	return json.NewSchemaEntry("weir:"+topic, topic, cdc.NewSchema(topic+".Key", cdc.Field{Name: "id", Type: cdc.Int64}),
		cdc.NewSchema(topic+".Value",
			cdc.Field{Name: "id", Type: cdc.Int64},
			cdc.Field{Name: "customer_id", Type: cdc.Int32},
			cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Params: []cdc.Param{{Name: "allowed", Value: "NEW,PAID,SHIPPED,DONE"}}},
			cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Precision: 12, Scale: 2, Params: decimal},
			cdc.Field{Name: "qty", Type: cdc.Int32},
			cdc.Field{Name: "title", Type: cdc.Text},
			cdc.Field{Name: "order_date", Type: cdc.Int32, Semantic: cdc.Date, SchemaVersion: 1},
			cdc.Field{Name: "updated_at", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, SchemaVersion: 1},
		))
}

// fill creates the topic and its schema, and writes the records.
func (b *bench) fill(ctx context.Context) (*topic, error) {
	t := &topic{name: b.id + ".shop.orders", each: (b.records + partitions - 1) / partitions / hours * hours}
	t.records = t.each * partitions
	var err error
	if t.client, err = kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100_000)); err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	if _, err := kafka.CreateTopics(ctx, t.client, kafka.Topic{Name: t.name, Partitions: partitions}, kafka.Topic{Name: kafka.SchemaTopic(t.name), Partitions: 1}); err != nil {
		return nil, err
	}
	b.say("writing %d records", t.records)
	return t, t.produce(ctx, time.Now().Truncate(time.Hour).Add(-24*time.Hour))
}

// produce writes the records, their times from first on.
func (t *topic) produce(ctx context.Context, first time.Time) error {
	entry := schemaOf(t.name)
	if err := t.client.ProduceSync(ctx, &kgo.Record{Topic: kafka.SchemaTopic(t.name), Key: []byte(entry.Fingerprint), Value: entry.Marshal()}).FirstErr(); err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var failed error
	for i := range t.records {
		at := first.Add(time.Duration(i/partitions) * hours * time.Hour / time.Duration(t.each))
		record := t.record(r, i, at, entry.Fingerprint)
		t.bytes += int64(len(record.Value))
		t.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil && failed == nil { // promises are called one after another
				failed = err
			}
		})
	}
	if err := t.client.Flush(ctx); err != nil {
		return fmt.Errorf("writing records: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("writing records: %w", failed)
	}
	return nil
}

// record is the i-th, of a key that is always in the same partition.
func (t *topic) record(r *rand.Rand, i int, at time.Time, fingerprint string) *kgo.Record {
	partition := i % partitions
	key := r.IntN(keys/partitions)*partitions + partition
	op, before, after := "c", "null", row(r, key, at)
	switch n := r.IntN(100); {
	case n < 5:
		op, before, after = "d", after, "null"
	case n < 30:
		op, before = "u", row(r, key, at)
	}
	millis := at.UnixMilli()
	return &kgo.Record{
		Topic: t.name, Partition: int32(partition), Timestamp: at, Key: fmt.Appendf(nil, `{"id":%d}`, key),
		Value: fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"version":"3.5.0.Final","connector":"mysql","name":"shop","ts_ms":%d,"snapshot":"false",`+
			`"db":"shop","sequence":null,"ts_us":%d,"ts_ns":%d,"table":"orders","server_id":1,"gtid":null,"file":"binlog.000001","pos":%d,"row":0,"thread":12,"query":null},`+
			`"transaction":null,"op":"%s","ts_ms":%d,"ts_us":%d,"ts_ns":%d}`,
			before, after, millis, millis*1000, millis*1_000_000, 1000+i, op, millis+1, millis*1000+1000, millis*1_000_000+1_000_000),
		Headers: []kgo.RecordHeader{
			{Key: cdc.HeaderVersion, Value: fmt.Appendf(nil, "%019d", 3_700_000_000_000_000_000+i)},
			{Key: cdc.HeaderSchema, Value: []byte(fingerprint)},
		},
	}
}

func row(r *rand.Rand, key int, at time.Time) string {
	return fmt.Sprintf(`{"id":%d,"customer_id":%d,"status":"%s","total":"%s","qty":%d,"title":"%s","order_date":%d,"updated_at":"%s"}`,
		key, r.IntN(5000), [...]string{"NEW", "PAID", "SHIPPED", "DONE"}[r.IntN(4)], [...]string{"BCo=", "AQ==", "Ejk=", "AYag"}[r.IntN(4)], r.IntN(100),
		words(r, 7), at.Unix()/86_400, at.UTC().Format("2006-01-02T15:04:05.000Z"))
}

var vocabulary = strings.Fields("amber basket candle drawer ember fabric garden hammer island jacket kettle lantern mirror needle orchid pillow quartz ribbon saddle teapot umbrella velvet window yellow zipper")

func words(r *rand.Rand, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = vocabulary[r.IntN(len(vocabulary))]
	}
	return strings.Join(out, " ")
}
