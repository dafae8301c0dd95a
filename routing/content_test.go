package routing

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

const (
	contentClass = "io.debezium.transforms.ContentBasedRouter"
	filterClass  = "io.debezium.transforms.Filter"
)

func TestContentFilter(t *testing.T) {
	ann, bob := customer(1, "Ann", 5), customer(2, "Bob", 0)
	for name, x := range map[string]struct {
		properties map[string]string
		record     *cdc.Record
		keep       bool
	}{
		"true":                {map[string]string{"condition": "score > 3"}, change(cdc.OpCreate, nil, ann), true},
		"false":               {map[string]string{"condition": "score > 5"}, change(cdc.OpCreate, nil, ann), false},
		"null field":          {map[string]string{"condition": "score > 3"}, change(cdc.OpCreate, nil, bob), false},
		"missing field":       {map[string]string{"condition": "colour == 'red'"}, read(t, "t", `{"id":1}`, `{"id":1}`), false},
		"exact decimal":       {map[string]string{"condition": "balance * 3 == 37.02"}, change(cdc.OpCreate, nil, ann), true},
		"schemaless":          {map[string]string{"condition": "n == 2"}, read(t, "t", `{"id":1}`, `{"n":2}`), true},
		"Groovy":              {map[string]string{"language": "jsr223.groovy", "condition": "value.op == 'u' && value.before.name == 'Bob'"}, change(cdc.OpUpdate, bob, ann), true},
		"JavaScript":          {map[string]string{"language": "jsr223.graal.js", "condition": "value.op === 'c'"}, change(cdc.OpUpdate, bob, ann), false},
		"tombstone":           {map[string]string{"condition": "score > 3"}, read(t, "t", `{"id":1}`, ""), true},
		"tombstone, drop":     {map[string]string{"condition": "true", "null.handling.mode": "drop"}, read(t, "t", `{"id":1}`, ""), false},
		"tombstone, evaluate": {map[string]string{"condition": "key.id == 1", "null.handling.mode": "evaluate"}, read(t, "t", `{"id":1}`, ""), true},
		"tombstone, asked":    {map[string]string{"condition": "key.id == 2", "null.handling.mode": "EVALUATE"}, read(t, "t", `{"id":1}`, ""), false},
		"other topic":         {map[string]string{"condition": "false", "topic.regex": "orders"}, change(cdc.OpCreate, nil, ann), true},
		"its topic":           {map[string]string{"condition": "false", "topic.regex": `.*\.customers`}, change(cdc.OpCreate, nil, ann), false},
	} {
		x.properties["type"] = filterClass
		if keep := apply(t, one(t, x.properties), x.record); keep != x.keep {
			t.Errorf("%s: kept %v, want %v", name, keep, x.keep)
		}
	}
	for property, properties := range map[string]map[string]string{
		"condition":          {"language": "jsr223.groovy"},
		"null.handling.mode": {"condition": "true", "null.handling.mode": "x"},
		"topic.regex":        {"condition": "true", "topic.regex": "("},
	} {
		properties["type"] = filterClass
		refused(t, property, properties)
	}
	refused(t, "condition", map[string]string{"type": filterClass, "language": "jsr223.groovy", "condition": "def x = 1; x > 2"})
	rejected(t, one(t, map[string]string{"type": filterClass, "condition": "false", "topic.regex": "(?=s)(([a-z.])+)+1"}), change(cdc.OpCreate, nil, ann), "matching")
}

// TestFilterWithCondition: Kafka's Filter with a condition keeps what it is true
// of, as the reference configuration has it, and says so.
func TestFilterWithCondition(t *testing.T) {
	v, _, err := config.Parse(prefixed(map[string]string{"type": "org.apache.kafka.connect.transforms.Filter", "condition": "value.status != 'DRAFT'"}), transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		t.Fatal(err)
	}
	if n := v.Notices(); len(n) != 1 || n[0].Property != "transforms.t.condition" || !strings.Contains(n[0].Text, "records are kept of which it is true") {
		t.Errorf("the notices are %v", n)
	}
	if !apply(t, c, read(t, "t", `{"id":1}`, `{"status":"NEW"}`)) || apply(t, c, read(t, "t", `{"id":1}`, `{"status":"DRAFT"}`)) {
		t.Error("the condition is not obeyed")
	}
}

