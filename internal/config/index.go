package config

import (
	"sort"
	"strings"
)

// index finds properties by the names that users write.
type index struct {
	exact    map[string]*Property
	old      map[string]*Property
	prefixes []prefix // longest first
	names    []string // every name that is not a prefix, old ones too, sorted
	order    []*Property
}

// prefix is a property for all names that begin with text.
type prefix struct {
	text     string
	property *Property
	old      bool
}

// newIndex joins tables. Where two have one name, that which is used wins over
// an inert one, else the first.
func newIndex(tables []Table) *index {
	x := &index{exact: make(map[string]*Property), old: make(map[string]*Property)}
	chosen := make(map[string]*Property)
	for _, table := range tables {
		for i := range table.Properties {
			p := &table.Properties[i]
			first, ok := chosen[p.Name]
			if !ok {
				x.order = append(x.order, p)
			}
			if !ok || (first.Inert != "" && p.Inert == "") {
				chosen[p.Name] = p
			}
		}
	}
	for i, p := range x.order {
		x.order[i] = chosen[p.Name]
		x.add(chosen[p.Name])
	}
	sort.SliceStable(x.prefixes, func(i, j int) bool { return len(x.prefixes[i].text) > len(x.prefixes[j].text) })
	sort.Strings(x.names)
	return x
}

func (x *index) add(p *Property) {
	for i, name := range append([]string{p.Name}, p.Old...) {
		if strings.HasSuffix(name, ".*") {
			x.prefixes = append(x.prefixes, prefix{strings.TrimSuffix(name, "*"), p, i > 0})
			continue
		}
		x.names = append(x.names, name)
		if i == 0 {
			x.exact[name] = p
		} else {
			x.old[name] = p
		}
	}
}

// find returns the property that name stands for and its name now, which is
// another for an old name; nil if there is none.
func (x *index) find(name string) (p *Property, now string) {
	if p = x.exact[name]; p != nil {
		return p, name
	}
	if p = x.old[name]; p != nil {
		return p, p.Name
	}
	for _, pre := range x.prefixes {
		if rest, ok := strings.CutPrefix(name, pre.text); ok && rest != "" {
			if pre.old {
				return pre.property, strings.TrimSuffix(pre.property.Name, "*") + rest
			}
			return pre.property, name
		}
	}
	return nil, ""
}

// nearest is the known name that name was most likely meant to be, or "". For
// a name under a mistyped prefix it is the name under the right one.
func (x *index) nearest(name string) string {
	if found := Nearest(name, x.names); found != "" {
		_, now := x.find(found)
		return now
	}
	for _, pre := range x.prefixes {
		parts := strings.SplitAfter(name, ".")
		count := strings.Count(pre.text, ".")
		if len(parts) <= count {
			continue
		}
		head := strings.Join(parts[:count], "")
		if Nearest(head, []string{pre.text}) != "" {
			return pre.text + name[len(head):]
		}
	}
	return ""
}
