package geo

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func places(t testing.TB) *Places {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func zones(t testing.TB) *Zones {
	t.Helper()
	z, err := OpenZones()
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// expected reads a file of testdata without its header.
func expected(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// kilometres is the haversine formula, as independent of the tree's chords as
// can be.
func kilometres(lat, lng, lat2, lng2 float64) float64 {
	const rad = math.Pi / 180
	a := math.Pow(math.Sin((lat2-lat)*rad/2), 2) + math.Cos(lat*rad)*math.Cos(lat2*rad)*math.Pow(math.Sin((lng2-lng)*rad/2), 2)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, a)))
}

// TestPlacesOfReverseGeocoder compares with the Python package's answers. It
// measures distances in degrees as if the Earth were flat, so where it names
// another place, that one has to be farther away; near the equator, where
// degrees are alike, it must not.
func TestPlacesOfReverseGeocoder(t *testing.T) {
	rows, same, countries := expected(t, "places.csv"), 0, 0
	for _, row := range rows {
		lat, lng := number(t, row[0]), number(t, row[1])
		got, km := places(t).Nearest(lat, lng)
		want := Place{CountryCode: row[2], Region: row[3], City: row[4]}
		if got.CountryCode == want.CountryCode {
			countries++
		}
		if got.CountryCode == want.CountryCode && got.Region == want.Region && got.City == want.City {
			same++
			continue
		}
		theirs := kilometres(lat, lng, number(t, row[5]), number(t, row[6]))
		if km >= theirs {
			t.Errorf("%v,%v: %v is %.3f km away, %v only %.3f", lat, lng, got, km, want, theirs)
		}
	}
	t.Logf("%d of %d places and %d countries are the same", same, len(rows), countries)
	if len(rows) != 500 || same < 380 {
		t.Errorf("only %d of %d places are the same", same, len(rows))
	}
}

// TestZonesOfTzf compares with tzf's answers. A grid of cells may differ within
// half a cell of a border, and the two round their polygons differently.
func TestZonesOfTzf(t *testing.T) {
	rows := expected(t, "zones.csv")
	for _, row := range rows {
		lat, lng := number(t, row[0]), number(t, row[1])
		if got := zones(t).Zone(lat, lng); got != row[2] {
			t.Errorf("%v,%v is in %s, want %s", lat, lng, got, row[2])
		}
	}
	if len(rows) != 500 {
		t.Errorf("%d points", len(rows))
	}
}

// point is where a place is.
func (p *Places) point(i int) (lat, lng float64) {
	v := &p.tree[i]
	return math.Asin(float64(v[2])) * 180 / math.Pi, math.Atan2(float64(v[1]), float64(v[0])) * 180 / math.Pi
}

// TestNearestOfAll compares the tree with a look at every place, also at the
// poles and on both sides of the date line.
func TestNearestOfAll(t *testing.T) {
	p, rng := places(t), rand.New(rand.NewPCG(1, 2))
	points := [][2]float64{{90, 0}, {90, 123}, {-90, 0}, {-90, -180}, {0, 180}, {0, -180}, {-16.8, 179.99}, {-16.8, -179.99}, {65, 180}, {65, -180}, {0, 0}}
	for range 50 {
		points = append(points, [2]float64{math.Asin(2*rng.Float64()-1) * 180 / math.Pi, rng.Float64()*360 - 180})
	}
	for _, point := range points {
		_, km := p.Nearest(point[0], point[1])
		least := math.Inf(1)
		for i := range p.Len() {
			lat, lng := p.point(i)
			least = min(least, kilometres(point[0], point[1], lat, lng))
		}
		if math.Abs(km-least) > 0.002 {
			t.Errorf("%v: the tree's place is %.4f km away, the nearest %.4f", point, km, least)
		}
	}
}

// TestBorderless: a pole is one place whatever its longitude, and the date line
// has two names.
func TestBorderless(t *testing.T) {
	p := places(t)
	for _, c := range [][2][2]float64{{{90, 0}, {90, 77}}, {{-90, -120}, {-90, 60}}, {{-17, 180}, {-17, -180}}, {{52, 180}, {52, -180}}} {
		a, kmA := p.Nearest(c[0][0], c[0][1])
		b, kmB := p.Nearest(c[1][0], c[1][1])
		if a != b || math.Abs(kmA-kmB) > 0.001 {
			t.Errorf("%v: %v at %f km, %v: %v at %f km", c[0], a, kmA, c[1], b, kmB)
		}
	}
	// Taveuni lies at 180°: the nearest place is west of the line, seen from the east.
	if got, km := p.Nearest(-16.8, -179.9); got.CountryCode != "FJ" || km > 150 {
		t.Errorf("east of the date line: %v, %f km", got, km)
	}
}

func TestKnownPoints(t *testing.T) {
	for _, c := range []struct {
		lat, lng float64
		want     Place
		zone     string
	}{
		{52.50, 13.40, Place{City: "Bezirk Kreuzberg", Region: "Berlin", Country: "Germany", CountryCode: "DE"}, "Europe/Berlin"},
		{40.7128, -74.0060, Place{City: "New York City", Region: "New York", Country: "United States", CountryCode: "US"}, "America/New_York"},
		{35.68, 139.69, Place{City: "Tokyo", Region: "Tokyo", Country: "Japan", CountryCode: "JP"}, "Asia/Tokyo"},
		{-33.87, 151.21, Place{City: "Sydney", Region: "New South Wales", Country: "Australia", CountryCode: "AU"}, "Australia/Sydney"},
		{41.99, 21.43, Place{City: "Skopje", Region: "Karpos", Country: "North Macedonia", CountryCode: "MK"}, "Europe/Skopje"},
	} {
		if got, km := places(t).Nearest(c.lat, c.lng); got != c.want || km > 10 {
			t.Errorf("%v,%v: %v, %f km away; want %v", c.lat, c.lng, got, km, c.want)
		}
		if got := zones(t).Zone(c.lat, c.lng); got != c.zone {
			t.Errorf("%v,%v is in %s, want %s", c.lat, c.lng, got, c.zone)
		}
	}
}

