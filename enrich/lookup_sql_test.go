package enrich

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// inSQL is a look-up in a table of a server.
func inSQL(s servers.SQL, database, table string, more ...string) map[string]string {
	properties := map[string]string{
		"lookup.source": "sql", "lookup.sql.host": net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), "lookup.sql.username": s.User,
		"lookup.sql.password": s.Password, "lookup.sql.database": database, "lookup.sql.table": table,
		"lookup.key.field": "user_id", "lookup.sql.key.columns": "id", "lookup.miss.policy": "null",
	}
	for i := 0; i < len(more); i += 2 {
		properties[more[i]] = more[i+1]
	}
	return properties
}

func execute(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

const usersTable = "CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(50), credit DECIMAL(12,2), age INT, rate DOUBLE, born DATE, " +
	"seen DATETIME(3), photo BLOB, about JSON, active TINYINT(1)) CHARACTER SET utf8mb4"

// TestLookupInSQL: the columns' types are the fields', whatever the key's type
// in the record.
func TestLookupInSQL(t *testing.T) {
	for name, server := range map[string]func(testing.TB) servers.SQL{"MySQL": servers.MySQL, "MariaDB": servers.MariaDB} {
		t.Run(name, func(t *testing.T) {
			s := server(t)
			database := s.Database(t)
			execute(t, s.Open(t, database), usersTable,
				"INSERT INTO users VALUES (7,'Ann O''Neil',1234567890.10,41,0.5,'1985-02-03','2026-11-23 05:06:07.089',x'00ff','{\"a\": 1}',1)",
				"INSERT INTO users (id,name) VALUES (18446744073709551615,'Žofie')")
			l := startLookup(t, inSQL(s, database, "users", "lookup.value.fields", "name:user_name,credit,age,rate,born,seen,photo,about,active"))
			nulls := `"credit":null,"age":null,"rate":null,"born":null,"seen":null,"photo":null,"about":null,"active":null}`
			want := []string{
				`{"user_id":7,"user_name":"Ann O'Neil","credit":1234567890.10,"age":41,"rate":0.5,"born":"1985-02-03","seen":"2026-11-23 05:06:07.089","photo":"AP8=","about":"{\"a\": 1}","active":1}`,
				`{"user_id":"18446744073709551615","user_name":"Žofie",` + nulls,
				`{"user_id":8,"user_name":null,` + nulls,
				`{"user_id":"x' OR 1=1 -- ","user_name":null,` + nulls,
			}
			for range 2 {
				got := l.apply(t, `{"user_id":7}`, `{"user_id":"18446744073709551615"}`, `{"user_id":8}`, `{"user_id":"x' OR 1=1 -- "}`)
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
			}
			if asked := l.metric(t, "weir_lookup_requests_total", "source", "sql"); asked != 1 {
				t.Errorf("asked %v times", asked)
			}
		})
	}
}

// TestLookupInSQLByText: collations compare, and keys of several columns.
func TestLookupInSQLByText(t *testing.T) {
	s := servers.MySQL(t)
	database := s.Database(t)
	execute(t, s.Open(t, database), "CREATE TABLE users (tenant VARCHAR(20), id INT, name VARCHAR(20), PRIMARY KEY (tenant, id))",
		"INSERT INTO users VALUES ('Acme',7,'Ann'),('acme|2',7,'Bob'),('7',1,'Cid')")
	l := startLookup(t, inSQL(s, "", database+".users", "lookup.key.field", "tenant,user_id", "lookup.sql.key.columns", "tenant,id", "lookup.value.fields", "name"))
	want := []string{`{"tenant":"Acme","user_id":7,"name":"Ann"}`, `{"tenant":"ACME","user_id":7,"name":"Ann"}`, `{"tenant":"acme|2","user_id":7,"name":"Bob"}`,
		`{"tenant":7,"user_id":1,"name":"Cid"}`, `{"tenant":"acme","user_id":8,"name":null}`, `{"tenant":null,"user_id":7,"name":null}`}
	if d := cmp.Diff(want[:1], l.apply(t, `{"tenant":"Acme","user_id":7}`)); d != "" {
		t.Error(d)
	}
	got := l.apply(t, `{"tenant":"Acme","user_id":7}`, `{"tenant":"ACME","user_id":7}`, `{"tenant":"acme|2","user_id":7}`, `{"tenant":7,"user_id":1}`,
		`{"tenant":"acme","user_id":8}`, `{"tenant":null,"user_id":7}`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOneQueryPerBatch, and no more than a packet holds in each.
func TestOneQueryPerBatch(t *testing.T) {
	s := servers.MySQL(t)
	database := s.Database(t)
	db := s.Open(t, database)
	execute(t, db, "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))",
		"INSERT INTO users WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 1000) SELECT i, CONCAT('u',i) FROM n")
	l := startLookup(t, inSQL(s, database, "users", "lookup.value.fields", "name"))
	var in, want []string
	for i := 1; i <= 1000; i++ {
		in = append(in, fmt.Sprintf(`{"user_id":%d}`, i))
		want = append(want, fmt.Sprintf(`{"user_id":%d,"name":"u%d"}`, i, i))
	}
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Error(d)
	}
	var queries int
	row := db.QueryRowContext(t.Context(), "SELECT COALESCE(SUM(COUNT_STAR),0) FROM performance_schema.events_statements_summary_by_digest "+
		"WHERE DIGEST_TEXT LIKE ? AND SCHEMA_NAME = ?", "SELECT `id` , NAME FROM `users` WHERE `id` IN%", database)
	if err := row.Scan(&queries); err != nil {
		t.Fatal(err)
	}
	if asked := l.metric(t, "weir_lookup_requests_total", "source", "sql"); asked != 1 || queries > 1 {
		t.Errorf("asked %v times by %d queries", asked, queries)
	}
}

// TestLookupInSQLThatIsWrong waits with the reason: no column, no table, no
// right.
func TestLookupInSQLThatIsWrong(t *testing.T) {
	s := servers.MySQL(t)
	database := s.Database(t)
	execute(t, s.Open(t, database), "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))")
	for name, c := range map[string]struct{ property, text, want string }{
		"no column":      {"lookup.value.fields", "nom", "Unknown column 'nom'"},
		"no key column":  {"lookup.sql.key.columns", "uid", "Unknown column 'uid'"},
		"no table":       {"lookup.sql.table", "usr", "doesn't exist"},
		"wrong password": {"lookup.sql.password", "s3cret", "Access denied"},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLookup(t, inSQL(s, database, "users", "lookup.value.fields", "name", "lookup.unavailable.policy", "null",
				"lookup.unavailable.timeout.ms", "0", c.property, c.text))
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			reasons := make(chan string, 1)
			go func() { reasons <- <-l.waits }()
			if _, err := l.Apply(ctx, oneUser(t)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if reason := <-reasons; !strings.Contains(reason, c.want) || strings.Contains(reason, "s3cret") {
				t.Errorf("it waits for %q", reason)
			}
		})
	}
}

// TestLookupOutlivesItsDatabase: killed and started again in the middle.
func TestLookupOutlivesItsDatabase(t *testing.T) {
	s := servers.NewMySQL(t)
	database := s.Database(t)
	execute(t, s.Open(t, database), "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))", "INSERT INTO users VALUES (1,'Ann')")
	l := startLookup(t, inSQL(s, database, "users", "lookup.value.fields", "name", "lookup.cache.size", "0"))
	want := []string{`{"user_id":1,"name":"Ann"}`}
	if d := cmp.Diff(want, l.apply(t, `{"user_id":1}`)); d != "" {
		t.Fatal(d)
	}
	s.Kill()
	done := make(chan []string, 1)
	go func() { done <- l.apply(t, `{"user_id":1}`) }()
	for reason := ""; !strings.HasPrefix(reason, "looking up: asking table users: "); {
		select {
		case reason = <-l.waits:
		case got := <-done:
			t.Fatalf("it did not wait: %v", got)
		}
	}
	s.Start()
	if d := cmp.Diff(want, <-done); d != "" {
		t.Error(d)
	}
}

// TestLookupInSQLNeedsTypesToGoOn: without stated types the fields are the
// columns', and a row must not have others for an outage.
func TestLookupInSQLNeedsTypesToGoOn(t *testing.T) {
	free := "127.0.0.1:1" // nobody listens there
	properties := map[string]string{"lookup.source": "sql", "lookup.sql.host": free, "lookup.sql.table": "t", "lookup.key.field": "user_id", "lookup.value.fields": "age",
		"lookup.unavailable.policy": "null", "lookup.unavailable.timeout.ms": "0"}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := startLookup(t, properties).Apply(ctx, oneUser(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got, want := startLookup(t, properties, "lookup.types", "age:int32").apply(t, `{"user_id":1}`)[0], `{"user_id":1,"age":null}`; got != want {
		t.Error(got)
	}
}
