package lakesink

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/cmd/internal/sinks"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/config"
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
