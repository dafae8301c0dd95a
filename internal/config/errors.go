package config

import (
	"errors"
	"strconv"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	// Property is the name as the user wrote it; empty when a whole file is at
	// fault.
	Property string
	// Value is the text as the user wrote it, unresolved, stars for a secret;
	// empty when the property is not set.
	Value string
	// Want is what would be right.
	Want string
	// Problem is what is wrong where Want alone does not say it; shown instead
	// of it.
	Problem string
	// Origin is where it was set: file:line, --set, or a variable's name.
	Origin string
}

// Error is one line: origin, property, value, and what would be right.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Origin != "" {
		b.WriteString(e.Origin + ": ")
	}
	if e.Property != "" {
		b.WriteString(shownName(e.Property))
		if e.Value == "" {
			b.WriteString(" is not set: ")
		} else {
			b.WriteString(" = " + quoted(e.Value) + ": ")
		}
	}
	if e.Problem != "" {
		b.WriteString(e.Problem)
	} else {
		b.WriteString("want " + e.Want)
	}
	return b.String()
}

// NewError is a mistake that a room found in a property: want is what would be
// right ("a number from 1 to 9"). A value of "" means that it is not set.
// Values.Error is shorter and knows the value and where it came from.
func NewError(property, value, want string) error {
	if value != "" && soundsSecret(property) {
		value = stars
	}
	return &Error{Property: property, Value: value, Want: want}
}

// Notice is something the user should know about a property that does not keep
// the component from starting.
type Notice struct {
	Property string // as the user wrote it
	Text     string // what is done with it, and what to write instead
	Origin   string // as in Error
}

// String is one line: origin, property, text.
func (n Notice) String() string {
	text := shownName(n.Property) + ": " + n.Text
	if n.Origin != "" {
		return n.Origin + ": " + text
	}
	return text
}

// quoted is a value in quotes, cut where it would fill the screen.
func quoted(value string) string {
	const longest = 120
	if len(value) > longest {
		value = strings.ToValidUTF8(value[:longest], "") + "…"
	}
	return strconv.Quote(value)
}

// Errors lists the single errors of err, which may be joined and wrapped, in
// their order; for printing one a line.
func Errors(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, Errors(e)...)
	}
	return out
}

// properties is the set of properties that the Errors in err name.
func properties(err error) map[string]bool {
	out := make(map[string]bool)
	for _, e := range Errors(err) {
		var c *Error
		if errors.As(e, &c) {
			out[c.Property] = true
		}
	}
	return out
}
