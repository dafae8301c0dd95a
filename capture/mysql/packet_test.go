package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rawEvent makes an event with a checksum.
func rawEvent(typ eventType, flags uint16, end uint32, body ...byte) []byte {
	e := plainEvent(typ, flags, end, append(bytes.Clone(body), 0, 0, 0, 0)...)
	binary.LittleEndian.PutUint32(e[len(e)-checksumSize:], crc32.ChecksumIEEE(e[:len(e)-checksumSize]))
	return e
}

// plainEvent makes an event without one.
func plainEvent(typ eventType, flags uint16, end uint32, body ...byte) []byte {
	e := make([]byte, eventHeaderSize, eventHeaderSize+len(body))
	binary.LittleEndian.PutUint32(e, 1_700_000_000)
	e[4] = byte(typ)
	binary.LittleEndian.PutUint32(e[5:], 42)
	binary.LittleEndian.PutUint32(e[9:], uint32(eventHeaderSize+len(body)))
	binary.LittleEndian.PutUint32(e[13:], end)
	binary.LittleEndian.PutUint16(e[17:], flags)
	return append(e, body...)
}

// formatEvent opens a log with checksums.
func formatEvent(version string) []byte {
	body := append([]byte{4, 0}, make([]byte, 50)...)
	copy(body[2:], version)
	body = append(body, 0, 0, 0, 0, eventHeaderSize)
	body = append(body, make([]byte, 40)...)
	return rawEvent(formatDescriptionEvent, 0, 122, append(body, 1)...)
}

func newTestParser(t *testing.T) *parser {
	t.Helper()
	p := newParser(false, func(*tableMap) (*plan, error) { return nil, nil })
	e, err := p.parse(formatEvent("9.7.4"))
	if err != nil || e.kind != eventFormat || e.format.serverVersion != "9.7.4" || e.format.mariadb || !e.format.checksum {
		t.Fatalf("%+v: %v", e, err)
	}
	return p
}

