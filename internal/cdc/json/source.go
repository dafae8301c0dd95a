package json

import "bytes"

// sourceTemplate takes source blocks quickly. Those of a topic are alike but for
// the values of a few members: what never changed is compared as bytes with the
// block that was read member by member last, and only what changed before is
// read, so that every byte is still checked.
type sourceTemplate struct {
	block   []byte // of which the members are offsets
	members []sourceMember
	parts   []sourcePart
	tail    []byte // from behind the last part to the end of the block

	oldBlock   []byte
	oldMembers []sourceMember
}

// sourceMember is one member of block: name and colon from lead to start, the
// value from start to end.
type sourceMember struct {
	lead, start, end int
	varies           bool
	millis           bool // it is ts_ms
}

// sourcePart is what is before a value that varies.
type sourcePart struct {
	lead   []byte
	millis bool
}

// read takes a source block, or null, and returns its text (nil for null) and
// its ts_ms.
func (t *sourceTemplate) read(p *parser) (block []byte, millis int64, ok bool) {
	if p.literal("null") {
		return nil, 0, true
	}
	start := p.i
	millis, ok = t.match(p)
	if !ok {
		p.back(start)
		if millis, ok = t.learn(p); !ok {
			return nil, 0, false
		}
	}
	return p.b[start:p.i:p.i], millis, true
}

// match takes a block that is like the last one.
func (t *sourceTemplate) match(p *parser) (millis int64, ok bool) {
	for i := range t.parts {
		part := &t.parts[i]
		if !bytes.HasPrefix(p.b[p.i:], part.lead) {
			return 0, false
		}
		p.i += len(part.lead)
		if part.millis {
			millis, ok = p.nullableInt()
		} else if c := p.peek(); c-'0' <= 9 {
			_, ok = p.int()
		} else {
			ok = c != '{' && c != '[' && p.skip()
		}
		if !ok {
			return 0, false
		}
	}
	if len(t.parts) == 0 || !bytes.HasPrefix(p.b[p.i:], t.tail) {
		return 0, false
	}
	p.i += len(t.tail)
	return millis, true
}

// learn takes any object, member by member, and makes the template of it.
func (t *sourceTemplate) learn(p *parser) (millis int64, ok bool) {
	t.block, t.oldBlock = t.oldBlock, t.block
	t.members, t.oldMembers = t.oldMembers[:0], t.members
	t.parts = t.parts[:0]
	start := p.i
	if millis, ok = t.list(p, start); !ok {
		t.members = t.members[:0] // they are no offsets of block
		return 0, false
	}
	t.block = append(t.block[:0], p.b[start:p.i]...)
	t.compile()
	return millis, true
}

// list takes the object that begins at start and notes its members.
func (t *sourceTemplate) list(p *parser, start int) (millis int64, ok bool) {
	if !p.consume('{') {
		return 0, false
	}
	for more := !p.consume('}'); more; {
		m := sourceMember{lead: p.i - start}
		key, ok := p.key()
		if !ok {
			return 0, false
		}
		m.start, m.millis = p.i-start, text(key) == "ts_ms"
		if !p.skip() {
			return 0, false
		}
		m.end = p.i - start
		if m.millis {
			millis = millisOf(p.b[start+m.start : p.i])
		}
		t.members = append(t.members, m)
		if more, ok = p.next('}'); !ok {
			return 0, false
		}
	}
	return millis, true
}

// millisOf is the integer of a member's text, 0 if it is none.
func millisOf(s []byte) int64 {
	p := parser{b: s}
	p.back(0)
	n, ok := p.int()
	if !ok || p.i != len(s) {
		return 0
	}
	return n
}

// compile finds what differs from the block before, and makes parts of what
// ever did since blocks had these members.
func (t *sourceTemplate) compile() {
	same := len(t.members) == len(t.oldMembers)
	for i := 0; i < len(t.members) && same; i++ {
		m, old := t.members[i], t.oldMembers[i]
		same = bytes.Equal(t.block[m.lead:m.start], t.oldBlock[old.lead:old.start])
	}
	from := 0
	for i := range t.members {
		m := &t.members[i]
		m.varies = m.millis
		if same {
			old := t.oldMembers[i]
			m.varies = m.varies || old.varies || !bytes.Equal(t.block[m.start:m.end], t.oldBlock[old.start:old.end])
		}
		if m.varies {
			t.parts = append(t.parts, sourcePart{lead: t.block[from:m.start], millis: m.millis})
			from = m.end
		}
	}
	t.tail = t.block[from:]
}
