package mysql

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
	cdcjson "github.com/weir-cdc/weir/internal/cdc/json"
)

// goldenFolder has what the real Debezium published; WEIR_GOLDEN names a folder
// with more cases of the same layout.
func goldenFolder() string {
	if folder := os.Getenv("WEIR_GOLDEN"); folder != "" {
		return folder
	}
	return "../../testdata/golden"
}

// schemaCase is one case of the folder.
type schemaCase struct {
	name   string
	config map[string]string
	meta   struct {
		Server struct {
			Flavour   string `json:"flavour"`
			Charset   string `json:"character_set_server"`
			Collation string `json:"collation_server"`
		}
		Failure any `json:"failure"` // of the connector: what follows it is missing
	}
	events []schemaRecord
}

type schemaRecord struct {
	Topic string
	Key   *string
	Value *string
}

func loadSchemaCase(t *testing.T, name string) *schemaCase {
	t.Helper()
	c := &schemaCase{name: name}
	folder := filepath.Join(goldenFolder(), name)
	var connector struct{ Config map[string]string }
	readJSON(t, filepath.Join(folder, "connector.json"), &connector)
	readJSON(t, filepath.Join(folder, "meta.json"), &c.meta)
	c.config = connector.Config
	file, err := os.Open(filepath.Join(folder, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e schemaRecord
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		c.events = append(c.events, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func readJSON(t *testing.T, file string, to any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func schemaCaseNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(goldenFolder())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) < 10 {
		t.Fatalf("%s has %d cases, want at least the ten of the project", goldenFolder(), len(names))
	}
	return names
}

// kind is the source's kind.
func (c *schemaCase) kind() string {
	if strings.Contains(c.config["connector.class"], "mariadb") {
		return "mariadb"
	}
	return "mysql"
}

// options are the schema options that the case's configuration asks for.
func (c *schemaCase) options() *SchemaOptions {
	o := &SchemaOptions{Prefix: c.config["topic.prefix"], Delimiter: c.config["topic.delimiter"]}
	choose := func(property string, values map[string]int) int { return values[c.config[property]] }
	o.Values.Decimal = DecimalMode(choose("decimal.handling.mode", map[string]int{"string": 1, "double": 2}))
	o.Values.BigintUnsigned = BigintUnsignedMode(choose("bigint.unsigned.handling.mode", map[string]int{"precise": 1}))
	o.Values.Binary = BinaryMode(choose("binary.handling.mode", map[string]int{"base64": 1, "base64-url-safe": 2, "hex": 3}))
	o.Values.Time = TimeMode(choose("time.precision.mode", map[string]int{"adaptive": 1, "connect": 2, "isostring": 3, "microseconds": 4, "nanoseconds": 5}))
	o.Values.TinyIntBoolean = strings.Contains(c.config["boolean.type"], "TinyIntOneToBoolean")
	adjust := map[string]int{"avro": 1, "avro_unicode": 2}
	o.SchemaNames = NameAdjustment(choose("schema.name.adjustment.mode", adjust))
	o.FieldNames = NameAdjustment(choose("field.name.adjustment.mode", adjust))
	o.Comments = c.config["include.schema.comments"] == "true"
	return o
}

// altersTopic says that something else than the source decides what is on the
// schema change topic: a transform, another converter, a second snapshot.
func (c *schemaCase) altersTopic() bool {
	return c.config["transforms"] != "" || strings.Contains(c.config["key.converter"], "String") ||
		strings.Contains(c.config["value.converter"], "CloudEvents") || strings.Contains(c.name, "blocking")
}

// publishes is schema.history.internal.store.only.captured.databases.ddl.
func (c *schemaCase) publishes(database string) bool {
	return database == "" || c.config["schema.history.internal.store.only.captured.databases.ddl"] != "true" ||
		slices.Contains(strings.Split(c.config["database.include.list"], ","), database)
}

func (c *schemaCase) session() ddlSession {
	return ddlSession{ddlDialect: ddlDialect{mariadb: c.kind() == "mariadb"}}
}

// schemaEvents are the payloads of the schema change topic.
func (c *schemaCase) schemaEvents(t *testing.T) []schemaEvent {
	t.Helper()
	var out []schemaEvent
	for _, e := range c.events {
		if e.Topic != c.config["topic.prefix"] {
			continue
		}
		s := schemaEvent{key: []byte(*e.Key), value: []byte(*e.Value)}
		s.payload(t)
		out = append(out, s)
	}
	return out
}

type schemaEvent struct {
	key, value   []byte
	inlineSchema []byte // nil: schemas.enable is false
	source       struct {
		Snapshot string
		File     string
		Pos      uint64
		DB       string
		Table    *string
	}
	sourceJSON   []byte
	DatabaseName string
	DDL          string `json:"ddl"`
}

// payload takes the schema off, and reads what the test asks for.
func (s *schemaEvent) payload(t *testing.T) {
	t.Helper()
	var wrapped struct{ Schema, Payload json.RawMessage }
	if err := json.Unmarshal(s.value, &wrapped); err != nil {
		t.Fatal(err)
	}
	if wrapped.Payload != nil {
		s.value, s.inlineSchema = wrapped.Payload, wrapped.Schema
		var key struct{ Payload json.RawMessage }
		if err := json.Unmarshal(s.key, &key); err != nil {
			t.Fatal(err)
		}
		s.key = key.Payload
	}
	var parts struct {
		Source       json.RawMessage
		DatabaseName string
		DDL          string `json:"ddl"`
	}
	if err := json.Unmarshal(s.value, &parts); err != nil {
		t.Fatal(err)
	}
	s.sourceJSON, s.DatabaseName, s.DDL = parts.Source, parts.DatabaseName, parts.DDL
	if err := json.Unmarshal(s.sourceJSON, &s.source); err != nil {
		t.Fatal(err)
	}
}

// debeziumSource is Debezium's source block, as the source's author has it too.
func debeziumSource(kind string) *cdc.Schema {
	text := func(name string, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Text, Optional: optional}
	}
	number := func(name string, optional bool) cdc.Field {
		return cdc.Field{Name: name, Type: cdc.Int64, Optional: optional}
	}
	no := textValue("false")
	return cdc.Schema{Name: "io.debezium.connector." + kind + ".Source", Version: 1, Fields: []cdc.Field{
		text("version", false), text("connector", false), text("name", false), number("ts_ms", false),
		{Name: "snapshot", Type: cdc.Text, Semantic: cdc.Enum, SchemaVersion: 1, Optional: true, Default: &no,
			Params: []cdc.Param{{Name: "allowed", Value: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}}},
		text("db", false), text("sequence", true), number("ts_us", true), number("ts_ns", true), text("table", true),
		number("server_id", false), text("gtid", true), text("file", false), number("pos", false),
		{Name: "row", Type: cdc.Int32}, number("thread", true), text("query", true),
	}}.Intern()
}

// sourceRow is the golden event's source block without what the code under test
// has to fill in.
func (s *schemaEvent) sourceRow(t *testing.T, schema *cdc.Schema) *cdc.Row {
	t.Helper()
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(s.sourceJSON))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		t.Fatal(err)
	}
	row := &cdc.Row{}
	row.Reset(schema)
	for name, v := range members {
		if name == "db" || name == "table" {
			continue
		}
		switch v := v.(type) {
		case string:
			*row.Value(name) = textValue(v)
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				t.Fatal(err)
			}
			*row.Value(name) = cdc.Int(n)
		}
	}
	return row
}

