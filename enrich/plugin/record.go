package plugin

import (
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// The operations that Record.Op returns: Debezium's letters.
const (
	Create   = "c"
	Update   = "u"
	Delete   = "d"
	Snapshot = "r" // read by a snapshot
	Truncate = "t"
)

// Record is one change on its way to a target.
type Record struct {
	r                  *cdc.Record
	envelope           *cdc.Envelope
	dropped            bool
	key, value, before Row
}

func (r *Record) set(record *cdc.Record, plans changes) {
	r.r, r.dropped, r.envelope = record, false, transform.Envelope(record)
	r.key, r.value, r.before = Row{record.Key, plans}, Row{record.Value, plans}, Row{nil, plans}
	if e := r.envelope; e != nil {
		r.value.row, r.before.row = e.After, e.Before
		if e.Op == cdc.OpDelete && e.After == nil {
			r.value.row, r.before.row = e.Before, nil
		}
	}
}

// Topic is the topic that the record is for, by which targets name their
// indexes, keys and folders.
func (r *Record) Topic() string { return r.r.Route }

// SetTopic sends the record elsewhere; see Mover.
func (r *Record) SetTopic(topic string) { r.r.Route = topic }

// Origin is where the record stands in Kafka. At a capture it is not there yet.
func (r *Record) Origin() (topic string, partition int32, offset int64) {
	return r.r.Origin.Topic, r.r.Partition, r.r.Offset
}

// Time is the record's timestamp.
func (r *Record) Time() time.Time { return time.UnixMilli(r.r.Millis()) }

// Op is the operation: Create, Update, Delete, Snapshot or Truncate; empty for a
// record that is no change event.
func (r *Record) Op() string {
	if r.r.Op == cdc.OpNone {
		return ""
	}
	return string(rune(r.r.Op))
}

// Deleted reports whether the record takes its key out of the target.
func (r *Record) Deleted() bool { return r.r.Deleted || r.r.Op == cdc.OpDelete }

// Key is the record's key, or nil. Targets tell rows apart by it: a change has to
// keep different rows different.
func (r *Record) Key() *Row { return r.key.orNil() }

// Value is the row after the change, or for a delete what is known of the row
// that is gone; nil where there is no row. A value that is no row, such as plain
// text, is one with a field of no name.
func (r *Record) Value() *Row { return r.value.orNil() }

// Before is the row before an update, as long as no transform has unwrapped the
// record; else nil. What Value's fields become is not done to it: a Transform
// that changes types in Value does the same here.
func (r *Record) Before() *Row { return r.before.orNil() }

// Header is the content of the last header of a name.
func (r *Record) Header(name string) (content []byte, ok bool) {
	for i := len(r.r.Headers) - 1; i >= 0; i-- {
		if h := &r.r.Headers[i]; h.Key == name {
			if h.Typed != nil {
				text, _ := (&Row{row: h.Typed}).Text("")
				return []byte(text), true
			}
			return h.Value, true
		}
	}
	return nil, false
}

// SetHeader replaces the headers of a name by one. It keeps content.
func (r *Record) SetHeader(name string, content []byte) {
	kept := r.r.Headers[:0]
	for _, h := range r.r.Headers {
		if h.Key != name {
			kept = append(kept, h)
		}
	}
	r.r.Headers = append(kept, cdc.Header{Key: name, Value: content})
}

// Drop leaves the record out; see Mover.
func (r *Record) Drop() { r.dropped = true }
