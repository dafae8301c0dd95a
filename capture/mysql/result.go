package mysql

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// resultBuffer is how much of a result is read from the socket at once.
const resultBuffer = 256 << 10

// selectRows runs a SELECT as a prepared statement, whose rows come in the
// binary protocol, and calls row with each packet, which is valid during the
// call only. An error of row ends the reading, and the connection with it.
func (s *session) selectRows(ctx context.Context, statement string, row func(packet []byte) error) error {
	release := s.guard(ctx)
	defer release()
	r := &result{session: s, packets: packets{in: bufio.NewReaderSize(&answer{ctx, s}, resultBuffer)}}
	err := r.run(statement, row)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// answer is what the server sends on a session. The query timeout is for each
// part of it and not for the whole: a table may be as large as it is, and rows
// wait for whoever takes them.
type answer struct {
	ctx     context.Context // of the statement, whose end must not be undone by a deadline
	session *session
}

// Read is the socket, with the deadline renewed: it is how bufio reads.
func (a *answer) Read(b []byte) (int, error) {
	if a.session.timeout > 0 {
		if err := a.session.SetDeadline(time.Now().Add(a.session.timeout)); err != nil {
			return 0, err
		}
	}
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.session.Conn.Conn.Conn.Read(b)
}

// result is the reading of one statement's rows.
type result struct {
	packets
	session *session
	packet  []byte
	failed  error // of the caller, not of the connection
}

func (r *result) run(statement string, row func([]byte) error) error {
	id, err := r.prepare(statement)
	if err != nil {
		return fmt.Errorf("preparing %q: %w", shorten(statement), err)
	}
	execute := binary.LittleEndian.AppendUint32(append(make([]byte, 4), mysql.COM_STMT_EXECUTE), id)
	execute = append(execute, 0, 1, 0, 0, 0) // no cursor, once
	if err := r.command(execute); err != nil {
		return err
	}
	err = r.rows(row)
	switch {
	case r.failed != nil:
		return r.failed
	case err != nil:
		return fmt.Errorf("reading the rows of %q: %w", shorten(statement), err)
	}
	return r.command(binary.LittleEndian.AppendUint32(append(make([]byte, 4), mysql.COM_STMT_CLOSE), id))
}

// command sends a command, in data behind four bytes for the header.
func (r *result) command(data []byte) error {
	r.session.ResetSequence()
	r.sequence = 1
	return r.session.WritePacket(data)
}

// read reads the next packet; an error that it holds is returned.
func (r *result) read() ([]byte, error) {
	var err error
	if r.packet, err = r.next(r.packet[:0]); err != nil {
		return nil, err
	}
	if len(r.packet) == 0 {
		return nil, fmt.Errorf("%w: empty packet", errMalformed)
	}
	if r.packet[0] == mysql.ERR_HEADER {
		return nil, serverError(r.packet)
	}
	return r.packet, nil
}

// prepare prepares a statement without parameters.
func (r *result) prepare(statement string) (id uint32, err error) {
	if err := r.command(append(append(make([]byte, 4), mysql.COM_STMT_PREPARE), statement...)); err != nil {
		return 0, err
	}
	p, err := r.read()
	if err != nil {
		return 0, err
	}
	c := cursor{b: p}
	c.skip(1)
	id = c.u32()
	columns, parameters := c.u16(), c.u16()
	if c.bad || parameters != 0 {
		return 0, errMalformed
	}
	if columns > 0 {
		err = r.skipUntilEOF()
	}
	return id, err
}

// skipUntilEOF passes over the definitions of columns.
func (r *result) skipUntilEOF() error {
	for {
		p, err := r.read()
		if err != nil || isEOF(p) {
			return err
		}
	}
}

func isEOF(p []byte) bool { return p[0] == mysql.EOF_HEADER && len(p) < 9 }

// rows reads the rows up to their end.
func (r *result) rows(row func([]byte) error) error {
	if _, err := r.read(); err != nil { // how many columns there are
		return err
	}
	if err := r.skipUntilEOF(); err != nil {
		return err
	}
	for {
		p, err := r.read()
		if err != nil || isEOF(p) {
			return err
		}
		if r.failed = row(p); r.failed != nil {
			return r.failed
		}
	}
}
