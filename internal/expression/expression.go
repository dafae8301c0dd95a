// Package expression is the language of conditions and formulas: the syntax of
// github.com/expr-lang/expr, which parses it, run over rows without boxing
// their values. Null is no error, decimals are exact, and what is wrong with the
// types of an expression is found before a record comes where the schema is
// known. docs/expressions.md describes the language.
package expression

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/expr-lang/expr/parser"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Settings say how an expression is compiled and run. The zero value is right
// for conditions.
type Settings struct {
	Language Language
	// Rounding is what drops digits beyond the scale of a result.
	Rounding Rounding
	// Scale is the digits after the point that every decimal result has; nil
	// leaves it to the types of the columns.
	Scale *int
	// Null is what arithmetic takes a null for: nil is null, whose result is
	// null.
	Null *int64
	// Now is the clock of now(); nil is time.Now.
	Now func() time.Time
}

// Program is a compiled expression. It remembers the schemas it saw, so it may
// be used by one goroutine at a time.
type Program struct {
	text     string
	root     node
	settings Settings
	fields   []string
	uses     [ofSource + 1]bool
	clock    bool

	env      env
	scratch  cdc.Row
	lastSeen seen
	last     *cdc.Field
	results  map[seen]*cdc.Field
}

// seen are the schemas of the parts of a record that a program reads.
type seen [ofSource + 1]*cdc.Schema

// Compile compiles an expression in a language.
func Compile(text string, language Language) (*Program, error) {
	return Settings{Language: language}.Compile(text)
}

// Compile compiles an expression. The error shows where it is wrong, or, where
// it is in another language, how to write it in ours.
func (s Settings) Compile(text string) (*Program, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	tree, err := translate(text, s.Language)
	if err != nil {
		return nil, err
	}
	c := &compiler{source: tree.Source.String(), settings: s}
	root := c.node(tree.Node)
	if c.err != nil {
		return nil, fmt.Errorf("compiling expression %q: %w", text, c.err)
	}
	p := &Program{text: tree.Node.String(), root: root, settings: s, fields: c.fields, uses: c.uses, clock: c.clock, results: map[seen]*cdc.Field{}}
	if s.Language == "" {
		p.text = text
	}
	slices.Sort(p.fields)
	p.fields = slices.Compact(p.fields)
	if err := p.check(&shape{}); err != nil { // what no schema could mend
		return nil, fmt.Errorf("compiling expression %q: %w", text, err)
	}
	return p, nil
}

// parse reads our own language.
func parse(text string) (*parser.Tree, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("compiling expression %q: %w", text, err)
	}
	return tree, nil
}

// String is the expression in Weir's language, also where it was translated.
func (p *Program) String() string { return p.text }

// Fields are the names of the row's fields that the program reads, sorted.
func (p *Program) Fields() []string { return p.fields }

// ReadsClock reports whether the program's result may be another one later.
func (p *Program) ReadsClock() bool { return p.clock }

// Check reports what is wrong with the types of the expression for rows of a
// schema, or for envelopes if it is an envelope's. A field that the row lacks is
// a *MissingField; see IsMissing.
func (p *Program) Check(row *cdc.Schema) error {
	s := &shape{missing: true}
	s.parts[ofValue], s.parts[ofState], s.parts[ofBefore], s.parts[ofAfter] = row, row, row, row
	if before, after := row.Field("before"), row.Field("after"); before != nil && after != nil && before.Struct != nil && after.Struct != nil {
		s.parts[ofState], s.parts[ofBefore], s.parts[ofAfter] = after.Struct, before.Struct, after.Struct
		if source := row.Field("source"); source != nil {
			s.parts[ofSource] = source.Struct
		}
	}
	return p.check(s)
}

func (p *Program) check(s *shape) error {
	p.root.infer(s)
	return errors.Join(s.errs...)
}

// Test reports whether the expression is true of r; null is not.
func (p *Program) Test(r *cdc.Record) (bool, error) {
	p.scratch.Reset(noFields)
	v, err := p.run(r, stateOf(r), &p.scratch)
	return v.truth(), err
}

