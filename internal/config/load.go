package config

import (
	"errors"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Sources are where a configuration comes from. Later files win over earlier
// ones, variables over files, Set over all.
type Sources struct {
	Files   []string  // --config: a path, path#block, or - for Stdin
	Set     []string  // --set: name=value
	Environ []string  // as os.Environ: WEIR_… variables, and what ${env:NAME} means
	Stdin   io.Reader // may be nil
}

// Load reads and checks a component's configuration. The error joins everything
// that is wrong with it, as *Error. Values are returned even then, with the
// defaults in place of what is wrong, so that rooms can add what they find; they
// are not to be used otherwise.
func Load(sources Sources, tables ...Table) (*Values, []Notice, error) {
	x := newIndex(tables)
	l := gather(sources, x)
	v := check(x, l.settings, newResolver(sources.Environ), "", l)
	return v, v.Notices(), errors.Join(l.errs...)
}

// gather reads all sources.
func gather(sources Sources, x *index) *loading {
	var l loading
	for i, file := range sources.Files {
		settings, notices, err := readFile(file, sources.Stdin)
		l.unread = l.unread || err != nil && len(settings) == 0
		l.take(i, settings, notices, err)
	}
	settings, notices, err := environment(sources.Environ, x)
	l.take(len(sources.Files), settings, notices, err)
	settings, err = flags(sources.Set)
	l.take(len(sources.Files)+1, settings, nil, err)
	return &l
}

// Parse checks properties as Load does, in the order of their names, for tests
// and for configurations that are no files. There are no variables.
func Parse(properties map[string]string, tables ...Table) (*Values, []Notice, error) {
	var l loading
	for name, text := range properties {
		l.settings = append(l.settings, setting{name: name, text: text})
	}
	sort.Slice(l.settings, func(i, j int) bool { return l.settings[i].name < l.settings[j].name })
	v := check(newIndex(tables), l.settings, newResolver(nil), "", &l)
	return v, v.Notices(), errors.Join(l.errs...)
}

// loading collects what was read and what is wrong with it.
type loading struct {
	settings []setting
	notices  []Notice
	errs     []error
	unread   bool // a file could not be read: nobody knows what it would have set
}

func (l *loading) take(source int, settings []setting, notices []Notice, err error) {
	for _, s := range settings {
		s.source = source
		l.settings = append(l.settings, s)
	}
	l.notices = append(l.notices, notices...)
	l.errs = append(l.errs, Errors(err)...)
}

// flags reads --set arguments.
func flags(set []string) ([]setting, error) {
	var settings []setting
	var errs []error
	for _, argument := range set {
		name, text, ok := strings.Cut(argument, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			errs = append(errs, &Error{Origin: "--set", Property: name, Problem: "want --set name=value"})
			continue
		}
		settings = append(settings, setting{name: name, text: text, origin: "--set"})
	}
	return settings, errors.Join(errs...)
}

const (
	variablePrefix = "WEIR_"
	setPrefix      = "WEIR_SET_"
)

// Variable is the name of the environment variable that sets a property.
func Variable(property string) string {
	return variablePrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(property))
}

// environment reads WEIR_… variables: WEIR_ and a known property's name in
// capitals with _ for dots, or WEIR_SET_<n>=name=value, in the order of n. Other
// WEIR_ variables are not errors, since Kubernetes makes some for services.
func environment(environ []string, x *index) ([]setting, []Notice, error) {
	known := make(map[string]string, len(x.names))
	for _, name := range x.names {
		if _, taken := known[Variable(name)]; !taken || x.exact[name] != nil {
			known[Variable(name)] = name
		}
	}
	var settings []setting
	var notices []Notice
	var errs []error
	for _, entry := range sortedVariables(environ) {
		variable, text, _ := strings.Cut(entry, "=")
		name := known[variable]
		if strings.HasPrefix(variable, setPrefix) {
			var ok bool
			if name, text, ok = strings.Cut(text, "="); !ok || strings.TrimSpace(name) == "" {
				errs = append(errs, &Error{Origin: variable, Problem: "want " + variable + "=name=value"})
				continue
			}
			name = strings.TrimSpace(name)
		}
		if name == "" {
			notices = append(notices, unknownVariable(variable, known))
			continue
		}
		settings = append(settings, setting{name: name, text: text, origin: variable})
	}
	return settings, notices, errors.Join(errs...)
}

func unknownVariable(variable string, known map[string]string) Notice {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	text := "not the variable of a property; ignored"
	if near := Nearest(variable, names); near != "" {
		text += "; did you mean " + near + "?"
	}
	return Notice{Property: variable, Text: text}
}

// sortedVariables are the WEIR_ variables in the order of their names,
// WEIR_SET_2 before WEIR_SET_10 and after all others.
func sortedVariables(environ []string) []string {
	var out []string
	for _, entry := range environ {
		if strings.HasPrefix(entry, variablePrefix) {
			out = append(out, entry)
		}
	}
	number := func(entry string) int {
		name, _, _ := strings.Cut(entry, "=")
		digits, ok := strings.CutPrefix(name, setPrefix)
		if !ok {
			return -1
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return 0
		}
		return n
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := number(out[i]), number(out[j]); a != b {
			return a < b
		}
		return out[i] < out[j]
	})
	return out
}

// LoadPart reads what tables know of a configuration and leaves the rest aside,
// for tools that want a part of a component's configuration.
func LoadPart(sources Sources, tables ...Table) (*Values, error) {
	x := newIndex(tables)
	l := gather(sources, x)
	l.settings = slices.DeleteFunc(l.settings, func(s setting) bool {
		p, _ := x.find(s.name)
		return p == nil
	})
	v := check(x, l.settings, newResolver(sources.Environ), "", l)
	return v, errors.Join(l.errs...)
}

// Knows reports whether one of tables has a property of that name, old names and
// prefixes included.
func Knows(name string, tables ...Table) bool {
	p, _ := newIndex(tables).find(name)
	return p != nil
}
