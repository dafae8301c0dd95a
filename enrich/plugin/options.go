package plugin

import "github.com/weir-cdc/weir/internal/transform"

// Options are the properties of one transform, without their prefix. A property
// that is set and was not asked for is reported as unknown.
type Options struct{ o *transform.Options }

// Text is a property's text, or otherwise if it is not set.
func (o *Options) Text(name, otherwise string) string { return o.o.Text(name, otherwise) }

// Need is a property's text; not to have it is an error. want says what would be
// right.
func (o *Options) Need(name, want string) string { return o.o.Need(name, want) }

// Bool is a property as true or false.
func (o *Options) Bool(name string, otherwise bool) bool { return o.o.Bool(name, otherwise) }

// List is a property's items, which commas separate, without the blanks around
// them.
func (o *Options) List(name string) []string { return o.o.List(name) }

// OneOf is a property's text, one of allowed, in lower case; the first is the
// default.
func (o *Options) OneOf(name string, allowed ...string) string {
	return o.o.OneOf(name, allowed...)
}

// Fail reports that a property's value is wrong; want says what would be right.
// All that is wrong in a configuration is reported at once.
func (o *Options) Fail(name, want string) { o.o.Fail(name, want) }
