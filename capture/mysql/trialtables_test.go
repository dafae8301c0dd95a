package mysql_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
)

// trialKind is a kind of table that a snapshot reads in its own way. Every
// table has, beside its key, the columns v and pad, and n: the number of the
// write that made the row what it is, which only grows for a key.
type trialKind struct {
	name    string
	columns []trialColumn
	index   string // how the columns make a key; "" for none
	groups  int    // how many different keys there are
	// variants is how many ways there are to write a key of one group: all are
	// the same to the server, and different bytes.
	variants int
	key      func(group, variant int) []string // literals for the columns
	mysql    bool                              // MariaDB has no such collation
	mariadb  bool                              // MySQL has no such collation
	rebinds  string                            // a statement that changes the order of the keys, of table %s
}

type trialColumn struct {
	name, definition string
	compare          string // an expression of %[1]s that is as events have it; "": the column itself
}

// trialTable is a table of one trial.
type trialTable struct {
	*trialKind
	id string // its name
	// stripes hold those who write keys of a group until they have committed,
	// so that the numbers of a key grow in the order of its commits.
	stripes [16]sync.Mutex
	extras  []int // columns that were added
}

func (k *trialKind) create(name string) string {
	var columns []string
	for _, c := range k.columns {
		columns = append(columns, c.name+" "+c.definition+" NOT NULL")
	}
	columns = append(columns, "v INT", "n BIGINT NOT NULL", "pad VARCHAR(3000) CHARACTER SET latin1")
	if k.index != "" {
		columns = append(columns, k.index)
	}
	return "CREATE TABLE " + name + " (" + strings.Join(columns, ", ") + ")"
}

// where is the condition for one key.
func (k *trialKind) where(key []string) string {
	parts := make([]string, len(key))
	for i, c := range k.columns {
		parts[i] = c.name + " = " + key[i]
	}
	return strings.Join(parts, " AND ")
}

