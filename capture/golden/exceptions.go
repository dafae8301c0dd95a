package golden

import (
	"encoding/base64"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cases are patterns of the names of cases.
type cases []string

func (p cases) of(c *Case) bool {
	for _, pattern := range p {
		if ok, err := path.Match(pattern, c.Name); err == nil && ok {
			return true
		}
	}
	return false
}

// exception is a documented difference at a place of a record.
type exception struct {
	name, reason string
	cases
	applies func(k *comparison, d *Difference) bool
}

var (
	temporalCases = cases{"types-temporal*", "mariadb-types-temporal*"}
	timeCases     = cases{"types-temporal-connect*", "types-temporal-isostring*"}
	stringCases   = cases{"types-string", "mariadb-types-string"}
)

// exceptions are where Debezium is wrong, or Java's text is another, and Weir
// deliberately differs.
var exceptions = []exception{
	{
		name: "numbers", reason: "Java does not always write the shortest text of a float or double; numbers are compared as numbers",
		cases: cases{"*"},
		applies: func(_ *comparison, d *Difference) bool {
			return sameNumber(d.Want, d.Got) || d.isType("type", "float") && sameFloat(d.Want, d.Got)
		},
	},
	{
		name: "YEAR 0000", reason: "Debezium has 2000 in the snapshot and 1900 in the stream; it is 0 in both",
		cases: temporalCases,
		applies: func(_ *comparison, d *Difference) bool {
			return d.isType("name", "io.debezium.time.Year") && (d.Want == "2000" || d.Want == "1900") && d.Got == "0"
		},
	},
	{
		name: "zero TIMESTAMP", reason: "Debezium has null in the snapshot (the default if NOT NULL) and the epoch in the stream; it is null in both, or the epoch if NOT NULL",
		cases: temporalCases,
		applies: func(_ *comparison, d *Difference) bool {
			if !d.isType("name", "io.debezium.time.ZonedTimestamp") {
				return false
			}
			if d.Part == PartStream {
				return isEpoch(d.Want) && d.Got == "null"
			}
			return isEpoch(d.Got) && d.isType("optional", "false") && d.isType("default", d.Want)
		},
	},
	{
		name: "fraction of TIMESTAMP", reason: "Debezium pads it to the column's width in the stream and leaves trailing zeros out in the snapshot; it is padded in both",
		cases: cases{"*"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Part == PartSnapshot && d.isType("name", "io.debezium.time.ZonedTimestamp") && trimFraction(d.Got) == d.Want
		},
	},
	{
		name: "FLOAT", reason: "Debezium has the six digits that the server prints in the snapshot and the stored number in the stream; it is the stored number in both",
		cases: cases{"*"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Part == PartSnapshot && d.isType("type", "float") && sameFloat(sixDigits(d.Got), d.Want)
		},
	},
	{
		name: "text of JSON", reason: "Debezium has the server's text with blanks in the snapshot and a compact one of its own in the stream; it is one text in both, equal as JSON",
		cases: cases{"*"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.isType("name", "io.debezium.data.Json") && sameDocument(d.Want, d.Got, func(a, b any) bool { return a == b })
		},
	},
	{
		name: "comma in an ENUM's value", reason: "Debezium escapes it as in the parameter allowed; the value is the one that was stored",
		cases: stringCases,
		applies: func(_ *comparison, d *Difference) bool {
			return d.isType("name", "io.debezium.data.Enum") && strings.ReplaceAll(d.Want, `\\,`, ",") == d.Got
		},
	},
	{
		name: "latin1 beyond cp1252", reason: "MySQL's latin1 has characters for the five bytes that Java's cp1252 has none for and loses",
		cases: stringCases,
		applies: func(_ *comparison, d *Difference) bool {
			return d.column() == "l1" && sameButLost(d.Want, d.Got)
		},
	},
	{
		name: "cp932", reason: "Debezium decodes it wrongly in the stream",
		cases: cases{"mariadb-types-string"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Part == PartStream && d.column() == "c932" && strings.ContainsRune(d.Want, utf8.RuneError) && !strings.ContainsRune(d.Got, utf8.RuneError)
		},
	},
	{
		name: "TIME outside of a day", reason: "Debezium has null, and dies if NOT NULL; the value is kept",
		cases: timeCases,
		applies: func(_ *comparison, d *Difference) bool {
			return d.Want == "null" && (d.isType("name", "org.apache.kafka.connect.data.Time") || d.isType("name", "io.debezium.time.IsoTime"))
		},
	},
	{
		name: "values in JSON", reason: "Debezium writes doubles as their decimal expansion, breaks negative TIME, and has another text for times and binary values than the server",
		cases: cases{"types-json"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Part == PartStream && d.isType("name", "io.debezium.data.Json") && sameDocument(d.Want, d.Got, sameJSONScalar)
		},
	},
	{
		name: "binary default", reason: "Debezium loses bytes of a default that are not UTF-8, where MariaDB shows them as they are",
		cases: cases{"mariadb-types-binary"},
		applies: func(_ *comparison, d *Difference) bool {
			return strings.HasPrefix(d.Path, "value.schema.") && strings.HasSuffix(d.Path, ".default") && sameButLost(unbase64(d.Want), unbase64(d.Got))
		},
	},
	{
		name: "TIMESTAMP defaults", reason: "Debezium shows them in the server's time zone, here +05:30, and takes that for UTC; they are shown in UTC",
		cases: cases{"types-temporal-servertz"},
		applies: func(_ *comparison, d *Difference) bool {
			zones := strings.NewReplacer("2018-01-02 03:04:05", "2018-01-01 21:34:05", "2018-01-02T03:04:05", "2018-01-01T21:34:05")
			return d.Part == PartSnapshot && d.Got == zones.Replace(d.Want)
		},
	},
	{
		name: "tagged GTIDs", reason: "Debezium passes over them, and has neither the GTID nor the time that comes with it",
		cases: cases{"zz-gtid-tagged"},
		applies: func(_ *comparison, d *Difference) bool {
			ours := member(payload(*d.got.Value), "source", "gtid")
			return strings.HasPrefix(d.place(), "value.source.") && strings.Contains(ours, ":mytag:") && member(payload(*d.want.Value), "source", "gtid") == "null"
		},
	},
	{
		name: "transaction block of XA", reason: "Debezium has none, or that of PREPARE; rows of an XA transaction are published at its COMMIT",
		cases: cases{"binlog-xa-tx", "mariadb-binlog"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.place() == "value.transaction" && d.Want == "null" ||
				d.place() == "value.transaction.id" && d.Want == `"0-11-360"` && d.Got == `"0-11-361"`
		},
	},
	{
		name: "log_bin_compress", reason: "Debezium does not see rows of compressed events",
		cases: cases{"mariadb-binlog"},
		applies: func(k *comparison, d *Difference) bool {
			return d.Topic == k.topics.transactions && (d.place() == "value.event_count" && d.Want == "0" || strings.HasPrefix(d.place(), "value.data_collections[") && d.Want == "")
		},
	},
	{
		name: "row of a statement", reason: "it is left over from the last change before, which skipped operations are too",
		cases: cases{"dml-skip-ops"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.place() == "value.source.row" && d.Want != "0" && d.Got == "0"
		},
	},
	{
		name: "deletes as tombstones", reason: "Debezium writes the text null, or one with a schema, where a transform leaves no value; it is a real tombstone",
		cases: cases{"smt-*", "mariadb-smt-*"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Path == "value" && d.Got == "(null)" && payload(d.Want) == "null"
		},
	},
	{
		name: "deletes that are hoisted", reason: "HoistField makes a value of no value; it is a real tombstone",
		cases: cases{"smt-extract-hoist"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Path == "value" && d.Got == "(null)" && payload(d.Want) == `{"rec":null}`
		},
	},
	{
		name: "older options of unwrapping", reason: "Debezium 3 takes drop.tombstones and delete.handling.mode and ignores them; they do what they are documented to",
		cases: cases{"smt-unwrap-old-*"},
		applies: func(_ *comparison, d *Difference) bool {
			return d.Path == "value.__deleted" && d.Want == "" && d.Got == `"false"` || d.Path == "value" && payload(d.Want) == "null"
		},
	},
	{
		name: "last of an empty snapshot", reason: "where no row follows Debezium marks the last schema change; here they are written before that is known",
		cases: cases{"snapshot-all-empty", "zz-gtid-tagged"},
		applies: func(k *comparison, d *Difference) bool {
			return d.Topic == k.topics.schemaChanges && d.place() == "value.source.snapshot" && d.Want == `"last"` && d.Got == `"true"`
		},
	},
}

// isType reports whether the inline schema says so of the column in which the
// difference lies. Without an inline schema any column may be of the type.
func (d *Difference) isType(what, is string) bool {
	row, column, _ := strings.Cut(strings.TrimPrefix(d.place(), "value."), ".")
	if d.want == nil || d.want.Value == nil || column == "" && !d.want.isFlat() {
		return false
	}
	schema := member(*d.want.Value, "schema")
	if schema == "" {
		return true
	}
	got := member(fieldOf(fieldOf(schema, row), column), what)
	if column == "" {
		got = member(fieldOf(schema, row), what)
	}
	return got == is || got == strconv.Quote(is)
}

// fieldOf is the schema of a struct's field.
func fieldOf(schema, name string) string {
	list := member(schema, "fields")
	if list == "" {
		return ""
	}
	fields, _ := items(list)
	for _, f := range fields {
		if member(f, "field") == strconv.Quote(name) {
			return f
		}
	}
	return ""
}

// sameFloat reports whether two numbers are the same 32-bit float.
func sameFloat(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 32)
	y, err2 := strconv.ParseFloat(b, 32)
	return err1 == nil && err2 == nil && x == y
}

