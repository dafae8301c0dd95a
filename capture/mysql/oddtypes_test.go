package mysql_test

import (
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestTypesWithoutLength: CHAR(0) and BINARY(0) are legal types, whose values are
// the empty text and NULL.
func TestTypesWithoutLength(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, c CHAR(0), b BINARY(0), d CHAR, e BINARY)", "INSERT INTO t (id, c, b, d) VALUES (1, '', '', 'x'), (2, NULL, NULL, 'y')")
		f.start(t)
		f.sameTables(t, "t")
		f.run(t, "INSERT INTO t (id, c, b, d) VALUES (3, '', '', 'x'), (4, NULL, NULL, 'y')")
		f.sameTables(t, "t")
	})
}

// TestLongUniqueKeys: for a unique key of a TEXT MariaDB adds a column to the rows
// that no statement shows.
func TestLongUniqueKeys(t *testing.T) {
	for _, metadata := range []string{"FULL", "MINIMAL", "NO_LOG"} {
		t.Run(metadata, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, servers.NewMariaDB(t, "--binlog-row-metadata="+metadata), true, nil)
			f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, b TEXT, UNIQUE (b))", "INSERT INTO t VALUES (1, 'x')")
			f.start(t)
			f.sameTables(t, "t")
			f.run(t, "INSERT INTO t VALUES (3, 'y')", "UPDATE t SET b='z' WHERE id=1")
			f.sameTables(t, "t")
			f.run(t, "ALTER TABLE t ADD v VARCHAR(2000), ADD k INT DEFAULT 5, ADD UNIQUE (v, b), ADD UNIQUE (k, id) USING HASH, ADD UNIQUE (v(20))", "INSERT INTO t VALUES (4, 'w', 'v', 1)",
				"UPDATE t SET v=id", "ALTER TABLE t DROP INDEX b", "INSERT INTO t VALUES (5, 'w', 'w', 2)", "CREATE TABLE u LIKE t", "INSERT INTO u SELECT * FROM t")
			f.sameTables(t, "t", "u")
		})
	}
}

// TestDefaultOfAnotherColumn: MariaDB shows it without parentheses.
func TestDefaultOfAnotherColumn(t *testing.T) {
	f := newFixture(t, servers.MariaDB(t), true, nil)
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT DEFAULT (a))", "INSERT INTO t (id, a) VALUES (1, 5)")
	f.start(t)
	f.run(t, "INSERT INTO t (id, a) VALUES (2, 6)")
	f.sameTables(t, "t")
}

// TestKeysWithPeriods: rows that differ in the period only, which MariaDB's
// PRIMARY KEY (id, p WITHOUT OVERLAPS) has, are different rows.
func TestKeysWithPeriods(t *testing.T) {
	f := newFixture(t, servers.MariaDB(t), true, map[string]string{"time.precision.mode": "isostring"})
	f.run(t, "CREATE TABLE t (id INT, s DATE, e DATE, v INT, PERIOD FOR p (s, e), PRIMARY KEY (id, p WITHOUT OVERLAPS))",
		"INSERT INTO t VALUES (1, '2020-01-01', '2021-01-01', 1), (1, '2021-01-01', '2022-01-01', 2)")
	f.start(t)
	f.run(t, "INSERT INTO t VALUES (2, '2020-01-01', '2021-01-01', 1), (2, '2021-01-01', '2022-01-01', 2)")
	keys := map[string]bool{}
	for _, e := range f.events(t, "t") {
		keys[e.key] = true
	}
	if len(keys) != 4 || !keys[`{"id":1,"e":"2021-01-01Z","s":"2020-01-01Z"}`] {
		t.Errorf("4 rows have the keys %v", keys)
	}
}

// TestChoicesOfBytes: blanks at the end of a value count in an ENUM of bytes.
func TestChoicesOfBytes(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a ','b') CHARACTER SET binary, f ENUM('a ','b'))", "INSERT INTO t VALUES (1, 'a ', 'a ')")
		f.start(t)
		f.run(t, "INSERT INTO t VALUES (2, 'a ', 'a ')")
		f.sameTables(t, "t")
	})
}

// TestConvertWins: CONVERT TO wins over what the same statement says of a column,
// and the bytes are read in what they are written in.
func TestConvertWins(t *testing.T) {
	f := newFixture(t, servers.NewMariaDB(t, "--binlog-row-metadata=NO_LOG"), true, nil)
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, a TEXT) CHARACTER SET latin1")
	f.start(t)
	f.run(t, "ALTER TABLE t ADD b TEXT CHARACTER SET latin1, CONVERT TO CHARACTER SET utf8mb4", "INSERT INTO t VALUES (1, 'é', 'é')")
	for _, e := range f.events(t, "t") {
		if e.after["a"] != "é" || e.after["b"] != "é" {
			t.Errorf("é became %v", e.after)
		}
	}
}

// TestAlterIgnore: the rows that MariaDB deletes without events for a new key are
// deleted in the topic.
func TestAlterIgnore(t *testing.T) {
	f := newFixture(t, servers.MariaDB(t), true, nil)
	f.run(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 1), (3, 3)")
	f.start(t)
	f.sync(t)
	f.run(t, "ALTER IGNORE TABLE t ADD UNIQUE (v)")
	f.sync(t)
	for deadline := time.Now().Add(20 * time.Second); len(state(t, f.read(t, "t"))) > 2 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
	}
	f.sameTables(t, "t")
}

// TestNamesOfKeys: the index of a foreign key takes the name that an unnamed unique
// key would have; a key that is dropped by its name is the one that is gone.
func TestNamesOfKeys(t *testing.T) {
	bothServers(t, func(t *testing.T, server servers.SQL, mariadb bool) {
		f := newFixture(t, server, mariadb, nil)
		f.run(t, "CREATE TABLE parent (id INT PRIMARY KEY)", "INSERT INTO parent VALUES (1), (2)")
		f.start(t)
		f.run(t, "CREATE TABLE t (p INT NOT NULL, q INT NOT NULL, CONSTRAINT p FOREIGN KEY (q) REFERENCES parent (id), UNIQUE (p))",
			"ALTER TABLE t DROP INDEX p_2", "INSERT INTO t VALUES (1, 1), (1, 2)")
		f.sameTables(t, "t")
	})
}
