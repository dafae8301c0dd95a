package mysql

import (
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// ddl is a statement of the log that is a transaction by itself, or the first
// part of one whose rows fill the table that it creates.
func (r *run) ddl(e *event) error {
	s := r.s
	if s.tx.open {
		return r.ddlInside(e)
	}
	if s.reported() { // the definitions are those of an earlier place, and follow all the same
		source := r.ddlSource(e)
		r.advance(e)
		r.follow(e, source)
		return r.progress()
	}
	if s.tx.known && s.tx.head.pendingAlter {
		r.advance(e)
		return r.progress()
	}
	source := r.ddlSource(e)
	r.advance(e)
	changes := r.follow(e, source)
	if len(changes) == 0 {
		return r.progress()
	}
	return r.schema(changes)
}

// ddlInside is a statement within a transaction: CREATE TABLE … SELECT, where
// the server logs it with its rows.
func (r *run) ddlInside(e *event) error {
	changes := r.follow(e, r.ddlSource(e))
	if len(changes) == 0 || r.s.reported() {
		return nil
	}
	for _, c := range changes {
		c.Inside = true
	}
	if err := r.report(); err != nil {
		return err
	}
	return r.schema(changes)
}

func (r *run) schema(changes []*capture.SchemaChange) error {
	for i, c := range changes {
		c.More = i+1 < len(changes)
		if err := r.out.Schema(c); err != nil {
			return err
		}
	}
	return nil
}

// follow has the definitions follow a statement, and returns what is to be
// reported of it: nothing, if it is nothing to this capture.
func (r *run) follow(e *event, source *cdc.Row) []*capture.SchemaChange {
	s := r.s
	text := e.query.text()
	session := s.ddl.sessionOf(&e.query)
	at := s.place()
	effect := s.history.apply(at.marshal(), int64(e.seconds)*1000, text, &session)
	r.parser.forgetTables()
	if !r.concerns(effect, &session) {
		return nil
	}
	changes := s.topic.events(effect, &session, text, source)
	if len(changes) == 0 {
		changes = []*capture.SchemaChange{{Tables: touchedTables(effect)}}
	}
	last := changes[len(changes)-1]
	r.learn(effect)
	for _, t := range effect.emptied {
		if table := s.tell(t, owedTruncated, last); table != nil && effect.statement.kind == ddlTruncate {
			last.Truncate = s.truncate(table, source)
		}
	}
	s.came(effect, last)
	s.settle(last)
	return changes
}

// learn has the definitions known of captured tables that a statement touched
// and that are in doubt: what is to be told of them takes their definitions,
// and the sooner they are read, the less can have come between. Where something
// did, that statement is behind this one, and brings about another attempt.
// While the server cannot be reached it waits, for what happened is told once.
func (r *run) learn(e *ddlEffect) {
	s := r.s
	var names []tableName
	for _, t := range namedTables(e) {
		if s.captures(t.database, t.name) && s.history.doubts(t) {
			names = append(names, t)
		}
	}
	if len(names) == 0 || s.tx.open || s.recorded {
		return
	}
	for attempt := 0; ; attempt++ {
		_, err := s.learn(r.ctx, names...)
		if err == nil || r.ctx.Err() != nil {
			return
		}
		s.log.Warn("reading definitions that are in doubt", zap.Error(err))
		if !errors.Is(err, capture.ErrUnavailable) || pause(r.ctx, attempt) != nil {
			return
		}
	}
}

// tell adds a table to those of which something is to be told. One that is in
// doubt is told of when it is not any more.
func (s *Source) tell(t tableName, what owed, to *capture.SchemaChange) *capture.Table {
	table, _ := s.Table(t.database, t.name)
	switch {
	case table != nil:
	case s.captures(t.database, t.name) && s.history.doubts(t):
		at := s.place()
		s.history.owe(at.marshal(), int64(s.seconds)*1000, t, what)
		return nil
	default:
		return nil
	}
	if what&owedTruncated != 0 {
		to.Truncated = append(to.Truncated, table)
	}
	if what&owedArrived != 0 {
		to.Arrived = append(to.Arrived, table)
	}
	if what&owedCreated != 0 {
		to.Created = append(to.Created, table)
	}
	return table
}

// settle tells of tables what could not be told when it happened.
func (s *Source) settle(to *capture.SchemaChange) {
	if len(s.history.owed) == 0 {
		return
	}
	at := s.place()
	for t, what := range s.history.settle(at.marshal(), int64(s.seconds)*1000) {
		s.tell(t, what, to)
		to.Tables = append(to.Tables, t.String())
	}
}

// came tells of tables that have their names since the statement: renamed, made
// of a partition, or created.
func (s *Source) came(e *ddlEffect, to *capture.SchemaChange) {
	for i := range e.changes {
		c := &e.changes[i]
		renamed := c.op == tableAltered && c.from != (tableName{}) && c.from != c.table
		if !renamed && c.op != tableCreated {
			continue
		}
		switch {
		case slices.ContainsFunc(e.changes[i+1:], func(later tableChange) bool { return later.from == c.table }):
			// Renamed once more by the same statement.
		case renamed || e.statement.kind != ddlCreateTable || e.statement.create.query: // whose rows are in no event, or it would say its columns
			s.tell(c.table, owedArrived, to)
		default:
			s.tell(c.table, owedCreated, to)
		}
	}
}

// truncate is the change of op t of a TRUNCATE whose source block is source.
func (s *Source) truncate(t *capture.Table, source *cdc.Row) *capture.Change {
	row := new(cdc.Row)
	row.CopyFrom(source)
	row.Values[sourceFieldDB] = cdc.String([]byte(t.Database))
	row.Values[sourceFieldTable] = cdc.String([]byte(t.Name))
	return &capture.Change{Table: t, Op: cdc.OpTruncate, Source: row, SourceSeq: s.block.seq}
}

// concerns reports whether a statement is anything to a capture of these
// databases.
func (r *run) concerns(e *ddlEffect, session *ddlSession) bool {
	switch e.statement.kind {
	case ddlOther, ddlUnknown:
		return len(e.unsure) > 0 || !builtin(session.database)
	}
	return true
}

// ddlSource is the source block of a statement. Debezium has its times in ms
// only, and leaves in it the row of the last change before it.
func (r *run) ddlSource(e *event) *cdc.Row {
	out := new(cdc.Row)
	out.CopyFrom(r.s.block.statement(r.s, e))
	out.Values[sourceFieldRow] = cdc.Int(int64(r.s.tx.row))
	millis := out.Values[sourceFieldMillis].Int()
	out.Values[sourceFieldMicros] = cdc.Int(millis * 1000)
	out.Values[sourceFieldNanos] = cdc.Int(millis * 1_000_000)
	return out
}
