package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// compiler turns the tree that expr-lang's parser makes into nodes.
type compiler struct {
	source    string
	settings  Settings
	fields    []string
	uses      [ofSource + 1]bool
	clock     bool     // now() is called
	variables []string // those in scope: let name = …
	err       error
}

func (c *compiler) fail(format string, arguments ...any) node {
	if c.err == nil {
		c.err = fmt.Errorf(format, arguments...)
	}
	return newConstant(value{}, typ{class: nothing})
}

func (c *compiler) node(n ast.Node) node {
	switch n := n.(type) {
	case *ast.NilNode:
		return newConstant(value{}, typ{class: nothing})
	case *ast.BoolNode:
		return newConstant(boolValue(n.Value), typ{class: truth})
	case *ast.IntegerNode, *ast.FloatNode:
		return c.literal(n)
	case *ast.StringNode:
		return newConstant(textValue([]byte(n.Value)), typ{class: words})
	case *ast.IdentifierNode:
		return c.identifier(n.Value)
	case *ast.ChainNode:
		return c.node(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.choice(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.fail("a list [...] has its place on the right of in")
	}
	return c.fail("%s is not part of this language", n)
}

// literal reads a number from the source, since the parser has made a double of
// it.
func (c *compiler) literal(n ast.Node) node {
	at := n.Location()
	said := n.String()
	if runes := []rune(c.source); at.From >= 0 && at.To <= len(runes) && at.From < at.To {
		said = strings.ReplaceAll(string(runes[at.From:at.To]), "_", "")
	}
	x, ok := parseNumber([]byte(said))
	if !ok {
		if i, isInt := n.(*ast.IntegerNode); isInt { // 0x1F
			x, ok = number{n: int64(i.Value)}, true
		}
	}
	if !ok {
		return c.fail("%s is no number", said)
	}
	t := typ{class: whole, precision: len(strings.Trim(said, "-."))}
	if x.big != nil {
		t.class, t.scale = exactly, max(0, int(-x.big.Exponent))
	} else if x.scale > 0 {
		t.class, t.scale = exactly, int(x.scale)
	}
	return newConstant(numberValue(x), t)
}

var reserved = []string{"this", "value", "key", "before", "after", "op", "source", "headers", "topic", "ts"}

func (c *compiler) identifier(name string) node {
	for at, v := range slices.Backward(c.variables) {
		if v == name {
			return variable(at)
		}
	}
	switch name {
	case "null", "undefined":
		return newConstant(value{}, typ{class: nothing})
	case "op":
		return opNode{}
	case "topic":
		return topicNode{}
	case "ts":
		return timeNode{}
	case "headers":
		return c.fail("headers needs the name of a header: headers.name or headers[\"name\"]")
	case "keySchema", "valueSchema", "header":
		return c.fail("%s is not known here: the names are fields of the row, %s", name, strings.Join(reserved, ", "))
	}
	if b, ok := bases[name]; ok && b != ofState {
		c.uses[b] = true
		return partNode{b}
	}
	if name == "this" {
		return c.fail("this needs the name of a field: this.name or this[\"name\"]")
	}
	return c.field(ofState, name)
}

func (c *compiler) field(b base, name string) node {
	c.uses[b] = true
	if b == ofState || b == ofBefore || b == ofAfter || b == ofValue {
		c.fields = append(c.fields, name)
	}
	return &fieldNode{base: b, name: name}
}

// member compiles a.b and a["b"].
func (c *compiler) member(n *ast.MemberNode) node {
	name, ok := n.Property.(*ast.StringNode)
	if !ok {
		return &elementNode{of: c.node(n.Node), at: c.node(n.Property)}
	}
	of := n.Node
	if chain, ok := of.(*ast.ChainNode); ok {
		of = chain.Node
	}
	switch of := of.(type) {
	case *ast.IdentifierNode:
		if of.Value == "headers" {
			return headerNode{name.Value}
		}
		if b, ok := bases[of.Value]; ok {
			return c.field(b, name.Value)
		}
	case *ast.MemberNode:
		if b, ok := envelopePart(of); ok {
			return c.field(b, name.Value)
		}
		if isHeader(of) && name.Value == "value" { // Debezium's headers are structs
			return c.node(of)
		}
	}
	return &memberNode{of: c.node(n.Node), name: name.Value}
}

// envelopePart reports which part value.before, value.after and value.source are.
func envelopePart(n *ast.MemberNode) (base, bool) {
	of, ok1 := n.Node.(*ast.IdentifierNode)
	name, ok2 := n.Property.(*ast.StringNode)
	if !ok1 || !ok2 || of.Value != "value" {
		return 0, false
	}
	b, ok := bases[name.Value]
	return b, ok && b >= ofBefore
}

func isHeader(n *ast.MemberNode) bool {
	of, ok := n.Node.(*ast.IdentifierNode)
	return ok && of.Value == "headers"
}

func (c *compiler) slice(n *ast.SliceNode) node {
	from := node(newConstant(intValue(0), typ{class: whole}))
	if n.From != nil {
		from = c.node(n.From)
	}
	arguments := []node{c.node(n.Node), from}
	if n.To != nil {
		arguments = append(arguments, c.node(n.To))
	}
	return &call{name: "substring", function: functions["substring"], arguments: arguments}
}

func (c *compiler) unary(n *ast.UnaryNode) node {
	of := c.node(n.Node)
	switch n.Operator {
	case "-":
		if k, ok := of.(*constant); ok && k.v.kind == decimal {
			return newConstant(numberValue(k.v.num.negate()), typ{class: k.t.class, precision: k.t.precision, scale: k.t.scale})
		}
		return &negative{of}
	case "+":
		return of
	}
	return &notNode{of}
}

func (c *compiler) binary(n *ast.BinaryNode) node {
	switch n.Operator {
	case "in":
		return c.membership(n)
	case "contains", "startsWith", "endsWith":
		if items, ok := n.Left.(*ast.ArrayNode); ok && n.Operator == "contains" {
			return c.membership(&ast.BinaryNode{Operator: "in", Left: n.Right, Right: items})
		}
	}
	if n.Operator == "matches" {
		return c.match(n)
	}
	a, b := c.node(n.Left), c.node(n.Right)
	switch n.Operator {
	case "and", "&&", "or", "||":
		return &logic{or: n.Operator == "or" || n.Operator == "||", a: a, b: b}
	case "==", "!=", "<", "<=", ">", ">=":
		return &comparison{operator: n.Operator, a: a, b: b}
	case "contains", "startsWith", "endsWith":
		return &textual{operator: n.Operator, a: a, b: b}
	case "??":
		return &coalesce{a, b}
	case "+", "-", "*", "/", "%", "**", "^":
		operator := n.Operator
		if operator == "^" {
			operator = "**"
		}
		return &arithmetic{operator: operator, null: c.settings.Null, a: a, b: b}
	}
	return c.fail("operator %s is not part of this language", n.Operator)
}

func (c *compiler) membership(n *ast.BinaryNode) node {
	m := &membership{of: c.node(n.Left)}
	switch right := n.Right.(type) {
	case *ast.ArrayNode:
		for _, item := range right.Nodes {
			m.items = append(m.items, c.node(item))
		}
	case *ast.BinaryNode:
		if right.Operator != ".." {
			m.list = c.node(right)
			break
		}
		m.low, m.high = c.node(right.Left), c.node(right.Right)
	default:
		m.list = c.node(right)
	}
	return m
}

func (c *compiler) choice(n *ast.ConditionalNode) node {
	condition := c.node(n.Cond)
	if n.Exp1 == n.Cond {
		return &choice{condition: condition, elvis: true, b: c.node(n.Exp2)}
	}
	return &choice{condition: condition, a: c.node(n.Exp1), b: c.node(n.Exp2)}
}

func (c *compiler) call(n *ast.CallNode) node {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.method(n)
	}
	return c.function(name.Value, n.Arguments)
}

// method refuses a method and shows the same in this language, where there is
// something like it.
func (c *compiler) method(n *ast.CallNode) node {
	t := translator{}
	if ours := t.node(n); t.err == nil {
		return c.fail("methods are not part of this language: instead of %s write %s", n, ours)
	}
	return c.fail("methods are not part of this language: %s", n)
}

func (c *compiler) builtin(n *ast.BuiltinNode) node {
	switch n.Name {
	case "all", "any", "none", "one", "count":
		q := &quantifier{name: n.Name, of: c.node(n.Arguments[0])}
		if len(n.Arguments) > 1 {
			if body, ok := n.Arguments[1].(*ast.PredicateNode); ok {
				q.body = c.node(body.Node)
			}
		}
		return q
	}
	return c.function(n.Name, n.Arguments)
}

func (c *compiler) function(name string, arguments []ast.Node) node {
	f, ok := functions[name]
	if !ok {
		return c.fail("no function %s; there are %s", name, strings.Join(functionNames(), ", "))
	}
	if len(arguments) < f.least || len(arguments) > f.most {
		return c.fail("%s takes %s, not %d", name, arity(f), len(arguments))
	}
	c.clock = c.clock || name == "now"
	n := &call{name: name, function: f}
	for _, a := range arguments {
		n.arguments = append(n.arguments, c.node(a))
	}
	return n
}

func arity(f function) string {
	switch {
	case f.least == f.most && f.least == 1:
		return "1 argument"
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.least)
	case f.most > 9:
		return fmt.Sprintf("%d or more arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

func functionNames() []string {
	names := []string{"all", "any", "none", "one", "count"}
	for name := range functions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// pointer is # or the . of .name, which the parser puts under a member.
func (c *compiler) pointer(n *ast.PointerNode) node {
	if n.Name != "" {
		return c.fail("#%s is not part of this language", n.Name)
	}
	return elementPointer{}
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) node {
	is := c.node(n.Value)
	c.variables = append(c.variables, n.Name)
	out := c.node(n.Expr)
	c.variables = c.variables[:len(c.variables)-1]
	return &let{is: is, in: out}
}
