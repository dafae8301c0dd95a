// Command weir-elasticsearch writes the changes of Kafka topics to Elasticsearch
// indexes.
package main

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/internal/service"
)

func main() { os.Exit(service.Start(elasticsearchsink.Program())) }
