// Package sinktest is the acceptance suite of sinks: whoever implements
// sink.Writer runs TestWriter over its real target and has the promises checked
// that the runtime relies on.
package sinktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Domain is the version domain of all records of the suite.
const Domain = "weir:sinktest"

// Key is a key of the suite's records: id alone (simple), or id, region and
// shelf (composite).
type Key struct {
	ID     int64
	Region string // "" is a simple key
	Shelf  string
}

// The schemas of the suite's records.
var (
	keySchema       = cdc.NewSchema("sinktest.shop.items.Key", cdc.Field{Name: "id", Type: cdc.Int64})
	compositeSchema = cdc.NewSchema("sinktest.shop.items.Key", cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "region", Type: cdc.Text}, cdc.Field{Name: "shelf", Type: cdc.Text})
	rowSchema       = cdc.NewSchema("sinktest.shop.items.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "region", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "shelf", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "name", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "qty", Type: cdc.Int32},
	)
)

// Row is the key as the record's key row.
func (k Key) Row() *cdc.Row {
	r := &cdc.Row{}
	if k.Region == "" {
		r.Reset(keySchema)
	} else {
		r.Reset(compositeSchema)
		r.Values[1], r.Values[2] = cdc.String([]byte(k.Region)), cdc.String([]byte(k.Shelf))
	}
	r.Values[0] = cdc.Int(k.ID)
	return r
}

// Item is a row of the suite's table.
type Item struct {
	Key
	Name string // "" is NULL
	Qty  int32
}

// row is the item as a flat row.
func (i Item) row() *cdc.Row {
	r := &cdc.Row{}
	r.Reset(rowSchema)
	r.Values[0], r.Values[4] = cdc.Int(i.ID), cdc.Int(int64(i.Qty))
	if i.Region != "" {
		r.Values[1], r.Values[2] = cdc.String([]byte(i.Region)), cdc.String([]byte(i.Shelf))
	}
	if i.Name != "" {
		r.Values[3] = cdc.String([]byte(i.Name))
	}
	return r
}

// differs says how a document is not the item; fields beyond the item's are the
// sink's own business, and a NULL may be missing. Numbers may be in quotes, as
// a target has them that knows nothing but texts.
func (i Item) differs(document []byte) error {
	var got map[string]any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		return fmt.Errorf("document %s: %w", document, err)
	}
	want := map[string]string{"id": strconv.FormatInt(i.ID, 10), "region": i.Region, "shelf": i.Shelf, "name": i.Name, "qty": strconv.Itoa(int(i.Qty))}
	for name, text := range want {
		value, ok := got[name]
		if text == "" && (!ok || value == nil) {
			continue
		}
		if fmt.Sprint(value) != text {
			return fmt.Errorf("document %s: %s is %v, want %s", document, name, value, text)
		}
	}
	return nil
}

// log makes records as one partition of a topic has them: offsets and versions
// grow.
type log struct {
	topic     string
	partition int32
	next      int64
	version   uint64
	model     map[Key]*Item // nil: deleted
}

func newLog(topic string, partition int32) *log {
	return &log{topic: topic, partition: partition, version: 1_700_000_000_000 << 21, model: map[Key]*Item{}}
}

// record is the next one, of key k.
func (l *log) record(k Key, op cdc.Op) *cdc.Record {
	l.version += 1<<21 + 7
	at := time.UnixMilli(int64(l.version >> 21))
	r := &cdc.Record{
		Origin: cdc.Origin{Topic: l.topic, Partition: l.partition, Offset: l.next, Timestamp: at.UnixMilli()},
		Route:  l.topic, Key: k.Row(), Op: op, Version: l.version, Domain: Domain,
		RawKey: fmt.Appendf(nil, `{"id":%d,"region":%q,"shelf":%q}`, k.ID, k.Region, k.Shelf),
	}
	l.next++
	return r
}

// put is a create or update.
func (l *log) put(i Item) *cdc.Record {
	op := cdc.OpUpdate
	if l.model[i.Key] == nil {
		op = cdc.OpCreate
	}
	r := l.record(i.Key, op)
	r.Value = i.row()
	r.Envelope = &cdc.Envelope{Op: op, After: r.Value, SourceMillis: r.Timestamp}
	r.RawValue = fmt.Appendf(nil, `{"id":%d,"region":%q,"shelf":%q,"name":%q,"qty":%d}`, i.ID, i.Region, i.Shelf, i.Name, i.Qty)
	l.model[i.Key] = &i
	return r
}

// remove is a delete event with the last row.
func (l *log) remove(k Key) *cdc.Record {
	r := l.record(k, cdc.OpDelete)
	if last := l.model[k]; last != nil {
		r.Value = last.row()
	}
	r.Deleted = true
	r.Envelope = &cdc.Envelope{Op: cdc.OpDelete, Before: r.Value, SourceMillis: r.Timestamp}
	l.model[k] = nil
	return r
}

// tombstone is what follows a delete, or stands for one.
func (l *log) tombstone(k Key) *cdc.Record {
	r := l.record(k, cdc.OpNone)
	r.Deleted, r.Tombstone = true, true
	l.model[k] = nil
	return r
}

// state is a copy of what the target must hold.
func (l *log) state() map[Key]*Item { return maps.Clone(l.model) }
