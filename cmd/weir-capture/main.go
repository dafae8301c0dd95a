// Command weir-capture publishes the changes of one database to Kafka.
package main

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/capturer"
	"github.com/weir-cdc/weir/internal/service"
)

func main() { os.Exit(service.Start(capturer.Program())) }
