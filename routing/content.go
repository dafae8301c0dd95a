package routing

import (
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/expression"
	"github.com/weir-cdc/weir/internal/transform"
)

// scripted is what Debezium's transforms with an expression have in common: it
// is asked for the topics of one expression, and for null values if it says so.
type scripted struct {
	program *expression.Program
	topics  *topics // nil: all
	nulls   string
}

// newScripted reads the properties; the expression is in the one of that name.
func newScripted(o *transform.Options, property, want string) scripted {
	s := scripted{nulls: o.OneOf("null.handling.mode", "keep", "drop", "evaluate")}
	s.program = program(o, property, o.Need(property, want), expression.Language(o.Text("language", "")))
	if o.Text("topic.regex", "") != "" {
		s.topics = newTopics(o, "topic.regex")
	}
	return s
}

// program compiles an expression that a property holds; nil where it is wrong.
func program(o *transform.Options, property, text string, language expression.Language) *expression.Program {
	if text == "" {
		return nil // said by Need
	}
	p, err := expression.Compile(text, language)
	if err != nil {
		o.Fail(property, "an expression: "+err.Error())
	}
	return p
}

// DependsOnRow is true: the expression looks at the row.
func (s *scripted) DependsOnRow() bool { return true }

// asks reports whether the expression is to be asked about r, and if not,
// whether r is kept.
func (s *scripted) asks(r *cdc.Record) (asks, keep bool, err error) {
	if s.topics != nil {
		matches, err := s.topics.match(r.Route)
		if err != nil || !matches {
			return false, true, err
		}
	}
	if s.nulls != "evaluate" && transform.IsNull(r) {
		return false, s.nulls == "keep", nil
	}
	return true, true, nil
}

// contentFilter is Debezium's Filter: it keeps the records that a condition is
// true of.
type contentFilter struct{ scripted }

const conditionWanted = "a condition, such as value.after.status == 'PAID'"

func newContentFilter(o *transform.Options) transform.Transform {
	return &contentFilter{newScripted(o, "condition", conditionWanted)}
}

// Apply drops r where the condition is false or null.
func (t *contentFilter) Apply(r *cdc.Record) (bool, error) {
	asks, keep, err := t.asks(r)
	if !asks || err != nil {
		return keep && err == nil, err
	}
	keep, err = t.program.Test(r)
	if err != nil {
		return false, fmt.Errorf("evaluating the condition %s: %w", t.program, err)
	}
	return keep, nil
}

// contentRouter is Debezium's ContentBasedRouter: the topic is what an
// expression makes of the record.
type contentRouter struct{ scripted }

func newContentRouter(o *transform.Options) transform.Transform {
	return &contentRouter{newScripted(o, "topic.expression", "an expression of a topic's name, such as value.after.vip ? 'vips' : null")}
}

// Apply routes r; where the expression is null it stays.
func (t *contentRouter) Apply(r *cdc.Record) (bool, error) {
	asks, keep, err := t.asks(r)
	if !asks || err != nil {
		return keep && err == nil, err
	}
	to, ok, err := t.program.Text(r)
	if err != nil {
		return false, fmt.Errorf("evaluating the topic %s: %w", t.program, err)
	}
	if ok && to != "" {
		r.Route = to
	}
	return true, nil
}
