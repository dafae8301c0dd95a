// Package capture is weir-capture for mains outside of Weir's module, which import it
// beside packages that register transforms with package plugin.
package capture

import (
	"os"

	"github.com/weir-cdc/weir/cmd/internal/capturer"
	"github.com/weir-cdc/weir/internal/service"
)

// Main runs weir-capture with the process's arguments and ends the process with
// its exit code.
func Main() { os.Exit(service.Start(capturer.Program())) }
