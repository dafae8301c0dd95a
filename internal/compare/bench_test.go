package compare

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"runtime"
	"testing"
)

// many is a side of so many short rows.
type many int

func (m many) Each(_ context.Context, each func(*Row) error) error {
	row := Row{Values: make([]byte, 200)}
	for i := range int(m) {
		row.Key = binary.AppendUvarint(row.Key[:0], uint64(i))
		binary.LittleEndian.PutUint64(row.Values, uint64(i))
		if err := each(&row); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkMemoryOfARow says how much of a target's row is kept.
func BenchmarkMemoryOfARow(b *testing.B) {
	const rows = 1_000_000
	var before, after runtime.MemStats
	for b.Loop() {
		c := comparison{copies: many(rows), seed: maphash.MakeSeed()}
		runtime.GC()
		runtime.ReadMemStats(&before)
		marks, err := c.readCopies(b.Context(), func(uint64) bool { return true }, true)
		if err != nil || len(marks) != rows {
			b.Fatal(len(marks), err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(marks)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/rows, "B/row")
	}
}

// BenchmarkDocument reads a document of the shop.
func BenchmarkDocument(b *testing.B) {
	t := &Table{Key: []string{"id"}, key: []int{0}, Columns: []Column{
		{Name: "id", kind: kindInt}, {Name: "customer_id", kind: kindInt}, {Name: "status", kind: kindText}, {Name: "total", kind: kindDecimal},
		{Name: "shipping", kind: kindJSON}, {Name: "ordered_at", kind: kindDatetime, Digits: 3}, {Name: "updated_at", kind: kindTimestamp},
	}}
	text := []byte(`{"id":42,"customer_id":7,"status":"paid","total":19.90,"shipping":"{\"city\":\"Oslo\",\"express\":true}","ordered_at":1795348800120,"updated_at":"2026-11-22T12:00:00.100Z"}`)
	into := t.builder()
	b.ReportAllocs()
	for b.Loop() {
		into.document("42", text)
	}
}
