package plugin

import (
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// Row is the fields of a key or a value. What reads a field returns ok = false
// where the row has none of that name, or null, or what cannot be read so.
type Row struct {
	row   *cdc.Row
	plans changes
}

func (w *Row) orNil() *Row {
	if w.row == nil {
		return nil
	}
	return w
}

// Names are the names of the fields, in order.
func (w *Row) Names() iter.Seq[string] {
	fields := w.row.Schema.Fields
	return func(yield func(string) bool) {
		for i := range fields {
			if !yield(fields[i].Name) {
				return
			}
		}
	}
}

// Has reports whether there is a field of a name, null or not.
func (w *Row) Has(name string) bool { return w.row.Schema.Field(name) != nil }

// IsNull reports whether a field is null, or there is none.
func (w *Row) IsNull(name string) bool {
	_, v := w.at(name)
	return v == nil
}

// at is a field that has a value.
func (w *Row) at(name string) (*cdc.Field, *cdc.Value) {
	i := w.row.Schema.Index([]byte(name))
	if i < 0 || w.row.Values[i].IsNull() {
		return nil, nil
	}
	return &w.row.Schema.Fields[i], &w.row.Values[i]
}

// Text is any field as text: numbers and decimals exactly, dates and times in
// ISO 8601, bytes in base64, structs and arrays as JSON.
func (w *Row) Text(name string) (text string, ok bool) {
	f, v := w.at(name)
	if v == nil {
		return "", false
	}
	return string(json.AppendText(nil, f, v)), true
}

// Bytes is the content of a field of bytes or text, which must not be changed.
func (w *Row) Bytes(name string) (content []byte, ok bool) {
	_, v := w.at(name)
	if v == nil || v.Kind() != cdc.KindBytes && v.Kind() != cdc.KindString {
		return nil, false
	}
	return v.Bytes(), true
}

// Int is a whole number, also one in text or a decimal.
func (w *Row) Int(name string) (n int64, ok bool) {
	f, v := w.at(name)
	switch {
	case v == nil:
		return 0, false
	case v.Kind() == cdc.KindInt:
		return v.Int(), true
	case v.Kind() == cdc.KindFloat32 || v.Kind() == cdc.KindFloat64:
		x := v.Float()
		return int64(x), x == math.Trunc(x) && math.Abs(x) < 1<<63
	}
	text := json.AppendText(nil, f, v)
	n, err := strconv.ParseInt(string(wholeText(text)), 10, 64)
	return n, err == nil
}

// wholeText is a number's text without a fraction of zeros.
func wholeText(text []byte) []byte {
	for i, c := range text {
		if c != '.' {
			continue
		}
		for _, c := range text[i+1:] {
			if c != '0' {
				return text
			}
		}
		return text[:i]
	}
	return text
}

// Float is a number, also one in text or a decimal, whose digits it may round.
func (w *Row) Float(name string) (x float64, ok bool) {
	f, v := w.at(name)
	switch {
	case v == nil:
		return 0, false
	case v.Kind() == cdc.KindFloat32 || v.Kind() == cdc.KindFloat64:
		return v.Float(), true
	case v.Kind() == cdc.KindInt:
		return float64(v.Int()), true
	}
	x, err := strconv.ParseFloat(string(json.AppendText(nil, f, v)), 64)
	return x, err == nil
}

// Bool is a boolean, also one that travels as a number or as text.
func (w *Row) Bool(name string) (b, ok bool) {
	_, v := w.at(name)
	switch {
	case v == nil:
		return false, false
	case v.Kind() == cdc.KindBool:
		return v.Bool(), true
	case v.Kind() == cdc.KindInt:
		return v.Int() != 0, true
	case v.Kind() == cdc.KindString:
		b, err := strconv.ParseBool(string(v.Bytes()))
		return b, err == nil
	}
	return false, false
}

// Time is a date or a point in time, of any of Debezium's and Connect's types
// that are one, or of text in ISO 8601. Times without a zone are taken as UTC.
func (w *Row) Time(name string) (at time.Time, ok bool) {
	f, v := w.at(name)
	if v == nil {
		return at, false
	}
	text := string(json.AppendText(nil, f, v))
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return at, false
}
