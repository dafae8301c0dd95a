package enrich

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/transform"
)

// TestCustomJSONSchema: what docs/schemas/custom-transform.json says of a block
// is what the transform says of it.
func TestCustomJSONSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../docs/schemas/custom-transform.json")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../docs/examples/reference/transforms-custom.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(reference, &file); err != nil {
		t.Fatal(err)
	}
	for block, valid := range map[string]bool{
		string(file["transforms.custom.config"]):                                   true,
		`{"business_rules":[{"when":"a > 1","route":"x-${b}"}]}`:                   true,
		`{"business_rules":[{"drop":true}]}`:                                       true,
		`{"business_rules":[{"name":"r","when":"a > 1","set":{"n":1,"b":false}}]}`: true,
		`{"business_rules":[{"when":"a > 1"}]}`:                                    false,
		`{"business_rules":[{"if":"a > 1","drop":true}]}`:                          false,
		`{"business_rules":[{"drop":"maybe"}]}`:                                    false,
		`{"data_validation":[{"rule":"a > 1","action":"warn"}]}`:                   true,
		`{"data_validation":[{"field":"a","rule":"required","action":"null"}]}`:    true,
		`{"data_validation":[{"field":"a"}]}`:                                      false,
		`{"data_validation":[{"field":"a","rule":"> 1","action":"ignore"}]}`:       false,
		`{"enrichment":{"a":"b * 2"}}`:                                             true,
		`{"enrichment":"b * 2"}`:                                                   false,
		`{"masking":[{"field":"a","keep_first":2,"keep_last":2,"mask_with":"#"}]}`: true,
		`{"masking":[{"field":"a","hmac":"sha-512","key":"k"}]}`:                   true,
		`{"masking":[{"field":"a","tokenize":"digits","key":"k"}]}`:                true,
		`{"masking":[{"field":"a","redact":true}]}`:                                true,
		`{"masking":[{"field":"a","truncate":3}]}`:                                 true,
		`{"masking":[{"field":"a"}]}`:                                              false,
		`{"masking":[{"redact":"x"}]}`:                                             false,
		`{"masking":[{"field":"a","hash":"MD5"}]}`:                                 false,
		`{"masking":[{"field":"a","hmac":"SHA-256"}]}`:                             false,
		`{"masking":[{"field":"a","redact":"x","truncate":3}]}`:                    false,
		`{"masking":[{"field":"a","keep_last":4,"salt":"s"}]}`:                     false,
		`{"masking":[{"field":"a","tokenize":"letters","key":"k"}]}`:               false,
		`{"rules":[]}`: false,
	} {
		parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(block))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(parsed); (err == nil) != valid {
			t.Errorf("the schema says of %s: %v", block, err)
		}
		if err := customOf(t, block); (err == nil) != valid {
			t.Errorf("the transform says of %s: %v", block, err)
		}
	}
}

// customOf compiles a CustomTransform of a block as it stands in a file.
func customOf(t *testing.T, block string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "custom.json")
	text := `{"transforms":"c","transforms.c.type":"CustomTransform","transforms.c.config":` + block + `}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v, _, err := config.Load(config.Sources{Files: []string{path}}, transform.Properties)
	if err != nil {
		return err
	}
	_, err = transform.New(v, Classes)
	return err
}
