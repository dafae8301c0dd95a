package enrich

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// castTypes are those that Connect can cast to.
var castTypes = []cdc.Type{cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64, cdc.Float, cdc.Double, cdc.Boolean, cdc.Text}

// castNames are their names in a specification, where they differ from ours.
var castNames = map[string]cdc.Type{"float32": cdc.Float, "float64": cdc.Double}

// cast changes the types of fields, or of a whole key or value.
type cast struct {
	side    side
	types   map[string]cdc.Type
	whole   cdc.Type // 0: fields are cast
	replace bool
	plans   planned[*castPlan]
}

type castPlan struct {
	defaults
	schema *cdc.Schema
	casts  []caster
}

func newCast(s side, o *transform.Options) transform.Transform {
	t := &cast{side: s, types: map[string]cdc.Type{}, replace: replaceNulls(o)}
	const want = "pairs such as field:int64, or one type for the whole; types are int8, int16, int32, int64, float32, float64, boolean and string"
	items := o.List("spec")
	if len(items) == 0 {
		o.Fail("spec", want)
	}
	for _, item := range items {
		name, typ, fields := strings.Cut(item, ":")
		if !fields {
			name, typ = "", item
		}
		to, ok := castType(strings.TrimSpace(typ))
		if !ok || !fields && len(items) > 1 {
			o.Fail("spec", want)
			continue
		}
		if !fields {
			t.whole = to
		}
		t.types[strings.TrimSpace(name)] = to
	}
	t.plans = newPlanned(t.plan)
	return t
}

func castType(name string) (cdc.Type, bool) {
	name = strings.ToLower(name)
	if t, ok := castNames[name]; ok {
		return t, true
	}
	t, err := cdc.ParseType(name)
	return t, err == nil && slices.Contains(castTypes, t) && name != "float" && name != "double"
}

// Apply casts the fields of r.
func (t *cast) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	for i := range p.casts {
		c := &p.casts[i]
		v := &row.Values[c.at]
		if v.IsNull() {
			continue
		}
		if *v, err = c.value(row, v); err != nil {
			return false, fmt.Errorf("casting field %s: %w", c.from.Name, err)
		}
	}
	row.Schema = p.schema
	return true, nil
}

func (t *cast) plan(s *cdc.Schema) (*castPlan, error) {
	p := &castPlan{defaults: defaultsOf(s, t.replace), schema: s}
	if s.IsBare() != (t.whole != 0) {
		if t.whole != 0 {
			return nil, errors.New("a struct cannot be cast as a whole")
		}
		return nil, structOnly(&cdc.Row{Schema: s}, "casts of fields")
	}
	fields := slices.Clone(s.Fields)
	for i := range fields {
		to, ok := t.types[fields[i].Name]
		if !ok {
			continue
		}
		c, err := newCaster(i, fields[i], to)
		if err != nil {
			return nil, err
		}
		p.casts, fields[i] = append(p.casts, c), c.result
	}
	if s.IsBare() {
		p.schema = cdc.Bare(fields[0])
	} else if len(p.casts) > 0 {
		p.schema = cdc.Schema{Name: s.Name, Version: s.Version, Doc: s.Doc, Optional: s.Optional, Fields: fields}.Intern()
	}
	return p, nil
}

// caster casts the values of one field.
type caster struct {
	at           int
	from, result cdc.Field
	to           cdc.Type
	decimal      *json.Plan // writes a Decimal as BigDecimal.toString does
}

func newCaster(at int, f cdc.Field, to cdc.Type) (c caster, err error) {
	c = caster{at: at, from: f, to: to}
	switch f.Type {
	case cdc.Struct, cdc.Array, cdc.Map:
		return c, fmt.Errorf("casting field %s: %s cannot be cast", f.Name, f.Type)
	case cdc.Any:
		c.result = f
		return c, nil
	}
	if f.Semantic == cdc.Decimal {
		c.decimal = json.NewPlan(cdc.Bare(f), json.Options{Decimal: json.Numeric})
	}
	c.result = cdc.Field{Name: f.Name, Type: to, Optional: f.Optional}
	if f.Default != nil {
		v, err := c.value(new(cdc.Row), f.Default)
		if err != nil {
			return c, fmt.Errorf("casting the default of field %s: %w", f.Name, err)
		}
		c.result.Default = &v
	}
	return c, nil
}

// value is v as a value of the type to cast to, with memory of row's.
func (c *caster) value(row *cdc.Row, v *cdc.Value) (cdc.Value, error) {
	if c.to == cdc.Text {
		return c.text(row, v)
	}
	switch v.Kind() {
	case cdc.KindBool:
		n := int64(0)
		if v.Bool() {
			n = 1
		}
		return c.integer(n), nil
	case cdc.KindInt, cdc.KindUint:
		return c.integer(v.Int()), nil
	case cdc.KindFloat32, cdc.KindFloat64:
		return c.float(v.Float()), nil
	case cdc.KindNumber:
		f, err := strconv.ParseFloat(string(v.Bytes()), 64)
		if err != nil {
			return *v, outOfRange(v.Bytes())
		}
		return c.float(f), nil
	case cdc.KindDecimal, cdc.KindBigDecimal:
		return c.fromDecimal(v)
	case cdc.KindString:
		return c.parse(v.Bytes())
	case cdc.KindMicros:
		return c.parse(json.AppendText(nil, &c.from, v))
	case cdc.KindJSON:
		return *v, errors.New("a list or map cannot be cast")
	}
	return *v, errors.New("bytes can only be cast to string")
}

