// Package lake is weir-lake for mains outside of Weir's module, which import it
// beside packages that register transforms with package plugin.
package lake

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/lakesink"
	"github.com/weir-cdc/weir/internal/service"
)

// Main runs weir-lake with the process's arguments and ends the process with
// its exit code.
func Main() { os.Exit(service.Start(lakesink.Program())) }