func TestContentRouter(t *testing.T) {
	ann, bob := customer(1, "Ann", 5), customer(2, "Bob", 0)
	for name, x := range map[string]struct {
		properties map[string]string
		record     *cdc.Record
		want       string
	}{
		"text":       {map[string]string{"topic.expression": "'scores-' + string(score)"}, change(cdc.OpCreate, nil, ann), "scores-5"},
		"null":       {map[string]string{"topic.expression": "score > 3 ? 'high' : null"}, change(cdc.OpCreate, nil, bob), "shop.ecommerce.customers"},
		"Groovy":     {map[string]string{"language": "jsr223.groovy", "topic.expression": "value.op == 'u' ? 'updates' : null"}, change(cdc.OpUpdate, bob, ann), "updates"},
		"tombstone":  {map[string]string{"topic.expression": "'x'"}, read(t, "t", `{"id":1}`, ""), "t"},
		"by its key": {map[string]string{"topic.expression": "'x' + string(key.id)", "null.handling.mode": "evaluate"}, read(t, "t", `{"id":1}`, ""), "x1"},
		"schemaless": {map[string]string{"topic.expression": "kind"}, read(t, "t", `{"id":1}`, `{"kind":"tea"}`), "tea"},
		"missing":    {map[string]string{"topic.expression": "kind"}, read(t, "t", `{"id":1}`, `{"id":1}`), "t"},
	} {
		x.properties["type"] = contentClass
		if !apply(t, one(t, x.properties), x.record) || x.record.Route != x.want {
			t.Errorf("%s: routed to %s, want %s", name, x.record.Route, x.want)
		}
	}
	refused(t, "topic.expression", map[string]string{"type": contentClass})
}

// TestConditionalRouter has the block conditional_routing of the reference
// configuration, and conditions of which several hold.
func TestConditionalRouter(t *testing.T) {
	reference := map[string]string{"type": "com.company.debezium.ConditionalRouter", "conditions.high_priority": "priority == 'HIGH'",
		"conditions.low_priority": "priority == 'LOW'", "default.topic": "normal"}
	for value, want := range map[string]string{`{"priority":"HIGH"}`: "high_priority", `{"priority":"LOW"}`: "low_priority", `{"priority":null}`: "normal", `{"x":1}`: "normal", "": "normal"} {
		r := read(t, "t", `{"id":1}`, value)
		if !apply(t, one(t, reference), r) || r.Route != want {
			t.Errorf("%s is routed to %s, want %s", value, r.Route, want)
		}
	}
	r := change(cdc.OpCreate, nil, customer(1, "Ann", 5))
	if !apply(t, one(t, map[string]string{"type": "ConditionalRouter", "conditions.a": "score > 5", "topics.b": "bees", "conditions.b": "score > 3"}), r) || r.Route != "bees" {
		t.Errorf("routed to %s", r.Route)
	}
	if !apply(t, one(t, map[string]string{"type": "ConditionalRouter", "conditions.a": "false"}), r) || r.Route != "bees" {
		t.Errorf("without a default routed to %s", r.Route)
	}
	refused(t, "conditions", map[string]string{"type": "ConditionalRouter", "default.topic": "x"})
	refused(t, "conditions.a", map[string]string{"type": "ConditionalRouter", "conditions.a": "1 +"})
	refused(t, "topics.b", map[string]string{"type": "ConditionalRouter", "conditions.a": "true", "topics.b": "x"})
}

// TestConditionsInOrder: the first condition of the file that holds decides,
// whatever the names.
func TestConditionsInOrder(t *testing.T) {
	v, _, err := config.Load(config.Sources{Set: []string{"transforms=t", "transforms.t.type=ConditionalRouter", "transforms.t.conditions.z=true", "transforms.t.conditions.a=true"}}, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transform.New(v, Classes)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, "t", "", `{"x":1}`); !apply(t, c, r) || r.Route != "z" {
		t.Errorf("routed to %s, want z", r.Route)
	}
}

