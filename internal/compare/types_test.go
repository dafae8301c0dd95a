package compare

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/lake"
)

// typeCase is a column of some type with a value, and what that is at the
// targets.
type typeCase struct {
	name, ddl, literal string
	doc, hash          string // in a JSON document, in a Redis hash
	other              string // another value, as JSON
	field              cdc.Field
	value              cdc.Value
	only               string // the one server that has the type
}

func text(s string) cdc.Value { return cdc.String([]byte(s)) }

var (
	geometryStruct = cdc.NewSchema("io.debezium.data.geometry.Geometry", cdc.Field{Name: "wkb", Type: cdc.Binary}, cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})
	pointStruct    = cdc.NewSchema("io.debezium.data.geometry.Point", cdc.Field{Name: "x", Type: cdc.Double}, cdc.Field{Name: "y", Type: cdc.Double},
		cdc.Field{Name: "wkb", Type: cdc.Binary, Optional: true}, cdc.Field{Name: "srid", Type: cdc.Int32, Optional: true})
	wkb = []byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0") // POINT(1.5 -2)
)

const wkbText = "AQEAAAAAAAAAAAD4PwAAAAAAAADA"

func intField(t cdc.Type) cdc.Field              { return cdc.Field{Type: t} }
func field(t cdc.Type, s cdc.Semantic) cdc.Field { return cdc.Field{Type: t, Semantic: s} }

