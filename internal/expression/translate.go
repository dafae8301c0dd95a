package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Language is what an expression is written in: "" or "weir" is ours. Plain
// conditions in Groovy and JavaScript, by the names that Debezium's language
// property has for them (jsr223.groovy, jsr223.graal.js), are translated.
type Language string

// foreign reports whether l is a language that is translated, and known whether
// there is such a language at all.
func (l Language) foreign() (foreign, known bool) {
	switch name, _ := strings.CutPrefix(strings.ToLower(string(l)), "jsr223."); name {
	case "", "weir", "expr":
		return false, true
	case "groovy", "graal.js", "js", "javascript", "nashorn", "ecmascript":
		return true, true
	}
	return false, false
}

// NotTranslated is a condition in another language that is more than a plain
// condition.
type NotTranslated struct {
	Language Language
	Text     string
	Problem  string
	// Ours is the condition in Weir's language, with <…> for what it has
	// nothing like; empty where nothing can be made of the text.
	Ours string
}

// Error says what cannot be translated, and what to write.
func (e *NotTranslated) Error() string {
	ours := e.Ours
	if ours == "" {
		ours = "value.op == 'u' && value.after.status in ['NEW', 'PAID'] (as an example; see docs/expressions.md)"
	}
	return fmt.Sprintf("only plain conditions of %s are translated, and in %q %s; without the property language, write it in Weir's: %s",
		e.Language, e.Text, e.Problem, ours)
}

// translate parses text, whatever its language.
func translate(text string, l Language) (*parser.Tree, error) {
	foreign, known := l.foreign()
	if !known {
		return nil, &NotTranslated{Language: l, Text: text, Problem: "nothing can be read: Groovy and JavaScript are known"}
	}
	if !foreign {
		return parse(text)
	}
	ours, problem := rewrite(text)
	if problem != "" {
		return nil, &NotTranslated{Language: l, Text: text, Problem: problem}
	}
	tree, err := parser.Parse(ours)
	if err != nil {
		return nil, &NotTranslated{Language: l, Text: text, Problem: "this cannot be read: " + firstLine(err)}
	}
	t := translator{}
	tree.Node = t.node(tree.Node)
	if t.err != nil {
		return nil, &NotTranslated{Language: l, Text: text, Problem: t.err.Error(), Ours: tree.Node.String()}
	}
	return tree, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// rewrite puts Groovy's and JavaScript's operators into ours, outside of quotes.
func rewrite(text string) (ours, problem string) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	text = strings.TrimPrefix(strings.TrimSpace(text), "return ")
	var out strings.Builder
	for i := 0; i < len(text); {
		switch rest := text[i:]; {
		case rest[0] == '\'' || rest[0] == '"':
			end := closing(rest)
			if end < 0 {
				return "", "a quote is not closed"
			}
			if rest[0] == '"' && strings.Contains(rest[:end], "${") {
				return "", "a text is put together with ${…}: write 'a' + b"
			}
			out.WriteString(rest[:end])
			i += end
		case strings.HasPrefix(rest, "==~") || strings.HasPrefix(rest, "=~"):
			size, pattern := regex(rest)
			if size == 0 {
				return "", "=~ has no regular expression on its right"
			}
			out.WriteString(" matches " + pattern)
			i += size
		default:
			size, replacement, wrong := operator(rest)
			if wrong != "" {
				return "", wrong
			}
			out.WriteString(replacement)
			i += size
		}
	}
	return out.String(), ""
}

// operators are those of other languages and ours, longest first.
var operators = []struct{ theirs, ours string }{
	{"===", "=="}, {"!==", "!="}, {"!in ", "not in "},
}

// statements are what makes more than a condition.
var statements = []struct{ token, problem string }{
	{";", "there is more than one statement"}, {"=>", "there is a function"}, {"->", "there is a closure"}, {"<=>", "<=> is no condition"},
	{"++", "++ changes something"}, {"--", "-- changes something"}, {"{", "there is a block"},
}

func operator(rest string) (size int, ours, problem string) {
	for _, o := range operators {
		if strings.HasPrefix(rest, o.theirs) {
			return len(o.theirs), o.ours, ""
		}
	}
	for _, s := range statements {
		if strings.HasPrefix(rest, s.token) {
			return 0, "", s.problem
		}
	}
	return 1, rest[:1], ""
}

// closing is the index behind the quote that closes the one s begins with.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return -1
}

