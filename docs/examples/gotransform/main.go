// Command gotransform is weir-elasticsearch with a transform of ours.
package main

import (
	"github.com/weir-cdc/weir/cmd/run/elasticsearch"

	_ "github.com/weir-cdc/weir/docs/examples/gotransform/vat" // registers its class
)

func main() { elasticsearch.Main() }
