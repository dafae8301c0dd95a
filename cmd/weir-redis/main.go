// Command weir-redis writes the changes of Kafka topics to Redis keys.
package main

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/redissink"
	"github.com/weir-cdc/weir/internal/service"
)

func main() { os.Exit(service.Start(redissink.Program())) }
