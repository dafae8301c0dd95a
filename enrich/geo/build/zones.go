package main

import (
	"errors"
	"math"

	tzfrellite "github.com/ringsaturn/tzf-rel-lite"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-cdc/weir/enrich/geo"
)

var errProto = errors.New("the time zones are not in tzf's form")

// readZones reads tzf's message Timezones: timezones = 1 {polygons = 1 {points
// = 1 {lng = 1, lat = 2}, holes = 2 {points}}, name = 2}.
func readZones() ([]geo.ZonePolygons, error) {
	var zones []geo.ZonePolygons
	err := each(tzfrellite.LiteData, func(field protowire.Number, zone []byte) error {
		if field != 1 {
			return nil
		}
		var z geo.ZonePolygons
		err := each(zone, func(field protowire.Number, b []byte) error {
			if field == 2 {
				z.Name = string(b)
				return nil
			}
			return appendPolygon(&z, b)
		})
		zones = append(zones, z)
		return err
	})
	return zones, err
}

// appendPolygon appends a polygon's outer ring and those of its holes.
func appendPolygon(z *geo.ZonePolygons, polygon []byte) error {
	var ring [][2]float64
	err := each(polygon, func(field protowire.Number, b []byte) error {
		if field == 2 {
			return appendPolygon(z, b)
		}
		p, err := point(b)
		ring = append(ring, p)
		return err
	})
	z.Rings = append(z.Rings, ring)
	return err
}

// each calls do with the fields of a message that are messages or text.
func each(message []byte, do func(field protowire.Number, b []byte) error) error {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return errProto
		}
		size := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if size < 0 {
			return errProto
		}
		value := message[tag : tag+size]
		message = message[tag+size:]
		if kind != protowire.BytesType {
			continue
		}
		b, _ := protowire.ConsumeBytes(value)
		if err := do(number, b); err != nil {
			return err
		}
	}
	return nil
}

// point reads {lng, lat}, two 32-bit floats.
func point(b []byte) (p [2]float64, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.Fixed32Type || number > 2 {
			return p, errProto
		}
		bits, size := protowire.ConsumeFixed32(b[n:])
		if size < 0 {
			return p, errProto
		}
		p[number-1] = float64(math.Float32frombits(bits))
		b = b[n+size:]
	}
	return p, nil
}