var typeCases = []typeCase{
	{name: "tiny", ddl: "TINYINT", literal: "-128", doc: "-128", hash: "-128", other: "-127", field: intField(cdc.Int16), value: cdc.Int(-128)},
	{name: "flag", ddl: "TINYINT(1)", literal: "1", doc: "1", hash: "1", other: "0", field: intField(cdc.Int16), value: cdc.Int(1)},
	{name: "flag_converted", ddl: "TINYINT(1)", literal: "1", doc: "true", hash: "true", other: "false", field: intField(cdc.Boolean), value: cdc.Bool(true)},
	{name: "small_u", ddl: "SMALLINT UNSIGNED", literal: "65535", doc: "65535", hash: "65535", other: "-1", field: intField(cdc.Int32), value: cdc.Int(65535)},
	{name: "medium", ddl: "MEDIUMINT", literal: "-8388608", doc: "-8388608", hash: "-8388608", other: "8388608", field: intField(cdc.Int32), value: cdc.Int(-8388608)},
	{name: "int_fill", ddl: "INT(8) ZEROFILL", literal: "42", doc: "42", hash: "42", other: "420", field: intField(cdc.Int64), value: cdc.Int(42)},
	{name: "big", ddl: "BIGINT", literal: "-9007199254740993", doc: "-9007199254740993", hash: "-9007199254740993", other: "-9007199254740992", field: intField(cdc.Int64), value: cdc.Int(-9007199254740993)},
	{name: "big_u_wrapped", ddl: "BIGINT UNSIGNED", literal: "18446744073709551615", doc: "-1", hash: "-1", other: "-2", field: intField(cdc.Int64), value: cdc.Int(-1)},
	{name: "big_u_precise", ddl: "BIGINT UNSIGNED", literal: "18446744073709551615", doc: "18446744073709551615", hash: "18446744073709551615", other: "18446744073709551614",
		field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 20}, value: cdc.BigDecimal([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255})},
	{name: "year", ddl: "YEAR", literal: "2026", doc: "2026", hash: "2026", other: "2025", field: field(cdc.Int32, cdc.Year), value: cdc.Int(2026)},
	{name: "year_zero", ddl: "YEAR", literal: "0", doc: "0", hash: "0", other: "2000", field: field(cdc.Int32, cdc.Year), value: cdc.Int(0)},
	{name: "money", ddl: "DECIMAL(12,2)", literal: "-1234567890.10", doc: "-1234567890.10", hash: "-1234567890.10", other: "-1234567890.11",
		field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 12, Scale: 2}, value: cdc.SmallDecimal(-123456789010)},
	{name: "money_as_text", ddl: "DECIMAL(12,2)", literal: "0.50", doc: `"0.50"`, hash: "0.50", other: `"0.05"`, field: cdc.Field{Type: cdc.Text}, value: text("0.50")},
	{name: "wide", ddl: "DECIMAL(38,10)", literal: "-0.0000000001", doc: "-0.0000000001", hash: "-0.0000000001", other: "0",
		field: cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 38, Scale: 10}, value: cdc.SmallDecimal(-1)},
	{name: "widest", ddl: "DECIMAL(65,0)", literal: strings.Repeat("9", 65), doc: strings.Repeat("9", 65), hash: strings.Repeat("9", 65), other: strings.Repeat("9", 64),
		field: cdc.Field{Type: cdc.Text}, value: text(strings.Repeat("9", 65))},
	{name: "single", ddl: "FLOAT", literal: "16777215.5e-3", doc: "16777.215", hash: "16777.215", other: "16777.2", field: intField(cdc.Float), value: cdc.Float32(16777.2155)},
	{name: "twofold", ddl: "DOUBLE", literal: "0.1e0", doc: "0.1", hash: "0.1", other: "0.10000000000000002", field: intField(cdc.Double), value: cdc.Float64(0.1)},
	{name: "huge", ddl: "DOUBLE", literal: "-1.7976931348623157e308", doc: "-1.7976931348623157E308", hash: "-1.7976931348623157e308", other: "-1.7976931348623155E308", field: intField(cdc.Double), value: cdc.Float64(-1.7976931348623157e308)},
	{name: "bit_one", ddl: "BIT(1)", literal: "b'1'", doc: "true", hash: "true", other: "false", field: intField(cdc.Boolean), value: cdc.Bool(true)},
	{name: "bit_many", ddl: "BIT(17)", literal: "b'10000000100000011'", doc: `"AwEB"`, hash: "AwEB", other: `"AwEA"`, field: field(cdc.Binary, cdc.Bits), value: cdc.Bytes([]byte{3, 1, 1})},
	{name: "padded", ddl: "CHAR(8)", literal: "'ab  '", doc: `"ab"`, hash: "ab", other: `"ab "`, field: intField(cdc.Text), value: text("ab")},
	{name: "letters", ddl: "VARCHAR(40)", literal: "'Grüße 世界 🎉 ''\\\\ '", doc: `"Grüße 世界 \ud83c\udf89 '\\ "`, hash: `Grüße 世界 🎉 '\ `, other: `"Grüße 世界 🎉 '\\"`, field: intField(cdc.Text), value: text(`Grüße 世界 🎉 '\ `)},
	{name: "empty", ddl: "VARCHAR(40)", literal: "''", doc: `""`, hash: "", other: "null", field: intField(cdc.Text), value: text("")},
	{name: "latin", ddl: "TEXT CHARACTER SET latin1", literal: "'für'", doc: `"für"`, hash: "für", other: `"fur"`, field: intField(cdc.Text), value: text("für")},
	{name: "long", ddl: "MEDIUMTEXT", literal: "REPEAT('long ', 5000)", doc: `"` + strings.Repeat("long ", 5000) + `"`, hash: strings.Repeat("long ", 5000), other: `"` + strings.Repeat("long ", 4999) + `"`, field: intField(cdc.Text), value: text(strings.Repeat("long ", 5000))},
	{name: "choice", ddl: "ENUM('a','b,c')", literal: "'b,c'", doc: `"b,c"`, hash: "b,c", other: `"a"`, field: field(cdc.Text, cdc.Enum), value: cdc.Choice([]byte("b,c"), 2)},
	{name: "several", ddl: "SET('x','y','z')", literal: "'z,x'", doc: `"x,z"`, hash: "x,z", other: `"x"`, field: field(cdc.Text, cdc.EnumSet), value: text("x,z")},
	{name: "fixed", ddl: "BINARY(4)", literal: "x'ff00'", doc: `"/wAAAA=="`, hash: "/wAAAA==", other: `"/wA="`, field: intField(cdc.Binary), value: cdc.Bytes([]byte{255, 0, 0, 0})},
	{name: "bytes", ddl: "VARBINARY(8)", literal: "x'00ff7f80'", doc: `"AP9/gA=="`, hash: "AP9/gA==", other: `"AP9/gQ=="`, field: intField(cdc.Binary), value: cdc.Bytes([]byte{0, 255, 127, 128})},
	{name: "blob_empty", ddl: "LONGBLOB", literal: "''", doc: `""`, hash: "", other: "null", field: intField(cdc.Binary), value: cdc.Bytes([]byte{})},
	{name: "day", ddl: "DATE", literal: "'2026-11-22'", doc: "20779", hash: "2026-11-22", other: "20780", field: field(cdc.Int32, cdc.Date), value: cdc.Int(20779)},
	{name: "day_iso", ddl: "DATE", literal: "'1969-12-31'", doc: `"1969-12-31"`, hash: "1969-12-31", other: `"1970-01-01"`, field: field(cdc.Int32, cdc.Date), value: cdc.Int(-1)},
	{name: "moment", ddl: "DATETIME", literal: "'1969-12-31 23:59:59'", doc: "-1000", hash: "1969-12-31T23:59:59", other: "-1001", field: field(cdc.Int64, cdc.Timestamp), value: cdc.Int(-1000)},
	{name: "moment_ms", ddl: "DATETIME(3)", literal: "'2026-11-22 12:00:00.120'", doc: "1795348800120", hash: "2026-11-22T12:00:00.120", other: "1795348800121", field: field(cdc.Int64, cdc.Timestamp), value: cdc.Int(1795348800120)},
	{name: "moment_us", ddl: "DATETIME(6)", literal: "'1970-01-01 00:00:00.000007'", doc: "7", hash: "1970-01-01T00:00:00.000007", other: "8", field: field(cdc.Int64, cdc.MicroTimestamp), value: cdc.Int(7)},
	{name: "moment_iso", ddl: "DATETIME(6)", literal: "'9999-12-31 23:59:59.999999'", doc: `"9999-12-31T23:59:59.999999"`, hash: "9999-12-31T23:59:59.999999", other: `"9999-12-31T23:59:59.99999"`, field: field(cdc.Int64, cdc.MicroTimestamp), value: cdc.Int(253402300799999999)},
	{name: "instant", ddl: "TIMESTAMP(3) NULL", literal: "'2026-11-22 12:00:00.100'", doc: `"2026-11-22T12:00:00.100Z"`, hash: "2026-11-22T12:00:00.100Z", other: `"2026-11-22T12:00:00.101Z"`, field: field(cdc.Text, cdc.ZonedTimestamp), value: cdc.Micros(1795348800100000)},
	{name: "instant_zone", ddl: "TIMESTAMP NULL", literal: "'2026-11-22 12:00:00'", doc: `"2026-11-22T14:00:00+02:00"`, hash: "2026-11-22T12:00:00Z", other: `"2026-11-22T14:00:00Z"`, field: field(cdc.Text, cdc.ZonedTimestamp), value: text("2026-11-22T12:00:00Z")},
	{name: "clock", ddl: "TIME", literal: "'-838:59:59'", doc: "-3020399000000", hash: "-838:59:59.000000", other: "3020399000000", field: field(cdc.Int64, cdc.MicroTime), value: cdc.Int(-3020399000000)},
	{name: "clock_us", ddl: "TIME(6)", literal: "'23:00:00.000001'", doc: "82800000001", hash: "23:00:00.000001", other: "82800000000", field: field(cdc.Int64, cdc.MicroTime), value: cdc.Int(82800000001)},
	{name: "tree", ddl: "JSON", literal: `'{"b": [1, 2.50, "x\\u00e9"], "a": {"n": null, "t": true}}'`, doc: `"{\"a\":{\"t\":true,\"n\":null},\"b\":[1,2.5,\"xé\"]}"`,
		hash: `{"a": {"n": null, "t": true}, "b": [1, 2.5, "xé"]}`, other: `"{\"a\":{\"t\":true,\"n\":null},\"b\":[2.5,1,\"xé\"]}"`, field: field(cdc.Text, cdc.JSON), value: text(`{"b": [1, 2.50, "xé"], "a": {"n": null, "t": true}}`), only: "mysql"},
	{name: "tree_nested", ddl: "JSON", literal: `'[1e2, false]'`, doc: `[100,false]`, hash: `[100.0, false]`, other: `[100,true]`, field: field(cdc.Text, cdc.JSON), value: text(`[100.0, false]`), only: "mysql"},
	{name: "json_text", ddl: "JSON", literal: `'{"b": 1}'`, doc: `"{\"b\": 1}"`, hash: `{"b": 1}`, other: `"{\"b\":1}"`, field: intField(cdc.Text), value: text(`{"b": 1}`), only: "mariadb"},
	{name: "place", ddl: "POINT", literal: "ST_GeomFromText('POINT(1.5 -2)')", doc: `{"x":1.5,"y":-2.0,"wkb":"` + wkbText + `","srid":null}`, hash: `{"x":1.5,"y":-2.0,"wkb":"` + wkbText + `","srid":null}`, other: `{"wkb":"` + wkbText + `","srid":4326}`,
		field: cdc.Field{Type: cdc.Struct, Semantic: cdc.Point, Struct: pointStruct}, value: cdc.List([]cdc.Value{cdc.Float64(1.5), cdc.Float64(-2), cdc.Bytes(wkb), {}})},
	{name: "shape", ddl: "GEOMETRY", literal: "ST_GeomFromText('POINT(1.5 -2)', 3857)", doc: `{"wkb":"` + wkbText + `","srid":3857}`, hash: `{"wkb":"` + wkbText + `","srid":3857}`, other: `{"wkb":"` + wkbText + `","srid":null}`,
		field: cdc.Field{Type: cdc.Struct, Semantic: cdc.Geometry, Struct: geometryStruct}, value: cdc.List([]cdc.Value{cdc.Bytes(wkb), cdc.Int(3857)})},
	{name: "vector", ddl: "VECTOR(3)", literal: "STRING_TO_VECTOR('[1,-0.1,3e10]')", doc: `[1.0,-0.1,3.0E10]`, hash: `[1.0,-0.1,3.0E10]`, other: `[1.0,-0.1,3.1E10]`,
		field: cdc.Field{Type: cdc.Array, Semantic: cdc.FloatVector, Element: &cdc.Field{Type: cdc.Float}}, value: cdc.List([]cdc.Value{cdc.Float32(1), cdc.Float32(-0.1), cdc.Float32(3e10)}), only: "mysql"},
	{name: "uuid", ddl: "UUID", literal: "'123e4567-e89b-12d3-a456-426614174000'", doc: `"123e4567-e89b-12d3-a456-426614174000"`, hash: "123e4567-e89b-12d3-a456-426614174000", other: `"123e4567-e89b-12d3-a456-426614174001"`, field: field(cdc.Text, cdc.UUID), value: text("123e4567-e89b-12d3-a456-426614174000"), only: "mariadb"},
	{name: "zero_day", ddl: "DATE", literal: "'0000-00-00'", doc: "null", hash: "-", other: "0", field: field(cdc.Int32, cdc.Date), value: cdc.Value{}},
	{name: "zero_day_needed", ddl: "DATE NOT NULL", literal: "'2026-00-01'", doc: "0", hash: "1970-01-01", other: "1", field: field(cdc.Int32, cdc.Date), value: cdc.Int(0)},
	{name: "zero_instant_needed", ddl: "TIMESTAMP NOT NULL DEFAULT '2000-01-01'", literal: "'0000-00-00 00:00:00'", doc: `"1970-01-01T00:00:00Z"`, hash: "1970-01-01T00:00:00Z", other: `"1970-01-01T00:00:01Z"`, field: field(cdc.Text, cdc.ZonedTimestamp), value: cdc.Micros(0)},
}

