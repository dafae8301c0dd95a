package enrich

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// geoChain is a chain of one GeolocationTransform, as
// shared configuration files write it, started.
func geoChain(tb testing.TB, metrics prometheus.Registerer, properties ...string) *transform.Chain {
	tb.Helper()
	all := map[string]string{"transforms": "geo", "transforms.geo.type": "com.company.debezium.GeolocationTransform",
		"transforms.geo.latitude.field": "lat", "transforms.geo.longitude.field": "lng",
		"transforms.geo.output.fields": "country,region,city,timezone"}
	for i := 0; i < len(properties); i += 2 {
		all["transforms.geo."+properties[i]] = properties[i+1]
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	chain, err := transform.New(v, Classes)
	if err != nil {
		tb.Fatal(err)
	}
	if err := chain.Start(transform.Env{Log: zap.NewNop(), Metrics: metrics}); err != nil {
		tb.Fatal(err)
	}
	return chain
}

// located applies a chain to a record and shows its value and schema.
func located(t *testing.T, chain *transform.Chain, r *cdc.Record) string {
	t.Helper()
	kept, err := chain.Apply(context.Background(), []*cdc.Record{r})
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %d, %v", len(kept), err)
	}
	if _, err := (Flatten{}).Apply(r); err != nil {
		t.Fatal(err)
	}
	if r.Value == nil {
		return "null"
	}
	return string(json.NewDocument(r.Value.Schema, json.DocumentOptions{}).Append(nil, r.Value))
}

