package capturer

import (
	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/internal/config"
)

// notices says what in a configuration cannot have been meant.
func notices(v *config.Values, cfg *capture.Config) {
	topology.Say(v, Topology(v, cfg).DeadRoutes())
}

// Topology is what a capture writes as far as its configuration says; v has the
// properties of the capture.
func Topology(v *config.Values, cfg *capture.Config) *topology.Capture {
	return topology.NewCapture(v, topology.Naming{
		Topic: func(prefix, database, table string) string {
			names := mysql.SchemaOptions{Prefix: prefix, Delimiter: cfg.Delimiter}
			return names.TopicName(database, table)
		},
		Captures: cfg.Filter.Table,
	})
}
