// Package redis is weir-redis for mains outside of Weir's module, which import it
// beside packages that register transforms with package plugin.
package redis

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/redissink"
	"github.com/weir-cdc/weir/internal/service"
)

// Main runs weir-redis with the process's arguments and ends the process with
// its exit code.
func Main() { os.Exit(service.Start(redissink.Program())) }
