package sinks

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/config"
)

// TestKeysThatATransformLooksInto are read as JSON, though key.converter makes
// texts of them.
func TestKeysThatATransformLooksInto(t *testing.T) {
	properties := map[string]string{"name": "n", "topics": "t", "bootstrap.servers": "b:1", "key.converter": "org.apache.kafka.connect.storage.StringConverter"}
	runtime := func() (Runtime, []string) {
		v, _, err := config.Parse(properties, append(Tables("127.0.0.1:0"), config.Common)...)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRuntime(v)
		if err != nil {
			t.Fatal(err)
		}
		var notices []string
		for _, n := range v.Notices() {
			notices = append(notices, n.String())
		}
		return r, notices
	}
	if r, notices := runtime(); !r.Config.KeyText || len(notices) > 0 {
		t.Error("without a transform:", r.Config.KeyText, notices)
	}
	properties["transforms"], properties["transforms.k.type"], properties["transforms.k.field"] = "k", "org.apache.kafka.connect.transforms.ExtractField$Key", "id"
	if r, notices := runtime(); r.Config.KeyText || len(notices) != 1 || !strings.HasPrefix(notices[0], "key.converter: makes a text of each key, and k (ExtractField$Key) looks into keys") {
		t.Error("with one:", r.Config.KeyText, notices)
	}
}
