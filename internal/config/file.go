package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// readFile reads one --config argument: a path, path#block, or - for stdin.
func readFile(argument string, stdin io.Reader) ([]setting, []Notice, error) {
	path, block := splitBlock(argument)
	data, err := readAll(path, stdin)
	if err != nil {
		return nil, nil, &Error{Origin: "--config " + argument, Problem: fmt.Sprintf("reading the file: %v", plain(err))}
	}
	settings, notices, err := parseFile(path, block, data)
	if err == nil {
		return settings, notices, nil
	}
	origin, problem := path, err.Error()
	var syntax *syntaxError
	if errors.As(err, &syntax) && syntax.line > 0 {
		origin = fmt.Sprintf("%s:%d", path, syntax.line)
	}
	return nil, nil, &Error{Origin: origin, Problem: problem}
}

// plain is an error of the file system without the path, which the origin names.
func plain(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// splitBlock splits path#block, unless there is a file of the whole name.
func splitBlock(argument string) (path, block string) {
	at := strings.LastIndexByte(argument, '#')
	if at < 0 {
		return argument, ""
	}
	if _, err := os.Stat(argument); err == nil {
		return argument, ""
	}
	return argument[:at], argument[at+1:]
}

// mostBytes bounds the files that are read: what is larger, or never ends, is no
// configuration.
const mostBytes = 16 << 20

func readAll(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		return readBounded(path)
	}
	if stdin == nil {
		return nil, errors.New("there is no standard input")
	}
	return allOf(stdin)
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return allOf(file)
}

func allOf(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostBytes+1))
	if err == nil && len(data) > mostBytes {
		err = fmt.Errorf("it has more than %d bytes", mostBytes)
	}
	return data, err
}

// parseFile reads a file's text by the format its name says, else by its first
// character.
func parseFile(path, block string, data []byte) ([]setting, []Notice, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, nil, &syntaxError{line: 1 + bytes.Count(data[:at], []byte{'\n'}), err: errors.New("a NUL byte; want text in UTF-8")}
	}
	switch format(path, data) {
	case ".properties":
		if block != "" {
			return nil, nil, fmt.Errorf("a .properties file has no blocks; want %s without #%s", path, block)
		}
		pairs, err := parseProperties(data)
		return pairSettings(path, pairs), nil, err
	case ".yaml":
		root, err := parseYAML(data)
		if err != nil {
			return nil, nil, err
		}
		return treeSettings(path, block, root)
	default:
		root, err := parseJSON(data)
		if err != nil {
			return nil, nil, err
		}
		return treeSettings(path, block, root)
	}
}

func format(path string, data []byte) string {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".json", ".properties", ".yaml":
		return ext
	case ".yml":
		return ".yaml"
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return ".json"
	}
	return ".properties"
}

func pairSettings(path string, pairs []pair) []setting {
	settings := make([]setting, len(pairs))
	for i, p := range pairs {
		settings[i] = setting{name: p.name, text: p.text, origin: fmt.Sprintf("%s:%d", path, p.line)}
	}
	return settings
}

// treeSettings flattens a JSON or YAML file: a connector file, a bare object, or
// one block of a file of blocks.
func treeSettings(path, block string, root node) ([]setting, []Notice, error) {
	if root.kind != object {
		return nil, nil, errors.New("want an object of properties")
	}
	chosen, ok := root.member(block)
	ok = ok && block != "" && chosen.kind == object
	if ok {
		root = chosen
	}
	body, notices := connectorBody(path, root)
	settings := bodySettings(path, body)
	if block == "" {
		return settings, notices, nil
	}
	if !ok {
		if settings = transformSettings(block, settings); len(settings) == 0 {
			return nil, nil, fmt.Errorf("no block %q; want one of %s", block, strings.Join(choices(path, root), ", "))
		}
	}
	for i := range settings {
		settings[i].chosen = true
	}
	return settings, notices, nil
}

// bodySettings flattens an object of properties.
func bodySettings(path string, body node) []setting {
	var settings []setting
	for _, m := range body.members {
		nested := ""
		if m.node.kind == object {
			nested = m.key
		}
		flatten(m.key, m.node, func(name, text string, line int) {
			settings = append(settings, setting{name: name, text: text, origin: fmt.Sprintf("%s:%d", path, line), block: nested, file: path})
		})
	}
	return settings
}

// transformSettings are the properties of the transform of that name, which is a
// block of a file without others.
func transformSettings(name string, settings []setting) []setting {
	var own []setting
	for _, s := range settings {
		if strings.HasPrefix(s.name, transforms+"."+name+".") {
			own = append(own, s)
		}
	}
	return own
}

// choices lists what may stand behind # for a file: its members that are
// objects, or else its transforms.
func choices(path string, root node) []string {
	body, _ := connectorBody(path, root)
	if names := blocks(body); len(names) > 0 {
		return names
	}
	var names []string
	for _, s := range bodySettings(path, body) {
		if name, ok := transformOf(s.name); ok {
			names = append(names, name)
		}
	}
	return names
}

// blocks lists the members of root that are objects.
func blocks(root node) []string {
	var names []string
	for _, m := range root.members {
		if m.node.kind == object {
			names = append(names, m.key)
		}
	}
	return names
}

// connectorBody is the properties of a connector file {"name", "config"}, as it
// is posted to Kafka Connect or read from there; any other object is returned
// as it is.
func connectorBody(path string, root node) (node, []Notice) {
	config, ok := root.member("config")
	if !ok || config.kind != object {
		return root, nil
	}
	var notices []Notice
	body := node{kind: object}
	for _, m := range root.members {
		switch m.key {
		case "config":
		case "tasks", "type", "initial_state":
			notices = append(notices, Notice{m.key, "a field of Kafka Connect's REST calls; not used", fmt.Sprintf("%s:%d", path, m.node.line)})
		default:
			body.members = append(body.members, m)
		}
	}
	body.members = append(body.members, config.members...)
	return body, notices
}