// regex reads =~ /expression/ or ==~ 'expression', the second of which has to
// match a whole text.
func regex(s string) (size int, pattern string) {
	entire := strings.HasPrefix(s, "==~")
	at := strings.IndexByte(s, '~') + 1
	for at < len(s) && s[at] == ' ' {
		at++
	}
	if at == len(s) || !strings.ContainsRune(`/'"`, rune(s[at])) {
		return 0, ""
	}
	end := closing(s[at:])
	if end < 0 {
		return 0, ""
	}
	text := s[at+1 : at+end-1]
	if s[at] == '/' {
		text = strings.ReplaceAll(text, `\/`, `/`)
	} else {
		text = strings.ReplaceAll(text, `\\`, `\`)
	}
	if entire {
		text = wholeText(text)
	}
	return at + end, (&ast.StringNode{Value: text}).String()
}

func wholeText(pattern string) string { return `\A(?:` + pattern + `)\z` }

// translator turns the methods of Java's, Groovy's and JavaScript's values into
// our operators and functions.
type translator struct{ err error }

func (t *translator) node(n ast.Node) ast.Node {
	ast.Walk(&n, t)
	return n
}

// Visit translates one node, after those under it.
func (t *translator) Visit(n *ast.Node) {
	called, ok := (*n).(*ast.CallNode)
	if !ok {
		return
	}
	switch callee := called.Callee.(type) {
	case *ast.MemberNode:
		t.method(n, callee, called.Arguments)
	case *ast.IdentifierNode:
		if name, ok := theirFunctions[callee.Value]; ok {
			ast.Patch(n, builtin(name, called.Arguments...))
		} else if _, ours := functions[callee.Value]; !ours {
			t.unknown(n, callee.Value+"()")
		}
	}
}

var theirFunctions = map[string]string{"Number": "number", "parseFloat": "number", "parseInt": "int", "String": "string"}

func (t *translator) unknown(n *ast.Node, what string) {
	if t.err == nil {
		t.err = fmt.Errorf("%s has no counterpart", what)
	}
	ast.Patch(n, &ast.IdentifierNode{Value: "<" + (*n).String() + ">"})
}

func builtin(name string, arguments ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: arguments}
}

func infix(operator string, a, b ast.Node) ast.Node {
	return &ast.BinaryNode{Operator: operator, Left: a, Right: b}
}

// unaryMethods are methods without arguments, and the function that does the
// same.
var unaryMethods = map[string]string{
	"toLowerCase": "lower", "toUpperCase": "upper", "trim": "trim", "strip": "trim", "length": "len", "size": "len", "toString": "string",
	"abs": "abs", "toInteger": "int", "toLong": "int", "intValue": "int", "longValue": "int", "toBigDecimal": "number", "toDouble": "number",
	"doubleValue": "number", "floatValue": "number",
}

var infixMethods = map[string]string{
	"equals": "==", "contains": "contains", "includes": "contains", "startsWith": "startsWith", "endsWith": "endsWith",
}

func (t *translator) method(n *ast.Node, callee *ast.MemberNode, a []ast.Node) {
	name, _ := callee.Property.(*ast.StringNode)
	of := callee.Node
	if chain, ok := of.(*ast.ChainNode); ok {
		of = chain.Node
	}
	switch {
	case name == nil:
		t.unknown(n, callee.String())
	case len(a) == 0 && name.Value == "isEmpty":
		ast.Patch(n, infix("==", builtin("len", of), &ast.IntegerNode{}))
	case len(a) == 0 && unaryMethods[name.Value] != "":
		ast.Patch(n, builtin(unaryMethods[name.Value], of))
	case len(a) == 1 && infixMethods[name.Value] != "":
		ast.Patch(n, t.infixMethod(infixMethods[name.Value], of, a[0]))
	case len(a) == 1 && name.Value == "equalsIgnoreCase":
		ast.Patch(n, infix("==", builtin("lower", of), builtin("lower", a[0])))
	case len(a) == 1 && (name.Value == "get" || strings.HasPrefix(name.Value, "get") && isText(a[0])):
		ast.Patch(n, &ast.MemberNode{Node: of, Property: a[0]})
	case len(a) == 1 && name.Value == "matches" && isText(a[0]):
		ast.Patch(n, infix("matches", of, &ast.StringNode{Value: wholeText(a[0].(*ast.StringNode).Value)}))
	case len(a) == 1 && name.Value == "indexOf":
		ast.Patch(n, builtin("indexOf", of, a[0]))
	case (len(a) == 1 || len(a) == 2) && name.Value == "substring":
		ast.Patch(n, builtin("substring", append([]ast.Node{of}, a...)...))
	default:
		t.unknown(n, "."+name.Value+"()")
	}
}

// infixMethod is of operator a; a list that contains something has it in itself.
func (t *translator) infixMethod(operator string, of, a ast.Node) ast.Node {
	if _, ok := of.(*ast.ArrayNode); ok && operator == "contains" {
		return infix("in", a, of)
	}
	return infix(operator, of, a)
}

func isText(n ast.Node) bool {
	_, ok := n.(*ast.StringNode)
	return ok
}
