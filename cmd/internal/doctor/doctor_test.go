package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/cmd/internal/fleet"
	"github.com/weir-cdc/weir/internal/config"
)

// The least that each component needs.
var least = map[string]string{
	"capture": "name=orders\nconnector.class=io.debezium.connector.mysql.MySqlConnector\ndatabase.hostname=h\ndatabase.user=u\nbootstrap.servers=b:1\ntopic.prefix=shop\ntable.include.list=db.orders\n",
	"search":  "name=search\nconnection.url=http://h:1\nbootstrap.servers=b:1\ntopics=shop.db.orders\n",
	"cache":   "name=cache\nredis.hosts=h:1\nbootstrap.servers=b:1\ntopics=shop.db.orders\n",
	"lake":    "name=lake\ns3.bucket.name=b\nbootstrap.servers=b:1\ntopics=shop.db.orders\n",
}

// unwrap are the properties of an unwrapping, and more lines.
func unwrap(lines string) string {
	return "transforms=u\ntransforms.u.type=io.debezium.transforms.ExtractNewRecordState\n" + lines
}

// examine looks at files without their servers, each given as kind → more lines,
// and returns severity, code, file, property and what is to be written of each finding.
func examine(t *testing.T, files ...[2]string) []string {
	t.Helper()
	folder := t.TempDir()
	d := Doctor{Programs: fleet.Programs(), Offline: true, Sources: config.Sources{}}
	for _, f := range files {
		kind, name, ok := strings.Cut(f[0], ":")
		if !ok {
			name = kind
		}
		path := filepath.Join(folder, name+".properties")
		if err := os.WriteFile(path, []byte(least[kind]+f[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		d.Files = append(d.Files, path)
	}
	var lines []string
	for _, f := range d.Examine(t.Context()).Findings {
		words := []string{string(f.Severity), f.Code, strings.TrimSuffix(filepath.Base(f.File), ".properties"), f.Property}
		for _, c := range f.Write {
			words = append(words, c.Property+"="+c.Text)
		}
		lines = append(lines, strings.Join(words, " "))
		if f.What == "" || f.Why == "" || f.Do == "" && len(f.Write) == 0 && f.Code != "configuration" {
			t.Errorf("a finding does not say all: %+v", f)
		}
	}
	return lines
}

func TestFindings(t *testing.T) {
	capture, search, cache, lake := [2]string{"capture"}, [2]string{"search"}, [2]string{"cache"}, [2]string{"lake"}
	for name, c := range map[string]struct {
		files [][2]string
		want  []string
	}{
		"nothing":         {[][2]string{capture, search, cache, lake}, nil},
		"a sink alone":    {[][2]string{search}, nil},
		"a capture alone": {[][2]string{capture}, nil},
		"a topic that nobody writes, of a table that is left out": {[][2]string{capture, {"search", "topics=shop.db.orders,shop.db.items"}},
			[]string{"error topic-not-written search topics table.include.list=db.orders,db.items"}},
		"two of them": {[][2]string{capture, {"search", "topics=shop.db.orders,shop.db.a,shop.db.b"}},
			[]string{"error topic-not-written search topics table.include.list=db.orders,db.a", "error topic-not-written search topics table.include.list=db.orders,db.a,db.b"}},
		"a topic of nobody":             {[][2]string{capture, {"search", "topics=shop.db.orders,other"}}, []string{"error topic-not-written search topics"}},
		"what a capture writes besides": {[][2]string{capture, {"search", "topics=shop.db.orders,shop,shop.transaction,__debezium-heartbeat.shop"}}, nil},
		"dead letters":                  {[][2]string{capture, search, {"cache", "topics=search-dlq"}}, nil},
		"an expression for tables":      {[][2]string{{"capture", "table.include.list=db.o.*"}, {"search", "topics=shop.db.orders,other"}}, nil},
		"topics by an expression": {[][2]string{capture, {"search", `topics=
topics.regex=shop\\.db\\..*`}}, nil},
		"an expression for no topic": {[][2]string{capture, {"search", "topics=\ntopics.regex=shop2.*"}},
			[]string{"warning table-not-read capture table.include.list", "error topic-not-written search topics.regex"}},
		"a table that nobody reads": {[][2]string{{"capture", "table.include.list=db.orders,db.items"}, search}, []string{"warning table-not-read capture table.include.list"}},
		"routes by content":         {[][2]string{{"capture", "transforms=r\ntransforms.r.type=OperationRouter\ntransforms.r.insert.topic=i\ntransforms.r.update.topic=u\ntransforms.r.delete.topic=d\n"}, search}, nil},
		"a sink's route that never matches": {[][2]string{capture, {"search", "transforms=r\ntransforms.r.type=org.apache.kafka.connect.transforms.RegexRouter\ntransforms.r.regex=x\ntransforms.r.replacement=y\n"}},
			[]string{"error route-never-matches search transforms.r.regex"}},
		"two captures of one topic": {[][2]string{capture, {"capture:second", "name=second\n"}, search}, []string{"error topic-written-twice second topic.prefix"}},
		"two captures of one name": {[][2]string{capture, {"capture:second", "topic.prefix=other\n"}},
			[]string{"error group-in-use second name"}},
		"two sinks of one group": {[][2]string{capture, search, {"cache", "name=c\ngroup.id=weir-search\n"}}, []string{"error group-in-use cache group.id"}},
		"keys as texts": {[][2]string{capture, {"cache", "key.converter=StringConverter\n"}},
			[]string{"warning key-converter cache key.converter key.converter=org.apache.kafka.connect.json.JsonConverter key.converter.schemas.enable=false"}},
		"keys as texts, of nobody here": {[][2]string{{"cache", "key.converter=StringConverter\n"}}, nil},
		"values as Avro": {[][2]string{capture, {"lake", "value.converter=AvroConverter\nvalue.converter.schema.registry.url=http://r\n"}},
			[]string{"error converters-differ lake value.converter value.converter=org.apache.kafka.connect.json.JsonConverter value.converter.schemas.enable=false value.converter.schema.registry.url="}},
		"null values fail": {[][2]string{capture, {"search", "behavior.on.null.values=fail\n"}, {"lake", "behavior.on.null.values=fail\n"}},
			[]string{"error deletes-refused search behavior.on.null.values behavior.on.null.values=delete", "error deletes-refused lake behavior.on.null.values behavior.on.null.values=write"}},
		"null values fail, and there are none": {[][2]string{{"capture", "tombstones.on.delete=false"}, {"search", "behavior.on.null.values=fail\n"}}, nil},
		"documents without keys":               {[][2]string{capture, {"search", "key.ignore=true\n"}}, []string{"error deletes-refused search key.ignore key.ignore=false"}},
		"deletes are dropped": {[][2]string{{"capture", unwrap("transforms.u.delete.tombstone.handling.mode=drop\n")}, search},
			[]string{"error deletes-dropped capture transforms.u.delete.tombstone.handling.mode transforms.u.delete.tombstone.handling.mode=tombstone"}},
		"deletes are dropped, in the old way": {[][2]string{capture, {"search", unwrap("transforms.u.delete.handling.mode=drop\n")}},
			[]string{"error deletes-dropped search transforms.u.drop.tombstones transforms.u.drop.tombstones=false"}},
		"deletes pass": {[][2]string{capture, {"search", unwrap("transforms.u.delete.handling.mode=drop\ntransforms.u.drop.tombstones=false\n")}}, nil},
		"two caches of one prefix": {[][2]string{{"capture", "table.include.list=db.orders,db.items"}, {"cache", "cache.prefix=c:\n"}, {"cache:second", "name=second\ncache.prefix=c:\ntopics=shop.db.items\n"}},
			[]string{"error redis-keys-collide second cache.prefix cache.prefix=c:${table}:"}},
		"two caches of their own": {[][2]string{{"capture", "table.include.list=db.orders,db.items"}, {"cache", "cache.prefix=c:\n"}, {"cache:second", "name=second\ncache.prefix=d:\ntopics=shop.db.items\n"}}, nil},
		"mistakes":                {[][2]string{{"search", "batch.sise=1\nbatch.size=x\n"}}, []string{"error configuration search batch.sise", "error configuration search batch.size"}},
	} {
		got := examine(t, c.files...)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestMergedFiles: files that are joined by + are one component's, and the first
// of them is corrected.
func TestMergedFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	search := write("search.properties", least["search"]) + "+" + write("more.properties", "key.ignore=true\n")
	d := Doctor{Programs: fleet.Programs(), Offline: true, Files: []string{search}}
	report := d.Examine(t.Context())
	if len(report.Findings) != 1 || report.Findings[0].Property != "key.ignore" || report.Findings[0].Origin != filepath.Join(folder, "more.properties")+":1" {
		t.Fatalf("%+v", report.Findings)
	}
	copies, err := report.Fix(filepath.Join(folder, "out"))
	if err != nil || len(copies) != 2 {
		t.Fatal(copies, err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "out", "more.properties")); err != nil || string(text) != "key.ignore=false\n" {
		t.Error(string(text), err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "out", "search.properties")); err != nil || string(text) != least["search"] {
		t.Error(string(text), err)
	}
}

// TestFixOfWhatIsSetElsewhere: a property of a variable or a flag is not the
// file's to correct.
func TestFixOfWhatIsSetElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "search.properties")
	if err := os.WriteFile(path, []byte(least["search"]), 0o600); err != nil {
		t.Fatal(err)
	}
	d := Doctor{Programs: fleet.Programs(), Offline: true, Files: []string{path}, Sources: config.Sources{Set: []string{"key.ignore=true"}}}
	copies, err := d.Examine(t.Context()).Fix(filepath.Join(t.TempDir(), "out"))
	if err == nil || !strings.Contains(err.Error(), "key.ignore is set by --set") || len(copies) != 1 {
		t.Error(copies, err)
	}
}
