package kafka

// SchemaTopic is the compacted topic in which the capture of a topic prefix
// keeps the schemas that header weir.schema names: the record's key is the
// fingerprint, its value a marshalled json.SchemaEntry.
func SchemaTopic(prefix string) string { return prefix + ".weir-schemas" }
