package config

import (
	"fmt"
	"slices"
	"strings"
)

// A file that is not a whole connector may hold named blocks of properties, of
// which --config file#block chooses one.

// withoutBlocks reports files of named blocks that were given without the name
// of one, instead of the unknown properties they would be, and returns the
// settings of all others.
func (c *checking) withoutBlocks(settings []setting) []setting {
	names := make(map[string][]string)
	var files []string
	var rest []setting
	for _, s := range settings {
		if !c.inBlock(s) {
			rest = append(rest, s)
			continue
		}
		if _, seen := names[s.file]; !seen {
			files = append(files, s.file)
		}
		if !slices.Contains(names[s.file], s.block) {
			names[s.file] = append(names[s.file], s.block)
		}
	}
	for _, file := range files {
		c.errs = append(c.errs, &Error{Origin: file, Want: file + "#" + names[file][0],
			Problem: fmt.Sprintf("holds named blocks (%s); choose one, as --config %s#%s", strings.Join(names[file], ", "), file, names[file][0])})
	}
	return rest
}

// inBlock reports whether a setting is unknown as it is but known without the
// first part of its name, under which it was nested.
func (c *checking) inBlock(s setting) bool {
	if s.block == "" {
		return false
	}
	if p, _ := c.index.find(s.name); p != nil {
		return false
	}
	p, _ := c.index.find(strings.TrimPrefix(s.name, s.block+"."))
	return p != nil
}

const transforms = "transforms"

// implyTransforms adds the list transforms where a chosen block has transforms
// and nobody gave a list.
func (c *checking) implyTransforms(settings []setting) []setting {
	if c.index.exact[transforms] == nil {
		return settings
	}
	var aliases []string
	var from setting
	for _, s := range settings {
		if s.name == transforms {
			return settings
		}
		alias, ok := transformOf(s.name)
		if ok && s.chosen && !slices.Contains(aliases, alias) {
			aliases = append(aliases, alias)
			from = s
		}
	}
	if aliases == nil {
		return settings
	}
	list := strings.Join(aliases, ",")
	from.name, from.text = transforms, list
	c.notice(from, fmt.Sprintf("not set; %s from the block", list))
	return append(settings, from)
}

// transformOf is the alias that a property transforms.<alias>.type names.
func transformOf(name string) (string, bool) {
	alias, ok := strings.CutPrefix(name, transforms+".")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(alias, ".type")
}

// unlistedTransforms says which transforms are configured but not applied.
func (c *checking) unlistedTransforms() {
	if p := c.index.exact[transforms]; p == nil || p.Type != List || p.Inert != "" {
		return
	}
	listed := c.values.List(transforms)
	for _, v := range c.values.order {
		alias, ok := transformOf(v.name)
		if ok && !slices.Contains(listed, alias) {
			c.notices = append(c.notices, Notice{Property: v.name, Origin: v.origin,
				Text: "not applied: transforms does not list " + alias})
		}
	}
}
