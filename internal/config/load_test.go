package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a table with every type of property.
var shop = Table{Name: "Shop", Doc: "For tests.", Properties: []Property{
	{Name: "name", Required: true, Doc: "The name. And more."},
	{Name: "database.hostname", Required: true, Doc: "The server's host."},
	{Name: "database.port", Type: Int, Default: "3306", Min: 1, Max: 65535, Doc: "The server's port."},
	{Name: "database.password", Type: Secret, Doc: "The password."},
	{Name: "topic.transaction", Default: "transaction", Old: []string{"transaction.topic"}, Doc: "The topic of transactions."},
	{Name: "binlog.buffer.size", Inert: "events are read as they come"},
	{Name: "poll.interval.ms", Type: Millis, Default: "500", Min: 1, Max: 100000, Doc: "How long to wait."},
	{Name: "max.queue.size.in.bytes", Type: Bytes, Default: "0", Doc: "Bytes in the queue."},
	{Name: "rate", Type: Float, Default: "0.5", Min: 0, Max: 1, Doc: "A rate."},
	{Name: "tombstones.on.delete", Type: Bool, Default: "true", Doc: "Tombstones."},
	{Name: "snapshot.mode", Default: "initial", Values: []string{"initial", "no_data"}, Doc: "How to start."},
	{Name: "skipped.operations", Type: List, Default: "t", Values: []string{"c", "u", "d", "t", "none"}, Doc: "What to skip."},
	{Name: "table.include.list", Type: Regexes, Doc: "Tables."},
	{Name: "format.class", Type: Class, Values: []string{"io.confluent.connect.s3.format.parquet.ParquetFormat"}, Doc: "The format."},
	{Name: "transforms", Type: List, Doc: "The chain."},
	{Name: "transforms.*", Doc: "Its links."},
	{Name: "producer.*", Old: []string{"internal.producer.*"}, Doc: "The producer's."},
}}

// write puts a file into a folder of its own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines are errors or notices without the folders of files.
func lines[T any](t *testing.T, items []T, text func(T) string, paths ...string) []string {
	t.Helper()
	var out []string
	for _, item := range items {
		line := text(item)
		for _, path := range paths {
			line = strings.ReplaceAll(line, path, filepath.Base(path))
		}
		out = append(out, line)
	}
	return out
}

func errorLines(t *testing.T, err error, paths ...string) []string {
	return lines(t, Errors(err), error.Error, paths...)
}

func noticeLines(t *testing.T, notices []Notice, paths ...string) []string {
	return lines(t, notices, Notice.String, paths...)
}

func TestLoadConnectorFile(t *testing.T) {
	path := write(t, "orders.json", `{"name": "orders", "config": {
		"database.hostname": "db", "database.port": 3307, "database.password": "hunter2",
		"transaction.topic": "tx", "binlog.buffer.size": "32768", "poll.interval.ms": "100",
		"max.queue.size.in.bytes": "1000", "rate": 0.25, "tombstones.on.delete": false,
		"snapshot.mode": "NO_DATA", "skipped.operations": "c, D,", "table.include.list": "shop\\.orders, shop\\.(?!x).*s",
		"format.class": "com.company.ParquetFormat",
		"transforms": ["a"], "transforms.a": {"type": "T", "rules": [{"set": 1}, {"set": null}, 2], "list": ["x", "y"]},
		"internal.producer.acks": "all"}}`)
	v, notices, err := Load(Sources{Files: []string{path}}, shop)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"orders.json:3: transaction.topic: the old name of topic.transaction; used as that",
		"orders.json:8: internal.producer.acks: the old name of producer.acks; used as that",
		"orders.json:3: binlog.buffer.size: has no effect: events are read as they come",
	}
	if diff := cmp.Diff(want, noticeLines(t, notices, path)); diff != "" {
		t.Error(diff)
	}
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("name", v.Name(), "orders")
	check("hostname", v.String("database.hostname"), "db")
	check("port", v.Int("database.port"), 3307)
	check("password", v.Secret("database.password").Reveal(), "hunter2")
	check("topic", v.String("topic.transaction"), "tx")
	check("poll", v.Duration("poll.interval.ms"), 100*time.Millisecond)
	check("bytes", v.Int("max.queue.size.in.bytes"), 1000)
	check("rate", v.Float("rate"), 0.25)
	check("bool", v.Bool("tombstones.on.delete"), false)
	check("mode", v.String("snapshot.mode"), "no_data")
	check("list", v.List("skipped.operations"), []string{"c", "d"})
	check("class", v.String("format.class"), "io.confluent.connect.s3.format.parquet.ParquetFormat")
	check("match", v.Regexes("table.include.list").Match("SHOP.orders"), true)
	check("anchored", v.Regexes("table.include.list").Match("shop.orders2"), false)
	check("look-ahead", v.Regexes("table.include.list").Match("shop.items"), true)
	check("look-ahead refuses", v.Regexes("table.include.list").Match("shop.xs"), false)
	check("under", v.Under("transforms.a."), map[string]string{"type": "T", "rules.0.set": "1", "rules.2": "2", "list": "x,y"})
	check("order", v.NamesUnder("transforms.a."), []string{"type", "rules.0.set", "rules.2", "list"})
	check("old prefix", v.Under("producer."), map[string]string{"acks": "all"})
	check("has", v.Has("database.port"), true)
	check("has not", v.Has("binlog.buffer.size"), false)
}

