package mysql

import (
	"fmt"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// preparedXA holds the rows of XA transactions between PREPARE, which writes
// them to the log, and COMMIT, which may come much later or not at all. Until
// then the capture's position stays with a place before the PREPARE, so that a
// restart reads the rows again.
type preparedXA struct {
	open map[string]*xaTransaction
	// recording is the transaction between XA START and its PREPARE.
	recording *xaTransaction
	// known is how far everything was reported when the stream had to begin
	// earlier, for the rows of a PREPARE; nil otherwise.
	known *place
}

// place is a place in the log with the transactions before it.
type place struct {
	position
	gtids *gtidSet
	list  gtidList
}

// xaTransaction is the rows of one XA transaction.
type xaTransaction struct {
	from    position // before it
	changes []xaChange
}

// xaChange is one row, in memory of its own.
type xaChange struct {
	change        capture.Change
	before, after cdc.Row
	source        cdc.Row
}

func (x *preparedXA) reset() { *x = preparedXA{} }

// start begins to record the transaction that begins at the stream's place.
func (x *preparedXA) start(s *Source) { x.recording = &xaTransaction{from: s.place()} }

// record keeps the rows of one event.
func (x *preparedXA) record(r *run, e *event) error {
	t, tx := &r.s.tx, x.recording
	table := e.rows.table.plan.table
	source := r.s.block.event(r.s, e, table)
	var c change
	for {
		more, err := e.rows.next(&c, &t.before, &t.after)
		if err != nil || !more {
			return err
		}
		k := xaChange{change: capture.Change{Table: table.Table, Op: c.op, SourceSeq: r.s.block.seq, Row: c.row}}
		k.source.CopyFrom(source)
		if c.before != nil {
			k.before.CopyFrom(c.before)
		}
		if c.after != nil {
			k.after.CopyFrom(c.after)
		}
		tx.changes = append(tx.changes, k)
	}
}

// prepared is the end of an XA transaction's first phase.
func (r *run) prepared(e *event) error {
	x := &r.s.xa
	tx := x.recording
	x.recording = nil
	if tx == nil {
		tx = &xaTransaction{from: r.s.place()}
	}
	if e.xa.onePhase {
		return r.complete(e, tx)
	}
	if x.open == nil {
		x.open = map[string]*xaTransaction{}
	}
	if len(tx.changes) > 0 {
		x.open[string(e.xa.id)] = tx
	} else {
		x.open[string(e.xa.id)] = nil
	}
	return r.pass(e)
}

// commitXA reports the rows of a transaction whose PREPARE was read before.
func (r *run) commitXA(e *event, id []byte) error {
	tx, ok := r.s.xa.open[string(id)]
	if !ok {
		if r.s.xa.known != nil && r.s.reported() {
			return r.pass(e)
		}
		return fmt.Errorf("%w: the XA transaction %s was prepared before the capture began and is committed now, so its rows are not known; read the tables again", capture.ErrNoContinuity, id)
	}
	delete(r.s.xa.open, string(id))
	if tx == nil {
		return r.pass(e)
	}
	return r.complete(e, tx)
}

// forget drops a transaction that was rolled back.
func (x *preparedXA) forget(id []byte) { delete(x.open, string(id)) }

// complete reports an XA transaction whole.
func (r *run) complete(e *event, tx *xaTransaction) error {
	if !r.s.tx.open {
		if err := r.begin(e); err != nil {
			return err
		}
	}
	if r.s.reported() {
		return r.pass(e)
	}
	if err := r.report(); err != nil {
		return err
	}
	for i := range tx.changes {
		k := &tx.changes[i]
		k.change.Source = &k.source
		k.change.Before, k.change.After = nil, nil
		if k.change.Op != cdc.OpCreate {
			k.change.Before = &k.before
		}
		if k.change.Op != cdc.OpDelete {
			k.change.After = &k.after
		}
		if err := r.out.Change(&k.change); err != nil {
			return err
		}
	}
	return r.commit(e)
}

// oldest is the place before the first of the transactions that are prepared
// and hold rows, nil if there is none.
func (x *preparedXA) oldest() *position {
	var first *position
	for _, tx := range x.open {
		if tx != nil && (first == nil || tx.from.compare(first) < 0) {
			first = &tx.from
		}
	}
	return first
}

// place is the stream's place now.
func (s *Source) place() position {
	p := position{File: s.file, Pos: s.pos, ServerUUID: s.origin, Seconds: s.seconds}
	switch {
	case s.srv.mariadb:
		p.GTIDs = s.list.String()
	case s.gtids != nil:
		p.GTIDs = s.gtids.String()
	}
	return p
}

// reported says that the current transaction was reported before the stream
// went back for the rows of an XA transaction; the first that was not ends this.
func (s *Source) reported() bool {
	k := s.xa.known
	if k == nil {
		return false
	}
	var before bool
	switch {
	case s.srv.mariadb && s.tx.known:
		before = k.list.has(&s.tx.head)
	case k.gtids != nil && s.tx.known && !s.tx.head.anonymous:
		before = k.gtids.has(&s.tx.head)
	default:
		at := position{File: s.file, Pos: s.tx.started}
		before = at.compare(&position{File: k.File, Pos: k.Pos}) < 0
	}
	if !before {
		s.caughtUp(k)
	}
	return before
}

// caughtUp ends the way from an XA transaction's rows to what was reported. What
// was passed on it may lie behind k already: transactions that nothing was to
// be reported of.
func (s *Source) caughtUp(k *place) {
	s.xa.known = nil
	if s.gtids != nil && k.gtids != nil {
		s.gtids.union(k.gtids)
	}
	for _, g := range k.list {
		if i, ok := s.list.find(g.domain); !ok || s.list[i].sequence < g.sequence {
			s.list.put(g)
		}
	}
}
