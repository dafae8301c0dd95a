package capture

import (
	"bytes"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// marker is what source.snapshot says of a row.
type marker uint8

// The markers of a snapshot's rows.
const (
	markerTrue marker = iota
	markerFirst
	markerFirstInTable
	markerLastInTable
	markerLast
	markers
)

var markerNames = [markers]string{"true", "first", "first_in_data_collection", "last_in_data_collection", "last"}

// markerOf is Debezium's choice for a row: firstTable says that it is of the
// snapshot's first table, final that no row of the whole snapshot follows.
func markerOf(firstTable, first, last, final bool) marker {
	switch {
	case last && final:
		return markerLast
	case first && firstTable:
		return markerFirst
	case last:
		return markerLastInTable
	case first:
		return markerFirstInTable
	}
	return markerTrue
}

// rowSet is rows that were read and encoded, by the reader's goroutine, all but
// for what is only known when they are published: version and marker.
type rowSet struct {
	arena *arena
	list  []readRow
	bytes int
	head  []byte          // of every envelope, up to the row
	tails [markers][]byte // from behind the row, by marker

	// Rows that have to pass transforms are kept as they are instead.
	rows   []*cdc.Row
	source cdc.Row
	nanos  int64 // when they were read
	seq    uint64
}

// readRow is one row of a rowSet.
type readRow struct {
	key   []byte // the record's, nil for none
	after []byte // the row as JSON
	id    []byte // what tells it apart, nil for a table without a key
}

func (r *rowSet) reset() {
	r.arena.reset()
	r.list, r.bytes, r.rows, r.seq = r.list[:0], 0, r.rows[:0], 0
}

// keep keeps a copy of row.
func (r *rowSet) keep(row *cdc.Row) {
	n := len(r.rows)
	if n < cap(r.rows) {
		if r.rows = r.rows[:n+1]; r.rows[n] == nil {
			r.rows[n] = new(cdc.Row)
		}
	} else {
		r.rows = append(r.rows, new(cdc.Row))
	}
	r.rows[n].CopyFrom(row)
	r.bytes += r.rows[n].Size()
}

// appendValue keeps the envelope of row i in a.
func (r *rowSet) appendValue(a *arena, i int, m marker) []byte {
	after, tail := r.list[i].after, r.tails[m]
	b := a.tail(len(r.head) + len(after) + len(tail))
	return a.keep(append(append(append(b, r.head...), after...), tail...))
}

// encoder turns rows of a table into a rowSet. One goroutine uses it.
type encoder struct {
	table     *Table
	key       *json.Plan
	row       *json.Plan // of before and after
	enveloper *json.Enveloper
	hint      int
	plain     bool // rows become text at once
}

func newEncoder(t *Table, source *cdc.Schema, c *Config) *encoder {
	bare := c.Value
	bare.Schemas = false
	e := &encoder{table: t, row: json.NewPlan(t.Value, bare), enveloper: json.NewEnveloper(t.Value, source, c.Value), hint: 512, plain: c.plainRecords()}
	if t.Key != nil {
		e.key = json.NewPlan(t.Key, c.Key)
	}
	return e
}

// add encodes one row.
func (e *encoder) add(to *rowSet, row *cdc.Row) {
	a := to.arena
	var r readRow
	if e.table.RowKey != nil {
		r.id = a.keep(appendRowKey(a.tail(64), row, e.table.RowKey))
	}
	if !e.plain {
		to.list = append(to.list, r)
		to.keep(row)
		return
	}
	if e.key != nil {
		r.key = a.keep(e.key.AppendColumns(a.tail(128), row.Values, e.table.KeyColumns))
	}
	r.after = a.keep(e.row.Append(a.tail(e.hint), row))
	if len(r.after) > e.hint {
		e.hint = len(r.after) + len(r.after)/4
	}
	to.list = append(to.list, r)
	to.bytes = a.used
}

// close completes the set's envelopes with the source block that its rows are
// of.
func (e *encoder) close(to *rowSet, source *cdc.Row, nowNanos int64) error {
	at := source.Value("snapshot")
	if at == nil {
		return fmt.Errorf("the source block of table %s has no field snapshot", e.table.ID())
	}
	if !e.plain {
		to.source.CopyFrom(source)
		to.nanos = nowNanos
		return nil
	}
	const after = `"after":`
	for m := range markerNames {
		*at = cdc.String([]byte(markerNames[m]))
		e.enveloper.Begin(source, nowNanos)
		empty := e.enveloper.Append(nil, cdc.OpRead, nil, nil, 0, nil)
		// Before the first row's place there is nothing but constants, behind
		// it nothing that quotes this text: the last one is the place.
		cut := bytes.LastIndex(empty, []byte(after+"null")) + len(after)
		to.head, to.tails[m] = empty[:cut], empty[cut+len("null"):]
	}
	return nil
}
