package json

// maxDepth is how deep objects and arrays may nest, which is Jackson's limit.
const maxDepth = 1000

// skip takes any value, checking all of its grammar.
func (p *parser) skip() bool {
	switch p.peek() {
	case '"':
		return p.skipString()
	case '{', '[':
		return p.skipNested()
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	}
	return p.number()
}

func (p *parser) skipString() bool {
	if p.peek() != '"' {
		return false
	}
	for i := p.i + 1; ; {
		j, valid := scan(p.b, i)
		switch {
		case !valid:
			return p.fail(i, "text that is not UTF-8")
		case j+1 < len(p.b) && p.b[j] == '\\' && escapes[p.b[j+1]] != 0:
			i = j + 2
		case j < len(p.b) && p.b[j] == '\\' && hex4(p.b[j:]) >= 0:
			i = j + 6
		case j < len(p.b) && p.b[j] == '"':
			p.i = j + 1
			return true
		default:
			return p.fail(j, "")
		}
	}
}

// skipNested takes an object or array. Its stack has a bit for each that is
// open: 1 for an object.
func (p *parser) skipNested() bool {
	var stack [maxDepth/64 + 1]uint64
	for depth := 0; ; {
		opened, ok := p.open(&stack, &depth)
		if !ok {
			return false
		}
		for !opened {
			if depth == 0 {
				return true
			}
			if opened, ok = p.follow(stack[depth/64]>>(depth%64)&1 == 1, &depth); !ok {
				return false
			}
		}
	}
}

// open takes a value, or the beginning of one that is not empty, up to its first
// member's value, and then reports true.
func (p *parser) open(stack *[maxDepth/64 + 1]uint64, depth *int) (opened, ok bool) {
	p.space()
	c := p.peek()
	if c != '{' && c != '[' {
		return false, p.skip()
	}
	p.i++
	p.space()
	if p.peek() == c+2 { // ASCII has the closing bracket two behind
		p.i++
		return false, true
	}
	if *depth++; *depth > maxDepth {
		return false, p.fail(p.i, "JSON nested too deeply")
	}
	if c == '[' {
		stack[*depth/64] &^= 1 << (*depth % 64)
		return true, true
	}
	stack[*depth/64] |= 1 << (*depth % 64)
	return true, p.skipString() && p.consume(':')
}

// follow takes what follows a member of an object or array: a comma and all up
// to the next value (more is true), or the end.
func (p *parser) follow(object bool, depth *int) (more, ok bool) {
	end := byte(']')
	if object {
		end = '}'
	}
	if more, ok = p.next(end); !ok || !more {
		*depth--
		return false, ok
	}
	if object {
		p.space()
		ok = p.skipString() && p.consume(':')
	}
	return true, ok
}
