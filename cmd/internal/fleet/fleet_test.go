package fleet

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/internal/config"
)

const configurationFile = "../../../docs/configuration.md"

func TestConfigurationIsDocumented(t *testing.T) {
	want := Configuration()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(configurationFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(configurationFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/configuration.md is stale; write it again with UPDATE=1 go test ./cmd/internal/fleet\n%s", diff)
	}
}

func TestTablesAreSound(t *testing.T) {
	for _, p := range Programs() {
		for _, err := range config.Errors(config.Lint(p.AllTables()...)) {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}
