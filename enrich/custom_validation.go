package enrich

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/expression"
	"github.com/weir-cdc/weir/internal/transform"
)

// onInvalid says what becomes of a row for which a rule does not hold.
type onInvalid uint8

const (
	rejectInvalid onInvalid = iota // the record goes where rejected records go
	warnInvalid                    // it is counted, and logged now and then
	nullInvalid                    // the field becomes null
)

var onInvalidNames = map[string]onInvalid{"reject": rejectInvalid, "warn": warnInvalid, "null": nullInvalid}

// validation are the rules that rows have to keep.
type validation struct {
	all     []check
	plans   map[*cdc.Schema]*validationPlan
	log     *zap.Logger
	metrics *validationMetrics
}

// check is one of them.
type check struct {
	name, field string
	rule        string
	program     *expression.Program
	required    bool // null breaks the rule, too
	action      onInvalid
	count       uint64
	failures    prometheus.Counter
}

// validationPlan are the checks that apply to rows of a schema.
type validationPlan struct {
	schema *cdc.Schema // where fields that may become null are optional
	checks []checkPlan
	err    error
}

type checkPlan struct {
	check *check
	at    int   // of the field; -1: the rule is not of one
	reads []int // of what the rule reads
}

// operatorFirst are rules that begin with an operator: what is on its left is
// the field.
var operatorFirst = regexp.MustCompile(`^([=!]=|[<>]=?|(not\s+)?(matches|contains|startsWith|endsWith|in)\b)`)

func newValidation(o *transform.Options) validation {
	t := validation{plans: map[*cdc.Schema]*validationPlan{}, log: zap.NewNop(), metrics: newValidationMetrics()}
	for _, item := range listed(o, customValidation) {
		c := check{field: o.Text(item+"field", ""), rule: strings.TrimSpace(o.Need(item+"rule", "a condition such as > 0, matches '^[A-Z]+$', required, or quantity > 0 && quantity < 100"))}
		c.name = o.Text(item+"name", c.field)
		if c.name == "" {
			c.name = c.rule
		}
		c.action = onInvalidNames[o.OneOf(item+"action", "reject", "warn", "null")]
		if c.field == "" && (c.action == nullInvalid || c.rule == "required" || operatorFirst.MatchString(c.rule)) {
			o.Fail(item+"field", "the name of a field, which action null, required and a rule that begins with an operator need")
		}
		text := c.rule
		switch {
		case c.rule == "required" || c.rule == "!= null" || c.rule == "!= nil":
			text, c.required = fieldText(c.field)+" != null", true
		case operatorFirst.MatchString(c.rule):
			text = fieldText(c.field) + " " + c.rule
		}
		if c.rule != "" {
			c.program = compileExpression(o, item+"rule", text)
		}
		t.all = append(t.all, c)
	}
	t.resolve()
	return t
}

// fieldText is a field's name in an expression, whatever it is made of.
func fieldText(name string) string {
	return `this["` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"]`
}

// resolve finds the counters that are counted with, once.
func (t *validation) resolve() {
	for i := range t.all {
		t.all[i].failures = t.metrics.failures.WithLabelValues(t.all[i].name)
	}
}

// apply checks the row that the record brings; a deleted one brings none.
func (t *validation) apply(r *cdc.Record) error {
	if len(t.all) == 0 || r.Deleted {
		return nil
	}
	e := transform.Envelope(r)
	if e == nil {
		if r.Value == nil || r.Value.Schema.IsBare() {
			return nil
		}
		return t.applyTo(r, r.Value, true)
	}
	if e.Before != nil { // to keep its schema that of the row after
		if err := t.applyTo(r, e.Before, false); err != nil {
			return err
		}
	}
	if e.After == nil {
		return nil
	}
	return t.applyTo(r, e.After, true)
}

// applyTo checks one row, or only gives it the schema that checked ones have.
func (t *validation) applyTo(r *cdc.Record, row *cdc.Row, checked bool) error {
	p := t.plans[row.Schema]
	if p == nil {
		p = t.plan(row.Schema)
		t.plans[row.Schema] = p
	}
	row.Schema = p.schema
	if !checked {
		return nil
	}
	if p.err != nil {
		return p.err
	}
	for i := range p.checks {
		if err := t.check(&p.checks[i], r, row); err != nil {
			return err
		}
	}
	return nil
}

func (t *validation) check(p *checkPlan, r *cdc.Record, row *cdc.Row) error {
	c := p.check
	for _, at := range p.reads {
		if row.Values[at].Kind() == cdc.KindAbsent {
			return nil // not sent, so not changed
		}
	}
	if p.at >= 0 && row.Values[p.at].IsNull() && !c.required {
		return nil
	}
	holds, err := c.program.TestRow(r, row)
	if err != nil {
		return fmt.Errorf("validating %s: %w", c.name, err)
	}
	if holds {
		return nil
	}
	c.failures.Inc()
	switch c.action {
	case nullInvalid:
		row.Values[p.at] = cdc.Value{}
	case warnInvalid:
		t.warn(c, r)
	default:
		return fmt.Errorf("validating %s: the rule %q does not hold", c.name, c.rule)
	}
	return nil
}

// warn logs the first breach of a rule, the second, the fourth and so on: there
// may be one a row. What is in the row is not said.
func (t *validation) warn(c *check, r *cdc.Record) {
	if c.count++; c.count&(c.count-1) == 0 {
		t.log.Warn("a row breaks a rule", zap.String("rule", c.name), zap.String("condition", c.rule), zap.Uint64("times", c.count),
			zap.String("topic", r.Topic), zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset))
	}
}

// plan decides which checks apply to rows of s.
func (t *validation) plan(s *cdc.Schema) *validationPlan {
	p := &validationPlan{schema: s}
	for i := range t.all {
		c := &t.all[i]
		at := s.Index([]byte(c.field))
		err := c.program.Check(s)
		switch missing := expression.IsMissing(err); {
		case missing && !(c.required && schemaless(s)):
			leftOut(t.log, "validation", c.name, s, err)
			continue
		case err != nil && !missing:
			p.err = fmt.Errorf("validating %s: %w", c.name, err)
			return p
		}
		plan := checkPlan{check: c, at: at}
		for _, name := range c.program.Fields() {
			if read := s.Index([]byte(name)); read >= 0 {
				plan.reads = append(plan.reads, read)
			}
		}
		if c.action == nullInvalid {
			if at < 0 {
				continue
			}
			field := p.schema.Fields[at]
			field.Optional = true
			p.schema = widened(p.schema, field)
		}
		p.checks = append(p.checks, plan)
	}
	p.checks = slices.Clip(p.checks)
	return p
}

// validationMetrics count broken rules.
type validationMetrics struct{ failures *prometheus.CounterVec }

func newValidationMetrics() *validationMetrics {
	return &validationMetrics{failures: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_transform_validation_failures_total",
		Help: "Rows that broke a rule of a CustomTransform's data_validation, by the rule's name.",
	}, []string{"rule"})}
}

func (m *validationMetrics) register(registry prometheus.Registerer) {
	m.failures = transform.Registered(registry, m.failures)
}
