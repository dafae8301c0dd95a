package capture

import (
	"encoding/json"
	"testing"
)

// FuzzStored reads records of the offset topic, whoever wrote them: they are
// refused, none of ours, or written as they were read.
func FuzzStored(f *testing.F) {
	f.Add([]byte(`{"prefix":"p"}`), []byte(`{"format":1,"position":{"file":"b.1","pos":4},"version":77,"rows":3,"hash":9,"transaction":"x","ts_ms":5}`))
	f.Add([]byte(`{"prefix":"p","table":"d.t"}`), []byte(`{"format":1,"phase":"pending","order":2,"after":"AQID","rows":5,"key":"a","sweep":true,"since":8}`))
	f.Add([]byte(`{"prefix":"p","entry":"e"}`), []byte(`{}`))
	f.Add([]byte(`{"prefix":"p"}`), []byte(`{"format":9}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s := &stored{entries: map[string][]byte{}, tables: map[string]*tableValue{}}
		if s.add("p", key, value) != nil || s.offset == nil {
			return
		}
		again := &stored{}
		if err := again.add("p", []byte(`{"prefix":"p"}`), mustJSON(s.offset)); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if a, b := mustJSON(s.offset), mustJSON(again.offset); string(a) != string(b) || !json.Valid(a) {
			t.Fatalf("%s became %s, then %s", value, a, b)
		}
	})
}
