// Package topology finds what configurations alone say of a fleet: which topics
// a capture writes, where the routes of a chain send them, and what in a file
// cannot have been meant. The components say it as notices when they start, and
// weirctl doctor as findings.
package topology

import (
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/routing"
)

// Routes are the transforms of a chain that rename topics, as far as the name of
// a topic decides what they do.
type Routes struct {
	links []link
	// Open says that one of the transforms routes by what a record holds, so
	// that nothing is known of the names behind it.
	Open bool
}

// link is one transform that routes by name.
type link struct {
	name, property string // the property that holds its expression, "" for none
	pattern        *routing.Pattern
	replacement    string
	rename         func(topic string) string // where pattern is nil
}

// byContent are the classes that may route by what a record holds.
var byContent = []string{"OperationRouter", "ConditionalRouter", "ContentBasedRouter", "EventRouter", "TimestampRouter", "CustomTransform",
	"ExtractTopic", "ExtractTopic$Key", "ExtractTopic$Value", "ExtractTopic$Header", "SchemaChangeEventFilter", "PartitionRouting"}

// NewRoutes reads the chain that v, which has the properties of a chain,
// configures. What is wrong with it is left to the chain itself to say.
func NewRoutes(v *config.Values) *Routes {
	r := &Routes{}
	all := v.Under("transforms.")
	for _, name := range v.List("transforms") {
		if r.Open {
			break
		}
		r.add(name, func(property string) string { return all[name+"."+property] })
	}
	return r
}

func (r *Routes) add(name string, of func(string) string) {
	class := config.ClassName(of("type"))
	l := link{name: name}
	switch class {
	case "RegexRouter":
		l.property, l.replacement = "regex", of("replacement")
	case "ByLogicalTableRouter":
		l.property, l.replacement = "topic.regex", of("topic.replacement")
	case "ByTable":
		l.rename = LastPart
	case "ByDatabase":
		l.rename = func(topic string) string { return strings.ReplaceAll(topic, ".", "-") }
	default:
		r.Open = slices.Contains(byContent, class) || of("route.by.field") != ""
		return
	}
	if l.property != "" {
		var err error
		if l.pattern, err = routing.Compile(of(l.property)); err != nil {
			return
		}
	}
	if of("predicate") != "" {
		r.Open = true
		return
	}
	r.links = append(r.links, l)
}

// LastPart is what follows the last dot of a topic's name.
func LastPart(topic string) string { return topic[strings.LastIndexByte(topic, '.')+1:] }

// apply is what a link makes of a topic, and whether it has anything to say of it.
func (l *link) apply(topic string) (string, bool) {
	if l.pattern == nil {
		return l.rename(topic), true
	}
	to, matched, err := l.pattern.Replace(topic, l.replacement)
	if err != nil {
		return topic, false
	}
	return to, matched
}

// Of is the name that records of topic have behind the routes; it is known
// unless Open.
func (r *Routes) Of(topic string) string {
	for i := range r.links {
		topic, _ = r.links[i].apply(topic)
	}
	return topic
}

// Dead is a transform whose expression matches none of the topics that come to
// it.
type Dead struct {
	Name        string // the transform's
	Property    string // whole name of the property that holds the expression
	Replacement string
	Came        []string // the topics
}

// Dead are the transforms that never match one of topics.
func (r *Routes) Dead(topics []string) []Dead {
	var dead []Dead
	came := slices.Clone(topics)
	for i := range r.links {
		l := &r.links[i]
		next, matches := make([]string, len(came)), false
		for n, topic := range came {
			var matched bool
			next[n], matched = l.apply(topic)
			matches = matches || matched
		}
		if !matches && l.pattern != nil && len(came) > 0 {
			dead = append(dead, Dead{l.name, "transforms." + l.name + "." + l.property, l.replacement, came})
		}
		came = next
	}
	return dead
}
