package enrich

import (
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/expression"
	"github.com/weir-cdc/weir/internal/transform"
)

// rules are business rules: what happens to rows for which a condition holds.
type rules struct {
	all   []rule
	route bool // one of them routes or drops
	plans map[*cdc.Schema]*rulesPlan
	log   *zap.Logger
}

// rule is one of them.
type rule struct {
	name  string
	when  *expression.Program // nil: always
	set   []formula
	route routeTemplate
	drop  bool
}

// rulesPlan is what the rules do to rows of a schema.
type rulesPlan struct {
	schema *cdc.Schema
	rules  []rulePlan
	reads  []int // positions of what they read
	err    error
}

// rulePlan is one rule for rows of a schema.
type rulePlan struct {
	rule *rule
	at   []int // of what it sets
}

func newRules(o *transform.Options) rules {
	t := rules{plans: map[*cdc.Schema]*rulesPlan{}, log: zap.NewNop()}
	for _, item := range listed(o, customRules) {
		r := rule{name: o.Text(item+"name", strings.TrimSuffix(item, ".")), drop: o.Bool(item+"drop", false)}
		if text := o.Text(item+"when", ""); text != "" {
			r.when = compileExpression(o, item+"when", text)
		}
		for _, field := range o.NamesUnder(item + "set.") {
			property := item + "set." + field
			if program := compileExpression(o, property, o.Text(property, "")); program != nil {
				r.set = append(r.set, formula{name: field, program: program})
			}
		}
		r.route = newRouteTemplate(o, item+"route")
		if len(r.set) == 0 && !r.drop && r.route == nil {
			o.Fail(item+"set", "something to do: set, route or drop")
		}
		t.route = t.route || r.drop || r.route != nil
		t.all = append(t.all, r)
	}
	return t
}

func compileExpression(o *transform.Options, property, text string) *expression.Program {
	program, err := expression.Compile(text, "")
	if err != nil {
		o.Fail(property, "an expression: "+err.Error())
		return nil
	}
	return program
}

// apply applies the rules in their order, each to what those before it have
// made of the row. Where the record goes is decided by its current row.
func (t *rules) apply(r *cdc.Record) (keep bool, err error) {
	if len(t.all) == 0 {
		return true, nil
	}
	current, keep := currentRow(r), true
	err = eachRow(r, func(r *cdc.Record, row *cdc.Row) error {
		kept, err := t.applyTo(r, row, row == current)
		keep = keep && kept
		return err
	})
	return keep, err
}

// applyTo applies the rules to one row, and where decides to the record.
func (t *rules) applyTo(r *cdc.Record, row *cdc.Row, decides bool) (keep bool, err error) {
	p := t.plans[row.Schema]
	if p == nil {
		p = t.plan(r, row)
		t.plans[row.Schema] = p
	}
	if p.err != nil {
		return false, p.err
	}
	for _, at := range p.reads {
		if row.Values[at].Kind() == cdc.KindAbsent {
			return false, fmt.Errorf("applying business rules: the source did not send the column %s", row.Schema.Fields[at].Name)
		}
	}
	row.Schema = p.schema
	for len(row.Values) < len(p.schema.Fields) {
		row.Values = append(row.Values, cdc.Value{})
	}
	for i := range p.rules {
		if drop, err := p.rules[i].apply(r, row, decides); drop || err != nil {
			return !drop, err
		}
	}
	return true, nil
}

func (p *rulePlan) apply(r *cdc.Record, row *cdc.Row, decides bool) (drop bool, err error) {
	if p.rule.when != nil {
		holds, err := p.rule.when.TestRow(r, row)
		if !holds || err != nil {
			return false, p.rule.failed(err)
		}
	}
	if decides && p.rule.drop {
		return true, nil
	}
	for i := range p.rule.set {
		at := p.at[i]
		field := &row.Schema.Fields[at]
		v, err := p.rule.set[i].program.EvalRow(r, row, field, row)
		if err == nil && v.IsNull() && !field.Optional {
			err = fmt.Errorf("null, which %s cannot be", field.Name)
		}
		if err != nil {
			return false, p.rule.failed(err)
		}
		row.Values[at] = v
	}
	if decides && p.rule.route != nil {
		topic, err := p.rule.route.topic(r)
		if err != nil {
			return false, p.rule.failed(err)
		}
		r.Route = topic
	}
	return false, nil
}

