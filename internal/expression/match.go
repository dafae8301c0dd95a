package expression

import (
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/expr-lang/expr/ast"
)

// matchLimit bounds one match of an expression that Go's engine, which is linear
// in time, cannot run.
const matchLimit = 100 * time.Millisecond

// match is text matches "expression": it holds if the expression, in Java's
// dialect, matches any part of the text.
type match struct {
	of   node
	fast *regexp.Regexp
	slow *regexp2.Regexp // with look-around, back-references, possessive quantifiers
}

func (c *compiler) match(n *ast.BinaryNode) node {
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		return c.fail("matches needs a regular expression in quotes on its right")
	}
	m := &match{of: c.node(n.Left)}
	var err error
	if m.fast, err = regexp.Compile(pattern.Value); err == nil {
		return m
	}
	if m.slow, err = regexp2.Compile(pattern.Value, regexp2.None); err != nil {
		return c.fail("matches needs a regular expression: %w", err)
	}
	m.slow.MatchTimeout = matchLimit
	return m
}

func (n *match) eval(e *env) value {
	v := n.of.eval(e)
	if v.kind == null {
		return boolValue(false)
	}
	if n.fast != nil {
		return boolValue(n.fast.Match(e.words(&v)))
	}
	ok, err := n.slow.MatchString(string(e.words(&v)))
	if err != nil {
		return e.fail(err)
	}
	return boolValue(ok)
}

func (n *match) infer(s *shape) typ {
	if t := n.of.infer(s); t.class == structure || t.class == octets || t.class == array {
		s.fail("matches needs text, and this is %s", classNames[t.class])
	}
	return typ{class: truth}
}
