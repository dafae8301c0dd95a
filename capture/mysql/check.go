package mysql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Finding is something that the start check found: what is wrong, and the
// statement or setting that mends it.
type Finding struct {
	// Fatal findings keep the capture from starting.
	Fatal     bool
	Text      string
	Statement string
}

// Error is the finding in one line.
func (f *Finding) Error() string {
	if f.Statement == "" {
		return f.Text
	}
	return f.Text + "; mend it with: " + f.Statement
}

// CheckError is the fatal findings of a start check.
type CheckError struct{ Findings []Finding }

// Error lists the findings, one a line.
func (e *CheckError) Error() string {
	lines := make([]string, len(e.Findings))
	for i := range e.Findings {
		lines[i] = e.Findings[i].Error()
	}
	return "checking the server: " + strings.Join(lines, "\n")
}

// server is what is known of the server after connecting.
type server struct {
	version string
	mariadb bool
	// gtid says that transactions have GTIDs and that resuming goes by them.
	gtid bool
	// uuid is MySQL's server_uuid; MariaDB has none, and its server_id stands
	// for it.
	uuid string
	// caseless says that names are compared without case (lower_case_table_names).
	caseless bool
	partial  string // binlog_row_image
	// metadata says that table maps name columns (binlog_row_metadata=FULL).
	metadata bool
}

// identify asks the server what it is.
func identify(ctx context.Context, s *session) (*server, error) {
	row, err := s.row(ctx, "SELECT VERSION(), @@lower_case_table_names, @@server_id")
	if err != nil {
		return nil, err
	}
	out := &server{version: row[0], mariadb: strings.Contains(row[0], "MariaDB"), caseless: row[1] != "0", uuid: row[2]}
	out.gtid = out.mariadb
	if !out.mariadb {
		if out.uuid, err = s.variable(ctx, "server_uuid"); err != nil {
			return nil, err
		}
		mode, err := s.variable(ctx, "gtid_mode")
		if err != nil {
			return nil, err
		}
		out.gtid = mode == "ON"
	}
	if out.partial, err = s.variable(ctx, "binlog_row_image"); err != nil {
		return nil, err
	}
	metadata, err := s.variable(ctx, "binlog_row_metadata")
	out.metadata = metadata == "FULL"
	return out, err
}

// checker collects findings over one connection.
type checker struct {
	s        *session
	srv      *server
	conn     *Connection
	o        *CheckOptions
	findings []Finding
}

// CheckOptions is what the start check has to know of the capture.
type CheckOptions struct {
	// Captures reports whether a table is captured.
	Captures func(database, table string) bool
	// PartialImages allows binlog_row_image other than FULL.
	PartialImages bool
	// Cascades is foreign.key.cascades: warn, fail or ignore.
	Cascades string
	// Retention is the least time that the server should keep its log.
	Retention time.Duration
	// Snapshot says that tables will be read, not only the log.
	Snapshot bool
}

// check asks the server for everything that would keep the capture from
// working, and changes nothing.
func (c *Connection) check(ctx context.Context, o *CheckOptions) ([]Finding, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	srv, err := identify(ctx, s)
	if err != nil {
		return nil, err
	}
	k := &checker{s: s, srv: srv, conn: c, o: o}
	for _, step := range []func(context.Context) error{k.version, k.format, k.grants, k.serverID, k.retention, k.cascades} {
		if err := step(ctx); err != nil {
			return k.findings, fmt.Errorf("checking the server: %w", err)
		}
	}
	return k.findings, nil
}

func (k *checker) fatal(statement, format string, args ...any) {
	k.findings = append(k.findings, Finding{Fatal: true, Text: fmt.Sprintf(format, args...), Statement: statement})
}

func (k *checker) warn(statement, format string, args ...any) {
	k.findings = append(k.findings, Finding{Text: fmt.Sprintf(format, args...), Statement: statement})
}

var versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)`)

// version refuses servers whose log is not understood, and says which were not
// tried.
func (k *checker) version(context.Context) error {
	m := versionNumber.FindStringSubmatch(k.srv.version)
	if m == nil {
		k.warn("", "the server calls itself %q, which is not a version that is known", k.srv.version)
		return nil
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	least := [2]int{8, 0}
	if k.srv.mariadb {
		least = [2]int{10, 5}
	}
	if major < least[0] || major == least[0] && minor < least[1] {
		k.fatal("", "the server is version %s; the least that works is %d.%d", k.srv.version, least[0], least[1])
	}
	return nil
}

// format checks that the log has whole rows.
func (k *checker) format(ctx context.Context) error {
	on, err := k.s.variable(ctx, "log_bin")
	if err != nil {
		return err
	}
	if on != "ON" {
		k.fatal("", "the server writes no binary log (log_bin is %s): set log_bin in its configuration file and restart it", on)
	}
	format, err := k.s.variable(ctx, "binlog_format")
	if err != nil {
		return err
	}
	if format != "" && format != "ROW" {
		k.fatal(k.set("binlog_format = ROW"), "binlog_format is %s, and statements cannot be captured", format)
	}
	if k.srv.partial != "FULL" && !k.o.PartialImages {
		k.fatal(k.set("binlog_row_image = FULL"), "binlog_row_image is %s: unchanged columns are not in the log (or allow it with binlog.row.image.partial)", k.srv.partial)
	}
	return nil
}

// set is the statement that sets a global variable for good; MariaDB has
// SET GLOBAL only, which a restart forgets.
func (k *checker) set(assignment string) string {
	if k.srv.mariadb {
		return "SET GLOBAL " + assignment + " (and in the configuration file)"
	}
	return "SET PERSIST " + assignment
}

// grants checks that the user may replicate and read the captured tables.
func (k *checker) grants(ctx context.Context) error {
	rows, err := k.s.query(ctx, "SHOW GRANTS")
	if err != nil {
		return err
	}
	held := heldGrants(rows)
	user, err := k.s.row(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return err
	}
	account := accountOf(user)
	client := []string{"REPLICATION CLIENT"}
	replica := []string{"REPLICATION SLAVE"}
	if k.srv.mariadb {
		client = []string{"REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"}
		replica = []string{"REPLICATION SLAVE", "REPLICATION REPLICA"}
	}
	for _, either := range [][]string{replica, client} {
		if !held.global(either...) {
			k.fatal("GRANT "+either[0]+" ON *.* TO "+account, "the user lacks %s", either[0])
		}
	}
	if k.o.Snapshot && !held.global("SELECT") && !held.some("SELECT") {
		k.fatal("GRANT SELECT ON *.* TO "+account, "the user may not read any table (SELECT)")
	}
	return nil
}

// granted are the privileges on *.*, and those on something.
type granted struct{ everywhere, somewhere map[string]bool }

var grantLine = regexp.MustCompile(`(?i)^GRANT (.+?) ON (\S+) TO `)

func heldGrants(rows [][]string) granted {
	g := granted{map[string]bool{}, map[string]bool{}}
	for _, row := range rows {
		m := grantLine.FindStringSubmatch(row[0])
		if m == nil {
			continue
		}
		for _, privilege := range strings.Split(m[1], ",") {
			privilege = strings.ToUpper(strings.TrimSpace(privilege))
			g.somewhere[privilege] = true
			if m[2] == "*.*" {
				g.everywhere[privilege] = true
			}
		}
	}
	return g
}

// global reports whether one of the privileges is held on *.*.
func (g granted) global(privileges ...string) bool {
	return g.everywhere["ALL PRIVILEGES"] || g.everywhere["ALL"] ||
		slices.ContainsFunc(privileges, func(p string) bool { return g.everywhere[p] })
}

// some reports whether a privilege is held on anything.
func (g granted) some(privilege string) bool {
	return g.somewhere[privilege] || g.somewhere["ALL PRIVILEGES"]
}

// accountOf is user@host as SQL writes it.
func accountOf(row []string) string {
	if len(row) == 0 {
		return "the user"
	}
	name, host, _ := strings.Cut(row[0], "@")
	return literal(name) + "@" + literal(host)
}

// serverID looks for another replica, or the server itself, under our id.
func (k *checker) serverID(ctx context.Context) error {
	row, err := k.s.row(ctx, "SELECT @@server_id")
	if err != nil {
		return err
	}
	id := strconv.FormatUint(uint64(k.conn.ServerID), 10)
	if len(row) > 0 && row[0] == id {
		k.fatal("", "database.server.id %s is the server's own id: take another", id)
	}
	statement := "SHOW REPLICAS"
	if k.srv.mariadb {
		statement = "SHOW SLAVE HOSTS"
	}
	rows, err := k.s.query(ctx, statement)
	if answered(err) {
		return nil // it needs a grant that the check of grants has named
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row[0] == id {
			k.warn("", "a replica with database.server.id %s is connected: a standby or the last leader of this capture, or another program, which then will be disconnected", id)
		}
	}
	return nil
}

// retention warns of a log that is purged soon.
func (k *checker) retention(ctx context.Context) error {
	seconds, err := k.s.variable(ctx, "binlog_expire_logs_seconds")
	if err != nil {
		return err
	}
	kept, err := strconv.ParseFloat(seconds, 64)
	if seconds == "" || err != nil {
		days, err := k.s.variable(ctx, "expire_logs_days")
		if err != nil {
			return err
		}
		d, _ := strconv.ParseFloat(days, 64)
		kept = d * 86400
	}
	if least := k.o.Retention.Seconds(); kept > 0 && kept < least {
		k.warn(fmt.Sprintf("SET GLOBAL binlog_expire_logs_seconds = %.0f", least),
			"the server keeps its binary log for %s only: a capture that is down for longer has to start with a new snapshot", time.Duration(kept*1e9))
	}
	return nil
}

// cascades names captured tables that the server changes without a word in the
// log.
func (k *checker) cascades(ctx context.Context) error {
	if k.o.Cascades == "ignore" {
		return nil
	}
	if !k.srv.mariadb && k.atLeast(9, 6) {
		return nil // since 9.6 the rows that a cascade changes are in the log
	}
	rows, err := k.s.query(ctx, `SELECT r.constraint_schema, r.table_name, r.referenced_table_name, r.constraint_name, r.delete_rule, r.update_rule
		FROM information_schema.referential_constraints r
		WHERE r.delete_rule IN ('CASCADE','SET NULL','SET DEFAULT') OR r.update_rule IN ('CASCADE','SET NULL','SET DEFAULT')
		ORDER BY 1, 2, 4`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if !k.o.Captures(r[0], r[1]) {
			continue
		}
		text := fmt.Sprintf("%s.%s has the foreign key %s to %s (ON DELETE %s, ON UPDATE %s): the rows it changes are not in the binary log, so they stay as they were in every target", r[0], r[1], r[3], r[2], r[4], r[5])
		statement := fmt.Sprintf("ALTER TABLE %s.%s DROP FOREIGN KEY %s", quote(r[0]), quote(r[1]), quote(r[3]))
		k.findings = append(k.findings, Finding{Fatal: k.o.Cascades == "fail", Text: text, Statement: statement})
	}
	return nil
}

func (k *checker) atLeast(major, minor int) bool {
	m := versionNumber.FindStringSubmatch(k.srv.version)
	if m == nil {
		return false
	}
	a, _ := strconv.Atoi(m[1])
	b, _ := strconv.Atoi(m[2])
	return a > major || a == major && b >= minor
}

// fatalOf is the fatal ones as an error, nil if there are none.
func fatalOf(findings []Finding) error {
	var fatal []Finding
	for _, f := range findings {
		if f.Fatal {
			fatal = append(fatal, f)
		}
	}
	if len(fatal) == 0 {
		return nil
	}
	return &CheckError{Findings: fatal}
}
