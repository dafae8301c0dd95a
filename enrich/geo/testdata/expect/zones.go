//go:build ignore

// Writes testdata/zones.csv: what github.com/ringsaturn/tzf v1.0.2 answers for
// the points of testdata/places.csv. In a module of its own, so that tzf's
// dependencies do not become Weir's:
//
//	go mod init expect && go get github.com/ringsaturn/tzf@v1.0.2
//	go run zones.go < ../places.csv > ../zones.csv
package main

import (
	"encoding/csv"
	"log"
	"os"
	"strconv"

	"github.com/ringsaturn/tzf"
)

func main() {
	finder, err := tzf.NewDefaultFinder()
	if err != nil {
		log.Fatal(err)
	}
	rows, err := csv.NewReader(os.Stdin).ReadAll()
	if err != nil {
		log.Fatal(err)
	}
	out := csv.NewWriter(os.Stdout)
	_ = out.Write([]string{"lat", "lng", "zone"})
	for _, row := range rows[1:] {
		lat, errLat := strconv.ParseFloat(row[0], 64)
		lng, errLng := strconv.ParseFloat(row[1], 64)
		if errLat != nil || errLng != nil {
			log.Fatal(row)
		}
		_ = out.Write([]string{row[0], row[1], finder.GetTimezoneName(lng, lat)})
	}
	out.Flush()
	if out.Error() != nil {
		log.Fatal(out.Error())
	}
}
