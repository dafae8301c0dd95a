// Package config turns configuration files, flags and variables into the typed
// settings of one component, and says everything that is wrong with them at
// once. A component states its properties in a Table; parsing, notices,
// suggestions, --help and docs/configuration.md all come from it.
package config

// Type is what a property's text is read as.
type Type uint8

// The types of properties. Durations are in milliseconds, as in Debezium and
// Kafka Connect.
const (
	String Type = iota
	Bool
	Int
	Float
	Millis // a duration: a number of ms
	Bytes  // a size: a number of bytes
	List   // comma-separated, blanks around items ignored
	Regexes
	Secret
	Class // a Java class name, matched by its full name or, for com.company.* and the like, its last part
)

// Property is one property of a component.
type Property struct {
	// Name is the property's name. One that ends in ".*" stands for every name
	// with that prefix (transforms.*); such values are read with Values.Under.
	Name    string
	Type    Type
	Default string // as it would be written in a file; "" is unset
	// Doc says what the property does, in a sentence or two.
	Doc      string
	Required bool
	// Values are the only texts allowed, lower case; compared without case.
	Values []string
	// Old are former names: used, with a notice that names the new one.
	Old []string
	// Inert says why a property that is known elsewhere has no meaning here: it
	// is accepted with a notice. "" is a property that is used.
	Inert string
	// Check says what is wrong with a text, or nil.
	Check func(text string) error
	// Min and Max bound numbers where Max > Min.
	Min, Max int64
}

// Table is the properties of a component or a part of one. Tables are joined
// by a component: connection, Kafka, its own.
type Table struct {
	Name       string // for the documentation: "Elasticsearch sink"
	Doc        string
	Properties []Property
}
