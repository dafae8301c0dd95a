package config

import "errors"

// Common are the properties of every component.
var Common = Table{
	Name: "Connector",
	Doc:  "What every component has.",
	Properties: []Property{
		{Name: "name", Type: String, Required: true, Check: checkName,
			Doc: "The connector's name, which group ids and client ids are made of. In a connector file it stands beside `config`."},
		{Name: "connector.class", Type: Class,
			Doc: "The Kafka Connect class the file was written for. The capture chooses the database by it; a sink takes its own only."},
		{Name: "tasks.max", Type: Int, Default: "1", Min: 1, Max: 100_000,
			Inert: "a sink works on all partitions at once and scales by starting more processes; a capture is one task"},
		{Name: "config.action.reload", Inert: "files are read once, at the start"},
		{Name: "exactly.once.support", Inert: "the capture always writes exactly once"},
		{Name: "transaction.boundary", Inert: "Kafka transactions end where transactions of the source end"},
		{Name: "offsets.storage.topic", Inert: "the capture keeps its offsets in weir-offsets"},
		{Name: "schema.registry.url", Inert: "a converter takes the address of its registry from <converter>.schema.registry.url"},
		{Name: "header.converter", Inert: "headers are written as Kafka Connect's SimpleHeaderConverter writes them"},
	},
}

func checkName(text string) error {
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return errors.New("want a name without control characters")
		}
	}
	return nil
}
