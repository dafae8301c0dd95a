package mysql

import (
	"errors"
	"strings"
	"testing"
)

// TestShapes demands that rows are not decoded under a definition that is not
// theirs, with full and with minimal metadata.
func TestShapes(t *testing.T) {
	column := func(typ columnType, meta uint16) mapColumn { return mapColumn{typ: typ, meta: meta, visible: true} }
	full := func(columns ...mapColumn) *tableMap {
		return &tableMap{columns: columns, hasNames: true, hasSigns: true, hasChoices: true}
	}
	named := func(c mapColumn, name string) mapColumn { c.name = name; return c }
	for _, c := range []struct {
		create string
		m      *tableMap
		want   string // part of the error, "" for none
	}{
		{"(a INT)", &tableMap{columns: []mapColumn{column(typeLong, 0)}}, ""},
		{"(a INT)", full(named(column(typeLong, 0), "A")), ""},
		{"(a INT)", full(named(column(typeLong, 0), "b")), "column 1 is b in the log"},
		{"(a INT, UNIQUE (a))", &tableMap{mariadb: true, columns: []mapColumn{column(typeLong, 0), column(typeLongLong, 0)}}, ""},
		{"(a INT, UNIQUE (a))", &tableMap{columns: []mapColumn{column(typeLong, 0), column(typeLongLong, 0)}}, "the log has 2 columns"},
		{"(a INT, KEY (a))", &tableMap{mariadb: true, columns: []mapColumn{column(typeLong, 0), column(typeLongLong, 0)}}, "the log has 2 columns"},
		{"(a INT, UNIQUE (a))", &tableMap{mariadb: true, hasNames: true, columns: []mapColumn{{typ: typeLong, name: "a"}, {typ: typeLongLong, name: "b"}}}, "the log has 2 columns"},
		{"(a INT, b INT)", &tableMap{columns: []mapColumn{column(typeLong, 0)}}, "the log has 1 columns"},
		{"(a BIGINT)", &tableMap{columns: []mapColumn{column(typeLong, 0)}}, "type 3"},
		{"(a INT UNSIGNED)", full(named(column(typeLong, 0), "a")), "sign"},
		{"(a DECIMAL(6,2))", &tableMap{columns: []mapColumn{column(typeNewDecimal, 6<<8|2)}}, ""},
		{"(a DECIMAL(6,2))", &tableMap{columns: []mapColumn{column(typeNewDecimal, 7<<8|2)}}, "(7,2)"},
		{"(a DATETIME(3))", &tableMap{columns: []mapColumn{column(typeDatetime2, 6)}}, "6 digits"},
		{"(a TIMESTAMP)", &tableMap{columns: []mapColumn{column(typeTimestamp2, 0)}}, ""},
		{"(a VARCHAR(10))", &tableMap{columns: []mapColumn{column(typeVarchar, 40)}}, ""},
		{"(a VARCHAR(10) CHARACTER SET latin1)", &tableMap{columns: []mapColumn{column(typeVarchar, 40)}}, "room for 40 bytes"},
		{"(a CHAR)", &tableMap{columns: []mapColumn{column(typeString, 4)}}, ""},
		{"(a CHAR(0))", &tableMap{columns: []mapColumn{column(typeString, 0)}}, ""},
		{"(a BINARY(0))", &tableMap{columns: []mapColumn{column(typeString, 4)}}, "room for 4 bytes"},
		{"(a BINARY(16))", &tableMap{columns: []mapColumn{column(typeString, 16)}}, ""},
		{"(a TEXT)", &tableMap{columns: []mapColumn{column(typeBlob, 2)}}, ""},
		{"(a MEDIUMTEXT)", &tableMap{columns: []mapColumn{column(typeBlob, 2)}}, "lengths of 2 bytes"},
		{"(a BIT(9))", &tableMap{columns: []mapColumn{column(typeBit, 1<<8|1)}}, ""},
		{"(a BIT(9))", &tableMap{columns: []mapColumn{column(typeBit, 1<<8|2)}}, "10 bits"},
		{"(a ENUM('a','b'))", full(named(mapColumn{typ: typeEnum, meta: 1, choices: []string{"a"}}, "a")), "1 values"},
		{"(a POINT)", &tableMap{columns: []mapColumn{column(typeGeometry, 4)}}, ""},
		{"(a JSON)", &tableMap{columns: []mapColumn{column(typeJSON, 4)}}, ""},
		{"(a JSON)", &tableMap{columns: []mapColumn{column(typeBlob, 4)}}, "type 252"},
		{"(a YEAR)", full(named(mapColumn{typ: typeYear, unsigned: true}, "a")), ""},
	} {
		catalog, e := follow(t, ddlSession{}, "CREATE TABLE t "+c.create)
		d := catalog.table(tableName{"db", "t"})
		if d == nil {
			t.Fatalf("%s: %v", c.create, e.unsure)
		}
		err := checkShape(d, c.m)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.create, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, new(*shapeError))):
			t.Errorf("%s: %v, want an error with %q", c.create, err, c.want)
		}
	}
}
