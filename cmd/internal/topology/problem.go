package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// Problem is something in a configuration that cannot have been meant.
type Problem struct {
	Code     string // short and stable, for tools: route-never-matches
	Property string // whose text is at fault
	What     string // is wrong
	Why      string // it matters: what becomes of the data
	Changes  []Change
	// Advice says what to write where Changes cannot.
	Advice string
}

// Change is a property as it should be.
type Change struct {
	Property string
	Text     string
	// Remove says that the property should not be there.
	Remove bool
}

// String is the change as one line of a .properties file.
func (c Change) String() string {
	if c.Remove {
		return c.Property + " (remove it)"
	}
	return c.Property + "=" + c.Text
}

// Notice is the problem in one line, as a component says it.
func (p *Problem) Notice() string {
	text := p.What + "; " + p.Why
	if p.Advice != "" {
		return text + ". " + upper(p.Advice)
	}
	var changes []string
	for _, c := range p.Changes {
		changes = append(changes, c.String())
	}
	return text + ". Write " + strings.Join(changes, ", ")
}

// upper is a sentence's beginning.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// Say adds problems to the notices of v.
func Say(v *config.Values, problems []Problem) {
	for i := range problems {
		v.Notice(problems[i].Property, problems[i].Notice())
	}
}

// DeadRoutes are the transforms of a capture that never match a table's topic.
func (c *Capture) DeadRoutes() []Problem {
	var problems []Problem
	for _, dead := range c.Routes.Dead(c.Topics()) {
		p := Problem{Code: "route-never-matches", Property: dead.Property,
			What: "matches none of the topics that come to it (" + Some(dead.Came) + ")",
			Why:  "the expression has to match a whole name, so they keep their names, as in Kafka Connect"}
		if other, ok := c.MendingPrefix(dead); ok {
			p.Changes = []Change{{Property: "topic.prefix", Text: other.Prefix}}
			p.Advice = fmt.Sprintf("with topic.prefix=%s they would be %s", other.Prefix, Some(other.routes()))
		} else {
			p.Advice = "write an expression that matches the whole of " + dead.Came[0]
		}
		problems = append(problems, p)
	}
	return problems
}

// DeadSinkRoutes are the transforms of a sink that never match one of the topics
// it reads.
func DeadSinkRoutes(v *config.Values) []Problem {
	var problems []Problem
	for _, dead := range NewRoutes(v).Dead(v.List("topics")) {
		problems = append(problems, Problem{Code: "route-never-matches", Property: dead.Property,
			What:   "matches none of the topics that come to it (" + Some(dead.Came) + ")",
			Why:    "the expression has to match a whole name, so they keep their names, as in Kafka Connect",
			Advice: "write an expression that matches the whole of " + dead.Came[0]})
	}
	return problems
}

// The converters, by Kafka Connect's names.
const (
	JSONConverter   = "org.apache.kafka.connect.json.JsonConverter"
	StringConverter = "org.apache.kafka.connect.storage.StringConverter"
)

// needFields are the transforms that look into a key and fail at a text.
var needFields = []string{"ExtractField$Key", "ReplaceField$Key", "MaskField$Key", "InsertField$Key", "Flatten$Key"}

// TextKeys finds a transform that looks into keys which key.converter makes
// texts of; nil where there is none.
func TextKeys(v *config.Values) *Problem {
	if config.ClassName(v.String("key.converter")) != config.ClassName(StringConverter) {
		return nil
	}
	all := v.Under("transforms.")
	for _, name := range v.List("transforms") {
		class := config.ClassName(all[name+".type"])
		if class == "ValueToKey" || class == "HoistField$Key" {
			return nil // makes a key with fields of its own
		}
		if slices.Contains(needFields, class) {
			return &Problem{Code: "key-converter", Property: "key.converter",
				What:    fmt.Sprintf("makes a text of each key, and %s (%s) looks into keys", name, class),
				Why:     "Kafka Connect fails with every record, while here keys are read as JSON",
				Changes: []Change{{Property: "key.converter", Text: JSONConverter}, {Property: "key.converter.schemas.enable", Text: "false"}}}
		}
	}
	return nil
}

// UnsaidDeletes finds a file of Confluent's that leaves to its default what a
// null value does; text is the value that says what it does here.
func UnsaidDeletes(v *config.Values, text, does string) []Problem {
	if _, _, said := v.Written("behavior.on.null.values"); said || v.String("connector.class") == "" {
		return nil
	}
	return []Problem{{Code: "deletes-refused", Property: "behavior.on.null.values",
		What: "is not set, and Kafka Connect's default is fail", Why: "there the first delete stops the sink, while here a null value " + does,
		Changes: []Change{{Property: "behavior.on.null.values", Text: text}}}}
}

// SharedKeys finds topics whose records have one Redis key: those under one
// cache.prefix that does not name them.
func SharedKeys(v *config.Values) []Problem {
	prefix := v.String("cache.prefix")
	topics := v.List("topics")
	if strings.Contains(prefix, "${topic}") || strings.Contains(prefix, "${table}") {
		return nil
	}
	routes := NewRoutes(v)
	spaces := distinctRoutes(topics, routes)
	if len(spaces) < 2 || routes.Open {
		return nil
	}
	placeholder, example := "${table}", LastPart(spaces[0])
	if sameTable(spaces) {
		placeholder, example = "${topic}", spaces[0]
	}
	return []Problem{{Code: "redis-keys-collide", Property: "cache.prefix",
		What:    fmt.Sprintf("%s share the prefix %q, so 7 of one and 7 of another have one key, %s7", Some(topics), prefix, prefix),
		Why:     "the one that comes second is rejected, for it would overwrite the other",
		Changes: []Change{{Property: "cache.prefix", Text: prefix + placeholder + ":"}},
		Advice:  fmt.Sprintf("write cache.prefix=%s%s:, which makes keys such as %s%s:7", prefix, placeholder, prefix, example)}}
}

// distinctRoutes are the names behind the routes, each once: topics that a route
// brings together are meant to share their keys.
func distinctRoutes(topics []string, routes *Routes) []string {
	var names []string
	for _, topic := range topics {
		if to := routes.Of(topic); !slices.Contains(names, to) {
			names = append(names, to)
		}
	}
	return names
}

// sameTable reports whether two names end in one table's.
func sameTable(names []string) bool {
	seen := make(map[string]bool)
	for _, name := range names {
		table := LastPart(name)
		if seen[table] {
			return true
		}
		seen[table] = true
	}
	return false
}
