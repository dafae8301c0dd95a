package expression

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// BenchmarkTest has conditions as routes and filters have them.
func BenchmarkTest(b *testing.B) {
	for _, text := range []string{`status == 'PAID'`, `value.op == 'u' && value.before.id == 7`, `price > 10.50 && quantity in [1, 2, 3]`, `ordered >= '2026-01-01'`, `price * quantity > 59.96`, `status matches '^P.+D$'`} {
		p, err := Compile(text, "")
		if err != nil {
			b.Fatal(err)
		}
		for _, form := range []string{"unwrapped", "schemaless"} {
			r := records(b)[form]
			b.Run(form+"/"+text, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if ok, err := p.Test(r); !ok || err != nil {
						b.Fatal(ok, err)
					}
				}
			})
		}
	}
}

// BenchmarkEval has formulas, with what it takes to make a row's value of them.
func BenchmarkEval(b *testing.B) {
	for _, text := range []string{`price * quantity`, `price / 3`, `huge * price`, `status + '-' + id`} {
		p, err := Compile(text, "")
		if err != nil {
			b.Fatal(err)
		}
		r := records(b)["unwrapped"]
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			var into cdc.Row
			for b.Loop() {
				into.Reset(noFields)
				if _, _, err := p.Eval(r, &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
