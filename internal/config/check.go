package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// checking turns settings into Values, collecting what is wrong.
type checking struct {
	*loading
	index    *index
	resolver *resolver
	prefix   string // that was cut off the names, for messages
	values   *Values
}

// check merges settings by name, later sources winning, and reads their texts.
func check(x *index, settings []setting, r *resolver, prefix string, l *loading) *Values {
	c := &checking{loading: l, index: x, resolver: r, prefix: prefix,
		values: &Values{index: x, resolver: r, prefix: prefix, byName: make(map[string]*value)}}
	settings = c.withoutBlocks(settings)
	settings = c.implyTransforms(settings)
	settings = c.nameConverters(settings)
	for _, chosen := range c.merge(settings) {
		c.set(chosen)
	}
	if !c.unread {
		c.required()
	}
	c.unlistedTransforms()
	c.values.notices = c.notices
	return c.values
}

// named is a setting and what its name stands for.
type named struct {
	setting
	property *Property
	now      string
}

// merge chooses one setting for every name; unknown names are errors.
func (c *checking) merge(settings []setting) []named {
	var order []named
	at := make(map[string]int)
	for _, s := range settings {
		p, now := c.index.find(s.name)
		if p == nil {
			c.unknown(s)
			continue
		}
		n := named{s, p, now}
		if s.name != now && p.Inert == "" {
			c.notice(s, "the old name of "+c.prefix+now+"; used as that")
		}
		i, taken := at[now]
		if !taken {
			at[now] = len(order)
			order = append(order, n)
			continue
		}
		order[i] = c.winner(order[i], n)
	}
	return order
}

// winner is the one of two settings of a property that counts.
func (c *checking) winner(first, second named) named {
	if first.source != second.source {
		return second
	}
	kept, lost := second, first
	if first.name == first.now && second.name != second.now {
		kept, lost = first, second
	}
	if kept.text != lost.text {
		c.notice(lost.setting, fmt.Sprintf("set twice; that of %s counts", cmp.Or(kept.origin, kept.name)))
	}
	return kept
}

func (c *checking) notice(s setting, text string) {
	c.notices = append(c.notices, Notice{Property: c.prefix + s.name, Text: text, Origin: s.origin})
}

func (c *checking) unknown(s setting) {
	e := &Error{Property: c.prefix + s.name, Value: s.text, Problem: "unknown property", Origin: s.origin}
	if near := c.index.nearest(s.name); near != "" {
		e.Want = c.prefix + near
		e.Problem += "; did you mean " + c.prefix + near + "?"
		if p, _ := c.index.find(near); p.Type == Secret {
			e.Value = hidden(s.text)
		}
	}
	if soundsSecret(c.prefix + s.name) {
		e.Value = hidden(s.text)
	}
	if e.Value == "" {
		e.Value, e.Problem, e.Property = "", e.Property+": "+e.Problem, ""
	}
	c.errs = append(c.errs, e)
}

// hidden is a text as stars.
func hidden(text string) string { return NewSecret(text).String() }

// set resolves and reads one setting.
func (c *checking) set(n named) {
	if n.property.Inert != "" {
		c.notice(n.setting, "has no effect: "+n.property.Inert)
		return
	}
	v := &value{name: n.now, as: n.name, written: n.text, origin: n.origin, property: n.property}
	text, err := c.resolver.resolve(n.text)
	if err == nil {
		err = v.read(text)
	}
	if err != nil {
		e := &Error{Property: c.prefix + n.name, Value: v.shown(), Problem: err.Error(), Origin: n.origin}
		if isSecret(n.now, n.property) && text != "" && text != n.text {
			e.Problem = strings.ReplaceAll(e.Problem, text, stars)
		}
		c.errs = append(c.errs, e)
		c.values.broken = append(c.values.broken, n.now)
		return
	}
	c.values.byName[n.now] = v
	c.values.order = append(c.values.order, v)
}

func isSecret(name string, p *Property) bool {
	return p.Type == Secret || (strings.HasSuffix(p.Name, ".*") && soundsSecret(name))
}

// required reports properties that must be set and are not.
func (c *checking) required() {
	for _, p := range c.index.order {
		if !p.Required || c.values.Has(p.Name) || slices.Contains(c.values.broken, p.Name) {
			continue
		}
		want := p.want()
		if doc := firstSentence(p.Doc); doc != "" {
			want += " (" + strings.TrimSuffix(doc, ".") + ")"
		}
		c.errs = append(c.errs, &Error{Property: c.prefix + p.Name, Want: want})
	}
}
