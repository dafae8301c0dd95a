package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// column is a column of a workload's table and how its values are made.
type column struct {
	name, ddl string
	value     func(*rand.Rand) any
	// expression is what the value is a parameter of; "" is the value itself.
	expression string
}

// table is a table of the workload. Its first columns are its key.
type table struct {
	name    string
	columns []column
	keys    int
	// key makes a key that was never made before, of a number that was not.
	key func(r *rand.Rand, n int64) []any
	// seeded is how many rows it has before the capture starts.
	seeded int
}

// create is the statement that creates the table.
func (t *table) create() string {
	var lines, key []string
	for i, c := range t.columns {
		lines = append(lines, c.name+" "+c.ddl)
		if i < t.keys {
			key = append(key, c.name)
		}
	}
	return fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s)) CHARACTER SET utf8mb4", t.name, strings.Join(lines, ", "), strings.Join(key, ", "))
}

// whole is the text that a value is part of.
func (c *column) whole() string {
	if c.expression == "" {
		return "?"
	}
	return c.expression
}

// optional makes every fourth value NULL.
func optional(value func(*rand.Rand) any) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		if r.IntN(4) == 0 {
			return nil
		}
		return value(r)
	}
}

// letters are what texts are made of: what must be escaped somewhere, and what
// takes more than a byte.
var letters = []rune("abcXYZ 0123456789äßéñ世界芙蓉🎉🔔\"'\\|/`\t\n\r\u0001{}[]<>&%$#;:,.")

func words(longest int) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		text := make([]rune, r.IntN(longest))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		return string(text)
	}
}

func between(low, high int64) func(*rand.Rand) any {
	return func(r *rand.Rand) any { return low + r.Int64N(high-low+1) }
}

func oneOf(texts ...string) func(*rand.Rand) any {
	return func(r *rand.Rand) any { return texts[r.IntN(len(texts))] }
}

func decimals(whole, fraction int) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		digits := func(n int) string {
			var b strings.Builder
			for range n {
				b.WriteByte(byte('0' + r.IntN(10)))
			}
			return b.String()
		}
		return []string{"-", ""}[r.IntN(2)] + digits(1+r.IntN(whole)) + "." + digits(fraction)
	}
}

func bytesOf(longest int) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		b := make([]byte, r.IntN(longest+1))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return b
	}
}

func day(r *rand.Rand) string {
	return fmt.Sprintf("%04d-%02d-%02d", 1000+r.IntN(8000), 1+r.IntN(12), 1+r.IntN(28))
}

func clock(r *rand.Rand, digits int) string {
	text := fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60))
	if digits > 0 {
		text += fmt.Sprintf(".%0*d", digits, r.IntN(int(math.Pow10(digits))))
	}
	return text
}

func dates(r *rand.Rand) any { return day(r) }

func datetimes(digits int) func(*rand.Rand) any {
	return func(r *rand.Rand) any { return day(r) + " " + clock(r, digits) }
}

func timestamps(digits int) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		return fmt.Sprintf("%04d-%02d-%02d ", 1971+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)) + clock(r, digits)
	}
}

func times(digits int) func(*rand.Rand) any {
	return func(r *rand.Rand) any {
		if r.IntN(3) > 0 {
			return clock(r, digits)
		}
		return fmt.Sprintf("-%03d:%02d:%02d", r.IntN(838), r.IntN(60), r.IntN(60))
	}
}

func documents(r *rand.Rand) any {
	return fmt.Sprintf(`{"n": %d, "d": %.3f, "big": %d, "text": "größe \"%d\" \\ 🎉", "list": [1, true, null, {"deep": []}]}`,
		r.IntN(1000), r.Float64()*1000, r.Uint64(), r.IntN(10))
}

func floats(r *rand.Rand) any { return (r.Float64() - 0.5) * math.Pow10(r.IntN(20)) }

// numbered is a key of one number.
func numbered(_ *rand.Rand, n int64) []any { return []any{n} }

