// Package enrich decides what a record carries: unwrapping of envelopes, and
// the transforms that add and change fields.
package enrich

import "github.com/weir-cdc/weir/internal/transform"

// Classes are the transforms of this package: a line for each family, whose map
// is beside what it names.
var Classes = transform.Classes{
	Transforms: transform.Merge(
		debeziumTransforms,
		wasmTransforms,
		connectTransforms,
		lookupTransforms,
		geoTransforms,
		calculationTransforms,
		customTransforms,
	),
}

// debeziumTransforms are Debezium's transforms that change what a record
// carries.
var debeziumTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.debezium.transforms.ExtractNewRecordState":             newUnwrap,
	"io.debezium.transforms.ExtractChangedRecordState":         newChangedState,
	"io.debezium.transforms.HeaderToValue":                     newHeaderToValue,
	"io.debezium.transforms.TimezoneConverter":                 newTimezoneConverter,
	"io.debezium.connector.mysql.transforms.ReadToInsertEvent": newReadToInsert,
}
