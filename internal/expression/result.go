package expression

import (
	"fmt"
	"math"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// convert makes a row's value of v for a field: numbers are rounded to the
// field's scale, text becomes the number, date or time that it says.
func (p *Program) convert(v *value, f *cdc.Field, into *cdc.Row) (cdc.Value, error) {
	switch {
	case v.kind == null:
		return cdc.Value{}, nil
	case v.field != nil && (v.field == f || alike(v.field, f)):
		return v.src, nil
	case f.IsDecimal():
		return p.fixed(v, f, into)
	case isMoment(f.Semantic):
		return temporal(v, f, into)
	}
	switch f.Type {
	case cdc.Any:
		return p.loose(v, into)
	case cdc.Boolean:
		return cdc.Bool(v.truth()), nil
	case cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64:
		return p.integer(v, f)
	case cdc.Float, cdc.Double:
		return floating(v, f)
	case cdc.Text:
		return cdc.String(wordsOf(v, into)), nil
	case cdc.Binary:
		if v.kind == binary {
			return v.src, nil
		}
	}
	return cdc.Value{}, mismatch(v, f)
}

// alike reports whether values of one field are values of another as they stand.
func alike(a, b *cdc.Field) bool {
	return a.Type == b.Type && a.Semantic == b.Semantic && a.Scale == b.Scale && a.Struct == b.Struct && (a.Element == b.Element || a.Element != nil && b.Element != nil && alike(a.Element, b.Element))
}

func mismatch(v *value, f *cdc.Field) error {
	kind := f.Semantic.Name()
	if kind == "" {
		kind = f.Type.String()
	}
	return fmt.Errorf("the result %q is no value of type %s", v.appendText(nil), kind)
}

func wordsOf(v *value, into *cdc.Row) []byte {
	if v.kind == text || v.kind == jsonText {
		return v.src.Bytes()
	}
	return into.Keep(v.appendText(into.Tail(32)))
}

var integerBits = map[cdc.Type]uint{cdc.Int8: 8, cdc.Int16: 16, cdc.Int32: 32, cdc.Int64: 64}

func (p *Program) integer(v *value, f *cdc.Field) (cdc.Value, error) {
	n, ok := v.number()
	if !ok {
		return cdc.Value{}, mismatch(v, f)
	}
	n, err := n.round(0, p.settings.Rounding)
	if err != nil {
		return cdc.Value{}, err
	}
	bits := integerBits[f.Type]
	if n.big != nil || bits < 64 && (n.n >= 1<<(bits-1) || n.n < -1<<(bits-1)) {
		return cdc.Value{}, fmt.Errorf("the result %s is beyond a %d-bit integer", n.append(nil), bits)
	}
	return cdc.Int(n.n), nil
}

func floating(v *value, f *cdc.Field) (cdc.Value, error) {
	n, ok := v.number()
	var x float64
	switch {
	case v.kind == double:
		x = v.src.Float()
	case !ok:
		return cdc.Value{}, mismatch(v, f)
	default:
		x = n.float()
	}
	if f.Type == cdc.Float {
		return cdc.Float32(float32(x)), nil
	}
	return cdc.Float64(x), nil
}

// temporal is a point in time in the unit of a field.
func temporal(v *value, f *cdc.Field, into *cdc.Row) (cdc.Value, error) {
	micros, ok := v.num.n, v.kind == instant
	if v.kind == text {
		micros, ok = parseInstant(v.src.Bytes())
	}
	switch {
	case !ok && v.kind == decimal && v.num.big == nil && v.num.scale == 0 && f.Type != cdc.Text:
		return cdc.Int(v.num.n), nil // the number that travels
	case !ok:
		return cdc.Value{}, mismatch(v, f)
	}
	switch f.Semantic {
	case cdc.Date, cdc.ConnectDate:
		return cdc.Int(floor(micros, microsPerDay)), nil
	case cdc.Timestamp, cdc.ConnectTimestamp:
		return cdc.Int(floor(micros, 1000)), nil
	case cdc.MicroTimestamp:
		return cdc.Int(micros), nil
	case cdc.NanoTimestamp:
		if micros > math.MaxInt64/1000 || micros < math.MinInt64/1000 {
			return cdc.Value{}, mismatch(v, f)
		}
		return cdc.Int(micros * 1000), nil
	case cdc.ZonedTimestamp:
		return cdc.Micros(micros), nil
	}
	b := json.AppendZoned(into.Tail(32), micros, 0)
	if b = b[:len(b)-1]; f.Semantic == cdc.IsoDate {
		b = b[:len("2006-01-02")]
	}
	return cdc.String(into.Keep(b)), nil
}

// fixed is a decimal of a field's scale.
func (p *Program) fixed(v *value, f *cdc.Field, into *cdc.Row) (cdc.Value, error) {
	n, ok := v.number()
	if !ok {
		return cdc.Value{}, mismatch(v, f)
	}
	n, err := n.round(f.Scale, p.settings.Rounding)
	if err != nil {
		return cdc.Value{}, err
	}
	if unscaled, ok := n.unscaled(f.Scale); ok {
		return cdc.SmallDecimal(unscaled), nil
	}
	b, err := n.twos(f.Scale, p.settings.Rounding)
	return cdc.BigDecimal(into.Keep(append(into.Tail(len(b)), b...))), err
}

// loose is a value of a field that no schema states.
func (p *Program) loose(v *value, into *cdc.Row) (cdc.Value, error) {
	switch v.kind {
	case boolean:
		return cdc.Bool(v.num.n != 0), nil
	case decimal:
		return p.looseNumber(v, into)
	case text, instant, clock:
		return cdc.String(wordsOf(v, into)), nil
	case double:
		n, ok := v.number()
		if !ok {
			return cdc.Value{}, nil
		}
		return cdc.Number(into.Keep(n.append(into.Tail(32)))), nil
	case jsonText:
		return v.src, nil
	}
	return cdc.Value{}, mismatch(v, anyField)
}

func (p *Program) looseNumber(v *value, into *cdc.Row) (cdc.Value, error) {
	n := v.num
	switch {
	case v.src.Kind() == cdc.KindNumber || v.src.Kind() == cdc.KindInt:
		return v.src, nil
	case p.settings.Scale != nil && (n.big != nil || n.scale > 0):
		var err error
		if n, err = n.quantize(*p.settings.Scale, p.settings.Rounding); err != nil {
			return cdc.Value{}, err
		}
	}
	if n.big == nil && n.scale == 0 {
		return cdc.Int(n.n), nil
	}
	return cdc.Number(into.Keep(n.append(into.Tail(32)))), nil
}
