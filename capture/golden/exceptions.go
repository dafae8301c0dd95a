package golden

import "path"

// cases are patterns of the names of cases.
type cases []string

func (p cases) of(c *Case) bool {
	for _, pattern := range p {
		if ok, err := path.Match(pattern, c.Name); err == nil && ok {
			return true
		}
	}
	return false
}

// exception is a documented difference at a place of a record.
type exception struct {
	name, reason string
	cases
	applies func(k *comparison, d *Difference) bool
}

// recordException is a documented record that only one side has.
type recordException struct {
	name, reason string
	cases
	applies func(k *comparison, r *Record) bool
}

var exceptions = []exception{
	{
		name: "numbers", reason: "Java does not always write the shortest text of a double; numbers are compared as numbers",
		cases:   cases{"*"},
		applies: func(_ *comparison, d *Difference) bool { return sameNumber(d.Want, d.Got) },
	},
}

// wrongOfDebezium are records that Debezium publishes and must not be.
var wrongOfDebezium = []recordException{}

// missingOfDebezium are records that Debezium does not publish and has to.
var missingOfDebezium = []recordException{}
