package capture

import (
	"github.com/weir-cdc/weir/internal/cdc"
)

// windowPhase is how far a window is.
type windowPhase uint8

const (
	windowDue     windowPhase = iota // to be claimed by a reader
	windowWaiting                    // claimed: waits to be registered by the stream
	windowOpen                       // registered: is being read
	windowFixed                      // the view of a whole read is fixed: waits for the stream's verdict
	windowRead                       // was read: waits for the stream to reach High
	windowDead                       // of a table that is read from the start again
)

// window is one chunk of a table on its way from the table to the topic. The
// rule that makes its rows right: it is registered on the stream's goroutine,
// at the position start, before anything is read; every row that an event
// touches from then on is evicted; and what is left is published when the
// stream has reached everything the read can have seen. What was read, then, is
// what the stream would say, and it is published before anything newer.
//
// Phase, range and content are guarded by the snapshot's mutex; watch and what
// follows from it belong to the stream's goroutine.
type window struct {
	state   *tableState
	phase   windowPhase
	after   []byte // the range: behind after, up to and including upTo
	upTo    []byte
	ranged  bool // the range is known
	last    bool // it is the table's last
	whole   bool // the table is read in one piece
	tries   int
	void    bool // DDL came between: to be read again
	claimed bool // a reader works on it

	registered chan struct{}
	gone       bool // there is no such table where the stream stands
	table      *Table
	plan       *plan
	start      []byte // the stream's position when it was registered
	seq        uint64 // of watch, likewise
	watching   bool

	chunk   Chunk
	rows    *rowSet
	verdict chan bool
	batches chan wholeBatch
	first   *wholeBatch // of a whole read that was accepted
}

// wholeBatch is a part of a whole read.
type wholeBatch struct {
	rows *rowSet // nil with an error
	last bool
	err  error
}

// watch sees the changes of a table while windows on it are open.
type watch struct {
	seq     uint64            // how many changes it saw
	touched map[string]uint64 // row key → seq of the last change
	windows int
	pruned  int
	buffer  []byte
	// dirty says that the current transaction touched the table, and touchedAt
	// is the position behind the last one that did.
	dirty     bool
	touchedAt []byte
	// published are the message keys written since a key sweep began; nil when
	// there is none.
	published map[string]struct{}
}

// touch takes note of a change: of its row as it was and as it is.
func (w *watch) touch(c *Change) {
	w.seq++
	w.dirty = true
	if c.Before != nil {
		w.touchRow(c.Before, c.Table.RowKey)
	}
	if c.After != nil && (c.Before == nil || !sameColumns(c.Before, c.After, c.Table.RowKey)) {
		w.touchRow(c.After, c.Table.RowKey)
	}
}

func (w *watch) touchRow(row *cdc.Row, columns []int) {
	if columns == nil {
		return
	}
	w.buffer = appendRowKey(w.buffer[:0], row, columns)
	w.touched[string(w.buffer)] = w.seq
}

// evicted reports whether the row of key was touched after seq.
func (w *watch) evicted(key []byte, seq uint64) bool {
	at, ok := w.touched[string(key)]
	return ok && at > seq
}

// prune forgets what no open window can ask for: changes up to seq.
func (w *watch) prune(seq uint64) {
	if len(w.touched) < 2*w.pruned+4096 {
		return
	}
	for key, at := range w.touched {
		if at <= seq {
			delete(w.touched, key)
		}
	}
	w.pruned = len(w.touched)
}

// live reports whether row i of a window that was read is to be published.
func (w *window) live(rows *rowSet, i int) bool {
	k := w.state.watch
	return len(k.touched) == 0 || rows.list[i].id == nil || !k.evicted(rows.list[i].id, w.seq)
}

// anyLive reports whether rows has one to be published.
func (w *window) anyLive(rows *rowSet) bool {
	for i := range rows.list {
		if w.live(rows, i) {
			return true
		}
	}
	return false
}