// counted are the counters of a metric with one label, by that label's value.
func counted(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				out[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}

// rowOf is a flat record of one field each of lat and lng.
func rowOf(lat cdc.Field, latValue cdc.Value, lng cdc.Field, lngValue cdc.Value) *cdc.Record {
	lat.Name, lng.Name = "lat", "lng"
	row := &cdc.Row{}
	row.Reset(cdc.NewSchema("geo", lat, lng))
	row.Values[0], row.Values[1] = latValue, lngValue
	return &cdc.Record{Value: row}
}

const (
	berlin = `"country":"Germany","region":"Berlin","city":"Bezirk Kreuzberg","timezone":"Europe/Berlin"}`
	nulls  = `"country":null,"region":null,"city":null,"timezone":null}`
)

// TestGeolocation has a row for each kind of record, and each kind of good and
// bad coordinate.
func TestGeolocation(t *testing.T) {
	double, text, decimal := cdc.Field{Type: cdc.Double}, cdc.Field{Type: cdc.Text}, cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: 6}
	integer, narrow, flag := cdc.Field{Type: cdc.Int32}, cdc.Field{Type: cdc.Float}, cdc.Field{Type: cdc.Boolean}
	east := cdc.Float64(13.4)
	typed := func(f cdc.Field, v cdc.Value) func() *cdc.Record {
		return func() *cdc.Record { return rowOf(f, v, double, east) }
	}
	read := func(value string) func() *cdc.Record { return func() *cdc.Record { return record(t, value) } }
	for name, c := range map[string]struct {
		record func() *cdc.Record
		want   string // the end of the document
		reason string // counted once
	}{
		"double":             {typed(double, cdc.Float64(52.5)), berlin, ""},
		"float":              {typed(narrow, cdc.Float32(52.5)), berlin, ""},
		"text":               {typed(text, cdc.String([]byte(" 52.50 "))), berlin, ""},
		"decimal":            {typed(decimal, cdc.SmallDecimal(52_500_000)), berlin, ""},
		"big decimal":        {typed(decimal, cdc.BigDecimal([]byte{3, 33, 23, 32})), berlin, ""},
		"integer":            {func() *cdc.Record { return rowOf(integer, cdc.Int(-34), integer, cdc.Int(151)) }, `"country":"Australia","region":"New South Wales","city":"Menai","timezone":"Australia/Sydney"}`, ""},
		"schemaless":         {read(`{"lat":52.5,"lng":13.4}`), berlin, ""},
		"schemaless text":    {read(`{"lat":"52.5","lng":"1.34e1"}`), berlin, ""},
		"envelope":           {read(`{"before":null,"after":{"lat":52.5,"lng":13.4},"source":{"ts_ms":1},"op":"c","ts_ms":2}`), berlin, ""},
		"deleted":            {read(`{"before":{"lat":52.5,"lng":13.4},"after":null,"source":{"ts_ms":1},"op":"d","ts_ms":2}`), berlin, ""},
		"tombstone":          {func() *cdc.Record { return record(t, "") }, "null", ""},
		"bare":               {read(`5`), "", ""},
		"null":               {typed(double, cdc.Value{}), nulls, "null"},
		"null schemaless":    {read(`{"lat":null,"lng":13.4}`), nulls, "null"},
		"missing":            {read(`{"lng":13.4}`), nulls, "missing"},
		"missing both":       {read(`{"id":13}`), nulls, "missing"},
		"NaN":                {typed(double, cdc.Float64(math.NaN())), nulls, "not_a_number"},
		"NaN as text":        {typed(text, cdc.String([]byte("NaN"))), nulls, "not_a_number"},
		"infinite":           {typed(double, cdc.Float64(math.Inf(-1))), nulls, "out_of_range"},
		"huge text":          {typed(text, cdc.String([]byte("1e999"))), nulls, "out_of_range"},
		"beyond the pole":    {typed(double, cdc.Float64(90.0001)), nulls, "out_of_range"},
		"decimal far off":    {typed(decimal, cdc.SmallDecimal(-52_500_000_000)), nulls, "out_of_range"},
		"unsigned":           {typed(cdc.Field{Type: cdc.Int64}, cdc.Uint(math.MaxUint64)), nulls, "out_of_range"},
		"beyond the line":    {read(`{"lat":0,"lng":-180.5}`), nulls, "out_of_range"},
		"swapped":            {read(`{"lat":139.7,"lng":35.7}`), nulls, "out_of_range"},
		"words":              {typed(text, cdc.String([]byte("N 52.5"))), nulls, "not_a_number"},
		"comma":              {typed(text, cdc.String([]byte("52,5"))), nulls, "not_a_number"},
		"empty text":         {typed(text, cdc.String(nil)), nulls, "not_a_number"},
		"hexadecimal":        {typed(text, cdc.String([]byte("0x1p4"))), nulls, "not_a_number"},
		"boolean":            {typed(flag, cdc.Bool(true)), nulls, "not_a_number"},
		"bytes":              {typed(cdc.Field{Type: cdc.Binary}, cdc.Bytes([]byte("52.5"))), nulls, "not_a_number"},
		"object":             {read(`{"lat":{"deg":52},"lng":13.4}`), nulls, "not_a_number"},
		"nowhere near":       {read(`{"lat":0,"lng":0}`), `"country":null,"region":null,"city":null,"timezone":"Etc/GMT"}`, ""},
		"date line, west":    {read(`{"lat":-16.8,"lng":180}`), `"country":"Fiji","region":"Northern","city":"Lambasa","timezone":"Pacific/Fiji"}`, ""},
		"date line, east":    {read(`{"lat":-16.8,"lng":-180}`), `"country":"Fiji","region":"Northern","city":"Lambasa","timezone":"Pacific/Fiji"}`, ""},
		"pole":               {read(`{"lat":90,"lng":0}`), `"country":null,"region":null,"city":null,"timezone":"Etc/GMT"}`, ""},
		"region has no name": {read(`{"lat":50.11756,"lng":16.29067}`), `"country":"Czechia","region":null,"city":"Vamberk","timezone":"Europe/Prague"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			chain := geoChain(t, registry)
			if got := located(t, chain, c.record()); !strings.HasSuffix(got, c.want) {
				t.Errorf("got %s, want …%s", got, c.want)
			}
			bad := counted(t, registry, "weir_transform_geolocation_bad_coordinates_total")
			if c.reason != "" && bad[c.reason] != 1 {
				t.Errorf("%s is not counted: %v", c.reason, bad)
			}
			delete(bad, c.reason)
			for reason, n := range bad {
				if n != 0 {
					t.Errorf("%s is counted %v times", reason, n)
				}
			}
		})
	}
}

// TestGeolocationSchema: what is added is optional text in one new schema; a
// field of the name is replaced, and of a column that the source did not send
// nothing is made up.
func TestGeolocationSchema(t *testing.T) {
	chain := geoChain(t, prometheus.NewRegistry(), "output.fields", "country_code:geo, city, timezone")
	double := cdc.Field{Type: cdc.Double, Optional: true}
	schema := cdc.NewSchema("shop", cdc.Field{Name: "lat", Type: cdc.Double}, cdc.Field{Name: "city", Type: cdc.Int32}, cdc.Field{Name: "lng", Type: cdc.Double})
	first := &cdc.Row{}
	first.Reset(schema)
	first.Values[0], first.Values[1], first.Values[2] = cdc.Float64(48.8566), cdc.Int(4), cdc.Float64(2.3522)
	if got := located(t, chain, &cdc.Record{Value: first}); got != `{"lat":48.8566,"city":"Paris","lng":2.3522,"geo":"FR","timezone":"Europe/Paris"}` {
		t.Error(got)
	}
	added := first.Schema
	for _, name := range []string{"geo", "city", "timezone"} {
		if f := added.Field(name); f.Type != cdc.Text || !f.Optional {
			t.Errorf("%s is %+v", name, f)
		}
	}
	first.Reset(schema)
	located(t, chain, &cdc.Record{Value: first})
	if first.Schema != added || added.Name != "shop" {
		t.Errorf("another schema: %+v", first.Schema)
	}
	absent := rowOf(double, cdc.Absent(), double, cdc.Float64(2))
	if _, err := chain.Apply(context.Background(), []*cdc.Record{absent}); err != nil {
		t.Fatal(err)
	}
	if f := absent.Value.Value("timezone"); f.Kind() != cdc.KindAbsent {
		t.Errorf("of a column that was not sent: %v", f)
	}
}

// TestGeolocationPaths reads coordinates inside of structs and JSON.
func TestGeolocationPaths(t *testing.T) {
	properties := []string{"latitude.field", "at.y", "longitude.field", "at.x", "output.fields", "city"}
	point := cdc.NewSchema("io.debezium.data.geometry.Point", cdc.Field{Name: "x", Type: cdc.Double}, cdc.Field{Name: "y", Type: cdc.Double})
	typed := func(f cdc.Field, v cdc.Value) *cdc.Record {
		row := &cdc.Row{}
		f.Name = "at"
		row.Reset(cdc.NewSchema("p", f))
		row.Values[0] = v
		return &cdc.Record{Value: row}
	}
	structure, text := cdc.Field{Type: cdc.Struct, Semantic: cdc.Point, Struct: point, Optional: true}, cdc.Field{Type: cdc.Text, Semantic: cdc.JSON}
	for name, c := range map[string]struct {
		record *cdc.Record
		want   string
	}{
		"struct":        {typed(structure, cdc.List([]cdc.Value{cdc.Float64(13.4), cdc.Float64(52.5)})), `"city":"Bezirk Kreuzberg"}`},
		"null struct":   {typed(structure, cdc.Value{}), `"city":null}`},
		"JSON column":   {typed(text, cdc.String([]byte(`{"x": "13.4", "y": 52.5}`))), `"city":"Bezirk Kreuzberg"}`},
		"no JSON":       {typed(text, cdc.String([]byte(`13.4,52.5`))), `"city":null}`},
		"null member":   {typed(text, cdc.String([]byte(`{"x":null,"y":52.5}`))), `"city":null}`},
		"schemaless":    {record(t, `{"at":{"x":13.4,"y":52.5}}`), `"city":"Bezirk Kreuzberg"}`},
		"no such path":  {record(t, `{"at":{"x":13.4}}`), `"city":null}`},
		"no object":     {record(t, `{"at":7}`), `"city":null}`},
		"dotted name":   {record(t, `{"at.y":52.5,"at.x":13.4}`), `"city":"Bezirk Kreuzberg"}`},
		"plain integer": {typed(cdc.Field{Type: cdc.Int32}, cdc.Int(4)), `"city":null}`},
	} {
		if got := located(t, geoChain(t, prometheus.NewRegistry(), properties...), c.record); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: got %s, want …%s", name, got, c.want)
		}
	}
}

// TestGeolocationDoesNotDependOnTheCache: the answer for a point is the same
// whichever point of its cell came first, with a cache of any size.
func TestGeolocationDoesNotDependOnTheCache(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	small, large := geoChain(t, prometheus.NewRegistry(), "cache.size", "1"), geoChain(t, prometheus.NewRegistry())
	ask := func(chain *transform.Chain, lat, lng float64) string {
		double := cdc.Field{Type: cdc.Double}
		return located(t, chain, rowOf(double, cdc.Float64(lat), double, cdc.Float64(lng)))
	}
	for range 300 {
		lat, lng := rng.Float64()*140-70, rng.Float64()*360-180
		ask(large, min(90, lat+rng.Float64()/1000), lng) // fills the cell from another point
		if a, b := ask(small, lat, lng), ask(large, lat, lng); a != b {
			t.Errorf("%s, and from the cache %s", a, b)
		}
	}
}

func TestGeolocationMistakes(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"transforms": "geo", "transforms.geo.type": "io.weir.transforms.GeolocationTransform",
		"transforms.geo.output.fields": "country,planet,city:", "transforms.geo.decimals": "6", "transforms.geo.cache.size": "many",
		"transforms.geo.max.distance.km": "-1"}, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transform.New(v, Classes)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"latitude.field", "longitude.field", "planet is none", "city: is none", "decimals", "cache.size", "max.distance.km"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
}

// BenchmarkGeolocation adds four fields to rows at points of some towns, to rows
// at random points all over the land's latitudes, and to the former without a
// cache to speak of.
func BenchmarkGeolocation(b *testing.B) {
	for _, c := range []struct {
		name, size string
		points     int
	}{{"cached", "10000", 5000}, {"uncached", "1", 20000}, {"allmisses", "10000", 1 << 17}} {
		b.Run(c.name, func(b *testing.B) {
			chain, rng := geoChain(b, prometheus.NewRegistry(), "cache.size", c.size), rand.New(rand.NewPCG(7, 8))
			double := cdc.Field{Type: cdc.Double}
			plain := rowOf(double, cdc.Value{}, double, cdc.Value{}).Value.Schema
			points := make([][2]cdc.Value, c.points)
			for i := range points {
				points[i] = [2]cdc.Value{cdc.Float64(rng.Float64()*100 - 40), cdc.Float64(rng.Float64()*300 - 130)}
			}
			records, n := make([]*cdc.Record, 500), 0
			for i := range records {
				records[i] = &cdc.Record{Value: &cdc.Row{Values: make([]cdc.Value, 0, 6)}}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, r := range records {
					r.Value.Reset(plain)
					r.Value.Values[0], r.Value.Values[1] = points[n%len(points)][0], points[n%len(points)][1]
					n++
				}
				if _, err := chain.Apply(context.Background(), records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
		})
	}
}

// TestGeolocationLeavesItsTextsAlone: the texts of rows are the embedded data's
// own, which no row can change.
func TestGeolocationLeavesItsTextsAlone(t *testing.T) {
	chain := geoChain(t, prometheus.NewRegistry(), "output.fields", "city")
	r := record(t, `{"lat":52.5,"lng":13.4}`)
	located(t, chain, r)
	v := r.Value.Value("city")
	if len(v.Bytes()) != cap(v.Bytes()) || !bytes.Equal(v.Bytes(), []byte("Bezirk Kreuzberg")) {
		t.Errorf("%q of capacity %d", v.Bytes(), cap(v.Bytes()))
	}
}
