package enrich

import (
	"context"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// chainOf compiles a chain of one transform named t.
func chainOf(tb testing.TB, class string, properties map[string]string) (*transform.Chain, error) {
	tb.Helper()
	all := map[string]string{"transforms": "t", "transforms.t.type": class}
	for k, v := range properties {
		all["transforms.t."+k] = v
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	return transform.New(v, Classes)
}

// referenceChain compiles a block of a reference file.
func referenceChain(tb testing.TB, file string, set ...string) *transform.Chain {
	tb.Helper()
	v, _, err := config.Load(config.Sources{Files: []string{"../docs/examples/reference/" + file}, Set: set}, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// runThrough runs a record through a chain and shows what it is then, or the
// error's text.
func runThrough(tb testing.TB, c *transform.Chain, r *cdc.Record) string {
	tb.Helper()
	kept, err := c.Apply(context.Background(), []*cdc.Record{r})
	if err != nil {
		return err.Error()
	}
	if e := transform.Envelope(r); e != nil && len(kept) == 1 {
		return showRow(e.Before) + " → " + showRow(e.After)
	}
	return show(r, len(kept) == 1)
}

func showRow(r *cdc.Row) string {
	if r == nil {
		return "null"
	}
	return string(json.NewDocument(r.Schema, json.DocumentOptions{}).Append(nil, r))
}

func optionalDecimal(name string, precision, scale int) cdc.Field {
	return cdc.Field{Name: name, Type: cdc.Binary, Semantic: cdc.Decimal, Precision: precision, Scale: scale, Optional: true}
}

var saleSchema = cdc.Schema{Name: "shop.sales.Value", Optional: true, Fields: []cdc.Field{
	{Name: "id", Type: cdc.Int64}, optionalDecimal("price", 10, 2), {Name: "quantity", Type: cdc.Int32, Optional: true}, optionalDecimal("discount_rate", 5, 4),
}}.Intern()

func sale() *cdc.Row {
	row := new(cdc.Row)
	row.Reset(saleSchema)
	copy(row.Values, []cdc.Value{cdc.Int(1), cdc.SmallDecimal(1999), cdc.Int(3), cdc.SmallDecimal(1250)})
	return row
}

// TestCalculation: the reference formulas, with every shape of record.
func TestCalculation(t *testing.T) {
	const text = `{"id":1,"price":19.99,"quantity":3,"discount_rate":0.1250`
	calculated := `,"total_amount":59.97,"discount_amount":7.496250,"final_amount":52.473750}`
	withNull := sale()
	withNull.Values[1] = cdc.Value{}
	absent := sale()
	absent.Values[3] = cdc.Absent()
	huge := sale()
	huge.Values[1] = cdc.BigDecimal([]byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	for name, c := range map[string]struct {
		record *cdc.Record
		want   string
	}{
		"struct":        {&cdc.Record{Value: sale()}, text + calculated},
		"schemaless":    {record(t, text+`}`), text + calculated},
		"tombstone":     {&cdc.Record{Tombstone: true, Deleted: true}, "tombstone"},
		"null field":    {&cdc.Record{Value: withNull}, `{"id":1,"price":null,"quantity":3,"discount_rate":0.1250,"total_amount":null,"discount_amount":null,"final_amount":null}`},
		"missing field": {record(t, `{"id":1,"price":19.99,"quantity":2}`), `{"id":1,"price":19.99,"quantity":2,"total_amount":39.98}`},
		"no field":      {record(t, `{"id":1}`), `{"id":1}`},
		"envelope": {&cdc.Record{Envelope: &cdc.Envelope{Op: cdc.OpUpdate, Before: sale(), After: sale()}},
			text + calculated + " → " + text + calculated},
		"delete": {&cdc.Record{Op: cdc.OpDelete, Envelope: &cdc.Envelope{Op: cdc.OpDelete, Before: sale()}}, text + calculated + " → null"},
		"huge": {&cdc.Record{Value: huge}, `{"id":1,"price":23611832414348226068.47,"quantity":3,"discount_rate":0.1250,"total_amount":70835497243044678205.41` +
			`,"discount_amount":8854437155380584775.676250,"final_amount":61981060087664093429.733750}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runThrough(t, referenceChain(t, "enrichment.json#calculation_enrichment"), c.record)
			if c.record.Value != nil && !c.record.Tombstone {
				got = showRow(c.record.Value)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		r := &cdc.Record{Value: absent}
		runThrough(t, referenceChain(t, "enrichment.json#calculation_enrichment"), r)
		if v := r.Value.Value("final_amount"); v.Kind() != cdc.KindAbsent {
			t.Errorf("what was made of a column that was not sent is %v", v)
		}
		if v := r.Value.Value("total_amount"); v.Int() != 5997 {
			t.Errorf("total %v", v)
		}
	})
}

// TestCalculationSchema: the new schema is made once, is optional like the row's,
// and its fields have the types that the operands have.
func TestCalculationSchema(t *testing.T) {
	c := referenceChain(t, "enrichment.json#calculation_enrichment")
	first, second := &cdc.Record{Value: sale()}, &cdc.Record{Value: sale()}
	runThrough(t, c, first)
	runThrough(t, c, second)
	s := first.Value.Schema
	if s != second.Value.Schema || !s.Optional || s.Name != saleSchema.Name || len(s.Fields) != 7 {
		t.Errorf("%+v", s)
	}
	for name, want := range map[string][2]int{"total_amount": {20, 2}, "discount_amount": {25, 6}, "final_amount": {26, 6}} {
		if f := s.Field(name); f.Semantic != cdc.Decimal || f.Precision != want[0] || f.Scale != want[1] || f.Param("scale") == "" || !f.Optional {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestCalculationOptions(t *testing.T) {
	const in = `{"a":10,"b":4,"c":null,"z":0,"s":"x","d":2.345}`
	for name, c := range map[string]struct {
		properties map[string]string
		want       string
	}{
		"any order":        {map[string]string{"formulas.x": "y + 1", "formulas.y": "w * 2", "formulas.w": "a"}, `,"w":10,"y":20,"x":21}`},
		"own field":        {map[string]string{"formulas.a": "a + 1"}, "11"},
		"scale":            {map[string]string{"formulas.x": "d * 10 / 4", "scale": "2"}, `,"x":5.86}`},
		"rounding":         {map[string]string{"formulas.x": "d * 1", "scale": "2", "rounding": "HALF_EVEN"}, `,"x":2.34}`},
		"rounding up":      {map[string]string{"formulas.x": "-d * 1", "scale": "1", "rounding": "ceiling"}, `,"x":-2.3}`},
		"division":         {map[string]string{"formulas.x": "a / b"}, `,"x":2.5}`},
		"by zero":          {map[string]string{"formulas.x": "a / z"}, `,"x":null}`},
		"by zero: zero":    {map[string]string{"formulas.x": "a / z", "division.by.zero": "zero"}, `,"x":0}`},
		"by zero: fail":    {map[string]string{"formulas.x": "a / z", "division.by.zero": "fail"}, "calculating x: division by zero"},
		"null":             {map[string]string{"formulas.x": "a + c"}, `,"x":null}`},
		"null: zero":       {map[string]string{"formulas.x": "a + c", "null.handling": "zero"}, `,"x":10}`},
		"null: fail":       {map[string]string{"formulas.x": "a + c", "null.handling": "fail"}, "calculating x: the result is null"},
		"missing: null":    {map[string]string{"formulas.x": "coalesce(none, a)", "missing.field": "null"}, `,"x":10}`},
		"missing: fail":    {map[string]string{"formulas.x": "none + 1", "missing.field": "fail"}, "no field none"},
		"no number":        {map[string]string{"formulas.x": "s * 2"}, "* needs a number"},
		"text and boolean": {map[string]string{"formulas.x": "s + '-' + a", "formulas.y": "a > b"}, `,"x":"x-10","y":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := chainOf(t, "com.company.debezium.CalculationTransform", c.properties)
			if err != nil {
				t.Fatal(err)
			}
			if got := runThrough(t, chain, record(t, in)); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestCalculationErrors(t *testing.T) {
	for want, properties := range map[string]map[string]string{
		"go in a circle: a → c → b → a": {"formulas.a": "c + 1", "formulas.b": "a * 2", "formulas.c": "b"},
		"formulas.x = \"1 +\"":          {"formulas.x": "1 +"},
		"formulas.total_amount=price":   {},
		"whole number from 0 to 30":     {"formulas.x": "1", "scale": "-1"},
		"half_even":                     {"formulas.x": "1", "rounding": "nearest"},
		"a property of this class":      {"formulas.x": "1", "formula": "y"},
	} {
		if _, err := chainOf(t, "CalculationTransform", properties); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// BenchmarkCalculation has the three formulas of the reference on a typed row.
func BenchmarkCalculation(b *testing.B) {
	for _, form := range []string{"struct", "schemaless"} {
		b.Run(form, func(b *testing.B) {
			c := referenceChain(b, "enrichment.json#calculation_enrichment")
			row := sale()
			if form == "schemaless" {
				row = record(b, `{"id":1,"price":19.99,"quantity":3,"discount_rate":0.1250}`).Value
			}
			benchmarkRow(b, c, row)
		})
	}
}

// benchmarkRow runs copies of a row through a chain; what copying costs is in it.
func benchmarkRow(b *testing.B, c *transform.Chain, row *cdc.Row) {
	var work cdc.Row
	r := &cdc.Record{}
	records := []*cdc.Record{r}
	b.ReportAllocs()
	for b.Loop() {
		work.CopyFrom(row)
		*r = cdc.Record{Value: &work}
		if _, err := c.Apply(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
}
