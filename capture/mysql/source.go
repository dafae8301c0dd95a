package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/cdc"
)

// Source is a MySQL or MariaDB server as capture.Source wants it.
type Source struct {
	conn     Connection
	settings Settings
	scope    capture.Scope
	log      *zap.Logger

	srv     *server // as it was when the Source was opened; its kind never changes
	options *SchemaOptions
	history *history
	topic   *schemaTopic
	block   *sourceBlock
	// ddl, creates and databases are what was read of definitions at the start.
	ddl       *ddlServer
	creates   map[tableName]string
	databases map[string]ddlLocale
	// recorded says that there is no server to read definitions from.
	recorded bool
	tx       transaction
	xa       preparedXA

	// The stream's place in the log, of the stream's goroutine alone: file and
	// pos are where the next transaction begins, gtids (MySQL) or list (MariaDB)
	// the transactions before it.
	file  string
	pos   uint64
	gtids *gtidSet
	list  gtidList
	// seconds is the time of the last event, s since the epoch; uuid the server's
	// whose log is read, origin the one's that file and pos are of: another one
	// until the first event of a server that took over.
	seconds      uint32
	uuid, origin string

	// mu guards what a Reader has to know of the server that Stream reads from.
	mu     sync.Mutex
	served *server

	// schemas has the TableSchema of every *capture.Table that was handed out.
	schemas sync.Map
}

var _ capture.Source = (*Source)(nil)

// Open returns a function that opens the server of conn for one run of the
// capture after the other.
func Open(conn Connection, settings Settings, log *zap.Logger) capture.OpenSource {
	return func(ctx context.Context, scope capture.Scope) (capture.Source, error) {
		s, err := conn.open(ctx)
		if err != nil {
			return nil, unavailable(err)
		}
		defer s.Close()
		srv, err := identify(ctx, s)
		if err != nil {
			return nil, unavailable(err)
		}
		if srv.mariadb != settings.MariaDB {
			return nil, fmt.Errorf("opening the source: connector.class is %s, and the server is %s", settings.kind(), srv.version)
		}
		return newSource(conn, settings, scope, srv, log), nil
	}
}

func newSource(conn Connection, settings Settings, scope capture.Scope, srv *server, log *zap.Logger) *Source {
	s := &Source{conn: conn, settings: settings, scope: scope, log: log, srv: srv, served: srv, uuid: srv.uuid, origin: srv.uuid}
	s.options = settings.schemaOptions(scope)
	s.history = newHistory(s.options, srv.caseless)
	s.block = newSourceBlock(s.Kind(), scope.Prefix)
	s.topic = newSchemaTopic(s.Kind(), s.block.schema, s.options)
	s.topic.ignoreOther, s.topic.ignoreMore = settings.CapturedDatabasesOnly, settings.CapturedTablesOnly
	return s
}

// Kind is "mysql" or "mariadb".
func (s *Source) Kind() string { return s.settings.kind() }

// SourceSchema is the schema of Debezium's source block.
func (s *Source) SourceSchema() *cdc.Schema { return s.block.schema }

// Check asks the server for everything that would keep the capture from
// working. What is not fatal is logged.
func (s *Source) Check(ctx context.Context) error {
	findings, err := s.Findings(ctx)
	if err != nil {
		return unavailable(err)
	}
	for _, f := range findings {
		if !f.Fatal {
			s.log.Warn(f.Text, zap.String("statement", f.Statement))
		}
	}
	return fatalOf(findings)
}

// Findings are all that the start check finds, fatal or not.
func (s *Source) Findings(ctx context.Context) ([]Finding, error) {
	return s.conn.check(ctx, &CheckOptions{
		Captures: s.captures, PartialImages: s.settings.PartialImages, Cascades: s.settings.Cascades,
		Retention: s.settings.Retention, Snapshot: true,
	})
}

// captures reports whether a table is captured.
func (s *Source) captures(database, table string) bool {
	return !(s.scope.Filter.IgnoreBuiltin() && builtin(database)) && s.scope.Filter.Table(database, table)
}

// builtin are the servers' own databases.
func builtin(database string) bool {
	switch database {
	case "mysql", "sys", "performance_schema", "information_schema":
		return true
	}
	return false
}

