// Package geo answers, offline and from data embedded in the binary, which
// populated place is nearest to a point on Earth and which time zone the point
// is in. README.md says where the data come from, under which licences, and how
// exact they are; package build makes them.
package geo

import (
	_ "embed"
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// earthRadius is the mean radius in km.
const earthRadius = 6371.0088

//go:embed places.bin.zst
var placesFile []byte

//go:embed zones.bin.zst
var zonesFile []byte

// Place is a populated place.
type Place struct {
	City        string // its name, in ASCII
	Region      string // first-level administrative division, in ASCII; may be empty
	CountryCode string // ISO 3166-1 alpha-2
	Country     string // its English name
}

// Located is a Place and where it is, in degrees.
type Located struct {
	Place
	Lat, Lng float64
}

// Open returns the embedded places. They are unpacked at the first call and
// shared from then on; they may be used by many goroutines.
var Open = sync.OnceValues(func() (*Places, error) {
	b, err := unpack(placesFile)
	if err != nil {
		return nil, fmt.Errorf("unpacking places: %w", err)
	}
	return readPlaces(b)
})

// OpenZones returns the embedded time zones, as Open does the places.
var OpenZones = sync.OnceValues(func() (*Zones, error) {
	b, err := unpack(zonesFile)
	if err != nil {
		return nil, fmt.Errorf("unpacking time zones: %w", err)
	}
	return readZones(b)
})

func unpack(file []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(file, nil)
}

// Pack compresses what AppendPlaces or AppendZones wrote, for embedding.
func Pack(b []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }() // of an encoder that writes nowhere
	return e.EncodeAll(b, nil), nil
}

// Valid reports whether a point is on Earth: −90 to 90 degrees of latitude, −180
// to 180 of longitude, and neither is NaN.
func Valid(lat, lng float64) bool {
	return math.Abs(lat) <= 90 && math.Abs(lng) <= 180
}

// vector is the point on the unit sphere.
func vector(lat, lng float64) [3]float64 {
	sinLat, cosLat := math.Sincos(lat * (math.Pi / 180))
	sinLng, cosLng := math.Sincos(lng * (math.Pi / 180))
	return [3]float64{cosLat * cosLng, cosLat * sinLng, sinLat}
}

// arc is the length in km of the great circle under a chord whose square, on
// the unit sphere, is given.
func arc(chordSquare float64) float64 {
	return 2 * earthRadius * math.Asin(min(1, math.Sqrt(chordSquare)/2))
}
