// Package plugintest runs chains of transforms in the tests of those who write
// one with package plugin.
package plugintest

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

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

// Chain is a chain of transforms under test.
type Chain struct {
	tb    testing.TB
	chain *transform.Chain
}

// New makes and starts the chain that properties configure, transforms and
// transforms.<name>…, and closes it when the test ends.
func New(tb testing.TB, properties map[string]string) *Chain {
	tb.Helper()
	v, _, err := config.Parse(properties, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	chain, err := transform.New(v, routing.Classes, enrich.Classes)
	if err != nil {
		tb.Fatal(err)
	}
	if err := chain.Start(transform.Env{Log: zaptest.NewLogger(tb), Metrics: prometheus.NewRegistry()}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := chain.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &Chain{tb, chain}
}

// Mistakes is what is wrong with a chain's properties; a test fails that finds
// none.
func Mistakes(tb testing.TB, properties map[string]string) error {
	tb.Helper()
	v, _, err := config.Parse(properties, transform.Properties)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err = transform.New(v, routing.Classes, enrich.Classes); err == nil {
		tb.Fatal("nothing is wrong with the properties")
	}
	return err
}

// message is a record as a test writes it.
type message struct {
	Topic   string             `json:"topic"`
	Key     stdjson.RawMessage `json:"key"`
	Value   stdjson.RawMessage `json:"value"`
	Headers map[string]string  `json:"headers"`
}

// record reads a message as a sink does.
func (c *Chain) record(text string) *cdc.Record {
	c.tb.Helper()
	var in message
	if err := stdjson.Unmarshal([]byte(text), &in); err != nil {
		c.tb.Fatalf("%v in %s", err, text)
	}
	m, reader := new(json.Message), json.NewReader(nil)
	if err := errors.Join(reader.ReadKey(m, in.Key), reader.ReadValue(m, in.Value)); err != nil {
		c.tb.Fatal(err)
	}
	r := &cdc.Record{
		Origin: cdc.Origin{Topic: in.Topic}, Route: in.Topic,
		Key: m.Key, Value: m.Value, Envelope: m.Envelope, Tombstone: m.Tombstone, Deleted: m.Tombstone,
	}
	if m.Envelope != nil {
		r.Op = m.Envelope.Op
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		r.Headers = append(r.Headers, cdc.Header{Key: name, Value: []byte(in.Headers[name])})
	}
	return r
}

// Value is the document that a target would store of a record, with the topic
// it is for in front if that is another than the record's; empty for one that
// is dropped. A record is {"topic":…,"key":…,"value":…,"headers":{…}}, its value
// a row, an envelope, null, or either with its schema as JsonConverter writes
// it.
func (c *Chain) Value(record string) string {
	c.tb.Helper()
	r := c.record(record)
	kept, err := c.chain.Apply(context.Background(), []*cdc.Record{r})
	if err != nil {
		c.tb.Fatal(err)
	}
	if len(kept) == 0 {
		return ""
	}
	if keep, err := (enrich.Flatten{}).Apply(r); err != nil || !keep {
		return ""
	}
	text := "null"
	if r.Value != nil {
		text = string(json.NewDocument(r.Value.Schema, json.DocumentOptions{}).Append(nil, r.Value))
	}
	if r.Route != r.Topic {
		text = r.Route + " " + text
	}
	return text
}

// Reject is why a record is rejected; a test fails if it is not.
func (c *Chain) Reject(record string) error {
	c.tb.Helper()
	_, err := c.chain.Apply(context.Background(), []*cdc.Record{c.record(record)})
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) {
		c.tb.Fatalf("%s is not rejected: %v", record, err)
	}
	return rejected.Items[0].Reason
}
