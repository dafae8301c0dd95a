package mysql

import (
	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// ddl is a statement of the log that is a transaction by itself.
func (r *run) ddl(e *event) error {
	s := r.s
	if s.reported() {
		return r.pass(e)
	}
	if s.tx.known && s.tx.head.pendingAlter {
		r.advance(e)
		return r.progress()
	}
	text := e.query.text()
	session := s.ddl.sessionOf(&e.query)
	source := r.ddlSource(e)
	r.advance(e)
	at := s.place()
	effect := s.history.apply(at.marshal(), int64(e.seconds)*1000, text, &session)
	r.parser.forgetTables()
	if !r.concerns(effect, &session) {
		return r.progress()
	}
	changes := s.topic.events(effect, &session, text, source)
	if len(changes) == 0 {
		changes = []*capture.SchemaChange{{Tables: touchedTables(effect)}}
	}
	last := changes[len(changes)-1]
	for _, t := range effect.emptied {
		if table := s.Table(t.database, t.name); table != nil {
			last.Truncated = append(last.Truncated, table)
			if effect.statement.kind == ddlTruncate {
				last.Truncate = &capture.Change{Table: table, Op: cdc.OpTruncate, Source: source, SourceSeq: s.block.seq}
			}
		}
	}
	for _, c := range changes {
		if err := r.out.Schema(c); err != nil {
			return err
		}
	}
	return nil
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

// ddlSource is the source block of a statement, whose times Debezium has in ms
// only.
func (r *run) ddlSource(e *event) *cdc.Row {
	out := new(cdc.Row)
	out.CopyFrom(r.s.block.statement(r.s, e))
	millis := out.Values[sourceFieldMillis].Int()
	out.Values[sourceFieldMicros] = cdc.Int(millis * 1000)
	out.Values[sourceFieldNanos] = cdc.Int(millis * 1_000_000)
	return out
}
