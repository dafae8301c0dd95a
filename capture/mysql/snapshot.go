package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// reader reads tables over one connection. It implements capture.Reader.
type reader struct {
	source *Source
	conn   *session // the SELECTs; its settings are rowReader's
	fixed  bool     // a view may be fixed on conn, by an open transaction
	plain  *session // everything else: marks, definitions, bounds, locks
	uuid   string   // the server's
	tables map[*capture.Table]*readPlan
	row    cdc.Row
	last   cdc.Row
}

// readPlan is how one table is read.
type readPlan struct {
	schema *TableSchema
	rows   *rowReader
	key    *chunkKey // nil: as a whole
}

// Reader opens the connections for reading tables, on the server that Stream
// reads from.
func (s *Source) Reader(ctx context.Context) (capture.Reader, error) {
	r := &reader{source: s, tables: map[*capture.Table]*readPlan{}}
	var err error
	if r.conn, err = s.conn.open(ctx); err != nil {
		return nil, unavailable(err)
	}
	if r.plain, err = s.conn.open(ctx); err != nil {
		r.conn.Close()
		return nil, unavailable(err)
	}
	if err = r.prepare(ctx); err != nil {
		r.Close()
		return nil, unavailable(err)
	}
	return r, nil
}

// lockWait is how long the lock of a table may take, in s; Debezium's
// snapshot.lock.timeout.ms has this default. While it is waited for behind one
// who writes for long, all other writers wait, too.
const lockWait = 10

