package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// markedSource is a Source of one database at the log's end, and a Reader of it.
func markedSource(t *testing.T, server servers.SQL, mariadb bool, database string) (*Source, *reader) {
	t.Helper()
	class := "io.debezium.connector.mysql.MySqlConnector"
	if mariadb {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	v, _, err := config.Parse(map[string]string{
		"name": "marks", "connector.class": class, "database.hostname": server.Host, "database.port": fmt.Sprint(server.Port),
		"database.user": server.User, "database.password": server.Password, "database.server.id": "4712", "topic.prefix": "marks",
		"database.include.list": database, "bootstrap.servers": "127.0.0.1:1",
	}, config.Common, Properties, ValueProperties, capture.Properties, kafka.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := capture.NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := NewConnection(v, c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := NewSettings(v)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Open(conn, settings, zap.NewNop())(t.Context(), capture.Scope{Prefix: c.Prefix, Delimiter: ".", Filter: c.Filter})
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*Source)
	if err := s.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return s, r.(*reader)
}

// markedServer is a kind of server, whose marks are its own.
type markedServer struct {
	name    string
	server  func(testing.TB) servers.SQL
	mariadb bool
}

var markedServers = []markedServer{{"GTID", servers.MySQL, false}, {"MariaDB", servers.MariaDB, true}}

// runner runs statements.
func runner(t *testing.T, server servers.SQL, database string) func(statement string) {
	db := server.Open(t, database)
	return func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestMarksOfAChunk: the low mark of what is read includes all that was there
// before, and nothing that was committed once rows came; the high mark is at or
// behind everything that the read can have seen. So it is on MySQL with GTIDs,
// where the marks are taken around the read, and where a view is fixed: on
// MariaDB, and under a lock.
func TestMarksOfAChunk(t *testing.T) {
	withoutGTIDs := markedServer{"file and position", func(t testing.TB) servers.SQL {
		return servers.NewMySQL(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
	}, false}
	for _, c := range append(slices.Clone(markedServers), withoutGTIDs) {
		t.Run(c.name, func(t *testing.T) {
			server := c.server(t)
			database := server.Database(t)
			run := runner(t, server, database)
			run("CREATE TABLE t (id INT PRIMARY KEY)")
			run("CREATE TABLE e (id ENUM('a','b') PRIMARY KEY)")
			run("INSERT INTO t VALUES (1),(2)")
			run("INSERT INTO e VALUES ('a'),('b')")
			s, r := markedSource(t, server, c.mariadb, database)
			end := func() []byte {
				p, err := r.source.end(t.Context(), r.plain)
				if err != nil {
					t.Fatal(err)
				}
				p.ServerUUID = r.uuid
				return p.marshal()
			}
			n := 100
			check := func(what string, table *capture.Table, read func(begun func()) (capture.Chunk, error)) {
				run(fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
				before := end()
				var behind []byte
				chunk, err := read(func() {
					if behind == nil {
						run(fmt.Sprintf("INSERT INTO t VALUES (%d)", n+1))
						behind = end()
					}
				})
				n += 2
				if err != nil || behind == nil {
					t.Fatalf("%s: %v", what, err)
				}
				if !s.Covers(chunk.Low, before) {
					t.Errorf("%s: the low mark %s does not include what was there, at %s", what, chunk.Low, before)
				}
				if s.Covers(chunk.Low, behind) {
					t.Errorf("%s: the low mark %s includes what was not read, at %s", what, chunk.Low, behind)
				}
				if !s.Reached(behind, chunk.High) {
					t.Errorf("%s: the high mark %s is behind the log's end %s", what, chunk.High, behind)
				}
				if !s.Covers(chunk.High, before) {
					t.Errorf("%s: the high mark %s is in front of what was read, at %s", what, chunk.High, before)
				}
				// Where nothing fixes the view, the read can have seen more.
				if what == "chunk" && c.name == "GTID" && !s.Covers(chunk.High, behind) {
					t.Errorf("%s: the high mark %s was taken before the read, which ended at %s", what, chunk.High, behind)
				}
			}
			table, _ := s.Table(database, "t")
			check("chunk", table, func(begun func()) (capture.Chunk, error) {
				return r.Read(t.Context(), table, nil, nil, func(*cdc.Row) error {
					begun()
					return nil
				})
			})
			whole, _ := s.Table(database, "e")
			for _, lock := range []bool{false, true} {
				check(fmt.Sprintf("whole, locked %v", lock), whole, func(begun func()) (chunk capture.Chunk, err error) {
					err = r.ReadWhole(t.Context(), whole, lock, func(c capture.Chunk) (func() error, error) {
						chunk = c
						return func() error {
							begun()
							return nil
						}, nil
					}, func(*cdc.Row) error { return nil })
					return chunk, err
				})
			}
			if row, err := r.plain.row(t.Context(), "SELECT @@lock_wait_timeout"); err != nil || row[0] != fmt.Sprint(lockWait) {
				t.Errorf("a lock is waited for %v s (%v)", row, err)
			}
		})
	}
}

// TestAViewHasWhatItsMarkSays, while others write: everything that was committed
// at or before the low mark is seen. On MariaDB the log's end, and the GTIDs that
// go with it, run ahead of what is visible.
func TestAViewHasWhatItsMarkSays(t *testing.T) {
	for _, c := range markedServers {
		t.Run(c.name, func(t *testing.T) {
			server := c.server(t)
			database := server.Database(t)
			runner(t, server, database)("CREATE TABLE t (id BIGINT PRIMARY KEY)")
			s, r := markedSource(t, server, c.mariadb, database)
			w := writeOn(t, s, r.uuid, database)
			table, _ := s.Table(database, "t")
			var views []seenView
			for deadline := time.Now().Add(3 * time.Minute); len(views) < 30 || w.written() < 60; {
				if time.Now().After(deadline) {
					t.Fatalf("%d views and %d rows", len(views), w.written())
				}
				v := seenView{ids: map[int64]bool{}}
				_, err := r.fix(t.Context(), table, false, func(at *view) error {
					v.low = at.low.mark()
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				rows, err := r.conn.query(t.Context(), "SELECT id FROM "+tableOf(table))
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range rows {
					id, _ := strconv.ParseInt(row[0], 10, 64)
					v.ids[id] = true
				}
				if err := r.letGo(t.Context()); err != nil {
					t.Fatal(err)
				}
				views = append(views, v)
			}
			for _, written := range w.end(t) {
				for _, v := range views {
					if !v.ids[written.id] && s.Covers(v.low, written.behind) {
						t.Fatalf("a view whose low mark is %s lacks row %d, which was there at %s", v.low, written.id, written.behind)
					}
				}
			}
		})
	}
}

// seenView is what a view had.
type seenView struct {
	low capture.Mark
	ids map[int64]bool
}

// writtenRow is a row and a place of the log behind it.
type writtenRow struct {
	id     int64
	behind []byte
}

// busyWriters write rows, three at a time, until end.
type busyWriters struct {
	mu   sync.Mutex
	rows []writtenRow
	errs errgroup.Group
	stop context.CancelFunc
}

func writeOn(t *testing.T, s *Source, uuid, database string) *busyWriters {
	w := &busyWriters{}
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = cancel
	t.Cleanup(cancel)
	for n := range int64(3) {
		conn, err := s.conn.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		w.errs.Go(func() error {
			for id := n << 32; ctx.Err() == nil; id++ {
				if err := conn.run(t.Context(), fmt.Sprintf("INSERT INTO %s.t VALUES (%d)", quote(database), id)); err != nil {
					return err
				}
				p, err := s.end(t.Context(), conn)
				if err != nil {
					return err
				}
				p.ServerUUID = uuid
				w.mu.Lock()
				w.rows = append(w.rows, writtenRow{id, p.marshal()})
				w.mu.Unlock()
			}
			return nil
		})
	}
	return w
}

func (w *busyWriters) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rows)
}

// end stops the writers and returns what they wrote.
func (w *busyWriters) end(t *testing.T) []writtenRow {
	t.Helper()
	w.stop()
	if err := w.errs.Wait(); err != nil {
		t.Fatal(err)
	}
	return w.rows
}

// TestAViewThatIsGivenUpIsNotReadFrom: a table that is read in one piece may be
// refused once its view is fixed, when it changed meanwhile. What is read next
// over the same connection must see what is there then.
func TestAViewThatIsGivenUpIsNotReadFrom(t *testing.T) {
	for _, c := range markedServers {
		for _, when := range []string{"at once", "while it waits"} {
			t.Run(c.name+" "+when, func(t *testing.T) {
				server := c.server(t)
				database := server.Database(t)
				run := runner(t, server, database)
				run("CREATE TABLE t (id INT PRIMARY KEY)")
				run("CREATE TABLE e (id ENUM('a','b') PRIMARY KEY)")
				run("INSERT INTO t VALUES (1)")
				s, r := markedSource(t, server, c.mariadb, database)
				e, _ := s.Table(database, "e")
				table, _ := s.Table(database, "t")
				refused := errors.New("refused")
				err := r.ReadWhole(t.Context(), e, false, func(capture.Chunk) (func() error, error) {
					if when == "at once" {
						return nil, refused
					}
					return func() error { return refused }, nil
				}, func(*cdc.Row) error { return nil })
				if !errors.Is(err, refused) {
					t.Fatalf("got %v", err)
				}
				run("INSERT INTO t VALUES (2)")
				rows := 0
				if _, err := r.Read(t.Context(), table, nil, nil, func(*cdc.Row) error { rows++; return nil }); err != nil {
					t.Fatal(err)
				}
				if rows != 2 {
					t.Errorf("%d rows of 2 were read", rows)
				}
				run("ALTER TABLE e ADD COLUMN v INT") // which an open view would keep waiting
			})
		}
	}
}

// TestTablesThatAreSplit: keys of which "greater" is not the order of the index,
// and no keys, have a table read as a whole.
func TestTablesThatAreSplit(t *testing.T) {
	for columns, split := range map[string]bool{
		"k INT PRIMARY KEY": true, "k VARCHAR(20) PRIMARY KEY": true, "k VARBINARY(20) PRIMARY KEY": true, "k DECIMAL(9,2) PRIMARY KEY": true,
		"k DATETIME(6) PRIMARY KEY": true, "k INT NOT NULL UNIQUE": true, "k INT, l DATE, PRIMARY KEY (l, k)": true,
		"k ENUM('z','a') PRIMARY KEY": false, "k SET('z','a') PRIMARY KEY": false, "k FLOAT PRIMARY KEY": false, "k DOUBLE PRIMARY KEY": false,
		"k INT": false, "k INT UNIQUE": false, "k INT, l ENUM('z','a'), PRIMARY KEY (k, l)": false, "k TEXT, PRIMARY KEY (k(10))": false,
	} {
		s := ddlSession{database: "db"}
		c := newCatalog(false)
		c.server = ddlLocale{"utf8mb4", "utf8mb4_0900_ai_ci"}
		effect := c.apply(parseDDL("CREATE TABLE t ("+columns+")", s), &s)
		if len(effect.unsure) > 0 {
			t.Fatalf("%s: %v", columns, effect.unsure)
		}
		schema, err := NewTableSchema(c.table(tableName{"db", "t"}), &SchemaOptions{Prefix: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if got := newChunkKey(schema, &ValueOptions{}) != nil; got != split {
			t.Errorf("%s: split by its key is %v", columns, got)
		}
	}
}
