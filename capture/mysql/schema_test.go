package mysql

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
	cdcjson "github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// schemaProof is one data event's inline schemas and place in the log.
type schemaProof struct {
	snapshot   bool
	file       string
	pos        uint64
	db, table  string
	topic      string
	key, value []byte // schemas; key nil without one
}

// proofs are the data events of the case that carry schemas, in the log's order.
func (c *schemaCase) proofs(t *testing.T) []schemaProof {
	t.Helper()
	var out []schemaProof
	for _, e := range c.events {
		if e.Value == nil || !strings.HasPrefix(e.Topic, c.config["topic.prefix"]+c.delimiter()) {
			continue
		}
		var v struct {
			Schema  struct{ Fields []json.RawMessage }
			Payload struct {
				Op     string
				Source struct {
					Snapshot, File, DB, Table string
					Pos                       uint64
				}
			}
		}
		if err := json.Unmarshal([]byte(*e.Value), &v); err != nil || len(v.Schema.Fields) == 0 || v.Payload.Op == "" || v.Payload.Op == "t" {
			continue
		}
		s := v.Payload.Source
		p := schemaProof{snapshot: s.Snapshot != "false", file: s.File, pos: s.Pos, db: s.DB, table: s.Table, topic: e.Topic}
		p.value = v.Schema.Fields[1] // after
		if e.Key != nil {
			var k struct{ Schema json.RawMessage }
			if err := json.Unmarshal([]byte(*e.Key), &k); err != nil {
				t.Fatal(err)
			}
			p.key = k.Schema
		}
		out = append(out, p)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].before(out[j].file, out[j].pos, out[j].snapshot) })
	return out
}

func (c *schemaCase) delimiter() string {
	if d := c.config["topic.delimiter"]; d != "" {
		return d
	}
	return "."
}

// before reports whether the event is in front of a place of the log.
func (p *schemaProof) before(file string, pos uint64, snapshot bool) bool {
	if p.snapshot != snapshot {
		return p.snapshot
	}
	return p.file < file || p.file == file && p.pos < pos
}

// TestSchemasAsDebezium demands the schemas of before, after and keys that
// Debezium wrote into its events, byte for byte, defaults and parameters
// included, for the definitions that DDL leads to at each event's place.
func TestSchemasAsDebezium(t *testing.T) {
	compared := 0
	for _, name := range schemaCaseNames(t) {
		t.Run(name, func(t *testing.T) {
			c := loadSchemaCase(t, name)
			if c.altersTopic() || c.masks() {
				return
			}
			compared += c.compareSchemas(t)
		})
	}
	if compared < 300 {
		t.Errorf("only %d schemas were compared", compared)
	}
}

// masks says that columns are masked or truncated, which schemas tell.
func (c *schemaCase) masks() bool {
	for property := range c.config {
		if strings.HasPrefix(property, "column.mask.") || strings.HasPrefix(property, "column.truncate.") {
			return true
		}
	}
	return c.config["include.schema.changes"] == "false" // the test learns the tables from the schema changes
}

func (c *schemaCase) compareSchemas(t *testing.T) int {
	proofs := c.proofs(t)
	if len(proofs) == 0 {
		return 0
	}
	catalog := newCatalog(false)
	catalog.server = ddlLocale{c.meta.Server.Charset, c.meta.Server.Collation}
	for _, w := range c.schemaEvents(t) {
		if w.source.Snapshot == "false" {
			break
		}
		s := c.session()
		s.database = w.DatabaseName
		catalog.apply(parseDDL(w.DDL, s), &s)
	}
	options := c.options()
	options.Comments = options.Comments || c.kind() == "mariadb"
	options.Filter = c.filter(t)
	options.SourceTypes = c.sourceTypes(t)
	queries := c.queries(t)
	for i := range proofs {
		p := &proofs[i]
		for !p.snapshot && len(queries) > 0 && !p.before(queries[0].file, queries[0].start, false) {
			catalog.apply(parseDDL(queries[0].text, queries[0].session), &queries[0].session)
			queries = queries[1:]
		}
		c.compareSchema(t, catalog, options, p)
	}
	return len(proofs)
}

