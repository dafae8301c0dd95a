package mysql

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
)

// opaques are values in JSON that are of types JSON does not have.
var opaques = []string{
	"CAST('2024-02-29' AS DATE)", "CAST('-838:59:58.123456' AS TIME(6))", "CAST('12:34:56' AS TIME)",
	"CAST('2024-02-29 23:59:59.123456' AS DATETIME(6))", "CAST('0001-01-01 00:00:00' AS DATETIME)",
	"CAST(12345.678900 AS DECIMAL(20,6))", "CAST(-99999999999999999999 AS DECIMAL(30,0))", "CAST(0.10 AS DECIMAL(5,2))",
	"CAST(-0.000001 AS DECIMAL(65,30))", "x'00FF10'", "CAST(x'61' AS BINARY(3))", "b'1010'",
	"CAST(REPEAT(x'FE', 200) AS BINARY)", "ST_GeomFromText('POINT(1 2)')", "CAST(18446744073709551615 AS UNSIGNED)", "NULL", "true",
	"CAST(2024 AS YEAR)", "CAST(0.1 AS FLOAT)",
}

// randomJSON makes the text of a document.
func randomJSON(r *rand.Rand, depth int) any {
	switch r.IntN(9 - min(depth, 2)) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64()) >> r.IntN(64)
	case 3:
		return r.Uint64() >> r.IntN(64)
	case 4, 5:
		return json.Number(floatText(r))
	case 6:
		return randomText(r, 40)
	case 7:
		out := make([]any, r.IntN(6))
		for i := range out {
			out[i] = randomJSON(r, depth+1)
		}
		return out
	}
	out := map[string]any{}
	for range r.IntN(6) {
		out[randomText(r, 8)] = randomJSON(r, depth+1)
	}
	return out
}

