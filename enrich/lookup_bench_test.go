package enrich

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// BenchmarkLookupCached is one record whose key is in the cache: three fields
// are added. The bar is 200 ns.
func BenchmarkLookupCached(b *testing.B) {
	for _, keys := range []int{100, 5_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			s := &fakeSource{answers: map[string]string{}}
			for i := range keys {
				s.answers["user_id:"+strconv.Itoa(i)] = fmt.Sprintf(`{"user_name":"customer %d","user_email":"c%d@example.com","user_role":"buyer"}`, i, i)
			}
			_, t := faked(b, s, "lookup.value.fields", "user_name,user_email,user_role", "lookup.cache.ttl.ms", "100000000")
			lookUpBatches(b, t, keys)
		})
	}
}

// BenchmarkLookupTopic is the same with a topic in memory.
func BenchmarkLookupTopic(b *testing.B) {
	const keys = 100_000
	_, t := faked(b, &fakeSource{}, "lookup.value.fields", "user_name,user_email,user_role")
	l := t.run.lookups[0]
	l.table, l.cache = &topicTable{entries: map[string]*found{}}, nil
	for i := range keys {
		f := l.fromJSON(fmt.Appendf(nil, `{"user_name":"customer %d","user_email":"c%d@example.com","user_role":"buyer"}`, i, i))
		l.table.set("user_id:"+strconv.Itoa(i), f)
	}
	lookUpBatches(b, t, keys)
}

// lookUpBatches runs batches of 500 rows with keys below the number.
func lookUpBatches(b *testing.B, t *lookupTransform, keys int) {
	const size = 500
	schema := cdc.NewSchema("orders", cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "user_id", Type: cdc.Int64}, cdc.Field{Name: "total", Type: cdc.Int64})
	rows, records := make([]cdc.Row, size), make([]*cdc.Record, size)
	verdicts := make([]transform.Verdict, size)
	for i := range records {
		records[i] = &cdc.Record{}
	}
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]int64, 1<<14)
	for i := range ids {
		ids[i] = random.Int64N(int64(keys))
	}
	fill := func(from, n int) {
		for i := range n {
			row := &rows[i]
			row.Reset(schema)
			row.Values[0], row.Values[1], row.Values[2] = cdc.Int(int64(i)), cdc.Int(ids[(from+i)%len(ids)]), cdc.Int(5)
			records[i].Value = row
		}
		if err := t.ApplyAll(b.Context(), records[:n], verdicts[:n]); err != nil {
			b.Fatal(err)
		}
	}
	for from := 0; from < len(ids); from += size { // everything is in the cache, and the rows have grown
		fill(from, size)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += size {
		fill(done, min(size, b.N-done))
	}
	b.StopTimer()
	if v := rows[0].Value("user_name"); v == nil || v.IsNull() {
		b.Fatal("nothing was looked up")
	}
}
