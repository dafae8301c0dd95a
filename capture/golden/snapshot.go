package golden

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture/mysql"
)

// Server is a MySQL or MariaDB server with a user that has all rights.
type Server struct {
	Host           string
	Port           int
	User, Password string
}

// CompareSnapshot runs the case's statements on a server, has it captured, and
// compares what comes of the snapshot with Debezium's events of it, in report.
// The databases that the statements make are dropped before and after; other
// comparisons of the same ones wait.
func (c *Case) CompareSnapshot(ctx context.Context, server Server, log *zap.Logger, report *Report) error {
	defer func(start time.Time) { report.Took += time.Since(start) }(time.Now())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	script, err := c.file("setup.sql")
	if err != nil {
		return err
	}
	db, err := server.open()
	if err != nil {
		return err
	}
	defer db.Close()
	p := &preparation{db: db, databases: created(script), recorded: c}
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock(context.WithoutCancel(ctx))
	if err := p.run(ctx, script); err != nil {
		return err
	}
	return c.compareSnapshot(ctx, server, log, report)
}

// compareSnapshot captures a server that is prepared.
func (c *Case) compareSnapshot(ctx context.Context, server Server, log *zap.Logger, report *Report) error {
	r, err := newRun(c, map[string]string{
		"database.hostname": server.Host, "database.port": strconv.Itoa(server.Port),
		"database.user": server.User, "database.password": server.Password,
	}, log)
	if err != nil {
		return err
	}
	defer r.close()
	got, err := r.publish(ctx, mysql.Open(r.connection, r.settings, log))
	if err != nil {
		return err
	}
	k := &comparison{c: c, part: PartSnapshot, topics: r.topics(), report: report, failed: r.failed}
	k.run(k.ofPart(c.Records, got), k.ours(got))
	return nil
}

func (s *Server) open() (*sql.DB, error) {
	o := driver.NewConfig()
	o.User, o.Passwd, o.Net, o.Addr = s.User, s.Password, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	connector, err := driver.NewConnector(o)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.Addr, err)
	}
	return sql.OpenDB(connector), nil
}

// preparation brings a server to where the case's snapshot began.
type preparation struct {
	db        *sql.DB
	session   *sql.Conn // has the lock
	databases []string
	recorded  *Case
}

// lock waits for other comparisons of the same databases, and drops what one
// that was killed left.
func (p *preparation) lock(ctx context.Context) error {
	var err error
	if p.session, err = p.db.Conn(ctx); err != nil {
		return fmt.Errorf("connecting to the server: %w", err)
	}
	for _, name := range p.databases {
		var got sql.NullInt64
		if err := p.session.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", "weir golden "+name, int(patience.Seconds())).Scan(&got); err != nil {
			return fmt.Errorf("waiting for another comparison of database %s: %w", name, err)
		}
		if got.Int64 != 1 {
			return fmt.Errorf("waiting for another comparison of database %s: it took over %s", name, patience)
		}
	}
	return p.drop(ctx)
}

func (p *preparation) drop(ctx context.Context) error {
	for _, name := range p.databases {
		if _, err := p.session.ExecContext(ctx, "DROP DATABASE IF EXISTS `"+name+"`"); err != nil {
			return fmt.Errorf("dropping database %s: %w", name, err)
		}
	}
	return nil
}

// unlock drops the databases and lets others go on: the server gives back the
// locks of a session that ends.
func (p *preparation) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.drop(ctx); err != nil {
		return // the next comparison drops them
	}
	_ = p.session.Close()
}

// run runs setup.sql in a session as the recorded one: utf8mb4, with the time
// zone and the mode of the recorded server. Like there, a statement that fails
// does not keep the others from being run.
func (p *preparation) run(ctx context.Context, script string) error {
	session, err := p.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the server: %w", err)
	}
	defer session.Close()
	server := &p.recorded.Meta.Server
	before := []string{"SET NAMES utf8mb4", "SET SESSION sql_mode = '" + server.SQLMode + "'"}
	if !strings.EqualFold(server.TimeZone, "SYSTEM") {
		before = append(before, "SET SESSION time_zone = '"+server.TimeZone+"'")
	}
	for _, statement := range before {
		if _, err := session.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("preparing the session: %s: %w", statement, err)
		}
	}
	worked := 0
	for _, statement := range statements(script) {
		if _, err = session.ExecContext(ctx, statement); err == nil {
			worked++
		}
	}
	if worked == 0 {
		return fmt.Errorf("running setup.sql: no statement worked, the last with: %w", err)
	}
	return nil
}
