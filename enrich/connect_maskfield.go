package enrich

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// maskField replaces values by the empty one of their type, or by a text of the
// user's.
type maskField struct {
	side    side
	fields  []string
	replace bool
	masks   masks
	plans   planned[*maskPlan]
}

// masks are what stands for a value that is not null, by the type it has.
type masks struct {
	custom string // empty: the empty value of the type
	err    error  // custom is no number
	int    cdc.Value
	float  cdc.Value
	text   cdc.Value
}

type maskPlan struct {
	defaults
	fields []maskedField
}

// maskedField has the value that stands for those of a field, or the error that
// there is none; loose where only the value itself says what stands for it.
type maskedField struct {
	at    int
	loose bool
	mask  cdc.Value
	err   error
}

func newMaskField(s side, o *transform.Options) transform.Transform {
	t := &maskField{side: s, fields: o.List("fields"), replace: replaceNulls(o)}
	if len(t.fields) == 0 {
		o.Fail("fields", "names of fields, with commas between")
	}
	t.masks = newMasks(o.Text("replacement", ""))
	t.plans = newPlanned(t.plan)
	return t
}

func newMasks(custom string) masks {
	m := masks{custom: custom, int: cdc.Int(0), float: cdc.Float64(0), text: cdc.String([]byte(custom))}
	if custom == "" {
		return m
	}
	f, err := strconv.ParseFloat(custom, 64)
	if err != nil || strings.ContainsAny(custom, "xX_iInN") {
		m.err = fmt.Errorf("the replacement %q is no number", custom)
		return m
	}
	m.float = cdc.Float64(f)
	if n, err := strconv.ParseInt(custom, 10, 64); err == nil {
		m.int = cdc.Int(n)
	} else {
		m.int = cdc.Int(int64(f)) // cut, as BigDecimal.longValue does
	}
	return m
}

// Apply masks the fields of r. There is nothing to mask of null.
func (t *maskField) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "the masking of fields")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	for i := range p.fields {
		f := &p.fields[i]
		v := &row.Values[f.at]
		if v.IsNull() {
			continue
		}
		mask, err := f.mask, f.err
		if f.loose {
			mask, err = t.masks.loose(v)
		}
		if err != nil {
			return false, fmt.Errorf("masking field %s: %w", row.Schema.Fields[f.at].Name, err)
		}
		*v = mask
	}
	return true, nil
}

func (t *maskField) plan(s *cdc.Schema) (*maskPlan, error) {
	p := &maskPlan{defaults: defaultsOf(s, t.replace)}
	for i := range s.Fields {
		f := &s.Fields[i]
		if !slices.Contains(t.fields, f.Name) {
			continue
		}
		m := maskedField{at: i, loose: f.Type == cdc.Any}
		if !m.loose {
			m.mask, m.err = t.masks.typed(f)
		}
		p.fields = append(p.fields, m)
	}
	return p, nil
}

// typed is what stands for values of a field.
func (m *masks) typed(f *cdc.Field) (cdc.Value, error) {
	switch {
	case f.Semantic == cdc.ConnectDate || f.Semantic == cdc.ConnectTime || f.Semantic == cdc.ConnectTimestamp,
		f.Type == cdc.Boolean, f.Type == cdc.Array, f.Type == cdc.Map:
		return m.empty(f)
	case f.Type == cdc.Binary && f.IsDecimal():
		return m.decimal(f)
	}
	switch f.Type {
	case cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64:
		return cdc.Int(narrow(m.int.Int(), f.Type)), m.err
	case cdc.Float:
		return cdc.Float32(float32(m.float.Float())), m.err
	case cdc.Double:
		return m.float, m.err
	case cdc.Text:
		return m.text, nil
	}
	return cdc.Value{}, fmt.Errorf("values of type %s cannot be masked", f.Type)
}

// empty is the value of a type that takes no other replacement.
func (m *masks) empty(f *cdc.Field) (cdc.Value, error) {
	switch {
	case m.custom != "":
		return cdc.Value{}, fmt.Errorf("values of type %s cannot be masked with a replacement", f.Type)
	case f.Type == cdc.Boolean:
		return cdc.Bool(false), nil
	case f.Type == cdc.Array:
		return cdc.List(nil), nil
	case f.Type == cdc.Map:
		return emptyObject, nil
	}
	return cdc.Int(0), nil
}

var (
	emptyObject = cdc.RawJSON([]byte("{}"))
	emptyArray  = cdc.RawJSON([]byte("[]"))
)

// decimal is the replacement with the field's scale.
func (m *masks) decimal(f *cdc.Field) (cdc.Value, error) {
	if m.custom == "" {
		return cdc.SmallDecimal(0), nil
	}
	if m.err != nil {
		return cdc.Value{}, m.err
	}
	v, ok := json.ParseDecimal(new(cdc.Row), []byte(m.custom), f.Scale)
	if !ok {
		return v, fmt.Errorf("the replacement %q has more than the %d digits after the point of the field", m.custom, f.Scale)
	}
	return v, nil
}

// loose is what stands for a value without a type.
func (m *masks) loose(v *cdc.Value) (cdc.Value, error) {
	switch v.Kind() {
	case cdc.KindInt, cdc.KindUint:
		return m.int, m.err
	case cdc.KindNumber, cdc.KindFloat32, cdc.KindFloat64:
		return m.float, m.err
	case cdc.KindString:
		return m.text, nil
	case cdc.KindBool:
		return m.empty(&cdc.Field{Type: cdc.Boolean})
	case cdc.KindJSON:
		if v.Bytes()[0] == '[' && m.custom == "" {
			return emptyArray, nil
		}
		return m.empty(&cdc.Field{Type: cdc.Map})
	}
	return cdc.Value{}, fmt.Errorf("a value such as %s cannot be masked", v)
}

// narrow is n as an integer of a type, cut as Java's narrowing does.
func narrow(n int64, t cdc.Type) int64 {
	switch t {
	case cdc.Int8:
		return int64(int8(n))
	case cdc.Int16:
		return int64(int16(n))
	case cdc.Int32:
		return int64(int32(n))
	}
	return n
}

// fromDouble is f as an integer of a type, as Java casts: cut to int, or to long
// for an int64, the nearest there is for what is beyond, 0 for what is no
// number, and then narrowed.
func fromDouble(f float64, t cdc.Type) int64 {
	least, most := float64(math.MinInt32), float64(math.MaxInt32)
	if t == cdc.Int64 {
		least, most = math.MinInt64, math.MaxInt64
	}
	switch {
	case math.IsNaN(f):
		return 0
	case f >= most:
		if t == cdc.Int64 {
			return math.MaxInt64
		}
		return narrow(math.MaxInt32, t)
	case f <= least:
		return narrow(int64(least), t)
	}
	return narrow(int64(f), t)
}
