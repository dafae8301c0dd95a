package fleet

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// fate is what a sink does with a record that is not as it should be.
type fate string

const (
	kept     fate = "kept"
	gone     fate = "deletes the key"
	rejected fate = "rejected"
	waits    fate = "waits"
	stops    fate = "stops"
)

// Where a record is rejected.
const (
	ofKey   = "KEY_CONVERTER"
	ofValue = "VALUE_CONVERTER"
	ofPut   = "TASK_PUT"
)

// outcome is a fate and, of a record that blocks its partition, at which stage
// it does and what the reason names.
type outcome struct {
	fate         fate
	stage, names string
}

// badRecord is one line of the table in docs/bad-records.md. It comes among good
// records, in a partition of its own.
type badRecord struct {
	what string
	// typed: in a topic of the capture, whose records have a schema and a
	// version; else in one of JSON without either.
	typed      bool
	key, value []byte
	headers    map[string]string // instead of the usual ones
	id         string            // of the document, where that is not the key's number
	// What Elasticsearch, Redis and the lake make of it.
	search, cache, lake outcome
}

// badItem is the schema of the table that the typed records are of.
var badItem = cdc.NewSchema("shop.items.Value",
	cdc.Field{Name: "id", Type: cdc.Int64},
	cdc.Field{Name: "i16", Type: cdc.Int16, Optional: true}, cdc.Field{Name: "i32", Type: cdc.Int32, Optional: true}, cdc.Field{Name: "i64", Type: cdc.Int64, Optional: true},
	cdc.Field{Name: "f32", Type: cdc.Float, Optional: true}, cdc.Field{Name: "f64", Type: cdc.Double, Optional: true},
	cdc.Field{Name: "flag", Type: cdc.Boolean, Optional: true}, cdc.Field{Name: "txt", Type: cdc.Text, Optional: true}, cdc.Field{Name: "bin", Type: cdc.Binary, Optional: true},
	cdc.Field{Name: "dec", Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Precision: 38, Scale: 2, Optional: true, Params: []cdc.Param{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "38"}}},
	cdc.Field{Name: "day", Type: cdc.Int32, Semantic: cdc.Date, SchemaVersion: 1, Optional: true}, cdc.Field{Name: "tod", Type: cdc.Int64, Semantic: cdc.MicroTime, SchemaVersion: 1, Optional: true},
	cdc.Field{Name: "ms", Type: cdc.Int64, Semantic: cdc.Timestamp, SchemaVersion: 1, Optional: true}, cdc.Field{Name: "us", Type: cdc.Int64, Semantic: cdc.MicroTimestamp, SchemaVersion: 1, Optional: true},
	cdc.Field{Name: "zts", Type: cdc.Text, Semantic: cdc.ZonedTimestamp, SchemaVersion: 1, Optional: true})

// usualItem are literals of the columns behind id.
var usualItem = []string{"1", "2", "3", "1.5", "2.5", "true", `"x"`, `"AQI="`, `"MDk="`, "19000", "3600000000", "1700000000000", "1700000000000000", `"2026-11-28T00:00:00Z"`}

// item is a row in which one column's literal is another.
func item(id int, column, literal string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%d`, id)
	for i, usual := range usualItem {
		if f := badItem.Fields[i+1].Name; f == column {
			fmt.Fprintf(&b, `,%q:%s`, f, literal)
		} else {
			fmt.Fprintf(&b, `,%q:%s`, f, usual)
		}
	}
	return b.String() + "}"
}

// envelope is a change of the capture named shop.
func envelope(op, before, after string) []byte {
	return fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"version":"3","connector":"mysql","name":"shop","ts_ms":5,"db":"shop","table":"items"},"transaction":null,"op":%q,"ts_ms":7,"ts_us":7000,"ts_ns":7000000}`, before, after, op)
}

const (
	badID    = 7
	gigantic = 30 << 20
)

func everywhere(o outcome) func(*badRecord) {
	return func(b *badRecord) { b.search, b.cache, b.lake = o, o, o }
}

func each(search, cache, lake outcome) func(*badRecord) {
	return func(b *badRecord) { b.search, b.cache, b.lake = search, cache, lake }
}

var (
	isKept   = outcome{fate: kept}
	isGone   = outcome{fate: gone}
	itsValue = func(names string) outcome { return outcome{rejected, ofValue, names} }
	itsKey   = func(names string) outcome { return outcome{rejected, ofKey, names} }
	itsPut   = func(names string) outcome { return outcome{rejected, ofPut, names} }
)

