package enrich

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/expression"
	"github.com/weir-cdc/weir/internal/transform"
)

// calculationTransforms are the transforms that reckon.
var calculationTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.CalculationTransform": newCalculation,
}

// calculation adds fields that formulas make of others.
type calculation struct {
	formulas formulas
}

func newCalculation(o *transform.Options) transform.Transform {
	const prefix = "formulas."
	t := &calculation{formulas: newFormulas(o)}
	var named []namedFormula
	for _, name := range o.NamesUnder(prefix) {
		named = append(named, namedFormula{property: prefix + name, name: name, text: o.Text(prefix+name, "")})
	}
	if len(named) == 0 {
		o.Fail("formulas.<field>", "a formula, such as formulas.total_amount=price * quantity")
	}
	t.formulas.compile(o, named)
	return t
}

// Start keeps the log for what is not calculated.
func (t *calculation) Start(env transform.Env) error {
	t.formulas.log = env.Log
	return nil
}

// Apply adds the results to r's row: to the flat one, or to those before and
// after the change.
func (t *calculation) Apply(r *cdc.Record) (keep bool, err error) {
	return true, eachRow(r, t.formulas.apply)
}

// eachRow does something to the rows of a record: to the flat one, or to those
// before and after the change.
func eachRow(r *cdc.Record, do func(r *cdc.Record, row *cdc.Row) error) error {
	if e := transform.Envelope(r); e != nil {
		for _, row := range []*cdc.Row{e.Before, e.After} {
			if row == nil {
				continue
			}
			if err := do(r, row); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Value == nil || r.Value.Schema.IsBare() {
		return nil
	}
	return do(r, r.Value)
}

// namedFormula is one formula as it is configured.
type namedFormula struct {
	property, name, text string
}

// formula makes one field.
type formula struct {
	name    string
	program *expression.Program
}

// onZero and onNull say what becomes of a formula that divides by zero, and of
// one whose result is null.
type (
	onZero uint8
	onNull uint8
)

const (
	zeroNull onZero = iota
	zeroZero
	zeroFail
)

const (
	nullNull onNull = iota
	nullFail
)

// formulas are formulas in an order in which each finds what it needs.
type formulas struct {
	settings expression.Settings
	zero     onZero
	null     onNull
	missing  string // skip, null or fail
	all      []formula
	plans    map[*cdc.Schema]*formulaPlan
	log      *zap.Logger
}

// formulaPlan is what the formulas do to rows of a schema.
type formulaPlan struct {
	steps []formulaStep
	err   error
}

// formulaStep is one field that is added to rows.
type formulaStep struct {
	formula *formula
	after   *cdc.Schema
	field   *cdc.Field // of after
	at      int
	reads   []int // positions of what it reads, whose absence makes the result absent
}

// newFormulas reads the properties that say how formulas are reckoned.
func newFormulas(o *transform.Options) formulas {
	f := formulas{log: zap.NewNop(), plans: map[*cdc.Schema]*formulaPlan{}}
	f.settings.Rounding = expression.Rounding(strings.ToUpper(o.OneOf("rounding", "half_up", "half_even", "half_down", "up", "down", "ceiling", "floor")))
	if o.Text("scale", "") != "" {
		scale := wholeNumber(o, "scale", 0, 0, 30)
		f.settings.Scale = &scale
	}
	f.zero = map[string]onZero{"null": zeroNull, "zero": zeroZero, "fail": zeroFail}[o.OneOf("division.by.zero", "null", "zero", "fail")]
	switch o.OneOf("null.handling", "null", "zero", "fail") {
	case "zero":
		f.settings.Null = new(int64)
	case "fail":
		f.null = nullFail
	}
	f.missing = o.OneOf("missing.field", "skip", "null", "fail")
	return f
}

// compile compiles the formulas and sorts them.
func (f *formulas) compile(o *transform.Options, named []namedFormula) {
	for _, n := range named {
		program, err := f.settings.Compile(n.text)
		if err != nil {
			o.Fail(n.property, "a formula: "+err.Error())
			continue
		}
		f.all = append(f.all, formula{name: n.name, program: program})
	}
	sorted, cycle := sortFormulas(f.all)
	if cycle != nil {
		at := slices.IndexFunc(named, func(n namedFormula) bool { return n.name == cycle[0] })
		o.Fail(named[at].property, "formulas that do not need each other; these go in a circle: "+strings.Join(cycle, " → "))
		return
	}
	f.all = sorted
}

// sortFormulas puts each formula behind those whose results it reads, and leaves
// their order as it is otherwise. A formula that reads the field of its own name
// means the one the row has. cycle names formulas that need each other, the
// first one at both ends.
func sortFormulas(all []formula) (sorted []formula, cycle []string) {
	const visiting, done = 1, 2
	state := make([]int, len(all))
	var path []string
	var visit func(i int) bool
	visit = func(i int) bool {
		if state[i] == done {
			return true
		}
		path = append(path, all[i].name)
		if state[i] == visiting {
			cycle = path[slices.Index(path, all[i].name):]
			return false
		}
		state[i] = visiting
		for _, needed := range all[i].program.Fields() {
			k := slices.IndexFunc(all, func(f formula) bool { return f.name == needed })
			if k >= 0 && k != i && !visit(k) {
				return false
			}
		}
		state[i] = done
		path = path[:len(path)-1]
		sorted = append(sorted, all[i])
		return true
	}
	for i := range all {
		if !visit(i) {
			return nil, cycle
		}
	}
	return sorted, nil
}

// apply adds the results to a row of r.
func (f *formulas) apply(r *cdc.Record, row *cdc.Row) error {
	p := f.plans[row.Schema]
	if p == nil {
		p = f.plan(r, row)
		f.plans[row.Schema] = p
	}
	if p.err != nil {
		return p.err
	}
	for i := range p.steps {
		step := &p.steps[i]
		v, err := f.value(step, r, row)
		if err != nil {
			return fmt.Errorf("calculating %s: %w", step.formula.name, err)
		}
		row.Schema = step.after
		if step.at == len(row.Values) {
			row.Values = append(row.Values, v)
		} else {
			row.Values[step.at] = v
		}
	}
	return nil
}

func (f *formulas) value(step *formulaStep, r *cdc.Record, row *cdc.Row) (cdc.Value, error) {
	for _, at := range step.reads {
		if row.Values[at].Kind() == cdc.KindAbsent {
			return cdc.Absent(), nil
		}
	}
	v, err := step.formula.program.EvalRow(r, row, step.field, row)
	if errors.Is(err, expression.ErrDivisionByZero) && f.zero != zeroFail {
		if f.zero == zeroNull {
			return cdc.Value{}, nil
		}
		return zeroOf(step.field), nil
	}
	if err == nil && f.null == nullFail && v.IsNull() {
		err = errors.New("the result is null")
	}
	return v, err
}

// zeroOf is a field's zero.
func zeroOf(f *cdc.Field) cdc.Value {
	switch {
	case f.IsDecimal():
		return cdc.SmallDecimal(0)
	case f.Type == cdc.Double:
		return cdc.Float64(0)
	}
	return cdc.Int(0)
}

// plan decides what becomes of rows such as row.
func (f *formulas) plan(r *cdc.Record, row *cdc.Row) *formulaPlan {
	p := &formulaPlan{}
	at := cdc.Row{Schema: row.Schema, Values: row.Values}
	for i := range f.all {
		formula := &f.all[i]
		err := formula.program.Check(at.Schema)
		switch {
		case err == nil:
		case !expression.IsMissing(err) || f.missing == "fail":
			p.err = fmt.Errorf("calculating %s: %w", formula.name, err)
			return p
		case f.missing == "skip":
			f.log.Info("formula left out: the row lacks a field", zap.String("field", formula.name), zap.String("schema", at.Schema.Name), zap.Error(err))
			continue
		}
		step := f.step(formula, r, &at)
		p.steps = append(p.steps, step)
		at.Schema = step.after
	}
	return p
}

func (f *formulas) step(formula *formula, r *cdc.Record, row *cdc.Row) formulaStep {
	field := formula.program.ResultRow(r, row)
	if field.Name = formula.name; schemaless(row.Schema) {
		field = untyped(field)
	}
	step := formulaStep{formula: formula, after: widened(row.Schema, field)}
	step.at = step.after.Index([]byte(field.Name))
	step.field = &step.after.Fields[step.at]
	for _, name := range formula.program.Fields() {
		if i := row.Schema.Index([]byte(name)); i >= 0 {
			step.reads = append(step.reads, i)
		}
	}
	return step
}

// widened is s with fields added at its end, or replaced, that is optional as a
// whole if s is.
func widened(s *cdc.Schema, fields ...cdc.Field) *cdc.Schema {
	wider := *s.With(fields...)
	wider.Optional = s.Optional
	return wider.Intern()
}
