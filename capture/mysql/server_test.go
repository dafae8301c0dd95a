package mysql

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// liveServer is a database of its own on a real server, read in both ways.
type liveServer struct {
	*testing.T
	servers.SQL
	mariadb  bool
	database string
	db       *sql.DB
	conn     *sql.Conn // one session
	file     string
	pos      uint64
}

func live(t *testing.T, s servers.SQL, mariadb bool) *liveServer {
	t.Helper()
	l := &liveServer{T: t, SQL: s, mariadb: mariadb, database: s.Database(t)}
	l.db = s.Open(t, l.database)
	conn, err := l.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l.conn = conn
	l.run("SET sql_mode = '', time_zone = '+00:00'")
	return l
}

// run runs statements in the session.
func (l *liveServer) run(statements ...string) {
	l.Helper()
	for _, s := range statements {
		if _, err := l.conn.ExecContext(l.Context(), s); err != nil {
			l.Fatalf("%.300s: %v", s, err)
		}
	}
}

// mark makes the log's end the place where changes begins to read.
func (l *liveServer) mark() { l.file, l.pos = l.logEnd() }

func (l *liveServer) logEnd() (file string, pos uint64) {
	l.Helper()
	statement := "SHOW BINARY LOG STATUS"
	if l.mariadb {
		statement = "SHOW MASTER STATUS"
	}
	rows, err := l.conn.QueryContext(l.Context(), statement)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(sql.RawBytes)
	}
	into[0], into[1] = &file, &pos
	if !rows.Next() {
		l.Fatal("no log", rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		l.Fatal(err)
	}
	return file, pos
}

// definition is the table's as SHOW CREATE TABLE has it.
func (l *liveServer) definition(table string) *Definition {
	l.Helper()
	var name, text string
	if err := l.conn.QueryRowContext(l.Context(), "SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
		l.Fatal(err)
	}
	s := ddlSession{ddlDialect: ddlDialect{mariadb: l.mariadb}, database: l.database}
	c := newCatalog(false)
	c.apply(parseDDL(text, s), &s)
	d := c.table(tableName{l.database, table})
	if d == nil {
		l.Fatalf("not understood: %s", text)
	}
	return d
}

func (l *liveServer) schema(table string, o *ValueOptions) *TableSchema {
	l.Helper()
	t, err := NewTableSchema(l.definition(table), &SchemaOptions{Prefix: "p", Values: *o})
	if err != nil {
		l.Fatal(err)
	}
	return t
}

// loggedChange is a change read from the log, with memory of its own.
type loggedChange struct {
	op            cdc.Op
	table         string
	before, after cdc.Row
	row           int
}

