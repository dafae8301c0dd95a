package mysql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// read is what was read of definitions from the server.
type read struct {
	ddl       *ddlServer
	databases map[string]ddlLocale
	tables    []*Definition
	creates   map[tableName]string // SHOW CREATE TABLE
}

// readDefinitions reads all tables of the captured databases: not only those
// that are captured, since a rename may make one of another.
func (s *Source) readDefinitions(ctx context.Context, conn *session) (*read, error) {
	if err := conn.run(ctx, plainMode); err != nil {
		return nil, err
	}
	r := &read{creates: map[tableName]string{}}
	var err error
	if r.ddl, err = readDDLServer(ctx, conn); err != nil {
		return nil, err
	}
	if r.databases, err = readDatabases(ctx, conn); err != nil {
		return nil, err
	}
	names, err := listTables(ctx, conn, s.scope.Filter.Database)
	if err != nil {
		return nil, err
	}
	for _, t := range names {
		d, create, err := r.ddl.readDefinition(ctx, conn, t, r.databases[t.database])
		if err != nil {
			if s.captures(t.database, t.name) {
				return nil, err
			}
			s.log.Warn("passing over the definition of a table that is not captured", zap.Error(err))
			continue
		}
		if d != nil {
			r.tables = append(r.tables, d)
			r.creates[t] = create
		}
	}
	return r, nil
}

// attempts bounds how often definitions are read again because DDL came between.
const attempts = 10

// begin reads all definitions and finds a place of the log at which they held:
// between that place and the end of reading is no statement that names one of
// the tables. Of tables that are not captured nothing is known where there is:
// scratch tables may come and go all the time.
func (s *Source) begin(ctx context.Context, conn *session) error {
	for range attempts {
		p, err := s.end(ctx, conn)
		if err != nil {
			return err
		}
		r, err := s.readDefinitions(ctx, conn)
		if err != nil {
			return unavailable(err)
		}
		if err := s.moveTo(&p); err != nil {
			return err
		}
		changed, err := s.changedSince(ctx, conn, r, &p)
		if err != nil {
			return err
		}
		if s.leaveOut(r, changed) == 0 {
			s.take(r)
			s.history.load(p.marshal(), int64(p.Seconds)*1000, r.ddl.locale, r.databases, r.tables)
			return nil
		}
		s.log.Info("definitions changed while they were read: reading them again", zap.Int("tables", len(changed)))
	}
	return fmt.Errorf("%w: the definitions of tables changed each of the %d times that they were read", capture.ErrUnavailable, attempts)
}

// leaveOut takes the tables that changed out of what was read, and returns how
// many of them are captured.
func (s *Source) leaveOut(r *read, changed map[tableName]string) (captured int) {
	for t := range changed {
		if s.captures(t.database, t.name) {
			captured++
		}
		delete(r.creates, t)
	}
	r.tables = slices.DeleteFunc(r.tables, func(d *Definition) bool {
		_, ok := changed[tableName{d.Database, d.Name}]
		return ok
	})
	return captured
}

// take keeps what was read for the snapshot's schema events, and what DDL in
// the log takes from the server.
func (s *Source) take(r *read) {
	s.ddl, s.creates, s.databases = r.ddl, r.creates, r.databases
	s.history.retention = r.ddl.retention
}

// changedSince names the tables whose definitions, read just now, may not have
// been theirs at p, and captured ones that are gone since; others are names
// that were asked for, though there may be no such tables.
func (s *Source) changedSince(ctx context.Context, conn *session, r *read, p *position, others ...tableName) (map[tableName]string, error) {
	end, err := s.end(ctx, conn)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(others)
	for _, d := range r.tables {
		names = append(names, tableName{d.Database, d.Name})
	}
	if end.File == p.File && end.Pos == p.Pos {
		return nil, nil
	}
	captured := func(t tableName) bool { return s.captures(t.database, t.name) }
	return changedSince(names, s.srv.caseless, captured, s.statements(ctx, r.ddl, p, &end))
}

// errEnd ends the reading of statements.
var errEnd = errors.New("the end that was asked for")