// TestZonesEverywhere: the corners of the grid have a zone, and the zones are
// those of the IANA database.
func TestZonesEverywhere(t *testing.T) {
	z := zones(t)
	for _, lat := range []float64{-90, -89.999, 0, 89.999, 90} {
		for _, lng := range []float64{-180, -179.999, 0, 179.999, 180} {
			if z.Zone(lat, lng) == "" {
				t.Errorf("%v,%v has no zone", lat, lng)
			}
		}
	}
	if len(z.Names()) < 400 {
		t.Errorf("%d zones", len(z.Names()))
	}
	for _, name := range z.Names() {
		if _, err := time.LoadLocation(name); err != nil && !strings.Contains(err.Error(), "unknown time zone") {
			t.Error(err)
		}
	}
}

func TestValid(t *testing.T) {
	for _, c := range []struct {
		lat, lng float64
		want     bool
	}{
		{0, 0, true}, {90, 180, true}, {-90, -180, true}, {90.0001, 0, false}, {0, 180.0001, false},
		{math.NaN(), 0, false}, {0, math.NaN(), false}, {math.Inf(1), 0, false}, {0, math.Inf(-1), false},
	} {
		if got := Valid(c.lat, c.lng); got != c.want {
			t.Errorf("%v,%v is valid: %v", c.lat, c.lng, got)
		}
	}
}

// TestPlacesReadBack writes places, reads them, and cuts what was written.
func TestPlacesReadBack(t *testing.T) {
	all := []Located{
		{Place{City: "Suva", Region: "Central", Country: "Fiji", CountryCode: "FJ"}, -18.14161, 178.44149},
		{Place{City: "San Jose", Country: "Costa Rica", CountryCode: "CR"}, 9.93333, -84.08333},
		{Place{City: "Alert", Region: "Nunavut", Country: "Canada", CountryCode: "CA"}, 82.5, -62.35},
	}
	for len(all) < 40 {
		p := all[len(all)%3]
		p.Lat -= float64(len(all)) / 10
		all = append(all, p)
	}
	b := AppendPlaces(nil, slices.Clone(all))
	p, err := readPlaces(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range all {
		got, km := p.Nearest(want.Lat, want.Lng)
		if km > 0.002 {
			t.Errorf("%v is found as %v, %f km away", want, got, km)
		}
		if d := cmp.Diff(want.Place, got); d != "" {
			t.Error(d)
		}
	}
	for n := range b {
		if _, err := readPlaces(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are read without an error", n, len(b))
		}
	}
}

// TestZonesReadBack has a zone with a hole, one in the hole, one that crosses
// the date line in two parts, and a gap.
func TestZonesReadBack(t *testing.T) {
	square := func(west, south, east, north float64) [][2]float64 {
		return [][2]float64{{west, south}, {east, south}, {east, north}, {west, north}}
	}
	b := AppendZones(nil, 2, []ZonePolygons{
		{"Ring", [][][2]float64{square(-10, -10, 10, 10), square(-5, -5, 5, 5)}},
		{"Hole", [][][2]float64{square(-5, -5, 5, 5)}},
		{"Line", [][][2]float64{square(170, -90, 180, 90), square(-180, -90, -170, 90)}},
		{"Under", [][][2]float64{square(-10, -20, 12, 20)}},
	})
	z, err := readZones(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lat, lng float64
		want     string
	}{
		{0, -7, "Ring"}, {0, 0, "Hole"}, {0, 7, "Ring"}, {7, 0, "Ring"}, {0, 11, "Under"}, {15, 0, "Under"},
		{0, 100, "Under"}, {0, 175, "Line"}, {0, -175, "Line"}, {0, 180, "Line"}, {0, -180, "Line"}, {90, 180, "Line"}, {-90, -180, "Line"},
		{0, -100, "Line"},
	} {
		if got := z.Zone(c.lat, c.lng); got != c.want {
			t.Errorf("%v,%v is in %s, want %s", c.lat, c.lng, got, c.want)
		}
	}
	for n := 0; n < len(b); n += 7 {
		if _, err := readZones(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are read without an error", n, len(b))
		}
	}
}

// points are random places on the globe, more of them on the land than there is
// of it.
func points() [][2]float64 {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([][2]float64, 1<<14)
	for i := range out {
		out[i] = [2]float64{rng.Float64()*100 - 40, rng.Float64()*300 - 130}
	}
	return out
}

func BenchmarkNearest(b *testing.B) {
	p, at := places(b), points()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		p.Nearest(at[i%len(at)][0], at[i%len(at)][1])
		i++
	}
}

func BenchmarkZone(b *testing.B) {
	z, at := zones(b), points()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		z.Zone(at[i%len(at)][0], at[i%len(at)][1])
		i++
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		places, err := unpack(placesFile)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := readPlaces(places); err != nil {
			b.Fatal(err)
		}
		zones, err := unpack(zonesFile)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := readZones(zones); err != nil {
			b.Fatal(err)
		}
	}
}