// events reads the raw events from mark to the log's end now.
func (l *liveServer) events(each func(raw []byte)) {
	l.Helper()
	endFile, endPos := l.logEnd()
	flavor := "mysql"
	if l.mariadb {
		flavor = "mariadb"
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: rand.Uint32N(1<<30) + 1<<20, Flavor: flavor, Host: l.Host, Port: uint16(l.Port),
		User: l.User, Password: l.Password, RawModeEnabled: true, DisableRetrySync: true,
		DumpCommandFlag: replication.BINLOG_SEND_ANNOTATE_ROWS_EVENT, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	stream, err := syncer.StartSync(gomysql.Position{Name: l.file, Pos: uint32(l.pos)})
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	file := l.file
	for {
		e, err := stream.GetEvent(ctx)
		if err != nil {
			l.Fatal(err)
		}
		each(e.RawData)
		if e.Header.EventType == replication.ROTATE_EVENT {
			file = string(e.RawData[eventHeaderSize+8:])
			continue
		}
		if compareFiles(file, endFile) >= 0 && uint64(e.Header.LogPos) >= endPos {
			return
		}
	}
}

// changes are those of the session's database from mark to the log's end now.
func (l *liveServer) changes(tables map[string]*TableSchema, o *ValueOptions) []*loggedChange {
	l.Helper()
	var out []*loggedChange
	var before, after cdc.Row
	p := newParser(false, func(m *tableMap) (*plan, error) {
		if t := tables[m.name]; t != nil && m.database == l.database {
			return newPlan(t, m, o)
		}
		return nil, nil
	})
	var handle func(e *event) error
	handle = func(e *event) error {
		if e.kind == eventPayload {
			return p.payload(handle)
		}
		if e.kind != eventRows {
			return nil
		}
		var c change
		for {
			more, err := e.rows.next(&c, &before, &after)
			if err != nil || !more {
				return err
			}
			k := &loggedChange{op: c.op, table: e.rows.table.m.name, row: c.row}
			if c.before != nil {
				k.before.CopyFrom(c.before)
			}
			if c.after != nil {
				k.after.CopyFrom(c.after)
			}
			out = append(out, k)
		}
	}
	l.events(func(raw []byte) {
		e, err := p.parse(raw)
		if err == nil {
			err = handle(e)
		}
		if err != nil {
			l.Fatal(err)
		}
	})
	return out
}

// snapshot reads a table in the order of its key, as a snapshot does.
func (l *liveServer) snapshot(t *TableSchema, o *ValueOptions) []*cdc.Row {
	l.Helper()
	reader, err := newRowReader(t, o, l.mariadb)
	if err != nil {
		l.Fatal(err)
	}
	conn := l.connect()
	defer conn.Close()
	var out []*cdc.Row
	for _, packet := range l.binaryRows(conn, "SELECT "+reader.list+" FROM "+t.Name+" ORDER BY id") {
		row := &cdc.Row{}
		if err := reader.decode(row, packet); err != nil {
			l.Fatal(err)
		}
		out = append(out, row)
	}
	return out
}

// connect opens a connection as a snapshot's readers have it.
func (l *liveServer) connect() *client.Conn {
	l.Helper()
	conn, err := client.Connect(fmt.Sprintf("%s:%d", l.Host, l.Port), l.User, l.Password, l.database, func(c *client.Conn) error {
		c.UnsetCapability(gomysql.CLIENT_QUERY_ATTRIBUTES)
		c.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF)
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	if _, err := conn.Execute(snapshotSession); err != nil {
		l.Fatal(err)
	}
	return conn
}

// binaryRows runs a statement as prepared and returns the packets of its rows.
func (l *liveServer) binaryRows(conn *client.Conn, statement string) [][]byte {
	l.Helper()
	read := func() []byte {
		b, err := conn.ReadPacket()
		if err != nil {
			l.Fatal(err)
		}
		if b[0] == 0xff {
			l.Fatalf("%s: %s", statement, b)
		}
		return b
	}
	ended := func(b []byte) bool { return b[0] == 0xfe && len(b) < 9 }
	send := func(command ...byte) {
		conn.ResetSequence()
		if err := conn.WritePacket(append(make([]byte, 4), command...)); err != nil {
			l.Fatal(err)
		}
	}
	send(append([]byte{gomysql.COM_STMT_PREPARE}, statement...)...)
	prepared := read()
	for columns := binary.LittleEndian.Uint16(prepared[5:]); columns > 0; columns = 0 {
		for !ended(read()) {
		}
	}
	send(append(append([]byte{gomysql.COM_STMT_EXECUTE}, prepared[1:5]...), 0, 1, 0, 0, 0)...)
	read() // number of columns
	for !ended(read()) {
	}
	var out [][]byte
	for {
		b := read()
		if ended(b) {
			return out
		}
		out = append(out, slices.Clone(b))
	}
}

// sameRow fails the test where the two rows differ.
func (l *liveServer) sameRow(what string, t *TableSchema, stream, snapshot *cdc.Row) {
	l.Helper()
	for i := range t.Fields {
		if a, b := &stream.Values[i], &snapshot.Values[i]; !a.Equal(b) {
			l.Errorf("%s, column %s (%s): the log has %v, the table %v",
				what, t.Fields[i].Name, t.Definition.Columns[t.Ordinals[i]].Type, a, b)
		}
	}
}

// generator makes an SQL literal.
type generator func(r *rand.Rand) string

// oneOf picks one of the literals, or what random makes.
func oneOf(random generator, literals ...string) generator {
	return func(r *rand.Rand) string {
		if i := r.IntN(len(literals) + 3); i < len(literals) {
			return literals[i]
		}
		return random(r)
	}
}

func integers(bytes int, unsigned bool) generator {
	bits := 8 * bytes
	low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
	if unsigned {
		top := strconv.FormatUint(math.MaxUint64>>(64-bits), 10)
		return oneOf(func(r *rand.Rand) string { return strconv.FormatUint(r.Uint64()>>(64-bits), 10) }, "0", "1", top)
	}
	return oneOf(func(r *rand.Rand) string { return strconv.FormatInt(int64(r.Uint64())>>(64-bits), 10) },
		"0", "-1", strconv.FormatInt(low, 10), strconv.FormatInt(high, 10))
}

func decimals(precision, scale int) generator {
	digits := func(r *rand.Rand, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.IntN(10))
		}
		return string(b)
	}
	return oneOf(func(r *rand.Rand) string {
		sign := []string{"", "-"}[r.IntN(2)]
		return sign + digits(r, 1+r.IntN(max(precision-scale, 1))) + "." + digits(r, 1+r.IntN(scale+1))
	}, "0", "-0.1", strings.Repeat("9", 80), "-"+strings.Repeat("9", 80), "0."+strings.Repeat("9", scale))
}

