package json

// form is what the members of an object say about what it is.
type form struct {
	members                int
	op, source, state      bool // it has them, of an envelope's types
	hasSchema, hasPayload  bool
	schema, payload        span
	end                    int
	schemaless, schemaNode bool // schema is null, an object
}

// span is a part of the text.
type span struct{ at, end int }

// envelope follows Debezium: op, source, and before or after.
func (f *form) envelope() bool { return f.op && f.source && f.state }

// inline follows JsonConverter: schema and payload and nothing else.
func (f *form) inline() bool {
	return f.members == 2 && f.hasSchema && f.hasPayload && (f.schemaless || f.schemaNode)
}

// classify takes an object and notes what tells its kind.
func classify(p *parser) (f form, ok bool) {
	if !p.consume('{') {
		return f, false
	}
	for more := !p.consume('}'); more; {
		key, ok := p.key()
		if !ok {
			return f, false
		}
		f.members++
		at, c := p.i, p.peek()
		switch text(key) {
		case "op":
			f.op = c == '"'
		case "source":
			f.source = c == '{' || c == 'n'
		case "before", "after":
			f.state = f.state || c == '{' || c == 'n'
		case "schema":
			f.hasSchema, f.schemaless, f.schemaNode = true, c == 'n', c == '{'
			ok = p.skip()
			f.schema = span{at, p.i}
		case "payload":
			f.hasPayload = true
			ok = p.skip()
			f.payload = span{at, p.i}
		}
		if p.i == at {
			ok = p.skip()
		}
		if !ok {
			return f, false
		}
		if more, ok = p.next('}'); !ok {
			return f, false
		}
	}
	f.end = p.i
	return f, true
}