var noFields = cdc.NewSchema("")

// Text is the expression's value for r as text: numbers in full, dates and times
// as ISO 8601. ok is false where it is null.
func (p *Program) Text(r *cdc.Record) (text string, ok bool, err error) {
	p.scratch.Reset(noFields)
	v, err := p.run(r, stateOf(r), &p.scratch)
	if err != nil || v.kind == null {
		return "", false, err
	}
	return string(v.appendText(p.scratch.Tail(32))), true, nil
}

// Eval is the expression's value for r, whose memory is in into or r, and its
// type: a field without a name. The type is the same for all records whose parts
// have the same schemas.
func (p *Program) Eval(r *cdc.Record, into *cdc.Row) (cdc.Value, cdc.Field, error) {
	state := stateOf(r)
	f := p.result(r, state)
	v, err := p.eval(r, state, f, into)
	return v, *f, err
}

// ResultRow is the type of the values for r, as a field without a name, where
// bare names are the fields of row, which is a row of r.
func (p *Program) ResultRow(r *cdc.Record, row *cdc.Row) cdc.Field { return *p.result(r, viewOf(row)) }

// EvalRow is the expression's value for r as a value of field as, where bare
// names are the fields of row, which is a row of r. That the value is none of the
// field's type is an error.
func (p *Program) EvalRow(r *cdc.Record, row *cdc.Row, as *cdc.Field, into *cdc.Row) (cdc.Value, error) {
	return p.eval(r, viewOf(row), as, into)
}

// TestRow is Test where bare names are the fields of row, which is a row of r.
func (p *Program) TestRow(r *cdc.Record, row *cdc.Row) (bool, error) {
	p.scratch.Reset(noFields)
	v, err := p.run(r, viewOf(row), &p.scratch)
	return v.truth(), err
}

// Wider is the type that has the values of both a and b: of two decimals the one
// with more digits, Any where they have nothing in common.
func Wider(a, b cdc.Field) cdc.Field { return either(typeOf(&a), typeOf(&b)).resultField() }

func (p *Program) eval(r *cdc.Record, state view, as *cdc.Field, into *cdc.Row) (cdc.Value, error) {
	v, err := p.run(r, state, into)
	if err != nil {
		return cdc.Value{}, err
	}
	return p.convert(&v, as, into)
}

func (p *Program) run(r *cdc.Record, state view, into *cdc.Row) (value, error) {
	e := &p.env
	e.r, e.into, e.now, e.state, e.err = r, into, p.settings.Now, state, nil
	e.stack, e.elements, e.variables = e.stack[:0], e.elements[:0], e.variables[:0]
	v := p.root.eval(e)
	e.r, e.into, e.state = nil, nil, view{}
	return v, e.err
}

// result is the type of values for records such as r.
func (p *Program) result(r *cdc.Record, state view) *cdc.Field {
	var now seen
	if p.uses[ofState] {
		now[ofState] = state.schema
	}
	for b := ofValue; b <= ofSource; b++ {
		if p.uses[b] {
			now[b] = partOf(r, b).schema
		}
	}
	if now[ofBefore] == nil { // of a create; an update's has the same type
		now[ofBefore] = now[ofAfter]
	}
	if p.last != nil && now == p.lastSeen {
		return p.last
	}
	found := p.results[now]
	if found == nil {
		found = p.newResult(now)
		p.results[now] = found
	}
	p.lastSeen, p.last = now, found
	return found
}

func (p *Program) newResult(now seen) *cdc.Field {
	t := p.root.infer(&shape{parts: now})
	if p.settings.Scale != nil && (t.class == exactly || t.class == doubly) && t.field == nil {
		whole := max(t.precision-t.scale, unknownDigits)
		t = typ{class: exactly, scale: *p.settings.Scale, precision: whole + *p.settings.Scale, asText: t.asText}
	}
	f := t.resultField()
	f.Name = ""
	return &f
}
