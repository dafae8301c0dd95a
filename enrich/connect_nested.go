package enrich

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// extractField makes one field of the key or value the whole of it.
type extractField struct {
	side    side
	name    string
	path    []string
	replace bool
	plans   planned[*extractPlan]
	objects grownSchema
}

// extractPlan is where the field is; of a schemaless row, what is beyond at is
// looked up by name.
type extractPlan struct {
	at     []int
	rest   []string
	field  cdc.Field
	schema *cdc.Schema // of the result: a struct's own, or a bare one
}

func newExtractField(s side, o *transform.Options) transform.Transform {
	t := &extractField{side: s, name: o.Need("field", "the name of the field to extract"), replace: replaceNulls(o)}
	t.path = []string{t.name}
	if o.OneOf("field.syntax.version", "v1", "v2") == "v2" {
		var err error
		if t.path, err = fieldPath(t.name); err != nil {
			o.Fail("field", err.Error())
		}
	}
	t.plans = newPlanned(t.plan)
	return t
}

// fieldPath takes a path of Connect's field syntax V2 apart: names with dots
// between, those that have dots in backticks.
func fieldPath(path string) ([]string, error) {
	var steps []string
	for {
		quoted, ok := strings.CutPrefix(path, "`")
		if !ok {
			step, rest, more := strings.Cut(path, ".")
			steps = append(steps, step)
			if !more {
				return steps, nil
			}
			path = rest
			continue
		}
		step, rest, err := backticked(quoted)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		if rest == "" {
			return steps, nil
		}
		path = rest[1:]
	}
}

// backticked reads up to a backtick that a dot or the end follows. One that is
// part of the name needs a \ before it only where a dot follows.
func backticked(s string) (step, rest string, err error) {
	for i := 0; i < len(s); i++ {
		if s[i] != '`' || i+1 < len(s) && s[i+1] != '.' {
			continue
		}
		if i == 0 || s[i-1] != '\\' {
			return strings.ReplaceAll(s[:i], "\\`.", "`."), s[i+1:], nil
		}
	}
	return "", "", errors.New("a path whose backticks are closed; a \\ before one makes it part of a name")
}

// Apply extracts the field.
func (t *extractField) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "the extraction of a field")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	v, err := p.value(row, t.replace)
	if err != nil {
		return false, err
	}
	switch {
	case v.IsNull():
		t.side.set(r, nil)
	case v.Kind() == cdc.KindList && p.field.Type == cdc.Struct:
		row.Values, row.Schema = append(row.Values[:0], v.List()...), p.schema
	case v.Kind() == cdc.KindJSON && v.Bytes()[0] == '{':
		return true, t.objects.read(row, v.Bytes())
	default:
		row.Values, row.Schema = append(row.Values[:0], v), p.schema
	}
	return true, nil
}

// value follows the path.
func (p *extractPlan) value(row *cdc.Row, replace bool) (cdc.Value, error) {
	values, fields := row.Values, row.Schema.Fields
	var v cdc.Value
	for step, at := range p.at {
		f := &fields[at]
		if v = values[at]; v.Kind() == cdc.KindNull && replace && f.Default != nil {
			v = *f.Default
		}
		if step == len(p.at)-1 {
			break
		}
		if v.IsNull() {
			return cdc.Value{}, nil
		}
		values, fields = v.List(), f.Struct.Fields
	}
	if len(p.rest) == 0 || v.IsNull() {
		return v, nil
	}
	text := v.Bytes()
	for _, name := range p.rest {
		if v.Kind() != cdc.KindJSON {
			return v, fmt.Errorf("only structs and maps can be taken for the access to nested field %s", name)
		}
		if text = json.Member(text, name); text == nil {
			return cdc.Value{}, nil
		}
		var err error
		if v, err = json.ReadAny(row, text); err != nil {
			return v, fmt.Errorf("reading field %s: %w", name, err)
		}
	}
	return v, nil
}

func (t *extractField) plan(s *cdc.Schema) (*extractPlan, error) {
	p := &extractPlan{}
	for i, name := range t.path {
		at := s.Index([]byte(name))
		if at < 0 {
			return nil, fmt.Errorf("unknown field %s", t.name)
		}
		p.at, p.field = append(p.at, at), s.Fields[at]
		if i == len(t.path)-1 {
			break
		}
		if p.field.Type == cdc.Any {
			p.rest = t.path[i+1:]
			break
		}
		if s = p.field.Struct; p.field.Type != cdc.Struct {
			return nil, fmt.Errorf("unknown field %s", t.name)
		}
	}
	if p.field.Type == cdc.Struct {
		whole := *p.field.Struct
		whole.Optional = p.field.Optional
		p.schema = whole.Intern()
		return p, nil
	}
	p.schema = cdc.Bare(p.field)
	return p, nil
}

