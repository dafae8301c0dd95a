package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// mostNodes bounds what aliases may blow a YAML file up to.
const mostNodes = 100_000

// parseYAML reads one YAML document; texts stay as they are written (yes, 0x10,
// 1_000), anchors and merge keys are followed.
func parseYAML(data []byte) (node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, next yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) { // nothing but comments
			return node{kind: object, line: 1}, nil
		}
		return node{}, &syntaxError{err: fmt.Errorf("reading YAML: %w", err)}
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return node{}, &syntaxError{line: next.Line, err: errors.New("reading YAML: a second document; want one")}
	}
	c := &yamlConverter{}
	root, err := c.node(&document, 0)
	if err != nil {
		return node{}, &syntaxError{line: c.line, err: fmt.Errorf("reading YAML: %w", err)}
	}
	return root, nil
}

type yamlConverter struct {
	nodes int
	line  int
}

func (c *yamlConverter) node(y *yaml.Node, depth int) (node, error) {
	c.nodes++
	c.line = y.Line
	if depth > deepest {
		return node{}, errTooDeep
	}
	if c.nodes > mostNodes {
		return node{}, fmt.Errorf("more than %d values", mostNodes)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return c.node(y.Content[0], depth+1)
	case yaml.AliasNode:
		return c.node(y.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(y, depth)
	case yaml.SequenceNode:
		return c.sequence(y, depth)
	}
	if y.Tag == "!!null" {
		return node{line: y.Line}, nil
	}
	return node{kind: scalar, text: y.Value, line: y.Line}, nil
}

func (c *yamlConverter) sequence(y *yaml.Node, depth int) (node, error) {
	out := node{kind: array, line: y.Line}
	for _, item := range y.Content {
		n, err := c.node(item, depth+1)
		if err != nil {
			return node{}, err
		}
		out.items = append(out.items, n)
	}
	return out, nil
}

func (c *yamlConverter) mapping(y *yaml.Node, depth int) (node, error) {
	out := node{kind: object, line: y.Line}
	var merged []node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		n, err := c.node(value, depth+1)
		if err != nil {
			return node{}, err
		}
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, n)
		case key.Kind != yaml.ScalarNode:
			c.line = key.Line
			return node{}, errors.New("a name is wanted before the colon")
		default:
			out.members = append(out.members, member{key.Value, n})
		}
	}
	for _, m := range merged {
		out.merge(m)
	}
	return out, nil
}

// merge adds what from, the value of a YAML merge key, has and n has not; from
// is an object or an array of objects of which earlier ones win.
func (n *node) merge(from node) {
	for _, item := range from.items {
		n.merge(item)
	}
	for _, m := range from.members {
		if _, ok := n.member(m.key); !ok {
			n.members = append(n.members, m)
		}
	}
}