// floatText is any double that is not infinite.
func floatText(r *rand.Rand) string {
	f := math.Float64frombits(r.Uint64())
	if r.IntN(2) == 0 {
		f = (r.Float64() - 0.5) * math.Pow(10, float64(r.IntN(44)-22))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = math.Copysign(0, -1)
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

func randomText(r *rand.Rand, most int) string {
	runes := []rune("abcdefgh  \"\\/\b\f\n\r\t\x00\x01\x1f\x7f<>&'éü€日本😀\u2028")
	out := make([]rune, r.IntN(most+1))
	for i := range out {
		out[i] = runes[r.IntN(len(runes))]
	}
	return string(out)
}

func jsonText(r *rand.Rand, depth int) string {
	b, err := json.Marshal(randomJSON(r, depth))
	if err != nil {
		panic(err)
	}
	return "CAST(" + literalOf(string(b)) + " AS JSON)"
}

func literalOf(text string) string {
	return "_utf8mb4 x'" + fmt.Sprintf("%x", text) + "'"
}

// TestJSON demands one text of a document from the log's binary form and from
// the server's text, for documents of everything the server puts into them.
func TestJSON(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.mark()
	l.run("CREATE TABLE j (id INT PRIMARY KEY, d JSON, n JSON NOT NULL)")
	r := rand.New(rand.NewPCG(7, 7))
	id := 0
	insert := func(d, n string) {
		id++
		l.run(fmt.Sprintf("INSERT INTO j VALUES (%d, %s, %s)", id, d, n))
	}
	for range 150 {
		insert(jsonText(r, 0), jsonText(r, 0))
	}
	for _, o := range opaques {
		insert("JSON_ARRAY("+o+", JSON_OBJECT('k', "+o+"))", "JSON_OBJECT('', "+o+")")
	}
	insert("NULL", "CAST('\"scalar\"' AS JSON)")
	insert("CAST(CONCAT('[\"', REPEAT('é', 40000), '\", {\"a\": ', REPEAT('[', 90), REPEAT(']', 90), '}]') AS JSON)", "JSON_ARRAY()")
	var doubles []string
	for range 2000 {
		doubles = append(doubles, floatText(r))
	}
	for e := -20; e < 25; e++ {
		doubles = append(doubles, fmt.Sprintf("1e%d", e), fmt.Sprintf("-1.5e%d", e), fmt.Sprintf("9.99999999999999e%d", e))
	}
	insert("CAST('["+strings.Join(doubles, ",")+"]' AS JSON)", "JSON_OBJECT()")
	l.equalBothWays([]string{"j"})
}

// TestPartialJSON changes documents in all the ways that the log has as changes
// instead of documents, and demands each time what the table then has.
func TestPartialJSON(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.run("CREATE TABLE p (id INT PRIMARY KEY, a JSON, v VARCHAR(20), b JSON, big JSON)",
		"SET binlog_row_value_options = 'PARTIAL_JSON'")
	o := &ValueOptions{}
	schema := l.schema("p", o)
	l.mark()
	l.run(`INSERT INTO p VALUES (1, '{"a":1,"b":[1,2,{"c":"ccc"}],"key with \\"quotes\\"":{"x":[]},"é":true}', 'v', '[1,[2,[3]],{"k":"v"}]', JSON_OBJECT('pad', REPEAT('p', 3000), 'n', 1))`)
	want := []*cdc.Row{l.snapshot(schema, o)[0]}
	r := rand.New(rand.NewPCG(3, 4))
	paths := []string{
		"$.a", "$.b[0]", "$.b[1]", "$.b[last]", "$.b[2].c", "$.\"key with \\\"quotes\\\"\".x", "$.\"key with \\\"quotes\\\"\".y", "$.\"é\"",
		"$.new", "$.b[7]", "$.b[2].d.e", "$.a[1]", "$.\"\"", "$.zz.y",
	}
	functions := []string{"JSON_SET", "JSON_REPLACE", "JSON_REMOVE", "JSON_SET", "JSON_REPLACE"}
	for range 300 {
		change := func(column string) string {
			f, path := functions[r.IntN(len(functions))], "'"+strings.ReplaceAll(paths[r.IntN(len(paths))], `\`, `\\`)+"'"
			if f == "JSON_REMOVE" {
				return column + " = JSON_REMOVE(" + column + ", " + path + ")"
			}
			second := ""
			if r.IntN(3) == 0 {
				second = ", '" + strings.ReplaceAll(paths[r.IntN(len(paths))], `\`, `\\`) + "', " + jsonText(r, 1)
			}
			return column + " = " + f + "(" + column + ", " + path + ", " + jsonText(r, 2) + second + ")"
		}
		sets := []string{change("a"), change("b"), "v = '" + strconv.Itoa(r.IntN(3)) + "'", "big = JSON_SET(big, '$.n', " + strconv.Itoa(r.IntN(100)) + ")"}
		l.run("UPDATE p SET " + strings.Join(sets[r.IntN(2):2+r.IntN(3)], ", "))
		want = append(want, l.snapshot(schema, o)[0])
	}
	got := l.changes(map[string]*TableSchema{"p": schema}, o)
	n := 0
	for _, c := range got {
		for n+1 < len(want) && n > 0 && rowsEqual(want[n], want[n-1]) { // an update that changed nothing is not logged
			n++
		}
		l.sameRow(fmt.Sprintf("change %d", n), schema, &c.after, want[n])
		if t.Failed() {
			return
		}
		n++
	}
	if len(got) < 100 {
		t.Errorf("only %d changes were logged", len(got))
	}
}

func rowsEqual(a, b *cdc.Row) bool {
	for i := range a.Values {
		if !a.Values[i].Equal(&b.Values[i]) {
			return false
		}
	}
	return true
}

// TestVector reads MySQL's vectors.
func TestVector(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.mark()
	l.run("CREATE TABLE v (id INT PRIMARY KEY, v VECTOR(3), w VECTOR NOT NULL)",
		"INSERT INTO v VALUES (1, STRING_TO_VECTOR('[1,2.5,-3]'), STRING_TO_VECTOR('[0.1]')), (2, NULL, STRING_TO_VECTOR('[1e10,-1e-10]'))")
	l.equalBothWays([]string{"v"})
}

// TestCompressedTransactions reads transactions that are one event: small ones,
// which are uncompressed at once, and large ones, which are streamed.
func TestCompressedTransactions(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.mark()
	l.run("CREATE TABLE c (id INT PRIMARY KEY, t LONGTEXT)", "SET binlog_transaction_compression = ON",
		"INSERT INTO c VALUES (1, 'small')", "BEGIN")
	for id := 2; id < 40; id++ {
		l.run(fmt.Sprintf("INSERT INTO c VALUES (%d, REPEAT('%d', %d))", id, id, 20000*id))
	}
	l.run("COMMIT", "INSERT INTO c VALUES (50, 'after')", "SET binlog_transaction_compression = OFF", "INSERT INTO c VALUES (51, 'plain')")
	l.equalBothWays([]string{"c"})
}

// TestRowImages reads images that lack columns.
func TestRowImages(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.run("CREATE TABLE i (id INT PRIMARY KEY, a INT, b TEXT, c VARCHAR(9), d JSON)", "SET binlog_row_image = 'NOBLOB'")
	o := &ValueOptions{}
	schema := l.schema("i", o)
	l.mark()
	l.run("INSERT INTO i VALUES (1, 2, 'text', 'v', '{}')", "UPDATE i SET a = 3", "SET binlog_row_image = 'MINIMAL'",
		"UPDATE i SET c = NULL", "DELETE FROM i")
	var got []string
	for _, c := range l.changes(map[string]*TableSchema{"i": schema}, o) {
		got = append(got, fmt.Sprintf("%c %s > %s", c.op, kindsOf(&c.before), kindsOf(&c.after)))
	}
	want := []string{"c  > int int string string string", "u int int absent string string > int int absent string string",
		"u int absent absent absent absent > absent absent absent null absent", "d int absent absent absent absent > "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func kindsOf(r *cdc.Row) string {
	names := map[cdc.Kind]string{cdc.KindNull: "null", cdc.KindAbsent: "absent", cdc.KindInt: "int", cdc.KindString: "string"}
	var out []string
	for i := range r.Values {
		out = append(out, names[r.Values[i].Kind()])
	}
	return strings.Join(out, " ")
}

// TestExcludedColumns passes over columns that are not published, and reads
// those of the key all the same.
func TestExcludedColumns(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.mark()
	var tables []string
	for table, columns := range liveColumns {
		l.fill(table, columns, 30)
		tables = append(tables, table)
	}
	o := &ValueOptions{}
	schemas := map[string]*TableSchema{}
	for _, table := range tables {
		schemas[table] = withoutOdd(l.schema(table, o))
	}
	logged := map[string][]*loggedChange{}
	for _, c := range l.changes(schemas, o) {
		logged[c.table] = append(logged[c.table], c)
	}
	for _, table := range tables {
		for n, row := range l.snapshot(schemas[table], o) {
			l.sameRow(table, schemas[table], &logged[table][n].after, row)
		}
	}
}

// withoutOdd leaves out every other column, and moves the key's out of the value.
func withoutOdd(t *TableSchema) *TableSchema {
	out := *t
	table := *t.Table
	out.Table, out.Fields, out.Ordinals = &table, nil, nil
	for i := 1; i < len(t.Fields); i += 2 {
		out.Fields, out.Ordinals = append(out.Fields, t.Fields[i]), append(out.Ordinals, t.Ordinals[i])
	}
	table.Value = cdc.NewSchema(t.Value.Name+"Odd", out.Fields...)
	out.Fields, out.Ordinals = append(out.Fields, t.Fields[0]), append(out.Ordinals, t.Ordinals[0])
	return &out
}

// TestMinimalMetadata reads a log that has neither names nor character sets.
func TestMinimalMetadata(t *testing.T) {
	l := live(t, servers.NewMySQL(t, "--binlog-row-metadata=MINIMAL"), false)
	l.mark()
	var tables []string
	for table, columns := range liveColumns {
		l.fill(table, columns, 40)
		tables = append(tables, table)
	}
	l.equalBothWays(tables)
}

// TestTransactionEvents reads the events around the rows: GTIDs with tags, XA,
// save points, statements, rotation.
func TestTransactionEvents(t *testing.T) {
	l := live(t, servers.NewMySQL(t), false)
	l.run("CREATE TABLE x (id INT PRIMARY KEY)", "SET binlog_rows_query_log_events = ON")
	l.mark()
	l.run("INSERT INTO x VALUES (1)",
		"SET gtid_next = 'AUTOMATIC:a_tag'", "INSERT INTO x VALUES (2)", "SET gtid_next = 'AUTOMATIC'",
		"XA START 'g\\'1', x'00ff', 7", "INSERT INTO x VALUES (3)", "XA END 'g\\'1', x'00ff', 7", "XA PREPARE 'g\\'1', x'00ff', 7",
		"XA COMMIT 'g\\'1', x'00ff', 7",
		"XA START 'one'", "INSERT INTO x VALUES (4)", "XA END 'one'", "XA COMMIT 'one' ONE PHASE",
		"XA START 'gone'", "INSERT INTO x VALUES (5)", "XA END 'gone'", "XA PREPARE 'gone'", "XA ROLLBACK 'gone'",
		"BEGIN", "INSERT INTO x VALUES (6)", "SAVEPOINT s", "INSERT INTO x VALUES (7)", "ROLLBACK TO s", "COMMIT",
		"FLUSH BINARY LOGS",
		"SET binlog_format = STATEMENT", "/* a comment */ INSERT INTO x VALUES (8)", "SET binlog_format = ROW")
	var got []string
	seen := &gtidSet{}
	p := newParser(false, func(m *tableMap) (*plan, error) { return nil, nil })
	l.events(func(raw []byte) {
		e, err := p.parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		switch e.kind {
		case eventPreviousGTIDs:
			set, err := parsePreviousGTIDs(e.data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parsePreviousGTIDs(set.appendBinary(nil))
			if err != nil || !again.equal(set) {
				t.Errorf("%s came back as %s: %v", set, again, err)
			}
			seen.union(set)
		case eventGTID:
			if seen.has(&e.gtid) || e.gtid.originalMicros == 0 {
				t.Errorf("GTID %s again, or without a time", e.gtid.appendText(nil))
			}
			seen.add(&e.gtid)
			got = append(got, "gtid "+string(e.gtid.tag))
		case eventQuery:
			got = append(got, fmt.Sprintf("query %d %s", e.query.kind(), e.query.text()))
		case eventXAPrepare:
			got = append(got, fmt.Sprintf("prepare %v %s", e.xa.onePhase, e.xa.id))
		case eventRowsQuery:
			got = append(got, "rows of "+string(e.data))
		case eventXID:
			got = append(got, "xid")
		}
	})
	want := []string{
		"gtid ", "query 1 BEGIN", "rows of INSERT INTO x VALUES (1)", "xid",
		"gtid a_tag", "query 1 BEGIN", "rows of INSERT INTO x VALUES (2)", "xid",
		"gtid ", "query 5 XA START X'672731',X'00ff',7", "rows of INSERT INTO x VALUES (3)", "query 6 XA END X'672731',X'00ff',7",
		"prepare false X'672731',X'00ff',7", "gtid ", "query 7 XA COMMIT X'672731',X'00ff',7",
		"gtid ", "query 5 XA START X'6f6e65',X'',1", "rows of INSERT INTO x VALUES (4)", "query 6 XA END X'6f6e65',X'',1", "prepare true X'6f6e65',X'',1",
		"gtid ", "query 5 XA START X'676f6e65',X'',1", "rows of INSERT INTO x VALUES (5)", "query 6 XA END X'676f6e65',X'',1", "prepare false X'676f6e65',X'',1",
		"gtid ", "query 8 XA ROLLBACK X'676f6e65',X'',1",
		"gtid ", "query 1 BEGIN", "rows of INSERT INTO x VALUES (6)", "query 4 SAVEPOINT `s`", "xid",
		"gtid ", "query 1 BEGIN", "query 9 /* a comment */ INSERT INTO x VALUES (8)", "xid",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	l.executed(seen)
}

// executed demands that seen, the log from the file's beginning, is what the
// server has executed, in its own text.
func (l *liveServer) executed(seen *gtidSet) {
	l.Helper()
	var text string
	if err := l.conn.QueryRowContext(l.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&text); err != nil {
		l.Fatal(err)
	}
	set, err := parseGTIDSet(text)
	if err != nil {
		l.Fatal(err)
	}
	if got, want := seen.String(), strings.ReplaceAll(text, "\n", ""); got != want || set.String() != want {
		l.Errorf("the log has %s, the server %s, parsed %s", got, want, set)
	}
}

// TestUnchangedJSON: an update that leaves a document alone has it twice, also
// next to one that changes and between NULLs.
func TestUnchangedJSON(t *testing.T) {
	l := live(t, servers.MySQL(t), false)
	l.run("CREATE TABLE u (id INT PRIMARY KEY, a JSON, b JSON, n INT)")
	o := &ValueOptions{}
	schema := l.schema("u", o)
	l.mark()
	l.run(`INSERT INTO u VALUES (1, '{"x": [1, "one"]}', NULL, 0), (2, NULL, '[2]', 0), (3, '{"x": [1, "one"]}', '[2]', 0)`,
		"UPDATE u SET n = n + 1", `UPDATE u SET b = '{"new": 1}', n = n + 1`, "UPDATE u SET a = b, b = NULL", `UPDATE u SET a = '{"x": [1, "one"]}'`)
	now := map[int64]string{}
	text := func(r *cdc.Row) string { return fmt.Sprint(r.Values[1:]) }
	updates := 0
	for _, c := range l.changes(map[string]*TableSchema{"u": schema}, o) {
		id := c.after.Values[0].Int()
		if c.op == cdc.OpUpdate {
			updates++
			if got := text(&c.before); got != now[id] {
				t.Errorf("row %d was %s, the update says %s", id, now[id], got)
			}
		}
		now[id] = text(&c.after)
	}
	for _, row := range l.snapshot(schema, o) {
		if id := row.Values[0].Int(); now[id] != text(row) {
			t.Errorf("row %d is %s, the log says %s", id, text(row), now[id])
		}
	}
	if updates != 12 {
		t.Errorf("%d updates", updates)
	}
}