// schemaQuery is a statement of the case's binary log.
type schemaQuery struct {
	text    string
	session ddlSession
	file    string
	start   uint64 // of the event in the file
}

// queries are the statements of the case's binary log that are no part of a
// transaction.
func (c *schemaCase) queries(t *testing.T) []schemaQuery {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenFolder(), c.name, "binlog", "*.[0-9]*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("binary log of %s: %v, %d files", c.name, err, len(files))
	}
	slices.Sort(files)
	server := ddlServer{ddlDialect: ddlDialect{mariadb: c.kind() == "mariadb"}}
	parse := newParser(true, func(*tableMap) (*plan, error) { return nil, nil })
	var out []schemaQuery
	for _, file := range files {
		r, err := openFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parse.seek(fileHeaderSize)
		for {
			raw, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			e, err := parse.parse(raw)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if e.kind == eventQuery && e.query.kind() == queryOther {
				out = append(out, schemaQuery{e.query.text(), server.sessionOf(&e.query), filepath.Base(file), e.start})
			}
		}
		if err := r.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var processingTime = regexp.MustCompile(`("query":null\},"ts_ms":)\d+`)

// TestSchemaChangesAsDebezium replays each case: the snapshot's statements as
// they were published, then those of the binary log, and demands the events of
// the schema change topic, byte for byte.
func TestSchemaChangesAsDebezium(t *testing.T) {
	compared := 0
	for _, name := range schemaCaseNames(t) {
		t.Run(name, func(t *testing.T) {
			c := loadSchemaCase(t, name)
			if c.altersTopic() {
				return
			}
			r := newSchemaReplay(t, c)
			if len(r.want) == 0 {
				return // a case without that topic, or that failed before
			}
			r.snapshot(t)
			r.stream(t)
			if len(r.want) > 0 {
				t.Errorf("%d events are missing, the first:\n%s", len(r.want), r.want[0].value)
			}
			compared += r.compared
		})
	}
	if compared < 100 {
		t.Errorf("only %d events were compared", compared)
	}
}

type schemaReplay struct {
	c        *schemaCase
	topic    *schemaTopic
	catalog  *catalog
	source   *cdc.Schema
	want     []schemaEvent
	compared int
}

func newSchemaReplay(t *testing.T, c *schemaCase) *schemaReplay {
	r := &schemaReplay{c: c, catalog: newCatalog(false), source: debeziumSource(c.kind()), want: c.schemaEvents(t)}
	r.topic = newSchemaTopic(c.kind(), r.source, c.options())
	r.catalog.server = ddlLocale{c.meta.Server.Charset, c.meta.Server.Collation}
	return r
}

// snapshot makes the snapshot's events of the databases and tables that the
// golden ones tell of.
func (r *schemaReplay) snapshot(t *testing.T) {
	var s snapshotSchemas
	s.server = r.catalog.server
	n := 0
	for n < len(r.want) && r.want[n].source.Snapshot != "false" {
		w := &r.want[n]
		n++
		session := r.c.session()
		session.database = w.DatabaseName
		st := parseDDL(w.DDL, session)
		r.catalog.apply(st, &session)
		switch st.kind {
		case ddlCreateDatabase:
			s.databases = append(s.databases, snapshotDatabase{w.DatabaseName, r.catalog.databases[w.DatabaseName]})
		case ddlCreateTable:
			d := r.catalog.table(st.tables[0])
			if d == nil {
				t.Fatalf("not understood: %s (%s)", w.DDL, st.problem)
			}
			s.tables = append(s.tables, snapshotTable{d, w.DDL})
		}
	}
	if n == 0 {
		return
	}
	got := r.topic.snapshotEvents(&s, func() *cdc.Row { return r.want[0].sourceRow(t, r.source) })
	for i, c := range got {
		if i >= n {
			t.Fatalf("an event too many: %s", r.payload(c.Value))
		}
		r.setTimes(t, c)
		r.compare(t, c)
	}
}

// setTimes copies the golden event's time, each event's own.
func (r *schemaReplay) setTimes(t *testing.T, c *capture.SchemaChange) {
	if len(r.want) == 0 {
		return
	}
	from := r.want[0].sourceRow(t, r.source)
	to := c.Value.Values[0].List()
	for i := range r.source.Fields {
		switch r.source.Fields[i].Name {
		case "ts_ms", "ts_us", "ts_ns", "snapshot":
			to[i] = from.Values[i]
		}
	}
}

func (r *schemaReplay) stream(t *testing.T) {
	for _, q := range r.c.queries(t) {
		st := parseDDL(q.text, q.session)
		effect := r.catalog.apply(st, &q.session)
		for _, c := range r.topic.events(effect, &q.session, q.text, r.template(t)) {
			if r.c.publishes(string(c.Key.Values[0].Bytes())) {
				r.compare(t, c)
			}
		}
	}
}

func (r *schemaReplay) template(t *testing.T) *cdc.Row {
	if len(r.want) > 0 {
		return r.want[0].sourceRow(t, r.source)
	}
	row := &cdc.Row{}
	row.Reset(r.source)
	return row
}

func (r *schemaReplay) payload(row *cdc.Row) []byte {
	return cdcjson.NewPlan(row.Schema, cdcjson.Options{}).Append(nil, row)
}

func (r *schemaReplay) compare(t *testing.T, c *capture.SchemaChange) {
	t.Helper()
	value := r.payload(c.Value)
	if len(r.want) == 0 {
		if r.c.meta.Failure == nil {
			t.Errorf("an event too many: %s", value)
		}
		return
	}
	w := &r.want[0]
	r.want = r.want[1:]
	r.compared++
	if key := r.payload(c.Key); !bytes.Equal(key, w.key) {
		t.Errorf("key %s, want %s", key, w.key)
	}
	want := processingTime.ReplaceAll(w.value, []byte("${1}0"))
	if got := processingTime.ReplaceAll(value, []byte("${1}0")); !bytes.Equal(got, want) {
		t.Errorf("value differs%s", firstDifference(got, want))
	}
	if w.inlineSchema != nil {
		if got := cdcjson.AppendSchema(nil, c.Value.Schema, cdcjson.Options{}); !bytes.Equal(got, w.inlineSchema) {
			t.Errorf("schema differs%s", firstDifference(got, w.inlineSchema))
		}
	}
}

// firstDifference shows where two texts begin to differ.
func firstDifference(got, want []byte) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	part := func(b []byte) []byte { return b[min(max(0, n-60), len(b)):min(n+120, len(b))] }
	return fmt.Sprintf(" at byte %d\n got …%s…\nwant …%s…\nof %.150s", n, part(got), part(want), want)
}
