package mysql

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// packets reads the packets of MySQL's protocol. They are read here and not by
// the client library, which copies each of them twice.
type packets struct {
	in       *bufio.Reader
	sequence uint8
}

// dump is a connection on which the server sends its binary log.
type dump struct {
	packets
	conn    *client.Conn
	net     net.Conn
	silence time.Duration // the connection is given up after this long without a byte
	// checksum says that events carry one, as agreed with the server.
	checksum bool
}

const (
	// dumpBuffer is how much is read from the socket at once.
	dumpBuffer = 1 << 20
	// silentHeartbeats is how many heartbeats may fail to come.
	silentHeartbeats = 3
	// maxPayload is the longest payload of one packet; a longer one goes on in
	// the next.
	maxPayload = 1<<24 - 1
)

// errSilent says that the server sent neither events nor heartbeats.
var errSilent = errors.New("the server sent nothing, not even heartbeats")

// start is where a dump begins: behind a GTID set, or at a file's position.
type start struct {
	file string
	pos  uint64
	// gtids is the set of transactions not to be sent: nil to go by file and
	// position. On MariaDB it is mariadbGTIDs.
	gtids        []byte // as COM_BINLOG_DUMP_GTID wants it
	mariadbGTIDs string
	byGTID       bool
}

// openDump connects as a replica and asks for the log from at.
func (c *Connection) openDump(ctx context.Context, mariadb bool, at start) (*dump, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	d := &dump{conn: conn, silence: silentHeartbeats * c.KeepAlive}
	s := &session{Conn: conn, timeout: c.ConnectTimeout}
	if err := d.prepare(ctx, s, c, mariadb, at); err != nil {
		conn.Close()
		return nil, fmt.Errorf("asking for the binary log: %w", err)
	}
	d.net = conn.Conn.Conn
	if err := d.net.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("asking for the binary log: %w", err)
	}
	d.in = bufio.NewReaderSize(d, dumpBuffer)
	d.sequence = 1
	return d, nil
}

// prepare makes the session a replica's and sends the dump command.
func (d *dump) prepare(ctx context.Context, s *session, c *Connection, mariadb bool, at start) error {
	statements := []string{
		"SET @master_binlog_checksum = @@GLOBAL.binlog_checksum",
		fmt.Sprintf("SET @master_heartbeat_period = %d", c.KeepAlive.Nanoseconds()),
		"SET @slave_uuid = " + literal(replicaUUID()),
		"SET SESSION net_write_timeout = 3600",
	}
	if mariadb {
		statements = append(statements, "SET @mariadb_slave_capability = 4")
		if at.byGTID {
			statements = append(statements, "SET @slave_connect_state = "+literal(at.mariadbGTIDs), "SET @slave_gtid_strict_mode = 0")
		}
	} else {
		statements = append(statements, "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum",
			fmt.Sprintf("SET @source_heartbeat_period = %d", c.KeepAlive.Nanoseconds()), "SET @replica_uuid = @slave_uuid")
	}
	for _, statement := range statements {
		if err := s.run(ctx, statement); err != nil {
			return err
		}
	}
	row, err := s.row(ctx, "SELECT @@GLOBAL.binlog_checksum")
	if err != nil {
		return err
	}
	d.checksum = len(row) > 0 && row[0] == "CRC32"
	defer s.guard(ctx)()
	if err := d.register(c.ServerID, c.User); err != nil {
		return fmt.Errorf("registering as replica %d: %w", c.ServerID, cause(err))
	}
	s.ResetSequence()
	return s.WritePacket(dumpCommand(c.ServerID, mariadb, at))
}

// register announces the replica, so that SHOW REPLICAS names it.
func (d *dump) register(id uint32, user string) error {
	host, _ := os.Hostname()
	host, user = host[:min(len(host), 60)], user[:min(len(user), 60)]
	data := append(make([]byte, 4), mysql.COM_REGISTER_SLAVE)
	data = binary.LittleEndian.AppendUint32(data, id)
	data = append(append(data, byte(len(host))), host...)
	data = append(append(data, byte(len(user))), user...)
	data = append(data, 0)                   // no password
	data = append(data, make([]byte, 10)...) // port, rank, master's id
	d.conn.ResetSequence()
	if err := d.conn.WritePacket(data); err != nil {
		return err
	}
	_, err := d.conn.ReadOKPacket()
	return err
}

