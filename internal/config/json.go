package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// deepest is how far objects and arrays may be nested.
const deepest = 100

var errTooDeep = fmt.Errorf("nested more than %d deep", deepest)

// syntaxError is a file that cannot be read, at a line (from 1; 0: unknown).
type syntaxError struct {
	line int
	err  error
}

func (e *syntaxError) Error() string { return e.err.Error() }
func (e *syntaxError) Unwrap() error { return e.err }

// parseJSON reads one JSON value, keeping the order of members and the text of
// numbers.
func parseJSON(data []byte) (node, error) {
	p := &jsonParser{data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	p.decoder.UseNumber()
	root, err := p.value(0)
	if err == nil {
		if _, more := p.decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end of the JSON value")
		}
	}
	if err != nil {
		return node{}, &syntaxError{line: p.line(), err: fmt.Errorf("reading JSON: %w", err)}
	}
	return root, nil
}

type jsonParser struct {
	data    []byte
	decoder *json.Decoder
	seen    int // offset up to which lines are counted
	lines   int
}

// line is the number of the line that was read last, from 1.
func (p *jsonParser) line() int {
	to := min(int(p.decoder.InputOffset()), len(p.data))
	p.lines += bytes.Count(p.data[p.seen:to], []byte{'\n'})
	p.seen = to
	return p.lines + 1
}

func (p *jsonParser) value(depth int) (node, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return node{}, endless(err)
	}
	n := node{kind: scalar, line: p.line()}
	switch t := token.(type) {
	case string:
		n.text = t
	case json.Number:
		n.text = t.String()
	case bool:
		n.text = strconv.FormatBool(t)
	case nil:
		n.kind = nothing
	case json.Delim:
		return p.nested(n, t, depth+1)
	}
	return n, nil
}

func (p *jsonParser) nested(n node, open json.Delim, depth int) (node, error) {
	if depth > deepest {
		return node{}, errTooDeep
	}
	n.kind = object
	if open == '[' {
		n.kind = array
	}
	for p.decoder.More() {
		if err := p.element(&n, depth); err != nil {
			return node{}, err
		}
	}
	_, err := p.decoder.Token() // the closing bracket
	return n, endless(err)
}

func (p *jsonParser) element(n *node, depth int) error {
	if n.kind == array {
		item, err := p.value(depth)
		n.items = append(n.items, item)
		return err
	}
	token, err := p.decoder.Token()
	if err != nil {
		return endless(err)
	}
	key, ok := token.(string)
	if !ok {
		return fmt.Errorf("a name in quotes is wanted, not %v", token)
	}
	value, err := p.value(depth)
	n.members = append(n.members, member{key, value})
	return err
}

// endless names an end of file for what it is inside a value.
func endless(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the file ends inside a value")
	}
	return err
}

func itoa(i int) string { return strconv.Itoa(i) }
