package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// inReference makes the folder of the reference files the working one, so that
// messages name files without a folder.
func inReference(t *testing.T) {
	t.Helper()
	t.Chdir("../../docs/examples/reference")
}

// example is a component started with a reference file.
type example struct {
	program string
	files   []string
	set     []string
}

// addresses are what has to be set besides: where servers are.
var addresses = map[string][]string{
	"weir-capture":       {"database.hostname=localhost", "bootstrap.servers=localhost:9092"},
	"weir-elasticsearch": {"connection.url=http://localhost:9200", "bootstrap.servers=localhost:9092"},
	"weir-redis":         {"redis.hosts=localhost:6379", "bootstrap.servers=localhost:9092"},
	"weir-lake":          {"store.url=http://localhost:9000", "bootstrap.servers=localhost:9092"},
}

const jsonValues = "value.converter=org.apache.kafka.connect.json.JsonConverter"

var wholeFiles = []example{
	{"weir-capture", []string{"mysql-orders-connector.json"}, nil},
	{"weir-capture", []string{"mysql-tuned.json"}, nil},
	{"weir-capture", []string{"mysql-high-performance.json"}, nil},
	{"weir-elasticsearch", []string{"elasticsearch-orders-sink.json"}, nil},
	{"weir-redis", []string{"redis-cache-sink.json"}, nil},
	{"weir-lake", []string{"s3-data-lake-sink.json"}, []string{jsonValues}},
}

// sink are the properties of a sink without transforms, to merge fragments with.
var sink = []string{"name=orders", "topics=shop.ecommerce.orders"}

var fragments = []example{
	{"weir-elasticsearch", []string{"routing.json#database_based_routing"}, sink},
	{"weir-elasticsearch", []string{"routing.json#table_based_routing"}, sink},
	{"weir-elasticsearch", []string{"routing.json#operation_based_routing"}, sink},
	{"weir-elasticsearch", []string{"routing.json#conditional_routing"}, sink},
	{"weir-redis", []string{"enrichment.json#lookup_enrichment"}, sink},
	{"weir-elasticsearch", []string{"enrichment.json#calculation_enrichment", "enrichment.json#geolocation_enrichment", "routing.json#table_based_routing"}, sink},
	{"weir-elasticsearch", []string{"transforms-smt.json"}, sink},
	{"weir-elasticsearch", []string{"transforms-smt.json#rename"}, sink},
	{"weir-elasticsearch", []string{"transforms-custom.json"}, sink},
	{"weir-elasticsearch", []string{"avro-registry.json#unwrap"}, sink},
}

// command is the command line that starts an example.
func (e *example) command() string {
	words := []string{e.program}
	for _, file := range e.files {
		words = append(words, "--config "+file)
	}
	for _, set := range slices.Concat(e.set, addresses[e.program]) {
		words = append(words, "--set "+set)
	}
	return strings.Join(words, " ")
}

// notices makes the component of an example and returns what it says.
func (e *example) notices(t *testing.T) []string {
	t.Helper()
	p := programOf(e.program)
	v, err := p.Load(config.Sources{Files: e.files, Set: slices.Concat(e.set, addresses[e.program])})
	if err != nil {
		t.Errorf("%s: %v", e.command(), err)
		return nil
	}
	if _, err := p.New(service.Environment{Values: v, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()}); err != nil {
		t.Errorf("%s: %v", e.command(), err)
	}
	var lines []string
	for _, n := range v.Notices() {
		lines = append(lines, n.String())
	}
	return lines
}

// shopFiles are the files of the reference shop.
var shopFiles = []string{"mysql-orders-connector.json", "elasticsearch-orders-sink.json", "redis-cache-sink.json", "s3-data-lake-sink.json"}

const referenceIntro = `# The reference files

*Written by a test of cmd/weirctl, which fails when this page is stale: everything below is what the programs print.*

These files were written for Debezium, Kafka Connect and its sinks. They are here as they are, and start Weir's fleet with nothing changed but addresses (and, for the lake, the converter of values). What is wrong in a file in itself is read as Kafka Connect does where that loses nothing, and as it was plainly meant where Kafka Connect would fail with every record; either way a notice says so. ` + "`corrected/`" + ` has the files of the shop as ` + "`weirctl doctor --fix`" + ` writes them.
`

// reference is docs/examples/reference/README.md.
func reference(t *testing.T) string {
	var b strings.Builder
	b.WriteString(referenceIntro)
	section := func(title string, examples []example) {
		fmt.Fprintf(&b, "\n## %s\n", title)
		for _, e := range examples {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", e.command())
			if lines := e.notices(t); len(lines) > 0 {
				fmt.Fprintf(&b, "\n- %s\n", strings.Join(lines, "\n- "))
			}
		}
	}
	section("Whole files, and their notices", wholeFiles)
	section("Fragments", fragments)
	code, out, errs := weirctl(t, nil, append([]string{"doctor", "--offline"}, shopFiles...)...)
	if code != 1 || errs != "" {
		t.Errorf("doctor: %d %s", code, errs)
	}
	fmt.Fprintf(&b, "\n## What is wrong with them\n\n```\nweirctl doctor --offline %s\n```\n\n```\n%s```\n", strings.Join(shopFiles, " "), out)
	return b.String()
}

// TestReferenceFilesStart starts every reference file as it is, and compares the
// notices word for word.
func TestReferenceFilesStart(t *testing.T) {
	inReference(t)
	want := reference(t)
	if os.Getenv("UPDATE") != "" && !t.Failed() {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/examples/reference/README.md is stale; write it again with UPDATE=1 go test ./cmd/weirctl -run TestReferenceFilesStart\n%s", diff)
	}
}

// TestCorrectedReferenceFiles compares what doctor --fix writes with what is
// committed, and finds nothing more to correct in it.
func TestCorrectedReferenceFiles(t *testing.T) {
	inReference(t)
	folder := filepath.Join(t.TempDir(), "corrected")
	code, out, errs := weirctl(t, nil, append([]string{"doctor", "--offline", "--fix", folder}, shopFiles...)...)
	if code != 1 || errs != "" || strings.Count(out, "\nwrote ") != len(shopFiles) {
		t.Fatalf("%d %s\n%s", code, errs, out)
	}
	var corrected []string
	for _, file := range shopFiles {
		got, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("corrected", file)
		corrected = append(corrected, path)
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if code, out, errs := weirctl(t, nil, append([]string{"doctor", "--offline"}, corrected...)...); code != 0 || out != "4 files, no server asked: 0 errors, 0 warnings\n" {
		t.Errorf("the corrected files: %d %s\n%s", code, errs, out)
	}
	if code, _, errs := weirctl(t, nil, append([]string{"doctor", "--offline", "--fix", folder}, shopFiles...)...); code != 1 || !strings.Contains(errs, "file exists") {
		t.Errorf("writing over files: %d %s", code, errs)
	}
}
