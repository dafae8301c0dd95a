package main

import (
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// component is a kind of component, as a configuration shows it.
type component struct {
	name   string // the binary
	listen string // of its HTTP port
	// classes are its connector.class, by their last part; property is one that
	// only its configurations have.
	classes  []string
	property string
}

var components = []component{
	{name: "weir-capture", listen: admin.CaptureListen, property: "database.hostname",
		classes: []string{"MySqlConnector", "MariaDbConnector", "PostgresConnector", "MongoDbConnector"}},
	{name: "weir-elasticsearch", listen: admin.ElasticsearchListen, property: "connection.url",
		classes: []string{"ElasticsearchSinkConnector"}},
	{name: "weir-redis", listen: admin.RedisListen, property: "redis.hosts", classes: []string{"RedisSinkConnector"}},
	{name: "weir-lake", listen: admin.LakeListen, property: "s3.bucket.name", classes: []string{"S3SinkConnector"}},
}

// componentOf says which component a configuration file is for.
func componentOf(file string, environ []string) (component, error) {
	table := config.Table{Properties: []config.Property{{Name: "connector.class", Type: config.Class}}}
	for _, c := range components {
		table.Properties = append(table.Properties, config.Property{Name: c.property})
	}
	v, err := config.LoadPart(config.Sources{Files: []string{file}, Environ: environ}, table)
	if err != nil {
		return component{}, err
	}
	class := config.ClassName(v.String("connector.class"))
	for _, c := range components {
		for _, known := range c.classes {
			if class == known {
				return c, nil
			}
		}
	}
	for _, c := range components {
		if class == "" && v.Has(c.property) {
			return c, nil
		}
	}
	return component{}, v.Error("connector.class", "the class of a component in "+file+", such as "+components[1].classes[0])
}
