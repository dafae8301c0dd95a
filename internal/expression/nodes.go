package expression

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
)

// node is a part of a compiled expression.
type node interface {
	// eval is what the part comes to for the record of e; null once e failed.
	eval(e *env) value
	// infer is its type for records of a shape, and notes what is wrong there.
	infer(s *shape) typ
}

// constant is a literal.
type constant struct {
	v value
	t typ
}

func newConstant(v value, t typ) *constant {
	c := &constant{v: v, t: t}
	if v.kind != null {
		c.t.constant = &c.v
	}
	return c
}

func (n *constant) eval(*env) value  { return n.v }
func (n *constant) infer(*shape) typ { return n.t }

// fieldNode is a field of a part of the record. It remembers where the schema
// that it saw last has the field.
type fieldNode struct {
	base base
	name string
	last *cdc.Schema
	at   int
}

func (n *fieldNode) index(s *cdc.Schema) int {
	if s != n.last {
		n.last, n.at = s, s.Index([]byte(n.name))
	}
	return n.at
}

func (n *fieldNode) eval(e *env) value  { return e.field(n) }
func (n *fieldNode) infer(s *shape) typ { return s.field(n) }

// partNode is a whole part of the record: null or not, or a key without fields.
type partNode struct{ base base }

func (n partNode) eval(e *env) value { return wholePart(e.r, n.base) }

func (n partNode) infer(s *shape) typ {
	part := s.parts[n.base]
	switch {
	case n.base == ofKey && part == nil:
		return typ{}
	case n.base == ofKey && part.IsBare():
		return typeOf(&part.Fields[0])
	}
	return typ{class: structure}
}

// opNode is the operation's letter.
type opNode struct{}

func (opNode) eval(e *env) value { return opValue(e.r) }
func (opNode) infer(*shape) typ  { return typ{class: words} }

// topicNode is the topic that the record is for.
type topicNode struct{}

func (topicNode) eval(e *env) value {
	return textValue(e.keep(append(e.into.Tail(len(e.r.Route)), e.r.Route...)))
}
func (topicNode) infer(*shape) typ { return typ{class: words} }

func (e *env) keep(b []byte) []byte { return e.into.Keep(b) }

// timeNode is when the change was made.
type timeNode struct{}

func (timeNode) eval(e *env) value { return instantValue(changedAt(e.r)) }
func (timeNode) infer(*shape) typ  { return typ{class: moment} }

// headerNode is a header of the record.
type headerNode struct{ name string }

func (n headerNode) eval(e *env) value { return header(e.r, n.name) }
func (headerNode) infer(*shape) typ    { return typ{} }

// memberNode is a member of a struct or of a JSON object.
type memberNode struct {
	of   node
	name string
}

func (n *memberNode) eval(e *env) value { return e.member(n.of.eval(e), n.name) }

func (n *memberNode) infer(s *shape) typ {
	t := n.of.infer(s)
	switch {
	case t.class == structure && t.field != nil && t.field.Struct != nil:
		f := t.field.Struct.Field(n.name)
		if f == nil {
			return s.fail("no member %s in struct %s", n.name, t.field.Name)
		}
		return typeOf(f)
	case t.class == unknown || t.class == nothing || t.class == structure || t.class == words && t.field != nil && t.field.Semantic == cdc.JSON:
		return typ{}
	}
	return s.fail(".%s needs a struct or JSON before the dot, and this is %s", n.name, classNames[t.class])
}

// elementNode is an element of an array, counted from 0, from the end if the
// index is negative; null beyond it.
type elementNode struct {
	of, at node
}

