package config

import "strings"

const converters = "converters"

// nameConverters finds the properties of custom converters, which Debezium has
// under the converter's own name: <name>.type for each name of the list
// converters. They become converters.<name>.type.
func (c *checking) nameConverters(settings []setting) []setting {
	if c.index.exact[converters] == nil {
		return settings
	}
	var names []string
	for _, s := range settings {
		if s.name == converters {
			names = append(names, strings.Split(s.text, ",")...)
		}
	}
	for i := range settings {
		s := &settings[i]
		for _, name := range names {
			rest, ok := strings.CutPrefix(s.name, strings.TrimSpace(name)+".")
			if p, _ := c.index.find(s.name); ok && rest != "" && p == nil {
				s.name = converters + "." + s.name
				break
			}
		}
	}
	return settings
}