// hoistField makes the whole key or value one field of a struct.
type hoistField struct {
	side  side
	name  string
	plans planned[*cdc.Schema]
}

func newHoistField(s side, o *transform.Options) transform.Transform {
	t := &hoistField{side: s, name: o.Need("field", "the name of the only field of the struct to make")}
	t.plans = newPlanned(t.plan)
	return t
}

// Apply hoists the key or value of r; null stays null.
func (t *hoistField) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	schema, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	if !row.Schema.IsBare() {
		list := row.AllocList(len(row.Values))
		copy(list, row.Values)
		row.Values = append(row.Values[:0], cdc.List(list))
	}
	row.Schema = schema
	return true, nil
}

func (t *hoistField) plan(s *cdc.Schema) (*cdc.Schema, error) {
	f := cdc.Field{Type: cdc.Struct, Struct: s, Optional: s.Optional}
	if s.IsBare() {
		f = s.Fields[0]
	}
	f.Name = t.name
	return cdc.NewSchema("", f), nil
}

// flatten makes one level of nested structs, and of nested JSON objects where
// there is no schema.
type flatten struct {
	side      side
	delimiter string
	plans     planned[*flattenPlan]
	scratch   []cdc.Value
	name      []byte
	splits    []split // by which the values of the record at hand have their names; 0: it has none yet
}

// split says at which places a name is put together of others: a.b and a_b may
// both become a_b.
type split uint64

func (s split) at(n int) split { return (s + split(n) + 1) * 0x100000001b3 }

// flattenPlan has the values that are no structs, in order.
type flattenPlan struct {
	leaves []leaf
	schema *cdc.Schema
	// loose is set where an object without a schema is among the leaves: which
	// fields there are is known only from the record.
	loose *grownSchema
}

type leaf struct {
	path  []int
	field cdc.Field
	split split
}

func newFlatten(s side, o *transform.Options) transform.Transform {
	t := &flatten{side: s, delimiter: o.Text("delimiter", ".")}
	t.plans = newPlanned(t.plan)
	return t
}

// Apply flattens the key or value of r.
func (t *flatten) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "flattening")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	t.scratch = t.scratch[:0]
	for i := range p.leaves {
		t.scratch = append(t.scratch, at(row.Values, p.leaves[i].path))
	}
	if p.loose == nil {
		row.Values, row.Schema = append(row.Values[:0], t.scratch...), p.schema
		return true, nil
	}
	return true, t.applyLoose(row, p)
}

// at follows path through structs; a struct that is null has null members.
func at(values []cdc.Value, path []int) cdc.Value {
	for _, i := range path[:len(path)-1] {
		if values = values[i].List(); values == nil {
			return cdc.Value{}
		}
	}
	return values[path[len(path)-1]]
}

func (t *flatten) applyLoose(row *cdc.Row, p *flattenPlan) error {
	p.loose.begin(row)
	t.splits = t.splits[:0]
	for i := range p.leaves {
		f := &p.leaves[i].field
		v := t.scratch[i]
		if f.Type != cdc.Any || v.Kind() != cdc.KindJSON || v.Bytes()[0] != '{' {
			if err := t.put(row, p.loose, []byte(f.Name), *f, v, p.leaves[i].split); err != nil {
				return err
			}
			continue
		}
		t.name = append(t.name[:0], f.Name...)
		if err := t.object(row, p.loose, v.Bytes(), p.leaves[i].split); err != nil {
			return err
		}
	}
	p.loose.end(row)
	return nil
}

// put sets a value by name. A member that comes twice is the last one; fields
// that only get the same name here are an error, unless one of them is null.
func (t *flatten) put(row *cdc.Row, loose *grownSchema, name []byte, f cdc.Field, v cdc.Value, s split) error {
	i, err := loose.at(name, f)
	if err != nil {
		return err
	}
	grow(row, i+1)
	for len(t.splits) <= i {
		t.splits = append(t.splits, 0)
	}
	if t.splits[i] != 0 && t.splits[i] != s && !row.Values[i].IsNull() {
		if v.IsNull() {
			return nil
		}
		return errFlatTwice(name)
	}
	row.Values[i], t.splits[i] = v, s
	return nil
}

func errFlatTwice[T string | []byte](name T) error {
	return fmt.Errorf("flattening makes field %s of two fields: take another delimiter", name)
}