// TestPredicateThatTakesTooLong does not match, and is not asked again.
func TestPredicateThatTakesTooLong(t *testing.T) {
	p, err := Compile(`(?=a)(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	m := &topicNameMatches{topics: &topics{pattern: p, known: map[string]bool{}}, endless: map[string]bool{}}
	r := &cdc.Record{Route: strings.Repeat("a", 40) + "!"}
	if m.Test(r) || !m.endless[r.Route] {
		t.Error("an endless match is one")
	}
	m.topics.pattern = nil // asking again would panic
	if m.Test(r) {
		t.Error("an endless match is one the second time")
	}
}

func TestSchemaChangeFilter(t *testing.T) {
	const class = "io.debezium.transforms.SchemaChangeEventFilter"
	c := one(t, map[string]string{"type": class, "schema.change.event.exclude.list": "ALTER, CREATE"})
	event := func(changes string) string { return `{"source":{"db":"a"},"ddl":"x","tableChanges":` + changes + `}` }
	typed := `{"schema":{"type":"struct","fields":[{"type":"array","items":{"type":"struct","fields":[{"type":"string","optional":false,"field":"type"}],"optional":false},"optional":false,"field":"tableChanges"}],"optional":false,"name":"io.debezium.connector.mysql.SchemaChangeValue"},"payload":{"tableChanges":[{"type":"%"}]}}`
	for value, keep := range map[string]bool{
		event(`[{"type":"ALTER"}]`): false, event(`[{"type":"DROP"},{"type":"ALTER"}]`): true, event(`[]`): true, event(`null`): false,
		strings.Replace(typed, "%", "CREATE", 1): false, strings.Replace(typed, "%", "TRUNCATE", 1): true,
		`{"tableChanges":[{"type":"ALTER"}]}`: true, `{"x":null}`: true, "": true,
	} {
		if got := apply(t, c, read(t, "shop", `{"databaseName":"a"}`, value)); got != keep {
			t.Errorf("%s is kept: %v, want %v", value, got, keep)
		}
	}
	if !apply(t, c, change(cdc.OpCreate, nil, customer(1, "Ann", 5))) {
		t.Error("a change is dropped")
	}
	if apply(t, one(t, map[string]string{"type": class, "schema.change.event.exclude.list": "DATABASE"}), read(t, "shop", "", event(`[]`))) {
		t.Error("a change of the database is kept")
	}
	refused(t, "schema.change.event.exclude.list", map[string]string{"type": class, "schema.change.event.exclude.list": "ALTER,RENAME"})
	refused(t, "schema.change.event.exclude.list", map[string]string{"type": class})
}

func benchmarkRow(b *testing.B, properties map[string]string) {
	row := customer(1, "Ann", 5)
	e := &cdc.Envelope{Op: cdc.OpUpdate, Before: row, After: row, SourceJSON: []byte(`{"db":"ecommerce","table":"customers"}`)}
	benchmark(b, one(b, properties), func(r *cdc.Record) {
		*r = cdc.Record{Route: "shop.ecommerce.customers", Envelope: e, Op: cdc.OpUpdate}
	})
}

func BenchmarkContentFilter(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": filterClass, "condition": "score > 3 && name != 'Bob'"})
}

func BenchmarkContentRouter(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": contentClass, "topic.expression": "score > 3 ? 'high' : null"})
}

func BenchmarkConditionalRouter(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": "ConditionalRouter", "conditions.low": "score < 3", "conditions.high": "score > 3", "default.topic": "x"})
}

func BenchmarkOperationRouter(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": "OperationRouter", "insert.topic": "i", "update.topic": "u"})
}

func BenchmarkPartitionRouting(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": "io.debezium.transforms.partitions.PartitionRouting", "partition.payload.fields": "change.name,source.table", "partition.topic.num": "12"})
}

func BenchmarkSchemaChangeFilter(b *testing.B) {
	benchmarkRow(b, map[string]string{"type": "io.debezium.transforms.SchemaChangeEventFilter", "schema.change.event.exclude.list": "ALTER"})
}
