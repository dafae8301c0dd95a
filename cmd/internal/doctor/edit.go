package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Corrected returns a configuration with changes made to it: the order, the
// formatting and everything else stay as they are. The error names a property
// that cannot be changed there.
func Corrected(path string, data []byte, changes []Change) ([]byte, error) {
	edit := editProperties
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		edit = func([]byte, Change) ([]byte, error) {
			return nil, errors.New("YAML is not changed by this command; write it by hand")
		}
	case ".json":
		edit = editJSON
	default:
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			edit = editJSON
		}
	}
	for _, c := range changes {
		var err error
		if data, err = edit(data, c); err != nil {
			return nil, fmt.Errorf("changing %s in %s: %w", c.Property, path, err)
		}
	}
	return data, nil
}

// span is where a member of a JSON object stands: from the first byte of its
// name to the last of its value.
type span struct {
	name                 string
	from, nameEnd, value int
	to                   int
}

// members finds the members of the object that data begins with, blanks aside.
func members(data []byte) ([]span, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("an object is wanted")
	}
	var spans []span
	for d.More() {
		s := span{from: skip(data, int(d.InputOffset()))}
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		s.name, _ = token.(string)
		s.nameEnd = int(d.InputOffset())
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		s.to = int(d.InputOffset())
		s.value = s.to - len(value)
		spans = append(spans, s)
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return spans, nil
}

// skip is the offset of the first byte from at on that is no blank or comma.
func skip(data []byte, at int) int {
	for at < len(data) && strings.ContainsRune(" \t\r\n,", rune(data[at])) {
		at++
	}
	return at
}

// editJSON changes one property of a connector file or a bare object.
func editJSON(data []byte, c Change) ([]byte, error) {
	base, spans, err := body(data)
	if err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	at := find(spans, c.as)
	switch {
	case c.Remove && at < 0:
		return data, nil
	case c.Remove:
		return removeMember(data, base, spans, at), nil
	case at >= 0:
		s := spans[at]
		return replace(data, base+s.value, base+s.to, quote(c.Text)), nil
	case len(spans) == 0:
		return nil, errors.New("the file has no properties")
	}
	beside := find(spans, c.after)
	if beside < 0 {
		beside = len(spans) - 1
	}
	return insertMember(data, base, spans, beside, c), nil
}

// body finds the properties of a file: the members of config, or of the whole;
// spans count from base.
func body(data []byte) (base int, spans []span, err error) {
	if spans, err = members(data); err != nil {
		return 0, nil, err
	}
	at := find(spans, "config")
	if at < 0 || data[spans[at].value] != '{' {
		return 0, spans, nil
	}
	base = spans[at].value
	spans, err = members(data[base:])
	return base, spans, err
}

// find is the last member of a name, which is the one that counts; -1 if there
// is none.
func find(spans []span, name string) int {
	for i := len(spans) - 1; i >= 0; i-- {
		if spans[i].name == name {
			return i
		}
	}
	return -1
}

// insertMember writes a new member behind another, with the blanks that this one
// has around it.
func insertMember(data []byte, base int, spans []span, beside int, c Change) []byte {
	s := spans[beside]
	from := base + s.from
	start := from
	for start > 0 && strings.ContainsRune(" \t\r\n", rune(data[start-1])) {
		start--
	}
	blanks, colon := string(data[start:from]), string(data[base+s.nameEnd:base+s.value])
	text := "," + blanks + quote(c.as) + colon + quote(c.Text)
	return replace(data, base+s.to, base+s.to, text)
}

// removeMember takes a member out together with the comma before it, or behind
// it if it is the first.
func removeMember(data []byte, base int, spans []span, at int) []byte {
	switch {
	case at > 0:
		return replace(data, base+spans[at-1].to, base+spans[at].to, "")
	case len(spans) > 1:
		return replace(data, base+spans[0].from, base+spans[1].from, "")
	}
	return replace(data, base+spans[0].from, base+spans[0].to, "")
}

func replace(data []byte, from, to int, text string) []byte {
	return slices.Concat(data[:from], []byte(text), data[to:])
}

// quote is a JSON string, with <, > and & as they are.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // a string is always encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// editProperties changes one property of a .properties file, which is on a line
// of its own.
func editProperties(data []byte, c Change) ([]byte, error) {
	lines := strings.SplitAfter(string(data), "\n")
	at, beside := -1, len(lines)-1
	for i, line := range lines {
		switch name := propertyName(line); {
		case name == c.as:
			at = i
		case name == c.after && c.after != "":
			beside = i
		}
	}
	if at >= 0 && strings.HasSuffix(strings.TrimRight(lines[at], "\r\n"), `\`) {
		return nil, errors.New("its text goes on over several lines; write it by hand")
	}
	line := c.as + "=" + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(c.Text) + "\n"
	switch {
	case c.Remove && at >= 0:
		lines = slices.Delete(lines, at, at+1)
	case c.Remove:
	case at >= 0:
		lines[at] = line
	default:
		if lines[beside] != "" && !strings.HasSuffix(lines[beside], "\n") {
			lines[beside] += "\n"
		}
		lines = slices.Insert(lines, min(beside+1, len(lines)), line)
	}
	return []byte(strings.Join(lines, "")), nil
}

// propertyName is what a line of a .properties file sets, "" for nothing.
func propertyName(line string) string {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == '!' {
		return ""
	}
	if end := strings.IndexAny(line, "=: \t"); end >= 0 {
		return line[:end]
	}
	return line
}
