package mysql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// jsonDiff is one change that binlog_row_value_options=PARTIAL_JSON writes in
// place of a whole document.
type jsonDiff struct {
	op    uint8
	path  []byte // $.a[3]."b c"
	value []byte // binary, of jsonReplace and jsonInsert
}

// The operations of a jsonDiff.
const (
	jsonReplace = iota
	jsonInsert
	jsonRemove
)

// appendPatchedJSON appends the text of the document doc, in its binary form,
// after the changes in diffs.
func appendPatchedJSON(dst, doc, diffs []byte) ([]byte, error) {
	if len(doc) == 0 {
		return dst, fmt.Errorf("%w: changes of a document that is missing", errJSON)
	}
	root := &jsonNode{typ: doc[0], raw: doc[1:]}
	c := cursor{b: diffs}
	for len(c.b) > 0 && !c.bad {
		d := jsonDiff{op: c.u8(), path: c.text()}
		if d.op != jsonRemove {
			d.value = c.text()
		}
		if c.bad {
			break
		}
		if err := root.apply(&d); err != nil {
			return dst, err
		}
	}
	if c.bad {
		return dst, errJSON
	}
	w := jsonLimits{budget: 2*len(doc) + len(diffs)}
	return root.text(dst, &w)
}

// jsonNode is a value of a document that changes. Its members are read when a
// path leads into it.
type jsonNode struct {
	typ     byte
	raw     []byte
	read    bool // members replaces raw
	object  bool
	members []jsonMember
}

type jsonMember struct {
	key  []byte // nil in an array
	node *jsonNode
}

// open reads the members of an object or array.
func (n *jsonNode) open() error {
	if n.read {
		return nil
	}
	if n.typ > jsonLargeArray {
		return fmt.Errorf("%w: a change inside of what is no object or array", errJSON)
	}
	c, ok := newJSONContainer(n.typ, n.raw)
	if !ok {
		return errJSON
	}
	n.read, n.object = true, c.object
	for range c.count {
		m := jsonMember{node: &jsonNode{}}
		if c.object {
			at, size, ok := c.key()
			if !ok {
				return errJSON
			}
			m.key = c.d[at : at+size]
		}
		if m.node.typ, m.node.raw, ok = c.value(); !ok {
			return errJSON
		}
		n.members = append(n.members, m)
	}
	return nil
}

// text appends the node's text.
func (n *jsonNode) text(dst []byte, w *jsonLimits) ([]byte, error) {
	if !n.read {
		return w.value(dst, n.typ, n.raw)
	}
	if w.depth++; w.depth > jsonMaxDepth {
		return dst, errJSON
	}
	open, end := byte('['), byte(']')
	if n.object {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i, m := range n.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.object {
			dst = append(appendJSONString(dst, m.key), ':')
		}
		var err error
		if dst, err = m.node.text(dst, w); err != nil {
			return dst, err
		}
	}
	w.depth--
	return append(dst, end), nil
}

// jsonStep is one step of a path: a member or, if key is nil, an element,
// counted from the start or from the end.
type jsonStep struct {
	key     []byte
	index   int
	fromEnd bool
}

// apply makes one change.
func (n *jsonNode) apply(d *jsonDiff) error {
	path, err := parseJSONPath(d.path)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := n.open(); err != nil {
			return err
		}
		if i == len(path)-1 {
			return n.change(d, path[i])
		}
		at, ok := n.find(path[i])
		if !ok {
			return fmt.Errorf("%w: a change at %s, which does not exist", errJSON, d.path)
		}
		n = n.members[at].node
	}
}

// change makes the change at the last step of its path.
func (n *jsonNode) change(d *jsonDiff, s jsonStep) error {
	if len(d.value) == 0 && d.op != jsonRemove || n.object != (s.key != nil) {
		return errJSON
	}
	at, ok := n.find(s)
	switch {
	case d.op == jsonReplace && ok:
		n.members[at].node = &jsonNode{typ: d.value[0], raw: d.value[1:]}
	case d.op == jsonRemove && ok:
		n.members = slices.Delete(n.members, at, at+1)
	case d.op == jsonInsert && (!ok || !n.object):
		n.members = slices.Insert(n.members, at, jsonMember{s.key, &jsonNode{typ: d.value[0], raw: d.value[1:]}})
	default:
		return fmt.Errorf("%w: change %d at %s does not fit the document", errJSON, d.op, d.path)
	}
	return nil
}

// find returns where the step leads, or where its member would be inserted:
// members are ordered by the length of their key, then by the key; elements
// beyond the end are appended.
func (n *jsonNode) find(s jsonStep) (int, bool) {
	if s.key == nil {
		at, ok := s.index, !n.object && s.index < len(n.members)
		if s.fromEnd {
			at = max(len(n.members)-1-at, 0)
		}
		return min(at, len(n.members)), ok
	}
	if !n.object {
		return 0, false
	}
	return slices.BinarySearchFunc(n.members, s.key, func(m jsonMember, key []byte) int {
		if len(m.key) != len(key) {
			return len(m.key) - len(key)
		}
		return bytes.Compare(m.key, key)
	})
}

// parseJSONPath reads $.a[3]."b c", which has at least one step.
func parseJSONPath(path []byte) ([]jsonStep, error) {
	malformed := fmt.Errorf("%w: path %q", errJSON, path)
	rest, ok := bytes.CutPrefix(path, []byte("$"))
	if !ok || len(rest) == 0 {
		return nil, malformed
	}
	var steps []jsonStep
	for len(rest) > 0 {
		var s jsonStep
		switch {
		case rest[0] == '[':
			inside, after, ok := bytes.Cut(rest[1:], []byte("]"))
			if !ok || !s.parseIndex(string(inside)) {
				return nil, malformed
			}
			rest = after
		case rest[0] == '.':
			if s.key, rest, ok = parseJSONKey(rest[1:]); !ok {
				return nil, malformed
			}
		default:
			return nil, malformed
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// parseIndex reads 3, last or last-3.
func (s *jsonStep) parseIndex(text string) bool {
	text = strings.ReplaceAll(text, " ", "")
	if rest, ok := strings.CutPrefix(text, "last"); ok {
		s.fromEnd = true
		text = strings.TrimPrefix(rest, "-")
		if rest == "" {
			text = "0"
		}
	}
	index, err := strconv.ParseUint(text, 10, 31)
	s.index = int(index)
	return err == nil
}

// parseJSONKey reads a member's name, quoted or not.
func parseJSONKey(b []byte) (key, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	if b[0] != '"' {
		n := bytes.IndexAny(b, ".[")
		if n < 0 {
			n = len(b)
		}
		return b[:n:n], b[n:], n > 0
	}
	end := 1
	for end < len(b) && b[end] != '"' {
		if b[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(b) {
		return nil, nil, false
	}
	var text string
	if err := json.Unmarshal(b[:end+1], &text); err != nil {
		return nil, nil, false
	}
	return append(make([]byte, 0, len(text)), text...), b[end+1:], true
}