func outOfRange(text []byte) error {
	return fmt.Errorf("value %s is out of range for the type", text)
}

func (c *caster) integer(n int64) cdc.Value {
	switch c.to {
	case cdc.Boolean:
		return cdc.Bool(n != 0)
	case cdc.Float:
		return cdc.Float32(float32(n))
	case cdc.Double:
		return cdc.Float64(float64(n))
	}
	return cdc.Int(narrow(n, c.to))
}

func (c *caster) float(f float64) cdc.Value {
	switch c.to {
	case cdc.Boolean:
		return cdc.Bool(fromDouble(f, cdc.Int64) != 0)
	case cdc.Float:
		return cdc.Float32(float32(f))
	case cdc.Double:
		return cdc.Float64(f)
	}
	return cdc.Int(fromDouble(f, c.to))
}

// fromDecimal cuts what is after the point, and of an integer what is above the
// type's bits; numbers with a point are the nearest there are.
func (c *caster) fromDecimal(v *cdc.Value) (cdc.Value, error) {
	text := json.AppendText(nil, &c.from, v)
	if c.to == cdc.Float || c.to == cdc.Double {
		return c.parse(text)
	}
	whole, _, _ := strings.Cut(string(text), ".")
	n, ok := new(big.Int).SetString(whole, 10)
	if !ok {
		return *v, outOfRange(text)
	}
	low := new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1)).Uint64()
	return c.integer(int64(low)), nil
}

// parse reads text as Java's parse methods of the type do.
func (c *caster) parse(text []byte) (cdc.Value, error) {
	switch c.to {
	case cdc.Boolean:
		return cdc.Bool(strings.EqualFold(string(text), "true")), nil
	case cdc.Float, cdc.Double:
		bits := 64
		if c.to == cdc.Float {
			bits = 32
		}
		f, ok := parseJavaFloat(string(text), bits)
		if !ok {
			return cdc.Value{}, outOfRange(text)
		}
		if bits == 32 {
			return cdc.Float32(float32(f)), nil
		}
		return cdc.Float64(f), nil
	}
	bits := map[cdc.Type]int{cdc.Int8: 8, cdc.Int16: 16, cdc.Int32: 32, cdc.Int64: 64}[c.to]
	n, err := strconv.ParseInt(string(text), 10, bits)
	if err != nil {
		return cdc.Value{}, outOfRange(text)
	}
	return cdc.Int(n), nil
}

// parseJavaFloat reads what Double.parseDouble reads: blanks around, a letter
// for the type behind, NaN and Infinity in exactly this form. Too large is
// Infinity.
func parseJavaFloat(text string, bits int) (float64, bool) {
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	switch strings.TrimLeft(text, "+-") {
	case "NaN", "Infinity":
	default:
		if strings.ContainsAny(text, "_iInN") {
			return 0, false
		}
		if n := len(text); n > 1 && strings.IndexByte("dDfF", text[n-1]) >= 0 && !strings.ContainsAny(text, "xX") {
			text = text[:n-1]
		}
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return f, true
}

// text is v as String.valueOf writes it; bytes are in base64.
func (c *caster) text(row *cdc.Row, v *cdc.Value) (cdc.Value, error) {
	b := row.Tail(40)
	switch kind := v.Kind(); {
	case kind == cdc.KindString:
		return *v, nil
	case kind == cdc.KindBool:
		b = strconv.AppendBool(b, v.Bool())
	case kind == cdc.KindInt:
		b = c.number(b, v.Int())
	case kind == cdc.KindBytes:
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
	case c.decimal != nil && (kind == cdc.KindDecimal || kind == cdc.KindBigDecimal):
		b = c.decimal.Append(b, &cdc.Row{Schema: c.decimal.Schema(), Values: []cdc.Value{*v}})
	case kind == cdc.KindNumber:
		f, err := strconv.ParseFloat(string(v.Bytes()), 64)
		if err != nil {
			return *v, outOfRange(v.Bytes())
		}
		b = json.AppendDouble(b, f, 64)
	case kind == cdc.KindJSON:
		return *v, errors.New("a list or map cannot be cast")
	default:
		b = json.AppendText(b, &c.from, v)
	}
	return cdc.String(row.Keep(b)), nil
}

// number appends an integer, or one of Connect's dates and times as its Values
// writes them: by what the point in time is, not by the type.
func (c *caster) number(dst []byte, n int64) []byte {
	switch c.from.Semantic {
	case cdc.ConnectDate:
		n *= millisPerDay
	case cdc.ConnectTime, cdc.ConnectTimestamp:
	default:
		return strconv.AppendInt(dst, n, 10)
	}
	switch {
	case n < millisPerDay:
		return timeForm.Append(dst, n)
	case n%millisPerDay == 0:
		return dateForm.Append(dst, n)
	}
	return timestampForm.Append(dst, n)
}