func TestFormatsAgree(t *testing.T) {
	files := map[string]string{
		"bare.json": `{"name": "orders", "database.hostname": "db", "database.port": "3307", "transforms": "a,b",
			"transforms.a.type": "T", "skipped.operations": ["c", "d"], "rate": null}`,
		"nested.json": `{"name": "orders", "config": {"database": {"hostname": "db", "port": 3307}, "transforms": "a,b",
			"transforms.a": {"type": "T"}, "skipped.operations": "c,d"}}`,
		"read-back.json": `{"name": "orders", "type": "source", "tasks": [{"connector": "orders", "task": 0}], "config": {"name": "orders",
			"database.hostname": "db", "database.port": "3307", "transforms": "a,b", "transforms.a.type": "T", "skipped.operations": "c,d"}}`,
		"shop.properties": "# the shop\n! again\nname=orders\ndatabase.hostname : db\ndatabase.port 3307\ntransforms=a,\\\n  b\ntransforms.a.type=T\nskipped.operations=c,d\n",
		"shop.yaml":       "name: orders\ndatabase:\n  hostname: db\n  port: 3307\ntransforms: [a, b]\ntransforms.a.type: T\nskipped.operations:\n- c\n- d\nrate: ~\n",
		"connector.yml":   "name: orders\nconfig: &all\n  database.hostname: db\n  database.port: 3307\n  transforms: a,b\n  transforms.a: {type: T}\n  skipped.operations: c,d\n",
		"anchor.yaml":     "name: orders\nx: &base {port: 1, hostname: db}\ndatabase: {<<: *base, port: 3307}\ntransforms: [a, b]\ntransforms.a.type: T\nskipped.operations: c,d\n",
		"no-extension":    "\ufeff {\"name\": \"orders\", \"database.hostname\": \"db\", \"database.port\": 3307, \"transforms\": \"a,b\", \"transforms.a.type\": \"T\", \"skipped.operations\": \"c,d\"}",
	}
	base := shop
	base.Properties = append([]Property{{Name: "x.*", Doc: "For the anchor."}}, shop.Properties...)
	for name, text := range files {
		v, _, err := Load(Sources{Files: []string{write(t, name, text)}}, base)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := []any{v.Name(), v.String("database.hostname"), v.Int("database.port"), v.List("transforms"), v.Under("transforms."), v.List("skipped.operations"), v.Float("rate")}
		want := []any{"orders", "db", 3307, []string{"a", "b"}, map[string]string{"a.type": "T"}, []string{"c", "d"}, 0.5}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStdin(t *testing.T) {
	for _, text := range []string{`{"name": "n", "database.hostname": "h"}`, "name=n\ndatabase.hostname=h"} {
		v, _, err := Load(Sources{Files: []string{"-"}, Stdin: strings.NewReader(text)}, shop)
		if err != nil || v.Name() != "n" {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	if _, _, err := Load(Sources{Files: []string{"-"}}, shop); err == nil {
		t.Error("no standard input, no error")
	}
}

func TestUnreadableFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a.json":       {"{\n\"name\": \"n\",\n}", "a.json:3: reading JSON: "},
		"cut.json":     {"{\"name\": ", "cut.json:1: reading JSON: the file ends inside a value"},
		"empty.json":   {"", "empty.json:1: reading JSON: the file ends inside a value"},
		"two.json":     {"{} {}", "two.json:1: reading JSON: something follows the end of the JSON value"},
		"list.json":    {"[1]", "list.json: want an object of properties"},
		"deep.json":    {strings.Repeat(`{"a":`, 200), "deep.json:1: reading JSON: nested more than 100 deep"},
		"b.properties": {"a=1\nb=\\u12", `b.properties:2: reading properties: malformed \u12; want four hexadecimal digits`},
		"c.yaml":       {"a: b: c", "c.yaml: reading YAML: "},
		"two.yaml":     {"a: b\n---\nc: d", "two.yaml:2: reading YAML: a second document; want one"},
		"list.yaml":    {"- a", "list.yaml: want an object of properties"},
		"bomb.yaml": {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "bomb.yaml:1: reading YAML: more than 100000 values"},
		"cycle.yaml":     {"a: &a {b: *a}", "cycle.yaml:1: reading YAML: nested more than 100 deep"},
		"merge.yaml":     {"a: &a {<<: *a}", "merge.yaml:1: reading YAML: nested more than 100 deep"},
		"nul.json":       {"{\n\"name\": \"a\x00b\"}", "nul.json:2: a NUL byte; want text in UTF-8"},
		"nul.properties": {"a=1\n\nname=a\x00b", "nul.properties:3: a NUL byte; want text in UTF-8"},
		"utf16.yaml":     {"\xff\xfea\x00:\x00", "utf16.yaml:1: a NUL byte; want text in UTF-8"},
		"huge.json":      {"{\"name\": \"" + strings.Repeat("x", mostBytes) + "\"}", "--config huge.json: reading the file: it has more than 16777216 bytes"},
	} {
		path := write(t, name, c.text)
		_, _, err := Load(Sources{Files: []string{path}}, Table{})
		got := strings.Join(errorLines(t, err, path), "\n")
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	_, _, err := Load(Sources{Files: []string{"/nowhere/x.json"}}, Table{})
	if got, want := errorLines(t, err), []string{"--config /nowhere/x.json: reading the file: no such file or directory"}; !cmp.Equal(got, want) {
		t.Error(got)
	}
}

// TestUnreadableFileAlone: half a file is one mistake, and not as many more as it
// would have had properties.
func TestUnreadableFileAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "half.json")
	if err := os.WriteFile(file, []byte(`{"name": "shop", "config": {"host`), 0o600); err != nil {
		t.Fatal(err)
	}
	table := Table{Name: "Room", Properties: []Property{{Name: "hostname", Required: true, Doc: "A host."}}}
	_, _, err := Load(Sources{Files: []string{file}}, table)
	if errs := Errors(err); len(errs) != 1 || !strings.Contains(errs[0].Error(), "half.json") {
		t.Errorf("reading half a file: %v", err)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	first := write(t, "1.properties", "name=n\ndatabase.hostname=first\ndatabase.port=1\nsnapshot.mode=initial\nrate=0.1\ntransaction.topic=a\nproducer.acks=1")
	second := write(t, "2.yaml", "database:\n  port: 2\nsnapshot.mode: no_data\nrate: 0.2\n")
	v, notices, err := Load(Sources{
		Files:   []string{first, second},
		Environ: []string{"PATH=/bin", "WEIR_SNAPSHOT_MODE=initial", "WEIR_RATE=0.3", "WEIR_SET_10=producer.acks=10", "WEIR_SET_2=producer.acks=2", "WEIR_PORT_9400_TCP=tcp://1", "WEIR_DATABASE_HOSTNAM=x"},
		Set:     []string{"rate=0.4", "topic.transaction=b=c"},
	}, shop)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.String("database.hostname"), v.Int("database.port"), v.String("snapshot.mode"), v.Float("rate"), v.String("topic.transaction"), v.String("producer.acks")}
	if diff := cmp.Diff([]any{"first", 2, "initial", 0.4, "b=c", "10"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"WEIR_DATABASE_HOSTNAM: not the variable of a property; ignored; did you mean WEIR_DATABASE_HOSTNAME?",
		"WEIR_PORT_9400_TCP: not the variable of a property; ignored",
		"1.properties:6: transaction.topic: the old name of topic.transaction; used as that",
		"WEIR_SET_2: producer.acks: set twice; that of WEIR_SET_10 counts",
	}
	if diff := cmp.Diff(want, noticeLines(t, notices, first, second)); diff != "" {
		t.Error(diff)
	}
}

func TestOldNameBesideNew(t *testing.T) {
	for _, text := range []string{"transaction.topic=old\ntopic.transaction=new", "topic.transaction=new\ntransaction.topic=old"} {
		path := write(t, "x.properties", "name=n\ndatabase.hostname=h\n"+text)
		v, notices, err := Load(Sources{Files: []string{path}}, shop)
		if err != nil || v.String("topic.transaction") != "new" {
			t.Errorf("%q: %v %v", text, v.String("topic.transaction"), err)
		}
		if len(notices) != 2 {
			t.Errorf("%q: %v", text, notices)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	path := write(t, "orders.json", `{
	"database.port": "33o6",
	"databse.hostname": "db",
	"database.pasword": "hunter2",
	"some.api.token": "hunter2",
	"poll.interval.ms": "30s",
	"max.queue.size.in.bytes": "1M",
	"rate": "1.5",
	"tombstones.on.delete": "yes",
	"snapshot.mode": "allways",
	"skipped.operations": "c,x",
	"table.include.list": "a(b",
	"format.class": "org.apache.kafka.JsonFormat",
	"tranforms.unwrap.type": "T",
	"nothing.like.it": "",
	"transforms.a.type": "${env:MISSING}"
}`)
	_, _, err := Load(Sources{Files: []string{path}, Set: []string{"novalue"}, Environ: []string{"WEIR_SET_1=x"}}, shop)
	want := []string{
		"WEIR_SET_1: want WEIR_SET_1=name=value",
		"--set: novalue is not set: want --set name=value",
		`orders.json:3: databse.hostname = "db": unknown property; did you mean database.hostname?`,
		`orders.json:4: database.pasword = "****": unknown property; did you mean database.password?`,
		`orders.json:5: some.api.token = "****": unknown property`,
		`orders.json:14: tranforms.unwrap.type = "T": unknown property; did you mean transforms.unwrap.type?`,
		`orders.json:15: nothing.like.it: unknown property`,
		`orders.json:2: database.port = "33o6": want a whole number from 1 to 65535`,
		`orders.json:6: poll.interval.ms = "30s": want a number of milliseconds from 1 to 100000`,
		`orders.json:7: max.queue.size.in.bytes = "1M": want a number of bytes`,
		`orders.json:8: rate = "1.5": want a number from 0 to 1`,
		`orders.json:9: tombstones.on.delete = "yes": want true or false`,
		`orders.json:10: snapshot.mode = "allways": want one of initial, no_data`,
		`orders.json:11: skipped.operations = "c,x": want some of c, u, d, t, none`,
		`orders.json:12: table.include.list = "a(b": want a comma-separated list of regular expressions: reading the expression "a(b": error parsing regexp: missing closing ) in ` + "`\\A(?:a(b)\\z`",
		`orders.json:13: format.class = "org.apache.kafka.JsonFormat": want io.confluent.connect.s3.format.parquet.ParquetFormat`,
		`orders.json:16: transforms.a.type = "${env:MISSING}": ${env:MISSING}: the variable MISSING is not set`,
		`name is not set: want a text (The name)`,
		`database.hostname is not set: want a text (The server's host)`,
	}
	if diff := cmp.Diff(want, errorLines(t, err, path)); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a secret is shown")
	}
}

func TestReferences(t *testing.T) {
	secrets := write(t, "secrets.properties", "pass=hunter2\nport=3307\nquoted=$1 ${env:HOST}")
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "host"), []byte("db.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	set := []string{
		"name=${env:NAME}-${env:NAME}", "database.hostname=${dir:" + folder + ":host}", "database.port=${file:" + secrets + ":port}",
		"database.password=${file:" + secrets + ":pass}", "transforms.a.text=$(date:yyyy) ${routedByValue} $1 ${file:" + secrets + ":quoted}", "transforms=a",
		"transforms.a.type=x",
	}
	environ := []string{"NAME=orders", "HOST=h"}
	v, _, err := Load(Sources{Set: set, Environ: environ}, shop)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.Name(), v.String("database.hostname"), v.Int("database.port"), v.Secret("database.password").Reveal(), v.String("transforms.a.text")}
	want := []any{"orders-orders", "db.example", 3307, "hunter2", "$(date:yyyy) ${routedByValue} $1 $1 ${env:HOST}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for text, want := range map[string]string{
		"${file:/nowhere:x}":           "${file:/nowhere:x}: reading /nowhere: no such file or directory",
		"${file:" + secrets + ":none}": "${file:" + secrets + ":none}: " + secrets + " has no key none",
		"${file:x}":                    "${file:x}: want ${file:path:key}",
		"${dir:" + folder + ":../x}":   "${dir:" + folder + ":../x}: want the name of a file in " + folder + `, not "../x"`,
		"${vault:a:b}":                 `${vault:a:b}: no provider "vault"; want ${env:NAME}, ${file:path:key} or ${dir:path:key}`,
	} {
		_, _, err := Load(Sources{Set: []string{"name=n", "database.hostname=" + text}}, shop)
		wanted := `--set: database.hostname = ` + quoted(text) + `: ` + want
		if diff := cmp.Diff([]string{wanted}, errorLines(t, err)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestResolvedTextIsNotShownInErrors(t *testing.T) {
	_, _, err := Load(Sources{Set: []string{"name=n", "database.hostname=h", "database.port=${env:PASS}"}, Environ: []string{"PASS=hunter2"}}, shop)
	if diff := cmp.Diff([]string{`--set: database.port = "${env:PASS}": want a whole number from 1 to 65535`}, errorLines(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestBlocks(t *testing.T) {
	path := write(t, "enrichment.json", `{
	"lookup": {"transforms.enrich.type": "LookupTransform", "transforms.enrich.source": "redis"},
	"calc": {"transforms.calc.type": "CalculationTransform", "transforms.calc.formulas": {"b": "a * 2", "c": "b + 1"}}}`)
	base := []string{"name=n", "database.hostname=h"}

	v, notices, err := Load(Sources{Files: []string{path + "#lookup", path + "#calc"}, Set: base}, shop)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"enrich", "calc"}, v.List("transforms")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"type", "formulas.b", "formulas.c"}, v.NamesUnder("transforms.calc.")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"enrichment.json:3: transforms: not set; enrich,calc from the block"}, noticeLines(t, notices, path)); diff != "" {
		t.Error(diff)
	}

	v, notices, err = Load(Sources{Files: []string{path + "#lookup"}, Set: append(base, "transforms=other", "transforms.other.type=T")}, shop)
	if err != nil || !cmp.Equal(v.List("transforms"), []string{"other"}) {
		t.Error(v.List("transforms"), err)
	}
	if diff := cmp.Diff([]string{"enrichment.json:2: transforms.enrich.type: not applied: transforms does not list enrich"}, noticeLines(t, notices, path)); diff != "" {
		t.Error(diff)
	}

	_, _, err = Load(Sources{Files: []string{path}, Set: base}, shop)
	if diff := cmp.Diff([]string{"enrichment.json: holds named blocks (lookup, calc); choose one, as --config enrichment.json#lookup"}, errorLines(t, err, path)); diff != "" {
		t.Error(diff)
	}
	_, _, err = Load(Sources{Files: []string{path + "#none"}, Set: base}, shop)
	if diff := cmp.Diff([]string{`enrichment.json: no block "none"; want one of lookup, calc`}, errorLines(t, err, path)); diff != "" {
		t.Error(diff)
	}
	single := write(t, "smt.json", `{"transforms": "rename,route", "transforms.rename.type": "ReplaceField", "transforms.route.type": "RegexRouter", "transforms.route.regex": "x"}`)
	v, notices, err = Load(Sources{Files: []string{single + "#route"}, Set: base}, shop)
	if err != nil || !cmp.Equal(v.List("transforms"), []string{"route"}) || !cmp.Equal(v.NamesUnder("transforms."), []string{"route.type", "route.regex"}) {
		t.Error(v.NamesUnder("transforms"), err)
	}
	if diff := cmp.Diff([]string{"smt.json:1: transforms: not set; route from the block"}, noticeLines(t, notices, single)); diff != "" {
		t.Error(diff)
	}
	_, _, err = Load(Sources{Files: []string{single + "#rout"}, Set: base}, shop)
	if diff := cmp.Diff([]string{`smt.json: no block "rout"; want one of rename, route`}, errorLines(t, err, single)); diff != "" {
		t.Error(diff)
	}
	hash := write(t, "a#b.properties", "name=n\ndatabase.hostname=h")
	if _, _, err = Load(Sources{Files: []string{hash}}, shop); err != nil {
		t.Error(err)
	}
}

func TestSub(t *testing.T) {
	v, _, err := Load(Sources{Set: []string{"name=n", "database.hostname=h", "transforms=a", "transforms.a.type=T", "transforms.a.drop.tombstone=true",
		"transforms.a.delete.mode=x", "transforms.a.old=1", "transforms.a.many=two", "transforms.b.type=no"}}, shop)
	if err != nil {
		t.Fatal(err)
	}
	before := len(v.Notices())
	sub, err := v.Sub("transforms.a.", Table{Properties: []Property{
		{Name: "type"}, {Name: "drop.tombstones", Type: Bool}, {Name: "delete.mode", Values: []string{"drop"}}, {Name: "new", Type: Int, Old: []string{"old"}},
		{Name: "many", Type: Int}, {Name: "must", Required: true, Doc: "What must be."}}})
	want := []string{
		`--set: transforms.a.drop.tombstone = "true": unknown property; did you mean transforms.a.drop.tombstones?`,
		`--set: transforms.a.delete.mode = "x": want drop`,
		`--set: transforms.a.many = "two": want a whole number`,
		`transforms.a.must is not set: want a text (What must be)`,
	}
	if diff := cmp.Diff(want, errorLines(t, err)); diff != "" {
		t.Error(diff)
	}
	if sub.Int("new") != 1 || sub.String("type") != "T" {
		t.Error(sub.Int("new"), sub.String("type"))
	}
	if got := noticeLines(t, v.Notices()[before:]); !cmp.Equal(got, []string{"--set: transforms.a.old: the old name of transforms.a.new; used as that"}) {
		t.Error(got)
	}
	if got := sub.Error("type", "U").Error(); got != `--set: transforms.a.type = "T": want U` {
		t.Error(got)
	}
}

func TestRoomsAddTheirErrors(t *testing.T) {
	v, _, err := Load(Sources{Set: []string{"name=n", "database.hostname=h", "database.port=x", "database.password=hunter2", "rate=0.5"}}, shop)
	v.Notice("rate", "slow")
	all := v.Complete(err,
		NewError("rate", "0.5", "less"), NewError("database.port", "3306", "more"), NewError("database.password", "hunter2", "a longer one"),
		v.Error("transforms", "a chain"), os.ErrNotExist, nil)
	want := []string{
		`--set: database.port = "x": want a whole number from 1 to 65535`,
		`--set: rate = "0.5": want less`,
		`--set: database.password = "****": want a longer one`,
		`transforms is not set: want a chain`,
		`file does not exist`,
	}
	if diff := cmp.Diff(want, errorLines(t, all)); diff != "" {
		t.Error(diff)
	}
	if got := noticeLines(t, v.Notices()); !cmp.Equal(got, []string{"--set: rate: slow"}) {
		t.Error(got)
	}
}

func TestWrongUsePanics(t *testing.T) {
	v, _, _ := Parse(map[string]string{"name": "n", "database.hostname": "h"}, shop)
	for name, use := range map[string]func(){
		"unknown":   func() { v.String("no.such") },
		"old name":  func() { v.String("transaction.topic") },
		"wrong":     func() { v.Int("name") },
		"a default": func() { (&Property{Name: "x", Type: Int, Default: "y"}).unset() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			use()
		}()
	}
}

func TestUsedWinsOverInert(t *testing.T) {
	inert := Table{Properties: []Property{{Name: "tasks", Inert: "no"}}}
	used := Table{Properties: []Property{{Name: "tasks", Type: Int}}}
	for _, tables := range [][]Table{{inert, used}, {used, inert}} {
		v, notices, err := Parse(map[string]string{"tasks": "3"}, tables...)
		if err != nil || len(notices) != 0 || v.Int("tasks") != 3 {
			t.Error(v.Int("tasks"), notices, err)
		}
	}
}

func TestReferenceConfigurationsAreRead(t *testing.T) {
	files, err := filepath.Glob("../../docs/examples/reference/*.json")
	more, errMore := filepath.Glob("../../testdata/configs/*.json")
	if files = append(files, more...); err != nil || errMore != nil || len(files) != 13 {
		t.Fatal(files, err, errMore)
	}
	for _, file := range files {
		settings, _, err := readFile(file, nil)
		if err != nil || len(settings) < 4 {
			t.Errorf("%s: %d settings, %v", file, len(settings), err)
		}
	}
}

func TestWritten(t *testing.T) {
	path := write(t, "x.json", "{\"name\": \"n\",\n\"transaction.topic\": \"tx\"}")
	v, err := LoadPart(Sources{Files: []string{path}}, shop)
	if as, origin, ok := v.Written("topic.transaction"); as != "transaction.topic" || origin != path+":2" || !ok {
		t.Error(as, origin, ok, err)
	}
	if as, origin, ok := v.Written("rate"); as != "rate" || origin != "" || ok {
		t.Error(as, origin, ok)
	}
}

func TestLoadPart(t *testing.T) {
	path := write(t, "x.json", `{"name": "n", "connection.url": "http://es", "database.hostname": "${env:HOST}", "database.port": "x", "x": {"y": 1}}`)
	part := Table{Properties: []Property{{Name: "database.hostname"}, {Name: "database.port", Type: Int}}}
	v, err := LoadPart(Sources{Files: []string{path}, Environ: []string{"HOST=h", "WEIR_OTHER=1"}}, part)
	if v.String("database.hostname") != "h" || len(v.Notices()) != 0 && v.Notices()[0].Property != "WEIR_OTHER" {
		t.Error(v.String("database.hostname"), v.Notices())
	}
	if diff := cmp.Diff([]string{`x.json:1: database.port = "x": want a whole number`}, errorLines(t, err, path)); diff != "" {
		t.Error(diff)
	}
}

func TestHas(t *testing.T) {
	v, _, err := Parse(map[string]string{"name": "n", "database.hostname": "h", "table.include.list": "", "topic.transaction": "", "rate": "0.5"}, shop)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"name": true, "table.include.list": false, "topic.transaction": true, "rate": true, "database.port": false} {
		if v.Has(name) != want {
			t.Errorf("%s: %v", name, v.Has(name))
		}
	}
	if v.String("topic.transaction") != "" {
		t.Error("an explicit empty text does not take the place of the default")
	}
	if _, _, err := Parse(map[string]string{"name": " ", "database.hostname": "h"}, shop); err == nil {
		t.Error("a required property may be empty")
	}
}