// badRecords is the table. other is the entry of another table's schema.
func badRecords(other *json.SchemaEntry) []badRecord {
	usual := item(badID, "", "")
	var all []badRecord
	add := func(what string, fates func(*badRecord), change func(*badRecord)) {
		b := badRecord{what: what, typed: true, key: []byte(`{"id":7}`), value: envelope("c", "null", usual), id: "7"}
		fates(&b)
		change(&b)
		all = append(all, b)
	}
	value := func(what, v string, fates func(*badRecord)) {
		add(what, fates, func(b *badRecord) { b.value = []byte(v) })
	}
	column := func(what, name, literal string, fates func(*badRecord)) {
		value(what, string(envelope("c", "null", item(badID, name, literal))), fates)
	}
	key := func(what string, k []byte, fates func(*badRecord)) {
		add(what, fates, func(b *badRecord) { b.key = k })
	}
	header := func(what, name, text string, fates func(*badRecord)) {
		add(what, fates, func(b *badRecord) { b.headers = map[string]string{name: text} })
	}
	plain := func(what, k, v, id string, fates func(*badRecord)) {
		add(what, fates, func(b *badRecord) { b.typed, b.key, b.value, b.id = false, []byte(k), []byte(v), id })
	}
	whole := string(envelope("c", "null", usual))

	// Text that is no JSON, or not what it should be.
	value("JSON that ends too early", whole[:len(whole)/2], everywhere(itsValue("too early")))
	value("text behind the JSON value", whole+"}", everywhere(itsValue("something follows")))
	value("brackets that do not match", strings.Replace(whole, `},"source"`, `],"source"`, 1), everywhere(itsValue("byte")))
	value("JSON nested 10,000 levels deep (more than 1,000)", strings.Replace(whole, `"op"`, `"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`,"op"`, 1), everywhere(itsValue("nested too deeply")))
	value("a member that comes twice: the last one counts", strings.Replace(whole, `"i16":1`, `"i16":1,"i16":2`, 1), everywhere(isKept))
	value("a byte order mark", "\ufeff"+whole, everywhere(itsValue("byte 0")))
	value("invalid UTF-8", strings.Replace(whole, `"txt":"x"`, "\"txt\":\"a\xff\"", 1), everywhere(itsValue(`field "txt": text that is not UTF-8`)))
	value("half of a surrogate pair (\\ud800): U+FFFD", strings.Replace(whole, `"txt":"x"`, `"txt":"\ud800"`, 1), everywhere(isKept))
	value("nothing at all", "", everywhere(itsValue("too early")))

	// Values that are not of their column's type.
	column("text in an integer", "i32", `"12"`, everywhere(itsValue(`field "i32": no integer`)))
	column("an integer beyond int16", "i16", "32768", everywhere(itsValue(`field "i16": an integer beyond`)))
	column("an integer beyond int32", "i32", "-2147483649", everywhere(itsValue(`field "i32": an integer beyond`)))
	column("an integer beyond int64", "i64", "9223372036854775808", everywhere(itsValue(`field "i64": an integer of more than 64 bits`)))
	column("10,000 digits in an integer", "i64", strings.Repeat("9", 10_000), everywhere(itsValue(`field "i64"`)))
	column("1e400 in a double", "f64", "1e400", everywhere(itsValue(`field "f64": a number beyond`)))
	column("a text in a boolean", "flag", `"true"`, everywhere(itsValue(`field "flag"`)))
	column("a number in a text", "txt", "5", everywhere(itsValue(`field "txt": no text`)))
	column("an object in a text", "txt", "{}", everywhere(itsValue(`field "txt": no text`)))
	column("bytes that are not base64", "bin", `"a*b"`, everywhere(itsValue(`field "bin": no bytes in base64`)))
	column("a decimal that is not base64", "dec", `"?"`, everywhere(itsValue(`field "dec": no decimal`)))
	column("a decimal of 40,000 bytes", "dec", `"`+strings.Repeat("AAAA", 10_000)+`"`, everywhere(itsValue(`field "dec": a decimal of too many digits`)))
	column("a decimal finer than its scale", "dec", "1.234", everywhere(itsValue(`field "dec": a number with more digits`)))
	column("a decimal of more than 38 digits", "dec", strings.Repeat("9", 60), each(isKept, isKept, itsPut("column dec")))
	column("NaN", "f64", `"NaN"`, each(itsPut("f64"), isKept, isKept))
	column("Infinity", "f32", `"-Infinity"`, each(itsPut("f32"), isKept, isKept))
	column("a text with NUL", "txt", `"a\u0000b"`, everywhere(isKept))
	column("a required column that is missing", "", "", everywhere(itsValue(`field "id": missing`)))
	all[len(all)-1].value = envelope("c", "null", `{"i16":1}`)
	column("a column that the schema does not have", "", "", everywhere(itsValue(`field "extra": not a field`)))
	all[len(all)-1].value = envelope("c", "null", strings.Replace(usual, `"i16"`, `"extra":1,"i16"`, 1))
	column("a text of 30 MB", "txt", `"`+strings.Repeat("thirty megabytes ", gigantic/17)+`"`, everywhere(isKept))
	column("a broken record of 30 MB", "txt", `"`+strings.Repeat("thirty megabytes ", gigantic/17), everywhere(itsValue("byte")))

	// Dates and times out of range.
	column("the day -2^31", "day", "-2147483648", each(isKept, isKept, itsPut("column day")))
	column("the day 2^31-1", "day", "2147483647", everywhere(isKept))
	column("-2^63 ms", "ms", "-9223372036854775808", each(itsPut("[ms]"), isKept, itsPut("column ms")))
	column("2^63-1 ms", "ms", "9223372036854775807", each(isKept, isKept, itsPut("column ms")))
	column("-2^63 µs", "us", "-9223372036854775808", everywhere(isKept))
	column("2^63-1 µs", "us", "9223372036854775807", everywhere(isKept))
	column("a time of day of 2^63-1 µs", "tod", "9223372036854775807", each(isKept, isKept, itsPut("column tod")))
	column("2024-02-31 as an instant's text", "zts", `"2024-02-31T00:00:00Z"`, each(itsPut("zts"), isKept, itsPut("column zts")))
	column("the year 0 as an instant's text", "zts", `"0000-01-01T00:00:00Z"`, everywhere(isKept))
	column("the year 10000 as an instant's text", "zts", `"+10000-01-01T00:00:00Z"`, each(itsPut("[zts]"), isKept, itsPut("column zts")))
	column("an instant's text without an offset", "zts", `"2024-01-01T00:00:00"`, each(isKept, isKept, itsPut("column zts")))
	column("an instant's text that is no date", "zts", `"soon"`, each(itsPut("zts"), isKept, itsPut("column zts")))

	// Envelopes that say too little.
	value("no op", strings.Replace(whole, `"op":"c",`, "", 1), everywhere(itsValue(`"before": not a field`)))
	value("an op that Debezium does not have", string(envelope("x", "null", usual)), everywhere(itsValue(`field "op": "x"`)))
	value("op c without a row after", string(envelope("c", "null", "null")), everywhere(itsValue(`field "after": it is null`)))
	value("op u without a row after", string(envelope("u", usual, "null")), everywhere(itsValue(`field "after": it is null`)))
	value("op d without a row before: a delete by the key", string(envelope("d", "null", "null")), everywhere(isGone))
	all[len(all)-1].key = []byte(`{"id":8}`) // of which there is no other record

	// Keys.
	key("an empty key", []byte{}, everywhere(itsKey("too early")))
	key("no key", nil, each(itsPut("no key"), itsPut("no key"), isKept))
	key("a key of another type", []byte(`"seven"`), everywhere(itsKey("byte")))
	key("a key with a field too many", []byte(`{"id":7,"x":1}`), everywhere(itsKey(`field "x": not a field`)))
	key("a key that is not UTF-8", []byte("{\"id\":\"\xff\"}"), everywhere(itsKey("byte")))
	add("a tombstone without a key", each(itsPut("no key"), itsPut("no key"), isKept), func(b *badRecord) { b.key, b.value = nil, nil })

	// Headers.
	header("weir.schema that is no fingerprint", cdc.HeaderSchema, "latest", everywhere(itsValue("weir.schema")))
	header("a fingerprint that no schema has", cdc.HeaderSchema, "00000000deadbeef", everywhere(outcome{waits, ofValue, "waiting for schema 00000000deadbeef"}))
	header("another table's fingerprint", cdc.HeaderSchema, other.Fingerprint, everywhere(itsKey(`field "id": not a field`)))
	header("weir.version that is no number", cdc.HeaderVersion, "now", everywhere(itsValue("weir.version")))
	header("weir.version below 0", cdc.HeaderVersion, "-000000000000000001", everywhere(itsValue("weir.version")))
	header("weir.version of 20 digits", cdc.HeaderVersion, "00000000000000000001", everywhere(itsValue("weir.version")))
	header("weir.version of the far future: it is believed", cdc.HeaderVersion, "9223372036854775806", everywhere(isKept))
	header("a header that is not UTF-8", "x", "\xff", everywhere(isKept))

	// JSON without a schema.
	long := strings.Repeat("k", 600)
	plain("an id of 600 bytes (more than 512)", `{"id":"`+long+`"}`, `{"n":1}`, long, everywhere(isKept))
	plain("an id with NUL", `{"id":"a\u0000b"}`, `{"n":1}`, "a\x00b", everywhere(isKept))
	plain("an id that is an empty text", `{"id":""}`, `{"n":1}`, "", everywhere(isKept))
	plain("an id that begins with weir:, as the names of the Redis sink's own keys", `{"id":"weir:here"}`, `{"n":1}`, "weir:here", each(isKept, itsPut("weir:"), isKept))
	plain("a key without fields", `{}`, `{"n":1}`, "", each(itsPut("no key"), itsPut("no key"), isKept))
	plain("the value null: a delete", `{"id":8}`, `null`, "8", everywhere(isGone))
	plain("a value that is no object", `{"id":7}`, `[1,2]`, "7", each(itsPut("no object"), isKept, itsPut("no object")))
	plain("1e400 without a schema", `{"id":7}`, `{"huge":1e400}`, "7", each(itsPut("huge"), isKept, isKept))
	plain("10,000 digits without a schema", `{"id":7}`, `{"long":`+strings.Repeat("9", 10_000)+`}`, "7", each(itsPut("Number value length"), isKept, isKept))
	plain("900 levels without a schema", `{"id":7}`, `{"deep":`+strings.Repeat(`{"a":`, 900)+"1"+strings.Repeat("}", 901), "7", each(itsPut("depth"), isKept, isKept))
	plain("a field without a name", `{"id":7}`, `{"":1}`, "7", everywhere(itsValue("without a name")))
	plain("5,000 fields without a schema (more than 4,096)", `{"id":7}`, manyFields(5000), "7", everywhere(itsValue("too many different fields")))
	plain("an inline schema of an unknown type", `{"id":7}`, `{"schema":{"type":"int128"},"payload":1}`, "7", everywhere(itsValue("int128")))
	plain("an inline schema of a decimal with 10^9 digits", `{"id":7}`, inline(`"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"1000000000"}`, `"AQ=="`), "7", everywhere(itsValue("scale")))
	plain("a decimal of its own scale of 10^9", `{"id":7}`, inline(`"type":"struct","name":"io.debezium.data.VariableScaleDecimal","version":1,"fields":[{"type":"int32","field":"scale"},{"type":"bytes","field":"value"}]`, `{"scale":1000000000,"value":"AQ=="}`), "7", each(itsPut("[v]"), isKept, itsPut("column v")))
	plain("an inline schema of a map", `{"id":7}`, strings.NewReplacer(`"v"`, `"m"`).Replace(inline(`"type":"map","keys":{"type":"string"},"values":{"type":"int32"}`, `{"a":1}`)), "7", each(isKept, isKept, itsPut("column m")))
	plain("a version in a topic whose records have none", `{"id":7}`, string(envelope("c", "null", `{"id":7}`)), "7", everywhere(outcome{stops, ofValue, "domain weir:shop"}))
	all[len(all)-1].headers = map[string]string{cdc.HeaderVersion: "0000000000000000042"}
	return all
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// inline is a row with one column v of a schema of its own.
func inline(schema, v string) string {
	return `{"schema":{"type":"struct","optional":false,"fields":[{` + schema + `,"optional":true,"field":"v"}]},"payload":{"v":` + v + `}}`
}

// documentID is the id that Elasticsearch has for a key's text.
func documentID(text string) string {
	if len(text) > 0 && len(text) <= 512 {
		return text
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
}
