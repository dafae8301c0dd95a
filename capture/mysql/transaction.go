package mysql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// transaction is the transaction that is being read.
type transaction struct {
	// open is from the BEGIN to the commit; begun says that Begin was reported.
	open, begun bool
	// id is Debezium's transaction id, gtid its text where there is one.
	id, gtid []byte
	// started is where its first event lies in its file.
	started uint64
	head    gtidHeader
	known   bool   // head is of this transaction
	thread  uint32 // that began it
	row     int    // of the last change that was reported, in whatever transaction
	micros  int64  // of the commit, µs since the epoch
	query   []byte
	queried bool // query is of the rows that follow
	before  cdc.Row
	after   cdc.Row
}

// abandon forgets a transaction that broke off, or ended.
func (t *transaction) abandon() {
	t.open, t.begun, t.known, t.queried, t.thread = false, false, false, false, 0
}

// event handles one event of the log.
func (r *run) event(raw []byte) error {
	e, err := r.parser.parse(raw)
	if err != nil {
		return err
	}
	return r.handle(e)
}

func (r *run) handle(e *event) error {
	s := r.s
	if e.seconds != 0 {
		s.seconds = e.seconds
	}
	switch e.kind {
	case eventGTID:
		return r.gtid(e)
	case eventQuery:
		return r.query(e)
	case eventRows:
		return r.rows(e)
	case eventRowsQuery:
		s.tx.query, s.tx.queried = append(s.tx.query[:0], e.data...), true
	case eventXID:
		return r.commit(e)
	case eventXAPrepare:
		return r.prepared(e)
	case eventPayload:
		return r.payload()
	case eventRotate:
		return r.rotate(e)
	case eventHeartbeat:
		return r.heartbeat(e)
	case eventIncident:
		return fmt.Errorf("reading the binary log: the server lost changes that it could not write to its log (%s): read the tables again (snapshot.mode=when_needed after removing the offset)", e.data)
	case eventStatement:
		return r.statement("")
	}
	return nil
}

// gtid is the head of a transaction.
func (r *run) gtid(e *event) error {
	t := &r.s.tx
	t.abandon()
	t.head, t.known = e.gtid.keep(t.head), true
	t.started = e.start
	t.gtid = t.head.appendText(t.gtid[:0])
	t.micros = int64(e.seconds) * 1_000_000
	if t.head.originalMicros != 0 {
		t.micros = int64(t.head.originalMicros)
	}
	if t.head.mariadb && !t.head.standalone {
		return r.begin(e)
	}
	return nil
}

// begin is the start of a transaction that rows may follow.
func (r *run) begin(e *event) error {
	r.start(e)
	if t := &r.s.tx; t.known && t.head.preparedXA {
		r.s.xa.start(r.s)
		return nil
	}
	if r.s.scope.EveryTransaction && !r.s.reported() {
		return r.report()
	}
	return nil
}

// start makes e the first event of the transaction.
func (r *run) start(e *event) {
	t := &r.s.tx
	if !t.known { // a log without GTIDs
		t.started, t.gtid = e.start, t.gtid[:0]
		t.micros = int64(e.seconds) * 1_000_000
	}
	t.open, t.queried = true, false
	if len(t.gtid) > 0 {
		t.id = append(t.id[:0], t.gtid...)
	} else {
		t.id = append(append(t.id[:0], "file="...), r.s.file...)
		t.id = strconv.AppendUint(append(t.id, ",pos="...), t.started, 10)
	}
}

// report reports Begin, before the first thing that is reported of the
// transaction.
func (r *run) report() error {
	t := &r.s.tx
	if t.begun {
		return nil
	}
	t.begun = true
	return r.out.Begin(capture.TransactionStart{ID: t.id, CommitMillis: t.micros / 1000})
}

// query is a statement of the log.
func (r *run) query(e *event) error {
	t := &r.s.tx
	switch e.query.kind() {
	case queryBegin:
		t.thread = e.query.thread
		if t.open { // MariaDB: the GTID event was the beginning
			return nil
		}
		return r.begin(e)
	case queryXAStart: // unlike of BEGIN, Debezium does not take its thread
		if !t.open {
			r.start(e)
		}
		if r.s.xa.recording == nil {
			r.s.xa.start(r.s)
		}
		return nil
	case queryCommit, queryRollback:
		return r.commit(e)
	case querySavepoint, queryXAEnd:
		return nil
	case queryXACommit:
		return r.commitXA(e, e.query.xaID())
	case queryXARollback:
		r.s.xa.forget(e.query.xaID())
		return r.pass(e)
	case queryDML:
		session := r.s.ddl.sessionOf(&e.query)
		if text := e.query.text(); r.s.mayChange(text, &session) {
			return r.statement(text)
		}
		if t.open {
			return nil
		}
		return r.pass(e)
	}
	return r.ddl(e)
}

// statement refuses a change that is in the log as a statement only.
func (r *run) statement(text string) error {
	return fmt.Errorf("reading the binary log at %s:%d: a change was logged as a statement, whose rows are not known (%s); set binlog_format=ROW for all sessions and read the tables again", r.s.file, r.parser.pos, shorten(text))
}