// TestDamage: a byte changed anywhere is found by the checksum, or before it.
func TestDamage(t *testing.T) {
	good := rawEvent(xidEvent, 0, 200, 1, 2, 3, 4, 5, 6, 7, 8)
	if e, err := newTestParser(t).parse(good); err != nil || e.kind != eventXID || e.start != 169 || e.end != 200 || e.serverID != 42 || e.seconds != 1_700_000_000 {
		t.Fatalf("%+v: %v", e, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, err := newTestParser(t).parse(bad); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
	}
	for n := range good {
		if _, err := newTestParser(t).parse(good[:n]); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}

func TestUnknownEvents(t *testing.T) {
	if _, err := newTestParser(t).parse(rawEvent(99, 0, 200)); err == nil || !strings.Contains(err.Error(), "type 99") {
		t.Errorf("an event that is not known: %v", err)
	}
	if e, err := newTestParser(t).parse(rawEvent(99, flagIgnorable, 200)); err != nil || e.kind != eventOther {
		t.Errorf("one that can be ignored: %v", err)
	}
	if _, err := newTestParser(t).parse(rawEvent(startEncryptionEvent, 0, 200)); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("encryption: %v", err)
	}
	for typ, want := range map[eventType]eventKind{
		stopEvent: eventStop, transactionContextEvent: eventOther, viewChangeEvent: eventOther, binlogCheckpointEvent: eventOther,
		intvarEvent: eventOther, executeLoadQueryEvent: eventStatement, ignorableEvent: eventOther,
	} {
		if e, err := newTestParser(t).parse(rawEvent(typ, 0, 200, 1, 2, 3)); err != nil || e.kind != want {
			t.Errorf("type %d is %d: %v", typ, e.kind, err)
		}
	}
}

func TestRotateHeartbeatIncident(t *testing.T) {
	p := newTestParser(t)
	e, err := p.parse(rawEvent(rotateEvent, 0x20, 0, append([]byte{0xe7, 3, 0, 0, 1, 0, 0, 0}, "binlog.000002"...)...))
	if err != nil || e.kind != eventRotate || string(e.rotate.file) != "binlog.000002" || e.rotate.pos != 1<<32+999 || e.end != 0 {
		t.Errorf("%+v: %v", e, err)
	}
	// From here on positions lie beyond 4 GiB, of which headers have the low half.
	if e, err = p.parse(rawEvent(xidEvent, 0, 1030, make([]byte, 8)...)); err != nil || e.start != 1<<32+999 || e.end != 1<<32+1030 {
		t.Errorf("%+v: %v", e, err)
	}
	if e, err = p.parse(rawEvent(heartbeatEvent, 0, 0xfffffff0, []byte("binlog.000002")...)); err != nil || e.kind != eventHeartbeat || e.rotate.pos != 1<<33-16 {
		t.Errorf("%+v: %v", e.rotate, err)
	}
	if e, err = p.parse(rawEvent(xidEvent, 0, 10, make([]byte, 8)...)); err != nil || e.end != 1<<33+10 {
		t.Errorf("%+v: %v", e, err)
	}
	v2 := append(append([]byte{1, 3}, "b.2"...), 2, 9, 0xfe, 1, 0, 0, 0, 2, 0, 0, 0, 0)
	if e, err = p.parse(rawEvent(heartbeatV2Event, 0, 0, v2...)); err != nil || e.kind != eventHeartbeat || e.rotate.pos != 1<<33+1 || string(e.rotate.file) != "b.2" {
		t.Errorf("%+v: %v", e.rotate, err)
	}
	if e, err = p.parse(rawEvent(incidentEvent, 0, 300, append([]byte{1, 0, 4}, "lost"...)...)); err != nil || e.kind != eventIncident || string(e.data) != "lost" {
		t.Errorf("%+v: %v", e, err)
	}
}

// TestFormatSentAgain: a dump that begins within a file has its format first,
// with the position it has in the file.
func TestFormatSentAgain(t *testing.T) {
	p := newParser(true, nil)
	p.seek(5000)
	if _, err := p.parse(formatEvent("10.11.19-MariaDB-log")); err != nil || !p.format.mariadb || p.pos != 5000 {
		t.Errorf("position %d: %v", p.pos, err)
	}
}

func TestQueryKinds(t *testing.T) {
	for sql, want := range map[string]queryKind{
		"BEGIN": queryBegin, "COMMIT": queryCommit, "ROLLBACK": queryRollback, "ROLLBACK TO `x`": querySavepoint, "rollback  to savepoint a": querySavepoint,
		"SAVEPOINT `a`": querySavepoint, "RELEASE SAVEPOINT a": querySavepoint,
		"XA START X'61',X'',1": queryXAStart, "XA END X'61',X'',1": queryXAEnd, "XA COMMIT X'61',X'',1": queryXACommit, "XA ROLLBACK X'61',X'',1": queryXARollback,
		"INSERT INTO t VALUES (1)": queryDML, "/* c */ -- x\n update t set a=1": queryDML, "/*!50000 DELETE */ FROM t": queryDML,
		"(INSERT INTO t VALUES (1))": queryDML, "LOAD DATA INFILE 'x' INTO TABLE t": queryDML, "REPLACE t VALUES (1)": queryDML, "WITH x AS (SELECT 1) UPDATE t SET a=1": queryDML,
		"SELECT `d`.`f`()": queryDML, "DO f()": queryDML, "SET STATEMENT a=1 FOR INSERT INTO t VALUES (1)": queryDML, "SET STATEMENT a='FOR' FOR ALTER TABLE t ADD x INT": queryOther,
		"ANALYZE FORMAT=JSON UPDATE t SET a=1": queryDML, "ANALYZE TABLE t": queryOther, "SET PASSWORD FOR u = 'x'": queryOther,
		"ALTER TABLE t ADD x INT": queryOther, "TRUNCATE t": queryOther, "CREATE TABLE t AS SELECT 1": queryOther, "BEGINNING": queryOther, "": queryOther, "/* open": queryOther,
		"UPDATES": queryOther, "GRANT INSERT ON t TO u": queryOther,
	} {
		q := query{sql: []byte(sql)}
		if got := q.kind(); got != want {
			t.Errorf("%q is %d, want %d", sql, got, want)
		}
	}
	q := query{sql: []byte("XA COMMIT X'6731',X'',1 ONE PHASE")}
	if got := string(q.xaID()); got != "X'6731',X'',1" {
		t.Error(got)
	}
}

func TestQueryStatus(t *testing.T) {
	status := []byte{
		0, 1, 2, 3, 4, // flags
		1, 0x04, 0, 0x10, 0, 0, 0, 0, 0, // sql_mode
		6, 3, 's', 't', 'd', // catalog
		4, 28, 0, 8, 0, 63, 0, // gbk, latin1, binary
		5, 3, 'U', 'T', 'C',
		8, 45, 0, // database
		12, 2, 'a', 0, 'b', 0, // updated databases
		16, 0, // explicit_defaults_for_timestamp
		18, 255, 0,
		77, 1, // not known: the rest is not read
	}
	body := []byte{7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, byte(len(status)), 0}
	body = append(append(append(body, status...), "db\x00"...), "SET @a = '\xd6\xd0'"...)
	var q query
	if err := q.parse(body); err != nil {
		t.Fatal(err)
	}
	if q.thread != 7 || string(q.database) != "db" || q.text() != "SET @a = '中'" || q.sqlMode != 0x100004 || q.client != 28 || q.connection != 8 ||
		q.server != 63 || q.ofDatabase != 45 || q.utf8mb4 != 255 || !q.implicitTimestamps || string(q.timeZone) != "UTC" {
		t.Errorf("%+v %q", q, q.text())
	}
	for n := range len(body) - 20 {
		if err := q.parse(body[:n]); err == nil && n < 13+len(status) {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if _, err := openFile(write("e", encryptedMagic+"xxxx")); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Error(err)
	}
	for _, content := range []string{"", "no log at all"} {
		if _, err := openFile(write("n", content)); err == nil {
			t.Errorf("%q is a log", content)
		}
	}
	r, err := openFile(write("cut", fileMagic+string(formatEvent("9"))+string(rawEvent(xidEvent, 0, 9, 1, 2, 3)[:20])))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if _, err := r.next(); err != nil {
		t.Error(err)
	}
	if _, err := r.next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("an event that is cut: %v", err)
	}
}

// TestTableCache: a table map is read once, until DDL, whatever its id.
func TestTableCache(t *testing.T) {
	resolved := 0
	p := newParser(false, func(m *tableMap) (*plan, error) {
		resolved++
		if m.database != "db" || m.name != "t" || len(m.columns) != 1 || !m.columns[0].nullable {
			t.Errorf("%+v", m)
		}
		return nil, nil
	})
	body := func(id byte) []byte {
		return append([]byte{id, 0, 0, 0, 0, 0, 1, 0}, "\x02db\x00\x01t\x00\x01\x03\x00\x01"...)
	}
	for id := range byte(5) {
		if e, err := p.parse(plainEvent(tableMapEvent, 0, 0, body(id)...)); err != nil || e.kind != eventTableMap {
			t.Fatal(err)
		}
	}
	rows := func(id byte) []byte {
		return plainEvent(writeRowsEvent, 0, 0, id, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 1, 0, 5, 0, 0, 0)
	}
	if e, err := p.parse(rows(4)); err != nil || e.kind != eventRows || !e.rows.stmtEnd || e.rows.table.plan != nil {
		t.Errorf("%+v: %v", e, err)
	}
	if _, err := p.parse(rows(77)); err == nil {
		t.Error("rows without a table map")
	}
	p.forgetTables()
	if _, err := p.parse(plainEvent(tableMapEvent, 0, 0, body(9)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.parse(rows(4)); err == nil {
		t.Error("rows by a table map of the statement before")
	}
	if resolved != 2 {
		t.Errorf("resolved %d times", resolved)
	}
}
