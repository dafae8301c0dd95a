package enrich

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// wasmValue reads a JSON text that a module returned as a value of a field that
// is no struct, array or map.
func wasmValue(row *cdc.Row, f *cdc.Field, text []byte) (cdc.Value, error) {
	v, err := json.ReadAny(row, text)
	switch {
	case err != nil:
		return v, err
	case f.Type == cdc.Any, v.IsNull() && f.Optional:
		return v, nil
	case v.IsNull():
		return v, fmt.Errorf("null, which it cannot be")
	case f.IsDecimal():
		return wasmDecimal(row, f, text, &v)
	}
	read := v
	var ok bool
	switch kind := v.Kind(); f.Type {
	case cdc.Boolean:
		ok = kind == cdc.KindBool
	case cdc.Text:
		read, ok = wasmText(f, &v)
	case cdc.Binary:
		read, ok = wasmBytes(row, &v)
	case cdc.Float, cdc.Double:
		read, ok = wasmFloat(f, text, kind)
	default:
		ok = kind == cdc.KindInt && wholeFits(f.Type, v.Int())
	}
	if !ok {
		return v, fmt.Errorf("%s is no value of type %s", text, typeName(f))
	}
	return read, nil
}

// typeName is a field's type as an error says it.
func typeName(f *cdc.Field) string {
	if name := f.ConnectName(); name != "" {
		return f.Type.String() + " (" + name + ")"
	}
	return f.Type.String()
}

// wasmDecimal reads a decimal: a number, or text of one.
func wasmDecimal(row *cdc.Row, f *cdc.Field, text []byte, v *cdc.Value) (cdc.Value, error) {
	if v.Kind() == cdc.KindString {
		text = v.Bytes()
	}
	read, ok := json.ParseDecimal(row, text, f.Scale)
	if !ok {
		return read, fmt.Errorf("%s is no decimal of %d digits after the point", text, f.Scale)
	}
	if f.Type == cdc.Text {
		return cdc.String(text), nil
	}
	return read, nil
}

func wasmText(f *cdc.Field, v *cdc.Value) (cdc.Value, bool) {
	if f.Semantic != cdc.ZonedTimestamp || v.Kind() != cdc.KindString {
		return *v, v.Kind() == cdc.KindString
	}
	micros, ok := json.ParseZoned(v.Bytes())
	return cdc.Micros(micros), ok
}

func wasmBytes(row *cdc.Row, v *cdc.Value) (cdc.Value, bool) {
	if v.Kind() != cdc.KindString {
		return *v, false
	}
	b := row.Alloc(base64.StdEncoding.DecodedLen(len(v.Bytes())))
	n, err := base64.StdEncoding.Decode(b, v.Bytes())
	return cdc.Bytes(b[:n]), err == nil
}

func wasmFloat(f *cdc.Field, text []byte, kind cdc.Kind) (cdc.Value, bool) {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil || kind == cdc.KindString {
		return cdc.Value{}, false
	}
	if f.Type == cdc.Float {
		return cdc.Float32(float32(x)), true
	}
	return cdc.Float64(x), true
}

// wholeFits reports whether an integer type holds n.
func wholeFits(t cdc.Type, n int64) bool {
	switch t {
	case cdc.Int8:
		return n == int64(int8(n))
	case cdc.Int16:
		return n == int64(int16(n))
	case cdc.Int32:
		return n == int64(int32(n))
	}
	return t == cdc.Int64
}

// sameJSON reports whether two texts are one value, numbers by their text.
func sameJSON(a, b []byte) bool {
	decode := func(text []byte) (v any) {
		d := stdjson.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return text
		}
		return v
	}
	return reflect.DeepEqual(decode(a), decode(b))
}