// sixDigits is a number as the server prints a FLOAT.
func sixDigits(number string) string {
	f, err := strconv.ParseFloat(number, 32)
	if err != nil {
		return number
	}
	return strconv.FormatFloat(f, 'g', 6, 32)
}

func isEpoch(text string) bool { return strings.HasPrefix(text, `"1970-01-01T00:00:00`) }

// trimFraction takes the zeros at the end of a timestamp's fraction off.
func trimFraction(text string) string {
	rest, ok := strings.CutSuffix(text, `Z"`)
	if !ok || !strings.Contains(rest, ".") {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(rest, "0"), ".") + `Z"`
}

// sameButLost reports whether two texts differ only in characters that the
// first has lost.
func sameButLost(want, got string) bool {
	lost := false
	for want != "" && got != "" {
		w, n := utf8.DecodeRuneInString(want)
		g, m := utf8.DecodeRuneInString(got)
		if w != utf8.RuneError && w != g {
			return false
		}
		lost = lost || want[:n] != got[:m]
		want, got = want[n:], got[m:]
	}
	return lost && want == got
}

// unbase64 is what a JSON string holds in base64.
func unbase64(text string) string {
	b, err := base64.StdEncoding.DecodeString(strings.Trim(text, `"`))
	if err != nil {
		return text
	}
	return string(b)
}
