package json

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

func TestSchemaEntry(t *testing.T) {
	for _, e := range []*SchemaEntry{
		itemEntry, ordersEntry,
		NewSchemaEntry("weir:p", "all", nil, everyKind),
		NewSchemaEntry("weir:p", "bare", cdc.Bare(cdc.Field{Type: cdc.Text}), cdc.Bare(cdc.Field{Type: cdc.Int32, Optional: true})),
	} {
		b := e.Marshal()
		got, err := UnmarshalSchemaEntry(b)
		if err != nil {
			t.Errorf("%v in %s", err, b)
			continue
		}
		if got.Fingerprint != e.Fingerprint || got.Domain != e.Domain || got.Topic != e.Topic || got.Key != e.Key || got.Value != e.Value {
			t.Errorf("got %+v, want %+v", got, e)
		}
		if string(got.Marshal()) != string(b) {
			t.Errorf("%s became %s", b, got.Marshal())
		}
	}
}

// TestFingerprintStays: what is stored in Kafka must be found by later versions.
func TestFingerprintStays(t *testing.T) {
	if got := ordersEntry.Fingerprint; got != "9594f6ffb3f04d54" {
		t.Error(got)
	}
	if got := itemEntry.Fingerprint; got != "f9a9ef28754becf4" {
		t.Error(got)
	}
}

// TestFingerprintDiffers: everything that an entry says is in its fingerprint.
func TestFingerprintDiffers(t *testing.T) {
	field := func(change func(*cdc.Field)) *cdc.Schema {
		f := *itemRow.Field("price")
		change(&f)
		return itemRow.With(f)
	}
	seen := map[string]int{itemEntry.Fingerprint: -1}
	for i, e := range []*SchemaEntry{
		NewSchemaEntry("weir:q", itemEntry.Topic, itemKey, itemRow),
		NewSchemaEntry("weir:p", "other", itemKey, itemRow),
		NewSchemaEntry("weir:p", itemEntry.Topic, nil, itemRow),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, itemKey),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Optional = false })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Precision++ })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Scale++ })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Digits = 3 })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Default = new(cdc.SmallDecimal(1)) })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Params = []cdc.Param{{Name: "a", Value: "b"}} })),
		NewSchemaEntry("weir:p", itemEntry.Topic, itemKey, field(func(f *cdc.Field) { f.Doc = "d" })),
	} {
		if other, ok := seen[e.Fingerprint]; ok {
			t.Errorf("%d has the fingerprint of %d", i, other)
		}
		seen[e.Fingerprint] = i
		if len(e.Fingerprint) != 16 {
			t.Error(e.Fingerprint)
		}
	}
}

func TestUnmarshalSchemaEntryErrors(t *testing.T) {
	good := string(itemEntry.Marshal())
	for _, c := range []struct{ text, want string }{
		{strings.Replace(good, `"version":1`, `"version":2`, 1), "format version 2, of which only 1 is known"},
		{strings.Replace(good, `"domain":"weir:p"`, `"domain":"weir:x"`, 1), "its content has another fingerprint"},
		{strings.Replace(good, `"field":"stock"`, `"field":"stick"`, 1), "its content has another fingerprint"},
		{`{"version":1,"fingerprint":"0"}`, "no schema of the value"},
		{good[:len(good)-1], "the JSON text ends too early"},
		{`{"version":1,"value":{}}`, `unknown Connect type ""`},
		{`[1]`, "not an object"},
		{"", "the JSON text ends too early"},
	} {
		if _, err := UnmarshalSchemaEntry([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got %v, want %s", c.text, err, c.want)
		}
	}
	later := strings.Replace(good, `{"version":1`, `{"later":{"x":1},"version":1`, 1)
	if e, err := UnmarshalSchemaEntry([]byte(later)); err != nil || e.Fingerprint != itemEntry.Fingerprint {
		t.Errorf("a member that a later version adds is skipped: %v", err)
	}
}
