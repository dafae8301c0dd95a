package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// session is one connection for statements. It is for one goroutine.
type session struct {
	*client.Conn
	timeout time.Duration
}

// dial opens a connection, in TLS as the settings say. The error never holds
// the password.
func (c *Connection) dial(ctx context.Context) (*client.Conn, error) {
	conn, err := c.attempt(ctx, true)
	if err != nil && c.Preferred && strings.Contains(err.Error(), "does not support TLS") {
		conn, err = c.attempt(ctx, false)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s as %s: %w", c.Address(), c.User, cause(err))
	}
	return conn, nil
}

func (c *Connection) attempt(ctx context.Context, secure bool) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	var stop func() bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil { // the handshake does not look at ctx
			stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		}
		return conn, err
	}
	options := func(conn *client.Conn) error {
		if c.TLS != nil && secure {
			conn.SetTLSConfig(c.TLS)
		}
		// The dump and the snapshot read packets by themselves, in the form
		// without these two.
		conn.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
		conn.UnsetCapability(mysql.CLIENT_DEPRECATE_EOF)
		return nil
	}
	conn, err := client.ConnectWithDialer(ctx, "tcp", c.Address(), c.User, c.Password.Reveal(), "", dial, options)
	if stop != nil && !stop() && err == nil {
		conn.Close()
		err = ctx.Err()
	}
	return conn, err
}

// open opens a session for statements: UTC, utf8mb4, and the initial statements.
func (c *Connection) open(ctx context.Context) (*session, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Conn: conn, timeout: c.QueryTimeout}
	for _, statement := range append([]string{"SET NAMES utf8mb4", "SET time_zone = '+00:00'"}, c.Initial...) {
		if err := s.run(ctx, statement); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return s, nil
}

// guard bounds what happens on the connection by ctx and the query timeout; the
// function it returns ends the guard. A connection whose guard struck is dead.
func (s *session) guard(ctx context.Context) (release func()) {
	deadline := time.Time{}
	if s.timeout > 0 {
		deadline = time.Now().Add(s.timeout)
	}
	_ = s.SetDeadline(deadline) // a connection that is closed says so when it is used
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// run runs a statement that returns no rows.
func (s *session) run(ctx context.Context, statement string) error {
	_, err := s.query(ctx, statement)
	return err
}

// query runs a statement and returns its rows as texts; a NULL is "".
func (s *session) query(ctx context.Context, statement string) ([][]string, error) {
	defer s.guard(ctx)()
	r, err := s.Execute(statement)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("running %q: %w", shorten(statement), cause(err))
	}
	defer r.Close()
	if r.Resultset == nil {
		return nil, nil
	}
	rows := make([][]string, r.RowNumber())
	for i := range rows {
		rows[i] = make([]string, r.ColumnNumber())
		for j := range rows[i] {
			text, err := r.GetString(i, j)
			if err != nil {
				return nil, fmt.Errorf("reading the answer to %q: %w", shorten(statement), err)
			}
			rows[i][j] = strings.Clone(text) // the result's memory is used again
		}
	}
	return rows, nil
}

// row is the first row of query's, nil if there is none.
func (s *session) row(ctx context.Context, statement string) ([]string, error) {
	rows, err := s.query(ctx, statement)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// variable is a global variable's value, "" if the server does not know it.
func (s *session) variable(ctx context.Context, name string) (string, error) {
	row, err := s.row(ctx, "SHOW GLOBAL VARIABLES LIKE "+literal(name))
	if err != nil || len(row) < 2 {
		return "", err
	}
	return row[1], nil
}

// shorten cuts a statement for an error's text.
func shorten(statement string) string {
	if len(statement) > 120 {
		return statement[:117] + "..."
	}
	return statement
}

// literal is text as an SQL string.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(text) + "'"
}

// quote is name as an SQL identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// cause is the error without the stack that the client library wraps around it.
func cause(err error) error {
	var server *mysql.MyError
	if errors.As(err, &server) {
		return server
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return err
}

// isServerError reports whether err is an answer of the server with one of the
// codes.
func isServerError(err error, codes ...uint16) bool {
	var server *mysql.MyError
	if !errors.As(err, &server) {
		return false
	}
	for _, code := range codes {
		if server.Code == code {
			return true
		}
	}
	return false
}

// answered reports whether err is an answer of the server.
func answered(err error) bool {
	var server *mysql.MyError
	return errors.As(err, &server)
}
