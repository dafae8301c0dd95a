package enrich

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// setSchemaMetadata sets name and version of a schema.
type setSchemaMetadata struct {
	side    side
	name    string
	version int
	replace bool
	plans   planned[*metadataPlan]
}

type metadataPlan struct {
	defaults
	schema *cdc.Schema
}

func newSetSchemaMetadata(s side, o *transform.Options) transform.Transform {
	t := &setSchemaMetadata{side: s, name: o.Text("schema.name", ""), replace: replaceNulls(o)}
	if version := o.Text("schema.version", ""); version != "" {
		var err error
		if t.version, err = strconv.Atoi(version); err != nil || t.version < 1 {
			o.Fail("schema.version", "a whole number from 1 on")
		}
	} else if t.name == "" {
		o.Fail("schema.name", "a name, or schema.version set")
	}
	t.plans = newPlanned(t.plan)
	return t
}

// Apply names the schema of r's key or value.
func (t *setSchemaMetadata) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	row.Schema = p.schema
	return true, nil
}

func (t *setSchemaMetadata) plan(s *cdc.Schema) (*metadataPlan, error) {
	if schemaless(s) {
		return nil, errors.New("a schema is needed to set its name or version, and the record has none")
	}
	p := &metadataPlan{defaults: defaultsOf(s, t.replace)}
	if s.IsBare() {
		f := s.Fields[0]
		if t.name != "" {
			f.Semantic, f.SchemaName = cdc.ParseSemantic(t.name), ""
			if f.Semantic == cdc.Other {
				f.SchemaName = t.name
			}
		}
		if t.version != 0 {
			f.SchemaVersion = t.version
		}
		p.schema = cdc.Bare(f)
		return p, nil
	}
	named := *s
	if t.name != "" {
		named.Name = t.name
	}
	if t.version != 0 {
		named.Version = t.version
	}
	p.schema = named.Intern()
	return p, nil
}

// valueToKey makes a new key of fields of the value.
type valueToKey struct {
	fields  []string
	replace bool
	plans   planned[*keyPlan]
}

type keyPlan struct {
	schema *cdc.Schema
	at     []int // −1 for what a row without a schema lacks
}

func newValueToKey(o *transform.Options) transform.Transform {
	t := &valueToKey{fields: o.List("fields"), replace: replaceNulls(o)}
	if len(t.fields) == 0 {
		o.Fail("fields", "names of fields, with commas between")
	}
	t.plans = newPlanned(t.plan)
	return t
}

// DependsOnRow is true: the key is part of the row.
func (t *valueToKey) DependsOnRow() bool { return true }

// Apply gives r its new key. A record without a value cannot have one.
func (t *valueToKey) Apply(r *cdc.Record) (keep bool, err error) {
	row := transform.Whole(r)
	if row == nil || row.Schema.IsBare() {
		return false, structOnly(row, "a key of fields of the value")
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	key := r.Key
	if key == nil {
		key = new(cdc.Row)
	}
	// The memory of the old key stays, for headers may have been made of it.
	key.Schema, key.Values = p.schema, key.Values[:0]
	grow(key, len(p.at))
	for i, at := range p.at {
		if at < 0 {
			continue
		}
		v, f := row.Values[at], &p.schema.Fields[i]
		if t.replace && v.Kind() == cdc.KindNull && f.Default != nil {
			v = *f.Default
		}
		if v.Kind() == cdc.KindList { // transforms change what is in lists in place
			v = key.Copy(v)
		}
		key.Values[i] = v
	}
	r.Key = key
	return true, nil
}

func (t *valueToKey) plan(s *cdc.Schema) (*keyPlan, error) {
	p := &keyPlan{}
	var fields []cdc.Field
	for _, name := range t.fields {
		at := s.Index([]byte(name))
		f := untyped(cdc.Field{Name: name})
		if at >= 0 {
			f = s.Fields[at]
		} else if !schemaless(s) {
			return nil, fmt.Errorf("field %s does not exist", name)
		}
		fields, p.at = append(fields, f), append(p.at, at)
	}
	p.schema = cdc.NewSchema("", fields...)
	return p, nil
}
