package capture

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// appendJavaText appends what Java's toString gives for a value, which is what
// StringConverter writes: Struct{id=1,name=Ann} without the fields that are
// null. Bytes, of which Java shows only where they are in memory, are in base64.
func appendJavaText(dst []byte, s *cdc.Schema, values []cdc.Value) []byte {
	if s.IsBare() {
		return javaValue(dst, &s.Fields[0], &values[0])
	}
	dst = append(dst, "Struct{"...)
	first := true
	for i := range s.Fields {
		if values[i].IsNull() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, s.Fields[i].Name...), '=')
		dst = javaValue(dst, &s.Fields[i], &values[i])
	}
	return append(dst, '}')
}

func javaValue(dst []byte, f *cdc.Field, v *cdc.Value) []byte {
	switch {
	case v.IsNull():
		return append(dst, "null"...)
	case f.Type == cdc.Struct:
		return appendJavaText(dst, f.Struct, v.List())
	case f.Type == cdc.Array:
		dst = append(dst, '[')
		list := v.List()
		for i := range list {
			if i > 0 {
				dst = append(dst, ',', ' ')
			}
			dst = javaValue(dst, f.Element, &list[i])
		}
		return append(dst, ']')
	}
	if at, ok := javaDate(f, v); ok {
		return at.AppendFormat(dst, "Mon Jan 02 15:04:05 UTC 2006")
	}
	return scalarText(dst, f, v)
}

// javaDate is a value of Connect's Date, Time or Timestamp, which are
// java.util.Date.
func javaDate(f *cdc.Field, v *cdc.Value) (time.Time, bool) {
	switch f.Semantic {
	case cdc.ConnectDate:
		return time.Unix(v.Int()*24*60*60, 0).UTC(), true
	case cdc.ConnectTime, cdc.ConnectTimestamp:
		return time.UnixMilli(v.Int()).UTC(), true
	}
	return time.Time{}, false
}

// scalarText appends a value that is neither null nor made of others.
func scalarText(dst []byte, f *cdc.Field, v *cdc.Value) []byte {
	switch v.Kind() {
	case cdc.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case cdc.KindFloat32, cdc.KindFloat64:
		bits := 64
		if v.Kind() == cdc.KindFloat32 {
			bits = 32
		}
		at := len(dst)
		if dst = json.AppendDouble(dst, v.Float(), bits); dst[at] == '"' { // NaN and the infinities
			dst = append(dst[:at], dst[at+1:len(dst)-1]...)
		}
		return dst
	case cdc.KindDecimal, cdc.KindBigDecimal:
		return decimalText(dst, f, v)
	case cdc.KindMicros:
		return json.AppendZoned(dst, v.Int(), f.Digits)
	case cdc.KindBytes:
		return base64.StdEncoding.AppendEncode(dst, v.Bytes())
	case cdc.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case cdc.KindUint:
		return strconv.AppendUint(dst, v.Uint(), 10)
	}
	return append(dst, v.Bytes()...)
}

// decimalText is BigDecimal.toString, for fields of Connect's Decimal.
func decimalText(dst []byte, f *cdc.Field, v *cdc.Value) []byte {
	if f.Type != cdc.Binary {
		return json.AppendText(dst, f, v)
	}
	plan := json.NewPlan(cdc.Bare(*f), json.Options{Decimal: json.Numeric})
	return plan.AppendColumns(dst, []cdc.Value{*v}, []int{0})
}

// appendSimpleText appends what SimpleHeaderConverter writes: text on its own as
// it is, and what is made of other values as JSON with the escapes of quotes and
// backslashes only.
func appendSimpleText(dst []byte, s *cdc.Schema, values []cdc.Value) []byte {
	if s.IsBare() {
		return simpleValue(dst, &s.Fields[0], &values[0], false)
	}
	dst = append(dst, '{')
	for i := range s.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(simpleQuoted(dst, []byte(s.Fields[i].Name)), ':')
		dst = simpleValue(dst, &s.Fields[i], &values[i], true)
	}
	return append(dst, '}')
}

func simpleValue(dst []byte, f *cdc.Field, v *cdc.Value, within bool) []byte {
	switch {
	case v.IsNull():
		return append(dst, "null"...)
	case f.Type == cdc.Struct:
		return appendSimpleText(dst, f.Struct, v.List())
	case f.Type == cdc.Array:
		dst = append(dst, '[')
		list := v.List()
		for i := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = simpleValue(dst, f.Element, &list[i], true)
		}
		return append(dst, ']')
	}
	if at, ok := javaDate(f, v); ok {
		return at.AppendFormat(dst, simpleLayout(at))
	}
	if !within {
		return scalarText(dst, f, v)
	}
	switch v.Kind() {
	case cdc.KindString, cdc.KindBytes, cdc.KindMicros:
		return simpleQuoted(dst, scalarText(nil, f, v))
	}
	return scalarText(dst, f, v)
}

// simpleLayout is Values.dateFormatFor: what is of the first day is a time, what
// is at midnight a date.
func simpleLayout(at time.Time) string {
	const day = 24 * 60 * 60 * 1000
	switch millis := at.UnixMilli(); {
	case millis < day:
		return "15:04:05.000Z"
	case millis%day == 0:
		return "2006-01-02"
	}
	return "2006-01-02T15:04:05.000Z"
}

func simpleQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