func (r *rule) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("applying business rule %s: %w", r.name, err)
}

// plan decides which rules apply to rows such as row, and which schema they have
// then. A field that a rule sets keeps its type if the row has it.
func (t *rules) plan(r *cdc.Record, row *cdc.Row) *rulesPlan {
	p := &rulesPlan{}
	at := cdc.Row{Schema: row.Schema, Values: row.Values}
	for i := range t.all {
		rule := &t.all[i]
		err := rule.check(at.Schema)
		if expression.IsMissing(err) {
			leftOut(t.log, "business rule", rule.name, row.Schema, err)
			continue
		}
		if err != nil {
			p.err = rule.failed(err)
			return p
		}
		p.note(rule, row.Schema)
		for _, set := range rule.set {
			at.Schema = settable(row.Schema, at.Schema, set, set.program.ResultRow(r, &at))
		}
		p.rules = append(p.rules, rulePlan{rule: rule})
	}
	p.schema = at.Schema
	for i := range p.rules {
		for _, set := range p.rules[i].rule.set {
			p.rules[i].at = append(p.rules[i].at, p.schema.Index([]byte(set.name)))
		}
	}
	return p
}

// note keeps the positions of what a rule reads from rows of s.
func (p *rulesPlan) note(r *rule, s *cdc.Schema) {
	if r.when == nil {
		return
	}
	for _, name := range r.when.Fields() {
		if at := s.Index([]byte(name)); at >= 0 {
			p.reads = append(p.reads, at)
		}
	}
}

// settable is schema now with the field that set makes: original's own, or one
// that has the values of all rules that set it.
func settable(original, now *cdc.Schema, set formula, made cdc.Field) *cdc.Schema {
	if original.Field(set.name) != nil {
		return now
	}
	if known := now.Field(set.name); known != nil {
		made = expression.Wider(*known, made)
	}
	if made.Name = set.name; schemaless(original) {
		made = untyped(made)
	}
	return widened(now, made)
}

// check reports what is wrong with the rule for rows of s.
func (r *rule) check(s *cdc.Schema) error {
	if r.when != nil {
		if err := r.when.Check(s); err != nil {
			return err
		}
	}
	for _, set := range r.set {
		if err := set.program.Check(s); err != nil {
			return err
		}
	}
	return nil
}

// routeTemplate is a topic with expressions in it: vip-${region}.
type routeTemplate []routePiece

type routePiece struct {
	text    string
	program *expression.Program // in place of text
}

// newRouteTemplate reads a topic's template; nil where the property is not set.
func newRouteTemplate(o *transform.Options, property string) (t routeTemplate) {
	rest := o.Text(property, "")
	for rest != "" {
		before, after, found := strings.Cut(rest, "${")
		if before != "" {
			t = append(t, routePiece{text: before})
		}
		if !found {
			break
		}
		text, behind, closed := strings.Cut(after, "}")
		if !closed {
			o.Fail(property, "a topic such as vip-orders or vip-${lower(region)}: a } is missing")
			break
		}
		if program := compileExpression(o, property, text); program != nil {
			t = append(t, routePiece{program: program})
		}
		rest = behind
	}
	return t
}

func (t routeTemplate) topic(r *cdc.Record) (string, error) {
	if len(t) == 1 && t[0].program == nil {
		return t[0].text, nil
	}
	var b strings.Builder
	for _, piece := range t {
		text, ok, err := piece.text, true, error(nil)
		if piece.program != nil {
			text, ok, err = piece.program.Text(r)
		}
		if err != nil {
			return "", err
		}
		if !ok || text == "" && piece.program != nil {
			return "", fmt.Errorf("routing by %s, which is null or empty", piece.program)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
