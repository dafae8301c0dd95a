// Package routing decides where a record goes: the transforms that name the
// topic, index or key space it is for, and the predicates and filters that
// decide whether it goes anywhere.
package routing

import "github.com/weir-cdc/weir/internal/transform"

// Classes are the transforms and predicates of this package: a line for each
// family, whose map is beside what it names.
var Classes = transform.Classes{
	Transforms: transform.Merge(
		connectTransforms,
		timestampTransforms,
		tableTransforms,
		debeziumTransforms,
		changeTransforms,
	),
	Predicates: transform.Merge(
		connectPredicates,
	),
}

// connectTransforms are Kafka Connect's transforms that route.
var connectTransforms = map[string]func(*transform.Options) transform.Transform{
	"org.apache.kafka.connect.transforms.RegexRouter": newRegexRouter,
	"org.apache.kafka.connect.transforms.Filter":      newFilter,
}

// tableTransforms route by the parts of the topic's name.
var tableTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.ByTable":    newByTable,
	"io.weir.transforms.ByDatabase": newByDatabase,
}

// connectPredicates are Kafka Connect's predicates.
var connectPredicates = map[string]func(*transform.Options) transform.Predicate{
	"org.apache.kafka.connect.transforms.predicates.TopicNameMatches":  newTopicNameMatches,
	"org.apache.kafka.connect.transforms.predicates.HasHeaderKey":      newHasHeaderKey,
	"org.apache.kafka.connect.transforms.predicates.RecordIsTombstone": newRecordIsTombstone,
}
