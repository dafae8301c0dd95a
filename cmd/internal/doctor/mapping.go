package doctor

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/elasticsearch"
	"github.com/weir-cdc/weir/internal/config"
)

// additive are the transforms that leave the fields of a row as they are, but
// for adding some: behind others it is not known what an index gets.
var additive = []string{"RegexRouter", "ByTable", "ByDatabase", "ByLogicalTableRouter", "ExtractNewRecordState", "InsertField$Value", "InsertField$Key",
	"ExtractField$Key", "ValueToKey", "InsertHeader", "DropHeaders", "HeaderFrom$Key", "Filter", "SetSchemaMetadata$Value", "SetSchemaMetadata$Key",
	"LookupTransform", "CalculationTransform", "GeolocationTransform"}

// mappings finds fields that an index would refuse.
func (s *servers) mappings(ctx context.Context) {
	for _, m := range s.d.only(elasticsearchName) {
		if m.main == nil || !m.additive() {
			continue
		}
		cfg, err := elasticsearch.NewConfig(m.values)
		if err != nil {
			continue
		}
		sink, err := elasticsearch.New(ctx, cfg, quiet, prometheus.NewRegistry())
		if err != nil {
			continue // the target was asked before, and said so
		}
		for _, c := range s.d.captures() {
			if c.additive() {
				s.conflicts(ctx, m, sink, c)
			}
		}
	}
}

// conflicts compares the tables of a capture with the indexes of a sink.
func (s *servers) conflicts(ctx context.Context, m *member, sink *elasticsearch.Sink, from *member) {
	for _, t := range s.tables[from] {
		topic, captured := from.routeOf(t)
		if !captured || !m.reads(topic) || m.routes.Open {
			continue
		}
		conflicts, err := sink.Conflicts(ctx, m.routes.Of(topic), t.Value)
		if err != nil {
			s.unreachable(m, "connection.url", "the mapping of "+topic, err)
			return
		}
		for _, c := range conflicts {
			s.find(m, Failure, Finding{Code: "mapping-conflict", Property: "connection.url",
				What: "the index " + c.Index + " refuses " + t.ID() + "." + c.Field + ": " + c.Why,
				Why:  "every document with such a value is rejected",
				Do:   "mend the mapping in a new index (weirctl rebuild elasticsearch), or leave the field out"})
		}
	}
}

// routeOf is the topic that a table's records go to.
func (m *member) routeOf(t *capture.Table) (topic string, captured bool) {
	for i := range m.capture.Tables {
		if known := &m.capture.Tables[i]; known.Database == t.Database && known.Name == t.Name {
			return m.capture.Route(known), !m.capture.Routes.Open
		}
	}
	return "", false
}

// additive reports whether all transforms of a member leave a row's fields.
func (m *member) additive() bool {
	all := m.plain.Under("transforms.")
	return !slices.ContainsFunc(m.plain.List("transforms"), func(name string) bool {
		return !slices.Contains(additive, config.ClassName(all[name+".type"]))
	})
}