func (n *elementNode) eval(e *env) value {
	of, at := n.of.eval(e), n.at.eval(e)
	switch {
	case of.kind == null || at.kind == null:
		return value{}
	case at.kind == text:
		return e.member(of, string(at.src.Bytes()))
	case at.kind != decimal || at.num.big != nil || at.num.scale != 0:
		return e.fail(errors.New("an index that is not a whole number"))
	}
	base := len(e.elements)
	elements := e.list(of)
	i := at.num.n
	if i < 0 {
		i += int64(len(elements))
	}
	out := value{}
	if i >= 0 && i < int64(len(elements)) {
		out = elements[i]
	}
	e.elements = e.elements[:base]
	return out
}

func (n *elementNode) infer(s *shape) typ {
	of := n.of.infer(s)
	n.at.infer(s)
	if of.class == array && of.field != nil {
		return typeOf(of.field.Element)
	}
	return typ{}
}

// notNode turns a condition around.
type notNode struct{ of node }

func (n *notNode) eval(e *env) value {
	v := n.of.eval(e)
	return boolValue(!v.truth())
}

func (n *notNode) infer(s *shape) typ {
	s.condition("not", n.of.infer(s))
	return typ{class: truth}
}

// negative is -x.
type negative struct{ of node }

func (n *negative) eval(e *env) value {
	v := n.of.eval(e)
	if v.kind == null {
		return v
	}
	x, ok := e.operand("-", &v)
	if !ok {
		return value{}
	}
	return numberValue(x.negate())
}

func (n *negative) infer(s *shape) typ {
	t := n.of.infer(s)
	return s.reckoned("-", typ{class: whole, precision: 1}, t)
}

// logic is a && b or a || b; b is looked at only where it matters.
type logic struct {
	or   bool
	a, b node
}

func (n *logic) eval(e *env) value {
	a := n.a.eval(e)
	if a.truth() == n.or || e.err != nil {
		return boolValue(n.or)
	}
	b := n.b.eval(e)
	return boolValue(b.truth())
}

func (n *logic) infer(s *shape) typ {
	name := "&&"
	if n.or {
		name = "||"
	}
	s.condition(name, n.a.infer(s))
	s.condition(name, n.b.infer(s))
	return typ{class: truth}
}

// comparison is one of == != < <= > >=.
type comparison struct {
	operator string
	a, b     node
}

func (n *comparison) eval(e *env) value {
	a, b := n.a.eval(e), n.b.eval(e)
	switch n.operator {
	case "==":
		return boolValue(equal(&a, &b))
	case "!=":
		return boolValue(!equal(&a, &b))
	}
	order, ok := compare(&a, &b)
	if !ok {
		return boolValue(false)
	}
	switch n.operator {
	case "<":
		ok = order < 0
	case "<=":
		ok = order <= 0
	case ">":
		ok = order > 0
	case ">=":
		ok = order >= 0
	}
	return boolValue(ok)
}

func (n *comparison) infer(s *shape) typ {
	s.comparable(n.operator, n.a.infer(s), n.b.infer(s))
	return typ{class: truth}
}

// arithmetic is one of + - * / % **. Text on either side of + is joined.
type arithmetic struct {
	operator string
	null     *int64 // what a null counts as; nil: the result is null
	a, b     node
}

// reckon is x operator y. It calls by name, so that x and y need no heap.
func reckon(operator string, x, y *number) (number, error) {
	switch operator {
	case "+":
		return add(x, y)
	case "-":
		return sub(x, y)
	case "*":
		return mul(x, y)
	case "/":
		return quo(x, y)
	case "%":
		return rem(x, y)
	}
	return power(x, y)
}

func (n *arithmetic) eval(e *env) value {
	a, b := n.a.eval(e), n.b.eval(e)
	if n.null != nil && e.err == nil {
		a, b = orElse(a, *n.null), orElse(b, *n.null)
	}
	if a.kind == null || b.kind == null {
		return value{}
	}
	if n.operator == "+" && (a.kind == text || b.kind == text) {
		return textValue(e.keep(b.appendText(a.appendText(e.into.Tail(64)))))
	}
	x, ok1 := e.operand(n.operator, &a)
	y, ok2 := e.operand(n.operator, &b)
	if !ok1 || !ok2 {
		return value{}
	}
	out, err := reckon(n.operator, &x, &y)
	if err != nil {
		return e.fail(err)
	}
	return numberValue(out)
}

