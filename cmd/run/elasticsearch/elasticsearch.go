// Package elasticsearch is weir-elasticsearch for mains outside of Weir's module, which import it
// beside packages that register transforms with package plugin.
package elasticsearch

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/internal/service"
)

// Main runs weir-elasticsearch with the process's arguments and ends the process with
// its exit code.
func Main() { os.Exit(service.Start(elasticsearchsink.Program())) }
