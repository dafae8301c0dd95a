package capture

import (
	"cmp"
	"slices"
	"unicode/utf16"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// The records of Debezium's transaction topic.
var (
	transactionKeySchema = cdc.Schema{Name: "io.debezium.connector.common.TransactionMetadataKey", Version: 1, Fields: []cdc.Field{
		{Name: "id", Type: cdc.Text},
	}}.Intern()
	transactionCollectionSchema = cdc.Schema{Name: "event.collection", Version: 1, Fields: []cdc.Field{
		{Name: "data_collection", Type: cdc.Text},
		{Name: "event_count", Type: cdc.Int64},
	}}.Intern()
	transactionValueSchema = cdc.Schema{Name: "io.debezium.connector.common.TransactionMetadataValue", Version: 1, Fields: []cdc.Field{
		{Name: "status", Type: cdc.Text},
		{Name: "id", Type: cdc.Text},
		{Name: "event_count", Type: cdc.Int64, Optional: true},
		{Name: "data_collections", Type: cdc.Array, Optional: true,
			Element: &cdc.Field{Type: cdc.Struct, Struct: transactionCollectionSchema, Optional: true}},
		{Name: "ts_ms", Type: cdc.Int64},
	}}.Intern()
)

// transactions counts the events of a source transaction, over all tables and
// by table, and writes its BEGIN and END.
type transactions struct {
	topic      string
	key, value *json.Plan
	number     uint64 // of the transaction, to reset the counts of plans
	count      int64
	touched    []*plan // in the order of their first event
	keyRow     cdc.Row
	row        cdc.Row
}

func newTransactions(c *Config) *transactions {
	return &transactions{topic: c.TransactionTopic, key: json.NewPlan(transactionKeySchema, c.Key), value: json.NewPlan(transactionValueSchema, c.Value)}
}

// begin starts the counts of a source transaction.
func (t *transactions) begin() {
	t.number++
	t.count, t.touched = 0, t.touched[:0]
}

// next counts an event of p and returns its transaction block.
func (t *transactions) next(p *plan, id []byte) *cdc.Transaction {
	if p.txNumber != t.number {
		p.txNumber, p.tx.CollectionOrder = t.number, 0
		t.touched = append(t.touched, p)
	}
	t.count++
	p.tx.CollectionOrder++
	p.tx.ID, p.tx.TotalOrder = id, t.count
	return &p.tx
}

// write writes BEGIN or END of the stream's transaction.
func (t *transactions) write(s *stream, status string) error {
	t.keyRow.Reset(transactionKeySchema)
	t.keyRow.Values[0] = cdc.String(s.tx.ID)
	r := &t.row
	r.Reset(transactionValueSchema)
	r.Values[0], r.Values[1], r.Values[4] = cdc.String([]byte(status)), cdc.String(s.tx.ID), cdc.Int(s.tx.CommitMillis)
	if status == "END" {
		r.Values[2] = cdc.Int(t.count)
		r.Values[3] = t.collections(r)
	}
	if s.records != nil {
		return s.records.other(t.topic, &t.keyRow, r, false)
	}
	a := s.publisher.arena
	return s.publisher.produce(t.topic, a.keep(t.key.Append(a.tail(256), &t.keyRow)), a.keep(t.value.Append(a.tail(512), r)), nil)
}

// collections are the counts by table, in the order of the Java HashMap that
// Debezium keeps them in.
func (t *transactions) collections(r *cdc.Row) cdc.Value {
	buckets := uint32(16)
	for float64(len(t.touched)) > 0.75*float64(buckets) {
		buckets *= 2
	}
	slices.SortStableFunc(t.touched, func(a, b *plan) int {
		return cmp.Compare(javaHash(a.table.ID())&(buckets-1), javaHash(b.table.ID())&(buckets-1))
	})
	list := r.AllocList(len(t.touched))
	for i, p := range t.touched {
		members := make([]cdc.Value, 2)
		members[0], members[1] = cdc.String([]byte(p.table.ID())), cdc.Int(p.tx.CollectionOrder)
		list[i] = cdc.List(members)
	}
	return cdc.List(list)
}

// javaHash is how a java.util.HashMap spreads String.hashCode.
func javaHash(text string) uint32 {
	var h uint32
	for _, c := range utf16.Encode([]rune(text)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}
