package config

import "strings"

// setting is one name and text as the user gave it.
type setting struct {
	name   string
	text   string // unresolved
	origin string // file:line, --set, a variable's name; "" for Parse
	source int    // number of the file, flag or environment: later ones win
	// block is the top-level key of a file under which the setting was nested,
	// and file that file, to tell a file of named blocks from a nested one.
	block, file string
	// chosen says that the setting came from a block that was asked for with
	// file#block.
	chosen bool
}

// node is what a JSON or YAML file holds: a text, an object in its order, or an
// array. null is a node of kind nothing.
type node struct {
	kind    nodeKind
	text    string
	line    int
	members []member
	items   []node
}

type nodeKind uint8

const (
	nothing nodeKind = iota
	scalar
	object
	array
)

type member struct {
	key  string
	node node
}

// member returns the value of the last member called key.
func (n *node) member(key string) (node, bool) {
	for i := len(n.members) - 1; i >= 0; i-- {
		if n.members[i].key == key {
			return n.members[i].node, true
		}
	}
	return node{}, false
}

// flatten calls emit for every text below n: names of nested objects are joined
// by dots, an array of texts is one comma-separated text, and the items of any
// other array are numbered from 0. null sets nothing.
func flatten(name string, n node, emit func(name, text string, line int)) {
	switch n.kind {
	case scalar:
		emit(name, n.text, n.line)
	case object:
		for _, m := range n.members {
			flatten(joinName(name, m.key), m.node, emit)
		}
	case array:
		flattenArray(name, n, emit)
	}
}

func flattenArray(name string, n node, emit func(name, text string, line int)) {
	texts := make([]string, 0, len(n.items))
	for _, item := range n.items {
		if item.kind == scalar {
			texts = append(texts, item.text)
		}
	}
	if len(texts) == len(n.items) {
		emit(name, strings.Join(texts, ","), n.line)
		return
	}
	for i, item := range n.items {
		flatten(joinName(name, itoa(i)), item, emit)
	}
}

func joinName(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