// object adds the members of a JSON object whose name is in t.name.
func (t *flatten) object(row *cdc.Row, loose *grownSchema, text []byte, s split) error {
	prefix := len(t.name)
	s = s.at(prefix)
	return json.EachMember(text, func(name, value []byte) error {
		t.name = append(append(t.name[:prefix], t.delimiter...), name...)
		if value[0] == '{' {
			return t.object(row, loose, value, s)
		}
		v, err := json.ReadAny(row, value)
		if err != nil {
			return fmt.Errorf("reading field %s: %w", t.name, err)
		}
		return t.put(row, loose, t.name, untyped(cdc.Field{}), v, s)
	})
}

func (t *flatten) plan(s *cdc.Schema) (*flattenPlan, error) {
	p := &flattenPlan{}
	if err := t.leaves(p, s, "", nil, s.Optional, 1); err != nil {
		return nil, err
	}
	var fields []cdc.Field
	seen := map[string]bool{}
	for i := range p.leaves {
		name := p.leaves[i].field.Name
		if seen[name] {
			return nil, errFlatTwice(name)
		}
		seen[name] = true
		if fields = append(fields, p.leaves[i].field); p.leaves[i].field.Type == cdc.Any {
			p.loose = &grownSchema{}
		}
	}
	p.schema = derived(s, fields)
	if len(p.schema.Fields) == 0 {
		p.loose = nil
	}
	return p, nil
}

// leaves adds those of rows of s, whose names begin with prefix. What is below
// an optional struct is optional.
func (t *flatten) leaves(p *flattenPlan, s *cdc.Schema, prefix string, path []int, optional bool, at split) error {
	for i, f := range s.Fields {
		f.Name = prefix + f.Name
		f.Optional = f.Optional || optional
		here := append(append([]int(nil), path...), i)
		switch f.Type {
		case cdc.Struct:
			if err := t.leaves(p, f.Struct, f.Name+t.delimiter, here, f.Optional, at.at(len(f.Name))); err != nil {
				return err
			}
		case cdc.Map:
			return fmt.Errorf("flattening does not support maps: field %s is one", f.Name)
		default:
			p.leaves = append(p.leaves, leaf{path: here, field: f, split: at})
		}
	}
	return nil
}

// The bounds of what records without a schema can make of memory: a schema is
// kept for ever.
const (
	maxGrown    = 4096 // fields
	maxWidening = 256
)

// grownSchema is the schema of objects that come without one. It widens as
// fields appear; a field that an object lacks is null.
type grownSchema struct {
	schema  *cdc.Schema
	fresh   []cdc.Field // that the object at hand has and the schema lacks
	widened int
}

// begin makes row one of no values.
func (g *grownSchema) begin(row *cdc.Row) {
	if g.schema == nil {
		g.schema = cdc.NewSchema("")
	}
	g.fresh = g.fresh[:0]
	row.Values = row.Values[:0]
	grow(row, len(g.schema.Fields))
}

// put sets a value by name; f is the field's where it is a new one.
func (g *grownSchema) put(row *cdc.Row, name []byte, f cdc.Field, v cdc.Value) error {
	i, err := g.at(name, f)
	if err != nil {
		return err
	}
	grow(row, i+1)
	row.Values[i] = v
	return nil
}

// at is where a name's value is in rows, which may have to grow for it.
func (g *grownSchema) at(name []byte, f cdc.Field) (int, error) {
	i := g.schema.Index(name)
	if i < 0 {
		at := slices.IndexFunc(g.fresh, func(f cdc.Field) bool { return f.Name == string(name) })
		if at < 0 {
			at = len(g.fresh)
			f.Name = string(name)
			g.fresh = append(g.fresh, f)
		}
		if i = len(g.schema.Fields) + at; i >= maxGrown || g.widened >= maxWidening {
			return 0, fmt.Errorf("too many different fields in records without a schema: %s is one more", name)
		}
	}
	return i, nil
}

// end makes row one of the schema.
func (g *grownSchema) end(row *cdc.Row) {
	if len(g.fresh) > 0 {
		g.schema = g.schema.With(g.fresh...)
		g.widened++
	}
	row.Schema = g.schema
}

// read makes row what the JSON object is.
func (g *grownSchema) read(row *cdc.Row, object []byte) error {
	g.begin(row)
	err := json.EachMember(object, func(name, value []byte) error {
		v, err := json.ReadAny(row, value)
		if err != nil {
			return fmt.Errorf("reading field %s: %w", name, err)
		}
		return g.put(row, name, untyped(cdc.Field{}), v)
	})
	g.end(row)
	return err
}
