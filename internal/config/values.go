package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Values are the resolved, checked settings of one component. Reading a
// property that no table has, or as another type than its own, panics: that is
// a mistake of the program. Values may be read from several goroutines once
// every room has made its Config.
type Values struct {
	index    *index
	resolver *resolver
	prefix   string
	byName   map[string]*value
	order    []*value
	notices  []Notice
	broken   []string // names whose texts could not be read
}

// Format writes the connector's name only, so that printing Values shows no
// secret.
func (v Values) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "configuration of "+v.text("name"))
}

// Name is the connector's name.
func (v *Values) Name() string { return v.String("name") }

// Has reports whether the user set the property. An empty text is no setting
// unless it takes the place of a default.
func (v *Values) Has(name string) bool {
	found := v.byName[name]
	return found != nil && (strings.TrimSpace(found.text) != "" || found.property.Default != "")
}

// Written is the name by which the user set a property, which may be an old
// one, and where: file:line, --set or a variable. ok is false if it is not set.
func (v *Values) Written(name string) (as, origin string, ok bool) {
	found := v.byName[name]
	if found == nil {
		return name, "", false
	}
	return v.prefix + found.as, found.origin, true
}

// String is the text of a property of type String or Class. One of the
// property's Values is returned as it stands there.
func (v *Values) String(name string) string { return v.get(name, String, Class).text }

// Bool is the value of a property of type Bool; false if unset.
func (v *Values) Bool(name string) bool { return v.get(name, Bool).flag }

// Int is the value of a property of type Int or Bytes; 0 if unset.
func (v *Values) Int(name string) int { return int(v.get(name, Int, Bytes).number) }

// Float is the value of a property of type Float; 0 if unset.
func (v *Values) Float(name string) float64 { return v.get(name, Float).float }

// Duration is the value of a property of type Millis; 0 if unset.
func (v *Values) Duration(name string) time.Duration {
	return time.Duration(v.get(name, Millis).number) * time.Millisecond
}

// List is the items of a property of type List; nil if there is none.
func (v *Values) List(name string) []string { return slices.Clone(v.get(name, List).list) }

// Regexes is the expressions of a property of type Regexes; nil if there is none.
func (v *Values) Regexes(name string) RegexList { return v.get(name, Regexes).regexes }

// Secret is the value of a property of type Secret.
func (v *Values) Secret(name string) SecretText { return NewSecret(v.get(name, Secret).text) }

// Under maps the rest of every name that was set and begins with prefix to its
// text: for "transforms.", unwrap.type → io.debezium….
func (v *Values) Under(prefix string) map[string]string {
	out := make(map[string]string)
	for _, found := range v.order {
		if rest, ok := strings.CutPrefix(found.name, prefix); ok && rest != "" {
			out[rest] = found.text
		}
	}
	return out
}

// NamesUnder lists the rests of names as Under has them, in the order in which
// they were written, for where the order means something.
func (v *Values) NamesUnder(prefix string) []string {
	var out []string
	for _, found := range v.order {
		if rest, ok := strings.CutPrefix(found.name, prefix); ok && rest != "" {
			out = append(out, rest)
		}
	}
	return out
}

// Sub checks what was set under prefix ("transforms.unwrap.") by tables of its
// own and returns it under the rests of the names. Errors name the whole
// property; notices are kept in v.
func (v *Values) Sub(prefix string, tables ...Table) (*Values, error) {
	var l loading
	for _, found := range v.order {
		if rest, ok := strings.CutPrefix(found.name, prefix); ok && rest != "" {
			l.settings = append(l.settings, setting{name: rest, text: found.written, origin: found.origin})
		}
	}
	sub := check(newIndex(tables), l.settings, v.resolver, v.prefix+prefix, &l)
	v.notices = append(v.notices, sub.notices...)
	return sub, errors.Join(l.errs...)
}

// Error is a mistake in a property, with the value and where it was set; want
// is what would be right.
func (v *Values) Error(name, want string) error {
	e := &Error{Property: v.prefix + name, Want: want}
	v.locate(e, name)
	return e
}

// Notice adds a notice about a property; Notices returns it.
func (v *Values) Notice(name, text string) {
	n := Notice{Property: v.prefix + name, Text: text}
	if found := v.byName[name]; found != nil {
		n.Origin = found.origin
	}
	v.notices = append(v.notices, n)
}

// Notices are all notices so far.
func (v *Values) Notices() []Notice { return slices.Clone(v.notices) }

// Complete joins the errors of Load and those that rooms found in the same
// Values: it adds where a property was set, hides secrets, and leaves out what a
// room says of a property that Load could not read.
func (v *Values) Complete(load error, rooms ...error) error {
	known := properties(load)
	all := Errors(load)
	for _, room := range rooms {
		for _, err := range Errors(room) {
			var e *Error
			if !errors.As(err, &e) {
				all = append(all, err)
				continue
			}
			if known[e.Property] {
				continue
			}
			v.locate(e, strings.TrimPrefix(e.Property, v.prefix))
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// locate fills in where a property was set and its value as it may be shown.
func (v *Values) locate(e *Error, name string) {
	if found := v.byName[name]; found != nil {
		e.Value, e.Origin = found.shown(), found.origin
	} else if p, _ := v.index.find(name); e.Value != "" && p != nil && isSecret(name, p) {
		e.Value = hidden(e.Value)
	}
}

// text is the text of a property that may be missing from the tables.
func (v *Values) text(name string) string {
	if found := v.byName[name]; found != nil {
		return found.text
	}
	return ""
}

// get is the value of a property of one of types, its default if unset.
func (v *Values) get(name string, types ...Type) *value {
	found := v.byName[name]
	p, _ := v.index.find(name)
	if p == nil || (p.Name != name && !strings.HasSuffix(p.Name, ".*")) {
		panic(fmt.Sprintf("no table has the property %s", name))
	}
	if !slices.Contains(types, p.Type) {
		panic(fmt.Sprintf("%s is not of type %v", name, types))
	}
	if found != nil {
		return found
	}
	return p.unset()
}

// unset is the value of a property that is not set.
func (p *Property) unset() *value {
	out := &value{name: p.Name, property: p}
	if p.Default == "" {
		return out
	}
	if err := out.read(p.Default); err != nil {
		panic(fmt.Sprintf("the default of %s: %v", p.Name, err))
	}
	return out
}
