package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// TestDatesThatAreNone: what ALLOW_INVALID_DATES lets into a table is no date of
// any calendar; the log and a snapshot say so, with table, column and value.
func TestDatesThatAreNone(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.run("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
	for i, column := range []string{"d DATE", "d DATETIME(3)", "d DATETIME(6) NOT NULL"} {
		table := fmt.Sprintf("odd%d", i)
		l.run("CREATE TABLE " + table + " (id INT PRIMARY KEY, " + column + ")")
		l.mark()
		l.run("INSERT INTO " + table + " VALUES (1, '2024-02-31')")
		s := l.schema(table, &ValueOptions{})
		for what, err := range map[string]error{"log": l.failureInLog(s), "snapshot": l.failureInSnapshot(s)} {
			if err == nil || !strings.Contains(err.Error(), "2024-02-31 is no date") || !strings.Contains(err.Error(), "column d") || what == "log" && !strings.Contains(err.Error(), table) {
				t.Errorf("%s of %s: %v", what, column, err)
			}
		}
	}
}

// failureInLog is the error of the first row of a table that cannot be decoded.
func (l *liveServer) failureInLog(s *TableSchema) (failure error) {
	l.Helper()
	p := newParser(false, func(m *tableMap) (*plan, error) {
		if m.database == l.database && m.name == s.Name {
			return newPlan(s, m, &ValueOptions{})
		}
		return nil, nil
	})
	var before, after cdc.Row
	l.events(func(raw []byte) {
		e, err := p.parse(raw)
		for more := err == nil && e.kind == eventRows; more && err == nil; {
			more, err = e.rows.next(new(change), &before, &after)
		}
		if failure == nil {
			failure = err
		}
	})
	return failure
}

func (l *liveServer) failureInSnapshot(s *TableSchema) error {
	l.Helper()
	reader, err := newRowReader(s, &ValueOptions{}, l.mariadb)
	if err != nil {
		l.Fatal(err)
	}
	conn := l.connect()
	defer conn.Close()
	var row cdc.Row
	for _, packet := range l.binaryRows(conn, "SELECT "+reader.list+" FROM "+s.Name) {
		if err := reader.decode(&row, packet); err != nil {
			return err
		}
	}
	return nil
}

// TestRowsOfExtremes: a row of 30 MB and documents nested as deeply as the server
// lets them are the same in the log and in a snapshot.
func TestRowsOfExtremes(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.run("CREATE TABLE large (id INT PRIMARY KEY, j JSON, txt LONGTEXT)")
	l.mark()
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	nested := strings.Repeat(`{"a":`, 99) + "1" + strings.Repeat("}", 99)
	l.run("INSERT INTO large VALUES (1, '" + deep + "', NULL), (2, '" + nested + "', REPEAT('30 megabytes ', 2400000))")
	o := &ValueOptions{}
	s := l.schema("large", o)
	logged, read := l.changes(map[string]*TableSchema{"large": s}, o), l.snapshot(s, o)
	if len(logged) != 2 || len(read) != 2 {
		t.Fatalf("%d rows in the log, %d in the table", len(logged), len(read))
	}
	for i := range read {
		l.sameRow(fmt.Sprintf("row %d", i+1), s, &logged[i].after, read[i])
	}
	if j := string(read[0].Value("j").Bytes()); j != deep {
		t.Errorf("%d levels became %s", 100, j)
	}
	if n := len(logged[1].after.Value("txt").Bytes()); n != 13*2_400_000 {
		t.Errorf("%d bytes", n)
	}
}
