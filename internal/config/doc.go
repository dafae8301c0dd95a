package config

import (
	"fmt"
	"io"
	"strings"
)

// Component is one binary for docs/configuration.md.
type Component struct {
	Name   string // the binary
	Doc    string // what it does, a sentence
	Tables []Table
}

const configurationIntro = `# Configuration

*Generated from the property tables in the source (run a component with --help for the short form); a test fails when this file is stale.*

A component is started as ` + "`weir-x --config connector.json [--config more.properties] [--set name=value]`" + `.

- **Files** are Kafka Connect connector files (` + "`{\"name\": …, \"config\": {…}}`" + `), bare JSON objects, ` + "`.properties`" + ` or YAML.
  Nested objects are flattened with dots, arrays of texts are comma-separated lists, the items of other arrays are numbered from 0.
  ` + "`-`" + ` is standard input. ` + "`--config file#block`" + ` takes one named block of a file of blocks, or one transform of any other file by its name; where nothing sets ` + "`transforms`" + `, the transforms of the blocks are applied in their order.
- **Later files win** over earlier ones, environment variables over files, ` + "`--set`" + ` over everything.
- **Variables** are ` + "`WEIR_`" + ` and the property in capitals with underscores for dots (` + "`WEIR_DATABASE_PASSWORD`" + `). Any property can be set by ` + "`WEIR_SET_<n>=name=value`" + `.
- **References** in values: ` + "`${env:NAME}`" + ` a variable, ` + "`${file:path:key}`" + ` a key of a .properties file, ` + "`${dir:path:key}`" + ` the content of the file key in a folder.
- An **old name** is used, with a notice that names the new one. A property that is **known but without effect** is accepted with a notice that says why. An **unknown** one is an error that names the nearest known one.
- Everything that is wrong is reported at once. Secrets are shown as stars.
- ` + "`--validate`" + ` checks the configuration and the servers and changes nothing.
- Durations are milliseconds, sizes are bytes. Regular expressions must match the whole name and ignore case.

SIGTERM ends a component within 10 s, with everything durable committed. It ends with

| code | when |
|---|---|
| 0 | it was asked to, or had nothing left to do |
| 1 | it could not go on, or did not stop in time |
| 2 | flags or configuration are wrong |
| 3 | ` + "`--validate`" + `: a server cannot be reached, or is not as it must be |
| 4 | it halted because going on could lose or double data: starting it again does not help, the log says what does |
| SIGABRT | it crashed |
`

// Markdown is docs/configuration.md: which tables each component takes, then
// every table once.
func Markdown(components []Component) string {
	var b strings.Builder
	b.WriteString(configurationIntro)
	var tables []Table
	seen := make(map[string]bool)
	b.WriteString("\n## Components\n\n| component | takes |\n|---|---|\n")
	for _, c := range components {
		var links []string
		for _, t := range c.Tables {
			links = append(links, fmt.Sprintf("[%s](#%s)", t.Name, anchor(t.Name)))
			if !seen[t.Name] {
				seen[t.Name] = true
				tables = append(tables, t)
			}
		}
		fmt.Fprintf(&b, "| `%s` %s | %s |\n", c.Name, c.Doc, strings.Join(links, ", "))
	}
	for _, t := range tables {
		markdownTable(&b, t)
	}
	return b.String()
}

// anchor is the address GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

func markdownTable(b *strings.Builder, t Table) {
	fmt.Fprintf(b, "\n## %s\n", t.Name)
	if t.Doc != "" {
		fmt.Fprintf(b, "\n%s\n", t.Doc)
	}
	var used, inert []Property
	for _, p := range t.Properties {
		if p.Inert == "" {
			used = append(used, p)
		} else {
			inert = append(inert, p)
		}
	}
	if len(used) > 0 {
		b.WriteString("\n| property | type | default | |\n|---|---|---|---|\n")
	}
	for _, p := range used {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", p.Name, p.kind(), p.shownDefault(), cell(p.meaning()))
	}
	if len(inert) > 0 {
		b.WriteString("\nAccepted without effect:\n\n| property | because |\n|---|---|\n")
	}
	for _, p := range inert {
		fmt.Fprintf(b, "| %s | %s |\n", codes(append([]string{p.Name}, p.Old...)), cell(p.Inert))
	}
}

// cell makes a text fit a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
}

func codes(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

// kind is the property's type in words.
func (p *Property) kind() string {
	if len(p.Values) > 0 && p.Type != List && p.Type != Class {
		return "choice"
	}
	return map[Type]string{String: "text", Bool: "true, false", Int: "number", Float: "number", Millis: "ms", Bytes: "bytes",
		List: "list", Regexes: "list of regexes", Secret: "secret", Class: "class"}[p.Type]
}

func (p *Property) shownDefault() string {
	if p.Required {
		return "**required**"
	}
	if p.Default == "" {
		return ""
	}
	return "`" + cell(p.Default) + "`"
}

// meaning is the doc with what may be written and the old names.
func (p *Property) meaning() string {
	text := p.Doc
	if len(p.Values) > 0 {
		each := " One of "
		if p.Type == List {
			each = " Some of "
		}
		text += each + codes(shownValues(p.Values)) + "."
	}
	if bounds := strings.TrimLeft(p.bounds(), ", "); bounds != "" {
		text += " " + strings.ToUpper(bounds[:1]) + bounds[1:] + "."
	}
	if len(p.Old) > 0 {
		text += " Old: " + codes(p.Old) + "."
	}
	return text
}

// Help writes the properties of tables for a terminal: grouped, a line for each
// with its default and the first sentence of its doc. Those without effect are
// left out.
func Help(w io.Writer, tables ...Table) error {
	var b strings.Builder
	x := newIndex(tables)
	shown := make(map[string]bool)
	for _, t := range tables {
		var lines strings.Builder
		for _, p := range t.Properties {
			if now, _ := x.find(p.Name); p.Inert != "" || shown[p.Name] || (now != nil && now.Inert != "") {
				continue
			}
			shown[p.Name] = true
			helpLine(&lines, &p)
		}
		if lines.Len() > 0 {
			fmt.Fprintf(&b, "\n%s\n%s", t.Name, lines.String())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The columns of --help.
const (
	nameColumn    = 36
	defaultColumn = 14
	helpWidth     = 120
)

func helpLine(b *strings.Builder, p *Property) {
	def := p.Default
	if p.Required {
		def = "required"
	}
	b.WriteString(strings.TrimRight(fmt.Sprintf("  %-*s %-*s", nameColumn, p.Name, defaultColumn, def), " "))
	indent := 2 + nameColumn + 1 + defaultColumn + 1
	column := indent - 1
	switch {
	case len(p.Name) > nameColumn || len(def) > defaultColumn:
		fmt.Fprintf(b, "\n%*s", column, "")
	case def == "":
		fmt.Fprintf(b, "%*s", column-2-len(p.Name), "")
	default:
		fmt.Fprintf(b, "%*s", defaultColumn-len(def), "")
	}
	for _, word := range strings.Fields(firstSentence(p.Doc)) {
		if column+1+len([]rune(word)) > helpWidth {
			fmt.Fprintf(b, "\n%*s", indent-1, "")
			column = indent - 1
		}
		b.WriteString(" " + word)
		column += 1 + len([]rune(word))
	}
	b.WriteString("\n")
}

// firstSentence is a text up to its first full stop that ends a sentence.
func firstSentence(text string) string {
	if end := strings.Index(text, ". "); end >= 0 {
		return text[:end+1]
	}
	return text
}