func (k *trialKind) names() string {
	names := make([]string, len(k.columns))
	for i, c := range k.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// words are the starts of text keys: letters that collations order by other
// rules than their bytes, and characters that are special to SQL.
var words = []string{"a", "Z", "é", "ä", "x'y", `b\c`, "_", "ø", "ab c", "%"}

// word is the text of a key: its number keeps groups apart whatever the
// collation makes of the letters.
func word(words []string, group int) string {
	return fmt.Sprintf("%s%d", words[group%len(words)], group)
}

func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// wordKey makes keys that a collation of the kind "ci" holds for equal: in
// capitals, and with blanks behind where the collation pads.
func wordKey(words []string, padded bool) func(group, variant int) []string {
	return func(group, variant int) []string {
		w := word(words, group)
		switch {
		case variant == 1:
			w = strings.ToUpper(w)
		case variant == 2 && padded:
			w += "  "
		case variant == 2:
			w = strings.NewReplacer("a", "á", "x", "X").Replace(w)
		}
		return []string{quoted(w)}
	}
}

// byteKey makes keys that differ in nothing but case, accents, or blanks
// behind them, where the collation tells these apart.
func byteKey(blanks bool) func(group, variant int) []string {
	ends := []string{"", "X", "x", "é", "e"}
	if blanks {
		ends = append(ends, " ", "  ")
	}
	return func(group, _ int) []string {
		return []string{quoted(fmt.Sprintf("%d%s", group/len(ends), ends[group%len(ends)]))}
	}
}

func textKind(name, collation string, variants int, key func(group, variant int) []string) trialKind {
	charset, _, _ := strings.Cut(collation, "_")
	return trialKind{name: name, columns: []trialColumn{{"k", "VARCHAR(40) CHARACTER SET " + charset + " COLLATE " + collation, ""}},
		index: "PRIMARY KEY (k)", groups: 120, variants: variants, key: key}
}

// rebound lets the order of the keys change in the middle.
func rebound(k trialKind, collation string) trialKind {
	k.rebinds = "ALTER TABLE %s MODIFY k VARCHAR(40) CHARACTER SET utf8mb4 COLLATE " + collation + " NOT NULL"
	return k
}

func oneColumn(name, definition, compare string, groups int, literal func(group int) string) trialKind {
	return trialKind{name: name, columns: []trialColumn{{"k", definition, compare}}, index: "PRIMARY KEY (k)", groups: groups, variants: 1,
		key: func(group, _ int) []string { return []string{literal(group)} }}
}

func moment(group int) time.Time {
	return time.Unix(1_700_000_000+int64(group/7)*3599, int64(group%7)*1000+int64(group%3)*500_000_000).UTC()
}

// trialKinds are all kinds.
var trialKinds = append([]trialKind{
	oneColumn("ints", "BIGINT UNSIGNED", "CAST(%[1]s AS SIGNED)", 200, func(g int) string {
		if g%3 == 0 {
			return fmt.Sprint(^uint64(0) - uint64(g)) // above what int64 has
		}
		return fmt.Sprint(g)
	}),
	oneColumn("decimals", "DECIMAL(12,3)", "", 120, func(g int) string { return fmt.Sprintf("%.3f", float64(g-60)*10.125) }),
	oneColumn("datetimes", "DATETIME(6)", "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %[1]s)", 120, func(g int) string {
		return "'" + moment(g).Format("2006-01-02 15:04:05.000000") + "'"
	}),
	oneColumn("stamps", "TIMESTAMP", "DATE_FORMAT(CONVERT_TZ(%[1]s, @@session.time_zone, '+00:00'), '%%Y-%%m-%%dT%%H:%%i:%%sZ')", 120, func(g int) string {
		return "'" + moment(7*g).Format("2006-01-02 15:04:05") + "'"
	}),
	oneColumn("times", "TIME", "TIME_TO_SEC(%[1]s) * 1000000", 120, func(g int) string {
		if g%2 == 0 {
			return fmt.Sprintf("'-%d:10:0%d'", g*3, g%10)
		}
		return fmt.Sprintf("'%d:10:0%d'", g*3, g%10)
	}),
	oneColumn("bytes", "VARBINARY(20)", "REPLACE(TO_BASE64(%[1]s), '\\n', '')", 120, func(g int) string {
		ends := []string{"", "\x00", "\x00\x00", " ", "\xff", "'\\"}
		return "x'" + hex.EncodeToString([]byte{byte(250 - g/len(ends))}) + hex.EncodeToString([]byte(ends[g%len(ends)])) + "'"
	}),
	oneColumn("enums", "ENUM('z','a','m','b','y','Q','é','01','10','9')", "", 10, func(g int) string { return fmt.Sprint(g + 1) }),
	oneColumn("sets", "SET('z','a','m','b')", "", 15, func(g int) string { return fmt.Sprint(g + 1) }),
	oneColumn("floats", "FLOAT", "", 40, func(g int) string { return fmt.Sprintf("%g", float64(g-20)+0.25) }),
	{name: "pairs", columns: []trialColumn{{"a", "INT", ""}, {"b", "CHAR(3) CHARACTER SET latin1", ""}}, index: "PRIMARY KEY (a, b)", groups: 150, variants: 2,
		key: func(g, variant int) []string {
			return []string{fmt.Sprint(g/6 - 10), fmt.Sprintf("'%c'", []int{'a', 'A'}[variant]+g%6)}
		}},
	{name: "triples", columns: []trialColumn{{"d", "DATE", "DATEDIFF(%[1]s, '1970-01-01')"},
		{"s", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", ""}, {"i", "SMALLINT", ""}},
		index: "PRIMARY KEY (d, s, i)", groups: 150, variants: 2,
		key: func(g, variant int) []string {
			return []string{"'" + moment(g/50*7).AddDate(0, 0, g/50).Format("2006-01-02") + "'", wordKey(words, true)(g/5%10, variant)[0], fmt.Sprint(g%5 - 2)}
		}},
	{name: "mixed", columns: []trialColumn{{"i", "INT", ""}, {"e", "ENUM('z','a','m')", ""}}, index: "PRIMARY KEY (i, e)", groups: 30, variants: 1,
		key: func(g, _ int) []string { return []string{fmt.Sprint(g / 3), fmt.Sprint(g%3 + 1)} }},
	{name: "bare", columns: []trialColumn{{"k", "INT", ""}}, groups: 12, variants: 1, key: func(g, _ int) []string { return []string{fmt.Sprint(g)} }},
	{name: "uniques", columns: []trialColumn{{"k", "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ""}}, index: "UNIQUE KEY (k)", groups: 120, variants: 1,
		key: byteKey(false)},
}, trialTexts...)

var trialTexts = []trialKind{
	func() trialKind {
		k := textKind("ai", "utf8mb4_0900_ai_ci", 3, wordKey(append(words, "中", "😀", "ß"), false))
		k.mysql = true
		return rebound(k, "utf8mb4_0900_bin")
	}(),
	func() trialKind {
		k := textKind("nopad", "utf8mb4_0900_as_cs", 1, byteKey(true))
		k.mysql = true
		return rebound(k, "utf8mb4_0900_bin")
	}(),
	func() trialKind {
		k := textKind("unicodenopad", "utf8mb4_unicode_nopad_ci", 3, wordKey(append(words, "中", "ß"), false))
		k.mariadb = true
		return rebound(k, "utf8mb4_nopad_bin")
	}(),
	func() trialKind {
		k := textKind("nopadbin", "utf8mb4_nopad_bin", 1, byteKey(true))
		k.mariadb = true
		return k
	}(),
	rebound(textKind("general", "utf8mb4_general_ci", 3, wordKey(append(words, "中", "ß"), true)), "utf8mb4_bin"),
	rebound(textKind("unicode", "utf8mb4_unicode_ci", 3, wordKey(append(words, "中", "ß"), true)), "utf8mb4_bin"),
	textKind("bin", "utf8mb4_bin", 1, byteKey(false)),
	textKind("swedish", "latin1_swedish_ci", 3, wordKey(words, true)),
}
