package enrich

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/enrich/geo"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// geoTransforms are the transforms that know geography.
var geoTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.GeolocationTransform": newGeolocation,
}

// geoOutput is what a field that is added says of a place.
type geoOutput uint8

const (
	geoCountry geoOutput = iota
	geoCountryCode
	geoRegion
	geoCity
	geoTimezone
	geoOutputs
)

var geoOutputNames = [geoOutputs]string{"country", "country_code", "region", "city", "timezone"}

// geolocation adds what is known of the place at a row's coordinates.
type geolocation struct {
	lat, lng string
	outputs  []geoOutput
	fields   []cdc.Field // of outputs
	farthest float64     // km from a point to its place; 0: any
	cells    float64     // per degree
	places   *geo.Places
	zones    *geo.Zones // nil where no field needs it
	cache    *simplelru.LRU[geoCell, geoAnswer]
	plans    map[*cdc.Schema]*geoPlan
	metrics  *geoMetrics
}

// geoCell is a latitude and a longitude in cells: all points of a cell have one
// answer, that of its middle, so that no answer depends on what was asked
// before.
type geoCell struct{ lat, lng int32 }

// geoAnswer has the text of each output, empty where there is none.
type geoAnswer [geoOutputs]string

// geoPlan says where a schema has the coordinates, and what becomes of it.
type geoPlan struct {
	schema   *cdc.Schema
	lat, lng geoField
	at       []int // where the outputs are in schema
}

func newGeolocation(o *transform.Options) transform.Transform {
	t := &geolocation{plans: map[*cdc.Schema]*geoPlan{}, metrics: newGeoMetrics()}
	t.lat = o.Need("latitude.field", "the field that has the latitude, such as lat")
	t.lng = o.Need("longitude.field", "the field that has the longitude, such as lng")
	t.readOutputs(o)
	t.farthest = float64(wholeNumber(o, "max.distance.km", 500, 0, 20_100))
	t.cells = math.Pow10(wholeNumber(o, "decimals", 3, 0, 5))
	size := wholeNumber(o, "cache.size", 10_000, 1, 100_000_000)
	t.cache, _ = simplelru.NewLRU[geoCell, geoAnswer](size, nil) // fails for a size below 1 only
	return t
}

// readOutputs reads a list such as country,city:geo_city.
func (t *geolocation) readOutputs(o *transform.Options) {
	const property = "output.fields"
	items := o.List(property)
	if len(items) == 0 {
		items = []string{"country", "region", "city", "timezone"}
	}
	for _, item := range items {
		name, as, renamed := strings.Cut(item, ":")
		if !renamed {
			as = name
		}
		output := geoOutputs
		for i, known := range geoOutputNames {
			if name == known {
				output = geoOutput(i)
			}
		}
		if output == geoOutputs || as == "" {
			o.Fail(property, "names of "+strings.Join(geoOutputNames[:], ", ")+", each with :<field> for another name; "+item+" is none")
			continue
		}
		t.outputs = append(t.outputs, output)
		t.fields = append(t.fields, cdc.Field{Name: as, Type: cdc.Text, Optional: true})
	}
}

// wholeNumber is a property's whole number, of a range.
func wholeNumber(o *transform.Options, name string, otherwise, least, most int) int {
	text := o.Text(name, "")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		o.Fail(name, fmt.Sprintf("a whole number from %d to %d", least, most))
		return otherwise
	}
	return n
}

// Start unpacks the data, once a process, and makes the counters known.
func (t *geolocation) Start(env transform.Env) (err error) {
	t.metrics.register(env.Metrics)
	return t.load()
}

func (t *geolocation) load() (err error) {
	if t.places, err = geo.Open(); err != nil {
		return err
	}
	for _, output := range t.outputs {
		if output == geoTimezone {
			t.zones, err = geo.OpenZones()
		}
	}
	return err
}

