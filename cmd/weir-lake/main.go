// Command weir-lake writes the changes of Kafka topics to Parquet files in S3.
package main

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/lakesink"
	"github.com/weir-cdc/weir/internal/service"
)

func main() { os.Exit(service.Start(lakesink.Program())) }