// statements are those of the log between two places, read over a connection
// of its own.
func (s *Source) statements(ctx context.Context, ddl *ddlServer, from, to *position) iter.Seq2[loggedStatement, error] {
	return func(yield func(loggedStatement, error) bool) {
		conn := s.conn
		conn.ServerID = 1<<31 | rand.Uint32() // beside the stream's own, which it would end
		d, err := conn.openDump(ctx, s.srv.mariadb, s.startAt(from))
		if err != nil {
			yield(loggedStatement{}, unavailable(err))
			return
		}
		defer d.Close()
		stop := context.AfterFunc(ctx, func() { d.Close() })
		defer stop()
		err = s.scan(d, from, to, ddl, func(st loggedStatement) error {
			if !yield(st, nil) {
				return errEnd
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnd) {
			yield(loggedStatement{}, err)
		}
	}
}

// scan calls each for the statements of a dump up to a place.
func (s *Source) scan(d *dump, from, to *position, ddl *ddlServer, each func(loggedStatement) error) error {
	parse := newParser(d.checksum, func(*tableMap) (*plan, error) { return nil, nil })
	parse.seek(from.Pos)
	file := from.File
	var buffer []byte
	pending := false
	handle := func(e *event) error {
		if e.kind == eventGTID {
			pending = e.gtid.pendingAlter
		}
		if e.kind != eventQuery || e.query.kind() != queryOther || pending {
			return nil
		}
		return each(loggedStatement{text: e.query.text(), session: ddl.sessionOf(&e.query)})
	}
	for {
		var err error
		if buffer, err = d.event(buffer[:0]); err != nil {
			return ended(err)
		}
		e, err := parse.parse(buffer[1:])
		if err != nil {
			return err
		}
		switch e.kind {
		case eventRotate:
			file = string(e.rotate.file)
		case eventPayload:
			err = parse.payload(handle)
		default:
			err = handle(e)
		}
		if err != nil {
			return err
		}
		at := position{File: file, Pos: parse.pos}
		if at.compare(&position{File: to.File, Pos: to.Pos}) >= 0 {
			return nil
		}
	}
}

// restoreHistory takes the stored definitions. Where none are stored (the
// offset was imported), or a captured table is not among them (the include
// list became longer), they are read from the server, and it is proved that
// they held at the stored position already.
func (s *Source) restoreHistory(ctx context.Context, conn *session, entries map[string][]byte) error {
	at := s.place()
	err := s.history.restore(entries, func(b []byte) bool { return s.covers(b, &at) })
	var none *errNoDefinitions
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("%w: %w", capture.ErrNoContinuity, err)
	}
	r, readErr := s.readDefinitions(ctx, conn)
	if readErr != nil {
		return unavailable(readErr)
	}
	s.take(r)
	changed, scanErr := s.missing(ctx, conn, r, &at, none != nil)
	if scanErr != nil {
		return scanErr
	}
	if none != nil {
		return s.adopt(r, &at, changed)
	}
	for _, d := range r.tables {
		t := tableName{d.Database, d.Name}
		if s.history.catalog.table(t) != nil {
			continue
		}
		if _, ok := changed[t]; !ok { // else the stream comes to the statement that makes it so
			s.history.learn(at.marshal(), int64(at.Seconds)*1000, d)
		}
	}
	return nil
}

// missing scans the log for DDL only where definitions are needed that are not
// stored.
func (s *Source) missing(ctx context.Context, conn *session, r *read, at *position, all bool) (map[tableName]string, error) {
	needed := all
	for _, d := range r.tables {
		needed = needed || s.history.catalog.table(tableName{d.Database, d.Name}) == nil
	}
	if !needed {
		return nil, nil
	}
	return s.changedSince(ctx, conn, r, at)
}

// adopt makes what was read all that is known; a captured table that changed
// since the position cannot be followed from there.
func (s *Source) adopt(r *read, at *position, changed map[tableName]string) error {
	for t, statement := range changed {
		if s.captures(t.database, t.name) {
			return fmt.Errorf("%w: table %s changed after the stored position (%s), and its definition before is not stored; read the tables again with snapshot.mode=when_needed", capture.ErrNoContinuity, t, statement)
		}
	}
	s.leaveOut(r, changed)
	s.history.load(at.marshal(), int64(at.Seconds)*1000, r.ddl.locale, r.databases, r.tables)
	return nil
}

// covers reports whether a stored position lies at or before another: by the
// transactions before them where the server has GTIDs, else by file and
// position.
func (s *Source) covers(stored []byte, at *position) bool {
	p, err := parsePosition(stored)
	if err != nil {
		return false
	}
	a, err1 := s.at(&p)
	b, err2 := s.at(at)
	switch {
	case err1 != nil || err2 != nil:
		return false
	case a.gtids != nil && b.gtids != nil && !a.gtids.empty():
		return b.gtids.contains(a.gtids)
	case s.srv.mariadb && len(a.list) > 0 && p.ServerUUID != at.ServerUUID:
		return b.list.contains(a.list)
	}
	x, y := position{File: p.File, Pos: p.Pos}, position{File: at.File, Pos: at.Pos}
	return x.compare(&y) <= 0
}

// Tables are the captured tables, in the order in which Debezium snapshots them.
func (s *Source) Tables(context.Context) ([]*capture.Table, error) {
	var out []*capture.Table
	var errs []error
	for _, t := range s.history.known() {
		schema, err := s.table(t.database, t.name)
		if err != nil {
			errs = append(errs, err)
		} else if schema != nil {
			out = append(out, schema.Table)
		}
	}
	return out, errors.Join(errs...)
}

// table is a captured table at the stream's place, nil if it is not captured.
func (s *Source) table(database, name string) (*TableSchema, error) {
	schema, err := s.history.table(database, name)
	if schema != nil {
		s.schemas.Store(schema.Table, schema)
	}
	return schema, err
}

// SnapshotSchemas are the schema change events in front of a snapshot.
func (s *Source) SnapshotSchemas(_ context.Context, tables []*capture.Table) ([]*capture.SchemaChange, error) {
	what := &snapshotSchemas{server: s.ddl.locale}
	seen := map[string]bool{}
	for _, t := range tables {
		schema, ok := s.schemaOf(t)
		if !ok {
			return nil, fmt.Errorf("%w: %s", capture.ErrDefinition, t.ID())
		}
		what.tables = append(what.tables, snapshotTable{definition: schema.Definition, create: s.creates[tableName{t.Database, t.Name}]})
		if !seen[t.Database] {
			seen[t.Database] = true
			what.databases = append(what.databases, snapshotDatabase{name: t.Database, locale: s.databases[t.Database]})
		}
	}
	if !s.settings.CapturedTablesOnly {
		what.tables = append(what.tables, s.uncaptured(seen)...)
	}
	at := s.place()
	return s.topic.snapshotEvents(what, func() *cdc.Row {
		row := new(cdc.Row)
		s.block.snapshot(row, "", "", &at, time.Now().UnixMicro())
		return row
	}), nil
}

// uncaptured are the tables of databases that are not captured themselves:
// Debezium tells of them all the same.
func (s *Source) uncaptured(databases map[string]bool) []snapshotTable {
	var out []snapshotTable
	for _, t := range s.history.known() {
		if create, ok := s.creates[t]; ok && databases[t.database] && !s.captures(t.database, t.name) {
			out = append(out, snapshotTable{definition: s.history.catalog.table(t), create: create})
		}
	}
	return out
}

// plan is how the rows behind a table map are decoded, nil for a table that is
// not captured. A definition that is not known, or does not fit, is read from
// the server, if it can be proved that it is the one of this place of the log.
func (s *Source) plan(ctx context.Context, m *tableMap) (*plan, error) {
	schema, err := s.table(m.database, m.name)
	if err == nil && schema == nil {
		return nil, nil
	}
	if err == nil {
		err = checkShape(schema.Definition, m)
	}
	if err == nil {
		return newPlan(schema, m, s.values())
	}
	s.log.Warn("reading a table's definition again", zap.String("table", m.database+"."+m.name), zap.Error(err))
	schema, rereadErr := s.reread(ctx, tableName{m.database, m.name})
	if rereadErr != nil {
		return nil, fmt.Errorf("%w; reading it from the server: %w", err, rereadErr)
	}
	if err := checkShape(schema.Definition, m); err != nil {
		return nil, fmt.Errorf("the definition of table %s.%s on the server is not the one its rows in the log were written under (%w); read the tables again with snapshot.mode=when_needed", m.database, m.name, err)
	}
	return newPlan(schema, m, s.values())
}

// reread reads one definition from the server.
func (s *Source) reread(ctx context.Context, t tableName) (*TableSchema, error) {
	changed, err := s.learn(ctx, t)
	if err != nil {
		return nil, err
	}
	if statement, ok := changed[t]; ok {
		return nil, fmt.Errorf("it was changed again since (%s)", statement)
	}
	if s.history.catalog.table(t) == nil {
		return nil, fmt.Errorf("there is no table %s any more", t)
	}
	return s.table(t.database, t.name)
}

// learn reads definitions from the server, and takes those that are proved to
// be the ones of this place of the log. It returns the tables that changed
// again since, with the statement.
func (s *Source) learn(ctx context.Context, names ...tableName) (map[tableName]string, error) {
	conn, err := s.conn.open(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	defer conn.Close()
	r, err := s.readDefinitions(ctx, conn)
	if err != nil {
		return nil, unavailable(err)
	}
	at := s.place()
	changed, err := s.changedSince(ctx, conn, r, &at, names...)
	if err != nil {
		return nil, err
	}
	fold := s.history.catalog.fold
	read := make(map[tableName]*Definition, len(r.tables))
	for _, d := range r.tables {
		read[fold(tableName{d.Database, d.Name})] = d
	}
	for _, t := range names {
		_, again := changed[t]
		switch d := read[fold(t)]; {
		case again:
		case d != nil:
			s.history.learn(at.marshal(), int64(at.Seconds)*1000, d)
		default:
			s.history.vanish(at.marshal(), int64(at.Seconds)*1000, t)
		}
	}
	return changed, nil
}

// readDefinition reads one table's definition as it is now, nil if there is no
// such table.
func (s *Source) readDefinition(ctx context.Context, conn *session, database, name string) (*Definition, error) {
	if err := conn.run(ctx, plainMode); err != nil {
		return nil, err
	}
	d, _, err := s.ddl.readDefinition(ctx, conn, tableName{database, name}, s.databases[database])
	return d, err
}