func (c *schemaCase) compareSchema(t *testing.T, catalog *catalog, o *SchemaOptions, p *schemaProof) {
	t.Helper()
	d := catalog.table(tableName{p.db, p.table})
	if d == nil {
		t.Fatalf("%s.%s is not known at %s:%d", p.db, p.table, p.file, p.pos)
	}
	s, err := NewTableSchema(d, o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Topic != p.topic {
		t.Errorf("topic %s, want %s", s.Topic, p.topic)
	}
	written := cdcjson.Options{}
	if c.config["value.converter.decimal.format"] == "NUMERIC" {
		written.Decimal = cdcjson.Numeric
	}
	after := cdc.Schema{Fields: []cdc.Field{{Name: "after", Type: cdc.Struct, Struct: s.Value, Optional: true}}}
	want := append(append([]byte(`{"type":"struct","fields":[`), p.value...), `],"optional":false}`...)
	if got := cdcjson.AppendSchema(nil, after.Intern(), written); !bytes.Equal(got, want) {
		t.Errorf("value schema of %s differs%s", p.topic, firstDifference(got, want))
	}
	var key []byte
	if s.Key != nil {
		key = cdcjson.AppendSchema(nil, s.Key, cdcjson.Options{})
	}
	if !bytes.Equal(key, p.key) && !(key == nil && string(p.key) == "null") {
		t.Errorf("key schema of %s differs%s", p.topic, firstDifference(key, p.key))
	}
}

// filter makes the capture's filter of the case's lists.
func (c *schemaCase) filter(t *testing.T) *capture.Filter {
	t.Helper()
	properties := map[string]string{"topic.prefix": c.config["topic.prefix"], "bootstrap.servers": "localhost:9092", "name": "x",
		"connector.class": c.config["connector.class"]}
	for _, p := range []string{"column.include.list", "column.exclude.list", "message.key.columns"} {
		if v, ok := c.config[p]; ok {
			properties[p] = v
		}
	}
	v, _, err := config.Parse(properties, capture.Properties, kafka.Properties, config.Common, Properties)
	if err != nil && !strings.Contains(err.Error(), "database.") {
		t.Fatal(err)
	}
	if v == nil {
		return nil
	}
	conf, err := capture.NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	return conf.Filter
}

func (c *schemaCase) sourceTypes(t *testing.T) SourceTypes {
	t.Helper()
	list := func(property string) (out config.RegexList) {
		for _, text := range strings.Split(c.config[property], ",") {
			if text == "" {
				continue
			}
			r, err := config.CompileRegex(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, r)
		}
		return out
	}
	return SourceTypes{list("column.propagate.source.type"), list("datatype.propagate.source.type")}
}

func TestRowsHaveKeysOfExcludedColumns(t *testing.T) {
	s := ddlSession{}
	catalog := newCatalog(false)
	catalog.server = ddlLocale{"utf8mb4", "utf8mb4_0900_ai_ci"}
	catalog.apply(parseDDL("CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(5), b INT NOT NULL)", s), &s)
	c := &schemaCase{config: map[string]string{"topic.prefix": "p", "connector.class": "io.debezium.connector.mysql.MySqlConnector",
		"column.exclude.list": "d.t.(id|b)", "message.key.columns": "d.t:b,nothere"}}
	o := &SchemaOptions{Prefix: "p", Filter: c.filter(t)}
	got, err := NewTableSchema(catalog.table(tableName{"d", "t"}), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Value.Fields); n != 1 || got.Value.Fields[0].Name != "a" {
		t.Errorf("value has %v, want a alone", got.Value.Fields)
	}
	if want := []int{1, 0, 2}; !slices.Equal(got.Ordinals, want) {
		t.Errorf("ordinals %v, want %v: a, then id and b for the keys", got.Ordinals, want)
	}
	if !slices.Equal(got.RowKey, []int{1}) || !slices.Equal(got.KeyColumns, []int{2}) || got.Key.Fields[0].Name != "b" {
		t.Errorf("row key %v, message key %v %v; want [1], [2] b", got.RowKey, got.KeyColumns, got.Key.Fields)
	}
}

func TestTopicNames(t *testing.T) {
	o := &SchemaOptions{Prefix: "p"}
	for _, c := range [][3]string{
		{"db", "orders", "p.db.orders"},
		{"db", "таблица", "p.db._______"},
		{"db", "a b\U0001F600", "p.db.a_b__"},
		{"db", strings.Repeat("x", 300), "p.db." + strings.Repeat("x", 249-5)},
	} {
		if got := o.TopicName(c[0], c[1]); got != c[2] {
			t.Errorf("topic of %s.%s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if got := sanitizeTopic(".."); got != "__" {
		t.Errorf(".. becomes %s, want __", got)
	}
}
