package expression

import (
	"bytes"
	stdjson "encoding/json"
	"errors"

	"github.com/weir-cdc/weir/internal/cdc"
)

// list puts the elements of an array, a JSON array or a SET's choices on
// e.elements and returns them; the caller takes them off again.
func (e *env) list(v value) []value {
	base := len(e.elements)
	switch {
	case v.kind == list && v.field != nil && v.field.Element != nil:
		for _, item := range v.src.List() {
			e.elements = append(e.elements, load(item, v.field.Element))
		}
	case v.kind == jsonText || v.kind == text && v.field != nil && v.field.Semantic == cdc.JSON:
		e.jsonElements(v.src.Bytes())
	case v.kind == text && v.field != nil && v.field.Semantic == cdc.EnumSet:
		for choice := range bytes.SplitSeq(v.src.Bytes(), []byte(",")) {
			e.elements = append(e.elements, textValue(choice))
		}
	}
	return e.elements[base:]
}

// jsonElements reads the elements of a JSON array, if it is one.
func (e *env) jsonElements(b []byte) {
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '[' {
		return
	}
	var items []stdjson.RawMessage
	if err := stdjson.Unmarshal(b, &items); err != nil {
		e.fail(err)
		return
	}
	for _, item := range items {
		e.elements = append(e.elements, e.readJSON(item))
	}
}

// among reports whether v equals an element of an array.
func (e *env) among(v *value, of value) bool {
	base := len(e.elements)
	found := false
	for i := range e.list(of) {
		if found = equal(v, &e.elements[base+i]); found {
			break
		}
	}
	e.elements = e.elements[:base]
	return found
}

// membership is x in [a, b], x in array, x in low..high.
type membership struct {
	of        node
	items     []node // of a literal list
	list      node   // or an array
	low, high node   // or a range, both ends included
}

func (n *membership) eval(e *env) value {
	v := n.of.eval(e)
	if v.kind == null || e.err != nil {
		return boolValue(false)
	}
	switch {
	case n.list != nil:
		return boolValue(e.among(&v, n.list.eval(e)))
	case n.low != nil:
		low, high := n.low.eval(e), n.high.eval(e)
		above, ok1 := compare(&v, &low)
		below, ok2 := compare(&v, &high)
		return boolValue(ok1 && ok2 && above >= 0 && below <= 0)
	}
	for _, item := range n.items {
		if w := item.eval(e); equal(&v, &w) {
			return boolValue(true)
		}
	}
	return boolValue(false)
}

func (n *membership) infer(s *shape) typ {
	t := n.of.infer(s)
	switch {
	case n.list != nil:
		l := n.list.infer(s)
		isList := l.class == unknown || l.class == array || l.class == nothing ||
			l.class == words && l.field != nil && (l.field.Semantic == cdc.EnumSet || l.field.Semantic == cdc.JSON)
		if !isList {
			s.fail("in needs a list on its right, and this is %s; for a part of a text write a contains b", classNames[l.class])
		}
	case n.low != nil:
		s.comparable("in", t, n.low.infer(s))
		s.comparable("in", t, n.high.infer(s))
	}
	for _, item := range n.items {
		s.comparable("in", t, item.infer(s))
	}
	return typ{class: truth}
}

// quantifier is all, any, none, one or count of a list's elements that a
// condition holds for; # is the element in it.
type quantifier struct {
	name string
	of   node
	body node // nil for count of all
}

func (n *quantifier) eval(e *env) value {
	of := n.of.eval(e)
	if of.kind == null || e.err != nil {
		return value{}
	}
	base := len(e.elements)
	size, holds := len(e.list(of)), 0
	for i := 0; i < size && e.err == nil; i++ {
		if n.body == nil {
			holds++
			continue
		}
		e.stack = append(e.stack, e.elements[base+i])
		v := n.body.eval(e)
		e.stack = e.stack[:len(e.stack)-1]
		if v.truth() {
			holds++
		}
	}
	e.elements = e.elements[:base]
	switch n.name {
	case "all":
		return boolValue(holds == size)
	case "any":
		return boolValue(holds > 0)
	case "none":
		return boolValue(holds == 0)
	case "one":
		return boolValue(holds == 1)
	}
	return intValue(int64(holds))
}

func (n *quantifier) infer(s *shape) typ {
	of := n.of.infer(s)
	element := typ{}
	switch {
	case of.class == array && of.field != nil && of.field.Element != nil:
		element = typeOf(of.field.Element)
	case of.class != unknown && of.class != array && of.class != nothing && of.class != words:
		s.fail("%s needs a list, and this is %s", n.name, classNames[of.class])
	}
	if n.body != nil {
		s.elements = append(s.elements, element)
		s.condition(n.name, n.body.infer(s))
		s.elements = s.elements[:len(s.elements)-1]
	}
	if n.name == "count" {
		return typ{class: whole, precision: 10}
	}
	return typ{class: truth}
}

// elementPointer is # in a quantifier's condition.
type elementPointer struct{}

func (elementPointer) eval(e *env) value {
	if len(e.stack) == 0 {
		return e.fail(errors.New("# outside of a condition on a list's elements"))
	}
	return e.stack[len(e.stack)-1]
}

func (elementPointer) infer(s *shape) typ {
	if len(s.elements) == 0 {
		return typ{}
	}
	return s.elements[len(s.elements)-1]
}
