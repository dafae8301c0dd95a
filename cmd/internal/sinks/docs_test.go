package sinks

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// anything is what an example writes for a text that differs from run to run.
const anything = "…"

// example is a chain of docs/transforms*.md with the records that go in and come
// out.
type example struct {
	line       int
	properties map[string]string
	in, out    []string
}

// TestExamplesOfTransforms runs every example in the documentation of the
// transforms, on records as a sink reads them.
func TestExamplesOfTransforms(t *testing.T) {
	files, err := filepath.Glob("../../../docs/transforms*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documentation of transforms: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples, err := examplesOf(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(examples) == 0 {
			t.Errorf("%s has no example", file)
		}
		for _, e := range examples {
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(file), e.line), e.run)
		}
	}
}

// TestEveryTransformIsDocumented: each class has a heading in the documentation,
// and is in the list of all of them.
func TestEveryTransformIsDocumented(t *testing.T) {
	files, _ := filepath.Glob("../../../docs/transforms*.md")
	var headings strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				headings.WriteString(line)
			}
		}
	}
	list, err := os.ReadFile("../../../docs/transforms.md")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(routing.Classes.Transforms))
	names = slices.AppendSeq(names, maps.Keys(enrich.Classes.Transforms))
	names = slices.AppendSeq(names, maps.Keys(routing.Classes.Predicates))
	for _, name := range names {
		last, _, _ := strings.Cut(name[strings.LastIndexByte(name, '.')+1:], "$")
		if !strings.Contains(headings.String(), last) {
			t.Errorf("%s has no section in docs/transforms*.md", name)
		}
		if !strings.Contains(string(list), last) {
			t.Errorf("%s is not in the list of docs/transforms.md", name)
		}
	}
}

// examplesOf finds the fenced blocks of a page: properties, json in, json out.
func examplesOf(page string) ([]example, error) {
	var all []example
	var kind string
	var block []string
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case !fence:
			block = append(block, line)
			continue
		case info != "":
			kind, block = info, nil
			continue
		}
		text := strings.Join(block, "\n")
		if kind == "properties" {
			e := example{line: i + 1, properties: map[string]string{}}
			for _, property := range block {
				if name, value, ok := strings.Cut(property, "="); ok && !strings.HasPrefix(property, "#") {
					e.properties[strings.TrimSpace(name)] = strings.TrimSpace(value)
				}
			}
			all = append(all, e)
		}
		if kind == "json in" || kind == "json out" {
			if len(all) == 0 {
				return nil, fmt.Errorf("line %d: records before any chain", i+1)
			}
			e := &all[len(all)-1]
			if kind == "json in" {
				e.in = append(e.in, text)
			} else {
				e.out = append(e.out, text)
			}
			if d := len(e.in) - len(e.out); d < 0 || d > 1 {
				return nil, fmt.Errorf("line %d: an in and an out belong together", i+1)
			}
		}
		kind = ""
	}
	return slices.DeleteFunc(all, func(e example) bool { return len(e.in) == 0 }), nil
}

func (e example) run(t *testing.T) {
	v, _, err := config.Parse(e.properties, transform.Properties)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := transform.New(v, routing.Classes, enrich.Classes)
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.Start(transform.Env{Log: zaptest.NewLogger(t), Metrics: prometheus.NewRegistry()}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	}()
	if len(e.in) != len(e.out) {
		t.Fatal("a record goes in of which nothing is said to come out")
	}
	for i := range e.in {
		got, want := decoded(t, result(t, chain, recordOf(t, e.in[i]))), decoded(t, e.out[i])
		if d := cmp.Diff(want, only(want, got)); d != "" {
			t.Errorf("record %d:\n%s", i+1, d)
		}
	}
}

// only leaves of what came out the members that an example states, of an error
// the part that it states, and takes for anything whatever text there is.
func only(want, got any) any {
	stated, ok := want.(map[string]any)
	had, ok2 := got.(map[string]any)
	if !ok || !ok2 {
		return got
	}
	out := map[string]any{}
	for name := range stated {
		value, ok := had[name]
		if !ok {
			continue
		}
		out[name] = matched(stated[name], value)
		part, _ := stated[name].(string)
		if whole, _ := value.(string); name == "error" && part != "" && strings.Contains(whole, part) {
			out[name] = part
		}
	}
	return out
}

func matched(want, got any) any {
	if text, ok := got.(string); ok && want == anything && text != "" {
		return anything
	}
	stated, ok := want.(map[string]any)
	had, ok2 := got.(map[string]any)
	if ok && ok2 {
		for name := range had {
			had[name] = matched(stated[name], had[name])
		}
	}
	return got
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	d := stdjson.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// stated is a record as an example writes it.
type stated struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64
	Key       stdjson.RawMessage
	Value     stdjson.RawMessage
	Schema    stdjson.RawMessage // of value, as in JsonConverter's
	Headers   map[string]stdjson.RawMessage
}

// recordOf makes the record that a sink would read.
func recordOf(t *testing.T, text string) *cdc.Record {
	t.Helper()
	var s stated
	d := stdjson.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	value := []byte(s.Value)
	if len(s.Schema) > 0 {
		value = slices.Concat([]byte(`{"schema":`), s.Schema, []byte(`,"payload":`), s.Value, []byte(`}`))
	}
	m, reader := new(json.Message), json.NewReader(nil)
	if err := errors.Join(reader.ReadKey(m, s.Key), reader.ReadValue(m, value)); err != nil {
		t.Fatal(err)
	}
	r := &cdc.Record{
		Origin: cdc.Origin{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Timestamp: s.Timestamp},
		Route:  s.Topic, Key: m.Key, Value: m.Value, Envelope: m.Envelope, Tombstone: m.Tombstone, Deleted: m.Tombstone,
	}
	if m.Envelope != nil {
		r.Op = m.Envelope.Op
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		var plain string
		value := []byte(s.Headers[name])
		if stdjson.Unmarshal(value, &plain) == nil {
			value = []byte(plain)
		}
		r.Headers = append(r.Headers, cdc.Header{Key: name, Value: value})
	}
	return r
}

// result is what a sink gets of a record, as an example writes it: null for
// nothing, and error for one that is rejected.
func result(t *testing.T, chain *transform.Chain, r *cdc.Record) string {
	t.Helper()
	kept, err := chain.Apply(context.Background(), []*cdc.Record{r})
	var rejected *sink.Rejected
	switch {
	case errors.As(err, &rejected):
		reason, _ := stdjson.Marshal(rejected.Items[0].Reason.Error())
		return `{"error":` + string(reason) + `}`
	case err != nil:
		t.Fatal(err)
	case len(kept) == 0:
		return "null"
	}
	if keep, err := (enrich.Flatten{}).Apply(kept[0]); err != nil || !keep {
		return "null"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"topic":%q,"key":%s,"value":%s,"deleted":%t,"partition":%d,"timestamp":%d,"headers":{`,
		kept[0].Route, shown(kept[0].Key), shown(kept[0].Value), kept[0].Deleted, kept[0].Place, kept[0].Millis())
	for i := range kept[0].Headers {
		h := &kept[0].Headers[i]
		content, _ := stdjson.Marshal(string(h.Value))
		if h.Typed != nil {
			content = []byte(shown(h.Typed))
		}
		fmt.Fprintf(&b, `%s%q:%s`, strings.Repeat(",", min(i, 1)), h.Key, content)
	}
	b.WriteString("}}")
	return b.String()
}

func shown(row *cdc.Row) string {
	if row == nil {
		return "null"
	}
	return string(json.NewDocument(row.Schema, json.DocumentOptions{}).Append(nil, row))
}
