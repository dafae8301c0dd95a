// Package json writes rows as Kafka Connect's JsonConverter does, byte for byte
// what Jackson writes, reads such records back into rows, whoever wrote them,
// and makes of a row the document that a sink stores.
package json

// DecimalFormat is Connect's decimal.format.
type DecimalFormat uint8

// How a field of Connect's Decimal type is written. Decimals that travel as
// text (decimal.handling.mode=string) are fields of type Text and not touched
// by it.
const (
	Base64  DecimalFormat = iota // "AMg=": the unscaled two's complement
	Numeric                      // 2.00
)

// DefaultPlaceholder is Debezium's unavailable.value.placeholder.
const DefaultPlaceholder = "__debezium_unavailable_value"

// Options are those of a JsonConverter, for keys or for values. The zero value
// is Weir's default.
type Options struct {
	// Schemas is schemas.enable: {"schema":…,"payload":…}.
	Schemas bool
	// Decimal is decimal.format.
	Decimal DecimalFormat
	// NullDefaults is replace.null.with.default: a NULL in a field that has a
	// default is written as the default. Connect's own default is true.
	NullDefaults bool
	// Placeholder is what is written for a value that the source did not send,
	// where the field is text or bytes; empty is DefaultPlaceholder. Fields of
	// other types are written as null.
	Placeholder string
}

func (o Options) placeholder() string {
	if o.Placeholder == "" {
		return DefaultPlaceholder
	}
	return o.Placeholder
}
