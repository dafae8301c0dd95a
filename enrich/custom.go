package enrich

import (
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// customTransforms are those whose rules are the user's.
var customTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.CustomTransform": newCustom,
}

// custom applies business rules, validation, formulas and masking, in that
// order.
type custom struct {
	rules      rules
	validation validation
	formulas   formulas
	hiding     hiding
}

// The parts of the block, by the names that they have in it.
const (
	customRules      = "config.business_rules"
	customValidation = "config.data_validation"
	customFormulas   = "config.enrichment"
	customMasking    = "config.masking"
)

func newCustom(o *transform.Options) transform.Transform {
	if o.Text("config", "") != "" {
		o.Fail("config", "a nested object, or its members as properties: config.masking.0.field=card_number")
	}
	t := &custom{rules: newRules(o), validation: newValidation(o), formulas: newFormulas(o), hiding: newHiding(o)}
	var named []namedFormula
	for _, name := range o.NamesUnder(customFormulas + ".") {
		property := customFormulas + "." + name
		named = append(named, namedFormula{property: property, name: name, text: o.Text(property, "")})
	}
	t.formulas.compile(o, named)
	if len(t.rules.all)+len(t.validation.all)+len(named)+len(t.hiding.all) == 0 {
		o.Fail("config", "business_rules, data_validation, enrichment or masking, with something in one of them")
	}
	return t
}

// Start keeps the log, and makes the counters known.
func (t *custom) Start(env transform.Env) error {
	t.rules.log, t.validation.log, t.formulas.log = env.Log, env.Log, env.Log
	t.validation.metrics.register(env.Metrics)
	return nil
}

// DependsOnRow reports whether a rule routes or drops records.
func (t *custom) DependsOnRow() bool { return t.rules.route }

// Apply does all that is configured to r.
func (t *custom) Apply(r *cdc.Record) (keep bool, err error) {
	if keep, err = t.rules.apply(r); !keep || err != nil {
		return false, err
	}
	if err := t.validation.apply(r); err != nil {
		return false, err
	}
	if err := eachRow(r, t.formulas.apply); err != nil {
		return false, err
	}
	return true, eachRow(r, t.hiding.apply)
}

// currentRow is the row that the record is about: the flat one, that after the
// change, or that before it; nil where there is none.
func currentRow(r *cdc.Record) *cdc.Row {
	if e := transform.Envelope(r); e != nil {
		if e.After != nil {
			return e.After
		}
		return e.Before
	}
	if r.Value == nil || r.Value.Schema.IsBare() {
		return nil
	}
	return r.Value
}

// listed are the items of a list of objects, as the prefixes of their
// properties: config.masking.0., config.masking.1. and so on.
func listed(o *transform.Options, list string) (items []string) {
	if o.Text(list, "") != "" {
		o.Fail(list, "a list of objects")
	}
	seen := map[string]bool{}
	for _, name := range o.NamesUnder(list + ".") {
		number := name
		for i := range len(name) {
			if name[i] == '.' {
				number = name[:i]
				break
			}
		}
		if !seen[number] {
			seen[number] = true
			items = append(items, list+"."+number+".")
		}
	}
	return items
}

// leftOut notes that a part of the configuration does not apply to rows of a
// schema.
func leftOut(log *zap.Logger, what, name string, s *cdc.Schema, err error) {
	log.Info(what+" left out: the row lacks a field", zap.String("name", name), zap.String("schema", s.Name), zap.Error(err))
}
