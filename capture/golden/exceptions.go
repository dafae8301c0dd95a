package golden

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
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

// recordException is a documented record that only one side has.
type recordException struct {
	name, reason string
	cases
	applies func(k *comparison, r *Record) bool
}

var (
	temporalCases = cases{"types-temporal*", "mariadb-types-temporal*"}
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
			return d.isType("name", "io.debezium.data.Json") && sameJSON(d.Want, d.Got)
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
}

// wrongOfDebezium are records that Debezium publishes and must not be.
var wrongOfDebezium = []recordException{}

// missingOfDebezium are records that Debezium does not publish and has to.
var missingOfDebezium = []recordException{}

// isType reports whether the inline schema says so of the column in which the
// difference lies. Without an inline schema any column may be of the type.
func (d *Difference) isType(what, is string) bool {
	row, column, _ := strings.Cut(strings.TrimPrefix(d.place(), "value."), ".")
	if column == "" || d.want == nil || d.want.Value == nil {
		return false
	}
	schema := member(*d.want.Value, "schema")
	if schema == "" {
		return true
	}
	got := member(fieldOf(fieldOf(schema, row), column), what)
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

// sameJSON reports whether two JSON strings hold texts that are equal as JSON,
// numbers as numbers.
func sameJSON(want, got string) bool {
	w, ok1 := decodeJSON(want)
	g, ok2 := decodeJSON(got)
	return ok1 && ok2 && equalJSON(w, g)
}

func decodeJSON(quoted string) (out any, ok bool) {
	var text string
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return out, d.Decode(&out) == nil
}

func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalJSON)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalJSON)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a.String(), b.String())
	}
	return a == b
}

// sameButLost reports whether two texts differ only in characters that the
// first has lost.
func sameButLost(want, got string) bool {
	lost := false
	for want != "" && got != "" {
		w, n := utf8.DecodeRuneInString(want)
		g, m := utf8.DecodeRuneInString(got)
		if w != g && w != utf8.RuneError {
			return false
		}
		lost = lost || w != g
		want, got = want[n:], got[m:]
	}
	return lost && want == got
}