// mayChange reports whether a statement may have changed rows that are captured:
// it names a captured table or the database of one, or it was run in such a
// database and does not say that it writes elsewhere.
func (s *Source) mayChange(text string, session *ddlSession) bool {
	own := *session
	own.database = ""
	p := &ddlParser{session: own, in: text, tokens: ddlTokens(text, own.ddlDialect)}
	names, within := p.names(), false
	for _, t := range s.history.possible() {
		if !s.captures(t.database, t.name) {
			continue
		}
		if names[strings.ToLower(t.name)] || names[strings.ToLower(t.database)] {
			return true
		}
		within = within || strings.EqualFold(t.database, session.database)
	}
	return within && !p.writesElsewhere()
}

// writesElsewhere reports whether the statement changes one table, whose database
// it names.
func (p *ddlParser) writesElsewhere() bool {
	if p.accept("SET", "STATEMENT") {
		p.settings(&ddlStatement{})
	}
	if p.acceptOne("INSERT", "REPLACE", "UPDATE", "DELETE") == "" {
		return false
	}
	for p.acceptOne("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "INTO", "FROM") != "" {
	}
	t := p.table()
	joined := p.isPunct(",") || p.acceptOne("JOIN", "INNER", "CROSS", "LEFT", "RIGHT", "NATURAL", "STRAIGHT_JOIN", "AS") != ""
	return p.problem == "" && t.database != "" && !joined
}

// rows reports the rows of one event.
func (r *run) rows(e *event) error {
	t := &r.s.tx
	if e.rows.table == nil || e.rows.table.plan == nil {
		return nil
	}
	if !t.open {
		if err := r.begin(e); err != nil {
			return err
		}
	}
	if r.s.xa.recording != nil {
		return r.s.xa.record(r, e)
	}
	if r.s.reported() {
		return nil
	}
	if err := r.report(); err != nil {
		return err
	}
	return r.changes(e)
}

// changes decodes and reports the rows of one event.
func (r *run) changes(e *event) error {
	t := &r.s.tx
	table := e.rows.table.plan.table
	out := capture.Change{Table: table.Table, Source: r.s.block.event(r.s, e, table)}
	out.SourceSeq = r.s.block.seq
	var c change
	for {
		more, err := e.rows.next(&c, &t.before, &t.after)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", r.s.file, e.start, err)
		}
		if !more {
			return nil
		}
		out.Op, out.Before, out.After, out.Row = c.op, c.before, c.after, c.row
		t.row = c.row
		if err := r.out.Change(&out); err != nil {
			return err
		}
	}
}

// commit ends the transaction.
func (r *run) commit(e *event) error {
	begun := r.s.tx.begun
	r.advance(e)
	if begun {
		r.moved = false
		if err := r.out.Commit(); err != nil {
			return err
		}
		return r.settle()
	}
	return r.progress()
}

// settle tells behind a transaction of tables that were in doubt, and that its
// rows made known.
func (r *run) settle() error {
	if len(r.s.history.owed) == 0 {
		return nil
	}
	c := &capture.SchemaChange{}
	if r.s.settle(c); len(c.Tables) == 0 {
		return nil
	}
	return r.out.Schema(c)
}

// pass moves behind something that is not reported.
func (r *run) pass(e *event) error {
	r.advance(e)
	return r.progress()
}

// advance makes the place behind e, and the transaction that it ends, the
// stream's.
func (r *run) advance(e *event) {
	s := r.s
	if e.end != 0 {
		s.pos = e.end
	}
	if s.tx.known {
		switch {
		case s.srv.mariadb:
			s.list.add(&s.tx.head)
		case s.gtids != nil && !s.tx.head.anonymous:
			s.gtids.add(&s.tx.head)
		}
	}
	s.tx.abandon()
}

// progress reports that the position moved, a few times a second; while the
// stream goes through what was reported before, it has not.
func (r *run) progress() error {
	if r.s.xa.known != nil {
		return nil
	}
	if now := time.Now(); now.Sub(r.reported) >= idleInterval {
		r.reported = now
		return r.out.Progress()
	}
	r.moved = true
	return nil
}

// payload handles the events of a compressed transaction, which lie where the
// payload does.
func (r *run) payload() error {
	var failed error
	err := r.parser.payload(func(e *event) error {
		failed = r.handle(e)
		return failed
	})
	if failed != nil {
		return failed // as it is, not as the parser wraps it
	}
	return err
}

// rotate is the log going on in another file.
func (r *run) rotate(e *event) error {
	s, file := r.s, string(e.rotate.file)
	if s.origin == s.uuid && file == s.file && e.rotate.pos <= s.pos {
		return nil // what a dump begins with
	}
	if s.tx.open {
		return fmt.Errorf("reading the binary log: %s ends within a transaction", s.file)
	}
	s.file, s.pos, s.origin = file, e.rotate.pos, s.uuid
	return nil // no progress: it may be on the way to a transaction that broke off
}

// heartbeat says how far the server has read its log.
func (r *run) heartbeat(e *event) error {
	if r.s.tx.open || string(e.rotate.file) != r.s.file || e.rotate.pos <= r.s.pos {
		return nil
	}
	r.s.pos = e.rotate.pos
	return nil // as of a rotate
}
