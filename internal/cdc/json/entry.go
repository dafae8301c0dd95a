package json

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// entryVersion is the version of the format that SchemaEntry.Marshal writes.
const entryVersion = 1

// SchemaEntry is what one fingerprint (header weir.schema) stands for. The
// compacted topic <prefix>.weir-schemas has one under each fingerprint. It is
// immutable.
type SchemaEntry struct {
	// Fingerprint is 16 hexadecimal digits, of all the rest.
	Fingerprint string
	// Domain is the version domain of the capture, "weir:<topic.prefix>".
	Domain string
	// Topic is the table's topic at the capture, before any route.
	Topic string
	// Key and Value are the schemas of the key and of the row: before and after
	// of an envelope, or the value itself if that is a row. Key is nil for a
	// table without one.
	Key, Value *cdc.Schema
}

// NewSchemaEntry returns the entry of the records of one table as long as their
// schemas stay the same; key is nil for a table without one.
func NewSchemaEntry(domain, topic string, key, value *cdc.Schema) *SchemaEntry {
	e := &SchemaEntry{Domain: domain, Topic: topic, Key: key, Value: value}
	sum := sha256.Sum256(e.appendContent(nil))
	e.Fingerprint = hex.EncodeToString(sum[:8])
	return e
}

// appendContent appends what the fingerprint is made of, as members of an object.
// This text must stay the same for what exists.
func (e *SchemaEntry) appendContent(dst []byte) []byte {
	dst = AppendString(append(dst, `"domain":`...), []byte(e.Domain))
	dst = AppendString(append(dst, `,"topic":`...), []byte(e.Topic))
	dst = appendEntrySchema(append(dst, `,"key":`...), e.Key)
	return appendEntrySchema(append(dst, `,"value":`...), e.Value)
}

// appendEntrySchema appends a schema as JsonConverter does, and what Connect's
// schemas do not say.
func appendEntrySchema(dst []byte, s *cdc.Schema) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return schemaWriter{extended: true}.append(dst, s)
}

// IsFingerprint reports whether b has the form of a fingerprint.
func IsFingerprint(b []byte) bool {
	if len(b) != 16 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Marshal returns the entry as the value of its record: a JSON object with the
// version of the format, the fingerprint, and the schemas in Connect's form.
func (e *SchemaEntry) Marshal() []byte {
	dst := strconv.AppendInt([]byte(`{"version":`), entryVersion, 10)
	dst = AppendString(append(dst, `,"fingerprint":`...), []byte(e.Fingerprint))
	return append(e.appendContent(append(dst, ',')), '}')
}

// UnmarshalSchemaEntry is the inverse of Marshal. It fails for a format of a
// later version, and for an entry that is not what its fingerprint says.
func UnmarshalSchemaEntry(b []byte) (*SchemaEntry, error) {
	e, stored, err := parseEntry(b)
	if err != nil {
		return nil, fmt.Errorf("reading schema entry: %w", err)
	}
	if out := NewSchemaEntry(e.Domain, e.Topic, e.Key, e.Value); out.Fingerprint == stored {
		return out, nil
	}
	return nil, fmt.Errorf("reading schema entry %s of %s: its content has another fingerprint", stored, e.Topic)
}

func parseEntry(b []byte) (e SchemaEntry, stored string, err error) {
	p := parser{b: b}
	p.back(0)
	if !p.skip() || !p.end() {
		return e, "", p.failure()
	}
	version := 0
	err = eachMember(b, func(name string, value []byte) (err error) {
		switch name {
		case "version":
			version, err = intOf(value)
		case "fingerprint":
			stored, err = stringOf(value)
		case "domain":
			e.Domain, err = stringOf(value)
		case "topic":
			e.Topic, err = stringOf(value)
		case "key":
			if text(value) != "null" {
				e.Key, err = ParseSchema(value)
			}
		case "value":
			e.Value, err = ParseSchema(value)
		}
		return err
	})
	switch {
	case err != nil:
		return e, stored, err
	case version != entryVersion:
		return e, stored, fmt.Errorf("format version %d, of which only %d is known", version, entryVersion)
	case e.Value == nil:
		return e, stored, errors.New("no schema of the value")
	}
	return e, stored, nil
}