// casesFor are the cases of one server.
func casesFor(server string) (out []typeCase) {
	for _, c := range typeCases {
		if c.only == "" || c.only == server {
			out = append(out, c)
		}
	}
	return out
}

var sqlServers = map[string]func(testing.TB) servers.SQL{"mysql": servers.MySQL, "mariadb": servers.MariaDB}

// typesTable makes a table with a column for each case and two rows: 1 has all
// values, in 2 all that can be are NULL.
func typesTable(t *testing.T, server string, cases []typeCase, options TableOptions) *Table {
	t.Helper()
	s := sqlServers[server](t)
	database := s.Database(t)
	db := s.Open(t, database)
	columns, values, nulls := []string{"id INT PRIMARY KEY"}, []string{"1"}, []string{"2"}
	for _, c := range cases {
		columns, values = append(columns, "`"+c.name+"` "+c.ddl), append(values, c.literal)
		if strings.Contains(c.ddl, "NOT NULL") {
			nulls = append(nulls, c.literal)
		} else {
			nulls = append(nulls, "NULL")
		}
	}
	onOne(t, db, "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
		"CREATE TABLE types ("+strings.Join(columns, ", ")+") CHARACTER SET utf8mb4",
		"INSERT INTO types VALUES ("+strings.Join(values, ", ")+"), ("+strings.Join(nulls, ", ")+")")
	table, err := NewTable(t.Context(), db, database, "types", options)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// onOne runs statements on one connection.
func onOne(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	connection, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for _, statement := range statements {
		if _, err := connection.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%v in %.300s", err, statement)
		}
	}
}