// tables are the tables of the workload. All but types are there twice over in
// any shop: rows with a number, lines of them, names, and keys of several parts.
func tables() []*table {
	return []*table{
		{name: "orders", keys: 1, key: numbered, seeded: 6000, columns: []column{
			{name: "id", ddl: "BIGINT NOT NULL"},
			{name: "customer_id", ddl: "INT NOT NULL", value: between(1, 500)},
			{name: "status", ddl: "ENUM('NEW','PAID','SHIPPED','DONE') NOT NULL", value: oneOf("NEW", "PAID", "SHIPPED", "DONE")},
			{name: "total", ddl: "DECIMAL(12,2) NOT NULL", value: decimals(10, 2)},
			{name: "note", ddl: "TEXT NULL", value: optional(words(60))},
			{name: "ordered_at", ddl: "DATETIME(3) NOT NULL", value: datetimes(3)},
			{name: "updated_at", ddl: "TIMESTAMP(3) NULL", value: optional(timestamps(3))},
		}},
		{name: "order_lines", keys: 2, key: func(r *rand.Rand, n int64) []any { return []any{n, r.IntN(100)} }, seeded: 2000, columns: []column{
			{name: "order_id", ddl: "BIGINT NOT NULL"}, {name: "line_no", ddl: "SMALLINT UNSIGNED NOT NULL"},
			{name: "sku", ddl: "VARCHAR(20) NOT NULL", value: words(20)},
			{name: "quantity", ddl: "INT UNSIGNED NOT NULL", value: between(0, math.MaxUint32)},
			{name: "discount", ddl: "DECIMAL(5,4) NULL", value: optional(decimals(1, 4))},
		}},
		{name: "names", keys: 1, key: func(r *rand.Rand, n int64) []any { return []any{fmt.Sprint(n, "-", words(24)(r))} }, seeded: 500, columns: []column{
			{name: "name", ddl: "VARCHAR(60) NOT NULL COLLATE utf8mb4_bin"},
			{name: "value", ddl: "MEDIUMTEXT NULL", value: optional(words(4000))},
		}},
		{name: "parts", keys: 3, key: func(r *rand.Rand, n int64) []any { return []any{n % 1000, fmt.Sprint(n, "-", words(8)(r)), day(r)} }, seeded: 500, columns: []column{
			{name: "area", ddl: "INT NOT NULL"}, {name: "code", ddl: "VARCHAR(40) NOT NULL COLLATE utf8mb4_bin"}, {name: "since", ddl: "DATE NOT NULL"},
			{name: "weight", ddl: "DOUBLE NULL", value: optional(floats)},
		}},
		types(),
	}
}

// types is a table with a column of every type. Its keys cross the border of
// signed numbers.
func types() *table {
	t := &table{name: "types", keys: 1, seeded: 700, key: func(_ *rand.Rand, n int64) []any { return []any{uint64(math.MaxInt64) - 500 + uint64(n)} }}
	t.columns = []column{{name: "id", ddl: "BIGINT UNSIGNED NOT NULL"}}
	add := func(name, ddl string, value func(*rand.Rand) any) {
		t.columns = append(t.columns, column{name: name, ddl: ddl + " NULL", value: optional(value)})
	}
	add("i8", "TINYINT", between(-128, 127))
	add("u8", "TINYINT UNSIGNED", between(0, 255))
	add("flag", "TINYINT(1)", between(0, 1))
	add("i16", "SMALLINT", between(-32768, 32767))
	add("i24", "MEDIUMINT", between(-1<<23, 1<<23-1))
	add("u24", "MEDIUMINT UNSIGNED", between(0, 1<<24-1))
	add("i32", "INT", between(math.MinInt32, math.MaxInt32))
	add("i64", "BIGINT", func(r *rand.Rand) any { return int64(r.Uint64()) })
	add("u64", "BIGINT UNSIGNED", func(r *rand.Rand) any { return r.Uint64() })
	add("money", "DECIMAL(30,10)", decimals(20, 10))
	add("wide", "DECIMAL(65,30)", decimals(35, 30))
	add("f32", "FLOAT", func(r *rand.Rand) any { return float32(r.Float64() * 1e6) })
	add("f64", "DOUBLE", floats)
	add("b1", "BIT(1)", between(0, 1))
	add("b13", "BIT(13)", between(0, 1<<13-1))
	add("y", "YEAR", between(1901, 2155))
	add("d", "DATE", dates)
	add("t", "TIME", times(0))
	add("t6", "TIME(6)", times(6))
	add("dt", "DATETIME", datetimes(0))
	add("dt6", "DATETIME(6)", datetimes(6))
	add("ts", "TIMESTAMP", timestamps(0))
	add("ts6", "TIMESTAMP(6)", timestamps(6))
	add("c", "CHAR(10)", words(10))
	add("latin", "VARCHAR(40) CHARACTER SET latin1", oneOf("für", "garçon", "", "plain", "£ 5"))
	add("bin", "BINARY(6)", bytesOf(6))
	add("vbin", "VARBINARY(20)", bytesOf(20))
	add("blb", "BLOB", bytesOf(300))
	add("e", "ENUM('a','b,c','ü')", oneOf("a", "b,c", "ü"))
	add("s", "SET('x','y','z')", oneOf("", "x", "x,z", "x,y,z"))
	add("j", "JSON", documents)
	t.columns = append(t.columns, column{name: "p", ddl: "POINT NULL", expression: "ST_GeomFromText(?)",
		value: optional(func(r *rand.Rand) any { return fmt.Sprintf("POINT(%f %f)", r.Float64()*180, r.Float64()*90) })})
	return t
}
