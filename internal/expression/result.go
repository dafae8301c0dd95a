package expression

import (
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
)

// convert makes a row's value of v for a field of the type.
func (p *Program) convert(v *value, to *result, into *cdc.Row) (cdc.Value, error) {
	f := &to.field
	switch {
	case v.kind == null:
		return cdc.Value{}, nil
	case v.field != nil && v.field == to.typ.field:
		return v.src, nil
	}
	switch to.typ.class {
	case truth:
		return cdc.Bool(v.truth()), nil
	case whole:
		return p.integer(v)
	case exactly:
		return p.fixed(v, f.Scale, into)
	case doubly:
		n, ok := v.number()
		if !ok {
			return cdc.Value{}, mismatch(v, f)
		}
		if v.kind == double {
			return cdc.Float64(v.src.Float()), nil
		}
		return cdc.Float64(n.float()), nil
	case moment:
		return cdc.Int(floor(v.num.n, 1000)), nil
	case words, nothing:
		return cdc.String(wordsOf(v, into)), nil
	}
	return p.loose(v, into)
}

func mismatch(v *value, f *cdc.Field) error {
	return fmt.Errorf("the result %q is not of type %s", v.appendText(nil), f.Type)
}

func wordsOf(v *value, into *cdc.Row) []byte {
	if v.kind == text || v.kind == jsonText {
		return v.src.Bytes()
	}
	return into.Keep(v.appendText(into.Tail(32)))
}

func (p *Program) integer(v *value) (cdc.Value, error) {
	n, ok := v.number()
	if !ok {
		return cdc.Value{}, mismatch(v, &cdc.Field{Type: cdc.Int64})
	}
	n, err := n.round(0, p.settings.Rounding)
	if err != nil {
		return cdc.Value{}, err
	}
	if n.big != nil {
		return cdc.Value{}, fmt.Errorf("the result %s is beyond a 64-bit integer", n.append(nil))
	}
	return cdc.Int(n.n), nil
}

// fixed is a decimal of a scale.
func (p *Program) fixed(v *value, scale int, into *cdc.Row) (cdc.Value, error) {
	n, ok := v.number()
	if !ok {
		return cdc.Value{}, mismatch(v, &cdc.Field{Type: cdc.Binary})
	}
	n, err := n.round(scale, p.settings.Rounding)
	if err != nil {
		return cdc.Value{}, err
	}
	if unscaled, ok := n.unscaled(scale); ok {
		return cdc.SmallDecimal(unscaled), nil
	}
	b, err := n.twos(scale, p.settings.Rounding)
	return cdc.BigDecimal(b), err
}

// loose is a value of a field that no schema states.
func (p *Program) loose(v *value, into *cdc.Row) (cdc.Value, error) {
	switch v.kind {
	case boolean:
		return cdc.Bool(v.num.n != 0), nil
	case decimal:
		n := v.num
		if v.src.Kind() == cdc.KindNumber || v.src.Kind() == cdc.KindInt {
			return v.src, nil
		}
		if p.settings.Scale != nil {
			var err error
			if n, err = n.quantize(*p.settings.Scale, p.settings.Rounding); err != nil {
				return cdc.Value{}, err
			}
		}
		if n.big == nil && n.scale == 0 {
			return cdc.Int(n.n), nil
		}
		return cdc.Number(into.Keep(n.append(into.Tail(32)))), nil
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
	return cdc.Value{}, fmt.Errorf("a result of %s, which has no type here", v.src)
}