// Apply adds the fields to r's row: to the flat one, or to those before and
// after the change.
func (t *geolocation) Apply(r *cdc.Record) (keep bool, err error) {
	if t.places == nil { // a chain that is asked for routes only
		if err := t.load(); err != nil {
			return false, err
		}
	}
	if e := transform.Envelope(r); e != nil {
		t.locate(e.Before)
		t.locate(e.After)
		return true, nil
	}
	if r.Value != nil && !r.Value.Schema.IsBare() {
		t.locate(r.Value)
	}
	return true, nil
}

func (t *geolocation) locate(row *cdc.Row) {
	if row == nil {
		return
	}
	p := t.plans[row.Schema]
	if p == nil {
		p = t.plan(row.Schema)
		t.plans[row.Schema] = p
	}
	lat, why := p.lat.degrees(row, 90)
	lng, whyLng := p.lng.degrees(row, 180)
	row.Schema = p.schema
	for len(row.Values) < len(p.schema.Fields) {
		row.Values = append(row.Values, cdc.Value{})
	}
	why = max(why, whyLng)
	var answer geoAnswer
	if why == geoGood {
		answer = t.answer(lat, lng)
	} else {
		t.metrics.bad[why].Inc()
	}
	for i, output := range t.outputs {
		v := &row.Values[p.at[i]]
		switch text := answer[output]; {
		case why == geoAbsent:
			*v = cdc.Absent()
		case text == "":
			*v = cdc.Value{}
		default:
			*v = cdc.String(unsafe.Slice(unsafe.StringData(text), len(text)))
		}
	}
}

func (t *geolocation) plan(s *cdc.Schema) *geoPlan {
	p := &geoPlan{schema: s.With(t.fields...), lat: findGeoField(s, t.lat), lng: findGeoField(s, t.lng)}
	for i := range t.fields {
		p.at = append(p.at, p.schema.Index([]byte(t.fields[i].Name)))
	}
	return p
}

// answer looks the cell of a point up.
func (t *geolocation) answer(lat, lng float64) geoAnswer {
	cell := geoCell{int32(math.Round(lat * t.cells)), int32(math.Round(lng * t.cells))}
	if a, ok := t.cache.Get(cell); ok {
		t.metrics.hits.Inc()
		return a
	}
	t.metrics.misses.Inc()
	a := t.look(float64(cell.lat)/t.cells, float64(cell.lng)/t.cells)
	t.cache.Add(cell, a)
	return a
}

func (t *geolocation) look(lat, lng float64) (a geoAnswer) {
	if t.zones != nil {
		a[geoTimezone] = t.zones.Zone(lat, lng)
	}
	place, km := t.places.Nearest(lat, lng)
	if t.farthest > 0 && km > t.farthest {
		t.metrics.far.Inc()
		return a
	}
	a[geoCountry], a[geoCountryCode], a[geoRegion], a[geoCity] = place.Country, place.CountryCode, place.Region, place.City
	return a
}

// geoMetrics count coordinates without an answer, and what the cache does.
type geoMetrics struct {
	all               *prometheus.CounterVec
	cache             *prometheus.CounterVec
	bad               [geoReasons]prometheus.Counter
	far, hits, misses prometheus.Counter
}

func newGeoMetrics() *geoMetrics {
	m := &geoMetrics{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_transform_geolocation_bad_coordinates_total",
			Help: "Rows whose coordinates gave nulls, by reason: missing, absent, null, not_a_number, out_of_range.",
		}, []string{"reason"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_transform_geolocation_lookups_total",
			Help: "Coordinates looked up, by where the answer was: in the cache (hit), in the data (miss), or nowhere near (far, which is a miss, too).",
		}, []string{"result"}),
	}
	m.resolve()
	return m
}

func (m *geoMetrics) register(registry prometheus.Registerer) {
	m.all, m.cache = transform.Registered(registry, m.all), transform.Registered(registry, m.cache)
	m.resolve()
}

// resolve finds the counters that are counted with, once.
func (m *geoMetrics) resolve() {
	for reason := range geoReasons {
		if reason != geoGood {
			m.bad[reason] = m.all.WithLabelValues(geoReasonNames[reason])
		}
	}
	m.hits, m.misses, m.far = m.cache.WithLabelValues("hit"), m.cache.WithLabelValues("miss"), m.cache.WithLabelValues("far")
}
