package compare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// pairs is a table of two keys, (1, a|b) and (2, c\d), and their documents.
func pairs(t *testing.T) (*Table, map[string]string) {
	t.Helper()
	s := servers.MySQL(t)
	database := s.Database(t)
	db := s.Open(t, database)
	onOne(t, db, "CREATE TABLE pairs (value INT, a INT, b VARCHAR(20), PRIMARY KEY (a, b))", `INSERT INTO pairs VALUES (10, 1, 'a|b'), (20, 2, 'c\\d')`)
	table, err := NewTable(t.Context(), db, database, "pairs", TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return table, map[string]string{`1|a\|b`: `{"a":1,"b":"a|b","value":10}`, `2|c\\d`: `{"a":2,"b":"c\\d","value":20,"more":true}`}
}

// listed is a side made by hand, of documents by name.
type listed struct {
	table  *Table
	names  []string
	texts  []string
	before func(pass int) // called at the begin of every reading
	passes int
}

func (l *listed) Each(_ context.Context, each func(*Row) error) error {
	if l.before != nil {
		l.before(l.passes)
	}
	l.passes++
	b := l.table.builder()
	for i, text := range l.texts {
		row := b.document(l.names[i], []byte(text))
		b.place(l.names[i], "")
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

func TestEveryKindOfDifference(t *testing.T) {
	table, good := pairs(t)
	first, second := `1|a\|b`, `2|c\\d`
	for _, c := range []struct {
		name         string
		names, texts []string
		want         Result
	}{
		{"none", []string{first, second}, []string{good[first], good[second]}, Result{Copies: 2}},
		{"missing", []string{first}, []string{good[first]}, Result{Copies: 1, Missing: 1, Examples: []string{`2|c\d is missing in x`}}},
		{"extra", []string{first, second, "3|z"}, []string{good[first], good[second], `{"a":3,"b":"z","value":null}`},
			Result{Copies: 3, Extra: 1, Examples: []string{"3|z is in x and not in the table"}}},
		{"twice", []string{first, second, second}, []string{good[first], good[second], good[second]},
			Result{Copies: 2, Extra: 1, Examples: []string{`2|c\d is in x more than once`}}},
		{"different", []string{first, second}, []string{good[first], `{"a":2,"b":"c\\d","value":null}`},
			Result{Copies: 2, Different: 1, Examples: []string{`2|c\d: value is 20 in the table and NULL in x`}}},
		{"no such value", []string{first, second}, []string{good[first], `{"a":2,"b":"c\\d","value":"text"}`},
			Result{Copies: 2, Different: 1, Examples: []string{`2|c\d: value is 20 in the table and unreadable ("text" is no number) in x`}}},
		{"absent column of default NULL", []string{first, second}, []string{good[first], `{"a":2,"b":"c\\d"}`},
			Result{Copies: 2, Different: 1, Incomplete: 0, Examples: []string{`2|c\d: value is 20 in the table and NULL in x`}}},
		{"absent column without a default", []string{first, second}, []string{good[first], `{"a":2,"value":20}`},
			Result{Copies: 2, Missing: 1, Extra: 1, Examples: []string{"2|absent is in x and not in the table", `2|c\d is missing in x`}}},
		{"misplaced", []string{first, "2|c"}, []string{good[first], good[second]},
			Result{Copies: 2, Different: 1, Examples: []string{`2|c\d is in x under "2|c", not "2|c\\\\d"`}}},
		{"foreign", []string{first, second, "stray"}, []string{good[first], good[second], "no JSON"},
			Result{Copies: 3, Extra: 1, Examples: []string{"stray|NULL is in x and holds no row"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := compared(t, table, "x", &listed{table: table, names: c.names, texts: c.texts}, Options{})
			c.want.Table, c.want.Target, c.want.Source = table.String(), "x", 2
			if got.Different != c.want.Different || !slices.Equal(got.Examples, c.want.Examples) || fmt.Sprint(*got) != fmt.Sprint(c.want) {
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

func TestChangesOnTheirWayAreNoDifferences(t *testing.T) {
	table, good := pairs(t)
	update := func(value int) {
		onOne(t, table.db, fmt.Sprintf("UPDATE %s SET value = %d WHERE a = 1", table.from(), value))
	}
	names := []string{`1|a\|b`, `2|c\\d`}
	stale := `{"a":1,"b":"a|b","value":9}`

	late := &listed{table: table, names: names, texts: []string{stale, good[names[1]]}}
	late.before = func(pass int) {
		if pass == 2 {
			late.texts[0] = good[names[0]]
		}
	}
	equal(t, compared(t, table, "x", late, Options{Rounds: 5, Wait: time.Millisecond}), 2)
	if late.passes != 3 {
		t.Errorf("read %d times", late.passes)
	}

	busy := &listed{table: table, names: names, texts: []string{stale, good[names[1]]}}
	busy.before = func(pass int) { update(100 + pass) }
	if r := compared(t, table, "x", busy, Options{Rounds: 2, Wait: time.Millisecond}); r.Unsettled != 1 || r.Differences() != 0 {
		t.Errorf("%+v", *r)
	}

	lost := &listed{table: table, names: names, texts: []string{stale, good[names[1]]}}
	wantDifference(t, compared(t, table, "x", lost, Options{Rounds: 2, Wait: time.Millisecond}), "1|a|b: value is ")
}

func TestNoMoreExamplesThanAskedFor(t *testing.T) {
	table, _ := pairs(t)
	onOne(t, table.db, "DELETE FROM "+table.from())
	for i := range 30 {
		onOne(t, table.db, fmt.Sprintf("INSERT INTO %s VALUES (1, %d, 'x')", table.from(), i))
	}
	r := compared(t, table, "x", &listed{table: table}, Options{Examples: 3})
	if r.Missing != 30 || len(r.Examples) != 3 {
		t.Errorf("%+v", *r)
	}
}

func TestColumnsAddedLater(t *testing.T) {
	table, good := pairs(t)
	onOne(t, table.db, "ALTER TABLE "+table.from()+" ADD COLUMN level INT NOT NULL DEFAULT 5, ADD COLUMN note TEXT, ADD COLUMN rate FLOAT DEFAULT 0.1")
	table, err := NewTable(t.Context(), table.db, table.Database, table.Name, TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{`1|a\|b`, `2|c\\d`}
	old := &listed{table: table, names: names, texts: []string{good[names[0]], good[names[1]]}}
	r := compared(t, table, "x", old, Options{})
	if r.Incomplete != 2 {
		t.Errorf("%+v", *r)
	}
	equal(t, r, 2)
	onOne(t, table.db, "UPDATE "+table.from()+" SET level = 6 WHERE a = 2")
	wantDifference(t, compared(t, table, "x", old, Options{}), `2|c\d: level is 6 in the table and 5 in x`)
}

func TestTablesThatCannotBeCompared(t *testing.T) {
	s := servers.MySQL(t)
	database := s.Database(t)
	db := s.Open(t, database)
	onOne(t, db, "CREATE TABLE keyless (a INT, b INT)")
	for name, want := range map[string]string{"keyless": "no primary key", "absent": "no such table"} {
		if _, err := NewTable(t.Context(), db, database, name, TableOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTable(t.Context(), db, database, "keyless", TableOptions{Key: []string{"B", "a"}}); err != nil {
		t.Errorf("with a key of its own: %v", err)
	}
	if _, err := NewTable(t.Context(), db, database, "keyless", TableOptions{Key: []string{"c"}}); err == nil {
		t.Error("a key column that is not there is accepted")
	}
	tables, err := Tables(t.Context(), db, database)
	if err != nil || len(tables) != 1 || tables[0] != [2]string{database, "keyless"} {
		t.Errorf("tables %v, %v", tables, err)
	}
}

func TestElasticsearch(t *testing.T) {
	table, good := pairs(t)
	node, err := NewNode(http.DefaultClient, servers.Elasticsearch(t))
	if err != nil {
		t.Fatal(err)
	}
	index := &Elasticsearch{Do: node.Do, Index: servers.Unique(t, "pairs"), Table: table}
	r := compared(t, table, "elasticsearch", index, Options{})
	if r.Missing != 2 || !strings.Contains(r.Examples[0], "there is no such target: index "+index.Index) {
		t.Errorf("%+v", *r)
	}
	for id, text := range good {
		putDocument(t, index, id, text)
	}
	defer func() { _ = index.call(context.Background(), http.MethodDelete, "/"+index.Index, nil, nil) }()
	equal(t, compared(t, table, "elasticsearch", index, Options{}), 2)

	putDocument(t, index, "other", good[`2|c\\d`])
	r = compared(t, table, "elasticsearch", index, Options{})
	if r.Extra != 1 {
		t.Errorf("%+v", *r)
	}

	const more = 2*page + 500
	var lines strings.Builder
	for i := range more {
		fmt.Fprintf(&lines, `{"index":{"_id":"9|%d"}}%s{"a":9,"b":"%d","value":null}%s`, i, "\n", i, "\n")
	}
	post(t, index, http.MethodPost, "/_bulk", lines.String())
	if r = compared(t, table, "elasticsearch", index, Options{}); r.Extra != more+1 || r.Copies != more+2 {
		t.Errorf("%+v", *r)
	}
}

func putDocument(t *testing.T, e *Elasticsearch, id, text string) {
	t.Helper()
	post(t, e, http.MethodPut, "/_doc/"+id, text)
}

// post sends a request to the index.
func post(t *testing.T, e *Elasticsearch, method, path, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Path = "/" + e.Index + path
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := e.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, response.Status)
	}
}

func TestRedisSingleAndCluster(t *testing.T) {
	clients := map[string]goredis.UniversalClient{
		"single":  goredis.NewClient(&goredis.Options{Addr: servers.Redis(t)}),
		"cluster": goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: servers.RedisCluster(t)}),
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			defer client.Close()
			table, good := pairs(t)
			rows := &Redis{Client: client, Prefix: servers.Unique(t, "p[a*irs") + ":", Table: table}
			set := func(name, text string) {
				if err := client.Set(t.Context(), name, text, time.Hour).Err(); err != nil {
					t.Fatal(err)
				}
			}
			for key, text := range good {
				set(rows.Prefix+key, text)
				set(rows.Prefix+"weir:v:{x}:"+key, "a guard")
				set("un"+rows.Prefix+key, "of another prefix")
			}
			equal(t, compared(t, table, "redis", rows, Options{}), 2)

			if err := client.RPush(t.Context(), rows.Prefix+"list", "x").Err(); err != nil {
				t.Fatal(err)
			}
			if r := compared(t, table, "redis", rows, Options{}); r.Extra != 1 || !strings.Contains(r.Examples[0], "holds no row") {
				t.Errorf("%+v", *r)
			}
			client.Del(t.Context(), rows.Prefix+"list")
			set(rows.Prefix+"other", good[`2|c\\d`])
			client.Del(t.Context(), rows.Prefix+`2|c\\d`)
			if r := compared(t, table, "redis", rows, Options{}); r.Different != 1 || !strings.Contains(r.Examples[0], "other") {
				t.Errorf("%+v", *r)
			}
		})
	}
}

func TestErrorsAreNotDifferences(t *testing.T) {
	table, _ := pairs(t)
	broken := errors.New("broken")
	if _, err := Run(t.Context(), table, "x", failing{broken}, Options{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer client.Close()
	if _, err := Run(t.Context(), table, "x", &Redis{Client: client, Table: table}, Options{}); err == nil {
		t.Error("a Redis that is not there is no error")
	}
	node, _ := NewNode(http.DefaultClient, "http://127.0.0.1:1")
	if _, err := Run(t.Context(), table, "x", &Elasticsearch{Do: node.Do, Index: "i", Table: table}, Options{}); err == nil {
		t.Error("an Elasticsearch that is not there is no error")
	}
}

type failing struct{ err error }

func (f failing) Each(context.Context, func(*Row) error) error { return f.err }

// TestReadingLeavesConnectionsAsTheyWere: what is set for reading must not reach
// who uses the pool next.
func TestReadingLeavesConnectionsAsTheyWere(t *testing.T) {
	table, good := pairs(t)
	table.db.SetMaxOpenConns(1)
	var before, after string
	const mode = "SELECT CONCAT(@@sql_mode, @@time_zone)"
	if err := table.db.QueryRowContext(t.Context(), mode).Scan(&before); err != nil {
		t.Fatal(err)
	}
	compared(t, table, "x", &listed{table: table, names: []string{"x"}, texts: []string{good["x"]}}, Options{})
	if err := table.db.QueryRowContext(t.Context(), mode).Scan(&after); err != nil || after != before || before == "" {
		t.Errorf("%q became %q, %v", before, after, err)
	}
}
