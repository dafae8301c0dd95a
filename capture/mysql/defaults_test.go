package mysql

import (
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestDefaults are conversions beside those that the golden cases have: the
// expected values are what Debezium's BinlogDefaultValueConverter comes to,
// read in its source.
func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		column  string
		options ValueOptions
		want    string // of cdc.Value.String, "" for no default
	}{
		{"INT DEFAULT NULL", ValueOptions{}, ""},
		{"INT", ValueOptions{}, ""},
		{"INT DEFAULT TRUE", ValueOptions{}, "3:1"},
		{"INT DEFAULT 1.5", ValueOptions{}, "3:2"},
		{"INT DEFAULT -1.5", ValueOptions{}, "3:-1"},
		{"INT DEFAULT ' 7 '", ValueOptions{}, "3:7"},
		{"INT DEFAULT (1 + 2)", ValueOptions{}, ""},
		{"INT DEFAULT 0x10", ValueOptions{}, ""},
		{"BIGINT DEFAULT 9007199254740993", ValueOptions{}, "3:9007199254740993"}, // a double would lose the last digit
		{"BIGINT UNSIGNED DEFAULT 18446744073709551615", ValueOptions{}, "3:9223372036854775807"},
		{"BIGINT UNSIGNED DEFAULT 5", ValueOptions{BigintUnsigned: BigintUnsignedPrecise}, `10"\x05"`},
		{"TINYINT(1) DEFAULT 1", ValueOptions{TinyIntBoolean: true}, "2:1"},
		{"BOOLEAN DEFAULT FALSE", ValueOptions{}, "3:0"},
		{"DOUBLE DEFAULT 1e3", ValueOptions{}, "f1000"},
		{"FLOAT DEFAULT '-.5'", ValueOptions{}, "f-0.5"},
		{"DECIMAL(6,2) DEFAULT 1.005", ValueOptions{}, "9:101"},
		{"DECIMAL(6,2) DEFAULT -1.005", ValueOptions{}, "9:-101"},
		{"DECIMAL(6,2) DEFAULT 1", ValueOptions{Decimal: DecimalString}, `7"1.00"`},
		{"DECIMAL(6,2) DEFAULT 1.25", ValueOptions{Decimal: DecimalDouble}, "f1.25"},
		{"DECIMAL(30,0) DEFAULT -300", ValueOptions{}, `10"\xfe\xd4"`},
		{"BIT(12) DEFAULT b'101000000001'", ValueOptions{}, `8"\x01\n"`},
		{"BIT DEFAULT b'1'", ValueOptions{}, "2:1"},
		{"VARCHAR(9) DEFAULT 'it''s'", ValueOptions{}, `7"it''s"`}, // Debezium does not undo escapes
		{"VARCHAR(9) DEFAULT _latin1'x'", ValueOptions{}, `7"x"`},
		{"VARCHAR(9) DEFAULT ' a '", ValueOptions{}, `7" a "`},
		{"VARCHAR(36) DEFAULT (UUID())", ValueOptions{}, ""},
		{"ENUM('a','b') DEFAULT 'b'", ValueOptions{}, `7"b"`},
		{"VARBINARY(4) DEFAULT 'ab'", ValueOptions{Binary: BinaryBase64URL}, `7"YWI="`},
		{"DATE DEFAULT '2020-02-30'", ValueOptions{}, ""},
		{"DATE NOT NULL DEFAULT '2020-02-00'", ValueOptions{}, "3:0"},
		{"DATE DEFAULT '1969-12-31'", ValueOptions{}, "3:-1"},
		{"DATE DEFAULT '2020-01-02'", ValueOptions{Time: TimeISOString}, `7"2020-01-02Z"`},
		{"DATETIME(6) DEFAULT '1969-12-31 23:59:59.999999'", ValueOptions{}, "3:-1"},
		{"DATETIME(3) DEFAULT '2000-01-01 00:00:00.5'", ValueOptions{Time: TimeNanoseconds}, "3:946684800500000000"},
		{"DATETIME DEFAULT '2000-01-01 10:20:30'", ValueOptions{Time: TimeConnect}, "3:946722030000"},
		{"DATETIME DEFAULT CURRENT_TIMESTAMP", ValueOptions{}, "3:0"},
		{"DATETIME DEFAULT '2000-01-01'", ValueOptions{}, "3:946684800000"},
		{"TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP", ValueOptions{}, ""},
		{"TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", ValueOptions{}, `7"1970-01-01T00:00:00Z"`},
		{"TIMESTAMP(3) NOT NULL DEFAULT '2001-02-03 04:05:06.700'", ValueOptions{}, `7"2001-02-03T04:05:06.7Z"`},
		{"TIMESTAMP NULL DEFAULT '0000-00-00 00:00:00'", ValueOptions{}, ""},
		{"TIME DEFAULT '-838:59:59'", ValueOptions{}, "3:-3020399000000"},
		{"TIME(3) DEFAULT '00:00:01.5'", ValueOptions{Time: TimeAdaptive}, "3:1500"},
		{"TIME(6) DEFAULT '00:00:01.5'", ValueOptions{Time: TimeAdaptive}, "3:1500000"},
		{"TIME DEFAULT '10:11:12'", ValueOptions{Time: TimeISOString}, `7"10:11:12Z"`},
		{"YEAR DEFAULT 2001", ValueOptions{}, "3:2001"},
		{"POINT DEFAULT (POINT(1,2))", ValueOptions{}, ""},
	} {
		catalog, e := follow(t, ddlSession{}, "CREATE TABLE t (c "+c.column+")")
		d := catalog.table(tableName{"db", "t"})
		if d == nil {
			t.Errorf("%s: %v %s", c.column, e.unsure, e.statement.problem)
			continue
		}
		f, err := c.options.Field(&d.Columns[0])
		if err != nil {
			t.Errorf("%s: %v", c.column, err)
			continue
		}
		if got := defaultOf(&f); got != c.want {
			t.Errorf("%s with %+v has default %s, want %s", c.column, c.options, got, c.want)
		}
	}
}

func defaultOf(f *cdc.Field) string {
	if f.Default == nil {
		return ""
	}
	return f.Default.String()
}
