// Package fleet lists the components, for tools and documents that are about all
// of them.
package fleet

import (
	"github.com/weir-cdc/weir/cmd/internal/capturer"
	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/cmd/internal/lakesink"
	"github.com/weir-cdc/weir/cmd/internal/redissink"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// Programs are the components.
func Programs() []service.Program {
	return []service.Program{capturer.Program(), elasticsearchsink.Program(), redissink.Program(), lakesink.Program()}
}

// Configuration is docs/configuration.md.
func Configuration() string {
	var components []config.Component
	for _, p := range Programs() {
		components = append(components, config.Component{Name: p.Name, Doc: p.Short, Tables: p.AllTables()})
	}
	return config.Markdown(components)
}
