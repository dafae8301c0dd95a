package json

import (
	stdjson "encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestSourceTemplate reads source blocks that are like the last one, and then
// not, and compares with encoding/json.
func TestSourceTemplate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var template sourceTemplate
	shape := 0
	for i := range 20_000 {
		if r.IntN(50) == 0 {
			shape = r.IntN(4)
		}
		block := sourceBlock(r, shape, i)
		if r.IntN(20) == 0 { // broken in some place
			at := r.IntN(len(block))
			block[at] = `"}{,:\x01`[r.IntN(7)]
		}
		var want struct {
			Millis any `json:"ts_ms"`
		}
		err := stdjson.Unmarshal(block, &want)
		var p parser
		p.start(block)
		got, millis, ok := template.read(&p)
		ok = ok && p.end()
		if ok != (err == nil) {
			t.Fatalf("%s: ok %v, want %v", block, ok, err)
		}
		if n, is := want.Millis.(float64); ok && is && (millis != int64(n) || string(got) != string(block)) {
			t.Fatalf("%s: %s %d", block, got, millis)
		}
	}
}

func sourceBlock(r *rand.Rand, shape, i int) []byte {
	query := []string{"null", `"select \"}\" , {"`, `"x"`, "12"}[r.IntN(4)]
	switch shape {
	case 0:
		return fmt.Appendf(nil, `{"version":"3.5","connector":"mysql","ts_ms":%d,"db":"shop","ts_ns":%d,"row":%d,"query":%s}`, i, i*1000, i%10, query)
	case 1:
		return fmt.Appendf(nil, `{ "version" : "3.5", "ts_ms" : %d }`, i)
	case 2:
		return fmt.Appendf(nil, `{"db":"t%d","nested":{"a":[%d]},"ts_ms":%d,"snapshot":"first"}`, i%3, i%2, i)
	}
	return []byte(`{}`)
}

// TestSourceTemplateLearns: after a few blocks only what varies is read.
func TestSourceTemplateLearns(t *testing.T) {
	var template sourceTemplate
	for i := range 5 {
		var p parser
		p.start(fmt.Appendf(nil, `{"version":"3.5","ts_ms":%d,"db":"shop","pos":%d}`, 1000+i, 5*i))
		if _, _, ok := template.read(&p); !ok {
			t.Fatal(p.failure())
		}
	}
	if len(template.parts) != 2 || string(template.parts[1].lead) != `,"db":"shop","pos":` || string(template.tail) != "}" {
		t.Errorf("%v %q", template.parts, template.tail)
	}
}
