package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/expression"
	"github.com/weir-cdc/weir/internal/transform"
)

// conditionalRouter asks named conditions one after the other: a record goes to
// the topic of the first that is true of it.
type conditionalRouter struct {
	conditions []condition
	otherwise  string // "": it stays where it is
}

type condition struct {
	name, topic string
	program     *expression.Program
}

// The properties of a condition: conditions.<name>, and topics.<name> where the
// topic is not the name itself.
const (
	conditionsPrefix = "conditions."
	topicsPrefix     = "topics."
)

func newConditionalRouter(o *transform.Options) transform.Transform {
	t := &conditionalRouter{otherwise: o.Text("default.topic", "")}
	names := o.NamesUnder(conditionsPrefix)
	language := expression.Language(o.Text("language", ""))
	for _, name := range names {
		property := conditionsPrefix + name
		t.conditions = append(t.conditions, condition{
			name: name, topic: o.Text(topicsPrefix+name, name),
			program: program(o, property, o.Need(property, "a condition, such as priority == 'HIGH'"), language),
		})
	}
	if len(names) == 0 {
		o.Fail("conditions", "conditions by their names: conditions.<name>=<condition>")
	}
	for _, name := range o.NamesUnder(topicsPrefix) {
		if !slices.Contains(names, name) {
			o.Text(topicsPrefix+name, "")
			o.Fail(topicsPrefix+name, "the name of a condition: one of "+strings.Join(names, ", "))
		}
	}
	return t
}

// DependsOnRow is true: the conditions look at the row.
func (t *conditionalRouter) DependsOnRow() bool { return true }

// Apply routes r. A tombstone, of which nothing can be asked but its key, goes
// the same way, to the default topic if no condition is about the key.
func (t *conditionalRouter) Apply(r *cdc.Record) (bool, error) {
	for i := range t.conditions {
		c := &t.conditions[i]
		holds, err := c.program.Test(r)
		if err != nil {
			return false, fmt.Errorf("evaluating the condition %s: %w", c.name, err)
		}
		if holds {
			r.Route = c.topic
			return true, nil
		}
	}
	if t.otherwise != "" {
		r.Route = t.otherwise
	}
	return true, nil
}
