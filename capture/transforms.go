package capture

import (
	"context"
	"strings"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// Transforms are what a capture does to its records before it writes them.
type Transforms struct {
	// Chain is applied to every record; nil for none.
	Chain *transform.Chain
	// Tolerant skips records that a transform or a converter refuses
	// (errors.tolerance=all), which otherwise stop the capture.
	Tolerant bool
	// routes is the part of the chain that names topics, where that is all that
	// decides about a table's topic and key; nil where records decide.
	routes *transform.Chain
}

// newTransforms compiles the chain that v configures. Look-ups in topics use the
// capture's Kafka.
func newTransforms(v *config.Values, at *kafka.Config) (Transforms, error) {
	t := Transforms{Tolerant: strings.EqualFold(v.String("errors.tolerance"), "all")}
	chain, err := transform.New(v, enrich.Lookups(enrich.LookupServers{Kafka: at}), routing.Classes, enrich.Classes)
	if err != nil || chain.Len() == 0 {
		return t, err
	}
	t.Chain = chain
	if routers, ok := routers(v); ok {
		t.routes, err = routesOf(v, routers)
	}
	return t, err
}

// Route is the topic that the records of a table's topic go to; ok is false
// where they may go to several, change their keys, or be left out.
func (t *Transforms) Route(topic string) (to string, ok bool) {
	if t.Chain == nil {
		return topic, true
	}
	if t.routes == nil {
		return "", false
	}
	r := cdc.Record{Origin: cdc.Origin{Topic: topic}, Route: topic}
	kept, err := t.routes.Apply(context.Background(), []*cdc.Record{&r})
	return r.Route, err == nil && len(kept) == 1
}

// The transforms that a table's topic and keys follow from its name with: those
// that name topics by topics, and those that leave topic and key alone.
var (
	routingClasses = []string{
		"org.apache.kafka.connect.transforms.RegexRouter", "io.weir.transforms.ByTable", "io.weir.transforms.ByDatabase",
	}
	valueClasses = []string{
		unwrapClass,
		"org.apache.kafka.connect.transforms.Cast$Value", "org.apache.kafka.connect.transforms.DropHeaders",
		"org.apache.kafka.connect.transforms.Flatten$Value", "org.apache.kafka.connect.transforms.HeaderFrom$Value",
		"org.apache.kafka.connect.transforms.HoistField$Value", "org.apache.kafka.connect.transforms.InsertField$Value",
		"org.apache.kafka.connect.transforms.InsertHeader", "org.apache.kafka.connect.transforms.MaskField$Value",
		"org.apache.kafka.connect.transforms.ReplaceField$Value", "org.apache.kafka.connect.transforms.SetSchemaMetadata$Value",
		"org.apache.kafka.connect.transforms.TimestampConverter$Value",
		"io.debezium.transforms.ExtractChangedRecordState", "io.debezium.transforms.HeaderToValue",
		"io.debezium.transforms.SchemaChangeEventFilter", "io.debezium.transforms.TimezoneConverter",
		"io.weir.transforms.CalculationTransform", "io.weir.transforms.GeolocationTransform",
	}
)

const (
	unwrapClass     = "io.debezium.transforms.ExtractNewRecordState"
	topicPredicate  = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
	transformPrefix = "transforms."
	predicatePrefix = "predicates."
)

// routers are the names of the transforms that decide about topics, if topics
// and keys follow from nothing but the names of tables.
func routers(v *config.Values) (names []string, ok bool) {
	of, predicates := v.Under(transformPrefix), v.Under(predicatePrefix)
	for _, name := range v.List("transforms") {
		class := of[name+".type"]
		if _, value := config.MatchClass(class, valueClasses); value && !decides(class, name, of) {
			continue
		}
		if _, routes := config.MatchClass(class, routingClasses); !routes {
			return nil, false
		}
		if p := of[name+".predicate"]; p != "" {
			if _, byTopic := config.MatchClass(predicates[p+".type"], []string{topicPredicate}); !byTopic {
				return nil, false
			}
		}
		names = append(names, name)
	}
	return names, true
}

// decides reports whether a transform that is about values was told to decide
// about topics or keys too.
func decides(class, name string, of map[string]string) bool {
	if _, ok := config.MatchClass(class, []string{unwrapClass}); !ok {
		return false
	}
	return of[name+".route.by.field"] != "" || strings.EqualFold(of[name+".drop.fields.from.key"], "true")
}

// routesOf compiles the named transforms alone.
func routesOf(v *config.Values, names []string) (*transform.Chain, error) {
	properties := map[string]string{"transforms": strings.Join(names, ","), "predicates": strings.Join(v.List("predicates"), ",")}
	for rest, text := range v.Under(transformPrefix) {
		for _, name := range names {
			if strings.HasPrefix(rest, name+".") {
				properties[transformPrefix+rest] = text
			}
		}
	}
	for rest, text := range v.Under(predicatePrefix) {
		properties[predicatePrefix+rest] = text
	}
	alone, _, err := config.Parse(properties, transform.Properties)
	if err != nil {
		return nil, err
	}
	return transform.New(alone, routing.Classes)
}