// documentOf is row 1 or 2 as a document; the column in place of has its other
// value.
func documentOf(cases []typeCase, row int, replaced string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%d`, row)
	for _, c := range cases {
		v := c.doc
		switch {
		case c.name == replaced:
			v = c.other
		case row == 2 && !strings.Contains(c.ddl, "NOT NULL"):
			v = "null"
		}
		fmt.Fprintf(&b, `,"%s":%s`, c.name, v)
	}
	return b.String() + "}"
}

// compared runs a comparison.
func compared(t *testing.T, table *Table, target string, rows Rows, options Options) *Result {
	t.Helper()
	result, err := Run(t.Context(), table, target, rows, options)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// equal wants no difference between so many rows.
func equal(t *testing.T, result *Result, rows int) {
	t.Helper()
	if result.Source != rows || result.Copies != rows || result.Differences() != 0 || result.Unsettled != 0 {
		t.Errorf("%+v", *result)
	}
}

// withText are the cases whose documents have JSON columns as text, or the
// others.
func withText(cases []typeCase, nested bool) (out []typeCase) {
	for _, c := range cases {
		if c.field.Semantic != cdc.JSON || strings.HasSuffix(c.name, "_nested") == nested {
			out = append(out, c)
		}
	}
	return out
}

func TestDocumentsOfEveryType(t *testing.T) {
	client := goredis.NewClient(&goredis.Options{Addr: servers.Redis(t)})
	defer client.Close()
	for server := range sqlServers {
		for _, nested := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s nested %v", server, nested), func(t *testing.T) {
				cases := withText(casesFor(server), nested)
				table := typesTable(t, server, cases, TableOptions{JSONObjects: nested})
				prefix := servers.Unique(t, "types") + ":"
				put := func(replaced string) {
					for row := 1; row <= 2; row++ {
						if err := client.Set(t.Context(), fmt.Sprintf("%s%d", prefix, row), documentOf(cases, row, replaced), time.Hour).Err(); err != nil {
							t.Fatal(err)
						}
						replaced = ""
					}
				}
				rows := &Redis{Client: client, Prefix: prefix, Table: table}
				put("")
				equal(t, compared(t, table, "redis", rows, Options{}), 2)
				for _, c := range cases {
					put(c.name)
					wantDifference(t, compared(t, table, "redis", rows, Options{}), "1: "+c.name+" is ")
				}
			})
		}
	}
}

// wantDifference wants one row that is not equal, described like this.
func wantDifference(t *testing.T, r *Result, like string) {
	t.Helper()
	if r.Different != 1 || r.Differences() != 1 || len(r.Examples) != 1 || !strings.HasPrefix(r.Examples[0], like) {
		t.Errorf("want a difference like %q, got %+v", like, *r)
	}
}

func TestHashesOfEveryType(t *testing.T) {
	client := goredis.NewClient(&goredis.Options{Addr: servers.Redis(t)})
	defer client.Close()
	for server := range sqlServers {
		t.Run(server, func(t *testing.T) {
			cases := casesFor(server)
			table := typesTable(t, server, cases, TableOptions{})
			prefix := servers.Unique(t, "types") + ":"
			whole, nulls := []any{"id", "1"}, []any{"id", "2"}
			for _, c := range cases {
				if c.doc != "null" {
					whole = append(whole, c.name, c.hash)
				}
				if strings.Contains(c.ddl, "NOT NULL") {
					nulls = append(nulls, c.name, c.hash)
				}
			}
			client.HSet(t.Context(), prefix+"1", whole...)
			client.HSet(t.Context(), prefix+"2", nulls...)
			rows := &Redis{Client: client, Prefix: prefix, Table: table}
			equal(t, compared(t, table, "redis", rows, Options{}), 2)
			for _, c := range cases {
				client.HSet(t.Context(), prefix+"2", c.name, c.hash)
				if !strings.Contains(c.ddl, "NOT NULL") && c.doc != "null" {
					wantDifference(t, compared(t, table, "redis", rows, Options{}), "2: "+c.name+" is NULL in the table and ")
				}
				client.Del(t.Context(), prefix+"2")
				client.HSet(t.Context(), prefix+"2", nulls...)
			}
			client.Del(t.Context(), prefix+"1", prefix+"2")
		})
	}
}

func TestFilesOfEveryType(t *testing.T) {
	for server := range sqlServers {
		t.Run(server, func(t *testing.T) {
			cases := casesFor(server)
			table := typesTable(t, server, cases, TableOptions{})
			equal(t, compared(t, table, "lake", &Lake{Store: Directory(filesOf(t, cases, "")), Topic: "types", Table: table}, Options{}), 2)
			for _, c := range cases {
				if c.value.IsNull() {
					continue
				}
				rows := &Lake{Store: Directory(filesOf(t, cases, c.name)), Topic: "types", Table: table}
				if r := compared(t, table, "lake", rows, Options{}); r.Different != 1 || len(r.Examples) != 1 || !strings.Contains(r.Examples[0], "1: "+c.name+" is") {
					t.Errorf("without %s: %+v", c.name, *r)
				}
			}
		})
	}
}

// filesOf renders both rows of the cases with the lake itself, the first without
// the value of a column.
func filesOf(t *testing.T, cases []typeCase, without string) string {
	t.Helper()
	directory := t.TempDir()
	v, _, err := config.Parse(map[string]string{"store.url": "file://" + directory, "topics.dir": ""}, lake.Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := lake.NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lake.New(t.Context(), c, prometheus.NewRegistry(), zap.NewNop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	fields := []cdc.Field{{Name: "id", Type: cdc.Int32}}
	values := [][]cdc.Value{{cdc.Int(1)}, {cdc.Int(2)}}
	for _, c := range cases {
		c.field.Name, c.field.Optional = c.name, true
		fields = append(fields, c.field)
		first, second := c.value, cdc.Value{}
		if c.name == without {
			first = cdc.Value{}
			if strings.Contains(c.ddl, "NOT NULL") { // a NULL in such a column would be one from before it was added
				first = cdc.Int(1 << 10)
				if c.field.Type == cdc.Text {
					first = cdc.Micros(1 << 40)
				}
			}
		}
		if strings.Contains(c.ddl, "NOT NULL") {
			second = c.value
		}
		values[0], values[1] = append(values[0], first), append(values[1], second)
	}
	schema := cdc.NewSchema("types", fields...)
	var records []*cdc.Record
	for i := range values {
		row := &cdc.Row{}
		row.Reset(schema)
		copy(row.Values, values[i])
		records = append(records, &cdc.Record{
			Origin: cdc.Origin{Topic: "types", Offset: int64(i), Timestamp: 1}, Route: "types", Value: row, Op: cdc.OpCreate, Version: uint64(i + 1),
		})
	}
	renderRange(t, l, 0, records)
	return directory
}

// renderRange makes a range's files visible.
func renderRange(t *testing.T, l *lake.Lake, start int64, records []*cdc.Record) {
	t.Helper()
	ctx := context.Background()
	r, err := l.Open(sink.Partition{Topic: "types"}, start, time.UnixMilli(1), false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Discard()
	if err := r.Append(records); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(ctx, start+int64(len(records))); err != nil {
		t.Fatal(err)
	}
}
