package mysql

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// NameAdjustment is schema.name.adjustment.mode and field.name.adjustment.mode:
// how names that Avro does not allow are changed.
type NameAdjustment uint8

// The values of the two properties.
const (
	AdjustNone NameAdjustment = iota
	// AdjustAvro makes every other character an underscore.
	AdjustAvro
	// AdjustAvroUnicode writes every other character, the underscore too, as _u
	// and its hexadecimal code.
	AdjustAvroUnicode
)

// maxTopicName is the longest name that Kafka takes for a topic.
const maxTopicName = 249

// TopicName is the topic of a table: prefix, database and table joined by the
// delimiter, each character that Kafka does not allow replaced by _.
func (o *SchemaOptions) TopicName(database, table string) string {
	delimiter := o.Delimiter
	if delimiter == "" {
		delimiter = "."
	}
	return sanitizeTopic(o.Prefix + delimiter + database + delimiter + table)
}

// sanitizeTopic is Debezium's AbstractTopicNamingStrategy.sanitizedTopicName;
// a character outside of Unicode's basic plane counts twice there.
func sanitizeTopic(name string) string {
	var out strings.Builder
	for _, c := range utf16.Encode([]rune(name)) {
		if c == '.' || c == '-' || c == '_' || isASCIILetter(c) || isASCIIDigit(c) {
			out.WriteByte(byte(c))
		} else {
			out.WriteByte('_')
		}
	}
	switch s := out.String(); {
	case len(s) > maxTopicName:
		return s[:maxTopicName]
	case s == "." || s == "..":
		return strings.Repeat("_", len(s))
	default:
		return s
	}
}

// adjustSchema is Debezium's SchemaNameAdjuster.
func (a NameAdjustment) adjustSchema(name string) string { return a.adjust(name, true) }

// adjustField is Debezium's FieldNameSelector: unlike in a schema's name, the
// dot is not allowed either.
func (a NameAdjustment) adjustField(name string) string { return a.adjust(name, false) }

func (a NameAdjustment) adjust(name string, dots bool) string {
	if a == AdjustNone {
		return name
	}
	var out strings.Builder
	for i, c := range utf16.Encode([]rune(name)) {
		letter := isASCIILetter(c) || c == '_' && a == AdjustAvro
		switch {
		case letter, i > 0 && (isASCIIDigit(c) || c == '.' && dots):
			out.WriteByte(byte(c))
		case a == AdjustAvroUnicode:
			out.WriteString(unicodeEscape(c))
		default:
			out.WriteByte('_')
			if isASCIIDigit(c) { // kept, so that names that differ in it stay different
				out.WriteByte(byte(c))
			}
		}
	}
	return out.String()
}

// unicodeEscape writes two zeros before one or two digits, but none before
// three, as Debezium's UnicodeReplacementFunction does.
func unicodeEscape(c uint16) string {
	hex := strconv.FormatUint(uint64(c), 16)
	if len(hex) <= 2 {
		hex = "00" + hex
	}
	return "_u" + hex
}

func isASCIILetter(c uint16) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isASCIIDigit(c uint16) bool { return c >= '0' && c <= '9' }
