package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Lint finds the mistakes in a component's tables, for a test: names that clash,
// defaults that their own checks refuse, properties without a doc.
func Lint(tables ...Table) error {
	l := &linting{owner: make(map[string]*Property), variables: make(map[string]string)}
	for _, t := range tables {
		if t.Name == "" || t.Doc == "" {
			l.report(t.Name, "a table wants a name and a doc")
		}
		for i := range t.Properties {
			l.property(&t.Properties[i])
		}
	}
	return errors.Join(l.errs...)
}

type linting struct {
	owner     map[string]*Property
	variables map[string]string
	errs      []error
}

func (l *linting) report(name, problem string) {
	l.errs = append(l.errs, fmt.Errorf("%s: %s", name, problem))
}

func (l *linting) property(p *Property) {
	if p.Inert == "" && p.Doc == "" {
		l.report(p.Name, "no doc")
	}
	if p.Inert != "" && p.Required {
		l.report(p.Name, "required, and without effect")
	}
	if p.Default != "" && p.Inert == "" {
		v := &value{name: p.Name, property: p}
		if err := v.read(p.Default); err != nil {
			l.report(p.Name, fmt.Sprintf("its default %q: %v", p.Default, err))
		}
	}
	for _, name := range append([]string{p.Name}, p.Old...) {
		l.name(name, p)
	}
}

// same reports whether two tables mean one property, which both of their rooms
// read.
func same(a, b *Property) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Default == b.Default && a.Min == b.Min && a.Max == b.Max && slices.Equal(a.Values, b.Values)
}

// name reports two used properties of one name or variable.
func (l *linting) name(name string, p *Property) {
	if other := l.owner[name]; other != nil && other.Inert == "" && p.Inert == "" && !same(other, p) {
		l.report(name, fmt.Sprintf("is a name of %s and of %s", other.Name, p.Name))
	}
	if other := l.owner[name]; other == nil || other.Inert != "" {
		l.owner[name] = p
	}
	if strings.HasSuffix(name, ".*") {
		return
	}
	if other, taken := l.variables[Variable(name)]; taken && other != name {
		l.report(name, fmt.Sprintf("has the same variable as %s", other))
	}
	l.variables[Variable(name)] = name
}
