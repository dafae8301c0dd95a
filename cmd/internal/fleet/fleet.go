// Package fleet lists the components, for tools and documents that are about all
// of them.
package fleet

import (
	"github.com/weir-cdc/weir/cmd/internal/elasticsearch"
	"github.com/weir-cdc/weir/cmd/internal/lake"
	"github.com/weir-cdc/weir/cmd/internal/redis"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// Programs are the components.
func Programs() []service.Program {
	return []service.Program{elasticsearch.Program(), redis.Program(), lake.Program()}
}

// Configuration is docs/configuration.md.
func Configuration() string {
	var components []config.Component
	for _, p := range Programs() {
		components = append(components, config.Component{Name: p.Name, Doc: p.Short, Tables: p.AllTables()})
	}
	return config.Markdown(components)
}