// Restore checks that the server's log follows on from what was stored.
func (s *Source) Restore(ctx context.Context, stored *capture.Stored) error {
	if stored == nil {
		s.xa.reset()
		s.history.reset()
		return nil
	}
	p, err := parsePosition(stored.Position)
	if err != nil {
		return fmt.Errorf("%w: %w", capture.ErrNoContinuity, err)
	}
	conn, err := s.conn.open(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer conn.Close()
	if err := s.continues(ctx, conn, &p); err != nil {
		return err
	}
	if err := s.completeGTIDs(ctx, &p); err != nil {
		return err
	}
	if err := s.moveTo(&p); err != nil {
		return fmt.Errorf("%w: %w", capture.ErrNoContinuity, err)
	}
	return s.restoreHistory(ctx, conn, stored.Entries)
}

// moveTo makes p the stream's place, or the place before p from which the rows
// of prepared XA transactions have to be read again.
func (s *Source) moveTo(p *position) error {
	s.xa.reset()
	at, err := s.at(p)
	if err != nil {
		return err
	}
	if p.Prepared != nil {
		known := at
		known.Prepared = nil
		s.xa.known = &known
		if at, err = s.at(p.Prepared); err != nil {
			return err
		}
	}
	s.file, s.pos, s.seconds, s.gtids, s.list = at.File, at.Pos, at.Seconds, at.gtids, at.list
	if s.origin = at.ServerUUID; s.origin == "" {
		s.origin = s.uuid
	}
	return nil
}

// at reads the transactions before a position.
func (s *Source) at(p *position) (place, error) {
	at := place{position: *p}
	var err error
	switch {
	case s.srv.mariadb:
		at.list, err = parseMariaDBGTIDs(p.GTIDs)
	case s.srv.gtid:
		at.gtids, err = parseGTIDSet(p.GTIDs)
	}
	return at, err
}

// continues proves that the log of conn's server, which need not be the one
// that the Source was opened with, goes on from p: everything before p is known
// to the server, and nothing after p is purged.
func (s *Source) continues(ctx context.Context, conn *session, p *position) error {
	if s.srv.mariadb {
		return s.continuesMariaDB(ctx, conn, p)
	}
	srv, err := identify(ctx, conn)
	if err != nil {
		return unavailable(err)
	}
	same := p.ServerUUID == srv.uuid
	switch {
	case s.srv.gtid && p.GTIDs == "" && same: // GTIDs were switched on since
		return s.listed(ctx, conn, p)
	case s.srv.gtid && p.GTIDs == "":
		return fmt.Errorf("%w: the server is %s, and the position is of server %s, which had no GTIDs; start with snapshot.mode=when_needed to read the tables again", capture.ErrNoContinuity, srv.uuid, p.ServerUUID)
	case s.srv.gtid:
		return s.continuesGTID(ctx, conn, p)
	}
	if !same {
		return fmt.Errorf("%w: the server is %s, the position is of server %s, and without GTIDs its files mean nothing here; start with snapshot.mode=when_needed to read the tables again", capture.ErrNoContinuity, srv.uuid, p.ServerUUID)
	}
	return s.listed(ctx, conn, p)
}

func (s *Source) continuesGTID(ctx context.Context, conn *session, p *position) error {
	row, err := conn.row(ctx, fmt.Sprintf("SELECT GTID_SUBSET(%[1]s, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, %[1]s), GTID_SUBTRACT(%[1]s, @@GLOBAL.gtid_executed), GTID_SUBTRACT(@@GLOBAL.gtid_purged, %[1]s)", literal(p.GTIDs)))
	if err != nil {
		return unavailable(err)
	}
	if row[0] != "1" {
		return fmt.Errorf("%w: transactions that were captured are unknown to the server (%s): it was reset, restored from a backup, or is another one; start with snapshot.mode=when_needed to read the tables again", capture.ErrNoContinuity, row[2])
	}
	if row[1] != "1" {
		return fmt.Errorf("%w: the server has purged transactions that were not captured yet (%s); start with snapshot.mode=when_needed to read the tables again, and let the server keep its log for longer", capture.ErrNoContinuity, row[3])
	}
	return nil
}

func (s *Source) continuesMariaDB(ctx context.Context, conn *session, p *position) error {
	had, err := parseMariaDBGTIDs(p.GTIDs)
	if err != nil {
		return fmt.Errorf("%w: %w", capture.ErrNoContinuity, err)
	}
	row, err := conn.row(ctx, "SELECT @@GLOBAL.gtid_binlog_pos, @@GLOBAL.gtid_current_pos")
	if err != nil {
		return unavailable(err)
	}
	has, err := parseMariaDBGTIDs(row[0])
	if err != nil {
		return err
	}
	if !has.contains(had) {
		return fmt.Errorf("%w: transactions that were captured (%s) are unknown to the server, whose log ends at %s: it was reset, restored from a backup, or is another one; start with snapshot.mode=when_needed to read the tables again", capture.ErrNoContinuity, p.GTIDs, row[0])
	}
	return nil
}

// listed checks that the server still has p's file, and p in it.
func (s *Source) listed(ctx context.Context, conn *session, p *position) error {
	rows, err := conn.query(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return unavailable(err)
	}
	for _, row := range rows {
		if row[0] != p.File {
			continue
		}
		if size, err := strconv.ParseUint(row[1], 10, 64); err == nil && size >= p.Pos {
			return nil
		}
		return fmt.Errorf("%w: the server's %s ends before position %d: it was reset or lost data; start with snapshot.mode=when_needed to read the tables again", capture.ErrNoContinuity, p.File, p.Pos)
	}
	return fmt.Errorf("%w: the server no longer has %s, where the capture stopped; start with snapshot.mode=when_needed to read the tables again, and let the server keep its log for longer", capture.ErrNoContinuity, p.File)
}

// Begin makes the log's end now the place where the stream begins, and reads
// the definitions of tables.
func (s *Source) Begin(ctx context.Context) error {
	conn, err := s.conn.open(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer conn.Close()
	return s.begin(ctx, conn)
}

// end is the log's end now.
func (s *Source) end(ctx context.Context, conn *session) (position, error) {
	p := position{ServerUUID: s.srv.uuid}
	statement := "SHOW BINARY LOG STATUS"
	if s.srv.mariadb {
		statement = "SHOW MASTER STATUS"
	}
	row, err := conn.row(ctx, statement)
	if isServerError(err, 1064) { // before MySQL 8.2
		row, err = conn.row(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return p, unavailable(err)
	}
	if len(row) < 2 {
		return p, errors.New("asking for the log's end: the server writes no binary log")
	}
	p.File = row[0]
	if p.Pos, err = strconv.ParseUint(row[1], 10, 64); err != nil {
		return p, fmt.Errorf("asking for the log's end: %w", err)
	}
	if s.srv.mariadb {
		// The GTIDs up to exactly this position; gtid_binlog_pos may be ahead of it.
		if row, err = conn.row(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", literal(p.File), p.Pos)); err == nil && len(row) > 0 {
			p.GTIDs = row[0]
		}
	} else if s.srv.gtid && len(row) > 4 {
		p.GTIDs = oneLine(row[4])
	}
	return p, unavailable(err)
}

// oneLine takes the line breaks out of a GTID set as the server prints it.
func oneLine(set string) string {
	out := make([]byte, 0, len(set))
	for i := range len(set) {
		if c := set[i]; c != '\n' && c != '\r' && c != ' ' {
			out = append(out, c)
		}
	}
	return string(out)
}

// Position is where a resume begins. While an XA transaction is prepared it also
// says from where its rows have to be read again.
func (s *Source) Position() []byte {
	p := s.place()
	if s.xa.known != nil {
		p = s.xa.known.position
	}
	p.Prepared = s.xa.oldest()
	return p.marshal()
}

// Table is a captured table where the stream stands.
func (s *Source) Table(database, name string) (*capture.Table, error) {
	t, err := s.table(database, name)
	if t != nil {
		return t.Table, err
	}
	if n := (tableName{database, name}); s.history.catalog.table(n) == nil && !s.history.doubts(n) {
		return nil, nil
	}
	return nil, err
}

// Entries are the definitions that changed.
func (s *Source) Entries() map[string][]byte { return s.history.Entries() }

// Close has nothing to close: Stream and the Readers own their connections.
func (s *Source) Close() error { return nil }

// unavailable marks an error of a connection as one that goes away by itself;
// what a server answered is final, but for it being overloaded or going down.
func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var check *CheckError
	if errors.As(err, &check) || errors.Is(err, errNotUnderstood) || isServerError(err) {
		return err
	}
	if answered(err) && !isServerError(err, 1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1205, 1213, 3169) {
		return err
	}
	return fmt.Errorf("%w: %w", capture.ErrUnavailable, err)
}

// values are the options that a column's values follow.
func (s *Source) values() *ValueOptions { return &s.options.Values }

// schemaOf is what is known of a table that was handed out.
func (s *Source) schemaOf(t *capture.Table) (*TableSchema, bool) {
	schema, ok := s.schemas.Load(t)
	if !ok {
		return nil, false
	}
	return schema.(*TableSchema), true
}
