package sinks_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/cmd/internal/elasticsearchsink"
	"github.com/weir-cdc/weir/cmd/internal/redissink"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// TestPlacesDoNotDependOnLookups: a delete finds its row where the row was
// written, which nobody knows where that was decided behind a look-up.
func TestPlacesDoNotDependOnLookups(t *testing.T) {
	const good = "name=n topics=t connection.url=http://a:1 redis.hosts=a:1 transforms=user transforms.user.type=com.company.debezium.LookupTransform transforms.user.lookup.redis.hosts=a:1 " +
		"transforms.user.lookup.key.field=user_id transforms.user.lookup.value.fields=role "
	const route = " transforms.route.type=com.company.ConditionalRouter transforms.route.conditions.vip=role=='vip' transforms.route.default.topic=others"
	for name, c := range map[string]struct{ more, want string }{
		"a look-up":            {"", ""},
		"two of them":          {"transforms=user,other transforms.other.type=LookupTransform transforms.other.lookup.redis.hosts=a:1 transforms.other.lookup.key.field=role transforms.other.lookup.value.fields=x transforms.other.lookup.miss.policy=skip", ""},
		"harmless ones behind": {"transforms=user,u transforms.u.type=io.debezium.transforms.ExtractNewRecordState", ""},
		"a route before":       {"transforms=route,user" + route, ""},
		"a route behind":       {"transforms=user,route" + route, "want route before user"},
		"a route by field":     {"transforms=user,u transforms.u.type=io.debezium.transforms.ExtractNewRecordState transforms.u.route.by.field=role", "want u before user"},
		"a filter":             {"transforms=user,f transforms.f.type=io.debezium.transforms.Filter transforms.f.language=expr transforms.f.condition=value.role=='vip'", "want f before user"},
		"a key":                {"transforms=user,k transforms.k.type=org.apache.kafka.connect.transforms.ValueToKey transforms.k.fields=role", "want k before user"},
	} {
		for _, program := range []service.Program{elasticsearchsink.Program(), redissink.Program()} {
			t.Run(name+" in "+program.Name, func(t *testing.T) {
				properties := map[string]string{}
				for _, item := range strings.Fields(good + c.more) {
					if name, text, _ := strings.Cut(item, "="); config.Knows(name, program.AllTables()...) {
						properties[name] = text
					}
				}
				v, _, err := config.Parse(properties, program.AllTables()...)
				if err != nil {
					t.Fatal(err)
				}
				_, err = program.New(service.Environment{Values: v, Log: zaptest.NewLogger(t), Metrics: prometheus.NewRegistry()})
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		}
	}
}