// prepare checks the server and makes the session one that rowReader reads.
func (r *reader) prepare(ctx context.Context) error {
	for _, s := range []*session{r.conn, r.plain} {
		srv, err := identify(ctx, s)
		if err != nil {
			return err
		}
		r.uuid = srv.uuid
		if err := r.sameServer(); err != nil {
			return err
		}
	}
	// A lock that is not had soon is given up: whoever writes waits behind it.
	if err := r.plain.run(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d", lockWait)); err != nil {
		return err
	}
	for _, statement := range []string{snapshotSession, "SET SESSION net_write_timeout = 3600", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"} {
		if err := r.conn.run(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// sameServer refuses to read from another server than the stream does, which
// may have been sent to another one since the connections were opened.
func (r *reader) sameServer() error {
	if served := r.source.servedBy(); r.uuid != served {
		return fmt.Errorf("%w: the connection goes to server %s, the log is read from server %s", capture.ErrUnavailable, r.uuid, served)
	}
	return nil
}

// servedBy is the server whose log Stream reads.
func (s *Source) servedBy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served.uuid
}

// end is the end of the log of the reader's server now.
func (r *reader) end(ctx context.Context) (position, error) {
	p, err := r.source.end(ctx, r.plain)
	p.ServerUUID = r.uuid
	return p, err
}

// Close ends the connections.
func (r *reader) Close() error { return errors.Join(r.conn.Close(), r.plain.Close()) }

// plan is how a table is read.
func (r *reader) plan(t *capture.Table) (*readPlan, error) {
	if p := r.tables[t]; p != nil {
		return p, nil
	}
	schema, ok := r.source.schemaOf(t)
	if !ok {
		return nil, fmt.Errorf("%w: %s", capture.ErrDefinition, t.ID())
	}
	rows, err := newRowReader(schema, r.source.values(), r.source.srv.mariadb)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", t.ID(), err)
	}
	p := &readPlan{schema: schema, rows: rows, key: newChunkKey(schema, r.source.values())}
	r.tables[t] = p
	return p, nil
}

func tableOf(t *capture.Table) string { return quote(t.Database) + "." + quote(t.Name) }

// Bounds finds the end of the next chunk.
func (r *reader) Bounds(ctx context.Context, t *capture.Table, after []byte, size int) (capture.Bounds, error) {
	p, err := r.plan(t)
	if err != nil {
		return capture.Bounds{}, err
	}
	if p.key == nil {
		return capture.Bounds{Whole: true}, nil
	}
	where, err := p.key.condition(after, nil)
	if err != nil {
		return capture.Bounds{}, err
	}
	texts, err := r.plain.row(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d, 1", p.key.selection(), tableOf(t), where, p.key.order(), size-1))
	if err != nil || texts == nil {
		return capture.Bounds{}, r.failure(ctx, p, err)
	}
	upTo, err := p.key.ofSelection(texts)
	return capture.Bounds{UpTo: upTo}, err
}

// Read reads a chunk.
func (r *reader) Read(ctx context.Context, t *capture.Table, after, upTo []byte, row func(*cdc.Row) error) (capture.Chunk, error) {
	p, err := r.plan(t)
	if err != nil {
		return capture.Chunk{}, err
	}
	where, err := p.key.condition(after, upTo)
	if err != nil {
		return capture.Chunk{}, err
	}
	v, err := r.view(ctx, t)
	if err != nil {
		return capture.Chunk{}, r.failure(ctx, p, err)
	}
	chunk, err := r.read(ctx, p, where, row)
	if err != nil {
		return chunk, r.failure(ctx, p, err)
	}
	if err := r.close(ctx, &v); err != nil {
		return chunk, unavailable(err)
	}
	chunk.Low, chunk.High = v.low.mark(), v.high.mark()
	chunk.Source = r.sourceBlock(t, &v.low)
	return chunk, nil
}

// read runs the SELECT of a chunk. Where the caller ends it, the connection has
// to be opened again, for the server still sends.
func (r *reader) read(ctx context.Context, p *readPlan, where string, row func(*cdc.Row) error) (capture.Chunk, error) {
	order := ""
	if p.key != nil {
		order = " ORDER BY " + p.key.order()
	}
	n := 0
	err := r.conn.selectRows(ctx, "SELECT "+p.rows.list+" FROM "+tableOf(p.schema.Table)+where+order, func(packet []byte) error {
		if err := p.rows.decode(&r.row, packet); err != nil {
			return &decodeError{err}
		}
		if err := row(&r.row); err != nil {
			return err
		}
		n++
		if p.key != nil {
			r.keepKey(p)
		}
		return nil
	})
	if !errors.Is(err, capture.ErrChunkFull) {
		return capture.Chunk{}, err
	}
	if n == 0 {
		return capture.Chunk{}, errors.New("reading a chunk: it was full before its first row")
	}
	key, err := p.key.ofRow(&r.last)
	if err != nil {
		return capture.Chunk{}, fmt.Errorf("table %s: %w", p.schema.ID(), err)
	}
	return capture.Chunk{UpTo: key}, r.reopen(ctx)
}

// keepKey keeps the key of the row that was taken last.
func (r *reader) keepKey(p *readPlan) {
	r.last.Reset(r.row.Schema)
	for len(r.last.Values) < len(r.row.Values) {
		r.last.Values = append(r.last.Values, cdc.Value{})
	}
	for _, at := range p.key.values {
		r.last.Values[at] = r.last.Copy(r.row.Values[at])
	}
}

// reopen replaces the connection of the SELECTs.
func (r *reader) reopen(ctx context.Context) error {
	r.conn.Close()
	conn, err := r.source.conn.open(ctx)
	if err != nil {
		return unavailable(err)
	}
	r.conn, r.fixed = conn, false
	return unavailable(r.prepare(ctx))
}

// decodeError is a row that is not as its table is defined.
type decodeError struct{ error }

// Unwrap is the reason.
func (e *decodeError) Unwrap() error { return e.error }

// failure says whether an error comes from the table having been changed
// meanwhile: then the chunk is read again under the new definition.
func (r *reader) failure(ctx context.Context, p *readPlan, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, capture.ErrDefinition) {
		return err
	}
	const badColumn, noTable, changed, noDatabase = 1054, 1146, 1412, 1049
	var decoding *decodeError
	switch {
	case isServerError(err, badColumn, noTable, changed, noDatabase):
		return fmt.Errorf("%w: %w", capture.ErrDefinition, err)
	case errors.As(err, &decoding):
		now, readErr := r.source.readDefinition(ctx, r.plain, p.schema.Database, p.schema.Name)
		if readErr == nil && now != nil && sameDefinition(now, p.schema.Definition) {
			return fmt.Errorf("reading table %s: %w", p.schema.ID(), err)
		}
		return fmt.Errorf("%w: %w", capture.ErrDefinition, err)
	}
	return unavailable(err)
}

// ReadWhole reads a table in one consistent read.
func (r *reader) ReadWhole(ctx context.Context, t *capture.Table, lock bool, begin func(capture.Chunk) (func() error, error), row func(*cdc.Row) error) error {
	p, err := r.plan(t)
	if err != nil {
		return err
	}
	var wait func() error
	var refused error
	_, err = r.fix(ctx, t, lock, func(v *view) error {
		wait, refused = begin(capture.Chunk{Low: v.low.mark(), High: v.high.mark(), Source: r.sourceBlock(t, &v.low)})
		return refused
	})
	if refused != nil {
		return errors.Join(refused, r.letGo(ctx))
	}
	if err != nil {
		return r.failure(ctx, p, err)
	}
	if err := wait(); err != nil {
		return errors.Join(err, r.letGo(ctx))
	}
	if _, err := r.read(ctx, p, "", row); err != nil {
		return r.failure(ctx, p, err)
	}
	return r.letGo(ctx)
}

// sourceBlock is the block of rows read from t.
func (r *reader) sourceBlock(t *capture.Table, at *position) *cdc.Row {
	row := new(cdc.Row)
	r.source.block.snapshot(row, t.Database, t.Name, at, time.Now().UnixMicro())
	return row
}

// view is what a read sees: everything up to low, and nothing after high.
type view struct {
	low, high position
	fixed     bool // by a transaction, which has to be ended
}

// view opens the view of the SELECT that follows. With GTIDs, MySQL's
// gtid_executed never runs ahead of what is visible, so that no transaction is
// needed; elsewhere the view is fixed, and its place in the log is known.
func (r *reader) view(ctx context.Context, t *capture.Table) (view, error) {
	if r.source.srv.gtid && !r.source.srv.mariadb {
		if err := r.sameServer(); err != nil {
			return view{}, err
		}
		if err := r.letGo(ctx); err != nil { // else the SELECT would see what a read before saw
			return view{}, err
		}
		low, err := r.end(ctx)
		return view{low: low}, err
	}
	return r.fix(ctx, t, false, func(*view) error { return nil })
}

// close ends a view and says how far it can have seen.
func (r *reader) close(ctx context.Context, v *view) error {
	if v.fixed {
		return r.letGo(ctx)
	}
	var err error
	v.high, err = r.end(ctx)
	return err
}

// hold fixes what conn sees, until letGo.
func (r *reader) hold(ctx context.Context) error {
	r.fixed = true
	return r.conn.run(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
}

// letGo ends a view that may be fixed.
func (r *reader) letGo(ctx context.Context) error {
	if !r.fixed {
		return nil
	}
	err := r.conn.run(ctx, "COMMIT")
	r.fixed = err != nil
	return unavailable(err)
}

// fix fixes a view by a transaction, and tells of it, if by a lock before that
// is given back.
func (r *reader) fix(ctx context.Context, t *capture.Table, lock bool, tell func(*view) error) (v view, err error) {
	if err := r.sameServer(); err != nil {
		return view{}, err
	}
	switch {
	case lock, !r.source.srv.gtid:
		return r.locked(ctx, t, tell)
	case r.source.srv.mariadb:
		v, err = r.fixMariaDB(ctx)
	default:
		v, err = r.fixGTID(ctx)
	}
	if err != nil {
		return view{}, err
	}
	return v, tell(&v)
}

func (r *reader) fixGTID(ctx context.Context) (view, error) {
	low, err := r.end(ctx)
	if err != nil {
		return view{}, err
	}
	if err := r.hold(ctx); err != nil {
		return view{}, err
	}
	high, err := r.end(ctx)
	return view{low: low, high: high, fixed: true}, err
}

// fixMariaDB: the server says exactly at which place of the log a snapshot was
// taken; gtid_binlog_pos and the log's end run ahead of what is visible.
func (r *reader) fixMariaDB(ctx context.Context) (view, error) {
	if err := r.hold(ctx); err != nil {
		return view{}, err
	}
	rows, err := r.conn.query(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return view{}, err
	}
	at := position{ServerUUID: r.uuid}
	for _, row := range rows {
		switch row[0] {
		case "Binlog_snapshot_file":
			at.File = row[1]
		case "Binlog_snapshot_position":
			if _, err := fmt.Sscan(row[1], &at.Pos); err != nil {
				return view{}, fmt.Errorf("reading Binlog_snapshot_position %q: %w", row[1], err)
			}
		}
	}
	if at.File == "" {
		return view{}, errors.New("the server does not say where in the log a snapshot lies (Binlog_snapshot_file is empty): is log_bin on?")
	}
	return view{low: at, high: at, fixed: true}, nil
}

// locked fixes the view while nobody writes to the table, for as short as that
// takes; the lock is the table's or, where that is not allowed, everybody's.
func (r *reader) locked(ctx context.Context, t *capture.Table, tell func(*view) error) (v view, err error) {
	const denied, deniedTable, deniedDatabase = 1227, 1142, 1044
	err = r.plain.run(ctx, "LOCK TABLES "+tableOf(t)+" READ")
	if isServerError(err, denied, deniedTable, deniedDatabase) {
		err = r.plain.run(ctx, "FLUSH TABLES WITH READ LOCK")
		if isServerError(err, denied, deniedTable, deniedDatabase) {
			return view{}, fmt.Errorf("locking table %s for a moment: %w; mend it with: GRANT LOCK TABLES ON %s.* TO the user", t.ID(), err, quote(t.Database))
		}
	}
	if err != nil {
		return view{}, err
	}
	defer func() { err = errors.Join(err, r.plain.run(ctx, "UNLOCK TABLES")) }()
	if err := r.hold(ctx); err != nil {
		return view{}, err
	}
	at, err := r.end(ctx)
	if err != nil {
		return view{}, err
	}
	v = view{low: at, high: at, fixed: true}
	return v, tell(&v)
}

// mark is a position as capture.Mark.
func (p *position) mark() capture.Mark { return capture.Mark(p.marshal()) }

// Reached reports whether the stream has passed a mark.
func (s *Source) Reached(at []byte, mark capture.Mark) bool {
	p, err := parsePosition(at)
	m, err2 := parsePosition([]byte(mark))
	if err != nil || err2 != nil {
		return false
	}
	// After a failover the place is in the log of the server before until the
	// new one's says where it begins.
	return p.ServerUUID == m.ServerUUID && behind(&p, &m)
}

// Covers reports whether a mark includes everything before a position: by GTIDs
// on MySQL that has them, else by file and position. A mark of another server
// than the stream reads from now never does: Reached could not tell its High.
func (s *Source) Covers(low capture.Mark, at []byte) bool {
	p, err := parsePosition(at)
	m, err2 := parsePosition([]byte(low))
	if err != nil || err2 != nil {
		return false
	}
	if m.ServerUUID != s.servedBy() {
		return false
	}
	if s.srv.mariadb || !s.srv.gtid {
		return m.ServerUUID == p.ServerUUID && behind(&m, &p)
	}
	have, err := parseGTIDSet(m.GTIDs)
	want, err2 := parseGTIDSet(p.GTIDs)
	return err == nil && err2 == nil && have.contains(want)
}

// behind reports whether m is at or behind p in one server's log.
func behind(m, p *position) bool {
	return compareFiles(m.File, p.File) > 0 || p.File == m.File && m.Pos >= p.Pos
}