func floats(r *rand.Rand) string {
	return strconv.FormatFloat((r.Float64()-0.5)*math.Pow(10, float64(r.IntN(40)-20)), 'g', -1, 64)
}

func clock(r *rand.Rand) string {
	return fmt.Sprintf("%02d:%02d:%02d.%06d", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
}

func dates(from, to int) generator {
	return oneOf(func(r *rand.Rand) string {
		return fmt.Sprintf("'%04d-%02d-%02d %s'", from+r.IntN(to-from+1), 1+r.IntN(12), 1+r.IntN(28), clock(r))
	}, "'0000-00-00'", "NULL", "'1970-01-01 00:00:01'")
}

func times(r *rand.Rand) string {
	sign := []string{"", "-"}[r.IntN(2)]
	return fmt.Sprintf("'%s%d:%s'", sign, r.IntN(839), clock(r)[3:])
}

func textsOf(alphabet string, most int) generator {
	runes := []rune(alphabet)
	return oneOf(func(r *rand.Rand) string {
		b := make([]rune, r.IntN(most+1))
		for i := range b {
			b[i] = runes[r.IntN(len(runes))]
		}
		return "'" + string(b) + "'"
	}, "''", "NULL", "' x '")
}

func bytesOf(most int) generator {
	return oneOf(func(r *rand.Rand) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return fmt.Sprintf("x'%x'", b)
	}, "''", "NULL", "x'00'", "x'61200000'")
}

const someText = "abcXYZ 019,.;äöüßéñ–€日本語中文한국😀🎉\n\t"

