package enrich

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// geoReason says why a coordinate cannot be used; of two the greater is
// reported.
type geoReason uint8

const (
	geoGood geoReason = iota
	geoOutOfRange
	geoNoNumber
	geoNull
	geoMissing
	geoAbsent // the source did not send the column
	geoReasons
)

var geoReasonNames = [geoReasons]string{"", "out_of_range", "not_a_number", "null", "missing", "absent"}

// geoField is where a schema has a coordinate: a field, or a member of one.
type geoField struct {
	field *cdc.Field // the innermost; nil: there is none
	path  []int
	rest  []string // members of a JSON object below that
}

// findGeoField finds a field by its name, or by a path such as location.y.
func findGeoField(s *cdc.Schema, name string) geoField {
	at := s.Index([]byte(name))
	if at >= 0 {
		return geoField{field: &s.Fields[at], path: []int{at}}
	}
	head, rest, dotted := strings.Cut(name, ".")
	if at = s.Index([]byte(head)); !dotted || at < 0 {
		return geoField{}
	}
	switch f := &s.Fields[at]; {
	case f.Type == cdc.Struct && f.Struct != nil:
		inner := findGeoField(f.Struct, rest)
		inner.path = append([]int{at}, inner.path...)
		return inner
	case f.Type == cdc.Any, f.Type == cdc.Map, f.Semantic == cdc.JSON:
		return geoField{field: f, path: []int{at}, rest: strings.Split(rest, ".")}
	}
	return geoField{}
}

// degrees is the row's coordinate, whose amount is limit at most.
func (f *geoField) degrees(row *cdc.Row, limit float64) (float64, geoReason) {
	if f.field == nil {
		return 0, geoMissing
	}
	v := &row.Values[f.path[0]]
	for _, at := range f.path[1:] {
		list := v.List()
		if at >= len(list) {
			break // null, or absent
		}
		v = &list[at]
	}
	if len(f.rest) > 0 && !v.IsNull() {
		return memberDegrees(v.Bytes(), f.rest, limit)
	}
	return degreesOf(f.field, v, limit)
}

// memberDegrees is the coordinate that a JSON object has at a path.
func memberDegrees(object []byte, path []string, limit float64) (float64, geoReason) {
	for _, name := range path {
		if object = json.Member(object, name); object == nil {
			return 0, geoMissing
		}
	}
	if object[0] == 'n' {
		return 0, geoNull
	}
	if last := len(object) - 1; object[0] == '"' && last > 0 {
		object = object[1:last] // a number needs no escapes
	}
	return parseDegrees(object, limit)
}

func degreesOf(f *cdc.Field, v *cdc.Value, limit float64) (float64, geoReason) {
	switch v.Kind() {
	case cdc.KindNull:
		return 0, geoNull
	case cdc.KindAbsent:
		return 0, geoAbsent
	case cdc.KindInt:
		return inRange(float64(v.Int()), limit)
	case cdc.KindUint:
		return inRange(float64(v.Uint()), limit)
	case cdc.KindFloat32, cdc.KindFloat64:
		return inRange(v.Float(), limit)
	case cdc.KindDecimal:
		return inRange(float64(v.Int())/math.Pow10(f.Scale), limit)
	case cdc.KindString, cdc.KindNumber:
		return parseDegrees(v.Bytes(), limit)
	case cdc.KindBigDecimal, cdc.KindList:
		var scratch [64]byte
		return parseDegrees(json.AppendText(scratch[:0], f, v), limit)
	}
	return 0, geoNoNumber
}

// parseDegrees reads a decimal number. Go's hexadecimal numbers are none.
func parseDegrees(text []byte, limit float64) (float64, geoReason) {
	text = bytes.TrimSpace(text)
	degrees, err := strconv.ParseFloat(string(text), 64)
	for _, c := range text {
		if c == 'x' || c == 'X' || c == '_' {
			return 0, geoNoNumber
		}
	}
	if err != nil && !math.IsInf(degrees, 0) {
		return 0, geoNoNumber
	}
	return inRange(degrees, limit)
}

func inRange(degrees, limit float64) (float64, geoReason) {
	switch {
	case math.IsNaN(degrees):
		return 0, geoNoNumber
	case math.Abs(degrees) > limit:
		return 0, geoOutOfRange
	}
	return degrees, geoGood
}
