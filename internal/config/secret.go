package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const stars = "****"

// SecretText is a password, key or token. However it is printed, logged or
// marshalled it shows as stars; only Reveal gives the text. The zero value is
// an empty secret, which prints as nothing.
type SecretText struct {
	// A pointer, so that a struct that holds a secret in an unexported field
	// prints an address: fmt cannot call Format there.
	text *string
}

// NewSecret keeps text as a secret.
func NewSecret(text string) SecretText {
	if text == "" {
		return SecretText{}
	}
	return SecretText{text: &text}
}

// Reveal returns the text itself, for handing it to a client library.
func (s SecretText) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether the secret is not empty.
func (s SecretText) IsSet() bool { return s.text != nil }

// String returns stars, or nothing for an empty secret.
func (s SecretText) String() string {
	if s.text == nil {
		return ""
	}
	return stars
}

// GoString returns what String does.
func (s SecretText) GoString() string { return s.String() }

// Format writes stars under every verb.
func (s SecretText) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText makes JSON, YAML and zap show stars.
func (s SecretText) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secretWords are parts of names whose values are taken for secrets where no
// table says so: unknown names, and names under a prefix (transforms.*).
var secretWords = []string{
	"passw", "pasword", "passphrase", "pwd", "secret", "token", "salt", "jaas", "user.info", "credential",
	"access.key", "private.key", "api.key", "accesskey", "privatekey", "apikey",
}

// secretParts are such names where they stand alone between dots: an author and a
// bypass are none.
var secretParts = []string{"pass", "auth"}

// dotted has what people write in place of dots.
var dotted = strings.NewReplacer("_", ".", "-", ".")

// soundsSecret reports whether a value of that name should not be shown.
func soundsSecret(name string) bool {
	name = dotted.Replace(strings.ToLower(name))
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	for part := range strings.SplitSeq(name, ".") {
		if slices.Contains(secretParts, part) {
			return true
		}
	}
	return strings.Contains(name, ".mask") && strings.HasSuffix(name, ".key") // of an HMAC or of tokens
}

// shownName is name as it may be shown: column.mask.hash.<algorithm>.with.salt.<salt>
// has a secret in its name.
func shownName(name string) string {
	const mark = ".with.salt."
	if at := strings.Index(name, mark); at >= 0 {
		return name[:at+len(mark)] + stars
	}
	return name
}