// liveColumns are columns of every type with values for them.
var liveColumns = map[string]map[string]generator{
	"numbers": {
		"a TINYINT": integers(1, false), "b TINYINT UNSIGNED": integers(1, true), "c TINYINT(1)": integers(1, false),
		"d SMALLINT": integers(2, false), "e SMALLINT UNSIGNED ZEROFILL": integers(2, true),
		"f MEDIUMINT": integers(3, false), "g MEDIUMINT UNSIGNED": integers(3, true),
		"h INT": integers(4, false), "i INT UNSIGNED": integers(4, true),
		"j BIGINT": integers(8, false), "k BIGINT UNSIGNED": integers(8, true),
		"l FLOAT": floats, "m FLOAT(7,3)": floats, "n DOUBLE": floats, "o DOUBLE(20,5)": floats,
		"p BIT(1)": integers(1, true), "q BIT(8)": integers(1, true), "r BIT(33)": integers(4, true), "s BIT(64)": integers(8, true),
		"t YEAR": oneOf(func(r *rand.Rand) string { return strconv.Itoa(1901 + r.IntN(255)) }, "0", "'0000'", "NULL"),
	},
	"decimals": {
		"a DECIMAL(5,2)": decimals(5, 2), "b DECIMAL(10,0)": decimals(10, 0), "c DECIMAL(18,9)": decimals(18, 9),
		"d DECIMAL(19,0)": decimals(19, 0), "e DECIMAL(30,10)": decimals(30, 10), "f DECIMAL(65,30)": decimals(65, 30),
		"g DECIMAL(65,0)": decimals(65, 0), "h DECIMAL(1,1)": decimals(1, 1), "i DECIMAL(12,2) UNSIGNED ZEROFILL": decimals(12, 2),
		"j DECIMAL(38,30)": decimals(38, 30), "k DECIMAL(9,9)": decimals(9, 9), "l DECIMAL(20,1)": decimals(20, 1),
	},
	"times": {
		"a DATE": dates(0, 9999), "b DATE NOT NULL": dates(1, 9999), "c DATE NOT NULL DEFAULT '2001-02-03'": dates(1000, 2100),
		"t0 TIME": times, "t1 TIME(1)": times, "t2 TIME(2)": times, "t3 TIME(3)": times, "t4 TIME(4)": times, "t5 TIME(5)": times,
		"t6 TIME(6)": times, "d0 DATETIME": dates(1, 9999), "d1 DATETIME(1)": dates(1, 9999), "d2 DATETIME(2)": dates(1, 9999),
		"d3 DATETIME(3)": dates(1, 9999), "d4 DATETIME(4)": dates(1, 9999), "d5 DATETIME(5)": dates(1, 9999),
		"d6 DATETIME(6)": dates(1, 9999), "dn DATETIME(6) NOT NULL": dates(1, 9999),
		"s0 TIMESTAMP NULL": dates(1971, 2037), "s1 TIMESTAMP(1) NULL": dates(1971, 2037), "s2 TIMESTAMP(2) NULL": dates(1971, 2037),
		"s3 TIMESTAMP(3) NULL": dates(1971, 2037), "s4 TIMESTAMP(4) NULL": dates(1971, 2037), "s5 TIMESTAMP(5) NULL": dates(1971, 2037),
		"s6 TIMESTAMP(6) NULL": dates(1971, 2037), "sn TIMESTAMP(6) NOT NULL DEFAULT '2001-01-01'": dates(1971, 2037),
	},
	"texts": {
		"a CHAR(20)": textsOf(someText, 20), "b VARCHAR(60)": textsOf(someText, 60), "c VARCHAR(300)": textsOf(someText, 300),
		"d TINYTEXT": textsOf(someText, 50), "e TEXT": textsOf(someText, 2000), "f MEDIUMTEXT": textsOf(someText, 2000),
		"g LONGTEXT": textsOf(someText, 2000), "h VARCHAR(50) CHARACTER SET latin1": textsOf("aäöü€ÿ", 50),
		"i CHAR(40) CHARACTER SET utf16": textsOf(someText, 40), "j VARCHAR(40) CHARACTER SET ucs2": textsOf("aä€日本", 40),
		"k TEXT CHARACTER SET cp932": textsOf("aｱ日本語①", 40), "l VARCHAR(40) CHARACTER SET gbk": textsOf("a中文字符", 40),
		"m BINARY(8)": bytesOf(8), "n VARBINARY(300)": bytesOf(300), "o TINYBLOB": bytesOf(100), "p BLOB": bytesOf(1000),
		"q MEDIUMBLOB": bytesOf(1000), "r LONGBLOB": bytesOf(1000), "s CHAR(10) CHARACTER SET binary": bytesOf(10),
		"t ENUM('a','b','x,y','ü€')":                    oneOf(integers(1, true), "'a'", "'x,y'", "'ü€'", "NULL", "''"),
		"u SET('a','b','c','d','e','f','g','h','ü')":    oneOf(func(r *rand.Rand) string { return strconv.Itoa(r.IntN(512)) }, "''", "NULL", "'a,ü'"),
		"v ENUM('x','y') CHARACTER SET latin1 NOT NULL": oneOf(func(*rand.Rand) string { return "'x'" }, "'y'", "'none'"),
		"w SET(" + manyChoices(64) + ")":                integers(8, true),
		"x ENUM(" + manyChoices(300) + ")":              func(r *rand.Rand) string { return strconv.Itoa(1 + r.IntN(300)) },
	},
	"shapes": {
		"a GEOMETRY": oneOf(shape, "NULL"), "b POINT": oneOf(point, "NULL"), "c POINT NOT NULL": point,
		"d LINESTRING": oneOf(line, "NULL"), "e GEOMETRYCOLLECTION": oneOf(func(r *rand.Rand) string { return "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))')" }, "NULL"),
	},
}

