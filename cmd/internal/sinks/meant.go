package sinks

import (
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/internal/config"
)

// meant reads a configuration as it was plainly meant where Kafka Connect would
// fail with every record, and says what in it has no effect.
func meant(v *config.Values, cfg *consumers.Config) {
	problems := topology.DeadSinkRoutes(v)
	if p := topology.TextKeys(v); p != nil {
		cfg.KeyText = false
		problems = append(problems, *p)
	}
	topology.Say(v, problems)
}
