package enrich

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// lookupSection is the look-up's section in the documentation: its fenced
// blocks by what they are.
func lookupSection(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/transforms-enrichment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## LookupTransform\n")
	if !found {
		t.Fatal("the look-up has no section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := map[string][]string{}
	for i, part := range strings.Split(section, "\n```") {
		if kind, text, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
			blocks[kind] = append(blocks[kind], text)
		}
	}
	return blocks
}

// lookupProperties are those of a chain in the documentation.
func lookupProperties(t *testing.T, text string) map[string]string {
	t.Helper()
	properties := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		parts := strings.SplitN(name, ".", 3)
		if len(parts) == 3 && parts[2] != "type" {
			properties[parts[2]] = value
		}
	}
	return properties
}

// TestTheDocumentedLookup does with a real Redis what the documentation says.
func TestTheDocumentedLookup(t *testing.T) {
	blocks := lookupSection(t)
	addr := servers.NewRedis(t)
	c := redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}})
	for line := range strings.Lines(blocks["redis"][0]) {
		words := []any{}
		for word := range strings.FieldsSeq(line) {
			words = append(words, word)
		}
		if err := c.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	l := startLookup(t, lookupProperties(t, blocks["properties"][0]), "lookup.redis.hosts", addr)
	in, want := strings.Split(blocks["json before"][0], "\n"), strings.Split(blocks["json after"][0], "\n")
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" || len(in) < 5 {
		t.Error(d)
	}
}

// TestTheDocumentedSources are taken as they are.
func TestTheDocumentedSources(t *testing.T) {
	chains := lookupSection(t)["properties"]
	if len(chains) != 3 {
		t.Fatalf("%d examples", len(chains))
	}
	for i, source := range []string{"redis", "sql", "topic"} {
		properties := lookupProperties(t, strings.ReplaceAll(chains[i], "${env:READER_PASSWORD}", "secret"))
		if source == "topic" { // the component lends its Kafka
			properties["lookup.kafka.bootstrap.servers"] = "localhost:9092"
		}
		if _, err := lookupChain(properties, &[]*lookupTransform{}, LookupServers{}); err != nil || properties["lookup.source"] != source {
			t.Errorf("%s: %v", source, err)
		}
	}
}
