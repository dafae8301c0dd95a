package enrich

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// columns is a schema made of some columns of another, in their order.
type columns struct {
	schema *cdc.Schema
	from   []int // each is at or behind its own place
}

// take leaves of row only the columns.
func (c *columns) take(row *cdc.Row) {
	for i, from := range c.from {
		row.Values[i] = row.Values[from]
	}
	row.Values = row.Values[:len(c.from)]
	row.Schema = c.schema
}

// replaceField drops and renames fields.
type replaceField struct {
	side             side
	include, exclude []string
	renames          map[string]string
	replace          bool
	plans            planned[*replacePlan]
}

type replacePlan struct {
	columns
	defaults
	same bool // nothing changes
}

func newReplaceField(s side, o *transform.Options) transform.Transform {
	t := &replaceField{
		side: s, include: oldList(o, "include", "whitelist"), exclude: oldList(o, "exclude", "blacklist"),
		renames: map[string]string{}, replace: replaceNulls(o),
	}
	for _, item := range o.List("renames") {
		from, to, ok := strings.Cut(item, ":")
		if !ok || from == "" || to == "" || strings.Contains(to, ":") {
			o.Fail("renames", "pairs such as old:new,other:another; "+item+" is none")
			continue
		}
		t.renames[from] = to
	}
	t.plans = newPlanned(t.plan)
	return t
}

// oldList reads a list by its name, or by the one it had before Connect 4.
func oldList(o *transform.Options, name, old string) []string {
	if list := o.List(name); len(list) > 0 || o.Text(old, "") == "" {
		return list
	}
	o.Notice(old, "is an old name of "+name)
	return o.List(old)
}

// Apply replaces the fields of r.
func (t *replaceField) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	if row.Schema.IsBare() {
		return false, structOnly(row, "the replacement of fields")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	if !p.same {
		p.take(row)
	}
	return true, nil
}

func (t *replaceField) plan(s *cdc.Schema) (*replacePlan, error) {
	p := &replacePlan{defaults: defaultsOf(s, t.replace)}
	var fields []cdc.Field
	renamed := false
	for i, f := range s.Fields {
		if slices.Contains(t.exclude, f.Name) || len(t.include) > 0 && !slices.Contains(t.include, f.Name) {
			continue
		}
		if to, ok := t.renames[f.Name]; ok {
			f.Name, renamed = to, true
		}
		if slices.ContainsFunc(fields, func(other cdc.Field) bool { return other.Name == f.Name }) {
			return nil, fmt.Errorf("two fields would be named %s", f.Name)
		}
		fields = append(fields, f)
		p.from = append(p.from, i)
	}
	p.same = !renamed && len(fields) == len(s.Fields)
	p.schema = derived(s, fields)
	return p, nil
}
