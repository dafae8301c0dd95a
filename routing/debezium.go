package routing

import "github.com/weir-cdc/weir/internal/transform"

// debeziumTransforms are Debezium's transforms that route and filter.
var debeziumTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.debezium.transforms.outbox.EventRouter":          newEventRouter,
	"io.debezium.transforms.ByLogicalTableRouter":        newByLogicalTableRouter,
	"io.debezium.transforms.ToLogicalTopicRouter":        newToLogicalTopicRouter,
	"io.debezium.transforms.partitions.PartitionRouting": newPartitionRouting,
	"io.debezium.transforms.SchemaChangeEventFilter":     newSchemaChangeFilter,
	"io.debezium.transforms.ContentBasedRouter":          newContentRouter,
	"io.debezium.transforms.Filter":                      newContentFilter,
}

// changeTransforms route by what a change does and what is in it.
var changeTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.OperationRouter":   newOperationRouter,
	"io.weir.transforms.ConditionalRouter": newConditionalRouter,
}
