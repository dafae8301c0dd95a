package lakesink

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// TestFilesDoNotDependOnLookups: a record that is written again after a crash
// has to come into the same file.
func TestFilesDoNotDependOnLookups(t *testing.T) {
	const good = "name=lake topics=t s3.bucket.name=b transforms=user transforms.user.type=com.company.debezium.LookupTransform transforms.user.lookup.redis.hosts=a:1 " +
		"transforms.user.lookup.key.field=user_id transforms.user.lookup.value.fields=name:user_name,role transforms.user.lookup.types=user_name:string,role:int32"
	for name, c := range map[string]struct{ more, want string }{
		"a look-up":              {"", ""},
		"harmless ones behind":   {"transforms=user,r,u transforms.r.type=org.apache.kafka.connect.transforms.RegexRouter transforms.r.regex=a transforms.r.replacement=b transforms.u.type=io.debezium.transforms.ExtractNewRecordState", ""},
		"a route before":         {"transforms=u,user transforms.u.type=io.debezium.transforms.ExtractNewRecordState transforms.u.route.by.field=role", ""},
		"a route by field":       {"transforms=user,u transforms.u.type=io.debezium.transforms.ExtractNewRecordState transforms.u.route.by.field=role", "transforms.u.route.by.field = \"role\": want the transform before user"},
		"a route by content":     {"transforms=user,c transforms.c.type=io.debezium.transforms.ContentBasedRouter transforms.c.language=expr transforms.c.topic.expression='a'", "want c before user"},
		"a folder":               {"partitioner.class=FieldPartitioner partition.field.name=id,role", "role is looked up"},
		"another folder":         {"partitioner.class=FieldPartitioner partition.field.name=id", ""},
		"no types":               {"transforms.user.lookup.types=role:int32", "want a type for user_name"},
		"records left out":       {"transforms.user.lookup.miss.policy=skip", "want null or default"},
		"records left out later": {"transforms.user.lookup.miss.then=dead_letter", "want null or default"},
	} {
		t.Run(name, func(t *testing.T) {
			properties := map[string]string{}
			for _, item := range append(strings.Fields(good), strings.Fields(c.more)...) {
				name, text, _ := strings.Cut(item, "=")
				properties[name] = text
			}
			v, _, err := config.Parse(properties, append([]config.Table{config.Common}, Program().Tables...)...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = sinks.NewRuntime(v, enrich.LookupServers{Repeatable: true})
			err = v.Complete(err, checkRoutes(v))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestFilesDoNotDependOnTheClock: it comes at another time then. A field that
// no file depends on may have the time.
func TestFilesDoNotDependOnTheClock(t *testing.T) {
	const good = "name=lake topics=t s3.bucket.name=b transforms=d,f transforms.d.type=org.apache.kafka.connect.transforms.InsertField$Value transforms.d.static.field=loaded? transforms.d.static.value=$(date:yyyy-MM-dd) " +
		"transforms.f.type=com.company.debezium.CalculationTransform transforms.f.formulas.at=millis(now()) transforms.f.formulas.later=at+1 transforms.f.formulas.twice=2*n"
	for name, c := range map[string]struct{ more, want string }{
		"fields alone":             {"", ""},
		"a folder of another":      {"partitioner.class=FieldPartitioner partition.field.name=id,twice", ""},
		"a condition of another":   {"transforms=d,f,c transforms.c.type=io.debezium.transforms.Filter transforms.c.language=expr transforms.c.condition=id>0", ""},
		"a route of another":       {"transforms=d,f,c transforms.c.type=io.debezium.transforms.ContentBasedRouter transforms.c.language=expr transforms.c.topic.expression='loaded'+kind", ""},
		"no folder by field":       {"partition.field.name=loaded timestamp.field=at", ""},
		"a folder":                 {"partitioner.class=FieldPartitioner partition.field.name=id,loaded", "loaded is made of the time of processing"},
		"a folder by a formula":    {"partitioner.class=FieldPartitioner partition.field.name=later", "later is made of the time of processing"},
		"a renamed one":            {"transforms=d,f,r transforms.r.type=org.apache.kafka.connect.transforms.ReplaceField$Value transforms.r.renames=a:b,loaded:day partitioner.class=FieldPartitioner partition.field.name=day", "day is made of the time"},
		"a hoisted one":            {"transforms=d,f,h transforms.h.type=org.apache.kafka.connect.transforms.HoistField$Value transforms.h.field=row partitioner.class=FieldPartitioner partition.field.name=row.loaded", "row.loaded is made of the time"},
		"a time field":             {"partitioner.class=HourlyPartitioner timestamp.extractor=RecordField timestamp.field=at", "timestamp.field = \"at\": want a time of the record"},
		"a folder by the clock":    {"partitioner.class=HourlyPartitioner timestamp.extractor=Wallclock", ""},
		"a condition":              {"transforms=c transforms.c.type=io.debezium.transforms.Filter transforms.c.language=expr transforms.c.condition=millis(ts)<millis(now())", "transforms.c.condition = \"millis(ts)<millis(now())\": want one that does not read the clock"},
		"a condition of a field":   {"transforms=d,f,c transforms.c.type=io.debezium.transforms.Filter transforms.c.language=expr transforms.c.condition=value.after.loaded>'2026'", "nor reads what is made of that: at, later, loaded"},
		"a route":                  {"transforms=c transforms.c.type=io.debezium.transforms.ContentBasedRouter transforms.c.language=expr transforms.c.topic.expression='o_'+string(millis(now()))", "transforms.c.topic.expression"},
		"a conditional route":      {"transforms=d,f,c transforms.c.type=io.weir.transforms.ConditionalRouter transforms.c.conditions.late=later>5", "transforms.c.conditions.late"},
		"a route by field":         {"transforms=d,f,u transforms.u.type=io.debezium.transforms.ExtractNewRecordState transforms.u.route.by.field=loaded", "transforms.u.route.by.field"},
		"a time of an outbox":      {"transforms=d,f,u transforms.u.type=io.debezium.transforms.outbox.EventRouter transforms.u.table.field.event.timestamp=at", "transforms.u.table.field.event.timestamp"},
		"a rule that drops":        {"transforms=c transforms.c.type=io.weir.transforms.CustomTransform transforms.c.config.business_rules.0.when=hour(now())>5 transforms.c.config.business_rules.0.drop=true", "transforms.c.config.business_rules.0.when"},
		"a rule that routes":       {"transforms=c transforms.c.type=io.weir.transforms.CustomTransform transforms.c.config.business_rules.0.route=x-${hour(now())}", "transforms.c.config.business_rules.0.route"},
		"a rule that sets":         {"transforms=c transforms.c.type=io.weir.transforms.CustomTransform transforms.c.config.business_rules.0.set.h=hour(now())", ""},
		"a folder by what it sets": {"transforms=c transforms.c.type=io.weir.transforms.CustomTransform transforms.c.config.business_rules.0.set.h=hour(now()) partitioner.class=FieldPartitioner partition.field.name=h", "h is made of the time"},
	} {
		t.Run(name, func(t *testing.T) {
			properties := map[string]string{}
			for _, item := range append(strings.Fields(good), strings.Fields(c.more)...) {
				name, text, _ := strings.Cut(item, "=")
				properties[name] = text
			}
			if !strings.Contains(properties["transforms"], "d,f") {
				for name := range properties {
					if strings.HasPrefix(name, "transforms.d.") || strings.HasPrefix(name, "transforms.f.") {
						delete(properties, name)
					}
				}
			}
			v, _, err := config.Parse(properties, append([]config.Table{config.Common}, Program().Tables...)...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = newMain(service.Environment{Values: v, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
			err = v.Complete(err)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