func manyChoices(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("'c%d'", i))
	}
	return strings.Join(out, ",")
}

func point(r *rand.Rand) string {
	return fmt.Sprintf("ST_GeomFromText('POINT(%g %g)', %d)", r.Float64()*80, -r.Float64()*80, []int{0, 4326}[r.IntN(2)])
}

func line(r *rand.Rand) string {
	return fmt.Sprintf("ST_GeomFromText('LINESTRING(%g 0,1 1,%g 0.5)')", r.Float64(), r.NormFloat64())
}

func shape(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return point(r)
	}
	return line(r)
}

// fill creates a table with the columns and inserts rows.
func (l *liveServer) fill(table string, columns map[string]generator, rows int) {
	l.Helper()
	r := rand.New(rand.NewPCG(1, uint64(len(columns))))
	names := make([]string, 0, len(columns))
	for c := range columns {
		names = append(names, c)
	}
	slices.Sort(names)
	l.run("CREATE TABLE " + table + " (id INT PRIMARY KEY, " + strings.Join(names, ", ") + ") DEFAULT CHARSET=utf8mb4")
	for from := 0; from < rows; from += 20 {
		var values []string
		for id := from; id < min(from+20, rows); id++ {
			v := strconv.Itoa(id)
			for _, c := range names {
				literal := columns[c](r)
				if literal == "NULL" && strings.Contains(c, "NOT NULL") {
					literal = "DEFAULT"
				}
				v += ", " + literal
			}
			values = append(values, "("+v+")")
		}
		l.run("INSERT IGNORE INTO " + table + " VALUES " + strings.Join(values, ", "))
	}
}

// liveOptions are option sets that between them have every mode.
var liveOptions = []ValueOptions{
	{},
	{Decimal: DecimalString, BigintUnsigned: BigintUnsignedPrecise, Binary: BinaryBase64, Time: TimeAdaptive},
	{Decimal: DecimalDouble, Binary: BinaryHex, Time: TimeConnect, TinyIntBoolean: true},
	{Binary: BinaryBase64URL, Time: TimeISOString, KeepYears: true},
	{Time: TimeMicroseconds}, {Time: TimeNanoseconds, BigintUnsigned: BigintUnsignedPrecise},
}

// equalBothWays demands that the log and a snapshot give the same rows of the
// tables, under every mode.
func (l *liveServer) equalBothWays(tables []string) {
	l.Helper()
	for i := range liveOptions {
		o := &liveOptions[i]
		schemas := map[string]*TableSchema{}
		for _, table := range tables {
			schemas[table] = l.schema(table, o)
		}
		logged := map[string][]*loggedChange{}
		for _, c := range l.changes(schemas, o) {
			logged[c.table] = append(logged[c.table], c)
		}
		for _, table := range tables {
			rows := l.snapshot(schemas[table], o)
			if len(rows) == 0 || len(rows) != len(logged[table]) {
				l.Fatalf("%s: %d rows in the table, %d in the log", table, len(rows), len(logged[table]))
			}
			for n, row := range rows {
				l.sameRow(fmt.Sprintf("options %d, %s row %d", i, table, n), schemas[table], &logged[table][n].after, row)
			}
		}
		if l.Failed() {
			return
		}
	}
}

func TestStreamEqualsSnapshot(t *testing.T) {
	for _, s := range []struct {
		name    string
		server  func(testing.TB) servers.SQL
		mariadb bool
	}{{"mysql", servers.MySQL, false}, {"mariadb", servers.MariaDB, true}} {
		t.Run(s.name, func(t *testing.T) {
			l := live(t, s.server(t), s.mariadb)
			l.mark()
			var tables []string
			for table, columns := range liveColumns {
				l.fill(table, columns, 200)
				tables = append(tables, table)
			}
			l.equalBothWays(tables)
		})
	}
}