func orElse(v value, n int64) value {
	if v.kind == null {
		return intValue(n)
	}
	return v
}

// operand is a value as a number to reckon with.
func (e *env) operand(operator string, v *value) (number, bool) {
	if v.kind == decimal {
		return v.num, true
	}
	if v.kind == double || v.kind == text {
		if n, ok := v.number(); ok {
			return n, true
		}
	}
	e.fail(fmt.Errorf("%s needs a number, not %q", operator, v.appendText(nil)))
	return number{}, false
}

func (n *arithmetic) infer(s *shape) typ {
	a, b := n.a.infer(s), n.b.infer(s)
	if n.operator == "+" && (a.class == words || b.class == words) {
		return typ{class: words}
	}
	return s.reckoned(n.operator, a, b)
}

// textual is one of contains, startsWith and endsWith. An array contains what
// equals one of its elements.
type textual struct {
	operator string
	a, b     node
}

func (n *textual) eval(e *env) value {
	a, b := n.a.eval(e), n.b.eval(e)
	if a.kind == null || b.kind == null {
		return boolValue(false)
	}
	if n.operator == "contains" && (a.kind == list || a.kind == jsonText) {
		return boolValue(e.among(&b, a))
	}
	s, t := e.words(&a), e.words(&b)
	switch n.operator {
	case "contains":
		return boolValue(bytes.Contains(s, t))
	case "startsWith":
		return boolValue(bytes.HasPrefix(s, t))
	}
	return boolValue(bytes.HasSuffix(s, t))
}

// words is the text of a value.
func (e *env) words(v *value) []byte {
	if v.kind == text {
		return v.src.Bytes()
	}
	return e.keep(v.appendText(e.into.Tail(32)))
}

func (n *textual) infer(s *shape) typ {
	for _, t := range []typ{n.a.infer(s), n.b.infer(s)} {
		if t.class == structure || t.class == octets {
			s.fail("%s needs text, and one side is %s", n.operator, classNames[t.class])
		}
	}
	return typ{class: truth}
}

// choice is condition ? a : b, and condition ?: b.
type choice struct {
	condition, a, b node
	elvis           bool
}

func (n *choice) eval(e *env) value {
	v := n.condition.eval(e)
	switch {
	case e.err != nil:
		return value{}
	case v.truth() && n.elvis:
		return v
	case v.truth():
		return n.a.eval(e)
	}
	return n.b.eval(e)
}

func (n *choice) infer(s *shape) typ {
	t := n.condition.infer(s)
	if n.elvis {
		return either(t, n.b.infer(s))
	}
	s.condition("?", t)
	return either(n.a.infer(s), n.b.infer(s))
}

// coalesce is a ?? b: b where a is null.
type coalesce struct{ a, b node }

func (n *coalesce) eval(e *env) value {
	if v := n.a.eval(e); v.kind != null || e.err != nil {
		return v
	}
	return n.b.eval(e)
}

func (n *coalesce) infer(s *shape) typ { return either(n.a.infer(s), n.b.infer(s)) }

// let gives a value a name for the expression behind it.
type let struct{ is, in node }

func (n *let) eval(e *env) value {
	e.variables = append(e.variables, n.is.eval(e))
	v := n.in.eval(e)
	e.variables = e.variables[:len(e.variables)-1]
	return v
}

func (n *let) infer(s *shape) typ {
	s.variables = append(s.variables, n.is.infer(s))
	t := n.in.infer(s)
	s.variables = s.variables[:len(s.variables)-1]
	return t
}

// variable is the value of the let that is so many lets deep.
type variable int

func (n variable) eval(e *env) value { return e.variables[n] }

func (n variable) infer(s *shape) typ { return s.variables[n] }
