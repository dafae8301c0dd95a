package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/weir-cdc/weir/enrich/geo"
)

// renamed are countries that were renamed since the release of the Unicode CLDR
// that golang.org/x/text carries, as today's CLDR has them, and Kosovo, whose
// code is no official one.
var renamed = map[string]string{
	"SZ": "Eswatini", "MK": "North Macedonia", "TR": "Türkiye", "CV": "Cape Verde", "XK": "Kosovo",
}

// readPlaces reads a file with the columns lat, lon, name, admin1, admin2, cc.
func readPlaces(file string) ([]geo.Located, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(rows[0], []string{"lat", "lon", "name", "admin1", "admin2", "cc"}) {
		return nil, fmt.Errorf("the columns are %v", rows[0])
	}
	var places []geo.Located
	for _, row := range rows[1:] {
		if row[2] == "" {
			continue // two places have no name
		}
		lat, errLat := strconv.ParseFloat(row[0], 64)
		lng, errLng := strconv.ParseFloat(row[1], 64)
		country, err := countryName(row[5])
		if errLat != nil || errLng != nil || err != nil || !geo.Valid(lat, lng) {
			return nil, fmt.Errorf("row %v is no place: %w", row, err)
		}
		places = append(places, geo.Located{
			Place: geo.Place{City: row[2], Region: row[3], CountryCode: row[5], Country: country}, Lat: lat, Lng: lng,
		})
	}
	return places, nil
}

func countryName(code string) (string, error) {
	if name, ok := renamed[code]; ok {
		return name, nil
	}
	r, err := language.ParseRegion(code)
	if err != nil {
		return "", fmt.Errorf("country %q: %w", code, err)
	}
	name := display.English.Regions().Name(r)
	if name == "" || name == "Unknown Region" {
		return "", fmt.Errorf("country %q has no name", code)
	}
	return name, nil
}