// dumpCommand is the packet that starts the dump, with four bytes free for the
// packet's header.
func dumpCommand(id uint32, mariadb bool, at start) []byte {
	const annotate = 2 // BINLOG_SEND_ANNOTATE_ROWS_EVENT, MariaDB
	data := make([]byte, 4)
	if at.byGTID && !mariadb {
		data = append(data, mysql.COM_BINLOG_DUMP_GTID)
		data = binary.LittleEndian.AppendUint16(data, 4) // BINLOG_THROUGH_GTID
		data = binary.LittleEndian.AppendUint32(data, id)
		data = binary.LittleEndian.AppendUint32(data, 0) // no file name
		data = binary.LittleEndian.AppendUint64(data, 4)
		data = binary.LittleEndian.AppendUint32(data, uint32(len(at.gtids)))
		return append(data, at.gtids...)
	}
	file, pos, flags := at.file, uint32(at.pos), uint16(0)
	if mariadb {
		flags = annotate
	}
	if at.byGTID {
		file, pos = "", 4
	}
	data = append(data, mysql.COM_BINLOG_DUMP)
	data = binary.LittleEndian.AppendUint32(data, pos)
	data = binary.LittleEndian.AppendUint16(data, flags)
	data = binary.LittleEndian.AppendUint32(data, id)
	return append(data, file...)
}

// replicaUUID is a random UUID, version 4: the server tells replicas apart by it.
func replicaUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Read is the socket, with the deadline renewed: it is how bufio reads.
func (d *dump) Read(b []byte) (int, error) {
	if err := d.net.SetReadDeadline(time.Now().Add(d.silence)); err != nil {
		return 0, err
	}
	n, err := d.net.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w for %s", errSilent, d.silence)
	}
	return n, err
}

// next appends the next packet to dst, which may be one after the other of the
// wire's.
func (p *packets) next(dst []byte) ([]byte, error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(p.in, head[:]); err != nil {
			return dst, err
		}
		if head[3] != p.sequence {
			return dst, fmt.Errorf("%w: packet %d came where %d was due", errMalformed, head[3], p.sequence)
		}
		p.sequence++
		size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		from := len(dst)
		dst = grow(dst, size)
		if _, err := io.ReadFull(p.in, dst[from:]); err != nil {
			return dst, err
		}
		if size < maxPayload {
			return dst, nil
		}
	}
}

// event appends the next packet to dst. The event is all of it but the first
// byte. io.EOF is the server ending the dump.
func (d *dump) event(dst []byte) ([]byte, error) {
	at := len(dst)
	dst, err := d.next(dst)
	if err != nil {
		return dst, fmt.Errorf("reading the binary log: %w", err)
	}
	packet := dst[at:]
	switch {
	case len(packet) == 0:
		return dst, fmt.Errorf("reading the binary log: %w: empty packet", errMalformed)
	case packet[0] == mysql.OK_HEADER:
		return dst, nil
	case packet[0] == mysql.ERR_HEADER:
		return dst, serverError(packet)
	}
	return dst, io.EOF
}

// grow extends b by n bytes, whose content is undefined.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, max(2*cap(b), len(b)+n)), b...)
	}
	return b[:len(b)+n]
}

// serverError is the error that an ERR packet holds.
func serverError(packet []byte) error {
	e := mysql.NewDefaultError(mysql.ER_UNKNOWN_ERROR)
	if len(packet) >= 3 {
		e.Code = binary.LittleEndian.Uint16(packet[1:])
		e.Message = string(packet[3:])
	}
	if len(packet) >= 9 && packet[3] == '#' {
		e.State, e.Message = string(packet[4:9]), string(packet[9:])
	}
	return e
}

// buffered is how many bytes can be read without waiting for the server.
func (d *dump) buffered() int { return d.in.Buffered() }

// Close ends the dump. It may be called several times, and while another
// goroutine reads: the client library's own Close may not.
func (d *dump) Close() error { return d.net.Close() }
